#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "controller/api/api_private.h"
#include "controller/api/text.h"

#define RETRY_AFTER_S "2"
#define HEADERS_MAX   8

struct headers {
    struct http_header list[HEADERS_MAX];
    size_t n;
};

static void add_header(struct headers *h, const char *name, const char *value)
{
    h->list[h->n++] = (struct http_header){http_str(name), http_str(value)};
}

static struct headers common_headers(const struct api_request *r, const char *type)
{
    struct headers h = {.n = 0};

    add_header(&h, "X-Mayfly-Request-Id", r->id);
    if (type != NULL) {
        add_header(&h, "Content-Type", type);
        add_header(&h, "Cache-Control", "no-store");
    }
    return h;
}

static bool can_reply(const struct api_request *r)
{
    return r->x != NULL && r->status == 0 && !http_exchange_responded(r->x);
}

static void reply(struct api_request *r, int status, const struct headers *h,
                  const char *body, size_t len)
{
    r->status = status;
    if (http_exchange_reply(r->x, status, (struct http_headers){h->list, h->n}, body,
                            len) < 0) {
        http_exchange_abort(r->x);
    }
}

void api_reply_text(struct api_request *r, int status, const char *type, const char *text,
                    size_t len)
{
    struct headers h = common_headers(r, type);

    if (can_reply(r)) {
        reply(r, status, &h, text, len);
    }
}

void api_reply_empty(struct api_request *r, int status)
{
    struct headers h = common_headers(r, NULL);

    if (can_reply(r)) {
        reply(r, status, &h, "", 0);
    }
}

int api_reply_begin(struct api_request *r, int status, const char *type, uint64_t len)
{
    struct headers h = common_headers(r, type);

    if (!can_reply(r)) {
        return -EPIPE;
    }
    r->status = status;
    return http_exchange_respond(r->x, status, (struct http_headers){h.list, h.n}, len);
}

static void reply_json(struct api_request *r, int status, json_t *json, struct headers *h)
{
    char *text = json != NULL ? json_dumps(json, API_JSON) : NULL;
    struct buf body = {0};

    json_decref(json);
    if (text == NULL || buf_printf(&body, "%s\n", text) < 0) {
        http_exchange_abort(r->x);
    } else {
        reply(r, status, h, body.data, body.len);
    }
    buf_free(&body);
    free(text);
}

void api_reply_json(struct api_request *r, int status, json_t *json)
{
    struct headers h = common_headers(r, "application/json");

    if (!can_reply(r)) {
        json_decref(json);
    } else if (json == NULL) {
        api_fail(r, &(struct api_error){.cause = CAUSE_INTERNAL}, "out of memory");
    } else {
        reply_json(r, status, json, &h);
    }
}

void api_reply_items(struct api_request *r, json_t *array)
{
    api_reply_json(r, 200, array != NULL ? json_pack("{s:o}", "items", array) : NULL);
}

void api_reply_function(struct api_request *r, int status, json_t *json)
{
    struct headers h = common_headers(r, "application/json");
    char tag[24];

    (void)snprintf(tag, sizeof(tag), "\"%lld\"",
                   (long long)json_integer_value(json_object_get(json, "revision")));
    add_header(&h, "ETag", tag);
    if (can_reply(r)) {
        reply_json(r, status, json, &h);
    } else {
        json_decref(json);
    }
}

int api_write_gathered(struct api_request *r, int (*gather)(void *data, struct buf *out),
                       void *data)
{
    struct buf out = {0};
    int rc = 0;

    while (rc == 0 && http_exchange_pending(r->x) < HTTP_HIGH_WATER) {
        out.len = 0;
        rc = gather(data, &out);
        if (rc == 0) {
            rc = out.len > 0 ? http_exchange_write(r->x, out.data, out.len) : 1;
        }
    }
    buf_free(&out);
    return rc;
}

/* --- errors ------------------------------------------------------------------- */

static json_t *error_body(const struct api_request *r, const struct api_error *e,
                          const char *text)
{
    const char *fix = e->fix != NULL ? e->fix : cause_fix(e->cause);
    json_t *error = json_pack("{s:s, s:o, s:s}", "code", cause_name(e->cause), "message",
                              text_json(text, strlen(text)), "fix", fix);

    if (error != NULL && e->field != NULL) {
        json_object_set_new(error, "field", text_json(e->field, strlen(e->field)));
    }
    if (error != NULL) {
        json_object_set_new(error, "request_id", json_string(r->id));
    }
    return json_pack("{s:o}", "error", error);
}

void api_fail(struct api_request *r, const struct api_error *e, const char *fmt, ...)
{
    struct headers h = common_headers(r, "application/json");
    int status = e->status != 0 ? e->status : cause_http_status(e->cause);
    char text[ERROR_TEXT_MAX + 64];
    va_list ap;

    if (!can_reply(r)) {
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (e->cause == CAUSE_INTERNAL) {
        log_error("request failed", LOG_STR("request_id", r->id),
                  LOG_STR("cause", cause_name(e->cause)), LOG_STR("error", text));
    }
    add_header(&h, "X-Mayfly-Error", cause_name(e->cause));
    if (status == 429 || status == 503) {
        add_header(&h, "Retry-After", RETRY_AFTER_S);
    }
    if (e->allow != NULL) {
        add_header(&h, "Allow", e->allow);
    }
    reply_json(r, status, error_body(r, e, text), &h);
}

void api_refuse(struct api_request *r, const char *field, const struct error *err)
{
    struct api_error e = {.cause = CAUSE_BAD_REQUEST,
                          .field = field != NULL && *field != '\0' ? field : NULL};

    if (err->code == -ENOMEM) {
        e = (struct api_error){.cause = CAUSE_INTERNAL};
    }
    api_fail(r, &e, "%s", err->text);
}

void api_fail_core(struct api_request *r, const struct core_reply *reply)
{
    api_fail(r, &(struct api_error){.cause = reply->cause, .field = reply->field}, "%s",
             reply->text != NULL ? reply->text : cause_what(reply->cause));
}

void api_core_gone(void *data, const struct core_reply *reply)
{
    struct api_request *r = data;

    r->asked_core = false;
    if (reply->cause != CAUSE_NONE) {
        api_fail_core(r, reply);
    } else {
        api_reply_empty(r, 204);
    }
}
