/* The HTTP server seen from a plain socket, and the client against the server. */
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
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include "common/buf.h"
#include "common/http/http_client.h"
#include "http_server_child.h"

static struct server_child server;

/* --- plain sockets ------------------------------------------------------------ */

static int dial(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(server.port)};
    struct timeval limit = {.tv_sec = 10};
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

/* All until the server ends the connection, or until `until` was seen. */
static char *receive(int fd, const char *until)
{
    struct buf b = {0};
    char chunk[65536];
    ssize_t n;

    assert_int_equal(buf_append(&b, "", 0), 0);
    while ((n = recv(fd, chunk, sizeof(chunk), 0)) > 0) {
        assert_int_equal(buf_append(&b, chunk, (size_t)n), 0);
        if (until != NULL && memmem(b.data, b.len, until, strlen(until)) != NULL) {
            break;
        }
    }
    assert_true(n >= 0 || errno == ECONNRESET);
    return b.data != NULL ? b.data : strdup("");
}

static int next_note(void)
{
    struct pollfd p = {.fd = server.notes, .events = POLLIN};
    int status;

    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_int_equal(read(server.notes, &status, sizeof(status)), sizeof(status));
    return status;
}

/* Those that a test does not look at one by one. */
static void drop_notes(void)
{
    struct pollfd p = {.fd = server.notes, .events = POLLIN};

    while (poll(&p, 1, 0) == 1) {
        (void)next_note();
    }
}

/* Sends it, ends the sending side, and gives all that comes back. */
static char *exchange(const char *request)
{
    int fd = dial();
    char *text;

    send_text(fd, request);
    (void)shutdown(fd, SHUT_WR);
    text = receive(fd, NULL);
    (void)close(fd);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        print_error("no \"%s\" in:\n%s\n", part, text);
        fail();
    }
}

/* The body of a chunked response, without the chunks' framing. */
static void unchunk(const char *text, char *ret)
{
    const char *at = strstr(text, "\r\n\r\n");
    unsigned long len;
    char *end;

    assert_non_null(at);
    for (at += 4; (len = strtoul(at, &end, 16)) > 0; at = end + 2 + len + 2) {
        memcpy(ret, end + 2, len);
        ret += len;
    }
    *ret = '\0';
}

/* --- tests -------------------------------------------------------------------- */

/* A request with a length, one with chunks, and one without a body, on one connection and
 * sent at once: three answers in order. */
static void answers_pipelined(void **state)
{
    char *text =
        exchange("POST /len HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
                 "POST /len HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nabc\r\n0\r\n\r\n"
                 "GET /len HTTP/1.1\r\nHost: a\r\n\r\n");
    char *at = text;
    (void)state;

    for (const char *const *part =
             (const char *[]){"\r\n\r\n5", "\r\n\r\n3", "\r\n\r\n0", NULL};
         *part != NULL; part++) {
        at = strstr(at, *part);
        assert_non_null(at);
        assert_int_equal(next_note(), 0);
    }
    free(text);
}

/* A request that comes byte by byte is the same request. */
static void takes_single_bytes(void **state)
{
    const char *request =
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n";
    int fd = dial();
    char *text, body[64];
    (void)state;

    for (const char *c = request; *c != '\0'; c++) {
        assert_int_equal(send(fd, c, 1, MSG_NOSIGNAL), 1);
    }
    text = receive(fd, "X-T: 1\r\n\r\n");
    unchunk(text, body); /* in how many chunks it is echoed is a matter of time */
    assert_string_equal(body, "abc");
    assert_has(text, "0\r\nX-T: 1\r\n\r\n");
    free(text);
    (void)close(fd);
    assert_int_equal(next_note(), 0);
}

/* What two parsers could read differently is refused, and nothing behind it is served. */
static void refuses_the_ambiguous(void **state)
{
    static const char *const requests[] = {
        "POST /len HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: "
        "4\r\n\r\nabcd",
        "POST /len HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
        "POST /len HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        "POST /len HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n",
        "POST /len HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
        "chunked\r\n"
        "\r\n0\r\n\r\n",
        "POST /len HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: "
        "3\r\n"
        "\r\n0\r\n\r\n",
        "POST /len HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /len HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /len HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /len HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /len HTTP/1.1\nHost: a\n\nx\r\n\r\n",
        "GET /len HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        "GET /len HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        "GET /len HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "GET /len HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n",
        "GET /len HTTP/1.1\r\n\r\n",
        "GET /len HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /len HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /len HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
        "GET /len HTTP/1.1\r\nHost: a\r\nX\x7f: y\r\n\r\n",
        "GET  /len HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /len HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n",
        "POST /len HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        "POST /len HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "ffffffffffffffffff\r\n\r\n",
        "POST /len HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
        "chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
        "POST /len HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
        "chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GARBAGE\r\n\r\n",
    };
    (void)state;

    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct buf b = {0};
        char *text;

        assert_int_equal(buf_append_str(&b, requests[i]), 0);
        assert_int_equal(buf_append_str(&b, "GET /behind HTTP/1.1\r\nHost: a\r\n\r\n"),
                         0);
        text = exchange(b.data);
        if (strncmp(text, "HTTP/1.1 400 ", 13) != 0 ||
            strstr(text + 1, "HTTP/1.1 ") != NULL) {
            print_error("request %zu was answered with:\n%s\n", i, text);
            fail();
        }
        assert_has(text, "\"code\": \"bad_request\"");
        free(text);
        buf_free(&b);
    }
    drop_notes();
}

