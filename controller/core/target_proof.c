/* A candidate's way to its proof (targets.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/clean.h"
#include "controller/core/journal.h"
#include "controller/core/target_fit.h"
#include "controller/core/targets.h"

#define RETRY_MS 2000 /* all nodes were tried: again after this */
/* Beyond init_timeout_ms: fetching the package, starting. */
#define PROOF_GRACE_MS 60000

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
    char(*grown)[SPEC_NODE_MAX + 1] = t->tried;

    if (n != t->proof_node) {
        return; /* it was not asked to prove anything (any more) */
    }
    t->cause = cause;
    clean_text(t->text, sizeof(t->text), text);
    journal_function(c, EVENT_PLACED, t->f, t->number, "could not start on %s (%s): %s",
                     n->name, cause_name(cause), t->text);
    t->proof_node = NULL;
    if (t->n_tried < TARGET_TRIED_MAX) {
        grown = reallocarray(t->tried, t->n_tried + 1, sizeof(*grown));
    }
    if (t->n_tried == TARGET_TRIED_MAX || grown == NULL) {
        target_fail(t, cause, text);
        return;
    }
    t->tried = grown;
    memcpy(t->tried[t->n_tried++], n->name, sizeof(n->name));
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

/* Nowhere to prove itself. That may pass, but whoever waits wants an answer. */
static enum target_outcome wait_for_place(struct controller_core *c,
                                          struct core_target *t)
{
    uint64_t now_ms = core_now_ms(c);

    target_drop_grants(t);
    if (t->n_tried == 0) {
        struct placement_request r;

        target_request(c, t, &r);
        target_explain(c, t, &r);
    }
    if (c->usable.n == 0) {
        t->trouble_until_ms = 0;
        t->n_tried = 0;
        return TARGET_SHORT;
    }
    scaling_squeeze(c);
    if (t->trouble_until_ms == 0) {
        t->trouble_until_ms = now_ms + TARGET_TROUBLE_MS;
    }
    if (now_ms >= t->trouble_until_ms) {
        char text[sizeof(t->text)];

        memcpy(text, t->text, sizeof(text));
        target_fail(t, t->n_tried > 0 ? t->cause : CAUSE_NO_CAPACITY, text);
        return TARGET_MET;
    }
    if (t->n_tried > 0 && t->retry_ms == 0) {
        t->retry_ms = now_ms + RETRY_MS;
    }
    return TARGET_SHORT;
}

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
        t->retry_ms = 0;
        t->n_tried = 0;
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
        t->trouble_until_ms = 0;
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
    due_ms = t->trouble_until_ms != 0 ? t->trouble_until_ms : UINT64_MAX;
    return t->retry_ms != 0 && t->retry_ms < due_ms ? t->retry_ms : due_ms;
}
