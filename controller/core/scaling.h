/* Scaling: how many instances each version should have. Nodes' reports go in, the
 * autoscaler (autoscaler.h) decides, the scheduler asks for the outcome: `desired`, and
 * of it what grants keep `warm`.
 *
 *   at rest ──load, or more than min-scale to begin with──▶ scaled: a decision every
 * tick, ▲                                                    │   and at once for a queue
 *      └──── a stable window without load, down to min-scale ┘
 *
 * At rest a version has no autoscaler and no alarm: it costs nothing, and has min-scale.
 *
 * What agents report is counters (calls times microseconds, calls begun), of which the
 * differences are exact whatever was between two reports; the values of the moment stand
 * until the next. A counter that fell, a node that was away and a controller that is new
 * begin with a new difference.
 *
 * An agent never waits for any of this: within its grant it starts what its calls need.
 * So the last instance of a version that may go to zero is not kept warm either: its
 * agent's keep-alive decides when it goes. */
#ifndef CONTROLLER_CORE_SCALING_H
#define CONTROLLER_CORE_SCALING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/desired.h"
#include "controller/core/alarms.h"
#include "controller/core/autoscaler.h"

struct controller_core;
struct core_function;
struct core_load;
struct core_target;

#define SCALING_RECORDS_MAX 32 /* kept of a version: the latest */

/* Why a count was changed: X(NAME, "name", "text for a person") */
#define SCALING_REASONS(X)                                                          \
    X(STABLE, "stable", "the stable window's average asks for so many")             \
    X(PANIC, "panic", "the panic window's average asks for so many")                \
    X(QUEUE, "queue", "calls wait for an instance")                                 \
    X(REST, "rest", "without load it has min-scale")                                \
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

/* One decision, as it was made. */
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

/* Embedded in each core_target; for scaling.c. */
struct scaling {
    struct autoscaler *scaler; /* NULL: at rest */
    struct alarm tick;         /* set while there is a scaler */
    uint32_t desired;
    uint32_t no_room; /* warm ones that no node had room for, at the last placement */
    bool panicking;
    bool counted;           /* the count that it begins with was settled */
    uint64_t warm_until_ms; /* a candidate waits for its warm ones until then */
    uint64_t ready, queued, in_flight; /* sums over the nodes' last reports */
    struct scaling_record *records;    /* a ring; NULL before the first */
    uint64_t n_records;                /* ever written */
};

void scaling_open(struct core_target *t); /* with what nodes have said of it so far */
void scaling_close(struct core_target *t);

/* --- from nodes ------------------------------------------------------------------- */

/* The node's gauges become v's: before l->last takes them over. */
void scaling_gauges(struct core_load *l, const struct version_load *v);
/* A report named the version, after scaling_gauges(). */
void scaling_report(struct controller_core *c, struct core_load *l,
                    const struct version_load *v);
/* The node is gone, or the version from it; its gauges are 0. */
void scaling_lost(struct controller_core *c, struct core_load *l);

/* --- from the scheduler ----------------------------------------------------------- */

/* The new version takes the place of the old one, with as many instances. */
void scaling_inherit(struct core_target *t, const struct core_target *old);
/* Before the function is placed: what its versions begin with, and min-scale. */
void scaling_follow(struct controller_core *c, struct core_function *f);
/* Instances to keep ready, within max-scale. */
uint32_t scaling_warm(const struct core_target *t);
/* After it was placed: so many of them have no place. */
void scaling_placed(struct core_target *t, uint64_t missing);
/* A candidate that works takes over when this is 0 or has come: until then those that it
 * begins with are getting ready. */
uint64_t scaling_warming_ms(const struct core_target *t);

/* --- for people ------------------------------------------------------------------- */

/* Copies the latest records, the newest first; returns how many. */
size_t scaling_records(const struct core_target *t, struct scaling_record *ret,
                       size_t most);
const char *scaling_reason_name(enum scaling_reason r);
const char *scaling_reason_text(enum scaling_reason r);

/* For tests: load without a scaler, a scaler without an alarm, sums that are none. */
void scaling_invariant(const struct controller_core *c, const struct core_target *t);

#endif /* CONTROLLER_CORE_SCALING_H */
