#include "common/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/spec_layers.h"
#include "common/spec_private.h"

void function_spec_init(struct function_spec *s)
{
    *s = (struct function_spec){.runtime = SPEC_RUNTIME_PROVIDED, .reuse = true};
    spec_numbers_init(s);
}

void spec_env_clear(struct function_spec *s)
{
    for (size_t i = 0; i < s->n_env; i++) {
        free(s->env[i].name);
        free(s->env[i].value);
    }
    free(s->env);
    s->env = NULL;
    s->n_env = 0;
}

void function_spec_free(struct function_spec *s)
{
    free(s->handler);
    free(s->annotations);
    spec_env_clear(s);
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
