/* The two containers of the agent core, against naive ones; and its load meter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include "agent/core/due_heap.h"
#include "agent/core/load_meter.h"
#include "agent/core/name_map.h"
#include "common/list.h"

#define N 300

static uint64_t seed;

static unsigned below(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((seed >> 33) % n);
}

/* Whatever was set, moved and removed, the least key is on top. */
static void heap_gives_the_least(void **state)
{
    struct due_heap h = {0};
    struct due_heap_node nodes[N] = {{0}};
    uint64_t keys[N] = {0}; /* 0: not in */

    assert_int_equal(due_heap_reserve(&h, N), 0);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned at = below(N);
        uint64_t least = UINT64_MAX;

        if (below(3) == 0) {
            due_heap_remove(&h, &nodes[at]);
            keys[at] = 0;
        } else {
            keys[at] = 1 + below(1000);
            due_heap_set(&h, &nodes[at], keys[at]);
            assert_int_equal(due_heap_key(&h, &nodes[at]), keys[at]);
        }
        for (unsigned i = 0; i < N; i++) {
            assert_int_equal(due_heap_contains(&nodes[i]), keys[i] != 0);
            least = keys[i] != 0 && keys[i] < least ? keys[i] : least;
        }
        assert_int_equal(due_heap_top_key(&h), least);
        assert_true(due_heap_check(&h));
    }
    while (due_heap_top(&h) != NULL) {
        due_heap_remove(&h, due_heap_top(&h));
    }
    assert_int_equal(due_heap_top_key(&h), UINT64_MAX);
    due_heap_free(&h);
}

struct item {
    struct name_map_node node;
    char name[16];
};

static bool match(const struct name_map_node *node, const void *key)
{
    return strcmp(container_of(node, struct item, node)->name, key) == 0;
}

/* What was inserted is found by its name, what was removed is not. */
static void map_finds_by_name(void **state)
{
    struct name_map m = {0};
    struct item items[N];
    bool in[N] = {false};

    for (unsigned i = 0; i < N; i++) {
        (void)snprintf(items[i].name, sizeof(items[i].name), "name-%u", i);
    }
    for (unsigned step = 0; step < 20000; step++) {
        unsigned at = below(N);
        uint64_t hash = name_map_hash(42, items[at].name);

        assert_ptr_equal(name_map_find(&m, hash, match, items[at].name),
                         in[at] ? &items[at].node : NULL);
        if (in[at]) {
            name_map_remove(&m, &items[at].node);
        } else {
            assert_int_equal(name_map_reserve(&m), 0);
            name_map_insert(&m, &items[at].node, hash);
        }
        in[at] = !in[at];
    }
    name_map_free(&m);
}

/* Chained over two names, the hash depends on where one ends and the other begins. */
static void hash_of_two_names(void **state)
{
    uint64_t ab_c = name_map_hash(name_map_hash(1, "ab"), "c");

    assert_true(ab_c != name_map_hash(name_map_hash(1, "a"), "bc"));
    assert_true(ab_c != name_map_hash(name_map_hash(2, "ab"), "c"));
    assert_true(ab_c == name_map_hash(name_map_hash(1, "ab"), "c"));
}

/* The sum over time of the calls there are, read at any time; a clock that goes back
 * stands still. */
static void meter_integrates(void **state)
{
    struct load_meter m = {0};

    assert_int_equal(load_meter_read(&m, 1000), 0);
    load_meter_add(&m, 1000);
    load_meter_add(&m, 1500);
    assert_int_equal(load_meter_read(&m, 2000), 500 + 2 * 500);
    load_meter_remove(&m, 2000);
    assert_int_equal(load_meter_read(&m, 2100), 1500 + 100);
    load_meter_add(&m, 1900);
    assert_int_equal(load_meter_read(&m, 1950), 1500);
    load_meter_remove(&m, 2100);
    load_meter_remove(&m, 2200);
    assert_int_equal(load_meter_read(&m, 9000), 1500 + 2 * 100 + 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_gives_the_least),
        cmocka_unit_test(map_finds_by_name),
        cmocka_unit_test(hash_of_two_names),
        cmocka_unit_test(meter_integrates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
