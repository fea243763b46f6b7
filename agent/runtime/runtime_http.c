/* http: a server on $PORT inside the sandbox, to which calls are proxied.
 *
 * Ready when its port accepts a connection; no request is made for it, since "/" may mean
 * anything (a CloudEvents target answers it with 500). Connections are kept for the next
 * call, but for less time than the usual servers keep theirs (gunicorn 2 s, Node and
 * uvicorn 5 s): a request must not meet a connection that is being closed. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/runtime/runtime_http.h"
#include "common/check.h"
#include "common/random.h"

#define KEEP_ALIVE_MS   1500
#define CONNECT_MS      5000
#define PROBE_MIN_MS    1
#define PROBE_MAX_MS    10
#define PROBE_ANSWER_MS 1000 /* a loopback answers at once, or is overrun */

static void probe_connect(struct runtime_instance *in);

/* --- readiness -------------------------------------------------------------------- */

static void probe_handle_closed(uv_handle_t *handle)
{
    instance_release(handle->data);
}

static void probe_unwatch(struct probe *p)
{
    if (p->poll_open) {
        p->poll_open = false;
        uv_close((uv_handle_t *)&p->poll, probe_handle_closed);
    }
}

static void probe_end(struct probe *p)
{
    p->over = true;
    probe_unwatch(p);
    if (p->timer_open) {
        p->timer_open = false;
        uv_close((uv_handle_t *)&p->timer, probe_handle_closed);
    }
    if (p->fd >= 0) {
        (void)close(p->fd);
        p->fd = -1;
    }
}

static void probe_socket_cb(void *data, int fd_or_error)
{
    struct runtime_instance *in = data;
    struct http_state *s = in->kind_state;
    struct probe *p = &s->probe;

    p->asked = false;
    if (p->over || in->phase != PHASE_INIT) {
        if (fd_or_error >= 0) {
            (void)close(fd_or_error);
        }
    } else if (fd_or_error < 0) {
        instance_fail(in, CAUSE_START_FAILED, "socket into the sandbox: %s",
                      strerror(-fd_or_error));
    } else {
        p->fd = fd_or_error;
        (void)fcntl(p->fd, F_SETFL, O_NONBLOCK);
        probe_connect(in);
    }
    instance_release(in);
}

static void probe_ask_socket(struct runtime_instance *in)
{
    struct http_state *s = in->kind_state;

    s->probe.asked = true;
    instance_hold(in);
    warden_socket(in->host->options.warden, in->sandbox_id, probe_socket_cb, in);
}

static void probe_timer_cb(uv_timer_t *timer)
{
    struct runtime_instance *in = timer->data;
    struct http_state *s = in->kind_state;

    if (s->probe.over || in->phase != PHASE_INIT) {
        return;
    }
    if (s->probe.poll_open) { /* no answer: another socket */
        probe_unwatch(&s->probe);
        (void)close(s->probe.fd);
        s->probe.fd = -1;
    }
    if (s->probe.fd >= 0) {
        probe_connect(in);
    } else if (!s->probe.asked) {
        probe_ask_socket(in);
    }
}

static void probe_result(struct runtime_instance *in, int error)
{
    struct http_state *s = in->kind_state;
    struct probe *p = &s->probe;

    probe_unwatch(p);
    if (error == 0) {
        probe_end(p);
        instance_ready(in);
        return;
    }
    if (error != ECONNREFUSED) { /* of no further use */
        (void)close(p->fd);
        p->fd = -1;
    }
    CHECK(uv_timer_start(&p->timer, probe_timer_cb,
                         backoff_next_ms(&p->backoff, random_u64()), 0) == 0);
}

