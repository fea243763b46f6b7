#include "proto/wire_stream.h"

#include <errno.h>
#include <nng/nng.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/list.h"

/* Most connections bring a few hundred bytes at a time, and there are thousands; what a
 * read fills gets more room. */
#define RECEIVE_MIN     (2 * 1024)
#define RECEIVE_MAX     (64 * 1024)
#define SEND_KEEP       (4 * 1024) /* of a buffer that is empty */
#define ACCEPT_RETRY_MS 200

enum event_type { EVENT_ACCEPT, EVENT_DIAL, EVENT_RECEIVE, EVENT_SEND };

/* Something an nng thread has seen; in the queue at most once, since its aio is idle
 * until the loop has looked at it. */
struct event {
    struct list node;
    enum event_type type;
    struct wire *wire;
};

struct wire {
    uv_async_t wake;
    uv_mutex_t lock;
    struct list events; /* under lock */
    unsigned
        n_listeners; /* those that are closing as well: they have yet to be heard of */
    bool closing;
    void (*on_closed)(void *data);
    void *closed_data;
};

struct wire_listener {
    struct wire *wire;
    nng_stream_listener *nng;
    nng_aio *aio;
    struct event accepted;
    uv_timer_t retry;
    bool closing;
    bool accepting;
    uint16_t port;
    void (*on_accept)(void *data, struct wire_conn *c);
    void *data;
};

struct wire_conn {
    struct wire *wire;
    nng_stream_dialer *dialer;
    nng_stream *nng;
    nng_aio *dial_aio;
    nng_aio *receive_aio;
    nng_aio *send_aio;
    struct event dialled, received, sent;
    bool dialling, receiving, sending;
    bool closing;
    int status;
    struct wire_conn_ops ops;
    void *data;
    struct buf out;     /* waits */
    struct buf on_wire; /* nng has it */
    size_t on_wire_taken;
    char *in;
    size_t in_size;
};

static int to_errno(int nng_error)
{
    switch (nng_error) {
    case 0:
        return 0;
    case NNG_ENOMEM:
        return -ENOMEM;
    case NNG_ECONNREFUSED:
        return -ECONNREFUSED;
    case NNG_ETIMEDOUT:
        return -ETIMEDOUT;
    case NNG_EADDRINUSE:
        return -EADDRINUSE;
    case NNG_EADDRINVAL:
        return -EINVAL;
    case NNG_EUNREACHABLE:
        return -EHOSTUNREACH;
    case NNG_ECANCELED:
        return -ECANCELED;
    case NNG_EPERM:
        return -EPERM;
    default:
        return -ECONNRESET;
    }
}

/* --- nng's threads ------------------------------------------------------------ */

static void note(void *arg)
{
    struct event *e = arg;

    uv_mutex_lock(&e->wire->lock);
    list_push_back(&e->wire->events, &e->node);
    uv_mutex_unlock(&e->wire->lock);
    (void)uv_async_send(&e->wire->wake);
}

/* --- the loop's thread: connections --------------------------------------------- */

static void event_init(struct event *e, struct wire *w, enum event_type type)
{
    list_init(&e->node);
    e->type = type;
    e->wire = w;
}

static void conn_free(struct wire_conn *c)
{
    nng_aio_free(c->dial_aio); /* waits for a callback that is on its way out */
    nng_aio_free(c->receive_aio);
    nng_aio_free(c->send_aio);
    nng_stream_free(c->nng);
    nng_stream_dialer_free(c->dialer);
    buf_free(&c->out);
    buf_free(&c->on_wire);
    free(c->in);
    free(c);
}

/* Frees it once no operation is under way any more. */
static void conn_reap(struct wire_conn *c)
{
    if (c->closing && !c->dialling && !c->receiving && !c->sending) {
        if (c->ops.on_close != NULL) {
            c->ops.on_close(c, c->status);
        }
        conn_free(c);
    }
}

