#include "common/spec.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/config.h"
#include "common/spec_layers.h"

static const struct number {
    const char *key;
    const char *flag;
    uint64_t min, max;
    uint32_t dflt;
    const char *unit;
    size_t offset;
} numbers[] = {
#define X(member, key, flag, min, max, dflt, unit, help) \
    {key, flag, min, max, dflt, unit, offsetof(struct function_spec, member)},
    SPEC_NUMBERS(X)
#undef X
};
#define N_NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static const char *const runtime_names[SPEC_RUNTIME_COUNT] = {
    [SPEC_RUNTIME_PROVIDED] = "provided", [SPEC_RUNTIME_HTTP] = "http",
    [SPEC_RUNTIME_EXEC] = "exec",         [SPEC_RUNTIME_PYTHON] = "python",
    [SPEC_RUNTIME_NODE] = "node",
};

/* Other names of a runtime: the prefix, and after it a version of those characters. */
static const struct {
    const char *prefix;
    const char *version;
    enum spec_runtime runtime;
} runtime_aliases[] = {
    {"python", "0123456789.", SPEC_RUNTIME_PYTHON},
    {"nodejs", "0123456789.x", SPEC_RUNTIME_NODE},
    {"node", "0123456789.x", SPEC_RUNTIME_NODE},
    {"provided.al", "0123456789", SPEC_RUNTIME_PROVIDED},
};

static const char *const metric_names[SPEC_METRIC_COUNT] = {
    [SPEC_METRIC_CONCURRENCY] = "concurrency",
    [SPEC_METRIC_RPS] = "rps",
};

static const char *const keep_alive_names[SPEC_KEEP_ALIVE_COUNT] = {
    [SPEC_KEEP_ALIVE_LEARNED] = "learned",
    [SPEC_KEEP_ALIVE_FIXED] = "fixed",
};

static const char *const format_names[SPEC_FORMAT_COUNT] = {
    [SPEC_FORMAT_ZIP] = "zip",
    [SPEC_FORMAT_TAR] = "tar",
    [SPEC_FORMAT_FILE] = "file",
};

/* The platform sets these in every sandbox. */
static const char *const reserved_env[] = {
    "PORT",
    "_HANDLER",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
};

static uint32_t *number_at(struct function_spec *s, const struct number *n)
{
    return (uint32_t *)(void *)((char *)s + n->offset);
}

static const uint32_t *number_of(const struct function_spec *s, const struct number *n)
{
    return (const uint32_t *)(const void *)((const char *)s + n->offset);
}

/* --- life --------------------------------------------------------------------- */

void function_spec_init(struct function_spec *s)
{
    *s = (struct function_spec){.runtime = SPEC_RUNTIME_PROVIDED, .reuse = true};
    for (size_t i = 0; i < N_NUMBERS; i++) {
        *number_at(s, &numbers[i]) = numbers[i].dflt;
    }
}

static void env_free(struct spec_env *env, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(env[i].name);
        free(env[i].value);
    }
    free(env);
}

void function_spec_free(struct function_spec *s)
{
    free(s->handler);
    free(s->annotations);
    env_free(s->env, s->n_env);
    spec_constraints_free(s->constraints, s->n_constraints);
    free(s->layers);
    function_spec_init(s);
}

int function_spec_copy(struct function_spec *dst, const struct function_spec *src)
{
    struct function_spec copy = *src;

    copy.handler = copy.annotations = NULL;
    copy.env = NULL;
    copy.n_env = 0;
    copy.constraints = NULL;
    copy.n_constraints = 0;
    copy.layers = NULL;
    copy.n_layers = 0;
    if (spec_layers_copy(&copy, src) < 0 ||
        (src->handler != NULL && (copy.handler = strdup(src->handler)) == NULL) ||
        (src->n_constraints > 0 && spec_constraints_copy(&copy, src) < 0)) {
        function_spec_free(&copy);
        return -ENOMEM;
    }
    if (src->annotations != NULL &&
        (copy.annotations = strdup(src->annotations)) == NULL) {
        function_spec_free(&copy);
        return -ENOMEM;
    }
    for (size_t i = 0; i < src->n_env; i++) {
        int rc = function_spec_set_env(&copy, src->env[i].name, src->env[i].value);

        if (rc < 0) {
            function_spec_free(&copy);
            return rc;
        }
    }
    *dst = copy;
    return 0;
}

