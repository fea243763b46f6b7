/* The connection between a node and the controller: frames on a stream that is reset,
 * stalls and comes back, under the real sessions of both ends (proto/session.h), which
 * send again what the other lacks. As controller/hub and agent/link drive them. */
#include <stdlib.h>

#include "common/check.h"
#include "tests/sim/node.h"

#define NET_US 300

struct frame {
    struct sim_node *node;
    bool down;
    uint64_t seq, ack; /* seq 0: it carries the acknowledgement only */
    struct session_body *body;
};

static struct session *sender(struct sim_node *n, bool down)
{
    return down ? &n->hubs : &n->ours;
}

static void frame_free(void *data)
{
    struct frame *f = data;

    session_body_unref(f->body);
    free(f);
}

/* When a frame that is sent now arrives: in order, after a cut is over. Now and then one
 * is late, and all behind it. */
static uint64_t arrival_us(struct sim_node *n, bool down)
{
    struct sim_clock *c = &n->sim->clock;
    uint64_t *last_us = down ? &n->down_us : &n->up_us;
    uint64_t at_us = c->now_us > n->cut_until_us ? c->now_us : n->cut_until_us;
    bool late = n->sim->options.faults && !n->sim->quiet && sim_chance(c, 10);

    at_us += NET_US / 2 + sim_spread(c, late ? 300000 : NET_US);
    *last_us = at_us > *last_us ? at_us : *last_us;
    return *last_us - c->now_us;
}

static void frame_arrives(void *data);

static void put(struct sim_node *n, bool down, uint64_t seq, struct session_body *body)
{
    struct frame *f = calloc(1, sizeof(*f));

    CHECK(f != NULL);
    *f = (struct frame){.node = n,
                        .down = down,
                        .seq = seq,
                        .ack = sender(n, down)->received,
                        .body = body != NULL ? session_body_ref(body) : NULL};
    sim_after(&n->sim->clock, arrival_us(n, down), frame_arrives, frame_free, f,
              &n->connection);
}

static void pump(struct sim_node *n, bool down)
{
    const struct session_item *item;

    while (n->connected && (item = session_next(sender(n, down))) != NULL) {
        put(n, down, item->seq, item->body);
        if (n->sim->options.faults && !n->sim->quiet && sim_chance(&n->sim->clock, 10)) {
            put(n, down, item->seq, item->body); /* twice */
        }
    }
}

/* As the hub: it begins when nothing else waits, so that nothing slips in front of it. */
static void snapshot_if_due(struct sim_node *n)
{
    if (n->wants_snapshot && n->connected && list_empty(&n->hubs.unsent)) {
        n->wants_snapshot = false;
        session_barrier(&n->hubs);
        sim_message_snapshot(n);
        pump(n, true);
    }
}

static void snapshot_later(void *data)
{
    snapshot_if_due(data);
}

static void frame_arrives(void *data)
{
    struct frame *f = data;
    struct sim_node *n = f->node;
    struct session *here = sender(n, !f->down);
    int rc = 1;

    CHECK(session_ack(here, f->ack) == 0);
    if (f->seq != 0) {
        rc = session_receive(here, f->seq);
        CHECK(rc >= 0 && "a frame is missing");
        put(n, !f->down, 0, NULL);
    }
    if (f->down) {
        sim_node_heard(n);
    }
    if (f->seq != 0 && rc == 1 && f->down) {
        sim_message_down(n, f->body);
    } else if (f->seq != 0 && rc == 1) {
        sim_message_up(n, f->body);
    }
    frame_free(f);
}

void sim_wire_send(struct sim_node *n, bool down, const char *key,
                   struct session_body *body)
{
    CHECK(body != NULL);
    if (n->joined && !(down && n->wants_snapshot && *key != '\0')) {
        CHECK(session_queue(sender(n, down), key, body) == 0);
        pump(n, down);
    }
    session_body_unref(body);
}

void sim_wire_connect(struct sim_node *n)
{
    n->connection++;
    n->connected = true;
    n->down_us = n->up_us = 0;
    pump(n, false);
    pump(n, true);
    snapshot_if_due(n);
}

void sim_wire_disconnect(struct sim_node *n)
{
    n->connection++;
    n->connected = false;
}

void sim_node_resync(struct sim_node *n)
{
    n->wants_snapshot = n->joined;
    sim_after(&n->sim->clock, 1, snapshot_later, NULL, n, &n->connection);
}
