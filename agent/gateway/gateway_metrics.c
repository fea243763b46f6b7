#include "agent/gateway/gateway_metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/spec.h"

/* Looking a series up compares label after label; the functions that are called most find
 * theirs here. A slot holds whoever came last. */
#define SLOTS 1024

struct slot {
    char namespace_[SPEC_NAME_MAX + 1];
    char function[SPEC_NAME_MAX + 1];
    uint64_t version;
    struct metric *ok;
    struct metric *duration;
};

struct gateway_metrics {
    struct metric_family *invocations;
    struct metric_family *durations;
    struct metric_family *cold_starts;
    struct metric_family *forwards;
    struct metric *queue;
    struct metric *sandbox;
    struct metric *init;
    struct metric *in_flight;
    struct slot *slots;
};

int gateway_metrics_new(struct gateway_metrics **ret, struct metrics *registry)
{
    static const char *const invocation[] = {"namespace", "function", "version",
                                             "trigger", "outcome"};
    static const char *const function[] = {"namespace", "function"};
    static const char *const phase[] = {"phase"}, *const outcome[] = {"outcome"};
    static const char *const phases[] = {"sandbox", "init"};
    struct gateway_metrics *m = calloc(1, sizeof(*m));
    struct metric_family *starts;

    if (m == NULL || (m->slots = calloc(SLOTS, sizeof(*m->slots))) == NULL) {
        free(m);
        return -ENOMEM;
    }
    m->invocations =
        metrics_family(registry, METRIC_COUNTER, "mayfly_invocations_total",
                       "Calls that ended on this node, by how.", invocation, 5);
    m->durations = metrics_family(
        registry, METRIC_HISTOGRAM, "mayfly_invocation_duration_seconds",
        "Time from a call's arrival to the end of its reply.", function, 2);
    m->cold_starts =
        metrics_family(registry, METRIC_COUNTER, "mayfly_cold_starts_total",
                       "Calls that waited for an instance to start.", function, 2);
    m->forwards =
        metrics_family(registry, METRIC_COUNTER, "mayfly_forwards_total",
                       "Calls handed to another node, by how that went.", outcome, 1);
    m->queue = metric_get(
        metrics_family(registry, METRIC_HISTOGRAM, "mayfly_invocation_queue_seconds",
                       "Time that calls waited for an instance, its start left out.",
                       NULL, 0),
        NULL);
    starts = metrics_family(registry, METRIC_HISTOGRAM, "mayfly_start_duration_seconds",
                            "Phases of the starts that calls waited for.", phase, 1);
    m->sandbox = metric_get(starts, &phases[0]);
    m->init = metric_get(starts, &phases[1]);
    m->in_flight =
        metric_get(metrics_family(registry, METRIC_GAUGE, "mayfly_invocations_in_flight",
                                  "Calls that wait or run now.", NULL, 0),
                   NULL);
    *ret = m;
    return 0;
}

struct gateway_metrics *gateway_metrics_free(struct gateway_metrics *m)
{
    if (m != NULL) {
        free(m->slots);
        free(m);
    }
    return NULL;
}

static uint32_t hash(uint32_t h, const char *s)
{
    for (; *s != '\0'; s++) {
        h = (h ^ (unsigned char)*s) * 16777619u; /* FNV-1a */
    }
    return h * 16777619u;
}

static struct metric *invocations(struct gateway_metrics *m, const struct call_record *r)
{
    char version[24];
    const char *labels[5] = {r->namespace_, r->function, version, "http", r->outcome};

    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)r->version);
    return metric_get(m->invocations, labels);
}

static struct slot *slot_of(struct gateway_metrics *m, const struct call_record *r)
{
    uint32_t h = hash(hash(2166136261u, r->namespace_), r->function);
    struct slot *s = &m->slots[(h ^ (uint32_t)r->version) % SLOTS];
    const char *labels[2] = {r->namespace_, r->function};

    if (s->duration == NULL || s->version != r->version ||
        strcmp(s->function, r->function) != 0 ||
        strcmp(s->namespace_, r->namespace_) != 0) {
        (void)snprintf(s->namespace_, sizeof(s->namespace_), "%s", r->namespace_);
        (void)snprintf(s->function, sizeof(s->function), "%s", r->function);
        s->version = r->version;
        s->duration = metric_get(m->durations, labels);
        s->ok = NULL;
    }
    return s;
}

void gateway_metrics_call(struct gateway_metrics *m, const struct call_record *r)
{
    struct slot *s;

    if (r->function == NULL) {
        const struct call_record none = {
            .namespace_ = "", .function = "", .outcome = r->outcome};

        metric_add(invocations(m, &none), 1);
        return;
    }
    s = slot_of(m, r);
    if (strcmp(r->outcome, "ok") == 0) {
        if (s->ok == NULL) {
            s->ok = invocations(m, r);
        }
        metric_add(s->ok, 1);
    } else {
        metric_add(invocations(m, r), 1);
    }
    metric_observe_us(s->duration, r->duration_us);
    if (r->dispatched) {
        metric_observe_us(m->queue, r->timing->queue_us);
    }
    if (r->cold) {
        const char *labels[2] = {r->namespace_, r->function};

        metric_observe_us(m->sandbox, r->timing->start_us);
        metric_observe_us(m->init, r->timing->init_us);
        metric_add(metric_get(m->cold_starts, labels), 1);
    }
}

void gateway_metrics_forward(struct gateway_metrics *m, const char *outcome)
{
    metric_add(metric_get(m->forwards, &outcome), 1);
}

void gateway_metrics_in_flight(struct gateway_metrics *m, double delta)
{
    metric_add(m->in_flight, delta);
}
