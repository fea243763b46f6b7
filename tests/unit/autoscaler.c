/* The autoscaler as its owner sees it: observations in, decisions out, over time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include <errno.h>

#include "controller/core/autoscaler.h"

#define S     1000ull
#define START (1000000 * S)

struct world {
    struct autoscaler_config config;
    struct autoscaler *scaler;
    struct autoscaler_decision last;
    uint64_t now;
    uint32_t ready;
};

static void begin(struct world *w, uint32_t ready)
{
    w->scaler = autoscaler_free(w->scaler);
    w->now = START;
    w->ready = ready;
    assert_int_equal(autoscaler_new(&w->scaler, &w->config, w->now, ready), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    *state = w;
    if (w == NULL) {
        return -1;
    }
    autoscaler_config_init(&w->config);
    w->config.container_concurrency = 1;
    w->config.target_utilization_percentage = 100;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    autoscaler_free(w->scaler);
    free(w);
    return 0;
}

static bool observe(struct world *w, double load, uint32_t queued)
{
    return autoscaler_observe(w->scaler,
                              &(struct autoscaler_observation){.at_ms = w->now,
                                                               .concurrency = load,
                                                               .rps = load,
                                                               .queued = queued,
                                                               .ready = w->ready});
}

static uint32_t decide(struct world *w)
{
    autoscaler_decide(w->scaler, w->now, &w->last);
    return w->last.desired;
}

/* Load as it is for some seconds, with instances as desired. */
static uint32_t steady(struct world *w, double load, uint32_t seconds)
{
    for (uint32_t i = 0; i < seconds; i++) {
        w->now += S;
        (void)observe(w, load, 0);
        if (i % 2 == 1) {
            w->ready = decide(w);
        }
    }
    return w->last.desired;
}

static bool clamped(const struct world *w, enum autoscaler_clamp c)
{
    return (w->last.clamps & (1u << c)) != 0;
}

/* The first call of a function at zero is answered before any tick. */
static void wakes_from_zero_at_once(void **state)
{
    struct world *w = *state;

    w->config.initial_scale = 0;
    begin(w, 0);
    assert_int_equal(steady(w, 0, 10), 0);
    w->now += 999;
    assert_true(observe(w, 1, 1));
    assert_int_equal(decide(w), 1);
    assert_false(observe(w, 1, 1)); /* it has been answered */

    begin(w, 0);
    assert_int_equal(steady(w, 0, 10), 0);
    assert_true(observe(w, 1, 0)); /* load is enough, it need not wait */
}

/* A queue asks for as many as it takes that none waits, at once, wherever in a second. */
static void a_queue_is_answered_at_once(void **state)
{
    struct world *w = *state;

    begin(w, 1);
    assert_int_equal(steady(w, 1, 120), 1);
    w->now += 950;
    assert_true(observe(w, 40, 39));
    assert_int_equal(decide(w), 40);
    assert_int_equal(w->last.basis, AUTOSCALER_BASIS_QUEUE);
    assert_int_equal(w->last.queue_wanted, 40);
    /* Nor is it taken back by the next tick, when the queue is gone. */
    w->ready = 40;
    assert_int_equal(steady(w, 1, 4), 40);
    assert_true(clamped(w, AUTOSCALER_CLAMP_PANIC));
}

/* Also below the panic threshold it is answered, and not taken back. */
static void a_short_queue_is_answered_at_once(void **state)
{
    struct world *w = *state;

    begin(w, 10);
    assert_int_equal(steady(w, 10, 120), 10);
    w->now += 950;
    assert_true(observe(w, 15, 5));
    assert_int_equal(decide(w), 15);
    assert_true(w->last.panicking);
    w->ready = 15;
    assert_int_equal(steady(w, 10, 60), 15);
    assert_int_equal(steady(w, 10, 2), 10);
}

/* A queue of which nothing was heard any more asks for nothing. */
static void an_old_queue_does_not_count(void **state)
{
    struct world *w = *state;

    begin(w, 1);
    steady(w, 1, 120);
    w->now += 950;
    (void)observe(w, 40, 39);
    w->now += 4999;
    decide(w);
    assert_int_equal(w->last.queue_wanted, 40);
    w->now += 1;
    decide(w);
    assert_int_equal(w->last.queue_wanted, 0);
    assert_int_equal(w->last.queued, 0);
}

