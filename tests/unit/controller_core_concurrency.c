/* What is promised to a function whatever its versions say: reserved and provisioned
 * concurrency. */
#include "tests/unit/controller_core_world.h"

#include <stdio.h>
#include <string.h>

static void promise(struct world *w, const char *key, json_int_t calls)
{
    json_t *value = calls >= 0 ? json_pack("{s:I}", "calls", calls) : NULL;
    struct answer a = {0};

    controller_core_set_attribute(w->core, "default", "hello", key, value, 0, answer_cb,
                                  &a);
    world_run(w);
    json_decref(value);
    assert_int_equal(a.n, 1);
    assert_string_equal(cause_name(a.cause), cause_name(CAUSE_NONE));
}

static void publish(struct world *w, uint64_t number)
{
    struct answer a = {0};

    world_publish(w, "hello", number, &a);
    assert_int_equal(a.cause, CAUSE_NONE);
}

static void set_alias(struct world *w, const char *alias, uint64_t a, uint32_t at_a,
                      uint64_t b, uint32_t at_b)
{
    const struct alias_weight weights[] = {{a, at_a}, {b, at_b}};
    struct answer answer = {0};

    world_put_alias(w, "hello", alias, weights, b != 0 ? 2 : 1, &answer);
    assert_int_equal(answer.cause, CAUSE_NONE);
}

/* --- reserved --------------------------------------------------------------------- */

/* Room for so many and no more, without a new version; and as before when it ends. */
static void reserves(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = world_join(&f->w, "n1", 4096);

    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    assert_true(world_sum_max(&f->w, "hello", 1) > 3);
    promise(&f->w, CORE_RESERVED, 3);
    assert_int_equal(world_number(&f->w, "hello", "latest_version"), 1);
    assert_int_equal(world_sum_max(&f->w, "hello", 1), 3);
    assert_int_equal(agent_grant(agent, "hello", 1)->reserved, 3);
    promise(&f->w, CORE_RESERVED, -1);
    assert_true(world_sum_max(&f->w, "hello", 1) > 3);
    assert_int_equal(agent_grant(agent, "hello", 1)->reserved, 0);
    world_check(&f->w);
}

/* What is reserved holds for the next version, whose proof stands within it. */
static void reserves_for_the_next_version(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = world_join(&f->w, "n1", 1024);

    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    promise(&f->w, CORE_RESERVED, 8); /* all of the node */
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    assert_int_equal(world_number(&f->w, "hello", "serving_version"), 2);
    assert_int_equal(world_sum_max(&f->w, "hello", 2), 8);
    assert_int_equal(agent_grant(agent, "hello", 2)->reserved, 8);
    world_check(&f->w);
}

/* The function's word counts more than its version's. */
static void overrides_the_spec(void **state)
{
    struct fixture *f = *state;

    (void)world_join(&f->w, "n1", 4096);
    (void)world_deploy_ready(&f->w, "hello", 128, 5, 0);
    promise(&f->w, CORE_RESERVED, 2);
    assert_int_equal(world_sum_max(&f->w, "hello", 1), 2);
    promise(&f->w, CORE_RESERVED, 9);
    assert_int_equal(world_sum_max(&f->w, "hello", 1), 9);
    promise(&f->w, CORE_RESERVED, -1);
    assert_int_equal(world_sum_max(&f->w, "hello", 1), 5);
}

/* 0 is told to all nodes, and taken back. */
static void stops(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = world_join(&f->w, "n1", 4096);

    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    assert_false(agent_function(agent, "hello")->stopped);
    promise(&f->w, CORE_RESERVED, 0);
    assert_true(agent_function(agent, "hello")->stopped);
    world_restart(&f->w);
    (void)world_rejoin(&f->w, agent, false);
    world_pass(&f->w, 5000);
    assert_true(agent_function(agent, "hello")->stopped);
    promise(&f->w, CORE_RESERVED, 1);
    assert_false(agent_function(agent, "hello")->stopped);
    assert_int_equal(world_sum_max(&f->w, "hello", 1), 1);
}

/* --- provisioned -------------------------------------------------------------------- */

/* A published version that takes no calls by itself is kept ready. */
static void keeps_a_version_ready(void **state)
{
    struct fixture *f = *state;
    struct core_readiness r;

    (void)world_join(&f->w, "n1", 4096);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    publish(&f->w, 1);
    (void)world_deploy_ready(&f->w, "hello", 256, 0, 0);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 0);
    promise(&f->w, CORE_PROVISIONED ":1", 3);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 3);
    assert_true(controller_core_readiness(f->w.core, "default", "hello", 1, &r));
    assert_int_equal(r.desired, 3);
    assert_int_equal(r.ready, 0); /* the agent has not said anything yet */
    promise(&f->w, CORE_PROVISIONED ":1", -1);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 0);
    world_check(&f->w);
}

