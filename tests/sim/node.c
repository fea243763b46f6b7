/* A node's process: the agent's core, and what stands in for its edges. */
#include "tests/sim/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define REPORT_US  1000000
#define REDIAL_US  800000
#define NET_US     300
#define START_US   3000
#define SERVICE_US 20000

static void timer_arm(struct sim_node *n);

static uint64_t now_us(void *ctx)
{
    return ((struct sim_node *)ctx)->sim->clock.now_us;
}

static uint64_t chance(void *ctx)
{
    return sim_random(&((struct sim_node *)ctx)->sim->clock);
}

const char *sim_node_name(const struct sim_node *n)
{
    return n->name;
}

bool sim_node_is_joined(const struct sim_node *n)
{
    return n->joined;
}

bool sim_node_is_empty(const struct sim_node *n)
{
    return n->n_grants == 0 && list_empty(&n->instances);
}

/* --- instances
 * --------------------------------------------------------------------------- */

static struct node_grant *grant_of(struct sim_node *n, const char *function,
                                   uint64_t version)
{
    for (size_t i = 0; i < n->n_grants; i++) {
        if (strcmp(n->grants[i].function, function) == 0 &&
            n->grants[i].version == version) {
            return &n->grants[i];
        }
    }
    return NULL;
}

static unsigned live(const struct sim_node *n, const char *function, uint64_t version)
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

unsigned sim_node_instances(const struct sim_node *n, const char *function,
                            uint64_t version)
{
    return live(n, function, version);
}

static void instance_started(void *data)
{
    struct sim_instance *si = data;
    struct sim_node *n = si->node;

    if (si->stopping) {
        return;
    }
    if (si->bad) {
        agent_core_instance_failed(n->core, si->in, CAUSE_INIT_FAILED, "exit status 7");
    } else {
        agent_core_instance_ready(n->core, si->in);
    }
    timer_arm(n);
}

static void instance_start(void *ctx, struct instance *in)
{
    struct sim_node *n = ctx;
    struct sim_instance *si = calloc(1, sizeof(*si));
    const struct function *f = version_function(in->version);
    const struct function_spec *spec = version_spec(in->version);
    struct node_grant *grant = grant_of(n, function_name(f), version_number(in->version));

    CHECK(si != NULL);
    si->node = n;
    si->in = in;
    si->version = version_number(in->version);
    (void)snprintf(si->function, sizeof(si->function), "%s", function_name(f));
    si->bad = spec->handler != NULL && strcmp(spec->handler, "bad") == 0;
    list_push_back(&n->instances, &si->link);
    in->edge = si;
    if (grant == NULL || live(n, si->function, si->version) > grant->max) {
        sim_say(n->sim, "%s starts an instance of %s/%llu beyond its grant", n->name,
                si->function, (unsigned long long)si->version);
        n->broken = true;
    }
    if (!sim_package_is_ready(n, version_package(in->version)->digest)) {
        sim_say(n->sim, "%s starts %s without its package", n->name, si->function);
        n->broken = true;
    }
    sim_after(&n->sim->clock, 500 + sim_spread(&n->sim->clock, START_US),
              instance_started, NULL, si, &n->life);
}

static void call_over(struct sim_call *sc, enum cause cause);

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
            call_over(sc, CAUSE_CRASHED);
        }
    }
    list_remove(&si->link);
    list_push_back(&n->dead, &si->link); /* late events may still name it */
    in = si->in;
    si->in = NULL; /* freed next; the room that it leaves may be used at once */
    agent_core_instance_gone(n->core, in);
    timer_arm(n);
}

static void instance_stop(void *ctx, struct instance *in, enum stop_reason why)
{
    struct sim_node *n = ctx;
    struct sim_instance *si = in->edge;

    CHECK(!si->stopping);
    si->stopping = true;
    sim_after(&n->sim->clock, 100 + sim_spread(&n->sim->clock, 2000), instance_gone, NULL,
              si, &n->life);
}

