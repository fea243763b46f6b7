/* What the parts of the controller's core share. Not for others.
 *
 *   registry   what the store holds          requests   what shall be changed in it
 *   nodes      who is there                  scheduler  which version is granted where
 *   loads      what nodes say of versions    holds      what nodes still have of old
 * grants traffic    which versions take calls     rollout    how one takes over step by
 * step views      the same as JSON              placement  the choice of nodes scaling
 * how many instances there should be, by the autoscaler insight    how calls fare explain
 * why things are as they are
 *
 * Each door (a function of controller_core.h) changes state, marks the functions that
 * this touches (scheduler_touch), and leaves through core_leave(), which recomputes those
 * and delivers replies: a callback sees a core that is at rest, and may call into it. */
#ifndef CONTROLLER_CORE_CORE_PRIVATE_H
#define CONTROLLER_CORE_CORE_PRIVATE_H

#include "common/backoff.h"
#include "common/list.h"
#include "controller/core/alarms.h"
#include "controller/core/controller_core.h"
#include "controller/core/holds.h"
#include "controller/core/insight.h"
#include "controller/core/keymap.h"
#include "controller/core/name_order.h"
#include "controller/core/placement.h"
#include "controller/core/records.h"
#include "controller/core/scaling.h"

#define CORE_EPOCH_MAX    ((1ULL << 31) - 1)
#define CORE_TEXT_MAX     256 /* versions and addresses that agents tell */
#define CORE_PENDING_MAX  (RECORD_MESSAGE_MAX + 32) /* target_pending()'s text */
#define CORE_LABELS_MAX   64
#define CORE_NEAR_MAX     8   /* nodes that a package is remembered to be on */
#define CORE_STORE_OP_MAX 128 /* operations and compares of one transaction */

/* Exists while its key does, or while a function names it. */
struct core_namespace {
    struct keymap_entry entry; /* c->namespaces_by_name */
    struct list link;          /* c->namespaces */
    char name[SPEC_NAME_MAX + 1];
    bool present; /* its key exists and was understood; counts below are kept always */
    uint32_t index;
    int64_t mod_revision;
    char created_at[CLOCK_RFC3339_SIZE];
    struct list functions; /* core_function.of_namespace, also those not present */
    struct name_order functions_by_name;
    struct name_order_node in_order; /* c->namespaces_in_order */
    size_t n_functions;              /* present ones */
};

/* A version's spec and package. */
struct core_body {
    struct list link; /* core_function.bodies */
    uint64_t number;
    int64_t mod_revision;
    uint64_t value_hash;
    struct function_spec spec;
    struct package_ref package;
    struct core_package *counted[1 + SPEC_LAYERS_MAX]; /* its own, then its layers' */
    size_t n_counted;
    uint64_t invocations, errors; /* since this controller began */
};

/* A package was wanted on this node. */
struct core_near {
    struct list of_node; /* core_node.near */
    struct core_node *node;
};

/* How many versions, of functions and of layers, need a package. */
struct core_package {
    struct keymap_entry entry; /* c->packages */
    char digest[SPEC_DIGEST_LEN + 1];
    size_t n;
    struct core_near near[CORE_NEAR_MAX]; /* the last ones; near.h */
    unsigned near_next;
};

struct core_grant {
    struct list of_target; /* core_target.grants */
    struct list of_node;   /* core_node.grants */
    struct core_target *target;
    struct core_node *node;
    uint32_t max, warm, reserved;
    uint64_t leave_ms; /* not 0: the node does not fit any more; it goes then at last */
    bool kept;         /* while a placement is taken over */
    struct core_hold hold;
    struct placement_pick_why why;
};

/* A version that may run: the serving one, the candidate that shall prove itself, or one
 * that calls may name or a rollout sends them to. */
struct core_target {
    struct core_function *f;
    struct list link; /* core_function.others, if it is one of those */
    uint64_t number;
    const struct core_body *body;
    uint32_t most, reserved; /* instances; 0: no limit, none. The function's, or its own:
                                set by follow.c, since the nodes' books go by them */
    struct list grants;
    size_t n_grants;
    bool leaving; /* some of its grants are (target_leave.h) */
    struct scaling scaling;
    struct placement_why why;  /* of the last look */
    uint64_t reserved_missing; /* instances whose memory could not be booked */

