/* Connections that stop speaking HTTP: the server seen from a plain socket, and the
 * client against the server and against servers that do it wrong. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include "common/buf.h"
#include "common/http/http_client.h"
#include "http_server_child.h"

#define LIMIT_MS 10000
#define ASK \
    "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

static struct server_child server;

/* --- plain sockets ------------------------------------------------------------ */

static int dial(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(server.port)};
    struct timeval limit = {.tv_sec = LIMIT_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Until `until` was seen, or, if that is NULL, to the end. */
static void receive(int fd, struct buf *b, const char *until)
{
    char chunk[65536];
    ssize_t n = 1;

    assert_int_equal(buf_append(b, "", 0), 0);
    while ((until == NULL || b->len == 0 ||
            memmem(b->data, b->len, until, strlen(until)) == NULL) &&
           (n = recv(fd, chunk, sizeof(chunk), 0)) > 0) {
        assert_int_equal(buf_append(b, chunk, (size_t)n), 0);
    }
    assert_true(until == NULL ? n == 0 : n > 0);
}

static int next_note(void)
{
    struct pollfd p = {.fd = server.notes, .events = POLLIN};
    int status;

    assert_int_equal(poll(&p, 1, LIMIT_MS), 1);
    assert_int_equal(read(server.notes, &status, sizeof(status)), sizeof(status));
    return status;
}

static int switched(const char *with)
{
    struct buf b = {0};
    int fd = dial();

    send_text(fd, ASK);
    send_text(fd, with);
    receive(fd, &b, "\r\n\r\n");
    assert_memory_equal(b.data, "HTTP/1.1 101 Switching Protocols\r\n", 34);
    assert_non_null(memmem(b.data, b.len, "\r\nConnection: Upgrade\r\n", 23));
    assert_non_null(memmem(b.data, b.len, "\r\nUpgrade: echo\r\n", 17));
    assert_null(memmem(b.data, b.len, "Transfer-Encoding", 17));
    assert_null(memmem(b.data, b.len, "Content-Length", 14));
    if (*with != '\0') {
        receive(fd, &b, with);
    }
    buf_free(&b);
    return fd;
}

/* Bytes go both ways as they are; a FIN is answered with the other, and all is well. */
static void switches(void **state)
{
    struct buf b = {0};
    int fd = switched("");

    for (int i = 0; i < 3; i++) {
        send_text(fd, "GET / HTTP/1.1\r\n\r\n");
        receive(fd, &b, "GET / HTTP/1.1\r\n\r\n");
        b.len = 0;
    }
    send_text(fd, "last");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    receive(fd, &b, NULL);
    assert_int_equal(b.len, 4);
    assert_int_equal(next_note(), 0);
    (void)close(fd);
    buf_free(&b);
}

/* Nor is anything lost of what was sent together with the request. */
static void takes_what_came_along(void **state)
{
    (void)close(switched("early words"));
    assert_true(next_note() <= 0);
}

/* Who has not asked in full, gets an answer as ever, on a connection that is kept. */
static void switches_only_when_asked(void **state)
{
    static const char *const heads[] = {
        "GET /upgrade HTTP/1.1\r\nHost: a\r\n",
        "GET /upgrade HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n",
        "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n",
        "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
        "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"
        "Upgrade: echo\r\n",
        "POST /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"
        "Content-Length: 1\r\n",
    };
    int fd = dial();

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct buf b = {0};

        send_text(fd, heads[i]);
        send_text(fd, heads[i][0] == 'P' ? "\r\nx" : "\r\n");
        receive(fd, &b, "no: -22");
        assert_memory_equal(b.data, "HTTP/1.1 200 OK\r\n", 17);
        assert_int_equal(next_note(), 0);
        buf_free(&b);
    }
    (void)close(fd);
}

