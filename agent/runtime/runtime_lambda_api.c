/* The Runtime API's endpoints, as the bootstrap in the sandbox sees them. Nothing that it
 * sends is trusted: an answer counts for the call that it names if that call was handed
 * out and has no answer yet. */
#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/runtime/runtime_lambda.h"
#include "common/check.h"
#include "common/cleanup.h"

#define PREFIX       "/2018-06-01"
#define INVOCATION   "/runtime/invocation/"
#define ERROR_HEADER "Lambda-Runtime-Function-Error-Type"
#define ERROR_BODY   "Lambda-Runtime-Function-Error-Body"
/* Of an error's document so much is looked at for its text; of one about init, of which
 * nothing else is of use, so much is kept. */
#define DOCUMENT_MAX (64 * 1024)
#define TOO_LARGE \
    "Response payload size exceeded maximum allowed payload size (6291556 bytes)."

static void on_body(struct http_exchange *x, const char *data, size_t len);
static void on_end(struct http_exchange *x);
static void on_close(struct http_exchange *x, int status);

static const struct http_exchange_ops exchange_ops = {
    .on_body = on_body,
    .on_end = on_end,
    .on_close = on_close,
};

/* --- answers to the bootstrap ----------------------------------------------------------
 */

static void answer(struct http_exchange *x, int status, const char *type,
                   const char *body)
{
    const struct http_header h = {HTTP_STR("Content-Type"), http_str(type)};

    (void)http_exchange_reply(x, status, (struct http_headers){&h, 1}, body,
                              strlen(body));
}

static void accept_it(struct http_exchange *x)
{
    answer(x, 202, "application/json", "{\"status\":\"OK\"}\n");
}

static void refuse(struct http_exchange *x, int status, const char *type,
                   const char *message)
{
    char body[256];

    (void)snprintf(body, sizeof(body), "{\"errorMessage\":\"%s\",\"errorType\":\"%s\"}\n",
                   message, type);
    answer(x, status, "application/json", body);
}

static void refuse_state(struct http_exchange *x)
{
    refuse(x, 403, "InvalidStateTransition", "State transition is not allowed");
}

/* --- the function's errors
 * -------------------------------------------------------------- */

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

/* For people: the document's type and message, or what the header said. */
static void error_text(const struct buf *document, struct http_str header,
                       char ret[RUNTIME_TEXT_BYTES])
{
    json_t *json = document->len > 0 && document->len <= DOCUMENT_MAX
                       ? json_loadb(document->data, document->len, 0, NULL)
                       : NULL;
    const char *type = json_string_value(json_object_get(json, "errorType"));
    const char *message = json_string_value(json_object_get(json, "errorMessage"));
    struct http_str shown = type != NULL ? http_str(type) : error_type(header);

    (void)snprintf(ret, RUNTIME_TEXT_BYTES, "%.*s%s%s", (int)shown.len, shown.at,
                   message != NULL ? ": " : "", message != NULL ? message : "");
    json_decref(json);
}

/* The document as the function wrote it is the reply, if none has begun. */
static void fail_call(struct lambda_call *l, const struct buf *document, const char *type,
                      struct http_str header)
{
    const struct http_header headers[] = {
        {HTTP_STR("Content-Type"), http_str(type)},
    };
    char text[RUNTIME_TEXT_BYTES];

    error_text(document, header, text);
    l->call.cause = CAUSE_FUNCTION_ERROR;
    if (!l->call.responded && document->len > 0 &&
        (!call_respond(&l->call, 502, (struct http_headers){headers, 1}, document->len) ||
         !call_body(&l->call, document->data, document->len))) {
        return;
    }
    call_finish(&l->call, CAUSE_FUNCTION_ERROR, "%s", text);
}

static struct http_str header_value(struct http_headers headers, const char *name)
{
    const struct http_header *h = http_headers_find(headers, name);

    return h != NULL ? h->value : HTTP_STR("");
}

/* --- replies that come
 * ------------------------------------------------------------------ */

static bool begin_reply(struct lambda_exchange *e, uint64_t content_length)
{
    const struct http_header type = {HTTP_STR("Content-Type"), http_str(e->content_type)};
    struct lambda_call *l = e->call;

    if (l->call.responded) {
        return true;
    }
    if (!call_respond(&l->call, 200, (struct http_headers){&type, 1}, content_length)) {
        return false;
    }
    if (l->call.paused) {
        http_exchange_pause(e->x);
    }
    return true;
}

static void reply_too_large(struct lambda_exchange *e)
{
    struct lambda_call *l = e->call;

    e->refused = true;
    refuse(e->x, 413, "RequestEntityTooLarge",
           "Exceeded maximum allowed payload size (6291556 bytes).");
    if (l != NULL) {
        lambda_detach(l);
        call_finish(&l->call, CAUSE_FUNCTION_ERROR, "Function.ResponseSizeTooLarge: %s",
                    TOO_LARGE);
    }
}

