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
#include "common/number.h"

#define REPORTS_MAX 100
#define USAGE_US    1000000 /* the peak of memory is asked for so often at most */
#define MIB         (1024 * 1024)

/* printf() would cost more than all else that a call takes here. */
static char *put_number(char *at, uint64_t n)
{
    return at + number_text(at, n);
}

/* "12.05": milliseconds with two decimals. */
static char *put_ms(char *at, uint64_t us)
{
    char hundredths[NUMBER_TEXT_SIZE];

    (void)number_text(hundredths, 100 + us % 1000 / 10);
    at = put_number(at, us / 1000);
    *at = '.';
    return stpcpy(at + 1, hundredths + 1);
}

static void say(struct runtime_instance *in, const char *text)
{
    output_log(in, LOG_STREAM_SYSTEM, text, strlen(text));
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
        warden_usage(in->host->options.warden, in->sandbox_id, known_cb, in);
    }
}

void lambda_report_start(struct lambda_call *l)
{
    struct runtime_instance *in = l->call.instance;
    char text[128], version[24], *at;

    l->started_us = clock_mono_us();
    l->reports = may_report(in) || l->log != NULL;
    if (l->log != NULL) {
        l->log_mark = log_sink_mark(in->sink);
        ask_usage(in); /* REPORT will not wait for it */
    }
    if (l->reports) {
        runtime_lambda_version(version, in);
        at = stpcpy(stpcpy(text, "START RequestId: "), l->id);
        at = stpcpy(stpcpy(at, " Version: "), version);
        (void)stpcpy(at, "\n");
        say(in, text);
    }
}

/* --- the end --------------------------------------------------------------------------
 */

#define BEFORE_MAX 840
#define AFTER_MAX  160

/* Lines that wait for the peak of memory. */
struct report {
    struct runtime_instance *instance;
    char before[BEFORE_MAX];
    char after[AFTER_MAX];
};

static void write_report(const struct report *r)
{
    uint64_t peak = (r->instance->peak_bytes + MIB - 1) / MIB;
    char text[BEFORE_MAX + AFTER_MAX + 32];

    (void)stpcpy(stpcpy(put_number(stpcpy(text, r->before), peak), " MB"), r->after);
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
    warden_usage(in->host->options.warden, in->sandbox_id, usage_cb, r);
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

/* Of a call, but for the peak of memory and what comes after it. */
static void format_before(char *at, const struct lambda_call *l, const char *trouble,
                          uint64_t run_us, uint64_t init_us)
{
    const struct runtime_instance *in = l->call.instance;

    at = stpcpy(stpcpy(stpcpy(at, trouble), "END RequestId: "), l->id);
    at = stpcpy(stpcpy(at, "\nREPORT RequestId: "), l->id);
    at = put_ms(stpcpy(at, "\tDuration: "), run_us);
    at =
        put_number(stpcpy(at, " ms\tBilled Duration: "), (run_us + init_us + 999) / 1000);
    at = put_number(stpcpy(at, " ms\tMemory Size: "), in->config.spec->memory_mib);
    (void)stpcpy(at, " MB\tMax Memory Used: ");
}

static void format_after(char *at, enum cause cause, const struct lambda_error *e,
                         uint64_t init_us)
{
    char type[61] = "";

    if (init_us > 0) {
        at = stpcpy(put_ms(stpcpy(at, "\tInit Duration: "), init_us), " ms");
    }
    if (cause == CAUSE_TIMEOUT) {
        (void)stpcpy(at, "\tStatus: timeout\n");
    } else if (cause != CAUSE_NONE) {
        memcpy(type, e->type, sizeof(type) - 1);
        at = stpcpy(stpcpy(at, "\tStatus: error\tError Type: "), type);
        (void)stpcpy(at, "\n");
    } else {
        (void)stpcpy(at, "\n");
    }
}

void lambda_report_end(struct lambda_call *l, enum cause cause, const char *text)
{
    struct runtime_instance *in = l->call.instance;
    struct lambda_state *s = in->kind_state;
    uint64_t run_us = clock_mono_us() - l->started_us;
    uint64_t init_us = s->reported ? 0 : in->phases.init_us;
    struct report r;
    struct lambda_error e;
    char trouble[420];

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
    r.instance = in;
    format_before(r.before, l, trouble, run_us, init_us);
    format_after(r.after, cause, &e, init_us);
    send_report(&r, l->log == NULL);
    if (l->log != NULL) {
        take_tail(l);
    }
}
