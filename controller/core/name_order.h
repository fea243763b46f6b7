/* Name order: names in their order, as a treap (a search tree that is a heap by random
 * priorities, so that it is balanced whatever comes). Intrusive: nodes live in their
 * owners, and adding never fails. */
#ifndef CONTROLLER_CORE_NAME_ORDER_H
#define CONTROLLER_CORE_NAME_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct name_order_node {
    struct name_order_node *left, *right;
    const char *name; /* the owner's */
    uint64_t priority;
};

struct name_order {
    struct name_order_node *root; /* NULL: there is none */
};

/* No other with this name is in it. priority: random, the same names with others' choice
 * of them must not make it deep: keymap_hash_str() with a secret seed. O(log n). */
void name_order_add(struct name_order *o, struct name_order_node *n, const char *name,
                    uint64_t priority);
void name_order_remove(struct name_order *o, struct name_order_node *n); /* is in it */

/* Those after this name (NULL: all; inclusive: also that one), in order, until each()
 * returns false. O(log n) and what is visited. each() changes nothing in it. */
void name_order_walk(const struct name_order *o, const char *after, bool inclusive,
                     bool (*each)(void *data, struct name_order_node *n), void *data);

#endif /* CONTROLLER_CORE_NAME_ORDER_H */
