#include "common/spec_layers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool spec_layer_resolved(const struct spec_layer *l)
{
    return l->package.digest[0] != '\0';
}

int spec_layer_parse(struct spec_layer *ret, const char *text, struct error *err)
{
    const char *colon = strchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
    struct spec_layer l = {.version = 0};
    char *end = NULL;

    if (len >= sizeof(l.name)) {
        return error_set(err, -EINVAL, "layers: \"%.80s\" is too long", text);
    }
    memcpy(l.name, text, len);
    if (!spec_name_valid(l.name)) {
        return error_set(err, -EINVAL,
                         "layers: \"%.80s\" is no layer; give name or name:version",
                         text);
    }
    if (colon != NULL) {
        size_t digits = strspn(colon + 1, "0123456789");

        l.version = strtoull(colon + 1, &end, 10);
        if (digits == 0 || digits > 15 || *end != '\0' || l.version == 0) {
            return error_set(err, -EINVAL,
                             "layers: the version of \"%.80s\" is not a number from 1 on",
                             text);
        }
    }
    *ret = l;
    return 0;
}

int function_spec_add_layer(struct function_spec *s, const struct spec_layer *layer)
{
    struct spec_layer *grown = reallocarray(s->layers, s->n_layers + 1, sizeof(*grown));

    if (grown == NULL) {
        return -ENOMEM;
    }
    s->layers = grown;
    grown[s->n_layers++] = *layer;
    return 0;
}

int spec_layers_copy(struct function_spec *dst, const struct function_spec *src)
{
    struct spec_layer *copy = NULL;

    if (src->n_layers > 0) {
        copy = calloc(src->n_layers, sizeof(*copy));
        if (copy == NULL) {
            return -ENOMEM;
        }
        memcpy(copy, src->layers, src->n_layers * sizeof(*copy));
    }
    dst->layers = copy;
    dst->n_layers = src->n_layers;
    return 0;
}

static int layer_from_json(struct spec_layer *ret, const json_t *json, struct error *err)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    const json_t *version = json_object_get(json, "version");
    struct spec_layer l = {.version = 0};
    int rc;

    if (json_is_string(json)) {
        return spec_layer_parse(ret, json_string_value(json), err);
    }
    if (name == NULL || !spec_name_valid(name) || !json_is_integer(version) ||
        json_integer_value(version) < 1) {
        return error_set(err, -EINVAL, "layers: give each as name or name:version");
    }
    rc = package_ref_from_json(&l.package, json_object_get(json, "package"), err);
    if (rc < 0) {
        return error_wrap(err, rc, "layers");
    }
    (void)snprintf(l.name, sizeof(l.name), "%s", name);
    l.version = (uint64_t)json_integer_value(version);
    *ret = l;
    return 0;
}

int spec_layers_from_json(struct function_spec *s, const json_t *list, struct error *err)
{
    if (!json_is_array(list)) {
        return error_set(err, -EINVAL, "layers is not a list of names");
    }
    free(s->layers);
    s->layers = NULL;
    s->n_layers = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct spec_layer l;
        int rc = layer_from_json(&l, json_array_get(list, i), err);

        if (rc < 0) {
            return rc;
        }
        if (function_spec_add_layer(s, &l) < 0) {
            return error_set(err, -ENOMEM, "out of memory");
        }
    }
    return 0;
}

static json_t *layer_to_json(const struct spec_layer *l)
{
    char text[SPEC_NAME_MAX + 24];

    if (spec_layer_resolved(l)) {
        return json_pack("{s:s, s:I, s:o}", "name", l->name, "version",
                         (json_int_t)l->version, "package",
                         package_ref_to_json(&l->package));
    }
    (void)snprintf(text, sizeof(text), l->version > 0 ? "%s:%llu" : "%s", l->name,
                   (unsigned long long)l->version);
    return json_string(text);
}

json_t *spec_layers_to_json(const struct function_spec *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->n_layers; i++) {
        if (json_array_append_new(list, layer_to_json(&s->layers[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

int spec_layers_validate(const struct function_spec *s, struct error *err)
{
    if (s->n_layers > SPEC_LAYERS_MAX) {
        return error_set(err, -EINVAL, "layers: there are %zu; the limit is %d",
                         s->n_layers, SPEC_LAYERS_MAX);
    }
    for (size_t i = 0; i < s->n_layers; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(s->layers[i].name, s->layers[j].name) == 0) {
                return error_set(err, -EINVAL, "layers: %s is there twice; leave one out",
                                 s->layers[i].name);
            }
        }
    }
    return 0;
}
