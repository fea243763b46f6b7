/* Least key first: what is due next. A binary heap of embedded nodes that know their
 * place, so that any of them can be moved or taken out in O(log n). Setting a key cannot
 * fail: room is reserved when the owner of a node is made. */
#ifndef AGENT_CORE_DUE_HEAP_H
#define AGENT_CORE_DUE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct due_heap_node {
    size_t place; /* private: index + 1; 0: in no heap */
};

struct due_heap_entry { /* keys beside each other: a sift touches few cache lines */
    uint64_t key;
    struct due_heap_node *node;
};

struct due_heap {
    struct due_heap_entry *entries;
    size_t n;
    size_t capacity;
};

int due_heap_reserve(struct due_heap *h, size_t n); /* room for n in all, or -ENOMEM */
void due_heap_free(struct due_heap *h);

/* Puts the node in, or moves it. */
void due_heap_set(struct due_heap *h, struct due_heap_node *node, uint64_t key);
void due_heap_remove(struct due_heap *h, struct due_heap_node *node); /* if it is in */
struct due_heap_node *due_heap_top(const struct due_heap *h);         /* or NULL */

static inline bool due_heap_contains(const struct due_heap_node *node)
{
    return node->place != 0;
}

static inline uint64_t due_heap_key(const struct due_heap *h,
                                    const struct due_heap_node *node)
{
    return h->entries[node->place - 1].key;
}

static inline uint64_t due_heap_top_key(const struct due_heap *h) /* UINT64_MAX: empty */
{
    return h->n > 0 ? h->entries[0].key : UINT64_MAX;
}

/* Every node knows its place and none is before its parent. O(n): for tests. */
bool due_heap_check(const struct due_heap *h);

#endif /* AGENT_CORE_DUE_HEAP_H */