int function_spec_set_env(struct function_spec *s, const char *name, const char *value)
{
    char *copy = strdup(value);
    struct spec_env *grown;
    char *name_copy;

    if (copy == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < s->n_env; i++) {
        if (strcmp(s->env[i].name, name) == 0) {
            free(s->env[i].value);
            s->env[i].value = copy;
            return 0;
        }
    }
    name_copy = strdup(name);
    grown = reallocarray(s->env, s->n_env + 1, sizeof(*grown));
    if (grown != NULL) {
        s->env = grown;
    }
    if (name_copy == NULL || grown == NULL) {
        free(name_copy);
        free(copy);
        return -ENOMEM;
    }
    s->env[s->n_env++] = (struct spec_env){.name = name_copy, .value = copy};
    return 0;
}

/* --- access keys -------------------------------------------------------------- */

bool access_key_id_valid(const char *id)
{
    size_t len = strlen(id);

    return len >= ACCESS_KEY_ID_MIN && len <= ACCESS_KEY_ID_MAX &&
           strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                      "0123456789_") == len;
}

bool access_key_secret_valid(const char *secret)
{
    size_t len = strlen(secret);

    for (size_t i = 0; i < len; i++) {
        if (secret[i] <= ' ' || secret[i] > '~') {
            return false;
        }
    }
    return len >= ACCESS_KEY_SECRET_MIN && len <= ACCESS_KEY_SECRET_MAX;
}

/* --- names -------------------------------------------------------------------- */

bool spec_name_valid(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > SPEC_NAME_MAX || name[0] == '-' || name[len - 1] == '-') {
        return false;
    }
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

bool spec_digest_valid(const char *digest)
{
    return strlen(digest) == SPEC_DIGEST_LEN &&
           strspn(digest, "0123456789abcdef") == SPEC_DIGEST_LEN;
}

static int name_index(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -EINVAL;
}

const char *spec_runtime_name(enum spec_runtime r)
{
    return runtime_names[r];
}

int spec_runtime_parse(const char *name)
{
    int runtime = name_index(runtime_names, SPEC_RUNTIME_COUNT, name);

    for (size_t i = 0;
         runtime < 0 && i < sizeof(runtime_aliases) / sizeof(*runtime_aliases); i++) {
        size_t n = strlen(runtime_aliases[i].prefix);

        if (strncmp(name, runtime_aliases[i].prefix, n) == 0 &&
            strspn(name + n, runtime_aliases[i].version) == strlen(name + n)) {
            runtime = (int)runtime_aliases[i].runtime;
        }
    }
    return runtime;
}

bool spec_runtime_takes_events(enum spec_runtime r)
{
    return r == SPEC_RUNTIME_PROVIDED || r == SPEC_RUNTIME_PYTHON ||
           r == SPEC_RUNTIME_NODE;
}

const char *spec_metric_name(enum spec_metric m)
{
    return metric_names[m];
}

int spec_metric_parse(const char *name)
{
    return name_index(metric_names, SPEC_METRIC_COUNT, name);
}

const char *spec_keep_alive_name(enum spec_keep_alive k)
{
    return keep_alive_names[k];
}

int spec_keep_alive_parse(const char *name)
{
    return name_index(keep_alive_names, SPEC_KEEP_ALIVE_COUNT, name);
}

const char *spec_format_name(enum spec_format f)
{
    return format_names[f];
}

int spec_format_parse(const char *name)
{
    return name_index(format_names, SPEC_FORMAT_COUNT, name);
}

/* --- values ------------------------------------------------------------------- */

