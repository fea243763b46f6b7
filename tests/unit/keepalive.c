/* Keep-alive that learns: what is planned for functions called periodically, in bursts
 * and rarely, and when nothing is concluded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h> /* needs the four above */

#include "agent/core/keepalive.h"

#define MINUTE 60000ull
#define HOUR   (60 * MINUTE)
#define START  (1000 * HOUR)
#define FIXED  (10 * MINUTE)

struct world {
    struct keepalive k;
    uint64_t now;
};

static struct world world(bool learn)
{
    struct world w = {.now = START};

    keepalive_init(&w.k, FIXED, learn);
    keepalive_idle(&w.k, w.now);
    return w;
}

/* Idle for so long, then a call of a second. */
static void call_after(struct world *w, uint64_t idle)
{
    w->now += idle;
    keepalive_call(&w->k, w->now);
    w->now += 1000;
    keepalive_idle(&w->k, w->now);
    assert_true(keepalive_check(&w->k));
}

static struct keepalive_plan plan(const struct world *w)
{
    struct keepalive_plan p;

    keepalive_plan(&w->k, &p);
    return p;
}

static bool warm_after(const struct world *w, uint64_t idle)
{
    struct keepalive_plan p = plan(w);
    uint64_t at = w->now + idle;

    return at < p.drop_ms || (at >= p.prewarm_ms && at < p.until_ms);
}

static void assert_fixed(const struct world *w)
{
    struct keepalive_plan p = plan(w);

    assert_int_equal(p.basis, KEEPALIVE_FIXED);
    assert_int_equal(p.drop_ms, w->now + FIXED);
    assert_true(p.prewarm_ms == UINT64_MAX && p.until_ms == UINT64_MAX);
}

/* Called every half an hour: dropped at once, started anew in time, and not for long. */
static void periodic(void **state)
{
    struct world w = world(true);
    struct keepalive_plan p;

    for (int i = 0; i < 20; i++) {
        call_after(&w, 30 * MINUTE + 500);
    }
    p = plan(&w);
    assert_int_equal(p.basis, KEEPALIVE_LEARNED);
    assert_int_equal(p.drop_ms, w.now);
    assert_int_equal(p.prewarm_ms, w.now + 27 * MINUTE);
    assert_int_equal(p.until_ms, w.now + 31 * MINUTE * 110 / 100);
    assert_true(warm_after(&w, 30 * MINUTE));
}

/* Called in bursts with long pauses: kept through the burst and not through the pause. */
static void bursty(void **state)
{
    struct world w = world(true);

    for (int burst = 0; burst < 5; burst++) {
        for (int i = 0; i < 199; i++) {
            call_after(&w, 5000);
        }
        call_after(&w, 3 * HOUR);
    }
    assert_int_equal(plan(&w).basis, KEEPALIVE_LEARNED);
    assert_int_equal(plan(&w).drop_ms, w.now + 66000);
    assert_true(warm_after(&w, 5000));
    assert_false(warm_after(&w, 3 * HOUR));
}

/* Called less than every four hours: the histogram says nothing. */
static void rare(void **state)
{
    struct world w = world(true);

    for (int i = 0; i < 50; i++) {
        call_after(&w, 5 * HOUR);
    }
    for (int i = 0; i < 49; i++) {
        call_after(&w, HOUR);
    }
    assert_fixed(&w);
    call_after(&w, HOUR); /* now half of them are within it */
    assert_int_equal(plan(&w).basis, KEEPALIVE_LEARNED);
}

/* Idle times spread evenly over the bins are no pattern. */
static void no_pattern(void **state)
{
    struct world w = world(true);

    for (uint64_t i = 0; i < 480; i++) {
        call_after(&w, i * 97 % 240 * MINUTE);
    }
    assert_fixed(&w);
}

/* The coefficient of variation decides at exactly its threshold: of 240 bins, 48 with the
 * same count have one of 2. */
