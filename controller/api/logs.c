/* /v1/namespaces/{namespace}/functions/{name}/logs: JSON lines out of all nodes' logs.
 *
 * Back-pressure reaches from the client to the agents: a line is taken from the merge
 * only while the client takes what is written, and a node is asked for its next chunk
 * only when its last one was used up. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "controller/api/api_private.h"
#include "controller/api/log_merge.h"
#include "controller/api/text.h"

#define STREAMS_MAX 64
#define ANSWER_MS   5000
#define QUIET_MS    300
#define WRITE_BYTES (32 * 1024)
#define TAIL_MAX    1000000

struct log_stream {
    struct list link; /* in api.log_streams */
    struct api *api;
    struct api_request *request; /* NULL: gone, the timer is closing */
    uint64_t id;
    struct api_log_query query;
    struct log_merge *merge;
    uv_timer_t timer; /* for the merge's deadline */
};

static void pump(struct log_stream *s);

static void timer_cb(uv_timer_t *timer)
{
    pump(container_of(timer, struct log_stream, timer));
}

static void timer_closed_cb(uv_handle_t *handle)
{
    free(container_of((uv_timer_t *)handle, struct log_stream, timer));
}

/* --- lines out ---------------------------------------------------------------- */

static int append_line(struct buf *out, const struct api_log_line *line, const char *node)
{
    char ts[CLOCK_RFC3339_SIZE];
    json_t *json;
    char *text;
    int rc;

    clock_rfc3339(line->wall_ms, ts);
    json = json_pack("{s:s, s:I, s:o, s:s, s:o, s:o}", "ts", ts, "version",
                     (json_int_t)line->version, "instance",
                     text_json(line->instance, strlen(line->instance)), "node", node,
                     "stream", text_json(line->stream, strlen(line->stream)), "text",
                     text_json(line->text, line->len));
    text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    rc = text != NULL ? buf_printf(out, "%s\n", text) : -ENOMEM;
    free(text);
    json_decref(json);
    return rc;
}

/* Up to WRITE_BYTES of lines. */
static int gather(void *data, struct buf *out)
{
    struct log_stream *s = data;
    const struct api_log_line *line;
    const char *node;
    int rc = 0;

    while (rc == 0 && out->len < WRITE_BYTES &&
           (line = log_merge_next(s->merge, &node, clock_mono_ms(), clock_wall_ms())) !=
               NULL) {
        rc = append_line(out, line, node);
    }
    return rc;
}

static void arm(struct log_stream *s)
{
    uint64_t due_ms = log_merge_deadline_ms(s->merge);
    uint64_t now_ms = clock_mono_ms();

    (void)uv_timer_stop(&s->timer);
    if (due_ms != UINT64_MAX) {
        (void)uv_timer_start(&s->timer, timer_cb, due_ms > now_ms ? due_ms - now_ms : 1,
                             0);
    }
}

static void pump(struct log_stream *s)
{
    struct http_exchange *x = s->request->x;
    int rc = api_write_gathered(s->request, gather, s);

    if (rc < 0) {
        http_exchange_abort(x);
    } else if (!s->query.follow && log_merge_is_over(s->merge)) {
        (void)uv_timer_stop(&s->timer);
        (void)http_exchange_end(x, (struct http_headers){NULL, 0});
    } else if (http_exchange_pending(x) < HTTP_HIGH_WATER) {
        arm(s);
    } else {
        (void)uv_timer_stop(&s->timer); /* goes on when the client has taken this */
    }
}

/* --- the request's life ----------------------------------------------------------- */

static void on_drain(struct api_request *r)
{
    pump(r->state);
}

static void cancel_node(void *data, const char *node)
{
    struct log_stream *s = data;

    s->api->options.io.logs_cancel(s->api->options.io.ctx, node, s->id);
}

static void on_gone(struct api_request *r)
{
    struct log_stream *s = r->state;

    log_merge_each_open(s->merge, cancel_node, s);
    s->merge = log_merge_free(s->merge);
    s->request = NULL;
    r->state = NULL;
    list_remove(&s->link);
    r->api->n_log_streams--;
    uv_close((uv_handle_t *)&s->timer, timer_closed_cb);
}

static void on_stop(struct api_request *r)
{
    (void)http_exchange_end(r->x, (struct http_headers){NULL, 0});
}

static const struct api_request_ops ops = {
    .on_drain = on_drain,
    .on_gone = on_gone,
    .on_stop = on_stop,
};

static void want_more(void *data, const char *node)
{
    struct log_stream *s = data;

    s->api->options.io.logs_ack(s->api->options.io.ctx, node, s->id);
}

static void node_asked(void *data, const char *node)
{
    struct log_stream *s = data;

    if (log_merge_ask(s->merge, node, clock_mono_ms()) < 0) {
        http_exchange_abort(s->request->x);
    }
}

