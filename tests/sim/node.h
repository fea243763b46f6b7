/* Shared by node.c (the process), node_instance.c (what stands in for runtime and
 * packages), node_call.c (calls, also between nodes), node_link.c (joining and leaving),
 * node_wire.c (the connection) and node_messages.c (what is said on it). */
#ifndef TESTS_SIM_NODE_H
#define TESTS_SIM_NODE_H

#include "tests/sim/sim.h"

#include "proto/session.h"

struct sim_instance {
    struct list link;
    struct sim_node *node;
    struct instance *in;
    char function[16];
    uint64_t version;
    char handler[24]; /* another for each deploy */
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
    uint64_t version;      /* dispatched: since when, and what for */
    uint64_t since_us;
    uint32_t memory_mib;
    unsigned over; /* how often it ended */
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
    uint64_t version;
    uint32_t max, warm;
    uint32_t limit; /* of the version on all nodes; 0: none */
    uint64_t reserved_bytes;
    bool bad;
};

struct node_grants { /* of a function, by its number */
    struct node_grant *items;
    size_t n;
    uint64_t revision; /* of the state that they are from */
    bool named;        /* in the snapshot that is under way */
    bool apart;        /* it was cut off, and may run more (check_scale.c) */
};

/* What the checks know that a node ran, to be compared with what it and the controller
 * count. */
struct sim_usage {
    uint64_t version;
    size_t next; /* of the same function: its place in the list, from 1; 0: none */
    uint64_t calls, gb_ms, cpu_us;
    uint64_t told; /* calls, in the last report that the controller has had */
    bool said;     /* in the report that is being made */
};

struct sim_usages {
    struct sim_usage *items;
    size_t n, capacity;
    size_t *first; /* by function */
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
    struct sim_package *packages;
    size_t n_packages, packages_capacity;
    struct node_grants *grants; /* by function */
    size_t n_grants;            /* of all */
    struct sim_usages usages;   /* of this boot */
    bool open[SIM_NODES_MAX];   /* by index: the controller's last word says so */
    bool shut[SIM_NODES_MAX];   /* by index: it was told that they take no new calls */

    /* the session, and the connection under it */
    bool joined;
    unsigned joined_boot;
    uint64_t session;    /* its life */
    uint64_t connection; /* its life: frames go with it */
    bool connected;
    struct session ours, hubs; /* the agent's end, and the controller's */
    uint64_t cut_until_us;
    uint64_t down_us, up_us; /* last arrival each way: order is kept */
    bool wants_snapshot;
    bool informed;     /* a snapshot has ended in this session */
    bool whole;        /* the next report says all, as in a new session */
    bool reported;     /* the controller has had a report in this session */
    uint64_t heard_us; /* from a controller, last */
    bool lapsed;       /* too long ago: it has no grants */
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

/* node_instance.c */
void sim_instance_start(void *ctx, struct instance *in);
void sim_instance_stop(void *ctx, struct instance *in, enum stop_reason why);
int sim_instance_freeze(void *ctx, struct instance *in);
int sim_instance_thaw(void *ctx, struct instance *in);
void sim_package_want(void *ctx, const struct package_ref *ref);
void sim_package_drop(void *ctx, const char *digest);

/* node_grants.c */
unsigned sim_function_number(const char *name);
const struct node_grant *sim_grant_of(const struct sim_node *n, const char *function,
                                      uint64_t version);
void sim_grants_learn(struct sim_node *n, const struct function_state *f);
void sim_grants_snapshot_begins(struct sim_node *n);
void sim_grants_snapshot_ends(struct sim_node *n);
void sim_grants_forget(struct sim_node *n);

/* node_link.c */
void sim_node_dial(struct sim_node *n);
void sim_node_lost(struct sim_node *n);
void sim_node_rejoin(struct sim_node *n); /* the session cannot go on */
void sim_node_heard(struct sim_node *n);  /* from a controller: its grants hold */
bool sim_node_speaks(const struct sim_node *n);

/* node_messages.c: both ways, as protobuf. */
void sim_node_send_report(struct sim_node *n);
void sim_node_send_leaving(struct sim_node *n);
void sim_node_send_version_report(struct sim_node *n, const struct version_report *r);
void sim_message_down(struct sim_node *n, const struct session_body *body);
void sim_message_up(struct sim_node *n, const struct session_body *body);
void sim_message_snapshot(struct sim_node *n);

/* node_wire.c */
void sim_wire_send(struct sim_node *n, bool down, const char *key,
                   struct session_body *body);
void sim_wire_connect(struct sim_node *n);    /* a session begins or is resumed */
void sim_wire_disconnect(struct sim_node *n); /* what is under way is lost */

/* usage.c */
void sim_usage_ran(struct sim_node *n, const struct sim_call *sc);
void sim_usage_took(const struct sim_instance *si, uint64_t cpu_us);
/* A report is made: what the node says of each version is what it ran. */
void sim_usage_reports(struct sim_node *n);
void sim_usage_says(struct sim_node *n, const struct version_load *load);
void sim_usage_reported(struct sim_node *n); /* all that there is was said */
/* The controller has it. */
void sim_usage_counted(struct sim_node *n, const struct node_report *r);
void sim_usage_node_died(struct sim_node *n);
void sim_usage_controller_began(struct sim *s);
bool sim_usage_check_rest(struct sim *s);

/* check_scale.c: the instance starts, or its node has been informed. */
bool sim_scale_check(const struct sim_node *n, const struct sim_instance *si);
unsigned sim_scale_on(const struct sim_node *n, const struct sim_instance *like);
/* The controller does without what the node runs. */
void sim_scale_apart(struct sim_node *n);
bool sim_scale_is_placing(const struct sim *s);
void sim_scale_placing_begins(struct sim *s);      /* as if the others were not there */
bool sim_is_bad(const struct function_spec *spec); /* its instances cannot start */
void sim_node_broken(struct sim_node *n);          /* it was said */

#endif /* TESTS_SIM_NODE_H */
