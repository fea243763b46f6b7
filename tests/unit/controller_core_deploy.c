/* From a deploy to a version that serves: proof, failure, supersession. */
#include "tests/unit/controller_core_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A first version is granted with one instance kept ready, and serves when that is. */
static void becomes_ready(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    assert_int_equal(world_deploy(&f->w, "hello", 128, 0, 0), 1);
    assert_view(&f->w, "hello", "state", "deploying");
    assert_int_equal(agent_grant(a, "hello", 1)->warm, 1);
    assert_int_equal(agent_grant(a, "hello", 1)->max, 8);
    assert_int_equal(agent_function(a, "hello")->serving, 0);
    world_say(&f->w, a, "hello", 1, true, CAUSE_NONE, NULL);
    assert_view(&f->w, "hello", "state", "ready");
    assert_view(&f->w, "hello", "versions.0.state", "ready");
    assert_int_equal(world_number(&f->w, "hello", "serving_version"), 1);
    assert_int_equal(agent_function(a, "hello")->serving, 1);
    assert_int_equal(agent_grant(a, "hello", 1)->warm, 0);
    world_check(&f->w);
}

/* The next version takes over when it is proved; until then the old one serves. */
static void takes_over(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 2048);

    (void)world_deploy_ready(&f->w, "hello", 128, 2, 1);
    assert_int_equal(agent_grant(a, "hello", 1)->warm, 1);
    (void)world_deploy(&f->w, "hello", 256, 3, 2);
    assert_int_equal(agent_function(a, "hello")->serving, 1);
    assert_int_equal(agent_grant(a, "hello", 1)->max, 2);
    assert_int_equal(agent_grant(a, "hello", 2)->max, 3);
    assert_int_equal(agent_grant(a, "hello", 2)->warm, 1);
    assert_view(&f->w, "hello", "state", "ready");
    world_say(&f->w, a, "hello", 2, true, CAUSE_NONE, NULL);
    assert_int_equal(agent_function(a, "hello")->serving, 2);
    assert_int_equal(agent_grant(a, "hello", 1)->warm, 0); /* for a rollback */
    world_pass(&f->w, 301000);
    assert_int_equal(agent_function(a, "hello")->n_versions, 1);
    assert_int_equal(agent_grant(a, "hello", 2)->warm, 2);
    assert_view(&f->w, "hello", "versions.0.state", "retired");
    assert_view(&f->w, "hello", "versions.1.state", "ready");
    world_check(&f->w);
}

/* Causes of the version's own end the deployment; the old one goes on. */
static void fails_with_its_cause(void **state)
{
    static const enum cause causes[] = {CAUSE_START_FAILED, CAUSE_INIT_FAILED,
                                        CAUSE_CRASHED,      CAUSE_OOM,
                                        CAUSE_TIMEOUT,      CAUSE_PACKAGE_INVALID};
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
        uint64_t v = world_deploy(&f->w, "hello", 128, 0, 0);
        char path[64];

        world_refuse(&f->w, "hello", v, causes[i]);
        (void)snprintf(path, sizeof(path), "versions.%zu.state", i + 1);
        assert_view(&f->w, "hello", path, "failed");
        (void)snprintf(path, sizeof(path), "versions.%zu.cause", i + 1);
        assert_view(&f->w, "hello", path, cause_name(causes[i]));
        (void)snprintf(path, sizeof(path), "versions.%zu.message", i + 1);
        assert_view(&f->w, "hello", path, "it says no");
        assert_null(agent_grant(a, "hello", v));
        assert_int_equal(agent_function(a, "hello")->serving, 1);
        world_check(&f->w);
    }
    assert_view(&f->w, "hello", "state", "ready");
}

/* A function whose only version failed is failed. */
static void first_version_fails(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    world_refuse(&f->w, "hello", 1, CAUSE_INIT_FAILED);
    assert_view(&f->w, "hello", "state", "failed");
    assert_int_equal(agent_function(a, "hello")->n_versions, 0);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    assert_view(&f->w, "hello", "state", "ready");
}

