#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/gateway/gateway_private.h"
#include "common/cleanup.h"
#include "common/number.h"

/* A reply without a body has no length of its own to tell: HEAD's would be a guess. */
static uint64_t framing(const struct gateway_call *c, int status, uint64_t content_length)
{
    bool none = status == 204 || status == 304 ||
                http_str_eq(http_exchange_method(c->exchange), "HEAD");

    return none || c->tail ? HTTP_BODY_CHUNKED : content_length; /* the tail follows */
}

static int respond(struct gateway_call *c, int status, const struct headers *h,
                   uint64_t content_length)
{
    int rc = status == 101 || (status >= 200 && status <= 599)
                 ? http_exchange_respond(c->exchange, status, headers_get(h),
                                         framing(c, status, content_length))
                 : -EINVAL;

    c->replied = c->replied || rc == 0;
    return rc;
}

/* A 101 names the protocol to which it switches. */
static void pass_upgrade(struct headers *h, int status, struct http_headers from)
{
    const struct http_header *upgrade = http_headers_find(from, "Upgrade");

    if (status == 101 && upgrade != NULL) {
        headers_put(h, "Upgrade", upgrade->value);
    }
}

int reply_head(struct gateway_call *c, int status, struct http_headers headers,
               uint64_t content_length)
{
    char timing[TIMING_SIZE], said[MARK_REPLY_SIZE], version[NUMBER_TEXT_SIZE];
    struct headers h;
    int rc = headers_pass(&h, headers, HEADERS_FROM_FUNCTION, 8);

    if (rc < 0) {
        return rc;
    }
    pass_upgrade(&h, status, headers);
    call_timing_text(c, timing);
    headers_add(&h, "X-Mayfly-Request-Id", c->request_id);
    headers_add(&h, "X-Mayfly-Node", c->gateway->node);
    (void)number_text(version, c->version);
    headers_add(&h, "X-Mayfly-Version", version);
    headers_add(&h, "Server-Timing", timing);
    if (c->reply_cause != CAUSE_NONE) {
        headers_add(&h, "X-Mayfly-Error", cause_name(c->reply_cause));
    }
    if (c->trust == MARK_TRUSTED) {
        c->said = (struct mark_reply){
            .room = agent_core_room(c->gateway->core, c->call.version),
            .verdict = VERDICT_FINAL,
        };
        mark_reply_write(said, &c->said);
        headers_add(&h, MARK_REPLY_HEADER, said);
    }
    rc = respond(c, status, &h, content_length);
    headers_free(&h);
    return rc;
}

int reply_relay(struct gateway_call *c, int status, struct http_headers headers,
                uint64_t content_length)
{
    char timing[TIMING_SIZE];
    struct headers h;
    int rc = headers_pass(&h, headers, HEADERS_BETWEEN_AGENTS, 2);
    size_t at;

    if (rc < 0) {
        return rc;
    }
    pass_upgrade(&h, status, headers);
    call_timing_text(c, timing);
    at = call_timing_find(headers_get(&h));
    if (at < h.n) {
        h.list[at].value = http_str(timing);
    } else {
        headers_add(&h, "Server-Timing", timing);
    }
    rc = respond(c, status, &h, content_length);
    headers_free(&h);
    return rc;
}

/* NULL: out of memory, or text is no UTF-8. */
static char *error_body(enum cause cause, const char *text, const char *request_id)
{
    json_t *json = json_pack("{s:{s:s, s:s, s:s}}", "error", "code", cause_name(cause),
                             "message", text, "request_id", request_id);
    char *body = json != NULL ? json_dumps(json, JSON_PRESERVE_ORDER) : NULL;

    json_decref(json);
    return body;
}

char *reply_tail(const struct gateway_call *c)
{
    char *out = c->tail && c->log.len > 0 ? malloc(c->log.len / 3 * 4 + 8) : NULL;

    if (out != NULL) {
        (void)EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)c->log.data,
                              (int)c->log.len);
    }
    return out;
}

void reply_end(struct gateway_call *c)
{
    _cleanup_free_ char *tail = reply_tail(c);
    struct http_header trailer = {HTTP_STR(HEADER_TAIL), http_str(tail)};

    (void)http_exchange_end(c->exchange,
                            (struct http_headers){&trailer, tail != NULL ? 1 : 0});
}

void reply_error(struct http_exchange *x, const struct reply_error *e)
{
    int status = cause_http_status(e->cause);
    char retry[16], said_text[MARK_REPLY_SIZE];
    struct headers h;
    _cleanup_free_ char *body = error_body(e->cause, e->text, e->request_id);

    if (body == NULL) {
        body = error_body(e->cause, cause_what(e->cause), e->request_id);
    }
    (void)headers_pass(&h, (struct http_headers){NULL, 0}, HEADERS_FROM_FUNCTION, 7);
    headers_add(&h, "Content-Type", "application/json");
    headers_add(&h, "X-Mayfly-Error", cause_name(e->cause));
    headers_add(&h, "X-Mayfly-Request-Id", e->request_id);
    headers_add(&h, "X-Mayfly-Node", e->node);
    if (e->timing != NULL) {
        headers_add(&h, "Server-Timing", e->timing);
    }
    if (e->said != NULL) {
        mark_reply_write(said_text, e->said);
        headers_add(&h, MARK_REPLY_HEADER, said_text);
    }
    if (e->tail != NULL) {
        headers_add(&h, HEADER_TAIL, e->tail);
    }
    if (status == 429 || status == 503) {
        (void)snprintf(retry, sizeof(retry), "%u",
                       e->retry_after_s > 0 ? e->retry_after_s : 1);
        headers_add(&h, "Retry-After", retry);
    }
    (void)http_exchange_reply(x, status, headers_get(&h), body, http_str(body).len);
}
