/* http functions in real sandboxes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h> /* needs those above */

#include "tests/lib/runtime.h"

static struct runtime_bench bench;

static const char server[] =
    "#!/usr/bin/python3\n"
    "import os, signal, sys, threading, time\n"
    "from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer\n"
    "pair = threading.Barrier(2)\n"
    "class Handler(BaseHTTPRequestHandler):\n"
    "    protocol_version = 'HTTP/1.1'\n"
    "    def log_message(self, *a): pass\n"
    "    def reply(self, body, status=200):\n"
    "        self.send_response(status)\n"
    "        self.send_header('Content-Length', str(len(body)))\n"
    "        self.send_header('Content-Type', 'text/x-test')\n"
    "        self.send_header('X-Once', 'a'); self.send_header('X-Hop', 'b')\n"
    "        self.send_header('Connection', 'X-Hop')\n"
    "        self.end_headers(); self.wfile.write(body); self.wfile.flush()\n"
    "    def chunks(self):\n"
    "        while True:\n"
    "            n = int(self.rfile.readline(), 16)\n"
    "            data = self.rfile.read(n); self.rfile.readline()\n"
    "            if n == 0: return\n"
    "            yield data\n"
    "    def do_GET(self):\n"
    "        path = self.path.split('?')[0]\n"
    "        if path == '/head':\n"
    "            self.reply((self.requestline + '\\n' + str(self.headers)).encode())\n"
    "        elif path == '/env':\n"
    "            self.reply('\\n'.join(f'{k}={v}' for k, v in "
    "os.environ.items()).encode())\n"
    "        elif path == '/pair':\n"
    "            pair.wait(); self.reply(b'both')\n"
    "        elif path == '/big': self.reply(bytes(8000000))\n"
    "        elif path == '/missing': self.reply(b'no', 404)\n"
    "        elif path == '/exit': print('dying words', flush=True); os._exit(3)\n"
    "        elif path == '/crash': os.kill(os.getpid(), signal.SIGSEGV); time.sleep(9)\n"
    "        elif path == '/last': self.reply(bytes(3000000)); os._exit(0)\n"
    "        elif path == '/cut':\n"
    "            self.send_response(200); self.send_header('Content-Length', '100')\n"
    "            self.end_headers(); self.wfile.write(b'half'); self.wfile.flush()\n"
    "            time.sleep(0.1); os._exit(5)\n"
    "        elif path == '/oom': self.reply(bytearray(200 << 20))\n"
    "        elif path == '/close': self.close_connection = True\n"
    "        elif path == '/garbage':\n"
    "            self.wfile.write(b'nonsense\\r\\n\\r\\n'); self.close_connection = "
    "True\n"
    "        elif path == '/hang':\n"
    "            self.send_response(200); self.send_header('Content-Length', '100')\n"
    "            self.end_headers(); self.wfile.write(b'x'); self.wfile.flush()\n"
    "            time.sleep(1000)\n"
    "    def do_POST(self):\n"
    "        self.send_response(200)\n"
    "        self.send_header('Transfer-Encoding', 'chunked'); self.end_headers()\n"
    "        if 'Content-Length' in self.headers:\n"
    "            parts = [self.rfile.read(int(self.headers['Content-Length']))]\n"
    "        else: parts = self.chunks()\n"
    "        for data in parts:\n"
    "            if data: self.wfile.write(b'%x\\r\\n%s\\r\\n' % (len(data), data))\n"
    "        self.wfile.write(b'0\\r\\n\\r\\n')\n"
    "print('serving', flush=True)\n"
    "ThreadingHTTPServer(('0.0.0.0', int(os.environ['PORT'])), "
    "Handler).serve_forever()\n";

static void init(struct bench_instance *i, uint32_t concurrency)
{
    bench_instance_init(i, SPEC_RUNTIME_HTTP, "server.py");
    i->spec.concurrency = concurrency;
}

