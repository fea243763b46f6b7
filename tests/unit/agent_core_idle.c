/* Instances without calls: how long they are kept, frozen, and started ahead of calls. */
#include "tests/unit/agent_core_world.h"

#include <errno.h>

#define MINUTE_MS     60000u
#define FREEZE_MS     1000u
#define PATTERN_CALLS 12 /* enough for a pattern to show */

/* A world that freezes, with a function of one version in it. */
static struct world *frozen_world(struct deploy *d, uint32_t max, uint32_t warm)
{
    struct world *w = world_new(0, 0);

    world_freeze_after(w, FREEZE_MS);
    *d = deploy_one("f", max, warm);
    world_deploy(w, d);
    return w;
}

/* What was told to stop is gone, what starts is ready. */
static void tend(struct world *w)
{
    for (unsigned i = 0; i < w->n_instances; i++) {
        if (w->instances[i].in == NULL) {
            continue;
        }
        if (w->instances[i].stopped) {
            world_gone(w, i);
        } else if (w->instances[i].in->state == INSTANCE_STARTING) {
            world_ready(w, i);
        }
    }
    world_forget(w);
}

/* A call that ends at once. True: an instance had to be started for it. */
static bool run_once(struct world *w)
{
    struct test_call c;
    bool cold;

    tend(w);
    world_call(w, &c, "f");
    cold = c.outcome == NO_OUTCOME;
    if (cold) {
        world_ready(w, w->n_instances - 1);
    }
    assert_outcome(&c, DISPATCHED);
    world_done(w, &c);
    return cold;
}

/* As a caller does who comes every `period_ms`. */
static void teach(struct world *w, uint64_t period_ms)
{
    for (unsigned i = 0; i < PATTERN_CALLS; i++) {
        (void)run_once(w);
        for (unsigned part = 0; part < 10; part++) {
            world_pass_ms(w, period_ms / 10);
            tend(w);
        }
    }
}

static struct version_load load(struct world *w)
{
    return world_load(w, "f", 1);
}

/* --- frozen ----------------------------------------------------------------------- */

/* An instance is frozen when it had no call for a while, and not a moment sooner; the
 * next call thaws it, and is not cold. */
static void freezes_and_thaws(void **state)
{
    struct deploy d;
    struct world *w = frozen_world(&d, 1, 0);

    assert_true(run_once(w));
    world_pass_ms(w, FREEZE_MS - 1);
    assert_int_equal(load(w).idle, 1);
    world_pass_ms(w, 1);
    assert_int_equal(load(w).idle, 0);
    assert_int_equal(load(w).frozen, 1);
    assert_false(run_once(w));
    assert_int_equal(w->n_thaws, 1);
    assert_int_equal(load(w).idle, 1);
    assert_int_equal(load(w).cold_starts, 1);
    assert_int_equal(agent_core_counts(w->core).freezes, 1);
    assert_int_equal(agent_core_counts(w->core).thaws, 1);
    world_free(w);
}

/* No instance with a call is frozen, however long the call takes. */
static void busy_ones_are_not_frozen(void **state)
{
    struct deploy d;
    struct world *w = frozen_world(&d, 1, 0);
    struct test_call c;

    world_call(w, &c, "f");
    world_pass_ms(w, 5 * FREEZE_MS);
    world_ready(w, 0);
    world_pass_ms(w, 5 * FREEZE_MS);
    assert_int_equal(w->n_freezes, 0);
    world_done(w, &c);
    world_free(w);
}

/* What the grant keeps warm is frozen as well, and stays. */
static void warm_ones_are_frozen(void **state)
{
    struct deploy d;
    struct world *w = frozen_world(&d, 3, 2);

    world_ready(w, 0);
    world_ready(w, 1);
    world_pass_ms(w, 10 * d.versions[0].spec.idle_ms);
    assert_int_equal(load(w).frozen, 2);
    assert_int_equal(w->n_instances, 2); /* none starts in their place */
    assert_int_equal(world_stopped(w), 0);
    world_free(w);
}