/* What nobody reads stops the one who sends, and is all there when somebody does. */
static void holds_back(void **state)
{
    static char block[65536];
    int fd = switched("");
    size_t sent = 0, seen = 0;
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    for (ssize_t n = 1; poll(&p, 1, 300) == 1;) {
        n = send(fd, block, sizeof(block), MSG_NOSIGNAL | MSG_DONTWAIT);
        assert_true(n > 0 || errno == EAGAIN);
        sent += n > 0 ? (size_t)n : 0;
        assert_true(sent < 256u << 20); /* it does not take for ever */
    }
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    for (ssize_t n; (n = recv(fd, block, sizeof(block), 0)) > 0;) {
        seen += (size_t)n;
    }
    assert_int_equal(seen, sent);
    assert_int_equal(next_note(), 0);
    (void)close(fd);
}

/* Nobody says anything, and nobody will. */
static void ends_when_idle(void **state)
{
    struct buf b = {0};
    int fd = switched("");

    for (int i = 0; i < 8; i++) { /* together longer than it may be idle */
        struct pollfd p = {.fd = fd, .events = POLLIN};

        (void)poll(&p, 1, 100);
        send_text(fd, "x");
        receive(fd, &b, "x");
        b.len = 0;
    }
    receive(fd, &b, NULL);
    assert_int_equal(b.len, 0);
    assert_int_equal(next_note(), -ETIMEDOUT);
    (void)close(fd);
    buf_free(&b);
}

static void notices_a_reset(void **state)
{
    const struct linger at_once = {.l_onoff = 1};
    int fd = switched("");

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    (void)close(fd);
    assert_int_equal(next_note(), -ECONNRESET);
}

/* --- the client ---------------------------------------------------------------- */

struct tunnel {
    uv_loop_t loop;
    struct http_client client;
    struct http_call *call;
    int code;
    int status;
    bool over;
    unsigned n_ends;
    bool pause; /* at the head */
    size_t to_send;
    struct buf body;
};

static void send_some(struct tunnel *t)
{
    static const char block[65536];

    while (t->to_send > 0 && http_call_pending(t->call) < 256 * 1024) {
        size_t n = t->to_send < sizeof(block) ? t->to_send : sizeof(block);

        assert_int_equal(http_call_write(t->call, block, n), 0);
        t->to_send -= n;
    }
    if (t->to_send == 0) {
        assert_int_equal(http_call_end(t->call, (struct http_headers){NULL, 0}), 0);
        assert_int_equal(http_call_write(t->call, "x", 1), -EPIPE);
        t->to_send = SIZE_MAX;
    }
}

static void on_response(struct http_call *call, int status, struct http_headers headers,
                        uint64_t content_length)
{
    struct tunnel *t = http_call_data(call);

    t->code = status;
    if (status == 101) {
        assert_non_null(http_headers_find(headers, "Upgrade"));
        if (t->pause) {
            http_call_pause(call);
        }
        send_some(t);
    }
}

static void on_body(struct http_call *call, const char *data, size_t len)
{
    struct tunnel *t = http_call_data(call);

    assert_int_equal(buf_append(&t->body, data, len), 0);
}

static void on_end(struct http_call *call, struct http_headers trailers)
{
    ((struct tunnel *)http_call_data(call))->n_ends++;
}

static void on_drain(struct http_call *call)
{
    struct tunnel *t = http_call_data(call);

    if (t->code == 101 && t->to_send != SIZE_MAX) {
        send_some(t);
    }
}

static void on_close(struct http_call *call, int status)
{
    struct tunnel *t = http_call_data(call);

    t->status = status;
    t->over = true;
}

static void ask(struct tunnel *t, uint16_t port, const char *protocol)
{
    static const struct http_call_ops ops = {.on_response = on_response,
                                             .on_body = on_body,
                                             .on_end = on_end,
                                             .on_drain = on_drain,
                                             .on_close = on_close};
    const struct http_client_options options = {.host = "127.0.0.1", .port = port};
    const struct http_header headers[] = {{HTTP_STR("Connection"), HTTP_STR("Upgrade")},
                                          {HTTP_STR("Upgrade"), http_str(protocol)}};
    struct http_headers h = {headers, protocol != NULL ? 2 : 0};

    assert_int_equal(uv_loop_init(&t->loop), 0);
    assert_int_equal(http_client_open(&t->client, &t->loop, &options), 0);
    assert_int_equal(http_call_start(&t->client, &t->call, HTTP_STR("GET"),
                                     HTTP_STR("/upgrade"), h, NULL, 0, &ops, t),
                     0);
}

