/* A connection's writing side: what the kernel does not take at once is copied. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/http/client_private.h"
#include "common/http/stream.h"

struct write_op {
    uv_write_t req;
    struct client_conn *conn;
    char data[];
};

static void write_cb(uv_write_t *req, int status)
{
    struct write_op *op = container_of(req, struct write_op, req);
    struct client_conn *conn = op->conn;

    free(op);
    if (conn->state == CONN_CLOSING || status < 0) {
        return; /* the reader learns of it, after what the server still had to say */
    }
    if (conn->call != NULL && !conn->call->ended && conn->call->ops.on_drain != NULL &&
        uv_stream_get_write_queue_size(&conn->io.stream) <= 128 * 1024) {
        conn->call->ops.on_drain(conn->call);
    }
}

static int queue(struct client_conn *conn, const uv_buf_t *bufs, unsigned n, size_t taken)
{
    size_t total = 0, at = 0;
    struct write_op *op;
    uv_buf_t rest;

    for (unsigned i = 0; i < n; i++) {
        total += bufs[i].len;
    }
    if (taken == total) {
        return 0;
    }
    op = malloc(sizeof(*op) + total - taken);
    if (op == NULL) {
        return -ENOMEM;
    }
    op->conn = conn;
    for (unsigned i = 0; i < n; i++) {
        size_t skip = taken < bufs[i].len ? taken : bufs[i].len;

        if (bufs[i].len > skip) {
            memcpy(op->data + at, bufs[i].base + skip, bufs[i].len - skip);
        }
        at += bufs[i].len - skip;
        taken -= skip;
    }
    rest = uv_buf_init(op->data, (unsigned)at);
    if (uv_write(&op->req, &conn->io.stream, &rest, 1, write_cb) < 0) {
        free(op);
    }
    return 0;
}

int client_conn_send(struct client_conn *conn, const struct http_str *pieces, unsigned n)
{
    uv_buf_t bufs[1 + CLIENT_PIECES_MAX];
    unsigned n_bufs = 0;
    int taken = 0, rc;

    CHECK(n <= CLIENT_PIECES_MAX);
    if (!list_empty(&conn->held)) {
        list_remove(&conn->held);
        bufs[n_bufs++] = uv_buf_init(conn->call->out.data, (unsigned)conn->call->out.len);
    }
    for (unsigned i = 0; i < n; i++) {
        if (pieces[i].len > 0) {
            bufs[n_bufs++] =
                uv_buf_init((char *)(uintptr_t)pieces[i].at, (unsigned)pieces[i].len);
        }
    }
    for (unsigned i = 0; i < n_bufs; i++) {
        conn->n_sent += bufs[i].len;
    }
    conn->call->sent |= n_bufs > 0;
    if (n_bufs > 0 && uv_stream_get_write_queue_size(&conn->io.stream) == 0) {
        taken = http_stream_try_write(&conn->io.stream, bufs, n_bufs);
        if (taken < 0 && taken != UV_EAGAIN) {
            return 0; /* broken: the reader tells, perhaps with an early response */
        }
    }
    rc = queue(conn, bufs, n_bufs, taken > 0 ? (size_t)taken : 0);
    if (!conn->call->repeatable) {
        conn->call->out.len = 0;
    }
    return rc;
}

/* Requests that began in this turn of the loop, and whose body has not come yet. */
void client_send_held(struct http_client *c)
{
    while (!list_empty(&c->held)) {
        struct client_conn *conn = container_of(c->held.next, struct client_conn, held);

        if (client_conn_send(conn, NULL, 0) < 0) {
            client_conn_close(conn, -ENOMEM);
        }
    }
}
