/* Aliases: names for versions and splits over them, as the controller streamed them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/agent_core_private.h"

int catalog_aliases_copy(struct alias **ret, const struct function_state *s)
{
    struct alias *aliases;

    *ret = NULL;
    if (s->n_aliases == 0) {
        return 0;
    }
    aliases = calloc(s->n_aliases, sizeof(*aliases));
    if (aliases == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < s->n_aliases; i++) {
        const struct alias_state *from = &s->aliases[i];
        size_t len = strnlen(from->name, ALIAS_NAME_MAX);
        size_t n = from->n_weights < ALIAS_SPLIT_MAX ? from->n_weights : ALIAS_SPLIT_MAX;

        memcpy(aliases[i].name, from->name, len);
        memcpy(aliases[i].weights, from->weights, n * sizeof(*from->weights));
        aliases[i].n_weights = n;
    }
    *ret = aliases;
    return 0;
}

const struct alias *catalog_alias(const struct function *f, const char *name)
{
    for (size_t i = 0; i < f->n_aliases; i++) {
        if (strcmp(f->aliases[i].name, name) == 0) {
            return &f->aliases[i];
        }
    }
    return NULL;
}

/* Sum of the weights of versions that are here; granted: that have a place anywhere. */
static uint64_t sum(const struct function *f, const struct alias *alias, bool granted)
{
    uint64_t total = 0;

    for (size_t i = 0; i < alias->n_weights; i++) {
        const struct version *v = catalog_wanted(f, alias->weights[i].version);

        if (v != NULL && (!granted || catalog_version_granted(v))) {
            total += alias->weights[i].weight;
        }
    }
    return total;
}

struct version *catalog_alias_pick(const struct function *f, const struct alias *alias)
{
    const struct agent_core *a = f->core;
    uint64_t total = sum(f, alias, true);
    bool granted = total > 0;
    uint64_t at;

    total = granted ? total : sum(f, alias, false);
    if (total == 0) {
        return NULL;
    }
    at = alias->n_weights > 1 ? a->io.random(a->io.ctx) % total : 0;
    for (size_t i = 0; i < alias->n_weights; i++) {
        struct version *v = catalog_wanted(f, alias->weights[i].version);

        if (v == NULL || (granted && !catalog_version_granted(v))) {
            continue;
        }
        if (at < alias->weights[i].weight) {
            return v;
        }
        at -= alias->weights[i].weight;
    }
    return NULL;
}

uint64_t agent_core_published(const struct agent_core *a, const char *namespace_,
                              const char *name, uint64_t published)
{
    const struct function *f = catalog_find(a, namespace_, name);

    if (f == NULL || f->deleted || published == 0) {
        return 0;
    }
    LIST_FOREACH(it, &f->versions)
    {
        const struct version *v = container_of(it, struct version, link);

        if (v->wanted && v->published == published) {
            return v->number;
        }
    }
    return 0;
}

uint64_t agent_core_published_as(const struct agent_core *a, const char *namespace_,
                                 const char *name, uint64_t number)
{
    const struct function *f = catalog_find(a, namespace_, name);
    const struct version *v = f != NULL && !f->deleted ? catalog_wanted(f, number) : NULL;

    return v != NULL ? v->published : 0;
}

bool agent_core_has_alias(const struct agent_core *a, const char *namespace_,
                          const char *name, const char *alias)
{
    const struct function *f = catalog_find(a, namespace_, name);

    return f != NULL && !f->deleted && catalog_alias(f, alias) != NULL;
}
