/* A call's reply, or its error, as the runtime sends it.
 *
 * What is not declared as a stream is held until it is whole, as in Lambda: it is then
 * either a reply within the limit or an error, never half of both. A stream begins with
 * its first byte; it carries its error, if one comes late, in its trailers. */
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/runtime/lambda_document.h"
#include "agent/runtime/runtime_lambda.h"

#define ERROR_HEADER "Lambda-Runtime-Function-Error-Type"
#define ERROR_BODY   "Lambda-Runtime-Function-Error-Body"
#define TOO_LARGE \
    "Response payload size exceeded maximum allowed payload size (6291556 bytes)."

#define INTEGRATION "application/vnd.awslambda.http-integration-response"
#define PRELUDE_MAX (64 * 1024)

/* --- the function's errors ------------------------------------------------------------
 */

static bool all_letters(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!((s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= 'a' && s[i] <= 'z'))) {
            return false;
        }
    }
    return len > 0;
}

/* What is not "Runtime.Word" or "Function.Word" is an Unknown of either. */
static struct http_str error_type(struct http_str given)
{
    static const char *const owners[] = {"Function.", "Runtime."};

    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(owners[i]);

        if (given.len > len && memcmp(given.at, owners[i], len) == 0) {
            return given.at[len] <= 'Z' && all_letters(given.at + len, given.len - len)
                       ? given
                   : i == 0 ? HTTP_STR("Function.Unknown")
                            : HTTP_STR("Runtime.Unknown");
        }
    }
    return HTTP_STR("Runtime.Unknown");
}

void lambda_error_text(const struct buf *document, struct http_str header,
                       char ret[RUNTIME_TEXT_BYTES])
{
    json_t *json = document->len > 0 && document->len <= LAMBDA_DOCUMENT_MAX
                       ? json_loadb(document->data, document->len, 0, NULL)
                       : NULL;
    const char *type = json_string_value(json_object_get(json, "errorType"));
    const char *message = json_string_value(json_object_get(json, "errorMessage"));
    struct http_str shown = type != NULL ? http_str(type) : error_type(header);

    (void)snprintf(ret, RUNTIME_TEXT_BYTES, "%.*s%s%s", (int)shown.len, shown.at,
                   message != NULL ? ": " : "", message != NULL ? message : "");
    json_decref(json);
}

/* --- heads ----------------------------------------------------------------------------
 */

/* False: the call is no more, or over. The trace comes back, as from Lambda. */
static bool respond(struct lambda_exchange *e, int status, struct http_header *list,
                    size_t n, uint64_t content_length)
{
    struct lambda_call *l = e->call;

    list[n++] = (struct http_header){HTTP_STR("X-Amzn-Trace-Id"), http_str(l->trace_id)};
    if (!call_respond(&l->call, status, (struct http_headers){list, n}, content_length)) {
        return false;
    }
    if (l->call.paused) {
        http_exchange_pause(e->x);
    }
    return true;
}

static bool begin_plain(struct lambda_exchange *e, uint64_t content_length)
{
    struct http_header list[2] = {
        {HTTP_STR("Content-Type"), e->content_type},
    };

    return respond(e, 200, list, 1, content_length);
}

/* The document as the function wrote it is the reply, if none has begun. */
static void fail_call(struct lambda_exchange *e, const struct buf *document,
                      struct http_str type, struct http_str header)
{
    struct lambda_call *l = e->call;
    struct http_header list[2] = {{HTTP_STR("Content-Type"), type}};
    char text[RUNTIME_TEXT_BYTES];

    lambda_error_text(document, header, text);
    l->call.cause = CAUSE_FUNCTION_ERROR;
    if (!l->call.responded && document->len > 0 &&
        (!respond(e, 502, list, 1, document->len) ||
         !call_body(&l->call, document->data, document->len))) {
        return;
    }
    lambda_detach(l);
    lambda_finish(l, CAUSE_FUNCTION_ERROR, "%s", text);
}

/* The runtime's answer is refused, which is the end of its call. */
static void refuse_reply(struct lambda_exchange *e, int status, const char *type,
                         const char *message, const char *text)
{
    struct lambda_call *l = e->call;

    e->refused = true;
    buf_free(&e->body);
    lambda_refuse(e->x, status, type, message);
    if (l != NULL) {
        lambda_detach(l);
        lambda_finish(l, CAUSE_FUNCTION_ERROR, "%s", text);
    }
}

static void too_large(struct lambda_exchange *e)
{
    refuse_reply(e, 413, "RequestEntityTooLarge",
                 "Exceeded maximum allowed payload size (6291556 bytes).",
                 "Function.ResponseSizeTooLarge: " TOO_LARGE);
}

/* --- the prelude ----------------------------------------------------------------------
 */

/* What was gathered begins with a whole prelude of `len` bytes. `rest` bytes of the body
 * are all there is (not HTTP_BODY_CHUNKED) or follow it. */
static bool begin_with_prelude(struct lambda_exchange *e, size_t len, bool whole)
{
    struct lambda_prelude h;
    bool ok = lambda_prelude_read(&h, e->body.data, len) == 0;
    bool goes_on = false;

    if (ok) {
        e->prelude = false;
        goes_on =
            respond(e, h.status, h.list, h.n,
                    whole ? e->body.len - len - LAMBDA_PRELUDE_END : HTTP_BODY_CHUNKED);
    } else {
        refuse_reply(e, 400, "InvalidResponse",
                     "The status and headers before the body are not valid",
                     "Runtime.InvalidHeaderValue: the reply's status and headers are not "
                     "valid: {statusCode, headers, cookies} of strings without line "
                     "breaks are expected");
    }
    lambda_prelude_free(&h);
    if (goes_on) {
        buf_consume(&e->body, len + LAMBDA_PRELUDE_END);
    }
    return goes_on;
}

