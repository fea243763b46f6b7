/* Instances: how many there are, for how long, and whose memory it is. */
#include "tests/unit/agent_core_world.h"

#include <string.h>

static void run_once(struct world *w, const char *name)
{
    struct test_call c;

    world_call(w, &c, name);
    if (c.outcome == NO_OUTCOME) {
        world_ready(w, w->n_instances - 1);
    }
    assert_outcome(&c, DISPATCHED);
    world_done(w, &c);
}

/* A function of `mib` that keeps nothing warm. */
static void deploy_mib(struct world *w, const char *name, uint32_t mib, uint32_t max)
{
    struct deploy d = deploy_one(name, max, 0);

    d.versions[0].spec.memory_mib = mib;
    world_deploy(w, &d);
}

/* --- keep-alive and warm --------------------------------------------------------------
 */

/* An idle instance is kept for idle_ms since its last call, then stopped. */
static void idle_ones_expire(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 2, 0);

    d.versions[0].spec.idle_ms = 1000;
    world_deploy(w, &d);
    run_once(w, "f");
    world_pass_ms(w, 999);
    run_once(w, "f");
    world_pass_ms(w, 999);
    assert_int_equal(world_stopped(w), 0);
    world_pass_ms(w, 1);
    assert_stopped(w, 0, STOP_IDLE);
    world_free(w);
}

/* idle_ms 0: it goes as soon as nobody waits for it. */
static void no_keep_alive(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call c[2];

    d.versions[0].spec.idle_ms = 0;
    world_deploy(w, &d);
    world_call(w, &c[0], "f");
    world_call(w, &c[1], "f");
    world_ready(w, 0);
    world_done(w, &c[0]);
    assert_outcome(&c[1], DISPATCHED);
    world_done(w, &c[1]);
    assert_stopped(w, 0, STOP_IDLE);
    world_free(w);
}

/* `warm` instances are started without a call and outlive the keep-alive. */
static void warm_ones_stay(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 5, 2);

    world_deploy(w, &d);
    assert_int_equal(w->n_instances, 2);
    world_ready(w, 0);
    world_ready(w, 1);
    world_pass_ms(w, 10 * d.versions[0].spec.idle_ms);
    assert_int_equal(world_stopped(w), 0);
    deploy_grant(&d, 0, "here", 5, 1);
    world_apply(w, &d);
    world_pass_ms(w, d.versions[0].spec.idle_ms);
    assert_int_equal(world_stopped(w), 1);
    world_free(w);
}

/* A warm instance that dies after it was of use is replaced as soon as it is gone. */
static void warm_ones_are_replaced(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);

    world_deploy(w, &d);
    world_ready(w, 0);
    run_once(w, "f");
    world_fail(w, 0, CAUSE_CRASHED, "exit status 1");
    assert_stopped(w, 0, STOP_FAILED);
    world_gone(w, 0);
    assert_int_equal(w->n_instances, 2);
    world_free(w);
}

/* One that becomes ready and crashes unused, over and over, is not started as fast as it
 * crashes. */
static void crash_loops_are_slowed(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    unsigned n_starts = 0;

    world_deploy(w, &d);
    for (unsigned ms = 0; ms < 60000; ms += 10) {
        if (w->n_instances > 0) {
            n_starts++;
            world_ready(w, 0);
            world_fail(w, 0, CAUSE_CRASHED, "exit status 1");
            world_gone(w, 0);
        }
        world_forget(w);
        world_pass_ms(w, 10);
    }
    assert_in_range(n_starts, 5, 15);
    world_free(w);
}

/* --- first readiness and failure ------------------------------------------------------
 */

/* The controller hears of a version's first readiness here, once. */
static void first_readiness_is_reported(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 2, 2);

    world_deploy(w, &d);
    assert_int_equal(w->n_ready, 0);
    world_ready(w, 0);
    world_ready(w, 1);
    assert_int_equal(w->n_ready, 1);
    assert_int_equal(w->reported, 1);
    assert_int_equal(w->n_failed, 0);
    world_free(w);
}

