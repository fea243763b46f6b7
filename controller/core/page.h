/* Page: of all that is offered, the first ones in the order of their names that come
 * after a given name; for lists that are never very long (views_list.c has the others).
 * What is offered may come in any order, and nothing is kept from one
 * page to the next: what comes or goes in between moves nothing else.
 *
 * Of N offered, a page of L takes O(N log L) of time and O(L) of memory. */
#ifndef CONTROLLER_CORE_PAGE_H
#define CONTROLLER_CORE_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/core/controller_core.h"

struct page_entry {
    const char *namespace_; /* "" where names are in none */
    const char *name;
    const void *item;
};

struct page {
    const struct core_list *list;
    struct page_entry *entries; /* a heap, the last name on top; sorted by page_show() */
    size_t n, capacity;
    bool more;   /* some were left out that come after these */
    bool failed; /* out of memory */
};

void page_init(struct page *p, const struct core_list *list);
/* Borrows all until page_show(). */
void page_offer(struct page *p, const char *namespace_, const char *name,
                const void *item);
/* Hands views of the page's items to list->each, frees the page and returns what
 * controller_core_functions() does. */
int page_show(struct page *p, const struct controller_core *c,
              json_t *(*view)(const struct controller_core *c, const void *item));

#endif /* CONTROLLER_CORE_PAGE_H */