/* All nodes are told why no version serves, also before the store has it, and those that
 * come later; a new deploy, and one that serves, take it back. */
static void all_nodes_hear_why(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct model_agent *b = world_join(&f->w, "n2", 1024);
    struct model_agent *nodes[3] = {a, b, NULL};

    (void)world_deploy(&f->w, "hello", 128, 1, 0);
    assert_int_equal(agent_function(b, "hello")->failed, CAUSE_NONE);
    f->w.mode = TXN_HELD;
    world_refuse(&f->w, "hello", 1, CAUSE_INIT_FAILED);
    assert_int_equal(agent_function(b, "hello")->failed, CAUSE_INIT_FAILED);
    f->w.mode = TXN_NORMAL;
    world_run(&f->w);
    assert_view(&f->w, "hello", "state", "failed");
    nodes[2] = world_join(&f->w, "n3", 1024);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(agent_function(nodes[i], "hello")->failed, CAUSE_INIT_FAILED);
        assert_string_equal(agent_function(nodes[i], "hello")->failed_text, "it says no");
    }
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    assert_int_equal(agent_function(b, "hello")->failed, CAUSE_NONE);
    world_refuse(&f->w, "hello", 2, CAUSE_OOM);
    assert_int_equal(agent_function(b, "hello")->failed, CAUSE_OOM);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    world_refuse(&f->w, "hello", 4, CAUSE_OOM); /* version 3 serves on */
    assert_int_equal(agent_function(b, "hello")->failed, CAUSE_NONE);
    world_check(&f->w);
}

/* A later deploy retires one that has not proved itself; what is said of it is late. */
static void superseded(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    assert_view(&f->w, "hello", "versions.0.state", "retired");
    assert_view(&f->w, "hello", "versions.0.message", "superseded by version 2");
    assert_null(agent_grant(a, "hello", 1));
    world_say(&f->w, a, "hello", 1, true, CAUSE_NONE, NULL);
    world_say(&f->w, a, "hello", 1, false, CAUSE_OOM, NULL);
    world_say(&f->w, a, "hello", 9, true, CAUSE_NONE, NULL);
    world_say(&f->w, a, "other", 1, true, CAUSE_NONE, NULL);
    assert_view(&f->w, "hello", "state", "deploying");
    world_say(&f->w, a, "hello", 2, true, CAUSE_NONE, NULL);
    assert_int_equal(world_number(&f->w, "hello", "serving_version"), 2);
}

/* What a node says of the serving version changes nothing about it. */
static void serving_goes_on(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    world_say(&f->w, a, "hello", 1, false, CAUSE_CRASHED, "again");
    assert_view(&f->w, "hello", "versions.0.state", "ready");
    assert_non_null(agent_grant(a, "hello", 1));
}

/* A node without room is not the version's fault: another is asked. */
static void another_node_is_asked(void **state)
{
    struct fixture *f = *state;
    const char *first;

    (void)world_join(&f->w, "n1", 1024);
    (void)world_join(&f->w, "n2", 1024);
    (void)world_deploy(&f->w, "hello", 128, 1, 0);
    first = world_proof(&f->w, "hello", 1)->name;
    world_refuse(&f->w, "hello", 1, CAUSE_NO_CAPACITY);
    assert_string_not_equal(world_proof(&f->w, "hello", 1)->name, first);
    assert_view(&f->w, "hello", "state", "deploying");
    world_say(&f->w, world_proof(&f->w, "hello", 1), "hello", 1, true, CAUSE_NONE, NULL);
    assert_view(&f->w, "hello", "state", "ready");
    world_check(&f->w);
}

/* A node that could not prove it may run it when it serves. */
static void serves_where_it_was_refused(void **state)
{
    struct fixture *f = *state;
    struct model_agent *first;

    (void)world_join(&f->w, "n1", 1024);
    (void)world_join(&f->w, "n2", 1024);
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    first = world_proof(&f->w, "hello", 1);
    world_refuse(&f->w, "hello", 1, CAUSE_NO_CAPACITY);
    assert_null(agent_grant(first, "hello", 1));
    world_say(&f->w, world_proof(&f->w, "hello", 1), "hello", 1, true, CAUSE_NONE, NULL);
    assert_non_null(agent_grant(first, "hello", 1));
    world_check(&f->w);
}

