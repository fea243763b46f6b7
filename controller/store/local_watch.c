#include "controller/store/local_watch.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

struct store_watch {
    struct list node;
    char *prefix;
    struct store_watch_ops ops;
    void *data;
    int64_t next_revision; /* older events are not for this watch */
    bool started;
    bool removed;
};

void local_watches_init(struct local_watches *ws)
{
    *ws = (struct local_watches){0};
    list_init(&ws->all);
}

struct store_watch *local_watch_add(struct local_watches *ws, const char *prefix,
                                    int64_t from_revision,
                                    const struct store_watch_ops *ops, void *data)
{
    struct store_watch *w = calloc(1, sizeof(*w));

    CHECK(w != NULL); /* as for requests: no one could be told */
    w->prefix = strdup(prefix);
    CHECK(w->prefix != NULL);
    w->ops = *ops;
    w->data = data;
    w->next_revision = from_revision;
    list_push_back(&ws->all, &w->node);
    return w;
}

static void watch_free(struct store_watch *w)
{
    list_remove(&w->node);
    free(w->prefix);
    free(w);
}

static void leave(struct local_watches *ws)
{
    if (--ws->depth > 0) {
        return;
    }
    LIST_FOREACH_SAFE(it, &ws->all)
    {
        struct store_watch *w = container_of(it, struct store_watch, node);

        if (w->removed && w->started) {
            watch_free(w);
        }
    }
}

static bool listens(const struct local_watches *ws, const struct store_watch *w)
{
    return w->started && !w->removed && !ws->stopped;
}

/* The events of one revision that are under the watch's prefix. */
static void deliver(struct store_watch *w, const struct store_event *events, size_t n,
                    struct store_event *scratch)
{
    size_t len = strlen(w->prefix);
    int64_t revision = events[0].kv.mod_revision;
    size_t mine = 0;

    if (revision < w->next_revision) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (strncmp(events[i].kv.key, w->prefix, len) == 0) {
            scratch[mine++] = events[i];
        }
    }
    w->next_revision = revision + 1;
    if (mine > 0) {
        w->ops.on_events(w->data, scratch, mine, revision);
    }
}

static struct store_event *scratch_new(const struct event_list *events)
{
    struct store_event *scratch = calloc(events->n, sizeof(*scratch));

    CHECK(scratch != NULL);
    return scratch;
}

void local_watches_dispatch(struct local_watches *ws, const struct event_list *events)
{
    struct store_event *scratch;

    if (events->n == 0 || ws->stopped || list_empty(&ws->all)) {
        return;
    }
    scratch = scratch_new(events);
    ws->depth++;
    for (size_t at = 0; at < events->n;) {
        size_t n = event_list_run(events, at);

        LIST_FOREACH(it, &ws->all)
        {
            struct store_watch *w = container_of(it, struct store_watch, node);

            if (listens(ws, w)) {
                deliver(w, &events->items[at], n, scratch);
            }
        }
        at += n;
    }
    leave(ws);
    free(scratch);
}

static void replay(struct local_watches *ws, struct store_watch *w,
                   const struct event_list *events)
{
    struct store_event *scratch;

    if (events->n == 0) {
        return;
    }
    scratch = scratch_new(events);
    for (size_t at = 0; at < events->n && listens(ws, w);) {
        size_t n = event_list_run(events, at);

        deliver(w, &events->items[at], n, scratch);
        at += n;
    }
    free(scratch);
}

void local_watch_started(struct local_watches *ws, struct store_watch *w,
                         const struct request *r)
{
    CHECK(r->status == 0 || ws->stopped);
    ws->depth++;
    w->started = true;
    if (listens(ws, w) && w->ops.on_state != NULL) {
        w->ops.on_state(w->data, true);
    }
    if (listens(ws, w)) {
        if (r->resync) {
            w->ops.on_resync(w->data, r->kvs.items, r->kvs.n, r->revision);
        } else {
            replay(ws, w, &r->events);
        }
        if (w->next_revision <= r->revision) {
            w->next_revision = r->revision + 1;
        }
    }
    leave(ws);
}

void local_watch_remove(struct local_watches *ws, struct store_watch *w)
{
    w->removed = true;
    ws->depth++;
    leave(ws);
}

void local_watches_stop(struct local_watches *ws)
{
    ws->stopped = true;
}

void local_watches_free(struct local_watches *ws)
{
    CHECK(ws->depth == 0);
    while (!list_empty(&ws->all)) {
        watch_free(container_of(ws->all.next, struct store_watch, node));
    }
}
