/* exec functions in real sandboxes. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* needs those above */

#include "tests/lib/runtime.h"

static struct runtime_bench bench;

static void init(struct bench_instance *i, const char *script)
{
    static unsigned n;
    char name[32];

    (void)snprintf(name, sizeof(name), "exec%u", ++n);
    sandbox_bench_file(&bench.sandboxes, name, script);
    bench_instance_init(i, SPEC_RUNTIME_EXEC, name);
}

/* The README's first function: body in, reply out, and the instance serves on. */
static void says_hello(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    init(&i, "#!/bin/sh\necho \"Hello, $(cat)\"\n");
    bench_instance_run(&bench, &i);
    bench_call_do(&bench, &i, &c, "World");
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.status, 200);
    assert_int_equal(c.content_length, strlen("Hello, World\n"));
    assert_string_equal(c.headers.data, "Content-Type: application/octet-stream\n");
    assert_string_equal(c.body.data, "Hello, World\n");
    assert_true(c.cpu_us > 0);
    bench_call_free(&c);
    bench_call_expect(&bench, &i, "again", "Hello, again\n");
    bench_call_expect(&bench, &i, "", "Hello, \n");
    bench_timings(&bench, &i, "exec");
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* The request's facts are in the environment as CGI/1.1 names them, and no caller's
 * header replaces what the function's owner set. */
static void tells_the_request(void **state)
{
    static const struct http_header headers[] = {
        {{"Host", 4}, {"api.example:8080", 16}},
        {{"Content-Type", 12}, {"text/plain", 10}},
        {{"X-Token", 7}, {"caller", 6}},
        {{"Proxy", 5}, {"evil:1", 6}},
        {{"X_Under", 7}, {"no", 2}},
        {{"Accept", 6}, {"a", 1}},
        {{"accept", 6}, {"b", 1}},
        {{"Connection", 10}, {"close", 5}},
        {{"X-Owned", 7}, {"caller", 6}},
    };
    const struct bench_request r = {
        .method = "PUT",
        .path = "/a%20b/%2e%00",
        .query = "x=1&y=%20",
        .headers = headers,
        .n_headers = sizeof(headers) / sizeof(headers[0]),
        .content_length = 2,
    };
    struct bench_instance i;
    struct bench_call c = {0};
    char line[80];
    (void)state;

    init(&i, "#!/bin/sh\nenv\n");
    (void)function_spec_set_env(&i.spec, "HTTP_X_OWNED", "owner");
    (void)function_spec_set_env(&i.spec, "REQUEST_METHOD", "owner");
    (void)function_spec_set_env(&i.spec, "GREETING", "hi there");
    bench_instance_run(&bench, &i);
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    assert_int_equal(runtime_call_write(c.c, "hi", 2), 0);
    assert_int_equal(runtime_call_end(c.c), 0);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(buf_append(&c.body, "", 0), 0);
    for (const char *const *want =
             (const char *const[]){"GATEWAY_INTERFACE=CGI/1.1\n",
                                   "REQUEST_METHOD=PUT\n",
                                   "SCRIPT_NAME=/fn/default/tried\n",
                                   "PATH_INFO=/a b/.%00\n",
                                   "QUERY_STRING=x=1&y=%20\n",
                                   "CONTENT_TYPE=text/plain\n",
                                   "CONTENT_LENGTH=2\n",
                                   "SERVER_NAME=api.example\n",
                                   "SERVER_PORT=8080\n",
                                   "SERVER_PROTOCOL=HTTP/1.1\n",
                                   "SERVER_SOFTWARE=mayfly/",
                                   "REMOTE_ADDR=192.0.2.7\n",
                                   "HTTP_X_TOKEN=caller\n",
                                   "HTTP_ACCEPT=a, b\n",
                                   "HTTP_HOST=api.example:8080\n",
                                   "HTTP_X_OWNED=owner\n",
                                   "GREETING=hi there\n",
                                   "MAYFLY_DEADLINE_MS=1700000000123\n",
                                   "MAYFLY_FUNCTION=tried\n",
                                   "HOME=/tmp\n",
                                   NULL};
         *want != NULL; want++) {
        if (strstr(c.body.data, *want) == NULL) {
            print_error("%s is not in\n%s\n", *want, c.body.data);
        }
        assert_non_null(strstr(c.body.data, *want));
    }
    (void)snprintf(line, sizeof(line), "MAYFLY_REQUEST_ID=%s\n", c.id);
    assert_non_null(strstr(c.body.data, line));
    assert_null(strstr(c.body.data, "HTTP_PROXY"));
    assert_null(strstr(c.body.data, "UNDER"));
    assert_null(strstr(c.body.data, "HTTP_CONNECTION"));
    assert_null(strstr(c.body.data, "REQUEST_METHOD=owner"));
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
}

