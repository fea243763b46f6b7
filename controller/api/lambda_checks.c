/* Rules for values, in the words of AWS's ValidationException. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controller/api/lambda_private.h"

#define SHOWN_MAX 200

void lambda_check_add(struct lambda_checks *c, const char *value, const char *field,
                      const char *fmt, ...)
{
    char constraint[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(constraint, sizeof(constraint), fmt, ap);
    va_end(ap);
    (void)buf_printf(&c->text, "%sValue '%.*s' at '%s' failed to satisfy constraint: %s",
                     c->n > 0 ? "; " : "", SHOWN_MAX, value, field, constraint);
    c->n++;
}

bool lambda_checks_end(struct lambda_checks *c, struct lambda *l)
{
    bool good = c->n == 0;

    if (!good) {
        lambda_fail(l, LAMBDA_E_VALIDATION, "%u validation error%s detected: %s", c->n,
                    c->n == 1 ? "" : "s", c->text.data != NULL ? c->text.data : "");
    }
    buf_free(&c->text);
    c->n = 0;
    return good;
}

static void show(char ret[SHOWN_MAX], const json_t *value)
{
    if (json_is_integer(value)) {
        (void)snprintf(ret, SHOWN_MAX, "%lld", (long long)json_integer_value(value));
    } else if (json_is_string(value)) {
        (void)snprintf(ret, SHOWN_MAX, "%s", json_string_value(value));
    } else {
        (void)snprintf(ret, SHOWN_MAX, "%s",
                       json_is_object(value)  ? "{}"
                       : json_is_array(value) ? "[]"
                       : json_is_true(value)  ? "true"
                                              : "false");
    }
}

const char *lambda_check_text(struct lambda_checks *c, const json_t *object,
                              const char *key, const char *field, size_t min, size_t max)
{
    const json_t *value = json_object_get(object, key);
    char shown[SHOWN_MAX];

    if (value == NULL || json_is_null(value)) {
        return NULL;
    }
    show(shown, value);
    if (!json_is_string(value)) {
        lambda_check_add(c, shown, field, "Member must be a string");
        return NULL;
    }
    if (json_string_length(value) < min) {
        lambda_check_add(c, shown, field,
                         "Member must have length greater than or equal to %zu", min);
    } else if (json_string_length(value) > max) {
        lambda_check_add(c, shown, field,
                         "Member must have length less than or equal to %zu", max);
    }
    return json_string_value(value);
}

const char *lambda_check_enum(struct lambda_checks *c, const json_t *object,
                              const char *key, const char *field,
                              const char *const *values)
{
    const json_t *value = json_object_get(object, key);
    char shown[SHOWN_MAX], all[400] = "";
    size_t len = 0;

    if (value == NULL || json_is_null(value)) {
        return NULL;
    }
    for (size_t i = 0; values[i] != NULL; i++) {
        if (json_is_string(value) && strcmp(values[i], json_string_value(value)) == 0) {
            return values[i];
        }
        if (len < sizeof(all)) {
            len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s",
                                    i > 0 ? ", " : "", values[i]);
        }
    }
    show(shown, value);
    lambda_check_add(c, shown, field, "Member must satisfy enum value set: [%s]", all);
    return NULL;
}

bool lambda_check_number(struct lambda_checks *c, const json_t *object, const char *key,
                         const char *field, int64_t min, int64_t max, int64_t *ret)
{
    const json_t *value = json_object_get(object, key);
    char shown[SHOWN_MAX];

    if (value == NULL || json_is_null(value)) {
        return false;
    }
    show(shown, value);
    if (!json_is_integer(value)) {
        lambda_check_add(c, shown, field, "Member must be a whole number");
        return false;
    }
    if (json_integer_value(value) < min) {
        lambda_check_add(c, shown, field,
                         "Member must have value greater than or equal to %lld",
                         (long long)min);
        return false;
    }
    if (json_integer_value(value) > max) {
        lambda_check_add(c, shown, field,
                         "Member must have value less than or equal to %lld",
                         (long long)max);
        return false;
    }
    *ret = json_integer_value(value);
    return true;
}

bool lambda_page(struct lambda *l, int64_t most, int64_t *ret_max,
                 const char **ret_marker)
{
    const char *text = lambda_query(l, "MaxItems");
    struct lambda_checks c = {0};
    uint64_t n = 50;

    *ret_marker = lambda_query(l, "Marker");
    if (text != NULL && input_u64(text, 1, 10000, &n) < 0) {
        bool low = text[0] == '-' || strcmp(text, "0") == 0;

        lambda_check_add(&c, text, "maxItems",
                         low ? "Member must have value greater than or equal to 1"
                             : "Member must have value less than or equal to 10000");
    }
    *ret_max = (int64_t)n < most ? (int64_t)n : most;
    return lambda_checks_end(&c, l);
}
