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

static struct sim_usage *want(struct sim_node *n, unsigned function, uint64_t version)
{
    struct sim_usages *u = &n->usages;

    if (u->first == NULL) {
        u->first = calloc(n->sim->options.functions, sizeof(*u->first));
        CHECK(u->first != NULL);
    }
    for (size_t at = u->first[function]; at != 0; at = u->items[at - 1].next) {
        if (u->items[at - 1].version == version) {
            return &u->items[at - 1];
        }
    }
    if (u->n == u->capacity) {
        u->capacity = u->capacity == 0 ? 16 : 2 * u->capacity;
        u->items = reallocarray(u->items, u->capacity, sizeof(*u->items));
        CHECK(u->items != NULL);
    }
    u->items[u->n] = (struct sim_usage){.version = version, .next = u->first[function]};
    u->first[function] = ++u->n;
    return &u->items[u->n - 1];
}

void sim_usage_ran(struct sim_node *n, const struct sim_call *sc)
{
    struct sim_usage *u;
    uint64_t us = n->sim->clock.now_us - sc->since_us;

    if (sc->since_us != 0 && n->core != NULL) {
        u = want(n, sim_function_number(sc->function), sc->version);
        u->calls++;
        u->gb_ms += (us * sc->memory_mib + 999) / 1000;
    }
}

void sim_usage_took(const struct sim_instance *si, uint64_t cpu_us)
{
    struct sim_node *n = si->node;

    want(n, sim_function_number(si->function), si->version)->cpu_us += cpu_us;
    agent_core_instance_cpu(n->core, si->in, cpu_us);
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
    struct sim_usage *u = want(n, function, load->version);

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
    if (u->cpu_us != load->cpu_us) {
        sim_say(n->sim, "%s says %llu us of %s/%llu, it was %llu", n->name,
                (unsigned long long)load->cpu_us, load->name,
                (unsigned long long)load->version, (unsigned long long)u->cpu_us);
        sim_node_broken(n);
    }
}

/* What is no longer reported is forgotten there; should the version come back, it counts
 * from 0. */
void sim_usage_reported(struct sim_node *n)
{
    for (size_t i = 0; i < n->usages.n; i++) {
        struct sim_usage *u = &n->usages.items[i];

        if (!u->said) {
            u->calls = u->gb_ms = u->cpu_us = 0;
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
        struct sim_usage *u = want(n, function, load->version);

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
    free(n->usages.first);
    n->usages.first = NULL;
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