static void conn_end(struct wire_conn *c, int status)
{
    if (c->closing) {
        return;
    }
    c->closing = true;
    c->status = status;
    if (c->dialer != NULL) {
        nng_stream_dialer_close(c->dialer);
    }
    if (c->nng != NULL) {
        nng_stream_close(c->nng);
    }
    nng_aio_cancel(c->dial_aio);
    nng_aio_cancel(c->receive_aio);
    nng_aio_cancel(c->send_aio);
    if (!c->dialling && !c->receiving && !c->sending) {
        /* Nothing will wake us: let a cancelled sleep do so, so that on_close never comes
         * from within. */
        c->sending = true;
        nng_sleep_aio(0, c->send_aio);
    }
}

static void receive(struct wire_conn *c)
{
    nng_iov iov = {.iov_buf = c->in, .iov_len = c->in_size};

    CHECK(nng_aio_set_iov(c->receive_aio, 1, &iov) == 0);
    c->receiving = true;
    nng_stream_recv(c->nng, c->receive_aio);
}

/* What a snapshot has filled is not needed for what comes after it. */
static void shrink(struct buf *empty)
{
    if (empty->capacity > SEND_KEEP) {
        buf_free(empty);
    }
}

static void send_more(struct wire_conn *c)
{
    nng_iov iov;

    if (c->on_wire_taken == c->on_wire.len) {
        struct buf empty = c->on_wire;

        c->on_wire = c->out;
        empty.len = 0;
        c->out = empty;
        c->on_wire_taken = 0;
    }
    if (c->on_wire.len == 0) {
        shrink(&c->out);
        shrink(&c->on_wire);
        return;
    }
    iov.iov_buf = c->on_wire.data + c->on_wire_taken;
    iov.iov_len = c->on_wire.len - c->on_wire_taken;
    CHECK(nng_aio_set_iov(c->send_aio, 1, &iov) == 0);
    c->sending = true;
    nng_stream_send(c->nng, c->send_aio);
}

static struct wire_conn *conn_new(struct wire *w)
{
    struct wire_conn *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        return NULL;
    }
    c->in = malloc(RECEIVE_MIN);
    if (c->in == NULL) {
        free(c);
        return NULL;
    }
    c->in_size = RECEIVE_MIN;
    c->wire = w;
    event_init(&c->dialled, w, EVENT_DIAL);
    event_init(&c->received, w, EVENT_RECEIVE);
    event_init(&c->sent, w, EVENT_SEND);
    if (nng_aio_alloc(&c->dial_aio, note, &c->dialled) != 0 ||
        nng_aio_alloc(&c->receive_aio, note, &c->received) != 0 ||
        nng_aio_alloc(&c->send_aio, note, &c->sent) != 0) {
        conn_free(c);
        return NULL;
    }
    return c;
}

static void on_dialled(struct wire_conn *c)
{
    int rc = nng_aio_result(c->dial_aio);

    c->dialling = false;
    if (rc == 0) {
        c->nng = nng_aio_get_output(c->dial_aio, 0);
    }
    if (c->closing) {
        conn_reap(c);
        return;
    }
    if (rc != 0) {
        conn_end(c, to_errno(rc));
        return;
    }
    (void)nng_stream_set_bool(c->nng, NNG_OPT_TCP_NODELAY, true);
    receive(c);
    if (c->ops.on_open != NULL) {
        c->ops.on_open(c);
    }
    if (!c->closing && !c->sending) {
        send_more(c);
    }
}

/* Nothing of it is in use: no receive is under way, and what came was taken. */
static void grow_in(struct wire_conn *c)
{
    char *in = c->in_size < RECEIVE_MAX ? malloc(RECEIVE_MAX) : NULL;

    if (in != NULL) { /* without memory it goes on with what it has */
        free(c->in);
        c->in = in;
        c->in_size = RECEIVE_MAX;
    }
}

static void on_received(struct wire_conn *c)
{
    int rc = nng_aio_result(c->receive_aio);
    size_t len = nng_aio_count(c->receive_aio);

    c->receiving = false;
    if (c->closing) {
        conn_reap(c);
        return;
    }
    if (rc != 0 || len == 0) {
        conn_end(c, rc != 0 ? to_errno(rc) : -ECONNRESET);
        return;
    }
    c->ops.on_data(c, c->in, len);
    if (!c->closing) {
        if (len == c->in_size) {
            grow_in(c);
        }
        receive(c);
    } else {
        conn_reap(c);
    }
}

