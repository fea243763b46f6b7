#include "agent/gateway/lambda.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/gateway/lambda_private.h"
#include "common/hex.h"
#include "common/log.h"

/* --- errors ----------------------------------------------------------------------- */

void invoke_error(struct invoke *i, enum lambda_error e, const char *fmt, ...)
{
    char text[1024], id[RANDOM_UUID_SIZE], *body;
    struct http_header list[] = {
        {HTTP_STR("x-amzn-RequestId"), {id, RANDOM_UUID_SIZE - 1}},
        {HTTP_STR("Content-Type"), HTTP_STR("application/json")},
        {HTTP_STR("x-amzn-ErrorType"), http_str(lambda_error_code(e))},
    };
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (i->answered) {
        return;
    }
    i->answered = true;
    random_uuid(id);
    body = lambda_error_body(e, text, NULL);
    (void)http_exchange_reply(i->exchange, lambda_error_status(e),
                              (struct http_headers){list, 3}, body != NULL ? body : "{}",
                              body != NULL ? strlen(body) : 2);
    free(body);
}

/* --- the request ------------------------------------------------------------------ */

void invoke_free(void *data)
{
    struct invoke *i = data;

    i->gateway->lambda.held -= i->held;
    EVP_MD_CTX_free(i->hash);
    buf_free(&i->body);
    buf_free(&i->reply);
    free(i->cors_origin);
    free(i->content_type);
    lambda_url_unref(i->url);
    free(i);
}

struct invoke *invoke_new(struct gateway *g, struct http_exchange *x)
{
    struct invoke *i = calloc(1, sizeof(*i));

    if (i == NULL || (i->hash = EVP_MD_CTX_new()) == NULL ||
        EVP_DigestInit_ex(i->hash, EVP_sha256(), NULL) != 1) {
        if (i != NULL) {
            EVP_MD_CTX_free(i->hash);
        }
        free(i);
        http_exchange_abort(x);
        return NULL;
    }
    i->gateway = g;
    i->exchange = x;
    (void)stpcpy(i->namespace_, "default");
    (void)stpcpy(i->region, "us-east-1");
    return i;
}

int invoke_hold(struct invoke *i, struct buf *b, const char *data, size_t len)
{
    if (i->gateway->lambda.held + len > LAMBDA_HELD_MAX) {
        return -ENOBUFS;
    }
    i->held += len;
    i->gateway->lambda.held += len;
    return buf_append(b, data, len);
}

void invoke_add_header(struct invoke *i, struct http_str name, struct http_str value)
{
    if (i->n_headers < sizeof(i->headers) / sizeof(i->headers[0])) {
        i->headers[i->n_headers++] = (struct http_header){name, value};
    }
}

void invoke_call(struct invoke *i, const struct call_face *face)
{
    const struct call_input input = {
        .namespace_ = i->namespace_,
        .name = i->native,
        .qualifier = i->qualifier,
        .arn = i->arn,
        .tail = i->tail,
        .method = HTTP_STR("POST"),
        .headers = {i->headers, i->n_headers},
        .body = &i->body,
        .face = face,
        .data = i,
    };

    if (call_begin_as(i->gateway, i->exchange, &input) < 0) {
        invoke_error(i, LAMBDA_E_SERVICE, "out of memory");
    }
}

