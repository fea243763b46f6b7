/* How calls end, and what is counted of them. */
#include "tests/unit/agent_core_world.h"

#include <string.h>

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
    w = world_warm(&d, 1);
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
    w = world_warm(&d, 1);
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
    w = world_warm(&d, 1);
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
    w = world_warm(&d, 1);
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
    w = world_warm(&d, 1);
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
    w = world_warm(&d, 1);
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
    struct world *w = world_warm(&d, 1);
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
    struct world *w = world_warm(&d, 1);
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
    w = world_warm(&d, 1);
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
    struct world *w = world_warm(&d, 1);

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
    struct world *w = world_warm(&d, 1);
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
    struct world *w = world_warm(&d, 1);
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
        cmocka_unit_test(load_is_counted),
        cmocka_unit_test(waiting_is_reported),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("agent core: ends of calls", tests, NULL, NULL);
}
