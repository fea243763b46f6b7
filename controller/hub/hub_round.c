/* What is said to all nodes.
 *
 *     hub_broadcast ──▶ [ gathered, newest of each key ] ──▶ round: [ batches ] ──▶ node
 *                                                                               ──▶ node
 * …
 *
 * While one round is told, what comes next is gathered. A round's states are put into
 * batches once for all nodes. A node whose outbox is empty gets those; to one that lags
 * behind each state goes by its key, so that its outbox has it once however long it lags.
 *
 * To tell thousands of nodes takes tens of milliseconds, in which one of them may wait
 * for a grant: a round is told in slices, between which the loop takes what has come, and
 * a node that is answered meanwhile is told first what all are. After a round as long
 * again goes by, so that what comes meanwhile is told together and half of the time is
 * left. */
#include <errno.h>
#include <stdlib.h>

#include "common/check.h"
#include "controller/hub/hub_private.h"
#include "proto/batch.h"
#include "proto/key.h"

#define GATHERED_MAX 8192 /* states; with more the round under way is ended at once */
#define PAUSE_MIN_NS 1000000
#define PAUSE_MAX_NS 50000000

void hub_round_init(struct hub *h)
{
    session_init(&h->round.said[0], 0);
    session_init(&h->round.said[1], 0);
    list_init(&h->round.untold);
}

static struct session *gathered(struct hub *h)
{
    return &h->round.said[h->round.gathering];
}

static struct session *told(struct hub *h)
{
    return &h->round.said[1 - h->round.gathering];
}

/* --- batches -------------------------------------------------------------------- */

static void batches_drop(struct hub_round *r)
{
    for (size_t i = 0; i < r->n_batches; i++) {
        session_body_unref(r->batches[i]);
    }
    r->n_batches = 0;
}

static int batch_close(struct hub_round *r, struct buf *open)
{
    struct session_body *body;

    if (r->n_batches == r->capacity) {
        size_t capacity = r->capacity > 0 ? 2 * r->capacity : 16;
        struct session_body **batches =
            reallocarray(r->batches, capacity, sizeof(*r->batches));

        if (batches == NULL) {
            return -ENOMEM;
        }
        r->batches = batches;
        r->capacity = capacity;
    }
    body = batch_body(open);
    if (body == NULL) {
        return -ENOMEM;
    }
    r->batches[r->n_batches++] = body;
    open->len = 0;
    return 0;
}

/* Each of them is one that batch_takes(). Without memory they go one by one. */
static void make_batches(struct hub_round *r, const struct session *said)
{
    struct buf open = {0};
    int rc = 0;

    LIST_FOREACH(it, &said->unsent)
    {
        const struct session_item *item = container_of(it, struct session_item, node);

        rc = rc < 0 ? rc : batch_add(&open, item->body);
        if (rc == 0 && open.len >= BATCH_BYTES) {
            rc = batch_close(r, &open);
        }
    }
    if (rc == 0 && open.len > 0) {
        rc = batch_close(r, &open);
    }
    buf_free(&open);
    r->in_batches = rc == 0;
}

/* --- one node ------------------------------------------------------------------- */

/* What is queued for it goes on the wire at once, and nothing waits before it. */
static bool keeps_up(const struct hub_node *n, size_t n_batches)
{
    return n->takes_batches && n->conn != NULL && !n->conn->closing &&
           list_empty(&n->session.unsent) &&
           (n->session.items_max == 0 ||
            n->session.n_items + n_batches <= n->session.items_max) &&
           wire_pending(n->conn->wire) < HUB_WIRE_PENDING_MAX;
}

