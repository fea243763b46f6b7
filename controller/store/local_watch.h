/* Watches of a local engine: who gets which events. On the loop's thread only. A callback
 * may add and remove watches, its own too, and may close the store. */
#ifndef CONTROLLER_STORE_LOCAL_WATCH_H
#define CONTROLLER_STORE_LOCAL_WATCH_H

#include "controller/store/request.h"

struct local_watches {
    struct list all;
    unsigned depth; /* of callbacks: removed watches are freed when it is 0 */
    bool stopped;   /* no callback any more */
};

void local_watches_init(struct local_watches *ws);
/* The watch gets nothing until local_watch_started. */
struct store_watch *local_watch_add(struct local_watches *ws, const char *prefix,
                                    int64_t from_revision,
                                    const struct store_watch_ops *ops, void *data);
/* The request says what came before: history or the state to start from. */
void local_watch_started(struct local_watches *ws, struct store_watch *w,
                         const struct request *r);
void local_watch_remove(struct local_watches *ws, struct store_watch *w);
void local_watches_dispatch(struct local_watches *ws, const struct event_list *events);
void local_watches_stop(struct local_watches *ws);
void local_watches_free(struct local_watches *ws);

#endif /* CONTROLLER_STORE_LOCAL_WATCH_H */
