/* The request side of a connection: reading, parsing, time limits, its end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/http/server_private.h"

#define REST_MAX     (64 * 1024)  /* pipelined bytes kept while an exchange runs */
#define DRAIN_MAX    (256 * 1024) /* of a body that nobody wants */
#define LINGER_MS    2000
#define PROBE_MIN_MS 200
#define PROBE_MAX_MS 10000
/* Read and thrown away meanwhile: a client that sends all of a refused body before it
 * looks for the answer gets that answer, not a reset. Bounded by the time as well. */
#define LINGER_BYTES_MAX (64ull * 1024 * 1024)

/* --- end ---------------------------------------------------------------------- */

static void closed_cb(uv_handle_t *handle)
{
    struct http_conn *c = container_of(handle, struct http_conn, io.handle);
    struct http_server *s = c->server;

    if (c->x.open) {
        c->x.open = false;
        if (c->x.ops.on_close != NULL) {
            c->x.ops.on_close(&c->x, c->close_status);
        }
    }
    list_remove(&c->node);
    list_remove(&c->dirty);
    http_message_free(&c->in);
    buf_free(&c->rest);
    buf_free(&c->out);
    free(c);
    http_server_conn_gone(s);
}

void http_conn_close(struct http_conn *c, int status, bool reset)
{
    if (c->closing) {
        return;
    }
    c->closing = true;
    c->close_status = status;
    list_remove(&c->dirty);
    http_message_stop(&c->in);
    if (reset && c->is_tcp && !c->lingering &&
        uv_tcp_close_reset(&c->io.tcp, closed_cb) == 0) {
        return;
    }
    uv_close(&c->io.handle, closed_cb);
}

static void shutdown_cb(uv_shutdown_t *req, int status)
{
    free(req);
}

/* Sends FIN and reads on for a while: closing with unread input would make the kernel
 * send RST, which may destroy the response on its way. */
static void linger(struct http_conn *c)
{
    uv_shutdown_t *req;

    if (c->in.state == HTTP_MESSAGE_DONE && c->rest.len == 0 && c->in.refusal == 0 &&
        !c->x.tunnel) {
        http_conn_close(c, 0, false);
        return;
    }
    req = malloc(sizeof(*req));
    if (req == NULL || c->input_ended ||
        uv_shutdown(req, &c->io.stream, shutdown_cb) < 0) {
        free(req);
        http_conn_close(c, 0, false);
        return;
    }
    c->lingering = true;
    c->rest.len = 0;
    c->waiting = HTTP_WAIT_LINGER;
    c->deadline_ms = uv_now(c->server->loop) + LINGER_MS;
    c->drained = 0;
    http_conn_update(c);
}

bool http_conn_will_not_drain(const struct http_conn *c)
{
    bool to_come = c->in.state == HTTP_MESSAGE_HEAD || c->in.state == HTTP_MESSAGE_BODY;

    return to_come && (c->in.content_length == HTTP_BODY_CHUNKED ||
                       c->in.content_length > c->x.body_seen + DRAIN_MAX);
}

/* --- the message reader's callbacks ------------------------------------------- */

static struct http_conn *conn_of(struct http_message *m)
{
    return container_of(m, struct http_conn, in);
}

static void send_continue(struct http_conn *c)
{
    if (c->x.want_continue && !c->x.responded && c->in.state == HTTP_MESSAGE_BODY) {
        c->x.want_continue = false;
        if (buf_append_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n") == 0) {
            http_conn_mark(c);
        }
    }
}

static void on_head(struct http_message *m)
{
    struct http_conn *c = conn_of(m);
    struct http_server *s = c->server;
    const struct http_header *expect =
        http_headers_find(http_message_headers(m), "Expect");

    c->x = (struct http_exchange){.open = true, .body_max = s->options.body_max_bytes};
    c->x.started_us = clock_mono_us();
    c->drained = 0;
    if (expect != NULL && !http_exchange_is_http10(&c->x)) {
        if (!http_str_ieq(expect->value, "100-continue")) {
            http_conn_refuse(c, 417, "only 100-continue can be expected");
            return;
        }
        c->x.want_continue = m->content_length != 0;
    }
    if (c->x.body_max > 0) {
        http_exchange_limit_body(&c->x, c->x.body_max);
        if (c->x.responded) {
            return;
        }
    }
    s->options.on_request(s, &c->x);
    if (!c->closing && !m->paused) {
        send_continue(c);
    }
}

