/* YAML as a tree whose nodes know their line: what config.c reads keys from. Private to
 * common/config*.c; limits and refusals are those that config.h states. */
#ifndef COMMON_CONFIG_TREE_H
#define COMMON_CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

#define CONFIG_BYTES_MAX (1024 * 1024)
#define CONFIG_DEPTH_MAX 16
#define CONFIG_NODES_MAX 10000 /* keeps the search for repeated keys cheap */

struct config_node {
    enum { CONFIG_NODE_SCALAR, CONFIG_NODE_MAP, CONFIG_NODE_LIST } type;
    size_t line;               /* from 1 */
    char *key;                 /* of an entry of a map, else NULL */
    size_t key_line;           /* of the key */
    char *text;                /* scalar: NUL-terminated, no NUL inside */
    bool quoted;               /* scalar: a string whatever it looks like */
    struct config_node *items; /* map, list */
    size_t n_items;
};

/* The one document in text. An empty one is an empty map. The tree is the caller's also
 * after a failure. -EINVAL, -E2BIG or -ENOMEM. */
int config_tree_parse(const char *name, const char *text, size_t len,
                      struct config_node *ret, struct error *err);
void config_tree_free(struct config_node *node);

/* An unquoted scalar that stands for nothing: empty, ~, null. */
bool config_node_is_null(const struct config_node *node);

/* Text from outside, made fit for one line of an error message. */
#define CONFIG_EXCERPT_SIZE 84
const char *config_excerpt(const char *text, char ret[CONFIG_EXCERPT_SIZE]);

/* Edits (insert, remove, replace, swap of neighbours) from a to b; at least `limit` is
 * said as `limit`. Strings longer than 64 bytes are taken as unlike. */
unsigned config_edit_distance(const char *a, const char *b, unsigned limit);

#endif /* COMMON_CONFIG_TREE_H */
