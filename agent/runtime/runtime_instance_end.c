/* How an instance ends: stopped, failed, or over and its sandbox the next one's. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/runtime/runtime_private.h"
#include "common/check.h"

#define CLEANING_MS 1000

void instance_free(struct runtime_instance *in)
{
    in->sink = log_sink_free(in->sink);
    free(in->kind_state);
    free(in);
}

void instance_hold(struct runtime_instance *in)
{
    in->holds++;
}

void instance_release(struct runtime_instance *in)
{
    CHECK(in->holds > 0);
    in->holds--;
    instance_advance(in);
}

static void channel_closed(void *data)
{
    instance_release(data);
}

static void timer_closed(uv_handle_t *handle)
{
    instance_release(container_of((uv_timer_t *)handle, struct runtime_instance, timer));
}

/* Nothing runs in there any more and nobody wants anything from it. */
static void close_all(struct runtime_instance *in)
{
    in->closing = true;
    instance_hold(in); /* until all are asked */
    usage_ends(in);
    outputs_end(in);
    in->kind->close(in);
    if (in->channel != NULL) {
        instance_hold(in);
        channel_close(in->channel, channel_closed);
        in->channel = NULL;
    }
    if (in->listener >= 0) {
        (void)close(in->listener);
        in->listener = -1;
    }
    if (in->freezer >= 0) {
        (void)close(in->freezer);
        in->freezer = -EBADF;
    }
    for (int i = 0; i < 2; i++) {
        if (in->seed[i] >= 0) {
            (void)close(in->seed[i]);
            in->seed[i] = -1;
        }
    }
    instance_hold(in);
    uv_close((uv_handle_t *)&in->timer, timer_closed);
    instance_release(in);
}

static void kill_sandbox(struct runtime_instance *in) /* the warden thaws what it kills */
{
    (void)uv_timer_stop(&in->timer);
    if ((in->sandbox || in->making) && !in->killed) {
        warden_kill(in->host->options.warden, in->sandbox_id);
    }
    in->killed = true;
}

void instance_kill(struct runtime_instance *in)
{
    kill_sandbox(in);
    instance_advance(in);
}

static void last_words_cb(uv_timer_t *timer)
{
    instance_kill(container_of(timer, struct runtime_instance, timer));
}

/* The program goes at once. What stands beside it may have a word to say, once. */
static void end_program(struct runtime_instance *in, bool graceful)
{
    bool first = !in->last_words;
    uint32_t ms = 0;

    in->last_words = true;
    if (first && in->sandbox && !in->killed && !in->host->closing &&
        in->kind->last_words != NULL) {
        ms = in->kind->last_words(in, in->failing || in->failed ? "failure"
                                      : graceful                ? "spindown"
                                                                : NULL);
    }
    if (ms > 0) {
        if (in->main_runs) {
            channel_signal(in->channel, RUNTIME_MAIN_RUN, SIGKILL);
        }
        CHECK(uv_timer_start(&in->timer, last_words_cb, ms, 0) == 0);
    } else if (first || in->host->closing) {
        kill_sandbox(in);
    }
}

void instance_end(struct runtime_instance *in)
{
    struct runtime_host *h = in->host;
    bool graceful = in->graceful;

    in->graceful = false;
    end_program(in, graceful);
    if (in->failing || in->failed || in->cause != CAUSE_NONE) {
        calls_fail_all(in, in->cause, in->text);
    } else if (h->closing) {
        calls_fail_all(in, CAUSE_NODE_LOST, "the agent is ending");
    } else {
        calls_fail_all(in, CAUSE_CRASHED, "the instance was stopped");
    }
}

static void ask_to_end(struct runtime_instance *in)
{
    if (!in->termed && in->main_runs && in->channel != NULL) {
        in->termed = true;
        channel_signal(in->channel, RUNTIME_MAIN_RUN, SIGTERM);
    }
}

/* --- its sandbox may be another's ---------------------------------------------------
 */

/* It goes, as if nobody had thought of keeping it. */
void instance_not_cleaned(struct runtime_instance *in)
{
    in->cleaning = false;
    kill_sandbox(in);
}

static void cleaning_late_cb(uv_timer_t *timer)
{
    instance_not_cleaned(container_of(timer, struct runtime_instance, timer));
}

void instance_remains_known(struct runtime_instance *in)
{
    if (!in->cleaning) {
        return; /* its call is not over for its caller */
    }
    if (in->kind->remains(in) == REMAINS_NONE && !in->usage.asking && recycled_keep(in)) {
        in->cleaning = false;
        (void)uv_timer_stop(&in->timer);
        instance_advance(in);
    } else {
        instance_not_cleaned(in);
    }
}

