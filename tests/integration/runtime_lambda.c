/* `provided` functions in real sandboxes: bootstraps that speak Lambda's Runtime API. */
#include "tests/integration/runtime_lambda_fixture.h"

/* Events go out, answers come back, one after the other. */
static void serves_events(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    char line[80];
    (void)state;

    lambda_run(&i, 1);
    bench_call_do(&bench, &i, &c, "event \"x\"");
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.status, 200);
    (void)snprintf(line, sizeof(line), "\"lambda-runtime-aws-request-id\": \"%s\"", c.id);
    assert_non_null(strstr(c.body.data, line));
    for (const char *const *want =
             (const char *const[]){
                 "\"lambda-runtime-deadline-ms\": \"1700000000123\"",
                 "\"lambda-runtime-invoked-function-arn\": "
                 "\"arn:aws:lambda:us-east-1:000000000000:function:tried\"",
                 "\"content-type\": \"application/json\"",
                 "\"AWS_REGION\": \"us-east-1\"",
                 "\"AWS_LAMBDA_FUNCTION_NAME\": \"tried\"",
                 "\"AWS_LAMBDA_FUNCTION_MEMORY_SIZE\": \"64\"",
                 "\"AWS_LAMBDA_FUNCTION_VERSION\": \"$LATEST\"",
                 "\"_HANDLER\": \"bootstrap\"", "\"LAMBDA_TASK_ROOT\": \"/var/task\"",
                 "\"event\": \"event \\\"x\\\"\"", NULL};
         *want != NULL; want++) {
        if (strstr(c.body.data, *want) == NULL) {
            print_error("%s is not in\n%s\n", *want, c.body.data);
        }
        assert_non_null(strstr(c.body.data, *want));
    }
    bench_call_free(&c);
    bench_call_expect(&bench, &i, "echo", "echo");
    bench_call_expect(&bench, &i, "", "{}"); /* as Lambda has it */
    bench_call_expect(&bench, &i, "empty", "");
    bench_timings(&bench, &i, "provided");
    bench_log_has(&bench, "stdout begun\n");
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* A function's error is its own document with status 502, and the instance goes on. */
static void passes_an_error_on(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    lambda_run(&i, 1);
    bench_call_do(&bench, &i, &c, "error");
    assert_int_equal(c.cause, CAUSE_FUNCTION_ERROR);
    assert_string_equal(c.text, "KeyError: no such thing");
    assert_int_equal(c.status, 502);
    assert_int_equal(c.response_cause, CAUSE_FUNCTION_ERROR);
    assert_string_equal(
        c.body.data, "{\"errorMessage\":\"no such thing\",\"errorType\":\"KeyError\"}");
    assert_int_equal(c.content_length, c.body.len);
    bench_call_free(&c);
    bench_call_expect(&bench, &i, "on", "on");
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* An error that comes in the trailers: before any output it is an error like any other,
 * after it the reply is cut. */
static void passes_trailers_on(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    lambda_run(&i, 1);
    bench_call_do(&bench, &i, &c, "trailer");
    assert_int_equal(c.cause, CAUSE_FUNCTION_ERROR);
    assert_string_equal(c.text, "Late: x");
    assert_int_equal(c.status, 502);
    assert_string_equal(c.body.data, "{\"errorType\":\"Late\",\"errorMessage\":\"x\"}");
    bench_call_free(&c);
    c = (struct bench_call){0};
    bench_call_do(&bench, &i, &c, "latetrailer");
    assert_int_equal(c.cause, CAUSE_FUNCTION_ERROR);
    assert_string_equal(c.text, "Late: x");
    assert_int_equal(c.status, 200);
    assert_string_equal(c.body.data, "part");
    bench_call_free(&c);
    bench_call_expect(&bench, &i, "on", "on");
    bench_instance_end(&bench, &i);
}

/* A streamed reply comes as it is made, as long as the caller takes it. */
static void streams_a_reply(void **state)
{
    struct bench_instance i;
    struct bench_call c = {.pause_at = 1};
    uint64_t seen;
    (void)state;

    lambda_run(&i, 1);
    lambda_begin(&i, &c, "stream");
    WAIT_FOR(&bench, c.seen_bytes > 0);
    seen = c.seen_bytes;
    assert_non_null(strstr(c.headers.data, "Content-Type: text/x-stream\n"));
    for (int n = 0; n < 10; n++) {
        sandbox_bench_turn(&bench.sandboxes);
    }
    assert_true(c.seen_bytes == seen);
    runtime_call_resume(c.c);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.seen_bytes, 320 * 65536); /* over the limit of what is buffered */
    bench_call_free(&c);
    bench_call_expect(&bench, &i, "on", "on");
    bench_instance_end(&bench, &i);
}

