/* Instances without calls, frozen by the real freezer and thawed, of every kind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs those above */

#include "tests/lib/runtime.h"

#define ROUNDS 50

static struct runtime_bench bench;
static bool skipped; /* there is no freezer */

/* Echoes, and burns whatever processor time it gets beside that. */
static const char server_py[] =
    "#!/usr/bin/python3\n"
    "import os, signal, sys, threading\n"
    "from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer\n"
    "class Handler(BaseHTTPRequestHandler):\n"
    "    protocol_version = 'HTTP/1.1'\n"
    "    def log_message(self, *a): pass\n"
    "    def do_POST(self):\n"
    "        if 'Content-Length' in self.headers:\n"
    "            body = self.rfile.read(int(self.headers['Content-Length']))\n"
    "        else:\n"
    "            body = b''\n"
    "            while n := int(self.rfile.readline(), 16):\n"
    "                body += self.rfile.read(n); self.rfile.readline()\n"
    "            self.rfile.readline()\n"
    "        self.send_response(200)\n"
    "        self.send_header('Content-Length', str(len(body)))\n"
    "        self.end_headers(); self.wfile.write(body)\n"
    "def end(*a):\n"
    "    print('asked to end', flush=True); os._exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "if not os.fork():\n"
    "    signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
    "    while True: pass\n"
    "ThreadingHTTPServer(('0.0.0.0', int(os.environ['PORT'])), "
    "Handler).serve_forever()\n";

/* The first event leaves a process behind that burns. */
static const char bootstrap[] =
    "#!/usr/bin/python3\n"
    "import http.client, os\n"
    "c = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])\n"
    "base = '/2018-06-01/runtime/invocation/'\n"
    "burns = False\n"
    "while True:\n"
    "    c.request('GET', base + 'next')\n"
    "    r = c.getresponse()\n"
    "    body = r.read()\n"
    "    if not burns and not os.fork():\n"
    "        while True: pass\n"
    "    burns = True\n"
    "    id = r.getheader('Lambda-Runtime-Aws-Request-Id')\n"
    "    c.request('POST', base + id + '/response', body)\n"
    "    c.getresponse().read()\n";

/* The first call leaves a process behind, once that has a session of its own. */
static const char leaver_sh[] =
    "#!/bin/sh\n"
    "[ -e /tmp/burns ] || setsid sh -c 'touch /tmp/burns; while :; do :; done' \\\n"
    "    </dev/null >/dev/null 2>&1 &\n"
    "while [ ! -e /tmp/burns ]; do :; done\n"
    "cat\n";

/* --- what it uses ------------------------------------------------------------------- */

struct reading {
    bool done;
    uint64_t cpu_us;
};

static void read_cb(void *data, int status, const struct sandbox_usage *u)
{
    struct reading *r = data;

    assert_int_equal(status, 0);
    r->cpu_us = u->cpu_us;
    r->done = true;
}

static uint64_t cpu_us(const struct bench_instance *i)
{
    struct reading r = {0};

    warden_usage(bench.sandboxes.warden, i->id, read_cb, &r);
    WAIT_FOR(&bench, r.done);
    return r.cpu_us;
}

/* Waits until it uses no processor time at all: who burns always uses some in the turns
 * of the loop that are between two readings. */
static void wait_still(const struct bench_instance *i)
{
    uint64_t until_ms = clock_mono_ms() + 20000;
    uint64_t last_us, now_us = cpu_us(i);

    do {
        last_us = now_us;
        for (int turn = 0; turn < 10; turn++) {
            sandbox_bench_turn(&bench.sandboxes);
        }
        now_us = cpu_us(i);
        assert_true(clock_mono_ms() < until_ms);
    } while (now_us != last_us);
}

static void wait_burning(const struct bench_instance *i)
{
    uint64_t first_us = cpu_us(i);

    WAIT_FOR(&bench, cpu_us(i) > first_us);
}

/* Once it has nothing to do. False: this host cannot. */
static bool freeze(struct bench_instance *i)
{
    int rc = -EBUSY;

    WAIT_FOR(&bench, (rc = runtime_instance_freeze(i->in)) != -EBUSY);
    if (rc == -ENOTSUP) {
        print_message("# skipped: this host has no freezer\n");
        bench_instance_end(&bench, i);
        skipped = true;
        return false;
    }
    assert_int_equal(rc, 0);
    return true;
}

/* --- tests -------------------------------------------------------------------------- */

/* What burns in the background of a function stands still while that is frozen, and goes
 * on with the next call, which is served as if nothing had been. */
