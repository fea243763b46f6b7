/* What the parts of the agent core share.
 *
 *   agent_core.c        life, time, drain, reading
 *   catalog.c           functions as the controller streams them; snapshots
 *   catalog_alias.c     names for versions, and for splits over several
 *   catalog_version.c   versions: what they are, grants, when they are due, their end
 *   catalog_package.c   packages that versions need here
 *   catalog_peer.c      other agents
 *   catalog_memory.c    what was learned of functions before the agent began
 *   catalog_place.c     which of them gets a call: what is known of their room
 *   pool.c              instances: their states, how many there should be
 *   pool_ends.c         what becomes of them, and fewer of them
 *   pool_slots.c        calls in them
 *   pool_idle.c         idle ones: for how long, frozen, started ahead of calls
 *   pool_room.c         memory admission: room now, room later (claims), eviction
 *   pool_short.c        room that a new version waits for in vain
 *   router.c            calls: which way they go and how they end
 *   router_queue.c      calls that wait
 *   seen.c              how calls fared, for people
 *   loads.c             what is said of versions to the controller
 *
 * A door (a function of agent_core.h) calls agent_enter() first, which takes the time
 * once, and agent_leave() last, which frees what has come to its end. In between nothing
 * that others may still hold a pointer to is freed. */
#ifndef AGENT_CORE_AGENT_CORE_PRIVATE_H
#define AGENT_CORE_AGENT_CORE_PRIVATE_H

#include "agent/core/agent_core.h"
#include "agent/core/due_heap.h"
#include "agent/core/keepalive.h"
#include "agent/core/load_meter.h"
#include "agent/core/name_map.h"
#include "common/backoff.h"
#include "common/latency.h"

#define CORE_TEXT_MAX           256
#define CORE_INSTANCES_DEFAULT  10000
#define CORE_START_PAUSE_MIN_MS 100 /* after a start that failed */
#define CORE_START_PAUSE_MAX_MS 30000
#define CORE_START_HOLD_MS      5000 /* a start under way counts for so long at most */
#define CORE_FETCH_PAUSE_MIN_MS 5000 /* after a package that could not be had */
#define CORE_FETCH_PAUSE_MAX_MS 300000
#define CORE_LIVED_MS           10000 /* an instance that lived so long was no bad start */
#define CORE_FAILURES_PATIENCE                              \
    2 /* so many bad starts in a row fail the waiting calls \
       */
/* A version that is over is still named in loads, so that its last calls are counted. */
#define CORE_LINGER_MS 60000
/* Added to a forwarded call's time, so that the other agent is the one that says how it
 * ended; ours only keeps a dead connection from waiting for ever. */
#define CORE_FORWARD_SLACK_MS 5000
#define CORE_HOPS_MAX         16   /* times that one call is forwarded */
#define CORE_ROOM_MS          1000 /* what a node said of its room fades in this time */
#define CORE_ASKS_MAX         8    /* calls of a version that ask for idle instances, */
#define CORE_ASKS_MS          1000 /* in such a time */
#define CORE_AVOID_MIN_MS     50   /* after a node could not take a call */
#define CORE_AVOID_MAX_MS     2000
#define CORE_OFFLOAD_MS       50   /* between tries to place waiting calls elsewhere */
#define CORE_TOMBSTONES_MAX   1024 /* deleted functions whose revision is remembered */
#define CORE_FEED_MAX         16   /* versions that get a try when memory comes free */
/* A version whose first call has waited for so long, and that has no instance here, gets
 * the memory of one of a version that has several; and of the only one. */
#define CORE_TURN_MS            100
#define CORE_TURN_LAST_MS       1000
#define CORE_RETRY_AFTER_S      1
#define CORE_RETRY_AFTER_LONG_S 5
/* Where the pattern says that an instance goes at once, a caller that comes right back
 * still finds it. */
#define CORE_IDLE_GRACE_MS 1000

#define INSTANCE_STATES (INSTANCE_STOPPING + 1)

struct timer {
    struct due_heap_node node;
    void (*fire)(struct agent_core *a, struct timer *t);
};

/* Why the last start, or package, did not come to be. */
struct trouble {
    enum cause cause; /* CAUSE_NONE: none */
    char text[CORE_TEXT_MAX];
};

