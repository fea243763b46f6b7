#include "controller/store/local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/random.h"
#include "controller/store/local_watch.h"

/*
 *  submit ──▶ todo ──(loop or worker: state_execute)──▶ done ──▶ on_wake: answer,
 * dispatch └── also on `pending` until answered, so that a stuck disk cannot hold callers
 * up
 */
struct local {
    struct store store; /* first */
    uv_loop_t *loop;
    uv_async_t wake;
    uv_timer_t timer; /* next lease end or request deadline */
    struct local_options options;
    struct state *state; /* the worker's while it runs */

    uv_thread_t worker;
    uv_mutex_t lock; /* the next five */
    uv_cond_t work;
    struct list todo;
    struct list done;
    bool stop;    /* worker: end */
    bool stopped; /* worker: has ended */
    uint64_t next_expiry_ms;

    struct list pending; /* the loop's from here on */
    size_t n_pending;
    struct local_watches watches;
    bool expiring; /* a REQUEST_EXPIRE is under way */
    bool closing;
    bool torn_down;
    int n_handles;
    void (*on_closed)(void *data);
    void *on_closed_data;
};

static struct local *from_store(struct store *s)
{
    return container_of(s, struct local, store);
}

static void execute(struct local *l, struct request *r)
{
    if (r->status == 0) {
        state_execute(l->state, r, clock_mono_ms());
    }
}

static void worker_main(void *arg)
{
    struct local *l = arg;

    uv_mutex_lock(&l->lock);
    while (!l->stop) {
        struct request *r;

        if (list_empty(&l->todo)) {
            uv_cond_wait(&l->work, &l->lock);
            continue;
        }
        r = container_of(l->todo.next, struct request, node);
        list_remove(&r->node);
        uv_mutex_unlock(&l->lock);
        execute(l, r);
        uv_mutex_lock(&l->lock);
        list_push_back(&l->done, &r->node);
        l->next_expiry_ms = state_next_expiry_ms(l->state);
        (void)uv_async_send(&l->wake);
    }
    uv_mutex_unlock(&l->lock);
    if (l->options.on_end != NULL) {
        l->options.on_end(l->options.persist.data);
    }
    uv_mutex_lock(&l->lock);
    l->stopped = true;
    (void)uv_async_send(&l->wake);
    uv_mutex_unlock(&l->lock);
}

static void run_on_loop(struct local *l)
{
    while (!list_empty(&l->todo)) {
        struct request *r = container_of(l->todo.next, struct request, node);

        list_remove(&r->node);
        execute(l, r);
        list_push_back(&l->done, &r->node);
    }
    l->next_expiry_ms = state_next_expiry_ms(l->state);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct local *l)
{
    uint64_t now_ms = clock_mono_ms();
    uint64_t due_ms;

    uv_mutex_lock(&l->lock);
    due_ms = l->expiring ? UINT64_MAX : l->next_expiry_ms;
    uv_mutex_unlock(&l->lock);
    if (l->options.threaded && !list_empty(&l->pending)) {
        struct request *r = container_of(l->pending.next, struct request, pending);

        due_ms = r->deadline_ms < due_ms ? r->deadline_ms : due_ms;
    }
    if (due_ms == UINT64_MAX) {
        (void)uv_timer_stop(&l->timer);
        return;
    }
    /* Never 0: uv would run it again within the same turn. */
    uv_update_time(l->loop);
    (void)uv_timer_start(&l->timer, on_timer, due_ms > now_ms ? due_ms - now_ms : 1, 0);
}

static void submit(struct local *l, struct request *r)
{
    bool callable = r->type != REQUEST_WATCH && r->type != REQUEST_EXPIRE;
    bool send;

    if (l->closing) {
        request_fail(r, -ECANCELED, "the store is closed");
    } else if (callable && r->status == 0 && l->n_pending >= LOCAL_PENDING_MAX) {
        request_fail(r, -EAGAIN, "too many requests wait for the store");
    }
    if (callable) {
        r->deadline_ms = clock_mono_ms() + l->options.request_timeout_ms;
        list_push_back(&l->pending, &r->pending);
        l->n_pending++;
    }
    send = r->status < 0 || !l->options.threaded;
    uv_mutex_lock(&l->lock);
    list_push_back(r->status < 0 ? &l->done : &l->todo, &r->node);
    uv_cond_signal(&l->work);
    uv_mutex_unlock(&l->lock);
    if (send) {
        (void)uv_async_send(&l->wake);
    }
    if (l->n_pending == 1 && !l->closing) {
        arm(l);
    }
}

