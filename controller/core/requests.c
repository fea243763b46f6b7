#include "controller/core/requests.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/node_order.h"
#include "controller/core/registry.h"
#include "controller/core/scheduler.h"

#define ATTEMPTS_MAX 16 /* of one change that others' changes come before */
#define PAUSE_MIN_MS 20
#define PAUSE_MAX_MS 1000

static void start(struct controller_core *c, struct core_request *r);
static void look(struct controller_core *c, struct core_request *r);
static void pause_alarm(struct controller_core *c, struct alarm *a);
static void limit_alarm(struct controller_core *c, struct alarm *a);

static void epoch_alarm(struct controller_core *c, struct alarm *a)
{
    requests_take_epoch(c);
}

int requests_init(struct controller_core *c)
{
    list_init(&c->requests);
    list_init(&c->active);
    list_init(&c->namespace_queue);
    list_init(&c->replies);
    c->epoch_alarm.fire = epoch_alarm;
    c->epoch_backoff = (struct backoff){.min_ms = 200, .max_ms = 10000};
    return keymap_init(&c->requests_by_id);
}

/* --- one request's life ----------------------------------------------------------- */

static struct core_request *request_new(const struct change_kind *kind, core_reply_cb cb,
                                        void *data)
{
    struct core_request *r = calloc(1, sizeof(*r));

    if (r != NULL) {
        r->kind = kind;
        r->cb = cb;
        r->data = data;
        function_spec_init(&r->spec);
        r->backoff = (struct backoff){.min_ms = PAUSE_MIN_MS, .max_ms = PAUSE_MAX_MS};
        r->pause.fire = pause_alarm;
        r->limit.fire = limit_alarm;
        list_init(&r->all);
        list_init(&r->link);
        list_init(&r->active);
    }
    return r;
}

static void request_free(struct core_request *r)
{
    change_free(&r->change);
    function_spec_free(&r->spec);
    json_decref(r->order_labels);
    json_decref(r->ordered);
    free(r);
}

static void forget_txn(struct controller_core *c, struct core_request *r)
{
    if (r->id != 0) {
        keymap_remove(&c->requests_by_id, &r->by_id);
        r->id = 0;
    }
}

static struct list *queue_of(struct controller_core *c, const struct core_request *r)
{
    return r->f != NULL ? &r->f->queue : &c->namespace_queue;
}

static size_t *queue_length(struct controller_core *c, const struct core_request *r)
{
    return r->f != NULL ? &r->f->n_queue : &c->n_namespace_queue;
}

/* Starts the first one of the queue; one that is answered at once makes way. */
static void kick(struct controller_core *c, struct list *queue)
{
    while (!list_empty(queue)) {
        struct core_request *r = container_of(queue->next, struct core_request, link);

        if (r->state != REQUEST_QUEUED) {
            return;
        }
        start(c, r);
    }
}

int request_refuse(struct core_request *r, enum cause cause, const char *fmt, ...)
{
    va_list ap;

    r->cause = cause;
    va_start(ap, fmt);
    (void)vsnprintf(r->text, sizeof(r->text), fmt, ap);
    va_end(ap);
    return -1;
}

/* The request is over, as r->cause and r->text say; whoever waits hears of it when the
 * door is left. */
static void answer(struct controller_core *c, struct core_request *r)
{
    CHECK(r->state != REQUEST_ANSWERED);
    forget_txn(c, r);
    alarms_clear(&c->alarms, &r->pause);
    alarms_clear(&c->alarms, &r->limit);
    list_remove(&r->active);
    list_remove(&r->link);
    r->state = REQUEST_ANSWERED;
    list_push_back(&c->replies, &r->link);
    if (r->kind == NULL) {
        return;
    }
    --*queue_length(c, r);
    if (r->kind->over != NULL) {
        r->kind->over(c, r);
    }
    if (r->f != NULL && !r->f->present) {
        scheduler_touch(c, r->f); /* nothing may need it any more */
    }
}