/* A large event reaches the function whole; one over the function's limit does not. */
static void bounds_events(void **state)
{
    const struct bench_request chunked = {.content_length = HTTP_BODY_CHUNKED};
    struct bench_instance i;
    struct bench_call c = {.discard = true};
    (void)state;

    bench_instance_init(&i, SPEC_RUNTIME_PROVIDED, NULL);
    i.spec.body_max_kib = 4096;
    bench_instance_run(&bench, &i);
    assert_int_equal(bench_call_start(&bench, &i, &c, &chunked), 0);
    bench_call_send(&bench, &c, 4096 * 1024);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.seen_bytes, 4096 * 1024);
    bench_call_free(&c);
    c = (struct bench_call){0};
    assert_int_equal(bench_call_start(&bench, &i, &c, &chunked), 0);
    bench_call_send(&bench, &c, 4096 * 1024 + 1);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_PAYLOAD_TOO_LARGE);
    bench_call_free(&c);
    bench_call_expect(&bench, &i, "on", "on");
    bench_instance_end(&bench, &i);
}

/* Answers that the API refuses fail their call, and the bootstrap is told why. */
static void refuses_bad_answers(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    lambda_run(&i, 1);
    bench_call_do(&bench, &i, &c, "toolarge");
    assert_int_equal(c.cause, CAUSE_FUNCTION_ERROR);
    assert_string_equal(c.text,
                        "Function.ResponseSizeTooLarge: Response payload size exceeded "
                        "maximum allowed payload size (6291556 bytes).");
    assert_int_equal(c.status, 0);
    bench_call_free(&c);
    bench_instance_end(&bench, &i);

    lambda_run(&i, 1);
    c = (struct bench_call){0};
    bench_call_do(&bench, &i, &c, "mode");
    assert_int_equal(c.cause, CAUSE_FUNCTION_ERROR);
    assert_string_equal(c.text, "Runtime.InvalidResponseModeHeader: odd");
    bench_call_free(&c);
    bench_log_has(&bench,
                  "stdout answer 400 {\"errorMessage\":\"Invalid function response "
                  "mode\",\"errorType\":\"InvalidFunctionResponseMode\"}\n");
    bench_call_expect(&bench, &i, "twice", "first");
    bench_log_has(&bench, "stdout answer 400 {\"errorMessage\":\"Invalid request "
                          "ID\",\"errorType\":\"InvalidRequestID\"}\n");
    bench_call_expect(&bench, &i, "again", "same"); /* /next without an answer */
    bench_call_expect(&bench, &i, "on", "on");
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* Garbage on the API ends its connection and nothing else. */
static void bears_garbage(void **state)
{
    struct bench_instance i;
    (void)state;

    lambda_run(&i, 1);
    bench_call_expect(&bench, &i, "garbage",
                      "[b'HTTP/1.1 400', b'HTTP/1.1 400', 404, 405, b'pong', 400, 403]");
    bench_call_expect(&bench, &i, "on", "on");
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* A bootstrap that dies with an event, before its answer or in the middle of it. */
static void tells_an_exit(void **state)
{
    struct bench_call c = {0};
    (void)state;

    lambda_dies(&c, "exit");
    assert_int_equal(c.cause, CAUSE_CRASHED);
    assert_string_equal(c.text, "exit status 3");
    assert_int_equal(c.status, 0);
    bench_call_free(&c);
    bench_log_has(&bench, "stdout dying\n");
    c = (struct bench_call){0};
    lambda_dies(&c, "half exit");
    assert_int_equal(c.cause, CAUSE_CRASHED);
    assert_string_equal(c.text, "exit status 4");
    assert_int_equal(c.seen_bytes, 0); /* what is no stream comes whole or not at all */
    bench_call_free(&c);
    c = (struct bench_call){0};
    lambda_dies(&c, "oom");
    assert_int_equal(c.cause, CAUSE_OOM);
    assert_string_equal(c.text, "peak 64 MiB of 64 MiB");
    bench_call_free(&c);
}

/* An answer that is cut by a bootstrap that lives on. */
static void tells_a_cut_answer(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    lambda_run(&i, 1);
    bench_call_do(&bench, &i, &c, "half");
    assert_int_equal(c.cause, CAUSE_FUNCTION_ERROR);
    assert_non_null(strstr(c.text, "Runtime.TruncatedResponse"));
    bench_call_free(&c);
    bench_call_expect(&bench, &i, "on", "on");
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* A bootstrap with several workers takes several events at once. */
static void runs_calls_side_by_side(void **state)
{
    struct bench_instance i;
    struct bench_call a = {0};
    (void)state;

    lambda_run(&i, 3);
    lambda_begin(&i, &a, "wait");
    bench_call_expect(&bench, &i, "b", "b");
    bench_call_expect(&bench, &i, "c", "c");
    assert_true(bench_call_cancel(&a)); /* its worker is lost, the others are not */
    bench_call_expect(&bench, &i, "d", "d");
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* An event cannot be taken back: alone in its instance the work ends with it. */
static void cancels(void **state)
{
    const struct bench_request chunked = {.content_length = HTTP_BODY_CHUNKED};
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    lambda_run(&i, 1);
    assert_int_equal(bench_call_start(&bench, &i, &c, &chunked), 0);
    assert_int_equal(runtime_call_write(c.c, "never", 5), 0);
    assert_true(bench_call_cancel(&c)); /* the function has not seen it */
    bench_call_expect(&bench, &i, "on", "on");
    c = (struct bench_call){.cancel_in_body = true};
    lambda_begin(&i, &c, "stream");
    WAIT_FOR(&bench, c.c == NULL);
    assert_false(c.usable);
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
    assert_int_equal(c.n_closed, 0);
}

/* Each way not to become ready has its words. */
static void fails_to_become_ready(void **state)
{
    struct bench_instance i;
    (void)state;

    sandbox_bench_file(
        &bench.sandboxes, "bootstrap",
        "#!/usr/bin/python3\n"
        "import http.client, time\n"
        "c = http.client.HTTPConnection('127.0.0.1:9001')\n"
        "c.request('POST', '/2018-06-01/runtime/invocation/x/response', 'x')\n"
        "r = c.getresponse(); print('early', r.status, r.read().decode(), flush=True)\n"
        "c.request('POST', '/2018-06-01/runtime/init/error',\n"
        "    '{\"errorMessage\":\"no module x\",\"errorType\":\"ImportError\"}')\n"
        "c.getresponse().read()\n"
        "time.sleep(1000)\n");
    bench_instance_init(&i, SPEC_RUNTIME_PROVIDED, NULL);
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_INIT_FAILED);
    assert_string_equal(i.text, "ImportError: no module x");
    bench_log_has(&bench, "stdout early 403 {\"errorMessage\":\"State transition is not "
                          "allowed\",\"errorType\":\"InvalidStateTransition\"}");

    sandbox_bench_file(&bench.sandboxes, "bootstrap", "#!/bin/sh\nexit 7\n");
    bench_instance_init(&i, SPEC_RUNTIME_PROVIDED, NULL);
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_INIT_FAILED);
    assert_string_equal(i.text, "exited with status 7 before it was ready");

    sandbox_bench_file(&bench.sandboxes, "bootstrap", "#!/bin/sh\nexec sleep 1000\n");
    bench_instance_init(&i, SPEC_RUNTIME_PROVIDED, NULL);
    i.spec.init_timeout_ms = 1000;
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_INIT_FAILED);
    assert_string_equal(i.text, "not ready within 1 s: it has not asked for an event");

    sandbox_bench_file(&bench.sandboxes, "bootstrap", "#!/no/such/interpreter\n");
    bench_instance_init(&i, SPEC_RUNTIME_PROVIDED, NULL);
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_START_FAILED);
    assert_string_equal(
        i.text,
        "execute ./bootstrap: its interpreter \"/no/such/interpreter\": No such file or "
        "directory");
}

