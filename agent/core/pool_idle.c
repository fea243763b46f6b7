#include "agent/core/agent_core_private.h"

#include <errno.h>

#include "common/check.h"

/* What becomes of an instance without calls.
 *
 *   last call ─▶ idle ──freeze_after──▶ frozen ──▶ dropped ─ ─ ▶ started ahead ─▶ idle …
 *                 ▲─────────call, thawed──┘                  of the next call
 *
 * When it is dropped says keepalive.h: after a fixed time, or as the function's calls are
 * used to come. What was learned is about the function, and is for one instance: that of
 * the version that takes its calls, as long as no call runs. Any others are kept for the
 * fixed time at most, since there is no telling how many calls will come at once.
 * Instances that the grant wants `warm` are not dropped, but frozen like the others. */

static uint64_t max_ms(uint64_t x, uint64_t y)
{
    return x > y ? x : y;
}

static uint64_t min_ms(uint64_t x, uint64_t y)
{
    return x < y ? x : y;
}

static struct instance *last(const struct list *instances)
{
    return list_empty(instances) ? NULL
                                 : container_of(instances->prev, struct instance, warm);
}

/* Whoever froze late, or not at all, may be colder than the frozen. */
struct instance *pool_coldest(const struct version *v)
{
    struct instance *warm = last(&v->warm);
    struct instance *frozen = last(&v->frozen);

    if (warm == NULL || frozen == NULL) {
        return warm != NULL ? warm : frozen;
    }
    return frozen->idle_since_ms <= warm->idle_since_ms ? frozen : warm;
}

void pool_freeze_at(struct instance *in)
{
    struct list *frozen = &in->version->frozen;
    struct list *at = frozen->next;

    while (at != frozen &&
           container_of(at, struct instance, warm)->idle_since_ms > in->idle_since_ms) {
        at = at->next;
    }
    list_push_back(at, &in->warm); /* before it */
}

/* --- for how long ---------------------------------------------------------------------
 */

static bool is_planned(const struct version *v)
{
    return v == v->function->target && v->function->plan.basis == KEEPALIVE_LEARNED;
}

uint64_t pool_drop_ms(const struct version *v, const struct instance *in)
{
    const struct keepalive_plan *p = &v->function->plan;
    uint64_t fixed_ms = in->idle_since_ms + v->spec.idle_ms;
    uint64_t planned_ms;

    if (!is_planned(v)) {
        return fixed_ms;
    }
    planned_ms = p->prewarm_ms <= v->function->core->now_ms ? p->until_ms : p->drop_ms;
    planned_ms = max_ms(planned_ms, in->idle_since_ms + CORE_IDLE_GRACE_MS);
    return pool_idle(v) == 1 ? planned_ms : min_ms(planned_ms, fixed_ms);
}

void pool_drop_if_due(struct instance *in)
{
    struct version *v = in->version;

    if (in->state == INSTANCE_IDLE && v->spare > 0 &&
        pool_drop_ms(v, in) <= v->function->core->now_ms) {
        pool_stop(in, STOP_IDLE);
    }
}

void pool_idle_plan(struct function *f)
{
    struct version *v = f->target;

    if (v == NULL) {
        return;
    }
    f->plan_ms = UINT64_MAX;
    f->keepalive.fixed_ms = v->spec.idle_ms;
    f->keepalive.learn = v->spec.keep_alive == SPEC_KEEP_ALIVE_LEARNED;
    keepalive_plan(&f->keepalive, &f->plan);
    catalog_version_arm(v);
}

/* With calls in the queue the next one is here already: that is no time of idleness. The
 * plan, which says nothing for the grace, is made when that is over: most often a call
 * has come by then. */
void pool_idle_ended(struct function *f)
{
    struct version *v = f->target;

    if (f->n_calls > 0 || (v != NULL && v->n_queued > 0)) {
        return;
    }
    keepalive_idle(&f->keepalive, f->core->now_ms);
    f->prewarmed = false;
    if (v != NULL && v->spec.idle_ms > CORE_IDLE_GRACE_MS) {
        f->plan_ms = f->core->now_ms + CORE_IDLE_GRACE_MS;
        catalog_version_arm(v);
    } else {
        pool_idle_plan(f);
    }
}

/* --- what is due ----------------------------------------------------------------------
 */

static void drop(struct version *v)
{
    while (v->spare > 0) {
        struct instance *coldest = pool_coldest(v);

        if (pool_drop_ms(v, coldest) > v->function->core->now_ms) {
            break;
        }
        pool_stop(coldest, STOP_IDLE);
    }
}

static void freeze(struct version *v)
{
    struct agent_core *a = v->function->core;
    struct list *it = v->warm.prev;

    if (a->freeze_after_ms == 0 || a->now_ms < v->freeze_ms) {
        return;
    }
    while (it != &v->warm) {
        struct instance *in = container_of(it, struct instance, warm);
        int rc;

        it = it->prev;
        if (in->idle_since_ms + a->freeze_after_ms > a->now_ms) {
            break;
        }
        rc = a->io.instance_freeze(a->io.ctx, in);
        if (rc == 0) {
            a->counts.freezes++;
            pool_move(in, INSTANCE_FROZEN);
        } else if (rc == -ENOTSUP) {
            a->freeze_after_ms = 0;
            return;
        } else {
            v->freeze_ms = a->now_ms + a->freeze_after_ms;
        }
    }
}

/* Ahead of a call that is only expected nobody is evicted, and nothing is tried twice. */
static void prewarm(struct version *v)
{
    struct function *f = v->function;
    struct agent_core *a = f->core;

    if (!is_planned(v) || f->prewarmed || f->plan.prewarm_ms > a->now_ms) {
        return;
    }
    f->prewarmed = true;
    if (a->now_ms < f->plan.until_ms && pool_ready(v) + v->n[INSTANCE_STARTING] == 0 &&
        pool_obstacle(v) == OBSTACLE_NONE && pool_room_now(v) &&
        pool_start_now(v, true) == OBSTACLE_NONE) {
        a->counts.prewarms++;
    }
}

void pool_idle_expire(struct version *v)
{
    struct function *f = v->function;

    if (v == f->target && f->plan_ms <= f->core->now_ms) {
        pool_idle_plan(f);
    }
    drop(v);
    freeze(v);
    prewarm(v);
}

uint64_t pool_idle_next_ms(const struct version *v)
{
    const struct function *f = v->function;
    const struct agent_core *a = f->core;
    const struct instance *warm = last(&v->warm);
    uint64_t due_ms = UINT64_MAX;

    if (v->spare > 0) {
        due_ms = pool_drop_ms(v, pool_coldest(v));
    }
    if (a->freeze_after_ms > 0 && warm != NULL) {
        due_ms = min_ms(due_ms,
                        max_ms(warm->idle_since_ms + a->freeze_after_ms, v->freeze_ms));
    }
    if (v == f->target) {
        due_ms = min_ms(due_ms, f->plan_ms);
    }
    if (is_planned(v) && !f->prewarmed) {
        due_ms = min_ms(due_ms, f->plan.prewarm_ms);
    }
    return due_ms;
}
