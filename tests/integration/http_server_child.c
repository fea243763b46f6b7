#include "http_server_child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/check.h"
#include "common/http/http_server.h"

struct handler {
    size_t body_len;
    size_t to_send;
    uv_timer_t timer;
    struct http_exchange *x;
};

static int notes_fd;

static void handler_free(uv_handle_t *timer)
{
    free(container_of((uv_timer_t *)timer, struct handler, timer));
}

static void on_close(struct http_exchange *x, int status)
{
    struct handler *h = http_exchange_data(x);

    CHECK(write(notes_fd, &status, sizeof(status)) == sizeof(status));
    uv_close((uv_handle_t *)&h->timer, handler_free);
}

static void reply(struct http_exchange *x, const char *text)
{
    struct http_header type = {HTTP_STR("Content-Type"), HTTP_STR("text/plain")};

    (void)http_exchange_reply(x, 200, (struct http_headers){&type, 1}, text,
                              strlen(text));
}

static void count_body(struct http_exchange *x, const char *data, size_t len)
{
    ((struct handler *)http_exchange_data(x))->body_len += len;
}

static void reply_len(struct http_exchange *x)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%zu",
                   ((struct handler *)http_exchange_data(x))->body_len);
    reply(x, text);
}

static void echo_body(struct http_exchange *x, const char *data, size_t len)
{
    (void)http_exchange_write(x, data, len);
    if (http_exchange_pending(x) > HTTP_HIGH_WATER) {
        http_exchange_pause(x);
    }
}

static void echo_end(struct http_exchange *x)
{
    (void)http_exchange_end(x, http_exchange_trailers(x));
}

static void send_big(struct http_exchange *x)
{
    static const char block[64 * 1024];
    struct handler *h = http_exchange_data(x);

    while (h->to_send > 0 && http_exchange_pending(x) < HTTP_HIGH_WATER) {
        if (http_exchange_write(x, block, sizeof(block)) < 0) {
            return;
        }
        h->to_send -= sizeof(block);
    }
    if (h->to_send == 0) {
        (void)http_exchange_end(x, (struct http_headers){NULL, 0});
    }
}

static void resume_cb(uv_timer_t *timer)
{
    http_exchange_resume(container_of(timer, struct handler, timer)->x);
}

static void late_cb(uv_timer_t *timer)
{
    reply(container_of(timer, struct handler, timer)->x, "late");
}

static void try_bad_header(struct http_exchange *x)
{
    struct http_header bad = {HTTP_STR("X-A"), HTTP_STR("b\r\nX-Evil: 1")};
    char text[32];
    int rc = http_exchange_respond(x, 200, (struct http_headers){&bad, 1}, 0);

    (void)snprintf(text, sizeof(text), "%d", rc);
    reply(x, text);
}

/* Says why not, if it cannot. */
static void try_upgrade(struct http_exchange *x)
{
    struct http_header upgrade = {HTTP_STR("Upgrade"), HTTP_STR("echo")};
    int rc = http_exchange_respond(x, 101, (struct http_headers){&upgrade, 1},
                                   HTTP_BODY_CHUNKED);
    char text[32];

    if (rc < 0) {
        (void)snprintf(text, sizeof(text), "no: %d", rc);
        reply(x, text);
    }
}

static void on_request(struct http_server *s, struct http_exchange *x)
{
    static const struct http_exchange_ops len_ops = {count_body, reply_len, NULL,
                                                     on_close};
    static const struct http_exchange_ops echo_ops = {echo_body, echo_end,
                                                      http_exchange_resume, on_close};
    static const struct http_exchange_ops big_ops = {NULL, NULL, send_big, on_close};
    static const struct http_exchange_ops slow_ops = {NULL, NULL, NULL, on_close};
    struct http_str path = http_exchange_path(x);
    struct handler *h = calloc(1, sizeof(*h));

    CHECK(h != NULL && uv_timer_init(s->loop, &h->timer) == 0);
    h->x = x;
    http_exchange_set(x, &len_ops, h);
    if (http_str_eq(path, "/echo")) {
        http_exchange_set(x, &echo_ops, h);
        (void)http_exchange_respond(x, 200, (struct http_headers){NULL, 0},
                                    HTTP_BODY_CHUNKED);
    } else if (http_str_eq(path, "/upgrade")) {
        http_exchange_set(x, &echo_ops, h);
        try_upgrade(x);
    } else if (http_str_eq(path, "/big")) {
        http_exchange_set(x, &big_ops, h);
        h->to_send = BIG_BYTES;
        (void)http_exchange_respond(x, 200, (struct http_headers){NULL, 0}, BIG_BYTES);
        send_big(x);
    } else if (http_str_eq(path, "/slow")) {
        http_exchange_set(x, &slow_ops, h);
    } else if (http_str_eq(path, "/late")) {
        http_exchange_set(x, &slow_ops, h);
        (void)uv_timer_start(&h->timer, late_cb, 700, 0);
    } else if (http_str_eq(path, "/limit")) {
        http_exchange_limit_body(x, 10);
    } else if (http_str_eq(path, "/pause")) {
        http_exchange_pause(x);
        (void)uv_timer_start(&h->timer, resume_cb, 30, 0);
    } else if (http_str_eq(path, "/early")) {
        reply(x, "early");
    } else if (http_str_eq(path, "/bad")) {
        try_bad_header(x);
    }
}

static void stop_cb(uv_poll_t *poll, int status, int events)
{
    http_server_close(poll->data, NULL);
    uv_close((uv_handle_t *)poll, NULL);
}

static int serve(int port_fd, int stop_fd)
{
    const struct http_server_options options = {
        .head_max_bytes = 8192,
        .headers_max = 20,
        .head_timeout_ms = 300,
        .body_timeout_ms = 300,
        .idle_timeout_ms = 600,
        .upgrade_idle_ms = 600,
        .on_request = on_request,
        .fin_is_gone = false,
        .fin_probe = true,
    };
    struct http_server server;
    uv_loop_t loop;
    uv_poll_t stop;
    uint16_t port;

    (void)signal(SIGPIPE, SIG_IGN);
    CHECK(uv_loop_init(&loop) == 0 && http_server_open(&server, &loop, &options) == 0);
    CHECK(http_server_listen_tcp(&server, "127.0.0.1", 0, &port, NULL) == 0);
    CHECK(write(port_fd, &port, sizeof(port)) == sizeof(port));
    CHECK(uv_poll_init(&loop, &stop, stop_fd) == 0);
    stop.data = &server;
    CHECK(uv_poll_start(&stop, UV_READABLE | UV_DISCONNECT, stop_cb) == 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

void server_child_start(struct server_child *s)
{
    int port[2], notes[2], stop[2];

    CHECK(pipe(port) == 0 && pipe(notes) == 0 && pipe(stop) == 0);
    s->pid = fork();
    CHECK(s->pid >= 0);
    if (s->pid == 0) {
        (void)close(stop[1]);
        (void)close(notes[0]);
        notes_fd = notes[1];
        exit(serve(port[1], stop[0]) == 0 ? 0 : 1);
    }
    (void)close(port[1]);
    (void)close(notes[1]);
    (void)close(stop[0]);
    s->notes = notes[0];
    s->stop = stop[1];
    CHECK(read(port[0], &s->port, sizeof(s->port)) == sizeof(s->port));
    (void)close(port[0]);
}

int server_child_stop(struct server_child *s)
{
    int status;

    (void)close(s->stop);
    CHECK(waitpid(s->pid, &status, 0) == s->pid);
    (void)close(s->notes);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
