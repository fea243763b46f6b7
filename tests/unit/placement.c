/* Which nodes get which grants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h> /* needs the four above */

#include "controller/core/placement.h"

#define MIB    (1024ull * 1024)
#define NODES  500
#define GRANTS NODES
#define DEFAULT_REQUEST                                                              \
    {                                                                                \
        .instance_bytes = 128 * MIB, .homes_max = 8, .policy = SPEC_PLACEMENT_SPREAD \
    }

struct cluster {
    struct placement_nodes usable;
    struct placement_node nodes[NODES];
    struct placement_grant grants[GRANTS]; /* what was placed last */
    size_t n;
    uint64_t max_missing, warm_missing;
};

static void add(struct cluster *c, size_t i, uint64_t memory_mib)
{
    c->nodes[i] = (struct placement_node){.memory_bytes = memory_mib * MIB,
                                          .index = PLACEMENT_NOWHERE};
    assert_int_equal(placement_nodes_add(&c->usable, &c->nodes[i]), 0);
}

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct cluster));
    return *state != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    struct cluster *c = *state;

    placement_nodes_free(&c->usable);
    free(c);
    return 0;
}

static uint64_t firm(const struct placement_grant *g)
{
    return g->warm > g->reserved ? g->warm : g->reserved;
}

/* Places, checks what must always be true, and books the outcome on the nodes. */
static void place(struct cluster *c, struct placement_request r)
{
    struct placement_result result;
    uint64_t max = 0, warm = 0, reserved = 0;

    for (size_t i = 0; i < c->n; i++) {
        c->grants[i].own_bytes = firm(&c->grants[i]) * r.instance_bytes;
        c->grants[i].own_millis = (uint64_t)firm(&c->grants[i]) * r.instance_millis;
    }
    r.previous = c->grants;
    r.n_previous = c->n;
    assert_int_equal(placement_place(&c->usable, &r, &result), 0);
    for (size_t i = 0; i < c->n; i++) {
        c->grants[i].node->firm_bytes -= c->grants[i].own_bytes;
        c->grants[i].node->firm_millis -= c->grants[i].own_millis;
        c->grants[i].node->n_grants--;
    }
    c->n = result.n;
    assert_in_range(result.n, 0, GRANTS);
    for (size_t i = 0; i < result.n; i++) {
        struct placement_grant *g = &result.grants[i];

        assert_true(g->node->index != PLACEMENT_NOWHERE);
        assert_true(g->max > 0 && g->warm <= g->max && g->reserved <= g->max);
        for (size_t j = 0; j < r.n_constraints; j++) {
            assert_true(constraint_holds(&r.constraints[j], g->node->labels));
        }
        assert_true(g->max <= g->node->memory_bytes / r.instance_bytes);
        for (size_t j = 0; j < i; j++) {
            assert_ptr_not_equal(result.grants[j].node, g->node);
        }
        g->node->firm_bytes += firm(g) * r.instance_bytes;
        g->node->firm_millis += (uint64_t)firm(g) * r.instance_millis;
        g->node->n_grants++;
        assert_true(g->node->firm_bytes <= g->node->memory_bytes);
        assert_true(g->node->cpu_millis == 0 ||
                    g->node->firm_millis <= g->node->cpu_millis);
        max += g->max;
        warm += g->warm;
        reserved += g->reserved;
        c->grants[i] = *g;
    }
    assert_int_equal(warm + result.warm_missing, r.warm);
    assert_true(reserved + result.reserved_missing >= r.reserved);
    if (r.max > 0) {
        assert_int_equal(max + result.max_missing, r.max);
    }
    c->max_missing = result.max_missing;
    c->warm_missing = result.warm_missing;
    placement_result_free(&result);
}

/* Without a limit the function gets homes_max homes, on each as many as fit. */
static void unlimited_gets_homes(void **state)
{
    struct cluster *c = *state;
    struct placement_request r = DEFAULT_REQUEST;

    for (size_t i = 0; i < 20; i++) {
        add(c, i, 1024);
    }
    place(c, r);
    assert_int_equal(c->n, 8);
    for (size_t i = 0; i < c->n; i++) {
        assert_int_equal(c->grants[i].max, 8);
        assert_int_equal(c->grants[i].warm, 0);
    }
}

