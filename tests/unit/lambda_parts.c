/* AWS Lambda's names, paths, errors and event streams. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/eventstream.h"
#include "common/lambda_error.h"
#include "common/lambda_name.h"
#include "common/lambda_path.h"

#define SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* --- names ------------------------------------------------------------------------ */

/* A name that mayfly could have given stays; others have one form, and come back. */
static void maps_names_both_ways(void **state)
{
    static const char *const cases[][2] = {
        {"f", "f"},
        {"my-function", "my-function"},
        {"MyFunc", "l---my-func"},
        {"my_func", "l--my-0func"},
        {"-f-", "l---1f-1"},
        {"a-B", "l--a-1-b"},
        {"l--x", "l--l-1-1x"},
        {"0", "0"},
    };

    for (size_t i = 0; i < SIZE(cases); i++) {
        char native[SPEC_NAME_MAX + 1], name[LAMBDA_NAME_MAX + 1];

        assert_int_equal(lambda_name_to_native(native, cases[i][0]), 0);
        assert_string_equal(native, cases[i][1]);
        assert_true(spec_name_valid(native));
        lambda_name_from_native(name, native);
        assert_string_equal(name, cases[i][0]);
    }
}

/* A native name that only looks like such a form is its own name. */
static void keeps_native_names(void **state)
{
    char name[LAMBDA_NAME_MAX + 1];

    lambda_name_from_native(name, "l--plain");
    assert_string_equal(name, "l--plain");
    lambda_name_from_native(name, "l--x-9y");
    assert_string_equal(name, "l--x-9y");
}

/* What is no name, and what has no room, is refused. */
static void refuses_names(void **state)
{
    char native[SPEC_NAME_MAX + 1], longest[LAMBDA_NAME_MAX + 2];

    assert_int_equal(lambda_name_to_native(native, ""), -EINVAL);
    assert_int_equal(lambda_name_to_native(native, "a.b"), -EINVAL);
    memset(longest, 'A', sizeof(longest));
    longest[LAMBDA_NAME_MAX] = '\0';
    assert_int_equal(lambda_name_to_native(native, longest), -ENAMETOOLONG);
    longest[LAMBDA_NAME_MAX] = 'A';
    longest[LAMBDA_NAME_MAX + 1] = '\0';
    assert_int_equal(lambda_name_to_native(native, longest), -EINVAL);
}

/* All forms in which a caller may name a function. */
static void reads_references(void **state)
{
    static const struct {
        const char *text, *region, *account, *name, *qualifier;
    } good[] = {
        {"f", "", "", "f", ""},
        {"f:prod", "", "", "f", "prod"},
        {"f:$LATEST", "", "", "f", "$LATEST"},
        {"function:f", "", "", "f", ""},
        {"000000000000:function:f", "", "000000000000", "f", ""},
        {"000000000000:function:f:1", "", "000000000000", "f", "1"},
        {"arn:aws:lambda:us-east-1:000000000000:function:f", "us-east-1", "000000000000",
         "f", ""},
        {"arn:aws-cn:lambda:cn-north-1:000000000000:function:f:a", "cn-north-1",
         "000000000000", "f", "a"},
    };
    static const char *const bad[] = {
        "",
        ":",
        "f:",
        "a b",
        "f:a:b",
        "arn:aws:s3:us-east-1:000000000000:function:f",
        "arn:aws:lambda:us-east-1:0:function:f",
        "arn:aws:lambda:us-east-1:000000000000:layer:f",
        "arn:aws:lambda:us-east-1:000000000000:function:f:a:b",
        "f:a/b"};
    struct lambda_ref r;

    for (size_t i = 0; i < SIZE(good); i++) {
        assert_int_equal(lambda_ref_parse(&r, good[i].text), 0);
        assert_string_equal(r.region, good[i].region);
        assert_string_equal(r.account, good[i].account);
        assert_string_equal(r.name, good[i].name);
        assert_string_equal(r.qualifier, good[i].qualifier);
    }
    for (size_t i = 0; i < SIZE(bad); i++) {
        assert_int_equal(lambda_ref_parse(&r, bad[i]), -EINVAL);
    }
}

