/* What comes in a request: bodies, queries, headers, paths. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the ones above */

#include "controller/api/input.h"
#include "controller/api/text.h"

static int parse(const char *text, bool empty_ok, struct error *err)
{
    json_t *json = NULL;
    int rc = input_json(text, strlen(text), empty_ok, &json, err);

    assert_int_equal(rc == 0, json != NULL);
    json_decref(json);
    return rc;
}

/* A body is one JSON object; what is wrong is said with its place. */
static void takes_one_json_object(void **state)
{
    struct error err;

    assert_int_equal(parse("{\"a\": [1, {\"b\": \"}]\\\"\"}]}", false, &err), 0);
    assert_int_equal(parse("[1]", false, &err), -EINVAL);
    assert_int_equal(parse("{} {}", false, &err), -EINVAL);
    assert_int_equal(parse("{\"a\": 1, \"a\": 2}", false, &err), -EINVAL);
    assert_non_null(strstr(err.text, "duplicate"));
    assert_int_equal(parse("{\"a\":\n nope}", false, &err), -EINVAL);
    assert_non_null(strstr(err.text, "line 2"));
    assert_int_equal(parse("{\"a\": \"\\u0000\"}", false, &err), -EINVAL);
}

/* An empty body is refused, unless the request may come without one. */
static void empty_body_only_where_allowed(void **state)
{
    struct error err;

    assert_int_equal(parse("", true, &err), 0);
    assert_int_equal(parse("", false, &err), -EINVAL);
}

/* Nesting is limited before a parser recurses into it; brackets in strings do not count.
 */
static void refuses_deep_json(void **state)
{
    char text[4096] = "{\"a\":";
    size_t at = strlen(text);
    struct error err;

    for (int i = 0; i < INPUT_DEPTH_MAX; i++) {
        text[at++] = '[';
    }
    assert_int_equal(parse(text, false, &err), -EINVAL);
    assert_non_null(strstr(err.text, "deep"));
    (void)strcpy(text, "{\"a\": \"");
    memset(text + 7, '[', 1000);
    (void)strcpy(text + 1007, "\"}");
    assert_int_equal(parse(text, false, &err), 0);
}

/* A field that is not known is named, with what it stands in. */
static void names_unknown_fields(void **state)
{
    static const char *const known[] = {"digest", NULL};
    json_t *json = json_pack("{s:i, s:i}", "digest", 1, "colour", 2);
    char field[INPUT_FIELD_MAX];
    struct error err;

    assert_int_equal(input_json_keys(json, known, "package.", field, &err), -EINVAL);
    assert_string_equal(field, "package.colour");
    assert_non_null(strstr(err.text, "package.colour"));
    json_object_del(json, "colour");
    assert_int_equal(input_json_keys(json, known, "package.", field, &err), 0);
    json_decref(json);
}

/* Content types are read leniently, but what says that it is something else is not JSON.
 */
static void content_type_is_lenient(void **state)
{
    assert_true(input_may_be_json(http_str("")));
    assert_true(input_may_be_json(http_str("application/json; charset=utf-8")));
    assert_true(input_may_be_json(http_str("Application/JSON")));
    assert_true(input_may_be_json(http_str("application/merge-patch+json")));
    assert_true(input_may_be_json(http_str("application/x-www-form-urlencoded")));
    assert_false(input_may_be_json(http_str("text/html")));
    assert_false(input_may_be_json(http_str("multipart/form-data; boundary=json")));
    assert_false(input_may_be_json(http_str("application/yaml")));
}

static int query(const char *text, struct input_query *q, char *field, struct error *err)
{
    static const char *const known[] = {"tail", "follow", "file_name", NULL};

    return input_query_parse(q, http_str(text), known, field, err);
}

