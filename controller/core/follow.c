#include "controller/core/follow.h"

#include "controller/core/concurrency.h"
#include "controller/core/holds.h"
#include "controller/core/registry.h"
#include "controller/core/rollout.h"
#include "controller/core/scaling.h"
#include "controller/core/target_books.h"
#include "controller/core/targets.h"
#include "controller/core/traffic.h"

#define RECENT_MS 300000 /* what served before can be called back warm so long */

static void drop_target(struct core_target **t)
{
    if (*t != NULL) {
        target_free(*t);
        *t = NULL;
    }
}

void follow_release(struct core_function *f)
{
    drop_target(&f->serving);
    drop_target(&f->candidate);
    LIST_FOREACH_SAFE(it, &f->others)
    {
        target_free(container_of(it, struct core_target, link));
    }
    holds_forget(f, 0);
    f->served = f->recent = 0;
}

/* The function's target for this version, which goes on with the grants that it has
 * whatever it was before, or a new one; NULL: out of memory, until the next look. */
static struct core_target *claim(struct core_function *f, struct list *pool,
                                 uint64_t number)
{
    struct core_target *t = NULL;

    LIST_FOREACH(it, pool)
    {
        if (container_of(it, struct core_target, link)->number == number) {
            t = container_of(it, struct core_target, link);
            break;
        }
    }
    if (t != NULL) {
        list_remove(&t->link);
    } else if (number != 0) {
        t = target_new(f, number);
    }
    if (t != NULL) {
        target_set_body(t, registry_body(f, number));
    }
    return t;
}

/* What served before stays for a while: whoever goes back to it finds it warm. */
static void note_recent(const struct controller_core *c, struct core_function *f,
                        uint64_t serving)
{
    if (f->served != serving) {
        f->recent = f->served;
        f->recent_until_ms = core_now_ms(c) + RECENT_MS;
        f->served = serving;
    }
    if (f->recent != 0 && core_now_ms(c) >= f->recent_until_ms) {
        f->recent = 0;
    }
}

/* How many instances there may be, and how many always find room: the function's word,
 * or its version's own. */
static void limit(struct core_target *t)
{
    const struct function_spec *spec = t->body != NULL ? &t->body->spec : NULL;
    uint32_t calls;

    t->most = t->reserved = 0;
    if (spec != NULL && concurrency_reserved(&t->f->record, &calls) && calls > 0) {
        t->most = t->reserved = concurrency_instances(spec, calls);
    } else if (spec != NULL) {
        t->most = function_spec_instances_max(spec);
        t->reserved = function_spec_reserved_instances(spec);
    }
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* What it has beyond its limit goes at once; it is placed anew next. */
static void clip(struct core_target *t)
{
    uint32_t left = t->most;

    if (left == 0) {
        return;
    }
    LIST_FOREACH_SAFE(it, &t->grants)
    {
        struct core_grant *g = container_of(it, struct core_grant, of_target);
        uint32_t max = smaller(g->max, left);

        if (max == 0) {
            target_drop_grant(g);
            continue;
        }
        left -= max;
        if (max < g->max) {
            target_book(g, max, smaller(g->warm, max), smaller(g->reserved, max));
        }
    }
}

static void each_target(struct core_function *f, void (*each)(struct core_target *t))
{
    for (struct core_target *t = target_next(f, NULL); t != NULL; t = target_next(f, t)) {
        each(t);
    }
}

static bool may_be_named(const struct core_function *f, const struct record_version *v)
{
    return v->was_ready && (v->number == f->recent || rollout_share(f, v->number) > 0 ||
                            traffic_is_named(&f->record, v->number));
}

static bool is_stopped(const struct core_function *f)
{
    uint32_t calls;

    return concurrency_reserved(&f->record, &calls) && calls == 0;
}

static void claim_others(struct core_function *f, struct list *pool)
{
    for (size_t i = 0; f->present && i < f->record.n_versions; i++) {
        const struct record_version *v = &f->record.versions[i];
        struct core_target *t;

        if (v->number == f->record.serving || !may_be_named(f, v)) {
            continue;
        }
        t = claim(f, pool, v->number);
        if (t != NULL) {
            list_push_back(&f->others, &t->link);
        }
    }
}

static void pool_up(struct list *pool, struct core_target **t)
{
    if (*t != NULL) {
        list_push_back(pool, &(*t)->link);
        *t = NULL;
    }
}

void follow_record(const struct controller_core *c, struct core_function *f)
{
    const struct record_version *v = f->present ? record_candidate(&f->record) : NULL;
    uint64_t serving = f->present ? f->record.serving : 0;
    const struct core_target *was_candidate, *was_serving;
    struct list pool;

    if (f->recreated) {
        follow_release(f);
    }
    note_recent(c, f, serving);
    target_books_close(f);
    was_candidate = f->candidate;
    was_serving = f->serving;
    list_init(&pool);
    pool_up(&pool, &f->serving);
    pool_up(&pool, &f->candidate);
    LIST_FOREACH_SAFE(it, &f->others)
    {
        list_remove(it);
        list_push_back(&pool, it);
    }
    f->serving = claim(f, &pool, serving);
    if (f->serving != NULL) {
        f->serving->n_tried = 0;
    }
    if (f->serving != NULL && f->serving == was_candidate) {
        scaling_inherit(f->serving, was_serving);
    }
    f->candidate = claim(f, &pool, v != NULL ? v->number : 0);
    claim_others(f, &pool);
    each_target(f, limit);
    each_target(f, holds_limit);
    f->stopped = f->present && is_stopped(f);
    target_books_open(f);
    each_target(f, clip);
    LIST_FOREACH_SAFE(it, &pool)
    {
        struct core_target *t = container_of(it, struct core_target, link);

        target_books_leave(t);
        target_free(t);
    }
    if (f->candidate != NULL && f->candidate->body == NULL) {
        target_fail(f->candidate, CAUSE_INTERNAL,
                    "the store's copy of this version cannot be read; deploy it again");
    }
}

void follow_body_gone(struct core_function *f, const struct core_body *b)
{
    if (f->serving != NULL && f->serving->body == b) {
        drop_target(&f->serving);
    }
    if (f->candidate != NULL && f->candidate->body == b) {
        drop_target(&f->candidate);
    }
    LIST_FOREACH_SAFE(it, &f->others)
    {
        struct core_target *t = container_of(it, struct core_target, link);

        if (t->body == b) {
            target_free(t);
        }
    }
    holds_forget(f, b->number);
}
