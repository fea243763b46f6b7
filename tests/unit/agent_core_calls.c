/* The way of a call: where it runs, how long it waits, how it ends. */
#include "tests/unit/agent_core_world.h"

#include <string.h>

/* One version on this node with `max` instances, all ready and idle. */
static struct world *warm_world(struct deploy *d, unsigned max)
{
    struct world *w = world_new(0, 0);

    deploy_grant(d, 0, "here", max, max);
    world_deploy(w, d);
    for (unsigned i = 0; i < max; i++) {
        world_ready(w, i);
    }
    return w;
}

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
    struct world *w = warm_world(&d, 3);
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
    w = warm_world(&d, 2);
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
    w = warm_world(&d, 1);
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
    w = warm_world(&d, 1);
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

/* --- ends -----------------------------------------------------------------------------
 */

/* A call that overruns is answered then, and its instance is killed. A call that waits
 * gets a new one, as soon as the old one is gone. */
static void overrun_kills_the_instance(void **state)
{
    struct deploy d = deploy_one("f", 1, 0);
    struct world *w;
    struct test_call c[2];

    d.versions[0].spec.timeout_ms = 500;
    w = warm_world(&d, 1);
    w->now_us += 999; /* a part of a millisecond is the call's */
    world_call(w, &c[0], "f");
    world_call(w, &c[1], "f");
    world_pass_ms(w, 500);
    assert_outcome(&c[0], DISPATCHED);
    world_pass_ms(w, 1);
    assert_outcome(&c[0], TIMED_OUT);
    assert_stopped(w, 0, STOP_TIMEOUT);
    assert_int_equal(w->n_instances, 1);
    world_gone(w, 0);
    assert_int_equal(w->n_instances, 2);
    world_ready(w, 1);
    assert_outcome(&c[1], DISPATCHED);
    world_free(w);
}

/* Other calls on the same instance run on; it takes no new ones and is killed when they
 * have ended. */
static void overrun_leaves_neighbours(void **state)
{
    struct deploy d = deploy_one("f", 1, 0);
    struct world *w;
    struct test_call c[3];

    d.versions[0].spec.timeout_ms = 500;
    d.versions[0].spec.concurrency = 2;
    w = warm_world(&d, 1);
    world_call(w, &c[0], "f");
    world_pass_ms(w, 200);
    world_call(w, &c[1], "f");
    world_pass_ms(w, 300);
    assert_outcome(&c[0], TIMED_OUT);
    assert_outcome(&c[1], DISPATCHED);
    assert_int_equal(world_instance(w, 0)->state, INSTANCE_DRAINING);
    world_call(w, &c[2], "f");
    assert_outcome(&c[2], NO_OUTCOME);
    world_done(w, &c[1]);
    assert_stopped(w, 0, STOP_TIMEOUT);
    world_free(w);
}

/* A tunnel has not overrun when its time is over: its instance goes on. */
static void overrun_of_a_tunnel_keeps_the_instance(void **state)
{
    struct deploy d = deploy_one("f", 1, 0);
    struct world *w;
    struct test_call c;

    d.versions[0].spec.timeout_ms = 500;
    w = warm_world(&d, 1);
    world_call(w, &c, "f");
    c.call.tunnel = true;
    world_pass_ms(w, 500);
    assert_outcome(&c, TIMED_OUT);
    assert_int_equal(world_stopped(w), 0);
    world_call(w, &c, "f");
    assert_outcome(&c, DISPATCHED);
    world_free(w);
}

/* exec with several calls in a sandbox: the edge kills the call's processes, the sandbox
 * goes on. */
static void overrun_of_exec_keeps_the_instance(void **state)
{
    struct deploy d = deploy_one("f", 1, 0);
    struct world *w;
    struct test_call c;

    d.versions[0].spec.timeout_ms = 500;
    d.versions[0].spec.concurrency = 2;
    d.versions[0].spec.runtime = SPEC_RUNTIME_EXEC;
    w = warm_world(&d, 1);
    world_call(w, &c, "f");
    world_pass_ms(w, 500);
    assert_outcome(&c, TIMED_OUT);
    assert_int_equal(world_stopped(w), 0);
    world_call(w, &c, "f");
    assert_outcome(&c, DISPATCHED);
    world_free(w);
}

/* exec alone in its sandbox: what the call left behind out of its process group goes with
 * the sandbox. */
