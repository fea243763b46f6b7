/* Edits: changes that only touch a function's record. Each names itself in the record
 * (`edit`), by which it is known again when nobody can say whether it was made. */
#include <string.h>

#include "controller/core/changes.h"
#include "controller/core/keys.h"
#include "controller/core/registry.h"
#include "controller/core/requests.h"
#include "controller/core/rollout.h"
#include "controller/core/rollouts.h"
#include "controller/core/traffic.h"

/* 0: *next is changed; 1: there is nothing to change; -1: *err says why not. */
typedef int (*apply_fn)(struct controller_core *c, struct core_request *r,
                        struct record *next, struct traffic_error *err);

static int write_record(struct controller_core *c, struct core_request *r,
                        struct record *next)
{
    char key[KEYS_MAX];

    r->edit->id = c->io.random(c->io.ctx) % (RECORD_NUMBER_MAX - 1) + 1;
    next->edit = r->edit->id;
    r->based_on = r->f->mod_revision;
    keys_function(r->f, key);
    change_compare(&r->change, key, r->based_on);
    change_put(&r->change, key, record_format(next));
    return change_built(r);
}

static int build(struct controller_core *c, struct core_request *r, apply_fn apply)
{
    struct core_function *f = r->f;
    struct traffic_error err = {.cause = CAUSE_NONE};
    struct record next;
    int rc;

    if (!f->present) {
        return request_refuse(r, CAUSE_NOT_FOUND, "there is no function %s/%s",
                              f->ns->name, f->name);
    }
    if (change_check_revision(r) < 0) {
        return -1;
    }
    if (record_copy(&next, &f->record) < 0) {
        return request_refuse(r, CAUSE_INTERNAL, "out of memory");
    }
    change_now(c, r->stamp);
    rc = apply(c, r, &next, &err);
    if (rc == 0) {
        rc = write_record(c, r, &next);
    } else {
        r->field = err.field;
        rc = request_refuse(r, err.cause, "%s", err.text); /* CAUSE_NONE: nothing to do */
    }
    record_free(&next);
    return rc;
}

static enum change_seen look(const struct controller_core *c,
                             const struct core_request *r)
{
    const struct core_function *f = r->f;

    if (f->present && f->mod_revision == r->based_on) {
        return CHANGE_SAME;
    }
    return f->present && f->record.edit == r->edit->id ? CHANGE_SHOWN : CHANGE_MOVED;
}

/* --- publishing ------------------------------------------------------------------- */

/* The version that was published last, if it is the same in all that makes a version. */
static uint64_t same_as(const struct core_function *f, uint64_t number)
{
    uint64_t last = traffic_published_last(&f->record);
    const struct core_body *a = registry_body(f, number);
    const struct core_body *b = registry_body(f, last);

    return a != NULL && b != NULL && a->value_hash == b->value_hash ? last : 0;
}

static int apply_publish(struct controller_core *c, struct core_request *r,
                         struct record *next, struct traffic_error *err)
{
    uint64_t number = r->number != 0 ? r->number : next->latest;

    if (traffic_publish(next, number, same_as(r->f, number), r->edit->description,
                        r->stamp, &number, &r->created, err) < 0) {
        return -1;
    }
    r->number = number;
    return r->created ? 0 : 1;
}

static int build_publish(struct controller_core *c, struct core_request *r)
{
    return build(c, r, apply_publish);
}

const struct change_kind change_publish = {
    .what = "publish the version", .build = build_publish, .look = look};

static int apply_delete_version(struct controller_core *c, struct core_request *r,
                                struct record *next, struct traffic_error *err)
{
    char key[KEYS_MAX];
    bool gone;

    if (traffic_delete_version(next, r->number, &gone, err) < 0) {
        return -1;
    }
    if (gone) {
        keys_version(r->f, r->number, key);
        change_op(&r->change, key, NULL);
    }
    return 0;
}

static int build_delete_version(struct controller_core *c, struct core_request *r)
{
    return build(c, r, apply_delete_version);
}

const struct change_kind change_delete_version = {
    .what = "delete the version", .build = build_delete_version, .look = look};

/* --- aliases ---------------------------------------------------------------------- */

static int apply_put_alias(struct controller_core *c, struct core_request *r,
                           struct record *next, struct traffic_error *err)
{
    const struct core_edit *e = r->edit;

    return traffic_set_alias(next, e->alias, e->weights, e->n_weights, e->description,
                             r->stamp, &r->created, err);
}

static int build_put_alias(struct controller_core *c, struct core_request *r)
{
    return build(c, r, apply_put_alias);
}

const struct change_kind change_put_alias = {
    .what = "set the alias", .build = build_put_alias, .look = look};

static int apply_delete_alias(struct controller_core *c, struct core_request *r,
                              struct record *next, struct traffic_error *err)
{
    return traffic_delete_alias(next, r->edit->alias, err);
}

static int build_delete_alias(struct controller_core *c, struct core_request *r)
{
    return build(c, r, apply_delete_alias);
}

const struct change_kind change_delete_alias = {
    .what = "delete the alias", .build = build_delete_alias, .look = look};

/* --- rollback and rollouts -------------------------------------------------------- */

static int apply_rollback(struct controller_core *c, struct core_request *r,
                          struct record *next, struct traffic_error *err)
{
    if (r->number == 0) { /* once: a second try means the same version */
        r->number = traffic_rollback_to(next);
    }
    if (r->number == 0) {
        return traffic_refuse(err, CAUSE_CONFLICT, "to",
                              "no version that was ready served before this one; name "
                              "one with --to, `mayfly versions` has them");
    }
    return traffic_rollback(next, r->number, r->stamp, err);
}

static int build_rollback(struct controller_core *c, struct core_request *r)
{
    return build(c, r, apply_rollback);
}

const struct change_kind change_rollback = {
    .what = "roll back", .build = build_rollback, .look = look};

static int apply_rollout(struct controller_core *c, struct core_request *r,
                         struct record *next, struct traffic_error *err)
{
    const struct record_rollout *o = rollout_running(next);
    const struct core_edit *e = r->edit;

    if (o == NULL || o->version != r->number || o->step != e->step) {
        return 1; /* somebody ended it, or it has moved already */
    }
    if ((e->back ? rollout_go_back(next, e->text, r->stamp)
                 : rollout_advance(next, e->text, r->stamp)) < 0) {
        return traffic_refuse(err, CAUSE_INTERNAL, NULL, "out of memory");
    }
    return 0;
}

static int build_rollout(struct controller_core *c, struct core_request *r)
{
    return build(c, r, apply_rollout);
}

static void over_rollout(struct controller_core *c, struct core_request *r)
{
    rollout_moved(c, r->f, r->cause == CAUSE_NONE);
}

const struct change_kind change_rollout = {.what = "move the rollout",
                                           .build = build_rollout,
                                           .look = look,
                                           .over = over_rollout};
