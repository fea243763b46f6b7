#include "controller/core/scaling_desired.h"

#include "controller/core/journal.h"
#include "controller/core/scheduler.h"

#define EVENT_MS 30000 /* between two events of one movement */

static uint32_t count_of(uint64_t n)
{
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

void scaling_note(struct core_target *t, uint32_t to, enum scaling_reason reason,
                  const struct autoscaler_decision *d)
{
    const struct controller_core *c = t->f->core;
    struct scaling *s = &t->scaling;
    struct scaling_record r = {.at_ms = core_now_ms(c),
                               .wall_ms = c->io.wall_ms(c->io.ctx),
                               .from = s->desired,
                               .to = to,
                               .reason = reason,
                               .ready = count_of(s->ready),
                               .queued = count_of(s->queued),
                               .no_room = reason == SCALING_NO_ROOM ? s->no_room : 0};

    if (d != NULL) {
        r.metric = d->metric;
        r.value = d->basis == AUTOSCALER_BASIS_PANIC ? d->panic_value : d->stable_value;
        r.target = d->target;
        r.panicking = d->panicking;
        r.clamps = d->clamps;
    }
    scaling_records_add(&s->records, &r);
}

/* Steps of one movement are one event: there is room for some thousands in the cluster.
 */
static void tell(struct core_target *t, uint32_t to, enum scaling_reason reason)
{
    struct controller_core *c = t->f->core;
    struct scaling *s = &t->scaling;
    bool up = to > s->desired;

    if (up == s->told_up && s->told_ms != 0 && to != 0 &&
        core_now_ms(c) - s->told_ms < EVENT_MS) {
        return;
    }
    s->told_ms = core_now_ms(c) > 0 ? core_now_ms(c) : 1;
    s->told_up = up;
    journal_function(c, EVENT_SCALED, t->f, t->number,
                     "scales from %u to %u instances: %s", s->desired, to,
                     scaling_reason_text(reason));
}

void scaling_set_desired(struct core_target *t, uint32_t to, enum scaling_reason reason,
                         const struct autoscaler_decision *d)
{
    struct controller_core *c = t->f->core;
    struct scaling *s = &t->scaling;

    if (to == s->desired) {
        return;
    }
    scaling_note(t, to, reason, d);
    tell(t, to, reason);
    *(to > s->desired ? &c->scaling.ups : &c->scaling.downs) += 1;
    c->scaling.desired = c->scaling.desired - s->desired + to;
    s->desired = to;
    scheduler_touch(c, t->f);
}
