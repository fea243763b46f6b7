/* What can be set about scaling: Knative's names and defaults, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include <errno.h>
#include <math.h>

#include "controller/core/autoscaler_config.h"

/* The defaults are valid, and those of Knative. */
static void defaults(void **state)
{
    struct autoscaler_config c;

    autoscaler_config_init(&c);
    assert_int_equal(autoscaler_config_check(&c, NULL), 0);
    assert_int_equal(c.metric, AUTOSCALER_CONCURRENCY);
    assert_true(c.enable_scale_to_zero);
    assert_int_equal(autoscaler_config_stable_s(&c), 60);
    assert_int_equal(autoscaler_config_panic_s(&c), 6);
    assert_true(c.panic_threshold_percentage == 200 && c.max_scale_up_rate == 1000 &&
                c.max_scale_down_rate == 2 && c.target_burst_capacity == 211 &&
                c.grace_ms == 30000 && c.retention_ms == 0 && c.initial_scale == 1);
    assert_true(fabs(autoscaler_config_target(&c) - 70) < 1e-9);
}

/* The value per instance: what is set, never above what an instance takes, at
 * utilisation. */
static void target(void **state)
{
    static const struct {
        enum autoscaler_metric metric;
        double target, concurrency, utilization, total, aim;
    } rows[] = {
        {AUTOSCALER_CONCURRENCY, 0, 0, 70, 100, 70},
        {AUTOSCALER_CONCURRENCY, 0, 10, 70, 10, 7},
        {AUTOSCALER_CONCURRENCY, 0, 1, 70, 1, 0.7},
        {AUTOSCALER_CONCURRENCY, 5, 10, 100, 5, 5},
        {AUTOSCALER_CONCURRENCY, 50, 10, 70, 10, 7},
        {AUTOSCALER_CONCURRENCY, 50, 0, 70, 50, 35},
        {AUTOSCALER_CONCURRENCY, 0.01, 0, 1, 0.01, 0.01},
        {AUTOSCALER_RPS, 0, 10, 70, 200, 140},
        {AUTOSCALER_RPS, 50, 10, 100, 50, 50},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct autoscaler_config c;

        autoscaler_config_init(&c);
        c.metric = rows[i].metric;
        c.target = rows[i].target;
        c.container_concurrency = rows[i].concurrency;
        c.target_utilization_percentage = rows[i].utilization;
        assert_true(fabs(autoscaler_config_total(&c) - rows[i].total) < 1e-9);
        assert_true(fabs(autoscaler_config_target(&c) - rows[i].aim) < 1e-9);
    }
}

/* The panic window is rounded to whole seconds and never none. */
static void panic_window(void **state)
{
    struct autoscaler_config c;

    autoscaler_config_init(&c);
    assert_int_equal(autoscaler_config_set(&c, "stable-window", 6000, NULL), 0);
    assert_int_equal(autoscaler_config_panic_s(&c), 1);
    assert_int_equal(autoscaler_config_set(&c, "panic-window-percentage", 1, NULL), 0);
    assert_int_equal(autoscaler_config_panic_s(&c), 1);
    assert_int_equal(autoscaler_config_set(&c, "stable-window", 3600000, NULL), 0);
    assert_int_equal(autoscaler_config_panic_s(&c), 36);
}

/* What is refused is refused by name, and changes nothing. */
static void refuses(void **state)
{
    static const struct {
        const char *key;
        double value;
        int rc;
    } rows[] = {
        {"nonsense", 1, -ENOENT},
        {"stable-window", 5000, -ERANGE},
        {"stable-window", 3601000, -ERANGE},
        {"stable-window", 6500, -EINVAL},
        {"panic-threshold-percentage", 100, -ERANGE},
        {"min-scale", 1.5, -EINVAL},
        {"min-scale", -1, -ERANGE},
        {"min-scale", NAN, -ERANGE},
        {"target-burst-capacity", -2, -ERANGE},
        {"target", INFINITY, -ERANGE},
        {"enable-scale-to-zero", 2, -ERANGE},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct autoscaler_config c, before;
        struct error err = {0};

        autoscaler_config_init(&c);
        before = c;
        assert_int_equal(autoscaler_config_set(&c, rows[i].key, rows[i].value, &err),
                         rows[i].rc);
        assert_non_null(strstr(err.text, rows[i].key));
        assert_true(c.stable_window_ms == before.stable_window_ms &&
                    c.min_scale == before.min_scale && c.target == before.target);
    }
}

/* Rules between numbers. */
static void rules_between_numbers(void **state)
{
    static const struct {
        const char *key;
        double value;
        const char *key2;
        double value2;
    } rows[] = {
        {"min-scale", 3, "max-scale", 2},
        {"initial-scale", 3, "max-scale", 2},
        {"max-scale-up-rate", 1, "max-scale", 5},
        {"max-scale-down-rate", 1, "max-scale", 5},
        {"target-burst-capacity", -0.5, "max-scale", 5},
        {"target", 0.001, "max-scale", 5},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct autoscaler_config c;
        struct error err = {0};

        autoscaler_config_init(&c);
        assert_int_equal(autoscaler_config_set(&c, rows[i].key, rows[i].value, NULL), 0);
        assert_int_equal(autoscaler_config_set(&c, rows[i].key2, rows[i].value2, NULL),
                         0);
        assert_true(autoscaler_config_check(&c, &err) < 0);
        assert_non_null(strstr(err.text, rows[i].key));
    }
    for (enum autoscaler_metric m = 0; m < AUTOSCALER_METRIC_COUNT; m++) {
        assert_int_equal(autoscaler_metric_parse(autoscaler_metric_name(m)), m);
    }
    assert_int_equal(autoscaler_metric_parse("cpu"), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(target),
        cmocka_unit_test(panic_window),
        cmocka_unit_test(refuses),
        cmocka_unit_test(rules_between_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
