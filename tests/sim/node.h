/* Shared by node.c (process, runtime), node_call.c (calls, also between nodes) and
 * node_link.c (the session with the controller). */
#ifndef TESTS_SIM_NODE_H
#define TESTS_SIM_NODE_H

#include "tests/sim/sim.h"

#define SIM_PACKAGES_MAX 256
#define SIM_GRANTS_MAX   1024
#define SIM_PEERS_MAX    64

struct sim_instance {
    struct list link;
    struct sim_node *node;
    struct instance *in;
    char function[16];
    uint64_t version;
    bool bad;
    bool stopping;
    bool frozen;
    uint64_t thaw_us; /* its next call begins so much later */
};

struct sim_call {
    struct list link;
    struct call call;
    struct sim_node *node;
    struct sim_call *origin; /* it was forwarded here from */
    struct sim_call *there;  /* where it was forwarded to; NULL: it has not got there */
    char hop_node[16];
    struct hop_room room;      /* that it found there */
    enum call_verdict verdict; /* on it: the origin's again unless FINAL */
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
    uint64_t reserved_bytes;
    bool bad;
    bool named; /* in the snapshot that is under way */
};

struct sim_node {
    struct sim *sim;
    unsigned index;
    char name[16];
    char gateway[24];
    uint64_t memory_bytes;
    struct agent_core *core; /* NULL while it is dead */
    uint64_t life;
    unsigned boots;
    uint64_t timer_ms;
    unsigned busy_ticks;
    bool report_soon;
    bool stopping;         /* it was asked to: as the agent does at SIGTERM */
    uint64_t stop_left_ms; /* until then it serves on; 0: it drains */
    uint64_t stop_end_ms;  /* calls have ended by then */
    bool broken;           /* an invariant failed; it was said */
    struct list instances, dead;
    struct list calls, over;
    struct sim_package packages[SIM_PACKAGES_MAX];
    size_t n_packages;
    struct node_grant grants[SIM_GRANTS_MAX];
    size_t n_grants;
    bool shut[SIM_PEERS_MAX]; /* by index: it was told that they take no new calls */

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
                              const char *qualifier, struct sim_call *origin,
                              const struct call_hop *hop);
unsigned sim_node_index(const struct sim *s, const char *name);
bool sim_package_is_ready(struct sim_node *n, const char *digest);
void sim_node_arm(struct sim_node *n);

/* node_call.c */
void sim_call_over(struct sim_call *sc, enum cause cause);
void sim_call_dispatch(void *ctx, struct call *c);
void sim_call_forward(void *ctx, struct call *c, const char *node, const char *gateway);
void sim_call_reject(void *ctx, struct call *c, enum cause cause, const char *text,
                     uint32_t retry_after_s);
void sim_call_timeout(void *ctx, struct call *c);

/* node_link.c */
void sim_node_dial(struct sim_node *n);
void sim_node_lost(struct sim_node *n);
void sim_node_send_report(struct sim_node *n, bool full);
void sim_node_send_leaving(struct sim_node *n);
void sim_node_send_version_report(struct sim_node *n, const struct version_report *r);

#endif /* TESTS_SIM_NODE_H */
