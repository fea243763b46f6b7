/* What an event says of its call, what the program's environment says of the instance,
 * and what the platform writes into the function's log. */
#include "common/clock.h"
#include "tests/integration/runtime_lambda_fixture.h"

static struct bench_instance instance;

/* The event's headers, as JSON. */
static void headers_of(struct bench_call *c, const struct http_header *list, size_t n,
                       const char *arn)
{
    const struct bench_request r = {
        .headers = list, .n_headers = n, .content_length = 7, .invoked_arn = arn};

    *c = (struct bench_call){0};
    assert_int_equal(bench_call_start(&bench, &instance, c, &r), 0);
    assert_int_equal(runtime_call_write(c->c, "headers", 7), 0);
    assert_int_equal(runtime_call_end(c->c), 0);
    WAIT_FOR(&bench, c->n_closed == 1);
    assert_int_equal(c->cause, CAUSE_NONE);
    assert_int_equal(buf_append(&c->body, "", 0), 0);
}

static void assert_has(const struct bench_call *c, const char *text)
{
    if (strstr(c->body.data, text) == NULL) {
        print_error("%s is not in\n%s\n", text, c->body.data);
    }
    assert_non_null(strstr(c->body.data, text));
}

/* Each header of a request that has a counterpart in the event. */
static void passes_headers_on(void **state)
{
    static const struct {
        const char *name, *value, *expected;
    } rows[] = {
        {"Content-Type", "text/csv", "\"Content-Type\": \"text/csv\""},
        {"X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
         "\"Lambda-Runtime-Trace-Id\": "
         "\"Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1\""},
        {"X-Amz-Client-Context", "eyJjdXN0b20iOnsiYSI6ICJi\xfc" /* not base64 */, "{"},
        {"X-Amz-Client-Context", "eyJjdXN0b20iOiB7ImEiOiAxfX0=",
         "\"Lambda-Runtime-Client-Context\": \"{\\\"custom\\\":{\\\"a\\\":1}}\""},
        {"X-Amz-Tenant-Id", "blue", "\"Lambda-Runtime-Aws-Tenant-Id\": \"blue\""},
        {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
         "\"Lambda-Runtime-Trace-Id\": \"Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;"
         "Parent=00f067aa0ba902b7;Sampled=1\""},
        {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
         "\"traceparent\": \"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\""},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct http_header h = {http_str(rows[i].name), http_str(rows[i].value)};
        struct bench_call c;

        headers_of(&c, &h, 1, NULL);
        assert_has(&c, rows[i].expected);
        bench_call_free(&c);
    }
}

/* A call without a trace begins one, which the caller is told; what is no traceparent
 * does not count as one. */
static void begins_a_trace(void **state)
{
    const struct http_header h = {
        HTTP_STR("traceparent"),
        HTTP_STR("00-00000000000000000000000000000000-00f067aa0ba902b7-01")};
    struct bench_call c;
    char told[200];
    (void)state;

    headers_of(&c, &h, 1, NULL);
    assert_has(&c, "\"Lambda-Runtime-Trace-Id\": \"Root=1-");
    assert_null(strstr(c.body.data, "traceparent"));
    assert_non_null(strstr(c.headers.data, "X-Amzn-Trace-Id: Root=1-"));
    assert_int_equal(sscanf(strstr(c.headers.data, "X-Amzn-Trace-Id: "),
                            "X-Amzn-Trace-Id: %199s", told),
                     1);
    assert_has(&c, told);
    assert_has(&c, ";Sampled=0");
    bench_call_free(&c);
}

/* The function's ARN, unless the caller named another one of it. */
static void names_the_function(void **state)
{
    struct bench_call c;
    (void)state;

    headers_of(&c, NULL, 0, NULL);
    assert_has(&c, "\"arn:aws:lambda:us-east-1:000000000000:function:tried\"");
    assert_has(&c, "\"Lambda-Runtime-Deadline-Ms\": \"1700000000123\"");
    assert_null(strstr(c.body.data, "Client-Context"));
    assert_null(strstr(c.body.data, "Cognito"));
    bench_call_free(&c);
    headers_of(&c, NULL, 0, "arn:aws:lambda:us-east-1:000000000000:function:tried:prod");
    assert_has(&c, "function:tried:prod\"");
    bench_call_free(&c);
}

