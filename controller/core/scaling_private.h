/* What the parts of scaling share. */
#ifndef CONTROLLER_CORE_SCALING_PRIVATE_H
#define CONTROLLER_CORE_SCALING_PRIVATE_H

#include "controller/core/core_private.h"

/* It gets an autoscaler. 0 or -ENOMEM: the next report tries again. n: instances that it
 * begins with. */
int scaling_wake(struct core_target *t, uint32_t n);
/* The sums have changed. */
void scaling_look(struct core_target *t);
void scaling_decide(struct core_target *t);

#endif /* CONTROLLER_CORE_SCALING_PRIVATE_H */
