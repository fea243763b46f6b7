#include "agent/core/agent_core_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

/* --- what it is --------------------------------------------------------------------- */

static bool string_same(const char *x, const char *y)
{
    return x == y || (x != NULL && y != NULL && strcmp(x, y) == 0);
}

static bool spec_same(const struct function_spec *x, const struct function_spec *y)
{
#define X(member, key, flag, min, max, dflt, unit, help) \
    if (x->member != y->member) {                        \
        return false;                                    \
    }
    SPEC_NUMBERS(X)
#undef X
#define X(name, key, flag, min, max, dflt, unit, help)  \
    if (x->name##_hundredths != y->name##_hundredths) { \
        return false;                                   \
    }
    SPEC_DECIMALS(X)
#undef X
    if (x->runtime != y->runtime || x->metric != y->metric || x->reuse != y->reuse ||
        x->keep_alive != y->keep_alive || x->placement != y->placement ||
        x->n_constraints != y->n_constraints || x->n_env != y->n_env ||
        !string_same(x->handler, y->handler)) {
        return false;
    }
    if (x->n_layers != y->n_layers) {
        return false;
    }
    for (size_t i = 0; i < x->n_layers; i++) {
        if (strcmp(x->layers[i].package.digest, y->layers[i].package.digest) != 0) {
            return false;
        }
    }
    for (size_t i = 0; i < x->n_env; i++) {
        if (strcmp(x->env[i].name, y->env[i].name) != 0 ||
            strcmp(x->env[i].value, y->env[i].value) != 0) {
            return false;
        }
    }
    for (size_t i = 0; i < x->n_constraints; i++) {
        if (strcmp(x->constraints[i].text, y->constraints[i].text) != 0) {
            return false;
        }
    }
    return true;
}

/* Versions never change, but a function that was deleted and deployed again counts from 1
 * once more, and the deletion may have been missed. */
bool catalog_version_same(const struct version *v, const struct version_state *s)
{
    return strcmp(version_package(v)->digest, s->package.digest) == 0 &&
           spec_same(&v->spec, &s->spec);
}

/* --- life --------------------------------------------------------------------------- */

static struct usage *usage_find(const struct function *f, uint64_t number)
{
    LIST_FOREACH(it, &f->versions)
    {
        const struct version *v = container_of(it, struct version, link);

        if (v->number == number) {
            return v->usage;
        }
    }
    LIST_FOREACH(it, &f->core->unused_usages)
    {
        struct usage *u = container_of(it, struct usage, unused);

        if (u->function == f && u->number == number) {
            return u;
        }
    }
    return NULL;
}

static struct usage *usage_share(const struct function *f, uint64_t number)
{
    struct usage *u = usage_find(f, number);

    if (u == NULL && (u = calloc(1, sizeof(*u))) != NULL) {
        u->function = f;
        u->number = number;
        list_init(&u->unused);
    }
    if (u != NULL) {
        list_remove(&u->unused);
        u->refs++;
    }
    return u;
}

static void usage_free(struct usage *u)
{
    list_remove(&u->unused);
    free(u->seen);
    free(u);
}

static void usage_part(struct version *v)
{
    struct usage *u = v->usage;

    if (u == NULL) {
        return;
    }
    if (--u->refs == 0 && u->told) {
        u->owner = NULL;
        v->function->core->told_is_gone = true;
        list_push_back(&v->function->core->unused_usages, &u->unused);
        return;
    }
    if (u->refs == 0) {
        usage_free(u);
        return;
    }
    if (u->owner != v) {
        return;
    }
    LIST_FOREACH(it, &v->function->versions)
    {
        const struct version *other = container_of(it, struct version, link);

        if (other != v && other->usage == u) {
            u->owner = other; /* the newest, as it is the last in the list */
        }
    }
}

void catalog_usages_forget(struct agent_core *a, const struct function *f)
{
    LIST_FOREACH_SAFE(it, &a->unused_usages)
    {
        struct usage *u = container_of(it, struct usage, unused);

        if (f == NULL || u->function == f) {
            usage_free(u);
        }
    }
}

