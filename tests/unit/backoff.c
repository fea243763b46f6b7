/* Pauses between attempts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/backoff.h"

/* The longest pause doubles from min to max and stays there; the shortest is half of it.
 */
static void doubles_within_bounds(void **state)
{
    static const uint32_t longest[] = {100, 200, 400, 700, 700};
    struct backoff high = {.min_ms = 100, .max_ms = 700}, low = high;

    for (size_t i = 0; i < sizeof(longest) / sizeof(longest[0]); i++) {
        uint32_t half = longest[i] / 2;

        assert_int_equal(backoff_next_ms(&high, half), longest[i]);
        assert_int_equal(backoff_next_ms(&low, 0), longest[i] - half);
    }
}

/* After a success the first pause is a short one again. */
static void starts_over(void **state)
{
    struct backoff b = {.min_ms = 100, .max_ms = 10000};

    (void)backoff_next_ms(&b, 1);
    (void)backoff_next_ms(&b, 1);
    backoff_reset(&b);
    assert_in_range(backoff_next_ms(&b, UINT64_MAX), 50, 100);
}

/* The largest bounds do not overflow. */
static void holds_at_the_limit(void **state)
{
    struct backoff b = {.min_ms = UINT32_MAX - 1, .max_ms = UINT32_MAX};

    for (int i = 0; i < 3; i++) {
        assert_true(backoff_next_ms(&b, UINT64_MAX) >= UINT32_MAX / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_within_bounds),
        cmocka_unit_test(starts_over),
        cmocka_unit_test(holds_at_the_limit),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