/* --- replies that come ----------------------------------------------------------------
 */

void lambda_reply_begin(struct lambda_exchange *e, struct http_str mode)
{
    uint64_t length = http_exchange_content_length(e->x);
    char text[RUNTIME_TEXT_BYTES];

    e->content_type = lambda_header(http_exchange_headers(e->x), "Content-Type");
    if (e->content_type.len == 0) {
        e->content_type = HTTP_STR("application/json");
    }
    if (e->what == LAMBDA_RESPONSE) {
        e->streaming = http_str_ieq(mode, "streaming");
        e->prelude = !e->call->verbatim && http_str_ieq(e->content_type, INTEGRATION);
    }
    if (e->what == LAMBDA_RESPONSE && mode.len > 0 && !e->streaming) {
        (void)snprintf(text, sizeof(text), "Runtime.InvalidResponseModeHeader: %.*s",
                       (int)mode.len, mode.at);
        refuse_reply(e, 400, "InvalidFunctionResponseMode",
                     "Invalid function response mode", text);
    } else if (!e->streaming && length != HTTP_BODY_CHUNKED &&
               length > LAMBDA_PAYLOAD_MAX) {
        too_large(e);
    }
}

/* Of a stream: what came last, and what was held of it. */
static void stream(struct lambda_exchange *e, const char *data, size_t len)
{
    static const char end[LAMBDA_PRELUDE_END] = {0};
    struct lambda_call *l = e->call;
    const char *at;

    if (l->call.responded) {
        (void)call_body(&l->call, data, len);
        return;
    }
    if (!e->prelude) {
        if (begin_plain(e, http_exchange_content_length(e->x))) {
            (void)call_body(&l->call, data, len);
        }
        return;
    }
    if (buf_append(&e->body, data, len) < 0) {
        http_exchange_abort(e->x);
        return;
    }
    at = memmem(e->body.data, e->body.len, end, LAMBDA_PRELUDE_END);
    if (at == NULL && e->body.len > PRELUDE_MAX) {
        refuse_reply(e, 400, "InvalidResponse",
                     "The status and headers before the body do not end",
                     "Runtime.InvalidHeaderValue: no end of the reply's status and "
                     "headers in its first 64 KiB");
    } else if (at != NULL && begin_with_prelude(e, (size_t)(at - e->body.data), false)) {
        struct buf held = e->body;

        e->body = (struct buf){0};
        (void)call_body(&l->call, held.data, held.len);
        buf_free(&held);
    }
}

void lambda_reply_body(struct lambda_exchange *e, const char *data, size_t len)
{
    if (e->streaming) {
        if (e->call != NULL) {
            stream(e, data, len);
        }
    } else if (e->seen_bytes > LAMBDA_PAYLOAD_MAX) {
        too_large(e);
    } else if (e->call != NULL && buf_append(&e->body, data, len) < 0) {
        http_exchange_abort(e->x);
    }
}

/* "Lambda-Runtime-Function-Error-Body" is a JSON document in base64. */
static void decode_base64(struct http_str text, struct buf *ret)
{
    unsigned char *out = malloc(text.len + 4);
    int n = out != NULL && text.len <= INT32_MAX
                ? EVP_DecodeBlock(out, (const unsigned char *)text.at, (int)text.len)
                : -1;

    for (size_t i = text.len; n > 0 && i > 0 && text.at[i - 1] == '='; i--) {
        n--;
    }
    if (n > 0) {
        (void)buf_append(ret, out, (size_t)n);
    }
    free(out);
}

/* What was held of a reply goes out whole. False: it does not. */
static bool send_held(struct lambda_exchange *e)
{
    static const char end[LAMBDA_PRELUDE_END] = {0};
    struct lambda_call *l = e->call;
    const char *at = e->prelude && e->body.len > 0
                         ? memmem(e->body.data, e->body.len, end, LAMBDA_PRELUDE_END)
                         : NULL;

    if (l->call.responded) {
        return true;
    }
    if (e->prelude && at == NULL) {
        lambda_detach(l);
        lambda_finish(l, CAUSE_FUNCTION_ERROR,
                      "Runtime.TruncatedResponse: the reply ends within its status and "
                      "headers");
        return false;
    }
    if (e->prelude) {
        if (!begin_with_prelude(e, (size_t)(at - e->body.data), true)) {
            return false;
        }
    } else if (!begin_plain(e, e->body.len)) {
        return false;
    }
    return call_body(&l->call, e->body.data, e->body.len);
}

void lambda_reply_end(struct lambda_exchange *e)
{
    struct http_headers trailers = http_exchange_trailers(e->x);
    const struct http_header *error = http_headers_find(trailers, ERROR_HEADER);
    struct lambda_call *l = e->call;

    if (l == NULL) {
        lambda_accept(e->x);
    } else if (error != NULL) {
        struct buf document = {0};

        lambda_accept(e->x);
        decode_base64(lambda_header(trailers, ERROR_BODY), &document);
        fail_call(e, &document, HTTP_STR("application/json"), error->value);
        buf_free(&document);
    } else if (send_held(e)) {
        lambda_accept(e->x);
        lambda_detach(l);
        lambda_finish(l, CAUSE_NONE, "%s", "");
    } else if (!http_exchange_responded(e->x)) {
        lambda_accept(e->x);
    }
}

void lambda_error_end(struct lambda_exchange *e)
{
    struct http_str header = lambda_header(http_exchange_headers(e->x), ERROR_HEADER);

    lambda_accept(e->x);
    if (e->call != NULL) {
        fail_call(e, &e->body, e->content_type, header);
    }
}
