/* What the gateway's files share: gateway.c (server, what is left for later), call.c (a
 * call's life), call_core.c (the core's io), call_caller.c (from and to the caller),
 * call_run.c (on an instance here), call_hop.c (on another agent), call_timing.c,
 * reply.c.
 */
#ifndef AGENT_GATEWAY_GATEWAY_PRIVATE_H
#define AGENT_GATEWAY_GATEWAY_PRIVATE_H

#include "agent/gateway/gateway.h"
#include "agent/gateway/gateway_metrics.h"
#include "agent/gateway/headers.h"
#include "agent/gateway/lambda.h"
#include "agent/gateway/mark.h"
#include "agent/gateway/peers.h"
#include "agent/gateway/route.h"
#include "agent/gateway/timing.h"
#include "agent/runtime/runtime.h"
#include "common/buf.h"
#include "common/http/http_client.h"
#include "common/http/http_server.h"
#include "common/list.h"
#include "common/spare.h"

/* Of a body that comes while its call waits so much is taken; then the caller waits. */
#define PREFIX_MAX (64 * 1024)
/* Times that a call of which nothing was sent is tried once more, as its instance ended.
 * How often another agent is tried is the core's to say. */
#define AGAIN_INSTANCE_MAX 8
/* Failures that are logged in a second; the metrics have all of them. */
#define LOG_LINES_MAX 20
/* Ended calls whose memory is kept for the next ones. */
#define SPARE_CALLS_MAX 64

/* A call's life. Each arrow out of ASK, WAIT, RUN and HOP ends the core's part of the
 * call exactly once (gateway_call.core_open falls), or begins it anew.
 *
 *   ASK ──▶ WAIT ──dispatch──▶ RUN ──whole, failed, over time──┐
 *    ▲       │ └────forward──▶ HOP ──whole, lost, over time────┤
 *    │       └──────reject─────────────────────────────────────┤
 *    │       │         │        │                              ▼
 *    └───────┴─────────┴────────┘                             OVER ─▶ gone
 *     once more: the other reading of the path, nothing was
 *     sent to an instance that is not there, or another
 *     agent has given it back without having begun it
 *
 * A caller that goes away takes it to OVER from anywhere. It is gone when the exchange
 * and the request to the other agent have said that they are closed. */
struct gateway_call;

enum call_phase { PHASE_ASK, PHASE_WAIT, PHASE_RUN, PHASE_HOP, PHASE_OVER };

/* What is to be done once no callback of others is on the stack. */
enum call_todo {
    TODO_NONE,
    TODO_ASK,
    TODO_DISPATCH,
    TODO_FORWARD,
    TODO_RETURN,
    TODO_FAIL
};

/* How a call looks to its caller, when that is not as HTTP passed on. The functions
 * answer on c->exchange. */
struct call_face {
    void (*head)(struct gateway_call *c, int status, struct http_headers headers);
    void (*body)(struct gateway_call *c, const char *data, size_t len);
    void (*end)(struct gateway_call *c);  /* the answer is whole */
    void (*fail)(struct gateway_call *c); /* instead: c->cause, c->text */
    void (*free)(void *data);
};

/* A call of our own making, in place of the request as it came. */
struct call_input {
    const char *namespace_, *name;
    const char *qualifier; /* as of a path: an alias, a version's number, or "" */
    const char *arn;       /* of the function as the caller named it; in `data` */
    bool tail;             /* the log's tail is wanted */
    struct http_str method;
    struct http_headers headers; /* outlive the call: in `data` */
    struct buf *body;            /* taken over */
    const struct call_face *face;
    void *data; /* freed by the face, when the call is */
};

struct gateway_call {
    struct call call; /* the core's; as long as core_open */
    struct gateway *gateway;
    struct list link; /* in gateway.calls */
    struct list due;  /* in gateway.due, while todo is set and nobody looks after it */
    enum call_phase phase;
    enum call_todo todo;
    bool
        core_open; /* the core has the call: done, cancel, reject or timeout is to come */
    bool asking;   /* inside agent_core_call: what it says is acted on afterwards */

    struct http_exchange *exchange; /* until its on_close */
    struct route route;
    unsigned reading;   /* of the path: index in route.targets */
    unsigned n_again;   /* times that it was tried once more */
    bool instance_lost; /* the instance that it was on: it shall take no more calls */
    uint64_t picked;    /* version that the agent which forwarded it has picked; or 0 */
    enum mark_trust trust;
    struct mark mark; /* of a trusted forward, else of our own making */
    char request_id[RANDOM_UUID_SIZE];
    uint64_t version;  /* 0: not known yet */
    uint64_t body_max; /* bytes */
    uint64_t arrived_us;
    uint64_t dispatched_us;
    uint64_t hop_began_us;
    uint64_t theirs_us; /* the other agent's total */
    struct timing timing;

    struct buf prefix; /* of the request's body, what came before it could go on */
    uint64_t body_seen;
    bool body_done;
    bool replied;     /* the head of the response is out */
    bool reply_whole; /* and all that follows it */
    bool tunnel;      /* the head was a 101: what follows has no limit but time */

    struct runtime_call *run;
    struct http_call *hop;
    struct peer_use use;
    bool hop_connected;
    bool hop_taken;             /* the other agent takes the body */
    bool hop_whole;             /* it was sent with the head */
    struct mark_reply hop_said; /* verdict: not FINAL when it gives the call back */
    enum cause hop_cause;       /* why it does */
    char hop_node[SPEC_NODE_MAX + 1];
    char hop_gateway[256];

    const struct call_face *face; /* NULL: HTTP as it is */
    void *face_data;
    struct http_str method; /* of the request to the function */
    struct http_str query;
    struct http_headers headers;
    struct http_str upgrade; /* protocols that the caller would switch to, or empty */

