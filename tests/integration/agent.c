/* One real agent: calls through its gateway to functions of every kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "tests/lib/agents.h"

static struct agents bench;

static const char server_py[] =
    "#!/usr/bin/python3\n"
    "import http.server, os\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "    protocol_version = 'HTTP/1.1'\n"
    "    def do_POST(self):\n"
    "        if self.path == '/quit': os._exit(42)\n"
    "        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))\n"
    "        self.send_response(201)\n"
    "        self.send_header('X-Path', self.path)\n"
    "        self.send_header('X-Mayfly-Error', 'forged')\n"
    "        self.send_header('X-Seen', str([k for k in self.headers.keys()\n"
    "            if k.lower() in ('x-mayfly-node', 'x-mayfly-forwarded')]))\n"
    "        self.send_header('Content-Length', str(len(body)))\n"
    "        self.end_headers()\n"
    "        self.wfile.write(body)\n"
    "    do_GET = do_POST\n"
    "    def log_message(self, *a): pass\n"
    "http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])),\n"
    "                                H).serve_forever()\n";

static const char bootstrap_py[] =
    "#!/usr/bin/python3\n"
    "import http.client, os\n"
    "host, port = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')\n"
    "c = http.client.HTTPConnection(host, int(port))\n"
    "base = '/2018-06-01/runtime/invocation/'\n"
    "while True:\n"
    "    c.request('GET', base + 'next')\n"
    "    r = c.getresponse()\n"
    "    body = r.read()\n"
    "    id = r.getheader('Lambda-Runtime-Aws-Request-Id')\n"
    "    c.request('POST', base + id + '/response', b'got ' + body)\n"
    "    c.getresponse().read()\n";

static struct agents_function *deploy(const char *name, enum spec_runtime runtime,
                                      const char *text)
{
    struct agents_function *fn = agents_function(&bench, name, runtime, text, 0, 2);

    agents_publish(&bench, fn);
    return fn;
}

static void assert_cause(const struct agents_reply *r, int status, const char *cause)
{
    const char *got = agents_header(r, "X-Mayfly-Error");
    char want[64];

    assert_int_equal(r->error, 0);
    assert_non_null(got);
    assert_string_equal(got, cause);
    assert_int_equal(r->status, status);
    (void)snprintf(want, sizeof(want), "\"code\": \"%s\"", cause);
    assert_non_null(strstr(r->body.data, want));
    assert_non_null(strstr(r->body.data, agents_header(r, "X-Mayfly-Request-Id")));
}

/* --- kinds
 * ------------------------------------------------------------------------------ */

/* The first call starts an instance and says how long that took; the second finds it. */
static void a_call_is_cold_then_warm(void **state)
{
    struct agents_reply r;

    (void)deploy("echo", SPEC_RUNTIME_EXEC,
                 "#!/bin/sh\nprintf '%s %s ' \"$REQUEST_METHOD\" "
                 "\"$PATH_INFO?$QUERY_STRING\"\ncat\n");
    agents_call(&bench, &r, 0, "POST", "/fn/echo/a/b?x=1", "hello");
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body.data, "POST /a/b?x=1 hello");
    assert_string_equal(agents_header(&r, "X-Mayfly-Node"), "node0");
    assert_int_equal(strlen(agents_header(&r, "X-Mayfly-Request-Id")), 36);
    assert_non_null(strstr(agents_header(&r, "Server-Timing"), "start;dur="));
    assert_non_null(strstr(agents_header(&r, "Server-Timing"), "run;dur="));
    agents_reply_free(&r);
    agents_call(&bench, &r, 0, "POST", "/fn/default/echo", "again");
    assert_string_equal(r.body.data, "POST /? again");
    assert_null(strstr(agents_header(&r, "Server-Timing"), "start;dur="));
    agents_reply_free(&r);
}