static void on_sent(struct wire_conn *c)
{
    int rc = nng_aio_result(c->send_aio);

    c->sending = false;
    if (c->closing) {
        conn_reap(c);
        return;
    }
    if (rc != 0) {
        conn_end(c, to_errno(rc));
        return;
    }
    c->on_wire_taken += nng_aio_count(c->send_aio);
    send_more(c);
    if (!c->sending && c->ops.on_drain != NULL) {
        c->ops.on_drain(c);
    }
}

/* --- the loop's thread: listeners ----------------------------------------------- */

static void accept_next(struct wire_listener *l)
{
    l->accepting = true;
    nng_stream_listener_accept(l->nng, l->aio);
}

static void retry_cb(uv_timer_t *timer)
{
    accept_next(container_of(timer, struct wire_listener, retry));
}

static void close_if_last(struct wire *w);

static void listener_closed_cb(uv_handle_t *handle)
{
    struct wire_listener *l =
        container_of((uv_timer_t *)handle, struct wire_listener, retry);
    struct wire *w = l->wire;

    nng_aio_free(l->aio);
    nng_stream_listener_free(l->nng);
    free(l);
    w->n_listeners--;
    close_if_last(w);
}

static void on_accepted(struct wire_listener *l)
{
    int rc = nng_aio_result(l->aio);
    struct wire_conn *c = NULL;

    l->accepting = false;
    if (rc == 0) {
        nng_stream *stream = nng_aio_get_output(l->aio, 0);

        c = l->closing ? NULL : conn_new(l->wire);
        if (c == NULL) {
            nng_stream_free(stream);
        } else {
            c->nng = stream;
        }
    }
    if (l->closing) {
        uv_close((uv_handle_t *)&l->retry, listener_closed_cb);
        return;
    }
    if (rc != 0) { /* out of descriptors, say: not again at once */
        (void)uv_timer_start(&l->retry, retry_cb, ACCEPT_RETRY_MS, 0);
        return;
    }
    accept_next(l);
    if (c != NULL) {
        (void)nng_stream_set_bool(c->nng, NNG_OPT_TCP_NODELAY, true);
        l->on_accept(l->data, c);
        if (!c->closing) {
            receive(c);
        }
    }
}

static void on_event(struct event *e)
{
    switch (e->type) {
    case EVENT_ACCEPT:
        on_accepted(container_of(e, struct wire_listener, accepted));
        break;
    case EVENT_DIAL:
        on_dialled(container_of(e, struct wire_conn, dialled));
        break;
    case EVENT_RECEIVE:
        on_received(container_of(e, struct wire_conn, received));
        break;
    case EVENT_SEND:
    default:
        on_sent(container_of(e, struct wire_conn, sent));
        break;
    }
}

/* Takes what there is now: what comes meanwhile wakes the loop again, which so gets to
 * its timers, and to what is gathered over a turn, however much comes. An event's
 * connection or listener stays until the event was looked at. */
static void wake_cb(uv_async_t *async)
{
    struct wire *w = container_of(async, struct wire, wake);
    struct list taken;

    list_init(&taken);
    uv_mutex_lock(&w->lock);
    if (!list_empty(&w->events)) {
        list_push_front(&w->events, &taken);
        list_remove(&w->events);
    }
    uv_mutex_unlock(&w->lock);
    while (!list_empty(&taken)) {
        struct event *e = container_of(taken.next, struct event, node);

        list_remove(&e->node);
        on_event(e);
    }
}

/* --- public ------------------------------------------------------------------- */

int wire_new(struct wire **ret, uv_loop_t *loop)
{
    struct wire *w = calloc(1, sizeof(*w));
    int rc;

    if (w == NULL) {
        return -ENOMEM;
    }
    list_init(&w->events);
    rc = uv_mutex_init(&w->lock);
    if (rc < 0) {
        free(w);
        return rc;
    }
    rc = uv_async_init(loop, &w->wake, wake_cb);
    if (rc < 0) {
        uv_mutex_destroy(&w->lock);
        free(w);
        return rc;
    }
    *ret = w;
    return 0;
}

