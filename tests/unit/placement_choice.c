/* Which nodes may have a version, and which of them are better. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the five above */

#include "controller/core/placement.h"

#define MIB   (1024ull * 1024)
#define NODES 2000

static struct placement_nodes usable;
static struct placement_node nodes[NODES];
static struct constraint constraints[4];
static struct placement_result result;

static const char *const ssd_a[] = {"disk=ssd", "zone=a", NULL};
static const char *const hdd_a[] = {"disk=hdd", "zone=a", NULL};
static const char *const hdd_b[] = {"disk=hdd", "zone=b", NULL};
static const char *const plain_c[] = {"zone=c", NULL};

static struct placement_node *add(size_t i, uint64_t memory_mib,
                                  const char *const *labels)
{
    nodes[i] = (struct placement_node){
        .memory_bytes = memory_mib * MIB, .labels = labels, .index = PLACEMENT_NOWHERE};
    assert_int_equal(placement_nodes_add(&usable, &nodes[i]), 0);
    return &nodes[i];
}

static int clean(void **state)
{
    placement_nodes_free(&usable);
    placement_result_free(&result);
    for (size_t i = 0; i < 4; i++) {
        constraint_free(&constraints[i]);
    }
    return 0;
}

static struct placement_request request(void)
{
    return (struct placement_request){.instance_bytes = 128 * MIB,
                                      .instance_millis = 1000,
                                      .homes_max = 8,
                                      .policy = SPEC_PLACEMENT_BINPACK,
                                      .constraints = constraints};
}

static void ask_for(struct placement_request *r, const char *constraint)
{
    assert_int_equal(constraint_parse(&constraints[r->n_constraints++], constraint, NULL),
                     0);
}

static void place(const struct placement_request *r)
{
    placement_result_free(&result);
    assert_int_equal(placement_place(&usable, r, &result), 0);
}

static const struct placement_grant *grant_on(const struct placement_node *n)
{
    for (size_t i = 0; i < result.n; i++) {
        if (result.grants[i].node == n) {
            return &result.grants[i];
        }
    }
    return NULL;
}

/* Each filter refuses what it is for, is counted, and the first one that refuses counts.
 */
static void filters(void **state)
{
    static const struct {
        const char *constraint;
        uint64_t memory_mib, firm_mib, cpu_millis, firm_millis;
        bool closed;
        enum placement_filter filter, full;
    } cases[] = {
        {NULL, 128, 0, 0, 0, false, PLACEMENT_FITS, PLACEMENT_FITS},
        {NULL, 127, 0, 0, 0, false, PLACEMENT_MEMORY, PLACEMENT_FITS},
        {NULL, 256, 129, 0, 0, false, PLACEMENT_FITS, PLACEMENT_MEMORY_FULL},
        {NULL, 256, 128, 0, 0, false, PLACEMENT_FITS, PLACEMENT_FITS},
        {NULL, 256, 0, 999, 0, false, PLACEMENT_CPU, PLACEMENT_FITS},
        {NULL, 256, 0, 1000, 0, false, PLACEMENT_FITS, PLACEMENT_FITS},
        {NULL, 256, 0, 2000, 1001, false, PLACEMENT_FITS, PLACEMENT_CPU_FULL},
        {NULL, 256, 0, 0, 0, true, PLACEMENT_CORDONED, PLACEMENT_FITS},
        {"disk=ssd", 256, 0, 0, 0, false, PLACEMENT_FITS, PLACEMENT_FITS},
        {"disk!=ssd", 256, 0, 0, 0, false, PLACEMENT_LABELS, PLACEMENT_FITS},
        {"zone=~b|c", 16, 0, 0, 0, false, PLACEMENT_LABELS, PLACEMENT_FITS},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct placement_request r = request();
        struct placement_node *n = add(0, cases[i].memory_mib, ssd_a);
        struct placement_caps caps;
        size_t at = 9;

        n->firm_bytes = cases[i].firm_mib * MIB;
        n->cpu_millis = cases[i].cpu_millis;
        n->firm_millis = cases[i].firm_millis;
        n->closed = cases[i].closed;
        if (cases[i].constraint != NULL) {
            ask_for(&r, cases[i].constraint);
        }
        assert_int_equal(placement_fit(n, &r, NULL, &caps, &at), cases[i].filter);
        if (cases[i].filter == PLACEMENT_FITS) {
            assert_int_equal(placement_full(n, &r, NULL), cases[i].full);
            assert_int_equal(caps.firm > 0, cases[i].full == PLACEMENT_FITS);
        }
        assert_int_equal(at, cases[i].filter == PLACEMENT_LABELS ? 0 : 9);
        clean(NULL);
    }
}

