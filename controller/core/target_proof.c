/* A candidate's way to its proof (targets.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/clean.h"
#include "controller/core/journal.h"
#include "controller/core/target_fit.h"
#include "controller/core/targets.h"

#define RETRY_MS 2000  /* all nodes were tried: again after this */
#define LOOK_MS  10000 /* between two looks at why it waits, and whether for something */
/* Beyond init_timeout_ms: fetching the package, starting. */
#define PROOF_GRACE_MS  60000
#define SQUEEZE_REST_MS 50000 /* after a squeeze that has not made room */

typedef unsigned long long ull;

/* The node is short of something that comes free: not what is wrong with it. */
static bool is_short(enum cause cause)
{
    return cause == CAUSE_NO_CAPACITY || cause == CAUSE_DISK_FULL ||
           cause == CAUSE_NODE_LOST;
}

void target_fail(struct core_target *t, enum cause cause, const char *text)
{
    if (t->proof == PROOF_WANTED) {
        t->proof = PROOF_FAILED;
        t->cause = cause;
        clean_text(t->text, sizeof(t->text), text);
        target_drop_grants(t);
    }
}

void target_avoid(struct core_target *t, const struct core_node *n, enum cause cause,
                  const char *text)
{
    struct controller_core *c = t->f->core;
    char(*grown)[SPEC_NODE_MAX + 1];

    if (n != t->proof_node) {
        return; /* it was not asked to prove anything (any more) */
    }
    t->cause = cause;
    clean_text(t->text, sizeof(t->text), text);
    if (!t->retried) {
        journal_function(c, EVENT_PLACED, t->f, t->number,
                         "could not start on %s (%s): %s", n->name, cause_name(cause),
                         t->text);
    }
    t->proof_node = NULL;
    t->told_short = t->told_short || is_short(cause);
    grown = reallocarray(t->tried, t->n_tried + 1, sizeof(*grown));
    if (grown == NULL) {
        target_fail(t, cause, text);
        return;
    }
    t->tried = grown;
    memcpy(t->tried[t->n_tried++], n->name, sizeof(n->name));
    if (t->n_tried == TARGET_TRIED_MAX && !t->told_short) {
        target_fail(t, cause, text); /* so many nodes are not the reason */
    }
}

static void begin_round(struct core_target *t)
{
    t->retry_ms = 0;
    t->n_tried = 0;
    t->told_short = false;
    t->wait.look_ms = 0; /* what the tried ones said is not why it waits next */
}

static struct core_node *warm_node(const struct core_target *t)
{
    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        if (g->warm > 0) {
            return g->node;
        }
    }
    return NULL;
}

/* --- without a place --------------------------------------------------------------- */

/* Why, and whether a place may come. Asks all nodes: not at every look. */
static void look_for_hope(struct controller_core *c, struct core_target *t)
{
    uint64_t now_ms = core_now_ms(c);
    struct placement_request r;
    bool hope;

    target_request(c, t, &r);
    t->wait.crowded = t->n_tried > 0 ? t->told_short : target_explain(c, t, &r);
    hope = t->n_tried > 0 ? t->told_short : target_may_fit(c, t, &r);
    if (hope) {
        t->wait.hopeless_ms = 0;
    } else if (t->wait.hopeless_ms == 0) {
        t->wait.hopeless_ms = now_ms;
    }
    t->wait.look_ms = now_ms + LOOK_MS;
}

static void begin_wait(struct controller_core *c, struct core_target *t)
{
    t->wait.since_ms = core_now_ms(c);
    look_for_hope(c, t);
    if (t->wait.crowded) {
        scaling_squeeze(c);
    }
    if (t->n_tried == 0) {
        journal_function(c, EVENT_PLACED, t->f, t->number, "waits for room: %s", t->text);
    }
}

static void end_wait(struct core_target *t)
{
    if (t->wait.since_ms != 0 && t->proof_node != NULL) {
        journal_function(t->f->core, EVENT_PLACED, t->f, t->number,
                         "found room on %s after %llu s", t->proof_node->name,
                         (ull)(core_now_ms(t->f->core) - t->wait.since_ms) / 1000);
    }
    t->wait.since_ms = t->wait.look_ms = t->wait.hopeless_ms = 0;
    t->retried = false;
}

static uint64_t wait_limit_ms(const struct core_target *t)
{
    uint64_t limit_ms = t->wait.since_ms + t->f->core->options.progress_deadline_ms;
    uint64_t hopeless_ms = t->wait.hopeless_ms + TARGET_HOPELESS_MS;

    return t->wait.hopeless_ms != 0 && hopeless_ms < limit_ms ? hopeless_ms : limit_ms;
}