/* The node that was to prove it is lost: another is chosen. */
static void proof_node_is_lost(void **state)
{
    struct fixture *f = *state;
    struct model_agent *first;

    (void)world_join(&f->w, "n1", 1024);
    (void)world_join(&f->w, "n2", 1024);
    (void)world_deploy(&f->w, "hello", 128, 1, 0);
    first = world_proof(&f->w, "hello", 1);
    world_leave(&f->w, first);
    assert_ptr_not_equal(world_proof(&f->w, "hello", 1), first);
    world_say(&f->w, first, "hello", 1, false, CAUSE_OOM, "late");
    assert_view(&f->w, "hello", "state", "deploying");
    world_check(&f->w);
}

/* A node that says nothing is not waited for for ever. */
static void silent_node(void **state)
{
    struct fixture *f = *state;
    struct model_agent *first;

    (void)world_join(&f->w, "n1", 1024);
    (void)world_join(&f->w, "n2", 1024);
    (void)world_deploy(&f->w, "hello", 128, 1, 0);
    first = world_proof(&f->w, "hello", 1);
    world_pass(&f->w, 71000);
    assert_ptr_not_equal(world_proof(&f->w, "hello", 1), first);
    world_pass(&f->w, 400000);
    assert_view(&f->w, "hello", "versions.0.state", "failed");
    assert_view(&f->w, "hello", "versions.0.cause", "start_failed");
}

/* The report may have been lost with an earlier controller: an instance that runs is
 * proof enough. */
static void running_is_proof(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct version_load load = {
        .namespace_ = "default", .name = "hello", .version = 1, .idle = 1};
    struct node_report r = {.loads = &load, .n_loads = 1};

    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    controller_core_node_report(f->w.core, a->name, &r);
    world_run(&f->w);
    assert_view(&f->w, "hello", "state", "ready");
}

/* An outcome reaches the store when that is there again, and the callers meet nothing of
 * it until then. */
static void outcome_waits_for_the_store(void **state)
{
    static const enum txn_mode modes[] = {TXN_FAILS, TXN_UNKNOWN_LOST, TXN_UNKNOWN_MADE,
                                          TXN_HELD};
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        uint64_t v = world_deploy(&f->w, "hello", 128, 0, 0);
        char path[64];

        f->w.mode = modes[i];
        world_say(&f->w, a, "hello", v, i % 2 == 0, CAUSE_OOM, "too much");
        world_pass(&f->w, 25000);
        world_store_up(&f->w, false);
        world_pass(&f->w, 60000);
        f->w.mode = TXN_NORMAL;
        world_store_up(&f->w, true);
        world_pass(&f->w, 12000);
        (void)snprintf(path, sizeof(path), "versions.%zu.state", i);
        assert_view(&f->w, "hello", path, i % 2 == 0 ? "ready" : "failed");
        world_check(&f->w);
    }
    assert_int_equal(agent_function(a, "hello")->serving, 3);
}

/* The proved candidate keeps its instance while its outcome is on the way to the store.
 */
static void proved_but_not_stored(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    f->w.mode = TXN_HELD;
    world_say(&f->w, a, "hello", 1, true, CAUSE_NONE, NULL);
    assert_view(&f->w, "hello", "state", "deploying");
    assert_int_equal(agent_grant(a, "hello", 1)->warm, 1);
    world_say(&f->w, a, "hello", 1, false, CAUSE_CRASHED, "but it was ready");
    f->w.mode = TXN_NORMAL;
    world_run(&f->w);
    assert_view(&f->w, "hello", "state", "ready");
}

