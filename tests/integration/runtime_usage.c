/* The processor time of instances, as it is told while they live: beside what the
 * programs themselves say that they used, and what the warden says when they have ended.
 */
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

#define SECOND 1000000u

static struct runtime_bench bench;

/* Replies after it has used so many seconds of processor time as the body says. "burn"
 * leaves a thread behind that goes on, "rest" ends it. */
static const char server_py[] =
    "#!/usr/bin/python3\n"
    "import os, threading, time\n"
    "from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer\n"
    "burning = threading.Event()\n"
    "def burn():\n"
    "    while burning.is_set(): pass\n"
    "class Handler(BaseHTTPRequestHandler):\n"
    "    protocol_version = 'HTTP/1.1'\n"
    "    def log_message(self, *a): pass\n"
    "    def do_POST(self):\n"
    "        body = self.rfile.read(int(self.headers['Content-Length']))\n"
    "        if body == b'burn':\n"
    "            burning.set(); threading.Thread(target=burn).start()\n"
    "        elif body == b'rest':\n"
    "            burning.clear()\n"
    "        else:\n"
    "            until = time.process_time() + float(body)\n"
    "            while time.process_time() < until: pass\n"
    "        reply = str(int(time.process_time() * 1e6)).encode()\n"
    "        self.send_response(200)\n"
    "        self.send_header('Content-Length', str(len(reply)))\n"
    "        self.end_headers(); self.wfile.write(reply)\n"
    "ThreadingHTTPServer(('0.0.0.0', int(os.environ['PORT'])), "
    "Handler).serve_forever()\n";

static const char bootstrap[] =
    "#!/usr/bin/python3\n"
    "import http.client, os, time\n"
    "c = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])\n"
    "base = '/2018-06-01/runtime/invocation/'\n"
    "while True:\n"
    "    c.request('GET', base + 'next')\n"
    "    r = c.getresponse()\n"
    "    until = time.process_time() + float(r.read())\n"
    "    while time.process_time() < until: pass\n"
    "    id = r.getheader('Lambda-Runtime-Aws-Request-Id')\n"
    "    c.request('POST', base + id + '/response', "
    "str(int(time.process_time() * 1e6)))\n"
    "    c.getresponse().read()\n";

static const char spin_sh[] = "#!/bin/bash\n"
                              "read -r seconds\n"
                              "python3 -c \"import time\n"
                              "while time.process_time() < $seconds: pass\"\n"
                              "echo done\n";

/* --- helpers ------------------------------------------------------------------------ */

static void begin(struct bench_instance *i, struct bench_call *c, const char *body)
{
    const struct bench_request r = {.content_length = strlen(body)};

    *c = (struct bench_call){0};
    assert_int_equal(bench_call_start(&bench, i, c, &r), 0);
    assert_int_equal(runtime_call_write(c->c, body, strlen(body)), 0);
    assert_int_equal(runtime_call_end(c->c), 0);
}

/* What the program says that it has used so far. */
static uint64_t end(struct bench_call *c)
{
    uint64_t us;

    WAIT_FOR(&bench, c->c == NULL);
    assert_int_equal(c->cause, CAUSE_NONE);
    assert_int_equal(c->status, 200);
    us = strtoull(c->body.data, NULL, 10);
    bench_call_free(c);
    return us;
}

static void turn_for_ms(uint64_t ms)
{
    uint64_t until_ms = clock_mono_ms() + ms;

    WAIT_FOR(&bench, clock_mono_ms() >= until_ms);
}

/* All of it was told, and once: the sandbox's last total. */
static void assert_all_told(struct bench_instance *i)
{
    uint64_t id = i->id;

    bench_instance_end(&bench, i);
    assert_int_equal(bench.sandboxes.exit_id, id);
    assert_int_equal(i->cpu_us, bench.sandboxes.exit.cpu_us);
}

/* While a call runs the time grows as the program uses it; when the call has ended it is
 * what the program says, and a little for what is around it; and nothing is told twice.
 */
static void grows_while_it_runs(enum spec_runtime runtime, const char *handler)
{
    struct bench_instance i;
    struct bench_call c;
    uint64_t said_us;

    bench_instance_init(&i, runtime, handler);
    i.spec.timeout_ms = 60000;
    bench_instance_run(&bench, &i);
    begin(&i, &c, "3");
    WAIT_FOR(&bench, c.c == NULL || i.cpu_us > SECOND);
    assert_non_null(c.c); /* it is told before the call has ended */
    said_us = end(&c);
    turn_for_ms(2500);
    print_message("# told %llu ms, the program says %llu ms\n",
                  (unsigned long long)i.cpu_us / 1000,
                  (unsigned long long)said_us / 1000);
    assert_true(i.cpu_us >= said_us - said_us / 20);
    assert_true(i.cpu_us <= said_us + said_us / 5 + SECOND / 2);
    assert_all_told(&i);
}

