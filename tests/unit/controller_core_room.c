/* A new version that finds no room: what it waits for, for how long, and what is said. */
#include "tests/unit/controller_core_world.h"

#include <stdio.h>
#include <string.h>

#include "controller/core/core_private.h"

#define SECOND   1000
#define DEADLINE 600000 /* the progress deadline */

#define FULL                                                                          \
    "waiting for room: no node has 128 MiB of memory that is not kept for others (1 " \
    "node: 1 full)"

static bool is_asked(struct world *w, const char *name, uint64_t version)
{
    char node[SPEC_NODE_MAX + 1];

    world_proof_node(w, name, version, node);
    return *node != '\0';
}

/* Texts of a function's events of this kind that begin so. */
static unsigned told(const struct world *w, const char *name, const char *begin)
{
    struct core_event_query q = {"default", name, NULL};
    uint64_t after = 0;
    unsigned n = 0;
    json_t *e;

    while ((e = controller_core_event_next(w->core, &q, &after)) != NULL) {
        const char *text = json_string_value(json_object_get(e, "text"));

        n += strncmp(text, begin, strlen(begin)) == 0;
        json_decref(e);
    }
    return n;
}

/* All memory is kept for others: it is pending for minutes, which everybody can see, and
 * takes over when some becomes free. */
static void room_becomes_free(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct answer d = {0};

    (void)world_deploy_ready(&f->w, "large", 512, 2, 2);
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    for (int i = 0; i < 5; i++) {
        assert_null(agent_grant(a, "hello", 1));
        assert_view(&f->w, "hello", "versions.0.state", "deploying");
        assert_view(&f->w, "hello", "versions.0.cause", "no_capacity");
        assert_view(&f->w, "hello", "versions.0.message", FULL);
        world_pass(&f->w, 100 * SECOND);
        world_check(&f->w);
    }
    world_delete(&f->w, "large", &d);
    world_pass(&f->w, 2 * SECOND);
    assert_non_null(agent_grant(a, "hello", 1));
    assert_view(&f->w, "hello", "versions.0.message", "");
    assert_view(&f->w, "hello", "versions.0.cause", "none");
    world_say(&f->w, a, "hello", 1, true, CAUSE_NONE, NULL);
    assert_view(&f->w, "hello", "state", "ready");
    assert_int_equal(told(&f->w, "hello", "waits for room: no node has 128 MiB"), 1);
    assert_int_equal(told(&f->w, "hello", "found room on n1 after 50"), 1);
    world_check(&f->w);
}

/* The old version serves while the new one is pending; the wait has an end, which says
 * what was missing and for how long. */
static void room_never_comes(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    (void)world_deploy_ready(&f->w, "large", 512, 2, 2);
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    world_pass(&f->w, DEADLINE - SECOND);
    assert_view(&f->w, "hello", "versions.1.state", "deploying");
    assert_view(&f->w, "hello", "state", "ready");
    assert_int_equal(agent_function(a, "hello")->serving, 1);
    world_pass(&f->w, 2 * SECOND);
    assert_view(&f->w, "hello", "versions.1.state", "failed");
    assert_view(&f->w, "hello", "versions.1.cause", "no_capacity");
    assert_view(&f->w, "hello", "versions.1.message",
                "found no room within 600 s (progress_deadline): no node has 128 MiB of "
                "memory that is not kept for others (1 node: 1 full)");
    assert_int_equal(agent_function(a, "hello")->serving, 1);
    world_check(&f->w);
}

/* Nodes that have no room after all are asked again and again, until the deadline; the
 * events do not fill with it. */
static void no_node_can(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};
    unsigned asked = 0;

    (void)world_join(&f->w, "n1", 1024);
    (void)world_join(&f->w, "n2", 1024);
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    controller_core_wait_version(f->w.core, "default", "hello", 1, 2ull * DEADLINE,
                                 answer_cb, &a);
    for (int i = 0; i < 2 * DEADLINE / 500 && a.n == 0; i++) {
        if (is_asked(&f->w, "hello", 1)) {
            asked++;
            world_refuse(&f->w, "hello", 1, CAUSE_NO_CAPACITY);
        }
        world_pass(&f->w, 500);
    }
    assert_int_equal(a.n, 1);
    assert_in_range(asked, 400, 600);
    assert_view(&f->w, "hello", "versions.0.state", "failed");
    assert_view(&f->w, "hello", "versions.0.cause", "no_capacity");
    assert_view(&f->w, "hello", "versions.0.message",
                "found no room within 600 s (progress_deadline): it says no");
    assert_int_equal(told(&f->w, "hello", "could not start on"), 2);
}

