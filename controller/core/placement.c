#include "controller/core/placement.h"

#include <errno.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/cleanup.h"

/* Up to so many nodes all are looked at; of more a sample, and all only if the sample
 * does not suffice: a decision takes microseconds whatever the cluster's size ("the power
 * of two random choices", Mitzenmacher 2001, with a wider choice). */
#define LOOK_AT_ALL 48
#define SAMPLE_MIN  16

#define MAX_ON_NODE 100000u /* as spec.h's max_scale */

/* A grant promises nothing yet, but calls will come: it weighs so much. */
#define GRANT_WEIGHT_BYTES ((double)(32 * 1024 * 1024))

struct pick {
    struct placement_node *node;
    uint32_t cap;      /* instances that its whole memory holds */
    uint32_t warm_cap; /* instances that what others left of it holds */
    uint32_t old_max, old_warm;
    bool preferred; /* old, and the plan keeps to old ones */
    double load;
    uint32_t max, warm; /* the outcome */
};

struct plan {
    const struct placement_request *r;
    bool afresh; /* previous nodes are candidates like others */
    struct pick *picks;
    size_t n, capacity;
    size_t n_chosen; /* the first ones of picks */
    uint64_t max_missing, warm_missing;
};

/* --- the usable nodes ------------------------------------------------------------- */

int placement_nodes_add(struct placement_nodes *ns, struct placement_node *n)
{
    CHECK(n->index == PLACEMENT_NOWHERE);
    if (ns->n == ns->capacity) {
        size_t capacity = ns->capacity > 0 ? ns->capacity * 2 : 16;
        struct placement_node **items = reallocarray(ns->items, capacity, sizeof(*items));

        if (items == NULL) {
            return -ENOMEM;
        }
        ns->items = items;
        ns->capacity = capacity;
    }
    n->index = ns->n;
    ns->items[ns->n++] = n;
    return 0;
}

void placement_nodes_remove(struct placement_nodes *ns, struct placement_node *n)
{
    CHECK(n->index < ns->n && ns->items[n->index] == n);
    ns->items[n->index] = ns->items[--ns->n];
    ns->items[n->index]->index = n->index;
    n->index = PLACEMENT_NOWHERE;
}

void placement_nodes_free(struct placement_nodes *ns)
{
    free(ns->items);
    *ns = (struct placement_nodes){0};
}

/* --- candidates ------------------------------------------------------------------- */

static bool is_avoided(const struct placement_request *r, const struct placement_node *n)
{
    for (size_t i = 0; i < r->n_avoid; i++) {
        if (r->avoid[i] == n) {
            return true;
        }
    }
    return false;
}

static bool has(const struct plan *p, const struct placement_node *n)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->picks[i].node == n) {
            return true;
        }
    }
    return false;
}

static uint32_t instances_in(uint64_t bytes, const struct placement_request *r)
{
    uint64_t n = bytes / r->instance_bytes;

    return n > MAX_ON_NODE ? MAX_ON_NODE : (uint32_t)n;
}

/* Adds the node if an instance fits it at all. old: what it has of the version, or NULL.
 */
static void consider(struct plan *p, struct placement_node *n,
                     const struct placement_grant *old)
{
    uint64_t own_bytes = old != NULL ? old->warm * p->r->instance_bytes : 0;
    uint64_t others_bytes = n->warm_bytes - own_bytes;
    struct pick *pick;

    CHECK(n->warm_bytes >= own_bytes);
    if (n->index == PLACEMENT_NOWHERE || n->memory_bytes < p->r->instance_bytes ||
        is_avoided(p->r, n) || (n->closed && old == NULL)) {
        return;
    }
    CHECK(p->n < p->capacity);
    pick = &p->picks[p->n++];
    *pick = (struct pick){.node = n, .cap = instances_in(n->memory_bytes, p->r)};
    if (n->closed && old->max < pick->cap) {
        pick->cap = old->max;
    }
    if (others_bytes < n->memory_bytes) {
        pick->warm_cap = instances_in(n->memory_bytes - others_bytes, p->r);
    }
    pick->load = ((double)others_bytes + n->n_grants * GRANT_WEIGHT_BYTES) /
                 (double)n->memory_bytes;
    if (old != NULL) {
        pick->preferred = !p->afresh;
        pick->old_max = old->max;
        pick->old_warm = old->warm;
    }
}

