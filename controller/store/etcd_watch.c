/* Watches on etcd: one long reply each, followed line by line.
 *
 *               ┌──────────── error, end of stream, silence ◀──────────┐
 *               ▼                                                      │
 *   open ──▶ WAITING ──back-off──▶ CONNECTING ──"created"──▶ FOLLOWING ─┤
 *               ▲  └── history gone ──▶ RESYNCING ──range──▶ CONNECTING │
 *               └──────── failed ──────────┘  ▲                        │
 *                                             └────── compacted ───────┘
 *
 * A stream that is quiet is no sign of life: while nothing comes, the member is asked for
 * a (linearizable) read now and then, which a stopped, hung or cut-off one cannot answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/check.h"
#include "common/random.h"
#include "controller/store/etcd.h"
#include "controller/store/etcd_json.h"

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 5000
#define URL_MAX        512

enum watch_state { WATCH_WAITING, WATCH_CONNECTING, WATCH_FOLLOWING, WATCH_RESYNCING };

struct store_watch {
    struct list node;
    struct etcd *etcd;
    char *prefix;
    struct store_watch_ops ops;
    void *data;

    enum watch_state state;
    int64_t next_revision; /* 0: from now on */
    bool lost_history;     /* start with a resync */
    struct etcd_post *post;
    struct etcd_post *probe;
    size_t endpoint;         /* of the post */
    struct request *request; /* while RESYNCING */
    uv_timer_t timer;        /* back-off; time to be created; time to probe */
    struct backoff backoff;
    bool heard; /* something came since the timer last ran */
    enum { TOLD_NOTHING, TOLD_UP, TOLD_DOWN } told;
    bool removed;
};

static void on_timer(uv_timer_t *timer);

static void arm(struct store_watch *w, uint64_t delay_ms)
{
    uv_update_time(w->etcd->loop);
    (void)uv_timer_start(&w->timer, on_timer, delay_ms > 0 ? delay_ms : 1, 0);
}

static void tell(struct store_watch *w, bool up)
{
    if (w->told != (up ? TOLD_UP : TOLD_DOWN)) {
        w->told = up ? TOLD_UP : TOLD_DOWN;
        if (w->ops.on_state != NULL) {
            w->ops.on_state(w->data, up);
        }
    }
}

static void cancel_posts(struct store_watch *w)
{
    etcd_http_cancel(w->post);
    etcd_http_cancel(w->probe);
    w->post = NULL;
    w->probe = NULL;
}

/* Begins again after a while that doubles each time, with jitter so that not all
 * controllers come back at once. */
static void fall_back(struct store_watch *w)
{
    cancel_posts(w);
    etcd_avoid(w->etcd, w->endpoint);
    w->state = WATCH_WAITING;
    arm(w, backoff_next_ms(&w->backoff, random_u64()));
    tell(w, false);
}

static void resync(struct store_watch *w)
{
    struct request *r = request_internal(REQUEST_WATCH);

    cancel_posts(w);
    (void)uv_timer_stop(&w->timer);
    w->lost_history = true;
    w->state = WATCH_RESYNCING;
    w->endpoint = w->etcd->current;
    w->request = r;
    r->owner = w;
    r->prefix = strdup(w->prefix);
    if (r->prefix == NULL) {
        request_fail(r, -ENOMEM, "out of memory");
    }
    etcd_submit(w->etcd, r);
}

/* All events of one revision at once; those seen before a reconnect are left out. */
static void give_events(struct store_watch *w, const struct event_list *events)
{
    for (size_t at = 0; at < events->n && !w->removed;) {
        size_t n = event_list_run(events, at);
        int64_t revision = events->items[at].kv.mod_revision;

        if (revision >= w->next_revision) {
            w->next_revision = revision + 1;
            w->ops.on_events(w->data, &events->items[at], n, revision);
        }
        at += n;
    }
}

static void created(struct store_watch *w, int64_t revision)
{
    w->state = WATCH_FOLLOWING;
    arm(w, w->etcd->timeout_ms);
    if (w->next_revision == 0) {
        w->next_revision = revision + 1;
    } else if (revision < w->next_revision - 1) {
        /* etcd was set back (restored from a copy): what it would send is not ours. */
        resync(w);
        return;
    }
    tell(w, true);
}

static void follow(struct store_watch *w, const struct etcd_watch_reply *reply)
{
    w->heard = true;
    if (reply->canceled && reply->compact_revision > 0) {
        resync(w);
    } else if (reply->canceled || reply->error[0] != '\0') {
        fall_back(w);
    } else if (reply->created) {
        created(w, reply->revision);
    } else if (w->state != WATCH_FOLLOWING) {
        fall_back(w);
    } else {
        backoff_reset(&w->backoff);
        give_events(w, &reply->events);
        /* Nothing but a revision: all up to there has been sent. */
        if (reply->events.n == 0 && reply->revision >= w->next_revision) {
            w->next_revision = reply->revision + 1;
        }
    }
}