/* How a process ends is how its call ends; the instance goes on. */
static void tells_how_it_ended(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    init(&i, "#!/bin/sh\nread what\n"
             "case $what in\n"
             "status) echo lost; exit 3;;\n"
             "kill) kill -SEGV $$;;\n"
             "*) echo fine;;\n"
             "esac\n");
    bench_instance_run(&bench, &i);
    bench_call_do(&bench, &i, &c, "status\n");
    assert_int_equal(c.cause, CAUSE_FUNCTION_ERROR);
    assert_string_equal(c.text, "exit status 3");
    assert_int_equal(c.status, 0); /* and not a byte of its output */
    bench_call_free(&c);
    c = (struct bench_call){0};
    bench_call_do(&bench, &i, &c, "kill\n");
    assert_int_equal(c.cause, CAUSE_CRASHED);
    assert_string_equal(c.text, "killed by signal 11 (SIGSEGV)");
    bench_call_free(&c);
    bench_call_expect(&bench, &i, "\n", "fine\n");
    assert_int_equal(i.n_failed, 0);
    bench_instance_end(&bench, &i);
}

/* Output of a slow program comes while it runs; if it fails then, the reply is cut. */
static void cuts_a_reply_that_fails_late(void **state)
{
    const struct bench_request r = {.content_length = HTTP_BODY_CHUNKED};
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    init(&i, "#!/bin/sh\necho begun\nread more\nexit 4\n");
    bench_instance_run(&bench, &i);
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    WAIT_FOR(&bench, c.seen_bytes == 6);
    assert_int_equal(c.status, 200);
    assert_true(c.content_length == HTTP_BODY_CHUNKED);
    assert_int_equal(runtime_call_end(c.c), 0);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_FUNCTION_ERROR);
    assert_string_equal(c.text, "exit status 4");
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

    init(&i, "#!/bin/sh\ncat\n");
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

/* A caller that does not read stops the program, not the agent; all of it comes later,
 * also what the program wrote right before its end. */
static void waits_for_a_slow_caller(void **state)
{
    const struct bench_request r = {0};
    struct bench_instance i;
    struct bench_call c = {.pause_at = 1};
    uint64_t seen;
    (void)state;

    init(&i, "#!/bin/sh\nhead -c 8000000 /dev/zero\n");
    i.spec.concurrency = 2;
    bench_instance_run(&bench, &i);
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    assert_int_equal(runtime_call_end(c.c), 0);
    WAIT_FOR(&bench, c.seen_bytes > 0);
    seen = c.seen_bytes;
    assert_true(seen < 1000000);
    {
        struct bench_call other = {.discard = true};

        bench_call_do(&bench, &i, &other, ""); /* another is served meanwhile */
        assert_int_equal(other.seen_bytes, 8000000);
        bench_call_free(&other);
    }
    assert_true(c.seen_bytes == seen);
    runtime_call_resume(c.c);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.seen_bytes, 8000000);
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
}

/* A program need not read its input. */
static void ignores_input_that_nobody_reads(void **state)
{
    const struct bench_request r = {.content_length = 3 << 20};
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    init(&i, "#!/bin/sh\nexec 0<&-\necho done\n");
    bench_instance_run(&bench, &i);
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    bench_call_send(&bench, &c, 3 << 20);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.seen_bytes, 5);
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
}

/* Input that a living program never reads waits within bounds, and holds nobody else up.
 */