/* --- tests -------------------------------------------------------------------------- */

static void of_a_server(void **state)
{
    grows_while_it_runs(SPEC_RUNTIME_HTTP, "server.py");
}

static void of_a_bootstrap(void **state)
{
    grows_while_it_runs(SPEC_RUNTIME_PROVIDED, NULL);
}

/* What works on between calls is told as well; what is still is not asked for each
 * second. */
static void in_the_background(void **state)
{
    struct bench_instance i;
    struct bench_call c;
    uint64_t before_us;
    unsigned n;

    bench_instance_init(&i, SPEC_RUNTIME_HTTP, "server.py");
    bench_instance_run(&bench, &i);
    begin(&i, &c, "burn");
    (void)end(&c);
    before_us = i.cpu_us;
    WAIT_FOR(&bench, i.cpu_us > before_us + 2 * SECOND);
    begin(&i, &c, "rest");
    (void)end(&c);
    turn_for_ms(4000);
    n = i.n_cpu;
    turn_for_ms(3000);
    assert_int_equal(i.n_cpu, n);
    begin(&i, &c, "0.2"); /* and is again when it is called */
    WAIT_FOR(&bench, i.n_cpu > n);
    (void)end(&c);
    assert_all_told(&i);
}

/* What was used before the freeze is told while it is frozen. */
static void of_a_frozen_one(void **state)
{
    struct bench_instance i;
    struct bench_call c;
    uint64_t said_us;
    int rc;

    bench_instance_init(&i, SPEC_RUNTIME_HTTP, "server.py");
    bench_instance_run(&bench, &i);
    begin(&i, &c, "0.4");
    said_us = end(&c);
    rc = runtime_instance_freeze(i.in);
    if (rc == -ENOTSUP) {
        print_message("# this host has no freezer\n");
    } else {
        assert_int_equal(rc, 0);
        WAIT_FOR(&bench, i.cpu_us >= said_us - said_us / 20);
    }
    assert_all_told(&i);
}

/* Several at once, more than are asked about at a time. */
static void of_many(void **state)
{
    struct bench_instance i[6];
    struct bench_call c[6];

    for (int k = 0; k < 6; k++) {
        bench_instance_init(&i[k], SPEC_RUNTIME_HTTP, "server.py");
        bench_instance_run(&bench, &i[k]);
    }
    for (int k = 0; k < 6; k++) {
        begin(&i[k], &c[k], "0.5");
    }
    for (int k = 0; k < 6; k++) {
        (void)end(&c[k]);
    }
    for (int k = 0; k < 6; k++) {
        WAIT_FOR(&bench, i[k].cpu_us > SECOND / 2);
        assert_all_told(&i[k]);
    }
}

/* The call says what it used when it ends; its sandbox's time is told meanwhile. */
static void of_exec(void **state)
{
    struct bench_instance i;
    struct bench_call c;

    bench_instance_init(&i, SPEC_RUNTIME_EXEC, "spin.sh");
    i.spec.timeout_ms = 60000;
    bench_instance_run(&bench, &i);
    begin(&i, &c, "2.5\n");
    WAIT_FOR(&bench, c.c == NULL || i.cpu_us > SECOND);
    assert_non_null(c.c);
    WAIT_FOR(&bench, c.c == NULL);
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_in_range(c.cpu_us, 2500000, 3000000);
    bench_call_free(&c);
    assert_all_told(&i);
    assert_true(i.cpu_us >= c.cpu_us - SECOND / 10);
}

/* Killed while it is asked: what comes later is for nobody, and all of it was told. */
static void ends_while_asked(void **state)
{
    for (int round = 0; round < 3; round++) {
        struct bench_instance i;
        struct bench_call c;

        bench_instance_init(&i, SPEC_RUNTIME_HTTP, "server.py");
        bench_instance_run(&bench, &i);
        begin(&i, &c, "10");
        if (round > 0) {
            turn_for_ms(950 + 20 * (unsigned)round);
        }
        (void)bench_call_cancel(&c);
        bench_call_free(&c);
        assert_all_told(&i);
    }
}

static int open_bench(void **state)
{
    runtime_bench_open(&bench);
    sandbox_bench_file(&bench.sandboxes, "server.py", server_py);
    sandbox_bench_file(&bench.sandboxes, "bootstrap", bootstrap);
    sandbox_bench_file(&bench.sandboxes, "spin.sh", spin_sh);
    return 0;
}

static int close_bench(void **state)
{
    runtime_bench_close(&bench);
    return 0;
}

/* runtime_usage [PATTERN]: only tests of such names. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_server),       cmocka_unit_test(of_a_bootstrap),
        cmocka_unit_test(in_the_background), cmocka_unit_test(of_a_frozen_one),
        cmocka_unit_test(of_many),           cmocka_unit_test(of_exec),
        cmocka_unit_test(ends_while_asked),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
