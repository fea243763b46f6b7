/* A version that is to show here that it works, and finds neither memory nor disk for it:
 * the controller hears of that after a while, and asks another node, or waits for room
 * and asks again. What is the version's own fault is told at once (catalog_version.c). */
#include "agent/core/agent_core_private.h"

#include <inttypes.h>
#include <stdio.h>

/* What is in use may come free meanwhile: calls end, and idle instances make way. */
#define SHORT_MS 5000

static bool is_short(enum cause cause)
{
    return cause == CAUSE_NO_CAPACITY || cause == CAUSE_DISK_FULL;
}

static bool is_asked(const struct version *v)
{
    return v->grant_warm > 0 && !v->was_ready && !v->short_told && v->wanted &&
           !v->function->core->draining;
}

static void tell(struct version *v, const struct trouble *t)
{
    const struct agent_core *a = v->function->core;

    v->short_ms = 0;
    v->short_told = true;
    a->io.report_version(a->io.ctx, v, false, t->cause, t->text);
}

/* False: nothing is missing here. */
static bool missing(const struct version *v, struct trouble *ret)
{
    const struct agent_core *a = v->function->core;

    if (!list_empty(&v->starved)) {
        ret->cause = CAUSE_NO_CAPACITY;
        (void)snprintf(ret->text, sizeof(ret->text),
                       "node %s has no %u MiB left: all of its memory for functions is "
                       "in use",
                       a->node, v->spec.memory_mib);
        return true;
    }
    if (is_short(v->trouble.cause)) { /* of the last start */
        *ret = v->trouble;
        return true;
    }
    return false;
}

void short_look(struct version *v)
{
    const struct trouble *packages = catalog_packages_trouble(v);
    const struct agent_core *a = v->function->core;
    struct trouble t;

    if (is_asked(v) && packages != NULL && is_short(packages->cause)) {
        tell(v, packages); /* a disk does not empty by itself */
    } else if (!is_asked(v) || !missing(v, &t)) {
        v->short_ms = 0;
    } else if (v->short_ms == 0) {
        v->short_ms = a->now_ms + SHORT_MS;
    } else if (a->now_ms >= v->short_ms) {
        tell(v, &t);
    }
}
