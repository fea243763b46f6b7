/* Before a version serves here: calls that wait for it, its package, and what they hear
 * when it cannot. */
#include "tests/unit/agent_core_world.h"

#include <stdio.h>
#include <string.h>

static void package_failed(struct world *w, uint64_t number, enum cause cause,
                           const char *text)
{
    char digest[SPEC_DIGEST_LEN + 1];

    (void)snprintf(digest, sizeof(digest), "%064u", (unsigned)number);
    agent_core_package_failed(w->core, digest, cause, text);
    assert_true(agent_core_check(w->core));
}

/* --- before anything serves -----------------------------------------------------------
 */

/* Calls of a function whose first version is being deployed wait for it. */
static void first_deploy_is_waited_for(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    struct test_call c[2];

    d.serving = 0;
    world_deploy(w, &d);
    world_call(w, &c[0], "f");
    assert_outcome(&c[0], NO_OUTCOME);
    world_ready(w, 0);
    assert_outcome(&c[0], NO_OUTCOME);
    d.serving = 1;
    world_apply(w, &d);
    assert_outcome(&c[0], DISPATCHED);
    d.serving = 0;
    world_apply(w, &d);
    world_call(w, &c[1], "f");
    world_pass_ms(w, d.versions[0].spec.queue_timeout_ms);
    assert_rejected(&c[1], CAUSE_NO_CAPACITY);
    assert_non_null(strstr(c[1].text, "no version"));
    world_free(w);
}

/* If that version cannot start, they hear why, and so do those that come later. */
static void first_deploy_fails(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    struct test_call c[2];

    d.serving = 0;
    world_deploy(w, &d);
    world_call(w, &c[0], "f");
    world_fail(w, 0, CAUSE_INIT_FAILED, "exit status 3");
    d.n = 0; /* the controller takes it away */
    world_apply(w, &d);
    assert_rejected(&c[0], CAUSE_INIT_FAILED);
    assert_string_equal(c[0].text, "exit status 3");
    world_call(w, &c[1], "f");
    assert_rejected(&c[1], CAUSE_INIT_FAILED);
    (void)deploy_version(&d, 2); /* a new deploy starts with a clean slate */
    world_apply(w, &d);
    world_call(w, &c[1], "f");
    world_pass_ms(w, d.versions[0].spec.queue_timeout_ms);
    assert_rejected(&c[1], CAUSE_NO_CAPACITY);
    world_free(w);
}

/* It failed on another node: those that wait here for it hear why at once, and so do
 * those that come later, until there is another version. */
static void first_deploy_fails_elsewhere(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 0, 0);
    struct test_call c[3];

    d.serving = 0;
    deploy_grant(&d, 0, "there", 1, 1);
    world_apply(w, &d);
    world_call(w, &c[0], "f");
    assert_outcome(&c[0], NO_OUTCOME);
    d.n = 0;
    d.failed = CAUSE_INIT_FAILED;
    world_apply(w, &d);
    assert_rejected(&c[0], CAUSE_INIT_FAILED);
    assert_string_equal(c[0].text, "it printed this");
    world_call(w, &c[1], "f");
    assert_rejected(&c[1], CAUSE_INIT_FAILED);
    d.failed = CAUSE_NONE;
    (void)deploy_version(&d, 2);
    world_apply(w, &d);
    world_call(w, &c[2], "f");
    assert_outcome(&c[2], NO_OUTCOME);
    d.n = 0; /* an older controller does not say why */
    world_apply(w, &d);
    assert_rejected(&c[2], CAUSE_NO_CAPACITY);
    world_free(w);
}

/* If it fails again and again they do not wait until the controller takes it away. */
static void first_deploy_keeps_failing(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    struct test_call c;

    d.serving = 0;
    world_deploy(w, &d);
    world_call(w, &c, "f");
    world_fail(w, 0, CAUSE_INIT_FAILED, "exit status 3");
    world_gone(w, 0);
    assert_outcome(&c, NO_OUTCOME);
    world_pass_ms(w, CORE_START_PAUSE_MIN_MS);
    world_fail(w, 1, CAUSE_INIT_FAILED, "exit status 4");
    assert_rejected(&c, CAUSE_INIT_FAILED);
    assert_string_equal(c.text, "exit status 4");
    world_free(w);
}

