#include "agent/core/due_heap.h"

#include <errno.h>
#include <stdlib.h>

#include "common/check.h"

static void put(struct due_heap *h, size_t at, struct due_heap_entry e)
{
    h->entries[at] = e;
    e.node->place = at + 1;
}

static void sift_up(struct due_heap *h, size_t at, struct due_heap_entry e)
{
    while (at > 0) {
        size_t parent = (at - 1) / 2;

        if (h->entries[parent].key <= e.key) {
            break;
        }
        put(h, at, h->entries[parent]);
        at = parent;
    }
    put(h, at, e);
}

static void sift_down(struct due_heap *h, size_t at, struct due_heap_entry e)
{
    for (;;) {
        size_t child = at * 2 + 1;

        if (child >= h->n) {
            break;
        }
        if (child + 1 < h->n && h->entries[child + 1].key < h->entries[child].key) {
            child++;
        }
        if (e.key <= h->entries[child].key) {
            break;
        }
        put(h, at, h->entries[child]);
        at = child;
    }
    put(h, at, e);
}

static void place(struct due_heap *h, size_t at, struct due_heap_entry e)
{
    if (at > 0 && e.key < h->entries[(at - 1) / 2].key) {
        sift_up(h, at, e);
    } else {
        sift_down(h, at, e);
    }
}

int due_heap_reserve(struct due_heap *h, size_t n)
{
    struct due_heap_entry *grown;
    size_t capacity = h->capacity > 0 ? h->capacity : 16;

    if (n <= h->capacity) {
        return 0;
    }
    while (capacity < n) {
        capacity *= 2;
    }
    grown = reallocarray(h->entries, capacity, sizeof(*grown));
    if (grown == NULL) {
        return -ENOMEM;
    }
    h->entries = grown;
    h->capacity = capacity;
    return 0;
}

void due_heap_free(struct due_heap *h)
{
    free(h->entries);
    *h = (struct due_heap){0};
}

void due_heap_set(struct due_heap *h, struct due_heap_node *node, uint64_t key)
{
    struct due_heap_entry e = {.key = key, .node = node};

    if (node->place == 0) {
        CHECK(h->n < h->capacity);
        node->place = ++h->n;
    }
    CHECK(node->place <= h->n);
    place(h, node->place - 1, e);
}

void due_heap_remove(struct due_heap *h, struct due_heap_node *node)
{
    size_t at;

    if (node->place == 0) {
        return;
    }
    at = node->place - 1;
    CHECK(at < h->n && h->entries[at].node == node);
    node->place = 0;
    h->n--;
    if (at < h->n) {
        place(h, at, h->entries[h->n]);
    }
}

struct due_heap_node *due_heap_top(const struct due_heap *h)
{
    return h->n > 0 ? h->entries[0].node : NULL;
}

bool due_heap_check(const struct due_heap *h)
{
    for (size_t i = 0; i < h->n; i++) {
        if (h->entries[i].node->place != i + 1 ||
            (i > 0 && h->entries[i].key < h->entries[(i - 1) / 2].key)) {
            return false;
        }
    }
    return h->n <= h->capacity;
}
