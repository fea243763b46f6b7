/* Rollouts: a new version takes the calls of the serving one step by step, and goes back
 * by itself when too many of its calls fail. The part of a function's record that says
 * so, and how it changes; rollout.h watches the counters.
 *
 *   PENDING ──the version is ready──▶ RUNNING ──all steps passed──▶ DONE
 *      │                                 ├── too many errors ──────▶ BACK
 *      └── failed, superseded ───────────┴── superseded, rolled back ▶ ENDED   */
#ifndef CONTROLLER_CORE_ROLLOUTS_H
#define CONTROLLER_CORE_ROLLOUTS_H

#include <jansson.h>

#include "controller/core/controller_core.h"
#include "controller/core/records.h"

enum rollout_state {
    ROLLOUT_PENDING,
    ROLLOUT_RUNNING,
    ROLLOUT_DONE,
    ROLLOUT_BACK,
    ROLLOUT_ENDED,
    ROLLOUT_STATES
};

struct record_rollout {
    enum rollout_state state;
    uint64_t version;
    uint64_t from; /* what served when it began; 0 while pending */
    struct rollout_plan plan;
    uint32_t step; /* index of plan.steps; grows while it runs */
    char updated_at[CLOCK_RFC3339_SIZE];
    char text[RECORD_MESSAGE_MAX + 1]; /* for people: what happened last */
};

const char *rollout_state_name(enum rollout_state s);

/* The rollout under way (PENDING, RUNNING) of this version; or NULL. */
const struct record_rollout *rollout_of(const struct record *r, uint64_t number);
const struct record_rollout *rollout_running(const struct record *r); /* or NULL */

/* The latest version shall be rolled out by this plan, once it is ready. -ENOMEM. */
int rollout_plan_set(struct record *r, const struct rollout_plan *plan, const char *now);
/* It is ready: the first step. False: nothing serves, so it takes all calls at once. */
bool rollout_begin(struct record *r, const char *now);
/* The running one goes on; after its last step the version serves. text says why. */
int rollout_advance(struct record *r, const char *text, const char *now);
/* The running one went wrong: its version has failed. -ENOMEM. */
int rollout_go_back(struct record *r, const char *text, const char *now);
/* Over for another reason; its version is retired. -ENOMEM. */
int rollout_end(struct record *r, const char *text, const char *now);

/* For records.c. */
int rollout_parse(struct record *r, const json_t *json);
int rollout_format(const struct record *r, json_t *json);
int rollout_copy(struct record *ret, const struct record *from);
bool rollout_is_sound(const struct record *r);
json_t *rollout_view(const struct record *r); /* or null, as JSON */

#endif /* CONTROLLER_CORE_ROLLOUTS_H */
