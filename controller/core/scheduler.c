#include "controller/core/scheduler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "controller/core/follow.h"
#include "controller/core/keys.h"
#include "controller/core/nodes.h"
#include "controller/core/publish.h"
#include "controller/core/registry.h"
#include "controller/core/requests.h"
#include "controller/core/rollout.h"
#include "controller/core/targets.h"

#define THIN_WAIT_MS      1000
#define THIN_PAUSE_MS     20
#define THIN_BATCH        256
#define UNMET_RETRY_MS    1000 /* after memory became free */
#define NO_MEMORY_MS      1000 /* out of memory: another try */
#define NAMESPACE_HEAL_MS 5000
#define DECIDE_MIN_MS     200
#define DECIDE_MAX_MS     10000

static void function_alarm(struct controller_core *c, struct alarm *a)
{
    scheduler_touch(c, container_of(a, struct core_function, alarm));
}

static void touch_unmet(struct controller_core *c)
{
    LIST_FOREACH(it, &c->unmet)
    {
        scheduler_touch(c, container_of(it, struct core_function, unmet));
    }
}

static void unmet_alarm(struct controller_core *c, struct alarm *a)
{
    touch_unmet(c);
}

/* --- functions on few nodes -------------------------------------------------------
 *
 * When nodes come, functions that are on fewer of them than they may be get more homes:
 * not at once, since nodes come in crowds (a controller that starts anew), and a part of
 * them at a time, since there may be tens of thousands. */

static void set_thin(struct controller_core *c, struct core_function *f, bool thin)
{
    if (!list_empty(&f->thin)) {
        list_remove(&f->thin);
        c->n_thin--;
    }
    if (thin) {
        list_push_back(&c->thin, &f->thin);
        c->n_thin++;
    }
}

static void thin_alarm(struct controller_core *c, struct alarm *a)
{
    for (int i = 0; i < THIN_BATCH && c->thin_left > 0 && !list_empty(&c->thin); i++) {
        struct core_function *f = container_of(c->thin.next, struct core_function, thin);

        c->thin_left--;
        set_thin(c, f, true); /* to the end; the look may take it off */
        scheduler_touch(c, f);
    }
    if (c->thin_left > 0 && !list_empty(&c->thin)) {
        alarms_set(&c->alarms, a, core_now_ms(c) + THIN_PAUSE_MS);
    }
}

static void look_for_homes(struct controller_core *c)
{
    c->thin_left = c->n_thin;
    if (c->n_thin > 0 && !c->thin_alarm.set) {
        alarms_set(&c->alarms, &c->thin_alarm, core_now_ms(c) + THIN_WAIT_MS);
    }
}

static bool is_thin_target(const struct controller_core *c, const struct core_target *t)
{
    uint32_t homes = c->options.homes_max;

    if (t->body == NULL) {
        return false;
    }
    if (t->most > 0 && t->most < homes) {
        homes = t->most;
    }
    return t->n_grants < homes;
}

static bool is_thin(const struct controller_core *c, const struct core_function *f)
{
    for (const struct core_target *t = target_next(f, NULL); t != NULL;
         t = target_next(f, t)) {
        if (t != f->candidate && is_thin_target(c, t)) {
            return true;
        }
    }
    return false;
}

static void settle_alarm(struct controller_core *c, struct alarm *a);

void scheduler_init(struct controller_core *c)
{
    list_init(&c->dirty);
    list_init(&c->unmet);
    list_init(&c->undecided);
    list_init(&c->thin);
    list_init(&c->scaling.all);
    c->thin_alarm.fire = thin_alarm;
    c->settle_alarm.fire = settle_alarm;
    c->unmet_alarm.fire = unmet_alarm;
}

void scheduler_init_function(struct core_function *f)
{
    list_init(&f->dirty);
    list_init(&f->unmet);
    list_init(&f->undecided);
    list_init(&f->thin);
    list_init(&f->others);
    rollout_init(f);
    f->alarm.fire = function_alarm;
    f->decide_backoff =
        (struct backoff){.min_ms = DECIDE_MIN_MS, .max_ms = DECIDE_MAX_MS};
}

