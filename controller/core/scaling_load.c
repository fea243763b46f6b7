/* What nodes report of a version's load, for its autoscaler (scaling.h). */
#include "controller/core/core_private.h"
#include "controller/core/scaling_floor.h"
#include "controller/core/scaling_private.h"
#include "controller/core/scheduler.h"
#include "controller/core/targets.h"

#define BEAT_MS 1000 /* agents report what changed in this time */
#define AWAY_MS 2000 /* heard of before that: nothing changed, until just now */

static struct core_target *target_of(const struct core_load *l)
{
    struct core_target *t = target_next(l->f, NULL);

    while (t != NULL && t->number != l->version) {
        t = target_next(l->f, t);
    }
    return t;
}

void scaling_gauges(struct core_load *l, const struct version_load *v)
{
    struct core_target *t = target_of(l);
    uint64_t ready = (uint64_t)v->idle + v->frozen + v->busy;
    uint64_t was_ready = totals_ready(&l->last);

    if (t == NULL) {
        return;
    }
    t->scaling.ready += ready - was_ready;
    t->scaling.queued += v->queued - l->last.queued;
    t->scaling.in_flight += v->in_flight - l->last.in_flight;
    if (ready != was_ready &&
        (t->leaving || (t == t->f->candidate && t->scaling.warm_until_ms != 0))) {
        scheduler_touch(t->f->core, t->f); /* maybe all that it waits for are ready */
    }
}

/* What a report adds to the one before it. */
struct added {
    uint64_t from_ms;
    double load;  /* calls times milliseconds */
    double begun; /* calls */
};

static struct added added_by(const struct core_load *l, const struct version_load *v,
                             uint64_t now_ms)
{
    struct added a = {.from_ms = l->heard_ms};

    if (l->heard_ms == 0) {
        a.from_ms = now_ms; /* counters of which nobody knows since when */
        return a;
    }
    a.load =
        (double)(v->load_us >= l->load_us ? v->load_us - l->load_us : v->load_us) / 1000;
    a.begun = (double)(v->begun >= l->begun ? v->begun - l->begun : v->begun);
    if (l->level == 0 && now_ms - a.from_ms > AWAY_MS) {
        a.from_ms = now_ms - BEAT_MS; /* had it been before, it would have been said */
    }
    return a;
}

/* Load that came and went between two reports, but is no single short call. */
static bool wakes(const struct core_target *t, const struct added *a, uint64_t now_ms)
{
    return t->body != NULL && t->scaling.scaler == NULL && scaling_takes_calls(t) &&
           core_placing(t->f->core) &&
           (t->body->spec.metric == SPEC_METRIC_RPS
                ? a->begun > 0
                : a->load * 2 > (double)(now_ms - a->from_ms));
}

/* The autoscaler took the last report's calls to have stood since: it gets what was
 * really there in addition, which may be less. Of calls per second it took none to stand.
 */
static void add(struct core_target *t, const struct core_load *l, const struct added *a,
                bool stood, uint64_t now_ms)
{
    double taken = stood ? (double)l->level * (double)(now_ms - a->from_ms) : 0;

    autoscaler_add(t->scaling.scaler, a->from_ms, now_ms,
                   t->body->spec.metric == SPEC_METRIC_RPS ? a->begun * 1000
                                                           : a->load - taken);
}

static void count_load(struct core_target *t, const struct core_load *l,
                       const struct version_load *v, uint64_t now_ms)
{
    struct added a = added_by(l, v, now_ms);
    bool stood = t->scaling.scaler != NULL;
    bool came_and_went = wakes(t, &a, now_ms) && scaling_wake(t, 0) == 0;

    scaling_look(t);
    if (t->scaling.scaler == NULL || l->heard_ms == 0) {
        return;
    }
    if (stood || came_and_went || t->body->spec.metric == SPEC_METRIC_RPS) {
        add(t, l, &a, stood, now_ms);
    }
    if (came_and_went) {
        scaling_decide(t);
    }
}

void scaling_report(struct controller_core *c, struct core_load *l,
                    const struct version_load *v)
{
    struct core_target *t = target_of(l);
    uint64_t now_ms = core_now_ms(c);

    if (t != NULL && t->body != NULL) {
        count_load(t, l, v, now_ms);
    }
    l->heard_ms = now_ms > 0 ? now_ms : 1;
    l->load_us = v->load_us;
    l->begun = v->begun;
    l->level = v->in_flight + v->queued;
}

void scaling_lost(struct controller_core *c, struct core_load *l)
{
    struct core_target *t = target_of(l);

    l->heard_ms = 0;
    l->level = 0;
    if (t != NULL) {
        scaling_look(t);
    }
}
