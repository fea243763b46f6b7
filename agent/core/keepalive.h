/* How long an idle instance of a function is kept, and when one is started ahead of the
 * next call: the hybrid histogram policy of "Serverless in the Wild" (Shahrad et al.,
 * USENIX ATC 2020), section 4. Pure: it is handed the time.
 *
 * It counts for how long the function was idle before a call, in bins of a minute up to
 * four hours. If those counts show a pattern (their coefficient of variation is high: few
 * bins hold most), the instance is dropped and started again just before the earliest
 * expected call, and kept until after the latest; or kept from the start, if a call may
 * come within a minute. Else it is kept for a fixed time.
 *
 * What the paper forecasts by ARIMA, functions called less than every four hours, is left
 * to the fixed time. Half a kilobyte per function; embedded in its owner's. */
#ifndef AGENT_CORE_KEEPALIVE_H
#define AGENT_CORE_KEEPALIVE_H

#include <stdbool.h>
#include <stdint.h>

#define KEEPALIVE_BIN_MS       60000u
#define KEEPALIVE_BINS         240 /* four hours */
#define KEEPALIVE_HEAD_PERCENT 5   /* of idle times are shorter: the earliest expected */
#define KEEPALIVE_TAIL_PERCENT 99
#define KEEPALIVE_MARGIN       10 /* percent, sooner and later than those */
#define KEEPALIVE_CV           2  /* of the bins' counts; below it there is no pattern */
#define KEEPALIVE_SAMPLES_MIN  5  /* ours: from fewer nothing is concluded */
#define KEEPALIVE_BEYOND_MAX   50 /* percent of idle times that no bin is for */
/* Ours: when so many were counted all counts are halved, so that what a function did long
 * ago weighs less than what it does now. */
#define KEEPALIVE_SAMPLES_MAX 1000

struct keepalive {
    uint32_t fixed_ms;
    bool learn; /* false: always the fixed time */
    /* private */
    bool idle;
    int64_t
        idle_ms; /* since when, or when it was called last; below 0: before time began */
    uint32_t total, beyond; /* counted in bins; longer than they reach */
    uint64_t squares;       /* of the bins' counts */
    uint16_t bins[KEEPALIVE_BINS];
};

enum keepalive_basis { KEEPALIVE_FIXED, KEEPALIVE_LEARNED };

struct keepalive_plan {
    enum keepalive_basis basis;
    uint64_t drop_ms;    /* the idle instance goes */
    uint64_t prewarm_ms; /* one is started anew; UINT64_MAX: none is */
    uint64_t until_ms;   /* and goes, if there was no call; UINT64_MAX with it */
};

/* What outlives its owner: what was counted, and how long ago the function was called
 * last. */
#define KEEPALIVE_FORGET_MS (14ull * 24 * 3600 * 1000) /* after that it says nothing */

struct keepalive_memory {
    uint64_t ago_ms;
    bool idle; /* since then no call has come, for certain */
    uint32_t beyond;
    uint16_t bins[KEEPALIVE_BINS];
};

/* False: there is nothing to remember. */
bool keepalive_remember(const struct keepalive *k, uint64_t now_ms,
                        struct keepalive_memory *ret);
/* False: no such counts come from here, they are too old, or it has counted already: it
 * stays as it is. */
bool keepalive_recall(struct keepalive *k, uint64_t now_ms,
                      const struct keepalive_memory *m);

void keepalive_init(struct keepalive *k, uint32_t fixed_ms, bool learn);
/* A call has come. What was learned counts from the next plan on. */
void keepalive_call(struct keepalive *k, uint64_t now_ms);
/* The last call in progress has ended. */
void keepalive_idle(struct keepalive *k, uint64_t now_ms);
/* What to do with the function's instance, which has been idle since keepalive_idle();
 * if it is not idle there is no pattern to follow. */
void keepalive_plan(const struct keepalive *k, struct keepalive_plan *ret);

bool keepalive_has_pattern(const struct keepalive *k);
bool keepalive_check(const struct keepalive *k); /* for tests */

#endif /* AGENT_CORE_KEEPALIVE_H */
