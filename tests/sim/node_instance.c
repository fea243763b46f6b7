/* What stands in for a node's runtime and packages. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "tests/sim/node.h"
#include "tests/sim/places.h"

#define START_US 3000
#define THAW_US  300
#define CPU_US   1000

/* --- instances
 * --------------------------------------------------------------------------- */

unsigned sim_node_instances(const struct sim_node *n, const char *function,
                            uint64_t version)
{
    unsigned found = 0;

    LIST_FOREACH(it, &n->instances)
    {
        const struct sim_instance *si = container_of(it, struct sim_instance, link);

        found += si->in->state != INSTANCE_DRAINING &&
                 si->in->state != INSTANCE_STOPPING && si->version == version &&
                 strcmp(si->function, function) == 0;
    }
    return found;
}

bool sim_is_bad(const struct function_spec *spec)
{
    return strncmp(spec->handler, "bad", 3) == 0;
}

static void instance_started(void *data)
{
    struct sim_instance *si = data;
    struct sim_node *n = si->node;

    if (si->stopping) {
        return;
    }
    sim_usage_took(si, CPU_US + si->in->id % CPU_US);
    if (si->bad) {
        agent_core_instance_failed(n->core, si->in, CAUSE_INIT_FAILED, "exit status 7");
    } else {
        agent_core_instance_ready(n->core, si->in);
    }
    sim_node_arm(n);
}

void sim_instance_start(void *ctx, struct instance *in)
{
    struct sim_node *n = ctx;
    struct sim_instance *si = calloc(1, sizeof(*si));
    const struct function *f = version_function(in->version);
    const struct function_spec *spec = version_spec(in->version);
    const struct node_grant *grant =
        sim_grant_of(n, function_name(f), version_number(in->version));

    CHECK(si != NULL);
    si->node = n;
    si->in = in;
    si->version = version_number(in->version);
    (void)snprintf(si->function, sizeof(si->function), "%s", function_name(f));
    (void)snprintf(si->handler, sizeof(si->handler), "%s", spec->handler);
    si->bad = sim_is_bad(spec);
    list_push_back(&n->instances, &si->link);
    in->edge = si;
    if (grant == NULL || n->lapsed || sim_scale_on(n, si) > grant->max) {
        sim_say(n->sim, "%s starts an instance of %s/%llu beyond its grant", n->name,
                si->function, (unsigned long long)si->version);
        sim_node_broken(n);
    }
    if (!sim_places_check_start(n, si) || !sim_scale_check(n, si)) {
        sim_node_broken(n);
    }
    if (!sim_package_is_ready(n, version_package(in->version)->digest)) {
        sim_say(n->sim, "%s starts %s without its package", n->name, si->function);
        sim_node_broken(n);
    }
    sim_after(&n->sim->clock, 500 + sim_spread(&n->sim->clock, START_US),
              instance_started, NULL, si, &n->life);
}

static void instance_gone(void *data)
{
    struct sim_instance *si = data;
    struct sim_node *n = si->node;
    struct instance *in;

    LIST_FOREACH_SAFE(it, &n->calls)
    {
        struct sim_call *sc = container_of(it, struct sim_call, link);

        if (sc->on == si) {
            agent_core_call_done(n->core, &sc->call, CAUSE_CRASHED, 0);
            sim_call_over(sc, CAUSE_CRASHED);
        }
    }
    sim_usage_took(si, 1);
    list_remove(&si->link);
    list_push_back(&n->dead, &si->link); /* late events may still name it */
    in = si->in;
    si->in = NULL; /* freed next; the room that it leaves may be used at once */
    agent_core_instance_gone(n->core, in);
    sim_node_arm(n);
}

void sim_instance_stop(void *ctx, struct instance *in, enum stop_reason why)
{
    struct sim_node *n = ctx;
    struct sim_instance *si = in->edge;

    CHECK(!si->stopping);
    si->stopping = true;
    sim_after(&n->sim->clock, 100 + sim_spread(&n->sim->clock, 2000), instance_gone, NULL,
              si, &n->life);
}

static bool fault(const struct sim_node *n, unsigned per_thousand)
{
    return n->sim->options.faults && !n->sim->quiet &&
           sim_chance(&n->sim->clock, per_thousand);
}

int sim_instance_freeze(void *ctx, struct instance *in)
{
    struct sim_node *n = ctx;
    struct sim_instance *si = in->edge;

    if (si->stopping || si->frozen) {
        sim_say(n->sim, "%s freezes an instance that is %s", n->name,
                si->frozen ? "frozen" : "being stopped");
        sim_node_broken(n);
    }
    if (fault(n, 20)) {
        return -EBUSY;
    }
    si->frozen = true;
    n->sim->counts.freezes++;
    return 0;
}

int sim_instance_thaw(void *ctx, struct instance *in)
{
    struct sim_node *n = ctx;
    struct sim_instance *si = in->edge;

    if (!si->frozen) {
        sim_say(n->sim, "%s thaws an instance that is not frozen", n->name);
        sim_node_broken(n);
    }
    if (fault(n, 20)) {
        return -EIO;
    }
    si->frozen = false;
    si->thaw_us = sim_spread(&n->sim->clock, THAW_US);
    return 0;
}

/* --- packages
 * ------------------------------------------------------------------------------ */

struct fetch {
    struct sim_node *node;
    char digest[SPEC_DIGEST_LEN + 1];
};

static struct sim_package *package_of(struct sim_node *n, const char *digest)
{
    for (size_t i = 0; i < n->n_packages; i++) {
        if (strcmp(n->packages[i].digest, digest) == 0) {
            return &n->packages[i];
        }
    }
    return NULL;
}

bool sim_package_is_ready(struct sim_node *n, const char *digest)
{
    const struct sim_package *p = package_of(n, digest);

    return p != NULL && p->ready;
}

static void fetched(void *data)
{
    struct fetch *f = data;
    struct sim_package *p = package_of(f->node, f->digest);

    if (p != NULL && !p->ready) {
        p->ready = true;
        agent_core_package_ready(f->node->core, f->digest);
        sim_node_arm(f->node);
    }
    free(f);
}

static void packages_grow(struct sim_node *n)
{
    if (n->n_packages == n->packages_capacity) {
        n->packages_capacity = n->packages_capacity == 0 ? 64 : 2 * n->packages_capacity;
        n->packages =
            reallocarray(n->packages, n->packages_capacity, sizeof(*n->packages));
        CHECK(n->packages != NULL);
    }
}

void sim_package_want(void *ctx, const struct package_ref *ref)
{
    struct sim_node *n = ctx;
    struct fetch *f = calloc(1, sizeof(*f));

    CHECK(f != NULL);
    if (package_of(n, ref->digest) == NULL) {
        struct sim_package *p;

        packages_grow(n);
        p = &n->packages[n->n_packages++];
        p->ready = false;
        memcpy(p->digest, ref->digest, sizeof(p->digest));
    }
    f->node = n;
    memcpy(f->digest, ref->digest, sizeof(f->digest));
    sim_after(&n->sim->clock, 1000 + sim_spread(&n->sim->clock, 50000), fetched, free, f,
              &n->life);
}

void sim_package_drop(void *ctx, const char *digest)
{
    struct sim_node *n = ctx;
    struct sim_package *p = package_of(n, digest);

    if (p != NULL) {
        *p = n->packages[--n->n_packages];
    }
}
