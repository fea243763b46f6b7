/* How many blanks to keep ready: as many as were lately begun within the time that making
 * one takes at worst, and `least` when there was nothing; none for a while after the host
 * ran short of memory. Pure. */
#ifndef AGENT_WARDEN_BLANK_POLICY_H
#define AGENT_WARDEN_BLANK_POLICY_H

#include <stdint.h>

#define BLANK_DECAY_MS 1000  /* an eighth less */
#define BLANK_SHORT_MS 10000 /* none for so long after memory was short */

struct blank_policy {
    unsigned least, max;
    uint64_t span_ms;   /* of a window */
    uint64_t window_ms; /* beginning of the current one */
    unsigned in_window;
    unsigned peak;
    uint64_t decay_ms;
    uint64_t short_until_ms;
};

/* span_ms: longer than making one takes. */
void blank_policy_init(struct blank_policy *p, unsigned least, unsigned max,
                       uint64_t span_ms);
void blank_policy_begun(struct blank_policy *p, uint64_t now_ms); /* one was needed */
void blank_policy_short(struct blank_policy *p, uint64_t now_ms); /* of memory */
unsigned blank_policy_want(struct blank_policy *p, uint64_t now_ms);

#endif /* AGENT_WARDEN_BLANK_POLICY_H */
