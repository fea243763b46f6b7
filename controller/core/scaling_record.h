/* Why a version has as many instances as it has: its latest decisions, each as it was
 * made. A ring of bounded size; it is only made when there is something to remember. */
#ifndef CONTROLLER_CORE_SCALING_RECORD_H
#define CONTROLLER_CORE_SCALING_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/core/autoscaler.h"

#define SCALING_RECORDS_MAX 32 /* kept of a version: the latest */

/* Why a count was changed: X(NAME, "name", "text for a person") */
#define SCALING_REASONS(X)                                                          \
    X(STABLE, "stable", "the stable window's average asks for so many")             \
    X(PANIC, "panic", "the panic window's average asks for so many")                \
    X(QUEUE, "queue", "calls wait for an instance")                                 \
    X(REST, "rest", "without load it has min-scale")                                \
    X(REPLACED, "replaced", "its calls go to another version")                      \
    X(INITIAL, "initial_scale", "a new version takes over with initial-scale")      \
    X(INHERITED, "inherited", "a new version takes over with what the old one had") \
    X(ADOPTED, "adopted", "the nodes had so many when this controller began")       \
    X(NO_ROOM, "no_room", "the nodes have no room for all that are wanted")

enum scaling_reason {
#define X(NAME, name, text) SCALING_##NAME,
    SCALING_REASONS(X)
#undef X
        SCALING_REASONS_COUNT
};
const char *scaling_reason_name(enum scaling_reason r);
const char *scaling_reason_text(enum scaling_reason r);

struct scaling_record {
    uint64_t at_ms;   /* of the core's clock */
    uint64_t wall_ms; /* for people */
    uint32_t from, to;
    enum scaling_reason reason;
    enum autoscaler_metric metric;
    double value;  /* the average that was decided by, of the metric */
    double target; /* per instance; 0: the reason needs neither */
    uint32_t ready, queued;
    bool panicking;
    uint32_t clamps;  /* what limited it: bits, AUTOSCALER_CLAMP_BIT */
    uint32_t no_room; /* of `to`, so many found no place when it was made */
};

struct scaling_records { /* {0} is an empty one */
    struct scaling_record *ring;
    uint64_t n; /* ever written */
};

/* Out of memory: it is not remembered. */
void scaling_records_add(struct scaling_records *rs, const struct scaling_record *r);
void scaling_records_free(struct scaling_records *rs);
/* Copies the latest ones, the newest first; returns how many. */
size_t scaling_records_get(const struct scaling_records *rs, struct scaling_record *ret,
                           size_t most);

#endif /* CONTROLLER_CORE_SCALING_RECORD_H */
