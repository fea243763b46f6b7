/* The last events of a store, so that a watch can begin in the past. Bounded by number
 * and bytes; older revisions are forgotten whole. {0} is an empty history from revision
 * 0. */
#ifndef CONTROLLER_STORE_HISTORY_H
#define CONTROLLER_STORE_HISTORY_H

#include "controller/store/items.h"

#define HISTORY_EVENTS_MAX 1024
#define HISTORY_BYTES_MAX  (16u * 1024 * 1024)

struct history {
    struct event_list events;
    size_t first; /* index of the oldest that is kept */
    size_t bytes;
    int64_t compacted; /* revisions up to this one are forgotten */
};

/* Without memory for it everything is forgotten: watches start over from the state. */
void history_add(struct history *h, const struct event_list *events, int64_t revision);
void history_forget(struct history *h, int64_t up_to_revision);

/* Adds events under prefix from the revision on. -ESTALE if some are forgotten; -ENOMEM.
 */
int history_since(const struct history *h, const char *prefix, int64_t from_revision,
                  struct event_list *ret);
void history_free(struct history *h);

#endif /* CONTROLLER_STORE_HISTORY_H */
