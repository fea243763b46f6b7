#include "agent/core/agent_core_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

/* --- life -----------------------------------------------------------------------------
 */

static void lists_init(struct agent_core *a)
{
    struct list *lists[] = {&a->functions,    &a->tombstones, &a->all_peers,
                            &a->all_memories, &a->instances,  &a->starved,
                            &a->waiting,      &a->ended,      &a->unused_usages};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        list_init(lists[i]);
    }
}

int agent_core_new(struct agent_core **ret, const struct agent_io *io,
                   const struct agent_core_options *options)
{
    struct agent_core *a;

    if (strlen(options->node) > SPEC_NODE_MAX) {
        return -EINVAL;
    }
    a = calloc(1, sizeof(*a));
    if (a == NULL) {
        return -ENOMEM;
    }
    a->io = *io;
    memcpy(a->node, options->node, strlen(options->node));
    a->capacity_bytes = options->memory_bytes;
    a->instances_max =
        options->instances_max > 0 ? options->instances_max : CORE_INSTANCES_DEFAULT;
    if (io->instance_freeze != NULL) {
        a->freeze_after_ms = options->freeze_after_ms;
    }
    a->seed = io->random(io->ctx);
    lists_init(a);
    if (gate_open(a, options->starts_max) < 0) {
        due_heap_free(&a->timers);
        due_heap_free(&a->evictable);
        free(a);
        return -ENOMEM;
    }
    *ret = a;
    return 0;
}

static void functions_free(struct list *functions)
{
    LIST_FOREACH_SAFE(it, functions)
    {
        struct function *f = container_of(it, struct function, all);

        LIST_FOREACH_SAFE(version, &f->versions)
        {
            struct version *v = container_of(version, struct version, link);

            while (v->n_claims > 0) {
                pool_unclaim(v);
            }
            catalog_version_free(v);
        }
        catalog_function_free(f);
    }
}

struct agent_core *agent_core_free(struct agent_core *a)
{
    if (a == NULL) {
        return NULL;
    }
    LIST_FOREACH_SAFE(it, &a->instances)
    {
        pool_instance_free(container_of(it, struct instance, all));
    }
    functions_free(&a->functions);
    functions_free(&a->tombstones);
    catalog_peers_free(a);
    gate_close(a);
    catalog_memories_free(a);
    CHECK(a->packages.n == 0 && a->n_timers == 0);
    name_map_free(&a->packages);
    name_map_free(&a->by_name);
    due_heap_free(&a->timers);
    due_heap_free(&a->evictable);
    free(a);
    return NULL;
}

/* --- doors ----------------------------------------------------------------------------
 */

void agent_enter(struct agent_core *a)
{
    CHECK(!a->inside);
    a->inside = true;
    a->told_stands = false;
    a->now_us = a->io.now_us(a->io.ctx);
    a->now_ms = a->now_us / 1000;
}

/* What is free goes to who waits for it. An instance that was stopped before it began
 * leaves room: once more then. */
static void share_out(struct agent_core *a)
{
    do {
        while (!list_empty(&a->gate.gone)) {
            pool_gone(container_of(a->gate.gone.next, struct instance, gate));
        }
        pool_room_clear(a);
        if (a->feed && !list_empty(&a->starved)) {
            pool_feed(a);
        }
        a->feed = false;
        gate_pump(a);
    } while (!list_empty(&a->gate.gone));
}

void agent_leave(struct agent_core *a)
{
    share_out(a);
    while (!list_empty(&a->ended)) {
        catalog_version_reap(container_of(a->ended.next, struct version, ended));
    }
    a->inside = false;
}

/* --- time -----------------------------------------------------------------------------
 */

/* The same room in both heaps: every version is in each at most once. */
int agent_timer_add(struct agent_core *a, struct timer *t,
                    void (*fire)(struct agent_core *a, struct timer *t))
{
    if (due_heap_reserve(&a->timers, a->n_timers + 1) < 0 ||
        due_heap_reserve(&a->evictable, a->n_timers + 1) < 0) {
        return -ENOMEM;
    }
    a->n_timers++;
    t->fire = fire;
    return 0;
}

