#include "agent/core/agent_core_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

static bool match(const struct name_map_node *node, const void *key)
{
    return strcmp(container_of(node, struct package, by_digest)->ref.digest, key) == 0;
}

static struct package *find(const struct agent_core *a, const char *digest)
{
    struct name_map_node *found =
        name_map_find(&a->packages, name_map_hash(a->seed, digest), match, digest);

    return found != NULL ? container_of(found, struct package, by_digest) : NULL;
}

static void retry_fire(struct agent_core *a, struct timer *t)
{
    struct package *p = container_of(t, struct package, retry);

    if (p->state == PACKAGE_FAILED) {
        p->state = PACKAGE_WANTED;
        a->io.package_want(a->io.ctx, &p->ref);
    }
}

static struct package *package_new(struct agent_core *a, const struct package_ref *ref)
{
    struct package *p;

    if (name_map_reserve(&a->packages) < 0 || (p = calloc(1, sizeof(*p))) == NULL) {
        return NULL;
    }
    if (agent_timer_add(a, &p->retry, retry_fire) < 0) {
        free(p);
        return NULL;
    }
    p->core = a;
    p->ref = *ref;
    p->backoff = (struct backoff){.min_ms = CORE_FETCH_PAUSE_MIN_MS,
                                  .max_ms = CORE_FETCH_PAUSE_MAX_MS};
    list_init(&p->versions);
    name_map_insert(&a->packages, &p->by_digest, name_map_hash(a->seed, ref->digest));
    return p;
}

static int join(struct version *v, const struct package_ref *ref)
{
    struct agent_core *a = v->function->core;
    struct package *p = find(a, ref->digest);
    struct version_package *vp = &v->packages[v->n_packages];

    for (size_t i = 0; i < v->n_packages; i++) {
        if (v->packages[i].package == p) {
            return 0; /* the same one under two names */
        }
    }
    if (p == NULL && (p = package_new(a, ref)) == NULL) {
        return -ENOMEM;
    }
    *vp = (struct version_package){.version = v, .package = p};
    list_push_back(&p->versions, &vp->link);
    v->n_packages++;
    return 0;
}

int catalog_package_join(struct version *v, const struct version_state *s)
{
    int rc = join(v, &s->package);

    for (size_t i = 0; rc == 0 && i < s->spec.n_layers; i++) {
        rc = join(v, &s->spec.layers[i].package);
    }
    return rc;
}

bool catalog_packages_ready(const struct version *v)
{
    for (size_t i = 0; i < v->n_packages; i++) {
        if (v->packages[i].package->state != PACKAGE_READY) {
            return false;
        }
    }
    return true;
}

const struct trouble *catalog_packages_trouble(const struct version *v)
{
    for (size_t i = 0; i < v->n_packages; i++) {
        if (v->packages[i].package->state == PACKAGE_FAILED) {
            return &v->packages[i].package->trouble;
        }
    }
    return NULL;
}

static void need_one(struct package *p, bool needs)
{
    struct agent_core *a = p->core;

    if (needs && p->n_needs++ == 0) {
        CHECK(p->state == PACKAGE_ABSENT);
        p->state = PACKAGE_WANTED;
        a->io.package_want(a->io.ctx, &p->ref);
    } else if (!needs && --p->n_needs == 0) {
        p->state = PACKAGE_ABSENT;
        p->trouble.cause = CAUSE_NONE;
        backoff_reset(&p->backoff);
        a->io.package_drop(a->io.ctx, p->ref.digest);
    }
}

static void need(struct version *v, bool needs)
{
    const struct agent_io *io = &v->function->core->io;

    if (needs == v->needs_package) {
        return;
    }
    v->needs_package = needs;
    if (!needs && io->version_left != NULL) {
        io->version_left(io->ctx, v); /* what it keeps has the package */
    }
    for (size_t i = 0; i < v->n_packages; i++) {
        need_one(v->packages[i].package, needs);
    }
}

/* Instances run from the unpacked package: it stays until the last of them is gone. It is
 * fetched ahead where a grant is about to come. */
bool catalog_package_is_needed(const struct version *v)
{
    return v->n_instances > 0 ||
           (v->wanted &&
            (v->grant_max > 0 || (v->has_part && !v->function->core->lapsed)));
}

void catalog_package_need(struct version *v)
{
    need(v, catalog_package_is_needed(v));
}

static void part(struct version_package *vp, bool needed)
{
    struct package *p = vp->package;

    p->n_needs -= needed;
    list_remove(&vp->link);
    if (list_empty(&p->versions)) {
        CHECK(p->n_needs == 0);
        agent_timer_drop(p->core, &p->retry);
        name_map_remove(&p->core->packages, &p->by_digest);
        free(p);
    }
}

void catalog_package_part(struct version *v)
{
    /* Needed: only when the whole core ends; the disk keeps it. */
    for (size_t i = 0; i < v->n_packages; i++) {
        part(&v->packages[i], v->needs_package);
    }
    v->needs_package = false;
    v->n_packages = 0;
}

/* Memory, disk, the store or mayfly itself: the next try may well succeed, and the
 * deployment is not to blame. */
bool catalog_cause_is_own(enum cause cause)
{
    switch (cause) {
    case CAUSE_NO_CAPACITY:
    case CAUSE_DISK_FULL:
    case CAUSE_STORE_UNAVAILABLE:
    case CAUSE_NODE_LOST:
    case CAUSE_INTERNAL:
        return false;
    default:
        return true;
    }
}

void agent_core_package_ready(struct agent_core *a, const char *digest)
{
    struct package *p = find(a, digest);

    agent_enter(a);
    if (p != NULL && (p->state == PACKAGE_WANTED || p->state == PACKAGE_FAILED)) {
        p->state = PACKAGE_READY;
        LIST_FOREACH(it, &p->versions)
        {
            pool_pump(container_of(it, struct version_package, link)->version);
        }
    }
    agent_leave(a);
}

void agent_core_package_failed(struct agent_core *a, const char *digest, enum cause cause,
                               const char *text)
{
    struct package *p = find(a, digest);

    CHECK(cause != CAUSE_NONE && cause < CAUSE_COUNT);
    agent_enter(a);
    if (p != NULL && p->state == PACKAGE_WANTED) {
        p->state = PACKAGE_FAILED;
        catalog_trouble_set(&p->trouble, cause, text);
        agent_timer_lower(a, &p->retry,
                          a->now_ms +
                              backoff_next_ms(&p->backoff, a->io.random(a->io.ctx)));
        LIST_FOREACH(it, &p->versions)
        {
            struct version *v = container_of(it, struct version_package, link)->version;

            if (v->needs_package) {
                if (catalog_cause_is_own(cause)) {
                    catalog_version_failed(v, &p->trouble);
                }
                router_reroute(v);
            }
        }
    }
    agent_leave(a);
}