static uint64_t step(uint64_t *state) /* splitmix64, https://prng.di.unimi.it */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* The previous nodes are always looked at; of the others a sample, or all. */
static int look(struct plan *p, const struct placement_nodes *ns, size_t sample)
{
    const struct placement_request *r = p->r;
    size_t capacity = r->n_previous + sample;
    struct pick *picks = calloc(capacity + 1, sizeof(*picks));
    _cleanup_free_ bool *seen = calloc(sample == ns->n ? ns->n + 1 : 1, sizeof(*seen));
    uint64_t state = r->seed;

    if (picks == NULL || seen == NULL) {
        free(picks);
        return -ENOMEM;
    }
    free(p->picks);
    p->picks = picks;
    p->n = 0;
    p->capacity = capacity;
    for (size_t i = 0; i < r->n_previous; i++) {
        struct placement_node *n = r->previous[i].node;

        consider(p, n, &r->previous[i]);
        if (sample == ns->n && n->index != PLACEMENT_NOWHERE) {
            seen[n->index] = true;
        }
    }
    for (size_t i = 0; i < sample; i++) {
        struct placement_node *n = ns->items[sample == ns->n ? i : step(&state) % ns->n];

        if (sample == ns->n ? !seen[i] : !has(p, n)) {
            consider(p, n, NULL);
        }
    }
    return 0;
}

/* Previous nodes first, those that hold most before others; then the least loaded. */
static int by_preference(const void *left, const void *right)
{
    const struct pick *a = left, *b = right;

    if (a->preferred != b->preferred) {
        return a->preferred ? -1 : 1;
    }
    if (a->preferred && a->old_warm != b->old_warm) {
        return a->old_warm > b->old_warm ? -1 : 1;
    }
    if (a->preferred && a->old_max != b->old_max) {
        return a->old_max > b->old_max ? -1 : 1;
    }
    if (a->load < b->load || a->load > b->load) {
        return a->load < b->load ? -1 : 1;
    }
    return a->node->index < b->node->index ? -1 : 1;
}

/* --- choice ----------------------------------------------------------------------- */

static void choose_one(struct plan *p, size_t i)
{
    struct pick moved = p->picks[i];

    /* The order of the rest is kept. */
    for (; i > p->n_chosen; i--) {
        p->picks[i] = p->picks[i - 1];
    }
    p->picks[p->n_chosen++] = moved;
}

static void choose(struct plan *p)
{
    const struct placement_request *r = p->r;
    size_t most = r->max > 0 && r->max < p->n ? r->max : p->n;
    size_t homes = r->homes_max < most ? r->homes_max : most;
    uint64_t max = 0, warm = 0;

    qsort(p->picks, p->n, sizeof(*p->picks), by_preference);
    for (size_t i = 0; i < homes; i++) {
        max += p->picks[i].cap;
        warm += p->picks[i].warm_cap;
    }
    p->n_chosen = homes;
    for (size_t i = homes; i < p->n && p->n_chosen < most; i++) {
        bool more_warm = warm < r->warm && p->picks[i].warm_cap > 0;

        if (more_warm || max < r->max) {
            max += p->picks[i].cap;
            warm += p->picks[i].warm_cap;
            choose_one(p, i);
        }
    }
}

/* --- shares ----------------------------------------------------------------------- */

struct share {
    uint32_t floor, cap; /* floor <= cap */
    uint32_t old;
    uint32_t value;
};

static uint32_t at_level(const struct share *s, uint32_t level)
{
    return level < s->floor ? s->floor : level > s->cap ? s->cap : level;
}

static uint64_t sum_at_level(const struct share *s, size_t n, uint32_t level)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += at_level(&s[i], level);
    }
    return sum;
}

/* Fills the shares to one level as water does, then gives what is left over one by one,
 * first to those that had more before. Returns what could not be given. */
