/* The way of a call: where it runs, how long it waits, how it ends. */
#include "tests/unit/agent_core_world.h"

#include <string.h>

/* A first call starts an instance, waits for it and runs on it; the second finds it warm.
 */
static void cold_then_warm(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 3, 0);
    struct test_call c;

    world_deploy(w, &d);
    world_call(w, &c, "f");
    assert_outcome(&c, NO_OUTCOME);
    assert_int_equal(w->n_instances, 1);
    world_ready(w, 0);
    assert_outcome(&c, DISPATCHED);
    assert_true(c.call.cold);
    world_done(w, &c);
    world_call(w, &c, "f");
    assert_outcome(&c, DISPATCHED);
    assert_false(c.call.cold);
    world_done(w, &c);
    assert_int_equal(w->n_instances, 1);
    world_free(w);
}

/* Of several idle instances the one that was used last is taken. */
static void hottest_first(void **state)
{
    struct deploy d = deploy_one("f", 3, 3);
    struct world *w = world_warm(&d, 3);
    struct test_call c[2];
    struct instance *last;

    world_call(w, &c[0], "f");
    world_call(w, &c[1], "f");
    last = c[0].call.instance;
    world_done(w, &c[1]);
    world_done(w, &c[0]);
    world_call(w, &c[0], "f");
    assert_ptr_equal(c[0].call.instance, last);
    world_done(w, &c[0]);
    world_free(w);
}

/* With concurrency 2 calls fill the idle instances, then their free slots, and only then
 * is another started. */
static void fills_slots_before_starting(void **state)
{
    struct deploy d = deploy_one("f", 3, 0);
    struct world *w;
    struct test_call c[5];

    d.versions[0].spec.concurrency = 2;
    w = world_warm(&d, 2);
    deploy_grant(&d, 0, "here", 3, 0);
    world_apply(w, &d);
    for (unsigned i = 0; i < 4; i++) {
        world_call(w, &c[i], "f");
        assert_outcome(&c[i], DISPATCHED);
    }
    assert_int_equal(world_instance(w, 0)->n_calls, 2);
    assert_int_equal(world_instance(w, 1)->n_calls, 2);
    assert_int_equal(w->n_instances, 2);
    world_call(w, &c[4], "f");
    assert_outcome(&c[4], NO_OUTCOME);
    assert_int_equal(w->n_instances, 3);
    world_done(w, &c[0]); /* it is not the new one that takes it after all */
    assert_outcome(&c[4], DISPATCHED);
    assert_false(c[4].call.cold);
    world_free(w);
}

/* Waiting calls start as many instances as they need together, and no more. */
static void no_thundering_herd(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 20, 0);
    struct test_call c[10];

    d.versions[0].spec.concurrency = 4;
    world_deploy(w, &d);
    for (unsigned i = 0; i < 10; i++) {
        world_call(w, &c[i], "f");
    }
    assert_int_equal(w->n_instances, 3);
    world_ready(w, 1);
    assert_outcome(&c[3], DISPATCHED);
    assert_outcome(&c[4], NO_OUTCOME);
    assert_int_equal(w->n_instances, 3);
    world_free(w);
}

/* No more instances than granted; the rest wait and run in the order in which they came.
 */
static void waits_in_order(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 2, 0);
    struct test_call c[5];

    world_deploy(w, &d);
    for (unsigned i = 0; i < 5; i++) {
        world_call(w, &c[i], "f");
    }
    assert_int_equal(w->n_instances, 2);
    assert_int_equal(world_load(w, "f", 1).queued, 5);
    world_ready(w, 0);
    world_ready(w, 1);
    assert_outcome(&c[1], DISPATCHED);
    assert_outcome(&c[2], NO_OUTCOME);
    world_done(w, &c[1]);
    assert_outcome(&c[2], DISPATCHED);
    assert_outcome(&c[3], NO_OUTCOME);
    world_free(w);
}

