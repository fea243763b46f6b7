/* How a call gets its connection: an idle one, a new one, or its turn in line. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http/client_heard.h"
#include "common/http/client_private.h"

#define FRESH_US 1000
#define HOLD_MAX (16 * 1024) /* larger is sent at once */

static void conn_begin(struct client_conn *conn)
{
    struct http_call *call = conn->call;
    uint32_t limit_ms = conn->client->options.response_timeout_ms;

    conn->state = CONN_ACTIVE;
    conn->n_before = conn->n_sent;
    conn->deadline_ms = limit_ms > 0 ? uv_now(conn->client->loop) + limit_ms : 0;
    list_push_back(&conn->client->held, &conn->held);
    if (call->out.len <= HOLD_MAX) {
        /* The first of the body may come before that. And what goes to one server goes at
         * once, when all has been read: it is woken once, not for each. */
        client_flush_soon(conn->client);
    } else if (client_conn_send(conn, NULL, 0) < 0) {
        client_conn_close(conn, -ENOMEM);
        return;
    }
    client_conn_update(conn);
    if (!call->ended && call->ops.on_drain != NULL) {
        call->ops.on_drain(call);
    }
}

static void connect_cb(uv_connect_t *req, int status)
{
    struct client_conn *conn = container_of(req, struct client_conn, connect);
    uv_os_fd_t fd;

    if (conn->state == CONN_CLOSING) {
        return;
    }
    if (status < 0) {
        client_conn_close(conn, status);
        return;
    }
    if (conn->client->options.unix_path == NULL) {
        (void)uv_tcp_nodelay(&conn->io.tcp, 1);
        if (uv_fileno(&conn->io.handle, &fd) == 0) {
            heard_limit(fd, conn->client->options.unacked_timeout_ms);
        }
    }
    conn_begin(conn);
}

static int conn_connect(struct client_conn *conn, int fd)
{
    struct http_client *c = conn->client;
    struct sockaddr_storage addr;
    int rc;

    conn->state = CONN_CONNECTING;
    if (c->options.unix_path != NULL) {
        rc = uv_pipe_init(c->loop, &conn->io.pipe, 0);
        CHECK(rc == 0);
        conn->has_handle = true;
        uv_pipe_connect(&conn->connect, &conn->io.pipe, c->options.unix_path, connect_cb);
        return 0;
    }
    rc = uv_tcp_init(c->loop, &conn->io.tcp);
    CHECK(rc == 0);
    conn->has_handle = true;
    if (fd >= 0) {
        rc = uv_tcp_open(&conn->io.tcp, fd);
        if (rc < 0) {
            (void)close(fd);
            return rc;
        }
    }
    if (uv_ip4_addr(c->options.host, c->options.port, (struct sockaddr_in *)&addr) < 0) {
        rc = uv_ip6_addr(c->options.host, c->options.port, (struct sockaddr_in6 *)&addr);
        if (rc < 0) {
            return rc;
        }
    }
    return uv_tcp_connect(&conn->connect, &conn->io.tcp, (struct sockaddr *)&addr,
                          connect_cb);
}

void http_client_socket(struct http_client *c, void *request, int fd_or_error)
{
    struct client_conn *conn = request;
    int rc;

    if (conn->state == CONN_CLOSING) { /* its call is gone */
        if (fd_or_error >= 0) {
            (void)close(fd_or_error);
        }
        client_conn_free(conn);
        return;
    }
    if (fd_or_error < 0) {
        struct http_call *call = conn->call;

        conn->call = NULL;
        client_call_finish(call, fd_or_error);
        client_conn_free(conn);
        return;
    }
    rc = conn_connect(conn, fd_or_error);
    if (rc < 0) {
        client_conn_close(conn, rc);
    }
}

static int conn_new(struct http_call *call)
{
    struct http_client *c = call->client;
    struct client_conn *conn = calloc(1, sizeof(*conn));
    int rc;

    if (conn == NULL) {
        return -ENOMEM;
    }
    conn->client = c;
    conn->call = call;
    list_init(&conn->held);
    conn->deadline_ms = uv_now(c->loop) + c->options.connect_timeout_ms;
    client_conn_reads(conn);
    call->conn = conn;
    list_push_back(&c->busy, &conn->node);
    c->n_conns++;
    c->n_handles++;
    if (c->options.socket_get != NULL) {
        conn->state = CONN_SOCKET;
        c->options.socket_get(c, conn);
        return 0;
    }
    rc = conn_connect(conn, -1);
    if (rc < 0) {
        client_conn_close(conn, rc);
    }
    return 0;
}

/* Has the server closed it since the loop last looked? A request sent on it would be
 * lost, and most must not be sent again. One that was kept open before, and had its last
 * reply this very moment, is not asked: that costs each call of a busy function a system
 * call, and a server that closes so soon says so in its reply. */
static bool still_open(const struct client_conn *conn)
{
    uv_os_fd_t fd;
    char byte;

    if (conn->n_calls > 1 && clock_mono_us() - conn->idle_since_us < FRESH_US) {
        return true; /* by the clock: the loop's time stands still while it is held up */
    }
    return uv_fileno(&conn->io.handle, &fd) == 0 &&
           recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static struct client_conn *take_idle(struct http_client *c)
{
    while (!list_empty(&c->idle)) {
        struct client_conn *conn = container_of(c->idle.next, struct client_conn, node);

        if (still_open(conn)) {
            list_remove(&conn->node);
            list_push_back(&c->busy, &conn->node);
            return conn;
        }
        client_conn_close(conn, 0);
    }
    return NULL;
}

int client_assign(struct http_call *call)
{
    struct http_client *c = call->client;
    struct client_conn *conn = call->retried ? NULL : take_idle(c);

    if (conn != NULL) {
        conn->call = call;
        call->conn = conn;
        conn_begin(conn);
        return 0;
    }
    if (c->n_conns >= c->options.connections_max) {
        list_push_back(&c->waiting, &call->node);
        return 0;
    }
    return conn_new(call);
}

void client_next_waiting(struct http_client *c)
{
    while (!list_empty(&c->waiting)) {
        struct http_call *call = container_of(c->waiting.next, struct http_call, node);
        bool full = c->n_conns >= c->options.connections_max;
        int rc;

        if (full && call->retried &&
            !list_empty(&c->idle)) { /* makes room for a new one */
            client_conn_close(container_of(c->idle.prev, struct client_conn, node), 0);
            return;
        }
        if (full && list_empty(&c->idle)) {
            return;
        }
        list_remove(&call->node);
        rc = client_assign(call);
        if (rc < 0) {
            client_call_finish(call, rc);
        }
    }
}
