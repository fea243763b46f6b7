/* The autoscaler's rules, from values to a decision; internal to autoscaler.c and tests.
 * Each rule is Knative's (pkg/autoscaler/scaling, pkg/reconciler/autoscaling/kpa) unless
 * it says so. */
#ifndef CONTROLLER_CORE_AUTOSCALER_RULES_H
#define CONTROLLER_CORE_AUTOSCALER_RULES_H

#include "controller/core/autoscaler.h"
#include "controller/core/autoscaler_window.h"

#define AUTOSCALER_NEVER UINT64_MAX

/* Idle, on its way, or serving: what may go to zero and when.
 *
 *              load                    ready
 *   INACTIVE --------> ACTIVATING -----------------> ACTIVE
 *      ^ ^                  |                          |
 *      | '------------------'                          |
 *      |  no load, progress-deadline over              |
 *      '-----------------------------------------------'
 *         no load, active for a stable window */
enum autoscaler_phase { AUTOSCALER_INACTIVE, AUTOSCALER_ACTIVATING, AUTOSCALER_ACTIVE };

struct autoscaler_state {
    bool reachable;
    uint64_t
        panic_ms; /* when it was last over the threshold; AUTOSCALER_NEVER: no panic */
    uint32_t panic_max;
    struct autoscaler_peaks delay; /* length 0: no delay */
    bool initialised;              /* initial-scale was reached */
    enum autoscaler_phase phase;
    uint64_t phase_ms; /* since when */
    uint64_t
        buffered_ms;  /* since when calls are buffered; AUTOSCALER_NEVER: they are not */
    uint32_t desired; /* what was decided last */
};

struct autoscaler_input {
    uint64_t now_ms;
    bool has_data;
    double stable, panic; /* of the metric */
    double concurrency;   /* at this moment */
    uint32_t queued, ready;
};

void autoscaler_rules_start(struct autoscaler_state *s, const struct autoscaler_config *c,
                            uint64_t now_ms, uint32_t ready);
uint32_t autoscaler_rules_delay_buckets(const struct autoscaler_config *c);
/* Instances without which a call would wait: ours. 0 while none waits. */
uint32_t autoscaler_rules_queue(const struct autoscaler_config *c, double concurrency,
                                uint32_t queued, uint32_t ready);
void autoscaler_rules_decide(struct autoscaler_state *s,
                             const struct autoscaler_config *c,
                             const struct autoscaler_input *in,
                             struct autoscaler_decision *ret);

#endif /* CONTROLLER_CORE_AUTOSCALER_RULES_H */
