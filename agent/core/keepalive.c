#include "agent/core/keepalive.h"

#include <string.h>

#include "common/check.h"

void keepalive_init(struct keepalive *k, uint32_t fixed_ms, bool learn)
{
    *k = (struct keepalive){.fixed_ms = fixed_ms, .learn = learn};
}

static void halve(struct keepalive *k)
{
    k->total = 0;
    k->squares = 0;
    for (int i = 0; i < KEEPALIVE_BINS; i++) {
        k->bins[i] /= 2;
        k->total += k->bins[i];
        k->squares += (uint64_t)k->bins[i] * k->bins[i];
    }
    k->beyond /= 2;
}

static void count(struct keepalive *k, uint64_t idle_ms)
{
    uint64_t bin = idle_ms / KEEPALIVE_BIN_MS;

    if (bin >= KEEPALIVE_BINS) {
        k->beyond++;
    } else {
        k->squares += 2u * k->bins[bin] + 1;
        k->bins[bin]++;
        k->total++;
    }
    if (k->total + k->beyond >= KEEPALIVE_SAMPLES_MAX) {
        halve(k);
    }
}

void keepalive_call(struct keepalive *k, uint64_t now_ms)
{
    int64_t ms = (int64_t)now_ms;

    if (k->idle) {
        count(k, ms > k->idle_ms ? (uint64_t)(ms - k->idle_ms) : 0);
        k->idle = false;
    }
    k->idle_ms = ms;
}

void keepalive_idle(struct keepalive *k, uint64_t now_ms)
{
    k->idle = true;
    k->idle_ms = (int64_t)now_ms;
}

/* Whether what was counted shows a pattern. For n bins of mean m the squared coefficient
 * of variation is n * squares / total^2 - 1. */
bool keepalive_has_pattern(const struct keepalive *k)
{
    uint64_t all = (uint64_t)k->total + k->beyond, total = k->total;

    return total >= KEEPALIVE_SAMPLES_MIN &&
           k->beyond * 100ull <= all * KEEPALIVE_BEYOND_MAX &&
           KEEPALIVE_BINS * k->squares >
               total * total * (1 + KEEPALIVE_CV * KEEPALIVE_CV);
}

/* The bin that holds a percentile of the counts. */
static uint32_t percentile_bin(const struct keepalive *k, uint32_t percent)
{
    uint64_t seen = 0, rank = ((uint64_t)k->total * percent + 99) / 100;

    for (uint32_t i = 0; i < KEEPALIVE_BINS; i++) {
        seen += k->bins[i];
        if (seen >= rank && seen > 0) {
            return i;
        }
    }
    CHECK(false); /* total is the bins' sum, and not zero */
}

/* So long after it became idle. */
static uint64_t after(const struct keepalive *k, uint64_t ms)
{
    int64_t at_ms = k->idle_ms + (int64_t)ms;

    return at_ms > 0 ? (uint64_t)at_ms : 0;
}

void keepalive_plan(const struct keepalive *k, struct keepalive_plan *ret)
{
    uint64_t head, tail;

    *ret = (struct keepalive_plan){.basis = KEEPALIVE_FIXED,
                                   .drop_ms = after(k, k->fixed_ms),
                                   .prewarm_ms = UINT64_MAX,
                                   .until_ms = UINT64_MAX};
    if (!k->learn || !k->idle || !keepalive_has_pattern(k)) {
        return;
    }
    ret->basis = KEEPALIVE_LEARNED;
    /* The head's bin from its beginning, the tail's to its end. */
    head = (uint64_t)percentile_bin(k, KEEPALIVE_HEAD_PERCENT) * KEEPALIVE_BIN_MS;
    tail = (percentile_bin(k, KEEPALIVE_TAIL_PERCENT) + 1ull) * KEEPALIVE_BIN_MS;
    head = head * (100 - KEEPALIVE_MARGIN) / 100;
    tail = tail * (100 + KEEPALIVE_MARGIN) / 100;
    if (head == 0) {
        ret->drop_ms = after(k, tail);
        return;
    }
    ret->drop_ms = after(k, 0);
    ret->prewarm_ms = after(k, head);
    ret->until_ms = after(k, tail);
}

bool keepalive_remember(const struct keepalive *k, uint64_t now_ms,
                        struct keepalive_memory *ret)
{
    int64_t ago_ms = (int64_t)now_ms - k->idle_ms;

    if (k->total + k->beyond == 0 || ago_ms > (int64_t)KEEPALIVE_FORGET_MS) {
        return false;
    }
    ret->ago_ms = ago_ms > 0 ? (uint64_t)ago_ms : 0;
    ret->idle = k->idle;
    ret->beyond = k->beyond;
    memcpy(ret->bins, k->bins, sizeof(ret->bins));
    return true;
}

bool keepalive_recall(struct keepalive *k, uint64_t now_ms,
                      const struct keepalive_memory *m)
{
    uint64_t total = 0, squares = 0;

    for (int i = 0; i < KEEPALIVE_BINS; i++) {
        total += m->bins[i];
        squares += (uint64_t)m->bins[i] * m->bins[i];
    }
    if (total + m->beyond == 0 || total + m->beyond >= KEEPALIVE_SAMPLES_MAX ||
        m->ago_ms > KEEPALIVE_FORGET_MS || k->total + k->beyond > 0) {
        return false;
    }
    k->idle = m->idle;
    k->idle_ms = (int64_t)now_ms - (int64_t)m->ago_ms;
    k->total = (uint32_t)total;
    k->beyond = m->beyond;
    k->squares = squares;
    memcpy(k->bins, m->bins, sizeof(k->bins));
    return true;
}

bool keepalive_check(const struct keepalive *k)
{
    uint64_t total = 0, squares = 0;

    for (int i = 0; i < KEEPALIVE_BINS; i++) {
        total += k->bins[i];
        squares += (uint64_t)k->bins[i] * k->bins[i];
    }
    return total == k->total && squares == k->squares &&
           total + k->beyond < KEEPALIVE_SAMPLES_MAX;
}
