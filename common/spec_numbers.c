/* A spec's numbers: their table, and how people write them. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/spec_private.h"

const struct spec_number spec_numbers[] = {
#define X(member, key, flag, min, max, dflt, unit, help) \
    {key, flag, min, max, dflt, 1, unit, offsetof(struct function_spec, member)},
    SPEC_NUMBERS(X)
#undef X
#define X(name, key, flag, min, max, dflt, unit, help) \
    {key,  flag, min,  max,                            \
     dflt, 100,  unit, offsetof(struct function_spec, name##_hundredths)},
        SPEC_DECIMALS(X)
#undef X
            {.key = NULL},
};

static uint32_t *number_at(struct function_spec *s, const struct spec_number *n)
{
    return (uint32_t *)(void *)((char *)s + n->offset);
}

void spec_numbers_init(struct function_spec *s)
{
    for (const struct spec_number *n = spec_numbers; n->key != NULL; n++) {
        *number_at(s, n) = n->dflt * n->scale;
    }
}

const struct spec_number *spec_number_find(const char *name)
{
    const struct spec_number *n = spec_numbers;

    while (n->key != NULL && strcmp(n->key, name) != 0 && strcmp(n->flag, name) != 0) {
        n++;
    }
    return n->key != NULL ? n : NULL;
}

/* value: in the member's unit, as people write it. */
static const char *text_of(const struct spec_number *n, uint64_t value, char ret[32])
{
    if (value % n->scale == 0) {
        (void)snprintf(ret, 32, "%llu", (unsigned long long)(value / n->scale));
    } else {
        (void)snprintf(ret, 32, "%llu.%02llu", (unsigned long long)(value / n->scale),
                       (unsigned long long)(value % n->scale));
    }
    return ret;
}

/* value: in the member's unit. */
static int store(struct function_spec *s, const struct spec_number *n, uint64_t value,
                 struct error *err)
{
    if (value < n->min * n->scale || value > n->max * n->scale) {
        char text[32];

        return error_set(err, -ERANGE, "%s is %s; give %llu to %llu %s", n->key,
                         text_of(n, value, text), (unsigned long long)n->min,
                         (unsigned long long)n->max, n->unit);
    }
    *number_at(s, n) = (uint32_t)value;
    if (number_at(s, n) == &s->idle_ms) {
        s->keep_alive = SPEC_KEEP_ALIVE_FIXED;
    }
    return 0;
}

/* --- JSON ------------------------------------------------------------------------- */

json_t *spec_number_to_json(const struct function_spec *s, const struct spec_number *n)
{
    uint32_t value = *(const uint32_t *)(const void *)((const char *)s + n->offset);

    return value % n->scale == 0 ? json_integer(value / n->scale)
                                 : json_real((double)value / n->scale);
}

/* 0.5 with its rounding errors; what is not in whole hundredths is none. */
static int decimal_from_json(const struct spec_number *n, const json_t *value,
                             uint64_t *ret)
{
    double scaled = json_number_value(value) * n->scale;
    double whole = nearbyint(scaled);

    if (!json_is_number(value) || !(fabs(scaled) < 1e15) ||
        fabs(scaled - whole) > 1e-6 * n->scale) {
        return -EINVAL;
    }
    if (whole < 0) {
        return -ERANGE;
    }
    *ret = (uint64_t)whole;
    return 0;
}

int spec_number_from_json(struct function_spec *s, const struct spec_number *n,
                          const char *key, const json_t *value, struct error *err)
{
    uint64_t number;
    int rc;

    if (json_is_string(value)) {
        return spec_number_set(s, n, json_string_value(value), err);
    }
    rc = n->scale == 1 && !json_is_integer(value) ? -EINVAL
                                                  : decimal_from_json(n, value, &number);
    if (rc == -EINVAL) {
        return error_set(err, rc, "%s is not a %snumber of %s%s", key,
                         n->scale == 1 ? "whole " : "", n->unit,
                         n->scale == 1 ? "" : " with two decimals at most");
    }
    if (rc == -ERANGE) {
        return error_set(err, rc, "%s is negative; give %llu to %llu %s", key,
                         (unsigned long long)n->min, (unsigned long long)n->max, n->unit);
    }
    return store(s, n, number, err);
}

/* --- text ------------------------------------------------------------------------- */

/* "128Mi", "30s", "0.5" (of a CPU) or a plain number in the field's unit. */
static int number_parse(const struct spec_number *n, const char *text, uint64_t *ret)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t value;
    char *end;
    int rc;

    if (n->scale != 1) {
        return config_parse_hundredths(text, ret);
    }
    if (digits > 0 && text[digits] == '\0') {
        errno = 0;
        *ret = strtoull(text, &end, 10);
        return -errno;
    }
    if (strcmp(n->unit, "ms") == 0) {
        return config_parse_ms(text, ret);
    }
    if (strcmp(n->unit, "MiB") == 0 || strcmp(n->unit, "KiB") == 0) {
        uint64_t unit = n->unit[0] == 'M' ? 1024 * 1024 : 1024;

        rc = config_parse_bytes(text, &value);
        if (rc == 0 && value % unit != 0) {
            rc = -EINVAL;
        }
        if (rc == 0) {
            *ret = value / unit;
        }
        return rc;
    }
    if (strcmp(n->unit, "millicores") == 0) {
        double cpus;

        if (digits > 0 && strcmp(text + digits, "m") == 0) {
            *ret = strtoull(text, NULL, 10);
            return 0;
        }
        if (strspn(text, "0123456789.") != strlen(text) || digits > 6) {
            return -EINVAL;
        }
        cpus = strtod(text, &end);
        if (*end != '\0' || end == text) {
            return -EINVAL;
        }
        *ret = (uint64_t)(cpus * 1000 + 0.5);
        return 0;
    }
    return -EINVAL;
}

int spec_number_set(struct function_spec *s, const struct spec_number *n,
                    const char *text, struct error *err)
{
    uint64_t value;

    if (number_parse(n, text, &value) < 0) {
        const char *example = strcmp(n->unit, "ms") == 0    ? ", such as 500ms or 30s"
                              : strcmp(n->unit, "MiB") == 0 ? ", such as 128 or 1Gi"
                              : strcmp(n->unit, "KiB") == 0 ? ", such as 512 or 6Mi"
                              : strcmp(n->flag, "cpu") == 0 ? ", such as 500 or 0.5"
                                                            : "";

        return error_set(err, -EINVAL, "%s is \"%.40s\"; give a %snumber of %s%s", n->key,
                         text, n->scale == 1 ? "whole " : "", n->unit,
                         n->scale == 1 ? example : ", such as 2 or 0.75");
    }
    return store(s, n, value, err);
}

int function_spec_set(struct function_spec *s, const char *name, const char *text,
                      struct error *err)
{
    const struct spec_number *n = spec_number_find(name);

    if (n == NULL) {
        return error_set(err, -ENOENT, "%.60s: no such setting", name);
    }
    return spec_number_set(s, n, text, err);
}
