/* Store: where definitions and policy live. One interface, three engines (etcd, SQLite,
 * memory); tests/integration has one conformance suite that all of them pass.
 *
 * The model is etcd v3's: a map of byte strings with a cluster-wide revision that grows
 * by one with each changing transaction; every key knows the revision that created it and
 * the one that changed it last. A missing key has revision 0.
 *
 * All calls are asynchronous: the callback comes later on the loop's thread, never from
 * within the call, exactly once, also when the store is closed (-ECANCELED). Requests
 * time out (-ETIMEDOUT); a store that cannot be reached gives -EHOSTUNREACH; a
 * transaction whose outcome is not known gives -EINPROGRESS, and the caller reads again
 * before it decides. Durable: a transaction that succeeded survives a crash right after
 * it. */
#ifndef CONTROLLER_STORE_H
#define CONTROLLER_STORE_H

#include <stdbool.h>
#include <uv.h>

#include "common/error.h"

#define STORE_VALUE_MAX (1024 * 1024)
#define STORE_KEY_MAX   1024
#define STORE_TXN_MAX   128 /* compares, and operations (etcd's default) */

struct store;
struct store_watch;

struct store_kv {
    const char *key; /* NUL-terminated */
    const void *value;
    size_t len;
    int64_t create_revision;
    int64_t mod_revision;
};

struct store_compare {
    const char *key;
    enum { STORE_CREATE_REVISION, STORE_MOD_REVISION } what;
    int64_t equals; /* 0: the key does not exist */
};

struct store_op {
    enum { STORE_PUT, STORE_DELETE, STORE_DELETE_PREFIX } type;
    const char *key;
    const void *value;
    size_t len;
    int64_t lease; /* STORE_PUT: 0, or the key goes when the lease does */
};

struct store_event {
    enum { STORE_EVENT_PUT, STORE_EVENT_DELETE } type;
    struct store_kv kv; /* DELETE: key and mod_revision only */
};

/* status 0 or negative; err is never NULL, its text for people. kvs valid in the call. */
typedef void (*store_range_cb)(void *data, int status, const struct error *err,
                               const struct store_kv *kvs, size_t n, int64_t revision);
/* succeeded: the compares held and the operations are done. */
typedef void (*store_txn_cb)(void *data, int status, const struct error *err,
                             bool succeeded, int64_t revision);
typedef void (*store_lease_cb)(void *data, int status, const struct error *err,
                               int64_t lease);

struct store_watch_ops {
    /* All events of one revision together, in order. */
    void (*on_events)(void *data, const struct store_event *events, size_t n,
                      int64_t revision);
    /* History up to what is needed was compacted away: everything under the prefix as it
     * is now. What is not among kvs is gone. The watch goes on from there. */
    void (*on_resync)(void *data, const struct store_kv *kvs, size_t n, int64_t revision);
    /* up: the watch is (again) following; down: not reachable, being retried. */
    void (*on_state)(void *data, bool up);
};

struct store_engine {
    void (*range)(struct store *s, const char *prefix, store_range_cb cb, void *data);
    void (*txn)(struct store *s, const struct store_compare *compares, size_t n_compares,
                const struct store_op *ops, size_t n_ops, store_txn_cb cb, void *data);
    struct store_watch *(*watch)(struct store *s, const char *prefix,
                                 int64_t from_revision, const struct store_watch_ops *ops,
                                 void *data);
    void (*unwatch)(struct store *s, struct store_watch *w);
    void (*lease_grant)(struct store *s, uint32_t ttl_s, store_lease_cb cb, void *data);
    void (*lease_keepalive)(struct store *s, int64_t lease, store_lease_cb cb,
                            void *data);
    void (*lease_revoke)(struct store *s, int64_t lease, store_lease_cb cb, void *data);
    void (*close)(struct store *s, void (*on_closed)(void *data), void *data);
};

struct store { /* first member of each engine's own struct */
    const struct store_engine *engine;
    const char *name; /* "etcd", "sqlite", "memory" */
};

/* Arguments are copied. range: all keys that begin with prefix, sorted. txn: keys may
 * appear in at most one operation. watch: from_revision 0 means from now on. */
void store_range(struct store *s, const char *prefix, store_range_cb cb, void *data);
void store_txn(struct store *s, const struct store_compare *compares, size_t n_compares,
               const struct store_op *ops, size_t n_ops, store_txn_cb cb, void *data);
struct store_watch *store_watch(struct store *s, const char *prefix,
                                int64_t from_revision, const struct store_watch_ops *ops,
                                void *data);
void store_unwatch(struct store *s, struct store_watch *w);
void store_lease_grant(struct store *s, uint32_t ttl_s, store_lease_cb cb, void *data);
void store_lease_keepalive(struct store *s, int64_t lease, store_lease_cb cb, void *data);
void store_lease_revoke(struct store *s, int64_t lease, store_lease_cb cb, void *data);
/* Pending calls get -ECANCELED; the store is freed before on_closed. */
void store_close(struct store *s, void (*on_closed)(void *data), void *data);

int store_memory_new(struct store **ret, uv_loop_t *loop, struct error *err);
/* WAL, synchronous=FULL; runs on a worker thread of its own. */
int store_sqlite_new(struct store **ret, uv_loop_t *loop, const char *path,
                     struct error *err);
struct store_etcd_options {
    const char *const
        *endpoints; /* "http://127.0.0.1:2379", NULL-terminated; tried in turn */
    uint32_t request_timeout_ms; /* default 5 s */
};
int store_etcd_new(struct store **ret, uv_loop_t *loop,
                   const struct store_etcd_options *options, struct error *err);

#endif /* CONTROLLER_STORE_H */
