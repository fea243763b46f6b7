#include "agent/core/agent_core_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

/* Which other node gets a call: the better of two that chance picks, weighted by their
 * grants ("power of two choices", Mitzenmacher 2001). Better is who has more free slots,
 * as it said with its last reply, less what was sent there since. What was said fades: a
 * node that nothing was heard of is thought to have as many as it was granted. */

/* --- places --------------------------------------------------------------------------
 */

int catalog_places_new(const struct agent_core *a, const struct version_state *s,
                       struct place **ret_places, size_t *ret_n, struct grant *ret_ours)
{
    struct place *places = NULL;
    struct grant ours = {.max = 0};
    size_t n = 0;

    if (s->n_grants > 0 && (places = calloc(s->n_grants, sizeof(*places))) == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < s->n_grants; i++) {
        if (strcmp(s->grants[i].node, a->node) == 0) {
            ours = s->grants[i];
        } else if (s->grants[i].max > 0) {
            struct place *p = &places[n++];

            memcpy(p->node, s->grants[i].node, sizeof(p->node));
            p->max = s->grants[i].max;
            p->warm = s->grants[i].warm;
            p->before_ours = ours.max == 0;
            p->avoid = (struct backoff){.min_ms = CORE_AVOID_MIN_MS,
                                        .max_ms = CORE_AVOID_MAX_MS};
        }
    }
    *ret_places = places;
    *ret_n = n;
    *ret_ours = ours;
    return 0;
}

static struct place *find(const struct version *v, const char *node)
{
    for (size_t i = 0; i < v->n_places; i++) {
        if (strcmp(v->places[i].node, node) == 0) {
            return &v->places[i];
        }
    }
    return NULL;
}

/* A node whose grant has changed may be able to now: it is avoided no longer. */
void catalog_places_set(struct version *v, struct place *places, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct place *known = find(v, places[i].node);
        struct place told = places[i];

        if (known != NULL && known->max == told.max) {
            places[i] = *known;
            places[i].warm = told.warm;
            places[i].before_ours = told.before_ours;
        }
    }
    free(v->places);
    v->places = places;
    v->n_places = n;
}

/* --- room ----------------------------------------------------------------------------
 */

static uint64_t granted_slots(const struct version *v, const struct place *p)
{
    return (uint64_t)p->max * pool_slots(v);
}

static uint64_t age_ms(const struct version *v, const struct place *p)
{
    uint64_t age = v->function->core->now_ms - p->since_ms;

    return age < CORE_ROOM_MS ? age : CORE_ROOM_MS;
}

static int64_t expected(const struct version *v, const struct place *p)
{
    uint64_t age = age_ms(v, p);
    uint64_t all = granted_slots(v, p);
    uint64_t free = p->heard ? p->free : all;

    free = (free * (CORE_ROOM_MS - age) + all * age) / CORE_ROOM_MS;
    return (int64_t)free - (int64_t)(age < CORE_ROOM_MS ? p->sent : 0);
}

static const struct peer *usable_peer(const struct version *v, const struct place *p)
{
    const struct peer *peer = catalog_peer_find(v->function->core, p->node);

    return peer != NULL && peer->usable && peer->gateway[0] != '\0' ? peer : NULL;
}

static bool open_now(const struct version *v, const struct place *p)
{
    return p->avoid_until_ms <= v->function->core->now_ms && usable_peer(v, p) != NULL;
}

bool catalog_place_any(const struct version *v)
{
    for (size_t i = 0; i < v->n_places; i++) {
        if (usable_peer(v, &v->places[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static bool better(const struct version *v, const struct place *x, const struct place *y)
{
    int64_t by = expected(v, x) - expected(v, y);

    return by != 0 ? by > 0
                   : usable_peer(v, x)->load_permille < usable_peer(v, y)->load_permille;
}

/* One of the open ones but `besides`, by chance, weighted by the grants. */
static struct place *draw(struct version *v, const struct place *besides)
{
    const struct agent_core *a = v->function->core;
    struct place *drawn = NULL;
    uint64_t total = 0;

    for (size_t i = 0; i < v->n_places; i++) {
        struct place *p = &v->places[i];

        if (p == besides || !open_now(v, p)) {
            continue;
        }
        total += p->max;
        if (a->io.random(a->io.ctx) % total < p->max) {
            drawn = p;
        }
    }
    return drawn;
}

struct place *catalog_place_pick(struct version *v, bool *ret_room)
{
    struct place *best = draw(v, NULL);
    struct place *other = best != NULL ? draw(v, best) : NULL;

    if (best == NULL) {
        return NULL;
    }
    if (other != NULL && better(v, other, best)) {
        best = other;
    }
    for (size_t i = 0; i < v->n_places && expected(v, best) <= 0; i++) {
        if (open_now(v, &v->places[i]) && better(v, &v->places[i], best)) {
            best = &v->places[i];
        }
    }
    *ret_room = expected(v, best) > 0;
    return best;
}

/* With little load an instance is enough, if all nodes send their calls to the same one.
 * They agree without a word: it is the first that shall keep instances, else the first of
 * all, in the order of the grants, which all are told alike. */
struct place *catalog_place_home(struct version *v)
{
    struct place *home = NULL;

    for (size_t i = 0; i < v->n_places; i++) {
        struct place *p = &v->places[i];

        if (!open_now(v, p) || expected(v, p) <= 0) {
            continue;
        }
        if (p->warm > 0) {
            return p;
        }
        if (home == NULL && p->before_ours) {
            home = p;
        }
    }
    return home;
}

uint32_t catalog_place_floor(const struct version *v)
{
    uint64_t before = 0, left;

    for (size_t i = 0; i < v->n_places; i++) {
        before += v->places[i].before_ours ? v->places[i].warm : 0;
    }
    left = v->least > before ? v->least - before : 0;
    return left < v->grant_warm ? (uint32_t)left : v->grant_warm;
}

/* --- what is learned -----------------------------------------------------------------
 */

static void hear(struct version *v, struct place *p, bool heard, uint32_t free)
{
    p->heard = heard;
    p->free = free;
    p->sent = 0;
    p->since_ms = v->function->core->now_ms;
}

void catalog_place_sent(struct version *v, struct place *p)
{
    if (age_ms(v, p) >= CORE_ROOM_MS) {
        hear(v, p, false, 0);
    }
    p->sent++;
}

void catalog_place_heard(struct version *v, const char *node, const struct hop_room *room)
{
    struct peer *peer = catalog_peer_find(v->function->core, node);
    struct place *p = find(v, node);

    if (peer != NULL) {
        peer->load_permille = room->load_permille;
    }
    if (p != NULL) {
        hear(v, p, true, room->free);
        p->avoid_until_ms = 0;
        backoff_reset(&p->avoid);
    }
}

void catalog_place_refused(struct version *v, const char *node, enum call_verdict verdict)
{
    const struct agent_core *a = v->function->core;
    struct place *p = find(v, node);

    if (p == NULL) {
        return;
    }
    hear(v, p, true, 0);
    if (verdict == VERDICT_CANNOT) {
        p->avoid_until_ms =
            a->now_ms + backoff_next_ms(&p->avoid, a->io.random(a->io.ctx));
    }
}