/* Queries are decoded; what is unknown, doubled or badly encoded is refused by name. */
static void reads_queries(void **state)
{
    struct input_query q;
    char field[INPUT_FIELD_MAX];
    struct error err;
    uint64_t tail;
    bool follow;

    assert_int_equal(query("tail=20&follow&file_name=a%20b+c%2F", &q, field, &err), 0);
    assert_string_equal(input_query_get(&q, "file_name"), "a b c/");
    assert_int_equal(input_query_u64(&q, "tail", 1, 100, 0, &tail, &err), 0);
    assert_int_equal(tail, 20);
    assert_int_equal(input_query_bool(&q, "follow", false, &follow, &err), 0);
    assert_true(follow);
    assert_int_equal(input_query_u64(&q, "tail", 1, 10, 0, &tail, &err), -EINVAL);
    input_query_free(&q);

    assert_int_equal(query("folow=1", &q, field, &err), -EINVAL);
    assert_string_equal(field, "folow");
    assert_int_equal(query("tail=1&tail=2", &q, field, &err), -EINVAL);
    assert_string_equal(field, "tail");
    assert_int_equal(query("tail=%2", &q, field, &err), -EINVAL);
    assert_int_equal(query("tail=%zz", &q, field, &err), -EINVAL);
    assert_int_equal(query("tail=%00", &q, field, &err), -EINVAL);
    assert_int_equal(query("&&", &q, field, &err), 0);
    assert_int_equal(q.n, 0);
}

/* Numbers are digits only, and within their range. */
static void reads_numbers(void **state)
{
    uint64_t n = 0;

    assert_int_equal(input_u64("18446744073709551615", 0, UINT64_MAX, &n), 0);
    assert_true(n == UINT64_MAX);
    assert_int_equal(input_u64("18446744073709551616", 0, UINT64_MAX, &n), -ERANGE);
    assert_int_equal(input_u64("-1", 0, 10, &n), -EINVAL);
    assert_int_equal(input_u64("+1", 0, 10, &n), -EINVAL);
    assert_int_equal(input_u64(" 1", 0, 10, &n), -EINVAL);
    assert_int_equal(input_u64("1x", 0, 10, &n), -EINVAL);
    assert_int_equal(input_u64("", 0, 10, &n), -EINVAL);
    assert_int_equal(input_u64("0", 1, 10, &n), -ERANGE);
}

/* If-Match takes one revision in quotes and nothing else. */
static void reads_if_match(void **state)
{
    uint64_t n = 0;
    struct error err;

    assert_int_equal(input_if_match(http_str("\"17\""), &n, &err), 0);
    assert_int_equal(n, 17);
    assert_int_equal(input_if_match(http_str("17"), &n, &err), -EINVAL);
    assert_int_equal(input_if_match(http_str("*"), &n, &err), -EINVAL);
    assert_int_equal(input_if_match(http_str("W/\"17\""), &n, &err), -EINVAL);
    assert_int_equal(input_if_match(http_str("\"1\", \"2\""), &n, &err), -EINVAL);
    assert_int_equal(input_if_match(http_str("\"99999999999999999999\""), &n, &err),
                     -EINVAL);
}

static void check_text(const char *bytes, size_t len, const char *want)
{
    json_t *json = text_json(bytes, len);

    assert_non_null(json);
    assert_string_equal(json_string_value(json), want);
    json_decref(json);
}

/* Whatever bytes a function prints become valid JSON text. */
static void makes_text_of_any_bytes(void **state)
{
    check_text("", 0, "");
    check_text("grün €", 9, "grün €");
    check_text("a\xff\xfe z", 5, "a\xef\xbf\xbd\xef\xbf\xbd z");
    check_text("\xe2\x82", 2, "\xef\xbf\xbd\xef\xbf\xbd");                 /* cut short */
    check_text("\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd");                 /* overlong */
    check_text("\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* surrogate */
    check_text("\xf4\x90\x80\x80"
               "k",
               5,
               "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdk"); /* past U+10FFFF */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_one_json_object),
        cmocka_unit_test(empty_body_only_where_allowed),
        cmocka_unit_test(refuses_deep_json),
        cmocka_unit_test(names_unknown_fields),
        cmocka_unit_test(content_type_is_lenient),
        cmocka_unit_test(reads_queries),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(reads_if_match),
        cmocka_unit_test(makes_text_of_any_bytes),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