/* A server on $PORT is proxied. Neither caller nor function speaks in mayfly's name. */
static void an_http_function_is_proxied(void **state)
{
    static const struct http_header forged[] = {
        {HTTP_STR("X-Mayfly-Node"), HTTP_STR("elsewhere")},
        {HTTP_STR("X-Mayfly-Forwarded"), HTTP_STR("1")},
    };
    struct agents_reply r;

    (void)deploy("web", SPEC_RUNTIME_HTTP, server_py);
    agents_ask(&bench, &r, AGENTS_GATEWAY_PORT, "POST", "/fn/web/deep/er?q=%20",
               (struct http_headers){forged, 2}, "body", 4);
    agents_await(&r);
    assert_int_equal(r.status, 201);
    assert_string_equal(agents_header(&r, "X-Path"), "/deep/er?q=%20");
    assert_string_equal(agents_header(&r, "X-Seen"), "[]");
    assert_null(agents_header(&r, "X-Mayfly-Error"));
    assert_string_equal(r.body.data, "body");
    agents_reply_free(&r);
    agents_call(&bench, &r, 0, "POST", "/fn/web/quit", "");
    assert_cause(&r, 502, "crashed");
    assert_non_null(strstr(r.body.data, "42"));
    agents_reply_free(&r);
    agents_call(&bench, &r, 0, "POST", "/fn/web/alive", "yes");
    assert_int_equal(r.status, 201);
    agents_reply_free(&r);
}

/* A bootstrap takes its calls over the Runtime API and is kept between them. */
static void a_provided_function_is_kept(void **state)
{
    struct agents_reply r;

    (void)deploy("lambda", SPEC_RUNTIME_PROVIDED, bootstrap_py);
    for (int i = 0; i < 2; i++) {
        agents_call(&bench, &r, 0, "POST", "/fn/lambda", "{\"n\": 1}");
        assert_int_equal(r.status, 200);
        assert_string_equal(r.body.data, "got {\"n\": 1}");
        assert_int_equal(strstr(agents_header(&r, "Server-Timing"), "start;") != NULL,
                         i == 0);
        agents_reply_free(&r);
    }
}

static const char leaver_py[] =
    "#!/usr/bin/python3\n"
    "import http.client, os, time\n"
    "host, port = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')\n"
    "c = http.client.HTTPConnection(host, int(port))\n"
    "base = '/2018-06-01/runtime/invocation/'\n"
    "c.request('GET', base + 'next')\n"
    "r = c.getresponse()\n"
    "body = r.read()\n"
    "id = r.getheader('Lambda-Runtime-Aws-Request-Id')\n"
    "c.request('POST', base + id + '/response', b'got ' + body)\n"
    "c.getresponse().read()\n"
    "time.sleep(0.1)\n"
    "os._exit(3)\n";

/* A bootstrap that ends after its answer has not seen the call that came meanwhile: it is
 * another instance's, with all of its body. */
static void a_call_that_was_not_taken_is_not_lost(void **state)
{
    static char body[200 * 1024 + 1];
    struct agents_reply r;

    memset(body, 'x', sizeof(body) - 1);
    (void)deploy("leaver", SPEC_RUNTIME_PROVIDED, leaver_py);
    for (int i = 0; i < 4; i++) {
        agents_call(&bench, &r, 0, "POST", "/fn/leaver", body);
        assert_int_equal(r.status, 200);
        assert_int_equal(r.body.len, 4 + sizeof(body) - 1);
        agents_reply_free(&r);
    }
}

/* What overran leaves nothing behind, neither in its process group nor out of it. */
static void the_next_call_meets_nothing_of_one_that_overran(void **state)
{
    struct agents_function *fn =
        agents_function(&bench, "runaway", SPEC_RUNTIME_EXEC,
                        "#!/bin/sh\n"
                        "[ \"$(cat)\" != run ] || { setsid sleep 1000 & sleep 1000; }\n"
                        "grep -l '^sleep' /proc/[0-9]*/comm | wc -l\n",
                        0, 2);
    struct agents_reply r;

    fn->version.spec.timeout_ms = 300;
    agents_publish(&bench, fn);
    agents_call(&bench, &r, 0, "POST", "/fn/runaway", "run");
    assert_cause(&r, 504, "timeout");
    agents_reply_free(&r);
    agents_call(&bench, &r, 0, "POST", "/fn/runaway", "look");
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body.data, "0\n");
    agents_reply_free(&r);
}

/* --- refusals
 * --------------------------------------------------------------------------- */

/* What is not there is 404 with a cause, whichever way the path is read. */
static void an_unknown_function_is_not_found(void **state)
{
    static const char *const targets[] = {"/fn/nobody", "/fn/nobody/x/y", "/other",
                                          "/fn/team/nobody?x"};

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct agents_reply r;

        agents_call(&bench, &r, 0, "GET", targets[i], NULL);
        assert_cause(&r, 404, "not_found");
        agents_reply_free(&r);
    }
}

/* A body over the limit is 413: by its announced length before it is sent, and else as
 * soon as it is seen. A caller that sends it all first gets the answer as well. */
