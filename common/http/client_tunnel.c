/* A connection after `101 Switching Protocols`, seen by who asked for it. */
#include <errno.h>

#include "common/http/client_private.h"

/* RFC 9110 section 7.8: only to what the client has named, and only between messages. */
static bool was_asked(const struct http_call *call, struct http_headers headers)
{
    struct http_str protocol = http_headers_upgrade(headers);

    return call->upgrade != NULL && call->ended && list_empty(&call->conn->held) &&
           protocol.len > 0 && http_token_listed(http_str(call->upgrade), protocol);
}

bool client_tunnel_begin(struct client_conn *conn)
{
    struct http_call *call = conn->call;
    struct http_headers headers = http_message_headers(&conn->in);

    if (!was_asked(call, headers)) {
        return false;
    }
    conn->tunnel = true;
    conn->deadline_ms = 0;
    call->ended = false;
    if (call->ops.on_response != NULL) {
        call->ops.on_response(call, 101, headers, HTTP_BODY_CHUNKED);
    }
    return true;
}

void client_tunnel_feed(struct client_conn *conn, const char *data, size_t len)
{
    struct http_call *call = conn->call;

    if (len == 0) {
        return;
    }
    if (conn->in.paused) { /* came with the head of the response */
        if (buf_append(&conn->rest, data, len) < 0) {
            client_conn_close(conn, -ENOMEM);
        }
        return;
    }
    if (call->ops.on_body != NULL) {
        conn->feeding = true;
        call->ops.on_body(call, data, len);
        conn->feeding = false;
    }
}

static void shutdown_cb(uv_shutdown_t *req, int status)
{
}

void client_tunnel_shutdown(struct client_conn *conn)
{
    /* A failure is the reader's to tell. */
    (void)uv_shutdown(&conn->shutdown, &conn->io.stream, shutdown_cb);
}