/* In a large cluster a version with constraints is looked for among the nodes that have
 * its label only: of the labels asked for, the rarest. */
static void labels_narrow_the_search(void **state)
{
    static const char *const rare[] = {"gpu=1", "zone=a", NULL};
    struct placement_request r = request();

    for (size_t i = 0; i < NODES; i++) {
        add(i, 1024, i % 100 == 7 ? rare : i % 2 == 0 ? hdd_a : hdd_b);
    }
    ask_for(&r, "zone=~a|q");
    ask_for(&r, "gpu=1");
    place(&r);
    assert_int_equal(result.n, 8);
    assert_int_equal(result.why.n_nodes, NODES);
    assert_int_equal(result.why.n_indexed, NODES / 100);
    assert_in_range(result.why.n_looked, 8, NODES / 100);
    for (size_t i = 0; i < result.n; i++) {
        assert_ptr_equal(result.grants[i].node->labels, rare);
    }
    clean(NULL);
}

/* Nobody has it, or nobody has it any more: nothing is granted, and the counts say why.
 */
static void nobody_satisfies(void **state)
{
    struct placement_request r = request();
    struct placement_node *n = add(0, 1024, ssd_a);
    char text[200];
    struct function_spec spec;

    add(1, 1024, hdd_b);
    add(2, 1024, hdd_b)->closed = true;
    ask_for(&r, "disk=ssd");
    place(&r);
    assert_int_equal(result.n, 1);
    assert_int_equal(placement_nodes_relabel(&usable, n, plain_c), 0);
    place(&r);
    assert_int_equal(result.n, 0);
    assert_int_equal(result.why.n_indexed, 0);
    function_spec_init(&spec);
    assert_int_equal(function_spec_add_constraint(&spec, "disk=ssd", NULL), 0);
    assert_int_equal(function_spec_add_constraint(&spec, "zone!=b", NULL), 0);
    assert_string_equal(
        placement_why_text(&(struct placement_why){.n_nodes = 6,
                                                   .refused = {[PLACEMENT_LABELS] = 4,
                                                               [PLACEMENT_CORDONED] = 1,
                                                               [PLACEMENT_LOST] = 1},
                                                   .by_constraint = {2, 2}},
                           &spec, text, sizeof(text)),
        "6 nodes: 1 lost, 1 cordoned, 2 lack label disk=ssd, 2 have label zone=b");
    function_spec_free(&spec);
}

/* Bin packing takes the fullest node that is not too full or busy; spreading the
 * emptiest. */
static void policies(void **state)
{
    struct placement_request r = request();

    r.max = 1;
    for (size_t i = 0; i < 4; i++) {
        add(i, 4096, NULL)->firm_bytes = i * 1024 * MIB;
    }
    nodes[3].used_bytes = 4096 * MIB;
    place(&r);
    assert_ptr_equal(result.grants[0].node, &nodes[2]);
    r.policy = SPEC_PLACEMENT_SPREAD;
    place(&r);
    assert_ptr_equal(result.grants[0].node, &nodes[0]);
    nodes[0].used_bytes = 3000 * MIB;
    place(&r);
    assert_ptr_equal(result.grants[0].node, &nodes[1]);
}

/* A node that has the package comes first, also one that the sample would hardly meet;
 * not if it has no room. */
static void near_ones_first(void **state)
{
    struct placement_request r = request();
    struct placement_node *near[] = {&nodes[1234]};

    for (size_t i = 0; i < NODES; i++) {
        add(i, 1024, NULL);
    }
    r.max = 1;
    r.near = near;
    r.n_near = 1;
    place(&r);
    assert_ptr_equal(result.grants[0].node, near[0]);
    assert_true(result.grants[0].why.near);
    near[0]->firm_bytes = 1000 * MIB;
    place(&r);
    assert_ptr_not_equal(result.grants[0].node, near[0]);
}

/* Homes are in two zones at least; spread ones in as many as there are. */
static void homes_are_in_different_zones(void **state)
{
    struct placement_request r = request();

    for (size_t i = 0; i < 4; i++) {
        add(i, 4096, hdd_a)->firm_bytes = 2048 * MIB;
    }
    add(4, 4096, hdd_b);
    add(5, 4096, plain_c);
    r.homes_max = 3;
    place(&r);
    assert_true((grant_on(&nodes[4]) != NULL) != (grant_on(&nodes[5]) != NULL));
    r.policy = SPEC_PLACEMENT_SPREAD;
    place(&r);
    assert_non_null(grant_on(&nodes[4]));
    assert_non_null(grant_on(&nodes[5]));
    assert_int_equal(result.n, 3);
    for (size_t i = 0; i < 6; i++) {
        assert_true(nodes[i].zone != NULL && nodes[i].zone->chosen == 0);
    }
}

