/* A call on an instance of this node. */
#include <errno.h>
#include <stdio.h>

#include "agent/gateway/gateway_private.h"
#include "common/clock.h"
#include "common/lambda_name.h"

/* --- the reply
 * -------------------------------------------------------------------------- */

static void on_response(struct runtime_call *run, int status, struct http_headers headers,
                        uint64_t content_length)
{
    struct gateway_call *c = runtime_call_data(run);

    if (c->todo == TODO_FAIL) {
        return;
    }
    c->reply_cause = runtime_call_cause(run);
    c->call.failed = status >= 500;
    if (c->face != NULL) { /* else the head's Server-Timing takes the time */
        call_timing_ran(c);
        c->face->head(c, status, headers);
        c->replied = true;
    } else if (reply_head(c, status, headers, content_length) == -EINVAL) {
        call_fail_later(c, CAUSE_FUNCTION_ERROR,
                        "the reply's head cannot be sent: status %d, or a header with a "
                        "line break",
                        status);
    } else if (status == 101) {
        call_tunnel_begin(c);
    }
}

static void on_body(struct runtime_call *run, const char *data, size_t len)
{
    struct gateway_call *c = runtime_call_data(run);

    if (c->todo == TODO_FAIL) {
        return;
    }
    if (c->face != NULL) {
        c->face->body(c, data, len);
        if (http_exchange_pending(c->exchange) > HTTP_HIGH_WATER) {
            runtime_call_pause(run);
        }
        return;
    }
    /* -EPIPE: the caller is gone, of which on_close tells. */
    if (http_exchange_write(c->exchange, data, len) == -EMSGSIZE) {
        call_fail_later(c, CAUSE_FUNCTION_ERROR,
                        "the reply is longer than its Content-Length");
    } else if (http_exchange_pending(c->exchange) > HTTP_HIGH_WATER) {
        runtime_call_pause(run);
    }
}

static void on_drain(struct runtime_call *run)
{
    struct gateway_call *c = runtime_call_data(run);

    http_exchange_resume(c->exchange);
}

static void end_reply(struct gateway_call *c)
{
    if (c->face != NULL) {
        c->face->end(c);
    } else {
        reply_end(c);
    }
}

/* The caller has all of it. The call's slot is free when on_close comes; should that take
 * past the call's time, the core ends it. */
static void on_replied(struct runtime_call *run)
{
    struct gateway_call *c = runtime_call_data(run);

    if (c->todo == TODO_FAIL || !c->replied) {
        return; /* on_close tells */
    }
    end_reply(c);
    call_over(c, "ok");
}

static void on_close(struct runtime_call *run, enum cause cause, const char *text,
                     uint64_t cpu_us)
{
    struct gateway_call *c = runtime_call_data(run);

    c->run = NULL;
    if (c->phase == PHASE_OVER) {
        call_done(c, CAUSE_NONE, cpu_us);
        return;
    }
    if (c->todo != TODO_FAIL && cause != CAUSE_NODE_LOST &&
        runtime_call_take_back(run, &c->prefix)) {
        /* Its instance's end is not its own: another takes it. */
        c->instance_lost = true;
        call_again_later(c, AGAIN_INSTANCE_MAX, cause, "%s", text);
        call_act(c);
        return;
    }
    if (c->todo != TODO_FAIL && cause == c->reply_cause && c->replied) {
        end_reply(c);
        call_over(c, cause == CAUSE_NONE ? "ok" : cause_name(cause));
        call_done(c, cause, cpu_us);
        return;
    }
    if (c->todo != TODO_FAIL) {
        call_fail_later(c, cause != CAUSE_NONE ? cause : CAUSE_FUNCTION_ERROR, "%s",
                        cause != CAUSE_NONE ? text : "the function gave no reply");
    }
    c->cpu_us = cpu_us;
    call_act(c);
}

static const struct runtime_call_ops ops = {on_response, on_body, on_drain, on_replied,
                                            on_close};

/* --- the request
 * ------------------------------------------------------------------------ */

void call_run_body(struct gateway_call *c, const char *data, size_t len)
{
    if (runtime_call_write(c->run, data, len) < 0) {
        call_fail_later(c, CAUSE_INTERNAL, "the body cannot be passed on");
    } else if (runtime_call_pending(c->run) > HTTP_HIGH_WATER) {
        http_exchange_pause(c->exchange);
    }
}

static uint64_t deadline_wall_ms(const struct gateway_call *c)
{
    uint64_t left_ms = version_spec(c->call.version)->timeout_ms;

    return clock_wall_ms() + (c->mark.left_ms < left_ms ? c->mark.left_ms : left_ms);
}

void call_run_start(struct gateway_call *c)
{
    struct http_exchange *x = c->exchange;
    struct runtime_request r = {
        .request_id = c->request_id,
        .method = c->method,
        .path = call_target(c)->path,
        .query = c->query,
        .content_length = c->body_done ? c->prefix.len : http_exchange_content_length(x),
        .upgrade = c->upgrade,
        .peer = c->mark.peer,
        .deadline_wall_ms = deadline_wall_ms(c),
    };
    struct headers pass;
    char arn[LAMBDA_ARN_SIZE];
    int rc;

    if (!call_admit(c)) {
        return;
    }
    if (c->arn.len > 0 && c->arn.len < sizeof(arn)) {
        (void)snprintf(arn, sizeof(arn), "%.*s", (int)c->arn.len, c->arn.at);
        r.invoked_arn = arn;
    }
    r.log = c->tail ? &c->log : NULL;
    c->log.len = 0;
    rc = headers_pass(&pass, c->headers, HEADERS_TO_FUNCTION, 0);
    if (rc < 0) {
        call_fail_later(c, CAUSE_INTERNAL, "out of memory");
        return;
    }
    call_timing_dispatched(c);
    r.headers = headers_get(&pass);
    c->phase = PHASE_RUN;
    rc = runtime_call_start(c->call.instance->edge, &c->run, &r, &ops, c);
    headers_free(&pass);
    if (rc < 0) {
        c->run = NULL;
        c->instance_lost = rc == -EAGAIN;
        call_again_later(c, AGAIN_INSTANCE_MAX,
                         rc == -ENOMEM ? CAUSE_INTERNAL : CAUSE_CRASHED,
                         "the instance ended before it took the call");
        return;
    }
    if (c->prefix.len > 0) {
        call_run_body(c, c->prefix.data, c->prefix.len);
        buf_free(&c->prefix);
    }
    if (c->body_done) {
        (void)runtime_call_end(c->run);
    } else if (runtime_call_pending(c->run) <= HTTP_HIGH_WATER) {
        http_exchange_resume(x);
    }
}

bool call_run_drop(struct gateway_call *c)
{
    bool usable = runtime_call_cancel(c->run);

    c->run = NULL;
    return usable;
}

bool call_run_withdraw(struct gateway_call *c)
{
    bool untaken = runtime_call_withdraw(c->run, &c->prefix);

    c->run = NULL;
    return untaken;
}
