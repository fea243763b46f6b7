#include "controller/core/layers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/page.h"
#include "controller/core/registry.h"

#define DESCRIPTION_MAX 256

/* --- objects ------------------------------------------------------------------------ */

static uint64_t hash(const struct controller_core *c, const char *namespace_,
                     const char *name)
{
    return keymap_hash_str(keymap_hash_str(c->seed, namespace_), name);
}

int layers_init(struct controller_core *c)
{
    list_init(&c->layer_list);
    return keymap_init(&c->layers);
}

static void free_versions(struct controller_core *c, struct core_layer_version *list,
                          size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i].description);
        json_decref(list[i].attributes);
        if (list[i].counted != NULL) {
            registry_uncount_package(c, list[i].counted);
        }
    }
    free(list);
}

static void drop(struct controller_core *c, struct core_layer *l)
{
    keymap_remove(&c->layers, &l->entry);
    list_remove(&l->link);
    free_versions(c, l->versions, l->n_versions);
    free(l);
}

void layers_free(struct controller_core *c)
{
    LIST_FOREACH_SAFE(it, &c->layer_list)
    {
        drop(c, container_of(it, struct core_layer, link));
    }
    keymap_free(&c->layers);
}

struct core_layer *layers_find(const struct controller_core *c, const char *namespace_,
                               const char *name)
{
    struct keymap_entry *e = keymap_find(&c->layers, hash(c, namespace_, name));

    for (; e != NULL; e = keymap_next(e)) {
        struct core_layer *l = container_of(e, struct core_layer, entry);

        if (strcmp(l->name, name) == 0 && strcmp(l->namespace_, namespace_) == 0) {
            return l;
        }
    }
    return NULL;
}

const struct core_layer_version *layers_version(const struct core_layer *l,
                                                uint64_t number)
{
    if (number == 0) {
        return l->n_versions > 0 ? &l->versions[l->n_versions - 1] : NULL;
    }
    for (size_t i = 0; i < l->n_versions; i++) {
        if (l->versions[i].number == number) {
            return &l->versions[i];
        }
    }
    return NULL;
}

size_t layers_count(const struct controller_core *c, const char *namespace_)
{
    size_t n = 0;

    LIST_FOREACH(it, &c->layer_list)
    {
        const struct core_layer *l = container_of(it, struct core_layer, link);

        n += l->n_versions > 0 && strcmp(l->namespace_, namespace_) == 0;
    }
    return n;
}

/* --- records ------------------------------------------------------------------------ */

static int parse_version(struct controller_core *c, struct core_layer_version *ret,
                         const json_t *json, uint64_t after)
{
    const char *created = json_string_value(json_object_get(json, "created_at"));
    const char *description = json_string_value(json_object_get(json, "description"));
    json_int_t number = json_integer_value(json_object_get(json, "number"));

    if (number <= 0 || (uint64_t)number <= after || created == NULL ||
        strlen(created) >= sizeof(ret->created_at) || description == NULL ||
        strlen(description) > DESCRIPTION_MAX ||
        package_ref_from_json(&ret->package, json_object_get(json, "package"), NULL) <
            0) {
        return -EINVAL;
    }
    ret->number = (uint64_t)number;
    (void)stpcpy(ret->created_at, created);
    ret->description = strdup(description);
    if (ret->description == NULL) {
        return -ENOMEM;
    }
    ret->attributes = json_incref(json_object_get(json, "attributes"));
    ret->counted = registry_count_package(c, ret->package.digest);
    return ret->counted != NULL ? 0 : -ENOMEM;
}

/* Into a layer that has only its name. */
static int parse(struct controller_core *c, struct core_layer *l,
                 const struct core_kv *kv)
{
    json_t *json = json_loadb(kv->value, kv->len, JSON_REJECT_DUPLICATES, NULL);
    json_t *versions = json_object_get(json, "versions");
    json_int_t latest = json_integer_value(json_object_get(json, "latest"));
    size_t n = json_array_size(versions);
    int rc =
        !json_is_array(versions) || latest <= 0 || n > LAYER_VERSIONS_MAX ? -EINVAL : 0;

    l->latest = (uint64_t)latest;
    l->mod_revision = kv->mod_revision;
    if (rc == 0 && n > 0 && (l->versions = calloc(n, sizeof(*l->versions))) == NULL) {
        rc = -ENOMEM;
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        l->n_versions = i + 1;
        rc = parse_version(c, &l->versions[i], json_array_get(versions, i),
                           i > 0 ? l->versions[i - 1].number : 0);
    }
    if (rc == 0 && n > 0 && l->versions[n - 1].number > l->latest) {
        rc = -EINVAL;
    }
    json_decref(json);
    return rc;
}

int layers_apply(struct controller_core *c, const struct parsed_key *k,
                 const struct core_kv *kv)
{
    struct core_layer *old = layers_find(c, k->namespace_, k->name);
    struct core_layer *l = NULL;
    int rc = 0;

    if (kv->value != NULL) {
        l = calloc(1, sizeof(*l));
        if (l == NULL) {
            return -ENOMEM;
        }
        (void)snprintf(l->namespace_, sizeof(l->namespace_), "%s", k->namespace_);
        (void)snprintf(l->name, sizeof(l->name), "%s", k->name);
        rc = parse(c, l, kv);
        if (rc < 0) {
            free_versions(c, l->versions, l->n_versions);
            free(l);
            l = NULL;
        }
    }
    if (old != NULL) { /* after the new one's packages are counted */
        drop(c, old);
    }
    if (l != NULL) {
        list_push_back(&c->layer_list, &l->link);
        keymap_add(&c->layers, &l->entry, hash(c, l->namespace_, l->name));
    }
    return rc;
}

