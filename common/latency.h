/* Latency: durations counted in buckets that grow by about 26 % each (three to an
 * octave), so that a percentile is right within that, whatever the range. Adding is a
 * handful of instructions; two are added up by adding their buckets. */
#ifndef COMMON_LATENCY_H
#define COMMON_LATENCY_H

#include <stdint.h>

/* The first bucket ends at LATENCY_FIRST_US, the last one has no end; the one before it
 * ends at about 15 minutes, the longest that a call may take. */
#define LATENCY_FIRST_US 64
#define LATENCY_BUCKETS  74

struct latency {
    uint64_t counts[LATENCY_BUCKETS];
};

unsigned latency_bucket(uint64_t us);       /* < LATENCY_BUCKETS */
uint64_t latency_limit_us(unsigned bucket); /* its end; of the last one, its beginning */
void latency_add(struct latency *l, uint64_t us);
uint64_t latency_count(const struct latency *l);
/* The time within which this share (0 … 1) of all were done; 0 if there are none. */
uint64_t latency_quantile_us(const struct latency *l, double share);

#endif /* COMMON_LATENCY_H */