/* After a pause the same node is asked again, and may have room then. */
static void one_node_has_room_later(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    for (int i = 0; i < 20; i++) { /* for longer than a failure is waited with */
        world_refuse(&f->w, "hello", 1, CAUSE_NO_CAPACITY);
        assert_null(agent_grant(a, "hello", 1)); /* so that it sees a new grant then */
        assert_view(&f->w, "hello", "versions.0.message", "waiting for room: it says no");
        assert_view(&f->w, "hello", "versions.0.cause", "no_capacity");
        world_pass(&f->w, 2500);
        assert_int_equal(agent_grant(a, "hello", 1)->warm, 1);
    }
    world_say(&f->w, a, "hello", 1, true, CAUSE_NONE, NULL);
    assert_view(&f->w, "hello", "state", "ready");
    assert_view(&f->w, "hello", "versions.0.message", "");
    assert_view(&f->w, "hello", "versions.0.cause", "none");
}

/* A crash at its start ends it at once, however long it has waited for the room. */
static void crashes_in_the_room_that_came(void **state)
{
    struct fixture *f = *state;
    struct answer d = {0};

    (void)world_join(&f->w, "n1", 1024);
    (void)world_deploy_ready(&f->w, "large", 512, 2, 2);
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    world_pass(&f->w, 60 * SECOND);
    world_delete(&f->w, "large", &d);
    world_pass(&f->w, 2 * SECOND);
    world_refuse(&f->w, "hello", 1, CAUSE_INIT_FAILED);
    assert_view(&f->w, "hello", "versions.0.state", "failed");
    assert_view(&f->w, "hello", "versions.0.cause", "init_failed");
    assert_view(&f->w, "hello", "versions.0.message", "it says no");
}

/* What fails on all nodes for another reason than room does not wait for any. */
static void broken_nodes_are_not_waited_for(void **state)
{
    struct fixture *f = *state;

    (void)world_join(&f->w, "n1", 1024);
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    for (int i = 0; i < 24 && is_asked(&f->w, "hello", 1); i++) {
        world_refuse(&f->w, "hello", 1, CAUSE_INTERNAL);
        assert_view(&f->w, "hello", "versions.0.message", "it says no");
        world_pass(&f->w, 2500);
    }
    assert_view(&f->w, "hello", "versions.0.state", "failed");
    assert_view(&f->w, "hello", "versions.0.cause", "internal");
    assert_view(&f->w, "hello", "versions.0.message", "it says no");
}

/* More nodes than are tried in a round have no room: that is no reason to fail either. */
static void many_nodes_are_full(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 40; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "n%d", i);
        (void)world_join(&f->w, name, 1024);
    }
    (void)world_deploy(&f->w, "hello", 128, 1, 0);
    for (int i = 0; i < 100; i++) {
        if (is_asked(&f->w, "hello", 1)) {
            world_refuse(&f->w, "hello", 1, CAUSE_NO_CAPACITY);
        } else {
            world_pass(&f->w, 2500);
        }
    }
    assert_view(&f->w, "hello", "versions.0.state", "deploying");
    world_pass(&f->w, 2500);
    world_say(&f->w, world_proof(&f->w, "hello", 1), "hello", 1, true, CAUSE_NONE, NULL);
    assert_view(&f->w, "hello", "state", "ready");
    world_check(&f->w);
}

/* Too large for any node: it waits a while for one that is larger, then fails. */
static void fits_nowhere(void **state)
{
    struct fixture *f = *state;

    (void)world_join(&f->w, "n1", 1024);
    (void)world_deploy(&f->w, "hello", 2048, 0, 0);
    assert_view(&f->w, "hello", "versions.0.message",
                "no node has 2048 MiB of memory (1 node: 1 too small)");
    world_pass(&f->w, 9 * SECOND);
    assert_view(&f->w, "hello", "state", "deploying");
    world_pass(&f->w, 1500);
    assert_view(&f->w, "hello", "versions.0.state", "failed");
    assert_view(&f->w, "hello", "versions.0.cause", "no_capacity");
    assert_view(&f->w, "hello", "versions.0.message",
                "no node has 2048 MiB of memory (1 node: 1 too small)");
}

/* A node with room that comes in time is used. */
static void room_comes_in_time(void **state)
{
    struct fixture *f = *state;
    struct model_agent *b;

    (void)world_join(&f->w, "n1", 1024);
    (void)world_deploy(&f->w, "hello", 2048, 0, 0);
    world_pass(&f->w, 5 * SECOND);
    b = world_join(&f->w, "n2", 4096);
    assert_int_equal(agent_grant(b, "hello", 1)->warm, 1);
    world_pass(&f->w, 20 * SECOND);
    assert_view(&f->w, "hello", "state", "deploying");
    assert_view(&f->w, "hello", "versions.0.message", "");
    world_check(&f->w);
}

/* The one node that is large enough is away, or full when it comes: that is waited for,
 * as it may have room one day. */
