/* Times in a log-linear histogram: 64 steps for each power of two, so a percentile is
 * right to 1.6 %, whatever its size. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

#define HISTOGRAM_STEPS 64u
#define HISTOGRAM_SLOTS (HISTOGRAM_STEPS * 40u)

struct histogram {
    uint64_t count, sum, max;
    uint64_t slots[HISTOGRAM_SLOTS];
};

static inline unsigned histogram_slot(uint64_t value)
{
    unsigned shift = 0, slot;

    while (value >> shift >= 2 * HISTOGRAM_STEPS) {
        shift++;
    }
    slot = shift * HISTOGRAM_STEPS + (unsigned)(value >> shift);
    return slot < HISTOGRAM_SLOTS ? slot : HISTOGRAM_SLOTS - 1;
}

static inline void histogram_add(struct histogram *h, uint64_t value)
{
    h->count++;
    h->sum += value;
    h->max = value > h->max ? value : h->max;
    h->slots[histogram_slot(value)]++;
}

/* The middle of the slot in which that share of all values, in thousandths, is passed. */
static inline double histogram_at(const struct histogram *h, unsigned permille)
{
    uint64_t want = (h->count * permille + 999) / 1000, seen = 0;

    for (unsigned i = 0; i < HISTOGRAM_SLOTS; i++) {
        seen += h->slots[i];
        if (h->slots[i] > 0 && seen >= want) {
            unsigned shift = i < 2 * HISTOGRAM_STEPS ? 0 : i / HISTOGRAM_STEPS - 1;
            uint64_t base = (uint64_t)(i - shift * HISTOGRAM_STEPS) << shift;

            return (double)base + (double)((UINT64_C(1) << shift) - 1) / 2;
        }
    }
    return 0;
}

/* Values are nanoseconds; printed as microseconds, without the braces around. */
static inline void histogram_print(FILE *to, const struct histogram *h)
{
    double mean = h->count > 0 ? (double)h->sum / (double)h->count : 0;

    (void)fprintf(
        to,
        "\"count\": %llu, \"mean_us\": %.2f, \"p50_us\": %.2f, \"p90_us\": %.2f, "
        "\"p99_us\": %.2f, \"p999_us\": %.2f, \"max_us\": %.2f",
        (unsigned long long)h->count, mean / 1e3, histogram_at(h, 500) / 1e3,
        histogram_at(h, 900) / 1e3, histogram_at(h, 990) / 1e3,
        histogram_at(h, 999) / 1e3, (double)h->max / 1e3);
}

#endif /* BENCH_HISTOGRAM_H */
