#include "controller/store/items.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

static int copy_kv(struct store_kv *dst, const struct store_kv *src)
{
    char *key = strdup(src->key);
    void *value = malloc(src->len + 1); /* never of size 0 */

    if (key == NULL || value == NULL) {
        free(key);
        free(value);
        return -ENOMEM;
    }
    if (src->len > 0) {
        memcpy(value, src->value, src->len);
    }
    *dst = *src;
    dst->key = key;
    dst->value = value;
    return 0;
}

static void free_kv(const struct store_kv *kv)
{
    free((void *)kv->key);
    free((void *)kv->value);
}

static int grow(void **items, size_t n, size_t *capacity, size_t size)
{
    size_t wanted = *capacity == 0 ? 8 : *capacity * 2;
    void *grown;

    if (n < *capacity) {
        return 0;
    }
    grown = reallocarray(*items, wanted, size);
    if (grown == NULL) {
        return -ENOMEM;
    }
    *items = grown;
    *capacity = wanted;
    return 0;
}

int kv_list_add(struct kv_list *l, const struct store_kv *kv)
{
    int rc = grow((void **)&l->items, l->n, &l->capacity, sizeof(*l->items));

    if (rc == 0) {
        rc = copy_kv(&l->items[l->n], kv);
    }
    if (rc == 0) {
        l->n++;
    }
    return rc;
}

int event_list_add(struct event_list *l, const struct store_event *event)
{
    int rc = grow((void **)&l->items, l->n, &l->capacity, sizeof(*l->items));

    if (rc == 0) {
        rc = copy_kv(&l->items[l->n].kv, &event->kv);
    }
    if (rc == 0) {
        l->items[l->n++].type = event->type;
    }
    return rc;
}

int event_list_reserve(struct event_list *l, size_t n)
{
    while (l->capacity - l->n < n) {
        int rc = grow((void **)&l->items, l->capacity, &l->capacity, sizeof(*l->items));

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

void event_list_move(struct event_list *dst, struct event_list *src)
{
    CHECK(dst->capacity - dst->n >= src->n);
    if (src->n > 0) {
        memcpy(dst->items + dst->n, src->items, src->n * sizeof(*src->items));
    }
    dst->n += src->n;
    src->n = 0;
}

void kv_list_free(struct kv_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free_kv(&l->items[i]);
    }
    free(l->items);
    *l = (struct kv_list){0};
}

void event_list_free(struct event_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free_kv(&l->items[i].kv);
    }
    free(l->items);
    *l = (struct event_list){0};
}

size_t event_list_run(const struct event_list *l, size_t at)
{
    size_t n = 1;

    while (at + n < l->n &&
           l->items[at + n].kv.mod_revision == l->items[at].kv.mod_revision) {
        n++;
    }
    return n;
}