/* Limits: a head too large or with too many headers is 431, a body too large 413. */
static void has_limits(void **state)
{
    struct buf b = {0};
    char *text;
    int note;
    (void)state;

    assert_int_equal(buf_append_str(&b, "GET /len HTTP/1.1\r\nHost: a\r\n"), 0);
    for (int i = 0; i < 25; i++) {
        assert_int_equal(buf_printf(&b, "X-%d: y\r\n", i), 0);
    }
    assert_int_equal(buf_append_str(&b, "\r\n"), 0);
    text = exchange(b.data);
    assert_has(text, "HTTP/1.1 431 ");
    free(text);
    b.len = 0;
    assert_int_equal(buf_append_str(&b, "GET /len HTTP/1.1\r\nHost: a\r\nX: "), 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(buf_append_str(&b, "0123456789"), 0);
    }
    assert_int_equal(buf_append_str(&b, "\r\n\r\n"), 0);
    text = exchange(b.data);
    assert_has(text, "HTTP/1.1 431 ");
    free(text);
    buf_free(&b);

    text = exchange(
        "POST /limit HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n01234567890");
    assert_has(text, "HTTP/1.1 413 ");
    free(text);
    note = next_note();
    assert_int_equal(note, -EPROTO);
    text =
        exchange("POST /limit HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n");
    assert_has(text, "HTTP/1.1 413 ");
    free(text);
    assert_int_equal(next_note(), -EPROTO);
}

