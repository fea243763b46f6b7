#include "controller/core/autoscaler.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/autoscaler_rules.h"

#define SECOND_MS 1000
#define VALUE_MAX 1e9
#define PER_MS(v) ((int64_t)((v) * (AUTOSCALER_WINDOW_UNIT / SECOND_MS) + 0.5))

struct autoscaler {
    struct autoscaler_config config;
    struct autoscaler_state state;
    struct autoscaler_window stable, panic; /* of the configured metric */
    uint64_t now_ms;                        /* the latest time seen */
    /* The latest observation's value, while it stands; it is in the windows up to the end
     * of the second `filled`. */
    bool observed;
    uint64_t filled;
    int64_t value; /* a millisecond's worth, in the window's unit */
    struct autoscaler_observation latest;
    struct autoscaler_decision last;
};

static const struct {
    const char *name, *text;
} clamps[AUTOSCALER_CLAMP_COUNT] = {
#define X(NAME, name, text) {name, text},
    AUTOSCALER_CLAMPS(X)
#undef X
};

static const char *const basis_names[AUTOSCALER_BASIS_COUNT] = {
    [AUTOSCALER_BASIS_NONE] = "none",
    [AUTOSCALER_BASIS_STABLE] = "stable",
    [AUTOSCALER_BASIS_PANIC] = "panic",
    [AUTOSCALER_BASIS_QUEUE] = "queue",
};

/* --- life ------------------------------------------------------------------------- */

struct autoscaler *autoscaler_free(struct autoscaler *a)
{
    if (a != NULL) {
        autoscaler_window_free(&a->stable);
        autoscaler_window_free(&a->panic);
        autoscaler_peaks_free(&a->state.delay);
        free(a);
    }
    return NULL;
}

int autoscaler_new(struct autoscaler **ret, const struct autoscaler_config *c,
                   uint64_t now_ms, uint32_t ready)
{
    struct autoscaler *a = calloc(1, sizeof(*a));

    CHECK(autoscaler_config_check(c, NULL) == 0);
    if (a == NULL ||
        autoscaler_window_init(&a->stable, autoscaler_config_stable_s(c)) < 0 ||
        autoscaler_window_init(&a->panic, autoscaler_config_panic_s(c)) < 0 ||
        autoscaler_peaks_init(&a->state.delay, autoscaler_rules_delay_buckets(c)) < 0) {
        (void)autoscaler_free(a);
        return -ENOMEM;
    }
    a->config = *c;
    a->now_ms = now_ms;
    autoscaler_rules_start(&a->state, c, now_ms, ready);
    a->latest.ready = ready;
    a->last = (struct autoscaler_decision){
        .at_ms = now_ms,
        .desired = a->state.desired,
        .panicking = a->state.panic_ms != AUTOSCALER_NEVER,
        .metric = c->metric,
        .target = autoscaler_config_target(c),
        .total = autoscaler_config_total(c),
        .ready = ready,
        .clamps = AUTOSCALER_CLAMP_BIT(NO_DATA),
    };
    *ret = a;
    return 0;
}

/* The window for a new configuration: with what the old one holds, unless that is of
 * another metric. */
static int window_next(struct autoscaler_window *ret, const struct autoscaler_window *w,
                       uint32_t seconds, bool keep)
{
    return keep ? autoscaler_window_copy(ret, w, seconds)
                : autoscaler_window_init(ret, seconds);
}

int autoscaler_configure(struct autoscaler *a, const struct autoscaler_config *c)
{
    struct autoscaler_window stable = {0}, panic = {0};
    struct autoscaler_peaks delay = {0};
    bool keep = c->metric == a->config.metric;

    CHECK(autoscaler_config_check(c, NULL) == 0);
    if (window_next(&stable, &a->stable, autoscaler_config_stable_s(c), keep) < 0 ||
        window_next(&panic, &a->panic, autoscaler_config_panic_s(c), keep) < 0 ||
        autoscaler_peaks_copy(&delay, &a->state.delay,
                              autoscaler_rules_delay_buckets(c)) < 0) {
        autoscaler_window_free(&stable);
        autoscaler_window_free(&panic);
        return -ENOMEM;
    }
    autoscaler_window_free(&a->stable);
    autoscaler_window_free(&a->panic);
    autoscaler_peaks_free(&a->state.delay);
    a->stable = stable;
    a->panic = panic;
    a->state.delay = delay;
    a->config = *c;
    a->observed = a->observed && keep;
    return 0;
}

