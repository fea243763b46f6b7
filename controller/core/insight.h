/* Insight: how a function's calls fare, as its nodes report it: how long they took in the
 * last minute, and the latest cold start, wait and refusal. For people who look; nothing
 * is decided by it. A function without calls has no memory for it. */
#ifndef CONTROLLER_CORE_INSIGHT_H
#define CONTROLLER_CORE_INSIGHT_H

#include <jansson.h>
#include <stdint.h>

#include "common/desired.h"
#include "common/latency.h"
#include "controller/core/alarms.h"

/* The last minute is the quarter of a minute under way and the three before it. */
#define INSIGHT_SLOTS   4
#define INSIGHT_SLOT_MS 15000

struct controller_core;
struct core_function;
struct core_load;

struct insight_window {
    uint64_t at[INSIGHT_SLOTS]; /* each one's number: time / INSIGHT_SLOT_MS */
    uint32_t counts[INSIGHT_SLOTS][LATENCY_BUCKETS];
};

/* Who said it. */
struct insight_source {
    char node[SPEC_NODE_MAX + 1];
    uint64_t version;
};

struct insight_last { /* at_ms: the wall clock's; 0: there was none */
    struct cold_start cold;
    struct call_wait wait;
    struct call_refusal refused; /* text: the one below */
    struct insight_source cold_by, wait_by, refused_by;
    char text[256];
};

struct insight {                   /* embedded in each function; {0} is an empty one */
    struct insight_window *window; /* NULL: no call ended in the last minute */
    struct insight_last *last;     /* NULL: nothing was said */
    struct alarm over;             /* frees the window; set while there is one */
};

/* What of a node's counts was counted; embedded in each core_load. */
struct insight_counted {
    bool known; /* else the next report is where counting begins */
    uint64_t *counts;
    size_t n;
};

/* A report named the version. Out of memory: it is left out. */
void insight_report(struct controller_core *c, struct core_load *l,
                    const struct version_load *v);
void insight_counted_free(struct insight_counted *c);
/* The function is gone, or begins anew. */
void insight_end(struct controller_core *c, struct core_function *f);
/* The core ends, and its alarms are no more. */
void insight_free(struct core_function *f);

/* {"count", "p50_ms", "p90_ms", "p99_ms"} of the last minute; null without calls. */
json_t *insight_latency_view(const struct core_function *f);

#endif /* CONTROLLER_CORE_INSIGHT_H */