static void answer(struct local *l, struct request *r)
{
    if (!list_empty(&r->pending)) {
        list_remove(&r->pending);
        l->n_pending--;
    }
    request_answer(r);
}

/* One request that is done: its events to the watches, its answer to the caller. */
static void complete(struct local *l, struct request *r)
{
    if (r->type == REQUEST_WATCH) {
        local_watch_started(&l->watches, r->owner, r);
    } else {
        local_watches_dispatch(&l->watches, &r->events);
    }
    if (r->type == REQUEST_EXPIRE) {
        l->expiring = false;
    }
    if (l->closing) {
        request_fail(r, -ECANCELED, "the store is closed");
    }
    answer(l, r);
    (void)request_free(r);
}

static void take_all(struct local *l, struct list *from, struct list *to)
{
    uv_mutex_lock(&l->lock);
    while (!list_empty(from)) {
        struct list *node = from->next;

        list_remove(node);
        list_push_back(to, node);
    }
    uv_mutex_unlock(&l->lock);
}

/* Answers a request that takes too long. One that was not begun will never be done; of
 * one in the worker's hands nobody knows: of it only the loop's own parts are touched. */
static void overdue(struct local *l, struct request *r)
{
    bool waiting = false;

    uv_mutex_lock(&l->lock);
    for (struct list *it = l->todo.next; !waiting && it != &l->todo; it = it->next) {
        waiting = it == &r->node; /* the oldest: found at once */
    }
    if (waiting) {
        list_remove(&r->node);
    }
    uv_mutex_unlock(&l->lock);
    list_remove(&r->pending);
    l->n_pending--;
    if (waiting || r->type == REQUEST_RANGE) {
        request_answer_with(r, -ETIMEDOUT, "the store did not answer in time");
    } else {
        request_answer_with(r, -EINPROGRESS,
                            "the store did not answer in time: outcome unknown");
    }
    if (waiting) {
        (void)request_free(r);
    }
}