static void fire(struct agent_core *a, struct timer *t)
{
    struct version *v = container_of(t, struct version, timer);

    router_expire(v);
    pool_idle_expire(v);
    pool_pump(v); /* a pause after a bad start may be over */
    router_offload(v);
    catalog_version_settle(v);
    due_heap_remove(&a->timers, &t->node); /* what was due is done: only what is ahead */
    catalog_version_arm(v);
}

static void lists_init(struct version *v)
{
    struct list *lists[] = {&v->link,    &v->instances, &v->warm,  &v->frozen,
                            &v->partial, &v->starved,   &v->queue, &v->waiting,
                            &v->running, &v->forwarded, &v->ended};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        list_init(lists[i]);
    }
}

static void inherit(struct version *v, const struct version_state *s)
{
    LIST_FOREACH(it, &v->function->versions)
    {
        struct version *old = container_of(it, struct version, link);

        if (old->number == v->number && catalog_version_same(old, s)) {
            old->heir = v;
            v->n_before += old->n_instances;
        }
    }
}

static void disinherit(const struct version *v)
{
    LIST_FOREACH(it, &v->function->versions)
    {
        struct version *old = container_of(it, struct version, link);

        old->heir = old->heir == v ? NULL : old->heir;
    }
}

int catalog_version_new(struct version **ret, struct function *f,
                        const struct version_state *s)
{
    struct version *v = calloc(1, sizeof(*v));

    if (v == NULL) {
        return -ENOMEM;
    }
    lists_init(v);
    v->function = f;
    v->number = s->number;
    v->backoff = (struct backoff){.min_ms = CORE_START_PAUSE_MIN_MS,
                                  .max_ms = CORE_START_PAUSE_MAX_MS};
    function_spec_init(&v->spec);
    if (agent_timer_add(f->core, &v->timer, fire) < 0) {
        free(v);
        return -ENOMEM;
    }
    if (function_spec_copy(&v->spec, &s->spec) < 0 ||
        (v->usage = usage_share(f, s->number)) == NULL ||
        catalog_package_join(v, s) < 0) {
        catalog_version_free(v);
        return -ENOMEM;
    }
    inherit(v, s);
    *ret = v;
    return 0;
}

void catalog_version_free(struct version *v)
{
    struct agent_core *a = v->function->core;

    CHECK(v->n_instances == 0 && v->n_claims == 0);
    disinherit(v);
    catalog_package_part(v);
    usage_part(v);
    agent_timer_drop(a, &v->timer);
    due_heap_remove(&a->evictable, &v->evictable);
    list_remove(&v->link);
    list_remove(&v->starved);
    list_remove(&v->waiting);
    list_remove(&v->ended);
    function_spec_free(&v->spec);
    free(v->places);
    free(v);
}

void catalog_version_retire(struct version *v)
{
    v->wanted = false;
    v->told_max = v->told_warm = v->told_reserved = 0;
    v->has_part = false;
    catalog_version_grant(v);
    catalog_places_set(v, NULL, 0);
    pool_drain(v, STOP_RETIRED);
    pool_account(v);
    pool_pump(v); /* lets go of claims */
    catalog_package_need(v);
    catalog_version_settle(v);
}

static bool is_over(const struct version *v)
{
    return !v->wanted && v->n_instances == 0 && v->n_queued == 0 && v->n_running == 0 &&
           v->n_forwarded == 0;
}

/* Not freed here: whoever called may still hold it. */
void catalog_version_settle(struct version *v)
{
    if (is_over(v) && list_empty(&v->ended)) {
        list_push_back(&v->function->core->ended, &v->ended);
    }
}

static bool is_used(const struct version *v)
{
    return v->usage->invocations > 0 || v->usage->cpu_us > 0;
}

/* What it used is not lost because no controller listened for a while. */
static bool is_told(const struct version *v)
{
    const struct usage *u = v->usage;

    return u->told && u->last.invocations == u->invocations &&
           u->last.errors == u->errors && u->last.gb_ms == u->gb_ms &&
           u->last.cpu_us == u->cpu_us;
}

/* Its last grant is over, which is to be said: others may wait for it (pool_tell_less).
 */
static bool is_awaited(const struct version *v)
{
    return v->had_grant && !v->function->deleted &&
           function_spec_instances_max(&v->spec) > 0;
}

