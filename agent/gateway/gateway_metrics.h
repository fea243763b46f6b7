/* What the gateway counts. Series of a function are looked up once and then remembered.
 */
#ifndef AGENT_GATEWAY_GATEWAY_METRICS_H
#define AGENT_GATEWAY_GATEWAY_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/gateway/timing.h"
#include "common/cause.h"
#include "common/metrics.h"

struct gateway_metrics;

int gateway_metrics_new(struct gateway_metrics **ret, struct metrics *registry);
struct gateway_metrics *gateway_metrics_free(struct gateway_metrics *m);

/* A call that ended here. outcome: "ok", a cause's name, or "canceled". version 0 and a
 * NULL function: it was for none. */
struct call_record {
    const char *namespace_;
    const char *function;
    uint64_t version;
    const char *outcome;
    const struct timing *timing;
    bool dispatched; /* queue time counts */
    bool cold;
    uint64_t duration_us; /* of all of it */
};
void gateway_metrics_call(struct gateway_metrics *m, const struct call_record *r);
void gateway_metrics_forward(struct gateway_metrics *m, const char *outcome);
void gateway_metrics_in_flight(struct gateway_metrics *m, double delta);

#endif /* AGENT_GATEWAY_GATEWAY_METRICS_H */
