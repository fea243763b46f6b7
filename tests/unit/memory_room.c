/* When the host, or the group of all sandboxes, is short of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include "agent/warden/memory_room.h"

#define V1_STAT                                                                         \
    "cache 4096\ninactive_file 1\nactive_file 1\nhierarchical_memory_limit 104857600\n" \
    "total_cache 8192\ntotal_inactive_file 1048576\ntotal_active_file 2097152\n"
#define V2_STAT "anon 4096\nfile 8192\ninactive_file 3145728\nactive_file 1048576\n"

static struct memory_room of(uint64_t total, uint64_t left)
{
    return (struct memory_room){.total_bytes = total, .left_bytes = left};
}

/* What is available counts, not what is free. */
static void reads_the_hosts(void **state)
{
    struct memory_room r =
        memory_room_host("MemTotal:       24109788 kB\nMemFree:        1024 kB\n"
                         "MemAvailable:   21109788 kB\nBuffers:  1 kB\n");
    (void)state;

    assert_int_equal(r.total_bytes, 24109788ULL << 10);
    assert_int_equal(r.left_bytes, 21109788ULL << 10);
    assert_false(memory_room_is_short(&r));
}

/* A file that cannot be read is no reason to give anything back. */
static void knows_nothing_from_nothing(void **state)
{
    struct memory_room host = memory_room_host(""), group = memory_room_group("", "", "");
    (void)state;

    assert_false(memory_room_is_short(&host));
    assert_false(memory_room_is_short(&group));
}

/* Files' pages are left, whichever kind of group says so; the groups' below count. */
static void reads_a_groups(void **state)
{
    struct memory_room v1 = memory_room_group("104857600\n", "104857600\n", V1_STAT);
    struct memory_room v2 = memory_room_group("104857600\n", "104857600\n", V2_STAT);
    struct memory_room over = memory_room_group("1048576\n", "9048576\n", "");
    (void)state;

    assert_int_equal(v1.total_bytes, 100 << 20);
    assert_int_equal(v1.left_bytes, 3 << 20);
    assert_int_equal(v2.left_bytes, 4 << 20);
    assert_true(memory_room_is_short(&v1));
    assert_int_equal(over.left_bytes, 0); /* a limit that was lowered */
    assert_true(memory_room_is_short(&over));
}

static void no_limit_is_never_reached(void **state)
{
    struct memory_room v1 =
        memory_room_group("9223372036854771712\n", "9223372036854771712\n", "");
    struct memory_room v2 = memory_room_group("max\n", "104857600\n", V2_STAT);
    (void)state;

    assert_int_equal(v1.total_bytes, 0);
    assert_false(memory_room_is_short(&v1));
    assert_int_equal(v2.total_bytes, 0);
    assert_false(memory_room_is_short(&v2));
}

static void short_is_less_than_a_sixteenth(void **state)
{
    const struct memory_room enough = of(1600, 100), less = of(1600, 99),
                             none = of(16, 0);
    (void)state;

    assert_false(memory_room_is_short(&enough));
    assert_true(memory_room_is_short(&less));
    assert_true(memory_room_is_short(&none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_hosts),
        cmocka_unit_test(knows_nothing_from_nothing),
        cmocka_unit_test(reads_a_groups),
        cmocka_unit_test(no_limit_is_never_reached),
        cmocka_unit_test(short_is_less_than_a_sixteenth),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
