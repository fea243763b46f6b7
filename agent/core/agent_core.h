/* Agent core: what this node runs and who gets to run where. Pure.
 *
 * Holds the functions, versions and grants that the controller streamed, the instances on
 * this node (pool), and the calls that wait or run (router). Edges feed it events; it
 * acts only through `struct agent_io`, which also gives time and randomness: the cluster
 * simulation puts hundreds of these into one process. No I/O, no clock, no threads here,
 * and no io function may call back into the core before it returns.
 *
 *   call comes ─▶ idle instance? hottest first ─▶ dispatch
 *              ├▶ grant and memory have room? ──▶ start an instance, call waits for it
 *              ├▶ not forwarded yet, a peer has a grant? ─▶ forward (one hop)
 *              └▶ wait in the function's queue up to queue_timeout ─▶ 429 or 503
 */
#ifndef AGENT_CORE_AGENT_CORE_H
#define AGENT_CORE_AGENT_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/call_why.h"
#include "common/cause.h"
#include "common/desired.h"
#include "common/list.h"
#include "common/spec.h"

struct agent_core;
struct keepalive_memory; /* agent/core/keepalive.h */
struct function;
struct version;

/* --- instance ----------------------------------------------------------------
 *
 *                    ┌──▶ FROZEN ──call──┐
 *   STARTING ──ready─┴▶ IDLE ◀──call──▶ BUSY ──drain──▶ DRAINING ─▶ STOPPING ─▶ gone
 *      └──failed──────────┴──────────────┴─────────────────────────────┘
 *
 * An idle one is frozen after a grace and thawed by the call that takes it. */
enum instance_state {
    INSTANCE_STARTING,
    INSTANCE_IDLE,     /* no call; in the version's warm list */
    INSTANCE_FROZEN,   /* no call, and its processes stand still; in its frozen list */
    INSTANCE_BUSY,     /* 1 … concurrency calls */
    INSTANCE_DRAINING, /* no new call; stopped when the last has ended */
    INSTANCE_STOPPING, /* io->instance_stop was called; waits for agent_core_instance_gone
                        */
};

enum stop_reason {
    STOP_IDLE,    /* keep-alive ran out */
    STOP_RETIRED, /* its version is no longer wanted here */
    STOP_TIMEOUT, /* a call overran its deadline: kill at once */
    STOP_FRESH,   /* reuse: false, and its one call is over */
    STOP_FAILED,  /* start or init failed, or it crashed */
    STOP_EVICTED, /* memory is wanted for another function */
    STOP_SHUTDOWN,
    STOP_CANCELED, /* the caller went away and the runtime cannot drop one call */
};

struct instance {
    uint64_t id; /* unique in this agent's life */
    struct version *version;
    enum instance_state state;
    uint32_t n_calls;
    uint64_t started_us;
    uint64_t ready_us;
    uint64_t idle_since_ms;
    uint64_t calls_served;
    void *edge; /* the runtime edge's, as is edge_link */
    struct list edge_link;
    struct list link; /* private from here on: in version.instances */
    struct list warm; /* in version.warm or .frozen, hottest first; or .partial */
    struct list calls;
    struct list all;
    enum stop_reason why;  /* DRAINING, STOPPING: told to io->instance_stop */
    enum cold_reason cold; /* why it was started */
    struct list gate;      /* in the core's gate: waiting, open or gone */
    bool begun;            /* io->instance_start was called */
    bool open;             /* it counts as a start under way */
    bool ahead;            /* of a call that is only expected: nothing else wants it */
    uint64_t held_us;      /* it waited so long for its turn to begin */
};

/* --- hop ----------------------------------------------------------------------
 * A call may be forwarded once. The agent that it reaches takes it, or gives it back
 * without having begun it, and the first one routes it anew: to a third agent, to an
 * instance of its own, into its queue, until the call's queue deadline. */
struct call_hop {           /* what an agent that forwards says of the call */
    bool may_wait;          /* into the queue with it if nothing is free */
    bool only_idle;         /* not where there are instances, but none of them is free */
    uint64_t queue_left_ms; /* until it is no use any more; UINT64_MAX: not known */
    const char *qualifier;  /* as the caller named it; as for agent_core_call_named() */
    uint64_t picked;
};

enum call_verdict {
    VERDICT_FINAL, /* the call is over */
    VERDICT_BUSY,  /* given back: it would have to wait here, and may if it comes again */
    VERDICT_CANNOT, /* given back: nothing here can take it */
};