static void on_body(struct http_message *m, const char *data, size_t len)
{
    struct http_conn *c = conn_of(m);
    struct http_exchange *x = &c->x;

    if (!x->open || x->ended) { /* nobody wants it any more */
        c->drained += len;
        if (c->drained > DRAIN_MAX) {
            c->close_after = true;
        }
        return;
    }
    x->body_seen += len;
    if (x->body_max > 0 && x->body_seen > x->body_max) {
        http_exchange_refuse(x, 413, "the body is over the limit");
        return;
    }
    if (x->ops.on_body != NULL) {
        x->ops.on_body(x, data, len);
    }
}

static void on_done(struct http_message *m)
{
    struct http_conn *c = conn_of(m);

    if (c->x.open && !c->x.ended && !c->x.tunnel && c->x.ops.on_end != NULL) {
        c->x.ops.on_end(&c->x);
    }
}

/* --- reading ------------------------------------------------------------------ */

static void stash(struct http_conn *c, const char *data, size_t len)
{
    if (len > 0 && buf_append(&c->rest, data, len) < 0) {
        http_conn_close(c, -ENOMEM, true);
    }
}

static void feed(struct http_conn *c, const char *data, size_t len)
{
    ssize_t n;

    if (c->closing || c->lingering) {
        return;
    }
    if (c->in.state == HTTP_MESSAGE_DONE || c->in.refusal != 0) {
        stash(c, data, len);
        return;
    }
    c->feeding = true;
    n = http_message_feed(&c->in, data, len);
    c->feeding = false;
    if (c->closing) {
        return;
    }
    if (n < 0) {
        http_conn_refuse(c, c->in.refusal > 0 ? c->in.refusal : 400,
                         *c->in.reason != '\0' ? c->in.reason : "malformed request");
        return;
    }
    stash(c, data + n, len - (size_t)n);
}

void http_conn_feed(struct http_conn *c, const char *data, size_t len)
{
    struct buf rest = c->rest;

    if (c->x.tunnel) {
        http_tunnel_feed(c, data, len);
        return;
    }
    if (rest.len == 0) {
        feed(c, data, len);
    } else { /* in order: what waits first */
        c->rest = (struct buf){0};
        feed(c, rest.data, rest.len);
        buf_free(&rest);
        stash(c, data, len);
    }
    /* A body that nobody reads, and whose response is out, ends here. */
    if (!c->closing && !c->x.open && c->in.state == HTTP_MESSAGE_DONE) {
        http_conn_exchange_done(c);
    } else if (!c->closing && !c->x.open && c->close_after && !c->lingering &&
               c->in.state != HTTP_MESSAGE_HEAD) {
        linger(c);
    }
}

void http_conn_resumed(struct http_conn *c)
{
    c->resume = false;
    if (c->x.open && !c->in.paused) {
        send_continue(c);
        http_conn_feed(c, "", 0);
    }
}

void http_conn_exchange_done(struct http_conn *c)
{
    struct http_exchange *x = &c->x;

    if (x->open) {
        x->open = false;
        if (x->ops.on_close != NULL) {
            x->ops.on_close(x, x->refused ? -EPROTO : 0);
        }
        if (c->closing) {
            return;
        }
    }
    if (c->close_after || c->server->draining || !c->in.keep_alive ||
        c->in.refusal != 0) {
        linger(c);
        return;
    }
    if (c->in.state != HTTP_MESSAGE_DONE) {
        c->in.paused = false; /* drain the rest of the body */
        http_conn_feed(c, "", 0);
        return;
    }
    http_message_reset(&c->in);
    if (c->rest.len > 0) {
        http_conn_feed(c, "", 0);
    } else if (c->input_ended) {
        http_conn_close(c, 0, false);
    }
}

