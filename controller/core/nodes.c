#include "controller/core/nodes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/clean.h"
#include "controller/core/journal.h"
#include "controller/core/near.h"
#include "controller/core/node_labels.h"
#include "controller/core/node_order.h"
#include "controller/core/registry.h"
#include "controller/core/rollout.h"
#include "controller/core/scheduler.h"
#include "controller/core/targets.h"

#define FORGET_MS (10 * 60 * 1000)
#define LOST_MAX  1000

int nodes_init(struct controller_core *c)
{
    list_init(&c->nodes_ready);
    list_init(&c->nodes_lost);
    if (keymap_init(&c->nodes_by_name) < 0 || keymap_init(&c->loads) < 0) {
        return -ENOMEM;
    }
    return 0;
}

struct core_node *nodes_find(const struct controller_core *c, const char *name)
{
    struct keymap_entry *e =
        keymap_find(&c->nodes_by_name, keymap_hash_str(c->seed, name));

    for (; e != NULL; e = keymap_next(e)) {
        struct core_node *n = container_of(e, struct core_node, entry);

        if (strcmp(n->name, name) == 0) {
            return n;
        }
    }
    return NULL;
}

/* --- loads ------------------------------------------------------------------------ */

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

void nodes_forget_loads(struct controller_core *c, struct core_function *f)
{
    LIST_FOREACH_SAFE(it, &f->loads)
    {
        drop_load(c, container_of(it, struct core_load, of_function));
    }
    f->totals = (struct core_totals){0};
    insight_end(c, f);
}

static void take_load(struct controller_core *c, struct core_node *n,
                      const struct version_load *v)
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
    (void)count(&f->totals.cpu_us, &l->last.cpu_us, v->cpu_us);
    insight_report(c, l, v);
    count_version(c, f, v->version, calls, errors);
    if (c->settling && v->grant_max > 0 && !n->draining) {
        scheduler_adopt(c, n, f, v->version, v->grant_max, v->grant_warm,
                        v->grant_reserved);
    }
    scaling_report(c, l, v);
    if (v->idle + v->frozen + v->busy > 0) { /* as it told a controller that is no more */
        scheduler_proof(c, n, f, v->version, true, CAUSE_NONE, NULL);
    }
}

