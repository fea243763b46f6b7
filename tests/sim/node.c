/* A node's process: the agent's core, and what stands in for its edges. */
#include "tests/sim/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "tests/sim/places.h"

#define REPORT_US     1000000
#define GRANTS_TTL_US 15000000
#define REDIAL_US     800000
#define NOTICE_MS     200
#define LEAVE_MS      5000
#define GRACE_MS      30000

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

/* --- to and from the controller: node_messages.c
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
    sim_node_send_report(n);
}

static void report_soon(void *ctx)
{
    struct sim_node *n = ctx;

    if (!n->report_soon) {
        n->report_soon = true;
        sim_after(&n->sim->clock, 1000, report_due, NULL, n, &n->life);
    }
}

void sim_node_broken(struct sim_node *n)
{
    n->broken = n->sim->broken = true;
}

/* No controller has spoken for the grants' time to live. */
static void lapse_tick(struct sim_node *n)
{
    if (!n->lapsed && n->sim->clock.now_us > n->heard_us + GRANTS_TTL_US) {
        n->lapsed = true;
        agent_core_lapse(n->core, true);
        timer_arm(n);
    }
}

static void report_tick(void *data)
{
    struct sim_node *n = data;

    lapse_tick(n);
    sim_node_send_report(n);
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
            sim_node_broken(n);
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
        .instance_start = sim_instance_start,
        .instance_stop = sim_instance_stop,
        .instance_freeze = sim_instance_freeze,
        .instance_thaw = sim_instance_thaw,
        .call_dispatch = sim_call_dispatch,
        .call_forward = sim_call_forward,
        .call_reject = sim_call_reject,
        .call_timeout = sim_call_timeout,
        .package_want = sim_package_want,
        .package_drop = sim_package_drop,
        .report_version = report_version,
        .report_soon = report_soon,
    };
    struct agent_core_options options = {.node = n->name,
                                         .memory_bytes = n->memory_bytes,
                                         .instances_max = 1000,
                                         .starts_max = n->index % 2 ? 3 : 0,
                                         .freeze_after_ms = 500};

    n->boots++;
    n->timer_ms = 0;
    n->report_soon = false;
    n->heard_us = n->sim->clock.now_us;
    n->lapsed = false;
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
    n->index = index;
    list_init(&n->instances);
    list_init(&n->dead);
    list_init(&n->calls);
    list_init(&n->over);
    (void)snprintf(n->name, sizeof(n->name), "node%u", index + 1);
    (void)snprintf(n->gateway, sizeof(n->gateway), "10.0.0.%u:8080", index + 1);
    n->grants = calloc(s->options.functions, sizeof(*n->grants));
    CHECK(n->grants != NULL);
    session_init(&n->ours, 0);
    session_init(&n->hubs, 0);
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
    n->sim->counts.prewarms += agent_core_counts(n->core).prewarms;
    n->core = agent_core_free(n->core);
    n->stopping = false;
    n->n_packages = 0;
    sim_grants_forget(n);
    sim_usage_node_died(n);
    sim_wire_disconnect(n);
    memset(n->shut, 0, sizeof(n->shut));
    LIST_FOREACH_SAFE(it, &n->instances)
    {
        list_remove(it);
        list_push_back(&n->dead, it);
    }
    LIST_FOREACH_SAFE(it, &n->calls)
    {
        sim_call_over(container_of(it, struct sim_call, link), CAUSE_NODE_LOST);
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

/* The phases of an agent that is told to end: its grants go, its calls end, it goes. */
static void stop_step(void *data)
{
    struct sim_node *n = data;
    struct sim_clock *clock = &n->sim->clock;
    uint64_t now_ms = clock->now_us / 1000;

    if (n->stop_left_ms > now_ms && (n->stop_left_ms - now_ms > LEAVE_MS - NOTICE_MS ||
                                     (n->joined && agent_core_is_granted(n->core)))) {
        sim_after(clock, 50000, stop_step, NULL, n, &n->life);
        return;
    }
    if (n->stop_left_ms != 0) {
        n->stop_left_ms = 0;
        n->stop_end_ms = now_ms + GRACE_MS;
        agent_core_drain(n->core);
        timer_arm(n);
    }
    if (!list_empty(&n->calls) && now_ms < n->stop_end_ms) {
        sim_after(clock, 50000, stop_step, NULL, n, &n->life);
        return;
    }
    if (!list_empty(&n->calls)) {
        sim_say(n->sim, "%s was told to stop, and calls have not ended", n->name);
        sim_node_broken(n);
    }
    die(n);
    sim_node_lost(n);
    sim_after(clock, 100000 + sim_spread(clock, 3000000), boot, NULL, n, NULL);
}

void sim_node_stop(struct sim_node *n)
{
    if (n->core != NULL && !n->stopping) {
        n->sim->counts.stops++;
        n->stopping = true;
        n->stop_left_ms = n->sim->clock.now_us / 1000 + LEAVE_MS;
        sim_node_send_leaving(n);
        stop_step(n);
    }
}

struct sim_node *sim_node_free(struct sim_node *n)
{
    if (n->core != NULL) {
        die(n);
    }
    sim_grants_forget(n);
    free(n->grants);
    free(n->packages);
    free(n->usages.items);
    free(n->usages.first);
    session_reset(&n->ours);
    session_reset(&n->hubs);
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
        sim_node_broken((struct sim_node *)(uintptr_t)n);
    }
    return !n->broken;
}

static bool check_grants(const struct sim_node *n, unsigned function)
{
    char name[16];
    bool ok = true;

    sim_function_name(function, name);
    for (size_t i = 0; i < n->grants[function].n; i++) {
        const struct node_grant *g = &n->grants[function].items[i];
        unsigned have = sim_node_instances(n, name, g->version);

        if (!g->bad && (have > g->max || have < g->warm)) {
            sim_say(n->sim, "%s: %u instances of %s/%llu, granted %u to %u", n->name,
                    have, name, (unsigned long long)g->version, g->warm, g->max);
            ok = false;
        }
    }
    return ok;
}

bool sim_node_check_rest(const struct sim_node *n)
{
    bool ok = !n->broken && sim_places_check_node_rest(n);

    LIST_FOREACH(it, &n->calls)
    {
        sim_say(n->sim, "%s: a call to %s has no outcome", n->name,
                container_of(it, struct sim_call, link)->function);
        ok = false;
    }
    for (unsigned f = 0; f < n->sim->options.functions; f++) {
        ok = check_grants(n, f) && ok;
    }
    LIST_FOREACH(it, &n->instances)
    {
        const struct sim_instance *si = container_of(it, struct sim_instance, link);

        if (sim_grant_of(n, si->function, si->version) == NULL) {
            sim_say(n->sim, "%s: an instance of %s/%llu is left without a grant", n->name,
                    si->function, (unsigned long long)si->version);
            ok = false;
        }
    }
    return ok;
}