/* A call takes one that is awake, if there is one: thawing is for when there is not. */
static void prefers_the_awake(void **state)
{
    struct deploy d;
    struct world *w = frozen_world(&d, 2, 0);
    struct test_call c[2];

    world_call(w, &c[0], "f");
    world_call(w, &c[1], "f");
    world_ready(w, 0);
    world_ready(w, 1);
    world_done(w, &c[0]);
    world_pass_ms(w, FREEZE_MS);
    world_done(w, &c[1]);
    assert_int_equal(load(w).frozen, 1);
    world_call(w, &c[0], "f");
    assert_int_equal(w->n_thaws, 0);
    world_call(w, &c[1], "f");
    assert_int_equal(w->n_thaws, 1);
    assert_int_equal(load(w).busy, 2);
    world_done(w, &c[0]);
    world_done(w, &c[1]);
    world_free(w);
}

/* With room for a call in an instance that is awake and busy, no frozen one is thawed. */
static void shares_before_it_thaws(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 2, 0);
    struct test_call c[4];

    d.versions[0].spec.concurrency = 2;
    world_freeze_after(w, FREEZE_MS);
    world_deploy(w, &d);
    for (unsigned i = 0; i < 3; i++) {
        world_call(w, &c[i], "f");
    }
    world_ready(w, 0);
    world_ready(w, 1);
    world_done(w, &c[2]);
    world_done(w, &c[1]);
    world_pass_ms(w, FREEZE_MS);
    assert_int_equal(load(w).frozen, 1);
    world_call(w, &c[1], "f");
    assert_int_equal(w->n_thaws, 0);
    world_call(w, &c[2], "f");
    assert_int_equal(w->n_thaws, 1);
    for (unsigned i = 0; i < 3; i++) {
        world_done(w, &c[i]);
    }
    world_free(w);
}

/* One that cannot be frozen just now goes on, and is tried again later. */
static void tries_to_freeze_again(void **state)
{
    struct deploy d;
    struct world *w = frozen_world(&d, 1, 0);

    w->freeze_result = -EBUSY;
    (void)run_once(w);
    world_pass_ms(w, FREEZE_MS + FREEZE_MS / 2);
    assert_int_equal(w->n_freezes, 1);
    assert_int_equal(load(w).idle, 1);
    w->freeze_result = 0;
    world_pass_ms(w, FREEZE_MS);
    assert_int_equal(w->n_freezes, 2);
    assert_int_equal(load(w).frozen, 1);
    world_free(w);
}

/* Where there is no freezer it is asked for once, and all else is as it was. */
static void does_without_a_freezer(void **state)
{
    struct deploy d;
    struct world *w = frozen_world(&d, 1, 0);

    w->freeze_result = -ENOTSUP;
    (void)run_once(w);
    world_pass_ms(w, 10 * FREEZE_MS);
    assert_false(run_once(w));
    world_pass_ms(w, 10 * FREEZE_MS);
    assert_int_equal(w->n_freezes, 1);
    assert_int_equal(load(w).idle, 1);
    world_pass_ms(w, d.versions[0].spec.idle_ms);
    assert_stopped(w, 0, STOP_IDLE);
    world_free(w);
}

/* One that cannot be thawed is stopped; its call goes to another, and is not lost. */
static void replaces_what_cannot_be_thawed(void **state)
{
    struct deploy d;
    struct world *w = frozen_world(&d, 2, 0);
    struct test_call c;

    (void)run_once(w);
    world_pass_ms(w, FREEZE_MS);
    w->thaw_result = -EIO;
    world_call(w, &c, "f");
    assert_stopped(w, 0, STOP_FAILED);
    assert_int_equal(w->n_instances, 2);
    world_ready(w, 1);
    assert_outcome(&c, DISPATCHED);
    world_done(w, &c);
    world_free(w);
}

/* A frozen instance that crashes, or that memory ran out for, is replaced as any other.
 */
static void frozen_ones_may_fail(void **state)
{
    struct deploy d;
    struct world *w = frozen_world(&d, 1, 1);

    world_ready(w, 0);
    (void)run_once(w);
    world_pass_ms(w, FREEZE_MS);
    assert_int_equal(load(w).frozen, 1);
    world_fail(w, 0, CAUSE_CRASHED, "killed by signal 9");
    assert_stopped(w, 0, STOP_FAILED);
    world_gone(w, 0);
    assert_int_equal(w->n_instances, 2);
    world_free(w);
}

