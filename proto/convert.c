#include "proto/convert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int env_to_wire(Mayfly__V1__Spec *spec, const struct function_spec *from)
{
    Mayfly__V1__EnvVar *vars = calloc(from->n_env, sizeof(*vars));

    spec->env = calloc(from->n_env, sizeof(*spec->env));
    if (vars == NULL || spec->env == NULL) {
        free(vars);
        free(spec->env);
        return -ENOMEM;
    }
    for (size_t i = 0; i < from->n_env; i++) {
        mayfly__v1__env_var__init(&vars[i]);
        vars[i].name = from->env[i].name;
        vars[i].value = from->env[i].value;
        spec->env[i] = &vars[i];
    }
    spec->n_env = from->n_env;
    return 0;
}

struct wire_layer {
    Mayfly__V1__Layer layer;
    Mayfly__V1__Package package;
};

static int layers_to_wire(Mayfly__V1__Spec *spec, const struct function_spec *from)
{
    struct wire_layer *made = calloc(from->n_layers, sizeof(*made));

    spec->layers = calloc(from->n_layers, sizeof(*spec->layers));
    if (made == NULL || spec->layers == NULL) {
        free(made);
        free(spec->layers);
        return -ENOMEM;
    }
    for (size_t i = 0; i < from->n_layers; i++) {
        mayfly__v1__layer__init(&made[i].layer);
        made[i].layer.name = from->layers[i].name;
        made[i].layer.version = from->layers[i].version;
        convert_package_to_wire(&made[i].package, &from->layers[i].package);
        made[i].layer.package = &made[i].package;
        spec->layers[i] = &made[i].layer; /* the block's first member */
    }
    spec->n_layers = from->n_layers;
    return 0;
}

