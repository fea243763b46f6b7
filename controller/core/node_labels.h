/* A node's labels: those that its agent tells, and over them what an operator said. */
#ifndef CONTROLLER_CORE_NODE_LABELS_H
#define CONTROLLER_CORE_NODE_LABELS_H

#include "controller/core/core_private.h"

/* Takes over what agent and operator say now; placement knows it then. 1: they changed,
 * 0: they did not, -ENOMEM: the node has its old ones. */
int node_labels_update(struct controller_core *c, struct core_node *n);
void node_labels_free(char **labels);
/* At most CORE_LABELS_MAX, cleaned. NULL: out of memory. */
char **node_labels_copy(const char *const *labels);

#endif /* CONTROLLER_CORE_NODE_LABELS_H */
