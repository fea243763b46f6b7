/* provided: an executable `bootstrap` that asks for events over Lambda's Runtime API.
 *
 * The warden makes the API's listening socket inside the sandbox; the agent accepts on
 * it. A call's event is the request's body as it came ("{}" for none, as Lambda has it),
 * gathered whole before it is handed out. Ready when the first event is asked for. */
#include "agent/runtime/runtime_lambda.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"

#define SPARE_CONNECTIONS 16
#define LATE_MS           60000 /* past the function's time-out, when it is long killed */
#define AFTER_LEAST_MS    1000 /* for what is done after an answer, however late it came */
#define CLOCK_SLACK_MS    20 /* two clocks and a timer do not agree to the millisecond */
#define IDLE_MS           (24 * 3600 * 1000) /* bootstraps keep theirs while they work */

/* --- events ------------------------------------------------------------------------- */

static bool alone(const struct runtime_instance *in)
{
    return in->config.spec->concurrency == 1;
}

static struct lambda_call *first_queued(struct runtime_instance *in)
{
    LIST_FOREACH(it, &in->calls)
    {
        struct runtime_call *c = container_of(it, struct runtime_call, link);

        if (!c->over && lambda_call_of(c)->phase == LAMBDA_QUEUED) {
            return lambda_call_of(c);
        }
    }
    return NULL;
}

static void handed_out(struct lambda_call *l, struct lambda_exchange *e)
{
    struct lambda_state *s = l->call.instance->kind_state;

    l->phase = LAMBDA_RUNNING;
    l->carrier = e;
    e->call = l;
    s->handed_us = clock_mono_us();
    if (l->started_us == 0) { /* not when the same event is asked for again */
        lambda_report_start(l);
        lambda_extensions_invoke(l);
    }
}

/* All have asked for their next event: the last one is behind them. */
static void finish_settled(struct runtime_instance *in)
{
    LIST_FOREACH_SAFE(it, &in->calls)
    {
        struct runtime_call *c = container_of(it, struct runtime_call, link);

        if (!c->over && lambda_call_of(c)->phase == LAMBDA_SETTLING) {
            call_finish(c, CAUSE_NONE, "%s", "");
        }
    }
}

void lambda_dispatch(struct runtime_instance *in)
{
    struct lambda_state *s = in->kind_state;

    if (alone(in) && (list_empty(&s->pollers) || !lambda_extensions_idle(in, false))) {
        return; /* somebody is not through with the last event */
    }
    if (in->phase == PHASE_READY) {
        (void)uv_timer_stop(&in->timer);
    }
    finish_settled(in);
    while (!list_empty(&s->pollers)) {
        struct lambda_exchange *e =
            container_of(s->pollers.next, struct lambda_exchange, link);
        struct lambda_call *l = first_queued(in);

        if (l == NULL) {
            return;
        }
        list_remove(&e->link);
        if (lambda_event_send(l, e->x) == 0) { /* else it has gone: the next one */
            handed_out(l, e);
        }
    }
}

void lambda_detach(struct lambda_call *l)
{
    if (l->carrier != NULL) {
        l->carrier->call = NULL;
        l->carrier = NULL;
    }
    buf_free(&l->body);
    lambda_event_free(l);
}

void lambda_finish(struct lambda_call *l, enum cause cause, const char *fmt, ...)
{
    struct runtime_instance *in = l->call.instance;
    char text[RUNTIME_TEXT_BYTES] = "";
    va_list ap;

    if (cause != CAUSE_NONE) {
        va_start(ap, fmt);
        (void)vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
    }
    lambda_report_end(l, CAUSE_NONE, "");
    lambda_watch(in);
    if (cause == CAUSE_NONE && alone(in) && !lambda_extensions_idle(in, false)) {
        l->phase = LAMBDA_SETTLING;
        if (call_replied(&l->call)) {
            return;
        }
    }
    call_finish(&l->call, cause, "%s", text);
}

/* --- the time between two events ------------------------------------------------------
 */

