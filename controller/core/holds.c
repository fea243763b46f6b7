#include "controller/core/holds.h"

#include <stdlib.h>

#include "common/check.h"
#include "controller/core/concurrency.h"
#include "controller/core/core_private.h"
#include "controller/core/registry.h"
#include "controller/core/scheduler.h"
#include "controller/core/targets.h"

#define NOT_SAID UINT64_MAX /* as revision: nodes have not been sent it yet */

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* 0: it has none. */
static uint32_t limit_of(const struct core_target *t)
{
    return t->most;
}

static struct core_hold *find(const struct core_function *f, uint64_t version,
                              const struct core_node *n)
{
    LIST_FOREACH(it, &f->holds)
    {
        struct core_hold *h = container_of(it, struct core_hold, of_function);

        if (h->version == version && h->node == n) {
            return h;
        }
    }
    return NULL;
}

static void link_hold(struct core_hold *h)
{
    list_push_back(&h->f->holds, &h->of_function);
    list_push_back(&h->node->holds, &h->of_node);
}

static void unlink_hold(struct core_hold *h)
{
    list_remove(&h->of_function);
    list_remove(&h->of_node);
}

static void free_hold(struct core_hold *h)
{
    CHECK(h->grant == NULL);
    unlink_hold(h);
    free(container_of(h, struct core_grant, hold));
}

/* What it has above what it was told. */
static void set_most(struct core_hold *h, uint32_t most, uint64_t revision)
{
    h->most = most > h->told ? most : 0;
    h->revision = h->most > 0 ? revision : 0;
}

/* --- grants --------------------------------------------------------------------------
 */

void holds_begin(struct core_grant *g)
{
    struct core_hold *left = find(g->target->f, g->target->number, g->node);

    g->hold = (struct core_hold){
        .f = g->target->f, .node = g->node, .version = g->target->number, .grant = g};
    list_init(&g->hold.of_function);
    list_init(&g->hold.of_node);
    if (limit_of(g->target) == 0) {
        return;
    }
    link_hold(&g->hold);
    if (left != NULL) {
        CHECK(left->grant == NULL);
        set_most(&g->hold, left->most, left->revision);
        free_hold(left);
    }
}

void holds_end(struct core_grant *g)
{
    struct core_hold *h = &g->hold;
    uint32_t most = larger(h->told, h->most);

    h->revision = h->told > 0 ? NOT_SAID : h->revision;
    h->grant = NULL;
    h->told = 0;
    set_most(h, most, h->revision);
    if (h->most == 0 || list_empty(&h->of_function) || !h->node->ready ||
        !h->node->confirms) {
        free_hold(h);
    }
}

void holds_adopt(struct core_grant *g, uint32_t told)
{
    if (!list_empty(&g->hold.of_function)) {
        g->hold.told = told;
        set_most(&g->hold, g->hold.most, g->hold.revision);
    }
}

uint32_t holds_told(const struct core_grant *g)
{
    return list_empty(&g->hold.of_function) ? g->max : g->hold.told;
}

/* Without a limit nodes were told what was decided. */
static void limit_came(struct core_target *t)
{
    LIST_FOREACH(it, &t->grants)
    {
        struct core_grant *g = container_of(it, struct core_grant, of_target);

        if (list_empty(&g->hold.of_function)) {
            g->hold.told = g->max;
            g->hold.most = 0;
            g->hold.revision = 0;
            link_hold(&g->hold);
        }
    }
}

static void limit_went(struct core_target *t)
{
    LIST_FOREACH_SAFE(it, &t->f->holds)
    {
        struct core_hold *h = container_of(it, struct core_hold, of_function);

        if (h->version != t->number) {
            continue;
        }
        if (h->grant == NULL) {
            free_hold(h);
        } else {
            unlink_hold(h);
            h->told = 0;
            set_most(h, 0, 0);
        }
    }
}

void holds_limit(struct core_target *t)
{
    if (limit_of(t) > 0) {
        limit_came(t);
    } else {
        limit_went(t);
    }
}

/* --- what may be told ----------------------------------------------------------------
 */

static void tell(struct core_hold *h, uint32_t told)
{
    uint32_t most = larger(h->told, h->most);

    if (told < h->told) {
        h->revision = NOT_SAID;
    }
    h->told = told;
    set_most(h, h->node->confirms ? most : 0, h->revision);
}

/* Takes what is to be less. Returns what all nodes may have. */
static uint64_t take(struct core_target *t)
{
    uint64_t sum = 0;

    LIST_FOREACH(it, &t->f->holds)
    {
        struct core_hold *h = container_of(it, struct core_hold, of_function);

        if (h->version != t->number) {
            continue;
        }
        if (h->grant != NULL) {
            tell(h, smaller(h->grant->max, h->told));
        }
        sum += larger(h->told, h->most);
    }
    return sum;
}

/* Gives up to what is wanted, as far as it goes. What the node may still have is its own:
 * that costs nothing. */
static uint64_t give(struct core_grant *g, uint32_t wanted, uint64_t left)
{
    struct core_hold *h = &g->hold;
    uint32_t has = larger(h->told, h->most);
    uint64_t more = wanted > has ? wanted - has : 0;

    more = more < left ? more : left;
    tell(h, larger(h->told, smaller(wanted, has + (uint32_t)more)));
    return left - more;
}

