/* A limit is kept at every moment: what one node is to have more waits until another has
 * said that it has less. And grants that leave: the new place comes first. */
#include "tests/unit/controller_core_world.h"

#include <string.h>

#include "controller/core/core_private.h"
#include "controller/core/registry.h"

static int confirming_setup(void **state)
{
    int rc = fixture_setup(state);

    if (rc == 0) {
        ((struct fixture *)*state)->w.confirms = true;
    }
    return rc;
}

/* The agent has so many instances, and knows what it was told last, or by `revision`. */
static void says(struct world *w, const struct model_agent *a, const char *name,
                 uint32_t idle, uint32_t busy, uint32_t stopping, uint64_t revision)
{
    const struct model_grant *g = agent_grant(a, name, 1);
    struct version_load load = {.namespace_ = "default",
                                .name = name,
                                .version = 1,
                                .idle = idle,
                                .busy = busy,
                                .in_flight = busy,
                                .stopping = stopping,
                                .grant_max = g != NULL ? g->max : 0,
                                .revision = revision};
    struct node_report r = {.loads = &load, .n_loads = 1};

    controller_core_node_report(w->core, a->name, &r);
    world_run(w);
}

static uint64_t known(const struct model_agent *a, const char *name)
{
    return agent_function(a, name)->revision;
}

static void order(struct world *w, const char *node, const char *state)
{
    struct answer a = {0};

    controller_core_order_node(w->core, node, state, NULL, answer_cb, &a);
    world_run(w);
    assert_int_equal(a.cause, CAUSE_NONE);
}

static uint32_t granted(const struct model_agent *a, const char *name)
{
    const struct model_grant *g = agent_grant(a, name, 1);

    return g != NULL ? g->max : 0;
}

/* One node has all four; a second comes. */
static struct model_agent *second_node(struct world *w, struct model_agent **ret_first)
{
    struct model_agent *second;

    *ret_first = world_join(w, "n1", 1024);
    (void)world_deploy_ready(w, "f", 128, 4, 0);
    assert_int_equal(granted(*ret_first, "f"), 4);
    says(w, *ret_first, "f", 3, 0, 0, known(*ret_first, "f"));
    second = world_join(w, "n2", 1024);
    world_pass(w, 5000);
    return second;
}

/* Two of four are moved: given only when they are gone where they were, one by one. */
static void more_waits_for_less(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct model_agent *a, *b = second_node(w, &a);

    assert_int_equal(granted(a, "f"), 2);
    assert_int_equal(granted(b, "f"), 0);
    says(w, a, "f", 2, 0, 1, known(a, "f"));
    assert_int_equal(granted(b, "f"), 1);
    says(w, a, "f", 2, 0, 0, known(a, "f"));
    assert_int_equal(granted(b, "f"), 2);
    assert_int_equal(granted(a, "f"), 2);
    world_check(w);
}

/* What a node says before it has heard of it proves nothing, however few it has. */
static void late_word(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct model_agent *a, *b = second_node(w, &a);

    says(w, a, "f", 0, 0, 0, known(a, "f") - 1);
    assert_int_equal(granted(b, "f"), 0);
    says(w, a, "f", 0, 0, 0, known(a, "f"));
    assert_int_equal(granted(b, "f"), 2);
}

/* A node that is lost, or begins anew, holds nothing any more. */
static void lost_or_reborn(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct model_agent *a, *b = second_node(w, &a);

    assert_int_equal(granted(b, "f"), 0);
    (void)world_rejoin(w, a, true);
    assert_int_equal(granted(b, "f"), 2);
    world_leave(w, a);
    assert_int_equal(granted(b, "f"), 4);
}

/* What a node that was away brings back counts until it is gone: so many instances, or
 * those that it may begin as long as it knows of nothing newer. */
static void check_return(struct world *w, uint32_t busy)
{
    struct model_agent *a, *b = second_node(w, &a), *c;
    struct version_load load = {.namespace_ = "default",
                                .name = "f",
                                .version = 1,
                                .busy = busy,
                                .grant_max = 4,
                                .revision = known(a, "f")};
    struct node_report r = {.full = true, .loads = &load, .n_loads = 1};

    world_leave(w, a);
    assert_int_equal(granted(b, "f"), 4);
    c = world_join(w, "n3", 1024);
    (void)world_rejoin(w, a, false);
    controller_core_node_report(w->core, a->name, &r);
    world_pass(w, 5000);
    says(w, b, "f", 0, 0, 0, known(b, "f"));
    assert_true(granted(b, "f") < 4);
    assert_int_equal(granted(c, "f") + granted(a, "f"), 0);
    says(w, a, "f", 0, 0, 0, known(a, "f"));
    assert_int_equal(granted(a, "f") + granted(b, "f") + granted(c, "f"), 4);
}

