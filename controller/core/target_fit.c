#include "controller/core/target_fit.h"

#include <stdio.h>
#include <string.h>

#include "controller/core/node_order.h"
#include "controller/core/targets.h"

#define MIB (1024ULL * 1024ULL)

void target_request(const struct controller_core *c, const struct core_target *t,
                    struct placement_request *ret)
{
    const struct function_spec *spec = &t->body->spec;
    enum spec_placement usual =
        c->options.spread ? SPEC_PLACEMENT_SPREAD : SPEC_PLACEMENT_BINPACK;

    *ret = (struct placement_request){
        .instance_bytes = spec->memory_mib * MIB,
        .instance_millis = spec->cpu_millis,
        .max = t->most,
        .reserved = t->reserved,
        .homes_max = c->options.homes_max,
        .policy = spec->placement == SPEC_PLACEMENT_DEFAULT ? usual : spec->placement,
        .constraints = spec->constraints,
        .n_constraints = spec->n_constraints,
        .seed = c->io.random(c->io.ctx),
    };
}

/* --- no place ----------------------------------------------------------------------- */

enum placement_filter target_ask_node(const struct core_node *n,
                                      const struct placement_request *r,
                                      size_t *ret_constraint)
{
    struct placement_caps caps;
    enum placement_filter filter;

    if (!n->ready) {
        return PLACEMENT_LOST;
    }
    if (n->draining) {
        return PLACEMENT_DRAINING;
    }
    filter = placement_fit(&n->place, r, NULL, &caps, ret_constraint);
    return filter == PLACEMENT_FITS ? placement_full(&n->place, r, NULL) : filter;
}

/* Instances that it could have with nothing beside them. */
static uint64_t most_on(const struct core_node *n, const struct placement_request *r)
{
    struct placement_node empty = n->place;
    struct placement_caps caps;
    size_t constraint;

    empty.closed = false;
    empty.firm_bytes = empty.firm_millis = 0;
    return placement_fit(&empty, r, NULL, &caps, &constraint) == PLACEMENT_FITS ? caps.max
                                                                                : 0;
}

bool target_may_fit(const struct controller_core *c, const struct core_target *t,
                    const struct placement_request *r)
{
    const struct list *const lists[] = {&c->nodes_ready, &c->nodes_lost};
    uint64_t needs = t->reserved > 1 ? t->reserved : 1, most = 0;

    for (size_t i = 0; i < 2; i++) {
        LIST_FOREACH(it, lists[i])
        {
            most += most_on(container_of(it, struct core_node, link), r);
            if (most >= needs) {
                return true;
            }
        }
    }
    return false;
}

static struct placement_why ask_all(const struct controller_core *c,
                                    const struct placement_request *r)
{
    struct placement_why why = {.n_nodes = (uint32_t)(c->n_ready + c->n_lost)};

    why.refused[PLACEMENT_LOST] = (uint32_t)c->n_lost;
    LIST_FOREACH(it, &c->nodes_ready)
    {
        size_t constraint = 0;
        enum placement_filter filter =
            target_ask_node(container_of(it, struct core_node, link), r, &constraint);

        why.refused[filter]++;
        why.by_constraint[constraint] += filter == PLACEMENT_LABELS;
    }
    return why;
}

/* "disk=ssd, zone!=a" */
static const char *list_constraints(const struct function_spec *spec, char ret[160])
{
    size_t len = 0;

    ret[0] = '\0';
    for (size_t i = 0; i < spec->n_constraints && len < 160; i++) {
        int n = snprintf(ret + len, 160 - len, "%s%s", i > 0 ? ", " : "",
                         spec->constraints[i].text);

        len += n > 0 ? (size_t)n : 0;
    }
    return ret;
}

static const char *headline(const struct controller_core *c, const struct core_target *t,
                            const struct placement_request *r,
                            const struct placement_why *why, char *ret, size_t size)
{
    const struct function_spec *spec = &t->body->spec;
    bool labels = spec->n_constraints > 0;
    char asked[160] = "", which[200] = "";

    if (labels) {
        (void)snprintf(which, sizeof(which), " that satisfies %s",
                       list_constraints(spec, asked));
    }
    if (t->reserved_missing > 0) {
        (void)snprintf(
            ret, size,
            "reserved %u needs room for %u instances of %u MiB, and %llu of them "
            "find none on a node%s",
            r->reserved * spec->concurrency, r->reserved, spec->memory_mib,
            (unsigned long long)t->reserved_missing, which);
    } else if (why->refused[PLACEMENT_MEMORY_FULL] > 0) {
        (void)snprintf(ret, size,
                       "no node%s has %u MiB of memory that is not kept for others",
                       which, spec->memory_mib);
    } else if (why->refused[PLACEMENT_CPU_FULL] > 0) {
        (void)snprintf(ret, size,
                       "no node%s has %u millicores that are not kept for others", which,
                       spec->cpu_millis);
    } else if (why->refused[PLACEMENT_CPU] > 0) {
        (void)snprintf(ret, size, "no node%s has %u millicores", which, spec->cpu_millis);
    } else if (why->refused[PLACEMENT_MEMORY] > 0) {
        (void)snprintf(ret, size, "no node%s has %u MiB of memory", which,
                       spec->memory_mib);
    } else if (labels) {
        (void)snprintf(ret, size, "no node satisfies %s", asked);
    } else {
        (void)snprintf(ret, size, "no node takes anything new");
    }
    return ret;
}

bool target_explain(const struct controller_core *c, struct core_target *t,
                    const struct placement_request *r)
{
    struct placement_why why = ask_all(c, r);
    char head[300], detail[170];

    if (c->usable.n == 0) {
        (void)snprintf(t->text, sizeof(t->text), "no node is ready; waiting for one");
        return false;
    }
    (void)snprintf(t->text, sizeof(t->text), "%s (%s)",
                   headline(c, t, r, &why, head, sizeof(head)),
                   placement_why_text(&why, &t->body->spec, detail, sizeof(detail)));
    return why.refused[PLACEMENT_MEMORY_FULL] + why.refused[PLACEMENT_CPU_FULL] > 0;
}