static void finish(struct tunnel *t)
{
    (void)alarm(2 * LIMIT_MS / 1000); /* lost, it would keep the loop for ever */
    while (!t->over) {
        (void)uv_run(&t->loop, UV_RUN_ONCE);
    }
    (void)alarm(0);
    http_client_close(&t->client, NULL);
    (void)uv_run(&t->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&t->loop), 0);
}

/* Much data there and back, then both ends. */
static void the_client_switches(void **state)
{
    struct tunnel t = {.to_send = 20 << 20};

    ask(&t, server.port, "other, echo");
    finish(&t);
    assert_int_equal(t.code, 101);
    assert_int_equal(t.status, 0);
    assert_int_equal(t.n_ends, 1);
    assert_int_equal(t.body.len, 20 << 20);
    assert_int_equal(next_note(), 0);
    buf_free(&t.body);
}

/* A server that says `reply` to whatever it is asked, and ends. */
static pid_t canned(const char *reply, uint16_t *ret_port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char request[4096];
    pid_t pid;

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    *ret_port = ntohs(addr.sin_port);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

        (void)alarm(2 * LIMIT_MS / 1000);
        if (recv(conn, request, sizeof(request), 0) > 0) {
            (void)!send(conn, reply, strlen(reply), MSG_NOSIGNAL);
        }
        (void)shutdown(conn, SHUT_WR);
        while (recv(conn, request, sizeof(request), 0) > 0) {
        }
        _exit(0);
    }
    (void)close(fd);
    return pid;
}

static struct tunnel told(const char *protocol, const char *reply, bool pause)
{
    struct tunnel t = {.pause = pause, .status = 1};
    uint16_t port;
    pid_t pid = canned(reply, &port);

    ask(&t, port, protocol);
    if (pause) {
        while (t.code == 0 && !t.over) {
            (void)uv_run(&t.loop, UV_RUN_ONCE);
        }
        (void)uv_run(&t.loop, UV_RUN_NOWAIT);
        assert_int_equal(t.body.len, 0);
        assert_false(t.over);
        http_call_resume(t.call);
    }
    finish(&t);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return t;
}

#define SAYS_101 "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: "

/* A server that switches unasked, or to what was not asked for, is not followed. */
static void the_client_is_not_led_astray(void **state)
{
    assert_int_equal(told(NULL, SAYS_101 "echo\r\n\r\nhi", false).status, -EPROTO);
    assert_int_equal(told("echo", SAYS_101 "other\r\n\r\nhi", false).status, -EPROTO);
    assert_int_equal(told("echo", SAYS_101 "h2c\r\n\r\nhi", false).status, -EPROTO);
    assert_int_equal(told("h2c", SAYS_101 "h2c\r\n\r\nhi", false).status, -EPROTO);
    assert_int_equal(
        told("echo", "HTTP/1.1 101 Switching Protocols\r\n\r\nhi", false).status,
        -EPROTO);
}

/* What comes in one piece with the 101 is the tunnel's, also if it has to wait. */
static void the_client_takes_what_came_along(void **state)
{
    for (int pause = 0; pause < 2; pause++) {
        struct tunnel t = told("echo", SAYS_101 "ECHO\r\n\r\nhi there", pause == 1);

        assert_int_equal(t.code, 101);
        assert_int_equal(t.status, 0);
        assert_int_equal(t.n_ends, 1);
        assert_int_equal(t.body.len, 8);
        assert_memory_equal(t.body.data, "hi there", 8);
        buf_free(&t.body);
    }
}

static int setup(void **state)
{
    (void)signal(SIGPIPE, SIG_IGN);
    server_child_start(&server);
    return 0;
}

static int teardown(void **state)
{
    return server_child_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(switches),
        cmocka_unit_test(takes_what_came_along),
        cmocka_unit_test(switches_only_when_asked),
        cmocka_unit_test(holds_back),
        cmocka_unit_test(ends_when_idle),
        cmocka_unit_test(notices_a_reset),
        cmocka_unit_test(the_client_switches),
        cmocka_unit_test(the_client_is_not_led_astray),
        cmocka_unit_test(the_client_takes_what_came_along),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
