/* Invoke: the answer is gathered, since its headers tell how it ended. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/gateway/lambda_private.h"

/* --- gathering -------------------------------------------------------------------- */

void invoke_head_common(struct invoke *i, const struct gateway_call *c,
                        struct http_headers headers)
{
    const struct http_header *error = http_headers_find(headers, "X-Mayfly-Error");
    char name[64];

    i->told = c->reply_cause;
    if (c->phase != PHASE_HOP) {
        return; /* a function may say what it likes; another agent is believed */
    }
    if (error != NULL && error->value.len < sizeof(name)) {
        memcpy(name, error->value.at, error->value.len);
        name[error->value.len] = '\0';
        i->told = cause_from_name(name);
        i->told = i->told == CAUSE_COUNT ? CAUSE_INTERNAL : i->told;
    }
}

static void head(struct gateway_call *c, int status, struct http_headers headers)
{
    struct invoke *i = c->face_data;

    invoke_head_common(i, c, headers);
}

static void body(struct gateway_call *c, const char *data, size_t len)
{
    struct invoke *i = c->face_data;

    if (i->too_large || i->reply.len + len > LAMBDA_RESPONSE_MAX ||
        invoke_hold(i, &i->reply, data, len) < 0) {
        i->too_large = true;
        buf_free(&i->reply);
    }
}

void invoke_executed_version(char ret[24], const struct gateway_call *c)
{
    const struct invoke *i = c->face_data;
    uint64_t n = i->qualifier[0] != '\0'
                     ? agent_core_published_as(c->gateway->core, i->namespace_, i->native,
                                               c->version)
                     : 0;

    (void)snprintf(ret, 24, "%llu", (unsigned long long)n);
    if (n == 0) {
        (void)stpcpy(ret, LAMBDA_LATEST);
    }
}

/* --- the log's tail --------------------------------------------------------------- */

/* What a runtime without the Runtime API has no lines for, or a call that reached none:
 * START, END and REPORT of what is known here. */
static void make_lines(struct gateway_call *c)
{
    char executed[24];
    double ms = (double)c->timing.run_us / 1000.0;
    const struct version *v = c->core_open ? c->call.version : NULL;

    invoke_executed_version(executed, c);
    (void)buf_printf(&c->log,
                     "START RequestId: %s Version: %s\nEND RequestId: %s\nREPORT "
                     "RequestId: %s\tDuration: %.2f ms\tBilled Duration: %.0f ms",
                     c->request_id, executed, c->request_id, c->request_id, ms, ceil(ms));
    if (v != NULL) {
        (void)buf_printf(&c->log, "\tMemory Size: %u MB", version_spec(v)->memory_mib);
    }
    if (c->timing.cold) {
        (void)buf_printf(&c->log, "\tInit Duration: %.2f ms",
                         (double)c->timing.init_us / 1000.0);
    }
    (void)buf_append_str(&c->log, "\t\n");
}

char *invoke_log_result(struct gateway_call *c)
{
    if (c->tail && c->log.len == 0) {
        make_lines(c);
    }
    return reply_tail(c);
}

/* --- the answer ------------------------------------------------------------------- */

static void answer(struct gateway_call *c, bool function_error, const char *data,
                   size_t len)
{
    char *tail = invoke_log_result(c), executed[24], timing[TIMING_SIZE];
    struct http_header list[6] = {
        {HTTP_STR("x-amzn-RequestId"), http_str(c->request_id)},
        {HTTP_STR("Content-Type"), HTTP_STR("application/json")},
    };
    size_t n = 2;

    invoke_executed_version(executed, c);
    list[n++] =
        (struct http_header){HTTP_STR("X-Amz-Executed-Version"), http_str(executed)};
    call_timing_text(c, timing);
    list[n++] = (struct http_header){HTTP_STR("Server-Timing"), http_str(timing)};
    if (function_error) {
        list[n++] =
            (struct http_header){HTTP_STR("X-Amz-Function-Error"), HTTP_STR("Unhandled")};
    }
    if (tail != NULL) {
        list[n++] = (struct http_header){HTTP_STR("X-Amz-Log-Result"), http_str(tail)};
    }
    (void)http_exchange_reply(c->exchange, 200, (struct http_headers){list, n}, data,
                              len);
    free(tail);
}

static void refuse(struct gateway_call *c, enum cause cause, const char *why)
{
    struct invoke *i = c->face_data;
    const char *text = why, *reason = NULL;
    enum lambda_error e = lambda_call_error(cause, &text, &reason);
    char timing[TIMING_SIZE];
    struct http_header list[5] = {
        {HTTP_STR("x-amzn-RequestId"), http_str(c->request_id)},
        {HTTP_STR("Content-Type"), HTTP_STR("application/json")},
        {HTTP_STR("x-amzn-ErrorType"), http_str(lambda_error_code(e))},
        {HTTP_STR("Server-Timing"), {timing, 0}},
        {HTTP_STR("Retry-After"), HTTP_STR("1")},
    };
    char arn[LAMBDA_ARN_SIZE], missing[LAMBDA_ARN_SIZE + 32], *document;

    if (e == LAMBDA_E_NOT_FOUND) {
        lambda_arn(arn, i->region, i->gateway->lambda.account, i->ref.name,
                   i->ref.qualifier);
        (void)snprintf(missing, sizeof(missing), "Function not found: %s", arn);
        text = missing;
    }
    call_timing_text(c, timing);
    list[3].value.len = strlen(timing);
    document = lambda_error_body(e, text, reason);
    (void)http_exchange_reply(
        c->exchange, lambda_error_status(e),
        (struct http_headers){list, e == LAMBDA_E_THROTTLED ? 5 : 4},
        document != NULL ? document : "{}", document != NULL ? strlen(document) : 2);
    free(document);
}

static void fail(struct gateway_call *c)
{
    char type[64];
    char *document = lambda_function_failure(c->cause, c->text, c->request_id, type);

    if (document != NULL) {
        answer(c, true, document, strlen(document));
        free(document);
    } else {
        refuse(c, c->cause, c->text);
    }
}

bool invoke_reply_is_failure(struct invoke *i, struct gateway_call *c)
{
    json_t *json, *error;
    const char *id, *text;
    bool is;

    if (i->told == CAUSE_NONE) {
        return false;
    }
    json = json_loadb(i->reply.data != NULL ? i->reply.data : "", i->reply.len, 0, NULL);
    error = json_object_get(json, "error");
    id = json_string_value(json_object_get(error, "request_id"));
    text = json_string_value(json_object_get(error, "message"));
    is = id != NULL && strcmp(id, c->request_id) == 0 && text != NULL;
    if (is) {
        c->cause = i->told;
        (void)snprintf(c->text, sizeof(c->text), "%s", text);
    }
    json_decref(json);
    return is;
}

static void end(struct gateway_call *c)
{
    struct invoke *i = c->face_data;

    if (i->too_large) {
        c->cause = CAUSE_FUNCTION_ERROR;
        (void)snprintf(c->text, sizeof(c->text), "Function.ResponseSizeTooLarge: ");
        fail(c);
    } else if (invoke_reply_is_failure(i, c)) {
        fail(c);
    } else {
        answer(c, i->told != CAUSE_NONE, i->reply.data != NULL ? i->reply.data : "",
               i->reply.len);
    }
}

const struct call_face lambda_invoke_face = {
    .head = head,
    .body = body,
    .end = end,
    .fail = fail,
    .free = invoke_free,
};