static const struct number *number_find(const char *name)
{
    for (size_t i = 0; i < N_NUMBERS; i++) {
        if (strcmp(numbers[i].key, name) == 0 || strcmp(numbers[i].flag, name) == 0) {
            return &numbers[i];
        }
    }
    return NULL;
}

static int number_store(struct function_spec *s, const struct number *n, uint64_t value,
                        struct error *err)
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
static int number_parse(const struct number *n, const char *text, uint64_t *ret)
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

static int number_set_text(struct function_spec *s, const struct number *n,
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
    return number_store(s, n, value, err);
}

int function_spec_set(struct function_spec *s, const char *name, const char *text,
                      struct error *err)
{
    const struct number *n = number_find(name);

    if (n == NULL) {
        return error_set(err, -ENOENT, "%.60s: no such setting", name);
    }
    return number_set_text(s, n, text, err);
}

/* --- JSON --------------------------------------------------------------------- */

static int handler_from_json(struct function_spec *s, const json_t *value,
                             struct error *err)
{
    const char *text = json_string_value(value);
    char *copy = NULL;

    if (text == NULL && !json_is_null(value)) {
        return error_set(err, -EINVAL, "handler is not a string");
    }
    if (text != NULL && strlen(text) > SPEC_HANDLER_MAX) {
        return error_set(err, -EINVAL, "handler is %zu bytes long; the limit is %d",
                         strlen(text), SPEC_HANDLER_MAX);
    }
    if (text != NULL && *text != '\0' && (copy = strdup(text)) == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    free(s->handler);
    s->handler = copy;
    return 0;
}

static int env_from_json(struct function_spec *s, const json_t *value, struct error *err)
{
    const char *name;
    const json_t *item;

    if (!json_is_object(value)) {
        return error_set(err, -EINVAL, "env is not a map of names to strings");
    }
    env_free(s->env, s->n_env);
    s->env = NULL;
    s->n_env = 0;
    json_object_foreach((json_t *)(uintptr_t)value, name, item)
    {
        if (!json_is_string(item)) {
            return error_set(err, -EINVAL, "env.%.60s is not a string; put it in quotes",
                             name);
        }
        if (strlen(json_string_value(item)) != json_string_length(item)) {
            return error_set(err, -EINVAL, "env.%.60s holds a NUL", name);
        }
        if (function_spec_set_env(s, name, json_string_value(item)) < 0) {
            return error_set(err, -ENOMEM, "out of memory");
        }
    }
    return 0;
}

static int keep_alive_from_json(struct function_spec *s, const json_t *value,
                                struct error *err)
{
    const char *name = json_string_value(value);
    int k = name != NULL ? spec_keep_alive_parse(name) : -EINVAL;

    if (k < 0) {
        return error_set(err, -EINVAL, "keep_alive is \"%.40s\"; give learned or fixed",
                         name != NULL ? name : "");
    }
    s->keep_alive = (enum spec_keep_alive)k;
    return 0;
}

static int annotations_from_json(struct function_spec *s, const json_t *value,
                                 struct error *err)
{
    const char *name;
    const json_t *item;
    char *text;

    if (!json_is_object(value)) {
        return error_set(err, -EINVAL, "annotations is not a map of names to strings");
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, item)
    {
        if (!json_is_string(item)) {
            return error_set(err, -EINVAL, "annotations.%.60s is not a string", name);
        }
    }
    text = json_object_size(value) > 0 ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS)
                                       : NULL;
    if (text == NULL && json_object_size(value) > 0) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (text != NULL && strlen(text) > SPEC_ANNOTATIONS_MAX) {
        free(text);
        return error_set(err, -EINVAL, "annotations are over %d bytes of JSON",
                         SPEC_ANNOTATIONS_MAX);
    }
    free(s->annotations);
    s->annotations = text;
    return 0;
}

static int field_from_json(struct function_spec *s, const char *key, const json_t *value,
                           struct error *err)
{
    const struct number *n = number_find(key);