/* A layer by its name, by its ARN or, with a number, one of its versions. */
static void reads_layers(void **state)
{
    static const struct {
        const char *text, *account, *name;
        uint64_t version;
    } good[] = {
        {"tools", "", "tools", 0},
        {"Tool_s", "", "Tool_s", 0},
        {"arn:aws:lambda:us-east-1:000000000000:layer:tools", "000000000000", "tools", 0},
        {"arn:aws:lambda:us-east-1:000000000000:layer:tools:12", "000000000000", "tools",
         12},
    };
    static const char *const bad[] = {
        "",
        "a b",
        "tools:1",
        "arn:aws:lambda:us-east-1:000000000000:function:tools",
        "arn:aws:lambda:us-east-1:000000000000:layer:tools:0",
        "arn:aws:lambda:us-east-1:000000000000:layer:tools:x",
        "arn:aws:lambda:us-east-1:000000000000:layer:tools:1234567890123456",
        "arn:aws:lambda:us-east-1:0:layer:tools:1"};
    char arn[LAMBDA_ARN_SIZE];
    struct lambda_ref r;
    uint64_t version;

    for (size_t i = 0; i < SIZE(good); i++) {
        assert_int_equal(lambda_layer_parse(&r, &version, good[i].text), 0);
        assert_string_equal(r.account, good[i].account);
        assert_string_equal(r.name, good[i].name);
        assert_int_equal(version, good[i].version);
    }
    for (size_t i = 0; i < SIZE(bad); i++) {
        assert_int_equal(lambda_layer_parse(&r, &version, bad[i]), -EINVAL);
    }
    lambda_layer_arn(arn, "eu-west-1", "000000000000", "tools", 3);
    assert_string_equal(arn, "arn:aws:lambda:eu-west-1:000000000000:layer:tools:3");
    lambda_layer_arn(arn, "eu-west-1", "000000000000", "tools", 0);
    assert_string_equal(arn, "arn:aws:lambda:eu-west-1:000000000000:layer:tools");
}

/* --- paths ------------------------------------------------------------------------ */

/* Each operation has its own date; a slash at the end and %3A make no difference. */
static void finds_operations(void **state)
{
    static const struct {
        const char *method, *path;
        enum lambda_op op;
        const char *first, *second;
    } cases[] = {
        {"POST", "/2015-03-31/functions", LAMBDA_CreateFunction, "", ""},
        {"GET", "/2015-03-31/functions/", LAMBDA_ListFunctions, "", ""},
        {"GET", "/2015-03-31/functions/f", LAMBDA_GetFunction, "f", ""},
        {"POST", "/2015-03-31/functions/f%3Aprod/invocations", LAMBDA_Invoke, "f:prod",
         ""},
        {"POST", "/2014-11-13/functions/f/invoke-async/", LAMBDA_InvokeAsync, "f", ""},
        {"DELETE", "/2015-03-31/functions/f/policy/s", LAMBDA_RemovePermission, "f", "s"},
        {"PUT", "/2017-10-31/functions/f/concurrency", LAMBDA_PutFunctionConcurrency, "f",
         ""},
        {"GET", "/2019-09-30/functions/f/concurrency", LAMBDA_GetFunctionConcurrency, "f",
         ""},
        {"GET", "/2016-08-19/account-settings/", LAMBDA_GetAccountSettings, "", ""},
        {"GET", "/2018-10-31/layers/", LAMBDA_ListLayers, "", ""},
        {"POST", "/2018-10-31/layers/l/versions", LAMBDA_PublishLayerVersion, "l", ""},
        {"DELETE", "/2018-10-31/layers/l/versions/3/policy/s",
         LAMBDA_RemoveLayerVersionPermission, "l", "3"},
        {"GET", "/2017-10-31/functions/f/concurrency", LAMBDA_OP_NONE, "", ""},
        {"PATCH", "/2015-03-31/functions/f", LAMBDA_OP_NONE, "", ""},
        {"GET", "/2015-03-31/functions/f/nothing", LAMBDA_OP_NONE, "", ""},
        {"GET", "/2015-03-31/functions//code", LAMBDA_OP_NONE, "", ""},
    };

    for (size_t i = 0; i < SIZE(cases); i++) {
        struct lambda_path p;

        assert_int_equal(lambda_path_parse(&p, cases[i].method, strlen(cases[i].method),
                                           cases[i].path, strlen(cases[i].path)),
                         0);
        assert_int_equal(p.op, cases[i].op);
        assert_string_equal(p.params[0], cases[i].first);
        assert_string_equal(p.params[1], cases[i].second);
    }
}

