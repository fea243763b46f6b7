#include "controller/core/insight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/clean.h"
#include "controller/core/core_private.h"

/* --- how long calls took ------------------------------------------------------------ */

static void over(struct controller_core *c, struct alarm *a)
{
    struct insight *in = container_of(a, struct insight, over);

    free(in->window);
    in->window = NULL;
}

/* The counts of the slot under way; NULL: out of memory. */
static uint32_t *slot_now(struct controller_core *c, struct insight *in)
{
    uint64_t at = core_now_ms(c) / INSIGHT_SLOT_MS;
    size_t i = at % INSIGHT_SLOTS;
    bool begins = in->window == NULL;

    if (begins) {
        in->window = calloc(1, sizeof(*in->window));
        if (in->window == NULL) {
            return NULL;
        }
    }
    if (begins || in->window->at[i] != at) {
        in->window->at[i] = at;
        memset(in->window->counts[i], 0, sizeof(in->window->counts[i]));
        in->over.fire = over;
        alarms_set(&c->alarms, &in->over, (at + INSIGHT_SLOTS) * INSIGHT_SLOT_MS);
    }
    return in->window->counts[i];
}

static bool grow(struct insight_counted *counted, size_t n)
{
    uint64_t *grown;

    if (n <= counted->n) {
        return true;
    }
    grown = reallocarray(counted->counts, n, sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    memset(grown + counted->n, 0, (n - counted->n) * sizeof(*grown));
    counted->counts = grown;
    counted->n = n;
    return true;
}

/* What a node had counted before this controller heard of it may be of any time. */
static void take_latency(struct controller_core *c, struct core_load *l,
                         const struct version_load *v)
{
    struct insight_counted *counted = &l->counted;
    size_t n = v->n_latency < LATENCY_BUCKETS ? v->n_latency : LATENCY_BUCKETS;
    uint32_t *slot = NULL;

    if (!grow(counted, n)) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t was = counted->counts[i], now = v->latency[i];
        uint64_t more = now >= was ? now - was : now; /* less: it began anew */

        if (more > 0 && counted->known) {
            slot = slot != NULL ? slot : slot_now(c, &l->f->insight);
            if (slot == NULL) {
                return;
            }
            slot[i] += (uint32_t)more;
        }
        counted->counts[i] = now;
    }
    counted->known = true;
}

json_t *insight_latency_view(const struct core_function *f)
{
    const struct insight_window *w = f->insight.window;
    uint64_t at = core_now_ms(f->core) / INSIGHT_SLOT_MS;
    struct latency sum = {0};

    for (size_t i = 0; w != NULL && i < INSIGHT_SLOTS; i++) {
        for (size_t k = 0; w->at[i] + INSIGHT_SLOTS > at && k < LATENCY_BUCKETS; k++) {
            sum.counts[k] += w->counts[i][k];
        }
    }
    if (latency_count(&sum) == 0) {
        return json_null();
    }
    return json_pack("{s:I, s:f, s:f, s:f}", "count", (json_int_t)latency_count(&sum),
                     "p50_ms", (double)latency_quantile_us(&sum, 0.5) / 1000, "p90_ms",
                     (double)latency_quantile_us(&sum, 0.9) / 1000, "p99_ms",
                     (double)latency_quantile_us(&sum, 0.99) / 1000);
}

/* --- the latest --------------------------------------------------------------------- */

static void set_source(struct insight_source *s, const struct core_load *l)
{
    memcpy(s->node, l->node->name, sizeof(s->node));
    s->version = l->version;
}

static void take_last(struct core_load *l, const struct version_load *v)
{
    struct insight *in = &l->f->insight;
    struct insight_last *last;

    if (v->last_cold.at_ms == 0 && v->last_wait.at_ms == 0 &&
        v->last_refused.at_ms == 0) {
        return;
    }
    if (in->last == NULL) {
        in->last = calloc(1, sizeof(*in->last));
    }
    last = in->last;
    if (last == NULL) {
        return;
    }
    if (v->last_cold.at_ms > last->cold.at_ms) {
        last->cold = v->last_cold;
        set_source(&last->cold_by, l);
    }
    if (v->last_wait.at_ms > last->wait.at_ms) {
        last->wait = v->last_wait;
        set_source(&last->wait_by, l);
    }
    if (v->last_refused.at_ms > last->refused.at_ms) {
        last->refused = v->last_refused;
        clean_text(last->text, sizeof(last->text),
                   v->last_refused.text != NULL ? v->last_refused.text : "");
        last->refused.text = last->text;
        set_source(&last->refused_by, l);
    }
}

void insight_report(struct controller_core *c, struct core_load *l,
                    const struct version_load *v)
{
    take_latency(c, l, v);
    take_last(l, v);
}

void insight_counted_free(struct insight_counted *c)
{
    free(c->counts);
    *c = (struct insight_counted){0};
}

void insight_end(struct controller_core *c, struct core_function *f)
{
    alarms_clear(&c->alarms, &f->insight.over);
    insight_free(f);
}

void insight_free(struct core_function *f)
{
    struct insight *in = &f->insight;

    free(in->window);
    free(in->last);
    *in = (struct insight){0};
}
