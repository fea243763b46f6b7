/* What operators say of nodes: cordoned, draining, labels. */
#include "tests/unit/controller_core_world.h"

#include <string.h>

static enum cause order(struct world *w, const char *node, const char *state,
                        const char *labels)
{
    json_t *json = labels != NULL ? json_loads(labels, 0, NULL) : NULL;
    struct answer a = {0};

    controller_core_order_node(w->core, node, state, json, answer_cb, &a);
    json_decref(json);
    world_run(w);
    assert_int_equal(a.n, 1);
    return a.cause;
}

/* labels: those that are to be there (agents tell others as well). */
static void assert_node(struct world *w, const char *node, const char *state,
                        const char *labels)
{
    json_t *view = controller_core_node(w->core, node);
    json_t *wanted = json_loads(labels, 0, NULL), *value;
    const char *key;

    assert_non_null(view);
    assert_string_equal(json_string_value(json_object_get(view, "state")), state);
    json_object_foreach(wanted, key, value)
    {
        json_t *label = json_object_get(json_object_get(view, "labels"), key);

        assert_true(json_is_null(value) ? label == NULL : json_equal(label, value));
    }
    json_decref(wanted);
    json_decref(view);
}

/* A cordoned node keeps what it has and gets nothing new, until it is uncordoned. */
static void cordoned_gets_nothing_new(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct model_agent *b;

    (void)world_deploy_ready(&f->w, "old", 128, 3, 1);
    assert_int_equal(order(&f->w, "n1", "cordoned", NULL), CAUSE_NONE);
    assert_node(&f->w, "n1", "cordoned", "{}");
    assert_int_equal(agent_grant(a, "old", 1)->max, 3);
    b = world_join(&f->w, "n2", 1024);
    (void)world_deploy_ready(&f->w, "new", 128, 0, 0);
    assert_null(agent_grant(a, "new", 1));
    assert_non_null(agent_grant(b, "new", 1));
    assert_int_equal(order(&f->w, "n1", "ready", NULL), CAUSE_NONE);
    world_pass(&f->w, 3000);
    assert_non_null(agent_grant(a, "new", 1));
    world_check(&f->w);
}

/* A draining node's grants are elsewhere at once, and it is given nothing; what it said
 * remains known. */
static void draining_moves_grants(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct model_agent *b = world_join(&f->w, "n2", 1024);

    (void)world_deploy_ready(&f->w, "one", 128, 1, 1);
    (void)world_deploy_ready(&f->w, "free", 128, 0, 0);
    assert_int_equal(order(&f->w, "n1", "draining", NULL), CAUSE_NONE);
    assert_node(&f->w, "n1", "draining", "{}");
    assert_null(agent_grant(a, "one", 1));
    assert_null(agent_grant(a, "free", 1));
    assert_int_equal(agent_grant(b, "one", 1)->max, 1);
    assert_int_equal(agent_grant(b, "one", 1)->warm, 1);
    assert_non_null(agent_grant(b, "free", 1));
    world_check(&f->w);
    assert_int_equal(order(&f->w, "n1", "ready", NULL), CAUSE_NONE);
    world_pass(&f->w, 3000);
    assert_non_null(agent_grant(a, "free", 1));
    assert_null(agent_grant(a, "one", 1)); /* it stays where it is now */
    world_check(&f->w);
}

/* With every node draining a version waits; the first one that is open gets it. */
static void all_draining(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    (void)world_deploy_ready(&f->w, "one", 128, 1, 0);
    assert_int_equal(order(&f->w, "n1", "draining", NULL), CAUSE_NONE);
    assert_int_equal(world_n_grants(&f->w, "one", 1), 0);
    assert_int_equal(order(&f->w, "n1", "ready", NULL), CAUSE_NONE);
    assert_non_null(agent_grant(a, "one", 1));
    world_check(&f->w);
}

/* An order outlives the node's sessions and the controller. */
static void orders_are_kept(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct model_agent *b = world_join(&f->w, "n2", 1024);

    (void)world_deploy_ready(&f->w, "free", 128, 0, 0);
    assert_int_equal(order(&f->w, "n1", "draining", "{\"zone\": \"a\"}"), CAUSE_NONE);
    world_leave(&f->w, a);
    assert_node(&f->w, "n1", "lost", "{\"zone\": \"a\"}");
    (void)world_rejoin(&f->w, a, true);
    assert_node(&f->w, "n1", "draining", "{\"zone\": \"a\"}");
    assert_null(agent_grant(a, "free", 1));
    world_restart(&f->w);
    (void)world_rejoin(&f->w, a, false);
    (void)world_rejoin(&f->w, b, false);
    world_pass(&f->w, 5000);
    assert_node(&f->w, "n1", "draining", "{\"zone\": \"a\"}");
    assert_null(agent_grant(a, "free", 1));
    assert_non_null(agent_grant(b, "free", 1));
    world_check(&f->w);
}

