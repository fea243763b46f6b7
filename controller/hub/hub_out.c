/* What goes out: frames, each node's outbox, and what is said to all.
 *
 * What is said to all in one turn of the loop is gathered, the newest of each key, and
 * put into batches when the turn ends, once for all nodes. A node whose outbox is empty
 * gets those; to one that lags behind each state goes by its key, so that its outbox has
 * it once however long it lags. */
#include <errno.h>
#include <stdlib.h>

#include "controller/hub/hub_private.h"
#include "proto/batch.h"
#include "proto/key.h"

#define WIRE_PENDING_MAX \
    (128 * 1024)           /* more stays in the outbox, where it can be replaced */
#define PENDING_MAX   1024 /* said to all, until it is sent before the turn ends */
#define GATHER_MIN_NS 1000000
#define GATHER_MAX_NS 50000000
#define BATCHES_MAX   64 /* that a turn's states go into */

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
           wire_pending(n->conn->wire) < WIRE_PENDING_MAX &&
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
        if (session_has_unsent(&h->pending, key)) {
            /* It may: then all get this, which is newer, and nothing older follows it. */
            (void)session_queue(&h->pending, key, body);
        }
        hub_snapshot_note(h, key, body);
    }
    rc = hub_queue(n, key, body);
    session_body_unref(body);
    return rc;
}

/* --- to all ------------------------------------------------------------------- */

struct batches {
    struct session_body *bodies[BATCHES_MAX];
    size_t n;
    bool whole; /* they have all that is pending */
};

static void close_batch(struct batches *b, struct buf *open)
{
    struct session_body *body = b->n < BATCHES_MAX ? batch_body(open) : NULL;

    if (body == NULL) {
        b->whole = false;
        return;
    }
    b->bodies[b->n++] = body;
    open->len = 0;
}

/* Only keyed states are pending, and each is one that batch_takes(). */
static void make_batches(struct batches *b, const struct session *pending)
{
    struct buf open = {0};

    *b = (struct batches){.whole = pending->n_items > 1};
    LIST_FOREACH(it, &pending->unsent)
    {
        const struct session_item *item = container_of(it, struct session_item, node);

        if (!b->whole) {
            break;
        }
        b->whole = batch_add(&open, item->body) == 0;
        if (b->whole && open.len >= BATCH_BYTES) {
            close_batch(b, &open);
        }
    }
    if (b->whole && open.len > 0) {
        close_batch(b, &open);
    }
    buf_free(&open);
}

/* What is queued for it goes on the wire at once, and nothing waits before it. */
static bool keeps_up(const struct hub_node *n, size_t n_batches)
{
    return n->takes_batches && n->conn != NULL && !n->conn->closing &&
           list_empty(&n->session.unsent) &&
           (n->session.items_max == 0 ||
            n->session.n_items + n_batches <= n->session.items_max) &&
           wire_pending(n->conn->wire) < WIRE_PENDING_MAX;
}

static void send_pending(struct hub_node *n, const struct session *pending,
                         const struct batches *b)
{
    if (b->whole && keeps_up(n, b->n)) {
        for (size_t i = 0; i < b->n; i++) {
            (void)hub_queue(n, "", b->bodies[i]);
        }
        return;
    }
    LIST_FOREACH(it, &pending->unsent)
    {
        const struct session_item *item = container_of(it, struct session_item, node);

        (void)hub_queue(n, item->key, item->body);
    }
}

void hub_flush(struct hub *h)
{
    uint64_t began_ns = uv_hrtime(), now_ns, took_ns;
    struct batches b;

    if (h->pending.n_items == 0) {
        return;
    }
    (void)uv_timer_stop(&h->gather);
    make_batches(&b, &h->pending);
    LIST_FOREACH_SAFE(it, &h->nodes)
    {
        struct hub_node *n = container_of(it, struct hub_node, link);

        if (!n->wants_snapshot && !n->broken) {
            send_pending(n, &h->pending, &b);
        }
    }
    for (size_t i = 0; i < b.n; i++) {
        session_body_unref(b.bodies[i]);
    }
    session_reset(&h->pending);
    now_ns = uv_hrtime();
    took_ns = now_ns - began_ns;
    h->flush_after_ns = took_ns > GATHER_MIN_NS
                            ? now_ns + (took_ns < GATHER_MAX_NS ? took_ns : GATHER_MAX_NS)
                            : 0;
}

static void broadcast_now(struct hub *h, const char *key, struct session_body *body)
{
    LIST_FOREACH_SAFE(it, &h->nodes)
    {
        (void)hub_queue(container_of(it, struct hub_node, link), key, body);
    }
}

void hub_broadcast(struct hub *h, const Mayfly__V1__Envelope *m)
{
    char key[WIRE_KEY_MAX];
    struct session_body *body = wire_body(m);

    if (body == NULL) {
        return;
    }
    wire_key(m, key);
    if (key[0] != '\0') {
        hub_snapshot_note(h, key, body);
    }
    if (h->pending.n_items >= PENDING_MAX || !batch_takes(m)) {
        hub_flush(h);
    }
    if (!batch_takes(m) || session_queue(&h->pending, key, body) < 0) {
        hub_flush(h);
        broadcast_now(h, key, body);
    } else if (h->speaker != NULL) {
        (void)hub_queue(h->speaker, key,
                        body); /* it has this at once; twice is no harm */
    }
    session_body_unref(body);
}
