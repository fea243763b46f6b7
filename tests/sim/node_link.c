/* A node's session with the controller: hub, link and wire in one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "tests/sim/node.h"
#include "tests/sim/places.h"

#define NET_US    300
#define RESUME_US 10000000 /* a session outlives a cut of this length */

/* When a message sent now arrives: in order, after a cut is over. */
static uint64_t arrival_us(struct sim_node *n, uint64_t *last_us)
{
    uint64_t now_us = n->sim->clock.now_us;
    uint64_t at_us = now_us > n->cut_until_us ? now_us : n->cut_until_us;

    at_us += NET_US / 2 + sim_spread(&n->sim->clock, NET_US);
    *last_us = at_us > *last_us ? at_us : *last_us;
    return *last_us - now_us;
}

/* --- down
 * ------------------------------------------------------------------------------------ */

enum message_type { SNAPSHOT_BEGIN, SNAPSHOT_END, FUNCTION, NODE };

struct message {
    struct sim_node *node;
    enum message_type type;
    uint64_t agent_life;
    struct function_state function;
    struct node_state peer;
    char names[3][64];
};

static const struct alias_state *aliases_copy(const struct function_state *f, size_t n)
{
    struct alias_state *copy = calloc(n + 1, sizeof(*copy));

    CHECK(copy != NULL);
    for (size_t i = 0; i < n; i++) {
        const struct alias_state *from = &f->aliases[i];
        struct alias_weight *weights = calloc(from->n_weights, sizeof(*weights));

        CHECK(weights != NULL);
        memcpy(weights, from->weights, from->n_weights * sizeof(*weights));
        copy[i] = (struct alias_state){
            .name = strdup(from->name), .weights = weights, .n_weights = from->n_weights};
        CHECK(copy[i].name != NULL);
    }
    return copy;
}

static void aliases_free(const struct function_state *f)
{
    for (size_t i = 0; i < f->n_aliases; i++) {
        free((char *)(uintptr_t)f->aliases[i].name);
        free((struct alias_weight *)(uintptr_t)f->aliases[i].weights);
    }
    free((struct alias_state *)(uintptr_t)f->aliases);
}

static void message_free(void *data)
{
    struct message *m = data;
    struct version_state *versions =
        (struct version_state *)(uintptr_t)m->function.versions;

    for (size_t i = 0; i < m->function.n_versions; i++) {
        function_spec_free(&versions[i].spec);
        free((struct grant *)(uintptr_t)versions[i].grants);
    }
    free(versions);
    aliases_free(&m->function);
    free(m);
}

static void grants_learn(struct sim_node *n, const struct function_state *f)
{
    for (size_t i = 0; i < n->n_grants;) {
        if (strcmp(n->grants[i].function, f->name) == 0) {
            n->grants[i] = n->grants[--n->n_grants];
        } else {
            i++;
        }
    }
    for (size_t i = 0; !f->deleted && i < f->n_versions; i++) {
        const struct version_state *v = &f->versions[i];

        for (size_t k = 0; k < v->n_grants; k++) {
            if (strcmp(v->grants[k].node, n->name) == 0 && v->grants[k].max > 0) {
                struct node_grant *g = &n->grants[n->n_grants++];

                CHECK(n->n_grants <= SIM_GRANTS_MAX);
                *g = (struct node_grant){
                    .version = v->number,
                    .max = v->grants[k].max,
                    .warm = v->grants[k].warm,
                    .reserved_bytes = (uint64_t)v->grants[k].reserved * v->spec.memory_mib
                                      << 20,
                    .named = true};
                g->bad = v->spec.handler != NULL && strcmp(v->spec.handler, "bad") == 0;
                (void)snprintf(g->function, sizeof(g->function), "%s", f->name);
            }
        }
    }
}

static void snapshot_ends(struct sim_node *n)
{
    n->in_snapshot = false;
    for (size_t i = 0; i < n->n_grants;) {
        if (!n->grants[i].named) {
            n->grants[i] = n->grants[--n->n_grants];
        } else {
            i++;
        }
    }
    agent_core_snapshot_end(n->core);
}

