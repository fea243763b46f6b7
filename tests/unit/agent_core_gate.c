/* How many starts are under way at once, and whose turn it is. */
#include "tests/unit/agent_core_world.h"

static struct world *narrow(uint32_t starts_max)
{
    struct world *w = world_new(0, 0);

    w->core->gate.max = starts_max;
    return w;
}

static void deploy(struct world *w, const char *name, uint64_t id, uint32_t max,
                   uint32_t warm)
{
    struct deploy d = deploy_one(name, max, warm);

    d.versions[0].id = id;
    world_deploy(w, &d);
}

/* Beyond the limit a start waits for one under way to be ready; its call is kept, and its
 * time of starting begins with its turn. */
static void test_begin_in_turn(void **state)
{
    struct world *w = narrow(3); /* two for one version */
    struct test_call calls[3] = {0};

    deploy(w, "a", 1, 9, 0);
    for (unsigned i = 0; i < 3; i++) {
        world_call(w, &calls[i], "a");
    }
    assert_int_equal(w->n_instances, 2);
    assert_int_equal(world_load(w, "a", 1).starting, 3);
    world_pass_ms(w, 100);
    world_ready(w, 0);
    assert_outcome(&calls[0], DISPATCHED);
    assert_int_equal(w->n_instances, 3);
    assert_int_equal(world_instance(w, 2)->started_us, w->now_us);
    assert_int_equal(world_instance(w, 2)->held_us, 100000);
    world_ready(w, 1);
    world_ready(w, 2);
    assert_outcome(&calls[2], DISPATCHED);
    assert_int_equal(world_load(w, "a", 1).last_wait.reason, WAIT_TURN);
    for (unsigned i = 0; i < 3; i++) {
        world_done(w, &calls[i]);
    }
    world_free(w);
}

/* A start whose call another instance took meanwhile never begins; nothing is left of it,
 * and its memory is free. */
static void test_not_begun_for_nothing(void **state)
{
    struct world *w = narrow(1);
    struct test_call calls[2] = {0};

    deploy(w, "a", 1, 9, 0);
    world_call(w, &calls[0], "a");
    world_call(w, &calls[1], "a");
    assert_int_equal(w->core->n_instances, 2);
    world_ready(w, 0);        /* the second begins */
    world_done(w, &calls[0]); /* and its call goes to the first */
    assert_outcome(&calls[1], DISPATCHED);
    world_done(w, &calls[1]);
    assert_int_equal(w->n_instances, 2);
    world_free(w);

    w = narrow(1);
    deploy(w, "b", 2, 9, 0);
    deploy(w, "a", 1, 9, 0);
    world_call(w, &calls[0], "b");
    world_call(w, &calls[1], "a");
    agent_core_call_cancel(w->core, &calls[1].call, true);
    world_ready(w, 0);
    assert_int_equal(w->n_instances, 1);
    assert_int_equal(w->core->n_instances, 1);
    assert_int_equal(world_load(w, "a", 1).starting, 0);
    world_done(w, &calls[0]);
    world_free(w);
}

/* Many starts of one function do not keep another one's waiting: who has fewest under way
 * comes first, and who has calls that wait before what is only kept warm. */
static void test_fair(void **state)
{
    struct world *w = narrow(1);
    struct test_call a[4] = {0}, b = {0};

    deploy(w, "a", 1, 9, 0);
    deploy(w, "b", 2, 9, 0);
    for (unsigned i = 0; i < 4; i++) {
        world_call(w, &a[i], "a");
    }
    w->core->gate.max = 2;
    world_call(w, &b, "b"); /* one of a is under way, three wait: it has its half */
    assert_int_equal(w->n_instances, 2);
    assert_string_equal(function_name(version_function(world_instance(w, 1)->version)),
                        "b");
    for (unsigned i = 0; i < 2; i++) {
        world_ready(w, i);
    }
    for (unsigned i = 0; i < 4; i++) {
        agent_core_call_cancel(w->core, &a[i].call, true);
    }
    world_done(w, &b);
    world_free(w);
}

static void test_calls_first(void **state)
{
    struct world *w = narrow(1);
    struct test_call c = {0};

    deploy(w, "warm", 1, 9, 4);
    deploy(w, "b", 2, 9, 0);
    assert_int_equal(w->n_instances, 1);
    world_call(w, &c, "b");
    world_ready(w, 0);
    assert_int_equal(w->n_instances, 2);
    assert_string_equal(function_name(version_function(world_instance(w, 1)->version)),
                        "b");
    world_ready(w, 1);
    world_done(w, &c);
    world_free(w);
}

/* A start that takes its time does not keep others waiting for long. */
static void test_slow_start(void **state)
{
    struct world *w = narrow(1);
    struct test_call a = {0}, b = {0};

    deploy(w, "a", 1, 9, 0);
    deploy(w, "b", 2, 9, 0);
    world_call(w, &a, "a");
    world_call(w, &b, "b");
    world_pass_ms(w, CORE_START_HOLD_MS - 1);
    assert_int_equal(w->n_instances, 1);
    world_pass_ms(w, 2);
    assert_int_equal(w->n_instances, 2);
    world_ready(w, 1);
    assert_outcome(&b, DISPATCHED);
    world_ready(w, 0);
    world_done(w, &a);
    world_done(w, &b);
    world_free(w);
}