/* Of the first second only its end is known: that stands for all of it. */
static void the_first_second_counts_in_full(void **state)
{
    struct world *w = *state;

    begin(w, 8);
    w->now += 900;
    (void)observe(w, 8, 0);
    assert_int_equal(decide(w), 8);
    assert_true(w->last.stable_value == 8);
}

/* Calls that wait for a moment although there are instances enough ask for no more. */
static void a_queue_that_fits_asks_for_none(void **state)
{
    struct world *w = *state;

    begin(w, 5);
    steady(w, 5, 120);
    assert_false(observe(w, 5, 2));
    assert_int_equal(decide(w), 5);
    assert_int_equal(w->last.queue_wanted, 0);
}

/* Where max-scale is reached a queue is no reason to decide again and again. */
static void a_queue_at_max_scale(void **state)
{
    struct world *w = *state;

    w->config.max_scale = 10;
    begin(w, 1);
    steady(w, 1, 120);
    assert_true(observe(w, 100, 99));
    assert_int_equal(decide(w), 10);
    assert_true(clamped(w, AUTOSCALER_CLAMP_MAX));
    w->ready = 10;
    assert_false(observe(w, 200, 190));
}

/* An observation's value counts for the time it stood, wherever seconds begin. */
static void values_count_by_time(void **state)
{
    struct world *w = *state;

    w->config.stable_window_ms = 10000;
    begin(w, 1);
    for (int i = 0; i < 20; i++) {
        (void)observe(w, 8, 0);
        w->now += 250;
        (void)observe(w, 0, 0);
        w->now += 750;
    }
    w->now -= 1;
    decide(w);
    assert_true(w->last.stable_value == 2);
    assert_true(w->last.panic_value == 2);
}

/* Reports every five seconds mean the same as reports every second. */
static void a_value_stands_until_the_next(void **state)
{
    struct world *w = *state;

    begin(w, 4);
    for (int i = 0; i < 30; i++) {
        w->now += 5 * S;
        (void)observe(w, 4, 0);
        assert_int_equal(decide(w), 4);
        assert_true(w->last.stable_value == 4);
    }
}

/* Without reports nothing is concluded: at first the average stays, then there is none.
 */
static void silence_changes_nothing(void **state)
{
    struct world *w = *state;

    begin(w, 4);
    steady(w, 4, 120);
    for (int i = 0; i < 100; i++) {
        w->now += 2 * S;
        decide(w);
        if (!w->last.valid) {
            break;
        }
        if (w->now < START + 120 * S + 60 * S) {
            assert_int_equal(w->last.desired, 4);
        }
    }
    assert_false(w->last.valid);
    assert_true(clamped(w, AUTOSCALER_CLAMP_NO_DATA));
    w->now += 1000000 * S;
    assert_true(observe(w, 6, 0) || w->last.desired > 0);
    assert_int_equal(decide(w), 6); /* begins anew, on what there is */
}

/* A clock that goes back is as one that stands. */
static void time_does_not_go_back(void **state)
{
    struct world *w = *state;
    struct autoscaler_decision d;

    begin(w, 2);
    steady(w, 2, 120);
    w->now -= 100 * S;
    (void)observe(w, 2, 0);
    autoscaler_decide(w->scaler, w->now, &d);
    assert_int_equal(d.at_ms, w->now + 100 * S);
    assert_int_equal(d.desired, 2);
}

/* Zero: a stable window of no load, and with calls buffered all along at once then. */
static void scales_to_zero(void **state)
{
    struct world *w = *state;

    begin(w, 1);
    assert_int_equal(steady(w, 1, 120), 1);
    assert_int_equal(steady(w, 0, 58), 1);
    assert_int_equal(steady(w, 0, 2), 0);
    assert_int_equal(steady(w, 0, 100), 0);
}