enum package_state {
    PACKAGE_ABSENT, /* nothing here needs it */
    PACKAGE_WANTED, /* io->package_want was called */
    PACKAGE_READY,
    PACKAGE_FAILED, /* wanted again when `retry` fires */
};

struct package {
    struct name_map_node by_digest;
    struct agent_core *core;
    struct package_ref ref;
    enum package_state state;
    struct list versions; /* that name it, needed here or not: they keep it */
    uint32_t n_needs;     /* of them need it here */
    struct trouble trouble;
    struct backoff backoff;
    struct timer retry;
};

/* Another node with a grant of a version, and what is known of its room for it. */
struct place {
    char node[SPEC_NODE_MAX + 1];
    uint32_t max, warm;  /* granted */
    bool before_ours;    /* in the order of the grants; also if we have none */
    bool heard;          /* `free` is what it said */
    uint32_t free, sent; /* at since_ms; forwarded there since then */
    uint64_t since_ms;
    uint64_t avoid_until_ms;
    struct backoff avoid;
};

struct version_package {
    struct list link; /* in package.versions */
    struct version *version;
    struct package *package;
};

struct peer {
    struct name_map_node by_name;
    struct list all;
    uint32_t load_permille; /* as it said last */
    uint64_t snapshot;      /* the last that named it */
    bool usable;
    char *gateway;
    char node[SPEC_NODE_MAX + 1];
};

/* How its calls fared here (seen.c). */
struct seen {
    struct latency latency; /* of ended ones, from arrival */
    struct cold_start cold;
    struct call_wait wait;
    struct call_refusal refused;
    char text[CORE_TEXT_MAX]; /* of refused */
};

/* Counters of a version number. Versions share them if a function was deleted and
 * deployed again: numbers begin anew, counters never go back. They begin anew only when
 * the controller has heard that they are gone. */
struct usage {
    unsigned refs;
    const struct version *owner; /* the newest of them: reports them */
    const struct function *function;
    uint64_t number;
    struct list unused; /* in core.unused_usages: told, and no version has it */
    uint64_t invocations, cold_starts, errors, gb_ms, cpu_us;
    struct load_meter load; /* its level: calls that wait or run here */
    struct seen *seen;      /* NULL: nothing yet */
    bool told;              /* in agent_core_loads_changed(), and as: */
    struct version_load last;
};

struct alias {
    char name[ALIAS_NAME_MAX + 1]; /* "": the calls that name nothing */
    struct alias_weight weights[ALIAS_SPLIT_MAX];
    size_t n_weights;
};

struct version {
    struct function *function;
    struct list link; /* in function.versions */
    uint64_t number;
    uint64_t published; /* its number as a published one; 0: none */
    uint64_t id;        /* version_state.id */
    struct function_spec spec;
    struct version_package packages[1 + SPEC_LAYERS_MAX]; /* its own, then its layers' */
    size_t n_packages;
    struct usage *usage;
    bool needs_package;
    bool wanted; /* in the newest state of the function; otherwise it drains */
    bool named;  /* while a state is taken over */

    uint32_t grant_max, grant_warm, grant_reserved; /* ours; 0 while grants have lapsed */
    uint32_t told_max, told_warm, told_reserved;    /* as the controller said */
    /* It was retired and came back: what of it still ends leaves it so much less. */
    struct version *heir; /* of one that was retired, while there is one */
    uint32_t n_before;    /* instances of all that this is the heir of */
    bool has_part;        /* a grant names this node: even one of none is listened for */
    bool had_grant;       /* once: its end is reported */
    struct place *places; /* the other nodes' */
    size_t n_places;
    uint64_t offload_ms; /* waiting calls are tried elsewhere then; 0: they are not */
    uint32_t asks_left;  /* calls that may ask for idle instances until asks_ms */
    uint64_t asks_ms;

    struct list instances;
    struct list warm;    /* IDLE, hottest first */
    struct list frozen;  /* FROZEN, likewise */
    uint64_t freeze_ms;  /* no freezing before this: it has failed */
    struct list partial; /* BUSY with a free slot */
    uint32_t n[INSTANCE_STATES];
    uint32_t n_instances;
    uint32_t n_open; /* starts under way, as far as the gate counts them */

