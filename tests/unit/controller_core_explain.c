/* What the controller tells people of a function: how long its calls took in the last
 * minute, and why it is as it is. */
#include "tests/unit/controller_core_world.h"

#include <string.h>

#include "common/latency.h"
#include "controller/core/core_private.h"
#include "controller/core/nodes.h"
#include "controller/core/registry.h"

#define SECOND 1000

static void report(struct world *w, const struct model_agent *a,
                   const struct version_load *like)
{
    struct version_load l = *like;
    struct node_report r = {.loads = &l, .n_loads = 1};

    l.namespace_ = "default";
    l.name = "hello";
    l.version = 1;
    controller_core_node_report(w->core, a->name, &r);
    world_run(w);
}

static json_t *explain(struct world *w)
{
    json_t *e = controller_core_explain(w->core, "default", "hello");

    assert_non_null(e);
    return e;
}

/* A text of the explanation, by keys and indices: "versions", 0, "role". */
static void assert_said(json_t *e, const char *expected, const char *path)
{
    char copy[128], *rest = copy;
    const json_t *at = e;

    (void)stpcpy(copy, path);
    for (const char *key; (key = strsep(&rest, ".")) != NULL;) {
        at = *key >= '0' && *key <= '9' ? json_array_get(at, (size_t)(*key - '0'))
                                        : json_object_get(at, key);
    }
    assert_non_null(json_string_value(at));
    assert_string_equal(json_string_value(at), expected);
}

/* Why the latest version cannot serve is told until another one is deployed. */
static void why_it_cannot_serve(void **state)
{
    struct fixture *f = *state;
    struct world *w = &f->w;
    json_t *e;

    (void)world_join(w, "n1", 64);
    (void)world_deploy(w, "hello", 128, 0, 0);
    world_pass(w, 30 * SECOND); /* it has no place */
    e = explain(w);
    assert_said(e, "failed", "state");
    assert_said(e, "no_capacity", "last_failure.cause");
    assert_non_null(strstr(
        json_string_value(json_object_get(json_object_get(e, "last_failure"), "text")),
        "128 MiB"));
    json_decref(e);
    (void)world_deploy(w, "hello", 32, 0, 0);
    e = explain(w);
    assert_true(json_is_null(json_object_get(e, "last_failure")));
    json_decref(e);
}

/* Percentiles are of the calls that ended in the last minute; without calls there are
 * none, and no memory is kept for them. */
static void latency_of_the_last_minute(void **state)
{
    struct fixture *f = *state;
    struct world *w = &f->w;
    const struct model_agent *a = world_join(w, "n1", 1024);
    uint64_t counts[LATENCY_BUCKETS] = {0};
    struct version_load l = {.latency = counts, .n_latency = LATENCY_BUCKETS};
    const struct core_function *hello;
    unsigned fast = latency_bucket(1000), slow = latency_bucket(100 * 1000);

    world_deploy_ready(w, "hello", 128, 0, 0);
    hello = registry_function(w->core, "default", "hello");
    report(w, a, &l);
    assert_int_equal(world_number(w, "hello", "latency.count"), -1); /* null */
    assert_null(hello->insight.window);
    counts[fast] = 98;
    counts[slow] = 2;
    l.cpu_us = 500;
    l.gb_ms = 3 * 1024;
    report(w, a, &l);
    report(w, a, &l); /* says the same again: counted once */
    assert_int_equal(world_number(w, "hello", "latency.count"), 100);
    assert_int_equal(world_number(w, "hello", "cpu_us"), 500);
    assert_int_equal(nodes_find(w->core, "n1")->cpu_us, 500);
    assert_int_equal(world_number(w, "hello", "gb_ms"), 3);
    {
        json_t *view = controller_core_function(w->core, "default", "hello");
        const json_t *latency = json_object_get(view, "latency");

        assert_true(json_number_value(json_object_get(latency, "p50_ms")) < 2);
        assert_true(json_number_value(json_object_get(latency, "p99_ms")) >= 100);
        json_decref(view);
    }
    world_pass(w, 30 * SECOND);
    counts[fast] += 1;
    report(w, a, &l);
    assert_int_equal(world_number(w, "hello", "latency.count"), 101);
    world_pass(w, 35 * SECOND);
    assert_int_equal(world_number(w, "hello", "latency.count"), 1);
    world_pass(w, 60 * SECOND);
    assert_null(hello->insight.window);
    world_check(w);
}

