/* How many sandboxes are made ahead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include "agent/warden/blank_policy.h"

#define LEAST 4

static struct blank_policy policy;

static void begin(unsigned n, uint64_t now_ms)
{
    while (n-- > 0) {
        blank_policy_begun(&policy, now_ms);
    }
}

/* A few when there was nothing, and never more than there may be. */
static void keeps_a_few(void **state)
{
    (void)state;
    blank_policy_init(&policy, LEAST, 64);
    assert_int_equal(blank_policy_want(&policy, 1000), LEAST);
    blank_policy_init(&policy, LEAST, 2);
    assert_int_equal(blank_policy_want(&policy, 1000), 2);
    begin(50, 1000);
    assert_int_equal(blank_policy_want(&policy, 1000), 2);
    blank_policy_init(&policy, LEAST, 0);
    begin(50, 1000);
    assert_int_equal(blank_policy_want(&policy, 1000), 0);
}

/* As many as were begun within a window; two windows do not add up. */
static void follows_the_load(void **state)
{
    (void)state;
    blank_policy_init(&policy, LEAST, 64);
    begin(20, 1000);
    begin(10, 1000 + BLANK_WINDOW_MS - 1);
    assert_int_equal(blank_policy_want(&policy, 1100), 30);
    begin(25, 1000 + BLANK_WINDOW_MS);
    assert_int_equal(blank_policy_want(&policy, 1100), 30);
    begin(100, 1000 + 2 * BLANK_WINDOW_MS);
    assert_int_equal(blank_policy_want(&policy, 1200), 64);
}

/* It is forgotten little by little, to the last. */
static void forgets(void **state)
{
    unsigned last = 40;
    (void)state;

    blank_policy_init(&policy, LEAST, 64);
    begin(40, 1000);
    assert_int_equal(blank_policy_want(&policy, 1000 + BLANK_DECAY_MS - 1), 40);
    for (uint64_t s = 1; s <= 60; s++) {
        unsigned want = blank_policy_want(&policy, 1000 + s * BLANK_DECAY_MS);

        assert_true(want <= last);
        last = want;
    }
    assert_int_equal(last, LEAST);
}

/* Short of memory there are none for a while, and then a few again. */
static void makes_way_for_memory(void **state)
{
    (void)state;
    blank_policy_init(&policy, LEAST, 64);
    begin(40, 1000);
    blank_policy_short(&policy, 1000);
    assert_int_equal(blank_policy_want(&policy, 1000), 0);
    assert_int_equal(blank_policy_want(&policy, 1000 + BLANK_SHORT_MS - 1), 0);
    assert_int_equal(blank_policy_want(&policy, 1000 + BLANK_SHORT_MS), LEAST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_a_few),
        cmocka_unit_test(follows_the_load),
        cmocka_unit_test(forgets),
        cmocka_unit_test(makes_way_for_memory),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