    uint32_t least;       /* on all nodes, as the controller said */
    uint32_t grant_floor; /* of warm, our part of that: never evicted */
    uint32_t spare;       /* idle ones above warm: dropped when nobody calls */
    uint32_t n_evictable; /* idle ones above the floor: they make way for calls */
    struct due_heap_node
        evictable;       /* in core.evictable, by the coldest's idle_since_ms */
    uint32_t n_claims;   /* starts that wait for memory which is coming free */
    struct list starved; /* in core.starved: has claims, or found no memory */

    struct list queue; /* calls, by queue_deadline_ms */
    uint32_t n_queued;
    struct list waiting; /* in core.waiting while there are any */
    struct list running; /* dispatched calls by timer_link, by deadline_ms */
    uint32_t n_running;
    struct list forwarded; /* likewise */
    uint32_t n_forwarded;

    bool was_ready; /* here, once: reported */
    bool failed_reported;
    uint32_t failures; /* bad starts in a row that were the version's own fault */
    struct trouble trouble;
    struct backoff backoff;
    uint64_t retry_ms; /* no start before this */
    uint64_t short_ms; /* 0, or: room that its first instance lacks is told of then */
    bool short_told;   /* of this grant */

    struct timer timer;
    uint64_t over_ms;  /* when it came to its end, while lingering; 0: it has not */
    struct list ended; /* in core.ended: to be looked at by agent_leave() */
};

struct function {
    struct name_map_node by_name;
    struct list all; /* in core.functions or, deleted, core.tombstones */
    struct agent_core *core;
    const char *namespace_;
    const char *name;
    uint32_t namespace_index;
    uint64_t revision;
    uint64_t snapshot; /* the last that named it */
    bool deleted;
    bool stopped;           /* new calls are refused */
    struct list versions;   /* wanted ones and those that drain; oldest first */
    struct version *target; /* takes the calls that name no version; NULL: none yet */
    /* What is reserved here; of it or beyond it in use; the rest that nobody else gets.
     */
    uint64_t reserved_bytes, used_bytes, kept_bytes;
    uint64_t held_bytes; /* its idle ones leave so much to nobody, were they to go */
    struct alias *aliases;
    size_t n_aliases;
    struct list queue; /* calls that wait for there to be a target */
    uint32_t n_queued;
    uint32_t n_calls; /* in instances here */
    /* When its calls come, which its next version goes on with, and what follows from
     * that while there are none. What each call looks at comes first, that which is large
     * last: with thousands of functions a call's time is that of the cache lines that it
     * touches. */
    bool prewarmed;   /* what the plan says was done, or could not be */
    uint64_t plan_ms; /* when it is made: not on the path of calls; UINT64_MAX: it is */
    struct keepalive_plan plan;
    struct keepalive keepalive;
    struct timer timer;     /* of queue */
    struct trouble trouble; /* of a version that never was the target */
    char names[];
};

/* pool_gate.c: starts that wait for their turn. */
struct gate {
    struct list waiting; /* not begun; longest first */
    struct list open;    /* under way, by started_us */
    struct list gone;    /* stopped before they began: agent_leave() frees them */
    uint32_t n_open, max;
    uint32_t spare;     /* beyond max, as long as the host has processors to spare */
    struct timer timer; /* while some wait: the first of `open` counts no more */
};

struct agent_core {
    struct agent_io io;
    char node[SPEC_NODE_MAX + 1];
    uint64_t capacity_bytes;
    uint32_t instances_max;
    uint64_t now_us, now_ms; /* of the door that was entered last */
    uint64_t seed;
    bool draining;
    bool lapsed; /* the grants' time to live is over */
    bool inside; /* a door is being passed: no other may be entered from an io function */

    struct name_map by_name; /* functions */
    struct list functions;
    struct list tombstones; /* oldest first */
    size_t n_tombstones;
    struct name_map packages;
    struct name_map peers;
    struct list all_peers;
    struct name_map memories; /* of functions that have not come yet */
    struct list all_memories;
    uint64_t snapshot; /* number of the one that is, or was last, under way */
    bool in_snapshot;