/* A limit is met exactly, evenly over as many nodes as it has instances. */
static void limit_is_exact_and_even(void **state)
{
    static const uint32_t limits[] = {1, 2, 3, 7, 20, 64};
    struct cluster *c = *state;

    for (size_t i = 0; i < 10; i++) {
        add(c, i, 1024);
    }
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct placement_request r = DEFAULT_REQUEST;
        uint32_t most = 0, least = UINT32_MAX;

        r.max = limits[i];
        place(c, r);
        assert_int_equal(c->max_missing, 0);
        assert_int_equal(c->n, limits[i] < 8 ? limits[i] : 8);
        for (size_t j = 0; j < c->n; j++) {
            most = c->grants[j].max > most ? c->grants[j].max : most;
            least = c->grants[j].max < least ? c->grants[j].max : least;
        }
        assert_in_range(most - least, 0, 1);
        c->n = 0;
        for (size_t j = 0; j < 10; j++) {
            c->nodes[j].n_grants = 0;
        }
    }
}

/* What one node cannot hold goes to others; over homes_max if it must. */
static void caps_take_more_nodes(void **state)
{
    struct cluster *c = *state;
    struct placement_request r = DEFAULT_REQUEST;

    for (size_t i = 0; i < 6; i++) {
        add(c, i, 256); /* two each */
    }
    r.max = 9;
    r.homes_max = 2;
    place(c, r);
    assert_int_equal(c->n, 5);
    assert_int_equal(c->max_missing, 0);
    r.max = 100;
    place(c, r);
    assert_int_equal(c->n, 6);
    assert_int_equal(c->max_missing, 88);
}

/* Small nodes are filled to their cap and the rest goes to the large ones. */
static void uneven_nodes(void **state)
{
    struct cluster *c = *state;
    struct placement_request r = DEFAULT_REQUEST;

    add(c, 0, 128);
    add(c, 1, 128);
    add(c, 2, 4096);
    add(c, 3, 64); /* none fits */
    r.max = 12;
    place(c, r);
    assert_int_equal(c->n, 3);
    for (size_t i = 0; i < c->n; i++) {
        assert_int_equal(c->grants[i].max, c->grants[i].node == &c->nodes[2] ? 10 : 1);
    }
}

/* Warm ones fit into the memory that others left. */
static void warm_fits_what_is_left(void **state)
{
    struct cluster *c = *state;
    struct placement_request r = DEFAULT_REQUEST;

    add(c, 0, 1024);
    add(c, 1, 1024);
    c->nodes[0].firm_bytes = 900 * MIB;
    c->nodes[1].firm_bytes = 500 * MIB;
    r.warm = 6;
    place(c, r);
    assert_int_equal(c->warm_missing, 2);
    r.warm = 2;
    place(c, r);
    assert_int_equal(c->warm_missing, 0);
    assert_int_equal(c->nodes[0].firm_bytes, 900 * MIB);
}

/* A limited version leaves a node that others have filled, if it finds room elsewhere. */
static void moves_when_its_home_is_full(void **state)
{
    struct cluster *c = *state;
    struct placement_request r = DEFAULT_REQUEST;

    add(c, 0, 512);
    r.max = 1;
    place(c, r);
    assert_ptr_equal(c->grants[0].node, &c->nodes[0]);
    c->nodes[0].firm_bytes = 500 * MIB;
    add(c, 1, 512);
    place(c, r);
    assert_ptr_equal(c->grants[0].node, &c->nodes[0]); /* no need yet */
    r.warm = 1;
    place(c, r);
    assert_int_equal(c->n, 1);
    assert_ptr_equal(c->grants[0].node, &c->nodes[1]);
}

/* The loss of one node moves nothing that was elsewhere. */
static void stays_where_it_was(void **state)
{
    struct cluster *c = *state;
    struct placement_request r = DEFAULT_REQUEST;
    struct placement_grant before[GRANTS];
    struct placement_node *lost;
    size_t kept = 0;

    for (size_t i = 0; i < 6; i++) {
        add(c, i, 1024);
    }
    r.max = 7;
    r.warm = 2;
    r.homes_max = 3;
    place(c, r);
    for (size_t i = 0; i < c->n; i++) {
        before[i] = c->grants[i];
    }
    lost = before[0].node;
    placement_nodes_remove(&c->usable, lost);
    lost->firm_bytes = lost->n_grants = 0;
    c->grants[0] = c->grants[--c->n];
    place(c, r);
    assert_int_equal(c->n, 3);
    assert_int_equal(c->max_missing, 0);
    for (size_t i = 1; i < 3; i++) {
        for (size_t j = 0; j < c->n; j++) {
            kept += c->grants[j].node == before[i].node &&
                    c->grants[j].max >= before[i].max &&
                    c->grants[j].warm >= before[i].warm;
        }
    }
    assert_int_equal(kept, 2);
}