static void away_and_back(void **state)
{
    check_return(&((struct fixture *)*state)->w, 4);
}

static void away_with_a_grant(void **state)
{
    check_return(&((struct fixture *)*state)->w, 0);
}

/* With nothing taken away nothing waits: a new version has its grants at once. */
static void nothing_to_wait_for(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct model_agent *a = world_join(w, "n1", 1024), *b = world_join(w, "n2", 1024);

    (void)world_deploy_ready(w, "f", 128, 4, 2);
    assert_int_equal(granted(a, "f") + granted(b, "f"), 4);
    world_check(w);
}

/* In a full report to a controller that has begun: what an earlier one gave. */
static void claims(struct world *w, const struct model_agent *a, uint64_t id)
{
    struct version_load load = {
        .namespace_ = "default", .name = "f", .version = 1, .grant_max = 1, .id = id};
    struct node_report r = {.full = true, .loads = &load, .n_loads = 1};

    controller_core_node_report(w->core, a->name, &r);
    world_run(w);
}

static uint64_t id_of(const struct world *w, const char *name)
{
    const struct core_function *f = registry_function(w->core, "default", name);

    return (uint64_t)registry_body(f, 1)->mod_revision;
}

/* What had this number before the function was deleted is not what is there now: whoever
 * still has it is told so, and takes no part of the limit from those that have this one.
 */
static void earlier_life(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct model_agent *a = world_join(w, "n1", 1024), *b = world_join(w, "n2", 1024);

    (void)world_deploy_ready(w, "f", 128, 1, 0);
    world_restart(w);
    (void)world_rejoin(w, a, false);
    (void)world_rejoin(w, b, false);
    claims(w, a, id_of(w, "f") + 1);
    claims(w, b, id_of(w, "f"));
    world_pass(w, 5000);
    assert_int_equal(granted(a, "f"), 0);
    assert_int_equal(granted(b, "f"), 1);
}

/* A node has not heard yet that a version is retired, and a new controller knows of no
 * use for it: when it is called back, what the node has still counts. */
static void called_back(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct model_agent *a = world_join(w, "n1", 1024), *b;
    struct answer answer = {0};

    (void)world_deploy_ready(w, "f", 128, 1, 0);
    (void)world_deploy_ready(w, "f", 128, 1, 0);
    world_restart(w);
    (void)world_rejoin(w, a, false);
    claims(w, a, id_of(w, "f"));
    b = world_join(w, "n2", 1024);
    world_pass(w, 5000);
    order(w, "n1", "cordoned");
    world_rollback(w, "f", 1, &answer);
    world_run(w);
    assert_int_equal(answer.cause, CAUSE_NONE);
    assert_int_equal(granted(a, "f") + granted(b, "f"), 0);
    says(w, a, "f", 0, 0, 0, known(a, "f"));
    assert_int_equal(granted(b, "f"), 1);
}

/* A label that changes while a new controller listens takes nothing from a node. */
static void labelled_while_listening(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct model_agent *a = world_join(w, "n1", 1024);
    json_t *labels = json_pack("{s:s}", "disk", "ssd");
    struct answer answer = {0};

    (void)world_deploy_ready(w, "f", 128, 1, 0);
    world_restart(w);
    (void)world_rejoin(w, a, false);
    claims(w, a, id_of(w, "f"));
    assert_int_equal(world_n_grants(w, "f", 1), 1);
    controller_core_order_node(w->core, "n1", NULL, labels, answer_cb, &answer);
    world_run(w);
    assert_int_equal(answer.cause, CAUSE_NONE);
    assert_int_equal(world_n_grants(w, "f", 1), 1);
    json_decref(labels);
}

/* --- leaving ------------------------------------------------------------------------ */

/* A node drains: what runs there goes on until as many are ready elsewhere. */
static void drains_when_replaced(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct model_agent *a = world_join(w, "n1", 1024), *b;
    uint32_t warm;

    (void)world_deploy_ready(w, "f", 128, 0, 0);
    says(w, a, "f", 0, 1, 0, known(a, "f"));
    b = world_join(w, "n2", 1024);
    order(w, "n1", "draining");
    assert_true(granted(a, "f") > 0);
    assert_true(granted(b, "f") > 0);
    warm = agent_grant(b, "f", 1)->warm;
    assert_true(warm > 0);
    says(w, b, "f", warm - 1, 0, 0, known(b, "f"));
    assert_true(granted(a, "f") > 0);
    says(w, b, "f", warm, 0, 0, known(b, "f"));
    assert_int_equal(granted(a, "f"), 0);
    assert_true(granted(b, "f") > 0);
    world_check(w);
}