    uint64_t next_instance_id;
    struct list instances;
    uint32_t n_instances, n_stopping, n_evictable, n_claims;
    uint64_t memory_bytes;          /* of all instances until they are gone */
    uint64_t memory_stopping_bytes; /* of those that are going */
    uint64_t memory_evictable_bytes;
    uint64_t memory_claimed_bytes;
    uint64_t memory_kept_bytes, memory_held_bytes; /* of all functions */
    struct due_heap evictable; /* versions; keys may be too early, never too late */
    struct list starved;
    bool feed; /* room came free, or can be made: starved ones get a try */
    struct list waiting;
    struct list ended;
    struct gate gate;

    uint32_t freeze_after_ms; /* 0: nothing is frozen */
    struct agent_core_counts counts;
    struct list unused_usages; /* until a report leaves them out */
    bool told_is_gone;         /* a version that was told of: the next report says all */
    bool told_stands; /* no door was passed since, and no call is here: nothing changes */

    struct due_heap timers; /* keys may be too early, never too late */
    size_t n_timers;        /* that exist: there is room for as many */
};

/* --- agent_core.c ------------------------------------------------------------------- */
void agent_enter(struct agent_core *a);
void agent_leave(struct agent_core *a);
/* Room for one more timer and one more version in the heaps. 0 or -ENOMEM. */
int agent_timer_add(struct agent_core *a, struct timer *t,
                    void (*fire)(struct agent_core *a, struct timer *t));
void agent_timer_drop(struct agent_core *a, struct timer *t);
/* Fires at due_ms, or before if it was set before; fire() sets it again. */
void agent_timer_lower(struct agent_core *a, struct timer *t, uint64_t due_ms);
void catalog_trouble_set(struct trouble *t, enum cause cause, const char *text);
/* All of it, O(n): for tests. */
bool agent_core_check(const struct agent_core *a);

/* --- catalog.c ---------------------------------------------------------------------- */
struct function *catalog_find(const struct agent_core *a, const char *namespace_,
                              const char *name);
struct version *catalog_wanted(const struct function *f, uint64_t number); /* or NULL */
struct version *catalog_newest(const struct function *f); /* wanted; or NULL */
void catalog_function_free(struct function *f);

/* --- catalog_alias.c ---------------------------------------------------------------- */
/* *ret: the caller's to free; s->n_aliases of them. 0 or -ENOMEM. */
int catalog_aliases_copy(struct alias **ret, const struct function_state *s);
const struct alias *catalog_alias(const struct function *f, const char *name);
/* By weight, of those that are here and have a place; NULL: none of them is here. */
struct version *catalog_alias_pick(const struct function *f, const struct alias *alias);

/* --- catalog_version.c -------------------------------------------------------------- */
int catalog_version_new(struct version **ret, struct function *f,
                        const struct version_state *s);
void catalog_version_free(struct version *v);
bool catalog_version_same(const struct version *v, const struct version_state *s);
/* What the controller said, unless that has lapsed. */
void catalog_version_grant(struct version *v);
bool catalog_version_granted(const struct version *v); /* anywhere */
void catalog_version_retire(struct version *v);        /* its instances drain */
void catalog_version_arm(struct version *v);           /* its timer */
void catalog_version_settle(struct version *v);        /* maybe it is over */
void catalog_version_reap(struct version *v);          /* from agent_leave() */
void catalog_usages_forget(struct agent_core *a,
                           const struct function *f); /* NULL: all */
/* Calls get this instead of waiting; NULL: it is worth waiting. */
const struct trouble *catalog_version_failing(const struct version *v);
/* A start, or the package, failed through the version's own fault: says so, once. */
void catalog_version_failed(struct version *v, const struct trouble *t);

/* --- catalog_package.c -------------------------------------------------------------- */
/* Finds or makes it and puts v on it. */
/* All packages of s: -ENOMEM leaves what is joined for catalog_package_part(). */
int catalog_package_join(struct version *v, const struct version_state *s);
bool catalog_packages_ready(const struct version *v);
/* Why one of them cannot be had, or NULL. */
const struct trouble *catalog_packages_trouble(const struct version *v);
void catalog_package_part(struct version *v);
void catalog_package_need(struct version *v); /* whether v needs it may have changed */
bool catalog_package_is_needed(const struct version *v);
bool catalog_cause_is_own(enum cause cause); /* the version's fault, not the node's */

