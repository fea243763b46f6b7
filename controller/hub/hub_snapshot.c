/* Snapshots: all that a node must know, for thousands of nodes that ask at about the same
 * time.
 *
 *     [ bodies: batches, packed once ][ since: newest by key of what was sent after that
 * ]
 *
 * Both together are a whole snapshot. The bodies are shared by the outboxes of all that
 * get one; they are put together anew when what has changed since is a good part of them.
 * `since` never has an older state than the bodies, so that it goes behind them.
 *
 * State is keyed: in an outbox a newer message takes an older one's place. A snapshot
 * must therefore never share an unsent outbox with state from before it (its items would
 * slip in front of its beginning), nor with another snapshot: it begins only when nothing
 * waits to be sent, and until then state is not queued at all.
 *
 * A few nodes get theirs at a time: it goes no slower, and what is on its way in buffers
 * stays bounded. One that is slow does not keep the others waiting for long. */
#include <errno.h>
#include <stdlib.h>

#include "common/check.h"
#include "controller/hub/hub_private.h"
#include "proto/batch.h"
#include "proto/key.h"

#define SLOTS     64   /* snapshots on their way at a time … */
#define SLOT_MS   1000 /* … that began within this time */
#define AGAIN_MS  100  /* there was no memory for one */
#define SINCE_MIN 1024
#define SINCE_OF  8 /* of the states, one in so many may have changed since */

/* --- content ------------------------------------------------------------------ */

void hub_snapshot_drop(struct hub_snapshot *s)
{
    for (size_t i = 0; i < s->n; i++) {
        session_body_unref(s->bodies[i]);
    }
    free(s->bodies);
    free(s->is_batch);
    buf_free(&s->open);
    session_reset(&s->since);
    *s = (struct hub_snapshot){0};
    session_init(&s->since, 0);
}

/* Takes over the reference. */
static void add_body(struct hub_snapshot *s, struct session_body *body, bool is_batch)
{
    if (body != NULL && s->n == s->capacity) {
        size_t capacity = s->capacity > 0 ? 2 * s->capacity : 64;
        struct session_body **bodies =
            reallocarray(s->bodies, capacity, sizeof(*s->bodies));
        bool *flags;

        s->bodies = bodies != NULL ? bodies : s->bodies;
        flags = reallocarray(s->is_batch, capacity, sizeof(*s->is_batch));
        s->is_batch = flags != NULL ? flags : s->is_batch;
        s->capacity = bodies != NULL && flags != NULL ? capacity : s->capacity;
    }
    if (body == NULL || s->n == s->capacity) {
        session_body_unref(body);
        s->failed = true;
        return;
    }
    s->bodies[s->n] = body;
    s->is_batch[s->n++] = is_batch;
}

static void close_batch(struct hub_snapshot *s)
{
    if (s->open.len > 0) {
        add_body(s, batch_body_deflated(&s->open), true);
        s->open.len = 0;
    }
}

int hub_snapshot_add(struct hub_snapshot *s, const Mayfly__V1__Envelope *m)
{
    struct session_body *body = wire_body(m);

    if (body == NULL) {
        s->failed = true;
    } else if (batch_takes(m) && body->len < BATCH_BYTES) {
        s->failed = batch_add(&s->open, body) < 0 || s->failed;
        session_body_unref(body);
        if (s->open.len >= BATCH_BYTES) {
            close_batch(s);
        }
    } else {
        close_batch(s);
        add_body(s, body, false);
    }
    s->n_states++;
    return s->failed ? -ENOMEM : 0;
}

void hub_snapshot_fail(struct hub_snapshot *s)
{
    s->failed = true;
}

void hub_snapshot_note(struct hub *h, const char *key, struct session_body *body)
{
    struct hub_snapshot *s = &h->snapshot;
    size_t limit = s->n_states / SINCE_OF;

    if (!s->ready) {
        return;
    }
    limit = limit > SINCE_MIN ? limit : SINCE_MIN;
    if (s->since.n_items >= limit || session_queue(&s->since, key, body) < 0) {
        hub_snapshot_drop(s);
    }
}

/* What is sent while the owner adds is noted as well: it may be newer than what was
 * added. */
static bool put_together(struct hub *h)
{
    struct hub_snapshot *s = &h->snapshot;

    if (s->ready) {
        return true;
    }
    hub_snapshot_drop(s);
    s->ready = true;
    h->options.on_snapshot(h->options.data, s);
    close_batch(s);
    buf_free(&s->open);
    if (!s->ready || s->failed) {
        hub_snapshot_drop(s);
        return false;
    }
    return true;
}

/* --- one node's --------------------------------------------------------------- */

