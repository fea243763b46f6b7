/* Nodes that come, go, come back and report; and the time after a controller's start. */
#include "tests/unit/controller_core_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void report(struct world *w, const struct model_agent *a, struct version_load l,
                   bool full)
{
    struct node_report r = {.full = full,
                            .memory_reserved_bytes = 64 * MIB,
                            .instances = l.idle + l.busy,
                            .loads = &l,
                            .n_loads = l.version != 0 ? 1 : 0};

    l.namespace_ = "default";
    l.name = "hello";
    controller_core_node_report(w->core, a->name, &r);
    world_run(w);
}

static int64_t node_number(struct world *w, const char *node, const char *what)
{
    json_t *n = controller_core_node(w->core, node);
    int64_t value = json_integer_value(json_object_get(n, what));

    json_decref(n);
    return value;
}

static bool node_is(struct world *w, const char *node, const char *state)
{
    json_t *n = controller_core_node(w->core, node);
    bool is =
        n != NULL && strcmp(json_string_value(json_object_get(n, "state")), state) == 0;

    json_decref(n);
    return is;
}

/* A node is listed with what it said of itself. */
static void node_view(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    json_t *n;

    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    (void)world_deploy(&f->w, "hello", 128, 0, 0); /* the same function once more */
    report(&f->w, a, (struct version_load){.version = 1, .idle = 2}, false);
    world_pass(&f->w, 1500);
    n = controller_core_node(f->w.core, "n1");
    assert_non_null(n);
    assert_string_equal(json_string_value(json_object_get(n, "gateway")), "n1:8080");
    assert_string_equal(json_string_value(json_object_get(n, "version")), "0.1.0");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(n, "labels"), "zone")), "a");
    assert_int_equal(json_object_size(json_object_get(n, "labels")), 1);
    assert_int_equal(json_integer_value(
                         json_object_get(json_object_get(n, "memory"), "capacity_bytes")),
                     1024 * MIB);
    assert_int_equal(json_integer_value(
                         json_object_get(json_object_get(n, "memory"), "reserved_bytes")),
                     64 * MIB);
    assert_int_equal(json_integer_value(json_object_get(n, "instances")), 2);
    assert_int_equal(json_integer_value(json_object_get(n, "functions")), 1);
    assert_int_equal(json_integer_value(json_object_get(n, "last_seen_ms")), 1500);
    json_decref(n);
    assert_null(controller_core_node(f->w.core, "n2"));
}

/* What it has made ahead is shown by kinds and in sum, as it said last; of a node that is
 * lost nothing is ready. */
static void node_blanks(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct node_report r = {.blanks = {{"plain", 8, MIB}, {"python\xff", 2, 5 * MIB}},
                            .n_blanks = 2};
    json_t *n, *blanks, *kind;

    controller_core_node_report(f->w.core, "n1", &r);
    n = controller_core_node(f->w.core, "n1");
    blanks = json_object_get(n, "blanks");
    assert_int_equal(json_integer_value(json_object_get(blanks, "ready")), 10);
    assert_int_equal(json_integer_value(json_object_get(blanks, "memory_bytes")),
                     6 * MIB);
    kind = json_array_get(json_object_get(blanks, "kinds"), 1);
    assert_string_equal(json_string_value(json_object_get(kind, "kind")), "python?");
    assert_int_equal(json_integer_value(json_object_get(kind, "ready")), 2);
    json_decref(n);
    r.n_blanks = 1;
    controller_core_node_report(f->w.core, "n1", &r);
    n = controller_core_node(f->w.core, "n1");
    blanks = json_object_get(n, "blanks");
    assert_int_equal(json_array_size(json_object_get(blanks, "kinds")), 1);
    json_decref(n);
    world_leave(&f->w, a);
    n = controller_core_node(f->w.core, "n1");
    blanks = json_object_get(n, "blanks");
    assert_int_equal(json_integer_value(json_object_get(blanks, "ready")), 0);
    json_decref(n);
}

