/* The etcd engine's insides, shared by its calls (etcd.c) and its watches (etcd_watch.c).
 */
#ifndef CONTROLLER_STORE_ETCD_H
#define CONTROLLER_STORE_ETCD_H

#include "controller/store/etcd_http.h"
#include "controller/store/request.h"

struct etcd {
    struct store store; /* first */
    uv_loop_t *loop;
    struct etcd_http *http;
    char **endpoints;
    size_t n_endpoints;
    size_t current; /* endpoint that new requests go to */
    uint32_t timeout_ms;

    struct list active;  /* calls with a post under way */
    struct list waiting; /* calls that wait for one of them to end */
    size_t n_active;
    size_t n_calls;
    struct list ready; /* requests that failed at once: answered from the loop */
    uv_async_t wake;

    struct list watches;
    int n_handles; /* of uv, the HTTP client counted as one */
    bool closing;
    bool torn_down;
    void (*on_closed)(void *data);
    void *on_closed_data;
};

/* Something is wrong with endpoint `which`: what comes next goes to another. */
void etcd_avoid(struct etcd *e, size_t which);

/* Carries out a request; a REQUEST_WATCH ends in etcd_watch_resynced. */
void etcd_submit(struct etcd *e, struct request *r);
/* A handle of the store is gone; the last one frees it. */
void etcd_handle_gone(struct etcd *e);

struct store_watch *etcd_watch_new(struct etcd *e, const char *prefix,
                                   int64_t from_revision,
                                   const struct store_watch_ops *ops, void *data);
void etcd_watch_remove(struct store_watch *w);
void etcd_watch_resynced(struct store_watch *w, struct request *r);
void etcd_watch_remove_all(struct etcd *e);

#endif /* CONTROLLER_STORE_ETCD_H */
