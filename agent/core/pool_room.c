#include "agent/core/agent_core_private.h"

#include "common/check.h"

/* Memory is promised at a start and comes back when the instance is gone, not when it is
 * told to stop. What is going can be claimed ahead: a claim is a start that waits for it.
 *
 *   capacity  ≥  memory                           what there is, up to the last instance
 *   capacity  ≥  memory − stopping + claimed      what there will be
 *
 * Both hold for bytes and, likewise, for the number of instances.
 *
 * What is reserved for a function and not in use is kept: nobody else's start may take
 * it.
 *
 *   capacity  ≥  memory + claimed + kept          after each start outside a reservation
 *
 * A start within its function's own reservation needs only what is there. A reservation
 * that comes when the memory is in use already waits for it: claims and idle instances
 * make way at once, busy ones when their calls have ended. */

static bool fits(const struct agent_core *a, uint64_t bytes, uint64_t instances)
{
    return bytes <= a->capacity_bytes && instances <= a->instances_max;
}

/* --- what is kept ------------------------------------------------------------------- */

static uint64_t over(uint64_t bytes, uint64_t limit)
{
    return bytes > limit ? bytes - limit : 0;
}

static void set_kept(struct function *f, uint64_t kept_bytes, uint64_t held_bytes)
{
    struct agent_core *a = f->core;

    a->feed |= kept_bytes < f->kept_bytes;
    a->memory_kept_bytes = a->memory_kept_bytes - f->kept_bytes + kept_bytes;
    a->memory_held_bytes = a->memory_held_bytes - f->held_bytes + held_bytes;
    f->kept_bytes = kept_bytes;
    f->held_bytes = held_bytes;
}

/* Versions of one function share what is reserved for it. */
void pool_room_account(struct function *f)
{
    struct agent_core *a = f->core;
    uint64_t reserved = 0, used = 0, spare = 0, kept;

    LIST_FOREACH(it, &f->versions)
    {
        const struct version *v = container_of(it, struct version, link);
        uint64_t bytes = v->grant_reserved * pool_memory(v);

        reserved = bytes > reserved ? bytes : reserved;
    }
    if (reserved == 0 && f->reserved_bytes == 0) {
        return;
    }
    LIST_FOREACH(it, &f->versions)
    {
        const struct version *v = container_of(it, struct version, link);

        used += ((uint64_t)v->n_instances - v->n[INSTANCE_STOPPING] + v->n_claims) *
                pool_memory(v);
        spare += v->n_evictable * pool_memory(v);
    }
    f->reserved_bytes = reserved;
    f->used_bytes = used;
    kept = over(reserved, used);
    set_kept(f, kept, over(reserved, used - (spare < used ? spare : used)) - kept);
    LIST_FOREACH(it, &f->versions)
    {
        struct version *v = container_of(it, struct version, link);

        if (v->n_evictable > 0 && pool_idle(v) > 0 && f->held_bytes < spare &&
            !due_heap_contains(&v->evictable)) {
            due_heap_set(&a->evictable, &v->evictable, pool_coldest(v)->idle_since_ms);
        }
    }
}

/* One more of it is within the function's reservation. */
static bool is_reserved(const struct version *v)
{
    return v->function->used_bytes + pool_memory(v) <= v->function->reserved_bytes;
}

/* All of it, claims included, is. */
static bool is_within(const struct function *f)
{
    return f->reserved_bytes > 0 && f->used_bytes <= f->reserved_bytes;
}

bool pool_room_yields(const struct version *v)
{
    const struct agent_core *a = v->function->core;

    return !is_within(v->function) &&
           a->memory_bytes - a->memory_stopping_bytes + a->memory_kept_bytes >
               a->capacity_bytes;
}

/* What must stay free beside one more of it. */
static uint64_t kept_beside(const struct version *v)
{
    const struct agent_core *a = v->function->core;

    return is_reserved(v) ? 0 : a->memory_kept_bytes - v->function->kept_bytes;
}

/* --- room --------------------------------------------------------------------------- */

bool pool_room_now(const struct version *v)
{
    const struct agent_core *a = v->function->core;

    return fits(
        a, a->memory_bytes + a->memory_claimed_bytes + pool_memory(v) + kept_beside(v),
        (uint64_t)a->n_instances + a->n_claims + 1);
}

bool pool_room_claimed(const struct version *v)
{
    const struct agent_core *a = v->function->core;
    const struct function *f = v->function;
    uint64_t kept = is_within(f) ? 0 : a->memory_kept_bytes - f->kept_bytes;

    return fits(a, a->memory_bytes + pool_memory(v) + kept, (uint64_t)a->n_instances + 1);
}

