#include "controller/core/rollout.h"

#include <stdio.h>

#include "controller/core/registry.h"
#include "controller/core/requests.h"
#include "controller/core/rollouts.h"
#include "controller/core/scheduler.h"

#define MOVE_MIN_MS 200
#define MOVE_MAX_MS 10000

typedef unsigned long long ull;

void rollout_init(struct core_function *f)
{
    f->watch.backoff = (struct backoff){.min_ms = MOVE_MIN_MS, .max_ms = MOVE_MAX_MS};
}

uint32_t rollout_share(const struct core_function *f, uint64_t version)
{
    const struct record_rollout *o = f->present ? rollout_running(&f->record) : NULL;

    return o != NULL && o->version == version ? o->plan.steps[o->step] : 0;
}

/* --- deciding --------------------------------------------------------------------- */

struct tally {
    uint64_t calls, errors;
};

static struct tally count(const struct core_function *f, const struct core_body *b)
{
    const struct core_watch *w = &f->watch;

    return (struct tally){.calls = b->invocations - w->invocations,
                          .errors = b->errors - w->errors};
}

static void watch_step(const struct controller_core *c, struct core_function *f,
                       const struct record_rollout *o, const struct core_body *b)
{
    struct core_watch *w = &f->watch;

    if (w->version == o->version && w->step == o->step) {
        return;
    }
    w->version = o->version;
    w->step = o->step;
    w->until_ms = core_now_ms(c) + o->plan.step_ms;
    w->invocations = b->invocations;
    w->errors = b->errors;
}

static void explain(struct core_edit *e, const struct record_rollout *o, struct tally t)
{
    char at[ALIAS_PERCENT_SIZE], next[ALIAS_PERCENT_SIZE], max[ALIAS_PERCENT_SIZE];
    int n;

    alias_percent_format(at, o->plan.steps[o->step]);
    alias_percent_format(max, o->plan.max_error);
    n = snprintf(e->text, sizeof(e->text), "at %s %%: %llu of %llu calls failed", at,
                 (ull)t.errors, (ull)t.calls);
    if (e->back) {
        (void)snprintf(e->text + n, sizeof(e->text) - (size_t)n,
                       ", more than %s %%; all calls go to version %llu again", max,
                       (ull)o->from);
    } else if (o->step + 1 < o->plan.n_steps) {
        alias_percent_format(next, o->plan.steps[o->step + 1]);
        (void)snprintf(e->text + n, sizeof(e->text) - (size_t)n,
                       "; %s %% of the calls go to version %llu", next, (ull)o->version);
    } else {
        (void)snprintf(e->text + n, sizeof(e->text) - (size_t)n,
                       "; version %llu takes all calls", (ull)o->version);
    }
}

/* True if the step is over, one way or the other. */
static bool decide(const struct core_watch *w, const struct record_rollout *o,
                   struct tally t, uint64_t now_ms, bool *ret_back)
{
    bool enough = t.calls >= o->plan.min_calls;

    *ret_back = enough && t.errors * ALIAS_WHOLE > (uint64_t)o->plan.max_error * t.calls;
    return *ret_back || (enough && now_ms >= w->until_ms);
}

uint64_t rollout_look(struct controller_core *c, struct core_function *f)
{
    const struct record_rollout *o = f->present ? rollout_running(&f->record) : NULL;
    const struct core_body *b = o != NULL ? registry_body(f, o->version) : NULL;
    struct core_watch *w = &f->watch;
    uint64_t now_ms = core_now_ms(c);
    struct core_edit edit = {.back = false};
    struct tally tally;

    if (b == NULL) {
        w->version = 0;
        return UINT64_MAX;
    }
    watch_step(c, f, o, b);
    tally = count(f, b);
    if (!decide(w, o, tally, now_ms, &edit.back)) {
        return now_ms < w->until_ms ? w->until_ms : UINT64_MAX; /* or: the next report */
    }
    if (w->moving) {
        return UINT64_MAX; /* rollout_moved() has us look again */
    }
    if (!c->store_up) {
        return now_ms + MOVE_MAX_MS / 10;
    }
    if (w->retry_ms > now_ms) {
        return w->retry_ms;
    }
    w->moving = true;
    edit.step = o->step;
    explain(&edit, o, tally);
    requests_move_rollout(c, f, &edit);
    return UINT64_MAX;
}

void rollout_moved(struct controller_core *c, struct core_function *f, bool done)
{
    struct core_watch *w = &f->watch;

    w->moving = false;
    if (done) {
        backoff_reset(&w->backoff);
        w->retry_ms = 0;
    } else {
        w->retry_ms =
            core_now_ms(c) + backoff_next_ms(&w->backoff, c->io.random(c->io.ctx));
    }
    scheduler_touch(c, f);
}
