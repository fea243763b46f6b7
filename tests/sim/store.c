#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "tests/sim/sim.h"

struct item {
    char *key;
    char *value;
    int64_t mod_revision;
};

struct sim_store {
    struct sim *sim;
    struct item *items;
    size_t n, capacity;
    int64_t revision;
    bool up;
    struct controller_core *core; /* attached; valid while its life lasts */
    const uint64_t *life;
    int64_t loaded;         /* revision of the last load that it was given */
    uint64_t last_event_us; /* deliveries keep their order */
};

struct sim_store *sim_store_new(struct sim *s)
{
    struct sim_store *st = calloc(1, sizeof(*st));

    CHECK(st != NULL);
    st->sim = s;
    st->up = true;
    st->revision = 1;
    return st;
}

struct sim_store *sim_store_free(struct sim_store *st)
{
    for (size_t i = 0; i < st->n; i++) {
        free(st->items[i].key);
        free(st->items[i].value);
    }
    free(st->items);
    free(st);
    return NULL;
}

static struct item *find(const struct sim_store *st, const char *key)
{
    for (size_t i = 0; i < st->n; i++) {
        if (strcmp(st->items[i].key, key) == 0) {
            return &st->items[i];
        }
    }
    return NULL;
}

static void put(struct sim_store *st, const char *key, const char *value)
{
    struct item *item = find(st, key);

    if (item == NULL) {
        if (st->n == st->capacity) {
            st->capacity = st->capacity == 0 ? 64 : st->capacity * 2;
            st->items = reallocarray(st->items, st->capacity, sizeof(*st->items));
            CHECK(st->items != NULL);
        }
        item = &st->items[st->n++];
        item->key = strdup(key);
        item->value = NULL;
    }
    free(item->value);
    item->value = strdup(value);
    item->mod_revision = st->revision;
}

static void delete (struct sim_store *st, const char *key)
{
    struct item *item = find(st, key);

    if (item != NULL) {
        free(item->key);
        free(item->value);
        *item = st->items[--st->n];
    }
}

/* --- watching
 * --------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct core_kv *)a)->key, ((const struct core_kv *)b)->key);
}

static void load(struct sim_store *st)
{
    struct core_kv *kvs = calloc(st->n + 1, sizeof(*kvs));

    CHECK(kvs != NULL);
    for (size_t i = 0; i < st->n; i++) {
        kvs[i] = (struct core_kv){.key = st->items[i].key,
                                  .value = st->items[i].value,
                                  .len = strlen(st->items[i].value),
                                  .mod_revision = st->items[i].mod_revision};
    }
    qsort(kvs, st->n, sizeof(*kvs), by_key);
    st->loaded = st->revision;
    controller_core_load(st->core, kvs, st->n, st->revision);
    sim_controller_arm(st->sim);
    free(kvs);
}

struct delivery {
    struct sim_store *store;
    struct core_kv *kvs;
    size_t n;
    int64_t revision;
};

static void delivery_free(void *data)
{
    struct delivery *d = data;

    for (size_t i = 0; i < d->n; i++) {
        free((char *)(uintptr_t)d->kvs[i].key);
        free((void *)(uintptr_t)d->kvs[i].value);
    }
    free(d->kvs);
    free(d);
}

static void deliver(void *data)
{
    struct delivery *d = data;
    struct sim_store *st = d->store;

    if (d->revision > st->loaded) {
        if (!st->sim->quiet && sim_chance(&st->sim->clock, 10)) {
            load(st); /* the history was compacted away */
        } else {
            controller_core_events(st->core, d->kvs, d->n, d->revision);
            sim_controller_arm(st->sim);
        }
    }
    delivery_free(d);
}

static void publish(struct sim_store *st, const struct core_op *ops, size_t n_ops)
{
    struct sim_clock *c = &st->sim->clock;
    struct delivery *d;
    uint64_t at_us = c->now_us + 100 + sim_spread(c, st->up ? 900 : 500000);

    if (st->sim->controller == NULL) { /* nobody watches */
        return;
    }
    d = calloc(1, sizeof(*d));
    CHECK(d != NULL);
    d->store = st;
    d->revision = st->revision;
    d->kvs = calloc(n_ops, sizeof(*d->kvs));
    CHECK(d->kvs != NULL);
    for (; d->n < n_ops; d->n++) {
        const char *value = ops[d->n].value;

        d->kvs[d->n] = (struct core_kv){.key = strdup(ops[d->n].key),
                                        .value = value != NULL ? strdup(value) : NULL,
                                        .len = value != NULL ? strlen(value) : 0,
                                        .mod_revision = st->revision};
    }
    at_us = at_us > st->last_event_us ? at_us : st->last_event_us;
    st->last_event_us = at_us;
    sim_after(c, at_us - c->now_us, deliver, delivery_free, d, st->life);
}