    if (n != NULL && json_is_integer(value)) {
        if (json_integer_value(value) < 0) {
            return error_set(err, -ERANGE, "%s is negative; give %llu to %llu %s", key,
                             (unsigned long long)n->min, (unsigned long long)n->max,
                             n->unit);
        }
        return number_store(s, n, (uint64_t)json_integer_value(value), err);
    }
    if (n != NULL && json_is_string(value)) {
        return number_set_text(s, n, json_string_value(value), err);
    }
    if (n != NULL) {
        return error_set(err, -EINVAL, "%s is not a whole number of %s", key, n->unit);
    }
    if (strcmp(key, "runtime") == 0) {
        const char *name = json_string_value(value);
        int runtime = name != NULL ? spec_runtime_parse(name) : -EINVAL;

        if (runtime < 0) {
            return error_set(err, -EINVAL,
                             "runtime is \"%.40s\"; give python, node, http, exec "
                             "or provided",
                             name != NULL ? name : "");
        }
        s->runtime = (enum spec_runtime)runtime;
        return 0;
    }
    if (strcmp(key, "metric") == 0) {
        const char *name = json_string_value(value);
        int metric = name != NULL ? spec_metric_parse(name) : -EINVAL;

        if (metric < 0) {
            return error_set(err, -EINVAL, "metric is \"%.40s\"; give concurrency or rps",
                             name != NULL ? name : "");
        }
        s->metric = (enum spec_metric)metric;
        return 0;
    }
    if (strcmp(key, "keep_alive") == 0 || strcmp(key, "keep-alive") == 0) {
        return keep_alive_from_json(s, value, err);
    }
    if (strcmp(key, "reuse") == 0) {
        if (!json_is_boolean(value)) {
            return error_set(err, -EINVAL, "reuse is not true or false");
        }
        s->reuse = json_is_true(value);
        return 0;
    }
    if (strcmp(key, "handler") == 0) {
        return handler_from_json(s, value, err);
    }
    if (strcmp(key, "env") == 0) {
        return env_from_json(s, value, err);
    }
    if (strcmp(key, "constraints") == 0) {
        return spec_constraints_from_json(s, value, err);
    }
    if (strcmp(key, "placement") == 0) {
        const char *name = json_string_value(value);
        int placement = name != NULL ? spec_placement_parse(name) : -EINVAL;

        if (placement < 0) {
            return error_set(err, -EINVAL,
                             "placement is \"%.40s\"; give binpack, spread or default",
                             name != NULL ? name : "");
        }
        s->placement = (enum spec_placement)placement;
        return 0;
    }
    if (strcmp(key, "layers") == 0) {
        return spec_layers_from_json(s, value, err);
    }
    if (strcmp(key, "annotations") == 0) {
        return annotations_from_json(s, value, err);
    }
    return error_set(err, -ENOENT, "%.60s: no such setting", key);
}

int function_spec_from_json(struct function_spec *s, const json_t *json,
                            struct error *err)
{
    static const char *const last[] = {"keep_alive", "keep-alive"};
    struct function_spec next;
    const char *key;
    const json_t *value;

    if (!json_is_object(json)) {
        return error_set(err, -EINVAL, "spec is not a map");
    }
    if (function_spec_copy(&next, s) < 0) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        int rc = field_from_json(&next, key, value, err);

        if (rc < 0) {
            function_spec_free(&next);
            return rc;
        }
    }
    for (size_t i = 0; i < 2; i++) { /* wherever idle_ms stood beside it */
        if ((value = json_object_get(json, last[i])) != NULL) {
            (void)keep_alive_from_json(&next, value, err); /* it was taken before */
        }
    }
    function_spec_free(s);
    *s = next;
    return 0;
}

