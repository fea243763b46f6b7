/* HTTP POSTs through libcurl's multi interface on a uv loop. One thread. Callbacks come
 * from the loop, never from within a call here, and may post and cancel as they like. */
#ifndef CONTROLLER_STORE_ETCD_HTTP_H
#define CONTROLLER_STORE_ETCD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/buf.h"
#include "common/error.h"

struct etcd_http;
struct etcd_post;

enum etcd_outcome {
    ETCD_REPLIED,   /* a whole reply; http_status says which */
    ETCD_NOT_SENT,  /* no connection: the server has seen nothing of it */
    ETCD_TIMED_OUT, /* sent, no reply in time */
    ETCD_BROKEN,    /* sent, the connection ended before the whole reply */
};

struct etcd_reply {
    enum etcd_outcome outcome;
    long http_status;
    const char *body; /* NUL-terminated; of a stream: what on_data left over */
    size_t len;
    const char *text; /* what went wrong, for people; "" with ETCD_REPLIED */
};

struct etcd_post_options {
    const char *url;
    const char *body; /* copied */
    size_t len;
    uint32_t connect_timeout_ms;
    uint32_t timeout_ms; /* 0: none, for streams */
    bool once; /* must not reach the server twice: never on a used connection, where
                * libcurl would silently send again if it turns out to be dead */
    /* Streams: bytes have come. Consumes what it can from `received`. */
    void (*on_data)(void *data, struct buf *received);
    void (*on_done)(void *data, const struct etcd_reply *reply);
    void *data;
};

int etcd_http_new(struct etcd_http **ret, uv_loop_t *loop);
/* 0 or -ENOMEM. on_done comes once, unless the post is cancelled; then it is gone. */
int etcd_http_post(struct etcd_http *h, const struct etcd_post_options *options,
                   struct etcd_post **ret);
void etcd_http_cancel(struct etcd_post *p); /* takes NULL; no callback comes any more */
/* All posts must have ended or been cancelled. */
void etcd_http_close(struct etcd_http *h, void (*on_closed)(void *data), void *data);

#endif /* CONTROLLER_STORE_ETCD_HTTP_H */
