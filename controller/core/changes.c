#include "controller/core/changes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "controller/core/keys.h"
#include "controller/core/layers.h"
#include "controller/core/registry.h"
#include "controller/core/requests.h"
#include "controller/core/rollouts.h"
#include "controller/core/scheduler.h"
#include "controller/core/traffic.h"

/* --- building --------------------------------------------------------------------- */

void change_compare(struct change *ch, const char *key, int64_t mod_revision)
{
    char *copy = strdup(key);

    CHECK(ch->n_compares < CHANGE_COMPARES);
    ch->broken = ch->broken || copy == NULL;
    ch->compares[ch->n_compares++] =
        (struct core_compare){.key = copy, .mod_revision = mod_revision};
}

void change_op(struct change *ch, const char *key, char *value)
{
    char *copy = strdup(key);

    if (ch->ops == NULL) {
        ch->ops = calloc(CORE_STORE_OP_MAX, sizeof(*ch->ops));
    }
    if (ch->ops == NULL || copy == NULL) {
        free(copy);
        free(value);
        ch->broken = true;
        return;
    }
    CHECK(ch->n_ops < CORE_STORE_OP_MAX);
    ch->ops[ch->n_ops++] = (struct core_op){.key = copy, .value = value};
}

/* value: a JSON text, from now on the change's; NULL: there was no memory for it. */
void change_put(struct change *ch, const char *key, char *value)
{
    if (value == NULL) {
        ch->broken = true;
        return;
    }
    change_op(ch, key, value);
}

void change_put_json(struct change *ch, const char *key, json_t *json)
{
    change_put(ch, key, json != NULL ? json_dumps(json, JSON_COMPACT) : NULL);
    json_decref(json);
}

void change_delete(struct change *ch, const char *key)
{
    change_op(ch, key, NULL);
}

void change_free(struct change *ch)
{
    for (size_t i = 0; i < ch->n_compares; i++) {
        free((void *)(uintptr_t)ch->compares[i].key);
    }
    for (size_t i = 0; i < ch->n_ops; i++) {
        free((void *)(uintptr_t)ch->ops[i].key);
        free((void *)(uintptr_t)ch->ops[i].value);
    }
    free(ch->ops);
    *ch = (struct change){0};
}

int change_built(struct core_request *r)
{
    if (r->change.broken) {
        return request_refuse(r, CAUSE_INTERNAL, "out of memory");
    }
    return 0;
}

void change_now(const struct controller_core *c, char ret[CLOCK_RFC3339_SIZE])
{
    clock_rfc3339(c->io.wall_ms(c->io.ctx), ret);
}

/* --- functions -------------------------------------------------------------------- */

int change_check_revision(struct core_request *r)
{
    const struct core_function *f = r->f;

    if (r->if_revision == CORE_ABSENT && f->present) {
        return request_refuse(r, CAUSE_CONFLICT, "function %s/%s is there already",
                              f->ns->name, f->name);
    }
    if (r->if_revision == 0 || r->if_revision == CORE_ABSENT ||
        (f->present && r->if_revision == (uint64_t)f->mod_revision)) {
        return 0;
    }
    if (!f->present) {
        return request_refuse(r, CAUSE_CONFLICT, "function %s/%s is not there any more",
                              f->ns->name, f->name);
    }
    return request_refuse(r, CAUSE_CONFLICT,
                          "function %s/%s has revision %llu, not %llu: it was changed "
                          "meanwhile",
                          f->ns->name, f->name, (unsigned long long)f->mod_revision,
                          (unsigned long long)r->if_revision);
}

