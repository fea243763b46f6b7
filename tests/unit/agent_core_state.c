/* What the controller streams: functions, versions, grants, snapshots; and what becomes
 * of the calls and instances that are there when it changes. */
#include "tests/unit/agent_core_world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- versions -------------------------------------------------------------------------
 */

/* When another version serves, new calls and those that wait go to it; what runs on the
 * old one ends there, and only then is its instance stopped. */
static void serving_changes(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    struct test_call c[3];

    world_deploy(w, &d);
    world_ready(w, 0);
    world_call(w, &c[0], "f");
    world_call(w, &c[1], "f");
    (void)deploy_version(&d, 2);
    deploy_grant(&d, 1, "here", 1, 1);
    world_deploy(w, &d);
    world_ready(w, 1);
    assert_outcome(&c[1], NO_OUTCOME); /* version 2 is only a candidate */
    d.serving = 2;
    deploy_drop(&d, 0);
    world_apply(w, &d);
    assert_outcome(&c[1], DISPATCHED);
    assert_int_equal(version_number(c[1].call.version), 2);
    assert_int_equal(world_instance(w, 0)->state, INSTANCE_DRAINING);
    world_done(w, &c[0]);
    assert_stopped(w, 0, STOP_RETIRED);
    world_done(w, &c[1]);
    world_call(w, &c[2], "f");
    assert_int_equal(version_number(c[2].call.version), 2);
    world_free(w);
}

/* A new serving version that nobody was granted yet does not take the function down. */
static void old_serves_until_new_has_a_place(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    struct test_call c;

    world_deploy(w, &d);
    world_ready(w, 0);
    (void)deploy_version(&d, 2);
    d.serving = 2;
    world_deploy(w, &d);
    world_call(w, &c, "f");
    assert_int_equal(version_number(c.call.version), 1);
    world_done(w, &c);
    world_peer(w, "n1", true);
    deploy_grant(&d, 1, "n1", 1, 1);
    world_apply(w, &d);
    world_call(w, &c, "f");
    assert_outcome(&c, FORWARDED);
    world_free(w);
}

/* A call that named its version waits for just that one, and is told when it is retired.
 */
static void named_version_is_kept_to(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    struct test_call c[2];

    world_deploy(w, &d);
    (void)deploy_version(&d, 2);
    deploy_grant(&d, 1, "here", 1, 0);
    world_deploy(w, &d);
    world_call_version(w, &c[0], "f", 1, false);
    world_call_version(w, &c[1], "f", 2, false);
    assert_int_equal(version_number(c[1].call.version), 2);
    d.serving = 2;
    world_apply(w, &d);
    assert_outcome(&c[0], NO_OUTCOME);
    deploy_drop(&d, 0);
    world_apply(w, &d);
    assert_rejected(&c[0], CAUSE_NOT_FOUND);
    assert_non_null(strstr(c[0].text, "retired"));
    assert_outcome(&c[1], NO_OUTCOME);
    world_free(w);
}

/* A deleted function rejects who waits, lets run what runs, and is unknown at once. */
static void deleted_function(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    struct test_call c[3];

    world_deploy(w, &d);
    world_ready(w, 0);
    world_call(w, &c[0], "f");
    world_call(w, &c[1], "f");
    agent_core_function_deleted(w->core, "default", "f", ++w->revision);
    assert_outcome(&c[0], DISPATCHED);
    assert_rejected(&c[1], CAUSE_NOT_FOUND);
    world_call(w, &c[2], "f");
    assert_rejected(&c[2], CAUSE_NOT_FOUND);
    world_done(w, &c[0]);
    assert_stopped(w, 0, STOP_RETIRED);
    assert_int_equal(w->n_drops, 0); /* the instance still runs from it */
    assert_int_equal(w->n_left, 0);
    world_gone(w, 0);
    assert_int_equal(w->n_drops, 1);
    assert_int_equal(w->n_left, 1);
    world_free(w);
}

/* The last calls of a version that is over are still in the loads, for a while. */
static void last_calls_are_counted(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    struct test_call c;

    world_deploy(w, &d);
    world_ready(w, 0);
    world_call(w, &c, "f");
    agent_core_function_deleted(w->core, "default", "f", ++w->revision);
    world_done(w, &c);
    world_gone(w, 0);
    assert_int_equal(world_load(w, "f", 1).invocations, 1);
    world_tell(w);
    world_pass_ms(w, CORE_LINGER_MS - 1);
    assert_int_equal(world_load(w, "f", 1).invocations, 1);
    world_pass_ms(w, 1);
    assert_int_equal(world_load(w, "f", 1).version, 0);
    world_free(w);
}

