#include "controller/store_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/list.h"
#include "common/log.h"
#include "common/random.h"

#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 5000

static void changed(struct store_link *l)
{
    if (l->on_change != NULL) {
        l->on_change(l->data);
    }
}

static void set_up(struct store_link *l, bool up)
{
    if (l->up == up) {
        return;
    }
    l->up = up;
    if (up) {
        log_info("the store is there", LOG_STR("engine", l->store->name));
    } else {
        log_warn("the store cannot be reached; what runs goes on",
                 LOG_STR("engine", l->store->name));
    }
    controller_core_store_up(l->core, up);
    changed(l);
}

/* --- store to core ------------------------------------------------------------ */

static struct core_kv *new_kvs(size_t n)
{
    struct core_kv *kvs = calloc(n + 1, sizeof(*kvs));

    CHECK(kvs != NULL); /* a change that is not heard of makes all that follows wrong */
    return kvs;
}

static void load(struct store_link *l, const struct store_kv *kvs, size_t n,
                 int64_t revision)
{
    struct core_kv *all = new_kvs(n);
    size_t damaged;

    for (size_t i = 0; i < n; i++) {
        all[i] = (struct core_kv){.key = kvs[i].key,
                                  .value = kvs[i].value != NULL ? kvs[i].value : "",
                                  .len = kvs[i].len,
                                  .mod_revision = kvs[i].mod_revision};
    }
    controller_core_load(l->core, all, n, revision);
    free(all);
    damaged = controller_core_damaged(l->core);
    if (damaged > 0) {
        log_error("keys of the store cannot be read and are left out",
                  LOG_INT("keys", damaged));
    }
    log_info("the store was read", LOG_INT("keys", n), LOG_INT("revision", revision));
    changed(l);
}

static void on_events(void *data, const struct store_event *events, size_t n,
                      int64_t revision)
{
    struct store_link *l = data;
    struct core_kv *kvs = new_kvs(n);
    size_t damaged = controller_core_damaged(l->core);

    for (size_t i = 0; i < n; i++) {
        const struct store_kv *kv = &events[i].kv;

        kvs[i] = (struct core_kv){.key = kv->key, .mod_revision = kv->mod_revision};
        if (events[i].type == STORE_EVENT_PUT) {
            kvs[i].value = kv->value != NULL ? kv->value : "";
            kvs[i].len = kv->len;
        }
    }
    controller_core_events(l->core, kvs, n, revision);
    free(kvs);
    if (controller_core_damaged(l->core) > damaged) {
        log_error("a change of the store cannot be read and is left out",
                  LOG_INT("revision", revision));
    }
    changed(l);
}

static void on_resync(void *data, const struct store_kv *kvs, size_t n, int64_t revision)
{
    load(data, kvs, n, revision);
}

static void on_state(void *data, bool up)
{
    set_up(data, up);
}

static const struct store_watch_ops watch_ops = {on_events, on_resync, on_state};

static void read_all(struct store_link *l);

static void retry_cb(uv_timer_t *timer)
{
    read_all(container_of(timer, struct store_link, retry));
}

static void on_range(void *data, int status, const struct error *err,
                     const struct store_kv *kvs, size_t n, int64_t revision)
{
    struct store_link *l = data;

    if (l->closing) {
        return;
    }
    if (status < 0) {
        uint32_t pause_ms = backoff_next_ms(&l->backoff, random_u64());

        log_warn("the store does not answer", LOG_STR("engine", l->store->name),
                 LOG_STR("error", err->text), LOG_INT("again_in_ms", pause_ms));
        (void)uv_timer_start(&l->retry, retry_cb, pause_ms, 0);
        return;
    }
    set_up(l, true);
    load(l, kvs, n, revision);
    l->watch = store_watch(l->store, CORE_PREFIX, revision + 1, &watch_ops, l);
}

static void read_all(struct store_link *l)
{
    store_range(l->store, CORE_PREFIX, on_range, l);
}

/* --- core to store ------------------------------------------------------------ */

struct commit {
    struct store_link *link;
    uint64_t id;
    uint64_t began_us;
};

