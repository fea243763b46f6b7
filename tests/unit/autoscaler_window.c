/* The windows of the autoscaler: averages and maxima over what was, and over what was
 * not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h> /* needs the four above */

#include "controller/core/autoscaler_window.h"

#define T    100000u /* a second to start from */
#define UNIT AUTOSCALER_WINDOW_UNIT

static struct autoscaler_window window(uint32_t seconds)
{
    struct autoscaler_window w;

    assert_int_equal(autoscaler_window_init(&w, seconds), 0);
    return w;
}

static void fill(struct autoscaler_window *w, uint64_t from, uint64_t n, int64_t value)
{
    for (uint64_t s = from; s < from + n; s++) {
        autoscaler_window_add(w, s, value * UNIT);
        assert_true(autoscaler_window_check(w));
    }
}

static void assert_average(const struct autoscaler_window *w, uint64_t now, double value)
{
    assert_int_equal(autoscaler_window_average(w, now), (int64_t)(value * UNIT));
}

/* A window that is not full yet averages over what there is. */
static void averages_over_the_seconds_there_are(void **state)
{
    struct autoscaler_window w = window(5);

    assert_true(autoscaler_window_empty(&w, T));
    assert_average(&w, T, 0);
    fill(&w, T, 1, 6);
    assert_average(&w, T, 6);
    fill(&w, T + 1, 1, 0);
    assert_average(&w, T + 1, 3);
    fill(&w, T + 2, 1, 3);
    assert_average(&w, T + 2, 3);
    assert_false(autoscaler_window_empty(&w, T + 2));
    autoscaler_window_free(&w);
}

/* A full window forgets its oldest second with each new one. */
static void slides(void **state)
{
    struct autoscaler_window w = window(3);

    for (int64_t i = 1; i <= 10; i++) {
        fill(&w, T + (uint64_t)i, 1, i);
        assert_average(&w, T + (uint64_t)i, i == 1 ? 1 : i == 2 ? 1.5 : (double)i - 1);
    }
    autoscaler_window_free(&w);
}

/* What is added within one second adds up. */
static void one_second_is_a_sum(void **state)
{
    struct autoscaler_window w = window(4);

    fill(&w, T, 1, 2);
    fill(&w, T, 1, 3);
    assert_average(&w, T, 5);
    autoscaler_window_free(&w);
}

/* Seconds without a value between two that have one count as zero. */
static void a_gap_counts_as_zero(void **state)
{
    struct autoscaler_window w = window(5);

    fill(&w, T, 1, 10);
    fill(&w, T + 3, 1, 10);
    assert_average(&w, T + 3, 5);
    fill(&w, T + 6, 1, 6); /* T has left, T+2, T+4, T+5 are gaps */
    assert_average(&w, T + 6, 3.2);
    autoscaler_window_free(&w);
}

/* Seconds after the last value are not known and do not count. */
static void silence_does_not_count(void **state)
{
    struct autoscaler_window w = window(6);

    fill(&w, T, 6, 4);
    fill(&w, T + 6, 1, 10); /* 4 4 4 4 4 10 */
    assert_average(&w, T + 6, 5);
    assert_average(&w, T + 8, 5.5); /* 4 4 4 10 ? ? */
    assert_average(&w, T + 11, 10);
    assert_average(&w, T + 12, 0); /* nothing of the window is left */
    assert_false(autoscaler_window_empty(&w, T + 12));
    assert_true(autoscaler_window_empty(&w, T + 13));
    autoscaler_window_free(&w);
}

/* After a whole window of silence, or a jump of the clock, the window begins anew. */
static void begins_anew_after_a_whole_window(void **state)
{
    struct autoscaler_window w = window(5);

    fill(&w, T, 5, 9);
    fill(&w, T + 9, 1, 2);
    assert_average(&w, T + 9, 2);
    fill(&w, T + 1000000000, 1, 7);
    assert_average(&w, T + 1000000000, 7);
    autoscaler_window_free(&w);
}

