/* Function URLs: http://<gateway>/url/<id>/… or a host <id>.lambda-url.<anything>. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/gateway/lambda_event.h"
#include "agent/gateway/lambda_private.h"
#include "common/clock.h"

#define PREFIX       "/url/"
#define HOST_PART    ".lambda-url."
#define HEADERS_MAX  80
#define PRELUDE_TYPE "application/vnd.awslambda.http-integration-response"
#define PRELUDE_MAX  (64 * 1024)
#define PRELUDE_END  8 /* NULs between head and body */

/* --- which URL -------------------------------------------------------------------- */

/* Where HOST_PART begins; NULL: nowhere. Most hosts have few dots. */
static const char *host_part(struct http_str host)
{
    const char *at = host.at, *end = host.at + host.len;

    while ((at = memchr(at, '.', (size_t)(end - at))) != NULL) {
        if ((size_t)(end - at) >= strlen(HOST_PART) &&
            memcmp(at, HOST_PART, strlen(HOST_PART)) == 0) {
            return at;
        }
        at++;
    }
    return NULL;
}

/* The id, and the path below it. */
static bool find_id(struct http_exchange *x, struct http_str path,
                    struct http_str *ret_id, struct http_str *ret_path)
{
    const struct http_header *host = http_headers_find(http_exchange_headers(x), "Host");
    size_t skip = strlen(PREFIX);
    const char *end;

    if (path.len > skip && memcmp(path.at, PREFIX, skip) == 0) {
        ret_id->at = path.at + skip;
        end = memchr(ret_id->at, '/', path.len - skip);
        ret_id->len = end != NULL ? (size_t)(end - ret_id->at) : path.len - skip;
        *ret_path = end != NULL
                        ? (struct http_str){end, (size_t)(path.at + path.len - end)}
                        : HTTP_STR("/");
        return true;
    }
    if (host != NULL) {
        end = host_part(host->value);
        if (end != NULL) {
            *ret_id = (struct http_str){host->value.at, (size_t)(end - host->value.at)};
            *ret_path = path;
            return true;
        }
    }
    return false;
}

bool lambda_url_is(struct http_exchange *x, struct http_str path)
{
    struct http_str id, below;

    return find_id(x, path, &id, &below);
}

/* --- replies ---------------------------------------------------------------------- */

static const json_t *cors_of(const struct invoke *i)
{
    return i->url != NULL ? json_object_get(i->url->config, "cors") : NULL;
}

struct out {
    struct http_header list[HEADERS_MAX];
    size_t n;
    struct buf texts[4];
};

static void out_free(struct out *o)
{
    for (size_t i = 0; i < 4; i++) {
        buf_free(&o->texts[i]);
    }
}

static void out_add(struct out *o, struct http_str name, struct http_str value)
{
    if (o->n < HEADERS_MAX) {
        o->list[o->n++] = (struct http_header){name, value};
    }
}

static void add_cors(struct out *o, const struct invoke *i, bool preflight)
{
    if (i->cors_origin != NULL) {
        out_add(o, HTTP_STR("Access-Control-Allow-Origin"), http_str(i->cors_origin));
        out_add(o, HTTP_STR("Vary"), HTTP_STR("Origin"));
        lambda_cors_headers(cors_of(i), preflight, o->list, &o->n, HEADERS_MAX, o->texts);
    }
}

/* c: the call that it ends; NULL: there was none. */
static void reply(struct invoke *i, struct gateway_call *c, int status, const char *error,
                  const char *body)
{
    char timing[TIMING_SIZE];
    struct out o = {.n = 0};

    out_add(&o, HTTP_STR("Content-Type"), HTTP_STR("application/json"));
    if (c != NULL) {
        call_timing_text(c, timing);
        out_add(&o, HTTP_STR("Server-Timing"), http_str(timing));
    }
    if (error != NULL) {
        out_add(&o, HTTP_STR("x-amzn-ErrorType"), http_str(error));
    }
    add_cors(&o, i, false);
    i->answered = true;
    (void)http_exchange_reply(i->exchange, status, (struct http_headers){o.list, o.n},
                              body, strlen(body));
    out_free(&o);
}

static void forbid(struct invoke *i)
{
    if (!i->answered) {
        reply(i, NULL, 403, "AccessDeniedException", "{\"Message\":\"Forbidden\"}");
    }
}

/* --- the face --------------------------------------------------------------------- */

