/* Where a placement looks: of all nodes, those that the constraints' labels leave. Part
 * of placement. */
#ifndef CONTROLLER_CORE_PLACEMENT_SOURCE_H
#define CONTROLLER_CORE_PLACEMENT_SOURCE_H

#include "controller/core/placement.h"

/* Disjoint sets of nodes, outside of which none can fit. */
struct placement_source {
    struct {
        struct placement_node *const *items;
        size_t n;
    } parts[SPEC_CONSTRAINTS_MAX];
    size_t n_parts;
    size_t n; /* nodes in all of them */
};

struct placement_source placement_source(const struct placement_nodes *ns,
                                         const struct placement_request *r);
struct placement_node *placement_source_at(const struct placement_source *s,
                                           size_t i); /* i < s->n */

#endif /* CONTROLLER_CORE_PLACEMENT_SOURCE_H */
