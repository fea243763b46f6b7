/* Which version a call gets: aliases, splits and numbers. */
#include "tests/unit/agent_core_world.h"

#include <math.h>
#include <string.h>

#define PICKS 100000

static const struct alias_weight split[] = {{1, 9000}, {2, 1000}};
static const struct alias_weight only_2[] = {{2, ALIAS_WHOLE}};
static const struct alias_state live_split = {"live", split, 2};
static const struct alias_state live_2 = {"live", only_2, 1};
static const struct alias_state rollout = {"", split, 2};

/* Versions 1, which serves, and 2, both granted to node "there" alone: each call is
 * forwarded, and its version can be read off. */
static struct deploy deploy_two(struct world *w, const struct alias_state *alias)
{
    struct deploy d = {.namespace_ = "default",
                       .name = "hello",
                       .serving = 1,
                       .aliases = alias,
                       .n_aliases = alias != NULL ? 1 : 0};

    assert_int_equal(agent_core_peer(w->core, "there", "there:1", true), 0);
    (void)deploy_version(&d, 1);
    (void)deploy_version(&d, 2);
    deploy_grant(&d, 0, "there", 5, 0);
    deploy_grant(&d, 1, "there", 5, 0);
    world_apply(w, &d);
    return d;
}

static uint64_t version_of(struct world *w, const char *qualifier)
{
    struct test_call c;
    uint64_t number;

    world_call_named(w, &c, "hello", qualifier, 0);
    assert_outcome(&c, FORWARDED);
    number = version_number(c.call.version);
    world_done(w, &c);
    return number;
}

/* Of so many picks the share of a version is within five standard deviations. */
static void assert_split(struct world *w, const char *qualifier)
{
    double expected = PICKS * 0.1, deviation = sqrt(PICKS * 0.1 * 0.9), n = 0;

    for (int i = 0; i < PICKS; i++) {
        struct test_call c = {.outcome = NO_OUTCOME};

        agent_core_call_named(w->core, &c.call, NULL, "hello", qualifier, 0, false);
        n += version_number(c.call.version) == 2;
        agent_core_call_done(w->core, &c.call, CAUSE_NONE, 0);
    }
    assert_true(fabs(n - expected) < 5 * deviation);
}

/* An alias's weights hold over many calls. */
static void alias_is_split(void **state)
{
    struct world *w = world_new(0, 0);

    (void)deploy_two(w, &live_split);
    assert_split(w, "live");
    assert_int_equal(version_of(w, NULL), 1); /* calls that name nothing are not split */
    world_free(w);
}

/* So do a rollout's, for calls that name nothing, by both of the names of nothing. */
static void rollout_is_split(void **state)
{
    struct world *w = world_new(0, 0);

    (void)deploy_two(w, &rollout);
    assert_split(w, NULL);
    assert_split(w, "$LATEST");
    world_free(w);
}

/* A number is that version, whatever serves. */
static void number_is_a_version(void **state)
{
    struct world *w = world_new(0, 0);
    struct test_call c;

    (void)deploy_two(w, &rollout);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(version_of(w, "2"), 2);
        assert_int_equal(version_of(w, "1"), 1);
    }
    world_call_named(w, &c, "hello", "3", 0);
    assert_rejected(&c, CAUSE_NOT_FOUND);
    assert_string_equal(c.text, "function default/hello has no version 3");
    world_call_named(w, &c, "hello", "99999999999999999999", 0);
    assert_rejected(&c, CAUSE_NOT_FOUND);
    world_call_named(w, &c, "hello", "beta", 0);
    assert_rejected(&c, CAUSE_NOT_FOUND);
    assert_string_equal(c.text, "function default/hello has no alias beta");
    world_free(w);
}

/* An alias that is set to another version takes its calls there at once; one that is
 * deleted has none any more. */
static void alias_moves(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_two(w, &live_split);
    struct test_call c;

    d.aliases = &live_2;
    world_apply(w, &d);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(version_of(w, "live"), 2);
    }
    d.n_aliases = 0;
    world_apply(w, &d);
    world_call_named(w, &c, "hello", "live", 0);
    assert_rejected(&c, CAUSE_NOT_FOUND);
    world_free(w);
}

/* A function that is stopped refuses new calls under each of its names, and goes on where
 * it was afterwards; a call that it has is left alone. */
static void stopped_refuses_calls(void **state)
{
    static const char *const names[] = {"", "live", "1"};
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_two(w, &live_2);
    struct test_call before, c;

    world_call_named(w, &before, "hello", "", 0);
    assert_outcome(&before, FORWARDED);
    d.stopped = true;
    world_apply(w, &d);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        world_call_named(w, &c, "hello", names[i], 0);
        assert_rejected(&c, CAUSE_THROTTLED);
    }
    world_done(w, &before);
    d.stopped = false;
    world_apply(w, &d);
    assert_int_equal(version_of(w, "live"), 2);
    world_free(w);
}

