#include "tests/integration/store_suite.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include "tests/integration/store_random.h"

static const struct suite_engine *engine;

static int setup(void **state)
{
    struct client *c = calloc(1, sizeof(*c));
    struct error err = {0};

    client_init(c);
    if (engine->open(&c->store, &c->loop, &err) < 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct client *c = *state;

    client_end(c);
    if (engine->cleanup != NULL) {
        engine->cleanup();
    }
    free(c);
    return 0;
}

static struct store_compare absent(const char *key)
{
    return (struct store_compare){.key = key, .what = STORE_CREATE_REVISION};
}

/* An empty store has nothing under any prefix, and a revision. */
static void empty_range(void **state)
{
    struct answer a = client_range(*state, "f/");

    assert_int_equal(a.status, 0);
    assert_int_equal(a.kvs.n, 0);
    assert_true(a.revision > 0);
    answer_free(&a);
}

/* What was put is read back, with the revisions that made and changed it. */
static void put_and_read(void **state)
{
    int64_t first = client_put(*state, "f/a", "one");
    int64_t second = client_put(*state, "f/a", "two!");
    struct answer a = client_range(*state, "f/a");

    assert_int_equal(second, first + 1);
    assert_int_equal(a.kvs.n, 1);
    assert_string_equal(a.kvs.items[0].key, "f/a");
    assert_int_equal(a.kvs.items[0].len, 4);
    assert_memory_equal(a.kvs.items[0].value, "two!", 4);
    assert_int_equal(a.kvs.items[0].create_revision, first);
    assert_int_equal(a.kvs.items[0].mod_revision, second);
    assert_int_equal(a.revision, second);
    answer_free(&a);
}

/* A range has the keys that begin with the prefix, sorted by bytes; "" means all. */
static void range_by_prefix(void **state)
{
    static const char *const keys[] = {"b/2",    "a", "b/10", "b",
                                       "b/\xff", "c", "b0",   "b/"};
    static const char *const sorted[] = {"b/", "b/10", "b/2", "b/\xff"};
    struct answer a;

    for (size_t i = 0; i < 8; i++) {
        (void)client_put(*state, keys[i], keys[i]);
    }
    a = client_range(*state, "b/");
    assert_int_equal(a.kvs.n, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(a.kvs.items[i].key, sorted[i]);
    }
    answer_free(&a);
    a = client_range(*state, "b/\xff");
    assert_int_equal(a.kvs.n, 1);
    answer_free(&a);
    a = client_range(*state, "");
    assert_int_equal(a.kvs.n, 8);
    answer_free(&a);
}

/* Values are bytes: NUL inside, nothing at all, and the largest that is allowed. */
static void values_are_bytes(void **state)
{
    char *large = malloc(STORE_VALUE_MAX);
    struct store_op ops[] = {
        {.type = STORE_PUT, .key = "v/empty", .value = "", .len = 0},
        {.type = STORE_PUT, .key = "v/large", .value = large, .len = STORE_VALUE_MAX},
        {.type = STORE_PUT, .key = "v/nul", .value = "a\0b\xff", .len = 4}};
    struct answer a;

    for (size_t i = 0; i < STORE_VALUE_MAX; i++) {
        large[i] = (char)(i * 31 + i / 251);
    }
    a = client_txn(*state, NULL, 0, ops, 3);
    assert_int_equal(a.status, 0);
    a = client_range(*state, "v/");
    assert_int_equal(a.kvs.n, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(a.kvs.items[i].len, ops[i].len);
        assert_memory_equal(a.kvs.items[i].value, ops[i].value, ops[i].len);
    }
    answer_free(&a);
    free(large);
}

/* "Create if it is not there" succeeds once; the second changes nothing. */
static void create_once(void **state)
{
    struct store_compare not_there = absent("f/a");
    struct store_op put = op_put("f/a", "first");
    struct store_op again = op_put("f/a", "second");
    struct answer a = client_txn(*state, &not_there, 1, &put, 1);
    struct answer b = client_txn(*state, &not_there, 1, &again, 1);
    struct answer r = client_range(*state, "f/a");

    assert_int_equal(a.status, 0);
    assert_true(a.succeeded);
    assert_int_equal(b.status, 0);
    assert_false(b.succeeded);
    assert_int_equal(b.revision, a.revision);
    assert_memory_equal(r.kvs.items[0].value, "first", 5);
    answer_free(&r);
}

/* A change that names the revision it read is refused once someone was faster. */
static void compare_and_swap(void **state)
{
    int64_t made = client_put(*state, "f/a", "0");
    int64_t changed = client_put(*state, "f/a", "1");
    struct store_compare c[] = {
        {.key = "f/a", .what = STORE_MOD_REVISION, .equals = made},
        {.key = "f/a", .what = STORE_CREATE_REVISION, .equals = made}};
    struct store_op put = op_put("f/a", "2");
    struct answer a = client_txn(*state, c, 2, &put, 1);

    assert_false(a.succeeded);
    c[0].equals = changed;
    a = client_txn(*state, c, 2, &put, 1);
    assert_true(a.succeeded);
    assert_int_equal(a.revision, changed + 1);
}

/* All operations of a transaction share one revision; one that changes nothing has none.
 */
static void one_revision_each(void **state)
{
    int64_t before = client_put(*state, "f/old", "x");
    struct store_op ops[] = {op_put("f/a", "1"), op_put("f/b", "2"), op_delete("f/old")};
    struct store_op nothing = op_delete("f/none");
    struct answer a = client_txn(*state, NULL, 0, ops, 3);
    struct answer r;

    assert_int_equal(a.revision, before + 1);
    r = client_range(*state, "f/");
    assert_int_equal(r.kvs.n, 2);
    assert_int_equal(r.kvs.items[0].mod_revision, r.kvs.items[1].create_revision);
    answer_free(&r);
    a = client_txn(*state, NULL, 0, &nothing, 1);
    assert_true(a.succeeded);
    assert_int_equal(a.revision, before + 1);
    a = client_txn(*state, NULL, 0, NULL, 0);
    assert_true(a.succeeded);
    assert_int_equal(a.revision, before + 1);
}

/* Deleting a prefix takes what is under it and leaves its neighbours. A key made again
 * has a new create revision. */
static void delete_prefix(void **state)
{
    struct store_op op = {.type = STORE_DELETE_PREFIX, .key = "d/"};
    int64_t first = client_put(*state, "d/1", "x");
    struct answer a;

    (void)client_put(*state, "d/2", "x");
    (void)client_put(*state, "d", "x");
    (void)client_put(*state, "d0", "x");
    a = client_txn(*state, NULL, 0, &op, 1);
    assert_true(a.succeeded);
    a = client_range(*state, "d");
    assert_int_equal(a.kvs.n, 2);
    answer_free(&a);
    assert_true(client_put(*state, "d/1", "y") > first);
    a = client_range(*state, "d/1");
    assert_int_equal(a.kvs.items[0].create_revision, a.revision);
    answer_free(&a);
}

static void expect_invalid(struct client *c, const struct store_op *ops, size_t n,
                           const char *why)
{
    struct answer a = client_txn(c, NULL, 0, ops, n);

    assert_int_equal(a.status, -EINVAL);
    assert_false(a.succeeded);
    if (strstr(a.text, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", a.text, why);
    }
}

/* What breaks a limit is refused with the reason, and nothing is done. */
static void limits(void **state)
{
    static char long_key[STORE_KEY_MAX + 2];
    static char large[STORE_VALUE_MAX + 1];
    struct store_op many[STORE_TXN_MAX + 1];
    struct store_op twice[] = {op_put("k", "1"), op_delete("k")};
    struct store_op under[] = {op_put("k/1", "1"),
                               {.type = STORE_DELETE_PREFIX, .key = "k/"}};
    struct store_op bad = op_put(long_key, "x");
    struct answer a;

    memset(long_key, 'k', STORE_KEY_MAX + 1);
    expect_invalid(*state, &bad, 1, "1024");
    long_key[STORE_KEY_MAX] = '\0';
    (void)client_put(*state, long_key, "the longest");
    (void)client_delete(*state, long_key);
    bad = op_put("", "x");
    expect_invalid(*state, &bad, 1, "key of 0 bytes");
    bad = (struct store_op){
        .type = STORE_PUT, .key = "k", .value = large, .len = sizeof(large)};
    expect_invalid(*state, &bad, 1, "value of k");
    expect_invalid(*state, twice, 2, "two operations");
    expect_invalid(*state, under, 2, "two operations");
    for (size_t i = 0; i <= STORE_TXN_MAX; i++) {
        many[i] = op_delete("k");
    }
    expect_invalid(*state, many, STORE_TXN_MAX + 1, "at most 128");
    a = client_range(*state, "");
    assert_int_equal(a.kvs.n, 0);
    answer_free(&a);
}

/* A transaction of the largest size works. */
static void largest_transaction(void **state)
{
    char keys[STORE_TXN_MAX][16];
    struct store_op ops[STORE_TXN_MAX];
    struct store_compare compares[STORE_TXN_MAX];
    struct answer a;

    for (size_t i = 0; i < STORE_TXN_MAX; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "k/%03zu", i);
        ops[i] = op_put(keys[i], keys[i]);
        compares[i] = absent(keys[i]);
    }
    a = client_txn(*state, compares, STORE_TXN_MAX, ops, STORE_TXN_MAX);
    assert_int_equal(a.status, 0);
    assert_true(a.succeeded);
    a = client_range(*state, "k/");
    assert_int_equal(a.kvs.n, STORE_TXN_MAX);
    answer_free(&a);
}

/* A watch gets what happens under its prefix, all of one revision together. */
static void watch_from_now(void **state)
{
    struct client *c = *state;
    struct recorder r = {0};
    struct store_op ops[] = {op_put("w/b", "2"), op_delete("w/a"), op_put("x", "no")};
    int64_t last;

    (void)client_put(c, "w/a", "before");
    (void)store_watch(c->store, "w/", 0, &recorder_ops, &r);
    client_wait(c, &r.ups, 1);
    (void)client_put(c, "x", "elsewhere");
    last = client_txn(c, NULL, 0, ops, 3).revision;
    client_wait(c, &r.batches, 1);
    assert_int_equal(r.events.n, 2);
    assert_int_equal(r.revision, last);
    assert_int_equal(r.events.items[0].type, STORE_EVENT_PUT);
    assert_string_equal(r.events.items[0].kv.key, "w/b");
    assert_memory_equal(r.events.items[0].kv.value, "2", 1);
    assert_int_equal(r.events.items[0].kv.create_revision, last);
    assert_int_equal(r.events.items[1].type, STORE_EVENT_DELETE);
    assert_string_equal(r.events.items[1].kv.key, "w/a");
    assert_int_equal(r.events.items[1].kv.len, 0);
    assert_int_equal(r.downs + r.resyncs, 0);
    recorder_free(&r);
}

/* A watch that begins in the past gets what happened since, each revision once. */
static void watch_from_the_past(void **state)
{
    struct client *c = *state;
    struct recorder r = {0};
    int64_t first;

    (void)client_put(c, "w/0", "too old");
    first = client_put(c, "w/1", "x");
    (void)client_put(c, "y", "not ours");
    (void)client_delete(c, "w/1");
    (void)store_watch(c->store, "w/", first, &recorder_ops, &r);
    client_wait(c, &r.batches, 2);
    assert_int_equal(r.events.items[0].kv.mod_revision, first);
    (void)client_put(c, "w/2", "live");
    client_wait(c, &r.batches, 3);
    assert_int_equal(r.events.n, 3);
    assert_int_equal(r.resyncs, 0);
    recorder_free(&r);
}

/* When the past is forgotten, a watch gets the state instead, and follows from there. */
static void watch_from_a_forgotten_past(void **state)
{
    struct client *c = *state;
    struct recorder r = {0};
    int64_t first = client_put(c, "w/1", "x");

    (void)client_put(c, "w/2", "y");
    (void)client_delete(c, "w/1");
    engine->compact(c);
    (void)store_watch(c->store, "w/", first, &recorder_ops, &r);
    client_wait(c, &r.resyncs, 1);
    assert_int_equal(r.kvs.n, 1);
    assert_string_equal(r.kvs.items[0].key, "w/2");
    assert_int_equal(r.batches, 0);
    (void)client_put(c, "w/3", "z");
    client_wait(c, &r.batches, 1);
    assert_string_equal(r.events.items[0].kv.key, "w/3");
    assert_int_equal(r.events.n, 1);
    recorder_free(&r);
}

struct self_remover {
    struct client *client;
    struct store_watch *watch;
    int batches;
    bool close_store;
    int closed;
};

static void on_closed(void *data)
{
    ((struct self_remover *)data)->closed++;
}

static void remove_self(void *data, const struct store_event *events, size_t n,
                        int64_t revision)
{
    struct self_remover *s = data;

    s->batches++;
    if (s->close_store) {
        store_close(s->client->store, on_closed, s);
        s->client->store = NULL;
    } else {
        store_unwatch(s->client->store, s->watch);
    }
}

static void no_resync(void *data, const struct store_kv *kvs, size_t n, int64_t revision)
{
    fail();
}

static const struct store_watch_ops remove_ops = {.on_events = remove_self,
                                                  .on_resync = no_resync};

/* A watch can be ended from its own callback, and others go on. */
static void unwatch_from_callback(void **state)
{
    struct client *c = *state;
    struct recorder r = {0};
    struct self_remover s = {.client = c};
    struct store_watch *gone;
    struct recorder never = {0};
    int64_t from = client_put(c, "w/0", "x") + 1;

    gone = store_watch(c->store, "w/", from, &recorder_ops, &never);
    store_unwatch(c->store, gone); /* before it was up */
    s.watch = store_watch(c->store, "w/", from, &remove_ops, &s);
    (void)store_watch(c->store, "w/", from, &recorder_ops, &r);
    (void)client_put(c, "w/1", "x");
    client_wait(c, &s.batches, 1);
    (void)client_put(c, "w/2", "x");
    (void)client_put(c, "w/3", "x");
    client_wait(c, &r.batches, 3);
    assert_int_equal(s.batches, 1);
    assert_int_equal(never.batches + never.ups, 0);
    recorder_free(&r);
}

/* The store can be closed from a watch's callback; no callback of a watch comes after. */
static void close_from_callback(void **state)
{
    struct client *c = *state;
    struct self_remover s = {.client = c, .close_store = true};
    struct answer a = {0};
    struct store_op op = op_put("w/1", "x");

    s.watch = store_watch(c->store, "w/", client_put(c, "w/0", "x"), &remove_ops, &s);
    store_txn(c->store, NULL, 0, &op, 1, answer_txn, &a);
    client_wait(c, &s.closed, 1);
    client_wait(c, &a.calls, 1);
    assert_int_equal(s.batches, 1);
    assert_int_equal(a.calls, 1);
}

/* Closing answers everything that is under way, once. */
static void close_cancels(void **state)
{
    struct client *c = *state;
    struct answer a[30] = {0};
    struct recorder r = {0};
    struct store_op op = op_put("k", "v");

    (void)store_watch(c->store, "", 0, &recorder_ops, &r);
    for (size_t i = 0; i < 30; i += 3) {
        store_range(c->store, "", answer_range, &a[i]);
        store_txn(c->store, NULL, 0, &op, 1, answer_txn, &a[i + 1]);
        store_lease_grant(c->store, 60, answer_lease, &a[i + 2]);
    }
    client_close_store(c);
    for (size_t i = 0; i < 30; i++) {
        assert_int_equal(a[i].calls, 1);
        assert_int_equal(a[i].status, -ECANCELED);
    }
    assert_int_equal(r.batches + r.ups + r.downs + r.resyncs, 0);
}

/* A lease that is revoked takes its keys along, and a watch sees them go. */
static void revoked_lease(void **state)
{
    struct client *c = *state;
    int64_t lease = client_grant(c, 60);
    struct store_op ops[] = {op_put("l/1", "x"), op_put("l/2", "x"), op_put("l/3", "x")};
    struct store_op again = op_put("l/3", "kept");
    struct recorder r = {0};
    struct answer a;

    for (size_t i = 0; i < 3; i++) {
        ops[i].lease = lease;
    }
    assert_true(client_txn(c, NULL, 0, ops, 3).succeeded);
    a = client_txn(c, NULL, 0, &again, 1); /* without the lease: no longer bound to it */
    (void)store_watch(c->store, "l/", a.revision + 1, &recorder_ops, &r);
    client_wait(c, &r.ups, 1);
    assert_int_equal(client_keepalive(c, lease), 0);
    assert_int_equal(client_revoke(c, lease), 0);
    client_wait(c, &r.batches, 1);
    assert_int_equal(r.events.n, 2);
    assert_int_equal(r.events.items[0].type, STORE_EVENT_DELETE);
    a = client_range(c, "l/");
    assert_int_equal(a.kvs.n, 1);
    assert_string_equal(a.kvs.items[0].key, "l/3");
    answer_free(&a);
    assert_int_equal(client_revoke(c, lease), -ENOENT);
    assert_int_equal(client_keepalive(c, lease), -ENOENT);
    recorder_free(&r);
}

/* A lease that no one keeps alive ends by itself; one that is kept alive does not. */
static void expired_lease(void **state)
{
    struct client *c = *state;
    int64_t dies = client_grant(c, 1);
    int64_t lives = client_grant(c, 60);
    struct store_op ops[] = {op_put("l/dies", "x"), op_put("l/lives", "x")};
    struct recorder r = {0};
    struct answer a;

    ops[0].lease = dies;
    ops[1].lease = lives;
    (void)store_watch(c->store, "l/", client_txn(c, NULL, 0, ops, 2).revision + 1,
                      &recorder_ops, &r);
    client_wait(c, &r.batches, 1);
    assert_int_equal(r.events.n, 1);
    assert_int_equal(r.events.items[0].type, STORE_EVENT_DELETE);
    assert_string_equal(r.events.items[0].kv.key, "l/dies");
    assert_int_equal(client_keepalive(c, dies), -ENOENT);
    assert_int_equal(client_keepalive(c, lives), 0);
    a = client_range(c, "l/");
    assert_int_equal(a.kvs.n, 1);
    answer_free(&a);
    recorder_free(&r);
}

/* A put under a lease that is not there is refused whole. */
static void unknown_lease(void **state)
{
    struct store_op ops[] = {op_put("l/1", "x"), op_put("l/2", "x")};
    struct answer a;

    ops[1].lease = 4711;
    a = client_txn(*state, NULL, 0, ops, 2);
    assert_int_equal(a.status, -ENOENT);
    a = client_range(*state, "l/");
    assert_int_equal(a.kvs.n, 0);
    answer_free(&a);
    assert_int_equal(client_keepalive(*state, 4711), -ENOENT);
}

struct counter {
    struct client *client;
    int *done;
    int left;
};

static void read_counter(struct counter *n);

static void on_swapped(void *data, int status, const struct error *err, bool succeeded,
                       int64_t revision)
{
    struct counter *n = data;

    assert_int_equal(status, 0);
    n->left -= succeeded ? 1 : 0;
    if (n->left > 0) {
        read_counter(n);
    } else {
        ++*n->done;
    }
}

static void on_counter(void *data, int status, const struct error *err,
                       const struct store_kv *kvs, size_t n_kvs, int64_t revision)
{
    struct counter *n = data;
    struct store_compare same;
    char text[16];
    struct store_op op;

    assert_int_equal(status, 0);
    assert_int_equal(n_kvs, 1);
    (void)snprintf(text, sizeof(text), "%.*s", (int)kvs[0].len,
                   (const char *)kvs[0].value);
    (void)snprintf(text, sizeof(text), "%d", atoi(text) + 1);
    same = (struct store_compare){
        .key = "n", .what = STORE_MOD_REVISION, .equals = kvs[0].mod_revision};
    op = op_put("n", text);
    store_txn(n->client->store, &same, 1, &op, 1, on_swapped, n);
}

static void read_counter(struct counter *n)
{
    store_range(n->client->store, "n", on_counter, n);
}

/* Eight writers that count up one key by compare-and-swap lose no step. */
static void contended_counter(void **state)
{
    struct client *c = *state;
    struct counter writers[8];
    int done = 0;
    struct answer a;

    (void)client_put(c, "n", "0");
    for (size_t i = 0; i < 8; i++) {
        writers[i] = (struct counter){.client = c, .done = &done, .left = 10};
        read_counter(&writers[i]);
    }
    client_wait(c, &done, 8);
    a = client_range(c, "n");
    assert_int_equal(a.kvs.items[0].len, 2);
    assert_memory_equal(a.kvs.items[0].value, "80", 2);
    answer_free(&a);
}

static void count_success(void *data, int status, const struct error *err, bool succeeded,
                          int64_t revision)
{
    assert_int_equal(status, 0);
    assert_true(succeeded);
    ++*(int *)data;
}

/* Hundreds of calls at once are all answered, and a watch misses none. */
static void many_at_once(void **state)
{
    struct client *c = *state;
    struct recorder r = {0};
    int done = 0;

    (void)store_watch(c->store, "m/", client_put(c, "x", "x"), &recorder_ops, &r);
    for (int i = 0; i < 300; i++) {
        char key[16];
        struct store_op op;

        (void)snprintf(key, sizeof(key), "m/%d", i);
        op = op_put(key, "x");
        store_txn(c->store, NULL, 0, &op, 1, count_success, &done);
    }
    client_wait(c, &done, 300);
    client_wait(c, &r.batches, 300);
    recorder_free(&r);
}

/* A random history means the same to this engine as to the plainest model. */
static void agrees_with_model(void **state)
{
    store_random_run(*state, 300);
}

int store_suite_run(const struct suite_engine *e)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(empty_range),
        TEST(put_and_read),
        TEST(range_by_prefix),
        TEST(values_are_bytes),
        TEST(create_once),
        TEST(compare_and_swap),
        TEST(one_revision_each),
        TEST(delete_prefix),
        TEST(limits),
        TEST(largest_transaction),
        TEST(watch_from_now),
        TEST(watch_from_the_past),
        TEST(watch_from_a_forgotten_past),
        TEST(unwatch_from_callback),
        TEST(close_from_callback),
        TEST(close_cancels),
        TEST(revoked_lease),
        TEST(expired_lease),
        TEST(unknown_lease),
        TEST(contended_counter),
        TEST(many_at_once),
        TEST(agrees_with_model),
    };
#undef TEST

    engine = e;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name(e->name, tests, NULL, NULL);
}
