/* The host: all instances of a node, and when their users hear of what happens. */
#include "agent/runtime/runtime.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "agent/runtime/runtime_private.h"
#include "common/check.h"
#include "common/clock.h"

/* --- what is due --------------------------------------------------------------- */

static void deliver_failed(struct runtime_host *h)
{
    while (!list_empty(&h->failed)) {
        struct runtime_instance *in =
            container_of(h->failed.next, struct runtime_instance, report);

        list_remove(&in->report);
        h->options.on_failed(h->options.data, in, in->cause, in->text);
        instance_release(in);
    }
}

/* How a call of a failing instance ended is told after on_failed, once that is known. */
static void deliver_calls(struct runtime_host *h)
{
    struct list kept;

    list_init(&kept);
    while (!list_empty(&h->ended_calls)) {
        struct runtime_call *c =
            container_of(h->ended_calls.next, struct runtime_call, link);

        list_remove(&c->link);
        if (c->instance->failing) {
            list_push_back(&kept, &c->link);
        } else {
            c->ops->on_close(c, c->cause, c->text, c->cpu_us);
            call_free(c);
        }
    }
    while (!list_empty(&kept)) {
        struct list *first = kept.next;

        list_remove(first);
        list_push_back(&h->ended_calls, first);
    }
}

static void deliver_gone(struct runtime_host *h)
{
    while (!list_empty(&h->gone)) {
        struct runtime_instance *in =
            container_of(h->gone.next, struct runtime_instance, report);

        list_remove(&in->report);
        list_remove(&in->link);
        h->options.on_gone(h->options.data, in);
        instance_free(in);
    }
}

static void deliver_begun(struct runtime_host *h)
{
    while (!list_empty(&h->begun)) {
        struct runtime_instance *in =
            container_of(h->begun.next, struct runtime_instance, report);

        list_remove(&in->report);
        instance_begin(in);
    }
}

/* A failed instance first, so that its user does not send it the next call when it hears
 * how the last one ended; one that is gone last. What callbacks add starts the timer
 * again. */
static void later_cb(uv_timer_t *timer)
{
    struct runtime_host *h = container_of(timer, struct runtime_host, later);

    deliver_failed(h);
    deliver_calls(h);
    deliver_begun(h);
    deliver_gone(h);
    host_check_closed(h);
}

void host_deliver_soon(struct runtime_host *h)
{
    if (!uv_is_active((uv_handle_t *)&h->later)) {
        CHECK(uv_timer_start(&h->later, later_cb, 0, 0) == 0);
    }
}

static void tick_cb(uv_timer_t *timer)
{
    struct runtime_host *h = container_of(timer, struct runtime_host, tick);

    outputs_unthrottle(h);
    calls_due(h);
    logs_flush(h->options.logs);
    if (list_empty(&h->throttled) && list_empty(&h->waits)) {
        (void)uv_timer_stop(timer);
    }
}

void host_tick_soon(struct runtime_host *h)
{
    if (!uv_is_active((uv_handle_t *)&h->tick)) {
        CHECK(uv_timer_start(&h->tick, tick_cb, RUNTIME_TICK_MS, RUNTIME_TICK_MS) == 0);
    }
}

/* --- life ---------------------------------------------------------------------- */

int runtime_host_new(struct runtime_host **ret, uv_loop_t *loop,
                     const struct runtime_host_options *options)
{
    struct runtime_host *h = calloc(1, sizeof(*h));

    if (h == NULL) {
        return -ENOMEM;
    }
    h->region = strdup(options->region != NULL ? options->region : "us-east-1");
    h->account = strdup(options->account != NULL ? options->account : "000000000000");
    h->scratch = malloc(RUNTIME_SCRATCH);
    h->http_scratch = malloc(HTTP_SCRATCH_BYTES);
    h->packages_dir =
        options->packages_dir != NULL ? strdup(options->packages_dir) : NULL;
    if (h->region == NULL || h->account == NULL || h->scratch == NULL ||
        h->http_scratch == NULL ||
        (options->packages_dir != NULL && h->packages_dir == NULL)) {
        free(h->packages_dir);
        free(h->region);
        free(h->account);
        free(h->scratch);
        free(h->http_scratch);
        free(h);
        return -ENOMEM;
    }
    /* A function may close its stdin at any time, and libuv writes to pipes. */
    (void)signal(SIGPIPE, SIG_IGN);
    h->loop = loop;
    h->options = *options;
    list_init(&h->instances);
    list_init(&h->failed);
    list_init(&h->ended_calls);
    list_init(&h->begun);
    list_init(&h->gone);
    list_init(&h->recycled);
    list_init(&h->recycled_ending);
    list_init(&h->waits);
    list_init(&h->throttled);
    list_init(&h->usage_active);
    list_init(&h->usage_quiet);
    CHECK(uv_timer_init(loop, &h->later) == 0);
    CHECK(uv_timer_init(loop, &h->tick) == 0);
    CHECK(uv_timer_init(loop, &h->usage) == 0);
    CHECK(uv_timer_init(loop, &h->recycled_late) == 0);
    h->later.data = h->tick.data = h->usage.data = h->recycled_late.data = h;
    h->n_timers = 4;
    *ret = h;
    return 0;
}

