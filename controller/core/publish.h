/* Publish: what nodes are told of a function, and only when it differs from what they
 * were told last. */
#ifndef CONTROLLER_CORE_PUBLISH_H
#define CONTROLLER_CORE_PUBLISH_H

#include "controller/core/core_private.h"

/* Tells every connected node if there is something new for it: how many are kept warm
 * only those that keep them. 0, or -ENOMEM: try again. */
int publish(struct controller_core *c, struct core_function *f);
void publish_deleted(struct controller_core *c, struct core_function *f);
/* Tells one node what was told last. */
int publish_to(struct controller_core *c, struct core_function *f, const char *node);

#endif /* CONTROLLER_CORE_PUBLISH_H */