/* The first word counts: a failed candidate is not proved by what another says later. */
static void failed_but_not_stored(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    f->w.mode = TXN_FAILS; /* so that the outcome is written once more */
    world_say(&f->w, a, "hello", 1, false, CAUSE_OOM, "too much");
    assert_null(agent_grant(a, "hello", 1));
    world_say(&f->w, a, "hello", 1, true, CAUSE_NONE, NULL);
    f->w.mode = TXN_NORMAL;
    world_pass(&f->w, 12000);
    assert_view(&f->w, "hello", "state", "failed");
    assert_view(&f->w, "hello", "versions.0.message", "too much");
}

/* A deploy that comes while the former one's outcome is being written supersedes it
 * either way. */
static void deploy_races_with_the_outcome(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct function_spec spec;
    struct answer p = {0};

    function_spec_init(&spec);
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    world_put(&f->w, "hello", &spec, 0, &p); /* on its way */
    world_say(&f->w, a, "hello", 1, true, CAUSE_NONE, NULL);
    world_run(&f->w);
    assert_int_equal(p.version, 2);
    assert_view(&f->w, "hello", "versions.0.state", "retired");
    assert_view(&f->w, "hello", "state", "deploying");
    world_say(&f->w, a, "hello", 2, true, CAUSE_NONE, NULL);
    assert_view(&f->w, "hello", "state", "ready");
    world_check(&f->w);
}

/* A function made anew after its deletion is another one: its version 1 must be proved.
 */
static void made_anew(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct answer d = {0};

    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    world_delete(&f->w, "hello", &d);
    world_run(&f->w);
    assert_null(agent_function(a, "hello"));
    assert_int_equal(world_deploy(&f->w, "hello", 256, 0, 0), 1);
    assert_int_equal(agent_function(a, "hello")->serving, 0);
    assert_int_equal(agent_function(a, "hello")->memory_mib[0], 256);
    world_check(&f->w);
}

/* min_scale is kept ready over its nodes, and by others when a node is lost. */
static void min_scale_is_spread(void **state)
{
    struct fixture *f = *state;
    struct model_agent *nodes[4];
    char name[8];

    for (int i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        nodes[i] = world_join(&f->w, name, 1024);
    }
    (void)world_deploy_ready(&f->w, "hello", 128, 8, 6);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 6);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(agent_grant(nodes[i], "hello", 1)->max, 2);
        assert_in_range(agent_grant(nodes[i], "hello", 1)->warm, 1, 2);
    }
    world_leave(&f->w, nodes[2]);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 6);
    assert_int_equal(world_sum_max(&f->w, "hello", 1), 8);
    world_check(&f->w);
}

/* Only what differs is sent: what changes nothing for nodes sends nothing. */
static void sends_only_changes(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct node_report r = {0};
    size_t n;

    (void)world_deploy_ready(&f->w, "one", 128, 0, 0);
    (void)world_deploy_ready(&f->w, "two", 128, 0, 0);
    n = f->w.n_sends;
    (void)world_deploy(&f->w, "two", 128, 0, 0);
    assert_int_equal(f->w.n_sends, n + 1); /* "two", with its candidate */
    controller_core_node_report(f->w.core, a->name, &r);
    world_store_up(&f->w, false);
    world_store_up(&f->w, true);
    world_load(&f->w);
    (void)world_join(&f->w, "n2", 1024);       /* nobody lacks anything */
    assert_int_equal(f->w.n_sends, n + 1 + 2); /* its snapshot */
    world_check(&f->w);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(becomes_ready),
        TEST(takes_over),
        TEST(fails_with_its_cause),
        TEST(first_version_fails),
        TEST(all_nodes_hear_why),
        TEST(superseded),
        TEST(serving_goes_on),
        TEST(another_node_is_asked),
        TEST(serves_where_it_was_refused),
        TEST(proof_node_is_lost),
        TEST(silent_node),
        TEST(running_is_proof),
        TEST(outcome_waits_for_the_store),
        TEST(proved_but_not_stored),
        TEST(failed_but_not_stored),
        TEST(deploy_races_with_the_outcome),
        TEST(made_anew),
        TEST(min_scale_is_spread),
        TEST(sends_only_changes),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("controller core: deploy", tests, NULL, NULL);
}
