/* A hub and a link over real sockets, with a relay between them that can be cut. */
#ifndef TESTS_INTEGRATION_HUB_BENCH_H
#define TESTS_INTEGRATION_HUB_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include "agent/link/link.h"
#include "controller/hub/hub.h"

#define STATES     50
#define STATES_MAX 5000

struct bench {
    uv_loop_t loop;
    struct hub *hub;
    struct link *link;
    char url[64];
    const char *urls[2];
    const char *token; /* the link's */
    struct hub_node *node;
    unsigned joins, leaves, snapshots, welcomes, resumes, downs, states_seen;
    uint64_t last_up;   /* number in the last report that the hub got */
    uint64_t last_down; /* version in the last function state that the link got */
    bool in_order;
    bool plain;     /* the link takes no batches */
    bool ask_later; /* the owner does not ask for a snapshot when a node joins */
    unsigned
        n_states; /* of a snapshot; `snapshots` counts how often it is put together */
    unsigned begun, in_snapshot; /* different states since the last begin, at the link */
    bool seen[STATES_MAX];
    uint64_t newest[STATES_MAX]; /* version last seen */
    bool went_back;              /* an older one came after it */
    unsigned whole;              /* snapshots that had begin, all states and end */
    char down_reason[128];
    uv_timer_t limit;
    bool (*done)(struct bench *b);
    /* relay */
    uv_tcp_t relay;
    struct relay_pair *pair;
    bool cut;
};

/* token: the link's; the hub's is "secret". outbox 0: the hub's default. */
void bench_open(struct bench *b, const char *token, uint32_t resume_ms, uint32_t outbox);
void bench_close(struct bench *b);
struct hub_options bench_hub_options(struct bench *b);

/* Runs the loop until done() says so, or something stops it; fails after ten seconds. */
void bench_run_until(struct bench *b, bool (*done)(struct bench *b));
void bench_run(struct bench *b);
void bench_cut(struct bench *b); /* the connection that there is; b->cut: also new ones */

/* Reports number from, from + 1 …, n of them, from the link. */
void bench_send_reports(struct bench *b, unsigned from, unsigned n);
/* A function's state from the hub, to the node or to all. */
void bench_send_state(struct bench *b, uint64_t version, const char *name);
void bench_broadcast_state(struct bench *b, uint64_t version, const char *name);

void bench_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
bool bench_has_snapshot(struct bench *b);
bool bench_has_500(struct bench *b); /* reports */

#endif /* TESTS_INTEGRATION_HUB_BENCH_H */