static void overrun_of_a_lone_exec_ends_the_instance(void **state)
{
    struct deploy d = deploy_one("f", 1, 0);
    struct world *w;
    struct test_call c;

    d.versions[0].spec.timeout_ms = 500;
    d.versions[0].spec.runtime = SPEC_RUNTIME_EXEC;
    w = warm_world(&d, 1);
    world_call(w, &c, "f");
    world_pass_ms(w, 500);
    assert_outcome(&c, TIMED_OUT);
    assert_stopped(w, 0, STOP_TIMEOUT);
    world_free(w);
}

/* A sandbox in which a call's process cannot be started is not given the next call; the
 * calls that run in there are not disturbed. */
static void start_that_fails_ends_the_instance(void **state)
{
    struct deploy d = deploy_one("f", 1, 0);
    struct world *w;
    struct test_call c[3];

    d.versions[0].spec.concurrency = 2;
    d.versions[0].spec.runtime = SPEC_RUNTIME_EXEC;
    w = warm_world(&d, 1);
    world_call(w, &c[0], "f");
    world_call(w, &c[1], "f");
    world_done_with(w, &c[1], CAUSE_START_FAILED);
    assert_int_equal(world_instance(w, 0)->state, INSTANCE_DRAINING);
    world_call(w, &c[2], "f");
    assert_outcome(&c[2], NO_OUTCOME);
    world_done(w, &c[0]);
    assert_stopped(w, 0, STOP_FAILED);
    world_free(w);
}

/* Without reuse each call gets an instance of its own, thrown away after it. */
static void fresh_instance_a_call(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call c[2];

    d.versions[0].spec.runtime = SPEC_RUNTIME_EXEC;
    d.versions[0].spec.reuse = false;
    world_deploy(w, &d);
    world_call(w, &c[0], "f");
    world_call(w, &c[1], "f");
    world_ready(w, 0);
    world_done(w, &c[0]);
    assert_stopped(w, 0, STOP_FRESH);
    assert_int_equal(w->n_instances, 1);
    world_gone(w, 0);
    world_ready(w, 1);
    assert_outcome(&c[1], DISPATCHED);
    world_free(w);
}

/* A caller that leaves the queue is forgotten, and so is its place. */
static void cancel_while_waiting(void **state)
{
    struct deploy d = deploy_one("f", 1, 1);
    struct world *w = warm_world(&d, 1);
    struct test_call c[3];

    for (unsigned i = 0; i < 3; i++) {
        world_call(w, &c[i], "f");
    }
    agent_core_call_cancel(w->core, &c[1].call, true);
    world_done(w, &c[0]);
    assert_outcome(&c[2], DISPATCHED);
    assert_outcome(&c[1], NO_OUTCOME);
    world_free(w);
}

/* A caller that goes while its call runs: the instance stays if the runtime can drop one
 * call, else it is killed. */
static void cancel_while_running(void **state)
{
    struct deploy d = deploy_one("f", 1, 0);
    struct world *w = warm_world(&d, 1);
    struct test_call c;

    world_call(w, &c, "f");
    agent_core_call_cancel(w->core, &c.call, true);
    assert_int_equal(world_instance(w, 0)->state, INSTANCE_IDLE);
    world_call(w, &c, "f");
    agent_core_call_cancel(w->core, &c.call, false);
    assert_stopped(w, 0, STOP_CANCELED);
    assert_int_equal(world_load(w, "f", 1).errors, 0);
    assert_int_equal(world_load(w, "f", 1).invocations, 2);
    world_free(w);
}

/* Usage: every call counts, its time times its memory is rounded up, and only failures
 * are errors. */
static void counts_usage(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct version_load l;
    struct test_call c;

    d.versions[0].spec.memory_mib = 100;
    world_deploy(w, &d);
    world_call(w, &c, "f");
    world_ready(w, 0);
    w->now_us += 1501; /* 1.501 ms times 100 MiB: 150.1, so 151 */
    agent_core_call_done(w->core, &c.call, CAUSE_NONE, 77);
    world_call(w, &c, "f");
    w->now_us += 2000;
    agent_core_call_done(w->core, &c.call, CAUSE_FUNCTION_ERROR, 3);
    l = world_load(w, "f", 1);
    assert_int_equal(l.invocations, 2);
    assert_int_equal(l.cold_starts, 1);
    assert_int_equal(l.errors, 1);
    assert_int_equal(l.cpu_us, 80);
    assert_int_equal(l.gb_ms, 151 + 200);
    assert_int_equal(l.in_flight, 0);
    assert_int_equal(l.idle, 1);
    assert_int_equal(l.grant_max, 1);
    assert_int_equal(l.begun, 2);
    world_free(w);
}

/* An instance's processor time is its version's while it runs, also without a call, and
 * when it ends; of `exec` calls alone say what they took. */
