#include "controller/core/registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/access_keys.h"
#include "controller/core/damage.h"
#include "controller/core/follow.h"
#include "controller/core/journal.h"
#include "controller/core/keys.h"
#include "controller/core/layers.h"
#include "controller/core/near.h"
#include "controller/core/node_order.h"
#include "controller/core/scheduler.h"

int registry_init(struct controller_core *c)
{
    list_init(&c->namespaces);
    if (keymap_init(&c->namespaces_by_name) < 0 ||
        keymap_init(&c->functions_by_name) < 0 || keymap_init(&c->packages) < 0 ||
        keymap_init(&c->damaged) < 0) {
        return -ENOMEM;
    }
    return 0;
}

/* --- objects ---------------------------------------------------------------------- */

struct core_namespace *registry_namespace(const struct controller_core *c,
                                          const char *name)
{
    struct keymap_entry *e =
        keymap_find(&c->namespaces_by_name, keymap_hash_str(c->seed, name));

    for (; e != NULL; e = keymap_next(e)) {
        struct core_namespace *ns = container_of(e, struct core_namespace, entry);

        if (strcmp(ns->name, name) == 0) {
            return ns;
        }
    }
    return NULL;
}

static struct core_namespace *want_namespace(struct controller_core *c, const char *name)
{
    struct core_namespace *ns = registry_namespace(c, name);

    if (ns != NULL) {
        return ns;
    }
    ns = calloc(1, sizeof(*ns));
    if (ns == NULL) {
        return NULL;
    }
    (void)snprintf(ns->name, sizeof(ns->name), "%s", name);
    list_init(&ns->functions);
    list_push_back(&c->namespaces, &ns->link);
    keymap_add(&c->namespaces_by_name, &ns->entry, keymap_hash_str(c->seed, name));
    name_order_add(&c->namespaces_in_order, &ns->in_order, ns->name, ns->entry.hash);
    return ns;
}

static void collect_namespace(struct controller_core *c, struct core_namespace *ns)
{
    if (ns->present || !list_empty(&ns->functions)) {
        return;
    }
    keymap_remove(&c->namespaces_by_name, &ns->entry);
    name_order_remove(&c->namespaces_in_order, &ns->in_order);
    list_remove(&ns->link);
    free(ns);
}

static uint64_t function_hash(const struct controller_core *c, const char *namespace_,
                              const char *name)
{
    return keymap_hash_str(keymap_hash_str(c->seed, namespace_), name);
}

struct core_function *registry_function(const struct controller_core *c,
                                        const char *namespace_, const char *name)
{
    struct keymap_entry *e =
        keymap_find(&c->functions_by_name, function_hash(c, namespace_, name));

    for (; e != NULL; e = keymap_next(e)) {
        struct core_function *f = container_of(e, struct core_function, entry);

        if (strcmp(f->name, name) == 0 && strcmp(f->ns->name, namespace_) == 0) {
            return f;
        }
    }
    return NULL;
}

struct core_function *registry_want_function(struct controller_core *c,
                                             const char *namespace_, const char *name)
{
    struct core_function *f = registry_function(c, namespace_, name);
    struct core_namespace *ns;

    if (f != NULL) {
        return f;
    }
    if (!spec_name_valid(namespace_) || !spec_name_valid(name)) {
        return NULL;
    }
    f = calloc(1, sizeof(*f));
    ns = f != NULL ? want_namespace(c, namespace_) : NULL;
    if (ns == NULL) {
        free(f);
        return NULL;
    }
    f->core = c;
    f->ns = ns;
    (void)snprintf(f->name, sizeof(f->name), "%s", name);
    list_init(&f->bodies);
    list_init(&f->queue);
    list_init(&f->waits);
    list_init(&f->holds);
    list_init(&f->loads);
    scheduler_init_function(f);
    list_push_back(&ns->functions, &f->of_namespace);
    keymap_add(&c->functions_by_name, &f->entry, function_hash(c, namespace_, name));
    name_order_add(&ns->functions_by_name, &f->in_order, f->name, f->entry.hash);
    return f;
}

void registry_collect(struct controller_core *c, struct core_function *f)
{
    struct core_namespace *ns = f->ns;

    if (f->present || !list_empty(&f->bodies) || !list_empty(&f->queue) ||
        !list_empty(&f->waits) || !list_empty(&f->loads) || f->published) {
        return;
    }
    CHECK(f->serving == NULL && f->candidate == NULL && list_empty(&f->others) &&
          list_empty(&f->holds));
    list_remove(&f->dirty);
    scheduler_forget(c, f);
    alarms_clear(&c->alarms, &f->alarm);
    insight_end(c, f);
    keymap_remove(&c->functions_by_name, &f->entry);
    name_order_remove(&ns->functions_by_name, &f->in_order);
    list_remove(&f->of_namespace);
    record_free(&f->record);
    free(f);
    collect_namespace(c, ns);
}