/* --- catalog_peer.c ----------------------------------------------------------------- */
struct peer *catalog_peer_find(const struct agent_core *a, const char *node);
void catalog_peers_free(struct agent_core *a);
void catalog_peers_snapshot_end(struct agent_core *a);

/* --- catalog_memory.c --------------------------------------------------------------- */
void catalog_memory_claim(struct function *f); /* it has come */
void catalog_memories_free(struct agent_core *a);

/* --- catalog_place.c ---------------------------------------------------------------- */
/* Splits grants into ours and the others' places. *ret_places: the caller's to free. */
int catalog_places_new(const struct agent_core *a, const struct version_state *s,
                       struct place **ret_places, size_t *ret_n, struct grant *ret_ours);
/* Takes them over into v, with what was known of those nodes before. */
void catalog_places_set(struct version *v, struct place *places, size_t n);
/* The better of two by room, or another that has some. NULL: no node takes a call now.
 * *ret_room: it is thought to have a free slot. */
struct place *catalog_place_pick(struct version *v, bool *ret_room);
bool catalog_place_any(const struct version *v); /* a usable node, avoided or not */
/* Our part of what is to be ready whatever the load: the first nodes' instances are that.
 */
uint32_t catalog_place_floor(const struct version *v);
/* Where an idle instance is to be expected rather than here. NULL: nowhere. */
struct place *catalog_place_home(struct version *v);
void catalog_place_sent(struct version *v, struct place *p);
void catalog_place_heard(struct version *v, const char *node,
                         const struct hop_room *room);
void catalog_place_refused(struct version *v, const char *node,
                           enum call_verdict verdict);

/* --- pool.c ------------------------------------------------------------------------- */
enum obstacle {
    OBSTACLE_NONE,
    OBSTACLE_GRANT,   /* none for this node, or the node drains */
    OBSTACLE_LIMIT,   /* as many as are granted */
    OBSTACLE_PACKAGE, /* not here yet */
    OBSTACLE_PAUSE,   /* after a bad start */
    OBSTACLE_ROOM,    /* no memory, and none that can be made free */
};
uint32_t pool_slots(const struct version *v);  /* calls at once in an instance */
uint64_t pool_supply(const struct version *v); /* slots that are coming */
uint64_t pool_memory(const struct version *v); /* bytes of an instance */
uint32_t pool_held(const struct version *v);   /* they count against the grant */
uint32_t pool_ready(const struct version *v);  /* instances that take calls */
uint32_t pool_idle(const struct version *v);   /* of them without any, frozen or not */
/* One more of v has room when `in`, of another version, is gone. */
bool pool_room_instead(const struct version *v, const struct instance *in);
enum obstacle pool_obstacle(const struct version *v); /* to one more, but for room */
/* An instance, or the claim to one. */
/* needed: idle ones of other versions make way for it. */
enum obstacle pool_start(struct version *v, bool needed);
/* Queued calls go to free slots; as many instances start as calls and `warm` want. */
void pool_pump(struct version *v);
uint64_t pool_starts_wanted(const struct version *v); /* claims included */
/* The same, with those that start already. */
uint64_t pool_starts_due(const struct version *v);
void pool_stop(struct instance *in, enum stop_reason why);
void pool_drain(struct version *v, enum stop_reason why); /* all of them */
void pool_shrink(struct version *v);                      /* to the grant */
void pool_tell_less(const struct version *v); /* the grant is, or is nearly, kept to */
void pool_account(struct version *v);         /* counts or warm changed */
void pool_feed(struct agent_core *a);         /* from agent_leave() */
void pool_instance_free(struct instance *in);
bool pool_invariant(const struct version *v);

/* For the other parts of it. */
void pool_move(struct instance *in, enum instance_state to);
enum obstacle pool_start_now(struct version *v, bool ahead);
void pool_pause(struct version *v); /* after a bad start: none before it is over */

/* An instance that is gone, begun or not. */
void pool_gone(struct instance *in);

/* --- pool_gate.c -------------------------------------------------------------------- */
/* 0 or -ENOMEM. starts_max 0: no limit. */
int gate_open(struct agent_core *a, uint32_t starts_max);
void gate_close(struct agent_core *a);
void gate_enter(struct instance *in);     /* it is to start: at once, or in its turn */
void gate_leave(struct instance *in);     /* it is STARTING no more; harmless again */
void gate_turn_away(struct instance *in); /* it was stopped before it began */
void gate_pump(struct agent_core *a);     /* whose turn is it? From agent_leave() */