/* Deleted and deployed again, a function counts its versions from 1 again. Version 1 is
 * then another one: instances of the old are not used, and counters never go back. */
static void deployed_again(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    struct test_call c[2];

    world_deploy(w, &d);
    world_ready(w, 0);
    world_call(w, &c[0], "f");
    world_done(w, &c[0]);
    world_call(w, &c[0], "f");
    d.versions[0].spec.timeout_ms = 12345; /* the deletion itself was missed */
    world_apply(w, &d);
    assert_int_equal(world_instance(w, 0)->state, INSTANCE_DRAINING);
    world_call(w, &c[1], "f");
    assert_int_equal(w->n_instances, 2);
    world_done(w, &c[0]);
    world_gone(w, 0);
    world_ready(w, 1);
    assert_int_equal(version_spec(c[1].call.version)->timeout_ms, 12345);
    world_done(w, &c[1]);
    assert_int_equal(world_load(w, "f", 1).invocations, 3);
    world_free(w);
}

/* --- revisions and snapshots ----------------------------------------------------------
 */

/* Old and repeated news is no news. */
static void old_revisions_are_ignored(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);

    assert_int_equal(world_try(w, &d, 10), 0);
    deploy_grant(&d, 0, "here", 5, 0);
    assert_int_equal(world_try(w, &d, 9), 0);
    assert_int_equal(world_try(w, &d, 10), 0);
    assert_int_equal(world_load(w, "f", 1).grant_max, 1);
    assert_int_equal(world_try(w, &d, 11), 0);
    assert_int_equal(world_load(w, "f", 1).grant_max, 5);
    agent_core_function_deleted(w->core, "default", "f", 8);
    assert_int_equal(world_load(w, "f", 1).grant_max, 5);
    world_free(w);
}

/* Late news does not bring a deleted function back. */
static void deleted_stays_deleted(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call c;

    assert_int_equal(world_try(w, &d, 10), 0);
    agent_core_function_deleted(w->core, "default", "f", 12);
    assert_int_equal(world_try(w, &d, 11), 0);
    world_call(w, &c, "f");
    assert_rejected(&c, CAUSE_NOT_FOUND);
    assert_int_equal(world_try(w, &d, 13), 0);
    world_call(w, &c, "f");
    assert_outcome(&c, NO_OUTCOME);
    world_free(w);
}

/* Deleted functions are remembered, but not for ever. */
static void memory_of_the_deleted_is_bounded(void **state)
{
    struct world *w = world_new(0, 0);
    char name[SPEC_NAME_MAX + 1];

    for (unsigned i = 0; i < CORE_TOMBSTONES_MAX + 50; i++) {
        struct deploy d = deploy_one(name, 1, 0);

        (void)snprintf(name, sizeof(name), "f%u", i);
        assert_int_equal(world_try(w, &d, ++w->revision), 0);
        agent_core_function_deleted(w->core, "default", name, ++w->revision);
    }
    assert_int_equal(w->core->by_name.n, CORE_TOMBSTONES_MAX);
    world_free(w);
}

/* What a snapshot does not name is gone when it ends; what it names again is as it was,
 * though its revision is the same. */
static void snapshot_replaces_all(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy kept = deploy_one("kept", 1, 1);
    struct deploy lost = deploy_one("lost", 1, 1);
    struct test_call c;

    world_peer(w, "n1", true);
    world_peer(w, "n2", true);
    deploy_grant(&kept, 0, "n1", 1, 0);
    deploy_grant(&kept, 0, "n2", 1, 0);
    world_deploy(w, &kept);
    world_deploy(w, &lost);
    world_ready(w, 0);
    world_ready(w, 1);
    agent_core_snapshot_begin(w->core);
    world_peer(w, "n2", true);
    deploy_grant(&kept, 0, "here", 0, 0);
    assert_int_equal(world_try(w, &kept, 1), 0); /* the revision that it has */
    assert_int_equal(world_stopped(w), 1);
    world_call(w, &c, "lost");
    assert_outcome(&c, DISPATCHED); /* not before the end */
    world_done(w, &c);
    agent_core_snapshot_end(w->core);
    assert_int_equal(world_stopped(w), 2);
    world_call(w, &c, "lost");
    assert_rejected(&c, CAUSE_NOT_FOUND);
    for (unsigned i = 0; i < 20; i++) {
        world_call(w, &c, "kept");
        assert_outcome(&c, FORWARDED);
        assert_string_equal(c.node, "n2");
        world_done(w, &c);
    }
    world_free(w);
}