/* What is reserved is booked whole, warm ones stand in it, and the limit is the same. */
static void reserved_is_booked(void **state)
{
    struct placement_request r = request();
    uint32_t max = 0, warm = 0, reserved = 0;

    add(0, 512, NULL);
    add(1, 512, NULL)->firm_bytes = 256 * MIB;
    r.max = r.reserved = 6;
    r.warm = 2;
    place(&r);
    for (size_t i = 0; i < result.n; i++) {
        max += result.grants[i].max;
        warm += result.grants[i].warm;
        reserved += result.grants[i].reserved;
        assert_int_equal(result.grants[i].max, result.grants[i].reserved);
    }
    assert_int_equal(max, 6);
    assert_int_equal(reserved, 6);
    assert_int_equal(warm, 2);
    r.max = r.reserved = 8;
    place(&r);
    assert_int_equal(result.reserved_missing, 2);
}

/* CPU binds like memory: with the overcommit that the capacity has in it. */
static void cpu_binds(void **state)
{
    struct placement_request r = request();

    add(0, 4096, NULL)->cpu_millis = 3500;
    r.warm = 5;
    place(&r);
    assert_int_equal(result.grants[0].warm, 3);
    assert_int_equal(result.warm_missing, 2);
    assert_int_equal(result.grants[0].max, 3);
}

/* The version that shares a reservation may be where the other one is, beside what that
 * one keeps warm. */
static void shares_with_the_other_version(void **state)
{
    struct placement_request r = request();
    struct placement_grant other = {.node = &nodes[0],
                                    .own_bytes = 512 * MIB,
                                    .own_millis = 4000,
                                    .other_warm_bytes = 384 * MIB,
                                    .other_warm_millis = 3000};

    add(0, 512, NULL)->firm_bytes = 512 * MIB;
    nodes[0].firm_millis = 4000;
    r.previous = &other;
    r.n_previous = 1;
    r.max = r.reserved = 4;
    r.warm = 1;
    place(&r);
    assert_int_equal(result.grants[0].reserved, 4);
    assert_int_equal(result.grants[0].warm, 1);
    r.warm = 2;
    place(&r);
    assert_int_equal(result.grants[0].warm, 1);
    assert_int_equal(result.warm_missing, 1);
    assert_false(result.grants[0].why.kept);
}

/* Nodes come, go and change their labels in any order: the index knows each where it is.
 */
static void index_follows(void **state)
{
    static const char *const *const labels[] = {ssd_a, hdd_a, hdd_b, plain_c, NULL};
    uint64_t random = 1;

    for (size_t i = 0; i < 64; i++) {
        nodes[i] = (struct placement_node){.memory_bytes = 1, .index = PLACEMENT_NOWHERE};
    }
    for (int step = 0; step < 20000; step++) {
        struct placement_node *n = &nodes[(random >> 33) % 64];

        random = random * 6364136223846793005ull + 1442695040888963407ull;
        if ((random >> 40) % 3 == 0) {
            assert_int_equal(
                placement_nodes_relabel(&usable, n, labels[(random >> 50) % 5]), 0);
        } else if (n->index == PLACEMENT_NOWHERE) {
            assert_int_equal(placement_nodes_add(&usable, n), 0);
        } else {
            placement_nodes_remove(&usable, n);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        static const char *const each[] = {"disk=ssd", "zone=a", "zone=c"};
        const struct node_set *set = node_sets_find(&usable.by_label, each[i]);
        size_t have = 0;

        for (size_t k = 0; k < usable.n; k++) {
            const char *const *l = usable.items[k]->labels;

            have += l != NULL && (strcmp(l[0], each[i]) == 0 ||
                                  (l[1] != NULL && strcmp(l[1], each[i]) == 0));
        }
        assert_int_equal(set != NULL ? set->n : 0, have);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, clean)
    const struct CMUnitTest tests[] = {
        TEST(filters),
        TEST(labels_narrow_the_search),
        TEST(nobody_satisfies),
        TEST(policies),
        TEST(near_ones_first),
        TEST(homes_are_in_different_zones),
        TEST(reserved_is_booked),
        TEST(cpu_binds),
        TEST(shares_with_the_other_version),
        TEST(index_follows),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("placement: choice", tests, NULL, NULL);
}
