/* Usage is counted once: what nodes say that they ran is what they ran, and a
 * controller's totals are what the agents that it has heard say, each call once, although
 * reports repeat, agents boot anew and versions come back. What an agent that crashed ran
 * after its last report is lost; a controller that begins counts what its agents still
 * know. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/registry.h"
#include "tests/sim/node.h"

static struct sim_usage *find(struct sim_usages *u, unsigned function, uint64_t version)
{
    for (size_t i = 0; i < u->n; i++) {
        if (u->items[i].function == function && u->items[i].version == version) {
            return &u->items[i];
        }
    }
    return NULL;
}

static struct sim_usage *want(struct sim_usages *u, unsigned function, uint64_t version)
{
    struct sim_usage *it = find(u, function, version);

    if (it != NULL) {
        return it;
    }
    if (u->n == u->capacity) {
        u->capacity = u->capacity == 0 ? 16 : 2 * u->capacity;
        u->items = reallocarray(u->items, u->capacity, sizeof(*u->items));
        CHECK(u->items != NULL);
    }
    u->items[u->n] = (struct sim_usage){.function = function, .version = version};
    return &u->items[u->n++];
}

void sim_usage_ran(struct sim_node *n, const struct sim_call *sc)
{
    struct sim_usage *u;
    uint64_t us = n->sim->clock.now_us - sc->since_us;

    if (sc->since_us != 0 && n->core != NULL) {
        u = want(&n->usages, sim_function_number(sc->function), sc->version);
        u->calls++;
        u->gb_ms += (us * sc->memory_mib + 999) / 1000;
    }
}

/* Calls that a version's own failure kept from running count as well: only sums of those
 * functions are exact that never had one. */
static bool is_exact(const struct sim *s, unsigned function)
{
    return !s->functions[function].was_bad;
}

void sim_usage_reports(struct sim_node *n)
{
    for (size_t i = 0; i < n->usages.n; i++) {
        n->usages.items[i].said = false;
    }
}

void sim_usage_says(struct sim_node *n, const struct version_load *load)
{
    unsigned function = sim_function_number(load->name);
    struct sim_usage *u = want(&n->usages, function, load->version);

    u->said = true;
    if (is_exact(n->sim, function) &&
        (u->calls != load->invocations || u->gb_ms != load->gb_ms)) {
        sim_say(n->sim, "%s says %llu calls and %llu gb_ms of %s/%llu, it was %llu, %llu",
                n->name, (unsigned long long)load->invocations,
                (unsigned long long)load->gb_ms, load->name,
                (unsigned long long)load->version, (unsigned long long)u->calls,
                (unsigned long long)u->gb_ms);
        sim_node_broken(n);
    }
}

/* What is no longer reported is forgotten there; should the version come back, it counts
 * from 0. */
void sim_usage_reported(struct sim_node *n)
{
    for (size_t i = 0; i < n->usages.n; i++) {
        if (!n->usages.items[i].said) {
            n->usages.items[i].calls = n->usages.items[i].gb_ms = 0;
        }
    }
}

/* A deleted function's calls count for nothing, and when it is deployed again its
 * versions go on counting where they were: nothing is known of its sum from then on. */
static bool is_there(const struct sim *s, const struct version_load *load)
{
    const struct core_function *f =
        registry_function(s->controller, SIM_NAMESPACE, load->name);

    return f != NULL && f->present && load->version <= f->record.latest;
}

void sim_usage_counted(struct sim_node *n, const struct node_report *r)
{
    for (size_t i = 0; i < r->n_loads; i++) {
        const struct version_load *load = &r->loads[i];
        unsigned function = sim_function_number(load->name);
        struct sim_usage *u = want(&n->usages, function, load->version);

        n->sim->functions[function].was_deleted |= !is_there(n->sim, load);
        n->sim->functions[function].calls += load->invocations >= u->told
                                                 ? load->invocations - u->told
                                                 : load->invocations;
        u->told = load->invocations;
    }
}

void sim_usage_node_died(struct sim_node *n)
{
    n->usages.n = 0;
}

void sim_usage_controller_began(struct sim *s)
{
    for (unsigned f = 0; f < s->options.functions; f++) {
        s->functions[f].calls = 0;
        s->functions[f].was_deleted = false;
    }
    for (unsigned i = 0; i < s->options.nodes; i++) {
        struct sim_usages *u = &s->nodes[i]->usages;

        for (size_t k = 0; k < u->n; k++) {
            u->items[k].told = 0;
        }
    }
}

bool sim_usage_check_rest(struct sim *s)
{
    bool ok = true;

    for (unsigned f = 0; f < s->options.functions; f++) {
        uint64_t total;
        char name[16];
        json_t *view;

        sim_function_name(f, name);
        view = controller_core_function(s->controller, SIM_NAMESPACE, name);
        total = (uint64_t)json_integer_value(json_object_get(view, "invocations"));
        if (view != NULL && !s->functions[f].was_deleted &&
            total != s->functions[f].calls) {
            sim_say(s, "%s: the controller counts %llu calls, it was told of %llu", name,
                    (unsigned long long)total, (unsigned long long)s->functions[f].calls);
            ok = false;
        }
        json_decref(view);
    }
    return ok;
}