static bool streams(const struct invoke *i)
{
    const char *mode = json_string_value(json_object_get(i->url->config, "mode"));

    return mode != NULL && strcmp(mode, "RESPONSE_STREAM") == 0;
}

static void head(struct gateway_call *c, int status, struct http_headers headers)
{
    struct invoke *i = c->face_data;
    const struct http_header *type = http_headers_find(headers, "Content-Type");

    invoke_head_common(i, c, headers);
    i->status = status;
    free(i->content_type);
    i->content_type = type != NULL ? http_str_dup(type->value) : NULL;
}

static void respond(struct gateway_call *c, const struct lambda_http_reply *r,
                    uint64_t len)
{
    struct invoke *i = c->face_data;
    char timing[TIMING_SIZE];
    struct out o = {.n = 0};

    call_timing_text(c, timing);
    out_add(&o, HTTP_STR("x-amzn-RequestId"), http_str(c->request_id));
    out_add(&o, HTTP_STR("Server-Timing"), http_str(timing));
    for (size_t n = 0; n < r->n_headers; n++) {
        out_add(&o, r->headers[n].name, r->headers[n].value);
    }
    add_cors(&o, i, false);
    i->begun = true;
    if (http_exchange_respond(c->exchange, r->status, (struct http_headers){o.list, o.n},
                              len) < 0) {
        http_exchange_abort(c->exchange);
    }
    out_free(&o);
}

/* Once the head of a streamed answer is whole, it goes out. */
static void try_begin(struct gateway_call *c)
{
    struct invoke *i = c->face_data;
    static const char nuls[PRELUDE_END];
    struct lambda_http_reply r = {.status = i->status};
    const char *end;
    size_t body = 0;

    if (i->content_type == NULL ||
        strncmp(i->content_type, PRELUDE_TYPE, strlen(PRELUDE_TYPE)) != 0) {
        r.headers[r.n_headers++] = (struct http_header){
            HTTP_STR("Content-Type"),
            http_str(i->content_type != NULL ? i->content_type
                                             : "application/octet-stream")};
    } else {
        end = i->reply.len > 0 ? memmem(i->reply.data, i->reply.len, nuls, sizeof(nuls))
                               : NULL;
        if (end == NULL && i->reply.len < PRELUDE_MAX) {
            return;
        }
        if (end == NULL || lambda_reply_read_head(&r, i->reply.data,
                                                  (size_t)(end - i->reply.data)) < 0) {
            lambda_http_reply_free(&r);
            i->too_large = true;
            return;
        }
        body = (size_t)(end - i->reply.data) + PRELUDE_END;
    }
    respond(c, &r, HTTP_BODY_CHUNKED);
    lambda_http_reply_free(&r);
    if (i->reply.len > body) {
        (void)http_exchange_write(c->exchange, i->reply.data + body, i->reply.len - body);
    }
    buf_free(&i->reply);
}

static void body(struct gateway_call *c, const char *data, size_t len)
{
    struct invoke *i = c->face_data;

    if (i->begun) {
        (void)http_exchange_write(c->exchange, data, len);
    } else if (i->too_large || i->reply.len + len > LAMBDA_RESPONSE_MAX ||
               invoke_hold(i, &i->reply, data, len) < 0) {
        i->too_large = true;
        buf_free(&i->reply);
    } else if (i->told == CAUSE_NONE && streams(i)) {
        try_begin(c);
    }
}

static void fail(struct gateway_call *c)
{
    struct invoke *i = c->face_data;
    const char *text = c->text, *reason = NULL;
    enum lambda_error e = lambda_call_error(c->cause, &text, &reason);
    char *document;

    if (i->begun) {
        http_exchange_abort(c->exchange);
        return;
    }
    if (e == LAMBDA_E_SERVICE || e == LAMBDA_E_NOT_FOUND) {
        reply(i, c, e == LAMBDA_E_NOT_FOUND ? 404 : 502, NULL,
              e == LAMBDA_E_NOT_FOUND ? "{\"Message\":\"Not Found\"}"
                                      : "Internal Server Error");
        return;
    }
    document = lambda_error_body(e, text, reason);
    reply(i, c, lambda_error_status(e), lambda_error_code(e),
          document != NULL ? document : "{}");
    free(document);
}

