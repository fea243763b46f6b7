/* provided: an executable `bootstrap` that asks for events over Lambda's Runtime API.
 *
 * The warden makes the API's listening socket inside the sandbox; the agent accepts on
 * it. A call's event is the request's body as it came ("{}" for none, as Lambda has it),
 * gathered whole before it is handed out. Ready when the first event is asked for. */
#include "agent/runtime/runtime_lambda.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define SPARE_CONNECTIONS 16
#define LATE_MS           60000 /* past the function's time-out, when it is long killed */
#define IDLE_MS           (24 * 3600 * 1000) /* bootstraps keep theirs while they work */

/* --- events ------------------------------------------------------------------------- */

static struct http_header header(const char *name, const char *value)
{
    return (struct http_header){http_str(name), http_str(value)};
}

static int hand_out(struct lambda_call *l, struct lambda_exchange *e)
{
    const struct runtime_instance *in = l->call.instance;
    struct http_str event =
        l->body.len > 0 ? (struct http_str){l->body.data, l->body.len} : HTTP_STR("{}");
    struct http_header list[5];
    char deadline[24];
    char arn[192];
    size_t n = 0;

    (void)snprintf(deadline, sizeof(deadline), "%" PRIu64, l->deadline_wall_ms);
    (void)snprintf(arn, sizeof(arn), "arn:aws:lambda:%s:%012u:function:%s",
                   in->host->region, in->config.namespace_index, in->config.name);
    list[n++] = header("Content-Type", l->content_type);
    list[n++] = header("Lambda-Runtime-Aws-Request-Id", l->id);
    list[n++] = header("Lambda-Runtime-Deadline-Ms", deadline);
    list[n++] = header("Lambda-Runtime-Invoked-Function-Arn", arn);
    if (l->trace_id != NULL) {
        list[n++] = header("Lambda-Runtime-Trace-Id", l->trace_id);
    }
    return http_exchange_reply(e->x, 200, (struct http_headers){list, n}, event.at,
                               event.len);
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

void lambda_dispatch(struct runtime_instance *in)
{
    struct lambda_state *s = in->kind_state;

    while (!list_empty(&s->pollers)) {
        struct lambda_exchange *e =
            container_of(s->pollers.next, struct lambda_exchange, link);
        struct lambda_call *l = first_queued(in);

        if (l == NULL) {
            return;
        }
        list_remove(&e->link);
        if (hand_out(l, e) == 0) { /* else it has gone: the next one */
            l->phase = LAMBDA_RUNNING;
            l->carrier = e;
            e->call = l;
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
    free(l->content_type);
    free(l->trace_id);
    l->content_type = l->trace_id = NULL;
}

/* --- life -----------------------------------------------------------------------------
 */

static int lambda_open(struct runtime_instance *in)
{
    struct lambda_state *s = in->kind_state;
    const struct http_server_options options = {
        .body_timeout_ms = in->config.spec->timeout_ms + LATE_MS,
        .write_timeout_ms = in->config.spec->timeout_ms + LATE_MS,
        .idle_timeout_ms = IDLE_MS,
        .connections_max = in->config.spec->concurrency + SPARE_CONNECTIONS,
        .fin_is_gone = true,
        .on_request = lambda_on_request,
        .data = in,
    };
    int fd = in->listener;
    int rc;

    list_init(&s->pollers);
    s->instance = in;
    rc = http_server_open(&s->server, in->host->loop, &options);
    if (rc < 0) {
        return rc;
    }
    s->server_open = true;
    in->listener = -1;
    rc = http_server_listen_fd(&s->server, fd, NULL);
    return rc < 0 ? rc : instance_run_main(in);
}

static void lambda_on_started(struct runtime_instance *in)
{
}

static void lambda_on_message(struct runtime_instance *in, const struct init_message *m,
                              const char *text)
{
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
    }
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
    const struct http_header *type = http_headers_find(r->headers, "Content-Type");
    const struct http_header *trace = http_headers_find(r->headers, "X-Amzn-Trace-Id");
    struct lambda_call *l = lambda_call_of(c);

    (void)snprintf(l->id, sizeof(l->id), "%s", r->request_id);
    l->deadline_wall_ms = r->deadline_wall_ms;
    l->content_type =
        http_str_dup(type != NULL ? type->value : HTTP_STR("application/json"));
    l->trace_id = trace != NULL ? http_str_dup(trace->value) : NULL;
    if (l->content_type == NULL) {
        free(l->trace_id);
        return -ENOMEM;
    }
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

/* The Runtime API knows no way to take an event back. */
static bool lambda_call_drop(struct runtime_call *c)
{
    struct lambda_call *l = lambda_call_of(c);
    bool with_bootstrap = l->phase == LAMBDA_RUNNING || l->phase == LAMBDA_REPLYING;

    if (l->phase == LAMBDA_REPLYING && l->carrier != NULL) {
        http_exchange_resume(l->carrier->x); /* its rest is read and dropped */
    }
    if (!with_bootstrap) {
        c->untaken = true;
        c->unused = l->body;
        l->body = (struct buf){0};
    }
    lambda_detach(l);
    return !with_bootstrap || c->instance->config.spec->concurrency > 1;
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
    .on_message = lambda_on_message,
    .on_started = lambda_on_started,
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