static void drain_done(struct local *l)
{
    struct list done;

    list_init(&done);
    take_all(l, &l->done, &done);
    while (!list_empty(&done)) {
        struct request *r = container_of(done.next, struct request, node);

        list_remove(&r->node);
        complete(l, r);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct local *l = timer->data;
    uint64_t now_ms = clock_mono_ms();
    bool expire;

    drain_done(l); /* if the loop was late, not the disk, the answers are there */
    while (l->options.threaded && !l->closing && !list_empty(&l->pending)) {
        struct request *r = container_of(l->pending.next, struct request, pending);

        if (r->deadline_ms > now_ms) {
            break;
        }
        overdue(l, r);
    }
    if (l->closing) {
        return;
    }
    uv_mutex_lock(&l->lock);
    expire = !l->expiring && l->next_expiry_ms <= now_ms;
    uv_mutex_unlock(&l->lock);
    if (expire) {
        l->expiring = true;
        submit(l, request_internal(REQUEST_EXPIRE));
    }
    arm(l);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct local *l = handle->data;
    void (*on_closed)(void *data) = l->on_closed;
    void *data = l->on_closed_data;

    if (--l->n_handles > 0) {
        return;
    }
    uv_mutex_destroy(&l->lock);
    uv_cond_destroy(&l->work);
    free(l);
    if (on_closed != NULL) {
        on_closed(data);
    }
}

/* Nothing runs any more: all that is left is cancelled, then the handles go. */
static void tear_down(struct local *l)
{
    struct list left;

    l->torn_down = true;
    if (l->options.threaded) {
        CHECK(uv_thread_join(&l->worker) == 0);
    } else if (l->options.on_end != NULL) {
        l->options.on_end(l->options.persist.data);
    }
    list_init(&left);
    do { /* callbacks may still call the store: those calls are cancelled as well */
        take_all(l, &l->done, &left);
        take_all(l, &l->todo, &left);
        while (!list_empty(&left)) {
            struct request *r = container_of(left.next, struct request, node);

            list_remove(&r->node);
            complete(l, r);
        }
    } while (!list_empty(&l->done));
    local_watches_free(&l->watches);
    l->state = state_free(l->state);
    l->n_handles = 2;
    uv_close((uv_handle_t *)&l->wake, on_handle_closed);
    uv_close((uv_handle_t *)&l->timer, on_handle_closed);
}

static void on_wake(uv_async_t *wake)
{
    struct local *l = wake->data;
    bool stopped;

    if (l->torn_down) {
        return;
    }
    if (!l->options.threaded && !l->closing) {
        run_on_loop(l);
    }
    drain_done(l);
    if (!l->closing) {
        arm(l);
        return;
    }
    uv_mutex_lock(&l->lock);
    stopped = l->stopped || !l->options.threaded;
    uv_mutex_unlock(&l->lock);
    if (stopped) {
        tear_down(l);
    }
}

static void local_range(struct store *s, const char *prefix, store_range_cb cb,
                        void *data)
{
    submit(from_store(s), request_range(prefix, cb, data));
}

static void local_txn(struct store *s, const struct store_compare *compares,
                      size_t n_compares, const struct store_op *ops, size_t n_ops,
                      store_txn_cb cb, void *data)
{
    submit(from_store(s), request_txn(compares, n_compares, ops, n_ops, cb, data));
}

static struct store_watch *local_watch(struct store *s, const char *prefix,
                                       int64_t from_revision,
                                       const struct store_watch_ops *ops, void *data)
{
    struct local *l = from_store(s);
    struct request *r = request_internal(REQUEST_WATCH);
    struct store_watch *w =
        local_watch_add(&l->watches, prefix, from_revision, ops, data);

    r->owner = w;
    r->from_revision = from_revision;
    r->prefix = strdup(prefix);
    CHECK(r->prefix != NULL);
    submit(l, r);
    return w;
}

static void local_unwatch(struct store *s, struct store_watch *w)
{
    local_watch_remove(&from_store(s)->watches, w);
}

static void lease_call(struct store *s, enum request_type type, int64_t lease,
                       uint32_t ttl_s, store_lease_cb cb, void *data)
{
    submit(from_store(s), request_lease(type, lease, ttl_s, cb, data));
}

static void local_lease_grant(struct store *s, uint32_t ttl_s, store_lease_cb cb,
                              void *data)
{
    int64_t id = 0;

    while (id == 0) {
        id = (int64_t)(random_u64() & INT64_MAX);
    }
    lease_call(s, REQUEST_LEASE_GRANT, id, ttl_s, cb, data);
}

static void local_lease_keepalive(struct store *s, int64_t lease, store_lease_cb cb,
                                  void *data)
{
    lease_call(s, REQUEST_LEASE_KEEPALIVE, lease, 0, cb, data);
}

static void local_lease_revoke(struct store *s, int64_t lease, store_lease_cb cb,
                               void *data)
{
    lease_call(s, REQUEST_LEASE_REVOKE, lease, 0, cb, data);
}

static void local_close(struct store *s, void (*on_closed)(void *data), void *data)
{
    struct local *l = from_store(s);

    CHECK(!l->closing);
    l->closing = true;
    l->on_closed = on_closed;
    l->on_closed_data = data;
    local_watches_stop(&l->watches);
    uv_mutex_lock(&l->lock);
    l->stop = true;
    uv_cond_signal(&l->work);
    uv_mutex_unlock(&l->lock);
    (void)uv_async_send(&l->wake);
}

static const struct store_engine local_engine = {
    .range = local_range,
    .txn = local_txn,
    .watch = local_watch,
    .unwatch = local_unwatch,
    .lease_grant = local_lease_grant,
    .lease_keepalive = local_lease_keepalive,
    .lease_revoke = local_lease_revoke,
    .close = local_close,
};

static struct local *local_alloc(uv_loop_t *loop, struct state *state,
                                 const struct local_options *options)
{
    struct local *l = calloc(1, sizeof(*l));

    if (l == NULL) {
        return NULL;
    }
    l->store = (struct store){.engine = &local_engine, .name = options->name};
    l->loop = loop;
    l->options = *options;
    l->state = state;
    l->next_expiry_ms = state_next_expiry_ms(state);
    l->wake.data = l->timer.data = l;
    list_init(&l->todo);
    list_init(&l->done);
    list_init(&l->pending);
    local_watches_init(&l->watches);
    return l;
}

int local_new(struct store **ret, uv_loop_t *loop, struct state *state,
              const struct local_options *options, struct error *err)
{
    struct local *l = local_alloc(loop, state, options);
    int rc = l == NULL ? -ENOMEM : 0;

    if (rc == 0) {
        rc = uv_async_init(loop, &l->wake, on_wake);
    }
    if (rc < 0) {
        if (options->on_end != NULL) {
            options->on_end(options->persist.data);
        }
        (void)state_free(state);
        free(l);
        return error_set(err, rc, "open store: %s", uv_strerror(rc));
    }
    CHECK(uv_timer_init(loop, &l->timer) == 0);
    CHECK(uv_mutex_init(&l->lock) == 0);
    CHECK(uv_cond_init(&l->work) == 0);
    if (options->threaded) {
        rc = uv_thread_create(&l->worker, worker_main, l);
        CHECK(rc == 0); /* at start-up, and nothing works without it */
    }
    arm(l);
    *ret = &l->store;
    return 0;
}