/* Beyond queue_max a call is told at once to come back later. */
static void full_queue_throttles(void **state)
{
    struct deploy d = deploy_one("f", 1, 1);
    struct world *w;
    struct test_call c[4];

    d.versions[0].spec.queue_max = 2;
    w = world_warm(&d, 1);
    for (unsigned i = 0; i < 4; i++) {
        world_call(w, &c[i], "f");
    }
    assert_outcome(&c[2], NO_OUTCOME);
    assert_rejected(&c[3], CAUSE_THROTTLED);
    assert_int_equal(c[3].retry_after_s, CORE_RETRY_AFTER_S);
    assert_non_null(strstr(c[3].text, "queue_max is 2"));
    world_free(w);
}

/* Calls that an instance is coming for do not count against queue_max. */
static void coming_instances_are_not_queue(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 3, 0);
    struct test_call c[5];

    d.versions[0].spec.queue_max = 1;
    world_deploy(w, &d);
    for (unsigned i = 0; i < 5; i++) {
        world_call(w, &c[i], "f");
    }
    assert_int_equal(w->n_instances, 3);
    assert_outcome(&c[3], NO_OUTCOME);
    assert_rejected(&c[4], CAUSE_THROTTLED);
    world_free(w);
}

/* A call that waits for a busy instance longer than queue_timeout gives up, not sooner.
 */
static void waits_no_longer_than_queue_timeout(void **state)
{
    struct deploy d = deploy_one("f", 1, 1);
    struct world *w;
    struct test_call c[2];

    d.versions[0].spec.queue_timeout_ms = 700;
    w = world_warm(&d, 1);
    world_call(w, &c[0], "f");
    world_call(w, &c[1], "f");
    world_pass_ms(w, 699);
    assert_outcome(&c[1], NO_OUTCOME);
    world_pass_ms(w, 1);
    assert_rejected(&c[1], CAUSE_QUEUE_TIMEOUT);
    assert_int_equal(c[1].retry_after_s, CORE_RETRY_AFTER_S);
    world_free(w);
}

/* queue_max and queue_timeout of 0 mean that no call waits for another to end; the start
 * of its own instance it does wait for. */
static void no_queue_still_starts(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call c[2];

    d.versions[0].spec.queue_max = 0;
    d.versions[0].spec.queue_timeout_ms = 0;
    world_deploy(w, &d);
    world_call(w, &c[0], "f");
    assert_outcome(&c[0], NO_OUTCOME);
    world_pass_ms(w, 50);
    world_ready(w, 0);
    assert_outcome(&c[0], DISPATCHED);
    world_call(w, &c[1], "f");
    assert_rejected(&c[1], CAUSE_THROTTLED);
    world_free(w);
}

/* A name that was never deployed is told so, with the name. */
static void unknown_is_not_found(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call c;

    world_deploy(w, &d);
    world_call(w, &c, "nope");
    assert_rejected(&c, CAUSE_NOT_FOUND);
    assert_non_null(strstr(c.text, "default/nope"));
    world_call_version(w, &c, "f", 9, false);
    assert_rejected(&c, CAUSE_NOT_FOUND);
    assert_non_null(strstr(c.text, "version 9"));
    world_free(w);
}

/* The same name in two namespaces is two functions. */
static void namespaces_are_apart(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call c;

    d.namespace_ = "team";
    world_deploy(w, &d);
    world_call(w, &c, "f");
    assert_rejected(&c, CAUSE_NOT_FOUND);
    c = (struct test_call){.outcome = NO_OUTCOME};
    agent_core_call(w->core, &c.call, "team", "f", 0, false);
    assert_int_equal(w->n_instances, 1);
    assert_string_equal(function_namespace(c.call.function), "team");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cold_then_warm),
        cmocka_unit_test(hottest_first),
        cmocka_unit_test(fills_slots_before_starting),
        cmocka_unit_test(no_thundering_herd),
        cmocka_unit_test(waits_in_order),
        cmocka_unit_test(full_queue_throttles),
        cmocka_unit_test(coming_instances_are_not_queue),
        cmocka_unit_test(waits_no_longer_than_queue_timeout),
        cmocka_unit_test(no_queue_still_starts),
        cmocka_unit_test(unknown_is_not_found),
        cmocka_unit_test(namespaces_are_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
