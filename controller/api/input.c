#include "controller/api/input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/hex.h"

/* --- JSON --------------------------------------------------------------------- */

/* Brackets outside of strings; jansson itself would go 2048 deep. */
static bool too_deep(const char *text, size_t len)
{
    size_t depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < len; i++) {
        if (in_string) {
            if (text[i] == '\\') {
                i++;
            } else if (text[i] == '"') {
                in_string = false;
            }
        } else if (text[i] == '"') {
            in_string = true;
        } else if (text[i] == '{' || text[i] == '[') {
            if (++depth > INPUT_DEPTH_MAX) {
                return true;
            }
        } else if ((text[i] == '}' || text[i] == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

int input_json(const char *text, size_t len, bool empty_ok, json_t **ret,
               struct error *err)
{
    json_error_t e;
    json_t *json;

    if (len == 0 && empty_ok) {
        *ret = json_object();
        return *ret != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
    }
    if (len == 0) {
        return error_set(err, -EINVAL, "the body is empty; send a JSON object");
    }
    if (too_deep(text, len)) {
        return error_set(err, -EINVAL, "the body's JSON is more than %d levels deep",
                         INPUT_DEPTH_MAX);
    }
    json = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (json == NULL && json_error_code(&e) == json_error_out_of_memory) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (json == NULL) {
        return error_set(err, -EINVAL, "the body is not JSON: line %d, column %d: %s",
                         e.line, e.column, e.text);
    }
    if (!json_is_object(json)) {
        json_decref(json);
        return error_set(err, -EINVAL, "the body is not a JSON object");
    }
    *ret = json;
    return 0;
}

int input_json_keys(const json_t *object, const char *const *known, const char *prefix,
                    char field[INPUT_FIELD_MAX], struct error *err)
{
    const char *key;
    const json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        const char *const *k = known;

        while (*k != NULL && strcmp(*k, key) != 0) {
            k++;
        }
        if (*k == NULL) {
            (void)snprintf(field, INPUT_FIELD_MAX, "%s%.60s", prefix, key);
            return error_set(err, -EINVAL, "%s: no such field", field);
        }
    }
    return 0;
}

bool input_may_be_json(struct http_str type)
{
    /* The last three are what clients send that were told nothing. */
    static const char *const neutral[] = {"application/octet-stream", "text/plain",
                                          "application/x-www-form-urlencoded"};
    const char *semicolon = type.len > 0 ? memchr(type.at, ';', type.len) : NULL;
    struct http_str bare = {type.at,
                            semicolon != NULL ? (size_t)(semicolon - type.at) : type.len};

    while (bare.len > 0 &&
           (bare.at[bare.len - 1] == ' ' || bare.at[bare.len - 1] == '\t')) {
        bare.len--;
    }
    if (bare.len == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof(neutral) / sizeof(neutral[0]); i++) {
        if (http_str_ieq(bare, neutral[i])) {
            return true;
        }
    }
    return bare.len >= 5 &&
           (http_str_ieq((struct http_str){bare.at + bare.len - 5, 5}, "/json") ||
            http_str_ieq((struct http_str){bare.at + bare.len - 5, 5}, "+json"));
}

/* --- numbers, headers, segments ------------------------------------------------- */

int input_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long long value;

    if (digits == 0 || text[digits] != '\0') {
        return -EINVAL;
    }
    errno = 0;
    value = strtoull(text, NULL, 10);
    if (errno == ERANGE || value < min || value > max) {
        return -ERANGE;
    }
    *ret = value;
    return 0;
}

int input_if_match(struct http_str value, uint64_t *ret, struct error *err)
{
    char text[24] = "";

    if (value.len >= 3 && value.len - 2 < sizeof(text) && value.at[0] == '"' &&
        value.at[value.len - 1] == '"') {
        memcpy(text, value.at + 1, value.len - 2);
    }
    if (input_u64(text, 1, INT64_MAX, ret) < 0) {
        return error_set(err, -EINVAL,
                         "If-Match is %.*s; give the function's revision in quotes",
                         (int)(value.len < 60 ? value.len : 60), value.at);
    }
    return 0;
}

char *input_decode(struct http_str text, bool plus_is_space)
{
    char *out = malloc(text.len + 1);
    size_t n = 0;

    for (size_t i = 0; out != NULL && i < text.len; i++) {
        char c = text.at[i];

        if (c == '%') {
            int high = text.len - i > 2 ? hex_digit(text.at[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text.at[i + 2]) : -1;

            if (low < 0) {
                free(out);
                return NULL;
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0') {
            free(out);
            return NULL;
        }
        out[n++] = c;
    }
    if (out != NULL) {
        out[n] = '\0';
    }
    return out;
}

/* --- query -------------------------------------------------------------------- */

void input_query_free(struct input_query *q)
{
    for (size_t i = 0; i < q->n; i++) {
        free(q->params[i].name);
        free(q->params[i].value);
    }
    q->n = 0;
}

const char *input_query_get(const struct input_query *q, const char *name)
{
    for (size_t i = 0; i < q->n; i++) {
        if (strcmp(q->params[i].name, name) == 0) {
            return q->params[i].value;
        }
    }
    return NULL;
}

static int check_param(const struct input_query *q, const char *name,
                       const char *const *known, struct error *err)
{
    if (input_query_get(q, name) != NULL) {
        return error_set(err, -EINVAL, "%.60s is given twice", name);
    }
    for (; *known != NULL; known++) {
        if (strcmp(*known, name) == 0) {
            return q->n < INPUT_PARAMS_MAX
                       ? 0
                       : error_set(err, -EINVAL, "more than %d parameters",
                                   INPUT_PARAMS_MAX);
        }
    }
    return error_set(err, -EINVAL, "%.60s: no such parameter", name);
}

static int add_param(struct input_query *q, struct http_str item,
                     const char *const *known, char field[INPUT_FIELD_MAX],
                     struct error *err)
{
    const char *equals = memchr(item.at, '=', item.len);
    size_t name_len = equals != NULL ? (size_t)(equals - item.at) : item.len;
    char *name = input_decode((struct http_str){item.at, name_len}, true);
    char *value =
        equals != NULL
            ? input_decode((struct http_str){equals + 1, item.len - name_len - 1}, true)
            : strdup("1"); /* "?follow" */
    int rc;

    if (name == NULL || value == NULL) {
        rc = error_set(err, -EINVAL, "the query is not well encoded");
    } else {
        (void)snprintf(field, INPUT_FIELD_MAX, "%.60s", name);
        rc = check_param(q, name, known, err);
    }
    if (rc < 0) {
        free(name);
        free(value);
        return rc;
    }
    q->params[q->n].name = name;
    q->params[q->n++].value = value;
    return 0;
}

int input_query_parse(struct input_query *ret, struct http_str query,
                      const char *const *known, char field[INPUT_FIELD_MAX],
                      struct error *err)
{
    struct input_query q = {.n = 0};
    const char *at = query.at;
    const char *end = query.at + query.len;

    field[0] = '\0';
    while (at < end) {
        const char *amp = memchr(at, '&', (size_t)(end - at));
        const char *stop = amp != NULL ? amp : end;

        if (stop > at) {
            int rc = add_param(&q, (struct http_str){at, (size_t)(stop - at)}, known,
                               field, err);

            if (rc < 0) {
                input_query_free(&q);
                return rc;
            }
        }
        at = stop + 1;
    }
    *ret = q;
    return 0;
}

int input_query_u64(const struct input_query *q, const char *name, uint64_t min,
                    uint64_t max, uint64_t dflt, uint64_t *ret, struct error *err)
{
    const char *text = input_query_get(q, name);

    if (text == NULL) {
        *ret = dflt;
        return 0;
    }
    if (input_u64(text, min, max, ret) < 0) {
        return error_set(err, -EINVAL, "%s is \"%.40s\"; give %llu to %llu", name, text,
                         (unsigned long long)min, (unsigned long long)max);
    }
    return 0;
}

int input_query_bool(const struct input_query *q, const char *name, bool dflt, bool *ret,
                     struct error *err)
{
    const char *text = input_query_get(q, name);

    if (text == NULL) {
        *ret = dflt;
        return 0;
    }
    if (strcmp(text, "1") == 0 || strcmp(text, "true") == 0) {
        *ret = true;
    } else if (strcmp(text, "0") == 0 || strcmp(text, "false") == 0) {
        *ret = false;
    } else {
        return error_set(err, -EINVAL, "%s is \"%.40s\"; give 1 or 0", name, text);
    }
    return 0;
}
