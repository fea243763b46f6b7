/* Instances that become ready, fail, go, or are to be fewer. */
#include "agent/core/agent_core_private.h"

#include "common/check.h"

/* --- fewer of them ------------------------------------------------------------------ */

static void drain_one(struct instance *in, enum stop_reason why)
{
    if (in->state == INSTANCE_BUSY) {
        in->why = why;
        pool_move(in, INSTANCE_DRAINING);
    } else if (in->state == INSTANCE_STARTING || in->state == INSTANCE_IDLE ||
               in->state == INSTANCE_FROZEN) {
        pool_stop(in, why);
    }
}

void pool_drain(struct version *v, enum stop_reason why)
{
    LIST_FOREACH(it, &v->instances)
    {
        drain_one(container_of(it, struct instance, link), why);
    }
}

/* Idle ones go first, coldest first, then those that start, then busy ones. */
void pool_shrink(struct version *v)
{
    uint32_t over = v->n[INSTANCE_STARTING] + pool_ready(v);

    over = over > v->grant_max ? over - v->grant_max : 0;
    for (; over > 0 && pool_idle(v) > 0; over--) {
        pool_stop(pool_coldest(v), STOP_RETIRED);
    }
    for (int busy = 0; over > 0 && busy < 2; busy++) {
        enum instance_state state = busy ? INSTANCE_BUSY : INSTANCE_STARTING;

        for (struct list *it = v->instances.prev; over > 0 && it != &v->instances;
             it = it->prev) {
            struct instance *in = container_of(it, struct instance, link);

            if (in->state == state) {
                drain_one(in, STOP_RETIRED);
                over--;
            }
        }
    }
}

/* What a node is to have less, others of a version with a limit get only when it has said
 * that it has no more: the controller hears of each one that goes. */
void pool_tell_less(const struct version *v)
{
    struct agent_core *a = v->function->core;

    if (v->wanted && function_spec_instances_max(&v->spec) > 0) {
        a->io.report_soon(a->io.ctx);
    }
}

/* --- doors -------------------------------------------------------------------------- */

static void fill(struct version *v, struct instance *in)
{
    struct agent_core *a = v->function->core;

    in->ready_us = a->now_us;
    pool_move(in, INSTANCE_IDLE);
    while (v->n_queued > 0 && in->n_calls < pool_slots(v)) {
        router_dispatch(v, in, router_dequeue(v), true);
    }
}

void agent_core_instance_ready(struct agent_core *a, struct instance *in)
{
    struct version *v = in->version;

    agent_enter(a);
    if (in->state == INSTANCE_STARTING) { /* else it was told to stop meanwhile */
        v->failures = 0;
        v->trouble.cause = CAUSE_NONE;
        v->function->trouble.cause = CAUSE_NONE;
        v->retry_ms = 0;
        if (!v->was_ready) {
            v->was_ready = true;
            a->io.report_version(a->io.ctx, v, true, CAUSE_NONE, "");
            a->io.report_soon(a->io.ctx);
        }
        fill(v, in);
        pool_pump(v);
        pool_drop_if_due(in);
    }
    agent_leave(a);
}

static void start_failed(struct version *v, enum cause cause, const char *text)
{
    catalog_trouble_set(&v->trouble, cause, text);
    pool_pause(v);
    if (catalog_cause_is_own(cause)) {
        v->failures++;
        catalog_version_failed(v, &v->trouble);
    }
}

void agent_core_instance_failed(struct agent_core *a, struct instance *in,
                                enum cause cause, const char *text)
{
    struct version *v = in->version;
    enum instance_state was = in->state;
    bool useless;

    CHECK(cause != CAUSE_NONE && cause < CAUSE_COUNT);
    agent_enter(a);
    if (was != INSTANCE_STOPPING) {
        useless = was == INSTANCE_STARTING ||
                  (in->calls_served == 0 && in->n_calls == 0 &&
                   a->now_us < in->ready_us + CORE_LIVED_MS * 1000u);
        if (!useless) {
            backoff_reset(&v->backoff); /* it was of use: this is no series */
        }
        pool_stop(in, STOP_FAILED);
        if (was == INSTANCE_STARTING) {
            start_failed(v, cause, text);
        } else if (useless) {
            catalog_trouble_set(&v->trouble, cause, text);
            pool_pause(v); /* or it would start and crash as fast as it can */
        }
        router_reroute(v);
    }
    agent_leave(a);
}

void pool_gone(struct instance *in)
{
    struct version *v = in->version, *heir;
    struct agent_core *a = v->function->core;
    bool had_calls;

    CHECK(in->state == INSTANCE_STOPPING);
    had_calls = in->n_calls > 0;
    pool_instance_free(in);
    if (had_calls) {
        pool_idle_ended(v->function);
    }
    heir = v->heir != NULL ? v->heir : v;
    if (v->n_instances == 0) {
        a->io.report_soon(a->io.ctx);
    } else if (pool_held(heir) >= heir->grant_max) {
        pool_tell_less(heir);
    }
    catalog_package_need(v);
    router_reroute(v);
    if (heir != v) {
        pool_pump(heir); /* it could not start what stood in its place */
    }
    catalog_version_settle(v);
}

void agent_core_instance_gone(struct agent_core *a, struct instance *in)
{
    agent_enter(a);
    pool_gone(in);
    agent_leave(a);
}
