/* What a hub tells of functions: snapshots, changes, and only the newest of them. */
#include "tests/integration/hub_bench.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static bool has_left(struct bench *b)
{
    return b->leaves == 1;
}

static bool has_second_snapshot(struct bench *b)
{
    return b->begun == 2 && b->states_seen >= 2 * STATES;
}

static bool has_second_snapshot_whole(struct bench *b)
{
    return b->begun == 2 && b->whole == 2;
}

static bool has_joined(struct bench *b)
{
    return b->joins == 1 && b->node != NULL;
}

static bool has_two_whole(struct bench *b)
{
    return b->whole == 2;
}

static bool has_version_9(struct bench *b)
{
    return b->last_down == 9;
}

/* Until the owner asks there is no snapshot, and the session is live without one. */
static void snapshots_when_asked(void **state)
{
    struct bench b;

    bench_open(&b, "secret", 2000, 0);
    b.ask_later = true;
    bench_run_until(&b, has_joined);
    bench_send_state(&b, 9, "f0");
    bench_run_until(&b, has_version_9);
    bench_send_reports(&b, 1, 500);
    bench_run_until(&b, bench_has_500);
    assert_int_equal(b.snapshots, 0);
    assert_int_equal(b.begun, 0);

    hub_resync(b.hub, b.node);
    assert_int_equal(b.snapshots, 0); /* never from within the call */
    bench_run_until(&b, bench_has_snapshot);
    assert_int_equal(b.snapshots, 1);
    bench_close(&b);
}

/* State that waits in the outbox when a snapshot is asked for, and two that are asked for
 * at once, never make a snapshot with something missing. */
static void snapshots_are_whole(void **state)
{
    struct bench b;

    bench_open(&b, "secret", 2000, 0);
    b.ask_later = true;
    b.n_states = STATES_MAX; /* more than the wire takes at once */
    bench_run_until(&b, has_joined);
    for (unsigned i = 0; i < b.n_states; i += 2) {
        char name[16];

        (void)snprintf(name, sizeof(name), "f%u", i);
        bench_send_state(&b, 1, name);
    }
    hub_resync(b.hub, b.node);
    while (b.snapshots == 0) {
        (void)uv_run(&b.loop, UV_RUN_ONCE);
    }
    hub_resync(b.hub, b.node);
    bench_send_state(&b, 1, "f7");
    hub_resync(b.hub, b.node);
    bench_run_until(&b, has_two_whole);
    assert_int_equal(b.begun, 2);
    assert_int_equal(b.snapshots, 1); /* the second is the first, and what came since */
    assert_int_equal(b.joins, 1);
    bench_close(&b);
}

/* A later snapshot has what was sent since the first, to all or to one, and whether or
 * not it was on the wire. */
static void a_later_snapshot_is_as_new(void **state)
{
    struct bench b;

    bench_open(&b, "secret", 300, 0);
    bench_run_until(&b, bench_has_snapshot);
    bench_broadcast_state(&b, 3, "f3");
    bench_send_state(&b, 9, "f4");
    bench_run_until(&b, has_version_9);
    b.cut = true;
    bench_cut(&b);
    bench_run_until(&b, has_left);
    bench_broadcast_state(&b, 5, "f5");
    memset(b.newest, 0, sizeof(b.newest));
    b.states_seen = STATES;
    b.cut = false;
    bench_run_until(&b, has_second_snapshot_whole);
    assert_int_equal(b.snapshots, 1); /* nothing was packed again */
    assert_int_equal(b.newest[0], 1);
    assert_int_equal(b.newest[3], 3);
    assert_int_equal(b.newest[4], 9);
    assert_int_equal(b.newest[5], 5);
    assert_false(b.went_back);
    bench_close(&b);
}

/* So many changes that a snapshot is better put together anew: it is. */
static void a_snapshot_is_not_kept_for_ever(void **state)
{
    struct bench b;

    bench_open(&b, "secret", 2000, 0);
    bench_run_until(&b, bench_has_snapshot);
    for (unsigned i = 0; i < 3000; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "g%u", i);
        bench_broadcast_state(&b, 2, name);
    }
    hub_resync(b.hub, b.node);
    bench_run_until(&b, has_two_whole);
    assert_int_equal(b.snapshots, 2);
    bench_close(&b);
}

/* What is said to all in one turn comes once for each function, the newest; a state that
 * is sent to one node meanwhile is not followed by an older one. */
static void says_the_newest_to_all(void **state)
{
    struct bench b;
    unsigned before;

    bench_open(&b, "secret", 2000, 0);
    bench_run_until(&b, bench_has_snapshot);
    before = b.states_seen;
    for (uint64_t v = 2; v <= 7; v++) {
        bench_broadcast_state(&b, v, "f0");
        bench_broadcast_state(&b, 2, "f1");
    }
    bench_send_state(&b, 8, "f0");
    bench_broadcast_state(&b, 9, "f2");
    bench_run_until(&b, has_version_9);
    assert_int_equal(b.states_seen - before, 4); /* the one alone, and a batch of three */
    assert_int_equal(b.newest[0], 8);
    assert_int_equal(b.newest[1], 2);
    assert_false(b.went_back);
    bench_close(&b);
}

/* An agent that does not know of batches gets the same, one by one. */
static void tells_an_older_agent_one_by_one(void **state)
{
    struct bench b;

    bench_open(&b, "secret", 2000, 0);
    b.plain = true;
    bench_run_until(&b, bench_has_snapshot);
    bench_broadcast_state(&b, 2, "f1");
    bench_broadcast_state(&b, 9, "f2");
    bench_run_until(&b, has_version_9);
    assert_int_equal(b.newest[1], 2);
    assert_int_equal(b.whole, 1);
    bench_close(&b);
}

/* A state that changes often while nobody listens goes out once; one that is too far
 * behind gets a snapshot instead, in the same session. */
static void keeps_only_the_newest(void **state)
{
    struct bench b;
    unsigned before;

    bench_open(&b, "secret", 8000, 100);
    bench_run_until(&b, bench_has_snapshot);
    b.cut = true;
    bench_cut(&b);
    while (b.pair != NULL) {
        (void)uv_run(&b.loop, UV_RUN_ONCE);
    }
    for (int i = 0; i < 50 && link_is_up(b.link); i++) {
        (void)uv_run(&b.loop, UV_RUN_ONCE);
    }
    before = b.states_seen;
    for (uint64_t v = 2; v <= 9; v++) {
        bench_send_state(&b, v, "f0");
    }
    b.cut = false;
    bench_run_until(&b, has_version_9);
    assert_in_range(b.states_seen - before, 1, 8);
    assert_int_equal(b.snapshots, 1);

    b.cut = true;
    bench_cut(&b);
    while (b.pair != NULL) {
        (void)uv_run(&b.loop, UV_RUN_ONCE);
    }
    for (int i = 0; i < 1000 && b.node != NULL; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "g%d", i);
        bench_send_state(&b, 1, name);
    }
    b.cut = false;
    b.states_seen = STATES;
    bench_run_until(&b, has_second_snapshot);
    assert_int_equal(b.joins, 1);
    assert_int_equal(b.leaves, 0);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshots_when_asked),
        cmocka_unit_test(snapshots_are_whole),
        cmocka_unit_test(a_later_snapshot_is_as_new),
        cmocka_unit_test(a_snapshot_is_not_kept_for_ever),
        cmocka_unit_test(says_the_newest_to_all),
        cmocka_unit_test(tells_an_older_agent_one_by_one),
        cmocka_unit_test(keeps_only_the_newest),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
