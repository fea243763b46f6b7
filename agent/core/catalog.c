#include "agent/core/agent_core_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cleanup.h"

struct key {
    const char *namespace_;
    const char *name;
};

static bool match(const struct name_map_node *node, const void *key)
{
    const struct function *f = container_of(node, struct function, by_name);
    const struct key *k = key;

    return strcmp(f->name, k->name) == 0 && strcmp(f->namespace_, k->namespace_) == 0;
}

static uint64_t hash(const struct agent_core *a, const char *namespace_, const char *name)
{
    return name_map_hash(name_map_hash(a->seed, namespace_), name);
}

struct function *catalog_find(const struct agent_core *a, const char *namespace_,
                              const char *name)
{
    struct key key = {.namespace_ = namespace_, .name = name};
    struct name_map_node *found =
        name_map_find(&a->by_name, hash(a, namespace_, name), match, &key);

    return found != NULL ? container_of(found, struct function, by_name) : NULL;
}

struct version *catalog_wanted(const struct function *f, uint64_t number)
{
    LIST_FOREACH(it, &f->versions)
    {
        struct version *v = container_of(it, struct version, link);

        if (v->wanted && v->number == number) {
            return v;
        }
    }
    return NULL;
}

struct version *catalog_newest(const struct function *f)
{
    struct version *newest = NULL;

    LIST_FOREACH(it, &f->versions)
    {
        struct version *v = container_of(it, struct version, link);

        if (v->wanted && (newest == NULL || v->number > newest->number)) {
            newest = v;
        }
    }
    return newest;
}

/* --- functions ------------------------------------------------------------------------
 */

static struct function *function_new(struct agent_core *a, const char *namespace_,
                                     const char *name)
{
    size_t len = strlen(namespace_) + 1;
    struct function *f;

    if (name_map_reserve(&a->by_name) < 0 ||
        (f = calloc(1, sizeof(*f) + len + strlen(name) + 1)) == NULL) {
        return NULL;
    }
    if (agent_timer_add(a, &f->timer, router_expire_early) < 0) {
        free(f);
        return NULL;
    }
    memcpy(f->names, namespace_, len);
    memcpy(f->names + len, name, strlen(name) + 1);
    f->namespace_ = f->names;
    f->name = f->names + len;
    f->core = a;
    list_init(&f->versions);
    list_init(&f->queue);
    keepalive_init(&f->keepalive, 0, false);
    f->plan_ms = UINT64_MAX;
    name_map_insert(&a->by_name, &f->by_name, hash(a, namespace_, name));
    list_push_back(&a->functions, &f->all);
    return f;
}

void catalog_function_free(struct function *f)
{
    struct agent_core *a = f->core;

    CHECK(list_empty(&f->versions));
    catalog_usages_forget(a, f);
    agent_timer_drop(a, &f->timer);
    name_map_remove(&a->by_name, &f->by_name);
    list_remove(&f->all);
    free(f->aliases);
    free(f);
}

/* The name and its revision stay for a while: late news must not bring it back. */
static void bury(struct agent_core *a, struct function *f)
{
    f->deleted = true;
    list_remove(&f->all);
    list_push_back(&a->tombstones, &f->all);
    if (++a->n_tombstones > CORE_TOMBSTONES_MAX) {
        struct function *oldest = container_of(a->tombstones.next, struct function, all);

        if (list_empty(&oldest->versions)) {
            a->n_tombstones--;
            catalog_function_free(oldest);
        } else { /* it still drains: its turn comes again */
            list_remove(&oldest->all);
            list_push_back(&a->tombstones, &oldest->all);
        }
    }
}

static void function_delete(struct agent_core *a, struct function *f)
{
    f->target = NULL;
    catalog_trouble_set(&f->trouble, CAUSE_NOT_FOUND, "the function was deleted");
    router_reject_early(f);
    LIST_FOREACH(it, &f->versions)
    {
        struct version *v = container_of(it, struct version, link);

        router_reject_queued(v, CAUSE_NOT_FOUND, "the function was deleted");
        catalog_version_retire(v);
    }
    bury(a, f);
}

/* --- taking over a state --------------------------------------------------------------
 */

struct plan {
    struct version *version; /* there already, or new and in no list yet */
    bool fresh;
    struct place *places;
    size_t n_places;
    struct grant ours;
    uint64_t published, id;
    uint32_t least;
};

static void plans_free(struct plan *plans, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (plans[i].fresh) {
            catalog_version_free(plans[i].version);
        }
        free(plans[i].places);
    }
    free(plans);
}

