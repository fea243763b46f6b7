#include "tests/sim/places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/constraint.h"

#define LABELS_MAX 16

const char *const *sim_places_labels(unsigned index)
{
    static const char *const all[][4] = {
        {"disk=ssd", "zone=a", NULL},
        {"disk=hdd", "zone=b", NULL},
        {"disk=ssd", "zone=c", NULL},
        {"zone=b", "gpu=1", NULL},
    };

    return all[index % 4];
}

json_t *sim_places_order(struct sim *s)
{
    switch (sim_below(&s->clock, 5)) {
    case 0:
        return json_pack("{s:s}", "disk", "ssd");
    case 1:
        return json_pack("{s:s, s:s}", "disk", "hdd", "zone", "a");
    case 2:
        return json_pack("{s:n, s:n}", "disk", "zone");
    default:
        return NULL;
    }
}

bool sim_places_are_scarce(const struct sim *s)
{
    return s->options.seed % 4 <= 1 || s->options.seed % 5 == 0;
}

void sim_places_spec(struct sim *s, struct function_spec *spec,
                     struct function_spec *with)
{
    static const char *const asked[] = {"disk=ssd", "zone!=a", "zone=~a|b", "gpu!=1"};
    struct sim_clock *c = &s->clock;

    spec->cpu_millis = (uint32_t)(100 * (1 + sim_below(c, 10)));
    if (sim_places_are_scarce(s) && sim_chance(c, 250)) {
        spec->max_scale = 0;
        spec->reserved = spec->concurrency * (uint32_t)(1 + sim_below(c, 4));
        if (spec->min_scale > spec->reserved / spec->concurrency) {
            spec->min_scale = 1;
        }
    }
    *with = *spec;
    while (sim_chance(c, 250)) {
        CHECK(function_spec_add_constraint(with, asked[sim_below(c, 4)], NULL) == 0);
    }
}

/* --- labels --------------------------------------------------------------------------
 */

struct labels {
    char texts[LABELS_MAX][64];
    const char *list[LABELS_MAX + 1];
};

static void labels_of(struct labels *ret, const json_t *node)
{
    const char *key;
    json_t *value;
    size_t n = 0;

    json_object_foreach(json_object_get(node, "labels"), key, value)
    {
        CHECK(n < LABELS_MAX);
        (void)snprintf(ret->texts[n], sizeof(ret->texts[n]), "%s=%s", key,
                       json_string_value(value));
        ret->list[n] = ret->texts[n];
        n++;
    }
    ret->list[n] = NULL;
}

static bool satisfies(const json_t *node, const json_t *spec)
{
    struct labels labels;
    const json_t *item;
    size_t i;

    labels_of(&labels, node);
    json_array_foreach(json_object_get(spec, "constraints"), i, item)
    {
        struct constraint c;
        bool holds;

        CHECK(constraint_parse(&c, json_string_value(item), NULL) == 0);
        holds = constraint_holds(&c, labels.list);
        constraint_free(&c);
        if (!holds) {
            return false;
        }
    }
    return true;
}

uint64_t sim_places_open(struct sim *s, const json_t *spec)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < s->options.nodes; i++) {
        json_t *node = controller_core_node(s->controller, sim_node_name(s->nodes[i]));

        n += strcmp(json_string_value(json_object_get(node, "state")), "ready") == 0 &&
             satisfies(node, spec);
        json_decref(node);
    }
    return n;
}

static const json_t *spec_of(const json_t *function, json_int_t version)
{
    const json_t *v;
    size_t i;

    json_array_foreach(json_object_get(function, "versions"), i, v)
    {
        if (json_integer_value(json_object_get(v, "number")) == version) {
            return json_object_get(v, "spec");
        }
    }
    return NULL;
}

bool sim_places_check_function(struct sim *s, const json_t *function)
{
    const json_t *g;
    bool ok = true;
    size_t i;

    json_array_foreach(json_object_get(function, "grants"), i, g)
    {
        const char *name = json_string_value(json_object_get(g, "node"));
        json_int_t version = json_integer_value(json_object_get(g, "version"));
        json_t *node = controller_core_node(s->controller, name);

        if (!satisfies(node, spec_of(function, version))) {
            sim_say(s, "%s/%lld is on %s, which does not satisfy its constraints",
                    json_string_value(json_object_get(function, "name")),
                    (long long)version, name);
            ok = false;
        }
        json_decref(node);
    }
    return ok;
}

/* --- reservations ---------------------------------------------------------------------
 */

bool sim_places_are_reserved(const json_t *function)
{
    const json_t *spec = json_object_get(function, "spec"), *g;
    json_int_t wanted = json_integer_value(json_object_get(spec, "reserved")), sum = 0;
    json_int_t serving = json_integer_value(json_object_get(function, "serving_version"));
    size_t i;

    json_array_foreach(json_object_get(function, "grants"), i, g)
    {
        if (json_integer_value(json_object_get(g, "version")) == serving) {
            sum += json_integer_value(json_object_get(g, "reserved"));
        }
    }
    return wanted > 0 &&
           sum * json_integer_value(json_object_get(spec, "concurrency")) == wanted;
}

static uint64_t memory_of(const struct sim_instance *si)
{
    return (uint64_t)version_spec(si->in->version)->memory_mib << 20;
}

static uint64_t used_by(const struct sim_node *n, const char *function)
{
    uint64_t used = 0;

    LIST_FOREACH(it, &n->instances)
    {
        const struct sim_instance *si = container_of(it, struct sim_instance, link);

        if (si->in->state != INSTANCE_STOPPING && strcmp(si->function, function) == 0) {
            used += memory_of(si);
        }
    }
    return used;
}

static uint64_t reserved_for(const struct sim_node *n, const char *function)
{
    uint64_t most = 0;

    const struct node_grants *g = &n->grants[sim_function_number(function)];

    for (size_t i = 0; i < g->n; i++) {
        if (g->items[i].reserved_bytes > most) {
            most = g->items[i].reserved_bytes;
        }
    }
    return most;
}

/* All instances but those that are going, and what is reserved and not in use. */
static uint64_t taken(const struct sim_node *n)
{
    uint64_t sum = 0;

    LIST_FOREACH(it, &n->instances)
    {
        const struct sim_instance *si = container_of(it, struct sim_instance, link);

        sum += si->in->state != INSTANCE_STOPPING ? memory_of(si) : 0;
    }
    for (unsigned f = 0; f < n->sim->options.functions; f++) {
        uint64_t reserved, used;
        char name[16];

        if (n->grants[f].n > 0) {
            sim_function_name(f, name);
            reserved = n->lapsed ? 0 : reserved_for(n, name);
            used = reserved > 0 ? used_by(n, name) : 0;
            sum += reserved > used ? reserved - used : 0;
        }
    }
    return sum;
}

bool sim_places_check_start(const struct sim_node *n, const struct sim_instance *si)
{
    if (used_by(n, si->function) <= reserved_for(n, si->function) ||
        taken(n) <= n->memory_bytes) {
        return true;
    }
    sim_say(n->sim, "%s starts an instance of %s in memory that is reserved for others",
            n->name, si->function);
    return false;
}

bool sim_places_check_node_rest(const struct sim_node *n)
{
    if (taken(n) <= n->memory_bytes) {
        return true;
    }
    sim_say(n->sim, "%s: instances stand in memory that is reserved", n->name);
    return false;
}