/* The last instance stays for the retention period after load has ended. */
static void retains_the_last(void **state)
{
    struct world *w = *state;

    w->config.retention_ms = 20000;
    begin(w, 1);
    steady(w, 1, 120);
    assert_int_equal(steady(w, 0, 60), 1);
    assert_true(clamped(w, AUTOSCALER_CLAMP_RETENTION));
    assert_int_equal(w->last.until_ms, w->now + 20 * S);
    assert_int_equal(steady(w, 0, 18), 1);
    assert_int_equal(steady(w, 0, 2), 0);
}

/* If calls were not buffered before, they must be for the grace period. */
static void grace_before_the_last_goes(void **state)
{
    struct world *w = *state;

    w->config.target_burst_capacity = 0;
    begin(w, 1);
    steady(w, 1, 120);
    assert_int_equal(steady(w, 0, 60), 1);
    assert_true(clamped(w, AUTOSCALER_CLAMP_GRACE));
    assert_int_equal(w->last.until_ms, w->now + 30 * S);
    assert_int_equal(steady(w, 0, 28), 1);
    assert_int_equal(steady(w, 0, 2), 0);
}

/* Only the time without a break during which calls were buffered counts for the grace. */
static void buffering_must_be_without_a_break(void **state)
{
    struct world *w = *state;

    w->config.container_concurrency = 10;
    w->config.target_burst_capacity = 5;
    begin(w, 0);
    assert_true(steady(w, 0, 2) > 0 && w->last.excess_burst < 0);
    w->ready = 1;
    steady(w, 1, 120);
    assert_true(w->last.excess_burst >= 0);
    assert_int_equal(steady(w, 0, 60), 1);
    assert_true(clamped(w, AUTOSCALER_CLAMP_GRACE));
    assert_int_equal(w->last.until_ms, w->now + 30 * S);
}

/* A call during the retention starts it all over. */
static void load_ends_the_retention(void **state)
{
    struct world *w = *state;

    w->config.retention_ms = 20000;
    begin(w, 1);
    steady(w, 1, 120);
    steady(w, 0, 70);
    steady(w, 1, 2);
    assert_int_equal(steady(w, 0, 78), 1);
    assert_int_equal(steady(w, 0, 2), 0);
}

/* An instance that has just become ready stays for a stable window. */
static void a_young_instance_stays(void **state)
{
    struct world *w = *state;

    w->config.initial_scale = 0;
    w->config.stable_window_ms = 10000;
    begin(w, 0);
    steady(w, 0, 20);
    (void)observe(w, 1, 1);
    assert_int_equal(decide(w), 1);
    steady(w, 0, 12); /* its call was gone before it was ready */
    assert_int_equal(w->last.desired, 1);
    assert_true(clamped(w, AUTOSCALER_CLAMP_ACTIVE));
    assert_int_equal(steady(w, 0, 10), 0);
}

/* What never becomes ready is held on to until the progress deadline, without load. */
static void what_never_starts_is_given_up(void **state)
{
    struct world *w = *state;

    w->config.progress_deadline_ms = 100000;
    begin(w, 0);
    assert_int_equal(autoscaler_last(w->scaler)->desired, 1); /* initial-scale */
    for (int i = 0; i < 49; i++) {
        w->now += 2 * S;
        (void)observe(w, 0, 0);
        assert_int_equal(decide(w), 1);
        assert_true(clamped(w, AUTOSCALER_CLAMP_ACTIVATING));
    }
    w->now += 2 * S;
    (void)observe(w, 0, 0);
    assert_int_equal(decide(w), 0);
}

/* initial-scale counts until it has been reached once, and never again. */
static void initial_scale_until_reached(void **state)
{
    struct world *w = *state;

    w->config.initial_scale = 5;
    begin(w, 0);
    assert_int_equal(autoscaler_last(w->scaler)->desired, 5);
    for (w->ready = 0; w->ready < 5; w->ready++) {
        w->now += 2 * S;
        (void)observe(w, 1, 0);
        assert_int_equal(decide(w), 5);
        assert_true(clamped(w, AUTOSCALER_CLAMP_INITIAL));
    }
    steady(w, 1, 120);
    assert_int_equal(w->last.desired, 1);
}

