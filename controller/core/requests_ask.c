/* Requests: the doors, by which they are asked for; what the core asks of itself; and
 * those who only wait for a version. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/node_order.h"
#include "controller/core/registry.h"
#include "controller/core/requests.h"
#include "controller/core/rollout.h"
#include "controller/core/scheduler.h"

#define NO_MEMORY_MS 1000 /* out of memory: another try */

/* --- asking ----------------------------------------------------------------------- */

void request_reply_now(core_reply_cb cb, void *data, enum cause cause, const char *text,
                       const char *field)
{
    struct core_reply reply = {.cause = cause, .text = text, .field = field};

    cb(data, &reply);
}

/* What keeps any request from being taken up; false after it was answered. */
bool request_may_ask(struct controller_core *c, core_reply_cb cb, void *data)
{
    if (c->epoch == 0) {
        request_reply_now(cb, data, CAUSE_STORE_UNAVAILABLE,
                          "the controller is starting: it has not read the store yet",
                          NULL);
        return false;
    }
    if (c->n_requests >= REQUESTS_MAX) {
        request_reply_now(cb, data, CAUSE_THROTTLED, "too many requests are waiting",
                          NULL);
        return false;
    }
    return true;
}

bool request_name_ok(const char *name, const char *field, core_reply_cb cb, void *data)
{
    if (spec_name_valid(name)) {
        return true;
    }
    request_reply_now(
        cb, data, CAUSE_BAD_REQUEST,
        "a name has 1 to 63 of a-z, 0-9 and -, and neither begins nor ends with -",
        field);
    return false;
}

static void ask_namespace(struct controller_core *c, const struct change_kind *kind,
                          const char *name, core_reply_cb cb, void *data)
{
    struct core_request *r;

    if (!request_may_ask(c, cb, data) || !request_name_ok(name, "namespace", cb, data)) {
        return;
    }
    if (c->n_namespace_queue >= NAMESPACE_QUEUE_MAX) {
        request_reply_now(cb, data, CAUSE_THROTTLED,
                          "too many changes of namespaces wait", NULL);
        return;
    }
    r = core_request_new(kind, cb, data);
    if (r == NULL) {
        request_reply_now(cb, data, CAUSE_INTERNAL, "out of memory", NULL);
        return;
    }
    (void)snprintf(r->name, sizeof(r->name), "%s", name);
    core_request_enqueue(c, r);
}

void requests_put_namespace(struct controller_core *c, const char *name, core_reply_cb cb,
                            void *data)
{
    ask_namespace(c, &change_put_namespace, name, cb, data);
}

void requests_delete_namespace(struct controller_core *c, const char *name,
                               core_reply_cb cb, void *data)
{
    ask_namespace(c, &change_delete_namespace, name, cb, data);
}

void requests_order_node(struct controller_core *c, const char *name, const char *state,
                         const json_t *labels, core_reply_cb cb, void *data)
{
    int wanted = state != NULL ? node_order_state_parse(state) : -1;
    struct core_request *r;
    struct error err;

    if (!request_may_ask(c, cb, data)) {
        return;
    }
    if (state != NULL && wanted < 0) {
        request_reply_now(cb, data, CAUSE_BAD_REQUEST,
                          "a node can be ready, cordoned or draining", "state");
        return;
    }
    if (labels != NULL && node_order_check_labels(labels, &err) < 0) {
        request_reply_now(cb, data, CAUSE_BAD_REQUEST, err.text, "labels");
        return;
    }
    if (strlen(name) > SPEC_NODE_MAX) {
        request_reply_now(cb, data, CAUSE_NOT_FOUND, "there is no node of that name",
                          NULL);
        return;
    }
    if (c->n_namespace_queue >= NAMESPACE_QUEUE_MAX) {
        request_reply_now(cb, data, CAUSE_THROTTLED, "too many changes wait", NULL);
        return;
    }
    r = core_request_new(&change_order_node, cb, data);
    if (r != NULL && labels != NULL) {
        r->order_labels = json_deep_copy(labels);
    }
    if (r == NULL || (labels != NULL && r->order_labels == NULL)) {
        if (r != NULL) {
            core_request_free(r);
        }
        request_reply_now(cb, data, CAUSE_INTERNAL, "out of memory", NULL);
        return;
    }
    r->order_state = wanted;
    (void)snprintf(r->name, sizeof(r->name), "%s", name);
    core_request_enqueue(c, r);
}

static struct core_edit *copy_edit(const struct core_edit *edit)
{
    struct core_edit *copy = calloc(1, sizeof(*copy));

