/* A node joins, comes back and leaves: what hub and link do about sessions. */
#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "tests/sim/node.h"
#include "tests/sim/places.h"

#define RESUME_US 10000000 /* a session outlives its connection for so long */

bool sim_node_speaks(const struct sim_node *n)
{
    return n->core != NULL && n->joined && n->joined_boot == n->boots;
}

static void session_ends(struct sim_node *n)
{
    sim_wire_disconnect(n);
    n->session++;
    n->joined = false;
    n->wants_snapshot = false;
    n->informed = n->reported = false;
    memset(n->open, 0, sizeof(n->open));
    session_reset(&n->ours);
    session_reset(&n->hubs);
}

void sim_node_controller_died(struct sim_node *n)
{
    session_ends(n);
}

bool sim_node_is_announced(const struct sim_node *n, bool open)
{
    for (unsigned i = 0; i < n->sim->options.nodes; i++) {
        const struct sim_node *to = n->sim->nodes[i];

        if (to != n && to->joined && to->open[n->index] != open) {
            sim_say(n->sim, "%s was not told that %s takes %s new calls", to->name,
                    n->name, open ? "" : "no");
            return false;
        }
    }
    return true;
}

static void leave(struct sim_node *n, const char *reason)
{
    session_ends(n);
    sim_scale_apart(n);
    if (n->sim->controller != NULL) {
        controller_core_node_left(n->sim->controller, n->name, reason);
        if (!sim_node_is_announced(n, false)) {
            sim_node_broken(n);
        }
        sim_controller_arm(n->sim);
    }
}

/* No connection for as long as a session may wait for one. */
static void expires(void *data)
{
    struct sim_node *n = data;

    if (n->joined && (n->cut_until_us > n->sim->clock.now_us || !n->connected)) {
        leave(n, "no heartbeat");
    }
}

void sim_node_lost(struct sim_node *n)
{
    sim_wire_disconnect(n);
    sim_after(&n->sim->clock, RESUME_US, expires, NULL, n, &n->connection);
}

void sim_node_heard(struct sim_node *n)
{
    n->heard_us = n->sim->clock.now_us;
    if (n->lapsed && n->informed) {
        n->lapsed = false;
        agent_core_lapse(n->core, false);
    }
}

static void resume(struct sim_node *n)
{
    CHECK(session_resume(&n->hubs, n->ours.received) == 0);
    CHECK(session_resume(&n->ours, n->hubs.received) == 0);
    sim_node_heard(n);
    sim_wire_connect(n);
}

static void join(struct sim_node *n)
{
    struct node_hello h = {.node = n->name,
                           .version = "0.1.0",
                           .gateway = n->gateway,
                           .memory_bytes = n->memory_bytes,
                           .cpu_millis = 4000,
                           .confirms = true,
                           .labels = sim_places_labels(n->index)};
    char boot[16];

    (void)snprintf(boot, sizeof(boot), "%u", n->boots);
    h.boot = boot;
    n->session++;
    n->joined = true;
    n->joined_boot = n->boots;
    n->whole = true;
    sim_wire_connect(n);
    n->heard_us = n->sim->clock.now_us;
    if (sim_scale_is_placing(n->sim)) {
        sim_scale_apart(n); /* the controller did without it until now */
    }
    controller_core_node_joined(n->sim->controller, &h);
    if (n->stopping) {
        sim_node_send_leaving(n);
    }
    sim_node_send_report(n);
    sim_controller_arm(n->sim);
}

void sim_node_dial(struct sim_node *n)
{
    struct sim *s = n->sim;
    bool same = n->joined && n->joined_boot == n->boots;

    if (n->cut_until_us > s->clock.now_us || s->controller == NULL ||
        !controller_core_is_ready(s->controller) || (same && n->connected)) {
        return;
    }
    if (same) {
        resume(n);
        return;
    }
    if (n->joined) {
        leave(n, "it started anew");
    }
    join(n);
}

void sim_node_cut(struct sim_node *n)
{
    uint64_t for_us = 100000 + sim_spread(&n->sim->clock, 8000000);

    n->sim->counts.cuts++;
    n->cut_until_us = n->sim->clock.now_us + for_us;
    if (sim_chance(&n->sim->clock, 500)) {
        sim_node_lost(n); /* what is under way is lost, and sent again */
    } else {
        sim_after(&n->sim->clock, RESUME_US, expires, NULL, n, &n->connection);
    }
}

void sim_node_reset(struct sim_node *n)
{
    if (n->connected) {
        n->sim->counts.resets++;
        sim_node_lost(n);
    }
}
