/* A request: from its head to its handler, and to its end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "controller/api/api_private.h"
#include "controller/api/lambda.h"

/* --- end ---------------------------------------------------------------------- */

static void free_if_over(struct api_request *r)
{
    struct api *a = r->api;

    if (r->x != NULL || r->holds > 0) {
        return;
    }
    list_remove(&r->node);
    route_match_free(&r->match);
    input_query_free(&r->query);
    json_decref(r->json);
    buf_free(&r->body);
    free(r);
    api_request_gone(a);
}

void api_request_hold(struct api_request *r)
{
    r->holds++;
}

void api_request_release(struct api_request *r)
{
    r->holds--;
    free_if_over(r);
}

bool api_request_is_head(const struct api_request *r)
{
    return http_str_eq(http_exchange_method(r->x), "HEAD");
}

/* Status 499: the client had gone before the reply was begun. */
static void account(struct api_request *r, struct http_str method)
{
    const struct route *route = r->match.route;
    char status[16], name[16];
    const char *labels[3] = {name, route != NULL ? route->pattern : "none", status};
    uint64_t took_us = clock_mono_us() - r->started_us;
    bool changes = route != NULL && strcmp(route->method, "GET") != 0;

    (void)snprintf(name, sizeof(name), "%.*s", (int)(method.len < 15 ? method.len : 15),
                   method.at);
    if (route == NULL) {
        labels[0] = "other"; /* whatever clients make up must not make series */
    }
    (void)snprintf(status, sizeof(status), "%d", r->status > 0 ? r->status : 499);
    metric_add(metric_get(r->api->metrics.requests, labels), 1);
    metric_observe_us(metric_get(r->api->metrics.duration, &labels[1]), took_us);
    log_write(changes ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "request",
              (struct log_field[]){
                  LOG_STR("request_id", r->id), LOG_STR("method", name),
                  LOG_STR("route", labels[1]), LOG_STR("namespace", r->match.params[0]),
                  LOG_STR("name", r->match.params[1]), LOG_INT("status", r->status),
                  LOG_INT("took_us", took_us)},
              7);
}

static void on_close(struct http_exchange *x, int status)
{
    struct api_request *r = http_exchange_data(x);

    if (r->status == 0 && status == -EPROTO) {
        r->status = 400; /* refused by the server itself: bad framing, or too slow */
    }
    account(r, http_exchange_method(x));
    r->x = NULL;
    if (r->asked_core) {
        controller_core_cancel(r->api->core, r);
        r->asked_core = false;
    }
    if (r->ops != NULL && r->ops->on_gone != NULL) {
        r->ops->on_gone(r);
    }
    free_if_over(r);
}

/* --- body --------------------------------------------------------------------- */

static void too_large(struct api_request *r)
{
    api_fail(r, &(struct api_error){.cause = CAUSE_PAYLOAD_TOO_LARGE},
             "the body is over %d bytes", INPUT_JSON_MAX);
}

static void on_body(struct http_exchange *x, const char *data, size_t len)
{
    struct api_request *r = http_exchange_data(x);

    if (r->status != 0 || r->match.route == NULL) {
        return;
    }
    if (r->ops != NULL && r->ops->on_body != NULL) {
        r->ops->on_body(r, data, len);
    } else if (r->match.route->body != BODY_NONE) {
        if (r->body.len + len > INPUT_JSON_MAX) {
            too_large(r);
        } else if (buf_append(&r->body, data, len) < 0) {
            api_fail(r, &(struct api_error){.cause = CAUSE_INTERNAL}, "out of memory");
        }
    }
}

static void on_end(struct http_exchange *x)
{
    struct api_request *r = http_exchange_data(x);
    const struct route *route = r->match.route;
    struct error err;

    if (r->status != 0 || route == NULL) {
        return;
    }
    if (r->ops != NULL && r->ops->on_end != NULL) {
        r->ops->on_end(r);
        return;
    }
    if (route->body != BODY_JSON && route->body != BODY_JSON_OR_EMPTY) {
        return;
    }
    if (input_json(r->body.data, r->body.len, route->body == BODY_JSON_OR_EMPTY, &r->json,
                   &err) < 0) {
        api_refuse(r, NULL, &err);
        return;
    }
    buf_free(&r->body);
    route->handler(r);
}

