#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "agent/runtime/runtime_private.h"
#include "common/check.h"

int runtime_call_start(struct runtime_instance *in, struct runtime_call **ret,
                       const struct runtime_request *request,
                       const struct runtime_call_ops *ops, void *data)
{
    struct runtime_call *c;
    int rc;

    if (in->phase != PHASE_READY || in->failing) {
        return -EAGAIN;
    }
    c = calloc(1, in->kind->call_size);
    if (c == NULL) {
        return -ENOMEM;
    }
    c->instance = in;
    c->host = in->host;
    c->ops = ops;
    c->data = data;
    list_push_back(&in->calls, &c->link);
    *ret = c;
    rc = in->kind->call_start(c, request);
    if (rc < 0) {
        list_remove(&c->link);
        free(c);
    }
    return rc;
}

void *runtime_call_data(const struct runtime_call *c)
{
    return c->data;
}

int runtime_call_write(struct runtime_call *c, const char *data, size_t len)
{
    /* What ends the call is told by on_close; the body is then of no use. */
    return c->ended ? 0 : c->instance->kind->call_write(c, data, len);
}

int runtime_call_end(struct runtime_call *c)
{
    return c->ended ? 0 : c->instance->kind->call_end(c);
}

size_t runtime_call_pending(const struct runtime_call *c)
{
    return c->ended ? 0 : c->instance->kind->call_pending(c);
}

void runtime_call_pause(struct runtime_call *c)
{
    c->paused = true;
    if (!c->ended) {
        c->instance->kind->call_pause(c, true);
    }
}

void runtime_call_resume(struct runtime_call *c)
{
    c->paused = false;
    if (!c->ended) {
        c->instance->kind->call_pause(c, false);
    }
}

bool runtime_call_cancel(struct runtime_call *c)
{
    bool usable = true;

    if (!c->ended) {
        usable = c->instance->kind->call_drop(c);
    }
    list_remove(&c->link);
    free(c);
    return usable;
}

void call_respond(struct runtime_call *c, int status, struct http_headers headers,
                  uint64_t content_length)
{
    CHECK(!c->responded && !c->ended);
    c->responded = true;
    c->ops->on_response(c, status, headers, content_length);
}

void call_body(struct runtime_call *c, const char *data, size_t len)
{
    if (len > 0) {
        c->ops->on_body(c, data, len);
    }
}

static void finish(struct runtime_call *c, enum cause cause)
{
    c->ended = true;
    c->cause = cause;
    list_remove(&c->link);
    list_push_back(&c->host->ended_calls, &c->link);
    CHECK(uv_timer_start(&c->host->later, calls_deliver_cb, 0, 0) == 0);
}

void call_finish(struct runtime_call *c, enum cause cause, const char *fmt, ...)
{
    va_list ap;

    CHECK(!c->ended);
    va_start(ap, fmt);
    (void)vsnprintf(c->text, sizeof(c->text), fmt, ap);
    va_end(ap);
    finish(c, cause);
}

void calls_fail_all(struct runtime_instance *in, enum cause cause, const char *text)
{
    while (!list_empty(&in->calls)) {
        struct runtime_call *c = container_of(in->calls.next, struct runtime_call, link);

        (void)in->kind->call_drop(c);
        (void)snprintf(c->text, sizeof(c->text), "%s", text);
        finish(c, cause);
    }
}

void calls_deliver_cb(uv_timer_t *timer)
{
    struct runtime_host *h = container_of(timer, struct runtime_host, later);
    struct list due;

    if (list_empty(&h->ended_calls)) {
        return;
    }
    /* Those that end while these are told wait for the next turn. */
    due = h->ended_calls;
    due.next->prev = &due;
    due.prev->next = &due;
    list_init(&h->ended_calls);
    while (!list_empty(&due)) {
        struct runtime_call *c = container_of(due.next, struct runtime_call, link);

        list_remove(&c->link);
        c->ops->on_close(c, c->cause, c->text, c->cpu_us);
        free(c);
    }
}
