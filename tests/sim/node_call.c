/* A node's calls: what stands in for gateway, runtime and the network between agents. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "tests/sim/node.h"

#define NET_US     300
#define SERVICE_US 20000

/* --- calls
 * -------------------------------------------------------------------------------- */

static void forward_over(void *data)
{
    struct sim_call *origin = data;
    struct sim_node *n = origin->node;
    enum call_verdict verdict = origin->verdict;

    if (origin->over > 0 || origin->call.state != CALL_FORWARDED) {
        return;
    }
    origin->verdict = VERDICT_FINAL;
    origin->there = NULL;
    if (verdict != VERDICT_FINAL) {
        n->sim->counts.returned++;
        agent_core_call_returned(n->core, &origin->call, origin->hop_node, verdict,
                                 origin->forward_cause);
    } else {
        agent_core_hop_room(n->core, &origin->call, origin->hop_node, &origin->room);
        agent_core_call_done(n->core, &origin->call, origin->forward_cause, 0);
        sim_call_over(origin, origin->forward_cause);
    }
    sim_node_arm(n);
}

void sim_call_over(struct sim_call *sc, enum cause cause)
{
    struct sim_counts *counts = &sc->node->sim->counts;

    sc->over++;
    sc->on = NULL;
    sim_usage_ran(sc->node, sc);
    list_remove(&sc->link);
    list_push_back(&sc->node->over, &sc->link);
    if (sc->over > 1) {
        sim_say(sc->node->sim, "a call to %s ended twice", sc->function);
        sim_node_broken(sc->node);
    }
    sc->cause = cause;
    if (sc->origin != NULL && sc->origin->there != sc) {
        return; /* nobody waits for it */
    }
    if (sc->origin != NULL) {
        sc->origin->verdict = sc->verdict;
        sc->origin->room = sc->room;
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
    if (!sim_check_refusal(sc->node->sim, sim_function_number(sc->function), cause,
                           sc->node->sim->clock.now_us - sc->call.arrived_us)) {
        sim_say(sc->node->sim, "%s: a call to %s: %s, %s", sc->node->name, sc->function,
                cause_name(cause), sc->text);
        sim_node_broken(sc->node);
    }
    counts->ok += cause == CAUSE_NONE;
    if (cause == CAUSE_NONE) {
        sc->node->sim->functions[strtoul(sc->function + 1, NULL, 10)].ok++;
    }
    counts->failed += cause != CAUSE_NONE;
}

static void service_over(void *data)
{
    struct sim_call *sc = data;
    struct sim_node *n = sc->node;

    if (sc->over == 0) {
        sc->room = agent_core_room(n->core, sc->call.version);
        agent_core_call_done(n->core, &sc->call, CAUSE_NONE, 0);
        sim_call_over(sc, CAUSE_NONE);
        sim_node_arm(n);
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
    sim_node_arm(n);
}

void sim_call_dispatch(void *ctx, struct call *c)
{
    struct sim_call *sc = container_of(c, struct sim_call, call);
    struct sim_node *n = ctx;
    struct sim_clock *clock = &n->sim->clock;
    struct sim_instance *si = c->instance->edge;

    CHECK(sc->over == 0 && sc->on == NULL);
    sc->on = si;
    sc->version = version_number(c->version);
    sc->memory_mib = version_spec(c->version)->memory_mib;
    sc->since_us = clock->now_us;
    if (si->stopping || si->frozen || c->instance->state != INSTANCE_BUSY) {
        sim_say(n->sim, "%s runs a call on an instance that is not up", n->name);
        sim_node_broken(n);
    }
    n->sim->counts.cold += c->cold;
    if (n->sim->options.faults && !n->sim->quiet && sim_chance(clock, 3)) {
        sim_after(clock, sim_spread(clock, SERVICE_US), instance_crashes, NULL, sc,
                  &n->life);
    } else {
        uint64_t us = sim_chance(clock, 3) && !n->sim->quiet ? 60000000 : SERVICE_US;

        sim_after(clock, si->thaw_us + sim_spread(clock, us), service_over, NULL, sc,
                  &n->life);
    }
    si->thaw_us = 0;
}

struct hop {
    struct sim_call *origin;
    struct sim_node *to;
    struct call_hop says;
};

unsigned sim_node_index(const struct sim *s, const char *name)
{
    unsigned i = 0;

    while (i < s->options.nodes && strcmp(s->nodes[i]->name, name) != 0) {
        i++;
    }
    CHECK(i < s->options.nodes);
    return i;
}

static void hop_arrives(void *data)
{
    struct hop *h = data;
    struct sim_call *origin = h->origin;
    struct sim_node *to = h->to;
    struct call_hop says = h->says;

    free(h);
    if (origin->over > 0 || origin->call.state != CALL_FORWARDED) {
        return;
    }
    if (to->core == NULL) {
        origin->forward_cause = CAUSE_NODE_LOST;
        origin->verdict = VERDICT_CANNOT;
        forward_over(origin);
        return;
    }
    sim_call_new(to, origin->function, origin->qualifier, origin, &says);
}

void sim_call_forward(void *ctx, struct call *c, const char *node, const char *gateway)
{
    struct sim_call *sc = container_of(c, struct sim_call, call);
    struct sim_node *n = ctx;
    struct hop *h = calloc(1, sizeof(*h));

    CHECK(h != NULL && sc->origin == NULL && strcmp(node, n->name) != 0);
    h->origin = sc;
    h->says = (struct call_hop){.may_wait = c->may_wait,
                                .only_idle = c->only_idle,
                                .queue_left_ms = agent_core_queue_left_ms(n->core, c),
                                .qualifier = sc->qualifier,
                                .picked = c->picked ? version_number(c->version) : 0};
    h->to = n->sim->nodes[sim_node_index(n->sim, node)];
    CHECK(strcmp(h->to->gateway, gateway) == 0);
    (void)snprintf(sc->hop_node, sizeof(sc->hop_node), "%s", node);
    if (n->shut[sim_node_index(n->sim, node)]) {
        sim_say(n->sim, "%s forwards a call to %s, which takes none, as it was told",
                n->name, node);
        sim_node_broken(n);
    }
    n->sim->counts.forwarded++;
    sim_after(&n->sim->clock, NET_US, hop_arrives, free, h, &n->life);
}

void sim_call_reject(void *ctx, struct call *c, enum cause cause, const char *text,
                     uint32_t retry_after_s)
{
    struct sim_call *sc = container_of(c, struct sim_call, call);

    CHECK(cause != CAUSE_NONE);
    CHECK(sc->origin != NULL || c->verdict == VERDICT_FINAL);
    sc->node->sim->counts.rejected += sc->origin == NULL;
    sc->verdict = c->verdict;
    sc->room = agent_core_room(sc->node->core, c->version);
    (void)snprintf(sc->text, sizeof(sc->text), "%s", text);
    sim_call_over(sc, cause);
}

void sim_call_timeout(void *ctx, struct call *c)
{
    sim_call_over(container_of(c, struct sim_call, call), CAUSE_TIMEOUT);
}

static void caller_leaves(void *data)
{
    struct sim_call *sc = data;
    struct sim_node *n = sc->node;

    if (sc->over == 0) {
        n->sim->counts.canceled++;
        agent_core_call_cancel(n->core, &sc->call, sim_chance(&n->sim->clock, 500));
        sim_call_over(sc, CAUSE_BAD_REQUEST);
        sim_node_arm(n);
    }
}

struct sim_call *sim_call_new(struct sim_node *n, const char *function,
                              const char *qualifier, struct sim_call *origin,
                              const struct call_hop *hop)
{
    struct sim_call *sc = calloc(1, sizeof(*sc));
    struct sim_clock *clock = &n->sim->clock;

    CHECK(sc != NULL);
    sc->node = n;
    sc->origin = origin;
    (void)snprintf(sc->function, sizeof(sc->function), "%s", function);
    list_push_back(&n->calls, &sc->link);
    sc->qualifier = qualifier;
    if (origin != NULL) {
        origin->there = sc;
        agent_core_call_hop(n->core, &sc->call, NULL, sc->function, hop);
    } else {
        agent_core_call_named(n->core, &sc->call, NULL, sc->function, qualifier, 0,
                              false);
    }
    if (origin == NULL && n->sim->options.faults && !n->sim->quiet &&
        sim_chance(clock, 20)) {
        sim_after(clock, sim_spread(clock, SERVICE_US), caller_leaves, NULL, sc,
                  &n->life);
    }
    sim_node_arm(n);
    return sc;
}

void sim_node_call(struct sim_node *n, unsigned function)
{
    char name[16];

    if (n->core != NULL && (!n->stopping || n->stop_left_ms > 0)) {
        sim_function_name(function, name);
        n->sim->counts.calls++;
        (void)sim_call_new(
            n, name, !n->sim->quiet && sim_chance(&n->sim->clock, 150) ? "live" : "",
            NULL, NULL);
    }
}