/* --- calls
 * -------------------------------------------------------------------------------- */

static void forward_over(void *data)
{
    struct sim_call *origin = data;
    struct sim_node *n = origin->node;

    if (origin->over == 0) {
        agent_core_call_done(n->core, &origin->call, origin->forward_cause, 0);
        call_over(origin, origin->forward_cause);
        timer_arm(n);
    }
}

static void call_over(struct sim_call *sc, enum cause cause)
{
    struct sim_counts *counts = &sc->node->sim->counts;

    sc->over++;
    sc->on = NULL;
    list_remove(&sc->link);
    list_push_back(&sc->node->over, &sc->link);
    if (sc->over > 1) {
        sim_say(sc->node->sim, "a call to %s ended twice", sc->function);
        sc->node->broken = true;
    }
    sc->cause = cause;
    if (sc->origin != NULL) {
        sc->origin->forward_cause = cause;
        (void)snprintf(sc->origin->text, sizeof(sc->origin->text), "on %s: %.100s",
                       sc->node->name, sc->text);
        sim_after(&sc->node->sim->clock, NET_US, forward_over, NULL, sc->origin,
                  &sc->origin->node->life);
        return;
    }
    if (cause != CAUSE_NONE && sc->node->sim->strict) {
        sim_say(sc->node->sim, "%s: a call to %s: %s, %s", sc->node->name, sc->function,
                cause_name(cause), sc->text);
    }
    counts->ok += cause == CAUSE_NONE;
    counts->failed += cause != CAUSE_NONE;
}

static void service_over(void *data)
{
    struct sim_call *sc = data;
    struct sim_node *n = sc->node;

    if (sc->over == 0) {
        agent_core_call_done(n->core, &sc->call, CAUSE_NONE, 1000);
        call_over(sc, CAUSE_NONE);
        timer_arm(n);
    }
}

/* An instance dies under its calls. */
static void instance_crashes(void *data)
{
    struct sim_call *sc = data;
    struct sim_node *n = sc->node;
    struct sim_instance *si = sc->on;

    if (sc->over > 0 || si == NULL || si->stopping) {
        return;
    }
    agent_core_instance_failed(n->core, si->in, CAUSE_CRASHED, "killed by signal 11");
    timer_arm(n);
}

static void call_dispatch(void *ctx, struct call *c)
{
    struct sim_call *sc = container_of(c, struct sim_call, call);
    struct sim_node *n = ctx;
    struct sim_clock *clock = &n->sim->clock;
    struct sim_instance *si = c->instance->edge;

    CHECK(sc->over == 0 && sc->on == NULL);
    sc->on = si;
    if (si->stopping || c->instance->state == INSTANCE_STARTING) {
        sim_say(n->sim, "%s runs a call on an instance that is not up", n->name);
        n->broken = true;
    }
    n->sim->counts.cold += c->cold;
    if (n->sim->options.faults && !n->sim->quiet && sim_chance(clock, 3)) {
        sim_after(clock, sim_spread(clock, SERVICE_US), instance_crashes, NULL, sc,
                  &n->life);
    } else {
        uint64_t us = sim_chance(clock, 3) && !n->sim->quiet ? 60000000 : SERVICE_US;

        sim_after(clock, sim_spread(clock, us), service_over, NULL, sc, &n->life);
    }
}

struct hop {
    struct sim_call *origin;
    struct sim_node *to;
};

static void hop_arrives(void *data)
{
    struct hop *h = data;
    struct sim_call *origin = h->origin;
    struct sim_node *to = h->to;

    free(h);
    if (origin->over > 0) {
        return;
    }
    if (to->core == NULL) {
        origin->forward_cause = CAUSE_NODE_LOST;
        forward_over(origin);
        return;
    }
    sim_call_new(to, origin->function, origin->qualifier, origin);
}