/* A snapshot that was cut off and begun again counts from its second beginning; older
 * revisions in it do not undo newer ones, nor do they mean that the function is gone. */
static void snapshot_begun_twice(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct deploy e = deploy_one("e", 1, 0);
    struct test_call c;

    assert_int_equal(world_try(w, &d, 10), 0);
    assert_int_equal(world_try(w, &e, 10), 0);
    agent_core_snapshot_begin(w->core);
    assert_int_equal(world_try(w, &e, 10), 0);
    agent_core_snapshot_begin(w->core);
    deploy_grant(&d, 0, "here", 9, 0);
    assert_int_equal(world_try(w, &d, 9), 0);
    agent_core_snapshot_end(w->core);
    agent_core_snapshot_end(w->core); /* harmless */
    assert_int_equal(world_load(w, "f", 1).grant_max, 1);
    world_call(w, &c, "e");
    assert_rejected(&c, CAUSE_NOT_FOUND);
    world_free(w);
}

/* A state that says "deleted" deletes; a version named twice counts once; and versions
 * that differ in their environment only are different ones. */
static void odd_states(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    struct function_state s = {.namespace_ = "default", .name = "f", .deleted = true};
    struct version_state *v;

    assert_int_equal(function_spec_set_env(&d.versions[0].spec, "KEY", "a"), 0);
    v = deploy_version(&d, 1);
    world_deploy(w, &d);
    assert_int_equal(w->n_instances, 1);
    assert_ptr_equal(v, &d.versions[1]);
    d.n = 1;
    world_apply(w, &d);
    assert_int_equal(world_stopped(w), 0);
    assert_int_equal(function_spec_set_env(&d.versions[0].spec, "KEY", "b"), 0);
    world_apply(w, &d);
    assert_stopped(w, 0, STOP_RETIRED);
    s.revision = ++w->revision;
    assert_int_equal(agent_core_function(w->core, &s), 0);
    assert_int_equal(world_stopped(w), 2);
    function_spec_free(&d.versions[0].spec);
    world_free(w);
}

/* Names that do not fit are refused, not cut off. */
static void names_too_long(void **state)
{
    char name[SPEC_NODE_MAX + 2];
    struct agent_core_options options = {.node = name};
    struct world *w = world_new(0, 0);
    struct agent_core *a = NULL;

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(agent_core_new(&a, &w->io, &options), -EINVAL);
    assert_null(agent_core_free(a));
    assert_int_equal(agent_core_peer(w->core, name, "10.0.0.1:80", true), -EINVAL);
    world_free(w);
}

/* --- time to live ---------------------------------------------------------------------
 */

/* Grants that have lapsed are none: what runs ends its calls, what comes goes to other
 * nodes, also what the controller says of old. Renewed they are as they were told last.
 */
static void grants_lapse_and_are_renewed(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 2, 2);
    struct test_call c[3];

    assert_false(agent_core_is_granted(w->core));
    world_deploy(w, &d);
    assert_true(agent_core_is_granted(w->core));
    world_ready(w, 0);
    world_ready(w, 1);
    world_call(w, &c[0], "f");
    agent_core_lapse(w->core, true);
    assert_true(agent_core_check(w->core));
    assert_false(agent_core_is_granted(w->core));
    assert_outcome(&c[0], DISPATCHED);
    assert_int_equal(world_stopped(w), 1); /* the idle one */
    world_peer(w, "n1", true);
    deploy_grant(&d, 0, "n1", 1, 0);
    deploy_grant(&d, 0, "here", 1, 1);
    world_apply(w, &d);
    assert_false(agent_core_is_granted(w->core));
    world_call(w, &c[1], "f");
    assert_outcome(&c[1], FORWARDED);
    world_done(w, &c[0]);
    assert_int_equal(world_stopped(w), 2);
    world_gone(w, 0);
    world_gone(w, 1);
    agent_core_lapse(w->core, false);
    world_package(w, 1);
    assert_true(agent_core_is_granted(w->core));
    assert_int_equal(w->n_instances, 3);
    world_ready(w, 2);
    world_call(w, &c[2], "f");
    assert_outcome(&c[2], DISPATCHED);
    world_free(w);
}