/* Labels are set one by one, and removed by null; nonsense is refused by its key. */
static void labels_are_merged(void **state)
{
    struct fixture *f = *state;

    (void)world_join(&f->w, "n1", 1024);
    assert_int_equal(order(&f->w, "n1", NULL, "{\"a\": \"1\", \"b\": \"2\"}"),
                     CAUSE_NONE);
    assert_int_equal(order(&f->w, "n1", NULL, "{\"b\": null, \"c\": \"\"}"), CAUSE_NONE);
    assert_node(&f->w, "n1", "ready", "{\"a\": \"1\", \"b\": null, \"c\": \"\"}");
    assert_int_equal(order(&f->w, "n1", NULL, "{\"b d\": \"2\"}"), CAUSE_BAD_REQUEST);
    assert_int_equal(order(&f->w, "n1", NULL, "{\"b\": 2}"), CAUSE_BAD_REQUEST);
    assert_int_equal(order(&f->w, "n1", "tired", NULL), CAUSE_BAD_REQUEST);
    assert_int_equal(order(&f->w, "n9", "cordoned", NULL), CAUSE_NOT_FOUND);
    assert_node(&f->w, "n1", "ready", "{\"a\": \"1\", \"b\": null, \"c\": \"\"}");
    world_check(&f->w);
}

/* An order that somebody deletes from the store, or that cannot be read, is none. */
static void orders_that_go(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    (void)world_deploy_ready(&f->w, "free", 128, 0, 0);
    assert_int_equal(order(&f->w, "n1", "draining", NULL), CAUSE_NONE);
    assert_null(agent_grant(a, "free", 1));
    store_model_put(&f->s, "/mayfly/nodes/n1", "{\"state\": \"tired\"}");
    world_load(&f->w);
    world_run(&f->w);
    assert_int_equal(controller_core_damaged(f->w.core), 1);
    assert_node(&f->w, "n1", "ready", "{}");
    assert_non_null(agent_grant(a, "free", 1));
    assert_int_equal(order(&f->w, "n1", "draining", NULL), CAUSE_NONE); /* over it */
    store_model_delete(&f->s, "/mayfly/nodes/n1");
    world_load(&f->w);
    world_run(&f->w);
    assert_node(&f->w, "n1", "ready", "{}");
    world_check(&f->w);
}

/* An agent that is told to end says so: its grants are elsewhere at once, it is shown as
 * draining, and whatever an operator says meanwhile does not bring it back. Its next life
 * takes part again. */
static void leaving_moves_grants(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct model_agent *b = world_join(&f->w, "n2", 1024);

    (void)world_deploy_ready(&f->w, "one", 128, 1, 1);
    (void)world_deploy_ready(&f->w, "free", 128, 0, 0);
    controller_core_node_leaving(f->w.core, "n1");
    world_run(&f->w);
    assert_node(&f->w, "n1", "draining", "{}");
    assert_null(agent_grant(a, "one", 1));
    assert_null(agent_grant(a, "free", 1));
    assert_int_equal(agent_grant(b, "one", 1)->warm, 1);
    assert_int_equal(order(&f->w, "n1", "cordoned", NULL), CAUSE_NONE);
    assert_int_equal(order(&f->w, "n1", "ready", NULL), CAUSE_NONE);
    assert_node(&f->w, "n1", "draining", "{}");
    controller_core_node_leaving(f->w.core, "n1"); /* said twice */
    controller_core_node_leaving(f->w.core, "nobody");
    world_check(&f->w);
    world_leave(&f->w, a);
    assert_node(&f->w, "n1", "lost", "{}");
    world_rejoin(&f->w, a, true);
    world_pass(&f->w, 3000);
    assert_node(&f->w, "n1", "ready", "{}");
    assert_non_null(agent_grant(a, "free", 1));
    world_check(&f->w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cordoned_gets_nothing_new),
        TEST(draining_moves_grants),
        TEST(all_draining),
        TEST(orders_are_kept),
        TEST(labels_are_merged),
        TEST(orders_that_go),
        TEST(leaving_moves_grants),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("controller core orders", tests, NULL, NULL);
}
