/* Events: what people are told of the cluster, and how they read it. */
#include "tests/unit/controller_core_world.h"

#include <stdio.h>
#include <string.h>

/* Kinds of the events after *after, "a b c". */
static void kinds(const struct fixture *f, const struct core_event_query *q,
                  uint64_t *after, char ret[512])
{
    json_t *e;

    ret[0] = '\0';
    while ((e = controller_core_event_next(f->w.core, q, after)) != NULL) {
        size_t len = strlen(ret);

        assert_int_equal(json_integer_value(json_object_get(e, "id")), *after);
        (void)snprintf(ret + len, 512 - len, "%s%s", len > 0 ? " " : "",
                       json_string_value(json_object_get(e, "kind")));
        json_decref(e);
    }
}

#define assert_kinds(f, q, after, expected)    \
    do {                                       \
        char kinds_[512];                      \
        kinds(f, &(q), after, kinds_);         \
        assert_string_equal(kinds_, expected); \
    } while (0)

static const struct core_event_query all = {NULL, NULL, NULL};

/* A function's life is told, in order. */
static void life_of_a_function(void **state)
{
    struct fixture *f = *state;
    struct core_event_query q = {"default", "hello", NULL};
    struct answer a = {0};
    uint64_t after = 0;

    (void)world_join(&f->w, "n1", 1024);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    assert_kinds(f, q, &after, "deployed version_ready");
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    world_say(&f->w, &f->w.agents[0], "hello", 2, false, CAUSE_INIT_FAILED, "exit 1");
    world_run(&f->w);
    assert_kinds(f, q, &after, "deployed version_failed");
    world_delete(&f->w, "hello", &a);
    world_run(&f->w);
    assert_kinds(f, q, &after, "deleted");
    assert_kinds(f, q, &after, "");
}

/* The text of the last event, or of the n-th last. */
static void last_text(const struct fixture *f, uint64_t n, char ret[512])
{
    uint64_t after = controller_core_event_tail(f->w.core, &all, n);
    json_t *e = controller_core_event_next(f->w.core, &all, &after);

    assert_non_null(e);
    (void)snprintf(ret, 512, "%s", json_string_value(json_object_get(e, "text")));
    json_decref(e);
}

/* Who goes back, publishes or moves an alias reads of it. */
static void traffic_is_told(void **state)
{
    struct fixture *f = *state;
    struct core_event_query q = {"default", "hello", NULL};
    const struct alias_weight split[] = {{1, 9000}, {2, 1000}};
    struct answer a = {0};
    uint64_t after = 0;
    char text[512];

    (void)world_join(&f->w, "n1", 1024);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    assert_kinds(f, q, &after, "deployed version_ready deployed version_ready");
    world_publish(&f->w, "hello", 1, &a);
    world_run(&f->w);
    assert_kinds(f, q, &after, "published");
    world_put_alias(&f->w, "hello", "live", split, 2, &a);
    world_run(&f->w);
    assert_kinds(f, q, &after, "alias");
    last_text(f, 1, text);
    assert_string_equal(text, "alias live means 90 % of version 1, 10 % of version 2");
    world_rollback(&f->w, "hello", 0, &a);
    world_run(&f->w);
    assert_kinds(f, q, &after, "version_ready");
    last_text(f, 1, text);
    assert_string_equal(text, "takes the calls again in place of version 2");
}

/* Each step of a rollout is told, and how it ended. */
static void rollout_is_told(void **state)
{
    struct fixture *f = *state;
    struct core_event_query q = {"default", "hello", NULL};
    struct rollout_plan plan = {.steps = {1000}, .n_steps = 1, .step_ms = 100};
    struct package_ref package = {.bytes = 1, .format = SPEC_FORMAT_TAR};
    struct function_spec spec;
    struct answer a = {0};
    uint64_t after = 0;
    char text[512];

    (void)world_join(&f->w, "n1", 1024);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    assert_kinds(f, q, &after, "deployed version_ready");
    function_spec_init(&spec);
    memset(package.digest, 'a', SPEC_DIGEST_LEN);
    controller_core_roll_out(f->w.core, "default", "hello", &spec, &package, &plan, 0,
                             answer_cb, &a);
    world_run(&f->w);
    assert_int_equal(a.cause, CAUSE_NONE);
    assert_kinds(f, q, &after, "deployed rollout");
    world_say(&f->w, &f->w.agents[0], "hello", 2, true, CAUSE_NONE, NULL);
    assert_kinds(f, q, &after, "rollout scaled");
    last_text(f, 2, text);
    assert_string_equal(text,
                        "its rollout is running: 10 % of the calls go to version 2");
    world_pass(&f->w, 1000);
    assert_kinds(f, q, &after, "rollout version_ready scaled");
    function_spec_free(&spec);
}