static void bears_a_program_that_does_not_read(void **state)
{
    const struct bench_request r = {.content_length = HTTP_BODY_CHUNKED};
    static const char block[65536];
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    init(&i, "#!/bin/sh\n[ \"$REQUEST_METHOD\" = GET ] || exec sleep 1000\necho got\n");
    i.spec.concurrency = 2;
    bench_instance_run(&bench, &i);
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    for (int n = 0; n < 8; n++) {
        assert_int_equal(runtime_call_write(c.c, block, sizeof(block)), 0);
    }
    assert_true(runtime_call_pending(c.c) > 256 * 1024);
    {
        const struct bench_request get = {.method = "GET"};
        struct bench_call other = {0};

        assert_int_equal(bench_call_start(&bench, &i, &other, &get), 0);
        assert_int_equal(runtime_call_end(other.c), 0);
        WAIT_FOR(&bench, other.n_closed == 1);
        assert_int_equal(other.cause, CAUSE_NONE);
        bench_call_free(&other);
    }
    assert_int_equal(c.n_drains + c.n_closed, 0);
    assert_true(bench_call_cancel(&c));
    bench_instance_end(&bench, &i);
}

/* What a process leaves behind in the background does not hold its call up. */
static void does_not_wait_for_children(void **state)
{
    struct bench_instance i;
    (void)state;

    init(&i, "#!/bin/sh\nsetsid sleep 100 &\necho parent\n");
    bench_instance_run(&bench, &i);
    bench_call_expect(&bench, &i, "", "parent\n");
    bench_instance_end(&bench, &i);
}

static unsigned n_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        n++;
    }
    (void)closedir(dir);
    return n;
}

/* Nor does what calls leave behind, each with its stderr open, take one descriptor of the
 * agent's after the other. */
static void leftovers_hold_few_descriptors(void **state)
{
    enum { CALLS = 100, BOUND = 64 + 8 };
    struct bench_instance i;
    unsigned before;
    (void)state;

    init(&i, "#!/bin/sh\n"
             "x=$(setsid sh -c 'exec sleep 1000 >&2' &)\n" /* over once it has begun */
             "echo parent\n");
    i.spec.pids_max = 2 * CALLS;
    bench_instance_run(&bench, &i);
    before = n_descriptors();
    for (int n = 0; n < CALLS; n++) {
        bench_call_expect(&bench, &i, "", "parent\n");
    }
    assert_true(n_descriptors() < before + BOUND);
    bench_instance_end(&bench, &i);
}

/* Several processes work in one sandbox at once. */
static void runs_calls_side_by_side(void **state)
{
    enum { N = 8 };
    const struct bench_request r = {.content_length = HTTP_BODY_CHUNKED};
    struct bench_call c[N] = {0};
    struct bench_instance i;
    (void)state;

    init(&i, "#!/bin/sh\ncat\n");
    i.spec.concurrency = N;
    bench_instance_run(&bench, &i);
    for (int n = 0; n < N; n++) {
        assert_int_equal(bench_call_start(&bench, &i, &c[n], &r), 0);
    }
    for (int n = N - 1; n >= 0; n--) { /* the last first: none waits for another */
        char text[2] = {(char)('a' + n), '\0'};

        assert_int_equal(runtime_call_write(c[n].c, text, 1), 0);
        assert_int_equal(runtime_call_end(c[n].c), 0);
        WAIT_FOR(&bench, c[n].n_closed == 1);
        assert_int_equal(c[n].cause, CAUSE_NONE);
        assert_int_equal(c[n].body.len, 1);
        assert_int_equal(c[n].body.data[0], text[0]);
        bench_call_free(&c[n]);
    }
    bench_instance_end(&bench, &i);
}

