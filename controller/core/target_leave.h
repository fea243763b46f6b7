/* Grants that leave: their node drains, its agent ends, or it satisfies the constraints
 * no more. The new place comes first: what runs there goes on, within the limit, until as
 * many are ready elsewhere as the load needs, or the time is over. Part of targets. */
#ifndef CONTROLLER_CORE_TARGET_LEAVE_H
#define CONTROLLER_CORE_TARGET_LEAVE_H

#include "controller/core/core_private.h"

/* Drops those that can go, and cuts the others down to what runs, or so far that the rest
 * of the limit is enough for one instance elsewhere. Returns how many instances stay. */
uint32_t target_leave(struct controller_core *c, struct core_target *t);
/* Instances that must be ready elsewhere before they go; 0: none leave. */
uint32_t target_replacing(const struct core_target *t);

#endif /* CONTROLLER_CORE_TARGET_LEAVE_H */
