#include "tests/integration/store_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

static void on_deadline(uv_timer_t *timer)
{
    struct client *c = timer->data;

    c->late = true;
}

void client_init(struct client *c)
{
    *c = (struct client){0};
    assert_int_equal(uv_loop_init(&c->loop), 0);
    assert_int_equal(uv_timer_init(&c->loop, &c->deadline), 0);
    c->deadline.data = c;
    uv_unref((uv_handle_t *)&c->deadline);
}

void client_wait(struct client *c, const int *counter, int wanted)
{
    uv_update_time(&c->loop);
    assert_int_equal(uv_timer_start(&c->deadline, on_deadline, CLIENT_DEADLINE_MS, 0), 0);
    while (*counter < wanted && !c->late) {
        (void)uv_run(&c->loop, UV_RUN_ONCE);
    }
    if (*counter < wanted) {
        fail_msg("waited %d ms for %d, there are %d", CLIENT_DEADLINE_MS, wanted,
                 *counter);
    }
    (void)uv_timer_stop(&c->deadline);
}

static void count_close(void *data)
{
    ++*(int *)data;
}

void client_close_store(struct client *c)
{
    int closed = 0;

    store_close(c->store, count_close, &closed);
    c->store = NULL;
    client_wait(c, &closed, 1);
    assert_int_equal(closed, 1);
}

void client_end(struct client *c)
{
    if (c->store != NULL) {
        client_close_store(c);
    }
    uv_close((uv_handle_t *)&c->deadline, NULL);
    (void)uv_run(&c->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&c->loop), 0);
}

static void note(struct answer *a, int status, const struct error *err)
{
    a->calls++;
    a->status = status;
    assert_non_null(err);
    assert_true(status <= 0);
    assert_int_equal(status < 0, err->text[0] != '\0');
    (void)snprintf(a->text, sizeof(a->text), "%s", err->text);
}

void answer_range(void *data, int status, const struct error *err,
                  const struct store_kv *kvs, size_t n, int64_t revision)
{
    struct answer *a = data;

    note(a, status, err);
    a->revision = revision;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(kv_list_add(&a->kvs, &kvs[i]), 0);
    }
}

void answer_txn(void *data, int status, const struct error *err, bool succeeded,
                int64_t revision)
{
    struct answer *a = data;

    note(a, status, err);
    a->succeeded = succeeded;
    a->revision = revision;
}

void answer_lease(void *data, int status, const struct error *err, int64_t lease)
{
    struct answer *a = data;

    note(a, status, err);
    a->lease = lease;
}

void answer_free(struct answer *a)
{
    kv_list_free(&a->kvs);
}

struct answer client_range(struct client *c, const char *prefix)
{
    struct answer a = {0};

    store_range(c->store, prefix, answer_range, &a);
    assert_int_equal(a.calls, 0); /* never from within the call */
    client_wait(c, &a.calls, 1);
    return a;
}

struct answer client_txn(struct client *c, const struct store_compare *compares,
                         size_t n_compares, const struct store_op *ops, size_t n_ops)
{
    struct answer a = {0};

    store_txn(c->store, compares, n_compares, ops, n_ops, answer_txn, &a);
    assert_int_equal(a.calls, 0);
    client_wait(c, &a.calls, 1);
    return a;
}

struct store_op op_put(const char *key, const char *value)
{
    return (struct store_op){
        .type = STORE_PUT, .key = key, .value = value, .len = strlen(value)};
}

struct store_op op_delete(const char *key)
{
    return (struct store_op){.type = STORE_DELETE, .key = key};
}

static int64_t one_op(struct client *c, struct store_op op)
{
    struct answer a = client_txn(c, NULL, 0, &op, 1);

    if (a.status != 0) {
        fail_msg("%s: %s", op.key, a.text);
    }
    assert_true(a.succeeded);
    return a.revision;
}

int64_t client_put(struct client *c, const char *key, const char *value)
{
    return one_op(c, op_put(key, value));
}

int64_t client_delete(struct client *c, const char *key)
{
    return one_op(c, op_delete(key));
}

int64_t client_grant(struct client *c, uint32_t ttl_s)
{
    struct answer a = {0};

    store_lease_grant(c->store, ttl_s, answer_lease, &a);
    assert_int_equal(a.calls, 0);
    client_wait(c, &a.calls, 1);
    assert_int_equal(a.status, 0);
    assert_true(a.lease != 0);
    return a.lease;
}

int client_keepalive(struct client *c, int64_t lease)
{
    struct answer a = {0};

    store_lease_keepalive(c->store, lease, answer_lease, &a);
    client_wait(c, &a.calls, 1);
    return a.status;
}

int client_revoke(struct client *c, int64_t lease)
{
    struct answer a = {0};

    store_lease_revoke(c->store, lease, answer_lease, &a);
    client_wait(c, &a.calls, 1);
    return a.status;
}

static void record_events(void *data, const struct store_event *events, size_t n,
                          int64_t revision)
{
    struct recorder *r = data;

    assert_true(n > 0);
    assert_true(revision > r->revision); /* each once, in order */
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(events[i].kv.mod_revision, revision);
        assert_int_equal(event_list_add(&r->events, &events[i]), 0);
    }
    r->revision = revision;
    r->batches++;
}

static void record_resync(void *data, const struct store_kv *kvs, size_t n,
                          int64_t revision)
{
    struct recorder *r = data;

    kv_list_free(&r->kvs);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(kv_list_add(&r->kvs, &kvs[i]), 0);
    }
    r->revision = revision;
    r->resyncs++;
}

static void record_state(void *data, bool up)
{
    struct recorder *r = data;

    if (up) {
        r->ups++;
    } else {
        r->downs++;
    }
}

const struct store_watch_ops recorder_ops = {
    .on_events = record_events, .on_resync = record_resync, .on_state = record_state};

void recorder_free(struct recorder *r)
{
    event_list_free(&r->events);
    kv_list_free(&r->kvs);
}
