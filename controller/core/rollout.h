/* Rollout: watches the counters of a version that is being rolled out, and has it go on
 * to the next step or back. The steps are in the store (rollouts.h): another controller
 * goes on where this one stopped; it watches the step anew. */
#ifndef CONTROLLER_CORE_ROLLOUT_H
#define CONTROLLER_CORE_ROLLOUT_H

#include "controller/core/core_private.h"

void rollout_init(struct core_function *f);
/* Decides, if there is something to decide. When to look again; UINT64_MAX: only when
 * something happens. */
uint64_t rollout_look(struct controller_core *c, struct core_function *f);
/* The attempt to write the step is over; the record shows whether it worked. */
void rollout_moved(struct controller_core *c, struct core_function *f, bool done);
/* Share of the calls that go to this version while it is rolled out: 0 … ALIAS_WHOLE; 0
 * if it is not. */
uint32_t rollout_share(const struct core_function *f, uint64_t version);

#endif /* CONTROLLER_CORE_ROLLOUT_H */
