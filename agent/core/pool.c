#include "agent/core/agent_core_private.h"

#include <stdlib.h>

#include "common/check.h"

static const bool allowed[INSTANCE_STATES][INSTANCE_STATES] = {
    [INSTANCE_STARTING] = {[INSTANCE_IDLE] = true, [INSTANCE_STOPPING] = true},
    [INSTANCE_IDLE] =
        {[INSTANCE_BUSY] = true, [INSTANCE_FROZEN] = true, [INSTANCE_STOPPING] = true},
    [INSTANCE_FROZEN] = {[INSTANCE_BUSY] = true, [INSTANCE_STOPPING] = true},
    [INSTANCE_BUSY] =
        {[INSTANCE_IDLE] = true, [INSTANCE_DRAINING] = true, [INSTANCE_STOPPING] = true},
    [INSTANCE_DRAINING] = {[INSTANCE_STOPPING] = true},
};

/* --- counting ----------------------------------------------------------------------- */

uint32_t pool_slots(const struct version *v)
{
    return v->spec.reuse ? v->spec.concurrency : 1;
}

uint64_t pool_memory(const struct version *v)
{
    return (uint64_t)v->spec.memory_mib << 20;
}

uint64_t pool_supply(const struct version *v)
{
    return ((uint64_t)v->n[INSTANCE_STARTING] + v->n_claims) * pool_slots(v);
}

uint32_t pool_held(const struct version *v)
{
    return v->n_instances + v->n_before;
}

uint32_t pool_idle(const struct version *v)
{
    return v->n[INSTANCE_IDLE] + v->n[INSTANCE_FROZEN];
}

uint32_t pool_ready(const struct version *v)
{
    return pool_idle(v) + v->n[INSTANCE_BUSY];
}

bool pool_invariant(const struct version *v)
{
    const struct agent_core *a = v->function->core;
    uint32_t n = 0;

    for (unsigned i = 0; i < INSTANCE_STATES; i++) {
        n += v->n[i];
    }
    return n == v->n_instances && list_empty(&v->instances) == (n == 0) &&
           list_empty(&v->warm) == (v->n[INSTANCE_IDLE] == 0) &&
           list_empty(&v->frozen) == (v->n[INSTANCE_FROZEN] == 0) &&
           list_empty(&v->queue) == (v->n_queued == 0) &&
           list_empty(&v->waiting) == (v->n_queued == 0) &&
           list_empty(&v->running) == (v->n_running == 0) &&
           list_empty(&v->forwarded) == (v->n_forwarded == 0) &&
           v->spare <= v->n_evictable && v->n_evictable <= pool_idle(v) &&
           (v->n_evictable == 0 || due_heap_contains(&v->evictable) ||
            v->function->reserved_bytes > 0) &&
           (v->n_claims == 0 || !list_empty(&v->starved)) &&
           a->memory_bytes <= a->capacity_bytes && a->n_instances <= a->instances_max &&
           a->memory_stopping_bytes <= a->memory_bytes &&
           a->memory_bytes - a->memory_stopping_bytes + a->memory_claimed_bytes <=
               a->capacity_bytes;
}

/* Idle ones, as far as that leaves so many ready. Starting ones do not count: they may
 * yet fail. */
static uint32_t idle_above(const struct version *v, uint32_t ready)
{
    uint32_t up = pool_ready(v);
    uint32_t above = up > ready ? up - ready : 0;

    return above < pool_idle(v) ? above : pool_idle(v);
}

void pool_account(struct version *v)
{
    struct agent_core *a = v->function->core;
    uint32_t n = idle_above(v, v->grant_floor);

    v->spare = idle_above(v, v->grant_warm);
    a->feed |= n > v->n_evictable;
    a->n_evictable = a->n_evictable - v->n_evictable + n;
    a->memory_evictable_bytes =
        a->memory_evictable_bytes - v->n_evictable * pool_memory(v) + n * pool_memory(v);
    v->n_evictable = n;
    if (n > 0 && !due_heap_contains(&v->evictable)) {
        due_heap_set(&a->evictable, &v->evictable, pool_coldest(v)->idle_since_ms);
    }
    pool_room_account(v->function);
}

/* --- states ------------------------------------------------------------------------- */

