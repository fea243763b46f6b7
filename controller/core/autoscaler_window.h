/* Two sliding windows of an autoscaler: an average over buckets of one second, and a
 * maximum over buckets of one tick. Memory is what the window's length needs; every call
 * is O(1), amortised over the seconds that pass.
 *
 * Sums are whole numbers (millionths), so that a window that slides for years stays exact
 * and a load of zero is zero: an average of 1e-17 would be one instance too many. */
#ifndef CONTROLLER_CORE_AUTOSCALER_WINDOW_H
#define CONTROLLER_CORE_AUTOSCALER_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUTOSCALER_WINDOW_UNIT 1000000 /* what stands for 1 */

/* --- average ------------------------------------------------------------------ */

struct autoscaler_window {
    int64_t *buckets; /* second s in s % length; zero outside first..last */
    uint32_t length;  /* seconds */
    bool written;
    uint64_t first, last; /* seconds written; first follows the window up */
    int64_t total;        /* of the buckets */
};

int autoscaler_window_init(struct autoscaler_window *w, uint32_t seconds); /* -ENOMEM */
void autoscaler_window_free(struct autoscaler_window *w);
/* A window of another length with what of the old one fits, the latest first. -ENOMEM. */
int autoscaler_window_copy(struct autoscaler_window *ret,
                           const struct autoscaler_window *w, uint32_t seconds);

/* To the sum of a second; one that is older than the window is passed over. */
void autoscaler_window_add(struct autoscaler_window *w, uint64_t second, int64_t amount);

/* Average of the seconds now - length + 1 .. now, rounded down, as Knative's: over those
 * since the first one written, if that is less; seconds after the last one written do not
 * count, those without a value in between count as zero. 0 if there is none. */
int64_t autoscaler_window_average(const struct autoscaler_window *w, uint64_t now);
bool autoscaler_window_empty(const struct autoscaler_window *w, uint64_t now);

bool autoscaler_window_check(
    const struct autoscaler_window *w); /* for tests: O(length) */

/* --- maximum ------------------------------------------------------------------ */

struct autoscaler_peak {
    uint64_t index; /* of a bucket: time / granularity */
    uint32_t value;
};

struct autoscaler_peaks { /* descending values, ascending indexes, the front is the
                             maximum */
    struct autoscaler_peak *items;
    uint32_t length; /* buckets, and room in items; 0: no window */
    uint32_t first, n;
};

int autoscaler_peaks_init(struct autoscaler_peaks *p, uint32_t buckets); /* -ENOMEM */
void autoscaler_peaks_free(struct autoscaler_peaks *p);
int autoscaler_peaks_copy(struct autoscaler_peaks *ret, const struct autoscaler_peaks *p,
                          uint32_t buckets); /* what fits; -ENOMEM */

/* Indexes do not go back: an earlier one is taken for the latest. length > 0. */
void autoscaler_peaks_add(struct autoscaler_peaks *p, uint64_t index, uint32_t value);
/* The maximum, and the bucket from which on it no longer counts. After an add. */
struct autoscaler_peak autoscaler_peaks_max(const struct autoscaler_peaks *p);

#endif /* CONTROLLER_CORE_AUTOSCALER_WINDOW_H */
