/* A version's autoscaler settings: what its spec says over the cluster's defaults. */
#ifndef CONTROLLER_CORE_SCALING_CONFIG_H
#define CONTROLLER_CORE_SCALING_CONFIG_H

#include "common/spec.h"
#include "controller/core/autoscaler_config.h"

/* Calls at once that an instance takes. */
uint32_t scaling_config_slots(const struct function_spec *s);
/* n, but no more than max-scale allows. */
uint32_t scaling_config_cap(const struct function_spec *s, uint32_t n);
/* min-scale, as far as it can be had. */
uint32_t scaling_config_min(const struct function_spec *s);
/* Instances that it has without load: min-scale, or one if nothing scales to zero. */
uint32_t scaling_config_floor(const struct function_spec *s,
                              const struct autoscaler_config *defaults);
/* Instances that a new version takes over with. */
uint32_t scaling_config_initial(const struct function_spec *s,
                                const struct autoscaler_config *defaults);
/* Whether the last instance is kept after load ended: else that is its agent's matter. */
bool scaling_config_retains(const struct function_spec *s,
                            const struct autoscaler_config *defaults);

/* One that autoscaler_config_check() accepts, if it accepts the defaults; what a spec
 * cannot say (it may be from a store that someone else wrote to) is left out. The count
 * to begin with is not the autoscaler's here: initial-scale is 0. */
void scaling_config(const struct function_spec *s,
                    const struct autoscaler_config *defaults,
                    struct autoscaler_config *ret);

#endif /* CONTROLLER_CORE_SCALING_CONFIG_H */