static void answer_and_kick(struct controller_core *c, struct core_request *r)
{
    struct list *queue = queue_of(c, r);

    answer(c, r);
    kick(c, queue);
}

void requests_deliver(struct controller_core *c)
{
    while (!list_empty(&c->replies)) {
        struct core_request *r = container_of(c->replies.next, struct core_request, link);
        struct core_reply reply = {.cause = r->cause,
                                   .text = r->text,
                                   .field = r->field,
                                   .created = r->created,
                                   .version = r->number};

        list_remove(&r->link);
        list_remove(&r->all);
        c->n_requests--;
        if (r->cb != NULL) {
            r->cb(r->data, &reply);
        }
        request_free(r);
    }
}

/* --- transactions ----------------------------------------------------------------- */

static void send(struct controller_core *c, struct core_request *r)
{
    r->state = REQUEST_SENT;
    r->id = ++c->last_id;
    keymap_add(&c->requests_by_id, &r->by_id, r->id);
    c->io.txn(c->io.ctx, r->id, r->change.compares, r->change.n_compares, r->change.ops,
              r->change.n_ops);
}

/* Leaves the request answered, or its change on the way. */
static void start(struct controller_core *c, struct core_request *r)
{
    change_free(&r->change);
    r->created = false;
    r->unknown = r->refused = false;
    alarms_clear(&c->alarms, &r->pause);
    if (!c->store_up) {
        (void)request_refuse(r, CAUSE_STORE_UNAVAILABLE,
                             "the store cannot be reached; nothing was changed");
        answer(c, r);
        return;
    }
    if (r->kind->build(c, r) < 0) {
        answer(c, r);
        return;
    }
    if (list_empty(&r->active)) {
        list_push_back(&c->active, &r->active);
    }
    send(c, r);
}

static void pause_for(struct controller_core *c, struct core_request *r)
{
    alarms_set(&c->alarms, &r->pause,
               core_now_ms(c) + backoff_next_ms(&r->backoff, c->io.random(c->io.ctx)));
}

/* Anew, on what the registry shows now: that may also tell that it cannot be done. */
static void restart(struct controller_core *c, struct core_request *r)
{
    struct list *queue = queue_of(c, r);

    if (++r->attempts >= ATTEMPTS_MAX) {
        (void)request_refuse(
            r, CAUSE_CONFLICT,
            "it was changed by others again and again; nothing was done");
        answer_and_kick(c, r);
        return;
    }
    start(c, r);
    kick(c, queue);
}

static void look(struct controller_core *c, struct core_request *r)
{
    enum change_seen seen;

    if (r->state == REQUEST_APPLYING) {
        if (c->revision >= r->decided_revision) {
            (void)request_refuse(r, CAUSE_NONE, "%s", "");
            answer_and_kick(c, r);
        }
        return;
    }
    if (r->state != REQUEST_STALE && r->state != REQUEST_UNKNOWN) {
        return;
    }
    seen = r->kind->look(c, r);
    if (seen == CHANGE_SHOWN && r->unknown) {
        (void)request_refuse(r, CAUSE_NONE, "%s", "");
        answer_and_kick(c, r);
    } else if (seen != CHANGE_SAME) {
        restart(c,
                r); /* it was not made and will not be; or someone else made the same */
    }
}

void requests_look(struct controller_core *c)
{
    LIST_FOREACH_SAFE(it, &c->active)
    {
        look(c, container_of(it, struct core_request, active));
    }
}

static struct core_request *find_txn(const struct controller_core *c, uint64_t id)
{
    struct keymap_entry *e = keymap_find(&c->requests_by_id, id);

    return e != NULL ? container_of(e, struct core_request, by_id) : NULL;
}

