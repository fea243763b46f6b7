/* The autoscaler's rules against what Knative's does: for the same values and the same
 * number of ready instances, the same count. Each row says which rule it stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h> /* needs the four above */

#include <math.h>

#include "controller/core/autoscaler_rules.h"

#define S      1000ull
#define MINUTE (60 * S)
#define START  (1000 * MINUTE)

struct kpa {
    struct autoscaler_config config;
    struct autoscaler_state state;
    struct autoscaler_decision last;
};

/* As Knative's own tests have it: a target at 75 % utilisation, rates of ten, panic at
 * twice the ready instances, a stable window of a minute. */
static void kpa_init(struct kpa *k, double target, double burst)
{
    autoscaler_config_init(&k->config);
    k->config.target = target / 0.75;
    k->config.target_utilization_percentage = 75;
    k->config.target_burst_capacity = burst;
    k->config.max_scale_up_rate = 10;
    k->config.max_scale_down_rate = 10;
    k->config.panic_threshold_percentage = 200;
    k->config.initial_scale = 0;
    k->state = (struct autoscaler_state){0};
    autoscaler_rules_start(&k->state, &k->config, START, 1);
    /* The last instance's own rules are tested elsewhere: here it may go at once. */
    k->state.phase = AUTOSCALER_INACTIVE;
    k->state.phase_ms = 0;
}

static void delay_init(struct kpa *k, double ms)
{
    k->config.scale_down_delay_ms = ms;
    assert_int_equal(autoscaler_peaks_init(&k->state.delay,
                                           autoscaler_rules_delay_buckets(&k->config)),
                     0);
}

static uint32_t decide(struct kpa *k, uint64_t at, double stable, double panic,
                       uint32_t ready)
{
    struct autoscaler_input in = {
        .now_ms = at, .has_data = true, .stable = stable, .panic = panic, .ready = ready};

    k->state.phase = AUTOSCALER_INACTIVE;
    k->state.phase_ms = 0;
    k->state.buffered_ms = 0;
    autoscaler_rules_decide(&k->state, &k->config, &in, &k->last);
    assert_true(k->last.valid);
    assert_int_equal(k->last.desired, k->state.desired);
    return k->last.desired;
}

static int32_t excess(double target, double burst, double panic, double ready)
{
    return (int32_t)floor(target / 0.75 * ready - burst - panic);
}

/* One decision from a standing start. */
static void one_decision_of_each_rule(void **state)
{
    static const struct {
        const char *rule;
        double target, burst, stable, panic, up, down;
        uint32_t ready;
        bool unreachable;
        uint32_t activation;
        uint32_t wanted;
    } rows[] = {
        {"no load wants none", 10, 100, 0, 0, 10, 10, 1, false, 1, 0},
        {"load by target, rounded up", 10, 100, 50, 50, 10, 10, 1, false, 1, 5},
        {"a rest of a target is one more", 10, 100, 41, 41, 10, 10, 4, false, 1, 5},
        {"what there is suffices", 10, 100, 50, 50, 10, 10, 5, false, 1, 5},
        {"the stable average decides outside of panic", 10, 101, 50, 10, 10, 10, 1, false,
         1, 5},
        {"the panic average decides in panic", 10, 84, 50, 100, 10, 10, 1, false, 1, 10},
        {"no panic below twice the ready ones", 10, 84, 50, 100, 10, 10, 6, false, 1, 5},
        {"panic from twice the ready ones on", 10, 84, 50, 100, 10, 10, 5, false, 1, 10},
        {"a small rate up allows one more", 1, 1982, 3, 3.1, 1.1, 10, 2, false, 1, 3},
        {"a rate up of ten", 10, 61, 1000, 1001, 10, 10, 1, false, 1, 10},
        {"a rate up of ten, of ten", 10, 61, 1000, 1001, 10, 10, 10, false, 1, 100},
        {"a small rate down", 10, 1982, 1, 1, 10, 1.1, 100, false, 1, 90},
        {"a rate down of ten", 10, 61, 1, 1, 10, 10, 100, false, 1, 10},
        {"a rate down allows one less", 10, 61, 1, 1, 10, 1.1, 2, false, 1, 1},
        {"no rate down for what gets no calls", 10, 1982, 1, 1, 10, 1.1, 100, true, 1, 1},
        {"none ready counts as one", 10, 81, 1000, 888, 10, 10, 0, false, 1, 10},
        {"activation scale while there is load", 10, 75, 1, 0, 10, 10, 1, false, 2, 2},
        {"no activation scale without load", 10, 75, 0, 0, 10, 10, 1, false, 2, 0},
        {"activation scale is above the rate up", 10, 75, 1, 1, 10, 10, 1, false, 20, 20},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct kpa k;

        kpa_init(&k, rows[i].target, rows[i].burst);
        k.config.max_scale_up_rate = rows[i].up;
        k.config.max_scale_down_rate = rows[i].down;
        k.config.activation_scale = rows[i].activation;
        k.state.reachable = !rows[i].unreachable;
        if (decide(&k, START, rows[i].stable, rows[i].panic, rows[i].ready) !=
                rows[i].wanted ||
            labs((long)k.last.excess_burst - excess(rows[i].target, rows[i].burst,
                                                    rows[i].panic, rows[i].ready)) > 1) {
            fail_msg("%s: %u wanted, not %u; excess burst %d", rows[i].rule,
                     k.last.desired, rows[i].wanted, k.last.excess_burst);
        }
    }
}

