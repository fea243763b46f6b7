#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

uint64_t sim_random(struct sim_clock *c)
{
    uint64_t z = c->random_state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

uint64_t sim_below(struct sim_clock *c, uint64_t n)
{
    return n == 0 ? 0 : sim_random(c) % n;
}

bool sim_chance(struct sim_clock *c, uint32_t per_mille)
{
    return sim_below(c, 1000) < per_mille;
}

/* Geometric steps of half the mean: close enough to exponential, and in integers only, so
 * that a seed gives the same run on every machine. */
uint64_t sim_spread(struct sim_clock *c, uint64_t mean_us)
{
    uint64_t step = mean_us / 2 + 1, us = sim_below(c, step);

    for (int i = 0; i < 16 && sim_chance(c, 600); i++) {
        us += step;
    }
    return us;
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void swap(struct sim_event *a, struct sim_event *b)
{
    struct sim_event t = *a;

    *a = *b;
    *b = t;
}

void sim_after(struct sim_clock *c, uint64_t delay_us, void (*run)(void *),
               void (*drop)(void *), void *data, const uint64_t *life)
{
    size_t i = c->n;

    if (c->n == c->capacity) {
        c->capacity = c->capacity == 0 ? 256 : c->capacity * 2;
        c->heap = reallocarray(c->heap, c->capacity, sizeof(*c->heap));
        CHECK(c->heap != NULL);
    }
    c->heap[c->n++] = (struct sim_event){
        .at_us = c->now_us + delay_us,
        .seq = c->seq++,
        .run = run,
        .drop = drop,
        .data = data,
        .life = life,
        .life_was = life != NULL ? *life : 0,
    };
    while (i > 0 && before(&c->heap[i], &c->heap[(i - 1) / 2])) {
        swap(&c->heap[i], &c->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

static struct sim_event pop(struct sim_clock *c)
{
    struct sim_event top = c->heap[0];
    size_t i = 0;

    c->heap[0] = c->heap[--c->n];
    for (;;) {
        size_t least = i, left = 2 * i + 1;

        for (size_t child = left; child < left + 2 && child < c->n; child++) {
            if (before(&c->heap[child], &c->heap[least])) {
                least = child;
            }
        }
        if (least == i) {
            return top;
        }
        swap(&c->heap[i], &c->heap[least]);
        i = least;
    }
}

static void drop(const struct sim_event *e)
{
    if (e->drop != NULL) {
        e->drop(e->data);
    }
}

bool sim_step(struct sim_clock *c, uint64_t until_us)
{
    struct sim_event e;

    if (c->n == 0 || c->heap[0].at_us > until_us) {
        c->now_us = until_us;
        return false;
    }
    e = pop(c);
    c->now_us = e.at_us;
    if (e.life != NULL && *e.life != e.life_was) {
        drop(&e);
    } else {
        e.run(e.data);
    }
    return true;
}

void sim_clock_free(struct sim_clock *c)
{
    while (c->n > 0) {
        struct sim_event e = pop(c);

        drop(&e);
    }
    free(c->heap);
    *c = (struct sim_clock){0};
}