static void slot_take(struct hub_node *n)
{
    hub_slot_release(n);
    n->has_slot = true;
    n->slot_ms = uv_now(n->hub->loop);
    n->hub->n_slots++;
}

void hub_slot_release(struct hub_node *n)
{
    struct hub *h = n->hub;

    if (!n->has_slot) {
        return;
    }
    n->has_slot = false;
    CHECK(h->n_slots > 0);
    h->n_slots--;
    if (!h->closing && !list_empty(&h->waiting) &&
        !uv_is_active((uv_handle_t *)&h->later)) {
        /* Not 0: it may be the timer's own callback that has led here. */
        (void)uv_timer_start(&h->later, hub_later_cb, 1, 0);
    }
}

void hub_slot_tick(struct hub_node *n, uint64_t now_ms)
{
    if (n->has_slot && now_ms - n->slot_ms >= SLOT_MS) {
        hub_slot_release(n);
    }
}

/* What was sent must be acknowledged before more than an outbox of it piles up. */
static bool can_begin(const struct hub_node *n)
{
    return n->wants_snapshot && !n->broken && n->conn != NULL && !n->conn->closing &&
           list_empty(&n->session.unsent) &&
           n->session.n_items <= n->hub->options.outbox_max;
}

void hub_snapshot_later(struct hub_node *n)
{
    struct hub *h = n->hub;

    if (!h->closing && h->n_slots < SLOTS && can_begin(n) &&
        !uv_is_active((uv_handle_t *)&h->later)) {
        (void)uv_timer_start(&h->later, hub_later_cb, 0, 0);
    }
}

void hub_snapshot_want(struct hub_node *n)
{
    n->wants_snapshot = true;
    if (list_empty(&n->waits)) {
        list_push_back(&n->hub->waiting, &n->waits);
    }
}

void hub_resync(struct hub *h, struct hub_node *n)
{
    hub_snapshot_want(n);
    hub_snapshot_later(n);
}

static int queue_mark(struct hub_node *n, const char *key, const Mayfly__V1__Envelope *m)
{
    struct session_body *body = wire_body(m);
    int rc = body != NULL ? hub_queue(n, key, body) : -ENOMEM;

    session_body_unref(body);
    return rc;
}

static int queue_content(struct hub_node *n, const struct hub_snapshot *s)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        rc = s->is_batch[i] ? hub_queue_batch(n, s->bodies[i])
                            : hub_queue(n, "", s->bodies[i]);
    }
    LIST_FOREACH(it, &s->since.unsent)
    {
        const struct session_item *item = container_of(it, struct session_item, node);

        rc = rc < 0 ? rc : hub_queue(n, item->key, item->body);
    }
    return rc;
}

static void snapshot(struct hub_node *n)
{
    struct hub *h = n->hub;
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__SnapshotBegin begin = MAYFLY__V1__SNAPSHOT_BEGIN__INIT;
    Mayfly__V1__SnapshotEnd end = MAYFLY__V1__SNAPSHOT_END__INIT;
    int rc;

    list_remove(&n->waits);
    list_remove(&n->untold); /* the snapshot has what the round tells, or newer */
    slot_take(n);
    n->wants_snapshot = false;
    n->in_snapshot = true;
    n->session.items_max = 0; /* it may be larger than an outbox */
    session_barrier(&n->session);
    begin.revision = end.revision = ++h->revision;
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_SNAPSHOT_BEGIN;
    m.snapshot_begin = &begin;
    rc = queue_mark(n, "", &m);
    rc = rc < 0 ? rc : queue_content(n, &h->snapshot);
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_SNAPSHOT_END;
    m.snapshot_end = &end;
    rc = rc < 0 ? rc : queue_mark(n, SNAPSHOT_KEY, &m);
    n->in_snapshot = false;
    n->session.items_max = n->session.n_items + h->options.outbox_max;
    if (rc < 0) { /* half a snapshot: only a new session mends that */
        n->broken = true;
        if (n->conn != NULL) {
            hub_conn_close(n->conn);
        }
    }
    hub_node_pump(n);
}

void hub_later_cb(uv_timer_t *timer)
{
    struct hub *h = container_of(timer, struct hub, later);

    LIST_FOREACH_SAFE(it, &h->waiting)
    {
        struct hub_node *n = container_of(it, struct hub_node, waits);

        if (h->n_slots >= SLOTS) {
            return; /* whoever gives one back looks again */
        }
        if (!can_begin(n)) {
            continue;
        }
        if (!put_together(h)) {
            (void)uv_timer_start(&h->later, hub_later_cb, AGAIN_MS, 0);
            return;
        }
        snapshot(n);
    }
}