/* A version that cannot start is reported at its first try, with the cause; once. */
static void first_failure_is_reported(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);

    world_deploy(w, &d);
    world_fail(w, 0, CAUSE_INIT_FAILED, "exit status 3");
    assert_int_equal(w->n_failed, 1);
    assert_int_equal(w->failed_cause, CAUSE_INIT_FAILED);
    assert_string_equal(w->failed_text, "exit status 3");
    world_gone(w, 0);
    world_pass_ms(w, CORE_START_PAUSE_MIN_MS);
    world_fail(w, 1, CAUSE_INIT_FAILED, "exit status 3");
    assert_int_equal(w->n_failed, 1);
    world_free(w);
}

/* What is not the version's fault does not fail it. */
static void transient_failure_is_not_reported(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    struct test_call c;

    world_deploy(w, &d);
    world_call(w, &c, "f");
    for (unsigned i = 0; i < 3; i++) {
        world_fail(w, i, CAUSE_NO_CAPACITY, "no memory for a sandbox");
        world_gone(w, i);
        world_pass_ms(w, (uint64_t)CORE_START_PAUSE_MIN_MS << i);
    }
    assert_int_equal(w->n_failed, 0);
    assert_outcome(&c, NO_OUTCOME);
    world_ready(w, 3);
    assert_outcome(&c, DISPATCHED);
    world_free(w);
}

/* A version that once was ready here is not reported as failed. */
static void later_failure_is_not_reported(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 2, 0);
    struct test_call c[2];

    world_deploy(w, &d);
    run_once(w, "f");
    world_call(w, &c[0], "f");
    world_call(w, &c[1], "f");
    world_fail(w, 1, CAUSE_START_FAILED, "no such file");
    assert_int_equal(w->n_failed, 0);
    world_free(w);
}

/* Waiting calls get a second try, then the cause; during the pause new calls get it at
 * once; after it one may try again, and the function heals. */
static void failing_calls_get_the_cause(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 3, 0);
    struct test_call c[6];

    world_deploy(w, &d);
    world_call(w, &c[0], "f");
    world_fail(w, 0, CAUSE_START_FAILED, "no such file: ./run");
    world_gone(w, 0);
    assert_outcome(&c[0], NO_OUTCOME);
    world_pass_ms(w, CORE_START_PAUSE_MIN_MS);
    assert_int_equal(w->n_instances, 2);
    world_call(w, &c[1], "f");
    assert_int_equal(w->n_instances, 2); /* one at a time */
    world_fail(w, 1, CAUSE_START_FAILED, "no such file: ./run");
    assert_rejected(&c[0], CAUSE_START_FAILED);
    assert_string_equal(c[0].text, "no such file: ./run");
    assert_rejected(&c[1], CAUSE_START_FAILED);
    world_gone(w, 1);
    world_call(w, &c[2], "f");
    assert_rejected(&c[2], CAUSE_START_FAILED);
    world_pass_ms(w, 2 * CORE_START_PAUSE_MIN_MS);
    assert_int_equal(w->n_instances, 2);
    world_call(w, &c[3], "f");
    world_call(w, &c[4], "f");
    world_call(w, &c[5], "f");
    assert_int_equal(w->n_instances, 3);
    world_ready(w, 2);
    assert_outcome(&c[3], DISPATCHED);
    assert_int_equal(w->n_instances, 5); /* healed: the others start together */
    world_free(w);
}

static void fail_often(struct world *w, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        world_fail(w, 0, CAUSE_START_FAILED, "no such file");
        world_gone(w, 0);
        world_forget(w);
        world_pass_ms(w, CORE_START_PAUSE_MAX_MS);
    }
}

/* Once an instance was of use, by a call or by a long life, the next bad start is a first
 * one: its pause is short again. */
static void use_ends_the_series(void **state)
{
    for (int by_call = 0; by_call < 2; by_call++) {
        struct world *w = world_new(0, 0);
        struct deploy d = deploy_one("f", 2, 1);

        world_deploy(w, &d);
        fail_often(w, 9);
        world_ready(w, 0);
        if (by_call) {
            run_once(w, "f");
        } else {
            world_pass_ms(w, CORE_LIVED_MS);
        }
        world_fail(w, 0, CAUSE_CRASHED, "signal 11");
        world_gone(w, 0);
        world_forget(w);
        world_fail(w, 0, CAUSE_START_FAILED, "no such file");
        world_gone(w, 0);
        assert_int_equal(w->n_instances, 1);
        world_pass_ms(w, CORE_START_PAUSE_MIN_MS);
        assert_int_equal(w->n_instances, 2);
        world_free(w);
    }
}