/* The burst capacity: 0 asks for nothing, -1 always for the buffer, whatever the load. */
static void burst_capacity_without_a_number(void **state)
{
    struct kpa k;

    kpa_init(&k, 10, 0);
    assert_int_equal(decide(&k, START, 50, 49, 1), 5);
    assert_int_equal(k.last.excess_burst, 0);
    kpa_init(&k, 181, -1);
    assert_int_equal(decide(&k, START, 21, 26, 1), 1);
    assert_int_equal(k.last.excess_burst, -1);
}

/* In panic the larger of the two averages counts. */
static void panic_takes_the_larger_average(void **state)
{
    struct kpa k;

    for (int larger = 0; larger < 2; larger++) {
        kpa_init(&k, 1, 100);
        k.state.panic_ms = START - 5 * S;
        k.state.panic_max = 5;
        assert_int_equal(decide(&k, START, larger != 0 ? 50 : 20, 30, 5),
                         larger != 0 ? 50 : 30);
        assert_int_equal(k.last.basis,
                         larger != 0 ? AUTOSCALER_BASIS_STABLE : AUTOSCALER_BASIS_PANIC);
    }
}

/* Load that grows sixfold a second is followed, and panic prolonged each time. */
static void exponential_growth_is_followed(void **state)
{
    struct kpa k;
    uint32_t n = 1;

    kpa_init(&k, 1, 101);
    for (uint64_t i = 0; i < 4; i++) {
        uint32_t load = n * 6;

        assert_int_equal(decide(&k, START + i * S, load, load, n), load);
        assert_int_equal(k.state.panic_ms, START + i * S);
        n = load;
    }
    assert_int_equal(decide(&k, START + 4 * S, n, n, n), 1296);
    assert_int_equal(k.state.panic_ms, START + 3 * S);
}

/* Nothing falls in panic; a stable window after it was last over, panic is left. */
static void panic_holds_for_a_stable_window(void **state)
{
    struct kpa k;

    kpa_init(&k, 10, 93);
    assert_int_equal(decide(&k, START, 100, 100, 1), 10);
    assert_int_equal(decide(&k, START, 100, 1000, 10), 100);
    assert_int_equal(decide(&k, START + 30 * S, 1, 1, 10), 100);
    assert_true((k.last.clamps & AUTOSCALER_CLAMP_BIT(PANIC)) != 0);
    assert_int_equal(k.last.until_ms, START + MINUTE);
    assert_int_equal(decide(&k, START + MINUTE, 1, 1, 10), 100);
    assert_int_equal(decide(&k, START + MINUTE + 1, 1, 1, 10), 1);
    assert_false(k.last.panicking);
    /* The next panic begins from its own count. */
    assert_int_equal(decide(&k, START + 2 * MINUTE, 1, 30, 1), 3);
    assert_true(k.last.panicking);
}

/* A slow increase after a jump does not prolong panic; another jump does. */
static void panic_is_prolonged_by_the_threshold_only(void **state)
{
    struct kpa k;

    kpa_init(&k, 1, 98);
    assert_int_equal(decide(&k, START, 11, 25, 10), 25);
    assert_int_equal(decide(&k, START + 30 * S, 30, 41, 40), 41);
    assert_int_equal(k.state.panic_ms, START);
    assert_int_equal(decide(&k, START + 62 * S, 50, 56, 55), 50);
    assert_int_equal(k.state.panic_ms, AUTOSCALER_NEVER);

    kpa_init(&k, 1, 98);
    assert_int_equal(decide(&k, START, 11, 25, 10), 25);
    assert_int_equal(decide(&k, START + 30 * S, 30, 80, 40), 80);
    assert_int_equal(k.state.panic_ms, START + 30 * S);
}