static void take(struct sim_node *n, const struct message *m)
{
    switch (m->type) {
    case SNAPSHOT_BEGIN:
        n->in_snapshot = true;
        for (size_t i = 0; i < n->n_grants; i++) {
            n->grants[i].named = false;
        }
        agent_core_snapshot_begin(n->core);
        break;
    case SNAPSHOT_END:
        snapshot_ends(n);
        break;
    case FUNCTION:
        grants_learn(n, &m->function);
        if (m->function.deleted) {
            agent_core_function_deleted(n->core, m->function.namespace_, m->function.name,
                                        m->function.revision);
        } else {
            CHECK(agent_core_function(n->core, &m->function) == 0);
        }
        break;
    case NODE:
        n->shut[sim_node_index(n->sim, m->peer.node)] =
            m->peer.deleted || !m->peer.usable;
        if (m->peer.deleted) {
            agent_core_peer_deleted(n->core, m->peer.node);
        } else {
            CHECK(agent_core_peer(n->core, m->peer.node, m->peer.gateway,
                                  m->peer.usable) == 0);
        }
        break;
    }
}

static void arrives_down(void *data)
{
    struct message *m = data;
    struct sim_node *n = m->node;

    if (n->core != NULL && n->life == m->agent_life) {
        take(n, m);
        sim_node_arm(n);
    }
    message_free(m);
}

static void send_down(struct message *m)
{
    struct sim_node *n = m->node;

    m->agent_life = n->life;
    sim_after(&n->sim->clock, arrival_us(n, &n->down_us), arrives_down, message_free, m,
              &n->session);
}

static struct message *message_new(struct sim_node *n, enum message_type type)
{
    struct message *m = calloc(1, sizeof(*m));

    CHECK(m != NULL);
    m->node = n;
    m->type = type;
    return m;
}

void sim_node_send_function(struct sim_node *n, const struct function_state *f)
{
    struct version_state *versions;
    struct message *m;

    if (!n->joined) {
        return;
    }
    m = message_new(n, FUNCTION);
    m->function = *f;
    m->function.namespace_ = strcpy(m->names[0], f->namespace_);
    m->function.name = strcpy(m->names[1], f->name);
    m->function.n_versions = f->deleted ? 0 : f->n_versions;
    m->function.n_aliases = f->deleted ? 0 : f->n_aliases;
    versions = calloc(m->function.n_versions + 1, sizeof(*versions));
    CHECK(versions != NULL);
    m->function.versions = versions;
    m->function.aliases = aliases_copy(f, m->function.n_aliases);
    for (size_t i = 0; i < m->function.n_versions; i++) {
        struct grant *grants = calloc(f->versions[i].n_grants + 1, sizeof(*grants));

        CHECK(grants != NULL);
        versions[i] = f->versions[i];
        function_spec_init(&versions[i].spec);
        CHECK(function_spec_copy(&versions[i].spec, &f->versions[i].spec) == 0);
        if (f->versions[i].n_grants > 0) {
            memcpy(grants, f->versions[i].grants,
                   f->versions[i].n_grants * sizeof(*grants));
        }
        versions[i].grants = grants;
    }
    send_down(m);
}

void sim_node_send_node(struct sim_node *n, const struct node_state *st)
{
    struct message *m;

    if (!n->joined) {
        return;
    }
    m = message_new(n, NODE);
    m->peer = *st;
    m->peer.node = strcpy(m->names[0], st->node);
    m->peer.gateway = strcpy(m->names[1], st->gateway != NULL ? st->gateway : "");
    send_down(m);
}

static void snapshot(void *data)
{
    struct sim_node *n = data;

    n->snapshot_asked = false;
    send_down(message_new(n, SNAPSHOT_BEGIN));
    controller_core_snapshot(n->sim->controller, n->name);
    send_down(message_new(n, SNAPSHOT_END));
    sim_controller_arm(n->sim);
}

void sim_node_resync(struct sim_node *n)
{
    if (n->joined && !n->snapshot_asked) {
        n->snapshot_asked = true;
        sim_after(&n->sim->clock, 1, snapshot, NULL, n, &n->session);
    }
}

/* --- up
 * ---------------------------------------------------------------------------------------
 */

struct letter {
    struct sim_node *node;
    bool is_version;
    bool is_leaving;
    struct node_report report;
    struct version_report version;
    char names[64][16];
    char text[128];
};

static void letter_free(void *data)
{
    struct letter *l = data;

    free((struct version_load *)(uintptr_t)l->report.loads);
    free(l);
}

static void arrives_up(void *data)
{
    struct letter *l = data;
    struct sim *s = l->node->sim;

    if (l->is_leaving) {
        controller_core_node_leaving(s->controller, l->node->name);
    } else if (l->is_version) {
        controller_core_version_report(s->controller, l->node->name, &l->version);
    } else {
        controller_core_node_report(s->controller, l->node->name, &l->report);
    }
    sim_controller_arm(s);
    letter_free(l);
}

