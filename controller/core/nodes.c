#include "controller/core/nodes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/clean.h"
#include "controller/core/holds.h"
#include "controller/core/journal.h"
#include "controller/core/loads.h"
#include "controller/core/near.h"
#include "controller/core/node_labels.h"
#include "controller/core/node_order.h"
#include "controller/core/scheduler.h"
#include "controller/core/targets.h"

#define FORGET_MS (10 * 60 * 1000)
#define LOST_MAX  1000
#define LEAVES_MS 3000 /* an agent that ends waits 5 s for its grants to go */

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

/* Without memory for them none are shown. */
static void take_blanks(struct core_node *n, const struct node_report *r)
{
    if (r->n_blanks != n->n_blanks) {
        free(n->blanks);
        n->blanks = calloc(r->n_blanks + 1, sizeof(*n->blanks));
        n->n_blanks = n->blanks != NULL ? r->n_blanks : 0;
    }
    for (size_t i = 0; i < n->n_blanks; i++) {
        n->blanks[i] = r->blanks[i];
        clean_text(n->blanks[i].kind, sizeof(n->blanks[i].kind), r->blanks[i].kind);
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
    take_blanks(n, r);
    loads_report(c, n, r);
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
    list_init(&n->holds);
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
    loads_drop(c, n);
    holds_reborn(c, n);
    clean_text(n->boot, sizeof(n->boot), boot);
    n->instances = 0;
    n->n_blanks = 0;
    n->memory_reserved_bytes = n->place.used_bytes = 0;
    n->leaving = false;
    n->leaves_ms = 0;
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
    n->confirms = h->confirms;
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

static void journal_order(struct controller_core *c, const struct core_node *n)
{
    const char *why = n->leaving ? ", as its agent ends" : " by order";

    if (n->draining) {
        journal_node(c, EVENT_NODE_ORDERED, n->name,
                     "is draining%s; its %u grants go elsewhere", why, n->place.n_grants);
    } else {
        journal_node(c, EVENT_NODE_ORDERED, n->name, "is %s%s",
                     n->place.closed ? "cordoned" : "ready", why);
    }
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
            journal_node(c, EVENT_NODE_ORDERED, n->name, "has other labels");
            scheduler_node_came(c, n); /* for some it does now, for some no more */
        }
        return;
    }
    if (n->draining && was_draining) {
        return; /* it leaves, whatever is said of it */
    }
    journal_order(c, n);
    if (n->draining) {
        placement_nodes_remove(&c->usable, &n->place);
        tell(c, n);
        scheduler_node_drains(c, n);
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
        n->leaves_ms = core_now_ms(c) + LEAVES_MS;
        follow_order(c, n, false);
        scheduler_node_drains(c, n); /* also if it did before: it has less time now */
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
    scheduler_node_claims(c, n);
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
    free(n->blanks);
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
    loads_drop(c, n);
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
    journal_node(c, EVENT_NODE_LOST, n->name, "is lost: %s; its %u grants go elsewhere",
                 n->lost_reason, n->place.n_grants);
    n->instances = 0;
    n->n_blanks = 0;
    n->memory_reserved_bytes = n->place.used_bytes = 0;
    loads_lost(c, n);
    if (!n->draining) {
        placement_nodes_remove(&c->usable, &n->place);
    }
    list_remove(&n->link);
    list_push_back(&c->nodes_lost, &n->link);
    c->n_ready--;
    c->n_lost++;
    tell(c, n);
    scheduler_node_gone(c, n);
    holds_lost(c, n);
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

            loads_free(c, n);
            free_node(n);
        }
    }
    keymap_free(&c->nodes_by_name);
    keymap_free(&c->loads);
}

/* --- check ------------------------------------------------------------------------ */

static void check_node(const struct controller_core *c, const struct core_node *n)
{
    uint64_t bytes = 0, millis = 0;
    size_t n_grants = 0;

    CHECK((n->ready && !n->draining) == (n->place.index != PLACEMENT_NOWHERE));
    LIST_FOREACH(it, &n->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_node);

        CHECK(g->node == n && n->ready);
        CHECK(!n->draining || g->leave_ms != 0 || !core_placing(c));
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
        check_node(c, n);
        n_ready++;
    }
    LIST_FOREACH(it, &c->nodes_lost)
    {
        const struct core_node *n = container_of(it, struct core_node, link);

        CHECK(!n->ready);
        check_node(c, n);
        n_lost++;
    }
    CHECK(n_ready == c->n_ready && n_lost == c->n_lost && c->usable.n == n_usable);
}
