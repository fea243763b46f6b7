/* Which packages versions need (registry.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/damage.h"
#include "controller/core/near.h"
#include "controller/core/registry.h"

struct core_package *registry_count_package(struct controller_core *c, const char *digest)
{
    uint64_t hash = keymap_hash_str(c->seed, digest);
    struct keymap_entry *e = keymap_find(&c->packages, hash);
    struct core_package *p;

    for (; e != NULL; e = keymap_next(e)) {
        p = container_of(e, struct core_package, entry);
        if (strcmp(p->digest, digest) == 0) {
            p->n++;
            return p;
        }
    }
    p = calloc(1, sizeof(*p));
    if (p != NULL) {
        (void)snprintf(p->digest, sizeof(p->digest), "%s", digest);
        p->n = 1;
        near_init(p);
        keymap_add(&c->packages, &p->entry, hash);
    }
    return p;
}

void registry_uncount_package(struct controller_core *c, struct core_package *p)
{
    if (--p->n == 0) {
        keymap_remove(&c->packages, &p->entry);
        near_free(p);
        free(p);
    }
}

bool registry_uses_package(const struct controller_core *c, const char *digest)
{
    struct keymap_entry *e = keymap_find(&c->packages, keymap_hash_str(c->seed, digest));

    for (; e != NULL; e = keymap_next(e)) {
        if (strcmp(container_of(e, struct core_package, entry)->digest, digest) == 0) {
            return true;
        }
    }
    return damage_has_versions(c);
}