/* `Expect: 100-continue` is answered before the body is sent. */
static void says_continue(void **state)
{
    int fd = dial();
    char *text;
    (void)state;

    send_text(fd, "POST /len HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                  "Expect: 100-continue\r\n\r\n");
    text = receive(fd, "\r\n\r\n");
    assert_has(text, "HTTP/1.1 100 Continue\r\n\r\n");
    free(text);
    send_text(fd, "abc");
    text = receive(fd, "\r\n\r\n3");
    assert_has(text, "HTTP/1.1 200 OK\r\n");
    free(text);
    (void)close(fd);
    assert_int_equal(next_note(), 0);
}

/* Time limits: a head that never ends is 408, so is a body; an idle connection is closed.
 */
static void has_time_limits(void **state)
{
    int fd = dial();
    char *text;
    (void)state;

    send_text(fd, "GET /len HTT");
    text = receive(fd, NULL);
    assert_has(text, "HTTP/1.1 408 ");
    free(text);
    (void)close(fd);

    fd = dial();
    send_text(fd, "POST /len HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    text = receive(fd, NULL);
    assert_has(text, "HTTP/1.1 408 ");
    free(text);
    (void)close(fd);
    assert_int_equal(next_note(), -EPROTO);

    fd = dial();
    text = receive(fd, NULL);
    assert_string_equal(text, "");
    free(text);
    (void)close(fd);
}

/* A caller that resets the connection is noticed while the handler works. */
static void notices_a_reset(void **state)
{
    struct linger now = {.l_onoff = 1};
    int fd = dial();
    (void)state;

    send_text(fd, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    (void)usleep(20 * 1000); /* so that the request is seen first */
    (void)close(fd);
    assert_int_equal(next_note(), -ECONNRESET);
}

/* A caller that only ends its sending side gets its response, however late; on the way
 * it is asked whether it is still there. */
static void waits_for_a_half_closed_caller(void **state)
{
    char *text = exchange("GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)state;

    assert_has(text, "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 ");
    assert_has(text, "HTTP/1.1 200 OK\r\n");
    assert_has(text, "\r\n\r\nlate");
    free(text);
    assert_int_equal(next_note(), 0);
}

/* One that hangs up without a reset is noticed as well, while the handler still works. */
static void notices_a_hang_up(void **state)
{
    int fd = dial();
    (void)state;

    send_text(fd, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)close(fd);
    assert_int_equal(next_note(), -ECONNRESET);
}

/* A caller that sends all of a refused body before it looks still finds the answer. */
static void answers_who_sends_all_first(void **state)
{
    static char body[6 << 20];
    int fd = dial();
    char *text;
    (void)state;

    send_text(fd, "POST /limit HTTP/1.1\r\nHost: a\r\nContent-Length: 6291456\r\n\r\n");
    assert_int_equal(send(fd, body, sizeof(body), MSG_NOSIGNAL), sizeof(body));
    text = receive(fd, NULL);
    assert_has(text, "HTTP/1.1 413 ");
    free(text);
    (void)close(fd);
    assert_int_equal(next_note(), -EPROTO);
}

/* A reply that comes before the body says whether the connection will outlive it: a short
 * body is read for nothing, a long one is not. */
static void says_that_an_early_reply_closes(void **state)
{
    char *text =
        exchange("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                 "GET /early HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)state;

    assert_has(text, "early");
    assert_null(strstr(text, "Connection: close\r\n\r\nearlyHTTP/1.1"));
    assert_has(text, "earlyHTTP/1.1 200 OK\r\n");
    free(text);
    text =
        exchange("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\nabc");
    assert_has(text, "Connection: close\r\n");
    free(text);
    text = exchange("POST /early HTTP/1.1\r\nHost: a\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_has(text, "Connection: close\r\n");
    free(text);
    drop_notes();
}

/* HEAD has no body; a header that would split the response is refused. */
static void keeps_responses_whole(void **state)
{
    char *text = exchange("HEAD /len HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)state;

    assert_has(text, "Content-Length: 1\r\n");
    assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
    free(text);
    assert_int_equal(next_note(), 0);
    text = exchange("GET /bad HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_has(text, "\r\n\r\n-22");
    assert_null(strstr(text, "X-Evil"));
    free(text);
    assert_int_equal(next_note(), 0);
}

/* HTTP/1.0: the connection ends after the response unless it is asked to stay. */
static void speaks_http10(void **state)
{
    int fd = dial();
    char *text;
    (void)state;

    send_text(fd, "GET /len HTTP/1.0\r\n\r\n");
    text = receive(fd, NULL);
    assert_has(text, "Connection: close\r\n");
    free(text);
    (void)close(fd);
    assert_int_equal(next_note(), 0);
    fd = dial();
    send_text(fd, "GET /len HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    text = receive(fd, "\r\n\r\n0");
    assert_has(text, "Connection: keep-alive\r\n");
    free(text);
    send_text(fd, "GET /echo HTTP/1.0\r\n\r\n");
    text = receive(fd, NULL);
    assert_null(strstr(text, "chunked"));
    free(text);
    (void)close(fd);
    assert_int_equal(next_note(), 0);
    assert_int_equal(next_note(), 0);
}

/* --- the client --------------------------------------------------------------- */

struct fetch {
    uv_loop_t loop;
    struct http_client client;
    struct http_call *call;
    struct buf body;
    int code;
    int status; /* on_close's */
    int trailers;
    size_t to_write;
    unsigned pauses;
    uv_timer_t timer;
};

static void fetch_response(struct http_call *call, int status,
                           struct http_headers headers, uint64_t len)
{
    ((struct fetch *)http_call_data(call))->code = status;
}

static void fetch_resume(uv_timer_t *timer)
{
    http_call_resume(container_of(timer, struct fetch, timer)->call);
}

static void fetch_body(struct http_call *call, const char *data, size_t len)
{
    struct fetch *f = http_call_data(call);

    assert_int_equal(buf_append(&f->body, data, len), 0);
    if (f->pauses > 0) {
        f->pauses--;
        http_call_pause(call);
        assert_int_equal(uv_timer_start(&f->timer, fetch_resume, 5, 0), 0);
    }
}

static void fetch_end(struct http_call *call, struct http_headers trailers)
{
    ((struct fetch *)http_call_data(call))->trailers = (int)trailers.n;
}

static void fetch_drain(struct http_call *call)
{
    static const char block[32 * 1024];
    struct fetch *f = http_call_data(call);

    while (f->to_write > 0 && http_call_pending(call) < 128 * 1024) {
        assert_int_equal(http_call_write(call, block, sizeof(block)), 0);
        f->to_write -= sizeof(block);
        if (f->to_write == 0) {
            struct http_header t = {HTTP_STR("X-Sum"), HTTP_STR("1")};

            assert_int_equal(http_call_end(call, (struct http_headers){&t, 1}), 0);
        }
    }
}

static void fetch_close(struct http_call *call, int status)
{
    struct fetch *f = http_call_data(call);

    f->status = status;
    f->call = NULL;
    uv_stop(&f->loop);
}

static const struct http_call_ops fetch_ops = {
    .on_response = fetch_response,
    .on_body = fetch_body,
    .on_end = fetch_end,
    .on_drain = fetch_drain,
    .on_close = fetch_close,
};

static void fetch_open(struct fetch *f)
{
    struct http_client_options options = {.host = "127.0.0.1", .port = server.port};

    *f = (struct fetch){.status = 1};
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(uv_timer_init(&f->loop, &f->timer), 0);
    assert_int_equal(http_client_open(&f->client, &f->loop, &options), 0);
}

static void fetch_run(struct fetch *f, const char *method, const char *path,
                      const char *body, uint64_t len)
{
    f->body.len = 0;
    f->status = 1;
    assert_int_equal(http_call_start(&f->client, &f->call, http_str(method),
                                     http_str(path), (struct http_headers){NULL, 0}, body,
                                     len, &fetch_ops, f),
                     0);
    if (f->call != NULL && body == NULL && len > 0) {
        fetch_drain(f->call);
    }
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void fetch_shut(struct fetch *f)
{
    http_client_close(&f->client, NULL);
    uv_close((uv_handle_t *)&f->timer, NULL);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    buf_free(&f->body);
}

/* Calls share a connection; when the server has closed it meanwhile, one more is made. */
static void client_reuses_and_retries(void **state)
{
    struct fetch f;
    (void)state;

    fetch_open(&f);
    for (int i = 0; i < 3; i++) {
        fetch_run(&f, "POST", "/len", "12345", 5);
        assert_int_equal(f.status, 0);
        assert_int_equal(f.code, 200);
        assert_int_equal(f.client.n_conns, 1);
        assert_memory_equal(f.body.data, "5", 1);
        assert_int_equal(next_note(), 0);
    }
    (void)usleep(900 * 1000); /* longer than the server keeps an idle connection */
    fetch_run(&f, "POST", "/len", "12345", 5);
    assert_int_equal(f.status, 0);
    assert_int_equal(next_note(), 0);
    fetch_shut(&f);
}

/* Megabytes both ways at once, with trailers, through pauses. */
static void client_streams(void **state)
{
    struct fetch f;
    (void)state;

    fetch_open(&f);
    f.to_write = 8 * 1024 * 1024;
    f.pauses = 10;
    fetch_run(&f, "POST", "/echo", NULL, HTTP_BODY_CHUNKED);
    assert_int_equal(f.status, 0);
    assert_int_equal(f.body.len, 8 * 1024 * 1024);
    assert_int_equal(f.trailers, 1);
    assert_int_equal(next_note(), 0);

    f.pauses = 3;
    fetch_run(&f, "GET", "/big", NULL, 0);
    assert_int_equal(f.status, 0);
    assert_int_equal(f.body.len, BIG_BYTES);
    assert_int_equal(next_note(), 0);

    fetch_run(&f, "POST", "/pause", "abc", 3);
    assert_int_equal(f.status, 0);
    assert_memory_equal(f.body.data, "3", 1);
    assert_int_equal(next_note(), 0);
    fetch_shut(&f);
}

static void cancel_cb(uv_timer_t *timer)
{
    http_call_cancel(container_of(timer, struct fetch, timer)->call);
}

/* A cancelled call ends, at both sides; a port where nobody listens is said. */
static void client_cancels_and_fails(void **state)
{
    struct fetch f;
    (void)state;

    fetch_open(&f);
    assert_int_equal(uv_timer_start(&f.timer, cancel_cb, 30, 0), 0);
    fetch_run(&f, "GET", "/slow", NULL, 0);
    assert_int_equal(f.status, -ECANCELED);
    f.client.options.port = 1;
    fetch_run(&f, "GET", "/len", NULL, 0);
    assert_int_equal(f.status, -ECONNREFUSED);
    f.client.options.port = server.port;
    f.client.options.response_timeout_ms = 100;
    fetch_run(&f, "GET", "/slow", NULL, 0);
    assert_int_equal(f.status, -ETIMEDOUT);
    fetch_shut(&f);
}

static int start(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    server_child_start(&server);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    return server_child_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_pipelined),
        cmocka_unit_test(takes_single_bytes),
        cmocka_unit_test(refuses_the_ambiguous),
        cmocka_unit_test(has_limits),
        cmocka_unit_test(says_continue),
        cmocka_unit_test(has_time_limits),
        cmocka_unit_test(notices_a_reset),
        cmocka_unit_test(waits_for_a_half_closed_caller),
        cmocka_unit_test(notices_a_hang_up),
        cmocka_unit_test(answers_who_sends_all_first),
        cmocka_unit_test(says_that_an_early_reply_closes),
        cmocka_unit_test(keeps_responses_whole),
        cmocka_unit_test(speaks_http10),
        cmocka_unit_test(client_reuses_and_retries),
        cmocka_unit_test(client_streams),
        cmocka_unit_test(client_cancels_and_fails),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, start, stop);
}
