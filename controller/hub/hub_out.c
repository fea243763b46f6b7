/* What goes out: frames, each node's outbox, snapshots.
 *
 * State is keyed: in an outbox a newer message takes an older one's place. A snapshot
 * must therefore never share an unsent outbox with state from before it (its items would
 * slip in front of its beginning), nor with another snapshot: it begins only when nothing
 * waits to be sent, and until then state is not queued at all. */
#include <errno.h>
#include <stdlib.h>

#include "controller/hub/hub_private.h"
#include "proto/key.h"

#define WIRE_PENDING_MAX \
    (256 * 1024) /* more stays in the outbox, where it can be replaced */
#define SNAPSHOT_KEY                                                  \
    "snapshot" /* of its end, while that waits; no state has this key \
                */

/* --- frames ------------------------------------------------------------------- */

void hub_conn_close(struct hub_conn *c)
{
    if (!c->closing) {
        c->closing = true;
        wire_conn_close(c->wire);
    }
}

static int send_frame(struct hub_conn *c, uint64_t seq, const struct session_body *body)
{
    struct buf frame = {0};
    uint64_t ack = c->node != NULL ? c->node->session.received : 0;
    int rc = codec_frame(&frame, seq, ack, body->data, body->len);

    rc = rc < 0 ? rc : wire_send(c->wire, frame.data, frame.len);
    buf_free(&frame);
    c->said_ms = uv_now(c->hub->loop);
    if (c->node != NULL) {
        c->node->acked_ours = ack;
    }
    return rc;
}

void hub_conn_send_plain(struct hub_conn *c, const Mayfly__V1__Envelope *m)
{
    struct session_body *body = wire_body(m);

    if (body == NULL || send_frame(c, 0, body) < 0) {
        hub_conn_close(c);
    }
    session_body_unref(body);
}

/* --- snapshots ---------------------------------------------------------------- */

/* What was sent must be acknowledged before more than an outbox of it piles up. */
static bool snapshot_can_begin(const struct hub_node *n)
{
    return n->wants_snapshot && !n->broken && n->conn != NULL && !n->conn->closing &&
           list_empty(&n->session.unsent) &&
           n->session.n_items <= n->hub->options.outbox_max;
}

static void snapshot_later(struct hub_node *n)
{
    struct hub *h = n->hub;

    if (!h->closing && snapshot_can_begin(n) && !uv_is_active((uv_handle_t *)&h->later)) {
        (void)uv_timer_start(&h->later, hub_later_cb, 0, 0);
    }
}

static int queue(struct hub_node *n, const char *key, struct session_body *body);

static void queue_mark(struct hub_node *n, const char *key, const Mayfly__V1__Envelope *m)
{
    struct session_body *body = wire_body(m);

    if (body == NULL || queue(n, key, body) < 0) {
        n->broken = true; /* half a snapshot: only a new session mends that */
        if (n->conn != NULL) {
            hub_conn_close(n->conn);
        }
    }
    session_body_unref(body);
}

static void snapshot(struct hub_node *n)
{
    struct hub *h = n->hub;
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__SnapshotBegin begin = MAYFLY__V1__SNAPSHOT_BEGIN__INIT;
    Mayfly__V1__SnapshotEnd end = MAYFLY__V1__SNAPSHOT_END__INIT;

    n->wants_snapshot = false;
    n->in_snapshot = true;
    n->session.items_max = 0; /* it may be larger than an outbox */
    session_barrier(&n->session);
    begin.revision = end.revision = ++h->revision;
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_SNAPSHOT_BEGIN;
    m.snapshot_begin = &begin;
    queue_mark(n, "", &m);
    h->options.on_snapshot(h->options.data, n);
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_SNAPSHOT_END;
    m.snapshot_end = &end;
    queue_mark(n, SNAPSHOT_KEY, &m);
    n->in_snapshot = false;
    n->session.items_max = n->session.n_items + h->options.outbox_max;
    hub_node_pump(n);
}

void hub_later_cb(uv_timer_t *timer)
{
    struct hub *h = container_of(timer, struct hub, later);

    LIST_FOREACH(it, &h->nodes)
    {
        struct hub_node *n = container_of(it, struct hub_node, link);

        if (snapshot_can_begin(n)) {
            snapshot(n);
        }
    }
}

void hub_resync(struct hub *h, struct hub_node *n)
{
    n->wants_snapshot = true;
    snapshot_later(n);
}

/* --- outbox ------------------------------------------------------------------- */

void hub_node_pump(struct hub_node *n)
{
    const struct session_item *item;

    while (n->conn != NULL && !n->conn->closing &&
           wire_pending(n->conn->wire) < WIRE_PENDING_MAX &&
           (item = session_next(&n->session)) != NULL) {
        if (send_frame(n->conn, item->seq, item->body) < 0) {
            hub_conn_close(n->conn);
        }
    }
    snapshot_later(n);
}

/* The outbox is full. State that waits in it goes, and a snapshot will make up for it;
 * but a snapshot that waits in there itself must not be torn. */
static bool fall_back_on_snapshot(struct hub_node *n)
{
    if (n->in_snapshot || session_has_unsent(&n->session, SNAPSHOT_KEY)) {
        return false;
    }
    session_drop_unsent_keys(&n->session);
    n->wants_snapshot = true;
    return true;
}

static int queue(struct hub_node *n, const char *key, struct session_body *body)
{
    int rc;

    if (n->broken) {
        return -ENOBUFS;
    }
    if (n->wants_snapshot && *key != '\0') {
        return 0;
    }
    rc = session_queue(&n->session, key, body);
    if (rc == -ENOBUFS && fall_back_on_snapshot(n)) {
        rc = *key != '\0' ? 0 : session_queue(&n->session, key, body);
    }
    if (rc < 0) { /* it is too far behind: a new session brings it a snapshot */
        n->broken = true;
        if (n->conn != NULL) {
            hub_conn_close(n->conn);
        }
        return rc;
    }
    if (!n->in_snapshot) {
        hub_node_pump(n);
    }
    return 0;
}

int hub_send(struct hub *h, struct hub_node *n, const Mayfly__V1__Envelope *m)
{
    char key[WIRE_KEY_MAX];
    struct session_body *body = wire_body(m);
    int rc;

    if (body == NULL) {
        return -ENOMEM;
    }
    wire_key(m, key);
    rc = queue(n, key, body);
    session_body_unref(body);
    return rc;
}

void hub_broadcast(struct hub *h, const Mayfly__V1__Envelope *m)
{
    char key[WIRE_KEY_MAX];
    struct session_body *body = wire_body(m);

    if (body == NULL) {
        return;
    }
    wire_key(m, key);
    LIST_FOREACH_SAFE(it, &h->nodes)
    {
        (void)queue(container_of(it, struct hub_node, link), key, body);
    }
    session_body_unref(body);
}