static void late_cb(uv_timer_t *timer)
{
    struct runtime_instance *in = container_of(timer, struct runtime_instance, timer);
    const struct lambda_state *s = in->kind_state;

    instance_fail(in, CAUSE_TIMEOUT, "%s in the time of the call before",
                  list_empty(&s->pollers)
                      ? "it has not asked for its next event"
                      : "an extension has not asked for its next event");
}

/* As in Lambda, what is done after the answer counts as the call's time. */
void lambda_watch(struct runtime_instance *in)
{
    struct lambda_state *s = in->kind_state;
    uint64_t ran_ms = (clock_mono_us() - s->handed_us) / 1000;
    uint64_t limit_ms = in->config.spec->timeout_ms;

    if (alone(in) && in->phase == PHASE_READY && !in->failing) {
        CHECK(uv_timer_start(&in->timer, late_cb,
                             limit_ms > ran_ms + AFTER_LEAST_MS ? limit_ms - ran_ms
                                                                : AFTER_LEAST_MS,
                             0) == 0);
    }
}

/* --- life -----------------------------------------------------------------------------
 */

void lambda_run_main(struct runtime_instance *in)
{
    int rc = instance_run_main(in);

    if (rc < 0) {
        instance_fail_start(in, rc);
    }
}

static int lambda_open(struct runtime_instance *in)
{
    struct lambda_state *s = in->kind_state;
    const struct http_server_options options = {
        .body_timeout_ms = in->config.spec->timeout_ms + LATE_MS,
        .write_timeout_ms = in->config.spec->timeout_ms + LATE_MS,
        .idle_timeout_ms = IDLE_MS,
        .connections_max =
            in->config.spec->concurrency + LAMBDA_EXTENSIONS_MAX + SPARE_CONNECTIONS,
        .fin_is_gone = true,
        .scratch = in->host->http_scratch,
        .on_request = lambda_on_request,
        .data = in,
    };
    int fd = in->listener;
    char name[LAMBDA_NAME_MAX + 1], arn[LAMBDA_ARN_SIZE];
    int rc;

    list_init(&s->pollers);
    list_init(&s->extensions);
    s->instance = in;
    runtime_lambda_name(name, in);
    lambda_arn(arn, in->host->region, in->host->account, name, "");
    s->arn = strdup(arn);
    if (s->arn == NULL) {
        return -ENOMEM;
    }
    rc = http_server_open(&s->server, in->host->loop, &options);
    if (rc < 0) {
        return rc;
    }
    s->server_open = true;
    in->listener = -1;
    rc = http_server_listen_fd(&s->server, fd, NULL);
    rc = rc < 0 ? rc : lambda_extensions_start(in);
    if (rc < 0) {
        return rc;
    }
    if (s->n_unregistered == 0) {
        return instance_run_main(in);
    }
    s->main_due = true;
    return 0;
}

static void lambda_on_started(struct runtime_instance *in)
{
}

void lambda_check_ready(struct runtime_instance *in)
{
    const struct lambda_state *s = in->kind_state;

    if (s->asked && lambda_extensions_idle(in, true)) {
        instance_ready(in);
    }
}

static void server_closed(struct http_server *server)
{
    instance_release(container_of(server, struct lambda_state, server)->instance);
}

static void lambda_close(struct runtime_instance *in)
{
    struct lambda_state *s = in->kind_state;

    if (s->server_open) {
        s->server_open = false;
        instance_hold(in);
        http_server_close(&s->server, server_closed);
        lambda_extensions_free(in);
    }
    free(s->arn);
    s->arn = NULL;
}

/* --- calls ----------------------------------------------------------------------------
 */

static void too_large(struct runtime_call *c)
{
    lambda_detach(lambda_call_of(c));
    call_finish(c, CAUSE_PAYLOAD_TOO_LARGE, "the body is over %u KiB",
                c->instance->config.spec->body_max_kib);
}

static uint64_t body_max(const struct runtime_call *c)
{
    return (uint64_t)c->instance->config.spec->body_max_kib * 1024;
}

