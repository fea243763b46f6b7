/* Node orders: what an operator said about a node. Kept in the store, so that it outlives
 * both the controller and the node's sessions; it may be there before the node is. */
#ifndef CONTROLLER_CORE_NODE_ORDER_H
#define CONTROLLER_CORE_NODE_ORDER_H

#include "controller/core/core_private.h"

#define NODE_ORDER_LABELS_MAX 64
#define NODE_ORDER_LABEL_MAX  127 /* bytes of a key, and of a value */

/*   READY ◀──uncordon──▶ CORDONED: what is here stays, nothing new comes
 *     ▲                     │
 *     └──────uncordon──── DRAINING: grants go elsewhere, calls in flight end */
enum node_order_state { NODE_ORDER_READY, NODE_ORDER_CORDONED, NODE_ORDER_DRAINING };

struct node_order {
    struct keymap_entry entry; /* c->node_orders */
    char name[SPEC_NODE_MAX + 1];
    enum node_order_state state;
    json_t *labels; /* object of strings; they go over those that the agent tells */
    int64_t mod_revision;
};

const char *node_order_state_name(enum node_order_state s); /* "cordoned" */
int node_order_state_parse(const char *name);               /* or -EINVAL */

int node_orders_init(struct controller_core *c); /* -ENOMEM */
void node_orders_free(struct controller_core *c);

/* NULL: nothing was said of it. */
struct node_order *node_order_find(const struct controller_core *c, const char *name);
/* From the store; value NULL: deleted. -EINVAL: it cannot be read, and counts as not
 * there. What it means for the node is done at once. */
int node_order_apply(struct controller_core *c, const char *name,
                     const struct core_kv *kv);
/* Orders whose key is not among those that are kept go. */
void node_orders_keep(struct controller_core *c,
                      bool (*is_there)(const void *data, const char *key),
                      const void *data);

/* The order as it would be with the changes; state -1 keeps it, labels (an object; null
 * removes) are merged. NULL: out of memory. */
json_t *node_order_changed(const struct node_order *o, int state, const json_t *labels);
/* Whether the order has just these contents. */
bool node_order_is(const struct node_order *o, const json_t *value);

/* Rules for what an operator may say. -EINVAL, and the field and a text for people. */
int node_order_check_labels(const json_t *labels, struct error *err);

#endif /* CONTROLLER_CORE_NODE_ORDER_H */
