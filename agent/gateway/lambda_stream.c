/* InvokeWithResponseStream: every piece of the answer is a frame as it comes; the last
 * frame tells how it ended. */
#include <stdlib.h>
#include <string.h>

#include "agent/gateway/lambda_private.h"
#include "common/eventstream.h"

static void begin(struct gateway_call *c)
{
    struct invoke *i = c->face_data;
    char executed[24], timing[TIMING_SIZE];
    struct http_header list[] = {
        {HTTP_STR("x-amzn-RequestId"), http_str(c->request_id)},
        {HTTP_STR("Content-Type"), HTTP_STR(EVENTSTREAM_TYPE)},
        {HTTP_STR("X-Amz-Executed-Version"), {executed, 0}},
        {HTTP_STR("Server-Timing"), {timing, 0}},
    };

    if (!i->begun) {
        i->begun = true;
        invoke_executed_version(executed, c);
        list[2].value.len = strlen(executed);
        call_timing_text(c, timing);
        list[3].value.len = strlen(timing);
        (void)http_exchange_respond(c->exchange, 200, (struct http_headers){list, 4},
                                    HTTP_BODY_CHUNKED);
    }
}

static void put(struct gateway_call *c, const char *kind, const char *type,
                const char *data, size_t len)
{
    struct buf frame = {0};

    if (eventstream_add_event(&frame, kind, type, data, len) < 0 ||
        http_exchange_write(c->exchange, frame.data, frame.len) < 0) {
        http_exchange_abort(c->exchange);
    }
    buf_free(&frame);
}

static void complete(struct gateway_call *c, const char *code, const char *details)
{
    json_t *json = json_object();
    char *text, *tail = invoke_log_result(c);

    if (code != NULL) {
        (void)json_object_set_new(json, "ErrorCode", json_string(code));
        (void)json_object_set_new(json, "ErrorDetails",
                                  json_string(details != NULL ? details : ""));
    }
    if (tail != NULL) {
        (void)json_object_set_new(json, "LogResult", json_string(tail));
    }
    text = json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(json);
    free(tail);
    begin(c);
    put(c, "InvokeComplete", "application/json", text != NULL ? text : "{}",
        text != NULL ? strlen(text) : 2);
    free(text);
    (void)http_exchange_end(c->exchange, (struct http_headers){NULL, 0});
}

static void head(struct gateway_call *c, int status, struct http_headers headers)
{
    struct invoke *i = c->face_data;

    invoke_head_common(i, c, headers);
    if (i->told == CAUSE_NONE) {
        begin(c);
    }
}

static void body(struct gateway_call *c, const char *data, size_t len)
{
    struct invoke *i = c->face_data;

    if (i->told != CAUSE_NONE) { /* a document about an error: told at the end */
        if (i->reply.len + len <= LAMBDA_RESPONSE_MAX) {
            (void)invoke_hold(i, &i->reply, data, len);
        }
        return;
    }
    while (len > 0) {
        size_t n = len < EVENTSTREAM_PAYLOAD_MAX ? len : EVENTSTREAM_PAYLOAD_MAX;

        put(c, "PayloadChunk", "application/octet-stream", data, n);
        data += n;
        len -= n;
    }
}

static void fail(struct gateway_call *c)
{
    struct invoke *i = c->face_data;
    char type[64];
    char *document = lambda_function_failure(c->cause, c->text, c->request_id, type);

    if (document != NULL) {
        complete(c, type, document);
    } else if (i->begun) {
        complete(c, lambda_error_code(lambda_error_of_cause(c->cause)), c->text);
    } else {
        lambda_invoke_face.fail(c);
    }
    free(document);
}

static void end(struct gateway_call *c)
{
    struct invoke *i = c->face_data;
    const char *type;
    json_t *json;

    if (i->told == CAUSE_NONE) {
        complete(c, NULL, NULL);
        return;
    }
    if (invoke_reply_is_failure(i, c)) {
        fail(c);
        return;
    }
    json = json_loadb(i->reply.data != NULL ? i->reply.data : "", i->reply.len, 0, NULL);
    type = json_string_value(json_object_get(json, "errorType"));
    complete(c, type != NULL ? type : "Unhandled", i->reply.data);
    json_decref(json);
}

const struct call_face lambda_stream_face = {
    .head = head,
    .body = body,
    .end = end,
    .fail = fail,
    .free = invoke_free,
};