/* Who takes over more than one instance starts in panic and keeps them. */
static void takes_over_in_panic(void **state)
{
    struct kpa k;

    kpa_init(&k, 10, 100);
    for (uint32_t ready = 0; ready < 2; ready++) {
        autoscaler_rules_start(&k.state, &k.config, START, ready);
        assert_int_equal(k.state.panic_ms, AUTOSCALER_NEVER);
        assert_int_equal(k.state.panic_max, ready);
    }
    autoscaler_rules_start(&k.state, &k.config, START, 7);
    assert_int_equal(decide(&k, START + 2 * S, 0, 0, 7), 7);
    assert_int_equal(decide(&k, START + MINUTE + 1, 0, 0, 7), 0);
}

/* A new target counts from the next decision on. */
static void target_can_change(void **state)
{
    struct kpa k;

    kpa_init(&k, 10, 77);
    assert_int_equal(decide(&k, START, 100, 101, 1), 10);
    k.config.target = 1 / 0.75;
    assert_int_equal(decide(&k, START, 100, 101, 10), 100);
}

/* A decrease must have been wanted for the whole delay: the window's maximum counts. */
static void scale_down_delay(void **state)
{
    struct kpa k;

    kpa_init(&k, 10, 0);
    k.config.panic_threshold_percentage = 10000;
    delay_init(&k, 5 * MINUTE);
    assert_int_equal(decide(&k, START + 2 * S, 40, 40, 0), 4);
    assert_int_equal(decide(&k, START + 5 * MINUTE, 0, 0, 0), 4);
    assert_true((k.last.clamps & AUTOSCALER_CLAMP_BIT(DELAY)) != 0);
    assert_int_equal(k.last.until_ms, START + 5 * MINUTE + 2 * S);
    assert_int_equal(decide(&k, START + 5 * MINUTE + 2 * S, 0, 0, 0), 0);

    assert_int_equal(decide(&k, START + 9 * MINUTE, 40, 40, 0), 4);
    assert_int_equal(decide(&k, START + 10 * MINUTE, 30, 30, 0), 4);
    assert_int_equal(decide(&k, START + 11 * MINUTE, 0, 0, 0), 4);
    assert_int_equal(decide(&k, START + 14 * MINUTE, 0, 0, 0), 3);
    assert_int_equal(decide(&k, START + 15 * MINUTE, 0, 0, 0), 0);

    /* What gets no calls is not held. */
    assert_int_equal(decide(&k, START + 16 * MINUTE, 40, 40, 0), 4);
    k.state.reachable = false;
    assert_int_equal(decide(&k, START + 16 * MINUTE + 2 * S, 0, 0, 0), 0);
    autoscaler_peaks_free(&k.state.delay);
}

/* Without a delay a decrease is taken at once, also within one tick. */
static void no_scale_down_delay(void **state)
{
    struct kpa k;

    kpa_init(&k, 10, 0);
    k.config.panic_threshold_percentage = 10000;
    assert_int_equal(decide(&k, START, 40, 40, 1), 4);
    assert_int_equal(decide(&k, START + 500, 20, 20, 1), 2);
}

/* Without data nothing is decided. */
static void no_data_no_decision(void **state)
{
    struct kpa k;
    struct autoscaler_input in = {.now_ms = START, .ready = 3};

    kpa_init(&k, 10, 100);
    assert_int_equal(decide(&k, START, 30, 30, 3), 3);
    autoscaler_rules_decide(&k.state, &k.config, &in, &k.last);
    assert_false(k.last.valid);
    assert_int_equal(k.last.desired, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_decision_of_each_rule),
        cmocka_unit_test(burst_capacity_without_a_number),
        cmocka_unit_test(panic_takes_the_larger_average),
        cmocka_unit_test(exponential_growth_is_followed),
        cmocka_unit_test(panic_holds_for_a_stable_window),
        cmocka_unit_test(panic_is_prolonged_by_the_threshold_only),
        cmocka_unit_test(takes_over_in_panic),
        cmocka_unit_test(target_can_change),
        cmocka_unit_test(scale_down_delay),
        cmocka_unit_test(no_scale_down_delay),
        cmocka_unit_test(no_data_no_decision),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
