/* A call's life: asked for, answered, counted. What the core decides is call_core.c, what
 * the caller sends call_caller.c. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/gateway/gateway_private.h"
#include "common/check.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

/* --- what is to be done later ------------------------------------------------------- */

void call_later(struct gateway_call *c, enum call_todo todo)
{
    struct gateway *g = c->gateway;

    c->todo = todo;
    if (!c->asking && list_empty(&c->due)) {
        list_push_back(&g->due, &c->due);
        gateway_arm(g);
    }
}

__attribute__((format(printf, 3, 0))) static void set_failure(struct gateway_call *c,
                                                              enum cause cause,
                                                              const char *fmt, va_list ap)
{
    c->cause = cause;
    c->retry_after_s = 0;
    (void)vsnprintf(c->text, sizeof(c->text), fmt, ap);
}

void call_fail_later(struct gateway_call *c, enum cause cause, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_failure(c, cause, fmt, ap);
    va_end(ap);
    call_later(c, TODO_FAIL);
}

void call_return_later(struct gateway_call *c, enum call_verdict verdict,
                       enum cause cause)
{
    c->hop_said.verdict = verdict;
    c->hop_cause = cause;
    call_later(c, TODO_RETURN);
}

void call_again_later(struct gateway_call *c, unsigned most, enum cause cause,
                      const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_failure(c, cause, fmt, ap);
    va_end(ap);
    call_later(c, c->n_again < most ? TODO_ASK : TODO_FAIL);
    c->n_again++;
}

/* --- ends -----------------------------------------------------------------------------
 */

void call_maybe_free(struct gateway_call *c)
{
    struct gateway *g = c->gateway;

    if (c->phase != PHASE_OVER || c->exchange != NULL || c->hop != NULL ||
        c->run != NULL) {
        return;
    }
    CHECK(!c->core_open && c->run == NULL && c->use.peer == NULL);
    list_remove(&c->due);
    list_remove(&c->link);
    buf_free(&c->prefix);
    buf_free(&c->log);
    if (c->face != NULL) {
        c->face->free(c->face_data);
    }
    spare_give(&g->spare_calls, c);
    gateway_call_gone(g);
}

static void count(const struct gateway_call *c, const char *outcome)
{
    const struct gateway *g = c->gateway;
    const struct call_record r = {
        .namespace_ = call_target(c)->namespace_,
        .function = c->version > 0 ? call_target(c)->name : NULL,
        .version = c->version,
        .outcome = outcome,
        .timing = &c->timing,
        .dispatched = c->dispatched_us > 0,
        .cold = c->timing.cold,
        .duration_us = clock_mono_us() - c->arrived_us,
    };

    gateway_metrics_in_flight(g->metrics, -1);
    if (c->said.verdict != VERDICT_FINAL) {
        return; /* it is counted where it ends */
    }
    if (c->phase == PHASE_HOP) {
        gateway_metrics_forward(g->metrics, outcome);
        if (c->cause == CAUSE_NONE) {
            return; /* it is counted where it ran */
        }
    }
    gateway_metrics_call(g->metrics, &r);
}

void call_over(struct gateway_call *c, const char *outcome)
{
    CHECK(c->phase != PHASE_OVER);
    count(c, outcome);
    c->phase = PHASE_OVER;
    c->todo = TODO_NONE;
    list_remove(&c->due);
}

void call_done(struct gateway_call *c, enum cause cause, uint64_t cpu_us)
{
    if (c->core_open) {
        c->core_open = false;
        agent_core_call_done(c->gateway->core, &c->call, cause, cpu_us);
    }
    call_maybe_free(c);
}

static void cancel(struct gateway_call *c, bool can_drop)
{
    if (c->core_open) {
        c->core_open = false;
        agent_core_call_cancel(c->gateway->core, &c->call, can_drop);
    }
}

void call_let_go(struct gateway_call *c)
{
    if (c->phase == PHASE_OVER && c->run != NULL) {
        cancel(c, call_run_drop(c));
        call_maybe_free(c);
    }
}

bool call_drop_work(struct gateway_call *c)
{
    bool usable = c->run == NULL || call_run_drop(c);

    call_hop_drop(c);
    return usable;
}

static void log_failure(const struct gateway_call *c)
{
    struct gateway *g = c->gateway;
    uint64_t second = clock_mono_ms() / 1000;

    if (cause_http_status(c->cause) < 500 || c->said.verdict != VERDICT_FINAL) {
        return; /* the caller's, and told to the caller; or the other agent's */
    }
    if (second != g->log_second) {
        g->log_second = second;
        g->log_lines = 0;
    }
    if (g->log_lines++ < LOG_LINES_MAX) {
        log_info("call failed", LOG_STR("request_id", c->request_id),
                 LOG_STR("namespace", call_target(c)->namespace_),
                 LOG_STR("function", call_target(c)->name),
                 LOG_INT("version", c->version), LOG_STR("cause", cause_name(c->cause)),
                 LOG_STR("text", c->text));
    }
}