/* Where nothing becomes ready it goes when its time is over. */
static void drains_in_the_end(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct model_agent *a = world_join(w, "n1", 1024);

    (void)world_deploy_ready(w, "f", 128, 0, 0);
    says(w, a, "f", 0, 1, 0, known(a, "f"));
    (void)world_join(w, "n2", 1024);
    order(w, "n1", "draining");
    world_pass(w, 14000);
    assert_true(granted(a, "f") > 0);
    world_pass(w, 2000);
    assert_int_equal(granted(a, "f"), 0);
}

/* An agent that ends does not wait for so long. */
static void leaves_in_time(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct model_agent *a = world_join(w, "n1", 1024);

    (void)world_deploy_ready(w, "f", 128, 0, 0);
    says(w, a, "f", 0, 1, 0, known(a, "f"));
    (void)world_join(w, "n2", 1024);
    controller_core_node_leaving(w->core, "n1");
    world_run(w);
    world_pass(w, 2000);
    assert_true(granted(a, "f") > 0);
    world_pass(w, 2000);
    assert_int_equal(granted(a, "f"), 0);
}

/* Where no other node is, there is nothing to wait for; and one that drains by order and
 * then ends has less time. */
static void ends_while_it_drains(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct model_agent *a = world_join(w, "n1", 1024), *b;

    (void)world_deploy_ready(w, "f", 128, 0, 0);
    says(w, a, "f", 0, 1, 0, known(a, "f"));
    controller_core_node_leaving(w->core, "n1");
    world_run(w);
    assert_int_equal(granted(a, "f"), 0);
    b = world_join(w, "n2", 1024);
    (void)world_join(w, "n3", 1024);
    says(w, b, "f", 0, 1, 0, known(b, "f"));
    order(w, "n2", "draining");
    world_pass(w, 5000);
    assert_true(granted(b, "f") > 0);
    controller_core_node_leaving(w->core, "n2");
    world_run(w);
    world_pass(w, 3500);
    assert_int_equal(granted(b, "f"), 0);
}

/* With a limit what runs stays, and the rest of the limit is for the new place; where all
 * of it runs, half moves, and one alone at once: never two. */
static void drains_within_the_limit(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct model_agent *a = world_join(w, "n1", 4096), *b;

    (void)world_deploy_ready(w, "f", 128, 4, 0);
    (void)world_deploy_ready(w, "all", 128, 4, 0);
    (void)world_deploy_ready(w, "one", 128, 1, 0);
    says(w, a, "f", 0, 1, 0, known(a, "f"));
    says(w, a, "all", 0, 4, 0, known(a, "all"));
    says(w, a, "one", 0, 1, 0, known(a, "one"));
    b = world_join(w, "n2", 4096);
    order(w, "n1", "draining");
    assert_int_equal(granted(a, "f"), 1);
    assert_int_equal(granted(a, "all"), 2);
    assert_int_equal(granted(a, "one"), 0);
    says(w, a, "f", 0, 1, 0, known(a, "f"));
    says(w, a, "all", 0, 3, 0, known(a, "all")); /* one has still its call */
    says(w, a, "one", 0, 0, 1, known(a, "one"));
    assert_int_equal(granted(b, "f"), 3);
    assert_int_equal(granted(b, "all"), 1);
    assert_int_equal(granted(b, "one"), 0);
    says(w, a, "one", 0, 0, 0, known(a, "one"));
    assert_int_equal(granted(b, "one"), 1);
    world_check(w);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, confirming_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(more_waits_for_less),
        TEST(late_word),
        TEST(lost_or_reborn),
        TEST(away_and_back),
        TEST(away_with_a_grant),
        TEST(nothing_to_wait_for),
        TEST(earlier_life),
        TEST(called_back),
        TEST(labelled_while_listening),
        TEST(drains_when_replaced),
        TEST(drains_in_the_end),
        TEST(leaves_in_time),
        TEST(drains_within_the_limit),
        TEST(ends_while_it_drains),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("controller core: holds", tests, NULL, NULL);
}
