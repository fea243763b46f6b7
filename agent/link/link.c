#include "agent/link/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/check.h"
#include "common/list.h"
#include "common/random.h"
#include "proto/batch.h"
#include "proto/codec.h"
#include "proto/key.h"
#include "proto/session.h"
#include "proto/wire_stream.h"

#define BACKOFF_MIN_MS   100
#define BACKOFF_MAX_MS   2000 /* below a controller's settle time: it waits for all */
#define WELCOME_MS       5000
#define OUTBOX_MAX       20000
#define ID_MAX           64
#define WIRE_PENDING_MAX (256 * 1024)

/*   WAIT ──▶ DIAL ──▶ HELLO ──▶ UP
 *    ▲         └─────────┴───────┘   (lost, refused, silent) */
enum link_state { LINK_WAIT, LINK_DIAL, LINK_HELLO, LINK_UP };

struct link {
    uv_loop_t *loop;
    struct link_options options;
    struct wire *wire;
    struct wire_conn *conn;
    enum link_state state;
    struct codec_reader reader;
    struct session session;
    char id[ID_MAX];  /* of the session; "" for none yet */
    uv_timer_t timer; /* back-off, then the heartbeat's tick */
    size_t next;      /* controller to try */
    struct backoff backoff;
    uint32_t heartbeat_ms;
    uint64_t heard_ms;
    uint64_t said_ms;
    uint64_t acked_theirs;
    bool closing;
    char reason[128];
    void (*on_closed)(void *data);
    void *closed_data;
};

static void dial(struct link *l);
static void tick_cb(uv_timer_t *timer);

/* --- frames out --------------------------------------------------------------- */

static void drop(struct link *l, const char *reason)
{
    if (l->conn != NULL) {
        (void)snprintf(l->reason, sizeof(l->reason), "%s", reason);
        wire_conn_close(l->conn);
    }
}

static int send_frame(struct link *l, uint64_t seq, const struct session_body *body)
{
    uint8_t head[CODEC_HEAD_MAX];
    int rc = codec_head(head, seq, l->session.received, body->len);

    rc = rc < 0 ? rc : wire_send_parts(l->conn, head, (size_t)rc, body->data, body->len);
    l->said_ms = uv_now(l->loop);
    l->acked_theirs = l->session.received;
    return rc;
}

static void send_plain(struct link *l, const Mayfly__V1__Envelope *m)
{
    struct session_body *body = wire_body(m);

    if (body == NULL || send_frame(l, 0, body) < 0) {
        drop(l, "out of memory");
    }
    session_body_unref(body);
}

static void pump(struct link *l)
{
    const struct session_item *item;

    while (l->state == LINK_UP && wire_pending(l->conn) < WIRE_PENDING_MAX &&
           (item = session_next(&l->session)) != NULL) {
        if (send_frame(l, item->seq, item->body) < 0) {
            drop(l, "out of memory");
            return;
        }
    }
}

/* --- frames in ---------------------------------------------------------------- */

static void on_welcome(struct link *l, const Mayfly__V1__Welcome *w)
{
    if (strlen(w->session) == 0 || strlen(w->session) >= ID_MAX) {
        drop(l, "a welcome without a session");
        return;
    }
    if (w->resumed && (strcmp(w->session, l->id) != 0 ||
                       session_resume(&l->session, w->received) < 0)) {
        l->id[0] = '\0'; /* cannot be resumed after all: a new one next time */
        drop(l, "the session could not be resumed");
        return;
    }
    if (!w->resumed) {
        session_reset(&l->session);
        (void)snprintf(l->id, sizeof(l->id), "%s", w->session);
    }
    l->heartbeat_ms =
        w->heartbeat_ms >= 100 && w->heartbeat_ms <= 60000 ? w->heartbeat_ms : 2000;
    backoff_reset(&l->backoff);
    l->state = LINK_UP;
    l->reader.max = CODEC_FRAME_MAX;
    (void)uv_timer_start(&l->timer, tick_cb, l->heartbeat_ms / 4, l->heartbeat_ms / 4);
    if (l->options.on_welcome != NULL) {
        l->options.on_welcome(l->options.data, w);
    }
    pump(l);
}