json_t *function_spec_to_json(const struct function_spec *s)
{
    json_t *json = json_object();
    json_t *env = json_object();
    int rc = 0;

    rc |=
        json_object_set_new(json, "runtime", json_string(spec_runtime_name(s->runtime)));
    rc |= json_object_set_new(json, "handler",
                              s->handler != NULL ? json_string(s->handler) : json_null());
    for (size_t i = 0; i < N_NUMBERS; i++) {
        rc |= json_object_set_new(json, numbers[i].key,
                                  json_integer(*number_of(s, &numbers[i])));
    }
    rc |= json_object_set_new(json, "metric", json_string(spec_metric_name(s->metric)));
    rc |= json_object_set_new(json, "keep_alive",
                              json_string(spec_keep_alive_name(s->keep_alive)));
    rc |= json_object_set_new(json, "reuse", json_boolean(s->reuse));
    for (size_t i = 0; i < s->n_env; i++) {
        rc |= json_object_set_new(env, s->env[i].name, json_string(s->env[i].value));
    }
    rc |= json_object_set_new(json, "env", env);
    rc |= json_object_set_new(json, "placement",
                              json_string(spec_placement_name(s->placement)));
    rc |= json_object_set_new(json, "constraints", spec_constraints_to_json(s));
    rc |= json_object_set_new(json, "layers", spec_layers_to_json(s));
    if (s->annotations != NULL) {
        rc |=
            json_object_set_new(json, "annotations", json_loads(s->annotations, 0, NULL));
    }
    if (rc != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* --- rules between fields ----------------------------------------------------- */

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
        const char *give;
    } rules[] = {
        {"window_ms", s->window_ms, 6000, 1000, "6s to 1h in whole seconds"},
        {"scale_down_delay_ms", s->scale_down_delay_ms, 0, 1000, "whole seconds"},
        {"panic_threshold", s->panic_threshold, 110, 1, "110 to 1000 (%)"},
        {"max_scale_up_rate", s->max_scale_up_rate, 2, 1, "2 or more"},
        {"max_scale_down_rate", s->max_scale_down_rate, 2, 1, "2 or more"},
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
                             "%s is %u; give %s, or 0 for the cluster's default",
                             rules[i].key, rules[i].value, rules[i].give);
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

/* --- package ------------------------------------------------------------------ */

bool spec_file_name_valid(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < sizeof(((struct package_ref *)NULL)->file_name) &&
           strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int package_ref_from_json(struct package_ref *p, const json_t *json, struct error *err)
{
    const char *digest, *format, *file_name;
    struct package_ref next = {.format = SPEC_FORMAT_TAR};
    int rc;

    if (!json_is_object(json)) {
        return error_set(err, -EINVAL, "package is not a map");
    }
    digest = json_string_value(json_object_get(json, "digest"));
    if (digest == NULL || !spec_digest_valid(digest)) {
        return error_set(err, -EINVAL,
                         "package.digest is not a SHA-256 in 64 hex digits");
    }
    memcpy(next.digest, digest, sizeof(next.digest));
    format = json_string_value(json_object_get(json, "format"));
    rc = format != NULL ? spec_format_parse(format) : -EINVAL;
    if (rc < 0) {
        return error_set(err, -EINVAL,
                         "package.format is \"%.20s\"; give zip, tar or file",
                         format != NULL ? format : "");
    }
    next.format = (enum spec_format)rc;
    file_name = json_string_value(json_object_get(json, "file_name"));
    if (next.format == SPEC_FORMAT_FILE) {
        if (file_name == NULL || !spec_file_name_valid(file_name)) {
            return error_set(err, -EINVAL, "package.file_name is not a plain file name");
        }
        (void)stpcpy(next.file_name, file_name);
    }
    next.bytes = (uint64_t)json_integer_value(json_object_get(json, "bytes"));
    *p = next;
    return 0;
}

json_t *package_ref_to_json(const struct package_ref *p)
{
    return json_pack("{s:s, s:I, s:s, s:s}", "digest", p->digest, "bytes",
                     (json_int_t)p->bytes, "format", spec_format_name(p->format),
                     "file_name", p->file_name);
}
