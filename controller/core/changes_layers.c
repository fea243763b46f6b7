/* Changes of layers (changes.h). */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/changes.h"
#include "controller/core/layers.h"
#include "controller/core/registry.h"
#include "controller/core/requests.h"

static int64_t layer_revision(const struct controller_core *c,
                              const struct core_request *r)
{
    const struct core_layer *l = layers_find(c, r->layer_namespace, r->name);
    char key[KEYS_MAX];

    keys_layer(r->layer_namespace, r->name, key);
    return l != NULL ? l->mod_revision : registry_damaged_revision(c, key);
}

static int check_publish(struct controller_core *c, struct core_request *r)
{
    const struct core_namespace *ns = registry_namespace(c, r->layer_namespace);
    const struct core_layer *l = layers_find(c, r->layer_namespace, r->name);

    if (ns == NULL || !ns->present) {
        return request_refuse(
            r, CAUSE_NOT_FOUND,
            "there is no namespace %s; `mayfly namespaces create %s` makes it",
            r->layer_namespace, r->layer_namespace);
    }
    if (l == NULL && layer_revision(c, r) != 0) {
        return request_refuse(r, CAUSE_INTERNAL,
                              "the store's record of layer %s/%s cannot be read",
                              r->layer_namespace, r->name);
    }
    if (l != NULL && l->n_versions == LAYER_VERSIONS_MAX) {
        return request_refuse(r, CAUSE_CONFLICT,
                              "layer %s has %d versions, which is the limit; delete some",
                              r->name, LAYER_VERSIONS_MAX);
    }
    if (l != NULL && l->latest >= RECORD_NUMBER_MAX) {
        return request_refuse(r, CAUSE_INTERNAL, "all version numbers are used up");
    }
    r->namespace_based_on = ns->mod_revision;
    return 0;
}

/* A record has a limit, as the store has. */
static int put(struct core_request *r, const char *key, char *text)
{
    if (text != NULL && strlen(text) > RECORD_VALUE_MAX) {
        free(text);
        return request_refuse(r, CAUSE_CONFLICT,
                              "layer %s would have a record of over %d bytes; delete "
                              "versions of it",
                              r->name, RECORD_VALUE_MAX);
    }
    change_put(&r->change, key, text);
    return 0;
}

static int build_publish(struct controller_core *c, struct core_request *r)
{
    const struct core_layer *l = layers_find(c, r->layer_namespace, r->name);
    struct core_layer_version v = {
        .description = r->description, .package = r->package, .attributes = r->ordered};
    char key[KEYS_MAX];

    if (check_publish(c, r) < 0) {
        return -1;
    }
    change_now(c, r->stamp);
    r->number = v.number = l != NULL ? l->latest + 1 : 1;
    memcpy(v.created_at, r->stamp, sizeof(v.created_at));
    r->created = true;
    r->based_on = layer_revision(c, r);
    keys_layer(r->layer_namespace, r->name, key);
    change_compare(&r->change, key, r->based_on);
    if (put(r, key, layers_changed(l, &v, 0)) < 0) {
        return -1;
    }
    keys_namespace(r->layer_namespace, key);
    change_compare(&r->change, key, r->namespace_based_on);
    return change_built(r);
}

static enum change_seen look_publish(const struct controller_core *c,
                                     const struct core_request *r)
{
    const struct core_layer *l = layers_find(c, r->layer_namespace, r->name);
    const struct core_layer_version *v = l != NULL ? layers_version(l, r->number) : NULL;
    const struct core_namespace *ns = registry_namespace(c, r->layer_namespace);

    if (layer_revision(c, r) == r->based_on) {
        return ns == NULL || ns->mod_revision != r->namespace_based_on ? CHANGE_MOVED
                                                                       : CHANGE_SAME;
    }
    return v != NULL && strcmp(v->created_at, r->stamp) == 0 &&
                   strcmp(v->package.digest, r->package.digest) == 0
               ? CHANGE_SHOWN
               : CHANGE_MOVED;
}

const struct change_kind change_publish_layer = {
    .what = "publish the layer",
    .build = build_publish,
    .look = look_publish,
};

static int build_delete(struct controller_core *c, struct core_request *r)
{
    const struct core_layer *l = layers_find(c, r->layer_namespace, r->name);
    char key[KEYS_MAX];

    if (l == NULL || layers_version(l, r->number) == NULL) {
        return request_refuse(r, CAUSE_NOT_FOUND, "there is no version %llu of layer %s",
                              (unsigned long long)r->number, r->name);
    }
    r->based_on = l->mod_revision;
    keys_layer(r->layer_namespace, r->name, key);
    change_compare(&r->change, key, r->based_on);
    change_put(&r->change, key, layers_changed(l, NULL, r->number));
    return change_built(r);
}

static enum change_seen look_delete(const struct controller_core *c,
                                    const struct core_request *r)
{
    const struct core_layer *l = layers_find(c, r->layer_namespace, r->name);

    if (l == NULL || layers_version(l, r->number) == NULL) {
        return CHANGE_SHOWN;
    }
    return l->mod_revision != r->based_on ? CHANGE_MOVED : CHANGE_SAME;
}

const struct change_kind change_delete_layer = {
    .what = "delete the layer's version",
    .build = build_delete,
    .look = look_delete,
};

/* --- attributes ------------------------------------------------------------------- */

static int build_attribute(struct controller_core *c, struct core_request *r)
{
    const struct core_layer *l = layers_find(c, r->layer_namespace, r->name);
    const struct core_layer_version *v = l != NULL ? layers_version(l, r->number) : NULL;
    json_t *next;
    char key[KEYS_MAX];
    int rc;

    if (v == NULL || r->number == 0) {
        return request_refuse(r, CAUSE_NOT_FOUND, "there is no version %llu of layer %s",
                              (unsigned long long)r->number, r->name);
    }
    if (r->if_revision != 0 && r->if_revision != (uint64_t)l->mod_revision) {
        return request_refuse(r, CAUSE_CONFLICT, "layer %s was changed meanwhile",
                              r->name);
    }
    next = v->attributes != NULL ? json_copy(v->attributes) : json_object();
    if (r->ordered != NULL) {
        (void)json_object_set(next, r->attribute, r->ordered);
    } else {
        (void)json_object_del(next, r->attribute);
    }
    r->based_on = l->mod_revision;
    keys_layer(r->layer_namespace, r->name, key);
    change_compare(&r->change, key, r->based_on);
    rc = put(r, key, layers_edited(l, r->number, next));
    json_decref(next);
    return rc < 0 ? rc : change_built(r);
}

static enum change_seen look_attribute(const struct controller_core *c,
                                       const struct core_request *r)
{
    const struct core_layer *l = layers_find(c, r->layer_namespace, r->name);
    const struct core_layer_version *v = l != NULL ? layers_version(l, r->number) : NULL;
    const json_t *now = v != NULL ? json_object_get(v->attributes, r->attribute) : NULL;

    if (l != NULL && l->mod_revision == r->based_on) {
        return CHANGE_SAME;
    }
    return v != NULL && (r->ordered == NULL ? now == NULL : json_equal(now, r->ordered))
               ? CHANGE_SHOWN
               : CHANGE_MOVED;
}

const struct change_kind change_layer_attribute = {
    .what = "change the layer's version",
    .build = build_attribute,
    .look = look_attribute,
};
