/* What goes out to one node: frames, and its outbox. */
#include <errno.h>
#include <stdlib.h>

#include "controller/hub/hub_private.h"
#include "proto/batch.h"
#include "proto/key.h"

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
    uint8_t head[CODEC_HEAD_MAX];
    uint64_t ack = c->node != NULL ? c->node->session.received : 0;
    int rc = codec_head(head, seq, ack, body->len);

    rc = rc < 0 ? rc : wire_send_parts(c->wire, head, (size_t)rc, body->data, body->len);
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

/* --- outbox ------------------------------------------------------------------- */

void hub_node_pump(struct hub_node *n)
{
    const struct session_item *item;

    while (n->conn != NULL && !n->conn->closing &&
           wire_pending(n->conn->wire) < HUB_WIRE_PENDING_MAX &&
           (item = session_next(&n->session)) != NULL) {
        if (send_frame(n->conn, item->seq, item->body) < 0) {
            hub_conn_close(n->conn);
        }
    }
    if (list_empty(&n->session.unsent)) {
        hub_slot_release(n);
    }
    hub_snapshot_later(n);
}

/* The outbox is full. State that waits in it goes, and a snapshot will make up for it;
 * but one that waits in there itself must not be torn: what is behind it goes. */
static bool fall_back_on_snapshot(struct hub_node *n)
{
    if (n->in_snapshot) {
        return false;
    }
    session_drop_unsent_keys(&n->session, SNAPSHOT_KEY);
    hub_snapshot_want(n);
    return true;
}

int hub_queue(struct hub_node *n, const char *key, struct session_body *body)
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

static int queue_split(void *data, struct session_body *state)
{
    return hub_queue(data, "", state);
}

int hub_queue_batch(struct hub_node *n, struct session_body *batch)
{
    return n->takes_batches ? hub_queue(n, "", batch)
                            : batch_split(batch, queue_split, n);
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
    if (key[0] == '\0') {
        hub_flush(h); /* it does not overtake what was said to all before */
    } else {
        hub_round_precede(n, key, body);
        hub_snapshot_note(h, key, body);
    }
    rc = hub_queue(n, key, body);
    session_body_unref(body);
    return rc;
}
