/* A version's instances on all nodes together are at no moment more than its max_scale,
 * those that are ending included. Not counted is what the controller has to do without: a
 * node whose session is over though it runs (the controller gives its grants to others at
 * once), or that was away while a new controller listened; until it has heard of its new
 * grants, runs no more than those, and all nodes together know of no more than the limit.
 */
#include <string.h>

#include "controller/core/core_private.h"
#include "tests/sim/node.h"

bool sim_scale_is_placing(const struct sim *s)
{
    return s->controller != NULL && core_placing(s->controller);
}

void sim_scale_apart(struct sim_node *n)
{
    for (unsigned f = 0; f < n->sim->options.functions; f++) {
        n->grants[f].apart = true;
    }
}

void sim_scale_placing_begins(struct sim *s)
{
    for (unsigned i = 0; i < s->options.nodes; i++) {
        if (!s->nodes[i]->joined || !s->nodes[i]->reported) {
            sim_scale_apart(s->nodes[i]);
        }
    }
}

static bool is_same(const struct sim_instance *a, const struct sim_instance *b)
{
    return a->version == b->version && strcmp(a->function, b->function) == 0 &&
           strcmp(a->handler, b->handler) == 0; /* in any life of the function's */
}

unsigned sim_scale_on(const struct sim_node *n, const struct sim_instance *like)
{
    unsigned found = 0;

    LIST_FOREACH(it, &n->instances)
    {
        found += is_same(container_of(it, struct sim_instance, link), like);
    }
    return found;
}

static unsigned limit_of(const struct sim_instance *si)
{
    return function_spec_instances_max(version_spec(si->in->version));
}

/* What a node runs of a version, or may begin to run as far as it knows. */
static unsigned bound(const struct sim_node *n, const char *function, uint64_t version)
{
    const struct node_grant *g = sim_grant_of(n, function, version);
    unsigned granted = g != NULL && !n->lapsed ? g->max : 0, found = 0;

    LIST_FOREACH(it, &n->instances)
    {
        const struct sim_instance *si = container_of(it, struct sim_instance, link);

        found += si->version == version && strcmp(si->function, function) == 0;
    }
    return found > granted ? found : granted;
}

static bool fits(const struct sim *s, const char *function, uint64_t version,
                 unsigned limit)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < s->options.nodes; i++) {
        sum += bound(s->nodes[i], function, version);
    }
    return limit == 0 || sum <= limit;
}

static bool is_reconciled(const struct sim_node *n, const char *function)
{
    const struct node_grants *all = &n->grants[sim_function_number(function)];

    for (size_t i = 0; i < all->n; i++) {
        if (!fits(n->sim, function, all->items[i].version, all->items[i].limit)) {
            return false;
        }
    }
    LIST_FOREACH(it, &n->instances)
    {
        const struct sim_instance *si = container_of(it, struct sim_instance, link);
        const struct node_grant *g = sim_grant_of(n, si->function, si->version);

        if (strcmp(si->function, function) == 0 &&
            (sim_scale_on(n, si) > (g != NULL ? g->max : 0) ||
             !fits(n->sim, function, si->version, limit_of(si)))) {
            return false;
        }
    }
    return true;
}

static bool is_counted(const struct sim_node *n, const char *function)
{
    struct node_grants *g = &n->grants[sim_function_number(function)];

    if (g->apart && n->informed && is_reconciled(n, function)) {
        g->apart = false;
    }
    return !g->apart;
}

static void say(const struct sim_node *n, const struct sim_instance *like)
{
    const struct node_grant *g = sim_grant_of(n, like->function, like->version);
    unsigned number = sim_function_number(like->function);

    sim_say(n->sim, "  %s has %u, granted %u by revision %llx%s", n->name,
            sim_scale_on(n, like), g != NULL ? g->max : 0,
            (unsigned long long)n->grants[number].revision,
            is_counted(n, like->function) ? "" : " (not counted)");
}

bool sim_scale_check(const struct sim_node *n, const struct sim_instance *si)
{
    unsigned sum = 0, max = limit_of(si);
    struct sim *s = n->sim;

    if (max == 0) {
        return true;
    }
    for (unsigned i = 0; i < s->options.nodes; i++) {
        sum += is_counted(s->nodes[i], si->function) ? sim_scale_on(s->nodes[i], si) : 0;
    }
    if (sum <= max) {
        return true;
    }
    sim_say(s, "%s/%llu has %u instances, max_scale is %u", si->function,
            (unsigned long long)si->version, sum, max);
    for (unsigned i = 0; i < s->options.nodes; i++) {
        say(s->nodes[i], si);
    }
    return false;
}