void pool_move(struct instance *in, enum instance_state to)
{
    struct version *v = in->version;
    struct agent_core *a = v->function->core;

    CHECK(allowed[in->state][to]);
    list_remove(&in->warm);
    if (in->state == INSTANCE_STARTING) {
        gate_leave(in);
    }
    v->n[in->state]--;
    v->n[to]++;
    in->state = to;
    if (to == INSTANCE_IDLE) {
        in->idle_since_ms = a->now_ms;
        list_push_front(&v->warm, &in->warm);
    } else if (to == INSTANCE_FROZEN) {
        pool_freeze_at(in);
    } else if (to == INSTANCE_STOPPING) {
        a->n_stopping++;
        a->memory_stopping_bytes += pool_memory(v);
    }
    pool_account(v);
}

/* NULL: out of memory. */
static struct instance *instance_new(struct version *v)
{
    struct agent_core *a = v->function->core;
    struct instance *in = calloc(1, sizeof(*in));

    if (in == NULL) {
        return NULL;
    }
    in->id = ++a->next_instance_id;
    in->version = v;
    in->state = INSTANCE_STARTING;
    in->started_us = a->now_us;
    in->cold = seen_why_start(v);
    list_init(&in->warm);
    list_init(&in->gate);
    list_init(&in->calls);
    list_push_back(&v->instances, &in->link);
    list_push_back(&a->instances, &in->all);
    v->n[INSTANCE_STARTING]++;
    v->n_instances++;
    a->n_instances++;
    a->memory_bytes += pool_memory(v);
    pool_room_account(v->function);
    return in;
}

void pool_instance_free(struct instance *in)
{
    struct version *v = in->version;
    struct agent_core *a = v->function->core;

    LIST_FOREACH_SAFE(it, &in->calls) /* the edge will say how they ended */
    {
        container_of(it, struct call, link)->instance = NULL;
        list_remove(it);
    }
    if (in->state == INSTANCE_STOPPING) {
        a->n_stopping--;
        a->memory_stopping_bytes -= pool_memory(v);
    }
    a->feed = true;
    v->function->n_calls -= in->n_calls;
    a->n_instances--;
    a->memory_bytes -= pool_memory(v);
    v->n_instances--;
    if (v->heir != NULL) {
        v->heir->n_before--;
    }
    v->n[in->state]--;
    gate_leave(in);
    list_remove(&in->warm);
    list_remove(&in->link);
    list_remove(&in->all);
    pool_room_account(v->function);
    free(in);
}

void pool_stop(struct instance *in, enum stop_reason why)
{
    struct agent_core *a = in->version->function->core;

    in->why = why;
    pool_move(in, INSTANCE_STOPPING);
    if (in->begun) {
        a->io.instance_stop(a->io.ctx, in, why);
    } else {
        gate_turn_away(in);
    }
}

/* --- starting ----------------------------------------------------------------------- */

void pool_pause(struct version *v)
{
    struct agent_core *a = v->function->core;

    v->retry_ms = a->now_ms + backoff_next_ms(&v->backoff, a->io.random(a->io.ctx));
}

enum obstacle pool_start_now(struct version *v, bool ahead)
{
    struct agent_core *a = v->function->core;
    struct instance *in = instance_new(v);

    if (in == NULL) {
        catalog_trouble_set(&v->trouble, CAUSE_NO_CAPACITY, "the agent is out of memory");
        pool_pause(v);
        return OBSTACLE_PAUSE;
    }
    if (v->n_instances == 1 || v->n_instances == v->grant_max) {
        a->io.report_soon(a->io.ctx);
    }
    in->ahead = ahead;
    gate_enter(in);
    return OBSTACLE_NONE;
}

enum obstacle pool_obstacle(const struct version *v)
{
    const struct agent_core *a = v->function->core;

    if (a->draining || v->grant_max == 0) {
        return OBSTACLE_GRANT;
    }
    if ((uint64_t)pool_held(v) + v->n_claims >= v->grant_max) {
        return OBSTACLE_LIMIT;
    }
    if (!catalog_packages_ready(v)) {
        return OBSTACLE_PACKAGE;
    }
    if (a->now_ms < v->retry_ms || (v->failures > 0 && pool_supply(v) > 0)) {
        return OBSTACLE_PAUSE; /* after a bad start they are tried one at a time */
    }
    return OBSTACLE_NONE;
}

