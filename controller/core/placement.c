#include "controller/core/placement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "controller/core/placement_source.h"

/* Up to so many nodes all are looked at; of more a sample, and all only if the sample
 * does not suffice: a decision takes microseconds whatever the cluster's size ("the power
 * of two random choices", Mitzenmacher 2001, with a wider choice). */
#define LOOK_AT_ALL 48
#define SAMPLE_MIN  16

#define FEW        64 /* candidates that need no allocation */
#define FEW_CHOSEN 16 /* likewise */

#define MAX_ON_NODE 100000u /* as spec.h's max_scale */

struct pick {
    struct placement_node *node;
    struct placement_caps cap;
    const struct placement_grant *old; /* what it had, or NULL */
    bool preferred;                    /* it had some, and the plan keeps to such nodes */
    struct placement_pick_why why;
    uint32_t max, firm, warm; /* the outcome */
};

struct plan {
    const struct placement_request *r;
    bool afresh;              /* previous nodes are candidates like others */
    struct pick *picks, *few; /* few: room for FEW, or NULL */
    size_t n, capacity;
    size_t n_chosen; /* the first ones of picks */
    uint32_t firm;   /* wanted */
    uint64_t max_missing, firm_missing, warm_missing;
    struct placement_why why;
};

/* --- candidates ------------------------------------------------------------------- */

static bool is_near(const struct placement_request *r, const struct placement_node *n)
{
    for (size_t i = 0; i < r->n_near; i++) {
        if (r->near[i] == n) {
            return true;
        }
    }
    return false;
}

/* Adds the node if it may have the version. old: what it has of it, or NULL. */
static void consider(struct plan *p, struct placement_node *n, uint64_t round,
                     const struct placement_grant *old)
{
    struct placement_caps cap;
    enum placement_filter filter;
    struct pick *pick;
    size_t constraint = 0;

    if (n->index == PLACEMENT_NOWHERE || n->mark == round) {
        return;
    }
    n->mark = round;
    p->why.n_looked++;
    filter = placement_fit(n, p->r, old, &cap, &constraint);
    p->why.refused[filter]++;
    if (filter != PLACEMENT_FITS) {
        p->why.by_constraint[constraint] += filter == PLACEMENT_LABELS;
        return;
    }
    CHECK(p->n < p->capacity);
    pick = &p->picks[p->n++];
    *pick = (struct pick){.node = n, .cap = cap, .old = old};
    placement_score(&pick->why, n, p->r,
                    n->firm_bytes - (old != NULL ? old->own_bytes : 0), &cap,
                    is_near(p->r, n));
    pick->preferred = old != NULL && old->max > 0 && !p->afresh;
    pick->why.kept = old != NULL && old->max > 0;
}