void autoscaler_set_min_scale(struct autoscaler *a, double min_scale)
{
    a->config.min_scale = min_scale;
}

void autoscaler_set_reachable(struct autoscaler *a, bool reachable)
{
    a->state.reachable = reachable;
}

size_t autoscaler_bytes(const struct autoscaler *a)
{
    return sizeof(*a) +
           (a->stable.length + a->panic.length) * sizeof(*a->stable.buckets) +
           a->state.delay.length * sizeof(*a->state.delay.items);
}

/* --- what is observed --------------------------------------------------------------- */

static void windows_add(struct autoscaler *a, uint64_t second, int64_t amount)
{
    autoscaler_window_add(&a->stable, second, amount);
    autoscaler_window_add(&a->panic, second, amount);
}

static uint64_t hold_end(const struct autoscaler *a)
{
    return a->latest.at_ms + (uint64_t)a->config.observation_hold_ms;
}

/* Milliseconds of [from, to) during which the latest observation stands. */
static int64_t held_ms(const struct autoscaler *a, uint64_t from, uint64_t to)
{
    uint64_t end = hold_end(a) < to ? hold_end(a) : to;

    return end > from ? (int64_t)(end - from) : 0;
}

/* Carries the value on through the seconds that have begun since. A second is filled to
 * its end at once, and corrected if its value changes: so the second that runs counts in
 * full and a load that has just come is not hidden by its being young. */
static void fill(struct autoscaler *a, uint64_t now_ms)
{
    uint64_t second = now_ms / SECOND_MS;

    while (a->observed && a->filled < second) {
        int64_t ms = held_ms(a, (a->filled + 1) * SECOND_MS, (a->filled + 2) * SECOND_MS);

        if (ms == 0) {
            a->observed = false;
            break;
        }
        a->filled++;
        windows_add(a, a->filled, a->value * ms);
    }
}

static uint64_t advance(struct autoscaler *a, uint64_t now_ms)
{
    if (now_ms > a->now_ms) {
        a->now_ms = now_ms;
    }
    fill(a, a->now_ms);
    return a->now_ms;
}

static double sane(double v)
{
    return v > 0 ? (v < VALUE_MAX ? v : VALUE_MAX) : 0; /* NaN: 0 */
}

bool autoscaler_observe(struct autoscaler *a, const struct autoscaler_observation *o)
{
    uint64_t now = advance(a, o->at_ms), second = now / SECOND_MS;
    uint64_t end = (second + 1) * SECOND_MS;
    double concurrency = sane(o->concurrency), rps = sane(o->rps);
    int64_t value = PER_MS(a->config.metric == AUTOSCALER_RPS ? rps : concurrency);
    uint32_t max = (uint32_t)a->config.max_scale, wanted;

    if (a->observed) {
        windows_add(a, second,
                    value * (int64_t)(end - now) - a->value * held_ms(a, now, end));
    } else { /* nothing is known of this second's beginning: it was as its rest */
        windows_add(a, second, value * SECOND_MS);
    }
    a->observed = true;
    a->filled = second;
    a->value = value;
    a->latest = *o;
    a->latest.at_ms = now;
    a->latest.concurrency = concurrency;
    a->latest.rps = rps;

    if (a->state.desired == 0 && (value > 0 || o->queued > 0)) {
        return true;
    }
    wanted = autoscaler_rules_queue(&a->config, concurrency, o->queued, o->ready);
    if (max > 0 && wanted > max) {
        wanted = max;
    }
    return wanted > a->state.desired;
}