/* What a node says of its room for a version, with every reply to another agent. */
struct hop_room {
    uint32_t free;          /* calls that it could take at once */
    uint32_t load_permille; /* of its memory that is in use */
};

/* --- call ---------------------------------------------------------------------
 * Embedded in the gateway's own struct; the core links it until the call ends. */
enum call_state { CALL_NEW, CALL_QUEUED, CALL_DISPATCHED, CALL_FORWARDED, CALL_ENDED };

struct call {
    struct function *function; /* private from here on, readable by edges */
    struct version *version;
    struct instance *instance;
    enum call_state state;
    bool forwarded_here; /* came from another agent: must not hop again */
    bool may_wait;  /* FORWARDED: the other agent may queue it; else it gives it back */
    bool only_idle; /* FORWARDED: back with it if the other agent's instances are busy */
    enum call_verdict verdict; /* read it in call_reject */
    bool cold;                 /* an instance was started for it */
    bool failed; /* the edge's: its reply tells of an error (a status over 499) */
    bool tunnel; /* the edge's: bytes both ways; its time's end is nobody's fault */
    bool picked; /* its version was picked by weight: ask again, and another may be */
    bool pinned; /* private: its caller named the version, or an alias */
    const char *qualifier;      /* private: what the caller named; the edge keeps it */
    uint64_t number;            /* private: of the version that it named; 0: none */
    bool returnable;            /* private: the agent before takes it back */
    unsigned n_hops;            /* private: times that it was forwarded */
    enum cause returned;        /* private: why the last agent gave it back */
    enum wait_reason waits_for; /* private: NONE: it did not have to wait */
    uint64_t queue_limit_ms; /* private: the agent before waits no longer; UINT64_MAX */
    uint64_t arrived_us;     /* monotonic, set by agent_core_call */
    uint64_t dispatched_us;
    uint64_t deadline_ms;       /* monotonic: kill when running past it */
    uint64_t queue_deadline_ms; /* monotonic: give up waiting */
    struct list link;           /* in the version's queue, or the instance's calls */
    struct list timer_link;
};

/* Everything the core does to the world. `ctx` is io->ctx. */
struct agent_io {
    void *ctx;
    uint64_t (*now_us)(void *ctx); /* monotonic */
    uint64_t (*random)(void *ctx);

    /* Begin; answered later by agent_core_instance_ready or _failed (never from within).
     */
    void (*instance_start)(void *ctx, struct instance *in);
    /* Begin stopping; answered by agent_core_instance_gone. STOP_TIMEOUT, STOP_FRESH,
     * STOP_FAILED and STOP_CANCELED kill at once, the others give the program a grace. */
    void (*instance_stop)(void *ctx, struct instance *in, enum stop_reason why);

    /* Makes the processes of an idle instance stand still, or go on: both at once, in
     * well under a millisecond. 0, or why not: -EBUSY and the like (it stays as it is,
     * and is tried again), -ENOTSUP (nothing can be frozen here: it is not asked again).
     * An instance that cannot be thawed is stopped; one that is stopped while frozen is
     * thawed by instance_stop. Both NULL: nothing is frozen. */
    int (*instance_freeze)(void *ctx, struct instance *in);
    int (*instance_thaw)(void *ctx, struct instance *in);

    void (*call_dispatch)(void *ctx, struct call *c); /* run it on c->instance */
    void (*call_forward)(void *ctx, struct call *c, const char *node,
                         const char *gateway);
    /* The call is over without having run: answer it, or give it back (c->verdict).
     * retry_after_s 0: none. */
    void (*call_reject)(void *ctx, struct call *c, enum cause cause, const char *text,
                        uint32_t retry_after_s);
    /* It overran its deadline: answer it with 504 and drop it; its instance is stopped by
     * the core if it must be. A forwarded call ends so too if the other agent never
     * answers (queue_timeout, timeout and 5 s together). The core is done with the call.
     */
    void (*call_timeout)(void *ctx, struct call *c);

    /* Fetch, verify and unpack; answered by agent_core_package_ready or _failed. After a
     * failure it is asked for again, as long as a version here needs it. */
    void (*package_want)(void *ctx, const struct package_ref *p);
    void (*package_drop)(void *ctx, const char *digest); /* no version here needs it */
    /* No instance of it is here, and none is to be: what the edge keeps of it is of no
     * use. It may come back. NULL: not wanted. */
    void (*version_left)(void *ctx, const struct version *v);

