/* The HTTP client against servers that our own server cannot play. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include "common/http/http_client.h"
#include "common/list.h"

#define LIMIT_MS 10000

/* --- a server that says one thing ---------------------------------------------- */

struct canned {
    pid_t pid;
    uint16_t port;
};

/* Answers each request, whatever it is, with `reply`, and leaves the connection open. */
__attribute__((noreturn)) static void serve(int listener, const char *reply)
{
    char request[4096];
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    (void)alarm(2 * LIMIT_MS / 1000);
    while (fd >= 0 && recv(fd, request, sizeof(request), 0) > 0 &&
           send(fd, reply, strlen(reply), MSG_NOSIGNAL) > 0) {
    }
    _exit(0);
}

static int listen_somewhere(uint16_t *ret_port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    *ret_port = ntohs(addr.sin_port);
    return fd;
}

static struct canned canned_start(const char *reply)
{
    struct canned c;
    int fd = listen_somewhere(&c.port);

    c.pid = fork();
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        serve(fd, reply);
    }
    (void)close(fd);
    return c;
}

static void canned_stop(const struct canned *c)
{
    (void)kill(c->pid, SIGKILL);
    assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
}

/* --- a call on it ----------------------------------------------------------------- */

struct fetch {
    uv_loop_t *loop;
    int code;
    int status; /* on_close's */
    uint64_t announced;
    size_t body_bytes;
};

static void on_response(struct http_call *call, int status, struct http_headers headers,
                        uint64_t content_length)
{
    struct fetch *f = http_call_data(call);

    f->code = status;
    f->announced = content_length;
}

static void on_body(struct http_call *call, const char *data, size_t len)
{
    ((struct fetch *)http_call_data(call))->body_bytes += len;
}

static void on_close(struct http_call *call, int status)
{
    struct fetch *f = http_call_data(call);

    f->status = status;
    uv_stop(f->loop);
}

static struct fetch fetch(const char *reply)
{
    static const struct http_call_ops ops = {
        .on_response = on_response, .on_body = on_body, .on_close = on_close};
    struct canned server = canned_start(reply);
    struct http_client_options options = {.host = "127.0.0.1",
                                          .port = server.port,
                                          .response_timeout_ms = LIMIT_MS,
                                          .idle_timeout_ms = LIMIT_MS};
    struct http_client client;
    struct http_call *call;
    uv_loop_t loop;
    struct fetch f = {.loop = &loop, .status = 1};

    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(http_client_open(&client, &loop, &options), 0);
    assert_int_equal(http_call_start(&client, &call, HTTP_STR("GET"), HTTP_STR("/"),
                                     (struct http_headers){NULL, 0}, NULL, 0, &ops, &f),
                     0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    http_client_close(&client, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    canned_stop(&server);
    return f;
}

/* --- a call just when the server has closed ---------------------------------------- */

struct second {
    struct fetch f; /* first: it is the call's data */
    struct http_client client;
    uv_check_t check;
    int closed; /* the server writes a byte when it has closed a connection */
    unsigned n_ended;
    unsigned n_begun;
    const char *method;
    bool unread;
};

static void second_begin(struct second *s);

static void second_close(struct http_call *call, int status)
{
    struct second *s = http_call_data(call);
    char byte;

    s->f.status = status;
    s->n_ended++;
    if (s->n_ended == 2) {
        (void)uv_check_stop(&s->check);
        uv_stop(s->f.loop);
    } else {
        assert_int_equal(read(s->closed, &byte, 1), 1);
        if (s->unread) {
            second_begin(s);
        }
    }
}

static void second_begin(struct second *s)
{
    static const struct http_call_ops ops = {.on_response = on_response,
                                             .on_close = second_close};
    struct http_call *call;

    s->n_begun++;
    assert_int_equal(http_call_start(&s->client, &call, http_str(s->method),
                                     HTTP_STR("/"), (struct http_headers){NULL, 0}, NULL,
                                     0, &ops, s),
                     0);
}

/* Comes after the turn's reading, and before what was closed in it is gone. */
static void second_check(uv_check_t *check)
{
    struct second *s = container_of(check, struct second, check);

    if (s->n_ended == 1 && s->n_begun == 1) {
        second_begin(s);
    }
}

/* Answers one request a connection, which it does not say, and closes it. */
__attribute__((noreturn)) static void serve_and_close(int listener, int closed)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    char request[4096];
    int fd;

    (void)alarm(2 * LIMIT_MS / 1000);
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        if (recv(fd, request, sizeof(request), 0) > 0) {
            (void)!send(fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL);
        }
        (void)close(fd);
        (void)!write(closed, "x", 1);
    }
    _exit(0);
}

