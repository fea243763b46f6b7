/* What can be set about a version's scaling. Names, defaults and ranges are Knative's
 * (config-autoscaler and the autoscaling.knative.dev annotations), so that who knows one
 * knows the other; what is only ours says so. */
#ifndef CONTROLLER_CORE_AUTOSCALER_CONFIG_H
#define CONTROLLER_CORE_AUTOSCALER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

#define AUTOSCALER_TICK_MS 2000 /* the least often a decision is made */

enum autoscaler_metric {
    AUTOSCALER_CONCURRENCY, /* calls in an instance or waiting for one */
    AUTOSCALER_RPS,         /* calls begun per second */
    AUTOSCALER_METRIC_COUNT
};

/* Numbers: X(member, "key", min, max, default, whole multiples of (0: any), "unit",
 * "help"). All are doubles: Knative's percentages and rates are. */
#define AUTOSCALER_NUMBERS(X)                                                            \
    X(container_concurrency, "container-concurrency", 0, 1000, 0, 1, "calls",            \
      "calls at once that an instance takes; 0: no limit")                               \
    X(target, "target", 0, 1000000, 0, 0, "calls or calls/s",                            \
      "value per instance to aim for, before utilization; 0: container-concurrency, or " \
      "the metric's default")                                                            \
    X(target_utilization_percentage, "target-utilization-percentage", 1, 100, 70, 0,     \
      "%", "share of the target that is used in a steady state")                         \
    X(concurrency_target_default, "container-concurrency-target-default", 0.01, 1000000, \
      100, 0, "calls", "target when nothing limits an instance's concurrency")           \
    X(rps_target_default, "requests-per-second-target-default", 0.01, 1000000, 200, 0,   \
      "calls/s", "target of the metric rps")                                             \
    X(stable_window_ms, "stable-window", 6000, 3600000, 60000, 1000, "ms",               \
      "the average over this decides in a steady state")                                 \
    X(panic_window_percentage, "panic-window-percentage", 1, 100, 10, 0, "%",            \
      "of the stable window: the average over this decides in panic")                    \
    X(panic_threshold_percentage, "panic-threshold-percentage", 110, 1000, 200, 0, "%",  \
      "instances wanted, of those ready, from which on it is panic")                     \
    X(max_scale_up_rate, "max-scale-up-rate", 1, 1000000, 1000, 0, "times",              \
      "most instances wanted, as a multiple of those ready")                             \
    X(max_scale_down_rate, "max-scale-down-rate", 1, 1000000, 2, 0, "times",             \
      "fewest instances wanted: those ready, divided by this")                           \
    X(target_burst_capacity, "target-burst-capacity", -1, 1000000, 211, 0, "calls",      \
      "burst to have room for; 0: none; -1: calls are always buffered")                  \
    X(initial_scale, "initial-scale", 0, 10000, 1, 1, "instances",                       \
      "instances that a new version has to reach once")                                  \
    X(min_scale, "min-scale", 0, 10000, 0, 1, "instances", "fewest instances")           \
    X(max_scale, "max-scale", 0, 100000, 0, 1, "instances",                              \
      "most instances; 0: no limit")                                                     \
    X(activation_scale, "activation-scale", 1, 10000, 1, 1, "instances",                 \
      "fewest instances while there is any load")                                        \
    X(scale_down_delay_ms, "scale-down-delay", 0, 3600000, 0, 1000, "ms",                \
      "a decrease must have been wanted for this long")                                  \
    X(grace_ms, "scale-to-zero-grace-period", 6000, 3600000, 30000, 0, "ms",             \
      "calls must have been buffered for this long before the last instance goes")       \
    X(retention_ms, "scale-to-zero-pod-retention-period", 0, 3600000, 0, 0, "ms",        \
      "the last instance stays at least so long after load ended")                       \
    X(progress_deadline_ms, "progress-deadline", 1000, 3600000, 600000, 0, "ms",         \
      "instances that are not ready after this are given up when there is no load")      \
    X(observation_hold_ms, "observation-hold", 1000, 60000, 5000, 1000, "ms",            \
      "(ours) an observation stands for so long if none follows; then for none")

struct autoscaler_config {
    enum autoscaler_metric metric;
    bool enable_scale_to_zero;
#define X(member, key, min, max, dflt, step, unit, help) double member;
    AUTOSCALER_NUMBERS(X)
#undef X
};

void autoscaler_config_init(struct autoscaler_config *c); /* defaults */

/* One of the table's numbers, by key, in its unit; "enable-scale-to-zero": 0 or 1.
 * -ENOENT, -ERANGE, -EINVAL (not a multiple of its step): *c is as it was. */
int autoscaler_config_set(struct autoscaler_config *c, const char *key, double value,
                          struct error *err);
/* Every range, and the rules between numbers. */
int autoscaler_config_check(const struct autoscaler_config *c, struct error *err);

const char *autoscaler_metric_name(enum autoscaler_metric m); /* "concurrency", "rps" */
int autoscaler_metric_parse(const char *name);                /* or -EINVAL */

/* What follows from it. Value per instance: at 100 %, and the share that is aimed for. */
double autoscaler_config_total(const struct autoscaler_config *c);
double autoscaler_config_target(const struct autoscaler_config *c);
uint32_t autoscaler_config_stable_s(const struct autoscaler_config *c);
uint32_t autoscaler_config_panic_s(const struct autoscaler_config *c); /* >= 1 */

#endif /* CONTROLLER_CORE_AUTOSCALER_CONFIG_H */