    struct http_str arn; /* as a caller of Lambda's API named it; len 0: it did not */
    bool tail;           /* it wants the log's tail … */
    struct buf log;      /* … which is this, once the call has ended */

    enum cause reply_cause; /* of a reply that tells of the function's own failure */
    enum cause cause;       /* TODO_FAIL's */
    uint32_t retry_after_s;
    uint64_t cpu_us;
    char text[256];
    struct mark_reply said; /* to the agent that forwarded it here */
};

struct gateway {
    uv_loop_t *loop;
    struct agent_core *core;
    void (*on_unreachable)(void *data, const char *node);
    void *data;
    char node[SPEC_NODE_MAX + 1];
    char *secret;
    struct http_server server;
    uint16_t port;
    struct peers *peers;
    struct gateway_metrics *metrics;
    struct list calls;
    struct spare spare_calls;
    struct list relays; /* lambda_relay.c */
    struct lambda_state lambda;
    struct list due;
    uv_timer_t later; /* works off `due` */
    uint64_t log_second;
    unsigned log_lines; /* in that second */
    unsigned open;      /* parts that are not closed */
    bool informed;
    bool leaving;
    bool closing;
    bool server_closed;
    void (*on_closed)(void *data);
    void *closed_data;
};

static inline struct gateway_call *gateway_call_of(struct call *c)
{
    return container_of(c, struct gateway_call, call);
}

static inline const struct route_target *call_target(const struct gateway_call *c)
{
    return &c->route.targets[c->reading];
}

/* gateway.c */
void gateway_arm(struct gateway *g);       /* `due` has something */
void gateway_call_gone(struct gateway *g); /* it was freed */

/* call_caller.c */
void call_begin(struct gateway *g, struct http_exchange *x);
/* The exchange's body has been read. -ENOMEM: nothing was begun. */
int call_begin_as(struct gateway *g, struct http_exchange *x,
                  const struct call_input *input);
/* The head of the reply was a 101, and is out. */
void call_tunnel_begin(struct gateway_call *c);

/* call.c */
void call_gone(struct gateway_call *c); /* its caller has gone away */
/* Lets go of whatever works on the call. True: what did can take others. */
bool call_drop_work(struct gateway_call *c);
/* DISPATCH or FORWARD, without a word to the core: what fails is left in c->todo. */
void call_go(struct gateway_call *c, enum call_todo todo);
void call_act(struct gateway_call *c); /* does what is to be done */
void call_later(struct gateway_call *c, enum call_todo todo);
void call_fail_later(struct gateway_call *c, enum cause cause, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The other agent has not begun it: the core routes it anew. */
void call_return_later(struct gateway_call *c, enum call_verdict verdict,
                       enum cause cause);
/* Nothing of it was sent: ask the core again, or fail if that was done too often. */
void call_again_later(struct gateway_call *c, unsigned most, enum cause cause,
                      const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The gateway closes: one that is answered, and whose instance is not through with it, is
 * not waited for. It may be no more. */
void call_let_go(struct gateway_call *c);
/* Ends the core's part with agent_core_call_done. Last statement of a callback. */
void call_done(struct gateway_call *c, enum cause cause, uint64_t cpu_us);
/* The call is decided; the core has been told, or is told next by call_done. */
void call_over(struct gateway_call *c, const char *outcome);
void call_maybe_free(struct gateway_call *c);
/* Once its version is known, so is the limit of its body. False: over it, and the call
 * fails next. */
bool call_admit(struct gateway_call *c);

/* call_run.c */
void call_run_start(struct gateway_call *c);
void call_run_body(struct gateway_call *c, const char *data, size_t len);
bool call_run_drop(struct gateway_call *c); /* true: the instance remains usable */
/* Its time is over. True: its instance has not seen it, and it is whole again. */
bool call_run_withdraw(struct gateway_call *c);

/* call_hop.c */
void call_hop_start(struct gateway_call *c);
void call_hop_body(struct gateway_call *c, const char *data, size_t len);
void call_hop_drop(struct gateway_call *c);

/* call_timing.c */
void call_timing_read(struct gateway_call *c); /* its body is here, before it begins */
void call_timing_dispatched(struct gateway_call *c); /* an instance takes it */
void call_timing_ran(struct gateway_call *c);        /* the instance's reply begins */
/* Another agent's reply begins. */
void call_timing_hop(struct gateway_call *c, struct http_headers headers);
/* Where an agent has added its header, the last of its name: a function may have its own.
 * headers.n: nowhere. */
size_t call_timing_find(struct http_headers headers);
/* The reply's head is made now: its Server-Timing, all phases up to here. */
void call_timing_text(struct gateway_call *c, char ret[TIMING_SIZE]);

/* reply.c */
/* Head of an instance's reply. -EINVAL: it holds what no header can; nothing was sent. */
int reply_head(struct gateway_call *c, int status, struct http_headers headers,
               uint64_t content_length);
/* Head of another agent's reply. */
int reply_relay(struct gateway_call *c, int status, struct http_headers headers,
                uint64_t content_length);
struct reply_error {
    const char *node, *request_id, *text;
    enum cause cause;
    uint32_t retry_after_s;
    const char *timing;            /* NULL: there was no call */
    const struct mark_reply *said; /* to the agent that forwarded the call; NULL: it comes
                                      from a client */
    const char *tail;              /* of the log, for that agent; or NULL */
};
void reply_error(struct http_exchange *x, const struct reply_error *e);
/* The log's tail in base64, the caller's to free; NULL: it is not wanted, or there is
 * none. */
char *reply_tail(const struct gateway_call *c);
/* Ends a reply that is passed on as it is. */
void reply_end(struct gateway_call *c);

#endif /* AGENT_GATEWAY_GATEWAY_PRIVATE_H */