/* They count as instances and memory: another function's start evicts the coldest, which
 * is the one that has been frozen longest. */
static void evicts_the_frozen_first(void **state)
{
    struct world *w = world_new(256, 0);
    struct deploy f = deploy_one("f", 1, 0), g = deploy_one("g", 1, 0),
                  h = deploy_one("h", 1, 0);
    struct test_call c;

    world_freeze_after(w, FREEZE_MS);
    world_deploy(w, &f);
    world_deploy(w, &g);
    world_deploy(w, &h);
    (void)run_once(w);
    world_pass_ms(w, FREEZE_MS);
    world_call(w, &c, "g");
    world_ready(w, 1);
    world_done(w, &c);
    assert_int_equal(agent_core_memory_reserved(w->core), 256 * MIB);
    world_call(w, &c, "h");
    assert_stopped(w, 0, STOP_EVICTED);
    assert_false(w->instances[1].stopped);
    world_gone(w, 0);
    world_ready(w, 2);
    assert_outcome(&c, DISPATCHED);
    world_done(w, &c);
    world_free(w);
}

/* A version that is retired takes its frozen instances with it; so does a drain. */
static void frozen_ones_retire(void **state)
{
    struct deploy d;
    struct world *w = frozen_world(&d, 2, 2);

    world_ready(w, 0);
    world_ready(w, 1);
    world_pass_ms(w, FREEZE_MS);
    deploy_grant(&d, 0, "here", 1, 1);
    world_apply(w, &d);
    assert_int_equal(world_stopped(w), 1);
    agent_core_drain(w->core);
    assert_int_equal(world_stopped(w), 2);
    world_free(w);
}

/* --- learned ---------------------------------------------------------------------- */

/* Calls every half an hour, with a keep-alive of a minute: each is cold until the pattern
 * shows. Then the instance goes at once, another is there when the call comes, and the
 * node has memory for others in between. */
static void starts_ahead_of_periodic_calls(void **state)
{
    struct deploy d;
    struct world *w = frozen_world(&d, 1, 0);
    uint64_t cold;

    teach(w, 30ull * MINUTE_MS);
    cold = load(w).cold_starts;
    assert_true(cold < PATTERN_CALLS);
    teach(w, 30ull * MINUTE_MS);
    assert_int_equal(load(w).cold_starts, cold); /* never again */
    assert_true(agent_core_counts(w->core).prewarms >= PATTERN_CALLS);
    (void)run_once(w);
    world_pass_ms(w, CORE_IDLE_GRACE_MS);
    assert_stopped(w, 0, STOP_IDLE);
    world_gone(w, 0);
    world_pass_ms(w, 20ull * MINUTE_MS);
    assert_int_equal(agent_core_memory_reserved(w->core), 0);
    world_free(w);
}

/* An expected call that does not come: the instance goes when it is no longer expected,
 * and none is started for it again. */
static void gives_up_expecting(void **state)
{
    struct deploy d;
    struct world *w = frozen_world(&d, 1, 0);
    uint64_t prewarms;

    teach(w, 30ull * MINUTE_MS);
    prewarms = agent_core_counts(w->core).prewarms;
    world_pass_ms(w, 5ull * MINUTE_MS); /* the last call was 30 minutes ago */
    assert_int_equal(world_stopped(w), 1);
    world_gone(w, 0);
    world_pass_ms(w, 24 * 60ull * MINUTE_MS);
    assert_int_equal(agent_core_counts(w->core).prewarms, prewarms);
    assert_int_equal(load(w).frozen + load(w).idle + load(w).starting, 0);
    world_free(w);
}

/* keep_alive fixed: the pattern is not followed, idle_ms is. */
static void fixed_is_fixed(void **state)
{
    struct deploy d;
    struct world *w = world_new(0, 0);

    d = deploy_one("f", 1, 0);
    d.versions[0].spec.keep_alive = SPEC_KEEP_ALIVE_FIXED;
    world_deploy(w, &d);
    teach(w, 30ull * MINUTE_MS);
    teach(w, 30ull * MINUTE_MS);
    assert_int_equal(load(w).cold_starts, 2ull * PATTERN_CALLS);
    assert_int_equal(agent_core_counts(w->core).prewarms, 0);
    (void)run_once(w);
    world_pass_ms(w, d.versions[0].spec.idle_ms - 1);
    assert_int_equal(world_stopped(w), 0);
    world_pass_ms(w, 1);
    assert_stopped(w, 0, STOP_IDLE);
    world_free(w);
}

