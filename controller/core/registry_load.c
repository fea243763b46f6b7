/* All that the store holds, at once (registry.h). */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/access_keys.h"
#include "controller/core/damage.h"
#include "controller/core/keys.h"
#include "controller/core/layers.h"
#include "controller/core/node_order.h"
#include "controller/core/registry.h"

static int by_key(const void *left, const void *right)
{
    const struct core_kv *a = left, *b = right;

    return strcmp(a->key, b->key);
}

struct seen {
    const struct core_kv *kvs;
    size_t n;
};

static bool was_seen(const struct seen *seen, const char *key)
{
    struct core_kv wanted = {.key = key};

    return bsearch(&wanted, seen->kvs, seen->n, sizeof(wanted), by_key) != NULL;
}

static bool is_there(const void *data, const char *key)
{
    return was_seen(data, key);
}

static void drop_unseen_of(struct controller_core *c, struct core_function *f,
                           const struct seen *seen)
{
    char key[KEYS_MAX];

    LIST_FOREACH_SAFE(it, &f->bodies)
    {
        struct core_body *b = container_of(it, struct core_body, link);

        keys_version(f, b->number, key);
        if (!was_seen(seen, key)) {
            registry_apply(c, &(struct core_kv){.key = key});
        }
    }
    keys_function(f, key);
    if (f->present && !was_seen(seen, key)) {
        registry_apply(c, &(struct core_kv){.key = key});
    }
}

/* What is not there any more goes as if it had been deleted before our eyes. */
static void drop_unseen(struct controller_core *c, const struct seen *seen)
{
    LIST_FOREACH_SAFE(it, &c->namespaces)
    {
        struct core_namespace *ns = container_of(it, struct core_namespace, link);
        char key[KEYS_MAX];

        LIST_FOREACH_SAFE(at, &ns->functions)
        {
            drop_unseen_of(c, container_of(at, struct core_function, of_namespace), seen);
        }
        keys_namespace(ns->name, key);
        if (ns->present && !was_seen(seen, key)) {
            registry_apply(c, &(struct core_kv){.key = key});
        }
    }
    node_orders_keep(c, is_there, seen);
    layers_keep(c, is_there, seen);
    access_keys_keep(c, is_there, seen);
    if (!was_seen(seen, KEYS_EPOCH)) {
        registry_apply(c, &(struct core_kv){.key = KEYS_EPOCH});
    }
    if (!was_seen(seen, KEYS_INDEX)) {
        registry_apply(c, &(struct core_kv){.key = KEYS_INDEX});
    }
}

void registry_load(struct controller_core *c, const struct core_kv *kvs, size_t n)
{
    struct core_kv *sorted = calloc(n + 1, sizeof(*sorted));

    /* Without this much memory a controller could not hold the registry either. */
    CHECK(sorted != NULL);
    if (n > 0) {
        memcpy(sorted, kvs, n * sizeof(*sorted));
    }
    qsort(sorted, n, sizeof(*sorted), by_key);
    drop_unseen(c, &(struct seen){.kvs = sorted, .n = n});
    free(sorted);
    damage_forget(c);
    for (size_t i = 0; i < n; i++) {
        registry_apply(c, &kvs[i]);
    }
}
