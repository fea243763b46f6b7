/* A connection after `101 Switching Protocols`: bytes both ways, until one side ends. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/http/server_private.h"

#define HALF_MS 10000 /* for the answer to a client's FIN */
/* A client's host that is gone says nothing, ever: it is found out within a minute. */
#define PROBE_AFTER_S 30
#define PROBE_EVERY_S 10
#define PROBES        3

struct http_str http_exchange_upgrade(const struct http_exchange *x)
{
    if (http_exchange_is_http10(x) || http_exchange_content_length(x) > 0) {
        return HTTP_STR("");
    }
    return http_headers_upgrade(http_exchange_headers(x));
}

static void keep_alive(const struct http_conn *c)
{
    const int on = 1, after = PROBE_AFTER_S, every = PROBE_EVERY_S, n = PROBES;
    uv_os_fd_t fd;

    if (c->is_tcp && uv_fileno(&c->io.handle, &fd) == 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &after, sizeof(after));
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &n, sizeof(n));
    }
}

void http_tunnel_moved(struct http_conn *c)
{
    c->moved_ms = uv_now(c->server->loop);
}

void http_tunnel_begin(struct http_conn *c)
{
    c->x.tunnel = true;
    c->close_after = true;
    c->in.paused = false;
    c->resume = true; /* what the client has sent already comes from the flush */
    http_tunnel_moved(c);
    keep_alive(c);
}

static void deliver(struct http_conn *c, const char *data, size_t len)
{
    struct http_exchange *x = &c->x;

    if (len > 0 && !c->closing && x->open && !x->ended && x->ops.on_body != NULL) {
        http_tunnel_moved(c);
        c->feeding = true;
        x->ops.on_body(x, data, len);
        c->feeding = false;
    }
}

void http_tunnel_feed(struct http_conn *c, const char *data, size_t len)
{
    struct buf rest = c->rest;

    if (rest.len > 0) { /* from before it was a tunnel; nothing was read since */
        c->rest = (struct buf){0};
        deliver(c, rest.data, rest.len);
        buf_free(&rest);
    }
    deliver(c, data, len);
}

void http_tunnel_ended(struct http_conn *c)
{
    struct http_exchange *x = &c->x;

    c->half_ms = uv_now(c->server->loop);
    if (!x->ended && x->ops.on_end != NULL) {
        x->ops.on_end(x);
    }
}

void http_tunnel_sweep(struct http_conn *c, uint64_t now_ms)
{
    if (c->closing || !c->x.tunnel || !c->x.open) {
        return;
    }
    if (c->input_ended && now_ms >= c->half_ms + HALF_MS) {
        http_conn_close(c, -ECONNRESET, false);
    } else if (now_ms >= c->moved_ms + c->server->options.upgrade_idle_ms) {
        http_conn_close(c, -ETIMEDOUT, false);
    }
}
