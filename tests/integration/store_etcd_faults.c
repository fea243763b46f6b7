/* The etcd engine when etcd stops, dies, comes back, forgets, or was never there. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include "common/clock.h"
#include "tests/integration/store_client.h"
#include "tests/integration/store_etcd.h"

#define TIMEOUT_MS 700

static struct etcd_server *server;

static void open_on(struct client *c, const char *const *endpoints)
{
    struct store_etcd_options options = {.endpoints = endpoints,
                                         .request_timeout_ms = TIMEOUT_MS};
    struct error err = {0};

    client_init(c);
    if (store_etcd_new(&c->store, &c->loop, &options, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static int setup(void **state)
{
    const char *const endpoints[] = {server->url, NULL};
    struct client *c = calloc(1, sizeof(*c));

    open_on(c, endpoints);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct error err = {0};

    client_end(*state);
    free(*state);
    if (server->pid == 0) {
        return etcd_server_restart(server, true, &err);
    }
    etcd_server_resume(server);
    return 0;
}

static void restart(void)
{
    struct error err = {0};

    if (etcd_server_restart(server, true, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

/* Repeats a read until etcd answers: what a caller does after -EHOSTUNREACH. */
static void wait_until_served(struct client *c)
{
    uint64_t deadline_ms = clock_mono_ms() + CLIENT_DEADLINE_MS;
    struct answer a = {.status = -EHOSTUNREACH};

    while (a.status != 0) {
        assert_true(clock_mono_ms() < deadline_ms);
        a = client_range(c, "nothing");
        answer_free(&a);
    }
}

/* A server that hangs: a read times out, and of a write nobody knows. Later both work. */
static void hanging_server(void **state)
{
    struct client *c = *state;
    struct answer range = {0};
    struct answer txn = {0};
    struct answer lease = {0};
    struct store_op op = op_put("h/unknown", "x");
    uint64_t start_ms;

    (void)client_put(c, "h/a", "x");
    etcd_server_pause(server);
    start_ms = clock_mono_ms();
    store_range(c->store, "h/", answer_range, &range);
    store_txn(c->store, NULL, 0, &op, 1, answer_txn, &txn);
    store_lease_grant(c->store, 60, answer_lease, &lease);
    client_wait(c, &range.calls, 1);
    client_wait(c, &txn.calls, 1);
    client_wait(c, &lease.calls, 1);
    assert_int_equal(range.status, -ETIMEDOUT);
    assert_int_equal(txn.status, -EINPROGRESS);
    assert_int_equal(lease.status, -ETIMEDOUT);
    assert_true(strstr(range.text, server->url) != NULL);
    assert_true(clock_mono_ms() - start_ms >= TIMEOUT_MS / 2);
    etcd_server_resume(server);
    wait_until_served(c);
    (void)client_put(c, "h/b", "x");
}

/* A server that dies while it has our requests. What was sent and not answered is of
 * unknown outcome; afterwards all is refused at once; and restarted, it serves again. */
static void killed_server(void **state)
{
    struct client *c = *state;
    struct answer range = {0};
    struct answer txn = {0};
    struct store_op op = op_put("k/unknown", "x");
    int64_t before = client_put(c, "k/a", "kept");
    struct answer a;

    etcd_server_pause(server); /* so that they are under way for sure */
    store_range(c->store, "k/", answer_range, &range);
    store_txn(c->store, NULL, 0, &op, 1, answer_txn, &txn);
    for (int i = 0; i < 20; i++) {
        (void)uv_run(&c->loop, UV_RUN_NOWAIT);
    }
    etcd_server_kill(server);
    client_wait(c, &range.calls, 1);
    client_wait(c, &txn.calls, 1);
    assert_int_equal(range.status, -EHOSTUNREACH);
    assert_true(txn.status == -EINPROGRESS || txn.status == -EHOSTUNREACH);
    a = client_txn(c, NULL, 0, &op, 1);
    assert_int_equal(a.status, -EHOSTUNREACH); /* nothing was sent: this is certain */
    restart();
    wait_until_served(c);
    a = client_range(c, "k/a");
    assert_int_equal(a.kvs.n, 1);
    assert_int_equal(a.kvs.items[0].mod_revision, before);
    answer_free(&a);
}

/* A watch that lost its server says so, comes back by itself, and has missed nothing. */
static void watch_resumes(void **state)
{
    struct client *c = *state;
    struct client other;
    struct recorder r = {0};
    const char *const endpoints[] = {server->url, NULL};

    (void)store_watch(c->store, "w/", client_put(c, "w/0", "x"), &recorder_ops, &r);
    client_wait(c, &r.batches, 1);
    etcd_server_kill(server);
    client_wait(c, &r.downs, 1);
    restart();
    open_on(&other, endpoints);
    wait_until_served(&other);
    (void)client_put(&other, "w/1", "while away");
    client_end(&other);
    client_wait(c, &r.ups, 2);
    client_wait(c, &r.batches, 2);
    (void)client_put(c, "w/2", "x");
    client_wait(c, &r.batches, 3);
    assert_int_equal(r.events.n, 3);
    assert_int_equal(r.resyncs, 0);
    assert_int_equal(r.downs, 1);
    recorder_free(&r);
}

