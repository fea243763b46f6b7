/* Other nodes: which of them get calls, and when. */
#include "tests/unit/agent_core_world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- peers ----------------------------------------------------------------------------
 */

/* What this node has no room for goes to one that was granted the version, never to one
 * that is not usable. As long as nothing was heard of them, each gets as many as it was
 * granted. A call that was forwarded here and is not taken back waits here. */
static void forwards_by_grant(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    struct test_call c[2];
    unsigned n1 = 0;

    world_peer(w, "n1", true);
    world_peer(w, "n2", true);
    world_peer(w, "n3", false);
    deploy_grant(&d, 0, "n1", 900, 0);
    deploy_grant(&d, 0, "n2", 300, 0);
    deploy_grant(&d, 0, "n3", 10000, 0);
    world_deploy(w, &d);
    world_ready(w, 0);
    world_call(w, &c[0], "f");
    assert_outcome(&c[0], DISPATCHED); /* here first */
    for (unsigned i = 0; i < 1199; i++) {
        world_call(w, &c[1], "f");
        assert_outcome(&c[1], FORWARDED);
        assert_false(c[1].call.may_wait);
        n1 += strcmp(c[1].node, "n1") == 0;
        assert_string_not_equal(c[1].node, "n3");
        world_done(w, &c[1]);
    }
    assert_in_range(n1, 899, 900);
    assert_int_equal(world_load(w, "f", 1).invocations, 0); /* counted where they ran */
    world_call_version(w, &c[1], "f", 0, true);
    assert_outcome(&c[1], NO_OUTCOME);
    world_free(w);
}

/* Waiting calls are forwarded as soon as there is a node to take them: it becomes usable,
 * or it is granted the version. Calls that were forwarded here stay. */
static void waiting_calls_are_forwarded(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    struct test_call c[4];

    deploy_grant(&d, 0, "n1", 1, 0);
    world_deploy(w, &d);
    world_ready(w, 0);
    world_call(w, &c[0], "f");
    world_call(w, &c[1], "f");
    world_call_version(w, &c[2], "f", 0, true);
    assert_outcome(&c[1], NO_OUTCOME);
    world_peer(w, "n1", true);
    assert_outcome(&c[1], FORWARDED);
    assert_outcome(&c[2], NO_OUTCOME);
    agent_core_peer_deleted(w->core, "n1");
    world_peer(w, "n2", true);
    world_call(w, &c[3], "f");
    assert_outcome(&c[3], NO_OUTCOME);
    deploy_grant(&d, 0, "n2", 1, 0);
    world_apply(w, &d);
    assert_outcome(&c[3], FORWARDED);
    assert_string_equal(c[3].node, "n2");
    world_free(w);
}

/* Where starts fail, calls go to nodes where they may not. */
static void failing_here_forwards(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 2, 0);
    struct test_call c[2];

    deploy_grant(&d, 0, "n1", 1, 0);
    world_deploy(w, &d);
    world_call(w, &c[0], "f");
    world_call(w, &c[1], "f");
    world_peer(w, "n1", true);
    assert_outcome(&c[0], NO_OUTCOME); /* instances are coming */
    world_fail(w, 0, CAUSE_START_FAILED, "no such file");
    assert_outcome(&c[1], FORWARDED);
    assert_outcome(&c[0], NO_OUTCOME); /* the other start is for this one */
    world_fail(w, 1, CAUSE_START_FAILED, "no such file");
    assert_outcome(&c[0], FORWARDED);
    world_free(w);
}

/* A node that never answers does not keep a forwarded call for ever. */
static void forwarded_call_has_a_deadline(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 0, 0);
    struct test_call c;

    world_peer(w, "n1", true);
    deploy_grant(&d, 0, "n1", 1, 0);
    world_deploy(w, &d);
    world_call(w, &c, "f");
    assert_outcome(&c, FORWARDED);
    world_pass_ms(w, d.versions[0].spec.queue_timeout_ms + d.versions[0].spec.timeout_ms);
    assert_outcome(&c, FORWARDED); /* the other node has the first word */
    world_pass_ms(w, CORE_FORWARD_SLACK_MS);
    assert_outcome(&c, TIMED_OUT);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forwards_by_grant),
        cmocka_unit_test(waiting_calls_are_forwarded),
        cmocka_unit_test(failing_here_forwards),
        cmocka_unit_test(forwarded_call_has_a_deadline),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("agent core: peers", tests, NULL, NULL);
}