/* min- and max-scale, and zero switched off. */
static void bounds(void **state)
{
    struct world *w = *state;

    w->config.min_scale = 3;
    w->config.max_scale = 8;
    begin(w, 0);
    assert_int_equal(steady(w, 0, 120), 3);
    assert_true(clamped(w, AUTOSCALER_CLAMP_MIN));
    assert_int_equal(steady(w, 100, 10), 8);
    assert_true(clamped(w, AUTOSCALER_CLAMP_MAX));
    autoscaler_set_reachable(w->scaler, false); /* min-scale is for what gets calls */
    assert_int_equal(steady(w, 0, 240), 0);

    w->config.min_scale = 0;
    w->config.enable_scale_to_zero = false;
    begin(w, 1);
    assert_int_equal(steady(w, 0, 240), 1);
    assert_true(clamped(w, AUTOSCALER_CLAMP_ZERO_DISABLED));
}

/* The metric rps: calls begun per second, against the target for it. */
static void requests_per_second(void **state)
{
    struct world *w = *state;

    w->config.metric = AUTOSCALER_RPS;
    w->config.target = 50;
    begin(w, 1);
    assert_int_equal(steady(w, 220, 70), 5);
    assert_true(w->last.target == 50);
}

/* Another configuration counts from the next decision on and keeps what was seen. */
static void configuration_changes(void **state)
{
    struct world *w = *state;

    begin(w, 12);
    steady(w, 12, 140);
    w->config.container_concurrency = 4;
    w->config.stable_window_ms = 20000;
    w->config.scale_down_delay_ms = 30000;
    assert_int_equal(autoscaler_configure(w->scaler, &w->config), 0);
    assert_int_equal(decide(w), 6); /* no more than half at once */
    assert_true(w->last.stable_value == 12);
    assert_true(clamped(w, AUTOSCALER_CLAMP_DOWN_RATE));
    w->ready = 6;
    assert_int_equal(steady(w, 12, 28), 6);
    assert_true(clamped(w, AUTOSCALER_CLAMP_DELAY));
    assert_int_equal(steady(w, 12, 4), 3);
    /* A metric of its own has windows of its own. */
    w->config.metric = AUTOSCALER_RPS;
    assert_int_equal(autoscaler_configure(w->scaler, &w->config), 0);
    w->now += 2 * S;
    decide(w);
    assert_false(w->last.valid);
    assert_int_equal(w->last.desired, 3);
}

/* Values from outside that are no numbers do no harm. */
static void senseless_values(void **state)
{
    struct world *w = *state;
    static const double values[] = {-1, 1e300, -1e300, (double)__builtin_inff(),
                                    (double)__builtin_nanf("")};

    w->config.max_scale = 100000;
    begin(w, 1);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        w->now += S;
        (void)observe(w, values[i], UINT32_MAX);
        assert_in_range(decide(w), 0, 100000);
    }
}

/* A decision says why in a line: what asked, what clamped, and for how long. */
static void says_why(void **state)
{
    struct world *w = *state;
    char text[320], small[20];

    begin(w, 1);
    steady(w, 1, 120);
    (void)observe(w, 40, 39);
    decide(w);
    autoscaler_decision_text(&w->last, text, sizeof(text));
    assert_string_equal(text, "40 wanted, 1 ready: 39 calls wait, which asks for 40");
    w->ready = 40;
    steady(w, 1, 2);
    autoscaler_decision_text(&w->last, text, sizeof(text));
    assert_non_null(strstr(text, "in panic the count does not fall (for another 58 s)"));
    autoscaler_decision_text(&w->last, small, sizeof(small));
    assert_int_equal(strlen(small), sizeof(small) - 1);
    for (enum autoscaler_clamp i = 0; i < AUTOSCALER_CLAMP_COUNT; i++) {
        assert_true(autoscaler_clamp_name(i)[0] != '\0');
        assert_true(autoscaler_clamp_text(i)[0] != '\0');
    }
    assert_string_equal(autoscaler_basis_name(AUTOSCALER_BASIS_QUEUE), "queue");
}

/* What counters tell afterwards is exact in the averages: more or less than what stood,
 * over several seconds or in one moment; nonsense and what is out of the window is not.
 */
