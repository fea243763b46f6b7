/* How many instances a version is to have: the count changes here, which is remembered
 * with its reason and told in the journal. */
#ifndef CONTROLLER_CORE_SCALING_DESIRED_H
#define CONTROLLER_CORE_SCALING_DESIRED_H

#include "controller/core/core_private.h"

/* d: the decision, or NULL. */
void scaling_set_desired(struct core_target *t, uint32_t to, enum scaling_reason reason,
                         const struct autoscaler_decision *d);
/* Remembers a reason for what its count is to be. */
void scaling_note(struct core_target *t, uint32_t to, enum scaling_reason reason,
                  const struct autoscaler_decision *d);

#endif /* CONTROLLER_CORE_SCALING_DESIRED_H */
