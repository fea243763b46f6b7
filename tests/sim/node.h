/* Shared by node.c (process, runtime) and node_link.c (the session with the controller).
 */
#ifndef TESTS_SIM_NODE_H
#define TESTS_SIM_NODE_H

#include "tests/sim/sim.h"

#define SIM_PACKAGES_MAX 256
#define SIM_GRANTS_MAX   1024

struct sim_instance {
    struct list link;
    struct sim_node *node;
    struct instance *in;
    char function[16];
    uint64_t version;
    bool bad;
    bool stopping;
};

struct sim_call {
    struct list link;
    struct call call;
    struct sim_node *node;
    struct sim_call *origin; /* it was forwarded here from */
    struct sim_instance *on;
    char function[16];
    const char *qualifier; /* the alias that it names; "": none */
    unsigned over;         /* how often it ended */
    enum cause cause;
    enum cause forward_cause;
    char text[128];
};

struct sim_package {
    char digest[SPEC_DIGEST_LEN + 1];
    bool ready;
};

/* What the node was last told: the checks' own memory of it. */
struct node_grant {
    char function[16];
    uint64_t version;
    uint32_t max, warm;
    bool bad;
    bool named; /* in the snapshot that is under way */
};

struct sim_node {
    struct sim *sim;
    char name[16];
    char gateway[24];
    uint64_t memory_bytes;
    struct agent_core *core; /* NULL while it is dead */
    uint64_t life;
    unsigned boots;
    uint64_t timer_ms;
    unsigned busy_ticks;
    bool report_soon;
    bool broken; /* an invariant failed; it was said */
    struct list instances, dead;
    struct list calls, over;
    struct sim_package packages[SIM_PACKAGES_MAX];
    size_t n_packages;
    struct node_grant grants[SIM_GRANTS_MAX];
    size_t n_grants;

    /* the session */
    bool joined;
    unsigned joined_boot;
    uint64_t session; /* its life: messages go with it */
    uint64_t cut_until_us;
    uint64_t down_us, up_us; /* last arrival each way: order is kept */
    bool snapshot_asked;
    bool in_snapshot;
};

struct sim_call *sim_call_new(struct sim_node *n, const char *function,
                              const char *qualifier, struct sim_call *origin);
bool sim_package_is_ready(struct sim_node *n, const char *digest);
void sim_node_arm(struct sim_node *n);

/* node_link.c */
void sim_node_dial(struct sim_node *n);
void sim_node_lost(struct sim_node *n);
void sim_node_send_report(struct sim_node *n, bool full);
void sim_node_send_version_report(struct sim_node *n, const struct version_report *r);

#endif /* TESTS_SIM_NODE_H */