static void on_txn(void *data, int status, const struct error *err, bool succeeded,
                   int64_t revision)
{
    struct commit *c = data;
    struct store_link *l = c->link;
    uint64_t id = c->id;

    metric_observe_us(l->commit_seconds, clock_mono_us() - c->began_us);
    metric_add(status < 0 ? l->failed : succeeded ? l->committed : l->refused, 1);
    free(c);
    if (l->closing) {
        return;
    }
    if (status < 0) {
        log_warn("a change was not stored", LOG_STR("error", err->text));
    }
    controller_core_txn_done(l->core, id, status, succeeded, revision,
                             status < 0 ? err->text : NULL);
    changed(l);
}

void store_link_txn(struct store_link *l, uint64_t id,
                    const struct core_compare *compares, size_t n_compares,
                    const struct core_op *ops, size_t n_ops)
{
    struct store_compare *c = calloc(n_compares + 1, sizeof(*c));
    struct store_op *o = calloc(n_ops + 1, sizeof(*o));
    struct commit *commit = calloc(1, sizeof(*commit));

    CHECK(c != NULL && o != NULL && commit != NULL);
    for (size_t i = 0; i < n_compares; i++) {
        c[i] = (struct store_compare){.key = compares[i].key,
                                      .what = STORE_MOD_REVISION,
                                      .equals = compares[i].mod_revision};
    }
    for (size_t i = 0; i < n_ops; i++) {
        o[i] = (struct store_op){
            .type = ops[i].value != NULL ? STORE_PUT : STORE_DELETE,
            .key = ops[i].key,
            .value = ops[i].value,
            .len = ops[i].value != NULL ? strlen(ops[i].value) : 0,
        };
    }
    *commit = (struct commit){.link = l, .id = id, .began_us = clock_mono_us()};
    store_txn(l->store, c, n_compares, o, n_ops, on_txn, commit);
    free(c);
    free(o);
}

/* --- life --------------------------------------------------------------------- */

void store_link_open(struct store_link *l, uv_loop_t *loop, struct store *store,
                     struct metrics *metrics, void (*on_change)(void *data), void *data)
{
    static const char *const labels[] = {"outcome"};
    struct metric_family *txns =
        metrics_family(metrics, METRIC_COUNTER, "mayfly_store_commits_total",
                       "Transactions by outcome: committed, refused (something else had "
                       "changed), failed.",
                       labels, 1);

    *l = (struct store_link){
        .loop = loop,
        .store = store,
        .on_change = on_change,
        .data = data,
        .backoff = {.min_ms = RETRY_MIN_MS, .max_ms = RETRY_MAX_MS},
        .committed = metric_get(txns, (const char *[]){"committed"}),
        .refused = metric_get(txns, (const char *[]){"refused"}),
        .failed = metric_get(txns, (const char *[]){"failed"}),
        .commit_seconds = metric_get(
            metrics_family(metrics, METRIC_HISTOGRAM,
                           "mayfly_store_commit_duration_seconds",
                           "From a transaction to the store's answer.", NULL, 0),
            NULL),
    };
    CHECK(uv_timer_init(loop, &l->retry) == 0);
}

void store_link_start(struct store_link *l, struct controller_core *core)
{
    l->core = core;
    read_all(l);
}

bool store_link_is_up(const struct store_link *l)
{
    return l->up;
}

static void store_closed(void *data)
{
    struct store_link *l = data;

    if (l->on_closed != NULL) {
        l->on_closed(l->on_closed_data);
    }
}

static void retry_closed_cb(uv_handle_t *handle)
{
    struct store_link *l = container_of((uv_timer_t *)handle, struct store_link, retry);

    store_close(l->store, store_closed, l);
}

void store_link_close(struct store_link *l, void (*on_closed)(void *data), void *data)
{
    l->closing = true;
    l->on_closed = on_closed;
    l->on_closed_data = data;
    store_unwatch(l->store, l->watch);
    uv_close((uv_handle_t *)&l->retry, retry_closed_cb);
}