/* What a node says of itself may be anything: views remain JSON. */
static void odd_hello(void **state)
{
    static const char *const labels[] = {"k=\xff", "=", "\xc3=\x01", NULL};
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct node_hello h = {.node = "n1",
                           .boot = "\x80",
                           .version = "\xfe\xff",
                           .gateway = "a\nb",
                           .memory_bytes = UINT64_MAX,
                           .cpu_millis = UINT32_MAX,
                           .labels = labels};
    json_t *all;
    struct core_list list = world_collect(&all);

    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    controller_core_node_joined(f->w.core, &h);
    h.node = "";
    controller_core_node_joined(f->w.core, &h);
    h.node = "n\xff";
    controller_core_node_joined(f->w.core, &h);
    world_run(&f->w);
    assert_int_equal(controller_core_nodes(f->w.core, &list), 0);
    assert_int_equal(json_array_size(all), 1);
    json_decref(all);
    assert_int_equal(agent_grant(a, "hello", 1)->max, 100000);
    world_check(&f->w);
}

/* A lost node's grants are elsewhere at once, and its peers are told. */
static void loss_moves_grants(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct model_agent *b = world_join(&f->w, "n2", 1024);
    struct model_agent *lost, *left;

    (void)world_deploy_ready(&f->w, "hello", 128, 1, 0);
    assert_int_equal(world_n_grants(&f->w, "hello", 1), 1);
    lost = agent_grant(a, "hello", 1) != NULL ? a : b;
    left = lost == a ? b : a;
    world_leave(&f->w, lost);
    assert_int_equal(agent_grant(left, "hello", 1)->max, 1);
    assert_true(node_is(&f->w, lost->name, "lost"));
    world_check(&f->w);
    world_rejoin(&f->w, lost, false);
    assert_true(node_is(&f->w, lost->name, "ready"));
    assert_null(agent_grant(lost, "hello", 1)); /* it stays where it is now */
    world_check(&f->w);
}

/* With no node left the function has no grants, and has them again when one comes. */
static void last_node_goes(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    (void)world_deploy_ready(&f->w, "hello", 128, 3, 0);
    world_leave(&f->w, a);
    assert_int_equal(world_n_grants(&f->w, "hello", 1), 0);
    assert_view(&f->w, "hello", "state", "ready");
    world_rejoin(&f->w, a, true);
    assert_int_equal(agent_grant(a, "hello", 1)->max, 3);
    world_check(&f->w);
}

/* At once a joined node gets only what lacked something. */
static void join_helps_those_that_lack(void **state)
{
    struct fixture *f = *state;
    struct model_agent *b;

    (void)world_join(&f->w, "n1", 256);
    (void)world_deploy_ready(&f->w, "lacks", 128, 5, 0);
    (void)world_deploy_ready(&f->w, "content", 128, 2, 0);
    assert_int_equal(world_sum_max(&f->w, "lacks", 1), 2);
    b = world_join(&f->w, "n2", 1024);
    assert_int_equal(world_sum_max(&f->w, "lacks", 1), 5);
    assert_null(agent_grant(b, "content", 1));
    world_check(&f->w);
}

/* A while after nodes came, functions that were on few of them are on as many as they may
 * be: what was deployed to one node does not stay its hostage. Limits hold meanwhile. */
static void gets_homes_when_nodes_come(void **state)
{
    struct fixture *f = *state;

    (void)world_join(&f->w, "n1", 1024);
    (void)world_deploy_ready(&f->w, "free", 128, 0, 0);
    (void)world_deploy_ready(&f->w, "two", 128, 2, 0);
    (void)world_deploy_ready(&f->w, "one", 128, 1, 0);
    (void)world_join(&f->w, "n2", 1024);
    (void)world_join(&f->w, "n3", 1024);
    world_pass(&f->w, 2000);
    assert_int_equal(world_n_grants(&f->w, "free", 1), 3);
    assert_int_equal(world_n_grants(&f->w, "two", 1), 2);
    assert_int_equal(world_sum_max(&f->w, "two", 1), 2);
    assert_int_equal(world_n_grants(&f->w, "one", 1), 1);
    world_check(&f->w);
}

/* A node that comes back with less memory keeps no more warm than that holds. */
static void comes_back_smaller(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    char name[8];

    for (int i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof(name), "f%d", i);
        (void)world_deploy_ready(&f->w, name, 128, 2, 2);
    }
    a->memory_bytes = 300 * MIB;
    world_rejoin(&f->w, a, true); /* without having been missed */
    world_check(&f->w);
    assert_int_equal(node_number(&f->w, "n1", "functions"), 4);
}