int convert_spec_to_wire(Mayfly__V1__Spec *ret, const struct function_spec *from)
{
    Mayfly__V1__Spec spec = MAYFLY__V1__SPEC__INIT;
    int rc = 0;

    spec.runtime = (char *)(uintptr_t)spec_runtime_name(from->runtime);
    spec.handler = from->handler != NULL ? from->handler : (char *)(uintptr_t) "";
#define X(member, key, flag, min, max, dflt, unit, help) spec.member = from->member;
    SPEC_NUMBERS(X)
#undef X
#define X(name, key, flag, min, max, dflt, unit, help) \
    spec.name = (from->name##_hundredths + 99) / 100;  \
    spec.name##_hundredths =                           \
        from->name##_hundredths % 100 != 0 ? from->name##_hundredths : 0;
    SPEC_DECIMALS(X)
#undef X
    spec.reuse = from->reuse;
    spec.metric = (char *)(uintptr_t)spec_metric_name(from->metric);
    spec.placement = (char *)(uintptr_t)spec_placement_name(from->placement);
    if (from->n_constraints > 0) {
        spec.constraints = calloc(from->n_constraints, sizeof(*spec.constraints));
        if (spec.constraints == NULL) {
            return -ENOMEM;
        }
        for (size_t i = 0; i < from->n_constraints; i++) {
            spec.constraints[i] = from->constraints[i].text;
        }
        spec.n_constraints = from->n_constraints;
    }
    spec.keep_alive = (char *)(uintptr_t)spec_keep_alive_name(from->keep_alive);
    if (from->n_env > 0) {
        rc = env_to_wire(&spec, from);
    }
    if (rc == 0 && from->n_layers > 0) {
        rc = layers_to_wire(&spec, from);
    }
    if (rc < 0) {
        convert_spec_free(&spec);
        return rc;
    }
    *ret = spec;
    return 0;
}

void convert_spec_free(Mayfly__V1__Spec *spec)
{
    if (spec->n_env > 0) {
        free(spec->env[0]); /* one block for all */
        free(spec->env);
    }
    free(spec->n_constraints > 0 ? spec->constraints : NULL); /* the texts are lent */
    if (spec->n_layers > 0) {
        free(spec->layers[0]); /* likewise */
        free(spec->layers);
    }
    mayfly__v1__spec__init(spec);
}

static int check_range(const char *key, uint32_t value, uint64_t min, uint64_t max,
                       struct error *err)
{
    if (value < min || value > max) {
        return error_set(err, -ERANGE, "%s %u is out of range", key, value);
    }
    return 0;
}

/* They say the same as the whole number beside them, but exactly. */
static int check_hundredths(const char *key, uint32_t value, uint32_t hundredths,
                            struct error *err)
{
    if (hundredths != 0 && (hundredths / 100 + 1 != value || hundredths % 100 == 0)) {
        return error_set(err, -EINVAL, "%s is both %u and %u hundredths", key, value,
                         hundredths);
    }
    return 0;
}

static int copy_texts(struct function_spec *s, const Mayfly__V1__Spec *from,
                      struct error *err)
{
    if (strlen(from->handler) > SPEC_HANDLER_MAX) {
        return error_set(err, -EINVAL, "handler is too long");
    }
    if (*from->handler != '\0' && (s->handler = strdup(from->handler)) == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (from->n_env > SPEC_ENV_MAX) {
        return error_set(err, -EINVAL, "env has too many variables");
    }
    for (size_t i = 0; i < from->n_env; i++) {
        if (function_spec_set_env(s, from->env[i]->name, from->env[i]->value) < 0) {
            return error_set(err, -ENOMEM, "out of memory");
        }
    }
    for (size_t i = 0; i < from->n_constraints; i++) {
        int rc = function_spec_add_constraint(s, from->constraints[i], err);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int copy_layers(struct function_spec *s, const Mayfly__V1__Spec *from,
                       struct error *err)
{
    if (from->n_layers > SPEC_LAYERS_MAX) {
        return error_set(err, -EINVAL, "there are too many layers");
    }
    for (size_t i = 0; i < from->n_layers; i++) {
        const Mayfly__V1__Layer *in = from->layers[i];
        struct spec_layer l = {.version = in->version};
        int rc;

        if (!spec_name_valid(in->name) || in->version == 0 || in->package == NULL) {
            return error_set(err, -EINVAL, "a layer has no name, version or package");
        }
        rc = convert_package_from_wire(&l.package, in->package, err);
        if (rc < 0) {
            return rc;
        }
        (void)stpcpy(l.name, in->name);
        if (function_spec_add_layer(s, &l) < 0) {
            return error_set(err, -ENOMEM, "out of memory");
        }
    }
    return 0;
}

static int placement_from_wire(struct function_spec *s, const char *name,
                               struct error *err)
{
    int placement = *name != '\0' ? spec_placement_parse(name) : SPEC_PLACEMENT_DEFAULT;

    if (placement < 0) {
        return error_set(err, -EINVAL, "placement \"%.40s\" is not known", name);
    }
    s->placement = (enum spec_placement)placement;
    return 0;
}

int convert_spec_from_wire(struct function_spec *ret, const Mayfly__V1__Spec *from,
                           struct error *err)
{
    struct function_spec s;
    int runtime = spec_runtime_parse(from->runtime);
    int metric, rc;
    int keep_alive = *from->keep_alive == '\0' ? SPEC_KEEP_ALIVE_FIXED
                                               : spec_keep_alive_parse(from->keep_alive);

    function_spec_init(&s);
    if (runtime < 0) {
        return error_set(err, -EINVAL, "runtime \"%.40s\" is not known", from->runtime);
    }
    if (keep_alive < 0) {
        return error_set(err, -EINVAL, "keep_alive \"%.40s\" is not known",
                         from->keep_alive);
    }
    s.runtime = (enum spec_runtime)runtime;
    s.keep_alive = (enum spec_keep_alive)keep_alive;
    s.reuse = from->reuse;
    metric = *from->metric != '\0' ? spec_metric_parse(from->metric) : 0;
    if (metric < 0) {
        return error_set(err, -EINVAL, "metric \"%.40s\" is not known", from->metric);
    }
    s.metric = (enum spec_metric)metric;
#define X(member, key, flag, min, max, dflt, unit, help)            \
    if ((rc = check_range(key, from->member, min, max, err)) < 0) { \
        return rc;                                                  \
    }                                                               \
    s.member = from->member;
    SPEC_NUMBERS(X)
#undef X
#define X(name, key, flag, min, max, dflt, unit, help)                                \
    if ((rc = check_range(key, from->name, min, max, err)) < 0 ||                     \
        (rc = check_hundredths(key, from->name, from->name##_hundredths, err)) < 0) { \
        return rc;                                                                    \
    }                                                                                 \
    s.name##_hundredths =                                                             \
        from->name##_hundredths != 0 ? from->name##_hundredths : from->name * 100;
    SPEC_DECIMALS(X)
#undef X
    rc = placement_from_wire(&s, from->placement, err);
    rc = rc < 0 ? rc : copy_texts(&s, from, err);
    rc = rc < 0 ? rc : copy_layers(&s, from, err);
    rc = rc < 0 ? rc : function_spec_validate(&s, err);
    if (rc < 0) {
        function_spec_free(&s);
        return rc;
    }
    *ret = s;
    return 0;
}

void convert_package_to_wire(Mayfly__V1__Package *ret, const struct package_ref *from)
{
    mayfly__v1__package__init(ret);
    ret->digest = (char *)(uintptr_t)from->digest;
    ret->bytes = from->bytes;
    ret->format = (char *)(uintptr_t)spec_format_name(from->format);
    ret->file_name = (char *)(uintptr_t)from->file_name;
}

int convert_package_from_wire(struct package_ref *ret, const Mayfly__V1__Package *from,
                              struct error *err)
{
    struct package_ref p = {.bytes = from->bytes};
    int format = spec_format_parse(from->format);

    if (!spec_digest_valid(from->digest)) {
        return error_set(err, -EINVAL, "package digest is not a SHA-256");
    }
    if (format < 0) {
        return error_set(err, -EINVAL, "package format \"%.20s\" is not known",
                         from->format);
    }
    p.format = (enum spec_format)format;
    memcpy(p.digest, from->digest, sizeof(p.digest));
    if (p.format == SPEC_FORMAT_FILE) {
        if (!spec_file_name_valid(from->file_name)) {
            return error_set(err, -EINVAL, "package file name is not a plain file name");
        }
        (void)stpcpy(p.file_name, from->file_name);
    }
    *ret = p;
    return 0;
}