/* The event must be JSON; none is {}. False: answered. */
static bool check_event(struct invoke *i)
{
    json_error_t e;
    json_t *json;

    if (i->body.len == 0) {
        if (buf_append(&i->body, "{}", 2) < 0) {
            invoke_error(i, LAMBDA_E_SERVICE, "out of memory");
            return false;
        }
        return true;
    }
    json = json_loadb(i->body.data, i->body.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    if (json == NULL) {
        invoke_error(i, LAMBDA_E_CONTENT,
                     "Could not parse request body into json: Could not parse payload "
                     "into json: %s at [Source: (byte[]); line: %d, column: %d]",
                     e.text, e.line, e.column);
        return false;
    }
    json_decref(json);
    return true;
}

static const char *text_header(struct invoke *i, const char *name, char *ret, size_t size)
{
    const struct http_header *h =
        http_headers_find(http_exchange_headers(i->exchange), name);

    if (h == NULL) {
        return NULL;
    }
    (void)snprintf(ret, size, "%.*s",
                   (int)(h->value.len < size ? h->value.len : size - 1), h->value.at);
    return ret;
}

/* What the caller wants besides the answer. False: answered. */
static bool read_wishes(struct invoke *i, bool *ret_dry)
{
    char type[32], log[32];

    *ret_dry = false;
    if (text_header(i, "X-Amz-Log-Type", log, sizeof(log)) != NULL) {
        i->tail = strcmp(log, "Tail") == 0;
        if (!i->tail && strcmp(log, "None") != 0) {
            invoke_error(i, LAMBDA_E_VALIDATION,
                         "1 validation error detected: Value '%s' at 'logType' failed to "
                         "satisfy constraint: Member must satisfy enum value set: [None, "
                         "Tail]",
                         log);
            return false;
        }
    }
    if (text_header(i, "X-Amz-Invocation-Type", type, sizeof(type)) == NULL ||
        strcmp(type, "RequestResponse") == 0) {
        return true;
    }
    *ret_dry = strcmp(type, "DryRun") == 0;
    if (!*ret_dry && strcmp(type, "Event") == 0) {
        invoke_error(i, LAMBDA_E_UNSUPPORTED,
                     "InvocationType Event is not supported by this cluster: it has no "
                     "durable queue. Nothing was invoked; use RequestResponse.");
        return false;
    }
    if (!*ret_dry) {
        invoke_error(i, LAMBDA_E_VALIDATION,
                     "1 validation error detected: Value '%s' at 'invocationType' failed "
                     "to satisfy constraint: Member must satisfy enum value set: "
                     "[RequestResponse, Event, DryRun]",
                     type);
    }
    return *ret_dry;
}

static void not_found(struct invoke *i)
{
    char arn[LAMBDA_ARN_SIZE];

    lambda_arn(arn, i->region, i->gateway->lambda.account, i->ref.name, i->ref.qualifier);
    invoke_error(i, LAMBDA_E_NOT_FOUND, "Function not found: %s", arn);
}

/* DryRun: it would be allowed, and the function is there. */
static void dry_run(struct invoke *i)
{
    if (!agent_core_has_function(i->gateway->core, i->namespace_, i->native) ||
        (i->qualifier[0] != '\0' && strspn(i->qualifier, "0123456789") == 0 &&
         !agent_core_has_alias(i->gateway->core, i->namespace_, i->native,
                               i->qualifier))) {
        not_found(i);
        return;
    }
    i->answered = true;
    (void)http_exchange_reply(i->exchange, 204, (struct http_headers){NULL, 0}, "", 0);
}

static const char *const passed[] = {"X-Amz-Client-Context", "X-Amzn-Trace-Id",
                                     "traceparent", "tracestate"};

static void run(struct invoke *i)
{
    struct http_headers h = http_exchange_headers(i->exchange);
    bool dry;

    if (!read_wishes(i, &dry) || !check_event(i)) {
        return;
    }
    if (dry) {
        dry_run(i);
        return;
    }
    invoke_add_header(i, HTTP_STR("Content-Type"), HTTP_STR("application/json"));
    for (size_t n = 0; n < sizeof(passed) / sizeof(passed[0]); n++) {
        const struct http_header *found = http_headers_find(h, passed[n]);

        if (found != NULL) {
            invoke_add_header(i, found->name, found->value);
        }
    }
    invoke_call(i, i->mode == LAMBDA_MODE_STREAM ? &lambda_stream_face
                                                 : &lambda_invoke_face);
}

/* --- body ------------------------------------------------------------------------- */

static void too_large(struct invoke *i)
{
    invoke_error(i, LAMBDA_E_TOO_LARGE,
                 "Request must be smaller than %d bytes for the InvokeFunction operation",
                 LAMBDA_REQUEST_MAX);
}

static void on_body(struct http_exchange *x, const char *data, size_t len)
{
    struct invoke *i = http_exchange_data(x);
    int rc;

    if (i->answered) {
        return;
    }
    if (i->body.len + len > LAMBDA_REQUEST_MAX) {
        too_large(i);
        return;
    }
    rc = invoke_hold(i, &i->body, data, len);
    if (rc == -ENOBUFS) {
        invoke_error(i, LAMBDA_E_THROTTLED, "Too many bytes of requests are held.");
    } else if (rc < 0 || EVP_DigestUpdate(i->hash, data, len) != 1) {
        invoke_error(i, LAMBDA_E_SERVICE, "out of memory");
    }
}

static void on_end(struct http_exchange *x)
{
    struct invoke *i = http_exchange_data(x);

    if (i->answered) {
        return;
    }
    if (i->mode == LAMBDA_MODE_URL) {
        lambda_url_call(i);
    } else if (invoke_verify(i)) {
        run(i);
    }
}

static void on_close(struct http_exchange *x, int status)
{
    invoke_free(http_exchange_data(x));
}

static const struct http_exchange_ops collect_ops = {
    .on_body = on_body, .on_end = on_end, .on_close = on_close};

/* --- begin ------------------------------------------------------------------------ */

/* Native calls name aliases as AWS does, but versions by numbers of their own. False: no
 * version was published under this number, or this names nothing. */
static bool read_qualifier(struct invoke *i)
{
    const char *q = i->ref.qualifier;
    uint64_t number;

    if (*q == '\0' || strcmp(q, LAMBDA_LATEST) == 0) {
        return true;
    }
    if (strspn(q, "0123456789") != strlen(q)) {
        (void)stpcpy(i->qualifier, q);
        return alias_name_valid(q, strlen(q));
    }
    number = strlen(q) < 16 ? agent_core_published(i->gateway->core, i->namespace_,
                                                   i->native, strtoull(q, NULL, 10))
                            : 0;
    (void)snprintf(i->qualifier, sizeof(i->qualifier), "%llu",
                   (unsigned long long)number);
    return number > 0;
}

/* The value of a parameter, decoded: cut where it is too long, which no value that is
 * good can be. False: it is not there. */
static bool query_value(struct http_str query, const char *name, char *ret, size_t size)
{
    size_t name_len = strlen(name), n = 0;

    for (size_t at = 0; at < query.len;) {
        const char *amp = memchr(query.at + at, '&', query.len - at);
        size_t end = amp != NULL ? (size_t)(amp - query.at) : query.len;
        size_t from = at + name_len + 1;

        if (from <= end && memcmp(query.at + at, name, name_len) == 0 &&
            query.at[from - 1] == '=') {
            for (; from < end && n + 1 < size; from++, n++) {
                int high = query.at[from] == '%' && from + 2 < end
                               ? hex_digit(query.at[from + 1])
                               : -1;
                int low = high >= 0 ? hex_digit(query.at[from + 2]) : -1;

                ret[n] = low >= 0 ? (char)(high * 16 + low) : query.at[from];
                from += low >= 0 ? 2 : 0;
            }
            ret[n] = '\0';
            return true;
        }
        at = end + 1;
    }
    return false;
}

/* Qualifier, which may stand in the function's name as well. False: answered. */
static bool read_query(struct invoke *i)
{
    char value[LAMBDA_QUALIFIER_MAX + 2];

    if (!query_value(http_exchange_query(i->exchange), "Qualifier", value,
                     sizeof(value))) {
        return true;
    }
    if (!lambda_qualifier_valid(value)) {
        invoke_error(i, LAMBDA_E_VALIDATION,
                     "1 validation error detected: Value '%s' at 'qualifier' failed to "
                     "satisfy constraint: Member must satisfy regular expression "
                     "pattern: (|[a-zA-Z0-9$_-]+)",
                     value);
        return false;
    }
    if (i->ref.qualifier[0] != '\0' && strcmp(i->ref.qualifier, value) != 0) {
        invoke_error(i, LAMBDA_E_INVALID_PARAMETER,
                     "The derived qualifier from the function name does not match the "
                     "specified qualifier.");
        return false;
    }
    (void)stpcpy(i->ref.qualifier, value);
    return true;
}

/* Which function, for whom. False: answered. */
static bool admit(struct invoke *i)
{
    uint64_t len = http_exchange_content_length(i->exchange);

    if (!invoke_claim(i)) {
        return false;
    }
    if (lambda_ref_parse(&i->ref, i->path.params[0]) < 0) {
        invoke_error(
            i, LAMBDA_E_VALIDATION,
            "1 validation error detected: Value '%.200s' at 'functionName' failed "
            "to satisfy constraint: Member must satisfy regular expression "
            "pattern: %s",
            i->path.params[0], LAMBDA_NAME_PATTERN);
        return false;
    }
    if (i->ref.account[0] != '\0' &&
        strcmp(i->ref.account, i->gateway->lambda.account) != 0) {
        invoke_error(i, LAMBDA_E_DENIED,
                     "The account %s is not this cluster's, which is %s.", i->ref.account,
                     i->gateway->lambda.account);
        return false;
    }
    if (!read_query(i)) {
        return false;
    }
    if (lambda_name_to_native(i->native, i->ref.name) < 0 || !read_qualifier(i)) {
        not_found(i);
        return false;
    }
    lambda_arn(i->arn, i->region, i->gateway->lambda.account, i->ref.name,
               i->ref.qualifier);
    if (len != HTTP_BODY_CHUNKED && len > LAMBDA_REQUEST_MAX) {
        too_large(i);
        return false;
    }
    return true;
}

static void begin(struct gateway *g, struct http_exchange *x, const struct lambda_path *p)
{
    struct invoke *i = invoke_new(g, x);

    if (i == NULL) {
        return;
    }
    i->path = *p;
    i->mode = p->op == LAMBDA_InvokeWithResponseStream ? LAMBDA_MODE_STREAM
                                                       : LAMBDA_MODE_INVOKE;
    http_exchange_set(x, &collect_ops, i);
    if (p->op == LAMBDA_InvokeAsync) {
        invoke_error(i, LAMBDA_E_UNSUPPORTED,
                     "InvokeAsync is not supported by this cluster: it has no durable "
                     "queue. Nothing was invoked; use Invoke.");
        return;
    }
    (void)admit(i);
}

void lambda_collect_url(struct invoke *i)
{
    http_exchange_set(i->exchange, &collect_ops, i);
}

bool lambda_takes(struct gateway *g, struct http_exchange *x, struct http_str path)
{
    struct http_str method = http_exchange_method(x);
    struct lambda_path p;

    if (lambda_url_is(x, path)) {
        lambda_url_begin(g, x);
        return true;
    }
    if (!lambda_path_is(path.at, path.len)) {
        return false;
    }
    if (lambda_path_parse(&p, method.at, method.len, path.at, path.len) == 0 &&
        (p.op == LAMBDA_Invoke || p.op == LAMBDA_InvokeWithResponseStream ||
         p.op == LAMBDA_InvokeAsync)) {
        begin(g, x, &p);
    } else {
        lambda_relay_begin(g, x);
    }
    return true;
}
