/* Near: on which nodes a package was wanted last, and so probably is. */
#ifndef CONTROLLER_CORE_NEAR_H
#define CONTROLLER_CORE_NEAR_H

#include "controller/core/core_private.h"

void near_init(struct core_package *p);
void near_free(struct core_package *p); /* the package goes */
void near_note(struct core_package *p, struct core_node *n);
void near_forget(struct core_node *n); /* the node goes */
/* Nodes that have it, as placement wants them. */
size_t near_nodes(const struct core_package *p,
                  struct placement_node *ret[CORE_NEAR_MAX]);

#endif /* CONTROLLER_CORE_NEAR_H */
