/* How many sandboxes are made ahead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include "agent/warden/blank_policy.h"

#define LEAST   4
#define SPAN_MS 100

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
    blank_policy_init(&policy, LEAST, 64, SPAN_MS);
    assert_int_equal(blank_policy_want(&policy, 1000), LEAST);
    blank_policy_init(&policy, LEAST, 2, SPAN_MS);
    assert_int_equal(blank_policy_want(&policy, 1000), 2);
    begin(50, 1000);
    assert_int_equal(blank_policy_want(&policy, 1000), 2);
    blank_policy_init(&policy, LEAST, 0, SPAN_MS);
    begin(50, 1000);
    assert_int_equal(blank_policy_want(&policy, 1000), 0);
}

/* As many as were begun within a window; two windows do not add up. */
static void follows_the_load(void **state)
{
    (void)state;
    blank_policy_init(&policy, LEAST, 64, SPAN_MS);
    begin(20, 1000);
    begin(10, 1000 + SPAN_MS - 1);
    assert_int_equal(blank_policy_want(&policy, 1100), 30);
    begin(25, 1000 + SPAN_MS);
    assert_int_equal(blank_policy_want(&policy, 1100), 30);
    begin(100, 1000 + 2 * SPAN_MS);
    assert_int_equal(blank_policy_want(&policy, 1200), 64);
}

/* It is forgotten little by little, to the last. */
static void forgets(void **state)
{
    unsigned last = 40;
    (void)state;

    blank_policy_init(&policy, LEAST, 64, SPAN_MS);
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
    blank_policy_init(&policy, LEAST, 64, SPAN_MS);
    begin(40, 1000);
    blank_policy_short(&policy, 1000);
    assert_int_equal(blank_policy_want(&policy, 1000), 0);
    assert_int_equal(blank_policy_want(&policy, 1000 + BLANK_SHORT_MS - 1), 0);
    assert_int_equal(blank_policy_want(&policy, 1000 + BLANK_SHORT_MS), LEAST);
}

/* What takes longer to make is counted over a longer time: one after another, each begun
 * when the last has ended, is as much as all at once. */
static void counts_over_its_span(void **state)
{
    (void)state;
    blank_policy_init(&policy, 1, 64, 1000);
    for (unsigned i = 0; i < 10; i++) {
        begin(1, 5000 + i * 99);
    }
    assert_int_equal(blank_policy_want(&policy, 5900), 10);
    begin(1, 6000); /* a window of its own */
    assert_int_equal(blank_policy_want(&policy, 6000), 10);
}

/* Short again while it is short: the time counts from the last. What was begun meanwhile
 * is remembered for after. */
static void stays_short(void **state)
{
    (void)state;
    blank_policy_init(&policy, LEAST, 64, SPAN_MS);
    blank_policy_short(&policy, 1000);
    blank_policy_short(&policy, 9000);
    assert_int_equal(blank_policy_want(&policy, 1000 + BLANK_SHORT_MS), 0);
    begin(9, 9000 + BLANK_SHORT_MS - 1);
    assert_int_equal(blank_policy_want(&policy, 9000 + BLANK_SHORT_MS - 1), 0);
    assert_int_equal(blank_policy_want(&policy, 9000 + BLANK_SHORT_MS), 9);
}

/* A pause of any length is made up for at once: nothing is left of an old peak, and the
 * clock's first millisecond is as good as any. */
static void long_pauses(void **state)
{
    (void)state;
    blank_policy_init(&policy, 0, 64, SPAN_MS);
    assert_int_equal(blank_policy_want(&policy, 0), 0);
    begin(3, 0);
    assert_int_equal(blank_policy_want(&policy, 0), 3);
    assert_int_equal(blank_policy_want(&policy, 365ULL * 24 * 3600 * 1000), 0);
    begin(1, UINT64_MAX - 1);
    assert_int_equal(blank_policy_want(&policy, UINT64_MAX), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_over_its_span), cmocka_unit_test(stays_short),
        cmocka_unit_test(long_pauses),          cmocka_unit_test(keeps_a_few),
        cmocka_unit_test(follows_the_load),     cmocka_unit_test(forgets),
        cmocka_unit_test(makes_way_for_memory),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