/* What was learned is the function's: a new version goes on with it. */
static void redeploying_forgets_nothing(void **state)
{
    struct deploy d;
    struct world *w = frozen_world(&d, 1, 0);

    teach(w, 30ull * MINUTE_MS);
    (void)run_once(w);
    (void)deploy_version(&d, 2);
    deploy_grant(&d, 1, "here", 1, 0);
    deploy_drop(&d, 0);
    d.serving = 2;
    world_deploy(w, &d);
    teach(w, 30ull * MINUTE_MS);
    assert_int_equal(world_load(w, "f", 2).cold_starts, 1); /* the first, right away */
    world_free(w);
}

/* Of several idle instances one waits for the expected call; the others go after the
 * fixed time. Calls come at 20 minutes now and then, and often right after each other. */
static void keeps_one_for_the_pattern(void **state)
{
    struct deploy d;
    struct world *w = frozen_world(&d, 3, 0);
    struct test_call c[3];

    for (unsigned i = 0; i < 10; i++) {
        (void)run_once(w);
        world_pass_ms(w, 100);
        (void)run_once(w);
        world_pass_ms(w, 20ull * MINUTE_MS);
    }
    for (unsigned i = 0; i < 3; i++) {
        world_call(w, &c[i], "f");
    }
    for (unsigned i = 0; i < w->n_instances; i++) {
        if (w->instances[i].in->state == INSTANCE_STARTING) {
            world_ready(w, i);
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_outcome(&c[i], DISPATCHED);
        world_done(w, &c[i]);
    }
    world_pass_ms(w, 10ull * MINUTE_MS);
    assert_int_equal(load(w).frozen, 1);
    assert_int_equal(world_stopped(w), 2);
    world_free(w);
}

/* For an expected call nobody is evicted. */
static void expects_only_where_there_is_room(void **state)
{
    struct world *w = world_new(128, 0);
    struct deploy f = deploy_one("f", 1, 0), g = deploy_one("g", 1, 0);
    uint64_t prewarms;
    struct test_call c;

    g.versions[0].spec.idle_ms = 40 * MINUTE_MS;
    g.versions[0].spec.keep_alive = SPEC_KEEP_ALIVE_FIXED;
    world_deploy(w, &f);
    world_deploy(w, &g);
    teach(w, 30ull * MINUTE_MS);
    (void)run_once(w);
    world_pass_ms(w, CORE_IDLE_GRACE_MS);
    tend(w);
    prewarms = agent_core_counts(w->core).prewarms;
    world_call(w, &c, "g");
    world_ready(w, 0);
    world_done(w, &c);
    world_pass_ms(w, 35ull * MINUTE_MS);
    assert_int_equal(agent_core_counts(w->core).prewarms, prewarms);
    assert_int_equal(world_stopped(w), 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(freezes_and_thaws),
        cmocka_unit_test(busy_ones_are_not_frozen),
        cmocka_unit_test(warm_ones_are_frozen),
        cmocka_unit_test(prefers_the_awake),
        cmocka_unit_test(shares_before_it_thaws),
        cmocka_unit_test(tries_to_freeze_again),
        cmocka_unit_test(does_without_a_freezer),
        cmocka_unit_test(replaces_what_cannot_be_thawed),
        cmocka_unit_test(frozen_ones_may_fail),
        cmocka_unit_test(evicts_the_frozen_first),
        cmocka_unit_test(frozen_ones_retire),
        cmocka_unit_test(starts_ahead_of_periodic_calls),
        cmocka_unit_test(gives_up_expecting),
        cmocka_unit_test(fixed_is_fixed),
        cmocka_unit_test(redeploying_forgets_nothing),
        cmocka_unit_test(keeps_one_for_the_pattern),
        cmocka_unit_test(expects_only_where_there_is_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
