/* What comes in a REST request. The first byte says what the rest is: j a JSON body, q a
 * query, p a path's segment, m an If-Match, c a Content-Type. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/api/input.h"
#include "controller/api/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void json(const char *text, size_t len)
{
    static const char *const known[] = {"spec", "package", NULL};
    char field[INPUT_FIELD_MAX];
    struct error err;
    json_t *body;

    if (input_json(text, len, false, &body, &err) == 0) {
        CHECK(json_is_object(body));
        (void)input_json_keys(body, known, "", field, &err);
        json_decref(body);
    } else {
        CHECK(err.code < 0 && err.text[0] != '\0');
    }
}

static void query(struct http_str text)
{
    static const char *const known[] = {"follow", "tail", NULL};
    char field[INPUT_FIELD_MAX];
    struct input_query q;
    struct error err;
    uint64_t tail;
    bool follow;

    if (input_query_parse(&q, text, known, field, &err) == 0) {
        CHECK(q.n <= 2);
        if (input_query_u64(&q, "tail", 1, 1000, 7, &tail, &err) == 0) {
            CHECK(tail >= 1 && tail <= 1000);
        }
        (void)input_query_bool(&q, "follow", false, &follow, &err);
        input_query_free(&q);
    }
}

static void segment(struct http_str text)
{
    char *decoded = input_decode(text, false);
    json_t *printable;

    if (decoded != NULL) {
        CHECK(strlen(decoded) <= text.len);
        printable = text_json(decoded, strlen(decoded));
        CHECK(printable != NULL);
        json_decref(printable);
        free(decoded);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_str text = {(const char *)data + 1, size - 1};
    struct error err;
    uint64_t revision;

    if (size < 1) {
        return 0;
    }
    switch (data[0]) {
    case 'j':
        json(text.at, text.len);
        break;
    case 'q':
        query(text);
        break;
    case 'p':
        segment(text);
        break;
    case 'm':
        if (input_if_match(text, &revision, &err) == 0) {
            CHECK(revision >= 1);
        }
        break;
    case 'c':
        (void)input_may_be_json(text);
        break;
    default:
        break;
    }
    return 0;
}