void requests_txn_done(struct controller_core *c, uint64_t id, int status, bool succeeded,
                       int64_t revision, const char *text)
{
    struct core_request *r = find_txn(c, id);

    if (r == NULL) {
        return; /* it was answered when its time was over */
    }
    forget_txn(c, r);
    if (status == 0 && succeeded) {
        r->state = REQUEST_APPLYING;
        r->decided_revision = revision;
        look(c, r);
    } else if (status == -EINPROGRESS || (status < 0 && r->unknown)) {
        /* In the second case this attempt was not made, but an earlier one may have been.
         */
        r->state = REQUEST_UNKNOWN;
        r->unknown = true;
        pause_for(c, r);
        look(c, r);
    } else if (status < 0) {
        (void)request_refuse(r, CAUSE_STORE_UNAVAILABLE, "the store: %.300s",
                             text != NULL ? text : "no reason given");
        answer_and_kick(c, r);
    } else {
        r->state = r->unknown ? REQUEST_UNKNOWN : REQUEST_STALE;
        r->refused = true;
        if (!r->unknown) {
            pause_for(c, r); /* should the watch have nothing to show */
        }
        look(c, r);
    }
}

static void pause_alarm(struct controller_core *c, struct alarm *a)
{
    struct core_request *r = container_of(a, struct core_request, pause);

    if (r->state == REQUEST_STALE) {
        restart(c, r);
    } else if (r->state == REQUEST_UNKNOWN && !r->refused) {
        if (c->store_up) {
            send(c, r); /* if it was made, the compares fail now */
        } else {
            pause_for(c, r);
        }
    }
}

static void limit_alarm(struct controller_core *c, struct alarm *a)
{
    struct core_request *r = container_of(a, struct core_request, limit);

    if (r->kind == NULL) { /* a wait for a version */
        (void)request_refuse(r, CAUSE_NONE, "%s", "");
    } else if (r->state == REQUEST_APPLYING) {
        (void)request_refuse(r, CAUSE_STORE_UNAVAILABLE,
                             "the change is stored, but the store does not show it yet; "
                             "read again before you repeat it");
    } else if (r->state == REQUEST_SENT || r->unknown) {
        (void)request_refuse(r, CAUSE_STORE_UNAVAILABLE,
                             "the store has not answered in time; the change may have "
                             "happened: read again before you repeat it");
    } else {
        (void)request_refuse(r, CAUSE_STORE_UNAVAILABLE,
                             "the store has not answered in time; nothing was changed");
    }
    if (r->kind == NULL) {
        answer(c, r);
    } else {
        answer_and_kick(c, r);
    }
}

/* --- asking ----------------------------------------------------------------------- */

/* Counts it in: from here on it is answered by answer(). */
static void admit(struct controller_core *c, struct core_request *r, uint64_t limit_ms)
{
    list_push_back(&c->requests, &r->all);
    c->n_requests++;
    alarms_set(&c->alarms, &r->limit, core_now_ms(c) + limit_ms);
}

static void enqueue(struct controller_core *c, struct core_request *r)
{
    admit(c, r, REQUEST_LIMIT_MS);
    list_push_back(queue_of(c, r), &r->link);
    ++*queue_length(c, r);
    kick(c, queue_of(c, r));
}

static void reply_now(core_reply_cb cb, void *data, enum cause cause, const char *text,
                      const char *field)
{
    struct core_reply reply = {.cause = cause, .text = text, .field = field};

    cb(data, &reply);
}

/* What keeps any request from being taken up; false after it was answered. */
static bool may_ask(struct controller_core *c, core_reply_cb cb, void *data)
{
    if (c->epoch == 0) {
        reply_now(cb, data, CAUSE_STORE_UNAVAILABLE,
                  "the controller is starting: it has not read the store yet", NULL);
        return false;
    }
    if (c->n_requests >= REQUESTS_MAX) {
        reply_now(cb, data, CAUSE_THROTTLED, "too many requests are waiting", NULL);
        return false;
    }
    return true;
}

static bool name_ok(const char *name, const char *field, core_reply_cb cb, void *data)
{
    if (spec_name_valid(name)) {
        return true;
    }
    reply_now(cb, data, CAUSE_BAD_REQUEST,
              "a name has 1 to 63 of a-z, 0-9 and -, and neither begins nor ends with -",
              field);
    return false;
}

