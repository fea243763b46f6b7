/* Placement: which nodes get which grants of one version. Pure, and a seam: the scheduler
 * knows only this interface, so that a policy can be replaced as a whole.
 *
 *   placement.c        candidates, choice, shares
 *   placement_nodes.c  the usable nodes; which of them a request has to look at
 *   placement_fit.c    which nodes may have it, and how many instances each
 *   placement_score.c  which of them are better
 *   node_sets.c        nodes by label, so that few have to be looked at
 *   placement_why.c    what was counted, for people
 *
 * Two kinds of promise. `max` is soft: so many may start if there is room then; the sum
 * over all versions may be far more than a node holds. `warm` and `reserved` are firm:
 * memory and CPU are booked, and the sum never passes the node's capacity. A version
 * stays where it was as long as those nodes fit, so that one node's loss moves nothing
 * else. docs/placement.md has the reasons. */
#ifndef CONTROLLER_CORE_PLACEMENT_H
#define CONTROLLER_CORE_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/constraint.h"
#include "common/spec.h"
#include "controller/core/node_sets.h"
#include "controller/core/placement_why.h"

#define PLACEMENT_NOWHERE SIZE_MAX
#define PLACEMENT_ZONE    "zone" /* the label that names a node's failure domain */

/* A node, as far as placement is concerned; embedded in the owner's. */
struct placement_node {
    uint64_t memory_bytes; /* capacity */
    uint64_t firm_bytes;   /* of it, promised to warm and reserved instances */
    uint64_t cpu_millis;   /* capacity with the overcommit; 0: CPU does not count */
    uint64_t firm_millis;
    uint64_t used_bytes; /* of instances that run, as the node told */
    uint32_t n_grants;
    bool closed;               /* keeps what it has, gets nothing new */
    const char *const *labels; /* the owner's; in placement_nodes only
                                  placement_nodes_relabel() changes them */

    /* placement's own */
    size_t index; /* in placement_nodes; PLACEMENT_NOWHERE while not usable */
    uint64_t mark;
    struct node_set *zone; /* or NULL */
    struct node_place *places;
    size_t n_places;
};

struct placement_nodes {
    struct placement_node **items; /* usable ones, in no order */
    size_t n, capacity;
    struct node_sets by_label;
    uint64_t round; /* of the last placement: nodes that it saw bear this mark */
};

struct placement_grant {
    struct placement_node *node;
    uint32_t max;
    uint32_t warm;
    uint32_t reserved;

    /* In a request: of the node's firm_*, what is booked for this version and for another
     * one that it shares a reservation with (max 0: only for that); and what the other
     * one keeps warm, which it must leave. */
    uint64_t own_bytes, own_millis;
    uint64_t other_warm_bytes, other_warm_millis;

    struct placement_pick_why why; /* in a result */
};

struct placement_request {
    uint64_t instance_bytes;  /* > 0 */
    uint32_t instance_millis; /* 0: CPU does not count */
    uint32_t max;             /* in the cluster; 0: as many as fit */
    uint32_t warm;            /* kept ready in the cluster; <= max unless max is 0 */
    uint32_t reserved;        /* likewise; memory for so many is booked */
    uint32_t homes_max; /* > 0: nodes, unless more are needed for max or the firm ones */
    enum spec_placement policy; /* BINPACK or SPREAD */
    const struct constraint *constraints;
    size_t n_constraints;
    const struct placement_grant *previous;
    size_t n_previous;
    struct placement_node *const *near; /* the package is there; usable or not */
    size_t n_near;
    struct placement_node *const *avoid;
    size_t n_avoid;
    uint64_t seed; /* which nodes are looked at, in a large cluster */
};

struct placement_result {
    struct placement_grant *grants; /* a node once; warm and reserved <= max > 0 */
    size_t n;
    uint64_t max_missing;  /* 0 if request.max is 0 or reached */
    uint64_t warm_missing; /* 0 if request.warm is reached */
    uint64_t reserved_missing;
    struct placement_why why;
};

int placement_nodes_add(struct placement_nodes *ns,
                        struct placement_node *n); /* -ENOMEM */
void placement_nodes_remove(struct placement_nodes *ns, struct placement_node *n);
/* Also for a node that is not usable. -ENOMEM: it has its old ones. */
int placement_nodes_relabel(struct placement_nodes *ns, struct placement_node *n,
                            const char *const *labels);
void placement_nodes_free(struct placement_nodes *ns);

/* Books nothing: the owner does for what it takes over. Result: sum of max is request.max
 * less max_missing; a node's firm ones fit the memory and CPU that others left. 0 or
 * -ENOMEM. */
int placement_place(struct placement_nodes *ns, const struct placement_request *r,
                    struct placement_result *ret);
void placement_result_free(struct placement_result *r);

/* --- parts of a placement, also for whoever explains one -------------------------------
 */

/* How many instances a node holds: in all, and beside what is promised to others. */
struct placement_caps {
    uint32_t max, firm, warm; /* warm <= firm <= max */
};

/* Whether it may have the version. own: what it has of it, or NULL. *ret_constraint: with
 * PLACEMENT_LABELS, the first that does not hold. A node that fits may have caps.firm 0:
 * placement_full() says why. */
enum placement_filter placement_fit(const struct placement_node *n,
                                    const struct placement_request *r,
                                    const struct placement_grant *own,
                                    struct placement_caps *ret, size_t *ret_constraint);
/* FITS, MEMORY_FULL or CPU_FULL: whether one firm instance would find room. */
enum placement_filter placement_full(const struct placement_node *n,
                                     const struct placement_request *r,
                                     const struct placement_grant *own);

/* Fills in what the score is made of. is_near: the package is there. */
void placement_score(struct placement_pick_why *why, const struct placement_node *n,
                     const struct placement_request *r, uint64_t others_bytes,
                     const struct placement_caps *caps, bool is_near);

#endif /* CONTROLLER_CORE_PLACEMENT_H */
