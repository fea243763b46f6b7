/* The response side of an exchange: framing, coalescing, back-pressure. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cause.h"
#include "common/http/server_private.h"
#include "common/http/stream.h"
#include "common/number.h"

struct write_op {
    uv_write_t req;
    struct http_conn *conn;
    char data[];
};

/* --- output ------------------------------------------------------------------- */

void http_conn_mark(struct http_conn *c)
{
    if (list_empty(&c->dirty)) {
        list_push_back(&c->server->dirty, &c->dirty);
        http_server_flush_later(c->server);
    }
}

static void write_cb(uv_write_t *req, int status)
{
    struct write_op *op = container_of(req, struct write_op, req);
    struct http_conn *c = op->conn;
    struct http_exchange *x = &c->x;

    free(op);
    if (c->closing) {
        return;
    }
    if (status < 0) {
        http_conn_close(c, -ECONNRESET, false);
        return;
    }
    if (x->open && x->ended) {
        http_conn_mark(c);
    } else if (x->open && http_exchange_pending(x) <= HTTP_HIGH_WATER / 2 &&
               x->ops.on_drain != NULL) {
        x->ops.on_drain(x);
    }
}

/* What is in c->out, then data. What the kernel does not take is copied. */
static int send_now(struct http_conn *c, const char *data, size_t len)
{
    uv_buf_t bufs[2] = {
        uv_buf_init(c->out.data, (unsigned)c->out.len),
        uv_buf_init((char *)(uintptr_t)data, (unsigned)len),
    };
    unsigned first = c->out.len == 0 ? 1 : 0;
    size_t total = c->out.len + len, taken = 0;
    struct write_op *op;
    int n = UV_EAGAIN;

    if (total == 0) {
        return 0;
    }
    if (uv_stream_get_write_queue_size(&c->io.stream) == 0) {
        n = http_stream_try_write(&c->io.stream, bufs + first, len > 0 ? 2 - first : 1);
    }
    if (n < 0 && n != UV_EAGAIN) {
        http_conn_close(c, -ECONNRESET, false);
        return -EPIPE;
    }
    taken = n > 0 ? (size_t)n : 0;
    if (taken < total) {
        size_t from_out = taken < c->out.len ? c->out.len - taken : 0;
        size_t from_data = total - taken - from_out;
        uv_buf_t rest;

        op = malloc(sizeof(*op) + from_out + from_data);
        if (op == NULL) {
            http_conn_close(c, -ENOMEM, true);
            return -EPIPE;
        }
        op->conn = c;
        memcpy(op->data, c->out.data + (c->out.len - from_out), from_out);
        if (from_data > 0) {
            memcpy(op->data + from_out, data + (len - from_data), from_data);
        }
        rest = uv_buf_init(op->data, (unsigned)(from_out + from_data));
        if (uv_write(&op->req, &c->io.stream, &rest, 1, write_cb) < 0) {
            free(op);
            http_conn_close(c, -ECONNRESET, false);
            return -EPIPE;
        }
    }
    c->out.len = 0;
    return 0;
}

void http_conn_flush(struct http_conn *c)
{
    list_remove(&c->dirty);
    if (c->closing) {
        return;
    }
    if (c->resume) {
        http_conn_resumed(c);
    }
    if (c->closing || send_now(c, NULL, 0) < 0) {
        return;
    }
    if (c->x.open && c->x.ended && uv_stream_get_write_queue_size(&c->io.stream) == 0) {
        http_conn_exchange_done(c);
    }
    if (!c->closing) {
        http_conn_update(c);
    }
}

static int put(struct http_conn *c, const char *data, size_t len)
{
    if (c->out.len + len > HTTP_COALESCE_BYTES) {
        return send_now(c, data, len);
    }
    if (buf_append(&c->out, data, len) < 0) {
        http_conn_close(c, -ENOMEM, true);
        return -EPIPE;
    }
    http_conn_mark(c);
    return 0;
}

/* --- head --------------------------------------------------------------------- */