void layers_keep(struct controller_core *c,
                 bool (*is_there)(const void *data, const char *key), const void *data)
{
    LIST_FOREACH_SAFE(it, &c->layer_list)
    {
        struct core_layer *l = container_of(it, struct core_layer, link);
        char key[KEYS_MAX];

        keys_layer(l->namespace_, l->name, key);
        if (!is_there(data, key)) {
            drop(c, l);
        }
    }
}

static json_t *version_json(const struct core_layer_version *v)
{
    return json_pack("{s:I, s:s, s:s, s:o, s:O*}", "number", (json_int_t)v->number,
                     "created_at", v->created_at, "description", v->description,
                     "package", package_ref_to_json(&v->package), "attributes",
                     v->attributes);
}

static char *record_text(uint64_t latest, json_t *versions)
{
    json_t *json =
        json_pack("{s:I, s:o}", "latest", (json_int_t)latest, "versions", versions);
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    return text;
}

char *layers_changed(const struct core_layer *l, const struct core_layer_version *add,
                     uint64_t gone)
{
    json_t *versions = json_array();
    int rc = 0;

    for (size_t i = 0; l != NULL && i < l->n_versions; i++) {
        if (l->versions[i].number != gone) {
            rc |= json_array_append_new(versions, version_json(&l->versions[i]));
        }
    }
    if (add != NULL) {
        rc |= json_array_append_new(versions, version_json(add));
    }
    if (rc != 0) {
        json_decref(versions);
        return NULL;
    }
    return record_text(add != NULL ? add->number : l->latest, versions);
}

char *layers_edited(const struct core_layer *l, uint64_t number, json_t *attributes)
{
    json_t *versions = json_array();
    int rc = 0;

    for (size_t i = 0; i < l->n_versions; i++) {
        struct core_layer_version v = l->versions[i];

        if (v.number == number) {
            v.attributes = attributes;
        }
        rc |= json_array_append_new(versions, version_json(&v));
    }
    if (rc != 0) {
        json_decref(versions);
        return NULL;
    }
    return record_text(l->latest, versions);
}

/* --- looking up --------------------------------------------------------------------- */

static const struct spec_layer *had(const struct function_spec *was,
                                    const struct spec_layer *wanted)
{
    for (size_t i = 0; was != NULL && i < was->n_layers; i++) {
        if (was->layers[i].version == wanted->version &&
            strcmp(was->layers[i].name, wanted->name) == 0) {
            return &was->layers[i];
        }
    }
    return NULL;
}

int layers_resolve(const struct controller_core *c, const char *namespace_,
                   struct function_spec *spec, const struct function_spec *was,
                   struct error *err)
{
    for (size_t i = 0; i < spec->n_layers; i++) {
        struct spec_layer *wanted = &spec->layers[i];
        const struct core_layer *l = layers_find(c, namespace_, wanted->name);
        const struct core_layer_version *v =
            l != NULL ? layers_version(l, wanted->version) : NULL;
        const struct spec_layer *before = v == NULL ? had(was, wanted) : NULL;

        if (before != NULL) {
            wanted->package = before->package;
            continue;
        }
        if (v == NULL && (l == NULL || wanted->version == 0)) {
            return error_set(err, -ENOENT, "there is no layer %s in namespace %s",
                             wanted->name, namespace_);
        }
        if (v == NULL) {
            return error_set(err, -ENOENT,
                             "layer %s has no version %llu: `mayfly layer list`",
                             wanted->name, (unsigned long long)wanted->version);
        }
        wanted->version = v->number;
        wanted->package = v->package;
    }
    return 0;
}

/* --- reading ------------------------------------------------------------------------ */

static json_t *view(const struct core_layer *l)
{
    const struct core_layer_version *newest = layers_version(l, 0);
    json_t *versions = json_array();
    int rc = 0;

    for (size_t i = 0; i < l->n_versions; i++) {
        rc |= json_array_append_new(versions, version_json(&l->versions[i]));
    }
    if (rc != 0) {
        json_decref(versions);
        return NULL;
    }
    return json_pack("{s:s, s:s, s:I, s:I, s:o}", "namespace", l->namespace_, "name",
                     l->name, "revision", (json_int_t)l->mod_revision, "latest_version",
                     (json_int_t)(newest != NULL ? newest->number : 0), "versions",
                     versions);
}

static json_t *listed(const struct controller_core *c, const void *item)
{
    return view(item);
}

int controller_core_layers(const struct controller_core *c, const char *namespace_,
                           const struct core_list *list)
{
    struct page p;

    page_init(&p, list);
    LIST_FOREACH(it, &c->layer_list)
    {
        const struct core_layer *l = container_of(it, struct core_layer, link);

        if (l->n_versions > 0 &&
            (namespace_ == NULL || strcmp(l->namespace_, namespace_) == 0)) {
            page_offer(&p, l->namespace_, l->name, l);
        }
    }
    return page_show(&p, c, listed);
}

json_t *controller_core_layer(const struct controller_core *c, const char *namespace_,
                              const char *name)
{
    const struct core_layer *l = layers_find(c, namespace_, name);

    return l != NULL && l->n_versions > 0 ? view(l) : NULL;
}

json_t *controller_core_layer_version(const struct controller_core *c,
                                      const char *namespace_, const char *name,
                                      uint64_t number)
{
    const struct core_layer *l = layers_find(c, namespace_, name);
    const struct core_layer_version *v = l != NULL ? layers_version(l, number) : NULL;

    return v != NULL ? version_json(v) : NULL;
}