/* A call that ended well does so too, while its instance is still there. */
static void success_ends_the_series(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 2, 1);

    world_deploy(w, &d);
    fail_often(w, 9);
    world_ready(w, 0);
    run_once(w, "f");
    deploy_grant(&d, 0, "here", 2, 2);
    world_apply(w, &d);
    world_fail(w, 1, CAUSE_START_FAILED, "no such file");
    world_gone(w, 1);
    world_pass_ms(w, CORE_START_PAUSE_MIN_MS);
    assert_int_equal(w->n_instances, 3);
    world_free(w);
}

/* A crash takes its instance only: its calls are the edge's to end, before or after. */
static void crash_with_calls(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call c[3];

    d.versions[0].spec.concurrency = 2;
    world_deploy(w, &d);
    for (unsigned i = 0; i < 3; i++) {
        world_call(w, &c[i], "f");
    }
    world_ready(w, 0);
    agent_core_call_done(w->core, &c[0].call, CAUSE_CRASHED, 0);
    assert_outcome(&c[2], DISPATCHED);
    world_fail(w, 0, CAUSE_CRASHED, "signal 11");
    world_gone(w, 0);
    agent_core_call_done(w->core, &c[1].call, CAUSE_CRASHED, 0);
    agent_core_call_done(w->core, &c[2].call, CAUSE_CRASHED, 0);
    assert_int_equal(world_load(w, "f", 1).errors, 3);
    assert_int_equal(world_load(w, "f", 1).in_flight, 0);
    world_free(w);
}

/* --- memory ---------------------------------------------------------------------------
 */

/* Room is made by stopping idle instances of others, the coldest first. The start waits
 * until that one is gone. */
static void evicts_the_coldest(void **state)
{
    struct world *w = world_new(300, 0);
    struct test_call c;

    deploy_mib(w, "a", 100, 1);
    deploy_mib(w, "b", 100, 1);
    deploy_mib(w, "c", 100, 1);
    deploy_mib(w, "d", 100, 1);
    run_once(w, "a");
    world_pass_ms(w, 10);
    run_once(w, "b");
    world_pass_ms(w, 10);
    run_once(w, "c");
    world_pass_ms(w, 10);
    run_once(w, "a"); /* now b is the coldest */
    world_call(w, &c, "d");
    assert_stopped(w, 1, STOP_EVICTED);
    assert_int_equal(world_stopped(w), 1);
    assert_int_equal(w->n_instances, 3);
    world_gone(w, 1);
    assert_int_equal(w->n_instances, 4);
    world_ready(w, 3);
    assert_outcome(&c, DISPATCHED);
    assert_int_equal(agent_core_memory_reserved(w->core), 300 * MIB);
    world_free(w);
}

/* What an eviction frees is for the call that it was done for, not for one that comes
 * later and is small enough. */
static void freed_memory_is_claimed(void **state)
{
    struct world *w = world_new(200, 0);
    struct test_call big;
    struct test_call small;

    deploy_mib(w, "a", 150, 1);
    deploy_mib(w, "big", 200, 1);
    deploy_mib(w, "small", 50, 1);
    run_once(w, "a");
    world_call(w, &big, "big");
    assert_stopped(w, 0, STOP_EVICTED);
    world_call(w, &small, "small"); /* 50 MiB are free, but promised */
    assert_int_equal(w->n_instances, 1);
    world_gone(w, 0);
    assert_int_equal(w->n_instances, 2);
    assert_string_equal(function_name(version_function(world_instance(w, 1)->version)),
                        "big");
    world_free(w);
}

/* If the call that claimed it goes, others get the memory. */
static void claims_are_given_back(void **state)
{
    struct world *w = world_new(200, 0);
    struct test_call big;
    struct test_call small;

    deploy_mib(w, "a", 150, 1);
    deploy_mib(w, "big", 200, 1);
    deploy_mib(w, "small", 50, 1);
    run_once(w, "a");
    world_call(w, &big, "big");
    world_call(w, &small, "small");
    agent_core_call_cancel(w->core, &big.call, true);
    assert_int_equal(w->n_instances, 2);
    world_ready(w, 1);
    assert_outcome(&small, DISPATCHED);
    world_free(w);
}

