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
        TEST(life_of_a_node),
        TEST(of_a_namespace),
        TEST(tail),
        TEST(ring),
        TEST(numbers_grow_over_restarts),
    };

    return cmocka_run_group_tests_name("controller_core_journal", tests, NULL, NULL);
}