/* Once what is stopping, and as much again of `spare_bytes`, is gone. */
static bool fits_later(const struct version *v, uint64_t spare_bytes, uint32_t n_spare)
{
    const struct agent_core *a = v->function->core;

    return fits(a,
                a->memory_bytes - a->memory_stopping_bytes - spare_bytes +
                    a->memory_claimed_bytes + pool_memory(v) + kept_beside(v),
                (uint64_t)a->n_instances - a->n_stopping - n_spare + a->n_claims + 1);
}

bool pool_room_instead(const struct version *v, const struct instance *in)
{
    return fits_later(v, pool_memory(in->version), 1);
}

/* --- eviction ----------------------------------------------------------------------- */

/* Its memory goes to someone, and does not only become reserved memory that is free. */
static bool is_worth(const struct version *v)
{
    const struct function *f = v->function;
    uint64_t spare = 0;

    if (v->n_evictable == 0 || f->reserved_bytes == 0) {
        return v->n_evictable > 0;
    }
    LIST_FOREACH(it, &f->versions)
    {
        const struct version *other = container_of(it, struct version, link);

        spare += other->n_evictable * pool_memory(other);
    }
    return f->held_bytes < spare;
}

/* Keys may be older than the truth: a version that was used meanwhile goes back to where
 * it belongs when it comes up. false: there is none. */
static bool evict_coldest(struct agent_core *a)
{
    for (;;) {
        struct due_heap_node *top = due_heap_top(&a->evictable);
        struct version *v;
        struct instance *coldest;

        if (top == NULL) {
            return false;
        }
        v = container_of(top, struct version, evictable);
        if (!is_worth(v)) {
            due_heap_remove(&a->evictable, top);
            continue;
        }
        coldest = pool_coldest(v);
        if (coldest->idle_since_ms > due_heap_key(&a->evictable, top)) {
            due_heap_set(&a->evictable, top, coldest->idle_since_ms);
            continue;
        }
        pool_stop(coldest, STOP_EVICTED);
        if (v->spare == 0 && list_empty(&v->starved)) {
            list_push_back(&a->starved, &v->starved); /* it should be there again */
        }
        return true;
    }
}

/* Evicts nothing unless that makes room enough. */
bool pool_claim(struct version *v)
{
    struct agent_core *a = v->function->core;

    if (v->n_evictable > 0 ||
        !fits_later(v, a->memory_evictable_bytes - a->memory_held_bytes,
                    a->n_evictable)) {
        return false;
    }
    while (!fits_later(v, 0, 0)) {
        if (!evict_coldest(a)) {
            return false; /* too many instances, not too little memory */
        }
    }
    v->n_claims++;
    a->n_claims++;
    a->memory_claimed_bytes += pool_memory(v);
    pool_room_account(v->function);
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
    pool_room_account(v->function);
}

/* --- a reservation that came late --------------------------------------------------- */

static bool is_clear(const struct agent_core *a)
{
    return a->memory_bytes - a->memory_stopping_bytes + a->memory_claimed_bytes +
               a->memory_kept_bytes <=
           a->capacity_bytes;
}

void pool_room_clear(struct agent_core *a)
{
    if (a->memory_kept_bytes == 0 || is_clear(a)) {
        return;
    }
    LIST_FOREACH(it, &a->starved)
    {
        struct version *v = container_of(it, struct version, starved);

        while (v->n_claims > 0 && !is_within(v->function) && !is_clear(a)) {
            pool_unclaim(v); /* it stays starved, and tries again */
        }
    }
    while (!is_clear(a) && evict_coldest(a)) {
    }
}

/* --- for other nodes ------------------------------------------------------------------
 */

/* Instances that could start: within the grant and the memory that is, or can be made,
 * free. */
static uint64_t startable(const struct version *v)
{
    const struct agent_core *a = v->function->core;
    uint64_t used = a->memory_bytes - a->memory_stopping_bytes -
                    a->memory_evictable_bytes + a->memory_claimed_bytes +
                    v->n_evictable * pool_memory(v);
    uint64_t fit =
        used < a->capacity_bytes ? (a->capacity_bytes - used) / pool_memory(v) : 0;
    uint64_t granted = (uint64_t)v->grant_max - pool_held(v) - v->n_claims;

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
    slots = (pool_ready(v) + startable(v)) * pool_slots(v) + pool_supply(v);
    taken = (uint64_t)v->n_running + v->n_queued;
    slots = slots > taken ? slots - taken : 0;
    r.free = slots < UINT32_MAX ? (uint32_t)slots : UINT32_MAX;
    return r;
}