/* A serving version that was granted to no node yet: its calls wait for a grant. */
static void grant_is_waited_for(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = {.namespace_ = "default", .name = "f", .serving = 1};
    struct test_call c[2];

    (void)deploy_version(&d, 1);
    world_apply(w, &d);
    world_call(w, &c[0], "f");
    world_call(w, &c[1], "f");
    assert_outcome(&c[0], NO_OUTCOME);
    agent_core_call_cancel(w->core, &c[1].call, true);
    deploy_grant(&d, 0, "here", 1, 0);
    world_deploy(w, &d);
    world_ready(w, 0);
    assert_outcome(&c[0], DISPATCHED);
    world_free(w);
}

/* And if none comes, they end with no_capacity. */
static void no_grant_comes(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = {.namespace_ = "default", .name = "f", .serving = 1};
    struct test_call c;

    (void)deploy_version(&d, 1);
    world_apply(w, &d);
    world_call(w, &c, "f");
    world_pass_ms(w, d.versions[0].spec.queue_timeout_ms);
    assert_rejected(&c, CAUSE_NO_CAPACITY);
    assert_int_equal(c.retry_after_s, CORE_RETRY_AFTER_LONG_S);
    world_free(w);
}

/* --- packages -------------------------------------------------------------------------
 */

/* A package is wanted once, however many versions have it, and dropped with the last. */
static void package_is_shared(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct deploy e = deploy_one("e", 1, 0);
    struct deploy elsewhere = deploy_one("g", 0, 0);

    world_apply(w, &d);
    world_apply(w, &e);
    world_apply(w, &elsewhere); /* no grant here: it needs nothing */
    assert_int_equal(w->n_wants, 1);
    agent_core_function_deleted(w->core, "default", "f", ++w->revision);
    assert_int_equal(w->n_drops, 0);
    assert_int_equal(w->n_left, 1); /* it has left, whoever else has its package */
    agent_core_function_deleted(w->core, "default", "e", ++w->revision);
    assert_int_equal(w->n_drops, 1);
    assert_string_equal(w->dropped, w->wanted);
    world_free(w);
}

/* While the package is on its way, calls go to a node that may have it; if they cannot,
 * they wait, and start an instance when it is there. */
static void package_on_its_way(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 2, 0);
    struct test_call c[2];

    deploy_grant(&d, 0, "n1", 1, 0);
    world_peer(w, "n1", true);
    world_apply(w, &d);
    world_call(w, &c[0], "f");
    assert_outcome(&c[0], FORWARDED);
    world_call_version(w, &c[1], "f", 0, true);
    assert_outcome(&c[1], NO_OUTCOME);
    assert_int_equal(w->n_instances, 0);
    world_package(w, 1);
    assert_int_equal(w->n_instances, 1);
    world_ready(w, 0);
    assert_outcome(&c[1], DISPATCHED);
    world_free(w);
}

/* A package that cannot be used fails the version and its calls; it is asked for again
 * later, and if it then comes all is well. */
static void package_fails_and_heals(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call c[3];

    world_apply(w, &d);
    world_call(w, &c[0], "f");
    package_failed(w, 1, CAUSE_PACKAGE_INVALID, "digest differs");
    assert_int_equal(w->n_failed, 1);
    assert_int_equal(w->failed_cause, CAUSE_PACKAGE_INVALID);
    assert_rejected(&c[0], CAUSE_PACKAGE_INVALID);
    world_call(w, &c[1], "f");
    assert_rejected(&c[1], CAUSE_PACKAGE_INVALID);
    world_pass_ms(w, CORE_FETCH_PAUSE_MIN_MS);
    assert_int_equal(w->n_wants, 2);
    world_package(w, 1);
    world_call(w, &c[2], "f");
    world_ready(w, 0);
    assert_outcome(&c[2], DISPATCHED);
    world_free(w);
}

/* A full disk is the node's trouble, not the version's. */
static void full_disk_does_not_fail_the_version(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);

    world_apply(w, &d);
    package_failed(w, 1, CAUSE_DISK_FULL, "no space left");
    assert_int_equal(w->n_failed, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_deploy_is_waited_for),
        cmocka_unit_test(first_deploy_fails),
        cmocka_unit_test(first_deploy_fails_elsewhere),
        cmocka_unit_test(first_deploy_keeps_failing),
        cmocka_unit_test(grant_is_waited_for),
        cmocka_unit_test(no_grant_comes),
        cmocka_unit_test(package_is_shared),
        cmocka_unit_test(package_on_its_way),
        cmocka_unit_test(package_fails_and_heals),
        cmocka_unit_test(full_disk_does_not_fail_the_version),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("agent core: before it serves", tests, NULL, NULL);
}
