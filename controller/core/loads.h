/* Loads: what nodes last said of each version that they have. */
#ifndef CONTROLLER_CORE_LOADS_H
#define CONTROLLER_CORE_LOADS_H

#include "controller/core/core_private.h"

void loads_report(struct controller_core *c, struct core_node *n,
                  const struct node_report *r);
/* The node is lost: nothing runs there. The counters stay, as the same life may come
 * back.
 */
void loads_lost(struct controller_core *c, struct core_node *n);
/* Its life is over. What was counted stays counted. */
void loads_drop(struct controller_core *c, struct core_node *n);
/* The function is gone: so is what nodes said of it. */
void loads_forget(struct controller_core *c, struct core_function *f);
void loads_free(struct controller_core *c, struct core_node *n); /* the core ends */

#endif /* CONTROLLER_CORE_LOADS_H */
