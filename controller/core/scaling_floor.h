/* What a version is to have whatever its load is: within its limit, at least what its
 * settings, its part of a rollout and its names keep ready. */
#ifndef CONTROLLER_CORE_SCALING_FLOOR_H
#define CONTROLLER_CORE_SCALING_FLOOR_H

#include "controller/core/core_private.h"

/* A candidate takes none yet: what it has is there to prove that it works. Nor does what
 * served before, though it may be called back. */
bool scaling_takes_calls(const struct core_target *t);
uint32_t scaling_cap(const struct core_target *t, uint32_t n);
/* What it has at rest. */
uint32_t scaling_floor(const struct core_target *t);
/* The same for its autoscaler. */
uint32_t scaling_least(const struct core_target *t);

#endif /* CONTROLLER_CORE_SCALING_FLOOR_H */