    if (copy == NULL) {
        return NULL;
    }
    *copy = *edit;
    if (edit->description != NULL &&
        (copy->description = strdup(edit->description)) == NULL) {
        free(copy);
        return NULL;
    }
    return copy;
}

/* What a change of a function may bring with it. */
struct asked {
    const struct function_spec *spec;
    const struct package_ref *package;
    const struct core_edit *edit;
    uint64_t number, if_revision;
};

static bool take_asked(struct core_request *r, const struct asked *asked)
{
    r->number = asked->number;
    r->if_revision = asked->if_revision;
    if (asked->package != NULL) {
        r->package = *asked->package;
    }
    if (asked->edit != NULL && (r->edit = copy_edit(asked->edit)) == NULL) {
        return false;
    }
    return asked->spec == NULL || function_spec_copy(&r->spec, asked->spec) == 0;
}

static void ask_function(struct controller_core *c, const struct change_kind *kind,
                         const char *namespace_, const char *name,
                         const struct asked *asked, core_reply_cb cb, void *data)
{
    struct core_request *r;
    struct core_function *f;

    if (!request_may_ask(c, cb, data) ||
        !request_name_ok(namespace_, "namespace", cb, data) ||
        !request_name_ok(name, "name", cb, data)) {
        return;
    }
    f = registry_want_function(c, namespace_, name);
    if (f != NULL && f->n_queue >= REQUEST_QUEUE_MAX) {
        request_reply_now(cb, data, CAUSE_THROTTLED,
                          "too many changes of this function wait for each other", NULL);
        return;
    }
    r = f != NULL ? core_request_new(kind, cb, data) : NULL;
    if (r == NULL || !take_asked(r, asked)) {
        if (r != NULL) {
            core_request_free(r);
        }
        if (f != NULL) {
            scheduler_touch(c, f);
        }
        request_reply_now(cb, data, CAUSE_INTERNAL, "out of memory", NULL);
        return;
    }
    r->f = f;
    core_request_enqueue(c, r);
}

void requests_put_function(struct controller_core *c, const char *namespace_,
                           const char *name, const struct function_spec *spec,
                           const struct package_ref *package, uint64_t if_revision,
                           core_reply_cb cb, void *data)
{
    ask_function(
        c, &change_put_function, namespace_, name,
        &(struct asked){.spec = spec, .package = package, .if_revision = if_revision}, cb,
        data);
}

void requests_delete_function(struct controller_core *c, const char *namespace_,
                              const char *name, uint64_t if_revision, core_reply_cb cb,
                              void *data)
{
    ask_function(c, &change_delete_function, namespace_, name,
                 &(struct asked){.if_revision = if_revision}, cb, data);
}

void requests_roll_out(struct controller_core *c, const char *namespace_,
                       const char *name, const struct function_spec *spec,
                       const struct package_ref *package, const struct rollout_plan *plan,
                       uint64_t if_revision, core_reply_cb cb, void *data)
{
    struct core_edit edit = {.plan = *plan};

    ask_function(
        c, &change_put_function, namespace_, name,
        &(struct asked){
            .spec = spec, .package = package, .edit = &edit, .if_revision = if_revision},
        cb, data);
}

void requests_put_published(struct controller_core *c, const char *namespace_,
                            const char *name, const struct function_spec *spec,
                            const struct package_ref *package, const char *description,
                            uint64_t if_revision, core_reply_cb cb, void *data)
{
    struct core_edit edit = {.publish = true,
                             .description = (char *)(uintptr_t)description};

    ask_function(
        c, &change_put_function, namespace_, name,
        &(struct asked){
            .spec = spec, .package = package, .edit = &edit, .if_revision = if_revision},
        cb, data);
}

void requests_edit(struct controller_core *c, const struct change_kind *kind,
                   const char *namespace_, const char *name, uint64_t number,
                   const struct core_edit *edit, uint64_t if_revision, core_reply_cb cb,
                   void *data)
{
    static const struct core_edit none;

    ask_function(c, kind, namespace_, name,
                 &(struct asked){.edit = edit != NULL ? edit : &none,
                                 .number = number,
                                 .if_revision = if_revision},
                 cb, data);
}

