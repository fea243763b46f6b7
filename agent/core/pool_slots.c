#include "agent/core/agent_core_private.h"

#include "common/check.h"

/* Calls in instances: which one takes the next, and what it is when one has left. */

/* Hottest first; a frozen one only when no other has room. */
struct instance *pool_free_instance(const struct version *v)
{
    if (!list_empty(&v->warm)) {
        return container_of(v->warm.next, struct instance, warm);
    }
    if (!list_empty(&v->partial)) {
        return container_of(v->partial.next, struct instance, warm);
    }
    if (!list_empty(&v->frozen)) {
        return container_of(v->frozen.next, struct instance, warm);
    }
    return NULL;
}

struct instance *pool_wake(struct version *v)
{
    struct agent_core *a = v->function->core;
    struct instance *in;

    while ((in = pool_free_instance(v)) != NULL && in->state == INSTANCE_FROZEN) {
        if (a->io.instance_thaw(a->io.ctx, in) == 0) {
            a->counts.thaws++;
            break;
        }
        pool_stop(in, STOP_FAILED);
        if (list_empty(&v->starved)) { /* maybe another is wanted in its place */
            list_push_back(&a->starved, &v->starved);
        }
        a->feed = true;
    }
    return in;
}

void pool_take_slot(struct instance *in, struct call *c)
{
    struct version *v = in->version;
    struct function *f = v->function;

    if (in->state == INSTANCE_IDLE || in->state == INSTANCE_FROZEN) {
        pool_move(in, INSTANCE_BUSY);
    }
    if (f->n_calls++ == 0) {
        f->core->counts.idle_times += f->keepalive.idle;
        keepalive_call(&f->keepalive, f->core->now_ms);
        f->plan.basis = KEEPALIVE_FIXED;
        f->plan_ms = UINT64_MAX;
    }
    CHECK(in->state == INSTANCE_BUSY && in->n_calls < pool_slots(v));
    in->n_calls++;
    list_push_back(&in->calls, &c->link);
    c->instance = in;
    list_remove(&in->warm);
    if (in->n_calls < pool_slots(v)) {
        list_push_back(&v->partial, &in->warm); /* at the back: they fill evenly */
    }
}

/* Its own calls would keep an instance busy for ever, were there no turns: the version
 * that gets this one's memory, or NULL. */
static struct version *whose_turn(const struct instance *in)
{
    const struct version *v = in->version;
    const struct agent_core *a = v->function->core;
    uint64_t ms = pool_ready(v) > 1 ? CORE_TURN_MS : CORE_TURN_LAST_MS;
    unsigned looked = 0;

    if (in->state != INSTANCE_BUSY || in->n_calls > 0 || v->n_queued == 0 ||
        pool_ready(v) <= v->grant_floor) {
        return NULL;
    }
    LIST_FOREACH(it, &a->starved)
    {
        struct version *other = container_of(it, struct version, starved);

        if (other != v && other->n_queued > 0 && other->n_claims == 0 &&
            other->n_instances == 0 &&
            container_of(other->queue.next, struct call, link)->arrived_us + ms * 1000 <=
                a->now_us &&
            pool_obstacle(other) == OBSTACLE_NONE && pool_room_instead(other, in)) {
            return other;
        }
        if (++looked == CORE_FEED_MAX) {
            break;
        }
    }
    return NULL;
}

static void release(struct instance *in, bool usable, enum stop_reason why)
{
    struct version *v = in->version;
    struct version *next = NULL;

    CHECK(in->n_calls > 0 && v->function->n_calls > 0);
    in->n_calls--;
    in->calls_served++;
    v->function->n_calls--;
    if (in->state == INSTANCE_STOPPING) {
        return;
    }
    if (usable && !v->spec.reuse) {
        usable = false;
        why = STOP_FRESH;
    }
    if (usable && (next = whose_turn(in)) != NULL) {
        usable = false;
        why = STOP_EVICTED;
    }
    if (!usable) {
        in->why = why;
        if (in->n_calls > 0 && in->state == INSTANCE_BUSY) {
            pool_move(in, INSTANCE_DRAINING); /* its other calls are not disturbed */
        }
    }
    if (in->n_calls == 0 && (!usable || in->state == INSTANCE_DRAINING)) {
        pool_stop(in, in->why);
    } else if (in->n_calls == 0) {
        pool_move(in, INSTANCE_IDLE);
    } else if (in->state == INSTANCE_BUSY && list_empty(&in->warm)) {
        list_push_back(&v->partial, &in->warm);
    }
    if (next != NULL) {
        pool_pump(next);
    }
    if (v->n_queued > 0 || !usable) {
        pool_pump(v);
    }
}

void pool_release_slot(struct instance *in, bool usable, enum stop_reason why)
{
    release(in, usable, why);
    pool_idle_ended(in->version->function);
    pool_drop_if_due(in);
}
