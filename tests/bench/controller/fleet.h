/* Fleet: thousands of agents in one process, as the controller's hub sees them. Each is a
 * connection, a session's numbers and little else: what comes is counted, not decoded,
 * apart from what the bench waits for. */
#ifndef TESTS_BENCH_CONTROLLER_FLEET_H
#define TESTS_BENCH_CONTROLLER_FLEET_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/buf.h"
#include "proto/mayfly.pb-c.h"
#include "proto/wire_stream.h"

#define FLEET_NAME_MAX 16
#define FLEET_LOADS    10 /* functions that an agent's steady report names */
#define FLEET_FIRST    20 /* the first agents decode all that comes */
#define FLEET_NOBODY   UINT32_MAX

struct fleet_function {
    uint32_t holder;   /* one of the first agents with a grant, or FLEET_NOBODY */
    uint64_t since_ns; /* a queue has formed there; 0: none, or answered */
    uint64_t answered_ns;
};

struct fleet;

struct fleet_agent {
    struct fleet *fleet;
    unsigned index;
    struct wire_conn *conn; /* NULL: none */
    uint64_t sent, received, invocations;
    char session[64];
    bool up, resumed, snapshot; /* welcomed; in its old session; has had SnapshotEnd */
    uint8_t head[48];           /* of the frame that comes */
    size_t head_len, frame_len, frame_taken;
    struct buf frame; /* whole, when somebody wants to look into it */
};

struct fleet {
    uv_loop_t loop;
    struct wire *wire;
    uv_timer_t beat, limit;
    struct fleet_agent *agents;
    struct fleet_function *of;
    unsigned n, wanted, dialled; /* `wanted` of them shall be connected */
    unsigned n_up, n_snapshots, n_resumed, n_closed, n_answered, asked, dialling;
    uint64_t bytes, frames, functions, proofs;
    uint64_t beats;
    unsigned n_functions;
    bool reports; /* each agent sends a report a second, else a heartbeat */
    const char *url;
    bool timed_out;
};

int fleet_open(struct fleet *f, const char *url, unsigned n, unsigned n_functions);
void fleet_close(struct fleet *f);
/* Runs until done() or limit_s; false: it took too long. */
bool fleet_run(struct fleet *f, bool (*done)(const struct fleet *f), unsigned limit_s);
/* Dials until so many agents are connected, a few hundred at a time. */
void fleet_connect(struct fleet *f, unsigned n);
/* Ends all connections at once; the sessions may resume. */
void fleet_cut(struct fleet *f);
/* A queue forms where the function has a grant; it is answered by the function's next
 * state there. False: none of the first agents has one. */
bool fleet_queue_forms(struct fleet *f, unsigned function);

#endif /* TESTS_BENCH_CONTROLLER_FLEET_H */
