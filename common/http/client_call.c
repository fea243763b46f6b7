/* A call: the request's framing, and what its owner may do with it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/http/client_private.h"
#include "common/zalloc.h"

#define ROOM_MORE 128 /* of a head: the version, Host and the body's length */

/* RFC 9110 section 9.2.2: may be sent again when nobody knows whether it was served. */
static bool is_idempotent(struct http_str method)
{
    static const char *const methods[] = {"GET",   "HEAD", "OPTIONS",
                                          "TRACE", "PUT",  "DELETE"};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (http_str_eq(method, methods[i])) {
            return true;
        }
    }
    return false;
}

static int append_host(struct buf *b, const struct http_client *c)
{
    const char *host = c->options.unix_path != NULL ? "localhost" : c->options.host;
    bool v6 = strchr(host, ':') != NULL;

    if (c->options.unix_path != NULL || c->options.port == 80) {
        return buf_printf(b, "Host: %s\r\n", host);
    }
    return buf_printf(b, v6 ? "Host: [%s]:%u\r\n" : "Host: %s:%u\r\n", host,
                      c->options.port);
}

static int append_headers(struct buf *b, struct http_headers headers)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < headers.n; i++) {
        rc = http_header_append(b, &headers.list[i]);
    }
    return rc;
}

static int build_head(struct http_call *call, struct http_str method,
                      struct http_str target, struct http_headers headers,
                      uint64_t body_len, bool has_body)
{
    struct buf *b = &call->out;
    int rc = buf_append(b, method.at, method.len);

    rc = rc < 0 ? rc : buf_append(b, " ", 1);
    rc = rc < 0 ? rc : buf_append(b, target.at, target.len);
    rc = rc < 0 ? rc : buf_append_str(b, " HTTP/1.1\r\n");
    if (rc == 0 && http_headers_find(headers, "Host") == NULL) {
        rc = append_host(b, call->client);
    }
    rc = rc < 0 ? rc : append_headers(b, headers);
    if (rc == 0 && body_len == HTTP_BODY_CHUNKED) {
        rc = buf_append_str(b, "Transfer-Encoding: chunked\r\n");
    } else if (rc == 0 && has_body) {
        rc = buf_printf(b, "Content-Length: %llu\r\n", (unsigned long long)body_len);
    }
    return rc < 0 ? rc : buf_append(b, "\r\n", 2);
}

int http_call_start(struct http_client *c, struct http_call **ret, struct http_str method,
                    struct http_str target, struct http_headers headers, const void *body,
                    uint64_t body_len, const struct http_call_ops *ops, void *data)
{
    struct http_call *call;
    bool has_body =
        body_len > 0 || http_str_eq(method, "POST") || http_str_eq(method, "PUT");
    size_t room = method.len + target.len + ROOM_MORE;
    int rc;

    if (!http_word_valid(method) || !http_word_valid(target)) {
        return -EINVAL;
    }
    for (size_t i = 0; i < headers.n; i++) {
        room += headers.list[i].name.len + headers.list[i].value.len + 4;
    }
    call = c->closing ? NULL : zalloc(sizeof(*call));
    if (call == NULL) {
        return c->closing ? -ECANCELED : -ENOMEM;
    }
    call->client = c;
    call->ops = *ops;
    call->data = data;
    call->head = http_str_eq(method, "HEAD");
    call->chunked = body_len == HTTP_BODY_CHUNKED;
    call->left = body_len;
    list_init(&call->node);
    if (http_headers_upgrade(headers).len > 0 && body_len == 0) {
        call->upgrade = http_str_dup(http_headers_upgrade(headers));
        if (call->upgrade == NULL) {
            free(call);
            return -ENOMEM;
        }
    }
    rc = buf_reserve(&call->out, room);
    rc = rc < 0 ? rc : build_head(call, method, target, headers, body_len, has_body);
    if (rc == 0 && body != NULL && body_len > 0) {
        rc = buf_append(&call->out, body, body_len);
    }
    if (body != NULL || body_len == 0) {
        call->ended = true;
        call->left = 0;
        call->repeatable = !c->options.no_repeat && is_idempotent(method);
    }
    if (rc == 0) {
        *ret = call; /* callbacks may come before this returns */
        rc = client_assign(call);
    }
    if (rc < 0) {
        buf_free(&call->out);
        free(call->upgrade);
        free(call);
        return rc;
    }
    client_watch_time(c);
    return 0;
}

