#include "controller/core/targets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "controller/core/clean.h"
#include "controller/core/near.h"
#include "controller/core/nodes.h"
#include "controller/core/target_fit.h"

#define TRIED_MAX 32
#define RETRY_MS  2000 /* all nodes were tried: again after this */
#define PROOF_GRACE_MS                                              \
    60000 /* beyond init_timeout_ms: fetching the package, starting \
           */

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

static void drop_grants(struct core_target *t)
{
    LIST_FOREACH_SAFE(it, &t->grants)
    {
        target_drop_grant(container_of(it, struct core_grant, of_target));
    }
    t->proof_node = NULL;
}

void target_free(struct core_target *t)
{
    drop_grants(t);
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
                         struct placement_node *ret[TRIED_MAX])
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
    struct placement_node *avoid[TRIED_MAX], *near[CORE_NEAR_MAX];
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
    struct placement_result r;
    bool met;
    int rc;

    if (ask(c, t, warm, held, &r) < 0) {
        return TARGET_NO_MEMORY;
    }
    met = r.n > 0 && r.max_missing == 0 && r.warm_missing == 0 && r.reserved_missing == 0;
    scaling_placed(t, warm, r.warm_missing);
    rc = take_over(t, &r);
    t->why = r.why;
    t->reserved_missing = r.reserved_missing;
    placement_result_free(&r);
    return rc < 0 ? TARGET_NO_MEMORY : met ? TARGET_MET : TARGET_SHORT;
}

/* --- proof ------------------------------------------------------------------------ */

void target_fail(struct core_target *t, enum cause cause, const char *text)
{
    if (t->proof == PROOF_WANTED) {
        t->proof = PROOF_FAILED;
        t->cause = cause;
        clean_text(t->text, sizeof(t->text), text);
        drop_grants(t);
    }
}

void target_avoid(struct core_target *t, const struct core_node *n, enum cause cause,
                  const char *text)
{
    char(*grown)[SPEC_NODE_MAX + 1] = t->tried;

    if (n != t->proof_node) {
        return; /* it was not asked to prove anything (any more) */
    }
    t->cause = cause;
    clean_text(t->text, sizeof(t->text), text);
    t->proof_node = NULL;
    if (t->n_tried < TRIED_MAX) {
        grown = reallocarray(t->tried, t->n_tried + 1, sizeof(*grown));
    }
    if (t->n_tried == TRIED_MAX || grown == NULL) {
        target_fail(t, cause, text);
        return;
    }
    t->tried = grown;
    memcpy(t->tried[t->n_tried++], n->name, sizeof(n->name));
}

static struct core_node *warm_node(const struct core_target *t)
{
    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        if (g->warm > 0) {
            return g->node;
        }
    }
    return NULL;
}

/* Nowhere to prove itself. That may pass, but whoever waits wants an answer. */
static enum target_outcome wait_for_place(struct controller_core *c,
                                          struct core_target *t)
{
    uint64_t now_ms = core_now_ms(c);

    drop_grants(t);
    if (t->n_tried == 0) {
        struct placement_request r;

        target_request(c, t, &r);
        target_explain(c, t, &r);
    }
    if (c->usable.n == 0) {
        t->trouble_until_ms = 0;
        t->n_tried = 0;
        return TARGET_SHORT;
    }
    scaling_squeeze(c);
    if (t->trouble_until_ms == 0) {
        t->trouble_until_ms = now_ms + TARGET_TROUBLE_MS;
    }
    if (now_ms >= t->trouble_until_ms) {
        char text[sizeof(t->text)];

        memcpy(text, t->text, sizeof(text));
        target_fail(t, t->n_tried > 0 ? t->cause : CAUSE_NO_CAPACITY, text);
        return TARGET_MET;
    }
    if (t->n_tried > 0 && t->retry_ms == 0) {
        t->retry_ms = now_ms + RETRY_MS;
    }
    return TARGET_SHORT;
}

static void check_silence(struct core_target *t, uint64_t now_ms)
{
    char text[CORE_TEXT_MAX];

    if (t->proof_node != NULL && now_ms >= t->proof_until_ms) {
        (void)snprintf(text, sizeof(text),
                       "node %s did not say in time whether it started",
                       t->proof_node->name);
        target_avoid(t, t->proof_node, CAUSE_START_FAILED, text);
    }
}

enum target_outcome target_prove(struct controller_core *c, struct core_target *t)
{
    uint64_t now_ms = core_now_ms(c);
    enum target_outcome outcome;
    struct core_node *node;

    if (t->proof == PROOF_READY) {
        uint32_t warm = scaling_warm(t);

        return target_place(c, t, warm > 1 ? warm : 1);
    }
    check_silence(t, now_ms);
    if (t->proof == PROOF_FAILED) {
        return TARGET_MET;
    }
    if (t->retry_ms != 0 && now_ms >= t->retry_ms) {
        t->retry_ms = 0;
        t->n_tried = 0;
    }
    outcome = target_place(c, t, 1);
    if (outcome == TARGET_NO_MEMORY) {
        return outcome;
    }
    node = warm_node(t);
    if (node == NULL || t->reserved_missing > 0) {
        return wait_for_place(c, t);
    }
    if (node != t->proof_node) {
        t->proof_node = node;
        t->proof_until_ms = now_ms + t->body->spec.init_timeout_ms + PROOF_GRACE_MS;
    }
    t->retry_ms = 0;
    if (t->cause == CAUSE_NONE) { /* no node has failed it yet */
        t->trouble_until_ms = 0;
        t->text[0] = '\0';
    }
    return outcome;
}

uint64_t target_due_ms(const struct core_target *t)
{
    uint64_t due_ms;

    if (t->proof != PROOF_WANTED) {
        return UINT64_MAX;
    }
    if (t->proof_node != NULL) {
        return t->proof_until_ms;
    }
    due_ms = t->trouble_until_ms != 0 ? t->trouble_until_ms : UINT64_MAX;
    return t->retry_ms != 0 && t->retry_ms < due_ms ? t->retry_ms : due_ms;
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
    scaling_invariant(c, t);
    CHECK(t->proof_node == NULL || t->n_grants > 0);
    if (core_placing(c) && t->body != NULL && t->most > 0) {
        CHECK(max <= t->most);
    }
}