static void stands_still(enum spec_runtime runtime, const char *handler)
{
    struct bench_instance i;

    bench_instance_init(&i, runtime, handler);
    bench_instance_run(&bench, &i);
    bench_call_expect(&bench, &i, "first", "first");
    wait_burning(&i);
    if (!freeze(&i)) {
        return;
    }
    wait_still(&i);
    assert_int_equal(runtime_instance_thaw(i.in), 0);
    bench_call_expect(&bench, &i, "second", "second");
    wait_burning(&i);
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

static void a_server_stands_still(void **state)
{
    (void)state;
    stands_still(SPEC_RUNTIME_HTTP, "server.py");
}

static void a_bootstrap_stands_still(void **state)
{
    (void)state;
    stands_still(SPEC_RUNTIME_PROVIDED, NULL);
}

static void what_exec_left_stands_still(void **state)
{
    (void)state;
    stands_still(SPEC_RUNTIME_EXEC, "leaver.sh");
}

/* Neither what is not ready, nor what has a call is frozen, nor (provided) what has not
 * yet asked for the next event. */
static void not_while_it_works(void **state)
{
    const struct bench_request r = {.content_length = 1};
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    bench_instance_init(&i, SPEC_RUNTIME_HTTP, "server.py");
    bench_instance_start(&bench, &i);
    assert_int_equal(runtime_instance_freeze(i.in), -EBUSY);
    WAIT_FOR(&bench, i.n_ready == 1);
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    assert_int_equal(runtime_instance_freeze(i.in), -EBUSY);
    (void)bench_call_cancel(&c);
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
}

/* A frozen instance is stopped like any other: with a grace it is asked to end, and hears
 * it; without one it is gone at once. */
static void ends_while_frozen(void **state)
{
    struct bench_instance i;
    (void)state;

    bench_instance_init(&i, SPEC_RUNTIME_HTTP, "server.py");
    bench_instance_run(&bench, &i);
    if (!freeze(&i)) {
        return;
    }
    wait_still(&i);
    runtime_instance_stop(i.in, 10000);
    WAIT_FOR(&bench, i.n_gone == 1);
    bench_log_has(&bench, "asked to end");
    function_spec_free(&i.spec);

    bench_instance_init(&i, SPEC_RUNTIME_HTTP, "server.py");
    bench_instance_run(&bench, &i);
    assert_true(freeze(&i));
    wait_still(&i);
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* Frozen and thawed, over and over: no call is lost, and it is quick. */
static void exec_many_times(void **state)
{
    uint64_t best_us = UINT64_MAX, best_call_us = UINT64_MAX, began_us, us;
    struct bench_instance i;
    (void)state;

    bench_instance_init(&i, SPEC_RUNTIME_EXEC, "/bin/cat");
    bench_instance_run(&bench, &i);
    bench_call_expect(&bench, &i, "x", "x");
    for (int round = 0; round < ROUNDS; round++) {
        if (!freeze(&i)) {
            return;
        }
        began_us = clock_mono_us();
        assert_int_equal(runtime_instance_thaw(i.in), 0);
        us = clock_mono_us() - began_us;
        best_us = us < best_us ? us : best_us;
        bench_call_expect(&bench, &i, "again", "again");
        us = clock_mono_us() - began_us;
        best_call_us = us < best_call_us ? us : best_call_us;
    }
    print_message("# a thaw takes %llu us, with a call %llu us (best of %d)\n",
                  (unsigned long long)best_us, (unsigned long long)best_call_us, ROUNDS);
    bench_instance_end(&bench, &i);
}

static int open_bench(void **state)
{
    (void)state;
    runtime_bench_open(&bench);
    sandbox_bench_file(&bench.sandboxes, "server.py", server_py);
    sandbox_bench_file(&bench.sandboxes, "bootstrap", bootstrap);
    sandbox_bench_file(&bench.sandboxes, "leaver.sh", leaver_sh);
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    runtime_bench_close(&bench);
    return 0;
}

/* runtime_frozen [PATTERN]: only tests of such names. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_stands_still),
        cmocka_unit_test(a_bootstrap_stands_still),
        cmocka_unit_test(what_exec_left_stands_still),
        cmocka_unit_test(not_while_it_works),
        cmocka_unit_test(ends_while_frozen),
        cmocka_unit_test(exec_many_times),
    };
    int failed;

    if (!sandbox_bench_possible()) {
        return 77;
    }
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    failed = cmocka_run_group_tests(tests, open_bench, close_bench);
    return failed == 0 && skipped ? 77 : failed;
}