/* --- values ----------------------------------------------------------------------- */

const struct core_body *registry_body(const struct core_function *f, uint64_t number)
{
    /* The latest ones are asked for most. */
    for (struct list *it = f->bodies.prev; it != &f->bodies; it = it->prev) {
        const struct core_body *b = container_of(it, struct core_body, link);

        if (b->number <= number) {
            return b->number == number ? b : NULL;
        }
    }
    return NULL;
}

struct core_body *registry_body_of(struct core_function *f, uint64_t number)
{
    return (struct core_body *)(uintptr_t)registry_body(f, number);
}

static void free_body(struct controller_core *c, struct core_body *b)
{
    for (size_t i = 0; i < b->n_counted; i++) {
        registry_uncount_package(c, b->counted[i]);
    }
    function_spec_free(&b->spec);
    free(b);
}

static int count_packages(struct controller_core *c, struct core_body *b)
{
    for (size_t i = 0; i <= b->spec.n_layers; i++) {
        const struct package_ref *p =
            i == 0 ? &b->package : &b->spec.layers[i - 1].package;

        b->counted[i] = registry_count_package(c, p->digest);
        if (b->counted[i] == NULL) {
            return -ENOMEM;
        }
        b->n_counted++;
    }
    return 0;
}

static void remove_body(struct controller_core *c, struct core_function *f,
                        struct core_body *b)
{
    follow_body_gone(f, b);
    list_remove(&b->link);
    f->n_bodies--;
    free_body(c, b);
}

static int add_body(struct controller_core *c, struct core_function *f, uint64_t number,
                    const struct core_kv *kv)
{
    struct core_body *b = calloc(1, sizeof(*b));
    struct list *at = f->bodies.prev;
    int rc;

    if (b == NULL) {
        return -ENOMEM;
    }
    rc = record_body_parse(&b->spec, &b->package, kv->value, kv->len);
    if (rc < 0) {
        free(b);
        return rc;
    }
    rc = count_packages(c, b);
    if (rc < 0) {
        free_body(c, b);
        return rc;
    }
    b->number = number;
    b->mod_revision = kv->mod_revision;
    b->value_hash = keymap_hash(c->seed, kv->value, kv->len);
    while (at != &f->bodies &&
           container_of(at, struct core_body, link)->number > number) {
        at = at->prev;
    }
    list_push_front(at, &b->link);
    f->n_bodies++;
    return 0;
}

static int apply_version(struct controller_core *c, const struct parsed_key *k,
                         const struct core_kv *kv)
{
    struct core_function *f = kv->value != NULL
                                  ? registry_want_function(c, k->namespace_, k->name)
                                  : registry_function(c, k->namespace_, k->name);
    const struct core_body *b;
    int rc = 0;

    if (f == NULL) {
        return kv->value != NULL ? -ENOMEM : 0;
    }
    b = registry_body(f, k->number);
    if (b != NULL && kv->value != NULL && b->mod_revision == kv->mod_revision) {
        return 0;
    }
    if (b != NULL) {
        remove_body(c, f, container_of(&b->link, struct core_body, link));
    }
    if (kv->value != NULL) {
        rc = add_body(c, f, k->number, kv);
    }
    scheduler_touch(c, f);
    return rc;
}

static void set_record(struct controller_core *c, struct core_function *f,
                       struct record *next, int64_t mod_revision)
{
    bool present = next != NULL;

    journal_record(c, f, next);
    if (present && f->published && strcmp(f->record.created_at, next->created_at) != 0) {
        f->recreated = true; /* numbers of versions mean something else now */
    }
    if (f->present != present) {
        c->n_functions += present ? 1 : SIZE_MAX;
        f->ns->n_functions += present ? 1 : SIZE_MAX;
    }
    c->n_versions += (present ? next->n_versions : 0) - f->record.n_versions;
    f->present = present;
    f->mod_revision = mod_revision;
    if (present) {
        record_free(&f->record);
        f->record = *next;
    } else {
        /* When it comes back soon, the difference must show. */
        char created_at[CLOCK_RFC3339_SIZE];

        memcpy(created_at, f->record.created_at, sizeof(created_at));
        record_free(&f->record);
        memcpy(f->record.created_at, created_at, sizeof(created_at));
    }
    scheduler_touch(c, f);
}

