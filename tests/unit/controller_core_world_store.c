#include "tests/unit/controller_core_world_private.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

void *world_take(size_t size) /* whatever was there before */
{
    void *p = NULL;

    CHECK(posix_memalign(&p, _Alignof(max_align_t), size) == 0);
    return p;
}

void *world_alloc(size_t size)
{
    return memset(world_take(size), 0, size);
}

char *world_copy(const char *text)
{
    return text != NULL ? memcpy(world_alloc(strlen(text) + 1), text, strlen(text) + 1)
                        : NULL;
}

static struct item *item_new(const char *key, const char *value, int64_t mod_revision)
{
    struct item *i = world_alloc(sizeof(*i));

    CHECK(strlen(key) < KEY_MAX);
    (void)stpcpy(i->key, key);
    i->value = world_copy(value);
    i->len = value != NULL ? strlen(value) : 0;
    i->mod_revision = mod_revision;
    return i;
}

static void item_free(struct item *i)
{
    list_remove(&i->link);
    free(i->value);
    free(i);
}

static struct item *find_item(const struct store_model *s, const char *key)
{
    LIST_FOREACH(it, &s->items)
    {
        struct item *i = container_of(it, struct item, link);

        if (strcmp(i->key, key) == 0) {
            return i;
        }
    }
    return NULL;
}

void store_model_init(struct store_model *s)
{
    list_init(&s->items);
    list_init(&s->log);
    s->revision = 1;
}

void store_model_free(struct store_model *s)
{
    LIST_FOREACH_SAFE(it, &s->items)
    {
        item_free(container_of(it, struct item, link));
    }
    LIST_FOREACH_SAFE(it, &s->log)
    {
        item_free(container_of(it, struct item, link));
    }
}

/* Part of the transaction that makes `revision`. */
static void change(struct store_model *s, const char *key, const char *value,
                   int64_t revision)
{
    struct item *old = find_item(s, key);

    if (old != NULL) {
        item_free(old);
    }
    if (value != NULL) {
        list_push_back(&s->items, &item_new(key, value, revision)->link);
    }
    list_push_back(&s->log, &item_new(key, value, revision)->link);
}

void store_model_put(struct store_model *s, const char *key, const char *value)
{
    change(s, key, value, ++s->revision);
}

void store_model_delete(struct store_model *s, const char *key)
{
    change(s, key, NULL, ++s->revision);
}

const char *store_model_get(const struct store_model *s, const char *key)
{
    const struct item *i = find_item(s, key);

    return i != NULL ? i->value : NULL;
}

bool store_model_commit(struct store_model *s, const struct txn *t)
{
    for (size_t i = 0; i < t->n_compares; i++) {
        const struct item *now = find_item(s, t->compares[i].key);

        if ((now != NULL ? now->mod_revision : 0) != t->compares[i].mod_revision) {
            return false;
        }
    }
    s->revision++;
    for (size_t i = 0; i < t->n_ops; i++) {
        change(s, t->ops[i].key, t->ops[i].value, s->revision);
    }
    return true;
}
