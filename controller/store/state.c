#include "controller/store/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "controller/store/history.h"

struct entry {
    struct store_kv kv;
    int64_t lease;
};

struct lease {
    int64_t id;
    uint32_t ttl_s;
    uint64_t expires_ms;
};

struct state {
    struct entry **entries; /* sorted by key */
    size_t n_entries;
    size_t capacity;
    struct lease *leases;
    size_t n_leases;
    int64_t revision;
    struct history history;
    struct state_persist persist;
};

/* A change in the making: whatever can fail happens here, before it is saved. */
struct draft {
    struct event_list events;
    int64_t *leases;      /* of each event */
    struct entry **fresh; /* of each event: the entry that a PUT leaves, else NULL */
    int64_t lease_added;
    uint32_t lease_ttl_s;
    int64_t lease_gone;
};

int state_new(struct state **ret, const struct state_persist *persist)
{
    struct state *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        return -ENOMEM;
    }
    s->revision = 1; /* as an empty etcd */
    s->persist = *persist;
    *ret = s;
    return 0;
}

static void entry_free(struct entry *e)
{
    if (e != NULL) {
        free((void *)e->kv.key);
        free((void *)e->kv.value);
        free(e);
    }
}

struct state *state_free(struct state *s)
{
    if (s == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < s->n_entries; i++) {
        entry_free(s->entries[i]);
    }
    free(s->entries);
    free(s->leases);
    history_free(&s->history);
    free(s);
    return NULL;
}