static int apply_function(struct controller_core *c, const struct parsed_key *k,
                          const struct core_kv *kv)
{
    struct core_function *f;
    struct record next;
    int rc = 0;

    if (kv->value != NULL) {
        rc = record_parse(&next, kv->value, kv->len);
    }
    f = kv->value != NULL && rc == 0 ? registry_want_function(c, k->namespace_, k->name)
                                     : registry_function(c, k->namespace_, k->name);
    if (f == NULL) {
        if (kv->value != NULL && rc == 0) {
            record_free(&next);
            return -ENOMEM;
        }
        return rc;
    }
    if (kv->value != NULL && rc == 0) {
        set_record(c, f, &next, kv->mod_revision);
    } else {
        set_record(c, f, NULL, 0);
    }
    return rc;
}

static void touch_functions_of(struct controller_core *c, struct core_namespace *ns)
{
    LIST_FOREACH(it, &ns->functions)
    {
        scheduler_touch(c, container_of(it, struct core_function, of_namespace));
    }
}

static int apply_namespace(struct controller_core *c, const struct parsed_key *k,
                           const struct core_kv *kv)
{
    struct core_namespace *ns = registry_namespace(c, k->namespace_);
    char created_at[CLOCK_RFC3339_SIZE];
    uint32_t index = 0;
    int rc = 0;

    if (kv->value != NULL) {
        rc = record_namespace_parse(&index, created_at, kv->value, kv->len);
        if (rc == 0 && ns == NULL) {
            ns = want_namespace(c, k->namespace_);
            rc = ns != NULL ? 0 : -ENOMEM;
        }
    }
    if (ns == NULL) {
        return rc;
    }
    if (ns->present != (index != 0)) {
        c->n_namespaces += index != 0 ? 1 : SIZE_MAX;
    }
    ns->present = index != 0;
    ns->mod_revision = ns->present ? kv->mod_revision : 0;
    if (ns->present) {
        if (ns->index != index) {
            touch_functions_of(c, ns);
        }
        ns->index = index;
        c->index_highest = index > c->index_highest ? index : c->index_highest;
        memcpy(ns->created_at, created_at, sizeof(created_at));
        return rc;
    }
    touch_functions_of(c, ns);
    collect_namespace(c, ns);
    return rc;
}

static int apply_number(uint64_t *number, int64_t *mod_revision, const char *key,
                        uint64_t max, const struct core_kv *kv)
{
    *mod_revision = kv->value != NULL ? kv->mod_revision : 0;
    if (kv->value == NULL) {
        *number = 0;
        return 0;
    }
    /* Lost: it grew by at most one a transaction, so the revision is not below
     * it; and "next" is one more than what was given. */
    *number = (uint64_t)kv->mod_revision < max ? (uint64_t)kv->mod_revision + 1 : max;
    return record_number_parse(number, key, max, kv->value, kv->len);
}

void registry_apply(struct controller_core *c, const struct core_kv *kv)
{
    struct parsed_key k = keys_parse(kv->key);
    int rc = 0;

    switch (k.kind) {
    case KEY_OTHER:
        return;
    case KEY_EPOCH:
        rc = apply_number(&c->epoch_stored, &c->epoch_revision, "epoch", CORE_EPOCH_MAX,
                          kv);
        break;
    case KEY_INDEX:
        rc = apply_number(&c->index_next, &c->index_revision, "next", UINT32_MAX, kv);
        break;
    case KEY_NAMESPACE:
        rc = apply_namespace(c, &k, kv);
        break;
    case KEY_FUNCTION:
        rc = apply_function(c, &k, kv);
        break;
    case KEY_LAYER:
        rc = layers_apply(c, &k, kv);
        break;
    case KEY_NODE:
        rc = node_order_apply(c, k.name, kv);
        break;
    case KEY_ACCESS:
        rc = access_key_apply(c, k.id, kv);
        break;
    case KEY_VERSION:
        rc = apply_version(c, &k, kv);
        break;
    }
    /* Out of memory, and the change left out? All that follows would be wrong. A new
     * start reads the store again. */
    CHECK(rc != -ENOMEM);
    damage_set(c, kv, rc < 0);
}

/* --- the end ---------------------------------------------------------------------- */

void registry_free(struct controller_core *c)
{
    LIST_FOREACH_SAFE(it, &c->namespaces)
    {
        struct core_namespace *ns = container_of(it, struct core_namespace, link);

        LIST_FOREACH_SAFE(at, &ns->functions)
        {
            struct core_function *f =
                container_of(at, struct core_function, of_namespace);

            LIST_FOREACH_SAFE(body, &f->bodies)
            {
                remove_body(c, f, container_of(body, struct core_body, link));
            }
            record_free(&f->record);
            insight_free(f);
            free(f);
        }
        free(ns);
    }
    if (c->damaged.buckets != NULL) {
        damage_forget(c);
    }
    keymap_free(&c->namespaces_by_name);
    keymap_free(&c->functions_by_name);
    keymap_free(&c->packages);
    keymap_free(&c->damaged);
}