static void the_large_node_is_away(void **state)
{
    struct fixture *f = *state;
    struct model_agent *b;

    (void)world_join(&f->w, "n1", 1024);
    b = world_join(&f->w, "n2", 4096);
    (void)world_deploy_ready(&f->w, "other", 2100, 1, 1);
    world_leave(&f->w, b);
    (void)world_deploy(&f->w, "hello", 2048, 0, 0);
    world_pass(&f->w, 60 * SECOND);
    assert_view(
        &f->w, "hello", "versions.0.message",
        "waiting for room: no node has 2048 MiB of memory (2 nodes: 1 lost, 1 too "
        "small)");
    b = world_rejoin(&f->w, b, true); /* "other" gets it back */
    world_pass(&f->w, 60 * SECOND);
    assert_view(&f->w, "hello", "versions.0.message",
                "waiting for room: no node has 2048 MiB of memory that is not kept for "
                "others (2 nodes: 1 too small, 1 full)");
    world_check(&f->w);
}

/* Others keep ready no more than they need now while a deploy waits, but only if what
 * they keep is in its way: not if its nodes are lost. */
static void others_make_room_if_that_helps(void **state)
{
    struct fixture *f = *state;
    struct model_agent *b;

    (void)world_join(&f->w, "n1", 1024);
    b = world_join(&f->w, "n2", 4096);
    (void)world_deploy_ready(&f->w, "other", 1024, 1, 1);
    world_leave(&f->w, b);
    world_pass(&f->w, 60 * SECOND);
    f->w.core->scaling.squeezed_until_ms = 0;
    (void)world_deploy(&f->w, "large", 2048, 4, 4);
    world_pass(&f->w, 300 * SECOND);
    assert_view(&f->w, "large", "versions.0.cause", "no_capacity");
    assert_int_equal(f->w.core->scaling.squeezed_until_ms, 0);
    (void)world_deploy(&f->w, "hello", 128, 4, 4);
    world_pass(&f->w, SECOND);
    assert_view(&f->w, "hello", "versions.0.cause", "no_capacity");
    assert_true(f->w.core->scaling.squeezed_until_ms > f->w.now_ms);
    world_check(&f->w);
}

/* With no node at all a deploy waits for one, however long that takes. */
static void no_node_yet(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a;

    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    world_pass(&f->w, 3600 * SECOND);
    assert_view(&f->w, "hello", "state", "deploying");
    assert_view(&f->w, "hello", "versions.0.message",
                "no node is ready; waiting for one");
    assert_view(&f->w, "hello", "versions.0.cause", "no_capacity");
    a = world_join(&f->w, "n1", 1024);
    assert_int_equal(agent_grant(a, "hello", 1)->warm, 1);
    world_leave(&f->w, a);
    world_pass(&f->w, 3600 * SECOND);
    assert_view(&f->w, "hello", "state", "deploying");
    world_check(&f->w);
}

/* Many are deployed at once, and together need far more than there is: each takes its
 * turn, and none fails. */
static void all_of_many_get_their_turn(void **state)
{
    enum { FUNCTIONS = 60, TOGETHER = 4 };
    struct fixture *f = *state;
    unsigned rounds = 0, ready = 0;
    char name[8];

    (void)world_join(&f->w, "n1", TOGETHER * 256);
    for (int i = 0; i < FUNCTIONS; i++) {
        (void)snprintf(name, sizeof(name), "f%d", i);
        (void)world_deploy(&f->w, name, 256, 0, 0);
    }
    for (; ready < FUNCTIONS && rounds < 2 * FUNCTIONS; rounds++) {
        unsigned now = 0;

        world_pass(&f->w, 5 * SECOND); /* so long does each take to start */
        for (int i = 0; i < FUNCTIONS; i++) {
            (void)snprintf(name, sizeof(name), "f%d", i);
            if (now < TOGETHER && world_number(&f->w, name, "serving_version") == 0 &&
                is_asked(&f->w, name, 1)) {
                world_say(&f->w, world_proof(&f->w, name, 1), name, 1, true, CAUSE_NONE,
                          NULL);
                now++;
            }
        }
        ready += now;
    }
    assert_int_equal(ready, FUNCTIONS);
    world_check(&f->w);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(room_becomes_free),
        TEST(room_never_comes),
        TEST(no_node_can),
        TEST(one_node_has_room_later),
        TEST(crashes_in_the_room_that_came),
        TEST(broken_nodes_are_not_waited_for),
        TEST(many_nodes_are_full),
        TEST(fits_nowhere),
        TEST(room_comes_in_time),
        TEST(the_large_node_is_away),
        TEST(others_make_room_if_that_helps),
        TEST(no_node_yet),
        TEST(all_of_many_get_their_turn),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("controller core: room", tests, NULL, NULL);
}
