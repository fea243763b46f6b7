/* The part of a spec that says where its instances may run. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/spec.h"

void spec_constraints_free(struct constraint *constraints, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        constraint_free(&constraints[i]);
    }
    free(constraints);
}

int spec_constraints_copy(struct function_spec *dst, const struct function_spec *src)
{
    struct constraint *copy = calloc(src->n_constraints + 1, sizeof(*copy));

    if (copy == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < src->n_constraints; i++) {
        if (constraint_copy(&copy[i], &src->constraints[i]) < 0) {
            spec_constraints_free(copy, i);
            return -ENOMEM;
        }
    }
    dst->constraints = copy;
    dst->n_constraints = src->n_constraints;
    return 0;
}

int function_spec_add_constraint(struct function_spec *s, const char *text,
                                 struct error *err)
{
    struct constraint *grown;
    struct constraint c;
    int rc = constraint_parse(&c, text, err);

    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < s->n_constraints; i++) {
        if (strcmp(s->constraints[i].text, c.text) == 0) {
            constraint_free(&c);
            return 0;
        }
    }
    if (s->n_constraints == SPEC_CONSTRAINTS_MAX) {
        constraint_free(&c);
        return error_set(err, -EINVAL, "constraints: at most %d may be given",
                         SPEC_CONSTRAINTS_MAX);
    }
    grown = reallocarray(s->constraints, s->n_constraints + 1, sizeof(*grown));
    if (grown == NULL) {
        constraint_free(&c);
        return error_set(err, -ENOMEM, "out of memory");
    }
    s->constraints = grown;
    s->constraints[s->n_constraints++] = c;
    return 0;
}

int spec_constraints_from_json(struct function_spec *s, const json_t *value,
                               struct error *err)
{
    const json_t *item;
    size_t i;

    if (!json_is_array(value)) {
        return error_set(err, -EINVAL,
                         "constraints is no list of texts, such as [\"disk=ssd\"]");
    }
    spec_constraints_free(s->constraints, s->n_constraints);
    s->constraints = NULL;
    s->n_constraints = 0;
    json_array_foreach(value, i, item)
    {
        const char *text = json_string_value(item);
        int rc;

        if (text == NULL || strlen(text) != json_string_length(item)) {
            return error_set(err, -EINVAL,
                             "constraints[%zu] is no text such as \"disk=ssd\"", i);
        }
        rc = function_spec_add_constraint(s, text, err);
        if (rc < 0) {
            return error_wrap(err, rc, "constraints[%zu]", i);
        }
    }
    return 0;
}

json_t *spec_constraints_to_json(const struct function_spec *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->n_constraints; i++) {
        if (json_array_append_new(list, json_string(s->constraints[i].text)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

uint32_t function_spec_reserved_instances(const struct function_spec *s)
{
    return s->reserved / s->concurrency;
}

uint32_t function_spec_instances_max(const struct function_spec *s)
{
    return s->reserved > 0 ? function_spec_reserved_instances(s) : s->max_scale;
}

int spec_placement_validate(const struct function_spec *s, struct error *err)
{
    uint32_t instances = function_spec_reserved_instances(s);

    if (s->reserved % s->concurrency != 0) {
        return error_set(err, -EINVAL,
                         "reserved is %u calls at once, which whole instances of "
                         "concurrency %u cannot give; give a multiple of %u",
                         s->reserved, s->concurrency, s->concurrency);
    }
    if (s->reserved > 0 && s->min_scale > instances) {
        return error_set(err, -EINVAL,
                         "min_scale %u is over what reserved %u allows, %u instances",
                         s->min_scale, s->reserved, instances);
    }
    if (s->reserved > 0 && s->max_scale > 0 && s->max_scale != instances) {
        return error_set(err, -EINVAL,
                         "max_scale is %u, but reserved %u is also the limit: %u "
                         "instances; leave max_scale out",
                         s->max_scale, s->reserved, instances);
    }
    return 0;
}
