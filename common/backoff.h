/* Pauses between attempts: exponential, with jitter, bounded. Pure: the caller hands in
 * the random number
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ compares the
 * kinds; this is "equal jitter": half fixed, half random, so that a pause is never next
 * to nothing). */
#ifndef COMMON_BACKOFF_H
#define COMMON_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint32_t min_ms; /* of the first pause */
    uint32_t max_ms;
    uint32_t now_ms; /* private: 0 before the first */
};

/* The next pause: between half and all of min_ms, 2 min_ms, 4 min_ms … max_ms. */
uint32_t backoff_next_ms(struct backoff *b, uint64_t random);
void backoff_reset(struct backoff *b); /* it worked: the next pause is a first one */

#endif /* COMMON_BACKOFF_H */
