/* What a node and the controller tell each other, packed as it is on the wire. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "proto/convert.h"
#include "proto/key.h"
#include "tests/sim/node.h"

#define LATE_US 1500000

static void send_message(struct sim_node *n, bool down, const Mayfly__V1__Envelope *m)
{
    char key[WIRE_KEY_MAX];

    wire_key(m, key);
    sim_wire_send(n, down, key, wire_body(m));
}

static Mayfly__V1__Envelope *unpack(const struct session_body *body)
{
    Mayfly__V1__Envelope *m = mayfly__v1__envelope__unpack(NULL, body->len, body->data);

    CHECK(m != NULL);
    return m;
}

/* --- down ------------------------------------------------------------------------- */

void sim_node_send_function(struct sim_node *n, const struct function_state *f)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__FunctionState wire;

    if (!n->joined) {
        return;
    }
    CHECK(convert_function_to_wire(&wire, f) == 0);
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_FUNCTION;
    m.function = &wire;
    send_message(n, true, &m);
    convert_function_free(&wire);
}

void sim_node_send_node(struct sim_node *n, const struct node_state *st)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__NodeState wire;

    if (!n->joined) {
        return;
    }
    n->open[sim_node_index(n->sim, st->node)] = !st->deleted && st->usable;
    convert_node_to_wire(&wire, st);
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_NODE;
    m.node = &wire;
    send_message(n, true, &m);
}

void sim_message_snapshot(struct sim_node *n)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__SnapshotBegin begin = MAYFLY__V1__SNAPSHOT_BEGIN__INIT;
    Mayfly__V1__SnapshotEnd end = MAYFLY__V1__SNAPSHOT_END__INIT;

    m.body_case = MAYFLY__V1__ENVELOPE__BODY_SNAPSHOT_BEGIN;
    m.snapshot_begin = &begin;
    send_message(n, true, &m);
    controller_core_snapshot(n->sim->controller, n->name);
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_SNAPSHOT_END;
    m.snapshot_end = &end;
    send_message(n, true, &m);
    sim_controller_arm(n->sim);
}

static void take_function(struct sim_node *n, const Mayfly__V1__FunctionState *wire)
{
    struct function_state f;
    struct error err = {0};

    if (convert_function_from_wire(&f, wire, &err) < 0) {
        sim_say(n->sim, "%s: %s cannot be read: %s", n->name, wire->name, err.text);
        sim_node_broken(n);
        return;
    }
    sim_grants_learn(n, &f);
    if (f.deleted) {
        agent_core_function_deleted(n->core, f.namespace_, f.name, f.revision);
    } else {
        CHECK(agent_core_function(n->core, &f) == 0);
    }
    convert_function_release(&f);
}

static void take_node(struct sim_node *n, const Mayfly__V1__NodeState *wire)
{
    struct node_state st;
    struct error err = {0};
    unsigned index;

    CHECK(convert_node_from_wire(&st, wire, &err) == 0);
    index = sim_node_index(n->sim, st.node);
    if (index == n->index) {
        return;
    }
    n->shut[index] = st.deleted || !st.usable;
    if (st.deleted) {
        agent_core_peer_deleted(n->core, st.node);
    } else {
        CHECK(agent_core_peer(n->core, st.node, st.gateway, st.usable) == 0);
    }
}

/* The node is where the controller wants it to be. */
static void informed(struct sim_node *n)
{
    sim_grants_snapshot_ends(n);
    agent_core_snapshot_end(n->core);
    n->informed = true;
    n->lapsed = false;
    agent_core_lapse(n->core, false);
    LIST_FOREACH(it, &n->instances)
    {
        if (!sim_scale_check(n, container_of(it, struct sim_instance, link))) {
            sim_node_broken(n);
        }
    }
}

struct late {
    struct sim_node *node;
    struct session_body *body;
};

static void late_free(void *data)
{
    struct late *l = data;

    session_body_unref(l->body);
    free(l);
}

/* A function's state comes once more, when newer ones have come meanwhile. */
static void comes_late(void *data)
{
    struct late *l = data;
    Mayfly__V1__Envelope *m = unpack(l->body);

    take_function(l->node, m->function);
    sim_node_arm(l->node);
    mayfly__v1__envelope__free_unpacked(m, NULL);
    late_free(l);
}

