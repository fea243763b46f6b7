/* What must hold of every decision, whatever the load: random configurations and loads
 * from a printed seed (AUTOSCALER_SEED, AUTOSCALER_RUNS). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h> /* needs the four above */

#include <math.h>
#include <stdio.h>

#include "controller/core/autoscaler.h"

#define RUNS  300
#define STEPS 400

static uint64_t rng;

static uint32_t below(uint32_t n) /* splitmix64 */
{
    uint64_t z = (rng += 0x9e3779b97f4a7c15ull);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (uint32_t)((z ^ (z >> 31)) % n);
}

static uint64_t env_number(const char *name, uint64_t dflt)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 10) : dflt;
}

static struct autoscaler_config random_config(void)
{
    struct autoscaler_config c;

    autoscaler_config_init(&c);
    c.metric = below(4) == 0 ? AUTOSCALER_RPS : AUTOSCALER_CONCURRENCY;
    c.container_concurrency = below(3) == 0 ? 0 : 1 + below(20);
    c.target = below(2) == 0 ? 0 : 0.5 + below(30);
    c.target_utilization_percentage = 1 + below(100);
    c.stable_window_ms = (6 + below(60)) * 1000;
    c.panic_window_percentage = 1 + below(100);
    c.panic_threshold_percentage = 110 + below(300);
    c.max_scale_up_rate = 1.1 + below(100) / 10.0;
    c.max_scale_down_rate = 1.1 + below(100) / 10.0;
    c.target_burst_capacity = (int)below(300) - 1;
    c.max_scale = below(3) == 0 ? 0 : 1 + below(50);
    c.min_scale = below(3) == 0 ? below(1 + (uint32_t)c.max_scale) : 0;
    c.initial_scale = below(1 + (uint32_t)c.max_scale);
    c.activation_scale = 1 + below(4);
    c.scale_down_delay_ms = below(2) == 0 ? 0 : below(60) * 1000;
    c.retention_ms = below(2) == 0 ? 0 : below(60000);
    c.enable_scale_to_zero = below(4) != 0;
    c.observation_hold_ms = (1 + below(10)) * 1000;
    assert_int_equal(autoscaler_config_check(&c, NULL), 0);
    return c;
}

struct load { /* jumps, rests, falls silent */
    double value;
    uint32_t queued;
    uint64_t now;
    bool silent;
};

static void load_step(struct load *l)
{
    l->now += below(20) == 0 ? below(200000) : below(3000);
    l->silent = below(10) == 0;
    if (below(4) == 0) {
        l->value = below(3) == 0 ? 0 : below(500) / (1.0 + below(20));
    }
    l->queued = below(6) == 0 ? below(1 + (uint32_t)l->value) : 0;
}

static void check_bounds(const struct autoscaler_config *c,
                         const struct autoscaler_decision *d)
{
    assert_true(d->desired >= c->min_scale);
    assert_true(c->max_scale == 0 || d->desired <= c->max_scale);
    assert_true(c->enable_scale_to_zero || !d->valid || d->desired >= 1);
    assert_true(c->target_burst_capacity > 0 || d->excess_burst <= 0);
}

/* Within the rates of what is ready, but for what is meant to go beyond them. */
static void check_rates(const struct autoscaler_config *c,
                        const struct autoscaler_decision *d, uint32_t before)
{
    double ready = d->ready > 0 ? d->ready : 1;
    double most = fmax(ceil(ready * c->max_scale_up_rate), before);
    double least = floor(ready / c->max_scale_down_rate);

    most = fmax(most, fmax(c->activation_scale, fmax(c->min_scale, c->initial_scale)));
    assert_true(d->desired <= most);
    assert_true(d->desired >= (c->max_scale > 0 ? fmin(least, c->max_scale) : least));
}

/* A follower: instances come and go with some delay. */
static uint32_t towards(uint32_t ready, uint32_t desired)
{
    if (ready < desired) {
        return ready + 1 + below(desired - ready);
    }
    return ready > desired ? ready - 1 - below(ready - desired) : ready;
}

static void decisions_keep_their_rules(void **state)
{
    /* What held a count up that the load had not asked for in panic may end in panic. */
    const uint32_t not_load = AUTOSCALER_CLAMP_BIT(DELAY) | AUTOSCALER_CLAMP_BIT(INITIAL);

    for (uint64_t run = 0; run < env_number("AUTOSCALER_RUNS", RUNS); run++) {
        struct autoscaler_config c = random_config();
        struct autoscaler *a;
        struct autoscaler_decision d, before;
        struct load l = {.now = below(1000000)};
        uint32_t ready = below(3);

        assert_int_equal(autoscaler_new(&a, &c, l.now, ready), 0);
        before = *autoscaler_last(a);
        for (int i = 0; i < STEPS; i++) {
            bool now = false;

            load_step(&l);
            if (!l.silent) {
                now = autoscaler_observe(
                    a, &(struct autoscaler_observation){.at_ms = l.now,
                                                        .concurrency = l.value,
                                                        .rps = l.value,
                                                        .queued = l.queued,
                                                        .ready = ready});
            }
            autoscaler_decide(a, l.now, &d);
            check_bounds(&c, &d);
            assert_true(!now || d.desired > 0);
            if (d.valid) {
                check_rates(&c, &d,
                            d.panicking || c.scale_down_delay_ms > 0 ? UINT32_MAX
                                                                     : before.desired);
            }
            if (before.panicking && d.panicking && before.valid && d.valid &&
                (before.clamps & not_load) == 0) {
                assert_true(d.desired >= before.desired);
            }
            assert_true(d.until_ms == 0 || d.until_ms >= d.at_ms);
            ready = towards(ready, d.desired);
            before = d;
        }
        a = autoscaler_free(a);
    }
}

