/* What a node has been told that it may run, as the checks remember it. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "tests/sim/node.h"

unsigned sim_function_number(const char *name)
{
    return (unsigned)strtoul(name + 1, NULL, 10); /* sim_function_name() made it */
}

const struct node_grant *sim_grant_of(const struct sim_node *n, const char *function,
                                      uint64_t version)
{
    const struct node_grants *g = &n->grants[sim_function_number(function)];

    for (size_t i = 0; i < g->n; i++) {
        if (g->items[i].version == version) {
            return &g->items[i];
        }
    }
    return NULL;
}

static void clear(struct sim_node *n, struct node_grants *g)
{
    n->n_grants -= g->n;
    free(g->items);
    g->items = NULL;
    g->n = 0;
}

static void add(struct sim_node *n, struct node_grants *g, const struct version_state *v,
                const struct grant *grant)
{
    g->items = reallocarray(g->items, g->n + 1, sizeof(*g->items));
    CHECK(g->items != NULL);
    g->items[g->n++] = (struct node_grant){
        .version = v->number,
        .max = grant->max,
        .warm = grant->warm,
        .limit = function_spec_instances_max(&v->spec),
        .reserved_bytes = (uint64_t)grant->reserved * v->spec.memory_mib << 20,
        .bad = sim_is_bad(&v->spec)};
    n->n_grants++;
}

void sim_grants_learn(struct sim_node *n, const struct function_state *f)
{
    struct node_grants *g = &n->grants[sim_function_number(f->name)];

    if (f->revision < g->revision) {
        return; /* a late copy */
    }
    clear(n, g);
    g->revision = f->revision;
    g->named = true;
    for (size_t i = 0; !f->deleted && i < f->n_versions; i++) {
        const struct version_state *v = &f->versions[i];

        for (size_t k = 0; k < v->n_grants; k++) {
            if (strcmp(v->grants[k].node, n->name) == 0 && v->grants[k].max > 0) {
                add(n, g, v, &v->grants[k]);
            }
        }
    }
}

void sim_grants_snapshot_begins(struct sim_node *n)
{
    for (unsigned f = 0; f < n->sim->options.functions; f++) {
        n->grants[f].named = false;
    }
}

void sim_grants_snapshot_ends(struct sim_node *n)
{
    for (unsigned f = 0; f < n->sim->options.functions; f++) {
        if (!n->grants[f].named) {
            clear(n, &n->grants[f]);
        }
    }
}

void sim_grants_forget(struct sim_node *n)
{
    for (unsigned f = 0; f < n->sim->options.functions; f++) {
        clear(n, &n->grants[f]);
        n->grants[f].revision = 0;
    }
}