static void on_envelope(struct link *l, const Mayfly__V1__Envelope *m)
{
    int rc;

    if (l->state == LINK_HELLO) {
        if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_WELCOME) {
            on_welcome(l, m->welcome);
        } else if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_REFUSED) {
            char text[120];

            (void)snprintf(text, sizeof(text), "refused: %.20s: %.80s", m->refused->cause,
                           m->refused->text);
            drop(l, text);
        } else {
            drop(l, "no welcome");
        }
        return;
    }
    if (session_ack(&l->session, m->ack) < 0) {
        drop(l, "it acknowledged what was never sent");
        return;
    }
    if (m->seq == 0) {
        return;
    }
    rc = session_receive(&l->session, m->seq);
    if (rc < 0) {
        l->id[0] = '\0'; /* a gap: only a new session has it all */
        drop(l, "a message is missing");
    } else if (rc == 1 && m->body_case == MAYFLY__V1__ENVELOPE__BODY_BATCH) {
        if (batch_each(m->batch, l->options.on_message, l->options.data) < 0) {
            l->id[0] = '\0'; /* what was in it is missing */
            drop(l, "it sent a batch that cannot be read");
        }
    } else if (rc == 1) {
        l->options.on_message(l->options.data, m);
    }
}

static void on_data(struct wire_conn *conn, const void *data, size_t len)
{
    struct link *l = wire_conn_data(conn);
    int rc = codec_feed(&l->reader, data, len);

    l->heard_ms = uv_now(l->loop);
    while (rc >= 0 && l->state >= LINK_HELLO && l->reason[0] == '\0') {
        Mayfly__V1__Envelope *m;

        rc = codec_next(&l->reader, &m);
        if (rc <= 0) {
            break;
        }
        on_envelope(l, m);
        mayfly__v1__envelope__free_unpacked(m, NULL);
    }
    if (rc < 0) {
        drop(l, "what it sends is no mayfly frame");
    } else {
        pump(l);
    }
}

/* --- connection --------------------------------------------------------------- */

static void on_open(struct wire_conn *conn)
{
    struct link *l = wire_conn_data(conn);
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__Hello hello = MAYFLY__V1__HELLO__INIT;

    l->state = LINK_HELLO;
    l->heard_ms = uv_now(l->loop);
    hello.batches = hello.confirms = true;
    l->options.fill_hello(l->options.data, &hello);
    hello.protocol = 1;
    hello.session = l->id;
    hello.received = l->session.received;
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_HELLO;
    m.hello = &hello;
    (void)uv_timer_start(&l->timer, tick_cb, WELCOME_MS, WELCOME_MS);
    send_plain(l, &m);
}

static void on_drain(struct wire_conn *conn)
{
    pump(wire_conn_data(conn));
}

static void backoff_cb(uv_timer_t *timer)
{
    dial(container_of(timer, struct link, timer));
}

static void wire_closed(void *data)
{
    struct link *l = data;
    void (*on_closed)(void *data) = l->on_closed;
    void *closed_data = l->closed_data;

    session_reset(&l->session);
    codec_reader_free(&l->reader);
    free(l);
    if (on_closed != NULL) {
        on_closed(closed_data);
    }
}

static void timer_closed_cb(uv_handle_t *handle)
{
    struct link *l = container_of((uv_timer_t *)handle, struct link, timer);

    wire_close_all(l->wire, wire_closed, l);
}

static void lost(struct link *l, const char *reason)
{
    bool was_up = l->state == LINK_UP;

    l->state = LINK_WAIT;
    if (l->closing) {
        uv_close((uv_handle_t *)&l->timer, timer_closed_cb);
        return;
    }
    if (!was_up) {
        l->next++; /* another controller may be better */
    }
    (void)uv_timer_start(&l->timer, backoff_cb,
                         backoff_next_ms(&l->backoff, random_u64()), 0);
    if (l->options.on_down != NULL) {
        l->options.on_down(l->options.data, reason);
    }
}

