/* Replies over the Runtime API: whole and streamed, with status and headers of their own,
 * and those that are refused. */
#include "tests/integration/runtime_lambda_fixture.h"

static struct bench_instance instance;

static void call(struct bench_call *c, const char *event, size_t len, bool verbatim)
{
    const struct bench_request r = {.content_length = len, .verbatim = verbatim};

    *c = (struct bench_call){0};
    assert_int_equal(bench_call_start(&bench, &instance, c, &r), 0);
    assert_int_equal(runtime_call_write(c->c, event, len), 0);
    assert_int_equal(runtime_call_end(c->c), 0);
    WAIT_FOR(&bench, c->n_closed == 1);
    assert_int_equal(buf_append(&c->body, "", 0), 0);
}
#define CALL(c, text, verbatim) call(c, text, sizeof(text) - 1, verbatim)
#define END                     "\0\0\0\0\0\0\0\0"

/* What is not declared as a stream is one reply of known length, however it was sent. */
static void holds_what_is_no_stream(void **state)
{
    struct bench_call c;
    (void)state;

    CALL(&c, "chunked 300000", false);
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.content_length, 300000);
    assert_int_equal(c.seen_bytes, 300000);
    bench_call_free(&c);
}

/* 6 MiB and 100 bytes pass, one more is an error, and nothing of it reaches the caller.
 */
static void limits_what_is_no_stream(void **state)
{
    struct bench_call c;
    (void)state;

    CALL(&c, "chunked 6291556", false);
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.seen_bytes, 6291556);
    bench_call_free(&c);
    CALL(&c, "chunked 6291557", false);
    assert_int_equal(c.cause, CAUSE_FUNCTION_ERROR);
    assert_string_equal(c.text,
                        "Function.ResponseSizeTooLarge: Response payload size exceeded "
                        "maximum allowed payload size (6291556 bytes).");
    assert_int_equal(c.status, 0);
    bench_call_free(&c);
    bench_call_expect(&bench, &instance, "on", "on");
}

/* An error in the trailers of what is no stream replaces what came before it. */
static void replaces_a_reply_by_its_error(void **state)
{
    struct bench_call c;
    (void)state;

    CALL(&c, "chunkederror", false);
    assert_int_equal(c.cause, CAUSE_FUNCTION_ERROR);
    assert_int_equal(c.status, 502);
    assert_string_equal(c.body.data, "{\"errorType\":\"Late\",\"errorMessage\":\"x\"}");
    bench_call_free(&c);
}

/* Status, headers and cookies before a body become the reply's, streamed or not. */
static void reads_a_prelude(void **state)
{
    struct bench_call c;
    (void)state;

    CALL(&c,
         "prelude {\"statusCode\": 201, \"headers\": {\"X-One\": \"1\", "
         "\"content-type\": \"text/x\"}, \"cookies\": [\"a=b\", \"c=d\"]}" END "the body",
         false);
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.status, 201);
    assert_string_equal(c.body.data, "the body");
    assert_non_null(strstr(c.headers.data, "X-One: 1\n"));
    assert_non_null(strstr(c.headers.data, "content-type: text/x\n"));
    assert_non_null(strstr(c.headers.data, "Set-Cookie: a=b\n"));
    assert_non_null(strstr(c.headers.data, "Set-Cookie: c=d\n"));
    assert_null(strstr(c.headers.data, "vnd.awslambda"));
    bench_call_free(&c);
    CALL(&c, "preludewhole {\"statusCode\": 404}" END, false);
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.status, 404);
    assert_int_equal(c.content_length, 0);
    assert_non_null(strstr(c.headers.data, "Content-Type: application/octet-stream\n"));
    bench_call_free(&c);
}

/* Each prelude that is none: an error, and nothing goes on. */
static void refuses_a_bad_prelude(void **state)
{
    static const struct {
        const char *event;
        size_t len;
        const char *type;
    } rows[] = {
#define ROW(event, type) {event, sizeof(event) - 1, type}
        ROW("preludewhole []" END "x", "Runtime.InvalidHeaderValue"),
        ROW("preludewhole not json" END "x", "Runtime.InvalidHeaderValue"),
        ROW("preludewhole {\"statusCode\": 99}" END "x", "Runtime.InvalidHeaderValue"),
        ROW("preludewhole {\"statusCode\": \"200\"}" END, "Runtime.InvalidHeaderValue"),
        ROW("preludewhole {\"headers\": {\"a\": \"b\\nc: d\"}}" END,
            "Runtime.InvalidHeaderValue"),
        ROW("prelude {\"headers\": {\"a\": 1}}" END, "Runtime.InvalidHeaderValue"),
        ROW("preludewhole {\"statusCode\": 200}", "Runtime.TruncatedResponse"),
        ROW("prelude {\"statusCode\": 200}", "Runtime.TruncatedResponse"),
#undef ROW
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bench_call c;

        call(&c, rows[i].event, rows[i].len, false);
        assert_int_equal(c.cause, CAUSE_FUNCTION_ERROR);
        assert_int_equal(c.status, 0);
        assert_memory_equal(c.text, rows[i].type, strlen(rows[i].type));
        bench_call_free(&c);
    }
    bench_call_expect(&bench, &instance, "on", "on");
}

/* Whoever wants the bytes as they came, as Lambda's Invoke does, gets them. */
static void leaves_a_prelude(void **state)
{
    static const char whole[] = "{\"statusCode\": 201}" END "the body";
    struct bench_call c;
    (void)state;

    CALL(&c, "prelude {\"statusCode\": 201}" END "the body", true);
    assert_int_equal(c.status, 200);
    assert_int_equal(c.body.len, sizeof(whole) - 1);
    assert_memory_equal(c.body.data, whole, sizeof(whole) - 1);
    assert_non_null(
        strstr(c.headers.data,
               "Content-Type: application/vnd.awslambda.http-integration-response\n"));
    bench_call_free(&c);
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
    assert_int_equal(instance.n_failed, 0);
    return lambda_bench_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_is_no_stream),
        cmocka_unit_test(limits_what_is_no_stream),
        cmocka_unit_test(replaces_a_reply_by_its_error),
        cmocka_unit_test(reads_a_prelude),
        cmocka_unit_test(refuses_a_bad_prelude),
        cmocka_unit_test(leaves_a_prelude),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, open_instance, close_instance);
}