static void wire_closed_cb(uv_handle_t *handle)
{
    struct wire *w = container_of((uv_async_t *)handle, struct wire, wake);
    void (*on_closed)(void *data) = w->on_closed;
    void *data = w->closed_data;

    uv_mutex_destroy(&w->lock);
    free(w);
    if (on_closed != NULL) {
        on_closed(data);
    }
}

/* A listener's last event comes by way of the wake-up: that goes last. */
static void close_if_last(struct wire *w)
{
    if (w->closing && w->n_listeners == 0) {
        uv_close((uv_handle_t *)&w->wake, wire_closed_cb);
    }
}

void wire_close_all(struct wire *w, void (*on_closed)(void *data), void *data)
{
    w->closing = true;
    w->on_closed = on_closed;
    w->closed_data = data;
    close_if_last(w);
}

int wire_listen(struct wire *w, struct wire_listener **ret, const char *url,
                void (*on_accept)(void *data, struct wire_conn *c), void *data,
                struct error *err)
{
    struct wire_listener *l = calloc(1, sizeof(*l));
    int rc, port = 0;

    if (l == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    l->wire = w;
    l->on_accept = on_accept;
    l->data = data;
    event_init(&l->accepted, w, EVENT_ACCEPT);
    rc = nng_stream_listener_alloc(&l->nng, url);
    rc = rc != 0 ? rc : nng_aio_alloc(&l->aio, note, &l->accepted);
    rc = rc != 0 ? rc : nng_stream_listener_listen(l->nng);
    if (rc != 0) {
        nng_aio_free(l->aio);
        nng_stream_listener_free(l->nng);
        free(l);
        return error_set(err, to_errno(rc), "listen on %s: %s", url, nng_strerror(rc));
    }
    (void)nng_stream_listener_get_int(l->nng, NNG_OPT_TCP_BOUND_PORT, &port);
    l->port = (uint16_t)port;
    CHECK(uv_timer_init(w->wake.loop, &l->retry) == 0);
    w->n_listeners++;
    accept_next(l);
    *ret = l;
    return 0;
}

uint16_t wire_listener_port(const struct wire_listener *l)
{
    return l->port;
}

void wire_listener_close(struct wire_listener *l)
{
    l->closing = true;
    nng_stream_listener_close(l->nng);
    nng_aio_cancel(l->aio);
    if (!l->accepting) {
        uv_close((uv_handle_t *)&l->retry, listener_closed_cb);
    }
}

int wire_dial(struct wire *w, struct wire_conn **ret, const char *url,
              const struct wire_conn_ops *ops, void *data, struct error *err)
{
    struct wire_conn *c = conn_new(w);
    int rc;

    if (c == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    rc = nng_stream_dialer_alloc(&c->dialer, url);
    if (rc != 0) {
        conn_free(c);
        return error_set(err, to_errno(rc), "%s: %s", url, nng_strerror(rc));
    }
    wire_conn_set(c, ops, data);
    nng_aio_set_timeout(c->dial_aio, 5000);
    c->dialling = true;
    nng_stream_dialer_dial(c->dialer, c->dial_aio);
    *ret = c;
    return 0;
}

void wire_conn_set(struct wire_conn *c, const struct wire_conn_ops *ops, void *data)
{
    c->ops = *ops;
    c->data = data;
}

void *wire_conn_data(const struct wire_conn *c)
{
    return c->data;
}

int wire_send(struct wire_conn *c, const void *data, size_t len)
{
    return wire_send_parts(c, NULL, 0, data, len);
}

int wire_send_parts(struct wire_conn *c, const void *head, size_t head_len,
                    const void *data, size_t len)
{
    int rc = buf_reserve(&c->out, head_len + len);

    if (rc < 0) {
        return rc;
    }
    if (head_len > 0) {
        CHECK(buf_append(&c->out, head, head_len) == 0);
    }
    CHECK(buf_append(&c->out, data, len) == 0);
    if (c->nng != NULL && !c->sending && !c->closing) {
        send_more(c);
    }
    return 0;
}

size_t wire_pending(const struct wire_conn *c)
{
    return c->out.len + c->on_wire.len - c->on_wire_taken;
}

void wire_conn_close(struct wire_conn *c)
{
    conn_end(c, 0);
}
