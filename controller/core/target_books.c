#include "controller/core/target_books.h"

#include <stdlib.h>

#include "common/check.h"
#include "controller/core/near.h"

#define MIB (1024ULL * 1024ULL)

struct core_grant *target_sibling(const struct core_grant *g)
{
    const struct core_target *t = g->target;
    const struct core_target *other =
        t == t->f->serving ? t->f->candidate : t->f->serving;

    if (other == NULL || other->n_grants == 0 ||
        (t->body->spec.reserved == 0 && other->body->spec.reserved == 0)) {
        return NULL;
    }
    LIST_FOREACH(it, &other->grants)
    {
        struct core_grant *sibling = container_of(it, struct core_grant, of_target);

        if (sibling->node == g->node) {
            return sibling;
        }
    }
    return NULL;
}

static uint32_t firm(const struct core_grant *g)
{
    return g->warm > g->reserved ? g->warm : g->reserved;
}

uint64_t target_firm_bytes(const struct core_grant *g)
{
    return firm(g) * (g->target->body->spec.memory_mib * MIB);
}

uint64_t target_firm_millis(const struct core_grant *g)
{
    return (uint64_t)firm(g) * g->target->body->spec.cpu_millis;
}

static uint64_t beyond(uint64_t amount, uint64_t taken)
{
    return amount > taken ? amount - taken : 0;
}

/* Of two that share, the serving version's is booked whole. */
struct target_booking target_booked(const struct core_grant *g)
{
    const struct core_grant *other =
        g->target == g->target->f->candidate ? target_sibling(g) : NULL;
    struct target_booking b = {target_firm_bytes(g), target_firm_millis(g)};

    if (other != NULL) {
        b.bytes = beyond(b.bytes, target_firm_bytes(other));
        b.millis = beyond(b.millis, target_firm_millis(other));
    }
    return b;
}

/* With what it shares; g may be all there is of it. */
struct target_booking target_booked_together(const struct core_grant *g)
{
    const struct core_grant *other = target_sibling(g);
    struct target_booking b = {target_firm_bytes(g), target_firm_millis(g)};

    if (other != NULL) {
        b.bytes += beyond(target_firm_bytes(other), b.bytes);
        b.millis += beyond(target_firm_millis(other), b.millis);
    }
    return b;
}

/* The node's books always show what its grants keep. */
static void set(struct core_grant *g, uint32_t max, uint32_t warm, uint32_t reserved)
{
    struct placement_node *n = &g->node->place;
    struct target_booking before = target_booked_together(g), after;

    g->max = max;
    g->warm = warm;
    g->reserved = reserved;
    after = target_booked_together(g);
    n->firm_bytes = n->firm_bytes - before.bytes + after.bytes;
    n->firm_millis = n->firm_millis - before.millis + after.millis;
}

void target_book(struct core_grant *g, uint32_t max, uint32_t warm, uint32_t reserved)
{
    CHECK(warm <= max && reserved <= max && max > 0);
    set(g, max, warm, reserved);
}

void target_link_grant(struct core_target *t, struct core_node *n, struct core_grant *g)
{
    g->target = t;
    g->node = n;
    list_push_back(&t->grants, &g->of_target);
    list_push_back(&n->grants, &g->of_node);
    t->n_grants++;
    n->place.n_grants++;
    near_note(t->body->counted, n);
}

void target_drop_grant(struct core_grant *g)
{
    struct core_target *t = g->target;

    set(g, 0, 0, 0);
    g->node->place.n_grants--;
    if (t->proof_node == g->node) {
        t->proof_node = NULL;
    }
    t->n_grants--;
    list_remove(&g->of_target);
    list_remove(&g->of_node);
    free(g);
}