/* Each variable of Lambda's list that the platform sets. */
static void sets_the_environment(void **state)
{
    static const char *const rows[] = {
        "\"AWS_LAMBDA_RUNTIME_API\": \"127.0.0.1:9001\"",
        "\"_HANDLER\": \"bootstrap\"",
        "\"LAMBDA_TASK_ROOT\": \"/var/task\"",
        "\"LAMBDA_RUNTIME_DIR\": \"/var/runtime\"",
        "\"AWS_REGION\": \"us-east-1\"",
        "\"AWS_DEFAULT_REGION\": \"us-east-1\"",
        "\"AWS_LAMBDA_FUNCTION_NAME\": \"tried\"",
        "\"AWS_LAMBDA_FUNCTION_VERSION\": \"$LATEST\"",
        "\"AWS_LAMBDA_FUNCTION_MEMORY_SIZE\": \"64\"",
        "\"AWS_LAMBDA_LOG_GROUP_NAME\": \"/aws/lambda/tried\"",
        "\"AWS_LAMBDA_LOG_STREAM_NAME\": \"20",
        "/[$LATEST]0000000000000000",
        "\"AWS_LAMBDA_INITIALIZATION_TYPE\": \"on-demand\"",
        "\"AWS_XRAY_CONTEXT_MISSING\": \"LOG_ERROR\"",
        "\"LD_LIBRARY_PATH\": "
        "\"/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:"
        "/var/task/lib:/opt/lib\"",
        ":/opt/bin\"",
        "\"TZ\": \"UTC\"",
    };
    struct bench_call c = {0};
    (void)state;

    bench_call_do(&bench, &instance, &c, "event");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_has(&c, rows[i]);
    }
    assert_null(strstr(c.body.data, "AWS_LAMBDA_MAX_CONCURRENCY"));
    assert_null(strstr(c.body.data, "AWS_EXECUTION_ENV"));
    bench_call_free(&c);
}

/* START, END and REPORT stand in the log for each call; the first has the init's time. */
static void reports_calls(void **state)
{
    struct bench_call c = {0};
    char line[160];
    struct buf log = {0};
    (void)state;

    bench_call_do(&bench, &instance, &c, "once");
    (void)snprintf(line, sizeof(line), "system START RequestId: %s Version: $LATEST\n",
                   c.id);
    bench_log_has(&bench, line);
    (void)snprintf(line, sizeof(line), "system END RequestId: %s\n", c.id);
    bench_log_has(&bench, line);
    (void)snprintf(line, sizeof(line), "system REPORT RequestId: %s\tDuration: ", c.id);
    bench_log_has(&bench, line);
    bench_log_has(&bench, " ms\tMemory Size: 64 MB\tMax Memory Used: ");
    bench_log_has(&bench, "\tInit Duration: ");
    bench_log_read(&bench, &log);
    assert_null(strstr(strstr(log.data, line), "Init Duration")); /* not its own */
    buf_free(&log);
    bench_call_free(&c);
}

/* A busy function's log remains its own: not more than so many calls a second have their
 * lines. */
static void bounds_reports(void **state)
{
    struct buf log = {0};
    unsigned n = 0;
    uint64_t second;
    (void)state;

    for (int i = 0; i < 1000; i++) {
        bench_call_expect(&bench, &instance, "x", "x");
    }
    second = clock_mono_ms() / 1000;
    do { /* what a second left out is said in the next, with its first call */
        bench_call_expect(&bench, &instance, "x", "x");
    } while (clock_mono_ms() / 1000 == second);
    bench_call_expect(&bench, &instance, "x", "x");
    bench_log_read(&bench, &log);
    for (const char *at = log.data; (at = strstr(at, "START RequestId")) != NULL; at++) {
        n++;
    }
    assert_true(n > 0);
    if (n < 1000) { /* it was fast enough to be bounded */
        bench_log_has(&bench, " calls have no START, END and REPORT lines\n");
    }
    buf_free(&log);
}

static int open_instance(void **state)
{
    (void)lambda_bench_open(state);
    lambda_run(&instance, 1);
    return 0;
}

static int close_instance(void **state)
{
    bench_instance_end(&bench, &instance);
    return lambda_bench_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_headers_on),  cmocka_unit_test(begins_a_trace),
        cmocka_unit_test(names_the_function), cmocka_unit_test(sets_the_environment),
        cmocka_unit_test(reports_calls),      cmocka_unit_test(bounds_reports),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, open_instance, close_instance);
}