static void tell(struct hub_node *n)
{
    struct hub *h = n->hub;
    const struct hub_round *r = &h->round;

    list_remove(&n->untold);
    if (n->wants_snapshot || n->broken) {
        return;
    }
    if (r->in_batches && keeps_up(n, r->n_batches)) {
        for (size_t i = 0; i < r->n_batches; i++) {
            (void)hub_queue(n, "", r->batches[i]);
        }
        return;
    }
    LIST_FOREACH(it, &told(h)->unsent)
    {
        const struct session_item *item = container_of(it, struct session_item, node);

        (void)hub_queue(n, item->key, item->body);
    }
}

static void tell_first(struct hub_node *n)
{
    if (!list_empty(&n->untold)) {
        tell(n);
    }
}

/* If it is gathered as well all get this, which is newer. */
void hub_round_precede(struct hub_node *n, const char *key, struct session_body *body)
{
    struct session *next = gathered(n->hub);

    tell_first(n);
    if (session_has_unsent(next, key)) {
        (void)session_queue(next, key, body);
    }
}

/* --- rounds --------------------------------------------------------------------- */

static void begin(struct hub *h)
{
    struct hub_round *r = &h->round;

    CHECK(!r->under_way && told(h)->n_items == 0);
    r->under_way = true;
    r->took_ns = 0;
    r->gathering = 1 - r->gathering;
    r->in_batches = false;
    if (told(h)->n_items > 1) {
        make_batches(r, told(h));
    }
    LIST_FOREACH(it, &h->nodes)
    {
        list_push_back(&r->untold, &container_of(it, struct hub_node, link)->untold);
    }
}

static void end(struct hub *h)
{
    struct hub_round *r = &h->round;

    r->under_way = false;
    batches_drop(r);
    session_reset(told(h));
    r->next_ns = 0;
    if (r->took_ns > PAUSE_MIN_NS) {
        r->next_ns =
            uv_hrtime() + (r->took_ns < PAUSE_MAX_NS ? r->took_ns : PAUSE_MAX_NS);
    }
}

/* Until the time is over, or all are told. */
static void slice(struct hub *h, uint64_t began_ns, uint64_t slice_ns)
{
    struct hub_round *r = &h->round;
    uint64_t now_ns = began_ns;

    while (!list_empty(&r->untold) && now_ns - began_ns < slice_ns) {
        tell(container_of(r->untold.next, struct hub_node, untold));
        now_ns = uv_hrtime();
    }
    r->took_ns += now_ns - began_ns;
    if (list_empty(&r->untold)) {
        end(h);
    }
}

uint64_t hub_round_turn(struct hub *h)
{
    struct hub_round *r = &h->round;
    uint64_t now_ns = uv_hrtime();

    if (!r->under_way && gathered(h)->n_items == 0) {
        return UINT64_MAX;
    }
    if (!r->under_way && now_ns < r->next_ns) {
        return (r->next_ns - now_ns) / 1000000 + 1;
    }
    if (!r->under_way) {
        begin(h);
    }
    slice(h, now_ns, h->options.slice_us * 1000ull);
    return r->under_way || gathered(h)->n_items > 0 ? 0 : UINT64_MAX;
}

void hub_flush(struct hub *h)
{
    for (;;) {
        if (h->round.under_way) {
            slice(h, uv_hrtime(), UINT64_MAX);
        }
        if (gathered(h)->n_items == 0) {
            return;
        }
        begin(h);
    }
}

void hub_round_free(struct hub *h)
{
    struct hub_round *r = &h->round;

    batches_drop(r);
    free(r->batches);
    session_reset(&r->said[0]);
    session_reset(&r->said[1]);
}

static void tell_all_now(struct hub *h, const char *key, struct session_body *body)
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
    if (gathered(h)->n_items >= GATHERED_MAX || !batch_takes(m)) {
        hub_flush(h);
    }
    if (!batch_takes(m) || session_queue(gathered(h), key, body) < 0) {
        hub_flush(h);
        tell_all_now(h, key, body);
    } else if (h->speaker != NULL) { /* it has this at once; twice is no harm */
        tell_first(h->speaker);
        (void)hub_queue(h->speaker, key, body);
    }
    session_body_unref(body);
}
