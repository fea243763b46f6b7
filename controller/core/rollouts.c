#include "controller/core/rollouts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/clean.h"
#include "controller/core/records_json.h"

static const char *const state_names[ROLLOUT_STATES] = {
    [ROLLOUT_PENDING] = "pending", [ROLLOUT_RUNNING] = "running", [ROLLOUT_DONE] = "done",
    [ROLLOUT_BACK] = "back",       [ROLLOUT_ENDED] = "ended",
};

const char *rollout_state_name(enum rollout_state s)
{
    return state_names[s];
}

/* --- which ------------------------------------------------------------------------ */

const struct record_rollout *rollout_of(const struct record *r, uint64_t number)
{
    return r->rollout != NULL && r->rollout->version == number &&
                   r->rollout->state <= ROLLOUT_RUNNING
               ? r->rollout
               : NULL;
}

const struct record_rollout *rollout_running(const struct record *r)
{
    return r->rollout != NULL && r->rollout->state == ROLLOUT_RUNNING ? r->rollout : NULL;
}

/* --- changes ---------------------------------------------------------------------- */

static void note(struct record_rollout *o, enum rollout_state state, const char *text,
                 const char *now)
{
    o->state = state;
    clean_text(o->text, sizeof(o->text), text);
    (void)stpcpy(o->updated_at, now);
}

int rollout_plan_set(struct record *r, const struct rollout_plan *plan, const char *now)
{
    if (r->rollout == NULL) {
        r->rollout = calloc(1, sizeof(*r->rollout));
    }
    if (r->rollout == NULL) {
        return -ENOMEM;
    }
    *r->rollout = (struct record_rollout){.version = r->latest, .plan = *plan};
    note(r->rollout, ROLLOUT_PENDING, "waits until the version is ready", now);
    return 0;
}

bool rollout_begin(struct record *r, const char *now)
{
    struct record_rollout *o = r->rollout;
    char share[ALIAS_PERCENT_SIZE], text[128];

    if (o == NULL || o->state != ROLLOUT_PENDING || o->version != r->latest) {
        return false;
    }
    if (r->serving == 0) {
        note(o, ROLLOUT_DONE, "no version served, so it takes all calls at once", now);
        return false;
    }
    o->from = r->serving;
    o->step = 0;
    alias_percent_format(share, o->plan.steps[0]);
    (void)snprintf(text, sizeof(text), "%s %% of the calls go to version %llu", share,
                   (unsigned long long)o->version);
    note(o, ROLLOUT_RUNNING, text, now);
    return true;
}

int rollout_advance(struct record *r, const char *text, const char *now)
{
    struct record_rollout *o = r->rollout;

    CHECK(rollout_running(r) != NULL);
    (void)stpcpy(r->updated_at, now);
    if (o->step + 1 < o->plan.n_steps) {
        o->step++;
        note(o, ROLLOUT_RUNNING, text, now);
        return 0;
    }
    note(o, ROLLOUT_DONE, text, now);
    return record_serve(r, o->version, "");
}

int rollout_go_back(struct record *r, const char *text, const char *now)
{
    struct record_rollout *o = r->rollout;
    struct record_version *v = record_find(r, o->version);

    CHECK(rollout_running(r) != NULL && v != NULL);
    (void)stpcpy(r->updated_at, now);
    note(o, ROLLOUT_BACK, text, now);
    return record_set_outcome(v, RECORD_FAILED, CAUSE_FUNCTION_ERROR, text);
}

int rollout_end(struct record *r, const char *text, const char *now)
{
    struct record_rollout *o = r->rollout;
    bool running = rollout_running(r) != NULL;
    struct record_version *v = running ? record_find(r, o->version) : NULL;

    if (o == NULL || o->state > ROLLOUT_RUNNING) {
        return 0;
    }
    note(o, ROLLOUT_ENDED, text, now);
    return v != NULL && v->number != r->serving
               ? record_set_outcome(v, RECORD_RETIRED, CAUSE_NONE, text)
               : 0;
}

/* --- JSON ------------------------------------------------------------------------- */

static int parse_state(const json_t *json, enum rollout_state *ret)
{
    const char *name = json_string_value(json_object_get(json, "state"));

    for (int i = 0; name != NULL && i < ROLLOUT_STATES; i++) {
        if (strcmp(name, state_names[i]) == 0) {
            *ret = (enum rollout_state)i;
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_members(struct record_rollout *o, const json_t *json)
{
    const char *text = json_string_value(json_object_get(json, "message"));
    uint64_t step;

    if (!json_is_object(json) || parse_state(json, &o->state) < 0 || text == NULL ||
        record_get_number(json, "version", RECORD_NUMBER_MAX, &o->version) < 0 ||
        record_get_number(json, "from", RECORD_NUMBER_MAX, &o->from) < 0 ||
        record_get_number(json, "step", ROLLOUT_STEPS_MAX, &step) < 0 ||
        record_get_time(json, "updated_at", o->updated_at) < 0 ||
        rollout_plan_from_json(&o->plan, json_object_get(json, "plan"), NULL) < 0) {
        return -EINVAL;
    }
    o->step = (uint32_t)step;
    clean_text(o->text, sizeof(o->text), text);
    return o->step < o->plan.n_steps ? 0 : -EINVAL;
}

int rollout_parse(struct record *r, const json_t *json)
{
    const json_t *rollout = json_object_get(json, "rollout");

    if (rollout == NULL) {
        return 0;
    }
    r->rollout = calloc(1, sizeof(*r->rollout));
    return r->rollout != NULL ? parse_members(r->rollout, rollout) : -ENOMEM;
}

static json_t *to_json(const struct record_rollout *o)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:s, s:s, s:o}", "state",
                     state_names[o->state], "version", (json_int_t)o->version, "from",
                     (json_int_t)o->from, "step", (json_int_t)o->step, "updated_at",
                     o->updated_at, "message", o->text, "plan",
                     rollout_plan_to_json(&o->plan));
}

int rollout_format(const struct record *r, json_t *json)
{
    return r->rollout != NULL ? json_object_set_new(json, "rollout", to_json(r->rollout))
                              : 0;
}

/* With the share of the calls that the new version has now. */
json_t *rollout_view(const struct record *r)
{
    const struct record_rollout *o = r->rollout;
    uint32_t share = 0;
    json_t *json;

    if (o == NULL) {
        return json_null();
    }
    share = o->state == ROLLOUT_RUNNING ? o->plan.steps[o->step]
            : o->state == ROLLOUT_DONE  ? ALIAS_WHOLE
                                        : 0;
    json = to_json(o);
    if (json != NULL &&
        json_object_set_new(json, "weight", core_percent_to_json(share)) < 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* --- the rest --------------------------------------------------------------------- */

int rollout_copy(struct record *ret, const struct record *from)
{
    ret->rollout = NULL;
    if (from->rollout == NULL) {
        return 0;
    }
    ret->rollout = calloc(1, sizeof(*ret->rollout));
    if (ret->rollout == NULL) {
        return -ENOMEM;
    }
    *ret->rollout = *from->rollout;
    return 0;
}

bool rollout_is_sound(const struct record *r)
{
    const struct record_rollout *o = rollout_running(r);
    const struct record_version *v = o != NULL ? record_find(r, o->version) : NULL;

    return o == NULL || (v != NULL && v->state == RECORD_READY && o->from == r->serving &&
                         r->serving != 0 && o->version != r->serving);
}