/* What an alias has is spread over its versions by their weights, rounded up. */
static void keeps_an_alias_ready(void **state)
{
    struct fixture *f = *state;

    (void)world_join(&f->w, "n1", 8192);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    publish(&f->w, 1);
    (void)world_deploy_ready(&f->w, "hello", 256, 0, 0);
    publish(&f->w, 2);
    (void)world_deploy_ready(&f->w, "hello", 512, 0, 0);
    set_alias(&f->w, "live", 1, 9000, 2, 1000);
    promise(&f->w, CORE_PROVISIONED ":live", 5);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 5); /* 4.5 */
    assert_int_equal(world_sum_warm(&f->w, "hello", 2), 1); /* 0.5 */
    set_alias(&f->w, "live", 2, ALIAS_WHOLE, 0, 0);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 0);
    assert_int_equal(world_sum_warm(&f->w, "hello", 2), 5);
    world_check(&f->w);
}

/* Where there is no room that is known. */
static void knows_what_has_no_room(void **state)
{
    struct fixture *f = *state;
    struct core_readiness r;

    (void)world_join(&f->w, "n1", 512);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    publish(&f->w, 1);
    promise(&f->w, CORE_PROVISIONED ":1", 20);
    assert_true(controller_core_readiness(f->w.core, "default", "hello", 1, &r));
    assert_int_equal(r.desired, 20);
    assert_true(r.no_room > 0);
    (void)world_join(&f->w, "n2", 8192);
    world_pass(&f->w, 5000);
    assert_true(controller_core_readiness(f->w.core, "default", "hello", 1, &r));
    assert_int_equal(r.no_room, 0);
}

/* An alias that is deleted and made again has nothing of the one before it. */
static void goes_with_its_name(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    (void)world_join(&f->w, "n1", 4096);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    publish(&f->w, 1);
    (void)world_deploy_ready(&f->w, "hello", 256, 0, 0);
    set_alias(&f->w, "live", 1, ALIAS_WHOLE, 0, 0);
    promise(&f->w, CORE_PROVISIONED ":live", 2);
    promise(&f->w, "policy:live", 1);
    promise(&f->w, "policy", 1);
    controller_core_delete_alias(f->w.core, "default", "hello", "live", 0, answer_cb, &a);
    world_run(&f->w);
    assert_int_equal(a.cause, CAUSE_NONE);
    set_alias(&f->w, "live", 1, ALIAS_WHOLE, 0, 0);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 0);
    assert_null(
        strstr(store_model_get(&f->s, "/mayfly/functions/default/hello"), "policy:live"));
    assert_non_null(
        strstr(store_model_get(&f->s, "/mayfly/functions/default/hello"), "\"policy\""));
}

/* --- published with its making --------------------------------------------------------
 */

static uint64_t deploy_published(struct world *w, uint32_t memory_mib)
{
    struct package_ref p = {.bytes = 100, .format = SPEC_FORMAT_TAR};
    struct function_spec spec;
    struct answer a = {0};

    memset(p.digest, 'a', SPEC_DIGEST_LEN);
    function_spec_init(&spec);
    spec.memory_mib = memory_mib;
    controller_core_put_published(w->core, "default", "hello", &spec, &p, "it", 0,
                                  answer_cb, &a);
    function_spec_free(&spec);
    world_run(w);
    assert_int_equal(a.n, 1);
    assert_int_equal(a.cause, CAUSE_NONE);
    return a.version;
}

/* It has its number before it works, and keeps it if it does not. */
static void publishes_with_the_deployment(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = world_join(&f->w, "n1", 4096);

    assert_int_equal(deploy_published(&f->w, 128), 1);
    assert_int_equal(world_number(&f->w, "hello", "versions.0.published"), 1);
    assert_view(&f->w, "hello", "versions.0.state", "deploying");
    assert_view(&f->w, "hello", "versions.0.description", "it");
    world_say(&f->w, agent, "hello", 1, true, CAUSE_NONE, "");
    assert_view(&f->w, "hello", "versions.0.state", "ready");
    (void)deploy_published(&f->w, 256);
    world_say(&f->w, agent, "hello", 2, false, CAUSE_INIT_FAILED, "no");
    assert_int_equal(world_number(&f->w, "hello", "versions.1.published"), 2);
    assert_view(&f->w, "hello", "versions.1.state", "failed");
    assert_int_equal(world_n_grants(&f->w, "hello", 2), 0);
    world_check(&f->w);
}

/* What is the same as what was published last is not published again. */
static void publishes_a_change_alone(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = world_join(&f->w, "n1", 4096);

    (void)deploy_published(&f->w, 128);
    world_say(&f->w, agent, "hello", 1, true, CAUSE_NONE, "");
    assert_int_equal(deploy_published(&f->w, 128), 2);
    world_say(&f->w, agent, "hello", 2, true, CAUSE_NONE, "");
    assert_int_equal(world_number(&f->w, "hello", "versions.0.published"), 1);
    assert_int_equal(world_number(&f->w, "hello", "versions.1.published"), -1);
    (void)deploy_published(&f->w, 256);
    assert_int_equal(world_number(&f->w, "hello", "versions.2.published"), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reserves),
        TEST(reserves_for_the_next_version),
        TEST(overrides_the_spec),
        TEST(stops),
        TEST(keeps_a_version_ready),
        TEST(keeps_an_alias_ready),
        TEST(knows_what_has_no_room),
        TEST(goes_with_its_name),
        TEST(publishes_with_the_deployment),
        TEST(publishes_a_change_alone),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("controller core: concurrency", tests, NULL, NULL);
}