/* Nobody's min_scale is evicted, and nothing is evicted in vain. */
static void min_scale_and_vain_are_spared(void **state)
{
    struct world *w = world_new(300, 0);
    struct deploy a = deploy_one("a", 2, 1);
    struct test_call c[2];

    a.versions[0].spec.memory_mib = 100;
    a.versions[0].least = 1;
    world_deploy(w, &a);
    world_ready(w, 0);
    deploy_mib(w, "b", 100, 1);
    deploy_mib(w, "big", 300, 1);
    deploy_mib(w, "c", 200, 1);
    run_once(w, "b");
    world_call(w, &c[0], "big");
    assert_int_equal(world_stopped(w), 0);
    world_call(w, &c[1], "c");
    assert_stopped(w, 1, STOP_EVICTED);
    assert_int_equal(world_stopped(w), 1);
    world_pass_ms(w, 10000);
    assert_rejected(&c[0], CAUSE_NO_CAPACITY);
    assert_non_null(strstr(c[0].text, "300 MiB"));
    assert_int_equal(c[0].retry_after_s, CORE_RETRY_AFTER_LONG_S);
    world_free(w);
}

/* Other nodes keep min_scale: what is warm here is for a load, and makes way for calls.
 * When they have had their way, and no call came meanwhile, it is started again. */
static void warm_makes_way_for_calls(void **state)
{
    struct world *w = world_new(100, 0);
    struct deploy a = deploy_one("a", 0, 0);
    struct test_call c;

    a.versions[0].n_grants = 0;
    deploy_grant(&a, 0, "n1", 1, 1);
    deploy_grant(&a, 0, "here", 1, 1);
    a.versions[0].spec.memory_mib = 100;
    a.versions[0].least = 1;
    world_deploy(w, &a);
    world_ready(w, 0);
    deploy_mib(w, "b", 100, 1);
    world_call(w, &c, "b");
    assert_stopped(w, 0, STOP_EVICTED);
    world_gone(w, 0);
    world_ready(w, 1);
    world_done(w, &c);
    assert_int_equal(world_stopped(w), 0); /* not for a's load alone */
    world_pass_ms(w, 600000);
    assert_stopped(w, 1, STOP_IDLE);
    world_gone(w, 1);
    assert_int_equal(w->n_instances, 3);
    world_free(w);
}

/* A version that has all memory, and more calls than it can take, lets others have a
 * turn: who has waited for a while, and has no instance. */
static void they_take_turns(void **state)
{
    struct world *w = world_new(200, 0);
    struct test_call a[5], b;

    deploy_mib(w, "a", 100, 4);
    deploy_mib(w, "b", 100, 1);
    for (unsigned i = 0; i < 5; i++) {
        world_call(w, &a[i], "a");
    }
    world_ready(w, 0);
    world_ready(w, 1);
    world_call(w, &b, "b");
    world_pass_ms(w, CORE_TURN_MS - 1);
    world_done(w, &a[0]);
    assert_int_equal(world_stopped(w), 0);
    world_pass_ms(w, 1);
    world_done(w, &a[1]);
    assert_stopped(w, 1, STOP_EVICTED);
    world_gone(w, 1);
    world_ready(w, 2);
    assert_outcome(&b, DISPATCHED);
    world_done(w, &a[2]); /* b has had its turn */
    assert_outcome(&a[3], DISPATCHED);
    world_done(w, &a[3]);
    world_done(w, &a[4]);
    world_done(w, &b);
    world_free(w);
}

/* A call that found all memory busy starts as soon as another function's call ends. */
static void hungry_ones_get_what_goes_idle(void **state)
{
    struct world *w = world_new(100, 0);
    struct test_call a;
    struct test_call b;

    deploy_mib(w, "a", 100, 1);
    deploy_mib(w, "b", 100, 1);
    world_call(w, &a, "a");
    world_ready(w, 0);
    world_call(w, &b, "b");
    assert_int_equal(world_stopped(w), 0);
    world_done(w, &a);
    assert_stopped(w, 0, STOP_EVICTED);
    world_gone(w, 0);
    world_ready(w, 1);
    assert_outcome(&b, DISPATCHED);
    world_free(w);
}