/* While processors have time to spare more begin, twice as many each time; only as many
 * as ever once they have none. */
static void test_spare(void **state)
{
    struct world *w = narrow(4); /* two for one version */
    struct test_call calls[20] = {0};

    deploy(w, "a", 1, 30, 0);
    assert_false(agent_core_starts_wait(w->core));
    for (unsigned i = 0; i < 16; i++) {
        world_call(w, &calls[i], "a");
    }
    assert_int_equal(w->n_instances, 2);
    assert_true(agent_core_starts_wait(w->core));
    agent_core_host_spare(w->core, false);
    assert_int_equal(w->n_instances, 2);
    agent_core_host_spare(w->core, true); /* 8 places */
    assert_int_equal(w->n_instances, 4);
    agent_core_host_spare(w->core, true); /* 16 */
    assert_int_equal(w->n_instances, 8);
    agent_core_host_spare(w->core, false);
    for (unsigned i = 0; i < 7; i++) {
        world_ready(w, i);
        assert_int_equal(w->n_instances, i < 6 ? 8 : 9);
    }
    agent_core_host_spare(w->core, true);
    assert_int_equal(w->n_instances, 11);
    agent_core_host_spare(w->core, true);
    assert_int_equal(w->n_instances, 15);
    agent_core_host_spare(w->core, true);
    assert_int_equal(w->n_instances, 16);
    assert_false(agent_core_starts_wait(w->core));
    world_call(w, &calls[16], "a"); /* nothing of it is left when none waits any more */
    assert_int_equal(w->n_instances, 16);
    for (unsigned i = 7; i < 16; i++) {
        world_ready(w, i);
    }
    assert_int_equal(w->n_instances, 17);
    world_ready(w, 16);
    for (unsigned i = 0; i < 17; i++) {
        world_done(w, &calls[i]);
    }
    world_free(w);
}

/* A version whose start fails has no others begin behind it: they are tried one at a
 * time, after a pause. */
static void test_failing(void **state)
{
    struct world *w = narrow(1);
    struct test_call c[5] = {0};

    deploy(w, "a", 1, 9, 5);
    assert_int_equal(w->n_instances, 1);
    assert_int_equal(w->core->n_instances, 5);
    world_fail(w, 0, CAUSE_INIT_FAILED, "exit status 7");
    assert_int_equal(w->n_instances, 1);
    assert_int_equal(w->core->n_instances, 1);
    world_gone(w, 0);
    assert_int_equal(w->core->n_instances, 0);
    world_pass_ms(w, CORE_START_PAUSE_MAX_MS);
    assert_int_equal(w->core->n_instances, 1);
    (void)c;
    world_free(w);
}

/* Nor does one begin that would be beyond a grant which shrank meanwhile: what ends
 * counts until it is gone. */
static void test_grant_shrinks(void **state)
{
    struct world *w = narrow(1);
    struct deploy d = deploy_one("a", 2, 0);
    struct test_call c[2] = {0}, b = {0};

    world_deploy(w, &d);
    deploy(w, "b", 2, 9, 0);
    world_call(w, &c[0], "a");
    world_ready(w, 0);
    world_done_with(w, &c[0], CAUSE_CRASHED);
    world_fail(w, 0, CAUSE_CRASHED, "exit status 1");
    world_pass_ms(w, CORE_START_PAUSE_MAX_MS);
    world_call(w, &b, "b");
    world_call(w, &c[1], "a"); /* its start waits behind b's */
    assert_int_equal(w->core->n_instances, 3);
    d.grants[0][0].max = 1;
    world_apply(w, &d);
    world_ready(w, 1);
    assert_int_equal(w->n_instances, 2);
    world_gone(w, 0);
    assert_int_equal(w->n_instances, 3);
    world_ready(w, 2);
    world_done(w, &c[1]);
    world_done(w, &b);
    world_free(w);
}

/* What waits for its turn goes with its grant, and at a stop. */
static void test_goes(void **state)
{
    struct world *w = narrow(1);
    struct deploy d = deploy_one("a", 9, 5);

    world_deploy(w, &d);
    assert_int_equal(w->core->n_instances, 5);
    d.n = 0;
    d.versions[0] = (struct version_state){0};
    agent_core_function_deleted(w->core, "default", "a", 1000);
    assert_int_equal(w->core->n_instances, 1); /* the one that has begun */
    world_gone(w, 0);
    assert_true(agent_core_is_empty(w->core));
    world_free(w);

    w = narrow(4);
    deploy(w, "b", 1, 9, 7);
    agent_core_stop_all(w->core);
    assert_int_equal(w->core->n_instances, 2);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begin_in_turn),
        cmocka_unit_test(test_not_begun_for_nothing),
        cmocka_unit_test(test_fair),
        cmocka_unit_test(test_calls_first),
        cmocka_unit_test(test_slow_start),
        cmocka_unit_test(test_spare),
        cmocka_unit_test(test_failing),
        cmocka_unit_test(test_goes),
        cmocka_unit_test(test_grant_shrinks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
