/* http functions: tunnels, and servers that have gone when a call comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs those above */

#include "tests/lib/runtime.h"

static struct runtime_bench bench;

/* GET switches and echoes until the other side ends; on SIGTERM it says goodbye there. */
static const char tunnels[] =
    "#!/usr/bin/python3\n"
    "import os, signal, socket, threading\n"
    "open_ones = []\n"
    "def term(*a):\n"
    "    for c in open_ones: c.sendall(b'goodbye'); c.shutdown(socket.SHUT_RDWR)\n"
    "    os._exit(0)\n"
    "signal.signal(signal.SIGTERM, term)\n"
    "def serve(c):\n"
    "    head = b''\n"
    "    while not head.endswith(b'\\r\\n\\r\\n'):\n"
    "        some = c.recv(1)\n"
    "        if not some: return\n"
    "        head += some\n"
    "    if b'Upgrade: echo' not in head:\n"
    "        c.sendall(b'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: "
    "2\\r\\n\\r\\nno')\n"
    "        c.close(); return\n"
    "    open_ones.append(c)\n"
    "    c.sendall(b'HTTP/1.1 101 Switching\\r\\nConnection: upgrade\\r\\nUpgrade: "
    "echo\\r\\n\\r\\nhi ')\n"
    "    while data := c.recv(65536): c.sendall(data)\n"
    "    c.close(); open_ones.remove(c)\n"
    "s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
    "while True:\n"
    "    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()\n";

/* Listens no more once it is ready, but for what it has accepted; ends when told. */
static const char deaf[] =
    "#!/usr/bin/python3\n"
    "import os, socket, sys, time\n"
    "s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
    "s.accept(); s.close(); print('deaf', flush=True)\n"
    "time.sleep(1000)\n";

/* Accepts nothing: what comes waits in the kernel until the program ends. */
static const char blind[] =
    "#!/usr/bin/python3\n"
    "import os, socket, time\n"
    "s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
    "s.accept()\n"
    "while True:\n"
    "    time.sleep(0.01)\n"
    "    for line in open('/proc/net/tcp'):\n"
    "        words = line.split()\n"
    "        # established, to our port, with something unread\n"
    "        if words[1].endswith(':1F90') and words[3] == '01' and "
    "int(words[4].split(':')[1], 16) > 0: os._exit(4)\n";

static void start(struct bench_instance *i, const char *file, uint32_t concurrency)
{
    bench_instance_init(i, SPEC_RUNTIME_HTTP, file);
    i->spec.concurrency = concurrency;
    bench_instance_run(&bench, i);
}

static void begin(struct bench_instance *i, struct bench_call *c)
{
    const struct bench_request r = {.method = "GET", .upgrade = "echo"};

    assert_int_equal(bench_call_start(&bench, i, c, &r), 0);
    assert_int_equal(runtime_call_end(c->c), 0);
    WAIT_FOR(&bench, c->seen_bytes == 3);
    assert_int_equal(c->status, 101);
    assert_non_null(strstr(c->headers.data, "Upgrade: echo\n"));
    assert_memory_equal(c->body.data, "hi ", 3);
}

/* Whoever wants to switch gets a tunnel; at its end all is well. */
static void is_a_tunnel(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};

    start(&i, "tunnels.py", 1);
    begin(&i, &c);
    for (int n = 0; n < 3; n++) {
        assert_int_equal(runtime_call_write(c.c, "GET /\r\n\r\n", 9), 0);
        WAIT_FOR(&bench, c.seen_bytes == 3 + 9u * (unsigned)(n + 1));
    }
    assert_int_equal(runtime_call_end(c.c), 0);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_false(c.untaken);
    bench_call_free(&c);
    bench_call_expect(&bench, &i, "x", "no"); /* the same instance, which has not asked */
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* A caller that goes away is the tunnel's end, not the instance's. */
static void is_let_go(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};

    start(&i, "tunnels.py", 1);
    begin(&i, &c);
    assert_true(bench_call_cancel(&c));
    bench_call_free(&c);
    bench_call_expect(&bench, &i, "x", "no");
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* A server that is told to stop has its last words in its tunnels. */
static void says_goodbye(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};

    start(&i, "tunnels.py", 4);
    begin(&i, &c);
    runtime_instance_stop(i.in, 20000);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.seen_bytes, 10);
    assert_memory_equal(c.body.data, "hi goodbye", 10);
    assert_int_equal(c.cause, CAUSE_NONE);
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
}

/* A call that finds the port closed is given back whole, whatever its method. */
static void gives_back_what_it_cannot_send(void **state)
{
    const struct bench_request r = {.content_length = 10};
    struct bench_instance i;
    struct bench_call c = {0};

    start(&i, "deaf.py", 1);
    bench_log_has(&bench, "stdout deaf\n");
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    assert_int_equal(runtime_call_write(c.c, "half ", 5), 0);
    assert_int_equal(runtime_call_write(c.c, "whole", 5), 0);
    assert_int_equal(runtime_call_end(c.c), 0);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_true(c.untaken);
    assert_int_equal(c.status, 0);
    assert_int_equal(c.body.len, 10);
    assert_memory_equal(c.body.data, "half whole", 10);
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
}

/* So is one that a program left in its kernel when it ended; but of a body it might have
 * read a part, and its end was the call's. */
static void gives_back_what_was_not_read(void **state)
{
    const struct bench_request head = {.method = "GET"};
    const struct bench_request body = {.content_length = 4};

    for (int with = 0; with < 2; with++) {
        struct bench_instance i;
        struct bench_call c = {0};

        start(&i, "blind.py", 1);
        assert_int_equal(bench_call_start(&bench, &i, &c, with ? &body : &head), 0);
        assert_int_equal(with ? runtime_call_write(c.c, "body", 4) : 0, 0);
        assert_int_equal(runtime_call_end(c.c), 0);
        WAIT_FOR(&bench, c.n_closed == 1);
        assert_int_equal(c.cause, CAUSE_CRASHED);
        assert_string_equal(c.text, "exit status 4");
        assert_int_equal(c.untaken, with == 0);
        bench_call_free(&c);
        WAIT_FOR(&bench, i.n_gone == 1);
        bench_instance_end(&bench, &i);
    }
}

static int open_bench(void **state)
{
    runtime_bench_open(&bench);
    sandbox_bench_file(&bench.sandboxes, "tunnels.py", tunnels);
    sandbox_bench_file(&bench.sandboxes, "deaf.py", deaf);
    sandbox_bench_file(&bench.sandboxes, "blind.py", blind);
    return 0;
}

static int close_bench(void **state)
{
    runtime_bench_close(&bench);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_a_tunnel),
        cmocka_unit_test(is_let_go),
        cmocka_unit_test(says_goodbye),
        cmocka_unit_test(gives_back_what_it_cannot_send),
        cmocka_unit_test(gives_back_what_was_not_read),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
