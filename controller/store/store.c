#include "controller/store/store.h"

void store_range(struct store *s, const char *prefix, store_range_cb cb, void *data)
{
    s->engine->range(s, prefix, cb, data);
}

void store_txn(struct store *s, const struct store_compare *compares, size_t n_compares,
               const struct store_op *ops, size_t n_ops, store_txn_cb cb, void *data)
{
    s->engine->txn(s, compares, n_compares, ops, n_ops, cb, data);
}

struct store_watch *store_watch(struct store *s, const char *prefix,
                                int64_t from_revision, const struct store_watch_ops *ops,
                                void *data)
{
    return s->engine->watch(s, prefix, from_revision, ops, data);
}

void store_unwatch(struct store *s, struct store_watch *w)
{
    if (w != NULL) {
        s->engine->unwatch(s, w);
    }
}

void store_lease_grant(struct store *s, uint32_t ttl_s, store_lease_cb cb, void *data)
{
    s->engine->lease_grant(s, ttl_s, cb, data);
}

void store_lease_keepalive(struct store *s, int64_t lease, store_lease_cb cb, void *data)
{
    s->engine->lease_keepalive(s, lease, cb, data);
}

void store_lease_revoke(struct store *s, int64_t lease, store_lease_cb cb, void *data)
{
    s->engine->lease_revoke(s, lease, cb, data);
}

void store_close(struct store *s, void (*on_closed)(void *data), void *data)
{
    s->engine->close(s, on_closed, data);
}