/* Lost nodes are listed for a while, then forgotten everywhere. */
static void lost_nodes_are_forgotten(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct model_agent *b = world_join(&f->w, "n2", 1024);

    world_leave(&f->w, b);
    world_pass(&f->w, 10 * 60 * 1000 - 1);
    assert_true(node_is(&f->w, "n2", "lost"));
    assert_int_equal(controller_core_counts(f->w.core).nodes_lost, 1);
    world_pass(&f->w, 1);
    assert_null(controller_core_node(f->w.core, "n2"));
    for (size_t i = 0; i < a->n_peers; i++) {
        if (strcmp(a->peers[i].node, "n2") == 0) {
            assert_true(a->peers[i].deleted);
        }
    }
    world_rejoin(&f->w, b, false);
    assert_true(node_is(&f->w, "n2", "ready"));
    world_pass(&f->w, 3600000);
    assert_true(node_is(&f->w, "n2", "ready"));
    world_check(&f->w);
}

/* Loads of all nodes add up; a full report drops what it does not name. */
static void loads_add_up(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct model_agent *b = world_join(&f->w, "n2", 1024);
    struct version_load l = {.version = 1,
                             .starting = 1,
                             .idle = 2,
                             .busy = 3,
                             .queued = 4,
                             .invocations = 10,
                             .cold_starts = 5,
                             .errors = 2};

    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    report(&f->w, a, l, false);
    report(&f->w, b, l, false);
    assert_int_equal(world_number(&f->w, "hello", "instances.starting"), 2);
    assert_int_equal(world_number(&f->w, "hello", "instances.idle"), 4);
    assert_int_equal(world_number(&f->w, "hello", "instances.busy"), 6);
    assert_int_equal(world_number(&f->w, "hello", "queued"), 8);
    assert_int_equal(world_number(&f->w, "hello", "invocations"), 20);
    assert_int_equal(world_number(&f->w, "hello", "cold_starts"), 10);
    assert_int_equal(world_number(&f->w, "hello", "errors"), 4);
    l.invocations = 15;
    l.queued = 0;
    report(&f->w, a, l, false);
    assert_int_equal(world_number(&f->w, "hello", "queued"), 4);
    assert_int_equal(world_number(&f->w, "hello", "invocations"), 25);
    report(&f->w, a, (struct version_load){0}, true);
    assert_int_equal(world_number(&f->w, "hello", "instances.busy"), 3);
    assert_int_equal(world_number(&f->w, "hello", "invocations"), 25);
}

/* An agent that starts anew counts from 0; the sum does not go down, and nothing is
 * counted twice when the same life comes back. */
static void counters_only_grow(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct version_load l = {.version = 1, .busy = 1, .invocations = 100};

    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    report(&f->w, a, l, false);
    world_leave(&f->w, a);
    assert_int_equal(world_number(&f->w, "hello", "instances.busy"), 0);
    world_rejoin(&f->w, a, false);
    l.invocations = 110;
    report(&f->w, a, l, true);
    assert_int_equal(world_number(&f->w, "hello", "invocations"), 110);
    world_rejoin(&f->w, a, true);
    assert_int_equal(world_number(&f->w, "hello", "instances.busy"), 0);
    l.invocations = 3;
    report(&f->w, a, l, true);
    assert_int_equal(world_number(&f->w, "hello", "invocations"), 113);
    l.invocations = 2; /* it began anew without saying so */
    report(&f->w, a, l, false);
    assert_int_equal(world_number(&f->w, "hello", "invocations"), 115);
}

/* Reports about what is not there, and from nodes that are not, are let be. */
static void strange_reports(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct model_agent nobody = {.name = "nobody"};
    struct answer d = {0};

    report(&f->w, a, (struct version_load){.version = 1, .busy = 1}, false);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    report(&f->w, a, (struct version_load){.version = 99, .busy = 1}, false);
    report(&f->w, &nobody, (struct version_load){.version = 1, .busy = 1}, false);
    controller_core_node_left(f->w.core, "nobody", "never was");
    assert_int_equal(world_number(&f->w, "hello", "instances.busy"), 0);
    report(&f->w, a, (struct version_load){.version = 1, .busy = 1}, false);
    world_delete(&f->w, "hello", &d);
    world_run(&f->w);
    report(&f->w, a, (struct version_load){.version = 1, .busy = 1}, false);
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    assert_int_equal(world_number(&f->w, "hello", "invocations"), 0);
    world_check(&f->w);
}

