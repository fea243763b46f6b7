#include "controller/core/requests.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
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

struct core_request *core_request_new(const struct change_kind *kind, core_reply_cb cb,
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

void core_request_free(struct core_request *r)
{
    change_free(&r->change);
    function_spec_free(&r->spec);
    free(r->description);
    json_decref(r->order_labels);
    json_decref(r->ordered);
    if (r->edit != NULL) {
        free(r->edit->description);
        free(r->edit);
    }
    explicit_bzero(r->key_secret, sizeof(r->key_secret));
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
void core_request_answer(struct controller_core *c, struct core_request *r)
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

    core_request_answer(c, r);
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
        core_request_free(r);
    }
}

/* --- transactions ----------------------------------------------------------------- */

static void send(struct controller_core *c, struct core_request *r)
{
    r->state = REQUEST_SENT;
    list_remove(&r->active);
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
        core_request_answer(c, r);
        return;
    }
    if (r->kind->build(c, r) < 0) {
        core_request_answer(c, r);
        return;
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
    list_push_back(&c->active, &r->active); /* what the registry shows decides now */
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
        core_request_answer(c, r);
    } else {
        answer_and_kick(c, r);
    }
}

/* --- beginning ------------------------------------------------------------------- */

/* Counts it in: from here on it is answered by answer(). */
void core_request_admit(struct controller_core *c, struct core_request *r,
                        uint64_t limit_ms)
{
    list_push_back(&c->requests, &r->all);
    c->n_requests++;
    alarms_set(&c->alarms, &r->limit, core_now_ms(c) + limit_ms);
}

void core_request_enqueue(struct controller_core *c, struct core_request *r)
{
    core_request_admit(c, r, REQUEST_LIMIT_MS);
    list_push_back(queue_of(c, r), &r->link);
    ++*queue_length(c, r);
    kick(c, queue_of(c, r));
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
                core_request_answer(c, r);
            }
        }
    }
}

bool requests_use_package(const struct controller_core *c, const char *digest)
{
    LIST_FOREACH(it, &c->requests)
    {
        const struct core_request *r = container_of(it, struct core_request, all);

        if ((r->kind == &change_put_function || r->kind == &change_publish_layer) &&
            strcmp(r->package.digest, digest) == 0) {
            return true;
        }
        for (size_t i = 0; i < r->spec.n_layers; i++) {
            if (strcmp(r->spec.layers[i].package.digest, digest) == 0) {
                return true;
            }
        }
    }
    return false;
}

void requests_free(struct controller_core *c)
{
    LIST_FOREACH_SAFE(it, &c->requests)
    {
        core_request_free(container_of(it, struct core_request, all));
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
        CHECK(list_empty(&r->active) ==
              (r->state == REQUEST_QUEUED || r->state == REQUEST_SENT));
        CHECK(r->state != REQUEST_STALE || r->pause.set);
    }
    CHECK(n == c->n_requests && n_sent == c->requests_by_id.n);
}
