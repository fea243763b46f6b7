/* One call on a store, from the caller's arguments (copied) to its callback. Every engine
 * passes these on: made by request_*, filled in by whoever does the work, and ended by
 * request_finish, which calls back once and frees it. */
#ifndef CONTROLLER_STORE_REQUEST_H
#define CONTROLLER_STORE_REQUEST_H

#include "common/list.h"
#include "controller/store/items.h"
#include "controller/store/store.h"

enum request_type {
    REQUEST_RANGE,
    REQUEST_TXN,
    REQUEST_LEASE_GRANT,
    REQUEST_LEASE_KEEPALIVE,
    REQUEST_LEASE_REVOKE,
    REQUEST_WATCH,  /* engine-internal, without a callback: what a watch starts from */
    REQUEST_EXPIRE, /* engine-internal: leases whose time is over */
};

struct request {
    enum request_type type;
    union {
        store_range_cb range;
        store_txn_cb txn;
        store_lease_cb lease;
    } cb;
    void *data;
    void *owner; /* engine's own: REQUEST_WATCH: its store_watch */

    char *prefix; /* RANGE, WATCH */
    int64_t from_revision;
    struct store_compare *compares; /* TXN */
    size_t n_compares;
    struct store_op *ops;
    size_t n_ops;
    int64_t lease;
    uint32_t ttl_s;

    int status; /* the result: 0 or negative, with err */
    struct error err;
    int64_t revision;
    bool succeeded;
    bool resync;        /* WATCH: kvs is the state, the history is gone */
    struct kv_list kvs; /* RANGE, WATCH */
    struct event_list
        events; /* TXN, LEASE_REVOKE, EXPIRE: what changed; WATCH: history */

    struct list node;    /* the engine's queue */
    struct list pending; /* the engine's list of calls not yet answered */
    uint64_t deadline_ms;
    bool answered; /* the callback has been called: only to be freed */
};

/* Never NULL (without memory for a request there is no one to tell: the program stops).
 * Arguments that break the limits leave a negative status. */
struct request *request_range(const char *prefix, store_range_cb cb, void *data);
struct request *request_txn(const struct store_compare *compares, size_t n_compares,
                            const struct store_op *ops, size_t n_ops, store_txn_cb cb,
                            void *data);
struct request *request_lease(enum request_type type, int64_t lease, uint32_t ttl_s,
                              store_lease_cb cb, void *data);
struct request *request_internal(enum request_type type);

void request_fail(struct request *r, int status, const char *text);
/* Calls back unless that was done; the request lives on. */
void request_answer(struct request *r);
/* The same without reading the result, which may be in another thread's hands. */
void request_answer_with(struct request *r, int status, const char *text);
struct request *request_free(struct request *r);
void request_finish(struct request *r); /* answers and frees */

#endif /* CONTROLLER_STORE_REQUEST_H */
