/* A spec from JSON, and back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/spec_layers.h"
#include "common/spec_private.h"

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
    spec_env_clear(s);
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

/* One of a few names. give: which there are. */
static int choice_from_json(const char *key, const json_t *value,
                            int (*parse)(const char *name), const char *give,
                            struct error *err)
{
    const char *name = json_string_value(value);
    int choice = name != NULL ? parse(name) : -EINVAL;

    return choice >= 0 ? choice
                       : error_set(err, -EINVAL, "%s is \"%.40s\"; give %s", key,
                                   name != NULL ? name : "", give);
}

static int runtime_from_json(struct function_spec *s, const json_t *value,
                             struct error *err)
{
    int runtime = choice_from_json("runtime", value, spec_runtime_parse,
                                   "python, node, http, exec or provided", err);

    s->runtime = runtime >= 0 ? (enum spec_runtime)runtime : s->runtime;
    return runtime < 0 ? runtime : 0;
}

static int metric_from_json(struct function_spec *s, const json_t *value,
                            struct error *err)
{
    int metric =
        choice_from_json("metric", value, spec_metric_parse, "concurrency or rps", err);

    s->metric = metric >= 0 ? (enum spec_metric)metric : s->metric;
    return metric < 0 ? metric : 0;
}

static int placement_from_json(struct function_spec *s, const json_t *value,
                               struct error *err)
{
    int placement = choice_from_json("placement", value, spec_placement_parse,
                                     "binpack, spread or default", err);

    s->placement = placement >= 0 ? (enum spec_placement)placement : s->placement;
    return placement < 0 ? placement : 0;
}

static int keep_alive_from_json(struct function_spec *s, const json_t *value,
                                struct error *err)
{
    int k = choice_from_json("keep_alive", value, spec_keep_alive_parse,
                             "learned or fixed", err);

    s->keep_alive = k >= 0 ? (enum spec_keep_alive)k : s->keep_alive;
    return k < 0 ? k : 0;
}

static int reuse_from_json(struct function_spec *s, const json_t *value,
                           struct error *err)
{
    if (!json_is_boolean(value)) {
        return error_set(err, -EINVAL, "reuse is not true or false");
    }
    s->reuse = json_is_true(value);
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

static const struct {
    const char *key;
    int (*from_json)(struct function_spec *s, const json_t *value, struct error *err);
} fields[] = {
    {"runtime", runtime_from_json},
    {"metric", metric_from_json},
    {"keep_alive", keep_alive_from_json},
    {"keep-alive", keep_alive_from_json},
    {"reuse", reuse_from_json},
    {"handler", handler_from_json},
    {"env", env_from_json},
    {"constraints", spec_constraints_from_json},
    {"placement", placement_from_json},
    {"layers", spec_layers_from_json},
    {"annotations", annotations_from_json},
};

static int field_from_json(struct function_spec *s, const char *key, const json_t *value,
                           struct error *err)
{
    const struct spec_number *n = spec_number_find(key);

    if (n != NULL) {
        return spec_number_from_json(s, n, key, value, err);
    }
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(fields[i].key, key) == 0) {
            return fields[i].from_json(s, value, err);
        }
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
    for (const struct spec_number *n = spec_numbers; n->key != NULL; n++) {
        rc |= json_object_set_new(json, n->key, spec_number_to_json(s, n));
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