void requests_set_attribute(struct controller_core *c, const char *namespace_,
                            const char *name, const char *attribute, const json_t *value,
                            uint64_t if_revision, core_reply_cb cb, void *data)
{
    struct core_function *f;
    struct core_request *r;

    if (!request_may_ask(c, cb, data)) {
        return;
    }
    f = registry_function(c, namespace_, name);
    if (f == NULL || !f->present) {
        request_reply_now(cb, data, CAUSE_NOT_FOUND, "there is no such function", NULL);
        return;
    }
    if (f->n_queue >= REQUEST_QUEUE_MAX) {
        request_reply_now(cb, data, CAUSE_THROTTLED,
                          "too many changes of this function wait for each other", NULL);
        return;
    }
    r = core_request_new(&change_attribute, cb, data);
    if (r != NULL && value != NULL) {
        r->ordered = json_deep_copy(value);
    }
    if (r == NULL || (value != NULL && r->ordered == NULL)) {
        if (r != NULL) {
            core_request_free(r);
        }
        request_reply_now(cb, data, CAUSE_INTERNAL, "out of memory", NULL);
        return;
    }
    r->f = f;
    r->if_revision = if_revision;
    (void)snprintf(r->attribute, sizeof(r->attribute), "%s", attribute);
    core_request_enqueue(c, r);
}

/* --- the core's own --------------------------------------------------------------- */

void requests_take_epoch(struct controller_core *c)
{
    struct core_request *r;

    if (c->epoch != 0 || !list_empty(&c->namespace_queue)) {
        return;
    }
    r = core_request_new(&change_epoch, NULL, NULL);
    if (r != NULL) {
        core_request_enqueue(c, r);
    } else {
        alarms_set(&c->alarms, &c->epoch_alarm, core_now_ms(c) + NO_MEMORY_MS);
    }
}

void requests_decide(struct controller_core *c, struct core_function *f)
{
    struct core_request *r = core_request_new(&change_decide, NULL, NULL);

    if (r == NULL) {
        scheduler_decided(c, f, false);
        return;
    }
    r->f = f;
    core_request_enqueue(c, r);
}

void requests_move_rollout(struct controller_core *c, struct core_function *f,
                           const struct core_edit *edit)
{
    struct core_request *r = core_request_new(&change_rollout, NULL, NULL);

    if (r != NULL && (r->edit = copy_edit(edit)) == NULL) {
        core_request_free(r);
        r = NULL;
    }
    if (r == NULL) {
        rollout_moved(c, f, false);
        return;
    }
    r->f = f;
    r->number = f->watch.version;
    core_request_enqueue(c, r);
}

void requests_heal_namespace(struct controller_core *c, const char *name)
{
    struct core_request *r;

    LIST_FOREACH(it, &c->namespace_queue)
    {
        r = container_of(it, struct core_request, link);
        if (r->kind == &change_put_namespace && strcmp(r->name, name) == 0) {
            return; /* it is being made */
        }
    }
    r = c->n_namespace_queue < NAMESPACE_QUEUE_MAX
            ? core_request_new(&change_put_namespace, NULL, NULL)
            : NULL;
    if (r != NULL) { /* else: the scheduler asks again */
        (void)snprintf(r->name, sizeof(r->name), "%s", name);
        core_request_enqueue(c, r);
    }
}

/* --- waiting for a version -------------------------------------------------------- */

/* Whether there is an answer; it is in r then. */
static bool version_decided(const struct core_function *f, struct core_request *r)
{
    const struct record_version *v =
        f->present ? record_find(&f->record, r->number) : NULL;

    if (v == NULL) {
        (void)request_refuse(r, CAUSE_NOT_FOUND, "function %s/%s has no version %llu",
                             f->ns->name, f->name, (unsigned long long)r->number);
        return true;
    }
    (void)request_refuse(r, CAUSE_NONE, "%s", "");
    return v->state != RECORD_DEPLOYING;
}

void requests_wait_version(struct controller_core *c, const char *namespace_,
                           const char *name, uint64_t number, uint64_t wait_ms,
                           core_reply_cb cb, void *data)
{
    struct core_function *f = registry_function(c, namespace_, name);
    struct core_request *r;

    if (!request_may_ask(c, cb, data)) {
        return;
    }
    if (f == NULL) {
        request_reply_now(cb, data, CAUSE_NOT_FOUND, "there is no such function", NULL);
        return;
    }
    r = core_request_new(NULL, cb, data);
    if (r == NULL) {
        request_reply_now(cb, data, CAUSE_INTERNAL, "out of memory", NULL);
        return;
    }
    r->f = f;
    r->number = number;
    core_request_admit(c, r,
                       wait_ms < REQUEST_WAIT_MAX_MS ? wait_ms : REQUEST_WAIT_MAX_MS);
    list_push_back(&f->waits, &r->link);
    if (version_decided(f, r) || wait_ms == 0) {
        core_request_answer(c, r);
    }
}

void requests_answer_waits(struct controller_core *c, struct core_function *f)
{
    LIST_FOREACH_SAFE(it, &f->waits)
    {
        struct core_request *r = container_of(it, struct core_request, link);

        if (version_decided(f, r)) {
            core_request_answer(c, r);
        }
    }
}