/* Answers with c->cause, and ends all that is still going on. */
static void fail(struct gateway_call *c)
{
    bool idle = c->phase == PHASE_WAIT || c->phase == PHASE_ASK;
    enum cause cause = c->cause;
    bool usable = call_drop_work(c);

    if (c->dispatched_us > 0 && !c->timing.ran) {
        call_timing_ran(c);
    }
    if (c->face != NULL) {
        c->face->fail(c);
    } else if (c->tunnel && c->cause == CAUSE_TIMEOUT) {
        (void)http_exchange_end(c->exchange, (struct http_headers){NULL, 0});
    } else if (c->replied) {
        http_exchange_abort(c->exchange);
    } else {
        _cleanup_free_ char *tail = reply_tail(c);
        char timing[TIMING_SIZE];

        call_timing_text(c, timing);
        reply_error(c->exchange, &(struct reply_error){
                                     .node = c->gateway->node,
                                     .request_id = c->request_id,
                                     .text = c->text,
                                     .cause = c->cause,
                                     .retry_after_s = c->retry_after_s,
                                     .timing = timing,
                                     .said = c->trust == MARK_TRUSTED ? &c->said : NULL,
                                     .tail = tail});
    }
    log_failure(c);
    call_over(c, cause_name(c->cause));
    if (idle || !usable) {
        cancel(c, usable);
    }
    call_done(c, cause, c->cpu_us);
}

void call_gone(struct gateway_call *c)
{
    bool usable = call_drop_work(c);

    call_over(c, "canceled");
    cancel(c, usable && !c->instance_lost);
}

/* --- asking the core
 * -------------------------------------------------------------------- */

static bool too_large(const struct gateway_call *c)
{
    uint64_t announced = c->face == NULL ? http_exchange_content_length(c->exchange) : 0;

    return c->body_seen > c->body_max ||
           (announced != HTTP_BODY_CHUNKED && announced > c->body_max);
}

bool call_admit(struct gateway_call *c)
{
    const struct version *v = c->core_open ? c->call.version : NULL;

    if (v != NULL) { /* else it waits for a version to be there, or is asked for again */
        c->version = version_number(v);
        c->body_max = version_spec(v)->body_max_kib * 1024ull;
    }
    if (c->version > 0 && too_large(c)) {
        call_fail_later(c, CAUSE_PAYLOAD_TOO_LARGE,
                        "the body is over the function's limit of %llu KiB",
                        (unsigned long long)(c->body_max / 1024));
        return false;
    }
    return true;
}

static void ask(struct gateway_call *c)
{
    const struct route_target *t = call_target(c);

    cancel(c, call_drop_work(c) && !c->instance_lost); /* of an attempt before */
    c->instance_lost = false;
    c->phase = PHASE_WAIT;
    c->cause = CAUSE_NONE;
    c->dispatched_us = 0;
    c->call = (struct call){0};
    c->core_open = c->asking = true;
    if (c->trust == MARK_TRUSTED && (c->n_again == 0 || c->body_seen == 0)) {
        const struct call_hop hop = {.may_wait = c->mark.may_wait,
                                     .only_idle = c->mark.only_idle,
                                     .queue_left_ms = c->mark.wait_ms,
                                     .qualifier = t->qualifier,
                                     .picked = c->picked};

        agent_core_call_hop(c->gateway->core, &c->call, t->namespace_, t->name, &hop);
    } else { /* of a body that was asked for, the other agent has nothing left */
        agent_core_call_named(c->gateway->core, &c->call, t->namespace_, t->name,
                              t->qualifier, c->picked, c->trust != MARK_NONE);
    }
    c->asking = false;
    if (c->core_open) {
        (void)call_admit(c);
    }
}

/* Another agent did not take it. What came of its body is all here. */
static void ask_elsewhere(struct gateway_call *c)
{
    (void)call_drop_work(c);
    c->phase = PHASE_WAIT;
    c->cause = CAUSE_NONE;
    c->asking = true;
    agent_core_call_returned(c->gateway->core, &c->call, c->hop_node, c->hop_said.verdict,
                             c->hop_cause);
    c->asking = false;
    if (c->core_open) {
        (void)call_admit(c);
    }
}

void call_go(struct gateway_call *c, enum call_todo todo)
{
    c->todo = TODO_NONE;
    list_remove(&c->due);
    if (todo == TODO_DISPATCH) {
        call_run_start(c);
    } else {
        call_hop_start(c);
    }
}

void call_act(struct gateway_call *c)
{
    while (c->todo != TODO_NONE) {
        enum call_todo todo = c->todo;

        if (todo == TODO_DISPATCH || todo == TODO_FORWARD) {
            call_go(c, todo);
            continue;
        }
        c->todo = TODO_NONE;
        list_remove(&c->due);
        if (todo == TODO_FAIL) {
            fail(c);
            return; /* it may be no more */
        }
        if (todo == TODO_RETURN) {
            ask_elsewhere(c);
        } else {
            ask(c);
        }
    }
}
