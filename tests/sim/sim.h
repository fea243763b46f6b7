/* A cluster in one process: the real cores of controller and agents on virtual time, with
 * a network, a store and processes that fail, all from one seed.
 *
 * What stands in for the edges: messages between controller and agents are packed as on
 * the wire and go over connections that stall, are reset and lose what is under way,
 * under the real sessions of hub and link, which repeat it; copies of them come late; the
 * store answers late, fails, or does not say whether it did; instances take a while to
 * start, fail, crash; calls take a while; an agent that dies loses everything. */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/core/agent_core.h"
#include "common/list.h"
#include "controller/core/controller_core.h"

/* --- the machine: time, chance, events ------------------------------------------------
 */

struct sim_event {
    uint64_t at_us;
    uint64_t seq; /* ties: in the order in which they were made */
    void (*run)(void *data);
    void (*drop)(void *data); /* instead of run, when its process died meanwhile */
    void *data;
    const uint64_t *life; /* NULL: nobody's */
    uint64_t life_was;
};

struct sim_clock {
    uint64_t now_us;
    uint64_t seq;
    uint64_t random_state;
    struct sim_event *heap;
    size_t n, capacity;
};

uint64_t sim_random(struct sim_clock *c);            /* splitmix64 */
uint64_t sim_below(struct sim_clock *c, uint64_t n); /* 0 … n - 1 */
bool sim_chance(struct sim_clock *c, uint32_t per_mille);
uint64_t sim_spread(struct sim_clock *c, uint64_t mean_us); /* exponential, bounded */

/* data is run's (which frees it if it must) or, if *life has changed by then, drop's. */
void sim_after(struct sim_clock *c, uint64_t delay_us, void (*run)(void *),
               void (*drop)(void *), void *data, const uint64_t *life);
/* Runs the next event; false: there is none up to until_us, which is then now. */
bool sim_step(struct sim_clock *c, uint64_t until_us);
void sim_clock_free(struct sim_clock *c);

/* --- the store -------------------------------------------------------------------------
 */

struct sim_store;
struct sim;

struct sim_store *sim_store_new(struct sim *s);
struct sim_store *sim_store_free(struct sim_store *st);
void sim_store_set_up(struct sim_store *st, bool up);
/* Loads the core with all there is and lets it follow, as long as *life stays. */
void sim_store_attach(struct sim_store *st, struct controller_core *core,
                      const uint64_t *life);
void sim_store_txn(struct sim_store *st, struct controller_core *core,
                   const uint64_t *life, uint64_t id, const struct core_compare *compares,
                   size_t n_compares, const struct core_op *ops, size_t n_ops);

/* --- one cluster
 * ------------------------------------------------------------------------ */

#define SIM_NODES_MAX     512
#define SIM_FUNCTIONS_MAX 4096
#define SIM_HOMES_MAX     4

struct sim_options {
    uint64_t seed;
    unsigned nodes;
    unsigned functions;
    uint64_t duration_us; /* with faults and load; then the cluster must come to rest */
    bool faults;
    bool verbose;
};

struct sim_node;

struct sim_counts {
    uint64_t calls, ok, failed, rejected, canceled, cold, forwarded, returned, freezes,
        prewarms;
    uint64_t deploys, deletes, orders, rollouts, traffic, controller_crashes,
        agent_crashes, stops, cuts, resets, store_outages;
};

struct sim {
    struct sim_clock clock;
    struct sim_options options;
    struct sim_store *store;
    struct controller_core *controller; /* NULL while it is dead */
    uint64_t controller_life;
    uint64_t controller_timer; /* the deadline that is armed, in ms; 0: none */
    struct sim_node *nodes[SIM_NODES_MAX];
    bool tight;  /* more is kept warm than there is memory: no_capacity is an answer */
    bool quiet;  /* no faults, no load: coming to rest */
    bool strict; /* at rest: a call that fails is said */
    bool rare;   /* functions are called in periods, so that instances are prewarmed */
    uint64_t n_operations;
    bool broken;          /* an invariant did not hold; it was said */
    struct list requests; /* that were not answered */
    struct sim_counts counts;
    struct {            /* what was acknowledged */
        bool there;     /* put was acknowledged last, not delete */
        bool uncertain; /* the last answer was that it is not known */
        uint32_t memory_mib, max_scale, min_scale;
        bool bad;      /* its instances cannot start */
        bool reserved; /* at rest: there is room for its calls, whatever else runs */
        uint64_t ok;   /* calls answered */
        bool moved; /* by a rollback, or a rollout that may go back: another may serve */
        uint64_t version;
        bool was_bad;     /* any version of it ever was */
        bool was_deleted; /* since this controller began */
        uint64_t calls;   /* that this controller was told of */
    } functions[SIM_FUNCTIONS_MAX];
};

/* Runs one seed. True: every invariant held; else it was said on stderr. */
bool sim_run(const struct sim_options *options, struct sim_counts *ret_counts);

/* sim.c: the controller has died, and nobody will be answered. */
void sim_requests_lost(struct sim *s);

/* controller.c */
void sim_controller_start(struct sim *s);
void sim_controller_kill(struct sim *s);
void sim_controller_arm(struct sim *s); /* after each call into the core */

/* check.c. Each says what is wrong on stderr. After the last fault, and without load. */
bool sim_check_rest(struct sim *s);
bool sim_check_calls(struct sim *s); /* every function that serves answers everywhere */
bool sim_check_load(struct sim *s);  /* a steady load gets the instances it asks for */
/* A call ended so, after waited_us: whether that is excused, where nothing fails. */
bool sim_check_refusal(struct sim *s, unsigned function, enum cause cause,
                       uint64_t waited_us);
#define SIM_QUEUE_MS 3000 /* that calls may wait */

/* node.c */
struct sim_node *sim_node_new(struct sim *s, unsigned index);
struct sim_node *sim_node_free(struct sim_node *n);
const char *sim_node_name(const struct sim_node *n);
void sim_node_crash(struct sim_node *n); /* and comes back after a while */
void sim_node_stop(struct sim_node *n);  /* in order, and comes back after a while */
void sim_node_cut(struct sim_node *n);   /* from the controller, for a while */
void sim_node_reset(struct sim_node *n); /* its connection to the controller */
void sim_node_call(struct sim_node *n, unsigned function);
/* From the controller's io: queued to the node's session, if it has one. */
void sim_node_send_function(struct sim_node *n, const struct function_state *f);
void sim_node_send_node(struct sim_node *n, const struct node_state *st);
void sim_node_resync(struct sim_node *n);
void sim_node_controller_died(struct sim_node *n);
/* All nodes that the controller reaches were told whether it takes new work; else it is
 * said that they were not. */
bool sim_node_is_announced(const struct sim_node *n, bool open);
bool sim_node_is_joined(const struct sim_node *n);
bool sim_node_is_empty(const struct sim_node *n); /* no grant, no instance */
/* Each says what is wrong on stderr. */
bool sim_node_check(const struct sim_node *n);
bool sim_node_check_rest(const struct sim_node *n);
unsigned sim_node_instances(const struct sim_node *n, const char *function,
                            uint64_t version);

#define SIM_NAMESPACE "default"
void sim_function_name(unsigned function, char ret[16]);
void sim_say(const struct sim *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif /* TESTS_SIM_SIM_H */