static void on_drain(struct http_exchange *x)
{
    struct api_request *r = http_exchange_data(x);

    if (r->ops != NULL && r->ops->on_drain != NULL) {
        r->ops->on_drain(r);
    }
}

static const struct http_exchange_ops exchange_ops = {on_body, on_end, on_drain,
                                                      on_close};

/* --- begin -------------------------------------------------------------------- */

/* What is wrong before any handler is asked. False: it was answered. */
static bool admit(struct api_request *r, int match_rc)
{
    static const char *const none[] = {NULL};
    const struct route *route = r->match.route;
    struct http_str path = http_exchange_path(r->x);
    struct http_str method = http_exchange_method(r->x);
    int path_len = (int)(path.len < 200 ? path.len : 200);
    char field[INPUT_FIELD_MAX];
    struct error err;

    if (match_rc < 0) {
        api_fail(r,
                 &(struct api_error){.cause = match_rc == -ENOMEM ? CAUSE_INTERNAL
                                                                  : CAUSE_BAD_REQUEST},
                 "the path %.*s is not well encoded", path_len, path.at);
    } else if (route == NULL && r->match.allow[0] != '\0') {
        api_fail(r,
                 &(struct api_error){.cause = CAUSE_BAD_REQUEST,
                                     .status = 405,
                                     .fix = "use one of the methods in Allow",
                                     .allow = r->match.allow},
                 "%.*s cannot be done with %.*s; it takes %s", (int)method.len, method.at,
                 path_len, path.at, r->match.allow);
    } else if (route == NULL) {
        api_fail(
            r,
            &(struct api_error){.cause = CAUSE_NOT_FOUND,
                                .fix = "see docs/openapi.yaml for the paths there are"},
            "there is no %.*s", path_len, path.at);
    } else if (input_query_parse(&r->query, http_exchange_query(r->x),
                                 route->query != NULL ? route->query : none, field,
                                 &err) < 0) {
        api_refuse(r, field, &err);
    } else if (!route->always && !controller_core_is_ready(r->api->core)) {
        api_fail(r, &(struct api_error){.cause = CAUSE_STORE_UNAVAILABLE},
                 "the controller has not read its store yet");
    } else {
        return true;
    }
    return false;
}

static bool admit_json(struct api_request *r)
{
    const struct http_header *type =
        http_headers_find(http_exchange_headers(r->x), "Content-Type");
    uint64_t len = http_exchange_content_length(r->x);

    if (type != NULL && !input_may_be_json(type->value)) {
        api_fail(r,
                 &(struct api_error){.cause = CAUSE_BAD_REQUEST,
                                     .status = 415,
                                     .field = "Content-Type",
                                     .fix = "send application/json"},
                 "Content-Type is %.*s, not application/json",
                 (int)(type->value.len < 80 ? type->value.len : 80), type->value.at);
        return false;
    }
    if (len != HTTP_BODY_CHUNKED && len > INPUT_JSON_MAX) {
        too_large(r);
        return false;
    }
    return true;
}

void api_request_begin(struct api *a, struct http_exchange *x)
{
    struct api_request *r = calloc(1, sizeof(*r));
    int rc;

    if (r == NULL) {
        http_exchange_abort(x);
        return;
    }
    r->api = a;
    r->x = x;
    r->started_us = http_exchange_started_us(x);
    random_uuid(r->id);
    list_push_back(&a->requests, &r->node);
    http_exchange_set(x, &exchange_ops, r);
    if (lambda_is_path(http_exchange_path(x))) {
        r->match.route = &lambda_route;
        lambda_route.handler(r);
        return;
    }
    rc = routes_match(&r->match, http_exchange_method(x), http_exchange_path(x));
    if (!admit(r, rc)) {
        return;
    }
    switch (r->match.route->body) {
    case BODY_JSON:
    case BODY_JSON_OR_EMPTY:
        (void)admit_json(r); /* the handler follows at the body's end */
        break;
    case BODY_NONE:
    case BODY_STREAM:
    default:
        r->match.route->handler(r);
        break;
    }
}