static void ask_namespace(struct controller_core *c, const struct change_kind *kind,
                          const char *name, core_reply_cb cb, void *data)
{
    struct core_request *r;

    if (!may_ask(c, cb, data) || !name_ok(name, "namespace", cb, data)) {
        return;
    }
    if (c->n_namespace_queue >= NAMESPACE_QUEUE_MAX) {
        reply_now(cb, data, CAUSE_THROTTLED, "too many changes of namespaces wait", NULL);
        return;
    }
    r = request_new(kind, cb, data);
    if (r == NULL) {
        reply_now(cb, data, CAUSE_INTERNAL, "out of memory", NULL);
        return;
    }
    (void)snprintf(r->name, sizeof(r->name), "%s", name);
    enqueue(c, r);
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

    if (!may_ask(c, cb, data)) {
        return;
    }
    if (state != NULL && wanted < 0) {
        reply_now(cb, data, CAUSE_BAD_REQUEST,
                  "a node can be ready, cordoned or draining", "state");
        return;
    }
    if (labels != NULL && node_order_check_labels(labels, &err) < 0) {
        reply_now(cb, data, CAUSE_BAD_REQUEST, err.text, "labels");
        return;
    }
    if (strlen(name) > SPEC_NODE_MAX) {
        reply_now(cb, data, CAUSE_NOT_FOUND, "there is no node of that name", NULL);
        return;
    }
    if (c->n_namespace_queue >= NAMESPACE_QUEUE_MAX) {
        reply_now(cb, data, CAUSE_THROTTLED, "too many changes wait", NULL);
        return;
    }
    r = request_new(&change_order_node, cb, data);
    if (r != NULL && labels != NULL) {
        r->order_labels = json_deep_copy(labels);
    }
    if (r == NULL || (labels != NULL && r->order_labels == NULL)) {
        if (r != NULL) {
            request_free(r);
        }
        reply_now(cb, data, CAUSE_INTERNAL, "out of memory", NULL);
        return;
    }
    r->order_state = wanted;
    (void)snprintf(r->name, sizeof(r->name), "%s", name);
    enqueue(c, r);
}

static void ask_function(struct controller_core *c, const struct change_kind *kind,
                         const char *namespace_, const char *name,
                         const struct function_spec *spec,
                         const struct package_ref *package, uint64_t if_revision,
                         core_reply_cb cb, void *data)
{
    struct core_request *r;
    struct core_function *f;

    if (!may_ask(c, cb, data) || !name_ok(namespace_, "namespace", cb, data) ||
        !name_ok(name, "name", cb, data)) {
        return;
    }
    f = registry_want_function(c, namespace_, name);
    if (f != NULL && f->n_queue >= REQUEST_QUEUE_MAX) {
        reply_now(cb, data, CAUSE_THROTTLED,
                  "too many changes of this function wait for each other", NULL);
        return;
    }
    r = f != NULL ? request_new(kind, cb, data) : NULL;
    if (r == NULL || (spec != NULL && function_spec_copy(&r->spec, spec) < 0)) {
        free(r);
        if (f != NULL) {
            scheduler_touch(c, f);
        }
        reply_now(cb, data, CAUSE_INTERNAL, "out of memory", NULL);
        return;
    }
    r->f = f;
    r->if_revision = if_revision;
    if (package != NULL) {
        r->package = *package;
    }
    enqueue(c, r);
}

void requests_put_function(struct controller_core *c, const char *namespace_,
                           const char *name, const struct function_spec *spec,
                           const struct package_ref *package, uint64_t if_revision,
                           core_reply_cb cb, void *data)
{
    ask_function(c, &change_put_function, namespace_, name, spec, package, if_revision,
                 cb, data);
}

void requests_delete_function(struct controller_core *c, const char *namespace_,
                              const char *name, uint64_t if_revision, core_reply_cb cb,
                              void *data)
{
    ask_function(c, &change_delete_function, namespace_, name, NULL, NULL, if_revision,
                 cb, data);
}