static uint64_t spread(struct share *s, size_t n, uint64_t total)
{
    uint32_t low = 0, high = MAX_ON_NODE;
    uint64_t left;

    CHECK(sum_at_level(s, n, 0) <= total);
    while (low < high) { /* the highest level that total reaches */
        uint32_t mid = low + (high - low + 1) / 2;

        if (sum_at_level(s, n, mid) <= total) {
            low = mid;
        } else {
            high = mid - 1;
        }
    }
    left = total - sum_at_level(s, n, low);
    for (size_t i = 0; i < n; i++) {
        s[i].value = at_level(&s[i], low);
    }
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < n && left > 0; i++) {
            if (s[i].value == low && s[i].value < s[i].cap &&
                (pass > 0 || s[i].old > low)) {
                s[i].value++;
                left--;
            }
        }
    }
    return left;
}

static int share_out(struct plan *p)
{
    const struct placement_request *r = p->r;
    size_t n = p->n_chosen;
    _cleanup_free_ struct share *s = calloc(n > 0 ? n : 1, sizeof(*s));

    if (s == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        const struct pick *pick = &p->picks[i];

        s[i] =
            (struct share){.cap = pick->warm_cap < pick->cap ? pick->warm_cap : pick->cap,
                           .old = pick->old_warm};
    }
    p->warm_missing = spread(s, n, r->warm);
    for (size_t i = 0; i < n; i++) {
        struct pick *pick = &p->picks[i];

        pick->warm = s[i].value;
        s[i] =
            (struct share){.floor = pick->warm, .cap = pick->cap, .old = pick->old_max};
        pick->max = pick->cap;
    }
    p->max_missing = r->max > 0 ? spread(s, n, r->max) : 0;
    for (size_t i = 0; i < n && r->max > 0; i++) {
        p->picks[i].max = s[i].value;
    }
    return 0;
}

/* --- together --------------------------------------------------------------------- */

static bool suffices(const struct plan *p)
{
    return p->n_chosen > 0 && p->warm_missing == 0 && p->max_missing == 0;
}

static int make_plan(struct plan *p, const struct placement_nodes *ns)
{
    size_t sample = SAMPLE_MIN + 2 * (size_t)p->r->homes_max;
    int rc;

    if (ns->n <= LOOK_AT_ALL || sample > ns->n) {
        sample = ns->n;
    }
    for (;;) {
        rc = look(p, ns, sample);
        if (rc < 0) {
            return rc;
        }
        choose(p);
        rc = share_out(p);
        if (rc < 0 || sample == ns->n || suffices(p)) {
            return rc;
        }
        sample = ns->n;
    }
}

static int take(struct placement_result *ret, const struct plan *p)
{
    struct placement_grant *grants = NULL;
    size_t n = 0;

    if (p->n_chosen > 0) {
        grants = calloc(p->n_chosen, sizeof(*grants));
        if (grants == NULL) {
            return -ENOMEM;
        }
    }
    for (size_t i = 0; i < p->n_chosen; i++) {
        const struct pick *pick = &p->picks[i];

        CHECK(pick->warm <= pick->max && pick->warm <= pick->warm_cap);
        if (pick->max > 0) { /* 0: the others' warm ones used the limit up */
            grants[n++] = (struct placement_grant){
                .node = pick->node, .max = pick->max, .warm = pick->warm};
        }
    }
    *ret = (struct placement_result){.grants = grants,
                                     .n = n,
                                     .max_missing = p->max_missing,
                                     .warm_missing = p->warm_missing};
    return 0;
}

int placement_place(const struct placement_nodes *ns, const struct placement_request *r,
                    struct placement_result *ret)
{
    struct plan stable = {.r = r}, afresh = {.r = r, .afresh = true};
    const struct plan *best = &stable;
    int rc;

    CHECK(r->instance_bytes > 0 && r->homes_max > 0);
    CHECK(r->max == 0 || r->warm <= r->max);
    rc = make_plan(&stable, ns);
    if (rc == 0 && stable.warm_missing > 0 && r->n_previous > 0) {
        /* A limited version may be on nodes that others have filled with what they keep
         * warm: would it find room if it moved? */
        rc = make_plan(&afresh, ns);
        if (rc == 0 && afresh.warm_missing < stable.warm_missing) {
            best = &afresh;
        }
    }
    if (rc == 0) {
        rc = take(ret, best);
    }
    free(stable.picks);
    free(afresh.picks);
    return rc;
}

void placement_result_free(struct placement_result *r)
{
    free(r->grants);
    *r = (struct placement_result){0};
}
