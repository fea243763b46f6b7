#include "controller/core/target_books.h"

#include <stdlib.h>

#include "common/check.h"
#include "controller/core/near.h"
#include "controller/core/targets.h"

#define MIB (1024ULL * 1024ULL)

struct core_target *target_partner(const struct core_target *t)
{
    return t == t->f->serving     ? t->f->candidate
           : t == t->f->candidate ? t->f->serving
                                  : NULL;
}

struct core_grant *target_sibling(const struct core_grant *g)
{
    const struct core_target *t = g->target;
    const struct core_target *other = target_partner(t);

    if (other == NULL || other->n_grants == 0 ||
        (t->reserved == 0 && other->reserved == 0)) {
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

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static struct target_booking times(const struct core_grant *g, uint32_t instances)
{
    const struct function_spec *spec = &g->target->body->spec;

    return (struct target_booking){instances * (spec->memory_mib * MIB),
                                   (uint64_t)instances * spec->cpu_millis};
}

struct target_booking target_firm(const struct core_grant *g)
{
    return times(g, g->warm > g->reserved ? g->warm : g->reserved);
}

struct target_booking target_warm(const struct core_grant *g)
{
    return times(g, g->warm);
}

/* A reservation is the function's: instances of both versions stand in it, and both may
 * keep some ready. */
struct target_booking target_booked_together(const struct core_grant *g)
{
    const struct core_grant *other = target_sibling(g);
    struct target_booking b = target_firm(g), warm, other_warm, other_firm;

    if (other != NULL) {
        warm = target_warm(g);
        other_warm = target_warm(other);
        other_firm = target_firm(other);
        b.bytes =
            larger(b.bytes, larger(other_firm.bytes, warm.bytes + other_warm.bytes));
        b.millis =
            larger(b.millis, larger(other_firm.millis, warm.millis + other_warm.millis));
    }
    return b;
}

/* Of two that share, the serving version's is booked whole. */
struct target_booking target_booked(const struct core_grant *g)
{
    const struct core_grant *other =
        g->target == g->target->f->candidate ? target_sibling(g) : NULL;
    struct target_booking b = target_booked_together(g), serving;

    if (g->target != g->target->f->candidate) {
        return target_firm(g);
    }
    if (other != NULL) {
        serving = target_firm(other);
        b.bytes -= serving.bytes;
        b.millis -= serving.millis;
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

/* The grants of all its versions. */
static void each_grant(struct core_function *f, void (*each)(struct core_grant *g))
{
    for (struct core_target *t = target_next(f, NULL); t != NULL; t = target_next(f, t)) {
        LIST_FOREACH(it, &t->grants)
        {
            each(container_of(it, struct core_grant, of_target));
        }
    }
}

static void unbook(struct core_grant *g)
{
    struct target_booking b = target_booked(g);

    g->node->place.firm_bytes -= b.bytes;
    g->node->place.firm_millis -= b.millis;
}

static void rebook(struct core_grant *g)
{
    struct target_booking b = target_booked(g);

    g->node->place.firm_bytes += b.bytes;
    g->node->place.firm_millis += b.millis;
}

static bool is_reserved(const struct core_target *t)
{
    return t != NULL && t->body != NULL && t->reserved > 0;
}

/* What shared a reservation, its own or its partner's, and now stands beside it must not
 * book more than both did. */
static void drop_firm(struct core_grant *g)
{
    const struct core_function *f = g->target->f;

    if (g->target != f->serving && g->target != f->candidate &&
        (is_reserved(g->target) || is_reserved(f->serving) ||
         is_reserved(f->candidate))) {
        g->warm = g->reserved = 0;
    }
}

void target_books_close(struct core_function *f)
{
    each_grant(f, unbook);
}

void target_books_open(struct core_function *f)
{
    each_grant(f, drop_firm);
    each_grant(f, rebook);
}

void target_books_leave(struct core_target *t)
{
    LIST_FOREACH(it, &t->grants)
    {
        rebook(container_of(it, struct core_grant, of_target));
    }
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
    near_note(t->body->counted[0], n);
    holds_begin(g);
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
    holds_end(g);
}

void target_drop_grants(struct core_target *t)
{
    LIST_FOREACH_SAFE(it, &t->grants)
    {
        target_drop_grant(container_of(it, struct core_grant, of_target));
    }
    t->proof_node = NULL;
}