static void call_forward(void *ctx, struct call *c, const char *node, const char *gateway)
{
    struct sim_call *sc = container_of(c, struct sim_call, call);
    struct sim_node *n = ctx;
    struct hop *h = calloc(1, sizeof(*h));

    CHECK(h != NULL && sc->origin == NULL && strcmp(node, n->name) != 0);
    h->origin = sc;
    for (unsigned i = 0; i < n->sim->options.nodes; i++) {
        if (strcmp(n->sim->nodes[i]->name, node) == 0) {
            h->to = n->sim->nodes[i];
        }
    }
    CHECK(h->to != NULL && strcmp(h->to->gateway, gateway) == 0);
    n->sim->counts.forwarded++;
    sim_after(&n->sim->clock, NET_US, hop_arrives, free, h, &n->life);
}

static void call_reject(void *ctx, struct call *c, enum cause cause, const char *text,
                        uint32_t retry_after_s)
{
    struct sim_call *sc = container_of(c, struct sim_call, call);

    CHECK(cause != CAUSE_NONE);
    sc->node->sim->counts.rejected += sc->origin == NULL;
    (void)snprintf(sc->text, sizeof(sc->text), "%s", text);
    call_over(sc, cause);
}

static void call_timeout(void *ctx, struct call *c)
{
    call_over(container_of(c, struct sim_call, call), CAUSE_TIMEOUT);
}

static void caller_leaves(void *data)
{
    struct sim_call *sc = data;
    struct sim_node *n = sc->node;

    if (sc->over == 0) {
        n->sim->counts.canceled++;
        agent_core_call_cancel(n->core, &sc->call, sim_chance(&n->sim->clock, 500));
        call_over(sc, CAUSE_BAD_REQUEST);
        timer_arm(n);
    }
}

struct sim_call *sim_call_new(struct sim_node *n, const char *function,
                              const char *qualifier, struct sim_call *origin)
{
    struct sim_call *sc = calloc(1, sizeof(*sc));
    struct sim_clock *clock = &n->sim->clock;

    CHECK(sc != NULL);
    sc->node = n;
    sc->origin = origin;
    (void)snprintf(sc->function, sizeof(sc->function), "%s", function);
    list_push_back(&n->calls, &sc->link);
    sc->qualifier = qualifier;
    agent_core_call_named(
        n->core, &sc->call, NULL, sc->function, qualifier,
        origin != NULL && origin->call.picked ? version_number(origin->call.version) : 0,
        origin != NULL);
    if (origin == NULL && n->sim->options.faults && !n->sim->quiet &&
        sim_chance(clock, 20)) {
        sim_after(clock, sim_spread(clock, SERVICE_US), caller_leaves, NULL, sc,
                  &n->life);
    }
    timer_arm(n);
    return sc;
}

void sim_node_call(struct sim_node *n, unsigned function)
{
    char name[16];

    if (n->core != NULL) {
        sim_function_name(function, name);
        n->sim->counts.calls++;
        (void)sim_call_new(
            n, name, !n->sim->quiet && sim_chance(&n->sim->clock, 150) ? "live" : "",
            NULL);
    }
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
        timer_arm(f->node);
    }
    free(f);
}

static void package_want(void *ctx, const struct package_ref *ref)
{
    struct sim_node *n = ctx;
    struct fetch *f = calloc(1, sizeof(*f));

    CHECK(f != NULL && n->n_packages < SIM_PACKAGES_MAX);
    if (package_of(n, ref->digest) == NULL) {
        struct sim_package *p = &n->packages[n->n_packages++];

        p->ready = false;
        memcpy(p->digest, ref->digest, sizeof(p->digest));
    }
    f->node = n;
    memcpy(f->digest, ref->digest, sizeof(f->digest));
    sim_after(&n->sim->clock, 1000 + sim_spread(&n->sim->clock, 50000), fetched, free, f,
              &n->life);
}