static void threshold(void **state)
{
    struct world more = world(true), fewer = world(true);

    for (int round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < 48; i++) {
            call_after(&more, i * MINUTE);
            if (i < 47) {
                call_after(&fewer, i * MINUTE);
            }
        }
    }
    assert_fixed(&more);
    assert_int_equal(plan(&fewer).basis, KEEPALIVE_LEARNED);
}

/* From a few calls nothing is concluded. */
static void few_samples(void **state)
{
    struct world w = world(true);

    for (int i = 0; i < KEEPALIVE_SAMPLES_MIN; i++) {
        assert_fixed(&w);
        call_after(&w, 30 * MINUTE);
    }
    assert_int_equal(plan(&w).basis, KEEPALIVE_LEARNED);
}

/* A function that may be called within a minute keeps its instance; the tail says until.
 */
static void head_and_tail(void **state)
{
    struct world w = world(true);

    for (int i = 0; i < 93; i++) {
        call_after(&w, 20 * MINUTE);
    }
    for (int i = 0; i < 5; i++) {
        call_after(&w, 1000); /* the earliest 5 % */
    }
    call_after(&w, 40 * MINUTE); /* the 99th percentile */
    call_after(&w, 200 * MINUTE);
    assert_int_equal(plan(&w).drop_ms, w.now + 41 * MINUTE * 110 / 100);
    assert_true(plan(&w).prewarm_ms == UINT64_MAX);
}

/* One of thirty is less than 5 %, and not the earliest that is expected. */
static void outliers(void **state)
{
    struct world w = world(true);

    call_after(&w, 1000);
    for (int i = 0; i < 29; i++) {
        call_after(&w, 20 * MINUTE);
    }
    assert_int_equal(plan(&w).prewarm_ms, w.now + 18 * MINUTE);
}

/* Calls that find the function busy are not counted: its instances are there. */
static void busy_is_not_idle(void **state)
{
    struct world w = world(true);

    for (int i = 0; i < 10; i++) {
        call_after(&w, 30 * MINUTE);
        keepalive_call(&w.k, w.now += 29 * MINUTE);
        for (int j = 0; j < 10; j++) {
            keepalive_call(&w.k, w.now += 100);
        }
        keepalive_idle(&w.k, w.now);
    }
    assert_int_equal(w.k.total, 20);
}

/* A function that changes its habits is followed. */
static void follows_a_change(void **state)
{
    struct world w = world(true);

    for (int i = 0; i < 990; i++) {
        call_after(&w, 10 * MINUTE);
    }
    assert_true(warm_after(&w, 10 * MINUTE));
    for (int i = 0; i < 1500; i++) {
        call_after(&w, 60 * MINUTE);
    }
    assert_true(warm_after(&w, 60 * MINUTE));
    for (int i = 0; i < 8000; i++) {
        call_after(&w, 60 * MINUTE);
    }
    assert_false(warm_after(&w, 10 * MINUTE)); /* and the old one is forgotten */
}

/* So is one that was rarely called and is called often now. */
static void becomes_frequent(void **state)
{
    struct world w = world(true);

    for (int i = 0; i < 1000; i++) {
        call_after(&w, 5 * HOUR);
    }
    assert_fixed(&w);
    for (int i = 0; i < 600; i++) {
        call_after(&w, HOUR);
    }
    assert_int_equal(plan(&w).basis, KEEPALIVE_LEARNED);
}

/* Without learning it is the fixed time, whatever was seen; a clock that goes back is
 * none. */
static void fixed(void **state)
{
    struct world w = world(false);

    for (int i = 0; i < 20; i++) {
        call_after(&w, 30 * MINUTE);
    }
    assert_fixed(&w);
    keepalive_call(&w.k, w.now - HOUR);
    assert_true(keepalive_check(&w.k));
}

/* What was learned goes on in another life, also one whose clock began after the last
 * call: the next one is expected when it would have been. */
