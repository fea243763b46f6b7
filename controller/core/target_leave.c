#include "controller/core/target_leave.h"

#include "controller/core/nodes.h"
#include "controller/core/targets.h"

#define LEAVE_MS 15000 /* a package comes and an instance starts within this */

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static bool fits(const struct core_grant *g)
{
    const struct function_spec *spec = &g->target->body->spec;

    for (size_t i = 0; i < spec->n_constraints; i++) {
        if (!constraint_holds(&spec->constraints[i], g->node->place.labels)) {
            return false;
        }
    }
    return !g->node->draining;
}

/* Instances there that are up, or about to be. */
static uint32_t running(const struct core_grant *g)
{
    uint64_t n = 0;

    LIST_FOREACH(it, &g->target->f->loads)
    {
        const struct core_load *l = container_of(it, struct core_load, of_function);

        if (l->node == g->node && l->version == g->target->number) {
            n += l->last.starting + totals_ready(&l->last);
        }
    }
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* An agent that ends does not wait for as long as a node may. */
static uint64_t ends_ms(const struct core_grant *g)
{
    uint64_t leaves_ms = g->node->leaving ? g->node->leaves_ms : UINT64_MAX;

    return g->leave_ms < leaves_ms ? g->leave_ms : leaves_ms;
}

/* What stays of it for now; 0: it goes at once. */
static uint32_t stays(const struct core_target *t, const struct core_grant *g,
                      uint32_t held)
{
    uint32_t limit = t->most, n = running(g);

    if (n == 0 || t->f->core->usable.n == 0 ||
        (t == t->f->candidate && t->proof != PROOF_READY)) {
        return 0;
    }
    if (limit == 0) {
        return g->max;
    }
    n = smaller(n, g->max);
    n = held + n < limit ? n : g->max / 2; /* with a limit of one: none */
    return held + n < limit ? n : 0;
}

/* Ready instances on nodes that keep their grants. */
static uint64_t ready_elsewhere(const struct core_target *t)
{
    uint64_t ready = 0;

    LIST_FOREACH(it, &t->f->loads)
    {
        const struct core_load *l = container_of(it, struct core_load, of_function);

        if (l->version == t->number) {
            ready += totals_ready(&l->last);
        }
    }
    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        if (!fits(g)) {
            uint32_t n = running(g);

            ready -= n < ready ? n : ready;
        }
    }
    return ready;
}

uint32_t target_replacing(const struct core_target *t)
{
    uint32_t limit = t->most, wanted, held = 0;

    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        held += g->leave_ms != 0 ? g->max : 0;
    }
    if (held == 0) {
        return 0;
    }
    wanted = larger(1, larger(t->scaling.desired, scaling_needed(t)));
    return limit > 0 ? smaller(wanted, limit > held ? limit - held : 1) : wanted;
}

static void begin(struct controller_core *c, struct core_grant *g, uint32_t stay)
{
    target_book(g, stay, smaller(g->warm, stay), smaller(g->reserved, stay));
    g->leave_ms = core_now_ms(c) + LEAVE_MS;
}

/* Those that leave already. Returns how many instances stay. */
static uint32_t go_on(struct controller_core *c, struct core_target *t)
{
    uint32_t wanted = target_replacing(t), held = 0;
    bool replaced = wanted > 0 && ready_elsewhere(t) >= wanted;

    LIST_FOREACH_SAFE(it, &t->grants)
    {
        struct core_grant *g = container_of(it, struct core_grant, of_target);

        if (fits(g)) {
            g->leave_ms = 0; /* or: it does again */
        } else if (g->leave_ms != 0 && (replaced || core_now_ms(c) >= ends_ms(g))) {
            target_drop_grant(g);
        } else if (g->leave_ms != 0) {
            held += g->max;
        }
    }
    return held;
}

uint32_t target_leave(struct controller_core *c, struct core_target *t)
{
    uint32_t held = go_on(c, t), stay;

    LIST_FOREACH_SAFE(it, &t->grants)
    {
        struct core_grant *g = container_of(it, struct core_grant, of_target);

        if (g->leave_ms != 0 || fits(g)) {
            continue;
        }
        stay = stays(t, g, held);
        if (stay > 0) {
            begin(c, g, stay);
            held += stay;
        } else {
            target_drop_grant(g);
        }
    }
    t->leaving = held > 0;
    return held;
}

uint64_t target_leave_ms(const struct core_target *t)
{
    uint64_t due_ms = UINT64_MAX;

    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        if (g->leave_ms != 0 && ends_ms(g) < due_ms) {
            due_ms = ends_ms(g);
        }
    }
    return due_ms;
}