static void package_drop(void *ctx, const char *digest)
{
    struct sim_node *n = ctx;
    struct sim_package *p = package_of(n, digest);

    if (p != NULL) {
        *p = n->packages[--n->n_packages];
    }
}

/* --- to and from the controller: node_link.c
 * ------------------------------------------------ */

static void report_version(void *ctx, const struct version *v, bool ready,
                           enum cause cause, const char *text)
{
    struct sim_node *n = ctx;
    struct version_report r = {
        .namespace_ = SIM_NAMESPACE,
        .name = function_name(version_function(v)),
        .version = version_number(v),
        .ready = ready,
        .cause = cause,
        .text = text,
    };

    sim_node_send_version_report(n, &r);
}

static void report_due(void *data)
{
    struct sim_node *n = data;

    n->report_soon = false;
    sim_node_send_report(n, false);
}

static void report_soon(void *ctx)
{
    struct sim_node *n = ctx;

    if (!n->report_soon) {
        n->report_soon = true;
        sim_after(&n->sim->clock, 1000, report_due, NULL, n, &n->life);
    }
}

static void report_tick(void *data)
{
    struct sim_node *n = data;

    sim_node_send_report(n, false);
    sim_after(&n->sim->clock, REPORT_US, report_tick, NULL, n, &n->life);
}

/* --- life
 * ------------------------------------------------------------------------------------ */

static void tick(void *data)
{
    struct sim_node *n = data;

    n->timer_ms = 0;
    if (agent_core_deadline_ms(n->core) <= n->sim->clock.now_us / 1000) {
        agent_core_tick(n->core);
        if (agent_core_deadline_ms(n->core) <= n->sim->clock.now_us / 1000) {
            n->busy_ticks++;
        } else {
            n->busy_ticks = 0;
        }
        if (n->busy_ticks > 100) {
            sim_say(n->sim, "%s: its timer spins", n->name);
            n->broken = true;
        }
    }
    timer_arm(n);
}

static void timer_arm(struct sim_node *n)
{
    uint64_t due_ms, now_ms = n->sim->clock.now_us / 1000;

    (void)sim_node_check(n);
    if (n->core == NULL) {
        return;
    }
    due_ms = agent_core_deadline_ms(n->core);
    if (due_ms == UINT64_MAX || (n->timer_ms != 0 && n->timer_ms <= due_ms)) {
        return;
    }
    n->timer_ms = due_ms == 0 ? 1 : due_ms;
    sim_after(&n->sim->clock, (due_ms > now_ms ? due_ms - now_ms : 0) * 1000 + 50, tick,
              NULL, n, &n->life);
}

void sim_node_arm(struct sim_node *n)
{
    timer_arm(n);
}

static void redial(void *data)
{
    struct sim_node *n = data;

    sim_node_dial(n);
    sim_after(&n->sim->clock, REDIAL_US / 2 + sim_spread(&n->sim->clock, REDIAL_US),
              redial, NULL, n, &n->life);
}

static void boot(void *data)
{
    struct sim_node *n = data;
    struct agent_io io = {
        .ctx = n,
        .now_us = now_us,
        .random = chance,
        .instance_start = instance_start,
        .instance_stop = instance_stop,
        .call_dispatch = call_dispatch,
        .call_forward = call_forward,
        .call_reject = call_reject,
        .call_timeout = call_timeout,
        .package_want = package_want,
        .package_drop = package_drop,
        .report_version = report_version,
        .report_soon = report_soon,
    };
    struct agent_core_options options = {
        .node = n->name, .memory_bytes = n->memory_bytes, .instances_max = 1000};

    n->boots++;
    n->timer_ms = 0;
    n->report_soon = false;
    CHECK(agent_core_new(&n->core, &io, &options) == 0);
    sim_after(&n->sim->clock, REPORT_US, report_tick, NULL, n, &n->life);
    redial(n);
    timer_arm(n);
}

struct sim_node *sim_node_new(struct sim *s, unsigned index)
{
    struct sim_node *n = calloc(1, sizeof(*n));

