#include "common/latency.h"

/* Ends of an octave's three buckets, in 1/1024 of its beginning: 2^(1/3), 2^(2/3), 2. */
static const uint32_t ends[3] = {1290, 1625, 2048};

static uint64_t end_us(unsigned bucket)
{
    uint64_t octave = (uint64_t)LATENCY_FIRST_US << ((bucket - 1) / 3);

    return octave * ends[(bucket - 1) % 3] / 1024;
}

uint64_t latency_limit_us(unsigned bucket)
{
    if (bucket == 0) {
        return LATENCY_FIRST_US;
    }
    return end_us(bucket < LATENCY_BUCKETS - 1 ? bucket : LATENCY_BUCKETS - 2);
}

unsigned latency_bucket(uint64_t us)
{
    unsigned octave, bucket;

    if (us <= LATENCY_FIRST_US) {
        return 0;
    }
    octave = 63 - (unsigned)__builtin_clzll((us - 1) / LATENCY_FIRST_US);
    bucket = 1 + 3 * octave;
    while (bucket < LATENCY_BUCKETS - 1 && us > end_us(bucket)) {
        bucket++;
    }
    return bucket < LATENCY_BUCKETS - 1 ? bucket : LATENCY_BUCKETS - 1;
}

void latency_add(struct latency *l, uint64_t us)
{
    l->counts[latency_bucket(us)]++;
}

uint64_t latency_count(const struct latency *l)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        sum += l->counts[i];
    }
    return sum;
}

uint64_t latency_quantile_us(const struct latency *l, double share)
{
    uint64_t sum = latency_count(l), seen = 0;
    uint64_t rank = (uint64_t)(share * (double)sum);

    rank = rank < sum ? rank + 1 : sum;
    for (unsigned i = 0; i < LATENCY_BUCKETS && sum > 0; i++) {
        seen += l->counts[i];
        if (seen >= rank) {
            return latency_limit_us(i);
        }
    }
    return 0;
}