void *http_call_data(const struct http_call *call)
{
    return call->data;
}

void http_call_hand_over(struct http_call *call, const struct http_call_ops *ops,
                         void *data)
{
    call->ops = *ops;
    call->data = data;
}

static int send_or_keep(struct http_call *call, const struct http_str *pieces, unsigned n)
{
    int rc = 0;

    if (call->conn != NULL && call->conn->state == CONN_ACTIVE) {
        return client_conn_send(call->conn, pieces, n);
    }
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        rc = buf_append(&call->out, pieces[i].at, pieces[i].len);
    }
    return rc;
}

static bool is_tunnel(const struct http_call *call)
{
    return call->conn != NULL && call->conn->tunnel;
}

int http_call_write(struct http_call *call, const void *data, size_t len)
{
    const struct http_str body = {data, len};
    char size[24];

    if (call->finished || call->ended) {
        return -EPIPE;
    }
    if (is_tunnel(call)) {
        return send_or_keep(call, &body, 1);
    }
    if (!call->chunked) {
        if (len > call->left) {
            return -EMSGSIZE;
        }
        call->left -= len;
        return len > 0 ? send_or_keep(call, &body, 1) : 0;
    }
    if (len == 0) {
        return 0;
    }
    (void)snprintf(size, sizeof(size), "%zx\r\n", len);
    return send_or_keep(
        call, (const struct http_str[]){http_str(size), body, HTTP_STR("\r\n")}, 3);
}

int http_call_end(struct http_call *call, struct http_headers trailers)
{
    struct buf b = {0};
    int rc = 0;

    if (call->finished || call->ended) {
        return -EPIPE;
    }
    if (is_tunnel(call)) {
        call->ended = true;
        client_tunnel_shutdown(call->conn);
        return 0;
    }
    if (!call->chunked) {
        if (call->left > 0) {
            http_call_cancel(call);
            return -EMSGSIZE;
        }
        call->ended = true;
        return 0;
    }
    rc = buf_append_str(&b, "0\r\n");
    for (size_t i = 0; rc == 0 && i < trailers.n; i++) {
        rc = http_header_append(&b, &trailers.list[i]);
        rc = rc == -EINVAL ? 0 : rc; /* it is left out */
    }
    rc = rc < 0 ? rc : buf_append(&b, "\r\n", 2);
    rc = rc < 0 ? rc : send_or_keep(call, &(struct http_str){b.data, b.len}, 1);
    buf_free(&b);
    call->ended = rc == 0;
    return rc;
}

bool http_call_was_sent(const struct http_call *call)
{
    return call->sent;
}

bool http_call_was_reset(const struct http_call *call)
{
    return call->reset;
}

bool http_call_was_unheard(const struct http_call *call)
{
    return call->unheard;
}

size_t http_call_pending(const struct http_call *call)
{
    if (call->conn != NULL && call->conn->state == CONN_ACTIVE) {
        return uv_stream_get_write_queue_size(&call->conn->io.stream) +
               (list_empty(&call->conn->held) ? 0 : call->out.len);
    }
    return call->out.len;
}

void http_call_pause(struct http_call *call)
{
    if (call->conn != NULL && call->conn->state == CONN_ACTIVE) {
        call->conn->in.paused = true;
        if (!call->conn->feeding) {
            client_conn_update(call->conn);
        }
    }
}

void http_call_resume(struct http_call *call)
{
    if (call->conn != NULL && call->conn->state == CONN_ACTIVE && call->conn->in.paused) {
        call->conn->in.paused = false;
        client_conn_resumed(call->conn);
    }
}

void http_call_cancel(struct http_call *call)
{
    if (call->finished) {
        return;
    }
    if (call->conn != NULL) {
        client_conn_close(call->conn, -ECANCELED);
    } else {
        client_call_finish(call, -ECANCELED);
    }
}