static const char *date_of(struct http_server *s)
{
    uint64_t now_ms = uv_now(s->loop);

    if (s->date[0] == '\0' || now_ms - s->date_ms >= 500) {
        time_t now = time(NULL);
        struct tm tm;

        (void)gmtime_r(&now, &tm);
        (void)strftime(s->date, sizeof(s->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        s->date_ms = now_ms;
    }
    return s->date;
}

static int append_number(struct buf *b, const char *before, uint64_t n)
{
    char text[NUMBER_TEXT_SIZE];
    int rc = buf_append(b, before, strlen(before));

    return rc < 0 ? rc : buf_append(b, text, number_text(text, n));
}

static int append_status(struct http_conn *c, int status)
{
    struct buf *b = &c->out;
    int rc = append_number(b, "HTTP/1.1 ", (uint64_t)status);

    rc = rc < 0 ? rc : buf_append(b, " ", 1);
    rc = rc < 0 ? rc : buf_append_str(b, http_status_reason(status));
    rc = rc < 0 ? rc : buf_append_str(b, "\r\nDate: ");
    rc = rc < 0 ? rc : buf_append_str(b, date_of(c->server));
    return rc < 0 ? rc : buf_append(b, "\r\n", 2);
}

static int append_framing(struct http_exchange *x, int status, uint64_t body_len)
{
    struct http_conn *c = http_conn_of(x);
    bool old = http_exchange_is_http10(x);
    int rc = 0;

    if (status == 101) {
        return buf_append_str(&c->out, "Connection: Upgrade\r\n");
    }
    if (status >= 200 && status != 204 && body_len != HTTP_BODY_CHUNKED) {
        rc = append_number(&c->out, "Content-Length: ", body_len);
        rc = rc < 0 ? rc : buf_append(&c->out, "\r\n", 2);
    } else if (body_len == HTTP_BODY_CHUNKED && !x->no_body) {
        if (old) {
            c->close_after = true; /* HTTP/1.0: the end of the body is the connection's */
        } else {
            x->chunked = true;
            rc = buf_append_str(&c->out, "Transfer-Encoding: chunked\r\n");
        }
    }
    if (!c->in.keep_alive || c->server->draining || c->input_ended) {
        c->close_after = true;
    }
    if (rc == 0 && c->close_after) {
        rc = buf_append_str(&c->out, "Connection: close\r\n");
    } else if (rc == 0 && old) {
        rc = buf_append_str(&c->out, "Connection: keep-alive\r\n");
    }
    return rc;
}

int http_exchange_respond(struct http_exchange *x, int status,
                          struct http_headers headers, uint64_t body_len)
{
    struct http_conn *c = http_conn_of(x);
    size_t before = c->out.len;
    int rc;

    if (!x->open || c->closing || x->responded) {
        return -EPIPE;
    }
    if (status == 101 && http_exchange_upgrade(x).len == 0) {
        return -EINVAL;
    }
    x->no_body = status == 204 || status == 304 ||
                 (status != 101 && http_str_eq(http_exchange_method(x), "HEAD"));
    rc = append_status(c, status);
    for (size_t i = 0; rc == 0 && i < headers.n; i++) {
        rc = http_header_append(&c->out, &headers.list[i]);
    }
    rc = rc < 0 ? rc : append_framing(x, status, body_len);
    rc = rc < 0 ? rc : buf_append(&c->out, "\r\n", 2);
    if (rc < 0) {
        c->out.len = before;
        return rc;
    }
    x->responded = true;
    x->want_continue = false;
    x->left = body_len;
    if (status == 101) {
        http_tunnel_begin(c);
    }
    http_conn_mark(c);
    return 0;
}

/* --- body --------------------------------------------------------------------- */

int http_exchange_write(struct http_exchange *x, const void *data, size_t len)
{
    struct http_conn *c = http_conn_of(x);
    char size[24];

    if (!x->open || c->closing || !x->responded || x->ended) {
        return -EPIPE;
    }
    if (x->left != HTTP_BODY_CHUNKED) {
        if (len > x->left) {
            return -EMSGSIZE;
        }
        x->left -= len;
    }
    if (x->no_body || len == 0) {
        return 0;
    }
    if (x->chunked) {
        int n = snprintf(size, sizeof(size), "%zx\r\n", len);
        int rc = put(c, size, (size_t)n);

        rc = rc < 0 ? rc : put(c, data, len);
        return rc < 0 ? rc : put(c, "\r\n", 2);
    }
    if (x->tunnel) {
        http_tunnel_moved(c);
    }
    return put(c, data, len);
}

int http_exchange_end(struct http_exchange *x, struct http_headers trailers)
{
    struct http_conn *c = http_conn_of(x);
    int rc = 0;

    if (!x->open || c->closing || !x->responded || x->ended) {
        return -EPIPE;
    }
    if (!x->no_body && x->left != HTTP_BODY_CHUNKED && x->left > 0) {
        http_conn_close(c, -ECANCELED, true);
        return -EMSGSIZE;
    }
    if (x->chunked && !x->no_body) {
        rc = buf_append(&c->out, "0\r\n", 3);
        for (size_t i = 0; rc == 0 && i < trailers.n; i++) {
            rc = http_header_append(&c->out, &trailers.list[i]);
            rc = rc == -EINVAL ? 0 : rc; /* it is left out */
        }
        rc = rc < 0 ? rc : buf_append(&c->out, "\r\n", 2);
    }
    if (rc < 0) {
        http_conn_close(c, rc, true);
        return rc;
    }
    x->ended = true;
    http_conn_mark(c);
    /* There is no more to gather. One that is answered while its request is read may have
     * to do with others that wait longer: those go first. */
    return c->feeding ? 0 : send_now(c, NULL, 0);
}

int http_exchange_reply(struct http_exchange *x, int status, struct http_headers headers,
                        const void *body, size_t len)
{
    struct http_conn *c = http_conn_of(x);
    int rc;

    /* Said now: a client that took the connection for one to keep would lose its next
     * request on it. */
    c->close_after = c->close_after || http_conn_will_not_drain(c);
    rc = http_exchange_respond(x, status, headers, len);
    rc = rc < 0 ? rc : http_exchange_write(x, body, len);
    return rc < 0 ? rc : http_exchange_end(x, (struct http_headers){NULL, 0});
}

size_t http_exchange_pending(const struct http_exchange *x)
{
    const struct http_conn *c = container_of(x, const struct http_conn, x);

    return c->closing ? 0 : c->out.len + uv_stream_get_write_queue_size(&c->io.stream);
}

bool http_exchange_responded(const struct http_exchange *x)
{
    return x->responded;
}

void http_exchange_abort(struct http_exchange *x)
{
    http_conn_close(http_conn_of(x), -ECANCELED, true);
}

/* --- refusals ----------------------------------------------------------------- */

static int refusal_text(struct buf *b, int status, const char *reason)
{
    enum cause cause = status == 413   ? CAUSE_PAYLOAD_TOO_LARGE
                       : status == 503 ? CAUSE_NO_CAPACITY
                                       : CAUSE_BAD_REQUEST;
    char body[256];
    int len = snprintf(body, sizeof(body),
                       "{\"error\": {\"code\": \"%s\", \"message\": \"%.120s\"}}\n",
                       cause_name(cause), reason);

    return buf_printf(b,
                      "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
                      "X-Mayfly-Error: %s\r\nConnection: close\r\n"
                      "Content-Length: %d\r\n\r\n%s",
                      status, http_status_reason(status), cause_name(cause), len, body);
}

/* Answers what never became an exchange, or the exchange that is running, and ends the
 * connection after it. */
void http_conn_refuse(struct http_conn *c, int status, const char *reason)
{
    if (c->closing || (c->x.open && c->x.responded)) {
        http_conn_close(c, -EPROTO, true);
        return;
    }
    c->close_after = true;
    if (refusal_text(&c->out, status, reason) < 0) {
        http_conn_close(c, -ENOMEM, true);
        return;
    }
    if (!c->x.open) {
        c->x = (struct http_exchange){.open = true};
    }
    c->x.responded = c->x.ended = c->x.refused = true;
    http_conn_mark(c);
}