static void goes_on(void **state)
{
    struct world w = world(true), next = {.now = 2 * MINUTE};
    struct keepalive_memory m;
    struct keepalive_plan p;

    keepalive_init(&next.k, FIXED, true);
    assert_false(keepalive_remember(&w.k, w.now, &m));
    for (int i = 0; i < 20; i++) {
        call_after(&w, 30 * MINUTE + 500);
    }
    assert_true(keepalive_remember(&w.k, w.now + 10 * MINUTE, &m));
    assert_true(m.idle && m.ago_ms == 10 * MINUTE);
    assert_true(keepalive_recall(&next.k, next.now, &m));
    assert_true(keepalive_check(&next.k) && keepalive_has_pattern(&next.k));
    p = plan(&next);
    assert_int_equal(p.basis, KEEPALIVE_LEARNED);
    assert_int_equal(p.drop_ms, 0); /* before the clock began */
    assert_int_equal(p.prewarm_ms, next.now + 17 * MINUTE);
    next.now += 20 * MINUTE;
    keepalive_call(&next.k, next.now);
    assert_int_equal(next.k.bins[30], 21);
}

/* When it is not known whether a call came meanwhile, the next one teaches nothing, and
 * nothing is planned before it. */
static void goes_on_after_a_crash(void **state)
{
    struct world w = world(true);
    struct keepalive_memory m;
    struct keepalive k;

    for (int i = 0; i < 20; i++) {
        call_after(&w, 30 * MINUTE + 500);
    }
    assert_true(keepalive_remember(&w.k, w.now, &m));
    m.idle = false;
    keepalive_init(&k, FIXED, true);
    assert_true(keepalive_recall(&k, w.now, &m));
    keepalive_call(&k, w.now + HOUR);
    assert_int_equal(k.total, 20);
    keepalive_idle(&k, w.now + HOUR);
    w.k = k;
    assert_int_equal(plan(&w).basis, KEEPALIVE_LEARNED);
}

/* Neither what cannot have been counted is taken over, nor anything where more is known
 * already; and what is very old says nothing. */
static void recalls_no_nonsense(void **state)
{
    struct world w = world(true);
    struct keepalive_memory m = {0};
    struct keepalive k;

    keepalive_init(&k, FIXED, true);
    assert_false(keepalive_recall(&k, w.now, &m)); /* nothing */
    m.bins[3] = KEEPALIVE_SAMPLES_MAX;
    assert_false(keepalive_recall(&k, w.now, &m));
    m.bins[3] = KEEPALIVE_SAMPLES_MAX - 1;
    m.beyond = 1;
    assert_false(keepalive_recall(&k, w.now, &m));
    m.beyond = UINT32_MAX;
    assert_false(keepalive_recall(&k, w.now, &m));
    m.beyond = 0;
    m.ago_ms = KEEPALIVE_FORGET_MS + 1;
    assert_false(keepalive_recall(&k, w.now, &m));
    m.ago_ms = 0;
    call_after(&w, MINUTE);
    assert_false(keepalive_recall(&w.k, w.now, &m));
    assert_int_equal(w.k.total, 1);
    assert_true(keepalive_recall(&k, w.now, &m));
    assert_false(keepalive_remember(&k, w.now + KEEPALIVE_FORGET_MS + 1, &m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(periodic),
        cmocka_unit_test(bursty),
        cmocka_unit_test(rare),
        cmocka_unit_test(no_pattern),
        cmocka_unit_test(threshold),
        cmocka_unit_test(few_samples),
        cmocka_unit_test(head_and_tail),
        cmocka_unit_test(outliers),
        cmocka_unit_test(busy_is_not_idle),
        cmocka_unit_test(follows_a_change),
        cmocka_unit_test(becomes_frequent),
        cmocka_unit_test(fixed),
        cmocka_unit_test(goes_on),
        cmocka_unit_test(goes_on_after_a_crash),
        cmocka_unit_test(recalls_no_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
