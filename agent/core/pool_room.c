#include "agent/core/agent_core_private.h"

#include "common/check.h"

/* Memory is promised at a start and comes back when the instance is gone, not when it is
 * told to stop. What is going can be claimed ahead: a claim is a start that waits for it.
 *
 *   capacity  ≥  memory                           what there is, up to the last instance
 *   capacity  ≥  memory − stopping + claimed      what there will be
 *
 * Both hold for bytes and, likewise, for the number of instances. */

static bool fits(const struct agent_core *a, uint64_t bytes, uint64_t instances)
{
    return bytes <= a->capacity_bytes && instances <= a->instances_max;
}

bool pool_room_now(const struct version *v)
{
    const struct agent_core *a = v->function->core;

    return fits(a, a->memory_bytes + a->memory_claimed_bytes + pool_memory(v),
                (uint64_t)a->n_instances + a->n_claims + 1);
}

bool pool_room_claimed(const struct version *v)
{
    const struct agent_core *a = v->function->core;

    return fits(a, a->memory_bytes + pool_memory(v), (uint64_t)a->n_instances + 1);
}

/* Once what is stopping, and as much again of `spare_bytes`, is gone. */
static bool fits_later(const struct version *v, uint64_t spare_bytes, uint32_t n_spare)
{
    const struct agent_core *a = v->function->core;

    return fits(a,
                a->memory_bytes - a->memory_stopping_bytes - spare_bytes +
                    a->memory_claimed_bytes + pool_memory(v),
                (uint64_t)a->n_instances - a->n_stopping - n_spare + a->n_claims + 1);
}

/* Keys may be older than the truth: a version that was used meanwhile goes back to where
 * it belongs when it comes up. */
static void evict_coldest(struct agent_core *a)
{
    for (;;) {
        struct due_heap_node *top = due_heap_top(&a->evictable);
        struct version *v;
        struct instance *coldest;

        CHECK(top != NULL);
        v = container_of(top, struct version, evictable);
        if (v->spare == 0) {
            due_heap_remove(&a->evictable, top);
            continue;
        }
        coldest = container_of(v->warm.prev, struct instance, warm);
        if (coldest->idle_since_ms > due_heap_key(&a->evictable, top)) {
            due_heap_set(&a->evictable, top, coldest->idle_since_ms);
            continue;
        }
        pool_stop(coldest, STOP_EVICTED);
        return;
    }
}

/* Evicts nothing unless that makes room enough. */
bool pool_claim(struct version *v)
{
    struct agent_core *a = v->function->core;

    if (v->spare > 0 || !fits_later(v, a->memory_spare_bytes, a->n_spare)) {
        return false;
    }
    while (!fits_later(v, 0, 0)) {
        evict_coldest(a);
    }
    v->n_claims++;
    a->n_claims++;
    a->memory_claimed_bytes += pool_memory(v);
    return true;
}

void pool_unclaim(struct version *v)
{
    struct agent_core *a = v->function->core;

    CHECK(v->n_claims > 0 && a->n_claims > 0);
    a->feed = true;
    v->n_claims--;
    a->n_claims--;
    a->memory_claimed_bytes -= pool_memory(v);
}

/* --- for other nodes ------------------------------------------------------------------
 */

/* Instances that could start: within the grant and the memory that is, or can be made,
 * free. */
static uint64_t startable(const struct version *v)
{
    const struct agent_core *a = v->function->core;
    uint64_t used = a->memory_bytes - a->memory_stopping_bytes - a->memory_spare_bytes +
                    a->memory_claimed_bytes + v->spare * pool_memory(v);
    uint64_t fit =
        used < a->capacity_bytes ? (a->capacity_bytes - used) / pool_memory(v) : 0;
    uint64_t granted = (uint64_t)v->grant_max - v->n_instances - v->n_claims;

    if (pool_obstacle(v) != OBSTACLE_NONE) {
        return 0;
    }
    return fit < granted ? fit : granted;
}

struct hop_room agent_core_room(const struct agent_core *a, const struct version *v)
{
    struct hop_room r = {0};
    uint64_t taken, slots;

    if (a->capacity_bytes > 0) {
        r.load_permille = (uint32_t)(a->memory_bytes * 1000 / a->capacity_bytes);
    }
    if (v == NULL || a->draining) {
        return r;
    }
    slots = ((uint64_t)v->n[INSTANCE_IDLE] + v->n[INSTANCE_BUSY] + startable(v)) *
                pool_slots(v) +
            pool_supply(v);
    taken = (uint64_t)v->n_running + v->n_queued;
    slots = slots > taken ? slots - taken : 0;
    r.free = slots < UINT32_MAX ? (uint32_t)slots : UINT32_MAX;
    return r;
}
