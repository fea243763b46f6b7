#include "controller/core/targets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "controller/core/clean.h"
#include "controller/core/nodes.h"

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

uint64_t target_warm_bytes(const struct core_grant *g)
{
    return g->warm * instance_bytes(g->target);
}

/* The node's books always show what its grants keep warm. */
static void book(struct core_grant *g, uint32_t max, uint32_t warm)
{
    uint64_t bytes = instance_bytes(g->target);

    CHECK(warm <= max && max > 0);
    g->node->place.warm_bytes -= target_warm_bytes(g);
    g->node->place.warm_bytes += warm * bytes;
    g->max = max;
    g->warm = warm;
}

static void link_grant(struct core_target *t, struct core_node *n, struct core_grant *g)
{
    g->target = t;
    g->node = n;
    list_push_back(&t->grants, &g->of_target);
    list_push_back(&n->grants, &g->of_node);
    t->n_grants++;
    n->place.n_grants++;
}

void target_drop_grant(struct core_grant *g)
{
    struct core_target *t = g->target;

    g->node->place.warm_bytes -= target_warm_bytes(g);
    g->node->place.n_grants--;
    if (t->proof_node == g->node) {
        t->proof_node = NULL;
    }
    t->n_grants--;
    list_remove(&g->of_target);
    list_remove(&g->of_node);
    free(g);
}

int target_adopt(struct core_target *t, struct core_node *n, uint32_t max, uint32_t warm)
{
    uint64_t free_bytes = n->place.memory_bytes > n->place.warm_bytes
                              ? n->place.memory_bytes - n->place.warm_bytes
                              : 0;
    struct core_grant *g;

    LIST_FOREACH(it, &t->grants)
    {
        if (container_of(it, struct core_grant, of_target)->node == n) {
            return 0; /* said twice */
        }
    }
    if (max == 0 || n->place.memory_bytes < instance_bytes(t)) {
        return 0;
    }
    warm = warm < max ? warm : max;
    if (warm > free_bytes / instance_bytes(t)) {
        warm = (uint32_t)(free_bytes / instance_bytes(t));
    }
    g = calloc(1, sizeof(*g));
    if (g == NULL) {
        return -ENOMEM;
    }
    link_grant(t, n, g);
    book(g, max, warm);
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
            link_grant(t, n, g);
        }
        book(g, r->grants[i].max, r->grants[i].warm);
        g->kept = true;
    }
    LIST_FOREACH_SAFE(it, &t->grants)
    {
        struct core_grant *g = container_of(it, struct core_grant, of_target);

        g->node->scratch = NULL;
        if (!g->kept) {
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

static int ask(struct controller_core *c, const struct core_target *t, uint32_t warm,
               struct placement_result *ret)
{
    const struct function_spec *spec = &t->body->spec;
    struct placement_node *avoid[TRIED_MAX];
    struct placement_request r = {
        .instance_bytes = instance_bytes(t),
        .max = spec->max_scale,
        .warm = warm,
        .homes_max = c->options.homes_max,
        .avoid = avoid,
        .n_avoid = find_tried(c, t, avoid),
        .seed = c->io.random(c->io.ctx),
    };
    _cleanup_free_ struct placement_grant *previous =
        calloc(t->n_grants + 1, sizeof(*previous));

    if (previous == NULL) {
        return -ENOMEM;
    }
    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        previous[r.n_previous++] = (struct placement_grant){
            .node = &g->node->place, .max = g->max, .warm = g->warm};
    }
    r.previous = previous;
    return placement_place(&c->usable, &r, ret);
}

enum target_outcome target_place(struct controller_core *c, struct core_target *t,
                                 uint32_t warm)
{
    struct placement_result r;
    bool met;
    int rc;

    if (ask(c, t, warm, &r) < 0) {
        return TARGET_NO_MEMORY;
    }
    met = r.n > 0 && r.max_missing == 0 && r.warm_missing == 0;
    rc = take_over(t, &r);
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

static void explain(const struct controller_core *c, struct core_target *t)
{
    unsigned mib = t->body->spec.memory_mib;
    bool fits = false;

    for (size_t i = 0; i < c->usable.n && !fits; i++) {
        fits = c->usable.items[i]->memory_bytes >= instance_bytes(t);
    }
    if (c->usable.n == 0) {
        (void)snprintf(t->text, sizeof(t->text), "no node is ready; waiting for one");
    } else if (!fits) {
        (void)snprintf(t->text, sizeof(t->text), "no node has %u MiB of memory", mib);
    } else {
        (void)snprintf(t->text, sizeof(t->text),
                       "no node has %u MiB of memory that is not kept for others", mib);
    }
}

/* Nowhere to prove itself. That may pass, but whoever waits wants an answer. */
static enum target_outcome wait_for_place(const struct controller_core *c,
                                          struct core_target *t)
{
    uint64_t now_ms = core_now_ms(c);

    drop_grants(t);
    if (t->n_tried == 0) {
        explain(c, t);
    }
    if (c->usable.n == 0) {
        t->trouble_until_ms = 0;
        t->n_tried = 0;
        return TARGET_SHORT;
    }
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
        return target_place(c, t, 1);
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
    if (node == NULL) {
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

        CHECK(g->target == t && g->node->ready && g->max > 0 && g->warm <= g->max);
        CHECK(g->node->scratch == NULL);
        max += g->max;
        n++;
    }
    CHECK(n == t->n_grants);
    CHECK(t->proof_node == NULL || t->n_grants > 0);
    if (core_placing(c) && t->body != NULL && t->body->spec.max_scale > 0) {
        CHECK(max <= t->body->spec.max_scale);
    }
}
