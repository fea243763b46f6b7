/* Rollout plans: what `deploy --canary` asks for, as JSON. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controller/core/controller_core.h"

#define STEP_MS_MIN     100
#define STEP_MS_MAX     (24 * 60 * 60 * 1000)
#define STEP_MS_DEFAULT 60000
#define CALLS_MAX       1000000000
#define CALLS_DEFAULT   20
#define ERROR_DEFAULT   100 /* 1 % */

int core_percent_from_json(uint32_t *ret, const json_t *json)
{
    double percent = json_number_value(json);

    if (!json_is_number(json) || !(percent >= 0) || !(percent <= 100)) {
        return -EINVAL;
    }
    *ret = (uint32_t)(percent * 100 + 0.5);
    return 0;
}

json_t *core_percent_to_json(uint32_t weight)
{
    return weight % 100 == 0 ? json_integer(weight / 100)
                             : json_real((double)weight / 100);
}

static int read_steps(struct rollout_plan *p, const json_t *json, struct error *err)
{
    size_t n = json_array_size(json);

    if (!json_is_array(json) || n == 0 || n > ROLLOUT_STEPS_MAX) {
        return error_set(err, -EINVAL,
                         "steps is not a list of 1 to %d percentages; give for instance "
                         "[10, 25, 50]",
                         ROLLOUT_STEPS_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t before = i > 0 ? p->steps[i - 1] : 0;

        if (core_percent_from_json(&p->steps[i], json_array_get(json, i)) < 0 ||
            p->steps[i] <= before || p->steps[i] >= ALIAS_WHOLE) {
            return error_set(err, -EINVAL,
                             "steps: number %zu is not a percentage over the one before "
                             "it and under 100; after the last step all calls go to the "
                             "new version",
                             i + 1);
        }
    }
    p->n_steps = n;
    return 0;
}

static int read_number(uint32_t *ret, const json_t *json, const char *key, uint32_t min,
                       uint32_t max, struct error *err)
{
    const json_t *value = json_object_get(json, key);

    if (value == NULL) {
        return 0;
    }
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max) {
        return error_set(err, -EINVAL, "%s is not a whole number; give %u to %u", key,
                         min, max);
    }
    *ret = (uint32_t)json_integer_value(value);
    return 0;
}

int rollout_plan_from_json(struct rollout_plan *ret, const json_t *json,
                           struct error *err)
{
    static const char *const known[] = {"steps", "step_ms", "max_error_rate",
                                        "min_calls"};
    struct rollout_plan p = {.step_ms = STEP_MS_DEFAULT,
                             .max_error = ERROR_DEFAULT,
                             .min_calls = CALLS_DEFAULT};
    const json_t *rate = json_object_get(json, "max_error_rate");
    const char *key;
    json_t *value;
    int rc;

    if (!json_is_object(json)) {
        return error_set(err, -EINVAL, "rollout is not a map; give {\"steps\": [10]}");
    }
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        size_t i = 0;

        while (i < sizeof(known) / sizeof(known[0]) && strcmp(key, known[i]) != 0) {
            i++;
        }
        if (i == sizeof(known) / sizeof(known[0])) {
            return error_set(err, -EINVAL,
                             "%.40s is not a member of a rollout; there are steps, "
                             "step_ms, max_error_rate and min_calls",
                             key);
        }
    }
    rc = read_steps(&p, json_object_get(json, "steps"), err);
    rc = rc < 0 ? rc
                : read_number(&p.step_ms, json, "step_ms", STEP_MS_MIN, STEP_MS_MAX, err);
    rc = rc < 0 ? rc : read_number(&p.min_calls, json, "min_calls", 0, CALLS_MAX, err);
    if (rc == 0 && rate != NULL && core_percent_from_json(&p.max_error, rate) < 0) {
        rc = error_set(err, -EINVAL, "max_error_rate is not a percentage; give 0 to 100");
    }
    if (rc == 0) {
        *ret = p;
    }
    return rc;
}

json_t *rollout_plan_to_json(const struct rollout_plan *p)
{
    json_t *steps = json_array();

    for (size_t i = 0; i < p->n_steps; i++) {
        if (json_array_append_new(steps, core_percent_to_json(p->steps[i])) < 0) {
            json_decref(steps);
            return NULL;
        }
    }
    return json_pack("{s:o, s:I, s:o, s:I}", "steps", steps, "step_ms",
                     (json_int_t)p->step_ms, "max_error_rate",
                     core_percent_to_json(p->max_error), "min_calls",
                     (json_int_t)p->min_calls);
}
