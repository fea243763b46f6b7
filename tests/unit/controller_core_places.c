/* Where versions are: constraints, reservations, and what is said when there is no place.
 */
#include "tests/unit/controller_core_world.h"

#include <string.h>

static void label(struct world *w, const char *node, const char *labels)
{
    json_t *json = json_loads(labels, 0, NULL);
    struct answer a = {0};

    assert_non_null(json);
    controller_core_order_node(w->core, node, NULL, json, answer_cb, &a);
    json_decref(json);
    world_run(w);
    assert_int_equal(a.cause, CAUSE_NONE);
}

static uint64_t deploy(struct world *w, const char *name, const char *json)
{
    json_t *parsed = json_loads(json, 0, NULL);
    struct function_spec spec;
    struct answer a = {0};
    struct error err;

    assert_non_null(parsed);
    function_spec_init(&spec);
    assert_int_equal(function_spec_from_json(&spec, parsed, &err), 0);
    assert_int_equal(function_spec_validate(&spec, &err), 0);
    world_put(w, name, &spec, 0, &a);
    world_run(w);
    assert_int_equal(a.cause, CAUSE_NONE);
    function_spec_free(&spec);
    json_decref(parsed);
    return a.version;
}

static void is_ready(struct world *w, const char *name, uint64_t version)
{
    char node[SPEC_NODE_MAX + 1];

    world_proof_node(w, name, version, node);
    for (size_t i = 0; i < w->n_agents; i++) {
        if (strcmp(w->agents[i].name, node) == 0) {
            world_say(w, &w->agents[i], name, version, true, CAUSE_NONE, NULL);
        }
    }
    assert_int_equal(world_number(w, name, "serving_version"), version);
}

static void runs(struct world *w, const struct model_agent *a, const char *name,
                 uint64_t version, uint32_t idle)
{
    struct version_load load = {
        .namespace_ = "default", .name = name, .version = version, .idle = idle};
    struct node_report r = {.loads = &load, .n_loads = 1};

    controller_core_node_report(w->core, a->name, &r);
    world_run(w);
}

/* A version goes where its labels are, and nowhere else, even if it may be on more nodes.
 */
static void goes_where_it_may(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct model_agent *b = world_join(&f->w, "n2", 1024);

    label(&f->w, "n2", "{\"disk\": \"ssd\"}");
    is_ready(&f->w, "f", deploy(&f->w, "f", "{\"constraints\": [\"disk=ssd\"]}"));
    world_pass(&f->w, 5000);
    assert_null(agent_grant(a, "f", 1));
    assert_non_null(agent_grant(b, "f", 1));
    label(&f->w, "n1", "{\"disk\": \"ssd\"}");
    world_pass(&f->w, 5000);
    assert_non_null(agent_grant(a, "f", 1));
    world_check(&f->w);
}

/* When no node satisfies them the deploy ends with no_capacity, and says which
 * constraints and how many nodes fail which filter. */
static void says_what_is_missing(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    for (int i = 0; i < 3; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "n%d", i);
        (void)world_join(&f->w, name, 1024);
    }
    label(&f->w, "n2", "{\"disk\": \"ssd\"}");
    controller_core_order_node(f->w.core, "n2", "cordoned", NULL, answer_cb, &a);
    world_run(&f->w);
    (void)deploy(&f->w, "f", "{\"constraints\": [\"disk=ssd\"]}");
    world_pass(&f->w, 11000);
    assert_view(&f->w, "f", "versions.0.cause", "no_capacity");
    assert_view(&f->w, "f", "versions.0.message",
                "waiting for room: no node satisfies disk=ssd (3 nodes: 1 cordoned, 2 "
                "lack label disk=ssd)"); /* it may be opened again */
    label(&f->w, "n2", "{\"disk\": \"hdd\"}");
    world_pass(&f->w, 21000);
    assert_view(&f->w, "f", "versions.0.state", "failed");
    assert_view(
        &f->w, "f", "versions.0.message",
        "no node satisfies disk=ssd (3 nodes: 1 cordoned, 2 lack label disk=ssd)");
}

/* A node loses the label: what runs there stays until the new place had time to become
 * warm, and never are there more than max_scale. */
static void leaves_gently(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct model_agent *b;

    label(&f->w, "n1", "{\"disk\": \"ssd\"}");
    is_ready(&f->w, "f",
             deploy(&f->w, "f",
                    "{\"constraints\": [\"disk=ssd\"], \"max_scale\": 4, "
                    "\"min_scale\": 1}"));
    assert_int_equal(agent_grant(a, "f", 1)->max, 4);
    runs(&f->w, a, "f", 1, 1);
    b = world_join(&f->w, "n2", 1024);
    label(&f->w, "n2", "{\"disk\": \"ssd\"}");
    world_pass(&f->w, 5000);
    label(&f->w, "n1", "{\"disk\": null}");
    assert_int_equal(agent_grant(a, "f", 1)->warm, 1);
    assert_int_equal(agent_grant(b, "f", 1)->warm, 1);
    assert_int_equal(world_sum_max(&f->w, "f", 1), 4);
    world_check(&f->w);
    world_pass(&f->w, 16000);
    assert_null(agent_grant(a, "f", 1));
    assert_int_equal(agent_grant(b, "f", 1)->max, 4);
    world_check(&f->w);
}