static uint64_t step(uint64_t *state) /* splitmix64, https://prng.di.unimi.it */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* A multiplication, as divisions are the dearest instructions of a look (Lemire, "Fast
 * random integer generation in an interval", 2019); the bias is none to speak of. */
static size_t below(uint64_t *state, size_t n)
{
    return (size_t)(((step(state) >> 32) * n) >> 32);
}

static void drop_picks(struct plan *p)
{
    if (p->picks != p->few) {
        free(p->picks);
    }
    p->picks = NULL;
}

/* The previous nodes and those with the package are always looked at; of the others a
 * sample, or all. */
static int look(struct plan *p, struct placement_nodes *ns,
                const struct placement_source *s, size_t sample)
{
    const struct placement_request *r = p->r;
    size_t capacity = r->n_previous + r->n_near + sample;
    uint64_t state = r->seed;

    drop_picks(p);
    p->picks = p->few != NULL && capacity <= FEW
                   ? p->few
                   : calloc(capacity + 1, sizeof(*p->picks));
    if (p->picks == NULL) {
        return -ENOMEM;
    }
    p->n = 0;
    p->capacity = capacity;
    p->why = (struct placement_why){
        .n_nodes = (uint32_t)ns->n, .n_indexed = (uint32_t)s->n, .policy = r->policy};
    ns->round++;
    for (size_t i = 0; i < r->n_previous; i++) {
        consider(p, r->previous[i].node, ns->round, &r->previous[i]);
    }
    for (size_t i = 0; i < r->n_near; i++) {
        consider(p, r->near[i], ns->round, NULL);
    }
    for (size_t i = 0; i < sample; i++) {
        consider(p, placement_source_at(s, sample == s->n ? i : below(&state, s->n)),
                 ns->round, NULL);
    }
    return 0;
}

static uint32_t old_firm(const struct pick *p)
{
    if (p->old == NULL) {
        return 0;
    }
    return p->old->warm > p->old->reserved ? p->old->warm : p->old->reserved;
}

static uint32_t old_max(const struct pick *p)
{
    return p->old != NULL ? p->old->max : 0;
}

/* Previous nodes first, those that hold most before others; then the best. */
static int by_preference(const void *left, const void *right)
{
    const struct pick *a = left, *b = right;

    if (a->preferred != b->preferred) {
        return a->preferred ? -1 : 1;
    }
    if (a->preferred && old_firm(a) != old_firm(b)) {
        return old_firm(a) > old_firm(b) ? -1 : 1;
    }
    if (a->preferred && old_max(a) != old_max(b)) {
        return old_max(a) > old_max(b) ? -1 : 1;
    }
    if (a->why.score < b->why.score || a->why.score > b->why.score) {
        return a->why.score > b->why.score ? -1 : 1;
    }
    return a->node->index < b->node->index ? -1 : 1;
}

/* --- choice ----------------------------------------------------------------------- */

static void choose_one(struct plan *p, size_t i)
{
    struct pick moved = p->picks[i];

    p->picks[i] = p->picks[p->n_chosen];
    p->picks[p->n_chosen++] = moved;
    if (moved.node->zone != NULL) {
        moved.node->zone->chosen++;
    }
}

static uint32_t chosen_in_zone(const struct pick *p)
{
    return p->node->zone->chosen;
}

static size_t best_of_rest(const struct plan *p)
{
    size_t best = p->n_chosen;

    for (size_t i = best + 1; i < p->n; i++) {
        if (by_preference(&p->picks[i], &p->picks[best]) < 0) {
            best = i;
        }
    }
    return best;
}

/* Of those in zones with fewer than `first`, which is the best of all, has. */
static size_t best_of_other_zones(const struct plan *p, size_t first)
{
    size_t best = first;

    for (size_t i = p->n_chosen; i < p->n; i++) {
        const struct pick *a = &p->picks[i], *b = &p->picks[best];

        if (i == first || a->node->zone == NULL ||
            chosen_in_zone(a) >= chosen_in_zone(&p->picks[first]) ||
            (p->picks[first].cap.firm > 0 && a->cap.firm == 0)) {
            continue;
        }
        if (chosen_in_zone(a) < chosen_in_zone(b) ||
            (chosen_in_zone(a) == chosen_in_zone(b) && by_preference(a, b) < 0)) {
            best = i;
        }
    }
    return best;
}

/* The next home: the best one or, to spread over zones, the best of those in the zone
 * that has fewest so far. Bin packing does so until there are two zones: one may fail.
 * There are few homes, so that looking through the rest for each costs less than to put
 * it in order. */
static size_t next_home(struct plan *p)
{
    bool by_zone = p->r->policy == SPEC_PLACEMENT_SPREAD || p->n_chosen == 1;
    size_t best = best_of_rest(p);
    const struct pick *first = &p->picks[best];

    if (by_zone && !first->preferred && first->node->zone != NULL &&
        chosen_in_zone(first) > 0) {
        best = best_of_other_zones(p, best);
    }
    p->picks[best].why.new_zone = p->n_chosen > 0 && p->picks[best].node->zone != NULL &&
                                  chosen_in_zone(&p->picks[best]) == 0;
    return best;
}

struct sums {
    uint64_t max, firm, warm;
};

static void add_last(struct sums *s, const struct plan *p)
{
    const struct placement_caps *cap = &p->picks[p->n_chosen - 1].cap;

    s->max += cap->max;
    s->firm += cap->firm;
    s->warm += cap->warm;
}

/* Beyond the homes: each that brings what is still missing. */
static void choose_more(struct plan *p, size_t most, struct sums *had)
{
    const struct placement_request *r = p->r;
    size_t homes = p->n_chosen;

    qsort(p->picks + homes, p->n - homes, sizeof(*p->picks), by_preference);
    for (size_t i = homes; i < p->n && p->n_chosen < most; i++) {
        bool more_firm = had->firm < p->firm && p->picks[i].cap.firm > 0;
        bool more_warm = had->warm < r->warm && p->picks[i].cap.warm > 0;

        if (more_firm || more_warm || had->max < r->max) {
            choose_one(p, i);
            add_last(had, p);
        }
    }
}

static void choose(struct plan *p)
{
    const struct placement_request *r = p->r;
    size_t most = r->max > 0 && r->max < p->n ? r->max : p->n;
    size_t homes = r->homes_max < most ? r->homes_max : most;
    struct sums had = {0};

    p->n_chosen = 0;
    while (p->n_chosen < homes) {
        choose_one(p, next_home(p));
        add_last(&had, p);
    }
    if (homes < most && (had.max < r->max || had.firm < p->firm || had.warm < r->warm)) {
        choose_more(p, most, &had);
    }
    for (size_t i = 0; i < p->n_chosen; i++) {
        if (p->picks[i].node->zone != NULL) {
            p->picks[i].node->zone->chosen = 0;
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
    uint32_t low = 0, high = total < MAX_ON_NODE ? (uint32_t)total : MAX_ON_NODE;
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
    struct share few[FEW_CHOSEN];
    _cleanup_free_ struct share *many = NULL;
    struct share *s = few;

    if (n > FEW_CHOSEN) {
        s = many = calloc(n, sizeof(*many));
    }
    if (s == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        s[i] = (struct share){.cap = p->picks[i].cap.firm, .old = old_firm(&p->picks[i])};
    }
    p->firm_missing = spread(s, n, p->firm);
    for (size_t i = 0; i < n; i++) {
        struct pick *pick = &p->picks[i];

        pick->firm = s[i].value;
        s[i] = (struct share){.cap = pick->firm < pick->cap.warm ? pick->firm
                                                                 : pick->cap.warm,
                              .old = pick->old != NULL ? pick->old->warm : 0};
    }
    p->warm_missing = spread(s, n, r->warm);
    for (size_t i = 0; i < n; i++) {
        struct pick *pick = &p->picks[i];

        pick->warm = s[i].value;
        s[i] = (struct share){
            .floor = pick->firm, .cap = pick->cap.max, .old = old_max(pick)};
        pick->max = pick->cap.max;
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
    return p->n_chosen > 0 && p->firm_missing == 0 && p->warm_missing == 0 &&
           p->max_missing == 0;
}

static int make_plan(struct plan *p, struct placement_nodes *ns)
{
    size_t sample = SAMPLE_MIN + 2 * (size_t)p->r->homes_max;
    struct placement_source s = placement_source(ns, p->r);
    int rc;

    p->firm = p->r->warm > p->r->reserved ? p->r->warm : p->r->reserved;
    if (s.n <= LOOK_AT_ALL || sample > s.n) {
        sample = s.n;
    }
    for (;;) {
        rc = look(p, ns, &s, sample);
        if (rc < 0) {
            return rc;
        }
        choose(p);
        rc = share_out(p);
        if (rc < 0 || sample == s.n || suffices(p)) {
            return rc;
        }
        sample = s.n;
    }
}

static uint64_t missing(uint64_t wanted, uint64_t had)
{
    return wanted > had ? wanted - had : 0;
}

static int take(struct placement_result *ret, const struct plan *p)
{
    struct placement_grant *grants = NULL;
    uint64_t warm = 0, firm = 0;
    size_t n = 0;

    if (p->n_chosen > 0) {
        grants = calloc(p->n_chosen, sizeof(*grants));
        if (grants == NULL) {
            return -ENOMEM;
        }
    }
    for (size_t i = 0; i < p->n_chosen; i++) {
        const struct pick *pick = &p->picks[i];

        CHECK(pick->warm <= pick->firm && pick->firm <= pick->max &&
              pick->firm <= pick->cap.firm);
        warm += pick->warm;
        firm += pick->firm;
        if (pick->max > 0) { /* 0: the others' firm ones used the limit up */
            grants[n++] =
                (struct placement_grant){.node = pick->node,
                                         .max = pick->max,
                                         .warm = pick->warm,
                                         .reserved = p->r->reserved > 0 ? pick->firm : 0,
                                         .why = pick->why};
        }
    }
    *ret = (struct placement_result){.grants = grants,
                                     .n = n,
                                     .max_missing = p->max_missing,
                                     .warm_missing = missing(p->r->warm, warm),
                                     .reserved_missing = missing(p->r->reserved, firm),
                                     .why = p->why};
    ret->why.max_missing = (uint32_t)p->max_missing;
    ret->why.firm_missing = (uint32_t)p->firm_missing;
    return 0;
}

int placement_place(struct placement_nodes *ns, const struct placement_request *r,
                    struct placement_result *ret)
{
    struct pick few[FEW];
    struct plan stable = {.r = r, .few = few}, afresh = {.r = r, .afresh = true};
    const struct plan *best = &stable;
    int rc;

    CHECK(r->instance_bytes > 0 && r->homes_max > 0);
    CHECK(r->max == 0 || (r->warm <= r->max && r->reserved <= r->max));
    CHECK(r->policy == SPEC_PLACEMENT_BINPACK || r->policy == SPEC_PLACEMENT_SPREAD);
    rc = make_plan(&stable, ns);
    if (rc == 0 && stable.firm_missing + stable.warm_missing > 0 && r->n_previous > 0) {
        /* A limited version may be on nodes that others have filled with what they keep
         * warm: would it find room if it moved? */
        rc = make_plan(&afresh, ns);
        if (rc == 0 && afresh.firm_missing + afresh.warm_missing <
                           stable.firm_missing + stable.warm_missing) {
            best = &afresh;
        }
    }
    if (rc == 0) {
        rc = take(ret, best);
    }
    drop_picks(&stable);
    drop_picks(&afresh);
    return rc;
}

void placement_result_free(struct placement_result *r)
{
    free(r->grants);
    *r = (struct placement_result){0};
}