/* A caller that goes away ends the work; the other calls in the sandbox go on. */
static void cancels_one_of_two(void **state)
{
    const struct bench_request r = {.content_length = HTTP_BODY_CHUNKED};
    struct bench_instance i;
    struct bench_call c = {0}, other = {0};
    (void)state;

    init(&i, "#!/bin/sh\necho $$\nread pid\n"
             "while [ -d /proc/$pid ]; do sleep 0.02; done\n");
    i.spec.concurrency = 2;
    bench_instance_run(&bench, &i);
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    assert_int_equal(bench_call_start(&bench, &i, &other, &r), 0);
    WAIT_FOR(&bench, c.seen_bytes > 0 && other.seen_bytes > 0);
    assert_true(bench_call_cancel(&c)); /* the instance remains usable */
    assert_int_equal(runtime_call_write(other.c, c.body.data, c.body.len), 0);
    assert_int_equal(runtime_call_end(other.c), 0);
    WAIT_FOR(&bench, other.n_closed == 1); /* once the other process is no more */
    assert_int_equal(other.cause, CAUSE_NONE);
    assert_int_equal(c.n_closed, 0);
    bench_call_free(&c);
    bench_call_free(&other);
    bench_instance_end(&bench, &i);
}

/* A caller may go away while it is being told something. */
static void cancels_from_within(void **state)
{
    struct bench_instance i;
    struct bench_call c = {.cancel_in_body = true};
    const struct bench_request r = {0};
    (void)state;

    init(&i, "#!/bin/sh\nhead -c 1000000 /dev/zero\n");
    bench_instance_run(&bench, &i);
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    assert_int_equal(runtime_call_end(c.c), 0);
    WAIT_FOR(&bench, c.c == NULL);
    assert_false(c.usable); /* its process may have left children */
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
    assert_int_equal(c.n_closed, 0);
}

/* Out of memory: the call says so with the peak, and the instance is replaced. */
static void tells_out_of_memory(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    init(&i, "#!/bin/sh\npython3 -c 'print(len(bytearray(200 << 20)))'\n");
    bench_instance_run(&bench, &i);
    bench_call_do(&bench, &i, &c, "");
    assert_int_equal(c.cause, CAUSE_OOM);
    assert_string_equal(c.text, "peak 64 MiB of 64 MiB");
    assert_int_equal(c.status, 0);
    assert_int_equal(i.n_failed, 1);
    assert_int_equal(i.cause, CAUSE_OOM);
    assert_true(i.failed_at < c.closed_at); /* so that no call is sent to it in between */
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
}

/* A handler that is not there, or that cannot be run, fails at the start and says why. */
static void fails_to_start(void **state)
{
    struct bench_instance i;
    (void)state;

    bench_instance_init(&i, SPEC_RUNTIME_EXEC, "missing.sh --flag");
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_START_FAILED);
    assert_string_equal(i.text, "execute missing.sh: No such file or directory");

    bench_instance_init(&i, SPEC_RUNTIME_EXEC, "/var/task");
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_START_FAILED);
    assert_string_equal(i.text, "execute /var/task: Permission denied");

    sandbox_bench_file(&bench.sandboxes, "plain.sh", "echo text without a first line\n");
    bench_instance_init(&i, SPEC_RUNTIME_EXEC, "plain.sh");
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_START_FAILED);
    assert_string_equal(i.text,
                        "execute /var/task/plain.sh: it is no program, and has no "
                        "interpreter line (#!/bin/sh): Exec format error");

    sandbox_bench_file(&bench.sandboxes, "crlf.sh", "#!/bin/sh\r\necho hi\r\n");
    bench_instance_init(&i, SPEC_RUNTIME_EXEC, "./crlf.sh");
    bench_instance_run_to_failure(&bench, &i);
    assert_string_equal(
        i.text, "execute ./crlf.sh: its interpreter \"/bin/sh\\r\" (its lines end "
                "in CRLF): No such file or directory");

    sandbox_bench_file(&bench.sandboxes, "typo.py", "#! /usr/bin/pythn3 -u\nprint(1)\n");
    bench_instance_init(&i, SPEC_RUNTIME_HTTP, "typo.py");
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_START_FAILED);
    assert_string_equal(i.text, "execute /var/task/typo.py: its interpreter "
                                "\"/usr/bin/pythn3\": No such file or directory");

    bench_instance_init(&i, SPEC_RUNTIME_EXEC, "'unbalanced");
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_START_FAILED);

    bench_instance_init(&i, SPEC_RUNTIME_EXEC, "x");
    (void)memset(i.package.digest, 'b', SPEC_DIGEST_LEN);
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_START_FAILED);
    assert_non_null(strstr(i.text, "package"));
}

