/* Function URLs: events and replies. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/gateway/lambda_event.h"

static json_t *event(const struct lambda_http_event *e)
{
    struct buf b = {0};
    json_t *json;

    assert_int_equal(lambda_event_make(&b, e), 0);
    json = json_loadb(b.data, b.len, 0, NULL);
    assert_non_null(json);
    buf_free(&b);
    return json;
}

static const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* A request as payload format 2.0 has it. */
static void makes_events(void **state)
{
    const struct http_header headers[] = {
        {HTTP_STR("Host"), HTTP_STR("id.lambda-url.test")},
        {HTTP_STR("X-A"), HTTP_STR("1")},
        {HTTP_STR("x-a"), HTTP_STR("2")},
        {HTTP_STR("Cookie"), HTTP_STR("a=1; b=2")},
        {HTTP_STR("Content-Type"), HTTP_STR("text/plain")},
    };
    const struct lambda_http_event e = {.id = "id",
                                        .request_id = "r",
                                        .peer = "192.0.2.1",
                                        .method = HTTP_STR("POST"),
                                        .path = HTTP_STR("/a%20b"),
                                        .query = HTTP_STR("x=1&x=%32&y"),
                                        .headers = {headers, 5},
                                        .body = "hello",
                                        .body_len = 5,
                                        .wall_ms = 1440938160000};
    json_t *json = event(&e);
    const json_t *context = json_object_get(json, "requestContext");

    assert_string_equal(text(json, "version"), "2.0");
    assert_string_equal(text(json, "rawPath"), "/a%20b");
    assert_string_equal(text(json, "rawQueryString"), "x=1&x=%32&y");
    assert_string_equal(text(json, "body"), "hello");
    assert_true(json_is_false(json_object_get(json, "isBase64Encoded")));
    assert_string_equal(text(json_object_get(json, "headers"), "x-a"), "1,2");
    assert_null(text(json_object_get(json, "headers"), "cookie"));
    assert_int_equal(json_array_size(json_object_get(json, "cookies")), 2);
    assert_string_equal(text(json_object_get(json, "queryStringParameters"), "x"), "1,2");
    assert_string_equal(text(json_object_get(context, "http"), "sourceIp"), "192.0.2.1");
    assert_string_equal(text(context, "accountId"), "anonymous");
    assert_string_equal(text(context, "time"), "30/Aug/2015:12:36:00 +0000");
    json_decref(json);
}

/* A body that is no text is base64. */
static void encodes_binary_bodies(void **state)
{
    const struct http_header type = {HTTP_STR("Content-Type"), HTTP_STR("image/png")};
    const struct lambda_http_event e = {.id = "id",
                                        .request_id = "r",
                                        .peer = "",
                                        .method = HTTP_STR("POST"),
                                        .path = HTTP_STR("/"),
                                        .query = HTTP_STR(""),
                                        .headers = {&type, 1},
                                        .body = "\xff\0\x01",
                                        .body_len = 3};
    json_t *json = event(&e);

    assert_true(json_is_true(json_object_get(json, "isBase64Encoded")));
    assert_string_equal(text(json, "body"), "/wAB");
    assert_null(json_object_get(json, "queryStringParameters"));
    json_decref(json);
}

static const char *header(const struct lambda_http_reply *r, const char *name, char *ret)
{
    const struct http_header *h =
        http_headers_find((struct http_headers){r->headers, r->n_headers}, name);

    if (h == NULL) {
        return NULL;
    }
    memcpy(ret, h->value.at, h->value.len);
    ret[h->value.len] = '\0';
    return ret;
}

#define READ(r, s) lambda_reply_read(r, s, strlen(s))

/* An answer with a statusCode says all; numbers are texts in headers. */
static void reads_replies(void **state)
{
    struct lambda_http_reply r;
    char value[80];

    assert_int_equal(READ(&r, "{\"statusCode\":404,\"headers\":{\"X-N\":5,\"X-B\":true,"
                              "\"X-S\":\"s\"},\"cookies\":[\"a=1\",\"b=2\"],\"body\":"
                              "\"gone\"}"),
                     0);
    assert_int_equal(r.status, 404);
    assert_string_equal(header(&r, "X-N", value), "5");
    assert_string_equal(header(&r, "X-B", value), "true");
    assert_string_equal(header(&r, "X-S", value), "s");
    assert_string_equal(header(&r, "Content-Type", value), "application/json");
    assert_string_equal(header(&r, "Set-Cookie", value), "a=1");
    assert_int_equal(r.n_headers, 6);
    assert_memory_equal(r.body, "gone", r.body_len);
    lambda_http_reply_free(&r);
}

/* Any other answer is the body itself; a text without its quotes. */
static void reads_plain_answers(void **state)
{
    struct lambda_http_reply r;

    assert_int_equal(READ(&r, "{\"a\":1}"), 0);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body_len, 7);
    lambda_http_reply_free(&r);
    assert_int_equal(READ(&r, "\"hello\""), 0);
    assert_int_equal(r.body_len, 5);
    lambda_http_reply_free(&r);
    assert_int_equal(READ(&r, "not JSON"), 0);
    assert_int_equal(r.body_len, 8);
    lambda_http_reply_free(&r);
}

/* base64 bodies are decoded; what is none, and a status that cannot be, are refused. */
static void decodes_bodies(void **state)
{
    struct lambda_http_reply r;

    assert_int_equal(
        READ(&r, "{\"statusCode\":200,\"isBase64Encoded\":true,\"body\":\"/wA=\"}"), 0);
    assert_int_equal(r.body_len, 2);
    assert_memory_equal(r.body, "\xff\0", 2);
    lambda_http_reply_free(&r);
    assert_int_equal(
        READ(&r, "{\"statusCode\":200,\"isBase64Encoded\":true,\"body\":\"/wA\"}"),
        -EINVAL);
    lambda_http_reply_free(&r);
    assert_int_equal(READ(&r, "{\"statusCode\":99}"), -EINVAL);
    lambda_http_reply_free(&r);
}

/* A function cannot split the reply, nor say how it is framed. */
static void drops_what_must_not_be_said(void **state)
{
    struct lambda_http_reply r;
    char value[80];

    assert_int_equal(READ(&r, "{\"statusCode\":200,\"headers\":{\"X-A\":\"a\\r\\nX: b\","
                              "\"Content-Length\":\"1\",\"a b\":\"c\",\"X-Ok\":\"ok\"}}"),
                     0);
    assert_null(header(&r, "X-A", value));
    assert_null(header(&r, "Content-Length", value));
    assert_string_equal(header(&r, "X-Ok", value), "ok");
    lambda_http_reply_free(&r);
}

/* An origin is allowed by name or by the star. */
static void knows_origins(void **state)
{
    json_t *cors = json_pack("{s:[s]}", "AllowOrigins", "https://a.test");

    assert_true(lambda_cors_allows(cors, HTTP_STR("https://A.test")));
    assert_false(lambda_cors_allows(cors, HTTP_STR("https://b.test")));
    assert_false(lambda_cors_allows(NULL, HTTP_STR("https://a.test")));
    json_decref(cors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_events),   cmocka_unit_test(encodes_binary_bodies),
        cmocka_unit_test(reads_replies),  cmocka_unit_test(reads_plain_answers),
        cmocka_unit_test(decodes_bodies), cmocka_unit_test(drops_what_must_not_be_said),
        cmocka_unit_test(knows_origins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