/* --- the core's own --------------------------------------------------------------- */

void requests_take_epoch(struct controller_core *c)
{
    struct core_request *r;

    if (c->epoch != 0 || !list_empty(&c->namespace_queue)) {
        return;
    }
    r = request_new(&change_epoch, NULL, NULL);
    if (r != NULL) {
        enqueue(c, r);
    } else {
        alarms_set(&c->alarms, &c->epoch_alarm, core_now_ms(c) + PAUSE_MAX_MS);
    }
}

void requests_decide(struct controller_core *c, struct core_function *f)
{
    struct core_request *r = request_new(&change_decide, NULL, NULL);

    if (r == NULL) {
        scheduler_decided(c, f, false);
        return;
    }
    r->f = f;
    enqueue(c, r);
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
            ? request_new(&change_put_namespace, NULL, NULL)
            : NULL;
    if (r != NULL) { /* else: the scheduler asks again */
        (void)snprintf(r->name, sizeof(r->name), "%s", name);
        enqueue(c, r);
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

    if (!may_ask(c, cb, data)) {
        return;
    }
    if (f == NULL) {
        reply_now(cb, data, CAUSE_NOT_FOUND, "there is no such function", NULL);
        return;
    }
    r = request_new(NULL, cb, data);
    if (r == NULL) {
        reply_now(cb, data, CAUSE_INTERNAL, "out of memory", NULL);
        return;
    }
    r->f = f;
    r->number = number;
    admit(c, r, wait_ms < REQUEST_WAIT_MAX_MS ? wait_ms : REQUEST_WAIT_MAX_MS);
    list_push_back(&f->waits, &r->link);
    if (version_decided(f, r) || wait_ms == 0) {
        answer(c, r);
    }
}

void requests_answer_waits(struct controller_core *c, struct core_function *f)
{
    LIST_FOREACH_SAFE(it, &f->waits)
    {
        struct core_request *r = container_of(it, struct core_request, link);

        if (version_decided(f, r)) {
            answer(c, r);
        }
    }
}

/* --- the end ---------------------------------------------------------------------- */

void requests_cancel(struct controller_core *c, const void *data)
{
    LIST_FOREACH_SAFE(it, &c->requests)
    {
        struct core_request *r = container_of(it, struct core_request, all);

        if (r->cb != NULL && r->data == data) {
            r->cb = NULL;
            if (r->kind == NULL && r->state != REQUEST_ANSWERED) {
                answer(c, r);
            }
        }
    }
}

bool requests_use_package(const struct controller_core *c, const char *digest)
{
    LIST_FOREACH(it, &c->requests)
    {
        const struct core_request *r = container_of(it, struct core_request, all);

        if (r->kind == &change_put_function && strcmp(r->package.digest, digest) == 0) {
            return true;
        }
    }
    return false;
}

void requests_free(struct controller_core *c)
{
    LIST_FOREACH_SAFE(it, &c->requests)
    {
        request_free(container_of(it, struct core_request, all));
    }
    keymap_free(&c->requests_by_id);
}

void requests_invariant(const struct controller_core *c)
{
    size_t n = 0, n_sent = 0;

    CHECK(list_empty(&c->replies));
    LIST_FOREACH(it, &c->requests)
    {
        const struct core_request *r = container_of(it, struct core_request, all);
        const struct list *queue = r->kind == NULL ? NULL
                                   : r->f != NULL  ? &r->f->queue
                                                   : &c->namespace_queue;

        n++;
        n_sent += r->id != 0 ? 1 : 0;
        CHECK(r->limit.set); /* it ends, whatever happens */
        CHECK((r->state == REQUEST_SENT) == (r->id != 0));
        CHECK(queue == NULL || (queue->next == &r->link) == (r->state != REQUEST_QUEUED));
        CHECK(list_empty(&r->active) == (r->state == REQUEST_QUEUED));
        CHECK(r->state != REQUEST_STALE || r->pause.set);
    }
    CHECK(n == c->n_requests && n_sent == c->requests_by_id.n);
}