enum obstacle pool_start(struct version *v, bool needed)
{
    struct agent_core *a = v->function->core;
    enum obstacle o = pool_obstacle(v);

    if (o != OBSTACLE_NONE) {
        return o;
    }
    if (pool_room_now(v)) {
        return pool_start_now(v, false);
    }
    o = needed && pool_claim(v) ? OBSTACLE_NONE : OBSTACLE_ROOM;
    if (list_empty(&v->starved)) {
        list_push_back(&a->starved, &v->starved);
    }
    return o;
}

/* One for each waiting call (or as many as share an instance), and what `warm` lacks. */
uint64_t pool_starts_due(const struct version *v)
{
    const struct agent_core *a = v->function->core;
    uint32_t slots = pool_slots(v);
    uint64_t up = pool_ready(v);
    uint32_t warm = v->grant_warm < v->grant_max ? v->grant_warm : v->grant_max;
    uint64_t wanted = ((uint64_t)v->n_queued + slots - 1) / slots;

    if (a->draining || !v->wanted) {
        return 0;
    }
    if (warm > up && warm - up > wanted) {
        wanted = warm - up;
    }
    return wanted;
}

uint64_t pool_starts_wanted(const struct version *v)
{
    uint64_t due = pool_starts_due(v);

    return due > v->n[INSTANCE_STARTING] ? due - v->n[INSTANCE_STARTING] : 0;
}

/* The next start would be for a call that waits, or for what should be there without any
 * (the first one shows that the version works): that evicts idle ones. What the load may
 * yet want takes memory that is free. */
static bool is_needed(const struct version *v)
{
    uint32_t slots = pool_slots(v);
    uint64_t coming = (uint64_t)v->n[INSTANCE_STARTING] + v->n_claims;
    uint32_t first = v->grant_warm > 0 && !v->was_ready;
    uint32_t least = v->grant_floor > first ? v->grant_floor : first;

    return ((uint64_t)v->n_queued + slots - 1) / slots > coming ||
           pool_ready(v) + coming < least;
}

/* A claim holds memory back from others: only while a start could follow at once. */
static bool claims_stand(const struct version *v)
{
    return v->n_claims <= pool_starts_wanted(v) &&
           (uint64_t)pool_held(v) + v->n_claims <= v->grant_max &&
           catalog_packages_ready(v) && v->function->core->now_ms >= v->retry_ms &&
           (v->failures == 0 || v->n[INSTANCE_STARTING] + v->n_claims <= 1);
}

static void settle_claims(struct version *v)
{
    while (v->n_claims > 0 && !claims_stand(v)) {
        pool_unclaim(v);
    }
    while (v->n_claims > 0 && pool_room_claimed(v)) {
        pool_unclaim(v);
        if (pool_start_now(v, false) != OBSTACLE_NONE) {
            break;
        }
    }
}

void pool_pump(struct version *v)
{
    struct instance *in;
    enum obstacle o = OBSTACLE_NONE;

    while (v->n_queued > 0 && (in = pool_wake(v)) != NULL) {
        router_dispatch(v, in, router_dequeue(v), false);
    }
    settle_claims(v);
    while (o == OBSTACLE_NONE && pool_starts_wanted(v) > v->n_claims) {
        o = pool_start(v, is_needed(v));
    }
    if (v->n_claims == 0 && o != OBSTACLE_ROOM) {
        list_remove(&v->starved);
    }
    if (v->short_ms != 0 || (v->grant_warm > 0 && !v->was_ready)) {
        short_look(v);
    }
    catalog_version_arm(v);
    CHECK(pool_invariant(v));
}

/* A round of tries, longest waiting first. Those that stay hungry go to the back, so that
 * big ones, which find room seldom, do not hold up small ones. */
void pool_feed(struct agent_core *a)
{
    struct list tries;

    list_init(&tries);
    for (unsigned i = 0; i < CORE_FEED_MAX && !list_empty(&a->starved); i++) {
        struct list *first = a->starved.next;

        list_remove(first);
        list_push_back(&tries, first);
    }
    LIST_FOREACH_SAFE(it, &tries)
    {
        pool_pump(container_of(it, struct version, starved));
    }
    while (!list_empty(&tries)) {
        struct list *first = tries.next;

        list_remove(first);
        list_push_back(&a->starved, first);
    }
}