/* A document of megabytes about a failed init is not kept: what the header says remains.
 */
static void bounds_an_init_error(void **state)
{
    struct bench_instance i;
    (void)state;

    sandbox_bench_file(
        &bench.sandboxes, "bootstrap",
        "#!/usr/bin/python3\n"
        "import http.client, time\n"
        "c = http.client.HTTPConnection('127.0.0.1:9001')\n"
        "c.request('POST', '/2018-06-01/runtime/init/error',\n"
        "    '{\"errorMessage\":\"' + 'x' * (1 << 20) + '\",\"errorType\":\"Long\"}',\n"
        "    {'Lambda-Runtime-Function-Error-Type': 'Function.Big'})\n"
        "c.getresponse().read()\n"
        "time.sleep(1000)\n");
    bench_instance_init(&i, SPEC_RUNTIME_PROVIDED, NULL);
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_INIT_FAILED);
    assert_string_equal(i.text, "Function.Big");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_events),
        cmocka_unit_test(passes_an_error_on),
        cmocka_unit_test(passes_trailers_on),
        cmocka_unit_test(streams_a_reply),
        cmocka_unit_test(bounds_events),
        cmocka_unit_test(refuses_bad_answers),
        cmocka_unit_test(bears_garbage),
        cmocka_unit_test(tells_an_exit),
        cmocka_unit_test(tells_a_cut_answer),
        cmocka_unit_test(runs_calls_side_by_side),
        cmocka_unit_test(cancels),
        cmocka_unit_test(fails_to_become_ready), /* replaces the bootstrap */
        cmocka_unit_test(bounds_an_init_error),  /* replaces the bootstrap */
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, lambda_bench_open, lambda_bench_close);
}
