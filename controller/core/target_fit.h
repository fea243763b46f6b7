/* What a target asks placement for, and why it got no place. Part of targets. */
#ifndef CONTROLLER_CORE_TARGET_FIT_H
#define CONTROLLER_CORE_TARGET_FIT_H

#include "controller/core/core_private.h"

/* All of a request but the counts and the lists. */
void target_request(const struct controller_core *c, const struct core_target *t,
                    struct placement_request *ret);

/* Whether a node could have it beside what is there; it has no grant there. With
 * PLACEMENT_LABELS *ret_constraint is the first that does not hold. */
enum placement_filter target_ask_node(const struct core_node *n,
                                      const struct placement_request *r,
                                      size_t *ret_constraint);

/* Whether there is a node, be it full, cordoned, draining or lost, that could have it one
 * day; of one with a reservation, nodes for all of that. */
bool target_may_fit(const struct controller_core *c, const struct core_target *t,
                    const struct placement_request *r);

/* Why it has no place: into t->text. true: there is a node that has no room only because
 * of what is kept there for others. */
bool target_explain(const struct controller_core *c, struct core_target *t,
                    const struct placement_request *r);

#endif /* CONTROLLER_CORE_TARGET_FIT_H */
