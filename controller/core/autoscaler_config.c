#include "controller/core/autoscaler_config.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#define TARGET_MIN 0.01

static const struct number {
    const char *key;
    double min, max, dflt, step;
    const char *unit;
    size_t offset;
} numbers[] = {
#define X(member, key, min, max, dflt, step, unit, help) \
    {key, min, max, dflt, step, unit, offsetof(struct autoscaler_config, member)},
    AUTOSCALER_NUMBERS(X)
#undef X
};
#define N_NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static const char *const metric_names[AUTOSCALER_METRIC_COUNT] = {
    [AUTOSCALER_CONCURRENCY] = "concurrency",
    [AUTOSCALER_RPS] = "rps",
};

static double *number_at(struct autoscaler_config *c, const struct number *n)
{
    return (double *)(void *)((char *)c + n->offset);
}

static double number_of(const struct autoscaler_config *c, const struct number *n)
{
    return *(const double *)(const void *)((const char *)c + n->offset);
}

void autoscaler_config_init(struct autoscaler_config *c)
{
    *c = (struct autoscaler_config){.metric = AUTOSCALER_CONCURRENCY,
                                    .enable_scale_to_zero = true};
    for (size_t i = 0; i < N_NUMBERS; i++) {
        *number_at(c, &numbers[i]) = numbers[i].dflt;
    }
}

static int number_check(const struct number *n, double value, struct error *err)
{
    if (!(value >= n->min && value <= n->max)) { /* refuses NaN as well */
        return error_set(err, -ERANGE, "%s is %g; give %g to %g %s", n->key, value,
                         n->min, n->max, n->unit);
    }
    if (n->step > 0 && fmod(value, n->step) != 0) {
        return error_set(err, -EINVAL, "%s is %g; give a multiple of %g %s", n->key,
                         value, n->step, n->unit);
    }
    return 0;
}

int autoscaler_config_set(struct autoscaler_config *c, const char *key, double value,
                          struct error *err)
{
    if (strcmp(key, "enable-scale-to-zero") == 0) {
        if (value != 0 && value != 1) {
            return error_set(err, -ERANGE, "%s is %g; give 0 or 1", key, value);
        }
        c->enable_scale_to_zero = value != 0;
        return 0;
    }
    for (size_t i = 0; i < N_NUMBERS; i++) {
        if (strcmp(numbers[i].key, key) == 0) {
            int rc = number_check(&numbers[i], value, err);

            if (rc == 0) {
                *number_at(c, &numbers[i]) = value;
            }
            return rc;
        }
    }
    return error_set(err, -ENOENT, "%.60s: no such setting of scaling", key);
}

int autoscaler_config_check(const struct autoscaler_config *c, struct error *err)
{
    for (size_t i = 0; i < N_NUMBERS; i++) {
        int rc = number_check(&numbers[i], number_of(c, &numbers[i]), err);

        if (rc < 0) {
            return rc;
        }
    }
    if ((int)c->metric < 0 || c->metric >= AUTOSCALER_METRIC_COUNT) {
        return error_set(err, -EINVAL, "metric is neither concurrency nor rps");
    }
    if (c->max_scale > 0 && c->min_scale > c->max_scale) {
        return error_set(err, -EINVAL, "min-scale %g is above max-scale %g", c->min_scale,
                         c->max_scale);
    }
    if (c->max_scale > 0 && c->initial_scale > c->max_scale) {
        return error_set(err, -EINVAL, "initial-scale %g is above max-scale %g",
                         c->initial_scale, c->max_scale);
    }
    if (c->max_scale_up_rate <= 1 || c->max_scale_down_rate <= 1) {
        return error_set(err, -ERANGE, "max-scale-%s-rate is 1; give more than 1",
                         c->max_scale_up_rate <= 1 ? "up" : "down");
    }
    if (c->target_burst_capacity < 0 && c->target_burst_capacity != -1) {
        return error_set(err, -ERANGE, "target-burst-capacity is %g; give -1, 0 or more",
                         c->target_burst_capacity);
    }
    if (c->target > 0 && c->target < TARGET_MIN) {
        return error_set(err, -ERANGE, "target is %g; give 0, or %g and more", c->target,
                         TARGET_MIN);
    }
    return 0;
}

const char *autoscaler_metric_name(enum autoscaler_metric m)
{
    return metric_names[m];
}

int autoscaler_metric_parse(const char *name)
{
    for (int i = 0; i < AUTOSCALER_METRIC_COUNT; i++) {
        if (strcmp(metric_names[i], name) == 0) {
            return i;
        }
    }
    return -EINVAL;
}

double autoscaler_config_total(const struct autoscaler_config *c)
{
    bool limited = c->metric == AUTOSCALER_CONCURRENCY && c->container_concurrency > 0;

    if (c->target > 0) { /* never more than an instance takes */
        return limited ? fmin(c->target, c->container_concurrency) : c->target;
    }
    if (c->metric == AUTOSCALER_RPS) {
        return c->rps_target_default;
    }
    return limited ? c->container_concurrency : c->concurrency_target_default;
}

double autoscaler_config_target(const struct autoscaler_config *c)
{
    return fmax(TARGET_MIN,
                autoscaler_config_total(c) * (c->target_utilization_percentage / 100));
}

uint32_t autoscaler_config_stable_s(const struct autoscaler_config *c)
{
    return (uint32_t)(c->stable_window_ms / 1000);
}

uint32_t autoscaler_config_panic_s(const struct autoscaler_config *c)
{
    double s = round(c->stable_window_ms / 1000 * c->panic_window_percentage / 100);

    return s < 1 ? 1 : (uint32_t)s;
}
