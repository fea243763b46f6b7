#include "agent/runtime/lambda_document.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* --- the prelude ------------------------------------------------------------------ */

static bool put(struct lambda_prelude *h, const char *name, const json_t *value)
{
    const char *text = json_string_value(value);

    if (h->n == LAMBDA_PRELUDE_HEADERS || text == NULL || *name == '\0' ||
        strpbrk(text, "\r\n") != NULL || strpbrk(name, "\r\n: ") != NULL) {
        return false;
    }
    if (strcasecmp(name, "Content-Length") != 0 &&
        strcasecmp(name, "Transfer-Encoding") != 0) {
        h->list[h->n++] = (struct http_header){http_str(name), http_str(text)};
    }
    return true;
}

static bool put_headers(struct lambda_prelude *h, json_t *headers)
{
    const char *name;
    json_t *value;

    json_object_foreach(headers, name, value)
    {
        if (json_is_array(value)) {
            for (size_t i = 0; i < json_array_size(value); i++) {
                if (!put(h, name, json_array_get(value, i))) {
                    return false;
                }
            }
        } else if (!put(h, name, value)) {
            return false;
        }
    }
    return true;
}

static bool read_prelude(struct lambda_prelude *h, json_t *json)
{
    const json_t *status = json_object_get(json, "statusCode");
    json_t *cookies = json_object_get(json, "cookies");

    if (!json_is_object(json) || (status != NULL && !json_is_integer(status))) {
        return false;
    }
    h->status = status != NULL ? (int)json_integer_value(status) : 200;
    if (h->status < 200 || h->status > 599 ||
        !put_headers(h, json_object_get(json, "headers")) ||
        !put_headers(h, json_object_get(json, "multiValueHeaders"))) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(cookies); i++) {
        if (!put(h, "Set-Cookie", json_array_get(cookies, i))) {
            return false;
        }
    }
    if (http_headers_find((struct http_headers){h->list, h->n}, "Content-Type") == NULL &&
        h->n < LAMBDA_PRELUDE_HEADERS) {
        h->list[h->n++] = (struct http_header){HTTP_STR("Content-Type"),
                                               HTTP_STR("application/octet-stream")};
    }
    return true;
}

int lambda_prelude_read(struct lambda_prelude *ret, const char *text, size_t len)
{
    ret->n = 0;
    ret->status = 0;
    ret->json = json_loadb(text, len, 0, NULL);
    return read_prelude(ret, ret->json) ? 0 : -EINVAL;
}

void lambda_prelude_free(struct lambda_prelude *p)
{
    json_decref(p->json);
    p->json = NULL;
}

/* --- events ----------------------------------------------------------------------- */

static enum lambda_events_outcome read_event(const json_t *event, bool *invoke,
                                             bool *shutdown, bool internal)
{
    const char *name = json_string_value(event);

    if (name != NULL && strcmp(name, "INVOKE") == 0) {
        *invoke = true;
        return LAMBDA_EVENTS_GOOD;
    }
    if (name == NULL || strcmp(name, "SHUTDOWN") != 0) {
        return LAMBDA_EVENTS_UNKNOWN;
    }
    *shutdown = true;
    return internal ? LAMBDA_EVENTS_NO_SHUTDOWN : LAMBDA_EVENTS_GOOD;
}

enum lambda_events_outcome lambda_events_read(bool *ret_invoke, bool *ret_shutdown,
                                              bool internal, const char *text, size_t len)
{
    json_t *json = len > 0 ? json_loadb(text, len, 0, NULL) : NULL;
    const json_t *events = json_object_get(json, "events"), *event;
    enum lambda_events_outcome o = LAMBDA_EVENTS_GOOD;
    bool invoke = false, shutdown = false;
    size_t i;

    if (!json_is_object(json) || (events != NULL && !json_is_array(events))) {
        o = LAMBDA_EVENTS_NO_LIST;
    }
    json_array_foreach(events, i, event)
    {
        if (o == LAMBDA_EVENTS_GOOD) {
            o = read_event(event, &invoke, &shutdown, internal);
        }
    }
    if (o == LAMBDA_EVENTS_GOOD) {
        *ret_invoke = invoke;
        *ret_shutdown = shutdown;
    }
    json_decref(json);
    return o;
}