static void on_close(struct wire_conn *conn, int status)
{
    struct link *l = wire_conn_data(conn);
    char reason[sizeof(l->reason)];

    if (l->reason[0] == '\0') {
        (void)snprintf(l->reason, sizeof(l->reason), "%s", strerror(-status));
    }
    memcpy(reason, l->reason, sizeof(reason));
    l->conn = NULL;
    lost(l, reason);
}

static const struct wire_conn_ops conn_ops = {on_open, on_data, on_drain, on_close};

static void dial(struct link *l)
{
    const char *const *urls = l->options.controllers;
    struct error err;
    size_t n = 0;

    while (urls[n] != NULL) {
        n++;
    }
    CHECK(n > 0);
    l->state = LINK_DIAL;
    l->reason[0] = '\0';
    l->reader.in.len = l->reader.taken = 0;
    l->reader.max = CODEC_FRAME_MAX;
    if (wire_dial(l->wire, &l->conn, urls[l->next % n], &conn_ops, l, &err) < 0) {
        l->conn = NULL;
        lost(l, err.text);
    }
}

static void tick_cb(uv_timer_t *timer)
{
    struct link *l = container_of(timer, struct link, timer);
    uint64_t now_ms = uv_now(timer->loop);

    if (l->state == LINK_HELLO) {
        drop(l, "no welcome in time");
        return;
    }
    if (l->state != LINK_UP) {
        return;
    }
    if (now_ms - l->heard_ms > 3ull * l->heartbeat_ms) {
        drop(l, "the controller is silent");
    } else if (now_ms - l->said_ms >= l->heartbeat_ms / 2 ||
               l->acked_theirs != l->session.received) {
        Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
        Mayfly__V1__Heartbeat beat = MAYFLY__V1__HEARTBEAT__INIT;

        m.body_case = MAYFLY__V1__ENVELOPE__BODY_HEARTBEAT;
        m.heartbeat = &beat;
        send_plain(l, &m);
    }
}

/* --- public ------------------------------------------------------------------- */

int link_new(struct link **ret, uv_loop_t *loop, const struct link_options *options,
             struct error *err)
{
    struct link *l = calloc(1, sizeof(*l));
    int rc;

    if (l == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (options->controllers == NULL || options->controllers[0] == NULL) {
        free(l);
        return error_set(err, -EINVAL, "controllers: none is named");
    }
    l->loop = loop;
    l->options = *options;
    l->backoff = (struct backoff){.min_ms = BACKOFF_MIN_MS, .max_ms = BACKOFF_MAX_MS};
    session_init(&l->session, OUTBOX_MAX);
    rc = wire_new(&l->wire, loop);
    if (rc < 0) {
        free(l);
        return error_set(err, rc, "link: %s", uv_strerror(rc));
    }
    CHECK(uv_timer_init(loop, &l->timer) == 0);
    (void)uv_timer_start(&l->timer, backoff_cb, 0,
                         0); /* callbacks never from within here */
    *ret = l;
    return 0;
}

void link_close(struct link *l, void (*on_closed)(void *data), void *data)
{
    l->closing = true;
    l->on_closed = on_closed;
    l->closed_data = data;
    (void)uv_timer_stop(&l->timer);
    if (l->conn != NULL) {
        drop(l, "closing");
    } else {
        uv_close((uv_handle_t *)&l->timer, timer_closed_cb);
    }
}

int link_send(struct link *l, const Mayfly__V1__Envelope *m)
{
    char key[WIRE_KEY_MAX];
    struct session_body *body = wire_body(m);
    int rc;

    if (body == NULL) {
        return -ENOMEM;
    }
    wire_key(m, key);
    rc = session_queue(&l->session, key, body);
    session_body_unref(body);
    if (rc == 0) {
        pump(l);
    }
    return rc;
}

bool link_is_up(const struct link *l)
{
    return l->state == LINK_UP;
}
