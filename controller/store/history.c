#include "controller/store/history.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static size_t event_bytes(const struct store_event *e)
{
    return sizeof(*e) + strlen(e->kv.key) + e->kv.len;
}

static void drop_first(struct history *h)
{
    struct store_event *e = &h->events.items[h->first++];

    h->bytes -= event_bytes(e);
    h->compacted = e->kv.mod_revision;
    free((void *)e->kv.key);
    free((void *)e->kv.value);
}

static void close_gap(struct history *h)
{
    struct event_list *l = &h->events;

    if (h->first == 0 || h->first < l->n / 2) {
        return;
    }
    l->n -= h->first;
    memmove(l->items, l->items + h->first, l->n * sizeof(*l->items));
    h->first = 0;
}

void history_forget(struct history *h, int64_t up_to_revision)
{
    while (h->first < h->events.n &&
           h->events.items[h->first].kv.mod_revision <= up_to_revision) {
        drop_first(h);
    }
    if (h->compacted < up_to_revision) {
        h->compacted = up_to_revision;
    }
    close_gap(h);
}

void history_add(struct history *h, const struct event_list *events, int64_t revision)
{
    for (size_t i = 0; i < events->n; i++) {
        if (event_list_add(&h->events, &events->items[i]) < 0) {
            history_forget(h, revision);
            return;
        }
        h->bytes += event_bytes(&events->items[i]);
    }
    while (h->events.n - h->first > HISTORY_EVENTS_MAX || h->bytes > HISTORY_BYTES_MAX) {
        history_forget(h, h->events.items[h->first].kv.mod_revision);
    }
}

int history_since(const struct history *h, const char *prefix, int64_t from_revision,
                  struct event_list *ret)
{
    size_t len = strlen(prefix);

    if (from_revision <= h->compacted) {
        return -ESTALE;
    }
    for (size_t i = h->first; i < h->events.n; i++) {
        const struct store_event *e = &h->events.items[i];

        if (e->kv.mod_revision >= from_revision && strncmp(e->kv.key, prefix, len) == 0 &&
            event_list_add(ret, e) < 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

void history_free(struct history *h)
{
    history_forget(h, INT64_MAX);
    event_list_free(&h->events);
    *h = (struct history){0};
}