void catalog_version_reap(struct version *v)
{
    struct agent_core *a = v->function->core;

    list_remove(&v->ended);
    if (!is_over(v)) {
        return;
    }
    if (v->over_ms == 0) {
        v->over_ms = a->now_ms > 0 ? a->now_ms : 1;
    }
    if (v->usage->owner == v && (is_used(v) || is_awaited(v)) &&
        a->now_ms < v->over_ms + CORE_LINGER_MS) {
        agent_timer_lower(a, &v->timer, v->over_ms + CORE_LINGER_MS);
        return;
    }
    if (v->usage->owner == v && is_used(v) && !is_told(v)) {
        agent_timer_lower(a, &v->timer, a->now_ms + CORE_LINGER_MS);
        return;
    }
    catalog_version_free(v);
}

/* --- grants ------------------------------------------------------------------------- */

void catalog_version_grant(struct version *v)
{
    bool lapsed = v->function->core->lapsed;

    v->grant_max = lapsed ? 0 : v->told_max;
    v->grant_warm = lapsed ? 0 : v->told_warm;
    v->grant_floor = catalog_place_floor(v);
    v->grant_reserved = lapsed ? 0 : v->told_reserved;
}

bool catalog_version_granted(const struct version *v)
{
    return v->grant_max > 0 || v->n_places > 0;
}

/* --- time --------------------------------------------------------------------------- */

static uint64_t first_deadline(const struct list *calls)
{
    return list_empty(calls)
               ? UINT64_MAX
               : container_of(calls->next, struct call, timer_link)->deadline_ms;
}

static uint64_t min_ms(uint64_t x, uint64_t y)
{
    return x < y ? x : y;
}

/* Every list is in the order of its deadlines, so that only first ones count. */
void catalog_version_arm(struct version *v)
{
    struct agent_core *a = v->function->core;
    uint64_t due_ms = min_ms(first_deadline(&v->running), first_deadline(&v->forwarded));

    if (!list_empty(&v->queue)) {
        const struct call *c = container_of(v->queue.next, struct call, link);

        due_ms = min_ms(due_ms, c->queue_deadline_ms);
    }
    due_ms = min_ms(due_ms, pool_idle_next_ms(v));
    if (v->retry_ms > a->now_ms && pool_starts_wanted(v) > 0) {
        due_ms = min_ms(due_ms, v->retry_ms);
    }
    if (v->n_queued > 0 && v->offload_ms != 0) {
        due_ms = min_ms(due_ms, v->offload_ms);
    }
    if (v->short_ms != 0) {
        due_ms = min_ms(due_ms, v->short_ms);
    }
    if (due_ms != UINT64_MAX) {
        agent_timer_lower(a, &v->timer, due_ms);
    }
}

/* --- failing ------------------------------------------------------------------------ */

void catalog_trouble_set(struct trouble *t, enum cause cause, const char *text)
{
    size_t len = text != NULL ? strnlen(text, sizeof(t->text) - 1) : 0;

    while (len > 0 &&
           ((unsigned char)text[len] & 0xc0) == 0x80) { /* cut in a character */
        len--;
    }
    t->cause = cause;
    if (len > 0) {
        memmove(t->text, text, len);
    }
    t->text[len] = '\0';
}

/* Between tries. Once the pause is over a call may wait for the next try: this is how a
 * function heals. */
const struct trouble *catalog_version_failing(const struct version *v)
{
    const struct agent_core *a = v->function->core;
    bool none_up = pool_ready(v) + v->n[INSTANCE_STARTING] == 0;
    const struct trouble *packages = catalog_packages_trouble(v);

    if (packages != NULL && none_up) {
        return packages;
    }
    if (v->failures >= CORE_FAILURES_PATIENCE && a->now_ms < v->retry_ms && none_up) {
        return &v->trouble;
    }
    return NULL;
}

void catalog_version_failed(struct version *v, const struct trouble *t)
{
    struct agent_core *a = v->function->core;

    if (v->function->target == NULL) {
        catalog_trouble_set(&v->function->trouble, t->cause, t->text);
    }
    if (v->was_ready || v->failed_reported || !v->wanted) {
        return;
    }
    v->failed_reported = true;
    a->io.report_version(a->io.ctx, v, false, t->cause, t->text);
}