static int check_put(struct controller_core *c, struct core_request *r)
{
    const struct core_function *f = r->f;
    const struct core_body *latest;
    char key[KEYS_MAX];
    struct error err;

    if (!f->ns->present) {
        return request_refuse(
            r, CAUSE_NOT_FOUND,
            "there is no namespace %s; `mayfly namespaces create %s` makes it",
            f->ns->name, f->ns->name);
    }
    keys_function(f, key);
    if (registry_damaged_revision(c, key) != 0) {
        return request_refuse(
            r, CAUSE_INTERNAL,
            "the store's record of function %s/%s cannot be read; delete "
            "the function, then deploy it again",
            f->ns->name, f->name);
    }
    if (f->record.latest >= RECORD_NUMBER_MAX) {
        return request_refuse(r, CAUSE_INTERNAL, "all version numbers are used up");
    }
    latest = registry_body(f, f->record.latest);
    if (layers_resolve(c, f->ns->name, &r->spec, latest != NULL ? &latest->spec : NULL,
                       &err) < 0) {
        r->field = "spec.layers";
        return request_refuse(r, CAUSE_NOT_FOUND, "%s", err.text);
    }
    return change_check_revision(r);
}

/* The record with one version more, and the deletion of those that this is one too many
 * for. */
static void add_version(struct core_request *r, struct record *next)
{
    uint64_t dropped[CORE_STORE_OP_MAX - 2];
    char key[KEYS_MAX];
    size_t n = record_trim(next, CORE_VERSIONS_MAX, dropped,
                           sizeof(dropped) / sizeof(dropped[0]));

    keys_function(r->f, key);
    change_put(&r->change, key, record_format(next));
    for (size_t i = 0; i < n; i++) {
        keys_version(r->f, dropped[i], key);
        change_op(&r->change, key, NULL);
    }
}

/* What was published last is not published again: the number stays. */
static int publish_new(const struct core_request *r, struct record *next,
                       struct traffic_error *err)
{
    const struct core_body *last =
        registry_body(r->f, traffic_published_last(&r->f->record));

    return r->f->present && last != NULL && last->value_hash == r->body_hash
               ? 0
               : traffic_publish_latest(next, r->edit->description, err);
}

/* What comes with the deployment. */
static int add_edit(struct core_request *r, struct record *next)
{
    struct traffic_error err = {.cause = CAUSE_NONE};

    if (r->edit == NULL) {
        return 0;
    }
    if (r->edit->publish) {
        return publish_new(r, next, &err) == 0
                   ? 0
                   : request_refuse(r, err.cause, "%s", err.text);
    }
    return rollout_plan_set(next, &r->edit->plan, r->stamp) == 0
               ? 0
               : request_refuse(r, CAUSE_INTERNAL, "out of memory");
}

static int build_put_function(struct controller_core *c, struct core_request *r)
{
    struct core_function *f = r->f;
    char key[KEYS_MAX];
    struct record next = {0};
    _cleanup_free_ char *body = NULL;

    if (check_put(c, r) < 0) {
        return -1;
    }
    change_now(c, r->stamp);
    body = record_body_format(&r->spec, &r->package);
    r->body_hash = body != NULL ? keymap_hash(c->seed, body, strlen(body)) : 0;
    if (body == NULL || (f->present && record_copy(&next, &f->record) < 0) ||
        record_add_version(&next, r->stamp) < 0) {
        record_free(&next);
        return request_refuse(r, CAUSE_INTERNAL, "out of memory");
    }
    if (add_edit(r, &next) < 0) {
        record_free(&next);
        return -1;
    }
    r->created = !f->present;
    r->number = next.latest;
    r->based_on = f->present ? f->mod_revision : 0;
    r->namespace_based_on = f->ns->mod_revision;
    keys_function(f, key);
    change_compare(&r->change, key, r->based_on);
    keys_namespace(f->ns->name, key);
    change_compare(&r->change, key, r->namespace_based_on);
    add_version(r, &next);
    record_free(&next);
    keys_version(f, r->number, key);
    change_put(&r->change, key, steal(body));
    return change_built(r);
}

/* Ours is the version with this number, this time and these contents. */
static enum change_seen look_put_function(const struct controller_core *c,
                                          const struct core_request *r)
{
    const struct core_function *f = r->f;
    const struct record_version *v =
        f->present ? record_find(&f->record, r->number) : NULL;
    const struct core_body *body = registry_body(f, r->number);
    int64_t now = f->present ? f->mod_revision : 0;

    if (now == r->based_on) {
        return f->ns->mod_revision != r->namespace_based_on ? CHANGE_MOVED : CHANGE_SAME;
    }
    if (v != NULL && strcmp(v->created_at, r->stamp) == 0 && body != NULL &&
        body->value_hash == r->body_hash) {
        return CHANGE_SHOWN;
    }
    return CHANGE_MOVED;
}

