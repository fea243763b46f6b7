#include "controller/core/autoscaler_rules.h"

#include <math.h>

/* Doubles from observations may be anything; counts stay far from where casts break. */
#define COUNT_MAX 1000000000.0

static uint32_t to_count(double x)
{
    return x >= COUNT_MAX ? (uint32_t)COUNT_MAX : x > 0 ? (uint32_t)x : 0;
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void autoscaler_rules_start(struct autoscaler_state *s, const struct autoscaler_config *c,
                            uint64_t now_ms, uint32_t ready)
{
    s->reachable = true;
    /* Who takes over knows nothing of the past: what runs is kept for a stable window. */
    s->panic_ms = ready > 1 ? now_ms : AUTOSCALER_NEVER;
    s->panic_max = ready;
    s->initialised = c->initial_scale <= 1 || ready >= (uint32_t)c->initial_scale;
    s->phase = ready > 0              ? AUTOSCALER_ACTIVE
               : c->initial_scale > 0 ? AUTOSCALER_ACTIVATING
                                      : AUTOSCALER_INACTIVE;
    s->phase_ms = now_ms;
    s->buffered_ms = ready > 0 ? AUTOSCALER_NEVER : now_ms;
    s->desired = max_u32(ready, (uint32_t)c->min_scale);
    if (!s->initialised || (ready == 0 && s->phase == AUTOSCALER_ACTIVATING)) {
        s->desired = max_u32(s->desired, (uint32_t)c->initial_scale);
    }
}

uint32_t autoscaler_rules_delay_buckets(const struct autoscaler_config *c)
{
    return (uint32_t)ceil(c->scale_down_delay_ms / AUTOSCALER_TICK_MS);
}

uint32_t autoscaler_rules_queue(const struct autoscaler_config *c, double concurrency,
                                uint32_t queued, uint32_t ready)
{
    double slots = c->container_concurrency > 0 ? c->container_concurrency
                                                : c->concurrency_target_default;
    uint32_t wanted;

    wanted = to_count(ceil(fmax(concurrency, queued) / slots));
    /* If they fit in what is ready they wait for room on another node, or for a moment:
     * more instances are not what they need. */
    return queued > 0 && wanted > ready ? wanted : 0;
}

/* --- the count that the load asks for --------------------------------------------- */

struct bounds {
    double low, high;
};

/* Keeps a wanted count within the rates; at least one step is always possible, since the
 * upper bound is rounded up and the lower one down. */
static uint32_t within_rates(double wanted, struct bounds b, uint32_t activation)
{
    uint32_t n = to_count(fmin(fmax(wanted, b.low), b.high));

    return wanted > 0 && n < activation ? activation : n;
}

/* Enters, prolongs or leaves panic. A queue is answered by the same means, so that what
 * it made start is not taken back by the next tick (ours). */
static void panic_update(struct autoscaler_state *s, const struct autoscaler_config *c,
                         const struct autoscaler_input *in, double wanted, bool queue)
{
    double ready = in->ready > 0 ? in->ready : 1;

    if (wanted / ready >= c->panic_threshold_percentage / 100 || queue) {
        s->panic_ms = in->now_ms;
    } else if (s->panic_ms != AUTOSCALER_NEVER &&
               (double)(in->now_ms - s->panic_ms) > c->stable_window_ms) {
        s->panic_ms = AUTOSCALER_NEVER;
        s->panic_max = 0;
    }
}

static void note_rates(struct autoscaler_decision *d, double wanted, struct bounds b)
{
    if (wanted > b.high) {
        d->clamps |= AUTOSCALER_CLAMP_BIT(UP_RATE);
    } else if (wanted < b.low) {
        d->clamps |= AUTOSCALER_CLAMP_BIT(DOWN_RATE);
    }
}

/* Stable and panic window, rates, activation, panic: what the load asks for. */
static uint32_t from_load(struct autoscaler_state *s, const struct autoscaler_config *c,
                          const struct autoscaler_input *in,
                          struct autoscaler_decision *d)
{
    double ready = in->ready > 0 ? in->ready : 1;
    struct bounds b = {.low = s->reachable ? floor(ready / c->max_scale_down_rate) : 0,
                       .high = ceil(ready * c->max_scale_up_rate)};
    uint32_t activation = c->activation_scale > 1 ? (uint32_t)c->activation_scale : 0;
    double stable = ceil(in->stable / d->target), panic = ceil(in->panic / d->target);
    uint32_t queue = autoscaler_rules_queue(c, in->concurrency, in->queued, in->ready);
    uint32_t by_stable = within_rates(stable, b, activation);
    uint32_t by_panic = within_rates(panic, b, activation);
    uint32_t by_queue = within_rates(queue, (struct bounds){.high = b.high}, activation);
    uint32_t desired = by_stable;
    double wanted = stable;

    d->stable_wanted = to_count(stable);
    d->panic_wanted = to_count(panic);
    d->queue_wanted = queue;
    d->basis = AUTOSCALER_BASIS_STABLE;
    panic_update(s, c, in, panic, queue > 0);
    if (s->panic_ms != AUTOSCALER_NEVER) {
        if (by_panic > desired) {
            desired = by_panic;
            wanted = panic;
            d->basis = AUTOSCALER_BASIS_PANIC;
        }
        if (by_queue > desired) {
            desired = by_queue;
            wanted = queue;
            d->basis = AUTOSCALER_BASIS_QUEUE;
        }
        d->panicking = true;
    }
    note_rates(d, wanted, b);
    if (wanted > 0 && desired == activation && wanted < activation) {
        d->clamps |= AUTOSCALER_CLAMP_BIT(ACTIVATION);
    }
    if (d->panicking) {
        if (desired < s->panic_max) {
            d->clamps |= AUTOSCALER_CLAMP_BIT(PANIC);
            d->until_ms = s->panic_ms + (uint64_t)c->stable_window_ms;
        }
        s->panic_max = max_u32(s->panic_max, desired);
        desired = s->panic_max;
    }
    return desired;
}

/* The highest count of the delay's window, as a decrease must be wanted throughout. */
static uint32_t delayed(struct autoscaler_state *s, uint32_t desired,
                        const struct autoscaler_input *in, struct autoscaler_decision *d)
{
    struct autoscaler_peak peak;

    if (s->delay.length == 0 || !s->reachable) {
        return desired;
    }
    autoscaler_peaks_add(&s->delay, in->now_ms / AUTOSCALER_TICK_MS, desired);
    peak = autoscaler_peaks_max(&s->delay);
    if (peak.value > desired) {
        d->clamps |= AUTOSCALER_CLAMP_BIT(DELAY);
        d->until_ms = peak.index * AUTOSCALER_TICK_MS;
    }
    return peak.value;
}

static int32_t excess_burst(const struct autoscaler_config *c,
                            const struct autoscaler_input *in, double total)
{
    double excess;

    if (c->target_burst_capacity == 0) {
        return 0;
    }
    if (c->target_burst_capacity < 0) {
        return -1;
    }
    excess = floor(in->ready * total - c->target_burst_capacity - in->panic);
    return (int32_t)fmin(fmax(excess, -COUNT_MAX), COUNT_MAX);
}

/* --- the count that may be applied ------------------------------------------------ */

static uint32_t bounded(struct autoscaler_state *s, const struct autoscaler_config *c,
                        uint32_t desired, uint32_t ready, struct autoscaler_decision *d)
{
    uint32_t min = s->reachable ? (uint32_t)c->min_scale : 0;
    uint32_t max = (uint32_t)c->max_scale;

    s->initialised = s->initialised || ready >= (uint32_t)c->initial_scale;
    if (!s->initialised && desired < (uint32_t)c->initial_scale) {
        desired = (uint32_t)c->initial_scale;
        d->clamps |= AUTOSCALER_CLAMP_BIT(INITIAL);
    }
    if (desired < min) {
        desired = min;
        d->clamps |= AUTOSCALER_CLAMP_BIT(MIN);
    }
    if (max > 0 && desired > max) {
        desired = max;
        d->clamps |= AUTOSCALER_CLAMP_BIT(MAX);
    }
    return desired;
}

static void phase_set(struct autoscaler_state *s, enum autoscaler_phase phase,
                      uint64_t now_ms)
{
    if (s->phase != phase) {
        s->phase = phase;
        s->phase_ms = now_ms;
    }
}

/* Keeps what there is, at least one, until a time. */
static uint32_t held(const struct autoscaler_state *s, const struct autoscaler_config *c,
                     struct autoscaler_decision *d, enum autoscaler_clamp clamp,
                     uint64_t until_ms)
{
    uint32_t max = (uint32_t)c->max_scale;

    d->clamps |= 1u << clamp;
    d->until_ms = until_ms;
    return max > 0 && s->desired > max ? max : s->desired;
}

/* Zero is not a count like others: the last instance goes only after a whole stable
 * window of being active, the retention period, and when calls have been buffered for the
 * grace period (or nothing has run for as long). */
static uint32_t to_zero(struct autoscaler_state *s, const struct autoscaler_config *c,
                        uint64_t now, struct autoscaler_decision *d)
{
    uint64_t deadline = s->phase_ms + (uint64_t)c->progress_deadline_ms;
    uint64_t active = s->phase_ms + (uint64_t)c->stable_window_ms;
    uint64_t retention, grace;

    if (!c->enable_scale_to_zero) {
        d->clamps |= AUTOSCALER_CLAMP_BIT(ZERO_DISABLED);
        return 1;
    }
    if (s->phase == AUTOSCALER_ACTIVATING && now < deadline) {
        return held(s, c, d, AUTOSCALER_CLAMP_ACTIVATING, deadline);
    }
    if (s->phase == AUTOSCALER_ACTIVE && now < active) {
        (void)held(s, c, d, AUTOSCALER_CLAMP_ACTIVE, active);
        return 1;
    }
    if (s->phase == AUTOSCALER_ACTIVATING) { /* it never came up */
        phase_set(s, AUTOSCALER_INACTIVE, now);
        return 0;
    }
    phase_set(s, AUTOSCALER_INACTIVE, now);
    if (s->buffered_ms == AUTOSCALER_NEVER) {
        s->buffered_ms =
            now; /* no instance is meant to be there: the buffer takes calls */
    }
    if (s->desired == 0) {
        return 0;
    }
    retention = s->phase_ms + (uint64_t)c->retention_ms;
    if (now < retention) {
        return held(s, c, d, AUTOSCALER_CLAMP_RETENTION, retention);
    }
    grace = (s->buffered_ms < s->phase_ms ? s->buffered_ms : s->phase_ms) +
            (uint64_t)c->grace_ms;
    return now < grace ? held(s, c, d, AUTOSCALER_CLAMP_GRACE, grace) : 0;
}

static uint32_t applied(struct autoscaler_state *s, const struct autoscaler_config *c,
                        uint32_t desired, const struct autoscaler_input *in,
                        struct autoscaler_decision *d)
{
    if (d->excess_burst >= 0 && (desired > 0 || s->phase != AUTOSCALER_INACTIVE)) {
        s->buffered_ms = AUTOSCALER_NEVER;
    } else if (d->excess_burst < 0 && s->buffered_ms == AUTOSCALER_NEVER) {
        s->buffered_ms = in->now_ms;
    }
    if (desired > 0) {
        if (in->ready > 0) {
            phase_set(s, AUTOSCALER_ACTIVE, in->now_ms);
        } else if (s->phase == AUTOSCALER_INACTIVE) {
            phase_set(s, AUTOSCALER_ACTIVATING, in->now_ms);
        }
        return desired;
    }
    if (s->phase == AUTOSCALER_ACTIVATING && in->ready > 0) {
        phase_set(s, AUTOSCALER_ACTIVE, in->now_ms);
    }
    return to_zero(s, c, in->now_ms, d);
}

void autoscaler_rules_decide(struct autoscaler_state *s,
                             const struct autoscaler_config *c,
                             const struct autoscaler_input *in,
                             struct autoscaler_decision *ret)
{
    struct autoscaler_decision d = {
        .at_ms = in->now_ms,
        .metric = c->metric,
        .valid = in->has_data,
        .stable_value = in->stable,
        .panic_value = in->panic,
        .target = autoscaler_config_target(c),
        .total = autoscaler_config_total(c),
        .ready = in->ready,
        .queued = in->queued,
    };
    uint32_t desired;

    if (!in->has_data) { /* bounds hold nevertheless; nothing is concluded from silence */
        d.clamps = AUTOSCALER_CLAMP_BIT(NO_DATA);
        d.panicking = s->panic_ms != AUTOSCALER_NEVER;
        s->desired = d.desired = bounded(s, c, s->desired, in->ready, &d);
        *ret = d;
        return;
    }
    desired = from_load(s, c, in, &d);
    desired = delayed(s, desired, in, &d);
    d.excess_burst = excess_burst(c, in, d.total);
    desired = bounded(s, c, desired, in->ready, &d);
    s->desired = d.desired = applied(s, c, desired, in, &d);
    *ret = d;
}