/* After a restart nodes go on with their grants, and nothing moves when all are back. */
static void settling_keeps_grants(void **state)
{
    struct fixture *f = *state;
    struct model_agent *nodes[4];
    struct model_function before[4];
    char name[8];

    f->w.homes_max = 2;
    world_restart(&f->w); /* with that option */
    for (int i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        nodes[i] = world_join(&f->w, name, 1024);
    }
    (void)world_deploy_ready(&f->w, "other", 64, 0, 0);
    (void)world_deploy_ready(&f->w, "hello", 128, 5, 3);
    for (int i = 0; i < 4; i++) {
        before[i] = *agent_function(nodes[i], "hello");
    }
    world_restart(&f->w);
    for (int i = 3; i >= 0; i--) {
        world_rejoin(&f->w, nodes[i], false);
        world_report_full(&f->w, nodes[i]);
        assert_int_equal(nodes[i]->n_snapshots, 1);
        world_pass(&f->w, 100);
    }
    world_pass(&f->w, 3000);
    for (int i = 0; i < 4; i++) {
        const struct model_function *now = agent_function(nodes[i], "hello");
        const struct model_grant *g = agent_grant(nodes[i], "hello", 1);

        assert_int_equal(nodes[i]->n_snapshots, 2);
        assert_int_equal(now->n_grants, before[i].n_grants);
        assert_true(now->revision > before[i].revision);
        for (size_t j = 0; j < before[i].n_grants; j++) {
            if (strcmp(before[i].grants[j].node, nodes[i]->name) == 0) {
                assert_non_null(g);
                assert_int_equal(g->max, before[i].grants[j].max);
                assert_int_equal(g->warm, before[i].grants[j].warm);
            }
        }
    }
    world_check(&f->w);
}

/* A node that did not come back within the time has its grants elsewhere after it. */
static void settling_ends_without_all(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct model_agent *b = world_join(&f->w, "n2", 1024);

    (void)world_deploy_ready(&f->w, "hello", 128, 4, 0);
    world_restart(&f->w);
    world_rejoin(&f->w, a, false);
    world_report_full(&f->w, a);
    world_pass(&f->w, 2900);
    assert_int_equal(a->n_snapshots, 1);
    assert_int_equal(agent_grant(a, "hello", 1)->max, 2);
    world_pass(&f->w, 200);
    assert_int_equal(a->n_snapshots, 2);
    assert_int_equal(agent_grant(a, "hello", 1)->max, 4);
    world_rejoin(&f->w, b, false); /* late: told at once */
    assert_int_equal(b->n_snapshots, 2);
    assert_null(agent_grant(b, "hello", 1));
    world_check(&f->w);
}

/* Deploys and deletions go on while the core listens; what is deleted is told. */
static void changes_while_settling(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct answer d = {0};

    (void)world_deploy_ready(&f->w, "old", 128, 0, 0);
    (void)world_deploy_ready(&f->w, "goes", 128, 0, 0);
    world_restart(&f->w);
    world_rejoin(&f->w, a, false);
    world_report_full(&f->w, a);
    (void)world_deploy(&f->w, "new", 128, 0, 0);
    world_delete(&f->w, "goes", &d);
    world_run(&f->w);
    assert_int_equal(d.cause, CAUSE_NONE);
    assert_null(agent_function(a, "new"));
    world_pass(&f->w, 3100);
    assert_non_null(agent_grant(a, "new", 1));
    assert_non_null(agent_grant(a, "old", 1));
    assert_null(agent_function(a, "goes"));
    world_check(&f->w);
}

/* Grants that agents claim are checked as anything from outside. */
static void false_claims(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct model_agent *b = world_join(&f->w, "n2", 1024);
    struct version_load l = {
        .version = 1, .grant_max = UINT32_MAX, .grant_warm = UINT32_MAX};

    (void)world_deploy_ready(&f->w, "hello", 128, 3, 1);
    world_restart(&f->w);
    world_rejoin(&f->w, a, false);
    world_rejoin(&f->w, b, false);
    report(&f->w, a, l, true);
    report(&f->w, b, l, true);
    report(&f->w, b, l, true);
    l.version = 7;
    report(&f->w, b, l, false);
    world_pass(&f->w, 3100);
    assert_int_equal(world_sum_max(&f->w, "hello", 1), 3);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 3); /* as if it had been so */
    world_check(&f->w);
    world_pass(&f->w, 180000);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 1);
}

