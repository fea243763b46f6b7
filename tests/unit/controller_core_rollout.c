/* Rollouts: step by step to the new version, or back, as its calls go. */
#include "tests/unit/controller_core_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct rollout_plan plan = {.steps = {1000, 5000},
                                         .n_steps = 2,
                                         .step_ms = 60000,
                                         .min_calls = 20,
                                         .max_error = 100};

static void roll_out(struct world *w, const struct rollout_plan *p, uint32_t min_scale)
{
    struct package_ref package = {.bytes = 100, .format = SPEC_FORMAT_TAR};
    struct function_spec spec;
    struct answer a = {0};

    memset(package.digest, 'b', SPEC_DIGEST_LEN);
    function_spec_init(&spec);
    spec.min_scale = min_scale;
    controller_core_roll_out(w->core, "default", "hello", &spec, &package, p, 0,
                             answer_cb, &a);
    function_spec_free(&spec);
    world_run(w);
    assert_int_equal(a.cause, CAUSE_NONE);
}

/* Version 1 serves, version 2 is ready and has its first step. */
static struct model_agent *begin(struct world *w, uint32_t min_scale)
{
    struct model_agent *agent = world_join(w, "n1", 8192);

    (void)world_deploy_ready(w, "hello", 128, 0, 0);
    roll_out(w, &plan, min_scale);
    assert_view(w, "hello", "rollout.state", "pending");
    world_say(w, agent, "hello", 2, true, CAUSE_NONE, NULL);
    return agent;
}

/* The agent has counted so many calls of version 2 in all. */
static void tell(struct world *w, uint64_t calls, uint64_t errors)
{
    const struct version_load load = {.namespace_ = "default",
                                      .name = "hello",
                                      .version = 2,
                                      .invocations = calls,
                                      .errors = errors};
    const struct node_report report = {.loads = &load, .n_loads = 1};

    controller_core_node_report(w->core, "n1", &report);
    world_run(w);
}

static uint32_t share(const struct model_agent *a)
{
    const struct model_function *m = agent_function(a, "hello");

    return m->n_aliases > 0 && *m->aliases[0].name == '\0'
               ? m->aliases[0].weights[1].weight
               : 0;
}

/* Every step has its time and its calls; after the last the new version serves. */
static void goes_on(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = begin(&f->w, 0);

    assert_view(&f->w, "hello", "rollout.state", "running");
    assert_view(&f->w, "hello", "versions.1.state", "ready");
    assert_int_equal(agent_function(agent, "hello")->serving, 1);
    assert_int_equal(share(agent), 1000);
    assert_int_equal(agent_grant(agent, "hello", 2)->warm, 1);
    world_pass(&f->w, 61000);
    assert_int_equal(share(agent), 1000); /* it had no calls yet */
    tell(&f->w, 20, 0);
    assert_int_equal(share(agent), 5000);
    assert_view(&f->w, "hello", "rollout.message",
                "at 10 %: 0 of 20 calls failed; 50 % of the calls go to version 2");
    tell(&f->w, 200, 1);
    assert_int_equal(share(agent), 5000); /* it had no time yet */
    world_pass(&f->w, 61000);
    assert_int_equal(agent_function(agent, "hello")->n_aliases, 0);
    assert_int_equal(agent_function(agent, "hello")->serving, 2);
    assert_view(&f->w, "hello", "rollout.state", "done");
    assert_view(&f->w, "hello", "versions.0.state", "retired");
    assert_int_equal(world_number(&f->w, "hello", "previous_version"), 1);
    world_check(&f->w);
}

/* Too many errors: at once all calls go to the old version, and the new one has failed.
 */
static void goes_back(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = begin(&f->w, 0);

    tell(&f->w, 19, 19);
    assert_int_equal(share(agent), 1000); /* too few calls to tell */
    tell(&f->w, 25, 19);
    assert_int_equal(agent_function(agent, "hello")->n_aliases, 0);
    assert_int_equal(agent_function(agent, "hello")->serving, 1);
    assert_view(&f->w, "hello", "rollout.state", "back");
    assert_view(&f->w, "hello", "versions.1.state", "failed");
    assert_view(&f->w, "hello", "versions.1.cause", "function_error");
    assert_view(
        &f->w, "hello", "versions.1.message",
        "at 10 %: 19 of 25 calls failed, more than 1 %; all calls go to version 1 "
        "again");
    assert_null(agent_grant(agent, "hello", 2));
    world_check(&f->w);
}

/* Only what fails in the step counts; the limit itself is not over the limit. */
static void each_step_counts_anew(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = begin(&f->w, 0);

    tell(&f->w, 100, 1);
    world_pass(&f->w, 61000);
    assert_int_equal(share(agent), 5000);
    tell(&f->w, 150, 1);
    world_pass(&f->w, 61000);
    assert_view(&f->w, "hello", "rollout.state", "done");
}

/* A controller that starts anew goes on with the step that the store has. */
static void another_controller_goes_on(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = begin(&f->w, 0);

    world_pass(&f->w, 61000);
    tell(&f->w, 20, 0);
    world_restart(&f->w);
    (void)world_rejoin(&f->w, agent, false);
    world_report_full(&f->w, agent);
    world_pass(&f->w, 4000);
    assert_int_equal(share(agent), 5000);
    assert_non_null(agent_grant(agent, "hello", 2));
    tell(&f->w, 60, 0);
    world_pass(&f->w, 61000);
    assert_view(&f->w, "hello", "rollout.state", "done");
    world_check(&f->w);
}