const struct change_kind change_put_function = {
    .what = "deploy",
    .build = build_put_function,
    .look = look_put_function,
};

static int64_t function_revision(const struct controller_core *c,
                                 const struct core_function *f)
{
    char key[KEYS_MAX];

    keys_function(f, key);
    return f->present ? f->mod_revision : registry_damaged_revision(c, key);
}

static int build_delete_function(struct controller_core *c, struct core_request *r)
{
    const struct core_function *f = r->f;
    char key[KEYS_MAX];

    r->based_on = function_revision(c, f);
    if (r->based_on == 0) {
        return request_refuse(r, CAUSE_NOT_FOUND, "there is no function %s/%s",
                              f->ns->name, f->name);
    }
    if (change_check_revision(r) < 0) {
        return -1;
    }
    memcpy(r->stamp, f->record.created_at, sizeof(r->stamp));
    keys_function(f, key);
    change_compare(&r->change, key, r->based_on);
    change_op(&r->change, key, NULL);
    LIST_FOREACH(it, &f->bodies)
    {
        if (r->change.n_ops == CORE_STORE_OP_MAX || r->change.broken) {
            break; /* of a damaged function there may be more; they do no harm */
        }
        keys_version(f, container_of(it, struct core_body, link)->number, key);
        change_op(&r->change, key, NULL);
    }
    return change_built(r);
}

static enum change_seen look_delete_function(const struct controller_core *c,
                                             const struct core_request *r)
{
    const struct core_function *f = r->f;
    int64_t now = function_revision(c, f);

    if (now == 0 || (f->present && strcmp(f->record.created_at, r->stamp) != 0)) {
        return CHANGE_SHOWN;
    }
    return now != r->based_on ? CHANGE_MOVED : CHANGE_SAME;
}

const struct change_kind change_delete_function = {
    .what = "delete the function",
    .build = build_delete_function,
    .look = look_delete_function,
};

/* --- outcomes --------------------------------------------------------------------- */

static int build_decide(struct controller_core *c, struct core_request *r)
{
    const struct core_function *f = r->f;
    const struct core_target *t = f->candidate;
    const struct record_version *v = f->present ? record_candidate(&f->record) : NULL;
    char key[KEYS_MAX];
    struct record next;
    bool ready;

    if (v == NULL || t == NULL || t->number != v->number || t->proof == PROOF_WANTED) {
        return request_refuse(r, CAUSE_NONE, "%s", ""); /* nothing to decide any more */
    }
    ready = t->proof == PROOF_READY;
    r->number = t->number;
    r->based_on = f->mod_revision;
    change_now(c, r->stamp);
    if (record_copy(&next, &f->record) < 0) {
        return request_refuse(r, CAUSE_INTERNAL, "out of memory");
    }
    if (record_decide(&next, t->number, ready, ready ? CAUSE_NONE : t->cause,
                      ready ? "" : t->text, r->stamp) < 0) {
        r->change.broken = true;
    }
    keys_function(f, key);
    change_compare(&r->change, key, r->based_on);
    change_put(&r->change, key, record_format(&next));
    record_free(&next);
    return change_built(r);
}

static enum change_seen look_decide(const struct controller_core *c,
                                    const struct core_request *r)
{
    const struct core_function *f = r->f;
    const struct record_version *v =
        f->present ? record_find(&f->record, r->number) : NULL;

    if (v == NULL || v->state != RECORD_DEPLOYING) {
        return CHANGE_SHOWN;
    }
    return f->mod_revision != r->based_on ? CHANGE_MOVED : CHANGE_SAME;
}

static void over_decide(struct controller_core *c, struct core_request *r)
{
    scheduler_decided(c, r->f, r->cause == CAUSE_NONE);
}

const struct change_kind change_decide = {
    .what = "record how the deployment ended",
    .build = build_decide,
    .look = look_decide,
    .over = over_decide,
};
