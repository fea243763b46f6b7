/* Node sets: for each label, the nodes that have it. A version that must be on disk=ssd
 * is looked for among those nodes only, however large the cluster is. */
#ifndef CONTROLLER_CORE_NODE_SETS_H
#define CONTROLLER_CORE_NODE_SETS_H

#include <stddef.h>
#include <stdint.h>

#include "controller/core/keymap.h"

struct placement_node;

struct node_set {
    struct keymap_entry entry;
    struct placement_node **items; /* in no order; never empty */
    size_t n, capacity;
    uint32_t chosen; /* placement's scratch: 0 between two placements */
    char label[];    /* "key=value" */
};

/* Where a node stands in the set of one of its labels. */
struct node_place {
    struct node_set *set;
    size_t at;
};

struct node_sets {
    struct keymap by_label; /* by_label.buckets NULL: nothing was added yet */
    uint64_t seed;          /* against chosen labels; 0 will do in tests */
};

void node_sets_free(struct node_sets *s); /* all nodes must be out */

/* Puts the node into the sets of these labels (NULL-terminated, or NULL; of two with one
 * key the first counts). *ret_places: its places, the caller's. 0 or -ENOMEM: nothing is
 * changed. The node must keep what it got in places/n_places, where the sets look when
 * another node moves. */
int node_sets_add(struct node_sets *s, struct placement_node *n,
                  const char *const *labels, struct node_place **ret_places,
                  size_t *ret_n);
/* Takes it out of these places, and frees them. */
void node_sets_remove(struct node_sets *s, struct node_place *places, size_t n_places);

struct node_set *node_sets_find(const struct node_sets *s,
                                const char *label); /* or NULL */
/* The same with the value apart, of value_len bytes. */
struct node_set *node_sets_find_value(const struct node_sets *s, const char *key,
                                      size_t key_len, const char *value,
                                      size_t value_len);

#endif /* CONTROLLER_CORE_NODE_SETS_H */