static int lambda_call_start(struct runtime_call *c, const struct runtime_request *r)
{
    struct lambda_call *l = lambda_call_of(c);
    int rc = lambda_event_new(l, r);

    if (rc < 0) {
        return rc;
    }
    memcpy(l->id, r->request_id, strnlen(r->request_id, sizeof(l->id) - 1));
    l->deadline_wall_ms = r->deadline_wall_ms;
    l->verbatim = r->verbatim;
    l->log = r->log;
    if (r->content_length != HTTP_BODY_CHUNKED && r->content_length > body_max(c)) {
        too_large(c);
    }
    return 0;
}

static int lambda_call_write(struct runtime_call *c, const char *data, size_t len)
{
    struct lambda_call *l = lambda_call_of(c);

    if (l->phase != LAMBDA_BODY) {
        return 0;
    }
    if (l->body.len + len > body_max(c)) {
        too_large(c);
        return 0;
    }
    return buf_append(&l->body, data, len);
}

static int lambda_call_end(struct runtime_call *c)
{
    struct lambda_call *l = lambda_call_of(c);

    if (l->phase == LAMBDA_BODY) {
        l->phase = LAMBDA_QUEUED;
        lambda_dispatch(c->instance);
    }
    return 0;
}

static size_t lambda_call_pending(const struct runtime_call *c)
{
    return 0; /* all is taken at once, within body_max */
}

static void lambda_call_pause(struct runtime_call *c, bool paused)
{
    const struct lambda_call *l = lambda_call_of(c);

    if (l->phase != LAMBDA_REPLYING || l->carrier == NULL) {
        return;
    }
    if (paused) {
        http_exchange_pause(l->carrier->x);
    } else {
        http_exchange_resume(l->carrier->x);
    }
}

static void lambda_call_due(struct runtime_call *c)
{
}

/* A reply that has begun comes whole if the bootstrap sent it whole before its end. */
static bool lambda_call_outlives(struct runtime_call *c)
{
    return lambda_call_of(c)->phase == LAMBDA_REPLYING;
}

/* Why a call ends whose answer has not come whole. */
static void report_cut(struct lambda_call *l)
{
    struct runtime_call *c = &l->call;

    if (c->doomed) {
        lambda_report_end(l, c->cause, c->text);
    } else if (clock_wall_ms() + CLOCK_SLACK_MS >= l->deadline_wall_ms) {
        lambda_report_end(l, CAUSE_TIMEOUT, "");
    } else {
        lambda_report_end(l, CAUSE_NONE, "");
    }
}

/* The Runtime API knows no way to take an event back. */
static bool lambda_call_drop(struct runtime_call *c)
{
    struct lambda_call *l = lambda_call_of(c);
    struct lambda_state *s = c->instance->kind_state;
    bool with_bootstrap = l->phase >= LAMBDA_RUNNING;

    if (l->phase == LAMBDA_REPLYING && l->carrier != NULL) {
        http_exchange_resume(l->carrier->x); /* its rest is read and dropped */
    }
    if (with_bootstrap) {
        s->cut = true;
        report_cut(l);
    } else {
        l->log = NULL;
        c->untaken = true;
        c->unused = l->body;
        l->body = (struct buf){0};
    }
    lambda_detach(l);
    return !with_bootstrap || !alone(c->instance);
}

/* After its reply it still has to ask for the next event. */
static bool lambda_at_rest(const struct runtime_instance *in)
{
    const struct lambda_state *s = in->kind_state;

    return !list_empty(&s->pollers);
}

const struct kind kind_lambda = {
    .state_size = sizeof(struct lambda_state),
    .call_size = sizeof(struct lambda_call),
    .runtime_api = true,
    .not_ready = "it has not asked for an event",
    .at_rest = lambda_at_rest,
    .open = lambda_open,
    .on_message = lambda_extension_message,
    .on_started = lambda_on_started,
    .last_words = lambda_extensions_end,
    .close = lambda_close,
    .call_start = lambda_call_start,
    .call_write = lambda_call_write,
    .call_end = lambda_call_end,
    .call_pending = lambda_call_pending,
    .call_pause = lambda_call_pause,
    .call_due = lambda_call_due,
    .call_outlives = lambda_call_outlives,
    .call_drop = lambda_call_drop,
};