static void on_data(void *data, struct buf *received)
{
    struct store_watch *w = data;
    const struct etcd_post *post = w->post;
    char *end;

    /* A callback may have ended this stream: then `received` is not to be used more. */
    while (!w->removed && w->post == post && received->len > 0 &&
           (end = memchr(received->data, '\n', received->len)) != NULL) {
        size_t len = (size_t)(end - received->data);
        struct etcd_watch_reply reply;

        if (etcd_decode_watch(received->data, len, &reply) < 0) {
            fall_back(w);
        } else {
            buf_consume(received, len + 1);
            follow(w, &reply);
        }
        etcd_watch_reply_free(&reply);
    }
}

static void on_end(void *data, const struct etcd_reply *reply)
{
    struct store_watch *w = data;

    w->post = NULL;
    fall_back(w);
}

static int url_of(const struct store_watch *w, const char *path, char url[URL_MAX])
{
    return snprintf(url, URL_MAX, "%s%s", w->etcd->endpoints[w->endpoint], path);
}

static void connect_stream(struct store_watch *w)
{
    struct buf body = {0};
    char url[URL_MAX];
    struct etcd_post_options o = {.url = url,
                                  .connect_timeout_ms = w->etcd->timeout_ms,
                                  .on_data = on_data,
                                  .on_done = on_end,
                                  .data = w};
    int rc = etcd_encode_watch(w->prefix, w->next_revision, &body);

    w->endpoint = w->etcd->current;
    w->state = WATCH_CONNECTING;
    (void)url_of(w, "/v3/watch", url);
    if (rc == 0) {
        o.body = body.data;
        o.len = body.len;
        rc = etcd_http_post(w->etcd->http, &o, &w->post);
    }
    buf_free(&body);
    /* Also when memory ran out: then this is when it is tried again. */
    arm(w, w->etcd->timeout_ms);
}

static void on_probed(void *data, const struct etcd_reply *reply)
{
    struct store_watch *w = data;

    w->probe = NULL;
    if (reply->outcome == ETCD_REPLIED && reply->http_status == 200) {
        backoff_reset(&w->backoff);
    } else {
        fall_back(w);
    }
}

static void probe(struct store_watch *w)
{
    static const char body[] = "{\"key\":\"AA==\",\"keys_only\":true}";
    char url[URL_MAX];
    struct etcd_post_options o = {.url = url,
                                  .body = body,
                                  .len = sizeof(body) - 1,
                                  .connect_timeout_ms = w->etcd->timeout_ms,
                                  .timeout_ms = w->etcd->timeout_ms,
                                  .on_done = on_probed,
                                  .data = w};

    (void)url_of(w, "/v3/kv/range", url);
    if (etcd_http_post(w->etcd->http, &o, &w->probe) < 0) {
        w->probe = NULL; /* the next turn of the timer tries again */
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct store_watch *w = timer->data;

    switch (w->state) {
    case WATCH_WAITING:
        if (w->lost_history) {
            resync(w);
        } else {
            connect_stream(w);
        }
        break;
    case WATCH_CONNECTING:
        fall_back(w);
        break;
    case WATCH_FOLLOWING:
        if (!w->heard && w->probe == NULL) {
            probe(w);
        }
        w->heard = false;
        arm(w, w->etcd->timeout_ms);
        break;
    case WATCH_RESYNCING: /* the timer rests */
        break;
    }
}

void etcd_watch_resynced(struct store_watch *w, struct request *r)
{
    CHECK(w->state == WATCH_RESYNCING && w->request == r);
    w->request = NULL;
    if (r->status < 0) {
        fall_back(w);
        return;
    }
    w->lost_history = false;
    w->next_revision = r->revision + 1;
    w->state = WATCH_WAITING;
    w->ops.on_resync(w->data, r->kvs.items, r->kvs.n, r->revision);
    if (!w->removed) {
        connect_stream(w);
    }
}

struct store_watch *etcd_watch_new(struct etcd *e, const char *prefix,
                                   int64_t from_revision,
                                   const struct store_watch_ops *ops, void *data)
{
    struct store_watch *w = calloc(1, sizeof(*w));

    CHECK(w != NULL && strlen(prefix) <= STORE_KEY_MAX);
    w->etcd = e;
    w->prefix = strdup(prefix);
    CHECK(w->prefix != NULL);
    w->ops = *ops;
    w->data = data;
    w->next_revision = from_revision;
    w->backoff = (struct backoff){.min_ms = BACKOFF_MIN_MS, .max_ms = BACKOFF_MAX_MS};
    w->timer.data = w;
    CHECK(uv_timer_init(e->loop, &w->timer) == 0);
    e->n_handles++;
    list_push_back(&e->watches, &w->node);
    if (!e->closing) {
        connect_stream(w);
    }
    return w;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct store_watch *w = handle->data;
    struct etcd *e = w->etcd;

    free(w->prefix);
    free(w);
    etcd_handle_gone(e);
}

void etcd_watch_remove(struct store_watch *w)
{
    CHECK(!w->removed);
    w->removed = true;
    cancel_posts(w);
    if (w->request != NULL) {
        w->request->owner = NULL; /* its answer is for no one */
    }
    list_remove(&w->node);
    uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}

void etcd_watch_remove_all(struct etcd *e)
{
    while (!list_empty(&e->watches)) {
        etcd_watch_remove(container_of(e->watches.next, struct store_watch, node));
    }
}
