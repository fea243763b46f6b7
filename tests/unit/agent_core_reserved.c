/* Reserved memory: free for its function, whatever others do. */
#include "tests/unit/agent_core_world.h"

#include <string.h>

static void deploy_mib(struct world *w, const char *name, uint32_t mib, uint32_t max,
                       uint32_t reserved)
{
    struct deploy d = deploy_one(name, max, 0);

    d.versions[0].spec.memory_mib = mib;
    d.grants[0][0].reserved = reserved;
    world_deploy(w, &d);
    assert_true(agent_core_check(w->core));
}

static unsigned starts(const struct world *w)
{
    return w->n_instances;
}

/* Nothing of the reserved function runs, and still others cannot have its memory; it can,
 * at once and all of it. */
static void is_free_while_unused(void **state)
{
    struct world *w = world_new(400, 0);
    struct test_call soft[3], reserved[2];

    deploy_mib(w, "r", 100, 2, 2);
    deploy_mib(w, "soft", 100, 4, 0);
    for (int i = 0; i < 3; i++) {
        world_call(w, &soft[i], "soft");
    }
    assert_int_equal(starts(w), 2);
    world_call(w, &reserved[0], "r");
    world_call(w, &reserved[1], "r");
    assert_int_equal(starts(w), 4);
    world_ready(w, 2);
    world_ready(w, 3);
    assert_outcome(&reserved[0], DISPATCHED);
    assert_outcome(&reserved[1], DISPATCHED);
    world_free(w);
}

/* When its instances end, the memory is kept again; when the reservation ends, the one
 * who waited has it. */
static void is_kept_again_and_given_back(void **state)
{
    struct world *w = world_new(100, 0);
    struct deploy d = deploy_one("r", 1, 0);
    struct test_call c, soft;

    d.versions[0].spec.memory_mib = 100;
    d.versions[0].spec.idle_ms = 0;
    d.grants[0][0].reserved = 1;
    world_deploy(w, &d);
    deploy_mib(w, "soft", 100, 1, 0);
    world_call(w, &c, "r");
    world_ready(w, 0);
    world_done(w, &c);
    assert_stopped(w, 0, STOP_IDLE);
    world_gone(w, 0);
    world_call(w, &soft, "soft");
    assert_int_equal(starts(w), 1);
    d.grants[0][0].reserved = 0;
    world_apply(w, &d);
    assert_int_equal(starts(w), 2);
    world_ready(w, 1);
    assert_outcome(&soft, DISPATCHED);
    world_free(w);
}

/* A reservation that comes when idle instances stand in the memory makes them go at once,
 * the coldest first and no more than it needs. */
static void idle_ones_make_way(void **state)
{
    struct world *w = world_new(300, 0);
    struct test_call c[3];

    deploy_mib(w, "soft", 100, 3, 0);
    for (int i = 0; i < 3; i++) {
        world_call(w, &c[i], "soft");
        world_ready(w, (unsigned)i);
    }
    for (int i = 0; i < 3; i++) {
        world_pass_ms(w, 1);
        world_done(w, &c[i]);
    }
    deploy_mib(w, "r", 100, 2, 2);
    assert_stopped(w, 0, STOP_EVICTED);
    assert_stopped(w, 1, STOP_EVICTED);
    assert_int_equal(world_stopped(w), 2);
    world_free(w);
}

/* Busy ones finish their calls; nobody else gets what they leave. */
static void busy_ones_make_way_when_done(void **state)
{
    struct world *w = world_new(100, 0);
    struct test_call busy, soft, reserved;

    deploy_mib(w, "a", 100, 1, 0);
    deploy_mib(w, "b", 100, 1, 0);
    world_call(w, &busy, "a");
    world_ready(w, 0);
    world_call(w, &soft, "b");
    deploy_mib(w, "r", 100, 1, 1);
    assert_int_equal(world_stopped(w), 0);
    world_done(w, &busy);
    assert_stopped(w, 0, STOP_EVICTED);
    world_gone(w, 0);
    assert_int_equal(starts(w), 1);
    world_call(w, &reserved, "r");
    assert_int_equal(starts(w), 2);
    world_ready(w, 1);
    assert_outcome(&reserved, DISPATCHED);
    assert_outcome(&soft, NO_OUTCOME);
    world_free(w);
}

/* A claim on memory that is coming free does not stand against a reservation that comes
 * meanwhile. */
static void claims_make_way(void **state)
{
    struct world *w = world_new(100, 0);
    struct test_call c, soft, reserved;

    deploy_mib(w, "a", 100, 1, 0);
    deploy_mib(w, "b", 100, 1, 0);
    world_call(w, &c, "a");
    world_ready(w, 0);
    world_done(w, &c);
    world_call(w, &soft, "b");
    assert_stopped(w, 0, STOP_EVICTED);
    deploy_mib(w, "r", 100, 1, 1);
    world_gone(w, 0);
    assert_int_equal(starts(w), 1);
    world_call(w, &reserved, "r");
    assert_int_equal(starts(w), 2);
    assert_string_equal(function_name(version_function(world_instance(w, 1)->version)),
                        "r");
    world_free(w);
}

/* An idle instance within its function's reservation is not evicted for others: that
 * would free nothing. Beyond the reservation it is. */
static void own_idle_ones_are_spared(void **state)
{
    struct world *w = world_new(300, 0);
    struct test_call c[3], big, small;

    deploy_mib(w, "r", 100, 3, 2);
    deploy_mib(w, "big", 200, 1, 0);
    deploy_mib(w, "small", 100, 1, 0);
    for (int i = 0; i < 3; i++) {
        world_call(w, &c[i], "r");
        world_ready(w, (unsigned)i);
    }
    for (int i = 0; i < 3; i++) {
        world_pass_ms(w, 1);
        world_done(w, &c[i]);
    }
    world_call(w, &big, "big");
    assert_int_equal(world_stopped(w), 0);
    world_call(w, &small, "small");
    assert_stopped(w, 0, STOP_EVICTED);
    assert_int_equal(world_stopped(w), 1);
    assert_true(agent_core_check(w->core));
    world_free(w);
}

/* Two versions of a function share what is reserved for it. */
static void versions_share(void **state)
{
    struct world *w = world_new(200, 0);
    struct deploy d = deploy_one("r", 2, 0);
    struct test_call c, soft, candidate;

    d.versions[0].spec.memory_mib = 100;
    d.grants[0][0].reserved = 2;
    world_deploy(w, &d);
    deploy_mib(w, "soft", 100, 1, 0);
    world_call(w, &c, "r");
    world_ready(w, 0);
    deploy_version(&d, 2)->spec.memory_mib = 100;
    deploy_grant(&d, 1, "here", 2, 0);
    d.grants[1][0].reserved = 2;
    world_deploy(w, &d);
    world_call(w, &soft, "soft");
    assert_int_equal(starts(w), 1);
    world_call_version(w, &candidate, "r", 2, false);
    assert_int_equal(starts(w), 2);
    assert_int_equal(world_load(w, "r", 2).grant_reserved, 2);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_free_while_unused),
        cmocka_unit_test(is_kept_again_and_given_back),
        cmocka_unit_test(idle_ones_make_way),
        cmocka_unit_test(busy_ones_make_way_when_done),
        cmocka_unit_test(claims_make_way),
        cmocka_unit_test(own_idle_ones_are_spared),
        cmocka_unit_test(versions_share),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("agent core: reserved", tests, NULL, NULL);
}