static void ended(struct http_conn *c)
{
    c->input_ended = true;
    if (c->lingering || !c->x.open) {
        http_conn_close(c, 0, false);
    } else if (c->x.tunnel) {
        http_tunnel_ended(c);
    } else if (c->in.state != HTTP_MESSAGE_DONE && !c->x.ended) {
        http_conn_close(c, -ECONNRESET, false);
    } else if (c->server->options.fin_is_gone && !c->x.ended) {
        http_conn_close(c, -ECONNRESET, false);
    }
}

static void alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct http_conn *c = container_of(handle, struct http_conn, io.handle);

    *buf = uv_buf_init(c->server->scratch, HTTP_SCRATCH_BYTES);
}

static void read_cb(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct http_conn *c = container_of(stream, struct http_conn, io.stream);

    if (nread == 0 || c->closing) {
        return;
    }
    if (nread == UV_EOF) {
        c->reading = false;
        (void)uv_read_stop(stream);
        ended(c);
    } else if (nread < 0) {
        http_conn_close(c, -ECONNRESET, false);
    } else if (c->lingering) {
        c->drained += (uint64_t)nread;
        if (c->drained > LINGER_BYTES_MAX) {
            http_conn_close(c, 0, false);
        }
        return;
    } else {
        if (c->waiting == HTTP_WAIT_BODY) {
            c->waiting = HTTP_WAIT_HANDLER; /* progress: a new time limit below */
        }
        http_conn_feed(c, buf->base, (size_t)nread);
    }
    if (!c->closing) {
        http_conn_update(c);
    }
}

/* --- what the connection waits for --------------------------------------------- */

static bool wants_input(const struct http_conn *c)
{
    if (c->input_ended) {
        return false;
    }
    if (c->lingering) {
        return true;
    }
    if (c->x.tunnel) {
        return !c->in.paused;
    }
    switch (c->in.state) {
    case HTTP_MESSAGE_HEAD:
        return c->in.refusal == 0;
    case HTTP_MESSAGE_DONE:
        return c->rest.len < REST_MAX;
    case HTTP_MESSAGE_BODY:
    case HTTP_MESSAGE_TRAILERS:
    default:
        return !c->in.paused && c->in.refusal == 0;
    }
}

void http_conn_update(struct http_conn *c)
{
    const struct http_server_options *o = &c->server->options;
    uint64_t now_ms = uv_now(c->server->loop);
    bool read = wants_input(c);
    uint32_t limit_ms = 0;
    int waiting;

    if (c->closing || c->lingering) {
        if (!c->closing && !c->reading) {
            c->reading = uv_read_start(&c->io.stream, alloc_cb, read_cb) == 0;
        }
        return;
    }
    if (read != c->reading) {
        c->reading = read && uv_read_start(&c->io.stream, alloc_cb, read_cb) == 0;
        if (!read) {
            (void)uv_read_stop(&c->io.stream);
        }
    }
    if (c->in.state == HTTP_MESSAGE_HEAD) {
        waiting = http_message_is_fresh(&c->in) ? HTTP_WAIT_IDLE : HTTP_WAIT_HEAD;
        limit_ms = waiting == HTTP_WAIT_IDLE ? o->idle_timeout_ms : o->head_timeout_ms;
    } else if (c->in.state != HTTP_MESSAGE_DONE && !c->in.paused) {
        waiting = HTTP_WAIT_BODY;
        limit_ms = o->body_timeout_ms;
    } else {
        waiting = HTTP_WAIT_HANDLER;
    }
    if (uv_stream_get_write_queue_size(&c->io.stream) > 0 && waiting != HTTP_WAIT_BODY) {
        waiting = HTTP_WAIT_HANDLER;
        limit_ms = 0;
    }
    if (waiting != (int)c->waiting) {
        c->waiting = (typeof(c->waiting))waiting;
        c->deadline_ms = limit_ms > 0 ? now_ms + limit_ms : 0;
        c->write_left = 0;
    }
}

/* Waiting for the client to take the response: progress is a queue that gets shorter. */
static void sweep_write(struct http_conn *c, uint64_t now_ms)
{
    size_t left = uv_stream_get_write_queue_size(&c->io.stream);

    if (left == 0) {
        c->write_left = 0;
        c->deadline_ms = 0;
    } else if (left != c->write_left) {
        c->write_left = left;
        c->deadline_ms = now_ms + c->server->options.write_timeout_ms;
    } else if (now_ms >= c->deadline_ms) {
        http_conn_close(c, -ETIMEDOUT, true);
    }
}