void scheduler_touch(struct controller_core *c, struct core_function *f)
{
    if (list_empty(&f->dirty)) {
        list_push_back(&c->dirty, &f->dirty);
    }
}

void scheduler_free(struct controller_core *c)
{
    LIST_FOREACH(it, &c->namespaces)
    {
        LIST_FOREACH(at, &container_of(it, struct core_namespace, link)->functions)
        {
            follow_release(container_of(at, struct core_function, of_namespace));
        }
    }
}

/* --- outcomes --------------------------------------------------------------------- */

/* An outcome is a fact that must reach the store, however long that takes. */
static uint64_t decide(struct controller_core *c, struct core_function *f)
{
    uint64_t now_ms = core_now_ms(c);

    if (f->candidate == NULL || f->candidate->proof == PROOF_WANTED) {
        list_remove(&f->undecided);
        f->decide_retry_ms = 0;
        return UINT64_MAX;
    }
    if (list_empty(&f->undecided)) {
        list_push_back(&c->undecided, &f->undecided);
    }
    if (f->deciding || !c->store_up || c->epoch == 0) {
        return UINT64_MAX;
    }
    if (f->candidate->proof == PROOF_READY && scaling_warming_ms(f->candidate) > now_ms) {
        return scaling_warming_ms(f->candidate); /* it takes over warm */
    }
    if (f->decide_retry_ms > now_ms) {
        return f->decide_retry_ms;
    }
    f->deciding = true;
    requests_decide(c, f);
    return UINT64_MAX;
}

void scheduler_decided(struct controller_core *c, struct core_function *f, bool done)
{
    f->deciding = false;
    if (done) {
        backoff_reset(&f->decide_backoff);
        f->decide_retry_ms = 0;
    } else {
        f->decide_retry_ms =
            core_now_ms(c) + backoff_next_ms(&f->decide_backoff, c->io.random(c->io.ctx));
    }
    scheduler_touch(c, f);
}

void scheduler_store_up(struct controller_core *c)
{
    LIST_FOREACH(it, &c->undecided)
    {
        struct core_function *f = container_of(it, struct core_function, undecided);

        f->decide_retry_ms = 0;
        scheduler_touch(c, f);
    }
}

void scheduler_proof(struct controller_core *c, struct core_node *n,
                     struct core_function *f, uint64_t version, bool ready,
                     enum cause cause, const char *text)
{
    struct core_target *t = f->candidate;

    if (t == NULL || t->number != version || t->proof != PROOF_WANTED) {
        return; /* late, or about the serving one, which goes on as well as it can */
    }
    if (ready) {
        t->proof = PROOF_READY;
    } else if (cause == CAUSE_NO_CAPACITY || cause == CAUSE_NODE_LOST ||
               cause == CAUSE_DISK_FULL || cause == CAUSE_STORE_UNAVAILABLE ||
               cause == CAUSE_INTERNAL) {
        target_avoid(t, n, cause, text); /* the node's fault, not the version's */
    } else {
        target_fail(
            t, cause != CAUSE_NONE && cause < CAUSE_COUNT ? cause : CAUSE_START_FAILED,
            text);
    }
    scheduler_touch(c, f);
}

/* --- the touched ones ------------------------------------------------------------- */

static uint64_t warm_bytes(const struct core_target *t)
{
    uint64_t bytes = 0;

    if (t == NULL || t->body == NULL) {
        return 0;
    }
    LIST_FOREACH(it, &t->grants)
    {
        bytes += target_firm(container_of(it, struct core_grant, of_target)).bytes;
    }
    return bytes;
}

/* Memory that is kept warm no more may be what another function waits for. */
static void note_freed(struct controller_core *c, struct core_function *f)
{
    uint64_t now = 0;

    for (const struct core_target *t = target_next(f, NULL); t != NULL;
         t = target_next(f, t)) {
        now += warm_bytes(t);
    }
    if (now < f->warm_bytes && !list_empty(&c->unmet) && !c->unmet_alarm.set) {
        alarms_set(&c->alarms, &c->unmet_alarm, core_now_ms(c) + UNMET_RETRY_MS);
    }
    f->warm_bytes = now;
}