/* A version that came to serve while grants had lapsed, and that is granted here alone,
 * gets the calls once they are renewed: no new state says so. */
static void serving_changes_while_lapsed(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 0, 0);
    struct test_call c;

    world_peer(w, "n1", true);
    deploy_grant(&d, 0, "n1", 1, 0);
    world_deploy(w, &d);
    agent_core_lapse(w->core, true);
    (void)deploy_version(&d, 2);
    deploy_grant(&d, 1, "here", 1, 0);
    d.serving = 2;
    world_apply(w, &d);
    agent_core_lapse(w->core, false);
    world_package(w, 2);
    world_call(w, &c, "f");
    world_ready(w, 0);
    assert_outcome(&c, DISPATCHED);
    assert_int_equal(version_number(c.call.version), 2);
    world_free(w);
}

/* --- drain ----------------------------------------------------------------------------
 */

/* A node that drains finishes what runs, forwards or rejects the rest, starts nothing. */
static void drains(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 2, 2);
    struct deploy e = deploy_one("e", 1, 0);
    struct deploy early = deploy_one("early", 1, 0);
    struct test_call c[4];
    struct test_call waits;

    world_peer(w, "n1", true);
    deploy_grant(&e, 0, "n1", 1, 0);
    early.serving = 0;
    world_deploy(w, &d);
    world_deploy(w, &e);
    world_deploy(w, &early);
    world_call(w, &waits, "early");
    world_ready(w, 0);
    world_ready(w, 1);
    world_call(w, &c[0], "f");
    world_call_version(w, &c[1], "e", 0, false);
    agent_core_drain(w->core);
    assert_true(agent_core_check(w->core));
    assert_outcome(&c[0], DISPATCHED);
    assert_outcome(&c[1], FORWARDED);
    assert_rejected(&waits, CAUSE_NO_CAPACITY);
    assert_non_null(strstr(waits.text, "drains"));
    world_call(w, &c[2], "f");
    assert_rejected(&c[2], CAUSE_NO_CAPACITY);
    world_call(w, &c[3], "e");
    assert_outcome(&c[3], FORWARDED);
    assert_int_equal(world_stopped(w), 2);
    assert_false(agent_core_is_empty(w->core));
    world_done(w, &c[0]);
    for (unsigned i = 0; i < 3; i++) {
        assert_stopped(w, i, STOP_SHUTDOWN);
        world_gone(w, i);
    }
    assert_true(agent_core_is_empty(w->core));
    assert_int_equal(w->n_instances, 3);
    world_free(w);
}

/* stop_all stops what still runs; the edge ends its calls. */
static void stops_all(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    struct test_call c;

    world_deploy(w, &d);
    world_ready(w, 0);
    world_call(w, &c, "f");
    agent_core_stop_all(w->core);
    assert_stopped(w, 0, STOP_SHUTDOWN);
    agent_core_call_done(w->core, &c.call, CAUSE_CRASHED, 0);
    world_gone(w, 0);
    assert_true(agent_core_is_empty(w->core));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serving_changes),
        cmocka_unit_test(old_serves_until_new_has_a_place),
        cmocka_unit_test(named_version_is_kept_to),
        cmocka_unit_test(deleted_function),
        cmocka_unit_test(last_calls_are_counted),
        cmocka_unit_test(deployed_again),
        cmocka_unit_test(old_revisions_are_ignored),
        cmocka_unit_test(deleted_stays_deleted),
        cmocka_unit_test(memory_of_the_deleted_is_bounded),
        cmocka_unit_test(snapshot_replaces_all),
        cmocka_unit_test(snapshot_begun_twice),
        cmocka_unit_test(odd_states),
        cmocka_unit_test(names_too_long),
        cmocka_unit_test(grants_lapse_and_are_renewed),
        cmocka_unit_test(serving_changes_while_lapsed),
        cmocka_unit_test(drains),
        cmocka_unit_test(stops_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