static bool named_before(const struct function_state *s, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (s->versions[i].number == s->versions[at].number) {
            return true;
        }
    }
    return false;
}

/* All that can fail, without changing what is there. */
static int prepare(struct function *f, const struct function_state *s,
                   struct plan **ret_plans, size_t *ret_n)
{
    struct plan *plans = calloc(s->n_versions + 1, sizeof(*plans));
    size_t n = 0;
    int rc = plans != NULL ? 0 : -ENOMEM;

    for (size_t i = 0; rc == 0 && i < s->n_versions; i++) {
        const struct version_state *vs = &s->versions[i];
        struct plan *p = &plans[n];

        if (named_before(s, i)) {
            continue;
        }
        rc = catalog_places_new(f->core, vs, &p->places, &p->n_places, &p->ours);
        if (rc < 0) {
            break;
        }
        n++;
        p->published = vs->published;
        p->least = vs->least;
        p->id = vs->id;
        p->version = catalog_wanted(f, vs->number);
        if (p->version == NULL || !catalog_version_same(p->version, vs)) {
            p->version = NULL;
            rc = catalog_version_new(&p->version, f, vs);
            p->fresh = rc == 0;
        }
    }
    if (rc < 0) {
        plans_free(plans, n);
        return rc;
    }
    *ret_plans = plans;
    *ret_n = n;
    return 0;
}

static void adopt(struct function *f, struct plan *p)
{
    struct version *v = p->version;

    if (p->fresh) {
        p->fresh = false;
        v->wanted = true;
        v->usage->owner = v;
        list_push_back(&f->versions, &v->link);
        f->trouble.cause = CAUSE_NONE;
    }
    v->named = true;
    v->has_part = p->ours.node[0] != '\0';
    v->had_grant |= p->ours.max > 0;
    catalog_places_set(v, steal(p->places), p->n_places);
    if (p->ours.max < v->told_max) {
        pool_tell_less(v);
    }
    if (v->told_warm == 0) {
        v->short_told = false; /* it is asked anew */
    }
    v->told_max = p->ours.max;
    v->told_warm = p->ours.warm;
    v->told_reserved = p->ours.reserved;
    v->least = p->least;
    catalog_version_grant(v);
    v->published = p->published;
    v->id = p->id;
}

/* As the controller said: also if grants have lapsed, which ends without a new state. */
static bool has_place(const struct version *v)
{
    return v->told_max > 0 || v->n_places > 0;
}

/* The serving version, as soon as it has a place anywhere; until then the one that served
 * before goes on, if it still may. */
static struct version *choose_target(const struct function *f, uint64_t serving)
{
    struct version *next = serving != 0 ? catalog_wanted(f, serving) : NULL;
    struct version *old = f->target;

    if (next != NULL && old != NULL && old->wanted && !has_place(next) &&
        has_place(old)) {
        return old;
    }
    return next;
}

static void commit(struct function *f, const struct function_state *s, struct plan *plans,
                   size_t n)
{
    LIST_FOREACH(it, &f->versions)
    {
        container_of(it, struct version, link)->named = false;
    }
    for (size_t i = 0; i < n; i++) {
        adopt(f, &plans[i]);
    }
    f->revision = s->revision;
    f->namespace_index = s->namespace_index;
    f->stopped = s->stopped;
    LIST_FOREACH(it, &f->versions)
    {
        struct version *v = container_of(it, struct version, link);

        if (v->wanted && !v->named) {
            catalog_version_retire(v);
        } else if (v->wanted) {
            catalog_package_need(v);
            pool_shrink(v);
            pool_account(v);
        }
    }
    f->target = choose_target(f, s->serving);
    if (f->target != NULL) {
        f->trouble.cause = CAUSE_NONE;
    } else if (s->failed != CAUSE_NONE) { /* wherever that was, calls here are told it */
        catalog_trouble_set(&f->trouble, s->failed, s->failed_text);
    }
    pool_idle_plan(f);
    router_follow(f);
}

static int apply(struct agent_core *a, struct function *f, const struct function_state *s)
{
    struct plan *plans;
    struct alias *aliases;
    size_t n;
    int rc = catalog_aliases_copy(&aliases, s);

    rc = rc < 0 ? rc : prepare(f, s, &plans, &n);
    if (rc < 0) {
        free(aliases);
        return rc;
    }
    free(f->aliases);
    f->aliases = aliases;
    f->n_aliases = s->n_aliases;
    if (f->deleted) {
        f->deleted = false;
        a->n_tombstones--;
        list_remove(&f->all);
        list_push_back(&a->functions, &f->all);
    }
    commit(f, s, plans, n);
    plans_free(plans, n);
    return 0;
}

