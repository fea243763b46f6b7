/* Changes that are not of versions: access keys, and a function's attributes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/access_keys.h"
#include "controller/core/changes.h"
#include "controller/core/keys.h"
#include "controller/core/registry.h"
#include "controller/core/requests.h"

/* --- access keys ------------------------------------------------------------------ */

static int64_t key_revision(const struct controller_core *c, const char *id)
{
    const struct access_key *k = access_key_find(c, id);
    char key[KEYS_MAX];

    keys_access_key(id, key);
    return k != NULL ? k->mod_revision : registry_damaged_revision(c, key);
}

/* r->key_namespace, r->key_secret; the id is r->key_id. */
static int build_put_key(struct controller_core *c, struct core_request *r)
{
    const struct core_namespace *ns = registry_namespace(c, r->key_namespace);
    char key[KEYS_MAX];

    if (ns == NULL || !ns->present) {
        return request_refuse(r, CAUSE_NOT_FOUND, "there is no namespace %s",
                              r->key_namespace);
    }
    if (access_key_find(c, r->key_id) != NULL) {
        return request_refuse(r, CAUSE_CONFLICT, "access key %s is there already",
                              r->key_id);
    }
    if (access_keys_of(c, r->key_namespace) >= ACCESS_KEYS_MAX) {
        return request_refuse(r, CAUSE_CONFLICT,
                              "namespace %s has %d access keys; delete "
                              "some that are not used",
                              r->key_namespace, ACCESS_KEYS_MAX);
    }
    r->created = true;
    r->based_on = key_revision(c, r->key_id);
    clock_rfc3339(c->io.wall_ms(c->io.ctx), r->stamp);
    keys_access_key(r->key_id, key);
    change_compare(&r->change, key, r->based_on);
    keys_namespace(ns->name, key);
    change_compare(&r->change, key, ns->mod_revision);
    keys_access_key(r->key_id, key);
    change_put_json(&r->change, key,
                    access_key_value(r->key_namespace, r->key_secret, r->stamp));
    return change_built(r);
}

static enum change_seen look_put_key(const struct controller_core *c,
                                     const struct core_request *r)
{
    const struct access_key *k = access_key_find(c, r->key_id);

    if (k != NULL && strcmp(k->created_at, r->stamp) == 0 &&
        strcmp(k->secret, r->key_secret) == 0) {
        return CHANGE_SHOWN;
    }
    return key_revision(c, r->key_id) != r->based_on ? CHANGE_MOVED : CHANGE_SAME;
}

const struct change_kind change_put_key = {
    .what = "make the access key",
    .build = build_put_key,
    .look = look_put_key,
};

static int build_delete_key(struct controller_core *c, struct core_request *r)
{
    const struct access_key *k = access_key_find(c, r->key_id);
    char key[KEYS_MAX];

    r->based_on = key_revision(c, r->key_id);
    if (r->based_on == 0 || (k != NULL && strcmp(k->namespace_, r->key_namespace) != 0)) {
        return request_refuse(r, CAUSE_NOT_FOUND, "namespace %s has no access key %s",
                              r->key_namespace, r->key_id);
    }
    keys_access_key(r->key_id, key);
    change_compare(&r->change, key, r->based_on);
    change_delete(&r->change, key);
    return change_built(r);
}

static enum change_seen look_delete_key(const struct controller_core *c,
                                        const struct core_request *r)
{
    int64_t now = key_revision(c, r->key_id);

    return now == 0 ? CHANGE_SHOWN : now != r->based_on ? CHANGE_MOVED : CHANGE_SAME;
}

const struct change_kind change_delete_key = {
    .what = "delete the access key",
    .build = build_delete_key,
    .look = look_delete_key,
};

/* --- attributes ------------------------------------------------------------------- */

/* r->attribute (its name) becomes r->ordered; NULL removes it. */
static int build_attribute(struct controller_core *c, struct core_request *r)
{
    const struct core_function *f = r->f;
    struct record next = {0};
    char key[KEYS_MAX], *text;

    if (!f->present) {
        return request_refuse(r, CAUSE_NOT_FOUND, "there is no function %s/%s",
                              f->ns->name, f->name);
    }
    if (r->if_revision != 0 && r->if_revision != (uint64_t)f->mod_revision) {
        return request_refuse(
            r, CAUSE_CONFLICT,
            "function %s/%s was changed meanwhile: its revision is %lld", f->ns->name,
            f->name, (long long)f->mod_revision);
    }
    if (record_copy(&next, &f->record) < 0 ||
        record_set_attribute(&next, r->attribute, r->ordered) < 0) {
        record_free(&next);
        return request_refuse(r, CAUSE_INTERNAL, "out of memory");
    }
    r->based_on = f->mod_revision;
    keys_function(f, key);
    change_compare(&r->change, key, r->based_on);
    text = record_format(&next);
    record_free(&next);
    if (text != NULL && strlen(text) > RECORD_VALUE_MAX) {
        free(text);
        return request_refuse(r, CAUSE_CONFLICT,
                              "function %s/%s would have more kept with it than there is "
                              "room for, %d bytes",
                              f->ns->name, f->name, RECORD_VALUE_MAX);
    }
    change_put(&r->change, key, text);
    return change_built(r);
}

static enum change_seen look_attribute(const struct controller_core *c,
                                       const struct core_request *r)
{
    const struct core_function *f = r->f;
    const json_t *now;

    if (f->present && f->mod_revision == r->based_on) {
        return CHANGE_SAME;
    }
    now = f->present ? json_object_get(f->record.attributes, r->attribute) : NULL;
    if (f->present && (r->ordered == NULL ? now == NULL : json_equal(now, r->ordered))) {
        return CHANGE_SHOWN;
    }
    return CHANGE_MOVED;
}

const struct change_kind change_attribute = {
    .what = "change the function",
    .build = build_attribute,
    .look = look_attribute,
};
