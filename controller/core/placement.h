/* Placement: which nodes get which grants of one version. Pure, and a seam: the scheduler
 * knows only this interface, so that a policy can be replaced as a whole.
 *
 * The policy here: nodes where an instance fits, least loaded first; a version stays
 * where it was as long as those nodes are usable, so that one node's loss moves nothing
 * else. */
#ifndef CONTROLLER_CORE_PLACEMENT_H
#define CONTROLLER_CORE_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLACEMENT_NOWHERE SIZE_MAX

/* A node, as far as placement is concerned; embedded in the owner's. */
struct placement_node {
    uint64_t memory_bytes; /* capacity */
    uint64_t warm_bytes;   /* of it, promised to instances that are kept ready */
    uint32_t n_grants;
    bool closed;  /* keeps what it has, gets nothing new */
    size_t index; /* in placement_nodes; PLACEMENT_NOWHERE while not usable. Owned by
                     placement_nodes_add() and _remove() */
};

struct placement_nodes {
    struct placement_node **items; /* usable ones, in no order */
    size_t n, capacity;
};

struct placement_grant {
    struct placement_node *node;
    uint32_t max;
    uint32_t warm;
};

struct placement_request {
    uint64_t instance_bytes; /* > 0 */
    uint32_t max;            /* in the cluster; 0: as many as fit */
    uint32_t warm;           /* kept ready in the cluster; <= max unless max is 0 */
    uint32_t homes_max;      /* > 0: nodes, unless more are needed to reach max or warm */
    const struct placement_grant *previous; /* counted in their nodes' warm_bytes */
    size_t n_previous;
    struct placement_node *const *avoid;
    size_t n_avoid;
    uint64_t seed; /* which nodes are looked at, in a large cluster */
};

struct placement_result {
    struct placement_grant *grants; /* a node once; max > 0, warm <= max */
    size_t n;
    uint64_t max_missing;  /* 0 if request.max is 0 or reached */
    uint64_t warm_missing; /* 0 if request.warm is reached */
};

int placement_nodes_add(struct placement_nodes *ns, struct placement_node *n);
void placement_nodes_remove(struct placement_nodes *ns, struct placement_node *n);
void placement_nodes_free(struct placement_nodes *ns);

/* Changes no node: the owner books what it takes over. Result: sum of max is
 * request.max less max_missing; a node's warm fits the memory that others left. 0 or
 * -ENOMEM. */
int placement_place(const struct placement_nodes *ns, const struct placement_request *r,
                    struct placement_result *ret);
void placement_result_free(struct placement_result *r);

#endif /* CONTROLLER_CORE_PLACEMENT_H */
