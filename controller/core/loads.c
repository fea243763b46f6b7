#include "controller/core/loads.h"

#include <stdlib.h>

#include "controller/core/holds.h"
#include "controller/core/registry.h"
#include "controller/core/rollout.h"
#include "controller/core/scheduler.h"

static uint64_t load_hash(const struct controller_core *c, const struct core_node *n,
                          const struct core_function *f, uint64_t version)
{
    const void *key[] = {n, f};

    return keymap_hash(c->seed ^ version, key, sizeof(key));
}

static struct core_load *find_load(const struct controller_core *c,
                                   const struct core_node *n,
                                   const struct core_function *f, uint64_t version)
{
    struct keymap_entry *e = keymap_find(&c->loads, load_hash(c, n, f, version));

    for (; e != NULL; e = keymap_next(e)) {
        struct core_load *l = container_of(e, struct core_load, entry);

        if (l->node == n && l->f == f && l->version == version) {
            return l;
        }
    }
    return NULL;
}

static struct core_load *want_load(struct controller_core *c, struct core_node *n,
                                   struct core_function *f, uint64_t version)
{
    struct core_load *l = find_load(c, n, f, version);

    if (l == NULL) {
        l = calloc(1, sizeof(*l));
        if (l == NULL) {
            return NULL;
        }
        l->node = n;
        l->f = f;
        l->version = version;
        list_push_back(&n->loads, &l->of_node);
        list_push_back(&f->loads, &l->of_function);
        keymap_add(&c->loads, &l->entry, load_hash(c, n, f, version));
    }
    return l;
}

/* A counter of an agent's life: less than before means that it began anew. The total only
 * grows. */
static uint64_t count(uint64_t *total, uint64_t *last, uint64_t now)
{
    uint64_t more = now >= *last ? now - *last : now;

    *total += more;
    *last = now;
    return more;
}

/* The same for the version alone, by which a rollout goes on or back. */
static void count_version(struct controller_core *c, struct core_function *f,
                          uint64_t version, uint64_t calls, uint64_t errors)
{
    struct core_body *b = registry_body_of(f, version);

    if (b != NULL) {
        b->invocations += calls;
        b->errors += errors;
    }
    if (rollout_share(f, version) > 0 && calls + errors > 0) {
        scheduler_touch(c, f);
    }
}

static void gauge(uint64_t *total, uint64_t *last, uint64_t now)
{
    *total += now - *last;
    *last = now;
}

static void set_gauges(struct core_load *l, const struct version_load *v)
{
    struct core_totals *total = &l->f->totals;

    scaling_gauges(l, v);
    gauge(&total->starting, &l->last.starting, v->starting);
    gauge(&total->idle, &l->last.idle, v->idle);
    gauge(&total->frozen, &l->last.frozen, v->frozen);
    gauge(&total->busy, &l->last.busy, v->busy);
    gauge(&total->queued, &l->last.queued, v->queued);
    gauge(&total->in_flight, &l->last.in_flight, v->in_flight);
}

static void drop_load(struct controller_core *c, struct core_load *l)
{
    set_gauges(l, &(struct version_load){0});
    scaling_lost(c, l);
    keymap_remove(&c->loads, &l->entry);
    list_remove(&l->of_node);
    list_remove(&l->of_function);
    insight_counted_free(&l->counted);
    free(l);
}

/* The function may now be needed by nothing. */
static void drop_load_of_node(struct controller_core *c, struct core_load *l)
{
    struct core_function *f = l->f;

    drop_load(c, l);
    if (!f->present) {
        scheduler_touch(c, f);
    }
}

void loads_forget(struct controller_core *c, struct core_function *f)
{
    LIST_FOREACH_SAFE(it, &f->loads)
    {
        drop_load(c, container_of(it, struct core_load, of_function));
    }
    f->totals = (struct core_totals){0};
    insight_end(c, f);
}

/* Not what had this number before the function was deleted: of that one nothing follows.
 */
static bool is_same(const struct core_function *f, const struct version_load *v)
{
    const struct core_body *b = registry_body(f, v->version);

    return v->id == 0 || b == NULL || v->id == (uint64_t)b->mod_revision;
}

static void take_grant(struct controller_core *c, struct core_node *n,
                       struct core_function *f, const struct version_load *v, bool full)
{
    if (c->settling && v->grant_max > 0) {
        scheduler_adopt(c, n, f, v->version, v->grant_max, v->grant_warm,
                        v->grant_reserved);
    }
    holds_heard(c, n, f, v, full);
    if (v->idle + v->frozen + v->busy > 0) { /* as it told a controller that is no more */
        scheduler_proof(c, n, f, v->version, true, CAUSE_NONE, NULL);
    }
}

static void take_load(struct controller_core *c, struct core_node *n,
                      const struct version_load *v, bool full)
{
    struct core_function *f = registry_function(c, v->namespace_, v->name);
    struct core_load *l;
    uint64_t calls, errors;

    if (f == NULL || !f->present || v->version == 0 || v->version > f->record.latest) {
        return; /* deleted meanwhile: the node will hear of it */
    }
    l = want_load(c, n, f, v->version);
    if (l == NULL) {
        return; /* out of memory: the next report says it again */
    }
    l->mark = n->report_mark;
    set_gauges(l, v);
    calls = count(&f->totals.invocations, &l->last.invocations, v->invocations);
    (void)count(&f->totals.cold_starts, &l->last.cold_starts, v->cold_starts);
    errors = count(&f->totals.errors, &l->last.errors, v->errors);
    (void)count(&f->totals.gb_ms, &l->last.gb_ms, v->gb_ms);
    n->cpu_us += count(&f->totals.cpu_us, &l->last.cpu_us, v->cpu_us);
    insight_report(c, l, v);
    count_version(c, f, v->version, calls, errors);
    if (is_same(f, v)) {
        take_grant(c, n, f, v, full);
    }
    scaling_report(c, l, v);
}

void loads_report(struct controller_core *c, struct core_node *n,
                  const struct node_report *r)
{
    n->report_mark++;
    for (size_t i = 0; i < r->n_loads; i++) {
        take_load(c, n, &r->loads[i], r->full);
    }
    if (!r->full) {
        return;
    }
    LIST_FOREACH_SAFE(it, &n->loads)
    {
        struct core_load *l = container_of(it, struct core_load, of_node);

        if (l->mark != n->report_mark) {
            drop_load_of_node(c, l);
        }
    }
}

void loads_drop(struct controller_core *c, struct core_node *n)
{
    LIST_FOREACH_SAFE(it, &n->loads)
    {
        drop_load_of_node(c, container_of(it, struct core_load, of_node));
    }
}

void loads_lost(struct controller_core *c, struct core_node *n)
{
    LIST_FOREACH(it, &n->loads)
    {
        struct core_load *l = container_of(it, struct core_load, of_node);

        set_gauges(l, &(struct version_load){0});
        scaling_lost(c, l);
    }
}

void loads_free(struct controller_core *c, struct core_node *n)
{
    LIST_FOREACH_SAFE(it, &n->loads)
    {
        drop_load(c, container_of(it, struct core_load, of_node));
    }
}