static void get(struct bench_instance *i, struct bench_call *c, const char *path)
{
    const struct bench_request r = {.method = "GET", .path = path};

    assert_int_equal(bench_call_start(&bench, i, c, &r), 0);
    assert_int_equal(runtime_call_end(c->c), 0);
}

/* To its end. */
static void get_all(struct bench_instance *i, struct bench_call *c, const char *path)
{
    get(i, c, path);
    WAIT_FOR(&bench, c->n_closed == 1);
    assert_int_equal(buf_append(&c->body, "", 0), 0);
}

/* A function that dies on `path`: the call's end, then the instance's. */
static void dies(struct bench_call *c, const char *path)
{
    struct bench_instance i;

    init(&i, 1);
    bench_instance_run(&bench, &i);
    get_all(&i, c, path);
    WAIT_FOR(&bench, i.n_gone == 1);
    assert_int_equal(i.n_failed, 1);
    if (c->cause != CAUSE_NONE) {
        assert_int_equal(i.cause, c->cause);
        assert_string_equal(i.text, c->text);
        assert_true(i.failed_at < c->closed_at);
    }
    bench_instance_end(&bench, &i);
}

/* Calls are proxied, one after the other over the same connection. */
static void proxies_calls(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    init(&i, 1);
    bench_instance_run(&bench, &i);
    assert_true(runtime_instance_phases(i.in)->sandbox_us > 0);
    assert_true(runtime_instance_phases(i.in)->init_us > 0);
    for (int n = 0; n < 5; n++) {
        bench_call_expect(&bench, &i, "ping", "ping");
    }
    bench_timings(&bench, &i, "http");
    get_all(&i, &c, "/missing"); /* the function's own status is its reply */
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.status, 404);
    assert_int_equal(c.content_length, 2);
    assert_non_null(strstr(c.headers.data, "Content-Type: text/x-test\n"));
    assert_non_null(strstr(c.headers.data, "X-Once: a\n"));
    assert_null(strstr(c.headers.data, "X-Hop"));
    assert_null(strstr(c.headers.data, "Connection"));
    assert_null(strstr(c.headers.data, "Content-Length"));
    bench_call_free(&c);
    bench_log_has(&bench, "stdout serving\n");
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* The function sees the caller's request, who called, and nothing of the connection that
 * the caller had. */
static void forwards_the_head(void **state)
{
    static const struct http_header headers[] = {
        {{"Host", 4}, {"api.example:8080", 16}},
        {{"X-Forwarded-For", 15}, {"198.51.100.1", 12}},
        {{"X-Mayfly-Request-Id", 19}, {"forged", 6}},
        {{"Connection", 10}, {"x-gone, keep-alive", 18}},
        {{"X-Gone", 6}, {"1", 1}},
        {{"Upgrade", 7}, {"h2c", 3}},
        {{"X-Kept", 6}, {"1", 1}},
    };
    const struct bench_request r = {.method = "GET",
                                    .path = "/head",
                                    .query = "a=%20b",
                                    .headers = headers,
                                    .n_headers = sizeof(headers) / sizeof(headers[0])};
    struct bench_instance i;
    struct bench_call c = {0};
    char line[80];
    (void)state;

    init(&i, 1);
    bench_instance_run(&bench, &i);
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    assert_int_equal(runtime_call_end(c.c), 0);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(buf_append(&c.body, "", 0), 0);
    for (const char *const *want =
             (const char *const[]){
                 "GET /head?a=%20b HTTP/1.1\n", "Host: api.example:8080\n", "X-Kept: 1\n",
                 "Forwarded: for=192.0.2.7;host=\"api.example:8080\";proto=http\n",
                 "X-Forwarded-For: 198.51.100.1, 192.0.2.7\n",
                 "X-Forwarded-Proto: http\n", "X-Forwarded-Host: api.example:8080\n",
                 NULL};
         *want != NULL; want++) {
        if (strstr(c.body.data, *want) == NULL) {
            print_error("%s is not in\n%s\n", *want, c.body.data);
        }
        assert_non_null(strstr(c.body.data, *want));
    }
    (void)snprintf(line, sizeof(line), "X-Mayfly-Request-Id: %s\n", c.id);
    assert_non_null(strstr(c.body.data, line));
    assert_null(strstr(c.body.data, "forged"));
    assert_null(strstr(c.body.data, "X-Gone"));
    assert_null(strstr(c.body.data, "Upgrade"));
    bench_call_free(&c);

    c = (struct bench_call){0};
    get_all(&i, &c, "/env");
    for (const char *const *want = (const char *const[]){"PORT=8080", "K_SERVICE=tried",
                                                         "K_REVISION=tried-00003",
                                                         "K_CONFIGURATION=tried", NULL};
         *want != NULL; want++) {
        assert_non_null(strstr(c.body.data, *want));
    }
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
}