static void a_large_body_is_refused(void **state)
{
    struct agents_function *fn = agents_function(
        &bench, "small", SPEC_RUNTIME_EXEC, "#!/bin/sh\ncat >/dev/null\necho ok\n", 0, 1);
    static char body[3 << 20];
    struct agents_reply r;
    char answer[512];
    int fd;

    fn->version.spec.body_max_kib = 4;
    agents_publish(&bench, fn);
    agents_call(&bench, &r, 0, "POST", "/fn/small", "fits");
    assert_int_equal(r.status, 200);
    agents_reply_free(&r);
    memset(body, 'x', sizeof(body));
    agents_ask(&bench, &r, AGENTS_GATEWAY_PORT, "POST", "/fn/small",
               (struct http_headers){NULL, 0}, body, sizeof(body));
    agents_await(&r);
    assert_cause(&r, 413, "payload_too_large");
    agents_reply_free(&r);
    agents_ask(&bench, &r, AGENTS_GATEWAY_PORT, "POST", "/fn/small",
               (struct http_headers){NULL, 0}, NULL, HTTP_BODY_CHUNKED);
    assert_int_equal(http_call_write(r.call, body, 8192), 0);
    assert_int_equal(http_call_end(r.call, (struct http_headers){NULL, 0}), 0);
    agents_await(&r);
    assert_cause(&r, 413, "payload_too_large");
    agents_reply_free(&r);
    fd = agents_connect(0);
    assert_true(dprintf(fd,
                        "POST /fn/small HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                        "Content-Length: 4097\r\n\r\n") > 0);
    assert_true(read(fd, answer, 12) == 12);
    assert_memory_equal(answer, "HTTP/1.1 413", 12);
    (void)close(fd);
}

static bool queue_has_one(void *data)
{
    struct agents_reply r;
    bool has;

    agents_ask(&bench, &r, AGENTS_METRICS_PORT, "GET", "/metrics",
               (struct http_headers){NULL, 0}, NULL, 0);
    agents_await(&r);
    has = strstr(r.body.data, "mayfly_invocations_in_flight 1\n") != NULL;
    agents_reply_free(&r);
    return has;
}

/* The limit of a call that waits for a version to serve is known only once there is one:
 * it is then refused, and nothing else suffers. */
static void a_large_body_that_waited_is_refused(void **state)
{
    struct agents_function *fn = agents_function(
        &bench, "later", SPEC_RUNTIME_EXEC, "#!/bin/sh\ncat >/dev/null\necho ok\n", 0, 1);
    static char body[8192];
    struct agents_reply large, fits;

    fn->version.spec.body_max_kib = 4;
    fn->unserved = true;
    agents_publish(&bench, fn);
    memset(body, 'x', sizeof(body));
    agents_ask(&bench, &large, AGENTS_GATEWAY_PORT, "POST", "/fn/later",
               (struct http_headers){NULL, 0}, body, sizeof(body));
    agents_wait(&bench, queue_has_one, NULL);
    agents_ask(&bench, &fits, AGENTS_GATEWAY_PORT, "POST", "/fn/later",
               (struct http_headers){NULL, 0}, body, 100);
    fn->unserved = false;
    agents_publish(&bench, fn);
    agents_await(&large);
    assert_cause(&large, 413, "payload_too_large");
    agents_await(&fits);
    assert_int_equal(fits.status, 200);
    agents_reply_free(&large);
    agents_reply_free(&fits);
}

/* A call that runs past its timeout is answered with 504 in time, and the next one runs.
 */
static void a_call_over_time_is_killed(void **state)
{
    struct agents_function *fn =
        agents_function(&bench, "slow", SPEC_RUNTIME_EXEC,
                        "#!/bin/sh\n[ \"$PATH_INFO\" = /quick ] && exec echo ok\n"
                        "sleep 60\n",
                        0, 1);
    uint64_t began_ms = clock_mono_ms();
    struct agents_reply r;

    fn->version.spec.timeout_ms = 300;
    agents_publish(&bench, fn);
    agents_call(&bench, &r, 0, "GET", "/fn/slow", NULL);
    assert_cause(&r, 504, "timeout");
    assert_true(clock_mono_ms() - began_ms < 10000);
    agents_reply_free(&r);
    agents_call(&bench, &r, 0, "GET", "/fn/slow/quick", NULL);
    assert_int_equal(r.status, 200);
    agents_reply_free(&r);
}

/* A program that cannot start gives its cause to the caller and to the controller. */
static void a_failed_start_says_why(void **state)
{
    struct agents_function *fn = agents_function(&bench, "broken", SPEC_RUNTIME_HTTP,
                                                 "#!/no/such/interpreter\n", 0, 1);
    struct agents_reply r;

    agents_publish(&bench, fn);
    agents_call(&bench, &r, 0, "GET", "/fn/broken", NULL);
    assert_cause(&r, 502, "start_failed");
    agents_reply_free(&r);
}

/* --- callers that go
 * -------------------------------------------------------------------- */

static void send_request(int fd, const char *target)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);

    assert_int_equal(write(fd, text, (size_t)n), n);
}

