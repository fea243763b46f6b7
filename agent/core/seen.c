/* What calls of a version met: how long they took, and the latest cold start, wait and
 * refusal with their reasons. For people: nothing is decided by it, and where there is no
 * memory for it, it is not noted. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/core/agent_core_private.h"

/* NULL: out of memory. */
static struct seen *want(const struct version *v)
{
    if (v->usage->seen == NULL) {
        v->usage->seen = calloc(1, sizeof(*v->usage->seen));
    }
    return v->usage->seen;
}

/* Not 0, which is "never". */
static uint64_t now_of(const struct version *v)
{
    uint64_t now_ms = v->function->core->now_ms;

    return now_ms > 0 ? now_ms : 1;
}

static uint32_t ms_since(const struct version *v, uint64_t from_us)
{
    uint64_t ms = (v->function->core->now_us - from_us) / 1000;

    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

void seen_ended(struct version *v, const struct call *c)
{
    struct seen *s = want(v);

    if (s != NULL) {
        latency_add(&s->latency, v->function->core->now_us - c->arrived_us);
    }
}

enum cold_reason seen_why_start(const struct version *v)
{
    if (v->n[INSTANCE_BUSY] + v->n[INSTANCE_DRAINING] > 0) {
        return COLD_BUSY;
    }
    if (v->n[INSTANCE_STARTING] > 0) {
        return COLD_COMING;
    }
    if (!v->was_ready) {
        return COLD_NEW;
    }
    return v->n_queued == 0 && v->grant_warm > pool_ready(v) ? COLD_AHEAD : COLD_ZERO;
}

static enum wait_reason why_waits(const struct version *v)
{
    switch (pool_obstacle(v)) {
    case OBSTACLE_GRANT:
        return WAIT_GRANT;
    case OBSTACLE_LIMIT:
        return WAIT_LIMIT;
    case OBSTACLE_PACKAGE:
        return WAIT_PACKAGE;
    case OBSTACLE_PAUSE:
        return WAIT_PAUSE;
    default:
        return WAIT_ROOM;
    }
}

void seen_waits(const struct version *v, struct call *c)
{
    bool covered = v->n_queued < pool_supply(v);

    c->waits_for = covered && v->n[INSTANCE_STARTING] > 0 ? WAIT_START : why_waits(v);
}

/* A cold call's wait for its start is part of the cold start, but not that for the start
 * to begin. */
static enum wait_reason why_waited(const struct instance *in, const struct call *c)
{
    if (c->cold && c->waits_for == WAIT_START) {
        return in->held_us > 0 ? WAIT_TURN : WAIT_NONE;
    }
    return c->waits_for;
}

void seen_dispatched(struct version *v, const struct instance *in, const struct call *c)
{
    enum wait_reason waited = why_waited(in, c);
    struct seen *s = c->cold || waited != WAIT_NONE ? want(v) : NULL;

    if (s == NULL) {
        return;
    }
    if (c->cold) {
        s->cold = (struct cold_start){
            .at_ms = now_of(v),
            .reason = in->cold,
            .start_ms = (uint32_t)((in->ready_us - in->started_us) / 1000),
            .waited_ms = ms_since(v, c->arrived_us),
        };
    }
    if (waited != WAIT_NONE) {
        s->wait = (struct call_wait){
            .at_ms = now_of(v),
            .reason = waited,
            .waited_ms = ms_since(v, c->arrived_us),
        };
    }
}

/* Names that there are not are the caller's affair. */
void seen_refused(const struct call *c, enum cause cause, const char *text)
{
    const struct function *f = c->function;
    const struct version *v = c->version;
    struct seen *s;

    if (f == NULL || cause == CAUSE_NOT_FOUND) {
        return;
    }
    v = v != NULL ? v : f->target;
    v = v != NULL ? v : catalog_newest(f);
    s = v != NULL ? want(v) : NULL;
    if (s != NULL) {
        (void)snprintf(s->text, sizeof(s->text), "%s", text);
        s->refused =
            (struct call_refusal){.at_ms = now_of(v), .cause = cause, .text = s->text};
    }
}

void seen_load(const struct version *v, struct version_load *l)
{
    const struct seen *s = v->usage->seen;
    size_t n = LATENCY_BUCKETS;

    if (s == NULL) {
        return;
    }
    while (n > 0 && s->latency.counts[n - 1] == 0) {
        n--;
    }
    l->latency = s->latency.counts;
    l->n_latency = n;
    l->last_cold = s->cold;
    l->last_wait = s->wait;
    l->last_refused = s->refused;
}
