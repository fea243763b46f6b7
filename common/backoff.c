#include "common/backoff.h"

#include "common/check.h"

uint32_t backoff_next_ms(struct backoff *b, uint64_t random)
{
    uint32_t half_ms;

    CHECK(b->min_ms > 0 && b->min_ms <= b->max_ms);
    if (b->now_ms == 0) {
        b->now_ms = b->min_ms;
    } else {
        b->now_ms = b->now_ms > b->max_ms / 2 ? b->max_ms : b->now_ms * 2;
    }
    half_ms = b->now_ms / 2;
    return b->now_ms - half_ms + (uint32_t)(random % (half_ms + 1));
}

void backoff_reset(struct backoff *b)
{
    b->now_ms = 0;
}