/* A node's life: it came, was ordered, was lost, came back; a short break is none. */
static void life_of_a_node(void **state)
{
    struct fixture *f = *state;
    struct core_event_query q = {.node = "n1"};
    struct model_agent *n = world_join(&f->w, "n1", 1024);
    struct answer a = {0};
    uint64_t after = 0;

    (void)world_join(&f->w, "n2", 1024);
    assert_kinds(f, q, &after, "node_joined");
    controller_core_order_node(f->w.core, "n1", "cordoned", NULL, answer_cb, &a);
    world_run(&f->w);
    assert_kinds(f, q, &after, "node_ordered");
    world_leave(&f->w, n);
    assert_kinds(f, q, &after, "node_lost");
    (void)world_rejoin(&f->w, n, false);
    assert_kinds(f, q, &after, "node_joined");
}

/* What another namespace's functions do is not shown, what nodes do is. */
static void of_a_namespace(void **state)
{
    struct fixture *f = *state;
    struct core_event_query q = {.namespace_ = "team"};
    uint64_t after = 0;

    (void)world_join(&f->w, "n1", 1024);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    assert_kinds(f, q, &after, "node_joined");
}

/* The last n that match; more than there are: all. */
static void tail(void **state)
{
    struct fixture *f = *state;
    struct core_event_query q = {"default", "hello", NULL};
    uint64_t after;

    (void)world_join(&f->w, "n1", 1024);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    (void)world_deploy_ready(&f->w, "other", 128, 0, 0);
    after = controller_core_event_tail(f->w.core, &q, 1);
    assert_kinds(f, q, &after, "version_ready");
    after = controller_core_event_tail(f->w.core, &q, 100);
    assert_kinds(f, q, &after, "deployed version_ready");
    after = controller_core_event_tail(f->w.core, &all, 0);
    assert_kinds(f, all, &after, "");
    assert_int_equal(after, controller_core_event_last(f->w.core));
}

/* The ring keeps JOURNAL_MAX; a reader that fell behind can tell. */
static void ring(void **state)
{
    struct fixture *f = *state;
    struct model_agent *n = world_join(&f->w, "n1", 1024);
    uint64_t after = controller_core_event_last(f->w.core);
    size_t left = 0;
    json_t *e;

    for (int i = 0; i < JOURNAL_MAX; i++) { /* two events a turn */
        assert_int_equal(controller_core_event_lost(f->w.core, after),
                         i > JOURNAL_MAX / 2);
        world_leave(&f->w, n);
        (void)world_rejoin(&f->w, n, false);
    }
    while ((e = controller_core_event_next(f->w.core, &all, &after)) != NULL) {
        json_decref(e);
        left++;
    }
    assert_int_equal(left, JOURNAL_MAX);
    assert_false(controller_core_event_lost(f->w.core, after));
}

/* Numbers grow over a restart of the controller: a reader goes on with what is new. */
static void numbers_grow_over_restarts(void **state)
{
    struct fixture *f = *state;
    uint64_t after;

    (void)world_join(&f->w, "n1", 1024);
    after = controller_core_event_last(f->w.core);
    world_restart(&f->w);
    (void)world_join(&f->w, "n2", 1024);
    assert_true(controller_core_event_last(f->w.core) > after);
    assert_kinds(f, all, &after, "node_joined");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(life_of_a_function),
        TEST(traffic_is_told),
        TEST(rollout_is_told),
        TEST(life_of_a_node),
        TEST(of_a_namespace),
        TEST(tail),
        TEST(ring),
        TEST(numbers_grow_over_restarts),
    };

    return cmocka_run_group_tests_name("controller_core_journal", tests, NULL, NULL);
}