static void give_up(struct core_target *t)
{
    enum cause cause = t->n_tried > 0 ? t->cause : CAUSE_NO_CAPACITY;
    char text[sizeof(t->text)];
    int n = 0;

    if (t->wait.hopeless_ms == 0) {
        n = snprintf(text, sizeof(text),
                     "found no room within %u s (progress_deadline): ",
                     t->f->core->options.progress_deadline_ms / 1000);
    }
    (void)snprintf(text + n, sizeof(text) - (size_t)n, "%.*s",
                   (int)(sizeof(text) - (size_t)n - 1), t->text);
    target_fail(t, cause, text);
}

/* Nowhere to prove itself. That may pass; whoever waits is told why (target_pending). */
static enum target_outcome wait_for_place(struct controller_core *c,
                                          struct core_target *t)
{
    uint64_t now_ms = core_now_ms(c);

    target_drop_grants(t);
    if (c->usable.n == 0) { /* there is no cluster yet, or no more: that is no deadline */
        end_wait(t);
        begin_round(t);
        look_for_hope(c, t);
        t->wait.hopeless_ms = 0;
        return TARGET_SHORT;
    }
    if (t->wait.since_ms == 0) {
        begin_wait(c, t);
    } else if (now_ms >= t->wait.look_ms) {
        look_for_hope(c, t);
    }
    if (now_ms >= wait_limit_ms(t)) {
        give_up(t);
        return TARGET_MET;
    }
    if (t->wait.crowded && now_ms >= c->scaling.squeezed_until_ms + SQUEEZE_REST_MS) {
        scaling_squeeze(c);
    }
    if (t->n_tried > 0 && t->retry_ms == 0) {
        t->retry_ms = now_ms + RETRY_MS;
        t->retried = true;
    }
    return TARGET_SHORT;
}

const char *target_pending(const struct core_target *t, enum cause *ret_cause, char *ret,
                           size_t size)
{
    bool waits = t->proof == PROOF_WANTED && t->proof_node == NULL && *t->text != '\0';
    bool room = t->n_tried > 0 ? t->told_short
                               : t->wait.since_ms != 0 && t->wait.hopeless_ms == 0;

    *ret_cause = waits && t->n_tried == 0 ? CAUSE_NO_CAPACITY : t->cause;
    (void)snprintf(ret, size, "%s%s", waits && room ? "waiting for room: " : "", t->text);
    return ret;
}

/* ----------------------------------------------------------------------------------- */

static void check_silence(struct core_target *t, uint64_t now_ms)
{
    char text[CORE_TEXT_MAX];

    if (t->proof_node != NULL && now_ms >= t->proof_until_ms) {
        (void)snprintf(text, sizeof(text),
                       "node %s did not say in time whether it started",
                       t->proof_node->name);
        target_avoid(t, t->proof_node, CAUSE_START_FAILED, text);
    }
}

enum target_outcome target_prove(struct controller_core *c, struct core_target *t)
{
    uint64_t now_ms = core_now_ms(c);
    enum target_outcome outcome;
    struct core_node *node;

    if (t->proof == PROOF_READY) {
        uint32_t warm = scaling_warm(t);

        return target_place(c, t, warm > 1 ? warm : 1);
    }
    check_silence(t, now_ms);
    if (t->proof == PROOF_FAILED) {
        return TARGET_MET;
    }
    if (t->retry_ms != 0 && now_ms >= t->retry_ms) {
        begin_round(t);
    }
    if (t->n_tried == TARGET_TRIED_MAX) {
        return wait_for_place(c, t);
    }
    outcome = target_place(c, t, 1);
    if (outcome == TARGET_NO_MEMORY) {
        return outcome;
    }
    node = warm_node(t);
    if (node == NULL || t->reserved_missing > 0) {
        return wait_for_place(c, t);
    }
    if (node != t->proof_node) {
        t->proof_node = node;
        t->proof_until_ms = now_ms + t->body->spec.init_timeout_ms + PROOF_GRACE_MS;
    }
    t->retry_ms = 0;
    if (t->cause == CAUSE_NONE) { /* no node has failed it yet */
        end_wait(t);
        t->text[0] = '\0';
    }
    return outcome;
}

uint64_t target_due_ms(const struct core_target *t)
{
    uint64_t due_ms;

    if (t->proof != PROOF_WANTED) {
        return UINT64_MAX;
    }
    if (t->proof_node != NULL) {
        return t->proof_until_ms;
    }
    if (t->wait.since_ms == 0) {
        return UINT64_MAX; /* until a node comes */
    }
    due_ms = wait_limit_ms(t) < t->wait.look_ms ? wait_limit_ms(t) : t->wait.look_ms;
    return t->retry_ms != 0 && t->retry_ms < due_ms ? t->retry_ms : due_ms;
}
