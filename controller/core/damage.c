#include "controller/core/damage.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/keys.h"
#include "controller/core/registry.h"

struct damage {
    struct keymap_entry entry;
    int64_t mod_revision;
    char key[];
};

static struct damage *find(const struct controller_core *c, const char *key)
{
    struct keymap_entry *e = keymap_find(&c->damaged, keymap_hash_str(c->seed, key));

    for (; e != NULL; e = keymap_next(e)) {
        struct damage *d = container_of(e, struct damage, entry);

        if (strcmp(d->key, key) == 0) {
            return d;
        }
    }
    return NULL;
}

int64_t registry_damaged_revision(const struct controller_core *c, const char *key)
{
    const struct damage *d = find(c, key);

    return d != NULL ? d->mod_revision : 0;
}

bool damage_has_versions(const struct controller_core *c)
{
    for (size_t i = 0; c->damaged.n > 0 && i < c->damaged.n_buckets; i++) {
        for (struct keymap_entry *e = c->damaged.buckets[i]; e != NULL; e = e->next) {
            const char *key = container_of(e, struct damage, entry)->key;

            if (keys_after(key, KEYS_VERSION) || keys_after(key, KEYS_LAYER)) {
                return true;
            }
        }
    }
    return false;
}

void damage_set(struct controller_core *c, const struct core_kv *kv, bool damaged)
{
    struct damage *d = find(c, kv->key);
    size_t size = strlen(kv->key) + 1;

    if (d != NULL && !damaged) {
        keymap_remove(&c->damaged, &d->entry);
        free(d);
        return;
    }
    if (d == NULL && damaged) {
        d = calloc(1, sizeof(*d) + size);
        CHECK(d != NULL);
        memcpy(d->key, kv->key, size);
        keymap_add(&c->damaged, &d->entry, keymap_hash_str(c->seed, d->key));
    }
    if (d != NULL) {
        d->mod_revision = kv->mod_revision;
    }
}

void damage_forget(struct controller_core *c)
{
    for (size_t i = 0; i < c->damaged.n_buckets; i++) {
        struct keymap_entry *e = c->damaged.buckets[i];

        while (e != NULL) {
            struct keymap_entry *next = e->next;

            free(container_of(e, struct damage, entry));
            e = next;
        }
        c->damaged.buckets[i] = NULL;
    }
    c->damaged.n = 0;
}