/* A program of the base works as handler, with arguments. */
static void runs_a_command_line(void **state)
{
    struct bench_instance i;
    (void)state;

    bench_instance_init(&i, SPEC_RUNTIME_EXEC, "tr 'a b' \"A_B\"");
    bench_instance_run(&bench, &i);
    bench_call_expect(&bench, &i, "a b", "A_B");
    bench_instance_end(&bench, &i);
}

/* What goes to stderr is in the log, not in the reply. */
static void logs_stderr(void **state)
{
    struct bench_instance i;
    (void)state;

    init(&i, "#!/bin/sh\necho out\necho to-the-log >&2\nprintf no-newline >&2\n");
    bench_instance_run(&bench, &i);
    bench_call_expect(&bench, &i, "", "out\n");
    bench_log_has(&bench, "stderr to-the-log\n");
    bench_instance_end(&bench, &i);
    bench_log_has(&bench, "stderr no-newline\n");
}

/* A call that overruns is killed with its instance at once, whatever it ignores. */
static void stops_by_force(void **state)
{
    const struct bench_request r = {0};
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    init(&i, "#!/bin/sh\ntrap '' TERM INT HUP\necho up\nwhile :; do sleep 1; done\n");
    bench_instance_run(&bench, &i);
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    WAIT_FOR(&bench, c.seen_bytes > 0);
    runtime_instance_stop(i.in, 0);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_CRASHED);
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* A stop with a grace lets the call that runs finish, and takes no other. */
static void stops_with_grace(void **state)
{
    const struct bench_request r = {.content_length = HTTP_BODY_CHUNKED};
    struct bench_instance i;
    struct bench_call c = {0}, late = {0};
    (void)state;

    init(&i, "#!/bin/sh\ncat\n");
    i.spec.concurrency = 2;
    bench_instance_run(&bench, &i);
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    runtime_instance_stop(i.in, 10000);
    assert_int_equal(bench_call_start(&bench, &i, &late, &r), -EAGAIN);
    assert_int_equal(runtime_call_write(c.c, "last", 4), 0);
    assert_int_equal(runtime_call_end(c.c), 0);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.body.len, 4);
    bench_call_free(&c);
    WAIT_FOR(&bench, i.n_gone == 1);
    bench_instance_end(&bench, &i);
}

/* A head that fits no process's environment is the caller's error, not the function's. */
static void refuses_a_huge_head(void **state)
{
    static char value[60000];
    struct http_header headers[3];
    const struct bench_request r = {.headers = headers, .n_headers = 3};
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    memset(value, 'v', sizeof(value));
    for (int n = 0; n < 3; n++) {
        headers[n] = (struct http_header){{"X-Long", 6}, {value, sizeof(value)}};
    }
    init(&i, "#!/bin/sh\necho here\n");
    bench_instance_run(&bench, &i);
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_BAD_REQUEST);
    bench_call_free(&c);
    bench_call_expect(&bench, &i, "", "here\n");
    bench_instance_end(&bench, &i);
}

static int open_bench(void **state)
{
    (void)state;
    runtime_bench_open(&bench);
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
        cmocka_unit_test(says_hello),
        cmocka_unit_test(tells_the_request),
        cmocka_unit_test(tells_how_it_ended),
        cmocka_unit_test(cuts_a_reply_that_fails_late),
        cmocka_unit_test(streams_both_ways),
        cmocka_unit_test(waits_for_a_slow_caller),
        cmocka_unit_test(ignores_input_that_nobody_reads),
        cmocka_unit_test(bears_a_program_that_does_not_read),
        cmocka_unit_test(does_not_wait_for_children),
        cmocka_unit_test(leftovers_hold_few_descriptors),
        cmocka_unit_test(runs_calls_side_by_side),
        cmocka_unit_test(cancels_one_of_two),
        cmocka_unit_test(cancels_from_within),
        cmocka_unit_test(tells_out_of_memory),
        cmocka_unit_test(fails_to_start),
        cmocka_unit_test(runs_a_command_line),
        cmocka_unit_test(logs_stderr),
        cmocka_unit_test(stops_by_force),
        cmocka_unit_test(stops_with_grace),
        cmocka_unit_test(refuses_a_huge_head),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
