/* Agents for tests: the real program, in a network that is this process's own, joined to
 * a hub and fed packages by the test itself. A controller without a controller. */
#ifndef TESTS_LIB_AGENTS_H
#define TESTS_LIB_AGENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "common/buf.h"
#include "common/desired.h"
#include "common/http/http_client.h"
#include "common/http/http_server.h"
#include "controller/hub/hub.h"

#define AGENTS_MAX          3
#define AGENTS_FUNCTIONS    32
#define AGENTS_GATEWAY_PORT 18080 /* of agent 0; 18081 is agent 1's */
#define AGENTS_METRICS_PORT 18180
#define AGENTS_LIMIT_MS     120000

struct agents;

struct agents_node {
    struct agents *bench;
    char name[16]; /* "node0" */
    char dir[64];
    char cgroup[64];
    pid_t pid; /* 0: does not run */
    struct hub_node *session;
    uint64_t reports;
    bool leaving; /* it has said so, and was told that it has no grants any more */
};

struct agents_function {
    struct function_state state; /* of one version */
    struct version_state version;
    struct grant grants[AGENTS_MAX];
    char name[SPEC_NAME_MAX + 1];
    char namespace_[SPEC_NAME_MAX + 1];
    char handler[64];
    struct buf package;
    bool unserved; /* published without a version that serves */
    /* what the agents said of it */
    bool reported;
    bool ready;
    enum cause cause;
    uint32_t busy, frozen;        /* by the last report of the node with the grant */
    unsigned wanted, known;       /* bit i: node i has reported on it */
    uint32_t granted[AGENTS_MAX]; /* what node i says that it was granted */
};

struct agents {
    uv_loop_t loop;
    struct hub *hub;
    const char *token; /* NULL: none */
    struct http_server packages;
    uint16_t packages_port;
    struct agents_node nodes[AGENTS_MAX];
    struct agents_function functions[AGENTS_FUNCTIONS];
    size_t n_functions;
    char hub_url[64];
    char packages_url[64];
    char token_file[64];           /* "" for a cluster without a token */
    struct hub_snapshot *snapshot; /* while one is put together */
    uint64_t revision;
    struct buf log_text; /* of log chunks */
    bool log_end;
    const char *stop_notice;  /* of agents that are started; default 0s */
    const char *upgrade_idle; /* of the same; default 10m */
};

/* Makes the network, once in a process. False, having said why: not possible here. */
bool agents_possible(void);
void agents_open(struct agents *b, const char *token);
void agents_close(struct agents *b); /* kills what still runs */

/* The controller goes away, and comes back knowing nothing of its nodes. */
void agents_hub_close(struct agents *b);
void agents_hub_open(struct agents *b);

/* Starts the program and waits until its node has joined and knows what was published. */
void agents_start(struct agents *b, unsigned i);
void agents_launch(struct agents *b, unsigned i); /* does not wait */
/* Sends the signal, waits for the end, returns the wait status. */
int agents_end(struct agents *b, unsigned i, int signal);

/* A function of namespace "default" whose package is one file of that text, made
 * executable; granted to node `grant` with `max` instances. Change fn->version.spec
 * before agents_publish. */
struct agents_function *agents_function(struct agents *b, const char *name,
                                        enum spec_runtime runtime, const char *text,
                                        unsigned grant, uint32_t max);
/* Sends it to all nodes and waits until they know it. */
void agents_publish(struct agents *b, struct agents_function *fn);

/* One more node with a grant; before agents_publish. */
void agents_grant(struct agents_function *fn, unsigned node, uint32_t max);
/* Tells node i alone that it has no grant any more, and waits until it says so itself:
 * the others go on believing that it has. */
void agents_revoke(struct agents *b, struct agents_function *fn, unsigned i);

void agents_turn(struct agents *b); /* one turn of the loop, at most 20 ms */
/* Turns the loop until done(data); after AGENTS_LIMIT_MS it says what there is and ends
 * the test. What is waited for must be there to stay: agents report from time to time. */
void agents_wait(struct agents *b, bool (*done)(void *data), void *data);
bool agents_is_ready(void *fn);
bool agents_is_busy(void *fn);
bool agents_is_idle(void *fn);
bool agents_is_leaving(void *node);
bool agents_has_body(void *reply); /* a part of it has come */
bool agents_is_frozen(void *fn);   /* all of it that is there */

struct agents_reply {
    struct agents *bench;
    struct http_client client;
    struct http_call *call;
    bool done;
    bool closed;
    int error; /* of the connection; 0: the reply is whole */
    int status;
    struct buf body;
    struct buf head; /* "name: value\n" lines */
};

/* Begins a request to port; the body may be NULL. */
void agents_ask(struct agents *b, struct agents_reply *r, uint16_t port,
                const char *method, const char *target, struct http_headers headers,
                const void *body, size_t len);
void agents_await(struct agents_reply *r);
/* Both, to the gateway of agent i. */
void agents_call(struct agents *b, struct agents_reply *r, unsigned i, const char *method,
                 const char *target, const char *body);
/* The value up to the line's end, or NULL; valid until the next. */
const char *agents_header(const struct agents_reply *r, const char *name);
void agents_reply_free(struct agents_reply *r);

/* A plain connection to the gateway of agent i, blocking. */
int agents_connect(unsigned i);

#endif /* TESTS_LIB_AGENTS_H */