    /* First readiness of a version, or why it cannot start. */
    void (*report_version)(void *ctx, const struct version *v, bool ready,
                           enum cause cause, const char *text);
    void (*report_soon)(
        void *ctx); /* load changed in a way the controller must hear now */
};

struct agent_core_options {
    const char *node;
    uint64_t memory_bytes;  /* capacity: instances' limits never add up to more */
    uint32_t instances_max; /* default 10,000 */
    uint32_t starts_max;    /* under way at once, but for slow ones; 0: no limit */
    uint32_t
        freeze_after_ms; /* an instance that is idle for so long is frozen; 0: never */
};

int agent_core_new(struct agent_core **ret, const struct agent_io *io,
                   const struct agent_core_options *options);
struct agent_core *agent_core_free(struct agent_core *a);

/* --- the controller's stream (common/desired.h: core does not know protobuf) ----------
 */
/* Older revisions are ignored. Copies what it keeps. 0 or -ENOMEM. */
int agent_core_function(struct agent_core *a, const struct function_state *f);
void agent_core_function_deleted(struct agent_core *a, const char *namespace_,
                                 const char *name, uint64_t revision);
int agent_core_peer(struct agent_core *a, const char *node, const char *gateway,
                    bool usable);
void agent_core_peer_deleted(struct agent_core *a, const char *node);
/* What is not named between the two is gone. */
void agent_core_snapshot_begin(struct agent_core *a);
void agent_core_snapshot_end(struct agent_core *a);

/* No controller has spoken to this node for the grants' time to live: until one does, it
 * has none, as if the controller had said so. What it was granted is not forgotten. */
void agent_core_lapse(struct agent_core *a, bool lapsed);
bool agent_core_is_granted(const struct agent_core *a); /* anything; O(functions) */

/* --- events from the edges ------------------------------------------------------ */
void agent_core_package_ready(struct agent_core *a, const char *digest);
void agent_core_package_failed(struct agent_core *a, const char *digest, enum cause cause,
                               const char *text);
void agent_core_instance_ready(struct agent_core *a, struct instance *in);
/* Could not start, failed in init, crashed or was killed for memory. Calls that run on it
 * are the edge's to answer (agent_core_call_done follows for each, before or after);
 * calls that wait for it get another try, or the cause if the version keeps failing. io's
 * instance_stop is called for it at once. */
void agent_core_instance_failed(struct agent_core *a, struct instance *in,
                                enum cause cause, const char *text);
void agent_core_instance_gone(struct agent_core *a, struct instance *in); /* frees it */
/* Its processes took so much more processor time since this was last said; before it is
 * gone. Of `exec`, whose calls say what they took, it is not counted. */
void agent_core_instance_cpu(struct agent_core *a, const struct instance *in,
                             uint64_t cpu_us);

/* Do starts wait for their turn? Then the edge looks at the host's processors every
 * CORE_SPARE_MS, and tells whether they had time to spare since it last looked. */
#define CORE_SPARE_MS 100
bool agent_core_starts_wait(const struct agent_core *a);
void agent_core_host_spare(struct agent_core *a, bool spare);

/* Looks the function up and takes the call. namespace_ NULL: "default". Every call ends
 * by exactly one of: agent_core_call_done or _cancel (edge's), call_reject or
 * call_timeout (core's). io functions for this call may run before this returns. version:
 * 0 serving, else that number. */
void agent_core_call(struct agent_core *a, struct call *c, const char *namespace_,
                     const char *name, uint64_t version, bool forwarded_here);
/* The same for a call that another agent forwarded and takes back. */
void agent_core_call_hop(struct agent_core *a, struct call *c, const char *namespace_,
                         const char *name, const struct call_hop *hop);
/* A forwarded call's reply has begun, and said what room there is at the node. */
void agent_core_hop_room(struct agent_core *a, struct call *c, const char *node,
                         const struct hop_room *room);
/* A forwarded call came back without having begun: it is routed anew, and one of
 * call_reject, call_dispatch, call_forward may come before this returns. verdict is the
 * other's; an agent that was not reached is one that cannot. cause: why. */
void agent_core_call_returned(struct agent_core *a, struct call *c, const char *node,
                              enum call_verdict verdict, enum cause cause);
/* Milliseconds that a forwarded call may wait for an instance; UINT64_MAX: as long as the
 * other agent lets it. */
