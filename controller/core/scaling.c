#include "controller/core/scaling.h"

#include "common/check.h"
#include "controller/core/core_private.h"
#include "controller/core/journal.h"
#include "controller/core/scaling_config.h"
#include "controller/core/scaling_desired.h"
#include "controller/core/scaling_floor.h"
#include "controller/core/scaling_private.h"
#include "controller/core/scheduler.h"
#include "controller/core/targets.h"

#define WARM_WAIT_MS 10000 /* a version that works takes over after this, warm or not */
#define SQUEEZE_MS   10000

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t count_of(uint64_t n)
{
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* --- deciding --------------------------------------------------------------------- */

static void rest(struct core_target *t)
{
    struct controller_core *c = t->f->core;
    struct scaling *s = &t->scaling;

    alarms_clear(&c->alarms, &s->tick);
    c->scaling.scaled -= s->scaler != NULL;
    list_remove(&s->scaled);
    s->scaler = autoscaler_free(s->scaler);
}

/* 0 or -ENOMEM: the next report tries again. n: instances that it begins with. */
int scaling_wake(struct core_target *t, uint32_t n)
{
    struct controller_core *c = t->f->core;
    struct scaling *s = &t->scaling;
    struct autoscaler_config config;
    int rc;

    scaling_config(&t->body->spec, &c->options.autoscaler, &config);
    config.min_scale = scaling_least(t);
    rc = autoscaler_new(&s->scaler, &config, core_now_ms(c), n);
    if (rc == 0) {
        c->scaling.scaled++;
        list_push_back(&c->scaling.all, &s->scaled);
        alarms_set(&c->alarms, &s->tick, core_now_ms(c) + AUTOSCALER_TICK_MS);
    }
    return rc;
}

/* Instances that agents keep beyond what is desired do not count while the load fits what
 * is desired: else the count could not fall before they are gone. */
static uint32_t ready_of(const struct core_target *t)
{
    const struct scaling *s = &t->scaling;
    uint32_t desired = max_u32(s->desired, 1), ready = count_of(s->ready);
    bool fits = s->queued == 0 &&
                s->in_flight <= (uint64_t)desired * scaling_config_slots(&t->body->spec);

    return fits && ready > desired ? desired : ready;
}

static bool observe(struct core_target *t)
{
    const struct scaling *s = &t->scaling;
    struct autoscaler_observation o = {
        .at_ms = core_now_ms(t->f->core),
        .concurrency = (double)s->in_flight + (double)s->queued,
        .queued = count_of(s->queued),
        .ready = ready_of(t),
    };

    return autoscaler_observe(s->scaler, &o); /* rps: see add_counted() */
}

static enum scaling_reason reason_of(const struct core_target *t,
                                     const struct autoscaler_decision *d)
{
    switch (d->basis) {
    case AUTOSCALER_BASIS_PANIC:
        return SCALING_PANIC;
    case AUTOSCALER_BASIS_QUEUE:
        return SCALING_QUEUE;
    default:
        return d->desired == scaling_floor(t) && d->stable_wanted == 0 ? SCALING_REST
                                                                       : SCALING_STABLE;
    }
}

void scaling_decide(struct core_target *t)
{
    struct controller_core *c = t->f->core;
    struct scaling *s = &t->scaling;
    struct autoscaler_decision d;

    autoscaler_decide(s->scaler, core_now_ms(c), &d);
    c->scaling.decisions++;
    c->scaling.panics += d.panicking && !s->panicking;
    s->panicking = d.panicking;
    scaling_set_desired(t, d.desired, reason_of(t, &d), &d);
    if (d.valid && s->in_flight + s->queued == 0 && d.stable_value <= 0 && !d.panicking &&
        d.desired == scaling_floor(t)) {
        rest(t);
    } else {
        alarms_set(&c->alarms, &s->tick, core_now_ms(c) + AUTOSCALER_TICK_MS);
    }
}

static void tick(struct controller_core *c, struct alarm *a)
{
    struct scaling *s = container_of(a, struct scaling, tick);
    struct core_target *t = container_of(s, struct core_target, scaling);

    (void)observe(t); /* what nodes said last still stands */
    scaling_decide(t);
    if (s->scaler != NULL && scaling_takes_calls(t) && scaling_warm(t) != s->placed) {
        scheduler_touch(c, t->f); /* squeezed, or no more */
    }
}

/* The sums have changed. */
void scaling_look(struct core_target *t)
{
    struct scaling *s = &t->scaling;
    bool woke = false;

    if (s->scaler == NULL) {
        if (s->in_flight + s->queued == 0 || !scaling_takes_calls(t) || t->body == NULL ||
            !core_placing(t->f->core) || scaling_wake(t, 0) < 0) {
            return;
        }
        woke = true;
    }
    if (observe(t) || woke) {
        scaling_decide(t);
    }
}

/* --- from the scheduler ----------------------------------------------------------- */

void scaling_open(struct core_target *t)
{
    t->scaling = (struct scaling){.tick.fire = tick};
    list_init(&t->scaling.scaled);
    LIST_FOREACH(it, &t->f->loads)
    {
        const struct core_load *l = container_of(it, struct core_load, of_function);

        if (l->version == t->number) {
            t->scaling.ready += totals_ready(&l->last);
            t->scaling.queued += l->last.queued;
            t->scaling.in_flight += l->last.in_flight;
        }
    }
}

void scaling_close(struct core_target *t)
{
    rest(t);
    t->f->core->scaling.desired -= t->scaling.desired;
    t->scaling.desired = 0;
    scaling_records_free(&t->scaling.records);
}

/* More than it would have at rest: they stay for a stable window at least, since nobody
 * knows yet what the load asks for. */
static void begin(struct core_target *t, uint32_t n, enum scaling_reason reason)
{
    struct scaling *s = &t->scaling;

    s->counted = true;
    n = scaling_cap(t, n);
    if (!t->body->spec.reuse || n <= max_u32(1, scaling_floor(t)) || s->scaler != NULL) {
        return;
    }
    if (scaling_wake(t, n) == 0) {
        scaling_set_desired(t, n, reason, NULL);
    }
}

static void begin_new(struct core_target *t, uint32_t old)
{
    uint32_t initial =
        scaling_config_initial(&t->body->spec, &t->f->core->options.autoscaler);

    begin(t, max_u32(initial, old), initial > old ? SCALING_INITIAL : SCALING_INHERITED);
}

void scaling_inherit(struct core_target *t, const struct core_target *old)
{
    if (t->body != NULL && !t->scaling.counted) {
        begin_new(t, old != NULL ? old->scaling.desired : 0);
    }
    t->scaling.warm_until_ms = 0;
}

static uint32_t adopted(const struct core_target *t)
{
    uint64_t warm = 0;

    LIST_FOREACH(it, &t->grants)
    {
        warm += container_of(it, struct core_grant, of_target)->warm;
    }
    return count_of(warm);
}

/* It is named no more, or serves no more. */
static void follow_none(struct core_target *t)
{
    rest(t);
    scaling_set_desired(t, 0, SCALING_REPLACED, NULL);
}

static void follow_calls(struct core_target *t)
{
    if (t->scaling.scaler != NULL) { /* its part may have changed */
        autoscaler_set_min_scale(t->scaling.scaler, scaling_least(t));
    }
    if (!t->scaling.counted) {
        begin(t, adopted(t), SCALING_ADOPTED);
    }
    if (t->scaling.scaler == NULL) {
        scaling_look(t);
    }
    if (t->scaling.scaler == NULL) {
        scaling_set_desired(t, scaling_floor(t), SCALING_REST, NULL);
    }
}

void scaling_follow(struct controller_core *c, struct core_function *f)
{
    struct core_target *t;

    for (t = target_next(f, NULL); t != NULL; t = target_next(f, t)) {
        if (t->body != NULL && scaling_takes_calls(t)) {
            follow_calls(t);
        } else if (t != f->candidate) {
            follow_none(t);
        }
    }
    t = f->candidate;
    if (t != NULL && t->body != NULL && t->proof == PROOF_READY && !t->scaling.counted) {
        begin_new(t, f->serving != NULL ? f->serving->scaling.desired : 0);
        t->scaling.warm_until_ms = core_now_ms(c) + WARM_WAIT_MS;
    }
}

uint32_t scaling_needed(const struct core_target *t)
{
    uint32_t slots = scaling_config_slots(&t->body->spec);

    return count_of((t->scaling.in_flight + t->scaling.queued + slots - 1) / slots);
}

uint32_t scaling_warm(const struct core_target *t)
{
    const struct controller_core *c = t->f->core;
    const struct function_spec *spec = &t->body->spec;
    uint32_t n = scaling_cap(t, t->scaling.desired), least = scaling_floor(t);
    bool last =
        n == 1 && least == 0 && !scaling_config_retains(spec, &c->options.autoscaler);

    if (core_now_ms(c) < c->scaling.squeezed_until_ms && n > scaling_needed(t)) {
        n = max_u32(scaling_needed(t), least);
    }
    return !spec->reuse || last ? 0 : n;
}

void scaling_squeeze(struct controller_core *c)
{
    if (core_now_ms(c) < c->scaling.squeezed_until_ms) {
        return;
    }
    c->scaling.squeezed_until_ms = core_now_ms(c) + SQUEEZE_MS;
    LIST_FOREACH(it, &c->scaling.all)
    {
        struct scaling *s = container_of(it, struct scaling, scaled);
        struct core_target *t = container_of(s, struct core_target, scaling);

        if (scaling_warm(t) < s->placed) {
            scheduler_touch(c, t->f);
        }
    }
}

/* It squeezes others by itself, if that can help (target_proof.c). */
static bool waits_for_proof(const struct core_target *t)
{
    return t == t->f->candidate && t->proof == PROOF_WANTED;
}

void scaling_placed(struct core_target *t, uint32_t warm, uint64_t missing)
{
    bool news = missing > 0 && t->scaling.no_room == 0;
    uint32_t least = scaling_floor(t);

    t->scaling.placed = warm;
    t->scaling.no_room = count_of(missing);
    if (news) {
        scaling_note(t, t->scaling.desired, SCALING_NO_ROOM, NULL);
        journal_function(t->f->core, EVENT_PLACED, t->f, t->number,
                         "finds no place for %u of the %u instances to keep ready",
                         t->scaling.no_room, warm);
    }
    if (warm < missing + least && !waits_for_proof(t)) {
        scaling_squeeze(t->f->core); /* not even min-scale has room */
    }
}

uint64_t scaling_warming_ms(const struct core_target *t)
{
    uint32_t warm = adopted(t);

    return warm > 1 && t->scaling.ready < warm ? t->scaling.warm_until_ms : 0;
}

/* --- check ------------------------------------------------------------------------ */

void scaling_invariant(const struct controller_core *c, const struct core_target *t)
{
    const struct scaling *s = &t->scaling;
    uint64_t ready = 0, queued = 0, in_flight = 0;

    CHECK((s->scaler != NULL) == s->tick.set);
    LIST_FOREACH(it, &t->f->loads)
    {
        const struct core_load *l = container_of(it, struct core_load, of_function);

        if (l->version == t->number) {
            ready += totals_ready(&l->last);
            queued += l->last.queued;
            in_flight += l->last.in_flight;
        }
    }
    CHECK(ready == s->ready && queued == s->queued && in_flight == s->in_flight);
    if (t->body != NULL && t->body->spec.max_scale > 0) {
        CHECK(s->desired <= t->body->spec.max_scale);
    }
}
