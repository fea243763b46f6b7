#include "controller/core/autoscaler_window.h"

#include <errno.h>
#include <stdlib.h>

#include "common/check.h"

/* --- average ------------------------------------------------------------------ */

int autoscaler_window_init(struct autoscaler_window *w, uint32_t seconds)
{
    CHECK(seconds > 0);
    *w = (struct autoscaler_window){.length = seconds};
    w->buckets = calloc(seconds, sizeof(*w->buckets));
    return w->buckets != NULL ? 0 : -ENOMEM;
}

void autoscaler_window_free(struct autoscaler_window *w)
{
    free(w->buckets);
    *w = (struct autoscaler_window){0};
}

static int64_t *bucket(const struct autoscaler_window *w, uint64_t second)
{
    return &w->buckets[second % w->length];
}

int autoscaler_window_copy(struct autoscaler_window *ret,
                           const struct autoscaler_window *w, uint32_t seconds)
{
    struct autoscaler_window copy;
    uint64_t keep;

    if (autoscaler_window_init(&copy, seconds) < 0) {
        return -ENOMEM;
    }
    if (w->written) {
        keep = w->last - w->first + 1;
        keep = keep > seconds ? seconds : keep;
        for (uint64_t s = w->last - keep + 1; s <= w->last; s++) {
            autoscaler_window_add(&copy, s, *bucket(w, s));
        }
    }
    *ret = copy;
    return 0;
}

/* Empties what the window leaves behind when it moves on to second. */
static void move(struct autoscaler_window *w, uint64_t second)
{
    uint64_t ahead = second - w->last;

    if (ahead >= w->length) { /* nothing for a whole window: it begins anew */
        for (uint32_t i = 0; i < w->length; i++) {
            w->buckets[i] = 0;
        }
        w->total = 0;
        w->first = second;
    } else {
        for (uint64_t s = w->last + 1; s <= second; s++) {
            w->total -= *bucket(w, s);
            *bucket(w, s) = 0;
        }
    }
    w->last = second;
    if (w->last - w->first >= w->length) {
        w->first = w->last - w->length + 1;
    }
}

void autoscaler_window_add(struct autoscaler_window *w, uint64_t second, int64_t amount)
{
    if (!w->written) {
        w->written = true;
        w->first = w->last = second;
    } else if (second > w->last) {
        move(w, second);
    } else if (w->last - second >= w->length) {
        return;
    } else if (second < w->first) {
        w->first = second;
    }
    *bucket(w, second) += amount;
    w->total += amount;
}

int64_t autoscaler_window_average(const struct autoscaler_window *w, uint64_t now)
{
    uint64_t since, n;
    int64_t total = w->total;

    if (!w->written) {
        return 0;
    }
    since = now > w->last ? now - w->last : 0;
    if (since >= w->length) {
        return 0;
    }
    for (uint64_t s = w->last + 1; s <= w->last + since; s++) {
        total -= *bucket(w, s);
    }
    n = w->last - w->first + 1;
    if (n > w->length - since) {
        n = w->length - since;
    }
    return total / (int64_t)n;
}

bool autoscaler_window_empty(const struct autoscaler_window *w, uint64_t now)
{
    return !w->written || (now > w->last && now - w->last > w->length);
}

bool autoscaler_window_check(const struct autoscaler_window *w)
{
    int64_t total = 0;

    for (uint32_t i = 0; i < w->length; i++) {
        total += w->buckets[i];
    }
    return total == w->total && w->first <= w->last && w->last - w->first < w->length;
}

/* --- maximum ------------------------------------------------------------------ */

int autoscaler_peaks_init(struct autoscaler_peaks *p, uint32_t buckets)
{
    *p = (struct autoscaler_peaks){.length = buckets};
    if (buckets > 0) {
        p->items = calloc(buckets, sizeof(*p->items));
    }
    return buckets == 0 || p->items != NULL ? 0 : -ENOMEM;
}

void autoscaler_peaks_free(struct autoscaler_peaks *p)
{
    free(p->items);
    *p = (struct autoscaler_peaks){0};
}

static struct autoscaler_peak *item(const struct autoscaler_peaks *p, uint32_t i)
{
    return &p->items[(p->first + i) % p->length];
}

int autoscaler_peaks_copy(struct autoscaler_peaks *ret, const struct autoscaler_peaks *p,
                          uint32_t buckets)
{
    struct autoscaler_peaks copy;

    if (autoscaler_peaks_init(&copy, buckets) < 0) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < p->n && buckets > 0; i++) {
        autoscaler_peaks_add(&copy, item(p, i)->index, item(p, i)->value);
    }
    *ret = copy;
    return 0;
}

void autoscaler_peaks_add(struct autoscaler_peaks *p, uint64_t index, uint32_t value)
{
    CHECK(p->length > 0);
    if (p->n > 0 && index < item(p, p->n - 1)->index) {
        index = item(p, p->n - 1)->index;
    }
    /* What is not above the new value can never be the maximum again. */
    while (p->n > 0 && item(p, p->n - 1)->value <= value) {
        p->n--;
    }
    while (p->n > 0 && index - item(p, 0)->index >= p->length) {
        p->first = (p->first + 1) % p->length;
        p->n--;
    }
    if (p->n > 0 && item(p, p->n - 1)->index == index) {
        return; /* one bucket holds its greatest */
    }
    CHECK(p->n < p->length);
    *item(p, p->n) = (struct autoscaler_peak){.index = index, .value = value};
    p->n++;
}

struct autoscaler_peak autoscaler_peaks_max(const struct autoscaler_peaks *p)
{
    CHECK(p->n > 0);
    return (struct autoscaler_peak){.index = item(p, 0)->index + p->length,
                                    .value = item(p, 0)->value};
}