/* Where nothing runs there is nothing to wait for; if the label comes back in time, all
 * is as it was. */
static void leaves_at_once_or_stays(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    label(&f->w, "n1", "{\"disk\": \"ssd\"}");
    is_ready(&f->w, "f",
             deploy(&f->w, "f", "{\"constraints\": [\"disk=ssd\"], \"max_scale\": 4}"));
    runs(&f->w, a, "f", 1, 1);
    label(&f->w, "n1", "{\"disk\": null}");
    assert_int_equal(agent_grant(a, "f", 1)->max, 1); /* what runs */
    label(&f->w, "n1", "{\"disk\": \"ssd\"}");
    assert_int_equal(agent_grant(a, "f", 1)->max, 4);
    runs(&f->w, a, "f", 1, 0);
    label(&f->w, "n1", "{\"disk\": null}");
    assert_null(agent_grant(a, "f", 1));
    world_check(&f->w);
}

/* Memory that is reserved cannot be promised to others, though nothing runs in it. */
static void reserved_is_not_for_others(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    is_ready(&f->w, "r", deploy(&f->w, "r", "{\"reserved\": 7}"));
    assert_int_equal(agent_grant(a, "r", 1)->max, 7);
    assert_int_equal(agent_grant(a, "r", 1)->reserved, 7);
    assert_int_equal(agent_grant(a, "r", 1)->warm, 0);
    (void)deploy(&f->w, "f", "{\"min_scale\": 1, \"memory_mib\": 256}");
    world_pass(&f->w, 601000);
    assert_view(&f->w, "f", "versions.0.state", "failed");
    assert_view(&f->w, "f", "versions.0.cause", "no_capacity");
    (void)world_deploy_ready(&f->w, "g", 128, 0, 0);
    world_check(&f->w);
}

/* A reservation that fits in part only is refused: it would be no guarantee. */
static void reservation_must_fit(void **state)
{
    struct fixture *f = *state;
    char text[512];

    (void)world_join(&f->w, "n1", 1024);
    (void)deploy(&f->w, "r", "{\"reserved\": 20, \"concurrency\": 2}");
    world_pass(&f->w, 11000);
    assert_view(&f->w, "r", "versions.0.cause", "no_capacity");
    world_text(&f->w, "r", "versions.0.message", text);
    assert_non_null(strstr(text,
                           "reserved 20 needs room for 10 instances of 128 MiB, and "
                           "2 of them find none"));
}

/* A new version of a function that has all memory reserved is deployed within it. */
static void redeploys_within_its_reservation(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    is_ready(&f->w, "r", deploy(&f->w, "r", "{\"reserved\": 8}"));
    is_ready(&f->w, "r", deploy(&f->w, "r", "{\"reserved\": 8, \"timeout_ms\": 1000}"));
    assert_int_equal(agent_grant(a, "r", 2)->reserved, 8);
    world_check(&f->w);
    world_restart(&f->w);
    world_pass(&f->w, 10000);
    assert_int_equal(agent_grant(a, "r", 2)->reserved, 8);
    world_check(&f->w);
}

/* A version with a reservation takes over while a new controller only listens: the one
 * that served before keeps nothing booked beside it, for which there is no memory. */
static void takes_over_with_a_reservation(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    is_ready(&f->w, "r", deploy(&f->w, "r", "{\"min_scale\": 1}"));
    (void)deploy(&f->w, "r", "{\"reserved\": 4}");
    is_ready(&f->w, "g", deploy(&f->w, "g", "{\"min_scale\": 4}"));
    assert_int_equal(agent_grant(a, "r", 1)->warm, 1);
    assert_int_equal(agent_grant(a, "r", 2)->reserved, 4);
    assert_int_equal(agent_grant(a, "g", 1)->warm, 4);
    world_restart(&f->w);
    (void)world_rejoin(&f->w, a, false);
    world_report_full(&f->w, a);
    world_check(&f->w);
    world_say(&f->w, a, "r", 2, true, CAUSE_NONE, NULL);
    assert_int_equal(world_number(&f->w, "r", "serving_version"), 2);
    world_check(&f->w);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(goes_where_it_may),
        TEST(says_what_is_missing),
        TEST(leaves_gently),
        TEST(leaves_at_once_or_stays),
        TEST(reserved_is_not_for_others),
        TEST(reservation_must_fit),
        TEST(redeploys_within_its_reservation),
        TEST(takes_over_with_a_reservation),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("controller core: places", tests, NULL, NULL);
}
