#include <errno.h>
#include <jansson.h>
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

    return none ? HTTP_BODY_CHUNKED : content_length;
}

static int respond(struct gateway_call *c, int status, const struct headers *h,
                   uint64_t content_length)
{
    int rc = status >= 200 && status <= 599
                 ? http_exchange_respond(c->exchange, status, headers_get(h),
                                         framing(c, status, content_length))
                 : -EINVAL;

    c->replied = c->replied || rc == 0;
    return rc;
}

int reply_head(struct gateway_call *c, int status, struct http_headers headers,
               uint64_t content_length)
{
    char timing[TIMING_SIZE], said[MARK_REPLY_SIZE], version[NUMBER_TEXT_SIZE];
    struct headers h;
    int rc = headers_pass(&h, headers, HEADERS_FROM_FUNCTION, 6);

    if (rc < 0) {
        return rc;
    }
    timing_format(timing, &c->timing);
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
    struct headers h;
    int rc = headers_pass(&h, headers, HEADERS_BETWEEN_AGENTS, 0);

    if (rc < 0) {
        return rc;
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

void reply_error(struct http_exchange *x, const char *node, const char *request_id,
                 enum cause cause, const char *text, uint32_t retry_after_s,
                 const struct timing *timing, const struct mark_reply *said)
{
    int status = cause_http_status(cause);
    char retry[16], times[TIMING_SIZE], said_text[MARK_REPLY_SIZE];
    struct headers h;
    _cleanup_free_ char *body = error_body(cause, text, request_id);

    if (body == NULL) {
        body = error_body(cause, cause_what(cause), request_id);
    }
    (void)headers_pass(&h, (struct http_headers){NULL, 0}, HEADERS_FROM_FUNCTION, 7);
    headers_add(&h, "Content-Type", "application/json");
    headers_add(&h, "X-Mayfly-Error", cause_name(cause));
    headers_add(&h, "X-Mayfly-Request-Id", request_id);
    headers_add(&h, "X-Mayfly-Node", node);
    if (timing != NULL) {
        timing_format(times, timing);
        headers_add(&h, "Server-Timing", times);
    }
    if (said != NULL) {
        mark_reply_write(said_text, said);
        headers_add(&h, MARK_REPLY_HEADER, said_text);
    }
    if (status == 429 || status == 503) {
        (void)snprintf(retry, sizeof(retry), "%u", retry_after_s > 0 ? retry_after_s : 1);
        headers_add(&h, "Retry-After", retry);
    }
    (void)http_exchange_reply(x, status, headers_get(&h), body, http_str(body).len);
}