void agent_timer_drop(struct agent_core *a, struct timer *t)
{
    due_heap_remove(&a->timers, &t->node);
    a->n_timers--;
}

/* Only ever earlier: on the path of a call, which pushes its version's deadlines back
 * again and again, this is a comparison. What fires too early sets the right time. */
void agent_timer_lower(struct agent_core *a, struct timer *t, uint64_t due_ms)
{
    if (!due_heap_contains(&t->node) || due_ms < due_heap_key(&a->timers, &t->node)) {
        due_heap_set(&a->timers, &t->node, due_ms);
    }
}

uint64_t agent_core_deadline_ms(const struct agent_core *a)
{
    return due_heap_top_key(&a->timers);
}

void agent_core_tick(struct agent_core *a)
{
    agent_enter(a);
    while (due_heap_top_key(&a->timers) <= a->now_ms) {
        struct due_heap_node *node = due_heap_top(&a->timers);
        struct timer *t = container_of(node, struct timer, node);

        due_heap_remove(&a->timers, node);
        t->fire(a, t);
        CHECK(!due_heap_contains(node) || due_heap_key(&a->timers, node) > a->now_ms);
    }
    agent_leave(a);
}

/* --- drain ----------------------------------------------------------------------------
 */

void agent_core_drain(struct agent_core *a)
{
    agent_enter(a);
    a->draining = true;
    LIST_FOREACH(it, &a->functions)
    {
        struct function *f = container_of(it, struct function, all);

        catalog_trouble_set(&f->trouble, CAUSE_NO_CAPACITY, "the node drains");
        router_reject_early(f);
        LIST_FOREACH(version, &f->versions)
        {
            struct version *v = container_of(version, struct version, link);

            pool_drain(v, STOP_SHUTDOWN);
            router_reroute(v);
        }
    }
    a->io.report_soon(a->io.ctx);
    agent_leave(a);
}

void agent_core_stop_all(struct agent_core *a)
{
    agent_core_drain(a);
    agent_enter(a);
    LIST_FOREACH(it, &a->instances)
    {
        struct instance *in = container_of(it, struct instance, all);

        if (in->state != INSTANCE_STOPPING) {
            pool_stop(in, STOP_SHUTDOWN);
        }
    }
    agent_leave(a);
}

bool agent_core_is_empty(const struct agent_core *a)
{
    return a->n_instances == 0;
}

/* --- reading --------------------------------------------------------------------------
 */

void agent_core_instance_cpu(struct agent_core *a, const struct instance *in,
                             uint64_t cpu_us)
{
    CHECK(!a->inside);
    a->told_stands = false;
    if (in->version->spec.runtime != SPEC_RUNTIME_EXEC) {
        in->version->usage->cpu_us += cpu_us;
    }
}

uint64_t agent_core_memory_reserved(const struct agent_core *a)
{
    return a->memory_bytes;
}

uint32_t agent_core_instances(const struct agent_core *a)
{
    return a->n_instances - a->n_stopping;
}

struct agent_core_counts agent_core_counts(const struct agent_core *a)
{
    return a->counts;
}

/* --- invariants -----------------------------------------------------------------------
 */

struct sums {
    uint64_t memory, stopping, claimed, evictable;
    uint32_t instances, n_stopping, n_claims, n_evictable, calls;
    size_t versions, functions;
};