    /* the candidate's proof */
    enum { PROOF_WANTED, PROOF_READY, PROOF_FAILED } proof;
    enum cause cause; /* why it failed, or the last node that could not */
    char text[RECORD_MESSAGE_MAX + 1];
    char (*tried)[SPEC_NODE_MAX +
                  1]; /* nodes that could not, through no fault of its own */
    size_t n_tried;
    struct core_node *proof_node;
    uint64_t proof_until_ms; /* this node must have answered then */
    uint64_t retry_ms;       /* 0, or: the tried nodes are asked again then */
    bool told_short;         /* one of the tried nodes was short of something */
    bool retried;            /* all of them were asked before */
    struct {
        uint64_t since_ms;    /* it has no place since then; 0: it has one */
        uint64_t look_ms;     /* whether there is hope for one is looked at again then */
        uint64_t hopeless_ms; /* there is none since then; 0: there is */
        bool crowded;         /* what others keep is in its way */
    } wait;
};

/* A rollout's step as this controller watches it (rollout.h). */
struct core_watch {
    uint64_t version; /* 0: none */
    uint32_t step;
    uint64_t until_ms;
    uint64_t invocations, errors; /* of the version when the step began */
    bool moving;                  /* the request that goes on or back is under way */
    uint64_t retry_ms;
    struct backoff backoff;
};

struct core_totals {
    uint64_t starting, idle, frozen, busy, queued, in_flight;
    uint64_t invocations, cold_starts, errors, gb_ms, cpu_us;
};

/* Instances that take calls, frozen ones as well. */
static inline uint64_t totals_ready(const struct core_totals *t)
{
    return t->idle + t->frozen + t->busy;
}

/* Exists while anything of it is in the store, is asked for or runs. */
struct core_function {
    struct keymap_entry entry; /* c->functions_by_name */
    struct list of_namespace;
    struct name_order_node in_order; /* of its namespace's */
    struct controller_core *core;
    struct core_namespace *ns;
    char name[SPEC_NAME_MAX + 1];

    bool present; /* its key exists and was understood */
    int64_t mod_revision;
    struct record record;
    struct list bodies; /* core_body, ascending */
    size_t n_bodies;

    struct list queue; /* core_request: changes, one after the other */
    size_t n_queue;
    struct list waits; /* core_request: wait_version */

    struct list dirty;     /* c->dirty */
    struct list unmet;     /* c->unmet: its grants are fewer than it wants */
    struct list thin;      /* c->thin: on fewer nodes than it may be */
    struct list undecided; /* c->undecided: an outcome is not in the store yet */
    struct alarm alarm;
    struct core_target *serving, *candidate;
    struct list others; /* core_target: others that may be named, ascending */
    uint64_t served;    /* at the last look; what it was before stays for a while: */
    uint64_t recent, recent_until_ms;
    struct core_watch watch;
    uint64_t warm_bytes; /* booked for it at the last look */
    bool deciding;       /* the request that writes the outcome is under way */
    uint64_t decide_retry_ms;
    struct backoff decide_backoff;
    bool stopped;          /* 0 is reserved: no calls */
    bool recreated;        /* it went and came back between two looks */
    bool published;        /* nodes know it */
    uint64_t content;      /* hashes of what was last sent: to all, */
    uint64_t warm_content; /* and to those with grants */
    uint64_t revision;     /* of what was last sent, */
    uint64_t revision_all; /* and of what all nodes were sent */

    struct list holds; /* core_hold.of_function */
    struct list loads; /* core_load.of_function */
    struct core_totals totals;
    struct insight insight;
};