/* What a node had counted before this controller heard of it may be of any time: it is
 * not the last minute's. Counters of an agent that began anew are. */
static void old_counts_do_not_count(void **state)
{
    struct fixture *f = *state;
    struct world *w = &f->w;
    const struct model_agent *a = world_join(w, "n1", 1024);
    uint64_t counts[2] = {1000, 1};
    struct version_load l = {.latency = counts, .n_latency = 2};

    world_deploy_ready(w, "hello", 128, 0, 0);
    report(w, a, &l);
    assert_int_equal(world_number(w, "hello", "latency.count"), -1); /* null */
    counts[0] = 5;
    report(w, a, &l);
    assert_int_equal(world_number(w, "hello", "latency.count"), 5);
}

/* The newest of what several nodes say stands, with who said it. */
static void the_latest_of_all_nodes(void **state)
{
    struct fixture *f = *state;
    struct world *w = &f->w;
    const struct model_agent *a = world_join(w, "n1", 1024),
                             *b = world_join(w, "n2", 1024);
    struct version_load l = {.last_cold = {1000, COLD_BUSY, 40, 41},
                             .last_wait = {2000, WAIT_LIMIT, 70},
                             .last_refused = {3000, CAUSE_THROTTLED, "too\nmany"}};
    json_t *e;

    world_deploy_ready(w, "hello", 128, 0, 0);
    e = explain(w);
    assert_true(json_is_null(json_object_get(e, "last_cold_start")));
    assert_true(json_is_null(json_object_get(e, "last_refusal")));
    json_decref(e);
    report(w, a, &l);
    l.last_cold = (struct cold_start){900, COLD_NEW, 10, 11};
    l.last_wait = (struct call_wait){2001, WAIT_ROOM, 80};
    l.last_refused.at_ms = 0;
    report(w, b, &l);
    e = explain(w);
    assert_said(e, "n1", "last_cold_start.node");
    assert_said(e, "all_busy", "last_cold_start.reason");
    assert_said(e, cold_reason_text(COLD_BUSY), "last_cold_start.text");
    assert_said(e, "1970-01-01T00:00:01.000Z", "last_cold_start.at");
    assert_said(e, "n2", "last_wait.node");
    assert_said(e, "memory", "last_wait.reason");
    assert_said(e, "throttled", "last_refusal.cause");
    assert_said(e, "too?many", "last_refusal.text");
    json_decref(e);
}

/* Where it may run and where not, each with the reason; why it has as many as it has. */
static void where_and_how_many(void **state)
{
    struct fixture *f = *state;
    struct world *w = &f->w;
    const struct model_agent *a = world_join(w, "n1", 1024);
    struct version_load l = {.idle = 1, .queued = 5};
    json_t *e;

    world_deploy_ready(w, "hello", 128, 0, 0);
    (void)world_join(w, "small", 64);
    report(w, a, &l);
    e = explain(w);
    assert_said(e, "ready", "state");
    assert_said(e, "serving", "versions.0.role");
    assert_said(e, "n1", "versions.0.nodes.0.node");
    assert_said(e, "binpack", "versions.0.nodes.0.because.0.reason");
    assert_said(e, "small", "versions.0.left_out.0.node");
    assert_said(e, "memory", "versions.0.left_out.0.reason");
    assert_said(e, "stable", "versions.0.because.0.reason");
    assert_said(e, "concurrency", "versions.0.load.metric");
    assert_said(e, "learned", "keep_alive.policy");
    json_decref(e);
    assert_null(controller_core_explain(w->core, "default", "nobody"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(why_it_cannot_serve, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(latency_of_the_last_minute, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(old_counts_do_not_count, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(the_latest_of_all_nodes, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(where_and_how_many, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests_name("controller_core_explain", tests, NULL, NULL);
}
