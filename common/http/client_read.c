/* A connection's reading side: the response, and when it is read on. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "common/http/client_heard.h"
#include "common/http/client_private.h"

#define HEADERS_MAX 256

static struct client_conn *conn_of(struct http_message *m)
{
    return container_of(m, struct client_conn, in);
}

/* Nobody has specified `Keep-Alive: timeout=5` (seconds) but who sends it, and those who
 * send it mean it: a request that meets the end of that time is lost. */
static uint32_t keep_alive_ms(const struct client_conn *conn)
{
    const struct http_header *h =
        http_headers_find(http_message_headers(&conn->in), "Keep-Alive");
    const char *at = h != NULL ? memmem(h->value.at, h->value.len, "timeout=", 8) : NULL;
    uint32_t limit_ms = conn->client->options.keep_alive_ms, half_ms = 0;

    if (at == NULL) {
        return limit_ms;
    }
    for (at += 8; at < h->value.at + h->value.len && *at >= '0' && *at <= '9'; at++) {
        half_ms = half_ms * 10 + (uint32_t)(*at - '0') * 500;
        if (half_ms >= limit_ms) {
            return limit_ms;
        }
    }
    return half_ms;
}

static void on_head(struct http_message *m)
{
    struct client_conn *conn = conn_of(m);
    struct http_call *call = conn->call;
    int status = m->parser.status_code;

    call->interim = status < 200;
    if (call->interim) {
        if (status == 101) {
            if (!client_tunnel_begin(conn)) {
                m->refusal = 400;
                m->reason = "the server switched protocols unasked";
            }
        } else if (status == 100 && call->ops.on_continue != NULL) {
            call->ops.on_continue(call);
        }
        return;
    }
    m->skip_body = call->head;
    conn->deadline_ms = 0;
    conn->keep_ms = keep_alive_ms(conn);
    if (call->ops.on_response != NULL) {
        uint64_t len =
            call->head || status == 204 || status == 304 ? 0 : m->content_length;

        call->ops.on_response(call, status, http_message_headers(m), len);
    }
}

static void on_body(struct http_message *m, const char *data, size_t len)
{
    struct http_call *call = conn_of(m)->call;

    if (call != NULL && call->ops.on_body != NULL) {
        call->ops.on_body(call, data, len);
    }
}

static void on_done(struct http_message *m)
{
    struct http_call *call = conn_of(m)->call;

    if (call != NULL && !call->interim && call->ops.on_end != NULL) {
        call->ops.on_end(call, http_message_trailers(m));
    }
}

static void feed_some(struct client_conn *conn, const char *data, size_t len)
{
    bool again = true;

    if (conn->tunnel) {
        client_tunnel_feed(conn, data, len);
        return;
    }
    while (again && conn->state == CONN_ACTIVE) {
        ssize_t n;

        conn->feeding = true;
        n = http_message_feed(&conn->in, data, len);
        conn->feeding = false;
        if (conn->state != CONN_ACTIVE) {
            return;
        }
        if (n < 0 || conn->in.refusal != 0) {
            client_conn_close(conn, -EPROTO);
            return;
        }
        data += n;
        len -= (size_t)n;
        again = false;
        if (conn->tunnel) {
            client_tunnel_feed(conn, data, len);
            return;
        }
        if (conn->in.state == HTTP_MESSAGE_DONE && conn->call->interim) {
            http_message_reset(&conn->in);
            again = len > 0;
        }
    }
    if (len > 0 && buf_append(&conn->rest, data, len) < 0) {
        client_conn_close(conn, -ENOMEM);
    }
}

static void feed(struct client_conn *conn, const char *data, size_t len)
{
    struct buf rest = conn->rest;

    if (rest.len > 0) {
        conn->rest = (struct buf){0};
        feed_some(conn, rest.data, rest.len);
        buf_free(&rest);
        if (len > 0 && buf_append(&conn->rest, data, len) < 0) {
            client_conn_close(conn, -ENOMEM);
        }
    } else {
        feed_some(conn, data, len);
    }
    if (conn->state == CONN_ACTIVE && conn->in.state == HTTP_MESSAGE_DONE &&
        !conn->tunnel) {
        client_conn_finish(conn);
    }
}