static int open_stream(struct api_request *r, const struct api_log_query *q)
{
    struct log_stream *s = calloc(1, sizeof(*s));
    struct log_merge_options merge = {
        .follow = q->follow,
        .answer_ms = ANSWER_MS,
        .quiet_ms = QUIET_MS,
        .want_more = want_more,
        .data = s,
    };
    int rc = s != NULL ? log_merge_new(&s->merge, &merge) : -ENOMEM;

    rc = rc < 0 ? rc : uv_timer_init(r->api->loop, &s->timer);
    if (rc < 0) {
        if (s != NULL) {
            log_merge_free(s->merge);
        }
        free(s);
        return rc;
    }
    s->api = r->api;
    s->request = r;
    s->id = ++r->api->last_log_id;
    s->query = *q; /* its strings are the request's */
    list_push_back(&r->api->log_streams, &s->link);
    r->api->n_log_streams++;
    r->state = s;
    r->ops = &ops;
    return 0;
}

static bool read_query(struct api_request *r, struct api_log_query *q)
{
    uint64_t tail = 0;
    const char *field = NULL;
    struct error err;

    if (!api_function_params(r, &q->namespace_, &q->name)) {
        return false;
    }
    if (input_query_bool(&r->query, "follow", false, &q->follow, &err) < 0) {
        field = "follow";
    } else if (input_query_u64(&r->query, "tail", 1, TAIL_MAX, 0, &tail, &err) < 0) {
        field = "tail";
    } else if (input_query_u64(&r->query, "version", 1, INT64_MAX, 0, &q->version, &err) <
               0) {
        field = "version";
    }
    if (field != NULL) {
        api_refuse(r, field, &err);
        return false;
    }
    q->tail = (uint32_t)tail;
    return true;
}

static bool is_there(struct api_request *r, const struct api_log_query *q)
{
    json_t *json =
        q->version > 0
            ? controller_core_version(r->api->core, q->namespace_, q->name, q->version)
            : controller_core_function(r->api->core, q->namespace_, q->name);
    bool there = json != NULL;

    json_decref(json);
    if (!there && q->version > 0) {
        api_fail(r, &(struct api_error){.cause = CAUSE_NOT_FOUND},
                 "there is no version %llu of function %s/%s",
                 (unsigned long long)q->version, q->namespace_, q->name);
    } else if (!there) {
        api_fail(r, &(struct api_error){.cause = CAUSE_NOT_FOUND},
                 "there is no function %s/%s", q->namespace_, q->name);
    }
    return there;
}

void api_get_logs(struct api_request *r)
{
    struct api *a = r->api;
    struct api_log_query q = {.tail = 0};
    struct log_stream *s;

    if (!read_query(r, &q) || !is_there(r, &q)) {
        return;
    }
    if (a->n_log_streams >= STREAMS_MAX) {
        api_fail(r,
                 &(struct api_error){.cause = CAUSE_THROTTLED,
                                     .fix = "end one of them, or repeat it later"},
                 "%d logs are being read already", STREAMS_MAX);
        return;
    }
    if (api_request_is_head(r) || a->closing) {
        if (api_reply_begin(r, 200, "application/x-ndjson", HTTP_BODY_CHUNKED) == 0) {
            (void)http_exchange_end(r->x, (struct http_headers){NULL, 0});
        }
        return;
    }
    if (open_stream(r, &q) < 0 ||
        api_reply_begin(r, 200, "application/x-ndjson", HTTP_BODY_CHUNKED) < 0) {
        api_fail(r, &(struct api_error){.cause = CAUSE_INTERNAL}, "out of memory");
        return;
    }
    s = r->state;
    a->options.io.logs_ask(a->options.io.ctx, NULL, s->id, &s->query, node_asked, s);
    pump(s);
}

/* --- from the hub ------------------------------------------------------------- */

void api_node_joined(struct api *a, const char *node)
{
    LIST_FOREACH(it, &a->log_streams)
    {
        struct log_stream *s = container_of(it, struct log_stream, link);

        if (s->query.follow) {
            a->options.io.logs_ask(a->options.io.ctx, node, s->id, &s->query, node_asked,
                                   s);
            pump(s);
        }
    }
}

void api_node_left(struct api *a, const char *node, const char *reason)
{
    LIST_FOREACH(it, &a->log_streams)
    {
        struct log_stream *s = container_of(it, struct log_stream, link);
        char text[120];

        (void)snprintf(text, sizeof(text), "the node has left: %.90s", reason);
        log_merge_gone(s->merge, node, text, clock_wall_ms());
        pump(s);
    }
}

void api_log_chunk(struct api *a, const char *node, uint64_t id,
                   const struct api_log_line *lines, size_t n, bool end)
{
    LIST_FOREACH(it, &a->log_streams)
    {
        struct log_stream *s = container_of(it, struct log_stream, link);

        if (s->id != id) {
            continue;
        }
        if (log_merge_chunk(s->merge, node, lines, n, end, clock_mono_ms()) < 0) {
            log_merge_gone(
                s->merge, node,
                "this node sent more than it was asked for: its other lines are "
                "missing",
                clock_wall_ms());
            a->options.io.logs_cancel(a->options.io.ctx, node, id);
        }
        pump(s);
        return;
    }
    a->options.io.logs_cancel(a->options.io.ctx, node, id); /* nobody reads it any more */
}