/* With the same instances ready, more load never asks for fewer. */
static void more_load_never_wants_fewer(void **state)
{
    for (uint64_t run = 0; run < env_number("AUTOSCALER_RUNS", RUNS); run++) {
        struct autoscaler_config c = random_config();
        struct autoscaler *low, *high;
        struct load l = {.now = below(1000000)};
        uint32_t ready = below(3);

        c.enable_scale_to_zero =
            false; /* when zero was reached decides when it is again */
        assert_int_equal(autoscaler_new(&low, &c, l.now, ready), 0);
        assert_int_equal(autoscaler_new(&high, &c, l.now, ready), 0);
        for (int i = 0; i < STEPS; i++) {
            struct autoscaler_decision dl, dh;
            struct autoscaler_observation o;

            load_step(&l);
            o = (struct autoscaler_observation){.at_ms = l.now,
                                                .concurrency = l.value,
                                                .rps = l.value,
                                                .queued = l.queued,
                                                .ready = ready};
            if (!l.silent) {
                (void)autoscaler_observe(low, &o);
                o.concurrency += below(3) == 0 ? below(50) : 0;
                o.rps = o.concurrency;
                o.queued += below(3) == 0 ? below(20) : 0;
                (void)autoscaler_observe(high, &o);
            }
            autoscaler_decide(low, l.now, &dl);
            autoscaler_decide(high, l.now, &dh);
            assert_true(dh.desired >= dl.desired);
            ready = towards(ready, below(2) == 0 ? dl.desired : dh.desired);
        }
        low = autoscaler_free(low);
        high = autoscaler_free(high);
    }
}

#define SERIES 2000

struct series { /* a value a second, or none */
    double values[SERIES];
    bool known[SERIES];
};

/* Knative's window average, by its definition and without a window. */
static double by_definition(const struct series *s, int now, int length)
{
    double sum = 0;
    int first = -1, last = -1, n;

    for (int i = 0; i <= now; i++) {
        if (s->known[i]) {
            first = last < 0 || i - last >= length ? i : first;
            last = i;
        }
    }
    if (last < 0 || now - last >= length) {
        return 0;
    }
    for (int i = now - length + 1 > 0 ? now - length + 1 : 0; i <= last; i++) {
        sum += s->known[i] ? s->values[i] : 0;
    }
    n = last - first + 1;
    n = n > length ? length : n;
    n = n > length - (now - last) ? length - (now - last) : n;
    return sum / n;
}

/* One value a second, now and then none, averages as it does in Knative. */
static void averages_are_by_definition(void **state)
{
    static struct series s;

    for (int run = 0; run < 5; run++) {
        struct autoscaler_config c = random_config();
        int stable = (int)autoscaler_config_stable_s(&c);
        int panic = (int)autoscaler_config_panic_s(&c);
        struct autoscaler *a;
        struct autoscaler_decision d;
        int silent = 0;

        c.observation_hold_ms = 1000; /* a value stands for its second */
        assert_int_equal(autoscaler_new(&a, &c, 0, 0), 0);
        for (int i = 0; i < SERIES; i++) {
            uint64_t now = (uint64_t)i * 1000;

            silent = silent > 0 ? silent - 1 : below(20) == 0 ? (int)below(100) : 0;
            s.known[i] = silent == 0;
            s.values[i] = below(1000) / 8.0;
            if (s.known[i]) {
                (void)autoscaler_observe(
                    a, &(struct autoscaler_observation){
                           .at_ms = now, .concurrency = s.values[i], .rps = s.values[i]});
            }
            autoscaler_decide(a, now, &d);
            assert_true(fabs(d.stable_value - by_definition(&s, i, stable)) < 2e-6);
            assert_true(fabs(d.panic_value - by_definition(&s, i, panic)) < 2e-6);
        }
        a = autoscaler_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions_keep_their_rules),
        cmocka_unit_test(more_load_never_wants_fewer),
        cmocka_unit_test(averages_are_by_definition),
    };

    rng = env_number("AUTOSCALER_SEED", 20240611);
    printf("AUTOSCALER_SEED=%llu\n", (unsigned long long)rng);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