void autoscaler_add(struct autoscaler *a, uint64_t from_ms, uint64_t to_ms, double amount)
{
    uint64_t to = to_ms < a->now_ms ? to_ms : a->now_ms;
    uint64_t first = a->now_ms - a->stable.length * (uint64_t)SECOND_MS, at = from_ms;
    double per_ms;

    if (!(fabs(amount) < VALUE_MAX * SECOND_MS) || from_ms > to) { /* NaN as well */
        return;
    }
    if (from_ms == to) {
        windows_add(a, to / SECOND_MS, PER_MS(amount));
        return;
    }
    per_ms = amount / (double)(to - from_ms);
    if (a->now_ms > a->stable.length * (uint64_t)SECOND_MS && at < first) {
        at = first;
    }
    while (at < to) {
        uint64_t end = (at / SECOND_MS + 1) * SECOND_MS;

        end = end < to ? end : to;
        windows_add(a, at / SECOND_MS,
                    (int64_t)(per_ms * (double)(end - at) *
                              ((double)AUTOSCALER_WINDOW_UNIT / SECOND_MS)));
        at = end;
    }
}

/* --- decisions ---------------------------------------------------------------------- */

static double average(const struct autoscaler_window *w, uint64_t now_ms)
{
    return (double)autoscaler_window_average(w, now_ms / SECOND_MS) /
           AUTOSCALER_WINDOW_UNIT;
}

void autoscaler_decide(struct autoscaler *a, uint64_t now_ms,
                       struct autoscaler_decision *ret)
{
    uint64_t now = advance(a, now_ms);
    struct autoscaler_input in = {
        .now_ms = now,
        .has_data = !autoscaler_window_empty(&a->stable, now / SECOND_MS),
        .stable = average(&a->stable, now),
        .panic = average(&a->panic, now),
        .ready = a->latest.ready,
    };

    if (a->observed && now < hold_end(a)) {
        in.concurrency = a->latest.concurrency;
        in.queued = a->latest.queued;
    }
    autoscaler_rules_decide(&a->state, &a->config, &in, &a->last);
    *ret = a->last;
}

const struct autoscaler_decision *autoscaler_last(const struct autoscaler *a)
{
    return &a->last;
}

/* --- words ----------------------------------------------------------------------------
 */

const char *autoscaler_clamp_name(enum autoscaler_clamp c)
{
    return clamps[c].name;
}

const char *autoscaler_clamp_text(enum autoscaler_clamp c)
{
    return clamps[c].text;
}

const char *autoscaler_basis_name(enum autoscaler_basis b)
{
    return basis_names[b];
}

static void put(char *ret, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void put(char *ret, size_t size, const char *fmt, ...)
{
    size_t len = strlen(ret);
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(ret + len, size - len, fmt, args);
    va_end(args);
}

void autoscaler_decision_text(const struct autoscaler_decision *d, char *ret, size_t size)
{
    const char *unit = d->metric == AUTOSCALER_RPS ? "calls/s" : "calls";

    CHECK(size > 0);
    ret[0] = '\0';
    put(ret, size, "%u wanted, %u ready", d->desired, d->ready);
    switch (d->basis) {
    case AUTOSCALER_BASIS_STABLE:
        put(ret, size,
            ": the stable window's average is %.2f %s, %.2f an instance asks "
            "for %u",
            d->stable_value, unit, d->target, d->stable_wanted);
        break;
    case AUTOSCALER_BASIS_PANIC:
        put(ret, size,
            ": the panic window's average is %.2f %s, %.2f an instance asks "
            "for %u",
            d->panic_value, unit, d->target, d->panic_wanted);
        break;
    case AUTOSCALER_BASIS_QUEUE:
        put(ret, size, ": %u calls wait, which asks for %u", d->queued, d->queue_wanted);
        break;
    case AUTOSCALER_BASIS_NONE:
    case AUTOSCALER_BASIS_COUNT:
        break;
    }
    for (int i = 0; i < AUTOSCALER_CLAMP_COUNT; i++) {
        if ((d->clamps & (1u << i)) != 0) {
            put(ret, size, "; %s", clamps[i].text);
        }
    }
    if (d->until_ms > d->at_ms) {
        put(ret, size, " (for another %llu s)",
            (unsigned long long)((d->until_ms - d->at_ms + 999) / 1000));
    }
}