static void send_up(struct letter *l)
{
    struct sim_node *n = l->node;

    sim_after(&n->sim->clock, arrival_us(n, &n->up_us), arrives_up, letter_free, l,
              &n->session);
}

static void add_load(void *data, const struct version_load *load)
{
    struct letter *l = data;
    struct version_load *loads = (struct version_load *)(uintptr_t)l->report.loads;

    CHECK(l->report.n_loads < 64);
    loads[l->report.n_loads] = *load;
    loads[l->report.n_loads].namespace_ = SIM_NAMESPACE;
    loads[l->report.n_loads].name = strcpy(l->names[l->report.n_loads], load->name);
    l->report.n_loads++;
}

void sim_node_send_report(struct sim_node *n, bool full)
{
    struct letter *l;

    if (!n->joined || n->joined_boot != n->boots) {
        return;
    }
    l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    l->node = n;
    l->report.loads = calloc(64, sizeof(struct version_load));
    CHECK(l->report.loads != NULL);
    l->report.full = true;
    l->report.memory_reserved_bytes = agent_core_memory_reserved(n->core);
    agent_core_loads(n->core, add_load, l);
    (void)full;
    send_up(l);
}

void sim_node_send_version_report(struct sim_node *n, const struct version_report *r)
{
    struct letter *l;

    if (!n->joined || n->joined_boot != n->boots) {
        return;
    }
    l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    l->node = n;
    l->is_version = true;
    l->version = *r;
    l->version.namespace_ = SIM_NAMESPACE;
    l->version.name = strcpy(l->names[0], r->name);
    (void)snprintf(l->text, sizeof(l->text), "%s", r->text != NULL ? r->text : "");
    l->version.text = l->text;
    send_up(l);
}

void sim_node_send_leaving(struct sim_node *n)
{
    struct letter *l;

    if (!n->joined || n->joined_boot != n->boots) {
        return;
    }
    l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    l->node = n;
    l->is_leaving = true;
    send_up(l);
}

/* --- the session
 * ------------------------------------------------------------------------------ */

static void session_ends(struct sim_node *n)
{
    n->session++;
    n->joined = false;
    n->snapshot_asked = false;
    n->in_snapshot = false;
}

void sim_node_controller_died(struct sim_node *n)
{
    session_ends(n);
}

static void leave(struct sim_node *n, const char *reason)
{
    session_ends(n);
    if (n->sim->controller != NULL) {
        controller_core_node_left(n->sim->controller, n->name, reason);
        sim_controller_arm(n->sim);
    }
}

/* A connection that is not refreshed for as long as a session may resume. */
static void expires(void *data)
{
    struct sim_node *n = data;
    uint64_t now_us = n->sim->clock.now_us;

    if (n->joined &&
        (n->cut_until_us > now_us || (n->joined_boot != n->boots) || n->core == NULL)) {
        leave(n, "no heartbeat");
    }
}

void sim_node_dial(struct sim_node *n)
{
    struct sim *s = n->sim;
    struct node_hello h = {.node = n->name,
                           .version = "0.1.0",
                           .gateway = n->gateway,
                           .memory_bytes = n->memory_bytes,
                           .cpu_millis = 4000,
                           .labels = sim_places_labels(n->index)};
    char boot[16];

    if (n->cut_until_us > s->clock.now_us || s->controller == NULL ||
        !controller_core_is_ready(s->controller) ||
        (n->joined && n->joined_boot == n->boots)) {
        return;
    }
    if (n->joined) {
        leave(n, "it started anew");
    }
    (void)snprintf(boot, sizeof(boot), "%u", n->boots);
    h.boot = boot;
    n->session++;
    n->joined = true;
    n->joined_boot = n->boots;
    n->down_us = n->up_us = 0;
    controller_core_node_joined(s->controller, &h);
    if (n->stopping) {
        sim_node_send_leaving(n);
    }
    sim_node_send_report(n, true);
    sim_controller_arm(s);
}

/* The node's process has died: the controller notices when its session cannot resume. */
void sim_node_lost(struct sim_node *n)
{
    sim_after(&n->sim->clock, RESUME_US, expires, NULL, n, &n->session);
}

void sim_node_cut(struct sim_node *n)
{
    uint64_t for_us = 100000 + sim_spread(&n->sim->clock, 8000000);

    n->sim->counts.cuts++;
    n->cut_until_us = n->sim->clock.now_us + for_us;
    sim_after(&n->sim->clock, RESUME_US, expires, NULL, n, &n->session);
}