static void what_was_counted_is_added(void **state)
{
    struct world *w = *state;

    w->config.stable_window_ms = 10 * 1000;
    begin(w, 0);
    for (int i = 0; i < 10; i++) {
        (void)observe(w, 2, 0);
        w->now += S;
    }
    (void)observe(w, 2, 0);
    (void)decide(w);
    assert_true(w->last.stable_value == 2);
    autoscaler_add(w->scaler, w->now - 4500, w->now - 500, 8.0 * 1000);
    (void)decide(w);
    assert_true(w->last.stable_value > 2.79 && w->last.stable_value < 2.81);
    autoscaler_add(w->scaler, w->now, w->now, -8.0 * 1000);
    (void)decide(w);
    assert_true(w->last.stable_value > 1.99 && w->last.stable_value < 2.01);
    autoscaler_add(w->scaler, w->now - 40 * S, w->now - 20 * S, 1e6);
    autoscaler_add(w->scaler, w->now - S, w->now, 0.0 / 0.0);
    autoscaler_add(w->scaler, w->now, w->now - S, 1e6);
    autoscaler_add(w->scaler, w->now, w->now + S, 0);
    (void)decide(w);
    assert_true(w->last.stable_value > 1.99 && w->last.stable_value < 2.01);
}

/* Memory is what the windows need: little by default, some 30 KiB for an hour. */
static void memory(void **state)
{
    struct world *w = *state;

    begin(w, 0);
    assert_in_range(autoscaler_bytes(w->scaler), 1, 1600);
    w->config.stable_window_ms = 3600000;
    begin(w, 0);
    assert_in_range(autoscaler_bytes(w->scaler), 28800, 40000);
}

/* Allocations left to succeed; negative: all do. */
static int allocations = -1;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
    if (allocations == 0) {
        return NULL;
    }
    allocations -= allocations > 0;
    return __real_calloc(n, size);
}

/* Without memory there is no autoscaler, or one with the configuration that it had. */
static void out_of_memory(void **state)
{
    struct world *w = *state;
    struct autoscaler_config other;
    struct autoscaler *a;
    size_t bytes;

    w->config.scale_down_delay_ms = 60000;
    for (int i = 0; i < 4; i++) {
        allocations = i;
        assert_int_equal(autoscaler_new(&a, &w->config, START, 0), -ENOMEM);
    }
    allocations = -1;
    begin(w, 3);
    steady(w, 3, 70);
    bytes = autoscaler_bytes(w->scaler);
    other = w->config;
    other.stable_window_ms = 120000;
    other.scale_down_delay_ms = 120000;
    for (int i = 0; i < 3; i++) {
        allocations = i;
        assert_int_equal(autoscaler_configure(w->scaler, &other), -ENOMEM);
        assert_int_equal(autoscaler_bytes(w->scaler), bytes);
        assert_int_equal(decide(w), 3);
    }
    allocations = -1;
    assert_int_equal(autoscaler_configure(w->scaler, &other), 0);
    assert_true(autoscaler_bytes(w->scaler) > bytes);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wakes_from_zero_at_once),
        TEST(a_queue_is_answered_at_once),
        TEST(a_short_queue_is_answered_at_once),
        TEST(an_old_queue_does_not_count),
        TEST(the_first_second_counts_in_full),
        TEST(a_queue_that_fits_asks_for_none),
        TEST(a_queue_at_max_scale),
        TEST(values_count_by_time),
        TEST(a_value_stands_until_the_next),
        TEST(silence_changes_nothing),
        TEST(time_does_not_go_back),
        TEST(scales_to_zero),
        TEST(retains_the_last),
        TEST(grace_before_the_last_goes),
        TEST(buffering_must_be_without_a_break),
        TEST(load_ends_the_retention),
        TEST(a_young_instance_stays),
        TEST(what_never_starts_is_given_up),
        TEST(initial_scale_until_reached),
        TEST(bounds),
        TEST(requests_per_second),
        TEST(configuration_changes),
        TEST(senseless_values),
        TEST(says_why),
        TEST(what_was_counted_is_added),
        TEST(memory),
        TEST(out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