struct core_node {
    struct placement_node place; /* place.index: PLACEMENT_NOWHERE while lost */
    struct keymap_entry entry;   /* c->nodes_by_name */
    struct list link;            /* c->nodes_ready or c->nodes_lost, oldest loss first */
    char name[SPEC_NODE_MAX + 1];
    char boot[CORE_TEXT_MAX];
    char version[CORE_TEXT_MAX];
    char gateway[CORE_TEXT_MAX];
    char **told_labels; /* NULL-terminated: the agent's */
    char **labels;      /* with the operator's over them (node_labels.h); place.labels */
    bool ready;
    bool confirms;      /* node_hello.confirms */
    bool leaving;       /* its agent is ending: until it starts anew */
    uint64_t leaves_ms; /* leaving: it does not wait for longer than this */
    bool draining;      /* by order, or leaving: not placed on, though it may be ready */
    uint32_t cpu_millis;
    uint64_t connected_wall_ms;
    uint64_t seen_ms;
    char lost_reason[CORE_TEXT_MAX];
    uint64_t memory_reserved_bytes;
    struct blanks_state *blanks; /* as it said last; n_blanks of them */
    size_t n_blanks;
    uint32_t instances;
    uint64_t cpu_us;   /* that functions took there, as this controller was told */
    uint64_t revision; /* of what other nodes were told of it */
    struct list grants;
    struct list holds; /* core_hold.of_node */
    struct list near;  /* core_near */
    struct list loads;
    uint64_t report_mark; /* tells what a full report named */
    struct core_grant *scratch;
    struct alarm forget;
};

/* What a node last said about a version. */
struct core_load {
    struct keymap_entry entry; /* c->loads */
    struct list of_node;
    struct list of_function;
    struct core_node *node;
    struct core_function *f;
    uint64_t version;
    struct core_totals last;
    uint64_t heard_ms; /* of the counters below; 0: not in this life of the node's */
    uint64_t load_us, begun;
    uint32_t level; /* in flight and queued then */
    struct insight_counted counted;
    uint64_t mark;
};

struct controller_core {
    struct controller_io io;
    struct controller_core_options options;
    uint64_t seed;
    struct alarms alarms;

    /* registry */
    bool loaded, store_up;
    int64_t revision; /* of the store, as far as it was seen */
    uint64_t epoch_stored;
    int64_t epoch_revision;
    uint64_t index_next; /* 0: the key is not there */
    int64_t index_revision;
    uint32_t index_highest; /* ever seen */
    struct list namespaces;
    struct name_order namespaces_in_order;
    struct keymap namespaces_by_name, functions_by_name, packages, damaged;
    size_t n_namespaces, n_functions, n_versions;
    struct keymap layers; /* layers.h */
    struct list layer_list;

    /* requests */
    struct list requests;        /* all */
    struct list active;          /* those that wait for what the registry shows */
    struct list namespace_queue; /* epoch and namespaces, one after the other */
    size_t n_namespace_queue;
    struct list replies;
    struct keymap requests_by_id;
    size_t n_requests;
    uint64_t last_id;
    uint64_t epoch; /* this core's; 0: not taken yet */
    struct alarm epoch_alarm;
    struct backoff epoch_backoff;

    struct {
        struct journal_event **events; /* a ring of JOURNAL_MAX */
        uint64_t n;                    /* added since the start */
    } journal;

    /* nodes */
    struct list nodes_ready, nodes_lost;
    struct keymap nodes_by_name, loads;
    struct keymap node_orders;
    struct keymap access_keys;
    size_t n_ready, n_lost;

    /* scaling */
    struct {
        uint64_t desired;           /* of all versions */
        uint64_t scaled;            /* versions that are not at rest */
        struct list all;            /* those: core_target.scaling.scaled */
        uint64_t squeezed_until_ms; /* see scaling_squeeze() */
        uint64_t ups, downs, panics, decisions;
    } scaling;

    /* scheduler */
    bool settling;
    struct alarm settle_alarm, unmet_alarm, thin_alarm;
    size_t n_thin;
    size_t thin_left; /* of those that were thin when a node came: not looked at yet */
    struct placement_nodes usable;
    struct list dirty, unmet, thin, undecided;
    uint32_t last_counter; /* low half of the last revision sent */
};

/* The one way out of a door. */
void core_leave(struct controller_core *c);
const char *core_state_of(const struct core_function *f); /* views.c: "ready" */
/* Tests call it after every step; aborts when the parts do not fit together. */
void controller_core_invariant(const struct controller_core *c);

static inline uint64_t core_now_ms(const struct controller_core *c)
{
    return c->io.now_ms(c->io.ctx);
}

/* Grows over controller restarts: each has an epoch of its own. */
static inline uint64_t core_next_revision(struct controller_core *c)
{
    return (c->epoch << 32) + ++c->last_counter;
}

static inline bool core_placing(const struct controller_core *c)
{
    return c->epoch != 0 && !c->settling;
}

#endif /* CONTROLLER_CORE_CORE_PRIVATE_H */
