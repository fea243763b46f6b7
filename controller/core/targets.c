#include "controller/core/targets.h"

#include <errno.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "controller/core/near.h"
#include "controller/core/nodes.h"
#include "controller/core/target_fit.h"
#include "controller/core/target_leave.h"

#define MIB (1024ULL * 1024ULL)

static uint64_t instance_bytes(const struct core_target *t)
{
    return t->body->spec.memory_mib * MIB;
}

/* --- life ------------------------------------------------------------------------- */

struct core_target *target_new(struct core_function *f, uint64_t number)
{
    struct core_target *t = calloc(1, sizeof(*t));

    if (t != NULL) {
        t->f = f;
        t->number = number;
        list_init(&t->grants);
        scaling_open(t);
        list_init(&t->link);
    }
    return t;
}

struct core_target *target_next(const struct core_function *f,
                                const struct core_target *t)
{
    const struct list *at = &f->others;

    if (t == NULL && f->serving != NULL) {
        return f->serving;
    }
    if ((t == NULL || t == f->serving) && f->candidate != NULL) {
        return f->candidate;
    }
    if (t != NULL && t != f->serving && t != f->candidate) {
        at = &t->link;
    }
    return at->next != &f->others ? container_of(at->next, struct core_target, link)
                                  : NULL;
}

void target_free(struct core_target *t)
{
    target_drop_grants(t);
    scaling_close(t);
    list_remove(&t->link);
    free(t->tried);
    free(t);
}

void target_set_body(struct core_target *t, const struct core_body *b)
{
    /* A body that changes under grants would change what they have booked. */
    CHECK(t->body == b || t->n_grants == 0);
    t->body = b;
}

/* --- grants ----------------------------------------------------------------------- */

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint64_t beyond(uint64_t amount, uint64_t taken)
{
    return amount > taken ? amount - taken : 0;
}

/* How many firm ones the node has room for; of what a version on it may share nothing is
 * counted, as it is placed anew soon. */
static uint32_t firm_room(const struct core_target *t, const struct placement_node *n)
{
    uint64_t fit = beyond(n->memory_bytes, n->firm_bytes) / instance_bytes(t);
    uint64_t fit_cpu = beyond(n->cpu_millis, n->firm_millis) / t->body->spec.cpu_millis;

    if (n->cpu_millis > 0 && fit_cpu < fit) {
        fit = fit_cpu;
    }
    return fit < UINT32_MAX ? (uint32_t)fit : UINT32_MAX;
}

int target_adopt(struct core_target *t, struct core_node *n, uint32_t max, uint32_t warm,
                 uint32_t reserved)
{
    uint32_t room = firm_room(t, &n->place);
    uint32_t limit = t->most;
    struct core_grant *g;
    uint32_t told = max;
    uint64_t sum = 0;

    LIST_FOREACH(it, &t->grants)
    {
        g = container_of(it, struct core_grant, of_target);
        if (g->node == n) {
            return 0; /* said twice */
        }
        sum += g->max;
    }
    if (limit > 0 && max > limit - sum) { /* it was of another function of that name */
        max = limit - (uint32_t)sum;
    }
    if (max == 0 || n->place.memory_bytes < instance_bytes(t)) {
        return 0;
    }
    warm = smaller(warm, smaller(max, room));
    reserved = smaller(reserved, smaller(max, room));
    g = calloc(1, sizeof(*g));
    if (g == NULL) {
        return -ENOMEM;
    }
    target_link_grant(t, n, g);
    target_book(g, max, warm, reserved);
    holds_adopt(g, told);
    return 0;
}

/* --- placing ---------------------------------------------------------------------- */

/* New grants, made before anything is changed: taking over cannot fail then. */
static int make_grants(struct list *made, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct core_grant *g = calloc(1, sizeof(*g));

        if (g == NULL) {
            LIST_FOREACH_SAFE(it, made)
            {
                free(container_of(it, struct core_grant, of_target));
            }
            return -ENOMEM;
        }
        list_push_back(made, &g->of_target);
    }
    return 0;
}

static struct core_node *owner(struct placement_node *n)
{
    return container_of(n, struct core_node, place);
}

/* What it was chosen for is not forgotten when it is kept. */
static void take_why(struct core_grant *g, const struct placement_pick_why *why)
{
    struct placement_pick_why was = g->why;

    g->why = *why;
    if (why->kept) {
        g->why.near = was.near;
        g->why.new_zone = was.new_zone;
    }
}

static int take_over(struct core_target *t, const struct placement_result *r)
{
    struct list made;
    size_t n_new = 0;

    LIST_FOREACH(it, &t->grants)
    {
        struct core_grant *g = container_of(it, struct core_grant, of_target);

        g->kept = false;
        g->node->scratch = g;
    }
    for (size_t i = 0; i < r->n; i++) {
        n_new += owner(r->grants[i].node)->scratch == NULL ? 1 : 0;
    }
    list_init(&made);
    if (make_grants(&made, n_new) < 0) {
        LIST_FOREACH(it, &t->grants)
        {
            container_of(it, struct core_grant, of_target)->node->scratch = NULL;
        }
        return -ENOMEM;
    }
    for (size_t i = 0; i < r->n; i++) {
        struct core_node *n = owner(r->grants[i].node);
        struct core_grant *g = n->scratch;

        if (g == NULL) {
            g = container_of(made.next, struct core_grant, of_target);
            list_remove(&g->of_target);
            target_link_grant(t, n, g);
        }
        target_book(g, r->grants[i].max, r->grants[i].warm, r->grants[i].reserved);
        take_why(g, &r->grants[i].why);
        g->kept = true;
    }
    LIST_FOREACH_SAFE(it, &t->grants)
    {
        struct core_grant *g = container_of(it, struct core_grant, of_target);

        g->node->scratch = NULL;
        if (!g->kept && g->leave_ms == 0) {
            target_drop_grant(g);
        }
    }
    return 0;
}

