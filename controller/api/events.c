/* /v1/events: JSON lines of what the cluster decided and what became of its nodes. With
 * follow=1 the reply goes on; a client that reads too slowly is told what it missed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/api_private.h"

#define STREAMS_MAX 64
#define WRITE_BYTES (32 * 1024)
#define TAIL_MAX    JOURNAL_MAX
#define TAIL_NORMAL 100

struct event_stream {
    struct list link; /* in api.event_streams */
    struct api_request *request;
    struct core_event_query query; /* its strings are the request's */
    uint64_t after;
    bool follow;
};

static int append(struct buf *out, json_t *json)
{
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    int rc = text != NULL ? buf_printf(out, "%s\n", text) : -ENOMEM;

    free(text);
    json_decref(json);
    return rc;
}

/* Up to WRITE_BYTES of lines. */
static int gather(void *data, struct buf *out)
{
    struct event_stream *s = data;
    const struct controller_core *core = s->request->api->core;
    json_t *event;
    int rc = 0;

    if (controller_core_event_lost(core, s->after)) {
        rc = append(out, json_pack("{s:s, s:s}", "kind", "missed", "text",
                                   "older events are no longer kept"));
    }
    while (rc == 0 && out->len < WRITE_BYTES &&
           (event = controller_core_event_next(core, &s->query, &s->after)) != NULL) {
        rc = append(out, event);
    }
    return rc;
}

static void pump(struct event_stream *s)
{
    struct http_exchange *x = s->request->x;
    int rc = api_write_gathered(s->request, gather, s);

    if (rc < 0) {
        http_exchange_abort(x);
    } else if (!s->follow && rc == 1) {
        (void)http_exchange_end(x, (struct http_headers){NULL, 0});
    }
}

/* --- the request's life ----------------------------------------------------------- */

static void on_drain(struct api_request *r)
{
    pump(r->state);
}

static void on_gone(struct api_request *r)
{
    struct event_stream *s = r->state;

    list_remove(&s->link);
    r->api->n_event_streams--;
    r->state = NULL;
    free(s);
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

static bool read_query(struct api_request *r, struct event_stream *s)
{
    uint64_t tail = TAIL_NORMAL;
    const char *field = NULL;
    struct error err;

    s->query.namespace_ = input_query_get(&r->query, "namespace");
    s->query.name = input_query_get(&r->query, "function");
    s->query.node = input_query_get(&r->query, "node");
    if (input_query_bool(&r->query, "follow", false, &s->follow, &err) < 0) {
        field = "follow";
    } else if (input_query_u64(&r->query, "tail", 0, TAIL_MAX, TAIL_NORMAL, &tail, &err) <
               0) {
        field = "tail";
    } else if (input_query_u64(&r->query, "after", 0, INT64_MAX, 0, &s->after, &err) <
               0) {
        field = "after";
    } else if (input_query_get(&r->query, "after") != NULL &&
               input_query_get(&r->query, "tail") != NULL) {
        field = "after";
        (void)error_set(&err, -EINVAL, "give tail or after, not both");
    }
    if (field != NULL) {
        api_refuse(r, field, &err);
        return false;
    }
    if (input_query_get(&r->query, "after") == NULL) {
        s->after = controller_core_event_tail(r->api->core, &s->query, tail);
    }
    return true;
}

void api_get_events(struct api_request *r)
{
    struct api *a = r->api;
    struct event_stream *s;

    if (a->n_event_streams >= STREAMS_MAX) {
        api_fail(r,
                 &(struct api_error){.cause = CAUSE_THROTTLED,
                                     .fix = "end one of them, or repeat it later"},
                 "events are being read by %d clients already", STREAMS_MAX);
        return;
    }
    s = calloc(1, sizeof(*s));
    if (s == NULL) {
        api_fail(r, &(struct api_error){.cause = CAUSE_INTERNAL}, "out of memory");
        return;
    }
    s->request = r;
    if (!read_query(r, s)) {
        free(s);
        return;
    }
    s->follow = s->follow && !api_request_is_head(r) && !a->closing;
    list_push_back(&a->event_streams, &s->link);
    a->n_event_streams++;
    r->state = s;
    r->ops = &ops;
    if (api_reply_begin(r, 200, "application/x-ndjson", HTTP_BODY_CHUNKED) < 0) {
        api_fail(r, &(struct api_error){.cause = CAUSE_INTERNAL}, "out of memory");
        return;
    }
    if (api_request_is_head(r)) {
        (void)http_exchange_end(r->x, (struct http_headers){NULL, 0});
        return;
    }
    pump(s);
}

void api_events_added(struct api *a)
{
    uint64_t last = controller_core_event_last(a->core);

    if (last == a->last_event) {
        return;
    }
    a->last_event = last;
    LIST_FOREACH_SAFE(it, &a->event_streams)
    {
        struct event_stream *s = container_of(it, struct event_stream, link);

        if (s->follow) {
            pump(s);
        }
    }
}