/* Much data flows through in both directions. */
static void streams_both_ways(void **state)
{
    const uint64_t bytes = 20 << 20;
    const struct bench_request r = {.content_length = HTTP_BODY_CHUNKED};
    struct bench_instance i;
    struct bench_call c = {.discard = true};
    (void)state;

    init(&i, 1);
    bench_instance_run(&bench, &i);
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    bench_call_send(&bench, &c, bytes);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_true(c.seen_bytes == bytes);
    assert_true(c.n_drains > 0);
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
}

/* A caller that does not read holds up its own call only. */
static void waits_for_a_slow_caller(void **state)
{
    struct bench_instance i;
    struct bench_call c = {.pause_at = 1};
    uint64_t seen;
    (void)state;

    init(&i, 2);
    bench_instance_run(&bench, &i);
    get(&i, &c, "/big");
    WAIT_FOR(&bench, c.seen_bytes > 0);
    seen = c.seen_bytes;
    assert_true(seen < 8000000);
    bench_call_expect(&bench, &i, "other", "other");
    assert_true(c.seen_bytes == seen);
    runtime_call_resume(c.c);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.seen_bytes, 8000000);
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
}

/* As many calls at once as the function allows. */
static void runs_calls_side_by_side(void **state)
{
    struct bench_instance i;
    struct bench_call a = {0}, b = {0};
    (void)state;

    init(&i, 2);
    bench_instance_run(&bench, &i);
    get(&i, &a, "/pair"); /* each waits in the function for the other */
    get(&i, &b, "/pair");
    WAIT_FOR(&bench, a.n_closed == 1 && b.n_closed == 1);
    assert_int_equal(a.cause, CAUSE_NONE);
    assert_int_equal(b.cause, CAUSE_NONE);
    bench_call_free(&a);
    bench_call_free(&b);
    bench_instance_end(&bench, &i);
}

/* A program that ends before it replied says how. */
static void tells_an_exit(void **state)
{
    struct bench_call c = {0};
    (void)state;

    dies(&c, "/exit");
    assert_int_equal(c.cause, CAUSE_CRASHED);
    assert_string_equal(c.text, "exit status 3");
    assert_int_equal(c.status, 0);
    bench_log_has(&bench, "stdout dying words\n");
    bench_call_free(&c);

    c = (struct bench_call){0};
    dies(&c, "/crash");
    assert_int_equal(c.cause, CAUSE_CRASHED);
    assert_string_equal(c.text, "killed by signal 11 (SIGSEGV)");
    bench_call_free(&c);
}

/* A reply that has begun is cut, with the cause. */
static void tells_an_exit_half_way(void **state)
{
    struct bench_call c = {0};
    (void)state;

    dies(&c, "/cut");
    assert_int_equal(c.status, 200);
    assert_int_equal(c.seen_bytes, 4);
    assert_int_equal(c.cause, CAUSE_CRASHED);
    assert_string_equal(c.text, "exit status 5");
    bench_call_free(&c);
}

/* A reply that was written whole before the program's end comes whole. */
static void keeps_a_last_reply(void **state)
{
    struct bench_call c = {0};
    (void)state;

    dies(&c, "/last");
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.seen_bytes, 3000000);
    bench_call_free(&c);
}