/* Two calls on that server. The second, which must end well, is begun in the turn in
 * which the end of the first one's connection was read, or before it was. */
static void two_calls(const char *method, bool unread)
{
    struct canned server;
    int listener = listen_somewhere(&server.port);
    struct http_client_options options = {
        .host = "127.0.0.1", .port = server.port, .response_timeout_ms = LIMIT_MS};
    struct second s = {.f = {.status = 1}, .method = method, .unread = unread};
    uv_loop_t loop;
    int closed[2];

    assert_int_equal(pipe2(closed, O_CLOEXEC), 0);
    server.pid = fork();
    assert_true(server.pid >= 0);
    if (server.pid == 0) {
        serve_and_close(listener, closed[1]);
    }
    s.f.loop = &loop;
    s.closed = closed[0];
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_check_init(&loop, &s.check), 0);
    assert_int_equal(uv_check_start(&s.check, second_check), 0);
    assert_int_equal(http_client_open(&s.client, &loop, &options), 0);
    (void)alarm(LIMIT_MS / 1000); /* lost, it would keep the loop for ever */
    second_begin(&s);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)alarm(0);
    assert_int_equal(s.n_ended, 2);
    assert_int_equal(s.f.status, 0);
    assert_int_equal(s.f.code, 200);
    http_client_close(&s.client, NULL);
    uv_close((uv_handle_t *)&s.check, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    canned_stop(&server);
    (void)close(listener);
    (void)close(closed[0]);
    (void)close(closed[1]);
}

/* --- a server that takes a request and goes away without a word ----------------------
 */

/* The first connection: one reply, then a request that gets none. Later ones: replies. A
 * byte for each request that came. */
__attribute__((noreturn)) static void serve_and_lose(int listener, int requests)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    char request[4096];
    int fd, n = 0;

    (void)alarm(2 * LIMIT_MS / 1000);
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        while (recv(fd, request, sizeof(request), 0) > 0) {
            (void)!write(requests, "x", 1);
            if (++n == 2) {
                break;
            }
            (void)!send(fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL);
        }
        (void)close(fd);
    }
    _exit(0);
}

struct lost {
    struct fetch f; /* first: it is the calls' data */
    unsigned n_ended;
};

static void lost_close(struct http_call *call, int status)
{
    struct lost *l = http_call_data(call);

    l->f.status = status;
    l->n_ended++;
    uv_stop(l->f.loop);
}

/* Two calls one after the other on one connection. How the second ended; *ret_requests:
 * how many the server has seen. */