/* Within a snapshot what is known already counts as named again. */
static bool is_news(const struct agent_core *a, const struct function *f,
                    uint64_t revision)
{
    return revision > f->revision || (a->in_snapshot && revision == f->revision);
}

int agent_core_function(struct agent_core *a, const struct function_state *s)
{
    struct function *f = catalog_find(a, s->namespace_, s->name);
    bool made = false;
    int rc = 0;

    if (s->deleted) {
        agent_core_function_deleted(a, s->namespace_, s->name, s->revision);
        return 0;
    }
    agent_enter(a);
    if (f == NULL) {
        f = function_new(a, s->namespace_, s->name);
        made = true;
    }
    if (f == NULL) {
        rc = -ENOMEM;
    } else if (made || is_news(a, f, s->revision)) {
        rc = apply(a, f, s);
    }
    if (rc == 0 && made) {
        catalog_memory_claim(f);
    }
    if (f != NULL && rc < 0 && made) {
        catalog_function_free(f);
    } else if (f != NULL && !f->deleted) {
        f->snapshot = a->snapshot; /* failed or old: it is not gone for that */
    }
    agent_leave(a);
    return rc;
}

void agent_core_function_deleted(struct agent_core *a, const char *namespace_,
                                 const char *name, uint64_t revision)
{
    struct function *f = catalog_find(a, namespace_, name);

    if (f == NULL) {
        return;
    }
    agent_enter(a);
    if (revision > f->revision) {
        f->revision = revision;
        if (!f->deleted) {
            function_delete(a, f);
        }
    }
    agent_leave(a);
}

/* --- time to live ---------------------------------------------------------------------
 */

static void renew(struct function *f)
{
    LIST_FOREACH(it, &f->versions)
    {
        struct version *v = container_of(it, struct version, link);

        if (v->wanted) {
            catalog_version_grant(v);
            catalog_package_need(v);
            pool_shrink(v);
            pool_account(v);
            router_reroute(v);
        }
    }
}

void agent_core_lapse(struct agent_core *a, bool lapsed)
{
    if (a->lapsed == lapsed) {
        return;
    }
    agent_enter(a);
    a->lapsed = lapsed;
    LIST_FOREACH(it, &a->functions)
    {
        renew(container_of(it, struct function, all));
    }
    a->io.report_soon(a->io.ctx);
    agent_leave(a);
}

bool agent_core_is_granted(const struct agent_core *a)
{
    LIST_FOREACH(it, &a->functions)
    {
        LIST_FOREACH(at, &container_of(it, struct function, all)->versions)
        {
            if (container_of(at, struct version, link)->grant_max > 0) {
                return true;
            }
        }
    }
    return false;
}

/* --- snapshots ------------------------------------------------------------------------
 */

void agent_core_snapshot_begin(struct agent_core *a)
{
    a->snapshot++; /* one that was cut off before its end never took effect */
    a->in_snapshot = true;
}

void agent_core_snapshot_end(struct agent_core *a)
{
    if (!a->in_snapshot) {
        return;
    }
    agent_enter(a);
    a->in_snapshot = false;
    LIST_FOREACH_SAFE(it, &a->functions)
    {
        struct function *f = container_of(it, struct function, all);

        if (f->snapshot != a->snapshot) {
            function_delete(a, f);
        }
    }
    catalog_peers_snapshot_end(a);
    agent_leave(a);
}

/* --- reading --------------------------------------------------------------------------
 */

const char *function_namespace(const struct function *f)
{
    return f->namespace_;
}

const char *function_name(const struct function *f)
{
    return f->name;
}

bool version_was_ready(const struct version *v)
{
    return v->was_ready;
}

uint32_t function_namespace_index(const struct function *f)
{
    return f->namespace_index;
}

uint64_t version_number(const struct version *v)
{
    return v->number;
}

uint64_t version_id(const struct version *v)
{
    return v->id;
}

uint64_t version_published(const struct version *v)
{
    return v->published;
}

struct function *version_function(const struct version *v)
{
    return v->function;
}

const struct function_spec *version_spec(const struct version *v)
{
    return &v->spec;
}

const struct package_ref *version_package(const struct version *v)
{
    return &v->packages[0].package->ref;
}

bool agent_core_has_function(const struct agent_core *a, const char *namespace_,
                             const char *name)
{
    return catalog_find(a, namespace_, name) != NULL;
}