/* --- pool_short.c ------------------------------------------------------------------- */
void short_look(struct version *v); /* whether room for its first instance is missing */

/* --- pool_slots.c ------------------------------------------------------------------- */
struct instance *pool_free_instance(const struct version *v); /* or NULL */
/* The same, for a call that takes it at once: thawed if need be. */
struct instance *pool_wake(struct version *v);
void pool_take_slot(struct instance *in, struct call *c);
/* The call is off in->calls. usable false: the instance takes no more calls, and is
 * stopped when it has none. */
void pool_release_slot(struct instance *in, bool usable, enum stop_reason why);

/* --- pool_idle.c -------------------------------------------------------------------- */
struct instance *pool_coldest(const struct version *v); /* of the idle; NULL: none */
void pool_freeze_at(struct instance *in);               /* its place in the frozen list */
/* When this idle one is dropped if it is spare and no call comes. */
uint64_t pool_drop_ms(const struct version *v, const struct instance *in);
void pool_drop_if_due(struct instance *in);
void pool_idle_expire(struct version *v); /* drops, freezes, starts ahead: what is due */
uint64_t pool_idle_next_ms(const struct version *v); /* UINT64_MAX: nothing is */
void pool_idle_ended(struct function *f);            /* a call here was over */
void pool_idle_plan(struct function *f);             /* its target changed */

/* --- pool_room.c -------------------------------------------------------------------- */
bool pool_room_now(const struct version *v);     /* beside all claims */
bool pool_room_claimed(const struct version *v); /* for one that holds a claim */
/* One of its starts that have not begun is to make way for what was reserved since. */
bool pool_room_yields(const struct version *v);
bool pool_claim(struct version *v); /* evicts; false: there is no room */
void pool_unclaim(struct version *v);
void pool_room_account(struct function *f); /* its instances, claims or grants changed */
/* Idle instances that stand in reserved room make way. From agent_leave(). */
void pool_room_clear(struct agent_core *a);

/* --- router.c ----------------------------------------------------------------------- */
void router_dispatch(struct version *v, struct instance *in, struct call *c, bool cold);
/* Also out of v's queue. wait: also to a node without a free slot, to wait there. false:
 * no other node takes it; it is where it was. */
bool router_forward(struct version *v, struct call *c, bool wait);
bool router_waits_here(
    const struct version *v); /* an instance will take those that wait */
void router_count_failing(struct version *v, enum cause cause);
void router_expire(struct version *v); /* calls whose time is over */
void router_reject(struct agent_core *a, struct call *c, enum cause cause,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* --- seen.c ------------------------------------------------------------------------- */
void seen_ended(struct version *v, const struct call *c);
enum cold_reason seen_why_start(const struct version *v); /* of one more, before it is */
void seen_waits(const struct version *v, struct call *c); /* it is about to be queued */
void seen_dispatched(struct version *v, const struct instance *in, const struct call *c);
void seen_refused(const struct call *c, enum cause cause, const char *text);
void seen_load(const struct version *v, struct version_load *l);

/* --- router_queue.c ----------------------------------------------------------------- */
void router_enqueue(struct version *v, struct call *c);        /* or rejects it */
void router_enqueue_early(struct function *f, struct call *c); /* there is no target */
void router_give_up(struct version *v, struct call *c); /* says what it waited for */
struct call *router_dequeue(struct version *v);         /* first, or NULL */
void router_unqueue(struct call *c); /* takes it out of the queue that it is in */
/* Things changed for the version: waiting calls go where they now can. */
void router_reroute(struct version *v);
void router_offload(struct version *v); /* waiting calls get a try at other nodes */
/* The function's target or versions changed: waiting calls follow. */
void router_follow(struct function *f);
void router_reject_queued(struct version *v, enum cause cause, const char *text);
void router_expire_queue(struct version *v);
void router_reject_early(struct function *f);
void router_expire_early(struct agent_core *a, struct timer *t);

#endif /* AGENT_CORE_AGENT_CORE_PRIVATE_H */
