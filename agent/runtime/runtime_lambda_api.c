/* The Runtime API's endpoints, as the bootstrap in the sandbox sees them. Nothing that it
 * sends is trusted: an answer counts for the call that it names if that call was handed
 * out and has no answer yet. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/runtime/runtime_lambda.h"

#define PREFIX     "/2018-06-01"
#define INVOCATION "/runtime/invocation/"

static void on_body(struct http_exchange *x, const char *data, size_t len);
static void on_end(struct http_exchange *x);
static void on_close(struct http_exchange *x, int status);

static const struct http_exchange_ops exchange_ops = {
    .on_body = on_body,
    .on_end = on_end,
    .on_close = on_close,
};

/* --- answers ---------------------------------------------------------------------------
 */

void lambda_answer(struct http_exchange *x, int status, const char *type,
                   const char *body)
{
    const struct http_header h = {HTTP_STR("Content-Type"), http_str(type)};

    (void)http_exchange_reply(x, status, (struct http_headers){&h, 1}, body,
                              strlen(body));
}

void lambda_accept(struct http_exchange *x)
{
    lambda_answer(x, 202, "application/json", "{\"status\":\"OK\"}\n");
}

void lambda_refuse(struct http_exchange *x, int status, const char *type,
                   const char *message)
{
    char body[384];

    (void)snprintf(body, sizeof(body), "{\"errorMessage\":\"%s\",\"errorType\":\"%s\"}\n",
                   message, type);
    lambda_answer(x, status, "application/json", body);
}

static void refuse_state(struct http_exchange *x)
{
    lambda_refuse(x, 403, "InvalidStateTransition", "State transition is not allowed");
}

struct http_str lambda_header(struct http_headers headers, const char *name)
{
    const struct http_header *h = http_headers_find(headers, name);

    return h != NULL ? h->value : HTTP_STR("");
}

/* --- what a request brings -------------------------------------------------------------
 */

/* Of documents so much is kept as is of use; the rest is read and dropped. */
static void keep_document(struct lambda_exchange *e, const char *data, size_t len)
{
    if (e->seen_bytes > LAMBDA_DOCUMENT_MAX) {
        buf_free(&e->body);
    } else if (buf_append(&e->body, data, len) < 0) {
        http_exchange_abort(e->x);
    }
}

static void on_body(struct http_exchange *x, const char *data, size_t len)
{
    struct lambda_exchange *e = http_exchange_data(x);

    if (e->refused) {
        return;
    }
    e->seen_bytes += len;
    switch (e->what) {
    case LAMBDA_RESPONSE:
    case LAMBDA_ERROR:
        lambda_reply_body(e, data, len);
        break;
    case LAMBDA_INIT_ERROR:
    case LAMBDA_EXTENSION_REGISTER:
    case LAMBDA_EXTENSION_ERROR:
        keep_document(e, data, len);
        break;
    case LAMBDA_NEXT:
    case LAMBDA_EXTENSION_NEXT:
    default:
        break;
    }
}

static void end_init_error(struct lambda_exchange *e)
{
    struct http_str header =
        lambda_header(http_exchange_headers(e->x), "Lambda-Runtime-Function-Error-Type");
    char text[RUNTIME_TEXT_BYTES];

    lambda_error_text(&e->body, header, text);
    lambda_accept(e->x);
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
        lambda_reply_end(e);
        break;
    case LAMBDA_ERROR:
        lambda_error_end(e);
        break;
    case LAMBDA_INIT_ERROR:
        end_init_error(e);
        break;
    case LAMBDA_EXTENSION_REGISTER:
    case LAMBDA_EXTENSION_ERROR:
        lambda_extension_on_end(e);
        break;
    case LAMBDA_NEXT:
    case LAMBDA_EXTENSION_NEXT:
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
    lambda_extension_on_close(e);
    if (l != NULL) {
        l->carrier = NULL;
    }
    if (l != NULL && e->what != LAMBDA_NEXT) {
        lambda_report_end(l, CAUSE_FUNCTION_ERROR, "Runtime.TruncatedResponse: cut");
        lambda_detach(l);
        lambda_watch(in);
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

struct lambda_exchange *lambda_exchange_new(struct runtime_instance *in,
                                            struct http_exchange *x,
                                            enum lambda_what what)
{
    struct lambda_exchange *e = calloc(1, sizeof(*e));

    if (e == NULL) {
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
    e = lambda_exchange_new(in, x, LAMBDA_NEXT);
    if (e == NULL) {
        return;
    }
    list_push_back(&s->pollers, &e->link);
    s->asked = true;
    lambda_check_ready(in);
    lambda_dispatch(in);
}

static void on_answer(struct runtime_instance *in, struct http_exchange *x,
                      struct http_str id, enum lambda_what what)
{
    struct lambda_call *l = find(in, id, LAMBDA_RUNNING);
    struct lambda_exchange *e;

    if (in->phase == PHASE_INIT) {
        refuse_state(x);
        return;
    }
    if (l == NULL) { /* unknown, answered, or given up */
        lambda_refuse(x, 400, "InvalidRequestID", "Invalid request ID");
        return;
    }
    e = lambda_exchange_new(in, x, what);
    if (e == NULL) {
        return;
    }
    if (l->carrier != NULL) {
        l->carrier->call = NULL;
    }
    l->phase = LAMBDA_REPLYING;
    l->carrier = e;
    e->call = l;
    lambda_reply_begin(e, lambda_header(http_exchange_headers(x),
                                        "Lambda-Runtime-Function-Response-Mode"));
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
        lambda_refuse(x, 404, "ResourceNotFound", "No such resource");
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
        lambda_refuse(x, 403, "Sandbox.Failure", "The sandbox is being stopped");
    } else if (lambda_extension_request(in, x)) {
        return;
    } else if (get && http_str_eq(path, "/ping")) {
        lambda_answer(x, 200, "text/plain; charset=utf-8", "pong");
    } else if (get && http_str_eq(path, INVOCATION "next")) {
        on_next(in, x);
    } else if (post && http_str_eq(path, "/runtime/init/error")) {
        if (in->phase != PHASE_INIT) {
            refuse_state(x);
        } else {
            (void)lambda_exchange_new(in, x, LAMBDA_INIT_ERROR);
        }
    } else if (post && path.len > strlen(INVOCATION) &&
               memcmp(path.at, INVOCATION, strlen(INVOCATION)) == 0) {
        path.at += strlen(INVOCATION);
        path.len -= strlen(INVOCATION);
        route_invocation(in, x, path);
    } else if (get || post) {
        lambda_refuse(x, 404, "ResourceNotFound", "No such resource");
    } else {
        lambda_refuse(x, 405, "MethodNotAllowed", "Method not allowed");
    }
}
