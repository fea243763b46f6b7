/* What an agent remembers of its calls for people: how long they took, and why the latest
 * one met no instance that was ready. */
#include "tests/unit/agent_core_world.h"

#include <string.h>

#include "common/latency.h"

static struct version_load seen(struct world *w)
{
    return world_load(w, "f", 1);
}

/* Ended calls are counted from their arrival: the wait for the start is part of it. What
 * has not ended, or never ran, is not counted. */
static void latency_from_arrival(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call c, waits;
    unsigned bucket = latency_bucket(350 * 1000);

    world_deploy(w, &d);
    assert_int_equal(seen(w).n_latency, 0);
    world_call(w, &c, "f");
    world_pass_ms(w, 300);
    world_ready(w, 0);
    world_call(w, &waits, "f");
    world_pass_ms(w, 50);
    assert_int_equal(seen(w).n_latency, 0);
    world_done(w, &c);
    assert_int_equal(seen(w).n_latency, bucket + 1);
    assert_int_equal(seen(w).latency[bucket], 1);
    world_free(w);
}

/* A cold start tells why the instance was started, how long that took, and how long the
 * call waited. */
static void cold_starts(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 3, 0);
    struct test_call c[3];

    world_deploy(w, &d);
    assert_int_equal(seen(w).last_cold.at_ms, 0);
    world_call(w, &c[0], "f");
    world_pass_ms(w, 40);
    world_ready(w, 0);
    assert_int_equal(seen(w).last_cold.reason, COLD_NEW);
    assert_int_equal(seen(w).last_cold.at_ms, world_ms(w));
    assert_int_equal(seen(w).last_cold.start_ms, 40);
    assert_int_equal(seen(w).last_cold.waited_ms, 40);

    world_call(w, &c[1], "f");
    world_call(w, &c[2], "f");
    world_pass_ms(w, 70);
    world_ready(w, 1);
    assert_int_equal(seen(w).last_cold.reason, COLD_BUSY);
    assert_int_equal(seen(w).last_cold.start_ms, 70);
    assert_int_equal(seen(w).last_wait.at_ms, 0);
    world_ready(w, 2);
    for (int i = 0; i < 3; i++) {
        world_done(w, &c[i]);
    }
    world_free(w);
}

/* After the last instance went, the next call starts one from zero; a second call beside
 * it starts one because the first is not ready yet. */
static void cold_from_zero(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 3, 0);
    struct test_call c[2];

    world_deploy(w, &d);
    world_call(w, &c[0], "f");
    world_ready(w, 0);
    world_done(w, &c[0]);
    agent_core_instance_failed(w->core, world_instance(w, 0), CAUSE_CRASHED, "it ended");
    world_gone(w, 0);
    world_pass_ms(w, 60000);
    world_call(w, &c[0], "f");
    world_call(w, &c[1], "f");
    world_ready(w, 1);
    assert_int_equal(seen(w).last_cold.reason, COLD_ZERO);
    world_ready(w, 2);
    assert_int_equal(seen(w).last_cold.reason, COLD_COMING);
    world_free(w);
}

/* A call that waited for a busy instance tells what kept it; one that an instance was
 * started for does not: that is a cold start. */
static void waits(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call c[2];

    world_deploy(w, &d);
    world_call(w, &c[0], "f");
    world_ready(w, 0);
    world_call(w, &c[1], "f");
    world_pass_ms(w, 25);
    assert_int_equal(seen(w).last_wait.at_ms, 0);
    world_done(w, &c[0]);
    assert_outcome(&c[1], DISPATCHED);
    assert_int_equal(seen(w).last_wait.reason, WAIT_LIMIT);
    assert_int_equal(seen(w).last_wait.waited_ms, 25);
    assert_int_equal(seen(w).last_wait.at_ms, world_ms(w));
    assert_int_equal(seen(w).last_cold.reason, COLD_NEW);
    world_free(w);
}

/* A call that waits for the package: that is no cold start's fault alone. */
static void waits_for_the_package(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call c;

    world_apply(w, &d);
    world_call(w, &c, "f");
    world_pass_ms(w, 500);
    world_package(w, 1);
    world_ready(w, 0);
    assert_outcome(&c, DISPATCHED);
    assert_int_equal(seen(w).last_wait.reason, WAIT_PACKAGE);
    assert_int_equal(seen(w).last_wait.waited_ms, 500);
    assert_int_equal(seen(w).last_cold.reason, COLD_NEW);
    world_free(w);
}

/* What a refused caller was told is remembered; that a name is not there is not. */
static void refusals(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call c[3], unknown;

    d.versions[0].spec.queue_max = 1;
    world_deploy(w, &d);
    world_call(w, &c[0], "f");
    world_ready(w, 0);
    world_call(w, &c[1], "f");
    world_call_named(w, &unknown, "f", "nobody", 0);
    assert_rejected(&unknown, CAUSE_NOT_FOUND);
    assert_int_equal(seen(w).last_refused.at_ms, 0);
    world_pass_ms(w, 10);
    world_call(w, &c[2], "f");
    assert_rejected(&c[2], CAUSE_THROTTLED);
    assert_int_equal(seen(w).last_refused.cause, CAUSE_THROTTLED);
    assert_string_equal(seen(w).last_refused.text, c[2].text);
    assert_int_equal(seen(w).last_refused.at_ms, world_ms(w));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latency_from_arrival),  cmocka_unit_test(cold_starts),
        cmocka_unit_test(cold_from_zero),        cmocka_unit_test(waits),
        cmocka_unit_test(waits_for_the_package), cmocka_unit_test(refusals),
    };

    return cmocka_run_group_tests_name("agent_core_seen", tests, NULL, NULL);
}