void nodes_report(struct controller_core *c, const char *name,
                  const struct node_report *r)
{
    struct core_node *n = nodes_find(c, name);

    if (n == NULL || !n->ready) {
        return;
    }
    n->seen_ms = core_now_ms(c);
    n->memory_reserved_bytes = r->memory_reserved_bytes;
    n->place.used_bytes = r->memory_reserved_bytes;
    n->instances = r->instances;
    n->report_mark++;
    for (size_t i = 0; i < r->n_loads; i++) {
        take_load(c, n, &r->loads[i]);
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

/* --- coming ----------------------------------------------------------------------- */

static void send_node(struct controller_core *c, const char *to,
                      const struct core_node *n)
{
    struct node_state state = {.node = n->name,
                               .revision = n->revision,
                               .gateway = n->gateway,
                               .usable = n->ready && !n->draining};

    c->io.send_node(c->io.ctx, to, &state);
}

/* The node has changed: all others must know. */
static void tell(struct controller_core *c, struct core_node *n)
{
    if (c->epoch != 0) {
        n->revision = core_next_revision(c);
        send_node(c, NULL, n);
    }
}

void nodes_send_all(struct controller_core *c, const char *to)
{
    LIST_FOREACH(it, &c->nodes_ready)
    {
        send_node(c, to, container_of(it, struct core_node, link));
    }
    LIST_FOREACH(it, &c->nodes_lost)
    {
        send_node(c, to, container_of(it, struct core_node, link));
    }
}

/* What is told before the epoch is taken is not told: there is no revision for it. */
void nodes_renew(struct controller_core *c)
{
    struct list *const all[] = {&c->nodes_ready, &c->nodes_lost};

    for (size_t i = 0; i < 2; i++) {
        LIST_FOREACH(it, all[i])
        {
            struct core_node *n = container_of(it, struct core_node, link);

            if (n->revision < c->epoch << 32) {
                tell(c, n);
            }
        }
    }
}

static void forget(struct controller_core *c, struct core_node *n);

static void forget_alarm(struct controller_core *c, struct alarm *a)
{
    forget(c, container_of(a, struct core_node, forget));
}

static struct core_node *want_node(struct controller_core *c, const char *name)
{
    struct core_node *n = nodes_find(c, name);

    if (n != NULL || *name == '\0' || strlen(name) > SPEC_NODE_MAX) {
        return n;
    }
    n = calloc(1, sizeof(*n));
    if (n == NULL) {
        return NULL;
    }
    clean_text(n->name, sizeof(n->name), name);
    if (strcmp(n->name, name) != 0) { /* not UTF-8: nobody could name it */
        free(n);
        return NULL;
    }
    n->place.index = PLACEMENT_NOWHERE;
    n->forget.fire = forget_alarm;
    list_init(&n->grants);
    list_init(&n->near);
    list_init(&n->loads);
    list_push_back(&c->nodes_lost, &n->link);
    c->n_lost++;
    keymap_add(&c->nodes_by_name, &n->entry, keymap_hash_str(c->seed, name));
    alarms_set(&c->alarms, &n->forget, core_now_ms(c) + FORGET_MS);
    return n;
}

/* Another life: instances are gone, counters begin at 0. What was counted stays counted.
 */
static void new_life(struct controller_core *c, struct core_node *n, const char *boot)
{
    LIST_FOREACH_SAFE(it, &n->loads)
    {
        drop_load_of_node(c, container_of(it, struct core_load, of_node));
    }
    clean_text(n->boot, sizeof(n->boot), boot);
    n->instances = 0;
    n->memory_reserved_bytes = n->place.used_bytes = 0;
    n->leaving = false;
}

static uint64_t cpu_capacity(const struct controller_core *c, uint32_t cpu_millis)
{
    uint32_t percent = c->options.cpu_overcommit_percent;

    return percent == UINT32_MAX ? 0 : (uint64_t)cpu_millis * percent / 100;
}

static bool take_hello(const struct controller_core *c, struct core_node *n,
                       const struct node_hello *h)
{
    char **labels = node_labels_copy(h->labels);
    char gateway[CORE_TEXT_MAX];
    bool changed;

    clean_text(gateway, sizeof(gateway), h->gateway);
    changed = strcmp(gateway, n->gateway) != 0 || !n->ready;
    memcpy(n->gateway, gateway, sizeof(gateway));
    clean_text(n->version, sizeof(n->version), h->version);
    if (labels != NULL) { /* else the old ones stay: see nodes_join() */
        node_labels_free(n->told_labels);
        n->told_labels = labels;
    }
    n->cpu_millis = h->cpu_millis;
    n->place.cpu_millis = cpu_capacity(c, h->cpu_millis);
    n->place.memory_bytes = h->memory_bytes;
    return changed;
}

static void take_order(const struct controller_core *c, struct core_node *n)
{
    const struct node_order *o = node_order_find(c, n->name);

    n->draining = n->leaving || (o != NULL && o->state == NODE_ORDER_DRAINING);
    n->place.closed = o != NULL && o->state == NODE_ORDER_CORDONED;
}

/* What is wanted of a node that is there may have changed. */
static void follow_order(struct controller_core *c, struct core_node *n, bool relabelled)
{
    bool was_draining, was_closed;

    was_draining = n->draining;
    was_closed = n->place.closed;
    take_order(c, n);
    if (n->draining == was_draining && n->place.closed == was_closed) {
        if (relabelled) {
            scheduler_node_came(c, n); /* for some it does now, for some no more */
        }
        return;
    }
    if (n->draining && was_draining) {
        return; /* it leaves, whatever is said of it */
    }
    journal_node(c, EVENT_NODE_ORDERED, n->name, "is %s%s",
                 n->draining       ? "draining"
                 : n->place.closed ? "cordoned"
                                   : "ready",
                 n->leaving ? ", as its agent ends" : " by order");
    if (n->draining) {
        placement_nodes_remove(&c->usable, &n->place);
        tell(c, n);
        scheduler_node_gone(c, n);
        return;
    }
    if (was_draining) {
        /* As for all store events: without memory a restart reads them again. */
        CHECK(placement_nodes_add(&c->usable, &n->place) == 0);
        tell(c, n);
    }
    if (!n->place.closed || relabelled) {
        scheduler_node_came(c, n);
    }
}

void nodes_ordered(struct controller_core *c, const char *name)
{
    struct core_node *n = nodes_find(c, name);

    bool relabelled;

    if (n == NULL) {
        return; /* it is asked for when it comes */
    }
    /* As for all store events: without memory a restart reads them again. */
    relabelled = node_labels_update(c, n) > 0;
    if (n->ready) {
        follow_order(c, n, relabelled);
    }
}

void nodes_leaving(struct controller_core *c, const char *name)
{
    struct core_node *n = nodes_find(c, name);

    if (n != NULL && n->ready) {
        n->leaving = true;
        follow_order(c, n, false);
    }
}

static int make_ready(struct controller_core *c, struct core_node *n)
{
    if (n->ready) {
        return 0;
    }
    take_order(c, n);
    if (!n->draining && placement_nodes_add(&c->usable, &n->place) < 0) {
        return -ENOMEM;
    }
    n->ready = true;
    list_remove(&n->link);
    list_push_back(&c->nodes_ready, &n->link);
    c->n_lost--;
    c->n_ready++;
    alarms_clear(&c->alarms, &n->forget);
    return 0;
}

void nodes_join(struct controller_core *c, const struct node_hello *h)
{
    struct core_node *n = want_node(c, h->node);
    char boot[CORE_TEXT_MAX];
    bool changed, new_boot;

    if (n == NULL) {
        return;
    }
    clean_text(boot, sizeof(boot), h->boot);
    new_boot = strcmp(boot, n->boot) != 0;
    if (new_boot) {
        new_life(c, n, h->boot);
    }
    changed = take_hello(c, n, h);
    if (n->told_labels == NULL || node_labels_update(c, n) < 0) {
        return; /* without memory: it comes again */
    }
    if (n->ready) {
        follow_order(c, n, false); /* it may have been leaving, in its life before */
    }
    if (make_ready(c, n) < 0) {
        return; /* it stays lost, and comes again */
    }
    n->seen_ms = core_now_ms(c);
    n->connected_wall_ms = c->io.wall_ms(c->io.ctx);
    if (n->lost_reason[0] != '\0' || new_boot) {
        journal_node(c, EVENT_NODE_JOINED, n->name, "joined with %llu MiB for functions",
                     (unsigned long long)(h->memory_bytes >> 20));
    }
    n->lost_reason[0] = '\0';
    if (changed) {
        tell(c, n);
    }
    scheduler_node_came(c, n);
    if (core_placing(c)) {
        scheduler_run(c); /* the snapshot shall have its grants */
        c->io.resync(c->io.ctx, n->name);
    }
}

/* --- going ------------------------------------------------------------------------ */

static void free_node(struct core_node *n)
{
    near_forget(n);
    node_labels_free(n->told_labels);
    node_labels_free(n->labels);
    free(n);
}

static void forget(struct controller_core *c, struct core_node *n)
{
    struct node_state state = {.node = n->name, .deleted = true};

    CHECK(!n->ready && list_empty(&n->grants));
    if (c->epoch != 0) {
        state.revision = core_next_revision(c);
        c->io.send_node(c->io.ctx, NULL, &state);
    }
    LIST_FOREACH_SAFE(it, &n->loads)
    {
        drop_load_of_node(c, container_of(it, struct core_load, of_node));
    }
    alarms_clear(&c->alarms, &n->forget);
    keymap_remove(&c->nodes_by_name, &n->entry);
    list_remove(&n->link);
    c->n_lost--;
    free_node(n);
}

void nodes_leave(struct controller_core *c, const char *name, const char *reason)
{
    struct core_node *n = nodes_find(c, name);

    if (n == NULL || !n->ready) {
        return;
    }
    n->ready = false;
    clean_text(n->lost_reason, sizeof(n->lost_reason), reason);
    journal_node(c, EVENT_NODE_LOST, n->name, "is lost: %s", n->lost_reason);
    n->instances = 0;
    n->memory_reserved_bytes = n->place.used_bytes = 0;
    LIST_FOREACH(it, &n->loads)
    { /* the counters stay: the same life may come back */
        struct core_load *l = container_of(it, struct core_load, of_node);

        set_gauges(l, &(struct version_load){0});
        scaling_lost(c, l);
    }
    if (!n->draining) {
        placement_nodes_remove(&c->usable, &n->place);
    }
    list_remove(&n->link);
    list_push_back(&c->nodes_lost, &n->link);
    c->n_ready--;
    c->n_lost++;
    tell(c, n);
    scheduler_node_gone(c, n);
    alarms_set(&c->alarms, &n->forget, core_now_ms(c) + FORGET_MS);
    if (c->n_lost > LOST_MAX) {
        forget(c, container_of(c->nodes_lost.next, struct core_node, link));
    }
}

void nodes_free(struct controller_core *c)
{
    struct list *const all[] = {&c->nodes_ready, &c->nodes_lost};

    for (size_t i = 0; i < 2; i++) {
        LIST_FOREACH_SAFE(it, all[i])
        {
            struct core_node *n = container_of(it, struct core_node, link);

            LIST_FOREACH_SAFE(at, &n->loads)
            {
                drop_load(c, container_of(at, struct core_load, of_node));
            }
            free_node(n);
        }
    }
    keymap_free(&c->nodes_by_name);
    keymap_free(&c->loads);
}

/* --- check ------------------------------------------------------------------------ */

static void check_node(const struct core_node *n)
{
    uint64_t bytes = 0, millis = 0;
    size_t n_grants = 0;

    CHECK((n->ready && !n->draining) == (n->place.index != PLACEMENT_NOWHERE));
    LIST_FOREACH(it, &n->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_node);

        CHECK(g->node == n && n->ready && !n->draining);
        bytes += target_booked(g).bytes;
        millis += target_booked(g).millis;
        n_grants++;
    }
    CHECK(n_grants == n->place.n_grants && bytes == n->place.firm_bytes &&
          millis == n->place.firm_millis);
    CHECK(bytes <= n->place.memory_bytes);
    CHECK(millis <= n->place.cpu_millis || n->place.cpu_millis == 0);
}

void nodes_invariant(const struct controller_core *c)
{
    size_t n_ready = 0, n_lost = 0, n_usable = 0;

    LIST_FOREACH(it, &c->nodes_ready)
    {
        const struct core_node *n = container_of(it, struct core_node, link);

        CHECK(n->ready);
        n_usable += !n->draining;
        check_node(n);
        n_ready++;
    }
    LIST_FOREACH(it, &c->nodes_lost)
    {
        const struct core_node *n = container_of(it, struct core_node, link);

        CHECK(!n->ready);
        check_node(n);
        n_lost++;
    }
    CHECK(n_ready == c->n_ready && n_lost == c->n_lost && c->usable.n == n_usable);
}