uint64_t agent_core_queue_left_ms(const struct agent_core *a, const struct call *c);
/* For v NULL there is no room. */
struct hop_room agent_core_room(const struct agent_core *a, const struct version *v);
/* The same for a call that names an alias, a version's number ("3") or nothing (NULL, "",
 * "$LATEST"). While the serving version is rolled out, or an alias is split, the version
 * is picked by weight. picked: the version that the node which forwarded it has picked,
 * or 0: it holds as long as there is that version. */
void agent_core_call_named(struct agent_core *a, struct call *c, const char *namespace_,
                           const char *name, const char *qualifier, uint64_t picked,
                           bool forwarded_here);
/* The version that was published under this number; 0: there is none here. */
uint64_t agent_core_published(const struct agent_core *a, const char *namespace_,
                              const char *name, uint64_t published);
/* The way back: the number under which this version was published, or 0. */
uint64_t agent_core_published_as(const struct agent_core *a, const char *namespace_,
                                 const char *name, uint64_t number);
/* A dispatched or forwarded call has ended. cause: CAUSE_NONE or why it failed. Calls
 * that waited may be dispatched before this returns; c itself is not looked at again. */
void agent_core_call_done(struct agent_core *a, struct call *c, enum cause cause,
                          uint64_t cpu_us);
/* The caller is gone. can_drop: the instance remains usable (exec: its process was
 * killed; http: its connection was closed); otherwise the core stops the instance. */
void agent_core_call_cancel(struct agent_core *a, struct call *c, bool can_drop);

/* Time: call at (or after) the deadline, which changes after any other call here.
 * UINT64_MAX: nothing is due. */
uint64_t agent_core_deadline_ms(const struct agent_core *a);
void agent_core_tick(struct agent_core *a);

/* Stop taking calls, finish those that run; true once none is left. Then stop_all. */
void agent_core_drain(struct agent_core *a);
void agent_core_stop_all(struct agent_core *a);
bool agent_core_is_empty(const struct agent_core *a); /* no instance left */

/* --- reading ---------------------------------------------------------------------- */
/* What is lent in a load stands until the next call here. */
void agent_core_loads(const struct agent_core *a,
                      void (*each)(void *data, const struct version_load *l), void *data);
/* Those that are not as they were when this was last called; or all: if `whole`, or if
 * one that was named then is no more, which nothing else can say. Returns whether it was
 * all. What was seen of calls (last_cold and so on) is said once. Lent likewise. */
bool agent_core_loads_changed(struct agent_core *a, bool whole,
                              void (*each)(void *data, const struct version_load *l),
                              void *data);
uint64_t agent_core_memory_reserved(const struct agent_core *a);
uint32_t agent_core_instances(const struct agent_core *a); /* but those that are ending */

struct agent_core_counts { /* since its start */
    uint64_t freezes, thaws;
    uint64_t prewarms;   /* instances that were started ahead of an expected call */
    uint64_t idle_times; /* that were learned from */
};
struct agent_core_counts agent_core_counts(const struct agent_core *a);

/* --- what was learned of calls, kept for the agent's next life ---------------------- */
/* All that is worth keeping; lent. */
void agent_core_learned(struct agent_core *a,
                        void (*each)(void *data, const char *namespace_, const char *name,
                                     const struct keepalive_memory *learned),
                        void *data);
/* For the function when it comes, if it has not come yet. -EINVAL: such cannot have been
 * learned, or it is too old. -ENOSPC, -ENOMEM. */
int agent_core_recall(struct agent_core *a, const char *namespace_, const char *name,
                      const struct keepalive_memory *learned);
size_t agent_core_patterns(const struct agent_core *a); /* functions that have one */

bool agent_core_has_alias(const struct agent_core *a, const char *namespace_,
                          const char *name, const char *alias);
bool agent_core_has_function(const struct agent_core *a, const char *namespace_,
                             const char *name);
const char *function_namespace(const struct function *f);
const char *function_name(const struct function *f);
uint32_t function_namespace_index(const struct function *f);
uint64_t version_number(const struct version *v);
uint64_t version_id(const struct version *v);        /* version_state.id */
uint64_t version_published(const struct version *v); /* 0: it is not */
bool version_was_ready(const struct version *v);     /* an instance of it, once, here */
struct function *version_function(const struct version *v);
const struct function_spec *version_spec(const struct version *v);
const struct package_ref *version_package(const struct version *v);

#endif /* AGENT_CORE_AGENT_CORE_H */
