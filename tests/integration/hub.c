/* Sessions of hub and link: who may join, what a cut costs, when a node is gone. */
#include "tests/integration/hub_bench.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static bool has_1000(struct bench *b)
{
    return b->last_up == 1000;
}

static bool has_left(struct bench *b)
{
    return b->leaves == 1;
}

static bool has_second_snapshot(struct bench *b)
{
    return b->begun == 2 && b->states_seen >= 2 * STATES;
}

static bool is_welcome(struct bench *b)
{
    return b->welcomes == 1;
}

static bool is_refused(struct bench *b)
{
    return b->downs >= 1;
}

/* An agent joins, gets its snapshot, and is heard. */
static void joins_and_talks(void **state)
{
    struct bench b;

    bench_open(&b, "secret", 2000, 0);
    bench_run_until(&b, bench_has_snapshot);
    assert_int_equal(b.joins, 1);
    assert_true(link_is_up(b.link));
    bench_send_reports(&b, 1, 500);
    bench_run_until(&b, bench_has_500);
    assert_true(b.in_order);
    bench_close(&b);
}

/* After a cut the session goes on: nothing is lost, nothing comes twice, no new snapshot.
 */
static void resumes_after_a_cut(void **state)
{
    struct bench b;

    bench_open(&b, "secret", 8000, 0);
    bench_run_until(&b, bench_has_snapshot);
    bench_send_reports(&b, 1, 500);
    bench_cut(&b);
    bench_send_reports(&b, 501, 500);
    bench_run_until(&b, has_1000);
    assert_true(b.in_order);
    assert_int_equal(b.joins, 1);
    assert_int_equal(b.leaves, 0);
    assert_int_equal(b.snapshots, 1);
    assert_int_equal(b.resumes, 1);
    bench_close(&b);
}

/* A node that stays away is gone, and starts anew when it returns. */
static void leaves_when_silent(void **state)
{
    struct bench b;

    bench_open(&b, "secret", 300, 0);
    bench_run_until(&b, bench_has_snapshot);
    b.cut = true;
    bench_cut(&b);
    bench_run_until(&b, has_left);
    b.cut = false;
    bench_run_until(&b, has_second_snapshot);
    assert_int_equal(b.joins, 2);
    assert_int_equal(b.resumes, 0);
    bench_close(&b);
}

/* While the controller is not ready agents are told so, and come back. */
static void tells_agents_to_come_back(void **state)
{
    struct bench b;

    bench_open(&b, "secret", 2000, 0);
    hub_set_accepting(b.hub, false);
    bench_run_until(&b, is_refused);
    assert_non_null(strstr(b.down_reason, "store_unavailable"));
    assert_int_equal(b.joins, 0);
    hub_set_accepting(b.hub, true);
    bench_run_until(&b, is_welcome);
    bench_close(&b);
}

/* Without the token nobody joins, and the reason is said. */
static void refuses_a_wrong_token(void **state)
{
    struct bench b;

    bench_open(&b, "wrong", 2000, 0);
    bench_run_until(&b, is_refused);
    assert_non_null(strstr(b.down_reason, "unauthorized"));
    assert_int_equal(b.joins, 0);
    bench_close(&b);
}

static void garbage_sent(uv_write_t *req, int status)
{
}

static void garbage_connected(uv_connect_t *req, int status)
{
    static char garbage[4096];
    static uv_write_t write;
    uv_buf_t buf = uv_buf_init(garbage, sizeof(garbage));

    memset(garbage, 0xff, sizeof(garbage));
    (void)uv_write(&write, req->handle, &buf, 1, garbage_sent);
}

static void garbage_ended(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    free(buf->base);
    if (n < 0) {
        *(bool *)stream->data = true;
        uv_close((uv_handle_t *)stream, NULL);
        uv_stop(stream->loop);
    }
}

/* Garbage closes its own connection and no other. */
static void survives_garbage(void **state)
{
    struct bench b;
    struct sockaddr_in addr;
    uv_connect_t connect;
    uv_tcp_t tcp;
    bool ended = false;

    bench_open(&b, "secret", 2000, 0);
    bench_run_until(&b, bench_has_snapshot);
    (void)uv_ip4_addr("127.0.0.1", hub_port(b.hub), &addr);
    assert_int_equal(uv_tcp_init(&b.loop, &tcp), 0);
    tcp.data = &ended;
    assert_int_equal(
        uv_tcp_connect(&connect, &tcp, (struct sockaddr *)&addr, garbage_connected), 0);
    while (!uv_is_readable((uv_stream_t *)&tcp)) {
        (void)uv_run(&b.loop, UV_RUN_ONCE);
    }
    assert_int_equal(uv_read_start((uv_stream_t *)&tcp, bench_alloc, garbage_ended), 0);
    bench_run(&b);
    assert_true(ended);
    bench_send_reports(&b, 1, 500);
    bench_run_until(&b, bench_has_500);
    assert_int_equal(b.leaves, 0);
    bench_close(&b);
}

/* Regression: without a connection, the listener's end came after the loop's wake-up was
 * closed, and leaked. */
static void closes_without_connections(void **state)
{
    struct hub_options o = bench_hub_options(NULL);
    struct error err;

    for (int i = 0; i < 20; i++) {
        struct hub *hub;
        uv_loop_t loop;

        assert_int_equal(uv_loop_init(&loop), 0);
        assert_int_equal(hub_new(&hub, &loop, &o, &err), 0);
        hub_close(hub, NULL, NULL);
        (void)uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&loop), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_and_talks),
        cmocka_unit_test(resumes_after_a_cut),
        cmocka_unit_test(leaves_when_silent),
        cmocka_unit_test(tells_agents_to_come_back),
        cmocka_unit_test(refuses_a_wrong_token),
        cmocka_unit_test(survives_garbage),
        cmocka_unit_test(closes_without_connections),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
