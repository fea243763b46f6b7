#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "controller/api/lambda_private.h"

static void reply(struct lambda *l, int status, const char *error, const char *body)
{
    struct api_request *r = l->r;
    struct http_header list[4] = {
        {HTTP_STR("x-amzn-RequestId"), http_str(r->id)},
        {HTTP_STR("Content-Type"), HTTP_STR("application/json")},
    };
    size_t n = 2;

    if (r->x == NULL || r->status != 0 || http_exchange_responded(r->x)) {
        return;
    }
    r->status = status;
    if (error != NULL) {
        list[n++] = (struct http_header){HTTP_STR("x-amzn-ErrorType"), http_str(error)};
    }
    if (status == 429 || status == 503) {
        list[n++] = (struct http_header){HTTP_STR("Retry-After"), HTTP_STR("1")};
    }
    if (http_exchange_reply(r->x, status, (struct http_headers){list, n}, body,
                            strlen(body)) < 0) {
        http_exchange_abort(r->x);
    }
}

void lambda_reply(struct lambda *l, json_t *json)
{
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    if (text == NULL) {
        lambda_fail(l, LAMBDA_E_SERVICE, "out of memory");
        return;
    }
    reply(l, lambda_op_status(l->path.op), NULL, text);
    free(text);
}

void lambda_reply_empty(struct lambda *l)
{
    reply(l, lambda_op_status(l->path.op), NULL, "");
}

void lambda_fail(struct lambda *l, enum lambda_error e, const char *fmt, ...)
{
    const char *reason = e == LAMBDA_E_THROTTLED ? "CallerRateLimitExceeded" : NULL;
    char text[1024], *body;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (e == LAMBDA_E_SERVICE) {
        log_error("request failed", LOG_STR("request_id", l->r->id),
                  LOG_STR("operation", lambda_op_name(l->path.op)),
                  LOG_STR("error", text));
    }
    body = lambda_error_body(e, text, reason);
    reply(l, lambda_error_status(e), lambda_error_code(e), body != NULL ? body : "{}");
    free(body);
}

void lambda_fail_core(struct lambda *l, const struct core_reply *r)
{
    enum lambda_error e = lambda_error_of_cause(r->cause);

    if (e == LAMBDA_E_NOT_FOUND) {
        lambda_not_found(l);
    } else {
        lambda_fail(l, e, "%s", r->text != NULL ? r->text : cause_what(r->cause));
    }
}

void lambda_own_arn(const struct lambda *l, const char *qualifier,
                    char ret[LAMBDA_ARN_SIZE])
{
    lambda_arn(ret, l->region, l->r->api->options.lambda_account, l->ref.name, qualifier);
}

void lambda_not_found(struct lambda *l)
{
    char arn[LAMBDA_ARN_SIZE];

    lambda_own_arn(l, l->ref.qualifier, arn);
    lambda_fail(l, LAMBDA_E_NOT_FOUND, "Function not found: %s", arn);
}

const char *lambda_query(const struct lambda *l, const char *name)
{
    for (size_t i = 0; i < l->n_query; i++) {
        if (strcmp(l->query[i].name, name) == 0) {
            return l->query[i].value;
        }
    }
    return NULL;
}