void holds_open(struct core_target *t)
{
    uint32_t limit = limit_of(t);
    uint64_t sum, left;

    if (limit == 0) {
        return;
    }
    sum = take(t);
    if (sum > limit) {
        return; /* after a partition: whatever goes is not given again */
    }
    left = limit - sum;
    LIST_FOREACH(it, &t->grants) /* those first that are to be ready */
    {
        struct core_grant *g = container_of(it, struct core_grant, of_target);

        left = give(g, larger(g->warm, g->reserved), left);
    }
    LIST_FOREACH(it, &t->grants)
    {
        struct core_grant *g = container_of(it, struct core_grant, of_target);

        left = give(g, g->max, left);
    }
}

void holds_said(struct core_function *f)
{
    LIST_FOREACH(it, &f->holds)
    {
        struct core_hold *h = container_of(it, struct core_hold, of_function);

        if (h->revision == NOT_SAID) {
            h->revision = f->revision_all;
        }
    }
}

const struct core_hold *holds_next(const struct core_target *t, const struct core_hold *h)
{
    const struct list *at = h != NULL ? &h->of_function : &t->f->holds;

    for (at = at->next; at != &t->f->holds; at = at->next) {
        h = container_of(at, struct core_hold, of_function);
        if (h->version == t->number && h->grant == NULL) {
            return h;
        }
    }
    return NULL;
}

/* --- what nodes say ------------------------------------------------------------------
 */

static uint32_t instances(const struct version_load *v)
{
    uint64_t n = (uint64_t)v->starting + v->idle + v->frozen + v->busy + v->stopping;

    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* It knows what it shall have: only what still runs is more. */
static void confirm(struct controller_core *c, struct core_hold *h, uint32_t has)
{
    uint32_t before = h->most;

    set_most(h, smaller(has, h->most), h->revision);
    if (h->most < before) {
        scheduler_touch(c, h->f); /* somebody may wait for it */
    }
    if (h->most == 0 && h->grant == NULL) {
        free_hold(h);
    }
}

/* Also one that no node shall have now: it may be called back. */
static bool is_limited(const struct core_function *f, uint64_t version)
{
    const struct core_body *b = registry_body(f, version);
    uint32_t calls;

    return b != NULL && ((concurrency_reserved(&f->record, &calls) && calls > 0) ||
                         function_spec_instances_max(&b->spec) > 0);
}

/* It has more than this controller ever gave it: it was away. Without memory for it, it
 * does not count, as before it came. */
static void returned(struct controller_core *c, struct core_node *n,
                     struct core_function *f, const struct version_load *v,
                     struct core_hold *h)
{
    bool knows = !c->settling && v->revision >= f->revision_all;
    uint32_t has = knows ? instances(v) : larger(instances(v), v->grant_max);
    struct core_grant *g;

    if (has <= (h != NULL ? h->told : 0) || !is_limited(f, v->version)) {
        return;
    }
    if (h == NULL) {
        g = calloc(1, sizeof(*g));
        if (g == NULL) {
            return;
        }
        h = &g->hold;
        *h = (struct core_hold){.f = f, .node = n, .version = v->version};
        link_hold(h);
    }
    set_most(h, has, c->settling ? NOT_SAID : f->revision_all);
}

void holds_heard(struct controller_core *c, struct core_node *n, struct core_function *f,
                 const struct version_load *v, bool full)
{
    struct core_hold *h = find(f, v->version, n);

    if (!n->confirms) {
        return;
    }
    if (h != NULL && h->most > 0) {
        if (h->revision != NOT_SAID && v->revision >= h->revision) {
            confirm(c, h, instances(v));
        }
    } else if (full) {
        returned(c, n, f, v, h);
    }
}

void holds_reborn(struct controller_core *c, struct core_node *n)
{
    LIST_FOREACH_SAFE(it, &n->holds)
    {
        struct core_hold *h = container_of(it, struct core_hold, of_node);

        scheduler_touch(c, h->f);
        set_most(h, 0, 0);
        if (h->grant == NULL) {
            free_hold(h);
        }
    }
}

void holds_lost(struct controller_core *c, struct core_node *n)
{
    holds_reborn(c, n);
    CHECK(list_empty(&n->holds));
}

void holds_forget(struct core_function *f, uint64_t number)
{
    LIST_FOREACH_SAFE(it, &f->holds)
    {
        struct core_hold *h = container_of(it, struct core_hold, of_function);

        if (number == 0 || h->version == number) {
            free_hold(h);
        }
    }
}

/* --- check ---------------------------------------------------------------------------
 */

void holds_invariant(const struct core_target *t)
{
    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        CHECK(g->hold.grant == g &&
              list_empty(&g->hold.of_function) == (limit_of(t) == 0));
        CHECK(!core_placing(t->f->core) || holds_told(g) <= g->max);
    }
    LIST_FOREACH(it, &t->f->holds)
    {
        const struct core_hold *h = container_of(it, struct core_hold, of_function);

        CHECK(h->f == t->f && h->node->ready && (h->most == 0 || h->most > h->told));
        CHECK(h->grant != NULL || h->most > 0);
    }
}