/* Nothing is left of the function but what others still need. */
static void bury(struct controller_core *c, struct core_function *f)
{
    follow_release(f);
    scheduler_forget(c, f);
    note_freed(c, f);
    alarms_clear(&c->alarms, &f->alarm);
    publish_deleted(c, f);
    nodes_forget_loads(c, f);
    registry_collect(c, f);
}

void scheduler_forget(struct controller_core *c, struct core_function *f)
{
    list_remove(&f->unmet);
    list_remove(&f->undecided);
    set_thin(c, f, false);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Gives all versions their grants; *ret_met: all that they want. When to look again. */
static uint64_t place(struct controller_core *c, struct core_function *f, bool *ret_met)
{
    uint64_t due_ms = UINT64_MAX;
    enum target_outcome outcome;

    *ret_met = true;
    scaling_follow(c, f);
    if (f->serving != NULL && f->serving->body != NULL) {
        outcome = target_place(c, f->serving, scaling_warm(f->serving));
        *ret_met = outcome == TARGET_MET;
        if (outcome == TARGET_NO_MEMORY) {
            due_ms = core_now_ms(c) + NO_MEMORY_MS;
        }
        due_ms = earlier(due_ms, target_leave_ms(f->serving));
    }
    if (f->candidate != NULL) {
        outcome = target_prove(c, f->candidate);
        *ret_met = *ret_met && outcome == TARGET_MET;
        if (outcome == TARGET_NO_MEMORY) {
            due_ms = core_now_ms(c) + NO_MEMORY_MS;
        }
        due_ms = earlier(due_ms, target_due_ms(f->candidate));
        due_ms = earlier(due_ms, target_leave_ms(f->candidate));
    }
    LIST_FOREACH(it, &f->others)
    {
        struct core_target *t = container_of(it, struct core_target, link);

        if (t->body == NULL) {
            continue;
        }
        outcome = target_place(c, t, scaling_warm(t));
        *ret_met = *ret_met && outcome == TARGET_MET;
        if (outcome == TARGET_NO_MEMORY) {
            due_ms = earlier(due_ms, core_now_ms(c) + NO_MEMORY_MS);
        }
        due_ms = earlier(due_ms, target_leave_ms(t));
    }
    return due_ms;
}

static void look_at(struct controller_core *c, struct core_function *f)
{
    uint64_t due_ms = UINT64_MAX;
    char key[KEYS_MAX];
    bool met = true;

    requests_answer_waits(c, f);
    if (!f->present || f->recreated) {
        bool present = f->present;

        f->recreated = false;
        bury(c, f);
        if (!present) {
            return;
        }
    }
    follow_record(c, f);
    if (f->recent != 0) {
        due_ms = f->recent_until_ms;
    }
    keys_namespace(f->ns->name, key);
    if (!f->ns->present && registry_damaged_revision(c, key) == 0 && c->epoch != 0) {
        /* Made in the moment when its namespace was deleted: it was acknowledged. */
        requests_heal_namespace(c, f->ns->name);
        due_ms = earlier(due_ms, core_now_ms(c) + NAMESPACE_HEAL_MS);
    }
    if (core_placing(c) && f->ns->present) {
        due_ms = earlier(due_ms, rollout_look(c, f));
        due_ms = earlier(due_ms, place(c, f, &met));
        if (publish(c, f) < 0) {
            due_ms = earlier(due_ms, core_now_ms(c) + NO_MEMORY_MS);
        }
    }
    due_ms = earlier(due_ms, decide(c, f));
    note_freed(c, f);
    list_remove(&f->unmet);
    if (!met) {
        list_push_back(&c->unmet, &f->unmet);
    }
    set_thin(c, f, core_placing(c) && is_thin(c, f));
    if (due_ms != UINT64_MAX) {
        alarms_set(&c->alarms, &f->alarm, due_ms);
    } else {
        alarms_clear(&c->alarms, &f->alarm);
    }
}

void scheduler_run(struct controller_core *c)
{
    if (!c->loaded) {
        return;
    }
    while (!list_empty(&c->dirty)) {
        struct core_function *f =
            container_of(c->dirty.next, struct core_function, dirty);

        list_remove(&f->dirty);
        look_at(c, f);
    }
}

/* While the core listens after a start, a function may not have been published yet; what
 * is sent then has a lower revision than what is published later. */
void scheduler_send(struct controller_core *c, const char *node, struct core_function *f)
{
    if (!f->present || !f->ns->present) {
        return;
    }
    if (!f->published) {
        f->revision = core_next_revision(c);
    }
    if (publish_to(c, f, node) < 0) {
        c->io.resync(c->io.ctx, node); /* out of memory: all of it again */
    }
}

/* --- the start -------------------------------------------------------------------- */

/* The snapshots are asked for first: what is published then need not be sent one by one,
 * since they will bring it. */
static void settled(struct controller_core *c)
{
    c->settling = false;
    LIST_FOREACH(it, &c->nodes_ready)
    {
        c->io.resync(c->io.ctx, container_of(it, struct core_node, link)->name);
    }
    nodes_renew(c);
    LIST_FOREACH(it, &c->namespaces)
    {
        LIST_FOREACH(at, &container_of(it, struct core_namespace, link)->functions)
        {
            scheduler_touch(c, container_of(at, struct core_function, of_namespace));
        }
    }
    scheduler_run(c);
}

static void settle_alarm(struct controller_core *c, struct alarm *a)
{
    settled(c);
}

void scheduler_begin(struct controller_core *c)
{
    if (c->n_functions == 0) {
        settled(c);
        return;
    }
    c->settling = true;
    alarms_set(&c->alarms, &c->settle_alarm, core_now_ms(c) + c->options.settle_ms);
}

void scheduler_adopt(struct controller_core *c, struct core_node *n,
                     struct core_function *f, uint64_t version, uint32_t max,
                     uint32_t warm, uint32_t reserved)
{
    follow_record(c, f);
    for (struct core_target *t = target_next(f, NULL); t != NULL; t = target_next(f, t)) {
        if (t->number == version && t->body != NULL &&
            (t != f->candidate || t->proof != PROOF_FAILED)) {
            /* Out of memory: it is placed anew. */
            (void)target_adopt(t, n, max, warm, reserved);
        }
    }
}

/* --- nodes ------------------------------------------------------------------------ */

static void drop_grants_on(struct controller_core *c, struct core_node *n)
{
    LIST_FOREACH_SAFE(it, &n->grants)
    {
        struct core_grant *g = container_of(it, struct core_grant, of_node);

        scheduler_touch(c, g->target->f);
        target_drop_grant(g);
    }
    CHECK(n->place.firm_bytes == 0 && n->place.firm_millis == 0 &&
          n->place.n_grants == 0);
}

void scheduler_node_came(struct controller_core *c, struct core_node *n)
{
    if (!core_placing(c)) {
        drop_grants_on(c, n); /* what it claimed before; it will say again what it has */
        return;
    }
    LIST_FOREACH(it, &n->grants) /* its memory may have become less, its labels others */
    {
        scheduler_touch(c, container_of(it, struct core_grant, of_node)->target->f);
    }
    touch_unmet(c);
    look_for_homes(c);
}

void scheduler_node_gone(struct controller_core *c, struct core_node *n)
{
    drop_grants_on(c, n);
}

/* --- check ------------------------------------------------------------------------ */

static void check_function(const struct controller_core *c, const struct core_function *f)
{
    CHECK(f->serving == NULL || f->serving->f == f);
    CHECK(f->candidate == NULL || f->candidate->f == f);
    CHECK(f->serving == NULL || f->candidate == NULL ||
          f->serving->number != f->candidate->number);
    for (const struct core_target *t = target_next(f, NULL); t != NULL;
         t = target_next(f, t)) {
        CHECK(t->f == f);
        CHECK(list_empty(&t->link) == (t == f->serving || t == f->candidate));
        target_invariant(c, t);
    }
    if (f->candidate != NULL) {
        CHECK(f->candidate->proof == PROOF_WANTED || !list_empty(&f->undecided));
    }
}

void scheduler_invariant(const struct controller_core *c)
{
    CHECK(list_empty(&c->dirty));
    LIST_FOREACH(it, &c->namespaces)
    {
        LIST_FOREACH(at, &container_of(it, struct core_namespace, link)->functions)
        {
            check_function(c, container_of(at, struct core_function, of_namespace));
        }
    }
}