/* A deployment while one is rolled out takes its place. */
static void superseded(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = begin(&f->w, 0);

    roll_out(&f->w, &plan, 0);
    assert_view(&f->w, "hello", "versions.1.state", "retired");
    assert_view(&f->w, "hello", "versions.1.message", "superseded by version 3");
    assert_int_equal(share(agent), 0);
    assert_int_equal(agent_function(agent, "hello")->serving, 1);
    world_say(&f->w, agent, "hello", 3, true, CAUSE_NONE, NULL);
    assert_int_equal(share(agent), 1000);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    assert_int_equal(share(agent), 0);
    assert_view(&f->w, "hello", "rollout.state", "ended");
    assert_int_equal(agent_function(agent, "hello")->serving, 4);
    world_check(&f->w);
}

/* A rollback ends a rollout: what served goes on alone. */
static void rolled_back(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = begin(&f->w, 0);
    struct answer a = {0};

    controller_core_delete_version(f->w.core, "default", "hello", 2, answer_cb, &a);
    world_run(&f->w);
    assert_int_equal(a.cause, CAUSE_CONFLICT);
    assert_non_null(strstr(a.text, "is being rolled out"));
    world_rollback(&f->w, "hello", 0, &a);
    assert_int_equal(a.cause, CAUSE_NONE);
    assert_int_equal(share(agent), 0);
    assert_int_equal(agent_function(agent, "hello")->serving, 1);
    assert_view(&f->w, "hello", "rollout.state", "ended");
    assert_view(&f->w, "hello", "versions.1.message", "rolled back to version 1");
    world_check(&f->w);
}

/* Where nothing serves there is nothing to be careful with. */
static void first_version(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = world_join(&f->w, "n1", 1024);

    roll_out(&f->w, &plan, 0);
    world_say(&f->w, agent, "hello", 1, true, CAUSE_NONE, NULL);
    assert_int_equal(agent_function(agent, "hello")->serving, 1);
    assert_view(&f->w, "hello", "rollout.state", "done");
}

/* A version that never becomes ready takes no calls: its rollout is over. */
static void never_ready(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = world_join(&f->w, "n1", 1024);

    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    roll_out(&f->w, &plan, 0);
    world_say(&f->w, agent, "hello", 2, false, CAUSE_INIT_FAILED, "no module");
    assert_view(&f->w, "hello", "rollout.state", "ended");
    assert_view(&f->w, "hello", "rollout.message", "no module");
    assert_int_equal(agent_function(agent, "hello")->serving, 1);
}

/* While it is rolled out it keeps its share of min_scale warm. */
static void warm_by_its_share(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = begin(&f->w, 10);

    assert_int_equal(agent_grant(agent, "hello", 2)->warm, 1);
    world_pass(&f->w, 61000);
    tell(&f->w, 20, 0);
    assert_int_equal(agent_grant(agent, "hello", 2)->warm, 5);
    world_check(&f->w);
}

/* The store is away when a step is over: it is written when it is back, once. */
static void store_is_away(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = begin(&f->w, 0);

    tell(&f->w, 50, 0);
    world_store_up(&f->w, false);
    world_pass(&f->w, 70000);
    assert_int_equal(share(agent), 1000);
    world_store_up(&f->w, true);
    world_pass(&f->w, 12000);
    assert_int_equal(share(agent), 5000);
    assert_view(&f->w, "hello", "rollout.state", "running");
    world_check(&f->w);
}

/* What a plan must be; what is wrong names its member. */
static void reads_plans(void **state)
{
    static const struct {
        const char *json, *error; /* NULL: it is one */
    } cases[] = {
        {"{\"steps\": [10, 25.5, 50]}", NULL},
        {"{\"steps\": [1], \"step_ms\": 100, \"min_calls\": 0, \"max_error_rate\": 0.5}",
         NULL},
        {"{\"steps\": []}", "steps is not a list"},
        {"{}", "steps is not a list"},
        {"{\"steps\": [50, 10]}", "steps: number 2"},
        {"{\"steps\": [100]}", "steps: number 1"},
        {"{\"steps\": [10], \"step_ms\": 1}", "step_ms is not"},
        {"{\"steps\": [10], \"min_calls\": -1}", "min_calls is not"},
        {"{\"steps\": [10], \"max_error_rate\": 101}", "max_error_rate is not"},
        {"{\"steps\": [10], \"pause\": 1}", "pause is not a member"},
        {"[]", "rollout is not a map"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *json = json_loads(cases[i].json, 0, NULL);
        struct rollout_plan p;
        struct error err = {0};
        int rc = rollout_plan_from_json(&p, json, &err);

        assert_int_equal(rc == 0, cases[i].error == NULL);
        if (cases[i].error != NULL) {
            assert_int_equal(strncmp(err.text, cases[i].error, strlen(cases[i].error)),
                             0);
        }
        json_decref(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
        T(goes_on),
        T(goes_back),
        T(each_step_counts_anew),
        T(another_controller_goes_on),
        T(superseded),
        T(rolled_back),
        T(first_version),
        T(never_ready),
        T(warm_by_its_share),
        T(store_is_away),
        cmocka_unit_test(reads_plans),
#undef T
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("controller core: rollouts", tests, NULL, NULL);
}
