#include "controller/core/page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare(const struct page_entry *a, const struct page_entry *b)
{
    int by_namespace = strcmp(a->namespace_, b->namespace_);

    return by_namespace != 0 ? by_namespace : strcmp(a->name, b->name);
}

static int by_name(const void *left, const void *right)
{
    return compare(left, right);
}

static void swap(struct page_entry *a, struct page_entry *b)
{
    struct page_entry was = *a;

    *a = *b;
    *b = was;
}

static void sift_up(struct page *p, size_t at)
{
    while (at > 0 && compare(&p->entries[at], &p->entries[(at - 1) / 2]) > 0) {
        swap(&p->entries[at], &p->entries[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static void sift_down(struct page *p)
{
    size_t at = 0, child;

    while ((child = 2 * at + 1) < p->n) {
        if (child + 1 < p->n && compare(&p->entries[child + 1], &p->entries[child]) > 0) {
            child++;
        }
        if (compare(&p->entries[child], &p->entries[at]) <= 0) {
            return;
        }
        swap(&p->entries[child], &p->entries[at]);
        at = child;
    }
}

void page_init(struct page *p, const struct core_list *list)
{
    *p = (struct page){.list = list};
}

static bool comes_after(const struct page_entry *e, const struct core_list *list)
{
    const struct page_entry after = {
        list->after_namespace != NULL ? list->after_namespace : "", list->after, NULL};

    return list->after == NULL || compare(e, &after) > 0;
}

static void add(struct page *p, const struct page_entry *e)
{
    size_t capacity = p->capacity > 0 ? 2 * p->capacity : 16;

    if (p->n == p->capacity) {
        struct page_entry *grown =
            reallocarray(p->entries, capacity, sizeof(*p->entries));

        if (grown == NULL) {
            p->failed = true;
            return;
        }
        p->entries = grown;
        p->capacity = capacity;
    }
    p->entries[p->n++] = *e;
    sift_up(p, p->n - 1);
}

void page_offer(struct page *p, const char *namespace_, const char *name,
                const void *item)
{
    struct page_entry e = {namespace_, name, item};

    if (p->failed || !comes_after(&e, p->list)) {
        return;
    }
    if (p->n < p->list->limit) {
        add(p, &e);
        return;
    }
    p->more = true;
    if (p->n > 0 && compare(&e, &p->entries[0]) < 0) {
        p->entries[0] = e;
        sift_down(p);
    }
}

int page_show(struct page *p, const struct controller_core *c,
              json_t *(*view)(const struct controller_core *c, const void *item))
{
    int rc = p->failed ? -ENOMEM : p->more;

    if (p->n > 0) {
        qsort(p->entries, p->n, sizeof(p->entries[0]), by_name);
    }
    for (size_t i = 0; rc >= 0 && i < p->n; i++) {
        const struct page_entry *e = &p->entries[i];
        json_t *item = view(c, e->item);

        if (item == NULL) {
            rc = -ENOMEM;
        } else if (!p->list->each(p->list->data, e->namespace_, e->name, item)) {
            rc = p->more || i + 1 < p->n;
            break;
        }
    }
    free(p->entries);
    *p = (struct page){.list = p->list};
    return rc;
}