static void timer_closed(uv_handle_t *handle)
{
    struct runtime_host *h = handle->data;
    void (*on_closed)(void *data) = h->on_closed;
    void *data = h->closed_data;

    if (--h->n_timers > 0) {
        return;
    }
    free(h->packages_dir);
    free(h->region);
    free(h->account);
    free(h->scratch);
    free(h->http_scratch);
    buf_free(&h->head_text);
    free(h);
    if (on_closed != NULL) {
        on_closed(data);
    }
}

void host_check_closed(struct runtime_host *h)
{
    if (h->closing && list_empty(&h->instances) && list_empty(&h->ended_calls) &&
        recycled_is_empty(h) && !uv_is_closing((uv_handle_t *)&h->later)) {
        uv_close((uv_handle_t *)&h->later, timer_closed);
        uv_close((uv_handle_t *)&h->tick, timer_closed);
        uv_close((uv_handle_t *)&h->usage, timer_closed);
        uv_close((uv_handle_t *)&h->recycled_late, timer_closed);
    }
}

void runtime_host_close(struct runtime_host *h, void (*on_closed)(void *data), void *data)
{
    CHECK(!h->closing);
    h->closing = true;
    h->on_closed = on_closed;
    h->closed_data = data;
    LIST_FOREACH_SAFE(it, &h->instances)
    {
        runtime_instance_stop(container_of(it, struct runtime_instance, link), 0);
    }
    recycled_drop_all(h);
    host_deliver_soon(h);
}

/* --- the warden's events ---------------------------------------------------------- */

static struct runtime_instance *find(const struct runtime_host *h, uint64_t id)
{
    LIST_FOREACH(it, &h->instances)
    {
        struct runtime_instance *in = container_of(it, struct runtime_instance, link);

        if (in->sandbox && in->sandbox_id == id) {
            return in;
        }
    }
    return NULL;
}

void runtime_host_on_exit(struct runtime_host *h, uint64_t id,
                          const struct sandbox_exit *e)
{
    struct runtime_instance *in = find(h, id);

    if (in != NULL) {
        instance_on_exit(in, e);
    } else {
        recycled_on_exit(h, id, e);
    }
}

void runtime_host_on_oom(struct runtime_host *h, uint64_t id)
{
    struct runtime_instance *in = find(h, id);

    if (in != NULL) {
        instance_on_oom(in);
    } else {
        recycled_on_oom(h, id);
    }
}

/* --- instances ------------------------------------------------------------------- */

static const struct kind *kind_of(const struct function_spec *spec)
{
    switch (spec->runtime) {
    case SPEC_RUNTIME_HTTP:
        return &kind_http;
    case SPEC_RUNTIME_EXEC:
        return &kind_exec;
    case SPEC_RUNTIME_PROVIDED:
    case SPEC_RUNTIME_PYTHON:
    case SPEC_RUNTIME_NODE:
    case SPEC_RUNTIME_COUNT:
    default:
        return &kind_lambda;
    }
}

int runtime_instance_start(struct runtime_host *h, struct runtime_instance **ret,
                           const struct runtime_instance_config *config)
{
    struct runtime_instance *in = h->closing ? NULL : calloc(1, sizeof(*in));
    int rc;

    if (in == NULL) {
        return h->closing ? -ECANCELED : -ENOMEM;
    }
    in->host = h;
    in->config = *config;
    in->sandbox_id = config->id;
    in->kind = kind_of(config->spec);
    in->listener = in->seed[0] = in->seed[1] = -1;
    in->freezer = -EAGAIN; /* there is no sandbox yet */
    list_init(&in->report);
    list_init(&in->outputs);
    list_init(&in->calls);
    list_init(&in->usage.link);
    in->kind_state = calloc(1, in->kind->state_size);
    rc = in->kind_state == NULL
             ? -ENOMEM
             : log_sink_new(&in->sink, h->options.logs, config->namespace_, config->name,
                            config->version, config->id);
    if (rc < 0) {
        free(in->kind_state);
        free(in);
        return rc;
    }
    list_push_back(&h->instances, &in->link);
    in->began_us = clock_mono_us();
    *ret = in;
    instance_make(in);
    return 0;
}

void *runtime_instance_data(const struct runtime_instance *in)
{
    return in->config.data;
}

const struct runtime_phases *runtime_instance_phases(const struct runtime_instance *in)
{
    return &in->phases;
}
