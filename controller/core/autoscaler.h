/* How many instances a version should have: the rules of Knative's pod autoscaler (KPA),
 * fed by what the agents report. Pure: it is handed the time and does nothing else than
 * compute; docs/decisions/0004-autoscaler.md says where it differs and why.
 *
 * One struct autoscaler per version. Whoever owns it hands in an observation whenever an
 * agent's report changes the sums, and asks for a decision when autoscaler_observe() says
 * so and on each tick (AUTOSCALER_TICK_MS). Times are those of one clock that does not go
 * back; if it does, the latest time seen stands. */
#ifndef CONTROLLER_CORE_AUTOSCALER_H
#define CONTROLLER_CORE_AUTOSCALER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/core/autoscaler_config.h"

struct autoscaler;

struct autoscaler_observation { /* sums over all nodes */
    uint64_t at_ms;
    double concurrency; /* calls in instances and waiting */
    double rps;         /* calls begun per second */
    uint32_t queued;    /* of the concurrency: waiting for an instance */
    uint32_t ready;     /* instances that take calls */
};

/* What shaped a decision, in the order in which it is applied:
 * X(NAME, "name", "text for a person") */
#define AUTOSCALER_CLAMPS(X)                                                           \
    X(NO_DATA, "no_data", "no agent has reported load; the count stays")               \
    X(UP_RATE, "max_scale_up_rate", "max-scale-up-rate allows no more at once")        \
    X(DOWN_RATE, "max_scale_down_rate", "max-scale-down-rate allows no fewer at once") \
    X(ACTIVATION, "activation_scale",                                                  \
      "activation-scale is the least while there is load")                             \
    X(PANIC, "panic", "in panic the count does not fall")                              \
    X(DELAY, "scale_down_delay", "scale-down-delay holds the highest of its window")   \
    X(INITIAL, "initial_scale", "initial-scale has not been reached yet")              \
    X(MIN, "min_scale", "min-scale is the least")                                      \
    X(MAX, "max_scale", "max-scale is the most")                                       \
    X(ZERO_DISABLED, "scale_to_zero_disabled", "scale to zero is switched off")        \
    X(ACTIVATING, "activating", "no instance has been ready yet")                      \
    X(ACTIVE, "active", "active for less than a stable window: the last one stays")    \
    X(RETENTION, "retention", "scale-to-zero-pod-retention-period holds the last one") \
    X(GRACE, "grace", "scale-to-zero-grace-period holds until calls are surely buffered")

enum autoscaler_clamp {
#define X(NAME, name, text) AUTOSCALER_CLAMP_##NAME,
    AUTOSCALER_CLAMPS(X)
#undef X
        AUTOSCALER_CLAMP_COUNT
};
#define AUTOSCALER_CLAMP_BIT(NAME) (1u << AUTOSCALER_CLAMP_##NAME)

/* What asked for the instances. */
enum autoscaler_basis {
    AUTOSCALER_BASIS_NONE,
    AUTOSCALER_BASIS_STABLE,
    AUTOSCALER_BASIS_PANIC,
    AUTOSCALER_BASIS_QUEUE,
    AUTOSCALER_BASIS_COUNT
};

/* A decision and why it is so. */
struct autoscaler_decision {
    uint64_t at_ms;
    uint32_t desired;
    bool valid; /* false: nothing to decide on, desired is what it was */
    bool panicking;
    int32_t excess_burst; /* calls there is room for beyond the burst capacity; negative:
                             too little */
    enum autoscaler_metric metric;
    enum autoscaler_basis basis;
    double stable_value, panic_value; /* averages of the windows */
    double target, total;             /* per instance: aimed for; at most */
    uint32_t ready, queued;
    uint32_t stable_wanted, panic_wanted, queue_wanted; /* before any clamp */
    uint32_t clamps;                                    /* of AUTOSCALER_CLAMP_BIT */
    uint64_t until_ms; /* until when the hold applied last stands; 0: none has an end */
};

/* The configuration is one that autoscaler_config_check() accepts. ready: instances that
 * there are already (a controller that takes over); if more than one the autoscaler
 * starts in panic, so that nothing falls before there is a stable window. -ENOMEM. */
int autoscaler_new(struct autoscaler **ret, const struct autoscaler_config *c,
                   uint64_t now_ms, uint32_t ready);
struct autoscaler *autoscaler_free(struct autoscaler *a);
/* From the next decision on; what was observed is kept. -ENOMEM: nothing has changed. */
int autoscaler_configure(struct autoscaler *a, const struct autoscaler_config *c);
/* The least, which may change while it runs; within the configuration's range. */
void autoscaler_set_min_scale(struct autoscaler *a, double min_scale);
/* Whether calls are sent to this version; of one that is not, min-scale, scale-down rate
 * and delay do not hold. True from the start. */
void autoscaler_set_reachable(struct autoscaler *a, bool reachable);

/* True: decide now, do not wait for the tick (a queue asks for more instances than were
 * desired, or there is load and no instance). Values that are not numbers or negative
 * count as 0. */
bool autoscaler_observe(struct autoscaler *a, const struct autoscaler_observation *o);
/* What was in [from_ms, to_ms) beyond the values that stood then (negative: less): amount
 * is in the metric's unit times milliseconds, and is spread evenly. So what is known only
 * afterwards, from counters, is exact in the averages. What is over before the window
 * begins, or lies ahead of the latest observation, does not count. */
void autoscaler_add(struct autoscaler *a, uint64_t from_ms, uint64_t to_ms,
                    double amount);
void autoscaler_decide(struct autoscaler *a, uint64_t now_ms,
                       struct autoscaler_decision *ret);
/* The latest decision; before the first one, the count it started from, not valid. */
const struct autoscaler_decision *autoscaler_last(const struct autoscaler *a);

size_t autoscaler_bytes(const struct autoscaler *a); /* memory that it holds */

const char *autoscaler_clamp_name(enum autoscaler_clamp c);
const char *autoscaler_clamp_text(enum autoscaler_clamp c);
const char *autoscaler_basis_name(enum autoscaler_basis b); /* "stable", ... */
/* One line for a person, always ended by NUL; cut if size is too small (320 is enough).
 */
void autoscaler_decision_text(const struct autoscaler_decision *d, char *ret,
                              size_t size);

#endif /* CONTROLLER_CORE_AUTOSCALER_H */
