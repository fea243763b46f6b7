#include "agent/warden/blank_policy.h"

void blank_policy_init(struct blank_policy *p, unsigned least, unsigned max,
                       uint64_t span_ms)
{
    *p = (struct blank_policy){.least = least, .max = max, .span_ms = span_ms};
}

void blank_policy_begun(struct blank_policy *p, uint64_t now_ms)
{
    if (now_ms - p->window_ms >= p->span_ms) {
        p->window_ms = now_ms;
        p->in_window = 0;
    }
    p->in_window++;
    if (p->in_window > p->peak) {
        p->peak = p->in_window;
        p->decay_ms = now_ms;
    }
}

void blank_policy_short(struct blank_policy *p, uint64_t now_ms)
{
    p->short_until_ms = now_ms + BLANK_SHORT_MS;
    p->peak = 0;
}

unsigned blank_policy_want(struct blank_policy *p, uint64_t now_ms)
{
    unsigned want;

    while (p->peak > 0 && now_ms - p->decay_ms >= BLANK_DECAY_MS) {
        p->peak -= (p->peak + 7) / 8;
        p->decay_ms += BLANK_DECAY_MS;
    }
    if (now_ms < p->short_until_ms) {
        return 0;
    }
    want = p->peak > p->least ? p->peak : p->least;
    return want < p->max ? want : p->max;
}