void sim_store_attach(struct sim_store *st, struct controller_core *core,
                      const uint64_t *life)
{
    st->core = core;
    st->life = life;
    controller_core_store_up(core, st->up);
    load(st);
}

void sim_store_set_up(struct sim_store *st, bool up)
{
    st->up = up;
    if (st->sim->controller != NULL) {
        controller_core_store_up(st->core, up);
        sim_controller_arm(st->sim);
    }
}

/* --- transactions
 * ------------------------------------------------------------------------ */

struct txn {
    struct sim_store *store;
    uint64_t asked_by; /* the life of the controller that did */
    uint64_t id;
    struct core_compare *compares;
    size_t n_compares;
    struct core_op *ops;
    size_t n_ops;
    int status;
    bool succeeded;
    int64_t revision;
};

static void txn_free(void *data)
{
    struct txn *t = data;

    for (size_t i = 0; i < t->n_compares; i++) {
        free((char *)(uintptr_t)t->compares[i].key);
    }
    for (size_t i = 0; i < t->n_ops; i++) {
        free((char *)(uintptr_t)t->ops[i].key);
        free((char *)(uintptr_t)t->ops[i].value);
    }
    free(t->compares);
    free(t->ops);
    free(t);
}

static bool holds(const struct txn *t)
{
    for (size_t i = 0; i < t->n_compares; i++) {
        const struct item *item = find(t->store, t->compares[i].key);

        if ((item != NULL ? item->mod_revision : 0) != t->compares[i].mod_revision) {
            return false;
        }
    }
    return true;
}

static void apply(struct txn *t)
{
    struct sim_store *st = t->store;

    t->succeeded = holds(t);
    if (t->succeeded && t->n_ops > 0) {
        st->revision++;
        for (size_t i = 0; i < t->n_ops; i++) {
            if (t->ops[i].value != NULL) {
                put(st, t->ops[i].key, t->ops[i].value);
            } else {
                delete (st, t->ops[i].key);
            }
        }
        publish(st, t->ops, t->n_ops);
    }
    t->revision = st->revision;
}

static void answer(void *data)
{
    struct txn *t = data;
    struct sim *s = t->store->sim;

    if (s->controller != NULL && s->controller_life == t->asked_by) {
        controller_core_txn_done(s->controller, t->id, t->status, t->succeeded,
                                 t->revision,
                                 t->status < 0 ? "the store is having a bad day" : "");
        sim_controller_arm(s);
    }
    txn_free(t);
}

/* It reached the store, whether or not who sent it still lives. */
static void arrive(void *data)
{
    struct txn *t = data;
    struct sim_clock *c = &t->store->sim->clock;
    bool lost = !t->store->up;

    if (lost) {
        t->status = sim_chance(c, 500) ? -EHOSTUNREACH : -EINPROGRESS;
    } else if (!t->store->sim->quiet && t->store->sim->options.faults &&
               sim_chance(c, 10)) {
        t->status = -EINPROGRESS;
    }
    if (t->status == 0 || (t->status == -EINPROGRESS && sim_chance(c, 500))) {
        apply(t);
    }
    sim_after(c, 100 + sim_spread(c, 700), answer, txn_free, t, NULL);
}

void sim_store_txn(struct sim_store *st, struct controller_core *core,
                   const uint64_t *life, uint64_t id, const struct core_compare *compares,
                   size_t n_compares, const struct core_op *ops, size_t n_ops)
{
    struct txn *t = calloc(1, sizeof(*t));

    CHECK(t != NULL && core == st->core && life == st->life);
    t->store = st;
    t->asked_by = *life;
    t->id = id;
    t->compares = calloc(n_compares + 1, sizeof(*t->compares));
    t->ops = calloc(n_ops + 1, sizeof(*t->ops));
    CHECK(t->compares != NULL && t->ops != NULL);
    for (; t->n_compares < n_compares; t->n_compares++) {
        t->compares[t->n_compares] =
            (struct core_compare){.key = strdup(compares[t->n_compares].key),
                                  .mod_revision = compares[t->n_compares].mod_revision};
    }
    for (; t->n_ops < n_ops; t->n_ops++) {
        const char *value = ops[t->n_ops].value;

        t->ops[t->n_ops] =
            (struct core_op){.key = strdup(ops[t->n_ops].key),
                             .value = value != NULL ? strdup(value) : NULL};
    }
    /* A process that dies has sent what it has sent: no life here. */
    sim_after(&st->sim->clock, 100 + sim_spread(&st->sim->clock, 700), arrive, txn_free,
              t, NULL);
}