static void end(struct gateway_call *c)
{
    struct invoke *i = c->face_data;
    struct lambda_http_reply r = {.status = 0};

    if (i->told == CAUSE_NONE && !i->begun && !i->too_large && streams(i)) {
        try_begin(c); /* it had no body */
    }
    if (i->begun) {
        (void)http_exchange_end(c->exchange, (struct http_headers){NULL, 0});
        return;
    }
    if (invoke_reply_is_failure(i, c)) {
        fail(c);
        return;
    }
    if (i->too_large || i->told != CAUSE_NONE ||
        lambda_reply_read(&r, i->reply.data != NULL ? i->reply.data : "", i->reply.len) <
            0) {
        reply(i, c, 502, NULL, "Internal Server Error");
    } else {
        respond(c, &r, r.body_len);
        (void)http_exchange_write(c->exchange, r.body, r.body_len);
        (void)http_exchange_end(c->exchange, (struct http_headers){NULL, 0});
    }
    lambda_http_reply_free(&r);
}

const struct call_face lambda_url_face = {
    .head = head,
    .body = body,
    .end = end,
    .fail = fail,
    .free = invoke_free,
};

/* --- the request ------------------------------------------------------------------ */

static bool is_signed(const struct invoke *i)
{
    const char *auth = json_string_value(json_object_get(i->url->config, "auth"));

    return auth != NULL && strcmp(auth, "AWS_IAM") == 0;
}

void lambda_url_call(struct invoke *i)
{
    char id[RANDOM_UUID_SIZE], name[LAMBDA_NAME_MAX + 1];
    struct lambda_http_event e = {
        .id = i->url->id,
        .account = is_signed(i) ? i->gateway->lambda.account : NULL,
        .access_key = is_signed(i) ? i->claim.key : NULL,
        .request_id = id,
        .peer = http_exchange_peer(i->exchange),
        .method = http_exchange_method(i->exchange),
        .path = i->below,
        .query = http_exchange_query(i->exchange),
        .headers = http_exchange_headers(i->exchange),
        .body = i->body.data,
        .body_len = i->body.len,
        .wall_ms = clock_wall_ms(),
    };
    struct buf event = {0};

    if (is_signed(i) && !invoke_verify(i)) {
        return;
    }
    random_uuid(id);
    if (lambda_event_make(&event, &e) < 0) {
        reply(i, NULL, 500, NULL, "Internal Server Error");
        buf_free(&event);
        return;
    }
    buf_free(&i->body);
    i->body = event;
    lambda_name_from_native(name, i->native);
    lambda_arn(i->arn, i->region, i->gateway->lambda.account, name, i->qualifier);
    invoke_add_header(i, HTTP_STR("Content-Type"), HTTP_STR("application/json"));
    invoke_call(i, &lambda_url_face);
}

/* What a browser asks before it sends: answered here. */
static void preflight(struct invoke *i)
{
    struct out o = {.n = 0};

    add_cors(&o, i, true);
    i->answered = true;
    (void)http_exchange_reply(i->exchange, 200, (struct http_headers){o.list, o.n}, "",
                              0);
    out_free(&o);
}

static void admit(struct invoke *i)
{
    struct http_headers h = http_exchange_headers(i->exchange);
    const struct http_header *origin = http_headers_find(h, "Origin");

    if (origin != NULL && lambda_cors_allows(cors_of(i), origin->value)) {
        i->cors_origin = http_str_dup(origin->value);
    }
    if (cors_of(i) != NULL && origin != NULL &&
        http_str_eq(http_exchange_method(i->exchange), "OPTIONS") &&
        http_headers_find(h, "Access-Control-Request-Method") != NULL) {
        preflight(i);
        return;
    }
    if (is_signed(i)) {
        char owner[SPEC_NAME_MAX + 1];

        (void)stpcpy(owner, i->url->namespace_);
        if (!invoke_claim(i)) {
            return;
        }
        if (!i->gateway->lambda.auth_off && strcmp(owner, i->namespace_) != 0) {
            forbid(i);
            return;
        }
    }
    (void)stpcpy(i->namespace_, i->url->namespace_);
}

void lambda_url_begin(struct gateway *g, struct http_exchange *x)
{
    struct invoke *i = invoke_new(g, x);
    struct http_str id = {"", 0};

    if (i == NULL) {
        return;
    }
    i->mode = LAMBDA_MODE_URL;
    lambda_collect_url(i);
    (void)find_id(x, http_exchange_path(x), &id, &i->below);
    i->url = lambda_url_find(g, id.at, id.len);
    if (i->url == NULL) {
        reply(i, NULL, 404, NULL, "{\"Message\":\"Not Found\"}");
        return;
    }
    (void)stpcpy(i->native, i->url->native);
    (void)stpcpy(i->qualifier, i->url->qualifier);
    admit(i);
}
