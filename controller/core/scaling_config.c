#include "controller/core/scaling_config.h"

#include <math.h>
#include <stddef.h>

uint32_t scaling_config_slots(const struct function_spec *s)
{
    return s->reuse ? s->concurrency : 1;
}

uint32_t scaling_config_cap(const struct function_spec *s, uint32_t n)
{
    return s->max_scale > 0 && n > s->max_scale ? s->max_scale : n;
}

uint32_t scaling_config_min(const struct function_spec *s)
{
    return s->reuse ? scaling_config_cap(s, s->min_scale) : 0;
}

uint32_t scaling_config_floor(const struct function_spec *s,
                              const struct autoscaler_config *defaults)
{
    uint32_t least = defaults->enable_scale_to_zero ? 0 : 1;

    if (!s->reuse) { /* an instance has one call: none can be kept */
        return 0;
    }
    return scaling_config_cap(s, s->min_scale > least ? s->min_scale : least);
}

uint32_t scaling_config_initial(const struct function_spec *s,
                                const struct autoscaler_config *defaults)
{
    return scaling_config_cap(
        s, s->initial_scale > 0 ? s->initial_scale : (uint32_t)defaults->initial_scale);
}

bool scaling_config_retains(const struct function_spec *s,
                            const struct autoscaler_config *defaults)
{
    return s->retention_ms > 0 || defaults->retention_ms > 0;
}

void scaling_config(const struct function_spec *s,
                    const struct autoscaler_config *defaults,
                    struct autoscaler_config *ret)
{
    const struct {
        const char *key;
        double value;
    } own[] = {
        {"target", s->target_hundredths / 100.0},
        {"target-utilization-percentage", s->target_utilization_hundredths / 100.0},
        {"stable-window", s->window_ms},
        {"panic-window-percentage", s->panic_window_hundredths / 100.0},
        {"panic-threshold-percentage", s->panic_threshold_hundredths / 100.0},
        {"activation-scale", s->activation_scale},
        {"scale-down-delay", s->scale_down_delay_ms},
        {"max-scale-up-rate", s->max_scale_up_rate_hundredths / 100.0},
        {"max-scale-down-rate", s->max_scale_down_rate_hundredths / 100.0},
        {"scale-to-zero-pod-retention-period", s->retention_ms},
    };

    *ret = *defaults;
    ret->min_scale = ret->max_scale = ret->initial_scale = 0;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        struct autoscaler_config next = *ret;

        if (own[i].value > 0 &&
            autoscaler_config_set(&next, own[i].key, own[i].value, NULL) == 0 &&
            autoscaler_config_check(&next, NULL) == 0) {
            *ret = next;
        }
    }
    ret->metric = s->metric == SPEC_METRIC_RPS ? AUTOSCALER_RPS : AUTOSCALER_CONCURRENCY;
    ret->container_concurrency = scaling_config_slots(s);
    ret->max_scale = s->max_scale;
    ret->min_scale = scaling_config_min(s);
    /* What never came up is given up no later than what did. */
    ret->progress_deadline_ms = fmin(ret->progress_deadline_ms, ret->stable_window_ms);
}