/* Out of memory is told apart from a crash, with the peak. */
static void tells_out_of_memory(void **state)
{
    struct bench_call c = {0};
    (void)state;

    dies(&c, "/oom");
    assert_int_equal(c.cause, CAUSE_OOM);
    assert_string_equal(c.text, "peak 64 MiB of 64 MiB");
    bench_call_free(&c);
}

/* A server that misbehaves but lives on fails its call only. */
static void survives_bad_replies(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    init(&i, 1);
    bench_instance_run(&bench, &i);
    get_all(&i, &c, "/close");
    assert_int_equal(c.cause, CAUSE_FUNCTION_ERROR);
    assert_string_equal(c.text, "the function closed the connection without a reply");
    bench_call_free(&c);
    c = (struct bench_call){0};
    get_all(&i, &c, "/garbage");
    assert_int_equal(c.cause, CAUSE_FUNCTION_ERROR);
    assert_string_equal(c.text, "the function's HTTP response is malformed");
    bench_call_free(&c);
    bench_call_expect(&bench, &i, "well", "well");
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* A caller that goes away: alone in its instance the work ends with it, else not. */
static void cancels(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    init(&i, 1);
    bench_instance_run(&bench, &i);
    get(&i, &c, "/hang");
    WAIT_FOR(&bench, c.seen_bytes == 1);
    assert_false(bench_call_cancel(&c));
    bench_call_free(&c);
    bench_instance_end(&bench, &i);

    init(&i, 2);
    bench_instance_run(&bench, &i);
    c = (struct bench_call){.cancel_in_body = true};
    get(&i, &c, "/hang");
    WAIT_FOR(&bench, c.c == NULL);
    assert_true(c.usable);
    bench_call_expect(&bench, &i, "on", "on");
    assert_int_equal(c.n_closed, 0);
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
}

/* A call that overruns ends with its instance, and a fresh one serves the next. */
static void stops_by_force(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    init(&i, 1);
    bench_instance_run(&bench, &i);
    get(&i, &c, "/hang");
    WAIT_FOR(&bench, c.seen_bytes == 1);
    runtime_instance_stop(i.in, 0);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_CRASHED);
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
    init(&i, 1);
    bench_instance_run(&bench, &i);
    bench_call_expect(&bench, &i, "next", "next");
    bench_instance_end(&bench, &i);
}

/* With a grace the program hears SIGTERM first. */
static void stops_with_grace(void **state)
{
    struct bench_instance i;
    (void)state;

    sandbox_bench_file(&bench.sandboxes, "term.py",
                       "#!/usr/bin/python3\n"
                       "import os, signal, socket, sys\n"
                       "def term(*a): print('goodbye', flush=True); os._exit(0)\n"
                       "signal.signal(signal.SIGTERM, term)\n"
                       "s = socket.create_server(('', 8080))\n"
                       "while True: s.accept()\n");
    bench_instance_init(&i, SPEC_RUNTIME_HTTP, "term.py");
    bench_instance_run(&bench, &i);
    runtime_instance_stop(i.in, 20000);
    WAIT_FOR(&bench, i.n_gone == 1);
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
    bench_log_has(&bench, "stdout goodbye\n");
}

/* Each way not to become ready has its words. */
static void fails_to_become_ready(void **state)
{
    struct bench_instance i;
    (void)state;

    sandbox_bench_file(&bench.sandboxes, "exits.sh", "#!/bin/sh\necho why; exit 7\n");
    bench_instance_init(&i, SPEC_RUNTIME_HTTP, "exits.sh");
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_INIT_FAILED);
    assert_string_equal(i.text, "exited with status 7 before it was ready");
    bench_log_has(&bench, "stdout why\n");

    sandbox_bench_file(&bench.sandboxes, "killed.sh", "#!/bin/sh\nkill -ABRT $$\n");
    bench_instance_init(&i, SPEC_RUNTIME_HTTP, "killed.sh");
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_INIT_FAILED);
    assert_string_equal(i.text, "killed by signal 6 (SIGABRT) before it was ready");

    sandbox_bench_file(&bench.sandboxes, "idles.sh", "#!/bin/sh\nexec sleep 1000\n");
    bench_instance_init(&i, SPEC_RUNTIME_HTTP, "idles.sh");
    i.spec.init_timeout_ms = 300;
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_INIT_FAILED);
    assert_string_equal(i.text,
                        "not ready within 300 ms: it does not listen on 127.0.0.1:$PORT");

    sandbox_bench_file(&bench.sandboxes, "hog.py",
                       "#!/usr/bin/python3\nx = bytearray(200 << 20)\n");
    bench_instance_init(&i, SPEC_RUNTIME_HTTP, "hog.py");
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_OOM);

    bench_instance_init(&i, SPEC_RUNTIME_HTTP, "missing.py");
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_START_FAILED);
    assert_string_equal(i.text, "execute missing.py: No such file or directory");
}