/* A version without a place anywhere gets none of the split's calls. */
static void goes_where_there_is_a_place(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_two(w, &live_split);

    d.versions[0].n_grants = 0;
    world_apply(w, &d);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(version_of(w, "live"), 2);
    }
    world_free(w);
}

/* What the node that forwards a call has picked holds; if that version is gone, another
 * is picked. */
static void picked_elsewhere(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_two(w, &rollout);
    struct test_call c;

    deploy_grant(&d, 0, "here", 50, 0);
    deploy_grant(&d, 1, "here", 50, 0);
    world_deploy(w, &d);
    for (int i = 0; i < 20; i++) {
        world_call_named(w, &c, "hello", NULL, 2);
        assert_int_equal(version_number(c.call.version), 2);
        assert_true(c.call.picked);
        agent_core_call_cancel(w->core, &c.call, true);
    }
    world_call_named(w, &c, "hello", NULL, 7);
    assert_outcome(&c, NO_OUTCOME); /* it waits for an instance of one of them */
    agent_core_call_cancel(w->core, &c.call, true);
    world_free(w);
}

/* A rollout goes back while calls wait for the new version: the old one takes them. */
static void waiting_calls_go_back(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_two(w, NULL);
    const struct alias_state all_2 = {"", only_2, 1};
    struct test_call c;

    d.aliases = &all_2;
    d.n_aliases = 1;
    deploy_grant(&d, 1, "here", 5, 0);
    deploy_grant(&d, 0, "here", 5, 0);
    deploy_grant(&d, 0, "there", 0, 0);
    deploy_grant(&d, 1, "there", 0, 0);
    world_deploy(w, &d);
    world_call_named(w, &c, "hello", NULL, 0);
    assert_int_equal(version_number(c.call.version), 2);
    assert_outcome(&c, NO_OUTCOME);
    world_apply(w, &d); /* news that changes nothing about it */
    assert_int_equal(version_number(c.call.version), 2);
    d.n_aliases = 0;
    deploy_drop(&d, 1);
    world_apply(w, &d);
    assert_outcome(&c, NO_OUTCOME);
    assert_int_equal(version_number(c.call.version), 1);
    agent_core_call_cancel(w->core, &c.call, true);
    world_free(w);
}

/* A reply that tells of an error, and a call that the version's failing starts kept from
 * running, are among the version's failed calls. */
static void failed_calls_count(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("hello", 1, 0);
    struct test_call c, more;

    world_deploy(w, &d);
    world_call(w, &c, "hello");
    world_ready(w, 0);
    assert_outcome(&c, DISPATCHED);
    c.call.failed = true;
    world_done(w, &c);
    assert_int_equal(world_load(w, "hello", 1).errors, 1);
    assert_int_equal(world_load(w, "hello", 1).invocations, 1);
    world_fail(w, 0, CAUSE_CRASHED, "it ended");
    world_gone(w, 0);
    world_call(w, &c, "hello");
    world_pass_ms(w, 1000);
    world_fail(w, 1, CAUSE_INIT_FAILED, "no module");
    world_gone(w, 1);
    world_call(w, &more, "hello");
    for (unsigned i = 2; c.outcome == NO_OUTCOME && i < 6; i++) {
        world_pass_ms(w, 1000);
        world_fail(w, i, CAUSE_INIT_FAILED, "no module");
        world_gone(w, i);
    }
    assert_rejected(&c, CAUSE_INIT_FAILED);
    assert_true(world_load(w, "hello", 1).errors >= 2);
    assert_int_equal(world_load(w, "hello", 1).errors,
                     world_load(w, "hello", 1).invocations);
    if (more.outcome == NO_OUTCOME) {
        agent_core_call_cancel(w->core, &more.call, true);
    }
    world_free(w);
}

/* A published version is found by the number that it was published under, and the other
 * way round. */
static void published_number(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_two(w, NULL);

    d.versions[1].published = 1;
    world_apply(w, &d);
    assert_int_equal(agent_core_published(w->core, "default", "hello", 1), 2);
    assert_int_equal(agent_core_published(w->core, "default", "hello", 2), 0);
    assert_int_equal(agent_core_published(w->core, "default", "other", 1), 0);
    assert_int_equal(agent_core_published_as(w->core, "default", "hello", 2), 1);
    assert_int_equal(agent_core_published_as(w->core, "default", "hello", 1), 0);
    assert_int_equal(agent_core_published_as(w->core, "default", "other", 2), 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alias_is_split),
        cmocka_unit_test(rollout_is_split),
        cmocka_unit_test(number_is_a_version),
        cmocka_unit_test(alias_moves),
        cmocka_unit_test(stopped_refuses_calls),
        cmocka_unit_test(goes_where_there_is_a_place),
        cmocka_unit_test(picked_elsewhere),
        cmocka_unit_test(waiting_calls_go_back),
        cmocka_unit_test(failed_calls_count),
        cmocka_unit_test(published_number),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("agent core: traffic", tests, NULL, NULL);
}
