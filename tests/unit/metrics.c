/* Unit tests for the metrics registry and its text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include "common/metrics.h"

static void assert_text(struct metrics *m, const char *part, bool there)
{
    struct buf b = {0};

    assert_int_equal(metrics_render(m, &b), 0);
    if ((strstr(b.data, part) != NULL) != there) {
        print_error("%s\n", b.data);
        fail();
    }
    buf_free(&b);
}

/* Counters, gauges and histograms in the text form, labels escaped. */
static void renders_text(void **state)
{
    const char *const names[] = {"function", "outcome"};
    const char *const values[] = {"a\"b\\c\nd", "ok"};
    struct metrics *m;
    struct metric_family *calls, *took;
    (void)state;

    assert_int_equal(metrics_new(&m), 0);
    calls = metrics_family(m, METRIC_COUNTER, "z_calls_total", "Calls.", names, 2);
    took = metrics_family(m, METRIC_HISTOGRAM, "a_seconds", "Time.", NULL, 0);
    metric_add(metric_get(calls, values), 2);
    metric_add(metric_get(calls, values), 1);
    metric_observe_us(metric_get(took, NULL), 700);
    metric_observe_us(metric_get(took, NULL), 90000000);
    assert_text(m, "z_calls_total{function=\"a\\\"b\\\\c\\nd\",outcome=\"ok\"} 3\n",
                true);
    assert_text(m, "# TYPE a_seconds histogram\n", true);
    assert_text(
        m, "a_seconds_bucket{le=\"0.0005\"} 0\na_seconds_bucket{le=\"0.001\"} 1\n", true);
    assert_text(m, "a_seconds_bucket{le=\"60\"} 1\na_seconds_bucket{le=\"+Inf\"} 2\n",
                true);
    assert_text(m, "a_seconds_sum 90.0007\na_seconds_count 2\n", true);
    metric_remove(calls, values);
    assert_text(m, "z_calls_total", false);
    assert_null(metrics_free(m));
}

/* Past the cap values go to "other", and what was folded is counted. */
static void folds_what_is_too_many(void **state)
{
    const char *const names[] = {"function"};
    struct metrics *m;
    struct metric_family *f;
    (void)state;

    assert_int_equal(metrics_new(&m), 0);
    f = metrics_family(m, METRIC_GAUGE, "g", "G.", names, 1);
    for (int i = 0; i < METRIC_SERIES_MAX + 5; i++) {
        char name[16];
        const char *values[] = {name};

        (void)snprintf(name, sizeof(name), "f%d", i);
        metric_add(metric_get(f, values), 1);
    }
    assert_text(m, "g{function=\"other\"} 5\n", true);
    assert_text(m, "mayfly_metrics_folded_total 5\n", true);
    assert_null(metrics_free(m));
}

/* Without memory there is no family, and nothing else changes. */
static void takes_null(void **state)
{
    (void)state;

    assert_null(metric_get(NULL, NULL));
    metric_add(NULL, 1);
    metric_set(NULL, 1);
    metric_observe_us(NULL, 1);
    metric_remove(NULL, NULL);
    assert_true(metric_value(NULL) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders_text),
        cmocka_unit_test(folds_what_is_too_many),
        cmocka_unit_test(takes_null),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