/* A value that comes late goes where it belongs; one that is too late nowhere. */
static void late_values(void **state)
{
    struct autoscaler_window w = window(4);

    fill(&w, T + 3, 1, 4);
    fill(&w, T + 2, 1, 8);
    assert_average(&w, T + 3, 6);
    fill(&w, T + 1, 1, 0);
    assert_average(&w, T + 3, 4);
    fill(&w, T - 1, 1, 100);
    assert_average(&w, T + 3, 4);
    autoscaler_window_free(&w);
}

/* An average is rounded down to a millionth, as Knative's is: no load is no load. */
static void is_exact(void **state)
{
    struct autoscaler_window w = window(60);

    for (uint64_t s = 0; s < 100000; s++) {
        autoscaler_window_add(&w, T + s, (int64_t)(s * 7919 % 1000003));
    }
    fill(&w, T + 100000, 60, 0);
    assert_int_equal(autoscaler_window_average(&w, T + 100059), 0);
    assert_true(autoscaler_window_check(&w));
    autoscaler_window_free(&w);

    w = window(3);
    fill(&w, T, 1, 1);
    fill(&w, T + 1, 2, 0);
    assert_int_equal(autoscaler_window_average(&w, T + 2), UNIT / 3);
    autoscaler_window_free(&w);
}

/* Another length keeps the latest seconds that fit. */
static void changes_its_length(void **state)
{
    struct autoscaler_window w = window(6), shorter, longer;

    for (int64_t i = 0; i < 9; i++) {
        fill(&w, T + (uint64_t)i, 1, i); /* holds 3 .. 8 */
    }
    assert_int_equal(autoscaler_window_copy(&shorter, &w, 2), 0);
    assert_average(&shorter, T + 8, 7.5);
    assert_int_equal(autoscaler_window_copy(&longer, &w, 100), 0);
    assert_average(&longer, T + 8, 5.5);
    fill(&longer, T + 9, 1, 9);
    assert_average(&longer, T + 9, 6);
    autoscaler_window_free(&w);
    autoscaler_window_free(&shorter);
    autoscaler_window_free(&longer);
}

static void assert_max(struct autoscaler_peaks *p, uint64_t index, uint32_t value,
                       uint32_t max, uint64_t until)
{
    autoscaler_peaks_add(p, index, value);
    assert_int_equal(autoscaler_peaks_max(p).value, max);
    assert_int_equal(autoscaler_peaks_max(p).index, until);
}

/* The maximum of the window's buckets, and when it ends. */
static void peaks(void **state)
{
    struct autoscaler_peaks p, longer;

    assert_int_equal(autoscaler_peaks_init(&p, 5), 0);
    assert_max(&p, T, 4, 4, T + 5);
    assert_max(&p, T + 1, 3, 4, T + 5);
    assert_max(&p, T + 2, 1, 4, T + 5);
    assert_max(&p, T + 4, 2, 4, T + 5);
    assert_max(&p, T + 4, 1, 4, T + 5); /* one bucket: its greatest stays */
    assert_max(&p, T + 5, 0, 3, T + 6);
    assert_max(&p, T + 3, 0, 3, T + 6); /* back in time: as of now */
    assert_int_equal(autoscaler_peaks_copy(&longer, &p, 10), 0);
    assert_max(&longer, T + 6, 0, 3, T + 11);
    autoscaler_peaks_free(&longer);
    assert_max(&p, T + 6, 0, 2, T + 9);
    assert_max(&p, T + 7, 9, 9, T + 12);
    assert_max(&p, T + 8, 9, 9, T + 13); /* the same again: it lasts longer */
    assert_max(&p, T + 1000, 0, 0, T + 1005);
    autoscaler_peaks_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(averages_over_the_seconds_there_are),
        cmocka_unit_test(slides),
        cmocka_unit_test(one_second_is_a_sum),
        cmocka_unit_test(a_gap_counts_as_zero),
        cmocka_unit_test(silence_does_not_count),
        cmocka_unit_test(begins_anew_after_a_whole_window),
        cmocka_unit_test(late_values),
        cmocka_unit_test(is_exact),
        cmocka_unit_test(changes_its_length),
        cmocka_unit_test(peaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