/* Each of two nodes claims less than the limit, together they claim more: the second one
 * has what is left. */
static void claims_beyond_the_limit(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct model_agent *b = world_join(&f->w, "n2", 1024);
    struct version_load l = {.version = 1, .grant_max = 2};

    (void)world_deploy_ready(&f->w, "hello", 128, 3, 0);
    world_restart(&f->w);
    world_rejoin(&f->w, a, false);
    world_rejoin(&f->w, b, false);
    report(&f->w, a, l, true);
    report(&f->w, b, l, true);
    world_check(&f->w);
    world_pass(&f->w, 3100);
    assert_int_equal(world_sum_max(&f->w, "hello", 1), 3);
    world_check(&f->w);
}

/* A snapshot that is asked for while the core listens has the grants that were reported.
 */
static void snapshot_while_settling(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    (void)world_deploy_ready(&f->w, "hello", 128, 3, 0);
    world_restart(&f->w);
    world_rejoin(&f->w, a, false);
    world_report_full(&f->w, a);
    a->wants_snapshot = true; /* a gap in the stream */
    world_run(&f->w);
    assert_int_equal(agent_grant(a, "hello", 1)->max, 3);
    world_pass(&f->w, 3100);
    assert_int_equal(agent_grant(a, "hello", 1)->max, 3);
    world_check(&f->w);
}

/* On an empty store there is nothing to listen for: nodes are told at once. */
static void empty_store_does_not_wait(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    assert_int_equal(a->n_snapshots, 1);
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    assert_non_null(agent_grant(a, "hello", 1));
}

/* A candidate goes on after the controller's restart, on the node that had it. */
static void candidate_over_a_restart(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct model_agent *b = world_join(&f->w, "n2", 1024);
    char before[SPEC_NODE_MAX + 1], after[SPEC_NODE_MAX + 1];

    (void)world_deploy(&f->w, "hello", 128, 1, 0);
    world_proof_node(&f->w, "hello", 1, before);
    world_restart(&f->w);
    world_rejoin(&f->w, a, false);
    world_rejoin(&f->w, b, false);
    world_report_full(&f->w, a);
    world_report_full(&f->w, b);
    world_pass(&f->w, 3100);
    world_proof_node(&f->w, "hello", 1, after);
    assert_string_equal(before, after);
    world_say(&f->w, strcmp(after, "n1") == 0 ? a : b, "hello", 1, true, CAUSE_NONE,
              NULL);
    assert_view(&f->w, "hello", "state", "ready");
    world_check(&f->w);
}

/* A node that joins before the epoch is taken hears nothing until then, and all after. */
static void joins_before_ready(void **state)
{
    struct fixture *f = *state;
    struct world *w = calloc(1, sizeof(*w));
    struct model_agent *a;

    assert_non_null(w);
    world_open(w, &f->s);
    a = world_join(w, "n1", 1024);
    assert_int_equal(a->n_peers, 0);
    world_load(w);
    world_run(w);
    assert_int_equal(a->n_snapshots, 1);
    assert_true(a->peers[0].revision >> 32 == 2);
    world_check(w);
    world_close(w);
    free(w);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(node_view),
        TEST(node_blanks),
        TEST(odd_hello),
        TEST(loss_moves_grants),
        TEST(last_node_goes),
        TEST(join_helps_those_that_lack),
        TEST(gets_homes_when_nodes_come),
        TEST(comes_back_smaller),
        TEST(lost_nodes_are_forgotten),
        TEST(loads_add_up),
        TEST(counters_only_grow),
        TEST(strange_reports),
        TEST(settling_keeps_grants),
        TEST(settling_ends_without_all),
        TEST(changes_while_settling),
        TEST(false_claims),
        TEST(claims_beyond_the_limit),
        TEST(snapshot_while_settling),
        TEST(empty_store_does_not_wait),
        TEST(candidate_over_a_restart),
        TEST(joins_before_ready),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("controller core: nodes", tests, NULL, NULL);
}