static void repeat_late(struct sim_node *n, struct session_body *body)
{
    struct sim_clock *c = &n->sim->clock;
    struct late *l;

    if (n->sim->options.faults && !n->sim->quiet && sim_chance(c, 20)) {
        l = calloc(1, sizeof(*l));
        CHECK(l != NULL);
        *l = (struct late){n, session_body_ref(body)};
        sim_after(c, sim_spread(c, LATE_US), comes_late, late_free, l, &n->connection);
    }
}

void sim_message_down(struct sim_node *n, const struct session_body *body)
{
    Mayfly__V1__Envelope *m = unpack(body);

    switch (m->body_case) {
    case MAYFLY__V1__ENVELOPE__BODY_SNAPSHOT_BEGIN:
        sim_grants_snapshot_begins(n);
        agent_core_snapshot_begin(n->core);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_SNAPSHOT_END:
        informed(n);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_FUNCTION:
        take_function(n, m->function);
        repeat_late(n, (struct session_body *)(uintptr_t)body);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_NODE:
        take_node(n, m->node);
        break;
    default:
        CHECK(false && "a message of an unknown kind");
    }
    sim_node_arm(n);
    mayfly__v1__envelope__free_unpacked(m, NULL);
}

/* --- up --------------------------------------------------------------------------- */

static void take_report(struct sim_node *n, const Mayfly__V1__NodeReport *wire)
{
    struct sim *s = n->sim;
    struct node_report r;
    struct error err;
    bool twice = s->options.faults && !s->quiet && sim_chance(&s->clock, 20);

    CHECK(convert_report_from_wire(&r, wire, &err) == 0);
    for (int i = 0; i < 1 + twice; i++) {
        controller_core_node_report(s->controller, n->name, &r);
    }
    n->reported = true;
    sim_usage_counted(n, &r);
    convert_report_release(&r);
}

void sim_message_up(struct sim_node *n, const struct session_body *body)
{
    Mayfly__V1__Envelope *m = unpack(body);
    struct version_report r;
    struct error err;

    switch (m->body_case) {
    case MAYFLY__V1__ENVELOPE__BODY_REPORT:
        take_report(n, m->report);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_VERSION_REPORT:
        CHECK(convert_version_report_from_wire(&r, m->version_report, &err) == 0);
        controller_core_version_report(n->sim->controller, n->name, &r);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_LEAVING:
        controller_core_node_leaving(n->sim->controller, n->name);
        break;
    default:
        CHECK(false && "a message of an unknown kind");
    }
    sim_controller_arm(n->sim);
    mayfly__v1__envelope__free_unpacked(m, NULL);
}

struct loads {
    struct sim_node *node;
    struct version_load *items;
    size_t n, capacity;
};

static void add_load(void *data, const struct version_load *load)
{
    struct loads *l = data;

    if (l->n == l->capacity) {
        l->capacity = l->capacity == 0 ? 16 : 2 * l->capacity;
        l->items = reallocarray(l->items, l->capacity, sizeof(*l->items));
        CHECK(l->items != NULL);
    }
    l->items[l->n++] = *load;
    sim_usage_says(l->node, load);
}

void sim_node_send_report(struct sim_node *n)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__NodeReport wire;
    struct node_report r = {0};
    struct loads l = {.node = n};

    if (!sim_node_speaks(n)) {
        return;
    }
    sim_usage_reports(n);
    r.full = agent_core_loads_changed(n->core, n->whole, add_load, &l);
    n->whole = false;
    if (r.full) {
        sim_usage_reported(n);
    }
    r.loads = l.items;
    r.n_loads = l.n;
    r.memory_reserved_bytes = agent_core_memory_reserved(n->core);
    CHECK(convert_report_to_wire(&wire, &r) == 0);
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_REPORT;
    m.report = &wire;
    send_message(n, false, &m);
    convert_report_free(&wire);
    free(l.items);
}

void sim_node_send_version_report(struct sim_node *n, const struct version_report *r)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__VersionReport wire;

    if (sim_node_speaks(n)) {
        convert_version_report_to_wire(&wire, r);
        m.body_case = MAYFLY__V1__ENVELOPE__BODY_VERSION_REPORT;
        m.version_report = &wire;
        send_message(n, false, &m);
    }
}

void sim_node_send_leaving(struct sim_node *n)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__Leaving leaving = MAYFLY__V1__LEAVING__INIT;

    if (sim_node_speaks(n)) {
        m.body_case = MAYFLY__V1__ENVELOPE__BODY_LEAVING;
        m.leaving = &leaving;
        send_message(n, false, &m);
    }
}
