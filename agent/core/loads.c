/* What this node says of its versions: all, or what is not as it was said before. */
#include "agent/core/agent_core_private.h"

/* Whether the controller may wait for what it says: it has some of a limit, or had. */
static bool is_awaited(const struct version *v)
{
    return function_spec_instances_max(&v->spec) > 0 &&
           (v->has_part || v->had_grant || pool_held(v) > 0 || !v->wanted);
}

static void load(const struct version *v, uint64_t now_us, struct version_load *l)
{
    *l = (struct version_load){
        .namespace_ = v->function->namespace_,
        .name = v->function->name,
        .version = v->number,
        .id = v->id,
        .starting = v->n[INSTANCE_STARTING],
        .idle = v->n[INSTANCE_IDLE],
        .frozen = v->n[INSTANCE_FROZEN],
        .busy = v->n[INSTANCE_BUSY] + v->n[INSTANCE_DRAINING],
        .queued = v->n_queued,
        .in_flight = v->n_running,
        .invocations = v->usage->invocations,
        .cold_starts = v->usage->cold_starts,
        .errors = v->usage->errors,
        .gb_ms = v->usage->gb_ms,
        .cpu_us = v->usage->cpu_us,
        .load_us = load_meter_read(&v->usage->load, now_us),
        .begun = v->usage->load.begun,
        .grant_max = v->grant_max,
        .grant_warm = v->grant_warm,
        .grant_reserved = v->grant_reserved,
        .stopping = v->n_before + v->n[INSTANCE_STOPPING],
    };
    if (is_awaited(v)) {
        l->revision = v->function->revision;
    }
    seen_load(v, l);
}

/* Each version that there is, once. */
static void walk(const struct agent_core *a,
                 void (*visit)(const struct version *v, uint64_t now_us, void *data),
                 void *data)
{
    const struct list *lists[] = {&a->functions, &a->tombstones};
    uint64_t now_us = a->io.now_us(a->io.ctx);

    for (unsigned i = 0; i < 2; i++) {
        LIST_FOREACH(it, lists[i])
        {
            const struct function *f = container_of(it, struct function, all);

            LIST_FOREACH(version, &f->versions)
            {
                const struct version *v = container_of(version, struct version, link);

                if (v->usage->owner == v) {
                    visit(v, now_us, data);
                }
            }
        }
    }
}

struct visitor {
    bool whole;
    bool calls; /* there are some, which change what is said as time passes */
    void (*each)(void *data, const struct version_load *l);
    void *data;
};

static void visit_any(const struct version *v, uint64_t now_us, void *data)
{
    const struct visitor *to = data;
    struct version_load l;

    load(v, now_us, &l);
    to->each(to->data, &l);
}

void agent_core_loads(const struct agent_core *a,
                      void (*each)(void *data, const struct version_load *l), void *data)
{
    walk(a, visit_any, &(struct visitor){.each = each, .data = data});
}

/* --- what is new ----------------------------------------------------------------------
 */

/* Latencies and refusals come with calls, and those are counted. */
static bool same(const struct version_load *a, const struct version_load *b)
{
    return a->starting == b->starting && a->idle == b->idle && a->frozen == b->frozen &&
           a->busy == b->busy && a->queued == b->queued && a->in_flight == b->in_flight &&
           a->invocations == b->invocations && a->cold_starts == b->cold_starts &&
           a->errors == b->errors && a->gb_ms == b->gb_ms && a->cpu_us == b->cpu_us &&
           a->load_us == b->load_us && a->begun == b->begun &&
           a->grant_max == b->grant_max && a->grant_warm == b->grant_warm &&
           a->grant_reserved == b->grant_reserved && a->stopping == b->stopping &&
           a->revision == b->revision && a->id == b->id &&
           a->last_cold.at_ms == b->last_cold.at_ms &&
           a->last_wait.at_ms == b->last_wait.at_ms &&
           a->last_refused.at_ms == b->last_refused.at_ms;
}

static void leave_out_told(struct version_load *l, const struct version_load *told)
{
    if (l->last_cold.at_ms == told->last_cold.at_ms) {
        l->last_cold.at_ms = 0;
    }
    if (l->last_wait.at_ms == told->last_wait.at_ms) {
        l->last_wait.at_ms = 0;
    }
    if (l->last_refused.at_ms == told->last_refused.at_ms) {
        l->last_refused.at_ms = 0;
    }
}

static void visit_changed(const struct version *v, uint64_t now_us, void *data)
{
    struct visitor *to = data;
    struct usage *u = v->usage;
    struct version_load l, before = u->last;

    load(v, now_us, &l);
    to->calls |= l.queued + l.in_flight > 0;
    if (!to->whole && u->told && same(&l, &before)) {
        return;
    }
    u->last = l; /* of it nothing lent is looked at again */
    if (!to->whole && u->told) {
        leave_out_told(&l, &before);
    }
    u->told = true;
    to->each(to->data, &l);
}

bool agent_core_loads_changed(struct agent_core *a, bool whole,
                              void (*each)(void *data, const struct version_load *l),
                              void *data)
{
    struct visitor to = {.whole = whole || a->told_is_gone, .each = each, .data = data};

    if (!to.whole && a->told_stands) {
        return false;
    }
    walk(a, visit_changed, &to);
    if (to.whole) {
        catalog_usages_forget(a, NULL); /* the controller hears that they are gone */
        a->told_is_gone = false;
    }
    a->told_stands = !to.calls;
    return to.whole;
}