static void probe_poll_cb(uv_poll_t *poll, int status, int events)
{
    struct runtime_instance *in = poll->data;
    struct http_state *s = in->kind_state;
    int error = 0;
    socklen_t len = sizeof(error);

    if (status < 0 || getsockopt(s->probe.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) {
        error = EIO;
    }
    probe_result(in, error);
}

static void probe_connect(struct runtime_instance *in)
{
    const struct sockaddr_in addr = {.sin_family = AF_INET,
                                     .sin_port = htons(RUNTIME_PORT),
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct http_state *s = in->kind_state;
    struct probe *p = &s->probe;
    int rc = connect(p->fd, (const struct sockaddr *)&addr, sizeof(addr));

    if (rc == 0 || errno != EINPROGRESS) {
        probe_result(in, rc == 0 ? 0 : errno);
        return;
    }
    if (uv_poll_init(in->host->loop, &p->poll, p->fd) < 0) {
        probe_result(in, EIO);
        return;
    }
    p->poll.data = in;
    p->poll_open = true;
    instance_hold(in);
    CHECK(uv_poll_start(&p->poll, UV_WRITABLE, probe_poll_cb) == 0);
    CHECK(uv_timer_start(&p->timer, probe_timer_cb, PROBE_ANSWER_MS, 0) == 0);
}

/* --- life ------------------------------------------------------------------------- */

struct http_socket_ask {
    struct http_state *state;
    void *request;
};

static void client_socket_cb(void *data, int fd_or_error)
{
    struct http_socket_ask *ask = data;

    http_client_socket(&ask->state->client, ask->request, fd_or_error);
    free(ask);
}

static void socket_get(struct http_client *c, void *request)
{
    struct http_state *s = c->data;
    struct http_socket_ask *ask = malloc(sizeof(*ask));

    if (ask == NULL) {
        http_client_socket(c, request, -ENOMEM);
        return;
    }
    *ask = (struct http_socket_ask){s, request};
    warden_socket(s->instance->host->options.warden, s->instance->sandbox_id,
                  client_socket_cb, ask);
}

static int http_open(struct runtime_instance *in)
{
    struct http_state *s = in->kind_state;
    const struct http_client_options options = {
        .host = "127.0.0.1",
        .port = RUNTIME_PORT,
        .socket_get = socket_get,
        .connect_timeout_ms = CONNECT_MS,
        .keep_alive_ms = KEEP_ALIVE_MS,
        .quick_ack = true,
        .scratch = in->host->http_scratch,
        .connections_max = in->config.spec->concurrency,
    };
    int rc;

    s->instance = in;
    s->client.data = s;
    rc = http_client_open(&s->client, in->host->loop, &options);
    if (rc < 0) {
        return rc;
    }
    s->client_open = true;
    s->probe.fd = -1;
    s->probe.backoff = (struct backoff){.min_ms = PROBE_MIN_MS, .max_ms = PROBE_MAX_MS};
    CHECK(uv_timer_init(in->host->loop, &s->probe.timer) == 0);
    s->probe.timer.data = in;
    s->probe.timer_open = true;
    instance_hold(in);
    return instance_run_main(in);
}

static void http_on_started(struct runtime_instance *in)
{
    probe_ask_socket(in);
}

static void http_on_message(struct runtime_instance *in, const struct init_message *m,
                            const char *text)
{
}

static void client_closed(struct http_client *c)
{
    struct http_state *s = c->data;

    instance_release(s->instance);
}

static void http_close(struct runtime_instance *in)
{
    struct http_state *s = in->kind_state;

    if (s->client_open) {
        probe_end(&s->probe);
        instance_hold(in);
        http_client_close(&s->client, client_closed);
        s->client_open = false;
    }
}

const struct kind kind_http = {
    .state_size = sizeof(struct http_state),
    .call_size = sizeof(struct http_runtime_call),
    .term_with_calls = true,
    .not_ready = "it does not listen on 127.0.0.1:$PORT",
    .open = http_open,
    .on_message = http_on_message,
    .on_started = http_on_started,
    .close = http_close,
    .call_start = http_runtime_call_start,
    .call_write = http_runtime_call_write,
    .call_end = http_runtime_call_end,
    .call_pending = http_runtime_call_pending,
    .call_pause = http_runtime_call_pause,
    .call_due = http_runtime_call_due,
    .call_outlives = http_runtime_call_outlives,
    .call_drop = http_runtime_call_drop,
};