/* Index of the first entry that is not before key. */
static size_t lower_bound(const struct state *s, const char *key)
{
    size_t lo = 0;
    size_t hi = s->n_entries;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (strcmp(s->entries[mid]->kv.key, key) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static struct entry *find(const struct state *s, const char *key)
{
    size_t at = lower_bound(s, key);

    if (at < s->n_entries && strcmp(s->entries[at]->kv.key, key) == 0) {
        return s->entries[at];
    }
    return NULL;
}

static struct lease *find_lease(struct state *s, int64_t id)
{
    for (size_t i = 0; i < s->n_leases; i++) {
        if (s->leases[i].id == id) {
            return &s->leases[i];
        }
    }
    return NULL;
}

static int reserve_entries(struct state *s, size_t extra)
{
    size_t wanted = s->capacity < 64 ? 64 : s->capacity;
    struct entry **grown;

    while (wanted < s->n_entries + extra) {
        wanted *= 2;
    }
    if (wanted == s->capacity) {
        return 0;
    }
    grown = reallocarray(s->entries, wanted, sizeof(struct entry *));
    if (grown == NULL) {
        return -ENOMEM;
    }
    s->entries = grown;
    s->capacity = wanted;
    return 0;
}

/* Takes e over; there is room for it. */
static void put_entry(struct state *s, struct entry *e)
{
    size_t at = lower_bound(s, e->kv.key);

    if (at < s->n_entries && strcmp(s->entries[at]->kv.key, e->kv.key) == 0) {
        entry_free(s->entries[at]);
        s->entries[at] = e;
        return;
    }
    CHECK(s->n_entries < s->capacity);
    memmove(&s->entries[at + 1], &s->entries[at],
            (s->n_entries - at) * sizeof(struct entry *));
    s->entries[at] = e;
    s->n_entries++;
}

static void delete_entry(struct state *s, const char *key)
{
    size_t at = lower_bound(s, key);

    CHECK(at < s->n_entries && strcmp(s->entries[at]->kv.key, key) == 0);
    entry_free(s->entries[at]);
    s->n_entries--;
    memmove(&s->entries[at], &s->entries[at + 1],
            (s->n_entries - at) * sizeof(struct entry *));
}

static struct entry *entry_new(const struct store_kv *kv, int64_t lease)
{
    struct entry *e = calloc(1, sizeof(*e));
    char *key = strdup(kv->key);
    void *value = malloc(kv->len + 1);

    if (e == NULL || key == NULL || value == NULL) {
        free(e);
        free(key);
        free(value);
        return NULL;
    }
    if (kv->len > 0) {
        memcpy(value, kv->value, kv->len);
    }
    e->kv = *kv;
    e->kv.key = key;
    e->kv.value = value;
    e->lease = lease;
    return e;
}

static int add_lease(struct state *s, int64_t id, uint32_t ttl_s, uint64_t now_ms)
{
    struct lease *grown = reallocarray(s->leases, s->n_leases + 1, sizeof(*grown));

    if (grown == NULL) {
        return -ENOMEM;
    }
    s->leases = grown;
    s->leases[s->n_leases++] = (struct lease){
        .id = id, .ttl_s = ttl_s, .expires_ms = now_ms + (uint64_t)ttl_s * 1000};
    return 0;
}

int state_load_kv(struct state *s, const struct store_kv *kv, int64_t lease)
{
    struct entry *e;

    if (kv->create_revision <= 0 || kv->mod_revision < kv->create_revision ||
        strlen(kv->key) == 0 || strlen(kv->key) > STORE_KEY_MAX ||
        kv->len > STORE_VALUE_MAX) {
        return -EBADMSG;
    }
    if (reserve_entries(s, 1) < 0 || (e = entry_new(kv, lease)) == NULL) {
        return -ENOMEM;
    }
    put_entry(s, e);
    return 0;
}

int state_load_lease(struct state *s, int64_t lease, uint32_t ttl_s, uint64_t now_ms)
{
    return lease == 0 || ttl_s == 0 ? -EBADMSG : add_lease(s, lease, ttl_s, now_ms);
}

int state_load_revision(struct state *s, int64_t revision)
{
    for (size_t i = 0; i < s->n_entries; i++) {
        if (s->entries[i]->kv.mod_revision > revision) {
            return -EBADMSG;
        }
    }
    if (revision < 1) {
        return -EBADMSG;
    }
    s->revision = revision;
    history_forget(&s->history, revision);
    return 0;
}

static void draft_free(struct draft *d)
{
    for (size_t i = 0; d->fresh != NULL && i < d->events.n; i++) {
        entry_free(d->fresh[i]);
    }
    free(d->fresh);
    free(d->leases);
    event_list_free(&d->events);
}

static int draft_add(struct draft *d, const struct store_event *event, int64_t lease)
{
    size_t n = d->events.n;
    int64_t *leases = reallocarray(d->leases, n + 1, sizeof(*leases));
    struct entry **fresh;
    struct entry *e = NULL;

    if (leases == NULL) {
        return -ENOMEM;
    }
    d->leases = leases;
    fresh = reallocarray(d->fresh, n + 1, sizeof(struct entry *));
    if (fresh == NULL) {
        return -ENOMEM;
    }
    d->fresh = fresh;
    if (event->type == STORE_EVENT_PUT && (e = entry_new(&event->kv, lease)) == NULL) {
        return -ENOMEM;
    }
    if (event_list_add(&d->events, event) < 0) {
        entry_free(e);
        return -ENOMEM;
    }
    leases[n] = lease;
    fresh[n] = e;
    return 0;
}

static int draft_delete(const struct state *s, struct draft *d, const char *key)
{
    struct store_event event = {.type = STORE_EVENT_DELETE,
                                .kv = {.key = key, .mod_revision = s->revision + 1}};

    return draft_add(d, &event, 0);
}

static void forget_lease(struct state *s, int64_t id)
{
    struct lease *l = find_lease(s, id);

    if (l != NULL) {
        *l = s->leases[--s->n_leases];
    }
}

static void apply(struct state *s, struct draft *d)
{
    for (size_t i = 0; i < d->events.n; i++) {
        if (d->fresh[i] != NULL) {
            put_entry(s, steal(d->fresh[i]));
        } else {
            delete_entry(s, d->events.items[i].kv.key);
        }
    }
    if (d->events.n > 0) {
        s->revision++;
        history_add(&s->history, &d->events, s->revision);
    }
    if (d->lease_gone != 0) {
        forget_lease(s, d->lease_gone);
    }
}

/* Saves the draft, then makes it true, then hands its events to the request. */
static int commit(struct state *s, struct draft *d, struct request *r)
{
    struct state_change change = {.revision = s->revision + (d->events.n > 0 ? 1 : 0),
                                  .events = d->events.items,
                                  .leases = d->leases,
                                  .n_events = d->events.n,
                                  .lease_added = d->lease_added,
                                  .lease_ttl_s = d->lease_ttl_s,
                                  .lease_gone = d->lease_gone};
    int rc;

    if (reserve_entries(s, d->events.n) < 0 ||
        event_list_reserve(&r->events, d->events.n) < 0) {
        return error_set(&r->err, -ENOMEM, "out of memory");
    }
    if (s->persist.save != NULL) {
        rc = s->persist.save(s->persist.data, &change, &r->err);
        if (rc < 0) {
            return rc;
        }
    }
    apply(s, d);
    event_list_move(&r->events, &d->events);
    return 0;
}

static bool compares_hold(const struct state *s, const struct request *r)
{
    for (size_t i = 0; i < r->n_compares; i++) {
        const struct store_compare *c = &r->compares[i];
        const struct entry *e = find(s, c->key);
        int64_t is = 0;

        if (e != NULL) {
            is = c->what == STORE_CREATE_REVISION ? e->kv.create_revision
                                                  : e->kv.mod_revision;
        }
        if (is != c->equals) {
            return false;
        }
    }
    return true;
}

static int draft_op(struct state *s, struct draft *d, const struct store_op *op,
                    struct error *err)
{
    struct store_event put = {.type = STORE_EVENT_PUT,
                              .kv = {.key = op->key,
                                     .value = op->value,
                                     .len = op->len,
                                     .create_revision = s->revision + 1,
                                     .mod_revision = s->revision + 1}};
    const struct entry *old = find(s, op->key);
    int rc = 0;

    switch (op->type) {
    case STORE_PUT:
        if (op->lease != 0 && find_lease(s, op->lease) == NULL) {
            return error_set(err, -ENOENT, "lease not found");
        }
        if (old != NULL) {
            put.kv.create_revision = old->kv.create_revision;
        }
        rc = draft_add(d, &put, op->lease);
        break;
    case STORE_DELETE:
        rc = old != NULL ? draft_delete(s, d, op->key) : 0;
        break;
    case STORE_DELETE_PREFIX:
        for (size_t i = lower_bound(s, op->key); rc == 0 && i < s->n_entries; i++) {
            if (strncmp(s->entries[i]->kv.key, op->key, strlen(op->key)) != 0) {
                break;
            }
            rc = draft_delete(s, d, s->entries[i]->kv.key);
        }
        break;
    }
    return rc < 0 ? error_set(err, rc, "out of memory") : 0;
}

static void txn(struct state *s, struct request *r)
{
    struct draft d = {0};

    if (!compares_hold(s, r)) {
        r->revision = s->revision;
        return;
    }
    for (size_t i = 0; r->status == 0 && i < r->n_ops; i++) {
        r->status = draft_op(s, &d, &r->ops[i], &r->err);
    }
    if (r->status == 0 && d.events.n > 0) {
        r->status = commit(s, &d, r);
    }
    r->succeeded = r->status == 0;
    r->revision = s->revision;
    draft_free(&d);
}

static void collect(struct state *s, struct request *r)
{
    size_t len = strlen(r->prefix);

    for (size_t i = lower_bound(s, r->prefix); i < s->n_entries; i++) {
        const struct store_kv *kv = &s->entries[i]->kv;

        if (strncmp(kv->key, r->prefix, len) != 0) {
            break;
        }
        if (kv_list_add(&r->kvs, kv) < 0) {
            request_fail(r, -ENOMEM, "out of memory");
            return;
        }
    }
}

static void watch(struct state *s, struct request *r)
{
    int rc;

    if (r->from_revision == 0) {
        return;
    }
    rc = history_since(&s->history, r->prefix, r->from_revision, &r->events);
    if (rc == -ESTALE) {
        r->resync = true;
        collect(s, r);
    } else if (rc < 0) {
        request_fail(r, rc, "out of memory");
    }
}

static void grant(struct state *s, struct request *r, uint64_t now_ms)
{
    struct draft d = {.lease_added = r->lease, .lease_ttl_s = r->ttl_s};

    if (find_lease(s, r->lease) != NULL) {
        request_fail(r, -EEXIST, "the lease exists");
    } else if (s->n_leases >= STATE_LEASES_MAX) {
        request_fail(r, -ENOSPC, "too many leases");
    } else if (add_lease(s, r->lease, r->ttl_s, now_ms) < 0) {
        request_fail(r, -ENOMEM, "out of memory");
    } else {
        r->status = commit(s, &d, r);
        if (r->status < 0) {
            forget_lease(s, r->lease);
        }
    }
}

static void keepalive(struct state *s, struct request *r, uint64_t now_ms)
{
    struct lease *l = find_lease(s, r->lease);

    if (l == NULL || l->expires_ms <= now_ms) {
        request_fail(r, -ENOENT, "lease not found");
        return;
    }
    l->expires_ms = now_ms + (uint64_t)l->ttl_s * 1000;
}

static int end_lease(struct state *s, struct request *r, int64_t lease)
{
    struct draft d = {.lease_gone = lease};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->n_entries; i++) {
        if (s->entries[i]->lease == lease) {
            rc = draft_delete(s, &d, s->entries[i]->kv.key);
        }
    }
    rc = rc < 0 ? error_set(&r->err, rc, "out of memory") : commit(s, &d, r);
    draft_free(&d);
    return rc;
}

/* A lease that could not be ended now (disk full) is tried again in a second. */
static void expire(struct state *s, struct request *r, uint64_t now_ms)
{
    for (size_t i = 0; i < s->n_leases;) {
        if (s->leases[i].expires_ms > now_ms) {
            i++;
        } else if ((r->status = end_lease(s, r, s->leases[i].id)) < 0) {
            s->leases[i++].expires_ms = now_ms + 1000;
        }
    }
}

void state_execute(struct state *s, struct request *r, uint64_t now_ms)
{
    CHECK(r->status == 0);
    switch (r->type) {
    case REQUEST_RANGE:
        collect(s, r);
        break;
    case REQUEST_TXN:
        txn(s, r);
        break;
    case REQUEST_WATCH:
        watch(s, r);
        break;
    case REQUEST_LEASE_GRANT:
        grant(s, r, now_ms);
        break;
    case REQUEST_LEASE_KEEPALIVE:
        keepalive(s, r, now_ms);
        break;
    case REQUEST_LEASE_REVOKE:
        if (find_lease(s, r->lease) == NULL) {
            request_fail(r, -ENOENT, "lease not found");
        } else {
            r->status = end_lease(s, r, r->lease);
        }
        break;
    case REQUEST_EXPIRE:
        expire(s, r, now_ms);
        break;
    }
    r->revision = s->revision;
}

uint64_t state_next_expiry_ms(const struct state *s)
{
    uint64_t next = UINT64_MAX;

    for (size_t i = 0; i < s->n_leases; i++) {
        if (s->leases[i].expires_ms < next) {
            next = s->leases[i].expires_ms;
        }
    }
    return next;
}