/* A server that hangs sends no end of stream: the watch notices all the same. */
static void watch_notices_hanging(void **state)
{
    struct client *c = *state;
    struct recorder r = {0};

    (void)store_watch(c->store, "w/", 0, &recorder_ops, &r);
    client_wait(c, &r.ups, 1);
    etcd_server_pause(server);
    client_wait(c, &r.downs, 1);
    etcd_server_resume(server);
    client_wait(c, &r.ups, 2);
    wait_until_served(c);
    (void)client_put(c, "w/1", "x");
    client_wait(c, &r.batches, 1);
    recorder_free(&r);
}

/* What a watch needs was compacted while it was away: it gets the state. */
static void watch_resyncs_after_compaction(void **state)
{
    struct client *c = *state;
    struct client other;
    struct recorder r = {0};
    const char *const endpoints[] = {server->url, NULL};
    char command[256];
    int64_t last;

    (void)store_watch(c->store, "z/", client_put(c, "z/gone", "x"), &recorder_ops, &r);
    client_wait(c, &r.batches, 1);
    etcd_server_kill(server);
    client_wait(c, &r.downs, 1);
    restart();
    open_on(&other, endpoints); /* c's loop rests meanwhile: it must not see this */
    wait_until_served(&other);
    (void)client_delete(&other, "z/gone");
    last = client_put(&other, "z/there", "x");
    (void)snprintf(command, sizeof(command),
                   "ETCDCTL_API=3 etcdctl --endpoints=%s compact %lld >/dev/null",
                   server->url, (long long)last);
    assert_int_equal(system(command), 0);
    client_end(&other);
    client_wait(c, &r.resyncs, 1);
    assert_int_equal(r.kvs.n, 1);
    assert_string_equal(r.kvs.items[0].key, "z/there");
    (void)client_put(c, "z/more", "x");
    client_wait(c, &r.batches, 2);
    recorder_free(&r);
}

/* No one listens: the call fails at once, naming the endpoint. */
static void unreachable(void **state)
{
    struct client *c = *state;
    uint64_t start_ms = clock_mono_ms();
    struct answer a;

    etcd_server_kill(server);
    a = client_range(c, "x");
    assert_int_equal(a.status, -EHOSTUNREACH);
    assert_true(strstr(a.text, server->url) != NULL);
    assert_true(clock_mono_ms() - start_ms < TIMEOUT_MS);
}

/* A port on which connections are taken and nothing is ever said. */
static int mute_port(char *url, size_t size)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    (void)snprintf(url, size, "http://127.0.0.1:%d", ntohs(addr.sin_port));
    return fd;
}

/* Runs the loop until the port has taken a connection and has got something on it. */
static int take_request(struct client *c, int listener)
{
    uint64_t deadline_ms = clock_mono_ms() + TIMEOUT_MS;
    struct pollfd p = {.fd = listener, .events = POLLIN};
    int fd = -1;

    for (;;) {
        assert_true(clock_mono_ms() < deadline_ms);
        (void)uv_run(&c->loop, UV_RUN_NOWAIT);
        if (poll(&p, 1, 1) <= 0) {
            continue;
        }
        if (fd >= 0) {
            return fd;
        }
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(fd >= 0);
        p.fd = fd;
    }
}

/* The connection ends after the request was sent: a read goes to the next endpoint, a
 * transaction does not, and says that its outcome is unknown. */
static void connection_lost(void **state)
{
    char mute[48];
    int listener = mute_port(mute, sizeof(mute));
    const char *const endpoints[] = {mute, server->url, NULL};
    struct store_op op = op_put("c/1", "x");
    struct client c;
    struct answer txn = {0};
    struct answer range = {0};

    open_on(&c, endpoints);
    store_txn(c.store, NULL, 0, &op, 1, answer_txn, &txn);
    (void)close(take_request(&c, listener));
    client_wait(&c, &txn.calls, 1);
    assert_int_equal(txn.status, -EINPROGRESS);
    client_end(&c);

    open_on(&c, endpoints);
    store_range(c.store, "c/", answer_range, &range);
    (void)close(take_request(&c, listener));
    client_wait(&c, &range.calls, 1);
    assert_int_equal(range.status, 0);
    assert_int_equal(range.kvs.n, 0); /* the transaction was not sent again */
    client_end(&c);
    (void)close(listener);
}

/* Endpoints are tried in turn: one that is closed and one that is mute cost a read some
 * of its time, not its answer; the good one is then remembered. */