static bool calls_check(const struct version *v)
{
    uint32_t queued = 0;
    uint32_t running = 0;
    uint64_t last_ms = 0;

    LIST_FOREACH(it, &v->queue)
    {
        const struct call *c = container_of(it, struct call, link);

        if (c->state != CALL_QUEUED || c->version != v ||
            c->queue_deadline_ms < last_ms) {
            return false;
        }
        last_ms = c->queue_deadline_ms;
        queued++;
    }
    last_ms = 0;
    LIST_FOREACH(it, &v->running)
    {
        const struct call *c = container_of(it, struct call, timer_link);

        if (c->state != CALL_DISPATCHED || c->version != v || c->deadline_ms < last_ms) {
            return false;
        }
        last_ms = c->deadline_ms;
        running++;
    }
    if (v->usage->refs == 1 && v->usage->load.level != queued + running) {
        return false;
    }
    return queued == v->n_queued && running == v->n_running;
}

static bool instance_check(const struct instance *in, struct sums *s)
{
    const struct version *v = in->version;
    uint32_t calls = 0;
    bool listed = !list_empty(&in->warm);

    LIST_FOREACH(it, &in->calls)
    {
        if (container_of(it, struct call, link)->instance != in) {
            return false;
        }
        calls++;
    }
    s->memory += pool_memory(v);
    s->instances++;
    s->calls += in->n_calls;
    if (in->state == INSTANCE_STOPPING) {
        s->stopping += pool_memory(v);
        s->n_stopping++;
    }
    switch (in->state) {
    case INSTANCE_IDLE:
    case INSTANCE_FROZEN:
        return calls == 0 && listed;
    case INSTANCE_BUSY:
        return calls == in->n_calls && calls > 0 && listed == (calls < pool_slots(v));
    case INSTANCE_DRAINING:
        return calls == in->n_calls && calls > 0 && !listed;
    case INSTANCE_STARTING:
        return calls == 0 && !listed;
    default:
        return calls == in->n_calls && !listed;
    }
}

static bool version_check(const struct version *v, struct sums *s)
{
    if (!pool_invariant(v) || !calls_check(v) ||
        v->needs_package != catalog_package_is_needed(v)) {
        return false;
    }
    if (v->n_queued > 0 && pool_free_instance(v) != NULL) {
        return false; /* a call waits beside a free slot */
    }
    if (pool_starts_wanted(v) > v->n_claims && pool_obstacle(v) == OBSTACLE_NONE &&
        list_empty(&v->starved)) {
        return false; /* an instance could start, and nobody will start it */
    }
    s->versions++;
    s->claimed += v->n_claims * pool_memory(v);
    s->n_claims += v->n_claims;
    s->evictable += v->n_evictable * pool_memory(v);
    s->n_evictable += v->n_evictable;
    LIST_FOREACH(it, &v->instances)
    {
        if (!instance_check(container_of(it, struct instance, link), s)) {
            return false;
        }
    }
    return true;
}

bool agent_core_check(const struct agent_core *a)
{
    const struct list *lists[] = {&a->functions, &a->tombstones};
    struct sums s = {0};

    for (unsigned i = 0; i < 2; i++) {
        LIST_FOREACH(it, lists[i])
        {
            const struct function *f = container_of(it, struct function, all);

            s.functions++;
            s.calls = 0;
            if (f->deleted != (i == 1) || (f->target != NULL && !f->target->wanted)) {
                return false;
            }
            LIST_FOREACH(version, &f->versions)
            {
                if (!version_check(container_of(version, struct version, link), &s)) {
                    return false;
                }
            }
            if (s.calls != f->n_calls || !keepalive_check(&f->keepalive)) {
                return false;
            }
        }
    }
    return due_heap_check(&a->timers) && due_heap_check(&a->evictable) &&
           s.functions == a->by_name.n &&
           s.functions + s.versions + a->packages.n + 1 == a->n_timers &&
           s.memory == a->memory_bytes && s.stopping == a->memory_stopping_bytes &&
           s.claimed == a->memory_claimed_bytes &&
           s.evictable == a->memory_evictable_bytes && s.instances == a->n_instances &&
           s.n_stopping == a->n_stopping && s.n_claims == a->n_claims &&
           s.n_evictable == a->n_evictable;
}