/* An instance that can never fit is not started, whatever is idle. */
static void too_big_never_starts(void **state)
{
    struct world *w = world_new(100, 0);
    struct test_call c;

    deploy_mib(w, "a", 50, 1);
    deploy_mib(w, "big", 101, 1);
    run_once(w, "a");
    world_call(w, &c, "big");
    assert_int_equal(world_stopped(w), 0);
    assert_int_equal(w->n_instances, 1);
    world_free(w);
}

/* The number of instances on a node is limited like its memory. */
static void number_is_limited(void **state)
{
    struct world *w = world_new(0, 2);
    struct test_call c[2];

    deploy_mib(w, "a", 16, 1);
    deploy_mib(w, "b", 16, 1);
    deploy_mib(w, "c", 16, 1);
    run_once(w, "a");
    world_call(w, &c[0], "b");
    world_ready(w, 1);
    world_call(w, &c[1], "c");
    assert_stopped(w, 0, STOP_EVICTED);
    assert_int_equal(w->n_instances, 2);
    world_gone(w, 0);
    assert_int_equal(w->n_instances, 3);
    world_free(w);
}

/* A lower grant stops idle instances, then drains busy ones; calls run to their end. */
static void shrinks_to_the_grant(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 4, 4);
    struct test_call c[3];

    world_deploy(w, &d);
    for (unsigned i = 0; i < 4; i++) {
        world_ready(w, i);
    }
    for (unsigned i = 0; i < 3; i++) {
        world_call(w, &c[i], "f");
    }
    deploy_grant(&d, 0, "here", 2, 0);
    world_apply(w, &d);
    assert_int_equal(world_stopped(w), 1);
    assert_stopped(w, 0, STOP_RETIRED); /* the only idle one */
    assert_int_equal(world_load(w, "f", 1).in_flight, 3);
    for (unsigned i = 0; i < 3; i++) {
        world_done(w, &c[i]);
    }
    assert_int_equal(world_stopped(w), 2);
    assert_int_equal(world_load(w, "f", 1).idle, 2);
    world_free(w);
}

/* An answer that comes after the instance was told to stop changes nothing. */
static void late_answers_are_ignored(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 2, 2);

    world_deploy(w, &d);
    deploy_grant(&d, 0, "here", 0, 0);
    world_apply(w, &d);
    assert_int_equal(world_stopped(w), 2);
    world_ready(w, 0);
    world_fail(w, 1, CAUSE_START_FAILED, "killed");
    assert_int_equal(w->n_ready + w->n_failed, 0);
    world_gone(w, 0);
    world_gone(w, 1);
    assert_true(agent_core_is_empty(w->core));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_ones_expire),
        cmocka_unit_test(no_keep_alive),
        cmocka_unit_test(warm_ones_stay),
        cmocka_unit_test(warm_ones_are_replaced),
        cmocka_unit_test(crash_loops_are_slowed),
        cmocka_unit_test(first_readiness_is_reported),
        cmocka_unit_test(first_failure_is_reported),
        cmocka_unit_test(transient_failure_is_not_reported),
        cmocka_unit_test(later_failure_is_not_reported),
        cmocka_unit_test(failing_calls_get_the_cause),
        cmocka_unit_test(use_ends_the_series),
        cmocka_unit_test(success_ends_the_series),
        cmocka_unit_test(crash_with_calls),
        cmocka_unit_test(evicts_the_coldest),
        cmocka_unit_test(freed_memory_is_claimed),
        cmocka_unit_test(claims_are_given_back),
        cmocka_unit_test(min_scale_and_vain_are_spared),
        cmocka_unit_test(warm_makes_way_for_calls),
        cmocka_unit_test(they_take_turns),
        cmocka_unit_test(hungry_ones_get_what_goes_idle),
        cmocka_unit_test(too_big_never_starts),
        cmocka_unit_test(number_is_limited),
        cmocka_unit_test(shrinks_to_the_grant),
        cmocka_unit_test(late_answers_are_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
