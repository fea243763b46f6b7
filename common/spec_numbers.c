/* A spec's numbers: their table, and how people write them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/spec_private.h"

const struct spec_number spec_numbers[] = {
#define X(member, key, flag, min, max, dflt, unit, help) \
    {key, flag, min, max, dflt, unit, offsetof(struct function_spec, member)},
    SPEC_NUMBERS(X)
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
        *number_at(s, n) = n->dflt;
    }
}

uint32_t spec_number_get(const struct function_spec *s, const struct spec_number *n)
{
    return *(const uint32_t *)(const void *)((const char *)s + n->offset);
}

const struct spec_number *spec_number_find(const char *name)
{
    const struct spec_number *n = spec_numbers;

    while (n->key != NULL && strcmp(n->key, name) != 0 && strcmp(n->flag, name) != 0) {
        n++;
    }
    return n->key != NULL ? n : NULL;
}

int spec_number_store(struct function_spec *s, const struct spec_number *n,
                      uint64_t value, struct error *err)
{
    if (value < n->min || value > n->max) {
        return error_set(err, -ERANGE, "%s is %llu; give %llu to %llu %s", n->key,
                         (unsigned long long)value, (unsigned long long)n->min,
                         (unsigned long long)n->max, n->unit);
    }
    *number_at(s, n) = (uint32_t)value;
    if (number_at(s, n) == &s->idle_ms) {
        s->keep_alive = SPEC_KEEP_ALIVE_FIXED;
    }
    return 0;
}

/* "128Mi", "30s", "0.5" (of a CPU) or a plain number in the field's unit. */
static int number_parse(const struct spec_number *n, const char *text, uint64_t *ret)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t value;
    char *end;
    int rc;

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

        return error_set(err, -EINVAL, "%s is \"%.40s\"; give a whole number of %s%s",
                         n->key, text, n->unit, example);
    }
    return spec_number_store(s, n, value, err);
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
