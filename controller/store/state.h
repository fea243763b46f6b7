/* The state behind the memory and SQLite engines: keys, revisions, leases and a bounded
 * history of events. Pure: (request, now) -> result in the request. Durability is a hook
 * that is called with a change before it is made; if it fails, nothing has changed.
 * Not thread-safe: one thread at a time. */
#ifndef CONTROLLER_STORE_STATE_H
#define CONTROLLER_STORE_STATE_H

#include "controller/store/request.h"

#define STATE_LEASES_MAX 10000

struct state;

struct state_change { /* one revision, or a lease without one */
    int64_t revision;
    const struct store_event *events; /* PUT: whole kv */
    const int64_t *leases;            /* of each event: 0 or the key's lease */
    size_t n_events;
    int64_t lease_added; /* 0, or the lease to remember, with its time to live */
    uint32_t lease_ttl_s;
    int64_t lease_gone; /* 0, or the lease to forget */
};

struct state_persist { /* all zero: nothing is kept */
    int (*save)(void *data, const struct state_change *change, struct error *err);
    void *data;
};

int state_new(struct state **ret, const struct state_persist *persist);
struct state *state_free(struct state *s);

/* What was saved, given back before the first request. 0 or -ENOMEM; -EBADMSG if it is no
 * state that save() was ever given. Leases start their time anew at now_ms. */
int state_load_kv(struct state *s, const struct store_kv *kv, int64_t lease);
int state_load_lease(struct state *s, int64_t lease, uint32_t ttl_s, uint64_t now_ms);
int state_load_revision(struct state *s, int64_t revision);

/* Carries out a request that is valid in itself. */
void state_execute(struct state *s, struct request *r, uint64_t now_ms);

/* When the next lease ends; UINT64_MAX: never. */
uint64_t state_next_expiry_ms(const struct state *s);

#endif /* CONTROLLER_STORE_STATE_H */