static void counts_processor_time(void **state)
{
    struct deploy d = deploy_one("f", 1, 0), e = deploy_one("e", 1, 0);
    struct world *w;
    struct test_call c;

    d.versions[0].spec.runtime = SPEC_RUNTIME_HTTP;
    e.versions[0].spec.runtime = SPEC_RUNTIME_EXEC;
    w = warm_world(&d, 1);
    world_call(w, &c, "f");
    agent_core_instance_cpu(w->core, world_instance(w, 0), 1000);
    assert_int_equal(world_load(w, "f", 1).cpu_us, 1000);
    world_done(w, &c);
    agent_core_instance_cpu(w->core, world_instance(w, 0), 200);
    world_deploy(w, &e);
    world_call(w, &c, "e");
    world_ready(w, 1);
    agent_core_instance_cpu(w->core, world_instance(w, 1), 5000);
    agent_core_call_done(w->core, &c.call, CAUSE_NONE, 30);
    assert_int_equal(world_load(w, "e", 1).cpu_us, 30);
    agent_core_function_deleted(w->core, "default", "f", ++w->revision);
    agent_core_instance_cpu(w->core, world_instance(w, 0), 34);
    world_gone(w, 0);
    assert_int_equal(world_load(w, "f", 1).cpu_us, 1234);
    world_free(w);
}

/* A version that had no call is still told of when it is over, if its instances took
 * processor time: the last of it would be lost. */
static void last_processor_time_is_told(void **state)
{
    struct deploy d = deploy_one("f", 1, 1);
    struct world *w = warm_world(&d, 1);

    agent_core_function_deleted(w->core, "default", "f", ++w->revision);
    assert_int_equal(world_stopped(w), 1);
    agent_core_instance_cpu(w->core, world_instance(w, 0), 77);
    world_gone(w, 0);
    assert_int_equal(world_load(w, "f", 1).cpu_us, 77);
    world_tell(w);
    world_pass_ms(w, CORE_LINGER_MS + 1000);
    assert_int_equal(world_load(w, "f", 1).cpu_us, 0);
    world_free(w);
}

/* Load is the time that calls waited and ran, both of them for each. */
static void load_is_counted(void **state)
{
    struct deploy d = deploy_one("f", 1, 1);
    struct world *w = warm_world(&d, 1);
    uint64_t before = world_load(w, "f", 1).load_us;
    struct test_call c[2];

    world_call(w, &c[0], "f");
    w->now_us += 1000;
    world_call(w, &c[1], "f");
    w->now_us += 500; /* one runs, one waits */
    assert_int_equal(world_load(w, "f", 1).load_us, before + 2000);
    agent_core_call_done(w->core, &c[0].call, CAUSE_NONE, 0);
    w->now_us += 300;
    agent_core_call_done(w->core, &c[1].call, CAUSE_NONE, 0);
    w->now_us += 5000;
    assert_int_equal(world_load(w, "f", 1).load_us, before + 2300);
    world_free(w);
}

/* The controller hears at once that calls wait, and again when twice as many do: it is
 * what makes it grant more. */
static void waiting_is_reported(void **state)
{
    struct deploy d = deploy_one("f", 1, 1);
    struct world *w = warm_world(&d, 1);
    static const unsigned said[] = {1, 2, 2, 3, 3, 3, 3, 4}; /* at 1, 2, 4 and 8 */
    struct test_call c[9];
    unsigned before;

    world_call(w, &c[0], "f");
    before = w->n_reports_soon;
    for (unsigned i = 0; i < 8; i++) {
        world_call(w, &c[1 + i], "f");
        assert_int_equal(w->n_reports_soon, before + said[i]);
    }
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
        cmocka_unit_test(overrun_kills_the_instance),
        cmocka_unit_test(overrun_leaves_neighbours),
        cmocka_unit_test(overrun_of_a_tunnel_keeps_the_instance),
        cmocka_unit_test(overrun_of_exec_keeps_the_instance),
        cmocka_unit_test(overrun_of_a_lone_exec_ends_the_instance),
        cmocka_unit_test(start_that_fails_ends_the_instance),
        cmocka_unit_test(fresh_instance_a_call),
        cmocka_unit_test(cancel_while_waiting),
        cmocka_unit_test(cancel_while_running),
        cmocka_unit_test(counts_usage),
        cmocka_unit_test(counts_processor_time),
        cmocka_unit_test(last_processor_time_is_told),
        cmocka_unit_test(waiting_is_reported),
        cmocka_unit_test(load_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