/* Bad encoding is refused; mayfly's own paths are none of these. */
static void refuses_bad_paths(void **state)
{
    static const char *const bad[] = {
        "/2015-03-31/functions/%", "/2015-03-31/functions/%4",
        "/2015-03-31/functions/%zz", "/2015-03-31/functions/a%00b"};
    struct lambda_path p;

    for (size_t i = 0; i < SIZE(bad); i++) {
        assert_int_equal(lambda_path_parse(&p, "GET", 3, bad[i], strlen(bad[i])),
                         -EINVAL);
    }
    assert_true(lambda_path_is("/2015-03-31/x", 13));
    assert_false(lambda_path_is("/2015-03-31", 11));
    assert_false(lambda_path_is("/fn/2015-03-31/", 15));
    assert_false(lambda_path_is("/v1/functions", 13));
}

/* --- errors ----------------------------------------------------------------------- */

/* Code, status and the spelling of the message are AWS's. */
static void makes_errors(void **state)
{
    char *body = lambda_error_body(LAMBDA_E_NOT_FOUND, "Function not found: x", NULL);

    assert_string_equal(body,
                        "{\"Type\":\"User\",\"Message\":\"Function not found: x\"}");
    free(body);
    body = lambda_error_body(LAMBDA_E_THROTTLED, "Rate Exceeded.", "R");
    assert_string_equal(
        body, "{\"Type\":\"User\",\"message\":\"Rate Exceeded.\",\"Reason\":\"R\"}");
    free(body);
    assert_int_equal(lambda_error_status(LAMBDA_E_PRECONDITION), 412);
    assert_string_equal(lambda_error_code(LAMBDA_E_SIGNATURE),
                        "InvalidSignatureException");
}

/* Every cause of ours is an error there, and no text can spoil the body. */
static void makes_errors_of_anything(void **state)
{
    char *body = lambda_error_body(LAMBDA_E_VALIDATION, "\xff\xfe", NULL);

    assert_non_null(strstr(body, "could not be understood"));
    free(body);
    for (int c = 1; c < CAUSE_COUNT; c++) {
        enum lambda_error e = lambda_error_of_cause((enum cause)c);

        assert_in_range(lambda_error_status(e), 400, 503);
    }
}

/* --- event streams ---------------------------------------------------------------- */

/* A frame as AWS's SDKs read it: lengths, both sums, headers, payload. */
static void frames_events(void **state)
{
    static const unsigned char want[] = {
        0x00, 0x00, 0x00, 0x1c,                           /* all */
        0x00, 0x00, 0x00, 0x09,                           /* headers */
        0x14, 0xde, 0xd0, 0x0c,                           /* CRC-32 of these */
        0x01, 'a',  0x07, 0x00, 0x04, 'b', 'c', 'd', 'e', /* a: bcde */
        'x',  'y',  'z',
    };
    const struct eventstream_header h = {"a", "bcde"};
    struct buf b = {0};

    assert_int_equal(eventstream_add(&b, &h, 1, "xyz", 3), 0);
    assert_int_equal(b.len, sizeof(want) + 4);
    assert_memory_equal(b.data, want, 8);
    assert_memory_equal(b.data + 12, want + 12, sizeof(want) - 12);
    buf_free(&b);
    assert_int_equal(
        eventstream_add_event(&b, "InvokeComplete", "application/json", "{}", 2), 0);
    assert_int_equal((unsigned char)b.data[3], b.len);
    buf_free(&b);
}

/* What does not fit its length field is refused, and leaves nothing. */
static void refuses_large_frames(void **state)
{
    struct buf b = {0};
    char name[300];
    struct eventstream_header h = {name, "x"};

    memset(name, 'n', sizeof(name));
    name[299] = '\0';
    assert_int_equal(eventstream_add(&b, &h, 1, NULL, 0), -EMSGSIZE);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_names_both_ways),
        cmocka_unit_test(keeps_native_names),
        cmocka_unit_test(refuses_names),
        cmocka_unit_test(reads_references),
        cmocka_unit_test(reads_layers),
        cmocka_unit_test(finds_operations),
        cmocka_unit_test(refuses_bad_paths),
        cmocka_unit_test(makes_errors),
        cmocka_unit_test(makes_errors_of_anything),
        cmocka_unit_test(frames_events),
        cmocka_unit_test(refuses_large_frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