    CHECK(n != NULL);
    n->sim = s;
    list_init(&n->instances);
    list_init(&n->dead);
    list_init(&n->calls);
    list_init(&n->over);
    (void)snprintf(n->name, sizeof(n->name), "node%u", index + 1);
    (void)snprintf(n->gateway, sizeof(n->gateway), "10.0.0.%u:8080", index + 1);
    n->memory_bytes = ((s->tight ? 512 : 1024) + 256 * sim_below(&s->clock, 7)) << 20;
    sim_after(&s->clock, sim_spread(&s->clock, 100000), boot, NULL, n, &n->life);
    return n;
}

static void forget_list(struct list *l)
{
    LIST_FOREACH_SAFE(it, l)
    {
        list_remove(it);
        free(container_of(it, struct sim_instance, link));
    }
}

static void die(struct sim_node *n)
{
    n->life++;
    n->core = agent_core_free(n->core);
    n->n_packages = 0;
    n->n_grants = 0;
    LIST_FOREACH_SAFE(it, &n->instances)
    {
        list_remove(it);
        list_push_back(&n->dead, it);
    }
    LIST_FOREACH_SAFE(it, &n->calls)
    {
        call_over(container_of(it, struct sim_call, link), CAUSE_NODE_LOST);
    }
}

void sim_node_crash(struct sim_node *n)
{
    if (n->core != NULL) {
        n->sim->counts.agent_crashes++;
        die(n);
        sim_node_lost(n);
        sim_after(&n->sim->clock, 100000 + sim_spread(&n->sim->clock, 8000000), boot,
                  NULL, n, NULL);
    }
}

struct sim_node *sim_node_free(struct sim_node *n)
{
    if (n->core != NULL) {
        die(n);
    }
    forget_list(&n->dead);
    LIST_FOREACH_SAFE(it, &n->over)
    {
        list_remove(it);
        free(container_of(it, struct sim_call, link));
    }
    free(n);
    return NULL;
}

/* --- what must hold
 * ------------------------------------------------------------------------- */

bool sim_node_check(const struct sim_node *n)
{
    uint64_t used = 0;

    LIST_FOREACH(it, &n->instances)
    {
        const struct sim_instance *si = container_of(it, struct sim_instance, link);

        used += (uint64_t)version_spec(si->in->version)->memory_mib << 20;
    }
    if (used > n->memory_bytes) {
        sim_say(n->sim, "%s: instances take %llu MiB of %llu", n->name,
                (unsigned long long)used >> 20,
                (unsigned long long)n->memory_bytes >> 20);
        ((struct sim_node *)(uintptr_t)n)->broken = true;
    }
    return !n->broken;
}

bool sim_node_check_rest(const struct sim_node *n)
{
    bool ok = !n->broken;

    LIST_FOREACH(it, &n->calls)
    {
        sim_say(n->sim, "%s: a call to %s has no outcome", n->name,
                container_of(it, struct sim_call, link)->function);
        ok = false;
    }
    for (size_t i = 0; i < n->n_grants; i++) {
        const struct node_grant *g = &n->grants[i];
        unsigned have = live(n, g->function, g->version);

        if (!g->bad && (have > g->max || have < g->warm)) {
            sim_say(n->sim, "%s: %u instances of %s/%llu, granted %u to %u", n->name,
                    have, g->function, (unsigned long long)g->version, g->warm, g->max);
            ok = false;
        }
    }
    LIST_FOREACH(it, &n->instances)
    {
        const struct sim_instance *si = container_of(it, struct sim_instance, link);

        if (grant_of((struct sim_node *)(uintptr_t)n, si->function, si->version) ==
            NULL) {
            sim_say(n->sim, "%s: an instance of %s/%llu is left without a grant", n->name,
                    si->function, (unsigned long long)si->version);
            ok = false;
        }
    }
    return ok;
}