/* Its one call is over, and nothing went wrong that is known of. */
static bool begin_cleaning(struct runtime_instance *in)
{
    enum remains remains = in->kind->remains != NULL && list_empty(&in->calls) &&
                                   in->n_oom == 0 && !in->host->closing
                               ? in->kind->remains(in)
                               : REMAINS_UNKNOWN;

    in->cleaning = remains != REMAINS_UNKNOWN;
    if (remains == REMAINS_SOUGHT) {
        CHECK(uv_timer_start(&in->timer, cleaning_late_cb, CLEANING_MS, 0) == 0);
    } else if (remains == REMAINS_NONE) {
        instance_remains_known(in);
    }
    return remains != REMAINS_UNKNOWN;
}

/* --- what comes next ---------------------------------------------------------------- */

void instance_advance(struct runtime_instance *in)
{
    if (in->phase == PHASE_READY && in->oom && !in->failing && list_empty(&in->calls)) {
        instance_fail(in, CAUSE_OOM, "out of memory"); /* a clean one takes its place */
        return;
    }
    if (in->phase != PHASE_ENDING) {
        return;
    }
    if (in->sandbox && !in->killed && !in->cleaning && list_empty(&in->calls)) {
        if (in->graceful && in->main_runs) {
            ask_to_end(in);
        } else {
            instance_end(in);
        }
    }
    if (in->making || in->sandbox || !list_empty(&in->calls)) {
        return;
    }
    if (!in->closing) {
        close_all(in);
    } else if (in->holds == 0 && !in->gone) {
        in->gone = true;
        list_remove(&in->report);
        list_push_back(&in->host->gone, &in->report);
        host_deliver_soon(in->host);
    }
}

static void conclude(struct runtime_instance *in)
{
    in->failing = false;
    host_deliver_soon(in->host);
    if (in->phase == PHASE_ENDING) { /* stopped meanwhile: nobody waits for the news */
        return;
    }
    if (in->oom || in->cause == CAUSE_OOM) {
        in->cause = CAUSE_OOM;
        instance_oom_text(in, in->peak_bytes, in->text);
    }
    in->failed = true;
    in->phase = PHASE_ENDING;
    instance_hold(in);        /* until on_failed was called */
    list_remove(&in->report); /* it may have been about to begin */
    list_push_back(&in->host->failed, &in->report);
    instance_end(in);
}

static void usage_cb(void *data, int status, const struct sandbox_usage *u)
{
    struct runtime_instance *in = data;

    if (status == 0) {
        in->oom = in->oom || u->oom;
        in->peak_bytes = u->memory_peak_bytes;
        usage_told(in, u->cpu_us);
    }
    conclude(in);
    instance_release(in);
}

void instance_fail(struct runtime_instance *in, enum cause cause, const char *fmt, ...)
{
    va_list ap;

    if (in->failing || in->phase == PHASE_ENDING) {
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(in->text, sizeof(in->text), fmt, ap);
    va_end(ap);
    /* Who was never ready cannot crash. */
    in->cause =
        cause == CAUSE_CRASHED && in->phase == PHASE_INIT ? CAUSE_INIT_FAILED : cause;
    in->failing = true;
    instance_hold(in);
    if (in->sandbox && cause != CAUSE_START_FAILED) {
        instance_hold(in);
        warden_usage(in->host->options.warden, in->sandbox_id, usage_cb, in);
    } else {
        conclude(in);
    }
    instance_release(in);
}

static void grace_cb(uv_timer_t *timer)
{
    struct runtime_instance *in = container_of(timer, struct runtime_instance, timer);

    instance_end(in);
    instance_advance(in);
}

void runtime_instance_stop(struct runtime_instance *in, uint32_t grace_ms)
{
    bool was_ready = in->phase == PHASE_READY && !in->failing;

    if (in->phase == PHASE_ENDING && (!in->graceful || grace_ms > 0)) {
        return;
    }
    in->phase = PHASE_ENDING;
    instance_hold(in);
    if (grace_ms == 0 && was_ready && begin_cleaning(in)) {
        in->graceful = false;
    } else if (grace_ms == 0 || !was_ready || runtime_instance_thaw(in) < 0) {
        instance_end(in);
    } else {
        in->graceful = true;
        CHECK(uv_timer_start(&in->timer, grace_cb, grace_ms, 0) == 0);
        if (in->kind->term_with_calls) {
            ask_to_end(in);
        }
    }
    instance_release(in);
}