/* The client has sent FIN: it may still read, or it may be gone, which shows only when it
 * is written to: then its host answers with RST, and the write after that one fails. An
 * interim response may be sent at any time before the final one (RFC 9110 section 15.2).
 */
static void sweep_probe(struct http_conn *c, uint64_t now_ms)
{
    if (!c->server->options.fin_probe || !c->input_ended || !c->x.open ||
        c->x.responded || http_exchange_is_http10(&c->x)) {
        return;
    }
    if (c->probe_gap_ms == 0) {
        c->probe_gap_ms = PROBE_MIN_MS / 2;
    } else if (now_ms < c->probe_ms) {
        return;
    } else if (buf_append_str(&c->out, "HTTP/1.1 102 Processing\r\n\r\n") == 0) {
        http_conn_mark(c);
    }
    c->probe_gap_ms =
        c->probe_gap_ms >= PROBE_MAX_MS / 2 ? PROBE_MAX_MS : 2 * c->probe_gap_ms;
    c->probe_ms = now_ms + c->probe_gap_ms;
}

void http_conn_sweep(struct http_conn *c, uint64_t now_ms)
{
    if (c->closing) {
        return;
    }
    if (c->waiting == HTTP_WAIT_HANDLER) {
        sweep_probe(c, now_ms);
        sweep_write(c, now_ms);
        http_tunnel_sweep(c, now_ms);
        return;
    }
    if (c->deadline_ms == 0 || now_ms < c->deadline_ms) {
        return;
    }
    switch (c->waiting) {
    case HTTP_WAIT_HEAD:
        http_conn_refuse(c, 408, "the request's head took too long");
        c->in.refusal = 408;
        break;
    case HTTP_WAIT_BODY:
        if (c->x.open && !c->x.responded) {
            http_exchange_refuse(&c->x, 408, "the request's body took too long");
        } else {
            http_conn_close(c, -ETIMEDOUT, true);
        }
        break;
    case HTTP_WAIT_IDLE:
    case HTTP_WAIT_LINGER:
    case HTTP_WAIT_HANDLER:
    default:
        http_conn_close(c, 0, false);
        break;
    }
    c->deadline_ms = 0;
}

/* --- begin -------------------------------------------------------------------- */

static void note_peer(struct http_conn *c)
{
    struct sockaddr_storage addr;
    int len = sizeof(addr);

    if (c->is_tcp &&
        uv_tcp_getpeername(&c->io.tcp, (struct sockaddr *)&addr, &len) == 0) {
        (void)uv_ip_name((struct sockaddr *)&addr, c->peer, sizeof(c->peer));
        (void)uv_tcp_nodelay(&c->io.tcp, 1);
    }
}

void http_conn_accept(struct http_server *s, uv_stream_t *listener, bool is_tcp)
{
    struct http_conn *c = calloc(1, sizeof(*c));
    int rc;

    if (c == NULL) {
        return; /* stays in the backlog until there is memory */
    }
    rc =
        is_tcp ? uv_tcp_init(s->loop, &c->io.tcp) : uv_pipe_init(s->loop, &c->io.pipe, 0);
    if (rc < 0) {
        free(c);
        return;
    }
    c->server = s;
    c->is_tcp = is_tcp;
    list_init(&c->dirty);
    list_push_back(&s->conns, &c->node);
    s->n_conns++;
    s->n_handles++;
    c->in.on_head = on_head;
    c->in.on_body = on_body;
    c->in.on_done = on_done;
    c->in.head_max_bytes = s->options.head_max_bytes;
    c->in.headers_max = s->options.headers_max;
    http_message_init(&c->in, HTTP_REQUEST);
    c->waiting = HTTP_WAIT_LINGER; /* none of those that follow: sets the first limit */
    if (uv_accept(listener, &c->io.stream) < 0) {
        http_conn_close(c, 0, false);
        return;
    }
    note_peer(c);
    if (s->n_conns > s->options.connections_max) {
        c->in.refusal = 503;
        http_conn_refuse(c, 503, "too many connections");
    }
    http_conn_update(c);
}
