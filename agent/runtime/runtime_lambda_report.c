/* Lambda's lines about each call in the function's log: START when its event goes out,
 * END and REPORT when it is over. At most REPORTS_MAX calls a second and instance have
 * them, so that a busy function's log remains its own; a line tells how many have not. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/runtime/lambda_error.h"
#include "agent/runtime/runtime_lambda.h"
#include "common/clock.h"

#define REPORTS_MAX 100
#define USAGE_US    1000000 /* the peak of memory is asked for so often at most */
#define MIB         (1024 * 1024)

static void say(struct runtime_instance *in, const char *text)
{
    log_sink_write(in->sink, LOG_STREAM_SYSTEM, text, strlen(text));
}

/* Whether a call that begins now has its lines. */
static bool may_report(struct runtime_instance *in)
{
    struct lambda_state *s = in->kind_state;
    uint64_t second = clock_mono_ms() / 1000;

    if (second != s->report_second) {
        if (s->n_unreported > 0) {
            char text[96];

            (void)snprintf(text, sizeof(text),
                           "%u calls have no START, END and REPORT lines\n",
                           s->n_unreported);
            say(in, text);
        }
        s->report_second = second;
        s->n_reports = s->n_unreported = 0;
    }
    if (s->n_reports == REPORTS_MAX) {
        s->n_unreported++;
        return false;
    }
    s->n_reports++;
    return true;
}

static void known_cb(void *data, int status, const struct sandbox_usage *u)
{
    struct runtime_instance *in = data;

    if (status == 0 && u->memory_peak_bytes > in->peak_bytes) {
        in->peak_bytes = u->memory_peak_bytes;
    }
    if (status == 0) {
        usage_told(in, u->cpu_us);
    }
    instance_release(in);
}

static void ask_usage(struct runtime_instance *in)
{
    struct lambda_state *s = in->kind_state;
    uint64_t now = clock_mono_us();

    if (s->usage_us == 0 || now - s->usage_us >= USAGE_US) {
        s->usage_us = now;
        instance_hold(in);
        warden_usage(in->host->options.warden, in->config.id, known_cb, in);
    }
}

void lambda_report_start(struct lambda_call *l)
{
    struct runtime_instance *in = l->call.instance;
    char text[128], version[24];

    l->started_us = clock_mono_us();
    l->reports = may_report(in) || l->log != NULL;
    if (l->log != NULL) {
        l->log_mark = log_sink_mark(in->sink);
        ask_usage(in); /* REPORT will not wait for it */
    }
    if (l->reports) {
        runtime_lambda_version(version, in);
        (void)snprintf(text, sizeof(text), "START RequestId: %s Version: %s\n", l->id,
                       version);
        say(in, text);
    }
}

/* --- the end --------------------------------------------------------------------------
 */

/* Lines that wait for the peak of memory. */
struct report {
    struct runtime_instance *instance;
    char before[840];
    char after[160];
};

static void write_report(const struct report *r)
{
    uint64_t peak = (r->instance->peak_bytes + MIB - 1) / MIB;
    char text[sizeof(r->before) + sizeof(r->after) + 32];

    (void)snprintf(text, sizeof(text), "%s%" PRIu64 " MB%s", r->before, peak, r->after);
    say(r->instance, text);
}

static void usage_cb(void *data, int status, const struct sandbox_usage *u)
{
    struct report *r = data;
    struct runtime_instance *in = r->instance;

    if (status == 0 && u->memory_peak_bytes > in->peak_bytes) {
        in->peak_bytes = u->memory_peak_bytes;
    }
    if (status == 0) {
        usage_told(in, u->cpu_us);
    }
    write_report(r);
    free(r);
    instance_release(in);
}

/* wait: for the peak of memory, unless that was asked for lately. */
static void send_report(const struct report *made, bool wait)
{
    struct runtime_instance *in = made->instance;
    struct lambda_state *s = in->kind_state;
    uint64_t now = clock_mono_us();
    struct report *r = wait && in->sandbox && !in->killed &&
                               (s->usage_us == 0 || now - s->usage_us >= USAGE_US)
                           ? malloc(sizeof(*r))
                           : NULL;

    if (r == NULL) {
        write_report(made);
        return;
    }
    *r = *made;
    s->usage_us = now;
    instance_hold(in);
    warden_usage(in->host->options.warden, in->config.id, usage_cb, r);
}

static void take_tail(struct lambda_call *l)
{
    char text[LOG_TAIL];
    size_t len = log_sink_tail(l->call.instance->sink, l->log_mark, text);

    (void)buf_append(l->log, text, len); /* without memory: none */
    l->log = NULL;
}

/* A line about what the platform did to the call, as Lambda has it. */
static void format_trouble(char *ret, size_t size, const struct lambda_call *l,
                           enum cause cause, const struct lambda_error *e)
{
    char when[CLOCK_RFC3339_SIZE];

    ret[0] = '\0';
    if (cause == CAUSE_TIMEOUT) {
        const char *task = strstr(e->message, "Task timed out");

        clock_rfc3339(clock_wall_ms(), when);
        (void)snprintf(ret, size, "%s %s %s\n", when, l->id, task != NULL ? task : "");
    } else if (cause != CAUSE_NONE) {
        (void)snprintf(ret, size, "%.280s\n%s\n", e->message, e->type);
    }
}

void lambda_report_end(struct lambda_call *l, enum cause cause, const char *text)
{
    struct runtime_instance *in = l->call.instance;
    struct lambda_state *s = in->kind_state;
    uint64_t run_us = clock_mono_us() - l->started_us;
    uint64_t init_us = s->reported ? 0 : in->phases.init_us;
    struct report r = {.instance = in};
    struct lambda_error e;
    char trouble[420], init[64] = "";

    if (!l->reports) {
        l->log = NULL;
        return;
    }
    if (l->log != NULL) {
        outputs_drain(in); /* what the function printed stands before END */
    }
    l->reports = false;
    s->reported = true;
    if (cause != CAUSE_NONE) {
        lambda_error_of(&e, cause, text, l->id, in->config.spec->timeout_ms);
    }
    format_trouble(trouble, sizeof(trouble), l, cause, &e);
    (void)snprintf(r.before, sizeof(r.before),
                   "%sEND RequestId: %s\n"
                   "REPORT RequestId: %s\tDuration: %" PRIu64 ".%02u ms\t"
                   "Billed Duration: %" PRIu64 " ms\tMemory Size: %u MB\t"
                   "Max Memory Used: ",
                   trouble, l->id, l->id, run_us / 1000, (unsigned)(run_us % 1000 / 10),
                   (run_us + init_us + 999) / 1000, in->config.spec->memory_mib);
    if (init_us > 0) {
        (void)snprintf(init, sizeof(init), "\tInit Duration: %" PRIu64 ".%02u ms",
                       init_us / 1000, (unsigned)(init_us % 1000 / 10));
    }
    if (cause == CAUSE_TIMEOUT) {
        (void)snprintf(r.after, sizeof(r.after), "%s\tStatus: timeout\n", init);
    } else if (cause != CAUSE_NONE) {
        (void)snprintf(r.after, sizeof(r.after), "%s\tStatus: error\tError Type: %.60s\n",
                       init, e.type);
    } else {
        (void)snprintf(r.after, sizeof(r.after), "%s\n", init);
    }
    send_report(&r, l->log == NULL);
    if (l->log != NULL) {
        take_tail(l);
    }
}
