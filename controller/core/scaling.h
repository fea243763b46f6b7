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
#include "common/list.h"
#include "controller/core/alarms.h"
#include "controller/core/autoscaler.h"
#include "controller/core/scaling_record.h"

struct controller_core;
struct core_function;
struct core_load;
struct core_target;

/* Embedded in each core_target; for scaling.c. */
struct scaling {
    struct autoscaler *scaler; /* NULL: at rest */
    struct alarm tick;         /* set while there is a scaler */
    struct list scaled;        /* then in c->scaling.all */
    uint32_t placed;           /* what scaling_warm() was at the last placement */
    uint32_t desired;
    uint32_t no_room; /* warm ones that no node had room for, at the last placement */
    bool panicking;
    bool told_up; /* of the latest event, and when that was */
    uint64_t told_ms;
    bool counted;           /* the count that it begins with was settled */
    uint64_t warm_until_ms; /* a candidate waits for its warm ones until then */
    uint64_t ready, queued, in_flight; /* sums over the nodes' last reports */
    struct scaling_records records;
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
/* Instances that the calls of this moment need. */
uint32_t scaling_needed(const struct core_target *t);
/* Instances to keep ready, within max-scale. */
uint32_t scaling_warm(const struct core_target *t);
/* After it was placed with `warm`: so many of them have no place. */
void scaling_placed(struct core_target *t, uint32_t warm, uint64_t missing);
/* There is no room for what must be (a version's proof, min-scale): for a while versions
 * keep warm what their load needs at this moment, and not what it may need next. */
void scaling_squeeze(struct controller_core *c);
/* A candidate that works takes over when this is 0 or has come: until then those that it
 * begins with are getting ready. */
uint64_t scaling_warming_ms(const struct core_target *t);

/* --- check ---------------------------------------------------------------------- */

/* For tests: load without a scaler, a scaler without an alarm, sums that are none. */
void scaling_invariant(const struct controller_core *c, const struct core_target *t);

#endif /* CONTROLLER_CORE_SCALING_H */