/* A stop at any point of the start leaves nothing behind. */
static void stops_while_starting(void **state)
{
    struct bench_instance i;
    (void)state;

    for (int turns = 0; turns < 12; turns++) {
        init(&i, 1);
        bench_instance_start(&bench, &i);
        for (int n = 0; n < turns; n++) {
            sandbox_bench_turn(&bench.sandboxes);
        }
        bench_instance_end(&bench, &i);
        assert_int_equal(i.n_failed, 0);
    }
}

/* A flood of output is kept within its bounds, says what was lost, and leaves the agent
 * time for others. */
static void bounds_a_flood(void **state)
{
    struct bench_instance i;
    struct buf log = {0};
    uint64_t began_ms, cpu_us;
    (void)state;

    sandbox_bench_file(&bench.sandboxes, "flood.py",
                       "#!/usr/bin/python3\n"
                       "import os, socket, threading\n"
                       "s = socket.create_server(('', 8080))\n"
                       "def flood():\n"
                       "    while True: os.write(1, b'y\\n' * 32768)\n"
                       "threading.Thread(target=flood).start()\n"
                       "while True:\n"
                       "    c, _ = s.accept()\n"
                       "    if c.recv(9999):\n"
                       "        c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n"
                       "Connection: close\\r\\n\\r\\nok')\n"
                       "    c.close()\n");
    bench_instance_init(&i, SPEC_RUNTIME_HTTP, "flood.py");
    bench_instance_run(&bench, &i);
    bench_log_has(&bench, "system more than 1 MiB of output in a second: the rest");
    began_ms = clock_mono_ms();
    cpu_us = (uint64_t)clock();
    while (clock_mono_ms() < began_ms + 1000) {
        bench_call_expect(&bench, &i, "x", "ok");
        sandbox_bench_turn(&bench.sandboxes);
    }
    cpu_us = (uint64_t)clock() - cpu_us;
    print_message("# a flood and some calls took %llu ms of CPU in a second\n",
                  (unsigned long long)cpu_us / 1000);
    bench_log_read(&bench, &log);
    assert_true(log.len < 2 * 512 * 1024 * 2);
    buf_free(&log);
    bench_instance_end(&bench, &i);
}

static int open_bench(void **state)
{
    (void)state;
    runtime_bench_open(&bench);
    sandbox_bench_file(&bench.sandboxes, "server.py", server);
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    runtime_bench_close(&bench);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proxies_calls),
        cmocka_unit_test(forwards_the_head),
        cmocka_unit_test(streams_both_ways),
        cmocka_unit_test(waits_for_a_slow_caller),
        cmocka_unit_test(runs_calls_side_by_side),
        cmocka_unit_test(tells_an_exit),
        cmocka_unit_test(tells_an_exit_half_way),
        cmocka_unit_test(keeps_a_last_reply),
        cmocka_unit_test(tells_out_of_memory),
        cmocka_unit_test(survives_bad_replies),
        cmocka_unit_test(cancels),
        cmocka_unit_test(stops_by_force),
        cmocka_unit_test(stops_with_grace),
        cmocka_unit_test(fails_to_become_ready),
        cmocka_unit_test(stops_while_starting),
        cmocka_unit_test(bounds_a_flood),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