/* The same question with the same grants has the same answer. */
static void is_stable(void **state)
{
    struct cluster *c = *state;
    struct placement_request r = DEFAULT_REQUEST;
    struct placement_grant before[GRANTS];

    for (size_t i = 0; i < 30; i++) {
        add(c, i, 512 + 64 * i);
    }
    r.max = 29;
    r.warm = 5;
    place(c, r);
    for (int again = 0; again < 5; again++) {
        size_t n = c->n;

        for (size_t i = 0; i < n; i++) {
            before[i] = c->grants[i];
        }
        r.seed = (uint64_t)again * 12345;
        place(c, r);
        assert_int_equal(c->n, n);
        for (size_t i = 0; i < n; i++) {
            bool same = false;

            for (size_t j = 0; j < n; j++) {
                same = same || (c->grants[i].node == before[j].node &&
                                c->grants[i].max == before[j].max &&
                                c->grants[i].warm == before[j].warm);
            }
            assert_true(same);
        }
    }
}

/* The odd one stays with the node that had it, though another keeps one warm. */
static void odd_one_stays(void **state)
{
    struct cluster *c = *state;
    struct placement_request r = DEFAULT_REQUEST;

    add(c, 0, 1024);
    add(c, 1, 1024);
    c->grants[0] = (struct placement_grant){.node = &c->nodes[0], .max = 1, .warm = 1};
    c->grants[1] = (struct placement_grant){.node = &c->nodes[1], .max = 2};
    c->n = 2;
    c->nodes[0].firm_bytes = r.instance_bytes;
    c->nodes[0].n_grants = c->nodes[1].n_grants = 1;
    r.max = 3;
    r.warm = 1;
    place(c, r);
    assert_int_equal(c->n, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(c->grants[i].max, c->grants[i].node == &c->nodes[0] ? 1 : 2);
    }
}

/* Nodes to be avoided get nothing, even if they had something. */
static void avoids(void **state)
{
    struct cluster *c = *state;
    struct placement_request r = DEFAULT_REQUEST;
    struct placement_node *avoid[1];

    add(c, 0, 1024);
    add(c, 1, 1024);
    r.max = 1;
    r.warm = 1;
    place(c, r);
    avoid[0] = c->grants[0].node;
    r.avoid = avoid;
    r.n_avoid = 1;
    place(c, r);
    assert_int_equal(c->n, 1);
    assert_ptr_not_equal(c->grants[0].node, avoid[0]);
}

/* The least loaded nodes come first. */
static void least_loaded_first(void **state)
{
    struct cluster *c = *state;
    struct placement_request r = DEFAULT_REQUEST;

    for (size_t i = 0; i < 4; i++) {
        add(c, i, 4096);
        c->nodes[i].firm_bytes = (4 - i) * 512 * MIB;
    }
    r.max = 1;
    place(c, r);
    assert_ptr_equal(c->grants[0].node, &c->nodes[3]);
}

/* In a large cluster a sample is looked at; if it does not do, all are. */
static void finds_the_one_node_of_many(void **state)
{
    struct cluster *c = *state;
    struct placement_request r = DEFAULT_REQUEST;

    for (size_t i = 0; i < NODES; i++) {
        add(c, i, i == 333 ? 1024 : 64);
    }
    place(c, r);
    assert_int_equal(c->n, 1);
    assert_ptr_equal(c->grants[0].node, &c->nodes[333]);
    r.max = 5000;
    r.instance_bytes = 32 * MIB;
    c->n = 0;
    place(c, r);
    assert_int_equal(c->n, NODES);
    assert_int_equal(c->max_missing, 5000 - 32 - (NODES - 1) * 2);
}

/* Nothing there: nothing granted, all missing. */
static void no_nodes(void **state)
{
    struct cluster *c = *state;
    struct placement_request r = DEFAULT_REQUEST;

    r.max = 3;
    r.warm = 2;
    place(c, r);
    assert_int_equal(c->n, 0);
    assert_int_equal(c->max_missing, 3);
    assert_int_equal(c->warm_missing, 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(unlimited_gets_homes),
        TEST(limit_is_exact_and_even),
        TEST(caps_take_more_nodes),
        TEST(uneven_nodes),
        TEST(warm_fits_what_is_left),
        TEST(moves_when_its_home_is_full),
        TEST(stays_where_it_was),
        TEST(is_stable),
        TEST(avoids),
        TEST(odd_one_stays),
        TEST(least_loaded_first),
        TEST(no_nodes),
        TEST(finds_the_one_node_of_many),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("placement", tests, NULL, NULL);
}