static void on_body(struct http_exchange *x, const char *data, size_t len)
{
    struct lambda_exchange *e = http_exchange_data(x);

    if (e->refused) {
        return;
    }
    e->seen_bytes += len;
    if (e->seen_bytes > LAMBDA_PAYLOAD_MAX && !e->streaming) {
        reply_too_large(e);
    } else if (e->what == LAMBDA_INIT_ERROR && e->seen_bytes > DOCUMENT_MAX) {
        buf_free(&e->body);
    } else if (e->what == LAMBDA_ERROR || e->what == LAMBDA_INIT_ERROR) {
        if (buf_append(&e->body, data, len) < 0) {
            http_exchange_abort(x);
        }
    } else if (e->what == LAMBDA_RESPONSE && e->call != NULL) {
        struct lambda_call *l = e->call;

        if (begin_reply(e, http_exchange_content_length(x))) {
            (void)call_body(&l->call, data, len);
        }
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

static void end_response(struct lambda_exchange *e)
{
    struct http_headers trailers = http_exchange_trailers(e->x);
    const struct http_header *error = http_headers_find(trailers, ERROR_HEADER);
    struct lambda_call *l = e->call;

    accept_it(e->x);
    if (l == NULL) {
        return;
    }
    if (error != NULL) {
        struct buf document = {0};

        decode_base64(header_value(trailers, ERROR_BODY), &document);
        lambda_detach(l);
        fail_call(l, &document, "application/json", error->value);
        buf_free(&document);
    } else if (begin_reply(e, 0)) {
        lambda_detach(l);
        call_finish(&l->call, CAUSE_NONE, "%s", "");
    }
}

static void end_error(struct lambda_exchange *e)
{
    struct http_str header = header_value(http_exchange_headers(e->x), ERROR_HEADER);
    struct lambda_call *l = e->call;

    accept_it(e->x);
    if (l != NULL) {
        lambda_detach(l);
        fail_call(l, &e->body, e->content_type, header);
    }
}

static void end_init_error(struct lambda_exchange *e)
{
    struct http_str header = header_value(http_exchange_headers(e->x), ERROR_HEADER);
    char text[RUNTIME_TEXT_BYTES];

    error_text(&e->body, header, text);
    accept_it(e->x);
    instance_fail(e->instance, CAUSE_INIT_FAILED, "%s", text);
}

static void on_end(struct http_exchange *x)
{
    struct lambda_exchange *e = http_exchange_data(x);

    if (e->refused) {
        return;
    }
    switch (e->what) {
    case LAMBDA_RESPONSE:
        end_response(e);
        break;
    case LAMBDA_ERROR:
        end_error(e);
        break;
    case LAMBDA_INIT_ERROR:
        end_init_error(e);
        break;
    case LAMBDA_NEXT:
    default:
        break;
    }
}

static void on_close(struct http_exchange *x, int status)
{
    struct lambda_exchange *e = http_exchange_data(x);
    struct runtime_instance *in = e->instance;
    struct lambda_call *l = e->call;

    list_remove(&e->link);
    buf_free(&e->body);
    free(e->content_type);
    if (l != NULL) {
        l->carrier = NULL;
    }
    if (l != NULL && e->what != LAMBDA_NEXT) {
        lambda_detach(l);
        call_finish_unless_crashed(
            &l->call, "Runtime.TruncatedResponse: the bootstrap's answer is cut");
    } else if (l != NULL && status < 0 && l->phase == LAMBDA_RUNNING) {
        l->phase = LAMBDA_QUEUED; /* it did not get there: for the next who asks */
        lambda_dispatch(in);
    }
    free(e);
    instance_release(in);
}

/* --- requests
 * --------------------------------------------------------------------------- */

static struct lambda_exchange *exchange_new(struct runtime_instance *in,
                                            struct http_exchange *x,
                                            enum lambda_what what)
{
    struct http_headers headers = http_exchange_headers(x);
    const struct http_header *type = http_headers_find(headers, "Content-Type");
    struct lambda_exchange *e = calloc(1, sizeof(*e));

    if (e != NULL) {
        e->content_type =
            http_str_dup(type != NULL ? type->value : HTTP_STR("application/json"));
    }
    if (e == NULL || e->content_type == NULL) {
        free(e);
        http_exchange_abort(x);
        return NULL;
    }
    list_init(&e->link);
    e->instance = in;
    e->x = x;
    e->what = what;
    instance_hold(in);
    http_exchange_set(x, &exchange_ops, e);
    return e;
}

static struct lambda_call *find(struct runtime_instance *in, struct http_str id,
                                enum lambda_phase phase)
{
    LIST_FOREACH(it, &in->calls)
    {
        struct runtime_call *c = container_of(it, struct runtime_call, link);
        struct lambda_call *l = lambda_call_of(c);

        if (!c->over && l->phase == phase && (id.at == NULL || http_str_eq(id, l->id))) {
            return l;
        }
    }
    return NULL;
}

static void on_next(struct runtime_instance *in, struct http_exchange *x)
{
    const struct http_str any = {NULL, 0};
    struct lambda_state *s = in->kind_state;
    struct lambda_exchange *e;

    if (in->config.spec->concurrency == 1) {
        struct lambda_call *l = find(in, any, LAMBDA_RUNNING);

        if (find(in, any, LAMBDA_REPLYING) != NULL) {
            refuse_state(x);
            return;
        }
        if (l != NULL) { /* asked again without an answer: the same event again */
            if (l->carrier != NULL) {
                l->carrier->call = NULL;
                l->carrier = NULL;
            }
            l->phase = LAMBDA_QUEUED;
        }
    }
    e = exchange_new(in, x, LAMBDA_NEXT);
    if (e == NULL) {
        return;
    }
    list_push_back(&s->pollers, &e->link);
    instance_ready(in);
    lambda_dispatch(in);
}

static void on_answer(struct runtime_instance *in, struct http_exchange *x,
                      struct http_str id, enum lambda_what what)
{
    struct http_headers headers = http_exchange_headers(x);
    struct http_str mode = header_value(headers, "Lambda-Runtime-Function-Response-Mode");
    uint64_t length = http_exchange_content_length(x);
    struct lambda_call *l = find(in, id, LAMBDA_RUNNING);
    struct lambda_exchange *e;

    if (in->phase == PHASE_INIT) {
        refuse_state(x);
        return;
    }
    if (l == NULL) {
        refuse(x, 400, "InvalidRequestID", "Invalid request ID");
        return;
    }
    e = exchange_new(in, x, what);
    if (e == NULL) {
        return;
    }
    lambda_detach(l);
    l->phase = LAMBDA_REPLYING;
    l->carrier = e;
    e->call = l;
    e->streaming = what == LAMBDA_RESPONSE && http_str_ieq(mode, "streaming");
    if (what == LAMBDA_RESPONSE && mode.len > 0 && !e->streaming) {
        e->refused = true;
        refuse(x, 400, "InvalidFunctionResponseMode", "Invalid function response mode");
        lambda_detach(l);
        call_finish(&l->call, CAUSE_FUNCTION_ERROR,
                    "Runtime.InvalidResponseModeHeader: %.*s", (int)mode.len, mode.at);
    } else if (!e->streaming && length != HTTP_BODY_CHUNKED &&
               length > LAMBDA_PAYLOAD_MAX) {
        reply_too_large(e);
    }
}

/* ".../{id}/response" or ".../{id}/error" */
static void route_invocation(struct runtime_instance *in, struct http_exchange *x,
                             struct http_str rest)
{
    const char *slash = memchr(rest.at, '/', rest.len);
    struct http_str id = {rest.at, slash != NULL ? (size_t)(slash - rest.at) : 0};
    struct http_str verb = {slash, rest.len - id.len};

    if (id.len > 0 && http_str_eq(verb, "/response")) {
        on_answer(in, x, id, LAMBDA_RESPONSE);
    } else if (id.len > 0 && http_str_eq(verb, "/error")) {
        on_answer(in, x, id, LAMBDA_ERROR);
    } else {
        refuse(x, 404, "ResourceNotFound", "No such resource");
    }
}

void lambda_on_request(struct http_server *s, struct http_exchange *x)
{
    struct runtime_instance *in = s->data;
    struct http_str path = http_exchange_path(x);
    bool get = http_str_eq(http_exchange_method(x), "GET");
    bool post = http_str_eq(http_exchange_method(x), "POST");
    size_t prefix = strlen(PREFIX);

    if (path.len > prefix && memcmp(path.at, PREFIX, prefix) == 0) {
        path.at += prefix;
        path.len -= prefix;
    }
    if (in->killed) {
        refuse(x, 403, "Sandbox.Failure", "The sandbox is being stopped");
    } else if (get && http_str_eq(path, "/ping")) {
        answer(x, 200, "text/plain; charset=utf-8", "pong");
    } else if (get && http_str_eq(path, INVOCATION "next")) {
        on_next(in, x);
    } else if (post && http_str_eq(path, "/runtime/init/error")) {
        if (in->phase != PHASE_INIT) {
            refuse_state(x);
        } else {
            (void)exchange_new(in, x, LAMBDA_INIT_ERROR);
        }
    } else if (post && path.len > strlen(INVOCATION) &&
               memcmp(path.at, INVOCATION, strlen(INVOCATION)) == 0) {
        path.at += strlen(INVOCATION);
        path.len -= strlen(INVOCATION);
        route_invocation(in, x, path);
    } else if (get || post) {
        refuse(x, 404, "ResourceNotFound", "No such resource");
    } else {
        refuse(x, 405, "MethodNotAllowed", "Method not allowed");
    }
}
