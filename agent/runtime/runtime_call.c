/* Calls: what their users may do with them, and how they end. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "agent/runtime/runtime_private.h"
#include "common/check.h"
#include "common/zalloc.h"

#define CAUSE_WAIT_MS 250 /* for the news of a program's end, after its connection's */

int runtime_call_start(struct runtime_instance *in, struct runtime_call **ret,
                       const struct runtime_request *request,
                       const struct runtime_call_ops *ops, void *data)
{
    struct runtime_call *c;
    int rc;

    if (in->phase != PHASE_READY || in->failing) {
        return -EAGAIN;
    }
    c = zalloc(in->kind->call_size);
    if (c == NULL) {
        return -ENOMEM;
    }
    c->instance = in;
    c->host = in->host;
    c->ops = ops;
    c->data = data;
    list_init(&c->waits);
    list_push_back(&in->calls, &c->link);
    usage_begins(in);
    *ret = c;
    rc = in->kind->call_start(c, request);
    if (rc < 0) {
        list_remove(&c->link);
        list_remove(&c->waits);
        free(c);
    }
    return rc;
}

void call_free(struct runtime_call *c)
{
    buf_free(&c->unused);
    free(c);
}

void *runtime_call_data(const struct runtime_call *c)
{
    return c->data;
}

enum cause runtime_call_cause(const struct runtime_call *c)
{
    return c->cause;
}

bool runtime_call_take_back(struct runtime_call *c, struct buf *ret_body)
{
    CHECK(c->over);
    c->untaken = c->untaken || (c->unread && c->doomed);
    if (c->untaken) {
        *ret_body = c->unused;
        c->unused = (struct buf){0};
    }
    return c->untaken;
}

int runtime_call_write(struct runtime_call *c, const char *data, size_t len)
{
    if (c->untaken) {
        return buf_append(&c->unused, data, len);
    }
    /* What ends the call is told by on_close; the body is then of no use. */
    return c->over || len == 0 ? 0 : c->instance->kind->call_write(c, data, len);
}

int runtime_call_end(struct runtime_call *c)
{
    return c->over ? 0 : c->instance->kind->call_end(c);
}

size_t runtime_call_pending(const struct runtime_call *c)
{
    return c->over ? 0 : c->instance->kind->call_pending(c);
}

void runtime_call_pause(struct runtime_call *c)
{
    c->paused = true;
    if (!c->over) {
        c->instance->kind->call_pause(c, true);
    }
}

void runtime_call_resume(struct runtime_call *c)
{
    c->paused = false;
    if (!c->over) {
        c->instance->kind->call_pause(c, false);
    }
}

static void let_go(struct runtime_call *c)
{
    c->over = true;
    list_remove(&c->link);
    list_remove(&c->waits);
    if (c->calling) {
        c->cancelled = true;
    } else {
        call_free(c);
    }
}

bool runtime_call_cancel(struct runtime_call *c)
{
    struct runtime_instance *in = c->instance;
    bool usable = c->over || in->kind->call_drop(c);

    let_go(c);
    instance_advance(in);
    return usable && in->phase == PHASE_READY && !in->failing;
}

bool runtime_call_withdraw(struct runtime_call *c, struct buf *ret_body)
{
    struct runtime_instance *in = c->instance;
    bool untaken;

    (void)(c->over || in->kind->call_drop(c));
    c->over = true;
    untaken = runtime_call_take_back(c, ret_body);
    let_go(c);
    instance_advance(in);
    return untaken;
}

/* --- what the kinds tell --------------------------------------------------------- */

/* A callback may cancel its call: then the call's memory goes when it has returned. */
static bool still_there(struct runtime_call *c)
{
    c->calling = false;
    if (c->cancelled) {
        call_free(c);
        return false;
    }
    return true;
}

bool call_respond(struct runtime_call *c, int status, struct http_headers headers,
                  uint64_t content_length)
{
    CHECK(!c->responded && !c->over && !c->calling);
    c->responded = true;
    c->calling = true;
    c->ops->on_response(c, status, headers, content_length);
    return still_there(c);
}

bool call_body(struct runtime_call *c, const char *data, size_t len)
{
    CHECK(!c->calling);
    if (len > 0) {
        c->calling = true;
        c->ops->on_body(c, data, len);
        return still_there(c);
    }
    return true;
}

void call_drained(struct runtime_call *c)
{
    CHECK(!c->calling);
    if (c->ops->on_drain != NULL) {
        c->calling = true;
        c->ops->on_drain(c);
        (void)still_there(c);
    }
}

bool call_replied(struct runtime_call *c)
{
    CHECK(!c->calling && c->responded);
    if (c->ops->on_replied == NULL) {
        return false;
    }
    c->calling = true;
    c->ops->on_replied(c);
    (void)still_there(c);
    return true;
}

void call_wait(struct runtime_call *c, uint32_t ms)
{
    c->due_ms = uv_now(c->host->loop) + ms;
    list_remove(&c->waits);
    list_push_back(&c->host->waits, &c->waits);
    host_tick_soon(c->host);
}

void call_wait_no_more(struct runtime_call *c)
{
    list_remove(&c->waits);
}

static void finish(struct runtime_call *c)
{
    struct runtime_instance *in = c->instance;

    list_remove(&c->waits);
    list_remove(&c->link);
    list_push_back(&c->host->ended_calls, &c->link);
    host_deliver_soon(c->host);
    instance_advance(in);
}

static void settle(struct runtime_call *c, enum cause cause, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static void settle(struct runtime_call *c, enum cause cause, const char *fmt, va_list ap)
{
    CHECK(!c->over);
    c->over = true;
    if (cause == CAUSE_NONE) {
        c->cause = cause;
        c->text[0] = '\0';
    } else if (!c->doomed) {
        c->cause = cause;
        (void)vsnprintf(c->text, sizeof(c->text), fmt, ap);
    }
}

void call_finish(struct runtime_call *c, enum cause cause, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    settle(c, cause, fmt, ap);
    va_end(ap);
    finish(c);
}

void call_finish_unless_crashed(struct runtime_call *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    settle(c, CAUSE_FUNCTION_ERROR, fmt, ap);
    va_end(ap);
    if (c->doomed || c->instance->phase == PHASE_ENDING) {
        finish(c);
    } else {
        call_wait(c, CAUSE_WAIT_MS);
    }
}

void calls_fail_all(struct runtime_instance *in, enum cause cause, const char *text)
{
    LIST_FOREACH_SAFE(it, &in->calls)
    {
        struct runtime_call *c = container_of(it, struct runtime_call, link);

        if (c->doomed) {
            continue;
        }
        c->doomed = true;
        c->cause = cause;
        (void)snprintf(c->text, sizeof(c->text), "%s", text);
        if (c->over) {
            finish(c);
        } else if (!in->kind->call_outlives(c)) {
            (void)in->kind->call_drop(c);
            c->over = true;
            finish(c);
        }
    }
}

void calls_due(struct runtime_host *h)
{
    uint64_t now_ms = uv_now(h->loop);
    struct list due;

    list_init(&due);
    LIST_FOREACH_SAFE(it, &h->waits)
    {
        if (container_of(it, struct runtime_call, waits)->due_ms <= now_ms) {
            list_remove(it);
            list_push_back(&due, it);
        }
    }
    while (!list_empty(&due)) { /* what one does may take others off */
        struct runtime_call *c = container_of(due.next, struct runtime_call, waits);

        list_remove(&c->waits);
        if (c->over) {
            finish(c);
        } else {
            c->instance->kind->call_due(c);
        }
    }
}