/* The nodes that a candidate was tried on, those of them that are there. */
static size_t find_tried(const struct controller_core *c, const struct core_target *t,
                         struct placement_node *ret[TARGET_TRIED_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < t->n_tried; i++) {
        struct core_node *node = nodes_find(c, t->tried[i]);

        if (node != NULL) {
            ret[n++] = &node->place;
        }
    }
    return n;
}

static void leave_warm(struct placement_grant *p, const struct core_grant *other)
{
    if (other != NULL) {
        p->other_warm_bytes = target_warm(other).bytes;
        p->other_warm_millis = target_warm(other).millis;
    }
}

/* What it has, and what it may use of the function's other version. */
static struct placement_grant *list_previous(const struct core_target *t, size_t *ret_n)
{
    const struct core_target *other = target_partner(t);
    size_t n_other = other != NULL ? other->n_grants : 0, n = 0;
    struct placement_grant *all = calloc(t->n_grants + n_other + 1, sizeof(*all));

    if (all == NULL) {
        return NULL;
    }
    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);
        struct target_booking own = target_booked_together(g);

        if (g->leave_ms == 0) {
            all[n++] = (struct placement_grant){.node = &g->node->place,
                                                .max = g->max,
                                                .warm = g->warm,
                                                .reserved = g->reserved,
                                                .own_bytes = own.bytes,
                                                .own_millis = own.millis};
            leave_warm(&all[n - 1], target_sibling(g));
        }
    }
    if (n_other > 0 && (t->reserved > 0 || other->reserved > 0)) {
        LIST_FOREACH(it, &other->grants)
        {
            const struct core_grant *g = container_of(it, struct core_grant, of_target);
            struct target_booking own = target_firm(g);

            if (target_sibling(g) == NULL) {
                all[n++] = (struct placement_grant){.node = &g->node->place,
                                                    .own_bytes = own.bytes,
                                                    .own_millis = own.millis};
                leave_warm(&all[n - 1], g);
            }
        }
    }
    *ret_n = n;
    return all;
}

/* `held` instances of what it may have stay where they are. */
static int ask(struct controller_core *c, const struct core_target *t, uint32_t warm,
               uint32_t held, struct placement_result *ret)
{
    struct placement_node *avoid[TARGET_TRIED_MAX], *near[CORE_NEAR_MAX];
    _cleanup_free_ struct placement_grant *previous = NULL;
    struct placement_request r;

    target_request(c, t, &r);
    if (t != t->f->serving && t != t->f->candidate) {
        r.reserved = 0; /* the reservation is the function's, and kept for those */
    }
    r.warm = warm;
    if (r.max > 0) {
        r.max -= held;
        r.warm = smaller(r.warm, r.max);
        r.reserved = smaller(r.reserved, r.max);
    }
    r.avoid = avoid;
    r.n_avoid = find_tried(c, t, avoid);
    r.near = near;
    r.n_near = near_nodes(t->body->counted[0], near);
    previous = list_previous(t, &r.n_previous);
    if (previous == NULL) {
        return -ENOMEM;
    }
    r.previous = previous;
    return placement_place(&c->usable, &r, ret);
}

enum target_outcome target_place(struct controller_core *c, struct core_target *t,
                                 uint32_t warm)
{
    uint32_t held = target_leave(c, t);
    uint32_t replacing = t->body->spec.reuse ? target_replacing(t) : 0;
    uint32_t more = replacing > warm ? replacing - warm : 0;
    struct placement_result r;
    bool met;
    int rc;

    if (ask(c, t, warm + more, held, &r) < 0) {
        return TARGET_NO_MEMORY;
    }
    r.warm_missing = beyond(r.warm_missing, more); /* those can only be wished for */
    met = r.n > 0 && r.max_missing == 0 && r.warm_missing == 0 && r.reserved_missing == 0;
    scaling_placed(t, warm, r.warm_missing);
    rc = take_over(t, &r);
    t->why = r.why;
    t->reserved_missing = r.reserved_missing;
    placement_result_free(&r);
    return rc < 0 ? TARGET_NO_MEMORY : met ? TARGET_MET : TARGET_SHORT;
}

/* --- check ------------------------------------------------------------------------ */

void target_invariant(const struct controller_core *c, const struct core_target *t)
{
    uint64_t max = 0;
    size_t n = 0;

    CHECK(t->body != NULL || t->n_grants == 0);
    CHECK(t->proof != PROOF_FAILED || t->n_grants == 0);
    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        CHECK(g->target == t && g->node->ready && g->max > 0);
        CHECK(g->warm <= g->max && g->reserved <= g->max);
        CHECK(g->node->scratch == NULL);
        max += g->max;
        n++;
    }
    CHECK(n == t->n_grants);
    holds_invariant(t);
    scaling_invariant(c, t);
    CHECK(t->proof_node == NULL || t->n_grants > 0);
    if (t->most > 0) {
        CHECK(max <= t->most);
    }
}
