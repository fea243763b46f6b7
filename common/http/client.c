/* The client's connections: their ends and time limits. How they are had:
 * client_connect.c; reading and writing on them: client_read.c, client_write.c. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http/client_heard.h"
#include "common/http/client_private.h"

#define SWEEP_MS 50

/* --- calls' ends -------------------------------------------------------------- */

static void client_gone(struct http_client *c)
{
    free(c->host_copy);
    free(c->path_copy);
    free(c->own_scratch);
    c->host_copy = c->path_copy = c->scratch = c->own_scratch = NULL;
    if (c->on_closed != NULL) {
        c->on_closed(c);
    }
}

static void deliver(struct http_client *c)
{
    while (!list_empty(&c->done)) {
        struct http_call *call = container_of(c->done.next, struct http_call, node);

        list_remove(&call->node);
        if (call->ops.on_close != NULL) {
            call->ops.on_close(call, call->status);
        }
        buf_free(&call->out);
        free(call->upgrade);
        free(call);
    }
}

static void flush(struct http_client *c)
{
    (void)uv_prepare_stop(&c->flush);
    (void)uv_check_stop(&c->polled);
    client_send_held(c);
    deliver(c);
}

static void flush_cb(uv_prepare_t *prepare)
{
    flush(container_of(prepare, struct http_client, flush));
}

/* What ended while the loop polled is told before timers run and anything is written:
 * what follows from it goes out with the rest, and a call's end is known before its
 * caller has the reply and sends the next request. */
static void polled_cb(uv_check_t *check)
{
    flush(container_of(check, struct http_client, polled));
}

void client_flush_soon(struct http_client *c)
{
    if (!uv_is_closing((uv_handle_t *)&c->flush)) {
        (void)uv_prepare_start(&c->flush, flush_cb);
        (void)uv_check_start(&c->polled, polled_cb);
    }
}

void client_call_finish(struct http_call *call, int status)
{
    struct http_client *c = call->client;

    if (call->finished) {
        return;
    }
    call->finished = true;
    call->status = status;
    call->conn = NULL;
    list_remove(&call->node);
    list_push_back(&c->done, &call->node);
    client_flush_soon(c);
}

/* --- connections' ends -------------------------------------------------------- */

static void handle_closed(struct http_client *c)
{
    c->n_handles--;
    if (c->closing && c->n_handles == 0) {
        deliver(c);
        client_gone(c);
    }
}

void client_conn_free(struct client_conn *conn)
{
    struct http_client *c = conn->client;

    list_remove(&conn->node);
    list_remove(&conn->held);
    http_message_free(&conn->in);
    buf_free(&conn->rest);
    free(conn);
    c->n_conns--;
    if (!c->closing) {
        client_next_waiting(c);
    }
    handle_closed(c);
}

static void conn_closed_cb(uv_handle_t *handle)
{
    client_conn_free(container_of(handle, struct client_conn, io.handle));
}

/* A kept-alive connection that the server closed meanwhile: once more on a new one. */
static bool retry(struct client_conn *conn, int status)
{
    struct http_call *call = conn->call;

    if (conn->n_calls == 0 || !call->repeatable || call->retried ||
        conn->client->closing || status == -ECANCELED || status == -ETIMEDOUT ||
        status == -EPROTO || !http_message_is_fresh(&conn->in)) {
        return false;
    }
    call->retried = true;
    call->sent = false;
    call->conn = NULL;
    return client_assign(call) == 0;
}

void client_conn_close(struct client_conn *conn, int status)
{
    if (conn->state == CONN_CLOSING) {
        return;
    }
    if (conn->call != NULL && !retry(conn, status)) {
        client_call_finish(conn->call, status);
    }
    conn->call = NULL;
    list_remove(&conn->held);
    http_message_stop(&conn->in);
    if (conn->state == CONN_IDLE) { /* until it is closed nobody may take it */
        list_remove(&conn->node);
        list_push_back(&conn->client->busy, &conn->node);
    }
    if (conn->state == CONN_SOCKET) { /* freed when its socket is answered */
        conn->state = CONN_CLOSING;
        return;
    }
    conn->state = CONN_CLOSING;
    uv_close(&conn->io.handle, conn_closed_cb);
}

static void conn_to_idle(struct client_conn *conn)
{
    struct http_client *c = conn->client;

    conn->state = CONN_IDLE;
    conn->n_calls++;
    conn->idle_since_us = clock_mono_us();
    conn->deadline_ms = uv_now(c->loop) + conn->keep_ms;
    list_remove(&conn->node);
    list_push_front(&c->idle, &conn->node); /* the hottest first */
    client_conn_update(conn);
    client_next_waiting(c);
}

