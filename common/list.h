/* Intrusive doubly linked ring. A list head is a node; an empty list, and a node on
 * no list, is linked to itself, so list_remove() is safe to call twice. */
#ifndef COMMON_LIST_H
#define COMMON_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_push_front(struct list *head, struct list *node)
{
    node->next = head->next;
    node->prev = head;
    head->next->prev = node;
    head->next = node;
}

static inline void list_push_back(struct list *head, struct list *node)
{
    list_push_front(head->prev, node);
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#define LIST_FOREACH(it, head) \
    for (struct list *it = (head)->next; it != (head); it = it->next)

/* Also safe when the body removes or frees `it` (but not its successor). */
#define LIST_FOREACH_SAFE(it, head)                                           \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head); \
         it = it##_next, it##_next = it->next)

#endif /* COMMON_LIST_H */
