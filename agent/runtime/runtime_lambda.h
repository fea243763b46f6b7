/* Shared by the two files of the kind `provided`: runtime_lambda.c (instances, calls and
 * their events) and runtime_lambda_api.c (the Runtime API that the bootstrap speaks to:
 * https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html). */
#ifndef AGENT_RUNTIME_RUNTIME_LAMBDA_H
#define AGENT_RUNTIME_RUNTIME_LAMBDA_H

#include "agent/runtime/runtime_private.h"
#include "common/http/http_server.h"

#define LAMBDA_PAYLOAD_MAX (6 * 1024 * 1024 + 100) /* of a reply that is not streamed */

/*   BODY ──whole──▶ QUEUED ──/next──▶ RUNNING ──/response, /error──▶ REPLYING ──▶ over
 *                      ▲                 │
 *                      └─ never reached ─┘                                          */
enum lambda_phase { LAMBDA_BODY, LAMBDA_QUEUED, LAMBDA_RUNNING, LAMBDA_REPLYING };

struct lambda_exchange;

struct lambda_call {
    struct runtime_call call;
    enum lambda_phase phase;
    char id[40];
    char *content_type;
    char *trace_id; /* NULL: none */
    uint64_t deadline_wall_ms;
    struct buf body;
    struct lambda_exchange *carrier; /* takes the event out, or brings the reply in */
};

enum lambda_what { LAMBDA_NEXT, LAMBDA_RESPONSE, LAMBDA_ERROR, LAMBDA_INIT_ERROR };

/* A request of the bootstrap, from its head to its exchange's on_close. */
struct lambda_exchange {
    struct list link; /* NEXT that waits: in state.pollers */
    struct runtime_instance *instance;
    struct http_exchange *x;
    enum lambda_what what;
    struct lambda_call *call; /* NULL: none, or it was let go */
    bool streaming;
    bool refused; /* answered with an error while its body still comes */
    uint64_t seen_bytes;
    struct buf body; /* an error document */
    char *content_type;
};

struct lambda_state {
    struct http_server server;
    bool server_open;
    struct runtime_instance *instance;
    struct list pollers;
};

static inline struct lambda_call *lambda_call_of(struct runtime_call *c)
{
    return container_of(c, struct lambda_call, call);
}

void lambda_on_request(struct http_server *s, struct http_exchange *x);
/* Hands events that wait to those who ask for them. */
void lambda_dispatch(struct runtime_instance *in);
/* The bootstrap's answer to the caller has begun or cannot come: no carrier any more. */
void lambda_detach(struct lambda_call *l);

#endif /* AGENT_RUNTIME_RUNTIME_LAMBDA_H */
