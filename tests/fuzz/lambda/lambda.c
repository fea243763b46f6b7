/* What comes from outside at AWS Lambda's API: the path and the function's name in it,
 * the Authorization header, queries that are signed, a function URL's request and what
 * its function answers. The first byte says which. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/gateway/lambda_event.h"
#include "common/check.h"
#include "common/eventstream.h"
#include "common/lambda_name.h"
#include "common/lambda_path.h"
#include "common/sigv4_text.h"

static void path(const char *data, size_t len)
{
    struct lambda_path p;
    struct lambda_ref r;
    char native[SPEC_NAME_MAX + 1], name[LAMBDA_NAME_MAX + 1];

    (void)lambda_path_is(data, len);
    if (lambda_path_parse(&p, "POST", 4, data, len) == 0 && p.op != LAMBDA_OP_NONE &&
        lambda_ref_parse(&r, p.params[0]) == 0 &&
        lambda_name_to_native(native, r.name) == 0) {
        CHECK(spec_name_valid(native));
        lambda_name_from_native(name, native);
        CHECK(strcmp(name, r.name) == 0);
    }
}

static void authorization(const char *data, size_t len)
{
    const struct sigv4_header headers[] = {
        {{"Authorization", 13}, {data, len}},
        {{"Host", 4}, {"h", 1}},
        {{"X-Amz-Date", 10}, {"20150830T123600Z", 16}},
    };
    const struct sigv4_request r = {{"GET", 3}, {"/", 1}, {"", 0}, headers, 3};
    char text[SIGV4_TEXT_MAX], hash[SIGV4_HASH_SIZE];
    struct sigv4_claim c;

    sigv4_hash(hash, "", 0);
    if (sigv4_claim(&c, &r, text) == SIGV4_GOOD) {
        CHECK(sigv4_verify(&c, &r, "lambda", "another secret", hash, 1440938160, text) !=
              SIGV4_GOOD);
    }
}

static void canonical(const char *data, size_t len)
{
    char text[SIGV4_TEXT_MAX];
    struct buf b = {0};

    (void)sigv4_add_path(&b, (struct sigv4_str){data, len});
    (void)sigv4_add_query(&b, (struct sigv4_str){data, len}, text);
    buf_free(&b);
}

static void request(const char *data, size_t len)
{
    const char *line = memchr(data, '\n', len);
    size_t n = line != NULL ? (size_t)(line - data) : len;
    const struct http_header headers[] = {
        {HTTP_STR("Cookie"), {data, n}},
        {HTTP_STR("X-A"), {data, n}},
    };
    const struct lambda_http_event e = {.id = "id",
                                        .request_id = "r",
                                        .peer = "",
                                        .method = HTTP_STR("GET"),
                                        .path = HTTP_STR("/"),
                                        .query = {data, n},
                                        .headers = {headers, 2},
                                        .body = data + n,
                                        .body_len = len - n};
    struct buf b = {0};

    (void)lambda_event_make(&b, &e);
    buf_free(&b);
}

static void answer(const char *data, size_t len)
{
    struct lambda_http_reply r;

    if (lambda_reply_read(&r, data, len) == 0) {
        CHECK(r.status >= 200 && r.status <= 599);
        for (size_t i = 0; i < r.n_headers; i++) {
            CHECK(memchr(r.headers[i].value.at, '\n', r.headers[i].value.len) == NULL);
        }
    }
    lambda_http_reply_free(&r);
    (void)lambda_reply_read_head(&r, data, len);
    lambda_http_reply_free(&r);
}

static void frame(const char *data, size_t len)
{
    struct buf b = {0};

    (void)eventstream_add_event(&b, "PayloadChunk", "application/octet-stream", data,
                                len);
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parts[])(const char *data, size_t len) = {
        path, authorization, canonical, request, answer, frame};

    if (size > 0) {
        /* A copy of just this size: what reads past its end is seen. */
        char *copy = malloc(size);

        CHECK(copy != NULL);
        memcpy(copy, data + 1, size - 1);
        parts[data[0] % 6](copy, size - 1);
        free(copy);
    }
    return 0;
}