static void endpoints_in_turn(void **state)
{
    char closed[48];
    char mute[48];
    int fd = mute_port(closed, sizeof(closed));
    int mute_fd = mute_port(mute, sizeof(mute));
    const char *const endpoints[] = {closed, mute, server->url, NULL};
    struct client c;
    struct recorder r = {0};
    struct answer a;
    uint64_t start_ms;

    (void)close(fd);
    open_on(&c, endpoints);
    a = client_range(&c, "x");
    assert_int_equal(a.status, 0);
    answer_free(&a);
    start_ms = clock_mono_ms();
    assert_true(client_put(&c, "e/1", "x") > 0);
    assert_true(clock_mono_ms() - start_ms < TIMEOUT_MS);
    client_end(&c);

    /* A transaction that the mute one has taken is not sent to another. */
    open_on(&c, &endpoints[1]);
    a = client_txn(&c, NULL, 0, &(struct store_op){.type = STORE_DELETE, .key = "e/1"},
                   1);
    assert_int_equal(a.status, -EINPROGRESS);
    a = client_range(&c, "e/1");
    assert_int_equal(a.kvs.n, 1);
    answer_free(&a);
    client_end(&c);

    /* A watch, too, moves on from a mute endpoint. */
    open_on(&c, &endpoints[1]);
    (void)store_watch(c.store, "e/", 0, &recorder_ops, &r);
    client_wait(&c, &r.ups, 1);
    assert_true(r.downs >= 1);
    (void)client_put(&c, "e/2", "x");
    client_wait(&c, &r.batches, 1);
    client_end(&c);
    recorder_free(&r);
    (void)close(mute_fd);
}

/* Options that cannot work are refused with the name of the setting. */
static void refuses_bad_endpoints(void **state)
{
    static const char *const bad[] = {"127.0.0.1:2379", NULL};
    static const char *const none[] = {NULL};
    struct store_etcd_options options = {.endpoints = bad};
    struct client *c = *state;
    struct store *s;
    struct error err;

    assert_int_equal(store_etcd_new(&s, &c->loop, &options, &err), -EINVAL);
    assert_true(strstr(err.text, "store.endpoints") != NULL);
    options.endpoints = none;
    assert_int_equal(store_etcd_new(&s, &c->loop, &options, &err), -EINVAL);
}

/* Closing is quick and answers all, also when the server hangs. */
static void closes_while_hanging(void **state)
{
    struct client *c = *state;
    struct answer a = {0};
    struct recorder r = {0};
    uint64_t start_ms;

    (void)store_watch(c->store, "", 0, &recorder_ops, &r);
    client_wait(c, &r.ups, 1);
    etcd_server_pause(server);
    store_range(c->store, "", answer_range, &a);
    (void)uv_run(&c->loop, UV_RUN_NOWAIT);
    start_ms = clock_mono_ms();
    client_close_store(c);
    assert_true(clock_mono_ms() - start_ms < TIMEOUT_MS);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.status, -ECANCELED);
    assert_int_equal(r.downs, 0);
    recorder_free(&r);
}

/* Three members; one dies and calls go on; two die and nothing is decided; they come back
 * and the store is in use again, its watch as well. */
static void quorum_lost_and_found(void **state)
{
    struct etcd_server members[3];
    const char *const endpoints[] = {members[0].url, members[1].url, members[2].url,
                                     NULL};
    struct client c;
    struct recorder r = {0};
    struct error err = {0};
    struct store_op op = op_put("q/2", "x");
    struct answer a = {.status = -1};

    if (etcd_servers_start(members, 3, &err) < 0) {
        fail_msg("%s", err.text);
    }
    open_on(&c, endpoints);
    wait_until_served(&c);
    (void)store_watch(c.store, "q/", client_put(&c, "q/1", "x"), &recorder_ops, &r);
    client_wait(&c, &r.batches, 1);
    etcd_server_kill(&members[0]);
    wait_until_served(&c);
    client_wait(&c, &r.downs, 1);
    client_wait(&c, &r.ups, 2);
    etcd_server_kill(&members[1]);
    a = client_txn(&c, NULL, 0, &op, 1);
    assert_true(a.status == -EINPROGRESS || a.status == -EHOSTUNREACH);
    a = client_range(&c, "q/");
    assert_true(a.status == -ETIMEDOUT || a.status == -EHOSTUNREACH);
    client_wait(&c, &r.downs, 2);
    assert_int_equal(etcd_server_restart(&members[0], false, &err), 0);
    wait_until_served(&c);
    client_wait(&c, &r.ups, 3);
    (void)client_put(&c, "q/3", "x");
    client_wait(&c, &r.batches, 2);
    client_end(&c);
    recorder_free(&r);
    for (int i = 0; i < 3; i++) {
        etcd_server_end(&members[i]);
    }
}

int store_etcd_faults_run(struct etcd_server *s)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(hanging_server),
        TEST(killed_server),
        TEST(watch_resumes),
        TEST(watch_notices_hanging),
        TEST(watch_resyncs_after_compaction),
        TEST(unreachable),
        TEST(connection_lost),
        TEST(endpoints_in_turn),
        TEST(refuses_bad_endpoints),
        TEST(closes_while_hanging),
        TEST(quorum_lost_and_found),
    };
#undef TEST

    server = s;
    return cmocka_run_group_tests_name("store_etcd faults", tests, NULL, NULL);
}