static int second_is_lost(const char *method, bool no_repeat, ssize_t *ret_requests)
{
    static const struct http_call_ops ops = {.on_response = on_response,
                                             .on_close = lost_close};
    struct canned server;
    int listener = listen_somewhere(&server.port), requests[2];
    struct http_client_options options = {.host = "127.0.0.1",
                                          .port = server.port,
                                          .response_timeout_ms = LIMIT_MS,
                                          .no_repeat = no_repeat};
    struct http_client client = {0};
    struct http_call *call;
    uv_loop_t loop;
    struct lost l = {.f = {.loop = &loop, .status = 1}};
    char bytes[8];

    assert_int_equal(pipe2(requests, O_CLOEXEC), 0);
    server.pid = fork();
    assert_true(server.pid >= 0);
    if (server.pid == 0) {
        serve_and_lose(listener, requests[1]);
    }
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(http_client_open(&client, &loop, &options), 0);
    for (unsigned n = 1; n <= 2; n++) {
        assert_int_equal(http_call_start(&client, &call, http_str(method), HTTP_STR("/"),
                                         (struct http_headers){NULL, 0}, "body", 4, &ops,
                                         &l),
                         0);
        while (l.n_ended < n) {
            (void)uv_run(&loop, UV_RUN_ONCE);
        }
    }
    http_client_close(&client, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    canned_stop(&server);
    *ret_requests = read(requests[0], bytes, sizeof(bytes));
    (void)close(requests[0]);
    (void)close(requests[1]);
    (void)close(listener);
    return l.f.status;
}

/* --- tests ------------------------------------------------------------------------ */

/* A 304 is whole with its head: its Content-Length is that of what was not sent. */
static void not_modified_has_no_body(void **state)
{
    struct fetch f =
        fetch("HTTP/1.1 304 Not Modified\r\nContent-Length: 300\r\nETag: \"x\"\r\n\r\n");
    (void)state;

    assert_int_equal(f.status, 0);
    assert_int_equal(f.code, 304);
    assert_int_equal(f.announced, 0);
}

/* Nor has a 204; what comes behind it belongs to nobody. */
static void no_content_has_no_body(void **state)
{
    struct fetch f = fetch("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc");
    (void)state;

    assert_int_equal(f.status, 0);
    assert_int_equal(f.code, 204);
    assert_int_equal(f.body_bytes, 0);
}

/* Interim responses are passed over, with a length that they must not have too. */
static void interim_responses_are_passed_over(void **state)
{
    struct fetch f = fetch("HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n"
                           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    (void)state;

    assert_int_equal(f.status, 0);
    assert_int_equal(f.code, 200);
    assert_int_equal(f.body_bytes, 2);
}

/* A length that stands for "unknown" in here is no length. */
static void greatest_length_is_refused(void **state)
{
    struct fetch f =
        fetch("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nabc");
    (void)state;

    assert_int_equal(f.status, -EPROTO);
    assert_int_equal(f.code, 0);
}

/* A kept connection that the server has closed is nobody's from then on, even if it is
 * not gone yet: a call that took it would never end. */
static void closed_connection_is_not_taken(void **state)
{
    (void)state;

    two_calls("GET", false);
}

/* What the server may have done already is not asked of it again: only a method that may
 * be repeated is, and that only where its user wants it. */
static void only_idempotent_requests_are_repeated(void **state)
{
    ssize_t requests;
    (void)state;

    assert_int_equal(second_is_lost("POST", false, &requests), -ECONNRESET);
    assert_int_equal(requests, 2);
    assert_int_equal(second_is_lost("PUT", false, &requests), 0);
    assert_int_equal(requests, 3);
    assert_int_equal(second_is_lost("PUT", true, &requests), -ECONNRESET);
    assert_int_equal(requests, 2);
}

/* Answers a request, and waits for the client to close: else it ends by SIGALRM. */
__attribute__((noreturn)) static void serve_and_wait(int listener, const char *reply)
{
    char request[4096];
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    (void)alarm(LIMIT_MS / 1000);
    if (recv(fd, request, sizeof(request), 0) > 0) {
        (void)!send(fd, reply, strlen(reply), MSG_NOSIGNAL);
    }
    _exit(recv(fd, request, sizeof(request), 0) == 0 ? 0 : 1);
}

/* Does the client, which keeps connections for a minute, close this one much earlier? */
static bool leaves_early(const char *reply)
{
    static const struct http_call_ops ops = {.on_response = on_response,
                                             .on_close = lost_close};
    struct canned server;
    int listener = listen_somewhere(&server.port), status = 0;
    struct http_client_options options = {.host = "127.0.0.1", .port = server.port};
    struct http_client client = {0};
    struct http_call *call;
    uv_loop_t loop;
    struct lost l = {.f = {.loop = &loop, .status = 1}};

    server.pid = fork();
    assert_true(server.pid >= 0);
    if (server.pid == 0) {
        serve_and_wait(listener, reply);
    }
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(http_client_open(&client, &loop, &options), 0);
    assert_int_equal(http_call_start(&client, &call, HTTP_STR("GET"), HTTP_STR("/"),
                                     (struct http_headers){NULL, 0}, NULL, 0, &ops, &l),
                     0);
    while (l.n_ended == 0 || waitpid(server.pid, &status, WNOHANG) == 0) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        (void)usleep(1000);
    }
    assert_int_equal(l.f.status, 0);
    http_client_close(&client, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    (void)close(listener);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A server that says how long it keeps a connection is left before that: a request that
 * meets the end of the time would be lost. */
static void keeps_connections_as_long_as_it_may(void **state)
{
    (void)state;
    assert_true(leaves_early("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                             "Keep-Alive: timeout=1\r\n\r\n"));
    assert_true(leaves_early("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                             "keep-alive: max=9, timeout=0\r\n\r\n"));
}

/* A connection that was closed while the loop looked elsewhere is found out before a
 * request is lost on it. */
static void closed_connection_is_found_out(void **state)
{
    (void)state;

    two_calls("POST", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_modified_has_no_body),
        cmocka_unit_test(no_content_has_no_body),
        cmocka_unit_test(interim_responses_are_passed_over),
        cmocka_unit_test(greatest_length_is_refused),
        cmocka_unit_test(closed_connection_is_not_taken),
        cmocka_unit_test(only_idempotent_requests_are_repeated),
        cmocka_unit_test(closed_connection_is_found_out),
        cmocka_unit_test(keeps_connections_as_long_as_it_may),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
