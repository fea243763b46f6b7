/* A disk that hangs: the SQLite engine's queue with a save that waits for the test. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include "controller/store/local.h"
#include "tests/integration/store_client.h"

struct disk {
    uv_sem_t go; /* a save takes one */
    int rc;      /* and returns this */
};

static int save(void *data, const struct state_change *change, struct error *err)
{
    struct disk *d = data;

    uv_sem_wait(&d->go);
    return d->rc < 0 ? error_set(err, d->rc, "the test says so") : 0;
}

static void open_on(struct client *c, struct disk *d)
{
    struct local_options options = {.name = "late",
                                    .threaded = true,
                                    .request_timeout_ms = 50,
                                    .persist = {.save = save, .data = d}};
    struct state *state;
    struct error err;

    client_init(c);
    assert_int_equal(uv_sem_init(&d->go, 0), 0);
    assert_int_equal(state_new(&state, &options.persist), 0);
    assert_int_equal(local_new(&c->store, &c->loop, state, &options, &err), 0);
}

/* While the disk hangs callers are answered all the same: of the change that it has in
 * hand nothing is known, those behind it are never done. */
static void answers_in_time(void **state)
{
    struct disk disk = {0};
    struct client c;
    struct recorder r = {0};
    struct store_op first = op_put("a", "in hand");
    struct store_op second = op_put("b", "waiting");
    struct answer in_hand = {0};
    struct answer waiting = {0};
    struct answer range = {0};
    struct answer a;

    open_on(&c, &disk);
    (void)store_watch(c.store, "", 0, &recorder_ops, &r);
    client_wait(&c, &r.ups, 1);
    store_txn(c.store, NULL, 0, &first, 1, answer_txn, &in_hand);
    store_txn(c.store, NULL, 0, &second, 1, answer_txn, &waiting);
    store_range(c.store, "", answer_range, &range);
    client_wait(&c, &in_hand.calls, 1);
    client_wait(&c, &waiting.calls, 1);
    client_wait(&c, &range.calls, 1);
    assert_int_equal(in_hand.status, -EINPROGRESS);
    assert_int_equal(waiting.status, -ETIMEDOUT);
    assert_int_equal(range.status, -ETIMEDOUT);
    uv_sem_post(&disk.go);
    client_wait(&c, &r.batches, 1); /* it was done after all, and watches see it */
    a = client_range(&c, "");
    assert_int_equal(a.kvs.n, 1);
    assert_string_equal(a.kvs.items[0].key, "a");
    answer_free(&a);
    assert_int_equal(in_hand.calls, 1);
    client_end(&c);
    recorder_free(&r);
    uv_sem_destroy(&disk.go);
}

/* A change that could not be saved has not happened: no key, no revision, no event, and a
 * lease that cannot be saved is no lease. */
static void failed_save_changes_nothing(void **state)
{
    struct disk disk = {.rc = -ENOSPC};
    struct client c;
    struct recorder r = {0};
    struct store_op op = op_put("a", "x");
    struct answer a;
    struct answer lease = {0};
    int64_t revision;

    open_on(&c, &disk);
    (void)store_watch(c.store, "", 0, &recorder_ops, &r);
    a = client_range(&c, "");
    revision = a.revision;
    uv_sem_post(&disk.go);
    assert_int_equal(client_txn(&c, NULL, 0, &op, 1).status, -ENOSPC);
    uv_sem_post(&disk.go);
    store_lease_grant(c.store, 60, answer_lease, &lease);
    client_wait(&c, &lease.calls, 1);
    assert_int_equal(lease.status, -ENOSPC);
    a = client_range(&c, "");
    assert_int_equal(a.revision, revision);
    assert_int_equal(a.kvs.n, 0);
    disk.rc = 0;
    uv_sem_post(&disk.go);
    assert_int_equal(client_put(&c, "a", "x"), revision + 1);
    client_wait(&c, &r.batches, 1);
    assert_int_equal(r.events.n, 1);
    client_end(&c);
    recorder_free(&r);
    uv_sem_destroy(&disk.go);
}

/* Past the bound of the queue calls are refused, not piled up. */
static void queue_is_bounded(void **state)
{
    struct disk disk = {0};
    struct client c;
    struct answer *a = calloc(LOCAL_PENDING_MAX + 1, sizeof(*a));
    struct store_op op = op_put("a", "x");

    open_on(&c, &disk);
    for (size_t i = 0; i < LOCAL_PENDING_MAX; i++) {
        store_txn(c.store, NULL, 0, &op, 1, answer_txn, &a[i]);
    }
    store_range(c.store, "", answer_range, &a[LOCAL_PENDING_MAX]);
    client_wait(&c, &a[LOCAL_PENDING_MAX].calls, 1);
    assert_int_equal(a[LOCAL_PENDING_MAX].status, -EAGAIN);
    client_wait(&c, &a[LOCAL_PENDING_MAX - 1].calls, 1);
    assert_int_equal(a[LOCAL_PENDING_MAX - 1].status, -ETIMEDOUT);
    uv_sem_post(&disk.go);
    client_end(&c);
    for (size_t i = 0; i <= LOCAL_PENDING_MAX; i++) {
        assert_int_equal(a[i].calls, 1);
    }
    free(a);
    uv_sem_destroy(&disk.go);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_in_time),
        cmocka_unit_test(failed_save_changes_nothing),
        cmocka_unit_test(queue_is_bounded),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("store_late", tests, NULL, NULL);
}
