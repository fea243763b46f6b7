#include "tests/unit/controller_core_world_private.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/core_private.h"
#include "controller/core/rollouts.h"
#include "controller/core/targets.h"

/* What others keep warm it need not know. */
static void check_grants(const struct model_agent *a, const struct model_function *m,
                         const struct core_target *t)
{
    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);
        uint32_t told = holds_told(g), warm = g->warm < told ? g->warm : told;
        bool found = told == 0;

        for (size_t i = 0; i < m->n_grants; i++) {
            const struct model_grant *k = &m->grants[i];

            found = found || (k->version == t->number && k->max == told &&
                              (k->warm == warm || strcmp(k->node, a->name) != 0) &&
                              strcmp(k->node, g->node->name) == 0);
        }
        CHECK(found);
    }
}

static size_t count_told(const struct core_target *t)
{
    size_t n = 0;

    LIST_FOREACH(it, &t->grants)
    {
        n += holds_told(container_of(it, struct core_grant, of_target)) > 0;
    }
    return n;
}

static void check_told(const struct model_agent *a, const struct model_function *m,
                       const struct core_function *f)
{
    const struct record_rollout *o = rollout_running(&f->record);
    size_t n_grants = 0;

    for (const struct core_target *t = target_next(f, NULL); t != NULL;
         t = target_next(f, t)) {
        check_grants(a, m, t);
        n_grants += count_told(t);
    }
    CHECK(m->n_grants == n_grants);
    CHECK(m->n_aliases == f->record.n_aliases + (o != NULL ? 1 : 0));
    CHECK(o == NULL || (*m->aliases[0].name == '\0' &&
                        m->aliases[0].weights[1].version == o->version));
}

/* What an agent was told last is what the core wants. */
static void check_agent(const struct world *w, const struct model_agent *a)
{
    size_t n = 0;

    LIST_FOREACH(it, &w->core->namespaces)
    {
        LIST_FOREACH(at, &container_of(it, struct core_namespace, link)->functions)
        {
            const struct core_function *f =
                container_of(at, struct core_function, of_namespace);
            const struct model_function *m = NULL;

            for (size_t i = 0; i < a->n_functions; i++) {
                if (strcmp(a->functions[i].name, f->name) == 0 &&
                    strcmp(a->functions[i].namespace_, f->ns->name) == 0) {
                    m = &a->functions[i];
                }
            }
            if (!f->present || !f->ns->present) {
                continue;
            }
            n++;
            CHECK(m != NULL && !m->deleted);
            CHECK(m->namespace_index == f->ns->index);
            CHECK(m->serving == (f->serving != NULL && f->serving->body != NULL
                                     ? f->serving->number
                                     : 0));
            check_told(a, m, f);
        }
    }
    for (size_t i = 0; i < a->n_functions; i++) {
        n -= a->functions[i].deleted ? 0 : 1;
    }
    CHECK(n == 0); /* it knows nothing more */
    for (size_t i = 0; i < a->n_peers; i++) {
        bool ready = false;

        LIST_FOREACH(it, &w->core->nodes_ready)
        {
            const struct core_node *node = container_of(it, struct core_node, link);

            ready =
                ready || (!node->draining && strcmp(node->name, a->peers[i].node) == 0);
        }
        CHECK(a->peers[i].usable == ready);
    }
}

/* What is reserved for one function, others cannot have. */
static bool any_reserved(const struct world *w)
{
    LIST_FOREACH(it, &w->core->namespaces)
    {
        LIST_FOREACH(at, &container_of(it, struct core_namespace, link)->functions)
        {
            const struct core_function *f =
                container_of(at, struct core_function, of_namespace);

            for (const struct core_target *t = target_next(f, NULL); t != NULL;
                 t = target_next(f, t)) {
                if (t->reserved > 0) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* A limited version has its limit, or all that the nodes can hold of it. */
static void check_limits(const struct world *w, const struct core_target *t, bool exact)
{
    uint64_t possible = 0, max = 0, bytes;

    if (t == NULL || t->body == NULL || t->most == 0) {
        return;
    }
    bytes = t->body->spec.memory_mib * MIB;
    LIST_FOREACH(it, &w->core->nodes_ready)
    {
        possible += container_of(it, struct core_node, link)->place.memory_bytes / bytes;
    }
    LIST_FOREACH(it, &t->grants)
    {
        max += container_of(it, struct core_grant, of_target)->max;
    }
    if (possible > t->most) {
        possible = t->most;
    }
    CHECK(max <= t->most);
    CHECK(!exact || max == possible || t->body->spec.n_constraints > 0 ||
          any_reserved(w));
}

void world_check(struct world *w)
{
    controller_core_invariant(w->core);
    if (!core_placing(w->core)) {
        return;
    }
    LIST_FOREACH(it, &w->core->namespaces)
    {
        LIST_FOREACH(at, &container_of(it, struct core_namespace, link)->functions)
        {
            const struct core_function *f =
                container_of(at, struct core_function, of_namespace);

            for (const struct core_target *t = target_next(f, NULL);
                 f->ns->present && t != NULL; t = target_next(f, t)) {
                check_limits(w, t, t != f->candidate); /* which may avoid nodes */
            }
        }
    }
    for (size_t i = 0; i < w->n_agents; i++) {
        if (w->agents[i].connected && w->agents[i].has_snapshot) {
            check_agent(w, &w->agents[i]);
        }
    }
}
