/* Nodes: the agents that are there or were until lately, and what they report. */
#ifndef CONTROLLER_CORE_NODES_H
#define CONTROLLER_CORE_NODES_H

#include "controller/core/core_private.h"

int nodes_init(struct controller_core *c); /* -ENOMEM */
void nodes_free(struct controller_core *c);

struct core_node *nodes_find(const struct controller_core *c, const char *name);
void nodes_join(struct controller_core *c, const struct node_hello *h);
void nodes_leave(struct controller_core *c, const char *name, const char *reason);
/* Its agent ends, and goes on until others have its grants. */
void nodes_leaving(struct controller_core *c, const char *name);
void nodes_report(struct controller_core *c, const char *name,
                  const struct node_report *r);
/* The epoch is taken: what nodes are told of each other grows from here. */
void nodes_renew(struct controller_core *c);
/* What an operator said about the node has changed (node_order.h). */
void nodes_ordered(struct controller_core *c, const char *name);
/* All nodes, to one node. */
void nodes_send_all(struct controller_core *c, const char *to);
void nodes_invariant(const struct controller_core *c);

#endif /* CONTROLLER_CORE_NODES_H */
