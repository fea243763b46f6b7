/* Starts cost processor time, and a host has only so much of it. Begun all at once, each
 * takes as long as all together: a hundred of them end one by one by their init_timeout,
 * and so do the next hundred. So only some are under way at once. The others wait: they
 * are STARTING and have their memory, but the edge has not heard of them, and their
 * init_timeout has not begun.
 *
 * While the host's processors have time to spare in spite of them there is room for more:
 * twice as many with each look at them, and only `max` again as soon as they have none.
 *
 * A start that takes long counts for CORE_START_HOLD_MS only, and no version has more
 * than half of the places: one that only waits for something is not to keep others
 * waiting. Whose turn it is: versions with calls that wait come first, then those with
 * the fewest starts under way, then who waits longest. One that nothing wants any more
 * (its call was served meanwhile) does not begin at all, nor does another one of a
 * version whose starts fail. */
#include "agent/core/agent_core_private.h"
#include "common/check.h"

#define SPARE_MAX 4096

static uint32_t places(const struct gate *g)
{
    return g->max + g->spare;
}

static bool is_full(const struct gate *g)
{
    return g->max > 0 && g->n_open >= places(g);
}

static bool has_its_share(const struct version *v)
{
    const struct gate *g = &v->function->core->gate;

    return g->max > 0 && v->n_open >= places(g) - places(g) / 2;
}

/* When the first of those under way counts no more. */
static uint64_t hold_end_ms(const struct gate *g)
{
    const struct instance *first = container_of(g->open.next, struct instance, gate);

    return (first->started_us + 999) / 1000 + CORE_START_HOLD_MS;
}

static void let_slow_go(struct agent_core *a)
{
    struct gate *g = &a->gate;

    while (!list_empty(&g->open) && hold_end_ms(g) <= a->now_ms) {
        gate_leave(container_of(g->open.next, struct instance, gate));
    }
}

static void begin(struct instance *in)
{
    struct agent_core *a = in->version->function->core;

    list_remove(&in->gate);
    in->held_us = a->now_us - in->started_us;
    in->started_us = a->now_us;
    in->begun = true;
    if (a->gate.max > 0) {
        list_push_back(&a->gate.open, &in->gate);
        in->open = true;
        a->gate.n_open++;
        in->version->n_open++;
    }
    a->io.instance_start(a->io.ctx, in);
}

void gate_enter(struct instance *in)
{
    struct gate *g = &in->version->function->core->gate;

    let_slow_go(in->version->function->core);
    if (is_full(g) || has_its_share(in->version) || !list_empty(&g->waiting)) {
        list_push_back(&g->waiting, &in->gate);
    } else {
        begin(in);
    }
}

void gate_leave(struct instance *in)
{
    struct gate *g = &in->version->function->core->gate;

    list_remove(&in->gate);
    if (in->open) {
        in->open = false;
        g->n_open--;
        in->version->n_open--;
    }
}

void gate_turn_away(struct instance *in)
{
    list_push_back(&in->version->function->core->gate.gone, &in->gate);
}

/* Of one that waits. */
static bool is_no_use(const struct instance *in)
{
    const struct version *v = in->version;

    if (pool_room_yields(v) || v->function->core->now_ms < v->retry_ms ||
        (v->failures > 0 && v->n_open > 0)) {
        return true; /* it is tried again when that is over: OBSTACLE_PAUSE */
    }
    if (pool_held(v) > v->grant_max) {
        return true; /* the grant shrank, and what ends counts until it is gone */
    }
    return !in->ahead && pool_starts_due(v) < v->n[INSTANCE_STARTING];
}

static bool goes_before(const struct instance *a, const struct instance *b)
{
    bool calls = a->version->n_queued > 0;

    if (calls != (b->version->n_queued > 0)) {
        return calls;
    }
    return a->version->n_open < b->version->n_open;
}

static struct instance *next(struct gate *g)
{
    struct instance *best = NULL;

    LIST_FOREACH_SAFE(it, &g->waiting)
    {
        struct instance *in = container_of(it, struct instance, gate);

        if (is_no_use(in)) {
            pool_stop(in, STOP_RETIRED);
        } else if (!has_its_share(in->version) &&
                   (best == NULL || goes_before(in, best))) {
            best = in;
        }
    }
    return best;
}

static void expire(struct agent_core *a, struct timer *t)
{
    let_slow_go(a); /* and agent_leave() begins others */
}

void gate_pump(struct agent_core *a)
{
    struct gate *g = &a->gate;
    struct instance *in;

    let_slow_go(a);
    while (!list_empty(&g->waiting) && !is_full(g) && (in = next(g)) != NULL) {
        begin(in);
    }
    if (!list_empty(&g->waiting)) {
        agent_timer_lower(a, &g->timer, hold_end_ms(g));
    }
    if (list_empty(&g->waiting)) {
        g->spare = 0;
    }
}

bool agent_core_starts_wait(const struct agent_core *a)
{
    return !list_empty(&a->gate.waiting);
}

void agent_core_host_spare(struct agent_core *a, bool spare)
{
    struct gate *g = &a->gate;
    uint32_t more = places(g) + g->spare;

    agent_enter(a);
    g->spare = !spare ? 0 : more < SPARE_MAX ? more : SPARE_MAX;
    agent_leave(a); /* whose turn is it? */
}

int gate_open(struct agent_core *a, uint32_t starts_max)
{
    struct gate *g = &a->gate;

    list_init(&g->waiting);
    list_init(&g->open);
    list_init(&g->gone);
    g->max = starts_max;
    return agent_timer_add(a, &g->timer, expire);
}

void gate_close(struct agent_core *a)
{
    agent_timer_drop(a, &a->gate.timer);
}
