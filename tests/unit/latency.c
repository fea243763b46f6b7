/* Latency: buckets and percentiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include "common/latency.h"

/* Each bucket ends where it says, and the next begins there. */
static void bounds(void **state)
{
    for (unsigned i = 0; i < LATENCY_BUCKETS - 1; i++) {
        assert_int_equal(latency_bucket(latency_limit_us(i)), i);
        assert_int_equal(latency_bucket(latency_limit_us(i) + 1), i + 1);
    }
    assert_int_equal(latency_bucket(0), 0);
    assert_int_equal(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
    assert_true(latency_limit_us(LATENCY_BUCKETS - 2) >= 900000000);
}

/* No bucket is wider than the header says. */
static void widths(void **state)
{
    for (unsigned i = 1; i < LATENCY_BUCKETS - 1; i++) {
        double ratio = (double)latency_limit_us(i) / (double)latency_limit_us(i - 1);

        assert_true(ratio > 1.2 && ratio < 1.27);
    }
}

/* Percentiles of known series, within a bucket's width. */
static void quantiles(void **state)
{
    struct latency l = {{0}};

    assert_int_equal(latency_quantile_us(&l, 0.5), 0);
    for (uint64_t ms = 1; ms <= 1000; ms++) {
        latency_add(&l, ms * 1000);
    }
    assert_int_equal(latency_count(&l), 1000);
    assert_in_range(latency_quantile_us(&l, 0.5), 500000, 500000 * 127 / 100);
    assert_in_range(latency_quantile_us(&l, 0.99), 990000, 990000 * 127 / 100);
    assert_in_range(latency_quantile_us(&l, 1), 1000000, 1000000 * 127 / 100);
    assert_in_range(latency_quantile_us(&l, 0), 1000, 1000 * 127 / 100);
}

/* One slow call among a hundred: p50 does not see it, p99 and more do. */
static void one_slow(void **state)
{
    struct latency l = {{0}};

    for (int i = 0; i < 99; i++) {
        latency_add(&l, 200);
    }
    latency_add(&l, 5000000);
    assert_true(latency_quantile_us(&l, 0.5) < 260);
    assert_true(latency_quantile_us(&l, 0.99) >= 5000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds),
        cmocka_unit_test(widths),
        cmocka_unit_test(quantiles),
        cmocka_unit_test(one_slow),
    };

    return cmocka_run_group_tests_name("latency", tests, NULL, NULL);
}