void client_conn_finish(struct client_conn *conn)
{
    struct http_call *call = conn->call;
    bool reusable = conn->keep_ms > 0 && call->ended &&
                    (call->repeatable || call->out.len == 0) && conn->in.keep_alive &&
                    conn->rest.len == 0 && !conn->client->closing &&
                    uv_stream_get_write_queue_size(&conn->io.stream) == 0;

    conn->call = NULL;
    client_call_finish(call, 0);
    if (reusable) {
        http_message_reset(&conn->in);
        conn_to_idle(conn);
    } else {
        client_conn_close(conn, 0);
    }
}

/* --- client ------------------------------------------------------------------- */

static void sweep_list(struct list *conns, uint64_t now_ms)
{
    LIST_FOREACH_SAFE(it, conns)
    {
        struct client_conn *conn = container_of(it, struct client_conn, node);

        if (conn->deadline_ms != 0 && now_ms >= conn->deadline_ms) {
            client_conn_close(conn, conn->state == CONN_IDLE ? 0 : -ETIMEDOUT);
        }
    }
}

static void sweep_cb(uv_timer_t *timer)
{
    struct http_client *c = container_of(timer, struct http_client, sweep);
    uint64_t now_ms = uv_now(timer->loop);

    sweep_list(&c->idle, now_ms);
    sweep_list(&c->busy, now_ms);
    if (c->n_conns == 0) {
        (void)uv_timer_stop(timer);
    }
}

void client_watch_time(struct http_client *c)
{
    if (!uv_is_active((uv_handle_t *)&c->sweep)) {
        (void)uv_timer_start(&c->sweep, sweep_cb, SWEEP_MS, SWEEP_MS);
    }
}

int http_client_open(struct http_client *c, uv_loop_t *loop,
                     const struct http_client_options *options)
{
    *c = (struct http_client){.data = c->data, .options = *options, .loop = loop};
    if (c->options.connect_timeout_ms == 0) {
        c->options.connect_timeout_ms = 5000;
    }
    if (c->options.keep_alive_ms == 0) {
        c->options.keep_alive_ms = 60 * 1000;
    }
    if (c->options.connections_max == 0) {
        c->options.connections_max = 1024;
    }
    if (c->options.head_max_bytes == 0) {
        c->options.head_max_bytes = 64 * 1024;
    }
    list_init(&c->idle);
    list_init(&c->busy);
    list_init(&c->waiting);
    list_init(&c->done);
    list_init(&c->held);
    c->own_scratch = options->scratch == NULL ? malloc(HTTP_SCRATCH_BYTES) : NULL;
    c->scratch = options->scratch != NULL ? options->scratch : c->own_scratch;
    c->host_copy = strdup(options->host != NULL ? options->host : "127.0.0.1");
    c->path_copy = options->unix_path != NULL ? strdup(options->unix_path) : NULL;
    if (c->scratch == NULL || c->host_copy == NULL ||
        (options->unix_path != NULL && c->path_copy == NULL)) {
        free(c->own_scratch);
        free(c->host_copy);
        free(c->path_copy);
        return -ENOMEM;
    }
    c->options.host = c->host_copy;
    c->options.unix_path = c->path_copy;
    CHECK(uv_timer_init(loop, &c->sweep) == 0);
    CHECK(uv_prepare_init(loop, &c->flush) == 0);
    CHECK(uv_check_init(loop, &c->polled) == 0);
    c->n_handles = 3;
    return 0;
}

static void own_closed_cb(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

void http_client_probe(struct http_client *c)
{
    uv_os_fd_t fd;

    LIST_FOREACH(it, &c->busy)
    {
        const struct client_conn *conn = container_of(it, struct client_conn, node);

        if (conn->has_handle && c->options.unix_path == NULL &&
            uv_fileno(&conn->io.handle, &fd) == 0) {
            heard_probe(fd);
        }
    }
}

void http_client_close(struct http_client *c, void (*on_closed)(struct http_client *c))
{
    CHECK(!c->closing);
    c->closing = true;
    c->on_closed = on_closed;
    LIST_FOREACH_SAFE(it, &c->waiting)
    {
        client_call_finish(container_of(it, struct http_call, node), -ECANCELED);
    }
    LIST_FOREACH_SAFE(it, &c->idle)
    {
        client_conn_close(container_of(it, struct client_conn, node), 0);
    }
    LIST_FOREACH_SAFE(it, &c->busy)
    {
        client_conn_close(container_of(it, struct client_conn, node), -ECANCELED);
    }
    c->sweep.data = c->flush.data = c->polled.data = c;
    uv_close((uv_handle_t *)&c->sweep, own_closed_cb);
    uv_close((uv_handle_t *)&c->flush, own_closed_cb);
    uv_close((uv_handle_t *)&c->polled, own_closed_cb);
}
