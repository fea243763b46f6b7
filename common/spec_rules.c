/* What the ranges of a spec's fields cannot say. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "common/spec_layers.h"
#include "common/spec_private.h"

/* The platform sets these in every sandbox. */
static const char *const reserved_env[] = {
    "PORT",
    "_HANDLER",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
};

static int env_validate(const struct function_spec *s, struct error *err)
{
    size_t bytes = 0;

    if (s->n_env > SPEC_ENV_MAX) {
        return error_set(err, -EINVAL, "env has %zu variables; the limit is %d", s->n_env,
                         SPEC_ENV_MAX);
    }
    for (size_t i = 0; i < s->n_env; i++) {
        const char *name = s->env[i].name;

        if (*name == '\0' || isdigit((unsigned char)*name) ||
            strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                         "0123456789_") != strlen(name)) {
            return error_set(err, -EINVAL,
                             "env.%.60s: a name has letters, digits and _ and begins "
                             "with none of the digits",
                             name);
        }
        for (size_t j = 0; j < sizeof(reserved_env) / sizeof(reserved_env[0]); j++) {
            if (strcmp(name, reserved_env[j]) == 0) {
                return error_set(err, -EINVAL,
                                 "env.%s is set by the platform; leave it out", name);
            }
        }
        bytes += strlen(name) + strlen(s->env[i].value) + 2;
    }
    if (bytes > SPEC_ENV_BYTES_MAX) {
        return error_set(err, -EINVAL, "env is %zu bytes; the limit is %d", bytes,
                         SPEC_ENV_BYTES_MAX);
    }
    return 0;
}

/* What the table's ranges cannot say: 0 stands for the cluster's default. */
static int scaling_validate(const struct function_spec *s, struct error *err)
{
    const struct {
        const char *key;
        uint32_t value, min, step;
        double unit; /* of value and min */
        const char *give;
    } rules[] = {
        {"window_ms", s->window_ms, 6000, 1000, 1, "6s to 1h in whole seconds"},
        {"scale_down_delay_ms", s->scale_down_delay_ms, 0, 1000, 1, "whole seconds"},
        {"target_utilization", s->target_utilization_hundredths, 100, 1, 100,
         "1 to 100 (%)"},
        {"panic_window", s->panic_window_hundredths, 100, 1, 100, "1 to 100 (%)"},
        {"panic_threshold", s->panic_threshold_hundredths, 11000, 1, 100,
         "110 to 1000 (%)"},
        {"max_scale_up_rate", s->max_scale_up_rate_hundredths, 101, 1, 100,
         "more than 1"},
        {"max_scale_down_rate", s->max_scale_down_rate_hundredths, 101, 1, 100,
         "more than 1"},
    };
    const struct {
        const char *key;
        uint32_t value;
    } counts[] = {
        {"min_scale", s->min_scale},
        {"initial_scale", s->initial_scale},
        {"activation_scale", s->activation_scale},
    };

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (rules[i].value > 0 &&
            (rules[i].value < rules[i].min || rules[i].value % rules[i].step != 0)) {
            return error_set(err, -EINVAL,
                             "%s is %g; give %s, or 0 for the cluster's default",
                             rules[i].key, rules[i].value / rules[i].unit, rules[i].give);
        }
    }
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        if (s->max_scale > 0 && counts[i].value > s->max_scale) {
            return error_set(err, -EINVAL, "%s %u is over max_scale %u", counts[i].key,
                             counts[i].value, s->max_scale);
        }
        if (!s->reuse && counts[i].value > 0) {
            return error_set(err, -EINVAL,
                             "%s is %u, but with reuse false no instance "
                             "is kept; leave it out",
                             counts[i].key, counts[i].value);
        }
    }
    return 0;
}

int function_spec_check_new(const struct function_spec *s, struct error *err)
{
    int rc = function_spec_validate(s, err);

    return rc < 0 ? rc : constraints_check(s->constraints, s->n_constraints, err);
}

int function_spec_validate(const struct function_spec *s, struct error *err)
{
    int rc = scaling_validate(s, err);

    if (rc < 0) {
        return rc;
    }
    if (!s->reuse && s->runtime == SPEC_RUNTIME_HTTP) {
        return error_set(err, -EINVAL,
                         "reuse is false, which runtime http cannot do; "
                         "use exec, python, node or provided");
    }
    if (!s->reuse && s->concurrency > 1) {
        return error_set(err, -EINVAL,
                         "concurrency is %u, but with reuse false a sandbox has one call",
                         s->concurrency);
    }
    if (spec_placement_validate(s, err) < 0) {
        return -EINVAL;
    }
    if (spec_layers_validate(s, err) < 0) {
        return -EINVAL;
    }
    return env_validate(s, err);
}
