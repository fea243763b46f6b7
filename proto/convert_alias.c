#include "proto/convert_alias.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- to the wire ------------------------------------------------------------------ */

static void alias_free(Mayfly__V1__Alias *m)
{
    if (m != NULL) {
        free(m->n_weights > 0 ? m->weights[0] : NULL); /* one block */
        free(m->weights);
        free(m);
    }
}

static int alias_to_wire(Mayfly__V1__Alias **ret, const struct alias_state *from)
{
    Mayfly__V1__Alias *m = calloc(1, sizeof(*m));
    Mayfly__V1__Weight *block;

    if (m == NULL) {
        return -ENOMEM;
    }
    mayfly__v1__alias__init(m);
    m->name = (char *)(uintptr_t)from->name; /* nothing here writes through it */
    m->weights = calloc(from->n_weights + 1, sizeof(*m->weights));
    block = calloc(from->n_weights + 1, sizeof(*block));
    if (m->weights == NULL || block == NULL) {
        free(block);
        alias_free(m);
        return -ENOMEM;
    }
    for (size_t i = 0; i < from->n_weights; i++) {
        mayfly__v1__weight__init(&block[i]);
        block[i].version = from->weights[i].version;
        block[i].weight = from->weights[i].weight;
        m->weights[i] = &block[i];
    }
    m->n_weights = from->n_weights;
    if (m->n_weights == 0) {
        free(block);
    }
    *ret = m;
    return 0;
}

int convert_aliases_to_wire(Mayfly__V1__FunctionState *ret,
                            const struct function_state *from)
{
    if (from->n_aliases == 0) {
        return 0;
    }
    ret->aliases = calloc(from->n_aliases, sizeof(*ret->aliases));
    if (ret->aliases == NULL) {
        return -ENOMEM;
    }
    for (; ret->n_aliases < from->n_aliases; ret->n_aliases++) {
        if (alias_to_wire(&ret->aliases[ret->n_aliases], &from->aliases[ret->n_aliases]) <
            0) {
            return -ENOMEM;
        }
    }
    return 0;
}

void convert_aliases_free(Mayfly__V1__FunctionState *m)
{
    for (size_t i = 0; i < m->n_aliases; i++) {
        alias_free(m->aliases[i]);
    }
    free(m->aliases);
    m->aliases = NULL;
    m->n_aliases = 0;
}

/* --- from the wire ---------------------------------------------------------------- */

static int alias_from_wire(struct alias_state *ret, const Mayfly__V1__Alias *from,
                           struct error *err)
{
    size_t len = strlen(from->name);
    struct alias_weight *weights;
    uint64_t sum = 0;

    if (len > 0 && !alias_name_valid(from->name, len)) {
        return error_set(err, -EINVAL, "\"%.64s\" is not an alias's name", from->name);
    }
    if (from->n_weights == 0 || from->n_weights > ALIAS_SPLIT_MAX) {
        return error_set(err, -ERANGE, "alias \"%s\" has %zu versions", from->name,
                         from->n_weights);
    }
    for (size_t i = 0; i < from->n_weights; i++) {
        sum += from->weights[i]->weight;
    }
    if (sum != ALIAS_WHOLE) {
        return error_set(err, -EINVAL, "alias \"%s\": its weights add up to %llu",
                         from->name, (unsigned long long)sum);
    }
    weights = calloc(from->n_weights, sizeof(*weights));
    if (weights == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < from->n_weights; i++) {
        weights[i].version = from->weights[i]->version;
        weights[i].weight = from->weights[i]->weight;
    }
    *ret = (struct alias_state){
        .name = from->name, .weights = weights, .n_weights = from->n_weights};
    return 0;
}

int convert_aliases_from_wire(struct function_state *ret,
                              const Mayfly__V1__FunctionState *from, struct error *err)
{
    struct alias_state *aliases;

    if (from->n_aliases == 0) {
        return 0;
    }
    if (from->n_aliases > CONVERT_ALIASES_MAX) {
        return error_set(err, -ERANGE, "it has too many aliases");
    }
    aliases = calloc(from->n_aliases, sizeof(*aliases));
    if (aliases == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    ret->aliases = aliases;
    for (; ret->n_aliases < from->n_aliases; ret->n_aliases++) {
        int rc =
            alias_from_wire(&aliases[ret->n_aliases], from->aliases[ret->n_aliases], err);

        if (rc < 0) {
            convert_aliases_release(ret);
            return rc;
        }
    }
    return 0;
}

void convert_aliases_release(struct function_state *f)
{
    struct alias_state *aliases = (struct alias_state *)(uintptr_t)f->aliases;

    for (size_t i = 0; i < f->n_aliases; i++) {
        free((struct alias_weight *)(uintptr_t)aliases[i].weights);
    }
    free(aliases);
    f->aliases = NULL;
    f->n_aliases = 0;
}