/* When the caller hangs up, the work ends and the instance is free for the next. */
static void a_caller_that_hangs_up_stops_the_work(void **state)
{
    struct agents_function *fn =
        agents_function(&bench, "long", SPEC_RUNTIME_EXEC,
                        "#!/bin/sh\n[ \"$PATH_INFO\" = /quick ] && exec echo ok\n"
                        "sleep 60\n",
                        0, 1);
    struct agents_reply r;
    int fd;

    agents_publish(&bench, fn);
    fd = agents_connect(0);
    send_request(fd, "/fn/long");
    agents_wait(&bench, agents_is_busy, fn);
    (void)close(fd);
    agents_wait(&bench, agents_is_idle, fn);
    agents_call(&bench, &r, 0, "GET", "/fn/long/quick", NULL);
    assert_int_equal(r.status, 200);
    agents_reply_free(&r);
}

/* One that only says that it has nothing more to ask still gets its answer. */
static void a_caller_that_half_closes_gets_its_answer(void **state)
{
    struct agents_function *fn = agents_function(
        &bench, "half", SPEC_RUNTIME_EXEC, "#!/bin/sh\nsleep 0.5\necho answer\n", 0, 1);
    struct timeval limit = {.tv_sec = 20};
    char answer[2048] = "";
    size_t len = 0;
    ssize_t n;
    int fd;

    agents_publish(&bench, fn);
    fd = agents_connect(0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    send_request(fd, "/fn/half");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    agents_wait(&bench, agents_is_busy, fn);
    agents_wait(&bench, agents_is_idle, fn);
    while (len < sizeof(answer) - 1 &&
           (n = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0) {
        len += (size_t)n;
    }
    answer[len] = '\0';
    assert_non_null(strstr(answer, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(answer, "answer\n"));
    (void)close(fd);
}

/* --- bodies
 * ----------------------------------------------------------------------------- */

/* A body larger than any buffer goes through while its reply comes back. */
static void bodies_stream_both_ways(void **state)
{
    static char body[5 << 20];
    struct agents_reply r;

    (void)deploy("cat", SPEC_RUNTIME_EXEC, "#!/bin/sh\nexec cat\n");
    for (size_t i = 0; i < sizeof(body); i++) {
        body[i] = (char)(i * 31 + i / 997);
    }
    agents_ask(&bench, &r, AGENTS_GATEWAY_PORT, "POST", "/fn/cat",
               (struct http_headers){NULL, 0}, body, sizeof(body));
    agents_await(&r);
    assert_int_equal(r.error, 0);
    assert_int_equal(r.body.len, sizeof(body));
    assert_memory_equal(r.body.data, body, sizeof(body));
    agents_reply_free(&r);
}

/* --- what operators see
 * ------------------------------------------------------------------- */

/* Ready once there is a snapshot; metrics name the calls and please promtool. */
static void metrics_and_readiness(void **state)
{
    struct agents_reply r;
    FILE *promtool;

    agents_ask(&bench, &r, AGENTS_METRICS_PORT, "GET", "/readyz",
               (struct http_headers){NULL, 0}, NULL, 0);
    agents_await(&r);
    assert_string_equal(r.body.data, "ok\n");
    assert_int_equal(r.status, 200);
    agents_reply_free(&r);
    agents_ask(&bench, &r, AGENTS_METRICS_PORT, "GET", "/metrics",
               (struct http_headers){NULL, 0}, NULL, 0);
    agents_await(&r);
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.body.data,
                           "mayfly_invocations_total{namespace=\"default\","
                           "function=\"echo\",version=\"1\",trigger=\"http\","
                           "outcome=\"ok\"} 2"));
    assert_non_null(strstr(r.body.data, "outcome=\"timeout\"} 1"));
    assert_non_null(strstr(r.body.data, "outcome=\"canceled\"} 1"));
    assert_non_null(strstr(r.body.data, "mayfly_invocations_in_flight 0"));
    assert_non_null(strstr(r.body.data, "mayfly_build_info{version="));
    if (access("/usr/bin/promtool", X_OK) == 0) {
        promtool = popen("/usr/bin/promtool check metrics", "w");
        assert_non_null(promtool);
        assert_int_equal(fwrite(r.body.data, 1, r.body.len, promtool), r.body.len);
        assert_int_equal(pclose(promtool), 0);
    }
    agents_reply_free(&r);
}

/* What is idle is frozen, and the next call finds it as if it were not: no start. */
static void an_idle_instance_is_frozen(void **state)
{
    struct agents_function *fn = deploy("froze", SPEC_RUNTIME_HTTP, server_py);
    struct agents_reply r;

    if (access("/sys/fs/cgroup/freezer", F_OK) < 0 &&
        access("/sys/fs/cgroup/cgroup.controllers", F_OK) < 0) {
        print_message("# skipped: no cgroup freezer\n");
        return;
    }
    for (int i = 0; i < 2; i++) {
        agents_call(&bench, &r, 0, "POST", "/fn/froze/x", "hello");
        assert_int_equal(r.status, 201);
        assert_string_equal(r.body.data, "hello");
        if (i > 0) {
            assert_null(strstr(agents_header(&r, "Server-Timing"), "start;dur="));
        }
        agents_reply_free(&r);
        agents_wait(&bench, agents_is_frozen, fn);
    }
    agents_ask(&bench, &r, AGENTS_METRICS_PORT, "GET", "/metrics",
               (struct http_headers){NULL, 0}, NULL, 0);
    agents_await(&r);
    assert_non_null(strstr(r.body.data, "mayfly_instances{state=\"frozen\"}"));
    assert_null(strstr(r.body.data, "mayfly_instance_thaws_total 0\n"));
    assert_null(strstr(r.body.data, "mayfly_instance_freezes_total 0\n"));
    agents_reply_free(&r);
}

static bool log_is_read(void *data)
{
    return bench.log_end;
}

/* What a function printed is read over the controller's connection. */
static void output_is_read_back(void **state)
{
    Mayfly__V1__LogRequest request = MAYFLY__V1__LOG_REQUEST__INIT;
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    struct agents_reply r;

    (void)deploy("talk", SPEC_RUNTIME_EXEC, "#!/bin/sh\necho to-stderr >&2\necho ok\n");
    agents_call(&bench, &r, 0, "GET", "/fn/talk", NULL);
    assert_int_equal(r.status, 200);
    agents_reply_free(&r);
    request.id = 7;
    request.namespace_ = (char *)(uintptr_t) "default";
    request.name = (char *)(uintptr_t) "talk";
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_LOG_REQUEST;
    m.log_request = &request;
    assert_int_equal(hub_send(bench.hub, bench.nodes[0].session, &m), 0);
    agents_wait(&bench, log_is_read, NULL);
    assert_non_null(bench.log_text.data);
    assert_non_null(strstr(bench.log_text.data, "stderr: to-stderr\n"));
}

static int set_up(void **state)
{
    agents_open(&bench, NULL);
    agents_start(&bench, 0);
    return 0;
}

static int tear_down(void **state)
{
    agents_close(&bench);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_cold_then_warm),
        cmocka_unit_test(an_http_function_is_proxied),
        cmocka_unit_test(a_provided_function_is_kept),
        cmocka_unit_test(a_call_that_was_not_taken_is_not_lost),
        cmocka_unit_test(the_next_call_meets_nothing_of_one_that_overran),
        cmocka_unit_test(an_unknown_function_is_not_found),
        cmocka_unit_test(a_large_body_is_refused),
        cmocka_unit_test(a_large_body_that_waited_is_refused),
        cmocka_unit_test(a_call_over_time_is_killed),
        cmocka_unit_test(a_failed_start_says_why),
        cmocka_unit_test(a_caller_that_hangs_up_stops_the_work),
        cmocka_unit_test(a_caller_that_half_closes_gets_its_answer),
        cmocka_unit_test(bodies_stream_both_ways),
        cmocka_unit_test(metrics_and_readiness),
        cmocka_unit_test(an_idle_instance_is_frozen),
        cmocka_unit_test(output_is_read_back),
    };

    if (!agents_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("agent", tests, set_up, tear_down);
}