void client_conn_resumed(struct client_conn *conn)
{
    if (conn->state == CONN_ACTIVE && !conn->feeding) {
        feed(conn, "", 0);
    }
    if (conn->state == CONN_ACTIVE || conn->state == CONN_IDLE) {
        client_conn_update(conn);
    }
}

static void alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct client_conn *conn = container_of(handle, struct client_conn, io.handle);

    *buf = uv_buf_init(conn->client->scratch, HTTP_SCRATCH_BYTES);
}

/* The rest of the reply may wait for this, in a server that writes it in pieces under
 * Nagle's algorithm. A reply that is whole is acknowledged by the next request. Holds for
 * what has come; the kernel falls back to delaying by itself: tcp(7). */
static void acknowledge(struct client_conn *conn)
{
    const int on = 1;
    uv_os_fd_t fd;

    if (conn->client->options.unix_path == NULL &&
        uv_fileno(&conn->io.handle, &fd) == 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
    }
}

/* The server has said all that it had to say. */
static void tunnel_ended(struct client_conn *conn)
{
    struct http_call *call = conn->call;

    if (call->ops.on_end != NULL) {
        call->ops.on_end(call, (struct http_headers){NULL, 0});
    }
    if (conn->state == CONN_ACTIVE) { /* else it was cancelled in there */
        client_conn_finish(conn);
    }
}

/* Nothing of its call has come to the server's host. */
static bool is_unheard(const struct client_conn *conn)
{
    uv_os_fd_t fd;

    return conn->client->options.unix_path == NULL &&
           uv_fileno(&conn->io.handle, &fd) == 0 && heard_only(fd, conn->n_before);
}

static void read_cb(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct client_conn *conn = container_of(stream, struct client_conn, io.stream);

    if (nread == 0 || conn->state == CONN_CLOSING) {
        return;
    }
    if (nread < 0) {
        int rc = -ECONNRESET;

        if (nread == UV_ECONNRESET && conn->call != NULL) {
            conn->call->reset = http_message_is_fresh(&conn->in);
        }
        if (nread != UV_EOF && conn->call != NULL) {
            conn->call->unheard = is_unheard(conn);
        }
        if (nread == UV_EOF && conn->tunnel) {
            conn->in.keep_alive = false;
            tunnel_ended(conn);
            return;
        }
        if (nread == UV_EOF && conn->state == CONN_ACTIVE && conn->rest.len == 0) {
            rc = http_message_eof(&conn->in);
        }
        if (rc == 0 && conn->state == CONN_ACTIVE) {
            conn->in.keep_alive = false;
            client_conn_finish(conn);
        } else {
            client_conn_close(conn, rc);
        }
        return;
    }
    if (conn->state == CONN_IDLE) { /* nobody asked for this */
        client_conn_close(conn, -EPROTO);
        return;
    }
    if (conn->client->options.idle_timeout_ms > 0 && !conn->tunnel &&
        conn->in.state != HTTP_MESSAGE_HEAD) {
        conn->deadline_ms = uv_now(stream->loop) + conn->client->options.idle_timeout_ms;
    }
    feed(conn, buf->base, (size_t)nread);
    if (conn->state == CONN_ACTIVE) {
        if (conn->client->options.quick_ack) {
            acknowledge(conn);
        }
        client_conn_update(conn);
    }
}

void client_conn_update(struct client_conn *conn)
{
    bool read =
        conn->state == CONN_IDLE ||
        (conn->state == CONN_ACTIVE &&
         !(conn->in.paused && (conn->in.state == HTTP_MESSAGE_BODY || conn->tunnel)));

    if (read != conn->reading) {
        conn->reading = read && uv_read_start(&conn->io.stream, alloc_cb, read_cb) == 0;
        if (!read) {
            (void)uv_read_stop(&conn->io.stream);
        }
    }
}

void client_conn_reads(struct client_conn *conn)
{
    conn->in.on_head = on_head;
    conn->in.on_body = on_body;
    conn->in.on_done = on_done;
    conn->in.head_max_bytes = conn->client->options.head_max_bytes;
    conn->in.headers_max = HEADERS_MAX;
    http_message_init(&conn->in, HTTP_RESPONSE);
}
