#include "agent/core/agent_core_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/check.h"

/* --- ways that a call can go ---------------------------------------------------------
 */

void router_dispatch(struct version *v, struct instance *in, struct call *c, bool cold)
{
    struct agent_core *a = v->function->core;

    c->version = v;
    c->state = CALL_DISPATCHED;
    c->cold = cold;
    c->dispatched_us = a->now_us;
    /* Rounded up: no call is killed before its time. */
    c->deadline_ms = (a->now_us + 999) / 1000 + v->spec.timeout_ms;
    pool_take_slot(in, c);
    list_push_back(&v->running, &c->timer_link);
    v->n_running++;
    v->usage->cold_starts += cold;
    a->io.call_dispatch(a->io.ctx, c);
}

bool router_forward(struct version *v, struct call *c)
{
    struct agent_core *a = v->function->core;
    const struct peer *p;

    if (c->forwarded_here || (p = catalog_peer_pick(v)) == NULL) {
        return false;
    }
    if (c->state == CALL_QUEUED) {
        router_unqueue(c);
    }
    c->version = v;
    c->state = CALL_FORWARDED;
    c->dispatched_us = a->now_us;
    c->deadline_ms = (a->now_us + 999) / 1000 + v->spec.queue_timeout_ms +
                     v->spec.timeout_ms + CORE_FORWARD_SLACK_MS;
    list_push_back(&v->forwarded, &c->timer_link);
    v->n_forwarded++;
    a->io.call_forward(a->io.ctx, c, p->node, p->gateway);
    return true;
}

void router_reject(struct agent_core *a, struct call *c, enum cause cause,
                   const char *fmt, ...)
{
    char text[CORE_TEXT_MAX + 192];
    uint32_t retry_after_s = 0;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (cause_http_status(cause) == 429) {
        retry_after_s = CORE_RETRY_AFTER_S;
    } else if (cause_http_status(cause) == 503) {
        retry_after_s = CORE_RETRY_AFTER_LONG_S;
    }
    c->state = CALL_ENDED;
    a->io.call_reject(a->io.ctx, c, cause, text, retry_after_s);
}

/* An idle instance, else one that is coming, else a new one, else another node, else the
 * queue. While the package is on its way, or starts fail here, other nodes come first. */
static void route(struct version *v, struct call *c)
{
    struct agent_core *a = v->function->core;
    struct instance *in = pool_free_instance(v);
    const struct trouble *t;

    if (in != NULL) {
        router_dispatch(v, in, c, false);
    } else if (v->failures == 0 && v->n_queued < pool_supply(v) && !a->draining) {
        router_enqueue(v, c);
    } else if (pool_start(v) == OBSTACLE_NONE) {
        router_enqueue(v, c);
    } else if (router_forward(v, c)) {
        /* on its way */
    } else if (a->draining) {
        router_reject(a, c, CAUSE_NO_CAPACITY, "node %s takes no new calls: it drains",
                      a->node);
    } else if ((t = catalog_version_failing(v)) != NULL) {
        router_count_failing(v, t->cause);
        router_reject(a, c, t->cause, "%s", t->text);
    } else {
        router_enqueue(v, c);
    }
    catalog_version_arm(v);
    CHECK(pool_invariant(v));
}

/* What a call asks for. */
struct wish {
    const char *qualifier; /* "": nothing */
    uint64_t number;       /* of a version; 0: none is named by its number */
    uint64_t picked;       /* elsewhere; or 0 */
};

/* The version for the call; NULL: it waits for one (*ret_wait), or there is none. */
static struct version *choose(struct function *f, struct call *c, const struct wish *w,
                              bool *ret_wait)
{
    const struct alias *alias = catalog_alias(f, w->qualifier);
    struct version *v = w->picked != 0 ? catalog_wanted(f, w->picked) : NULL;

    *ret_wait = false;
    c->pinned = w->number != 0 || *w->qualifier != '\0';
    if (w->number != 0) {
        return catalog_wanted(f, w->number);
    }
    if (v != NULL) {
        c->picked = true;
        return v;
    }
    if (alias != NULL) {
        c->picked = true;
        return catalog_alias_pick(f, alias);
    }
    *ret_wait = *w->qualifier == '\0';
    return *ret_wait ? f->target : NULL;
}

static void reject_unknown(struct agent_core *a, struct call *c, const struct function *f,
                           const struct wish *w)
{
    if (w->number != 0) {
        router_reject(a, c, CAUSE_NOT_FOUND, "function %s/%s has no version %" PRIu64,
                      f->namespace_, f->name, w->number);
    } else if (catalog_alias(f, w->qualifier) != NULL) {
        router_reject(a, c, CAUSE_NO_CAPACITY,
                      "no version of alias %s of function %s/%s is known here yet",
                      w->qualifier, f->namespace_, f->name);
    } else {
        router_reject(a, c, CAUSE_NOT_FOUND, "function %s/%s has no alias %.128s",
                      f->namespace_, f->name, w->qualifier);
    }
}

static void take_call(struct agent_core *a, struct call *c, const char *namespace_,
                      const char *name, const struct wish *w, bool forwarded_here)
{
    const char *ns = namespace_ != NULL ? namespace_ : "default";
    struct function *f = catalog_find(a, ns, name);
    struct version *v;
    bool wait;

    agent_enter(a);
    *c = (struct call){
        .state = CALL_NEW, .forwarded_here = forwarded_here, .arrived_us = a->now_us};
    list_init(&c->link);
    list_init(&c->timer_link);
    if (f == NULL || f->deleted) {
        router_reject(a, c, CAUSE_NOT_FOUND, "there is no function %s/%s", ns, name);
    } else {
        c->function = f;
        v = choose(f, c, w, &wait);
        if (v != NULL) {
            route(v, c);
        } else if (wait) {
            router_enqueue_early(f, c);
        } else {
            reject_unknown(a, c, f, w);
        }
    }
    agent_leave(a);
}

void agent_core_call(struct agent_core *a, struct call *c, const char *namespace_,
                     const char *name, uint64_t version, bool forwarded_here)
{
    take_call(a, c, namespace_, name, &(struct wish){.qualifier = "", .number = version},
              forwarded_here);
}

/* 0: it is no number of a version, but perhaps an alias. */
static uint64_t read_number(const char *qualifier)
{
    uint64_t n = 0;

    for (const char *at = qualifier; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || n > UINT64_MAX / 10 - 1) {
            return 0;
        }
        n = n * 10 + (uint64_t)(*at - '0');
    }
    return n;
}

void agent_core_call_named(struct agent_core *a, struct call *c, const char *namespace_,
                           const char *name, const char *qualifier, uint64_t picked,
                           bool forwarded_here)
{
    struct wish w = {.qualifier = qualifier != NULL ? qualifier : "", .picked = picked};

    if (strcmp(w.qualifier, "$LATEST") == 0) {
        w.qualifier = "";
    }
    w.number = read_number(w.qualifier);
    take_call(a, c, namespace_, name, &w, forwarded_here);
}

/* --- ends -----------------------------------------------------------------------------
 */

/* Megabyte-milliseconds, rounded up: 1/1024 GiB for a millisecond is the unit. */
static void account(struct version *v, const struct call *c, bool error, uint64_t cpu_us)
{
    const struct agent_core *a = v->function->core;
    uint64_t took_us = a->now_us - c->dispatched_us;

    v->usage->invocations++;
    v->usage->errors += error;
    v->usage->cpu_us += cpu_us;
    v->usage->gb_ms += (took_us * v->spec.memory_mib + 999) / 1000;
}

/* A call that the version's own failure kept from running is one of its failed calls:
 * whoever rolls it out must see that. */
void router_count_failing(struct version *v, enum cause cause)
{
    if (catalog_cause_is_own(cause)) {
        v->usage->invocations++;
        v->usage->errors++;
    }
}

static void unlink_call(struct version *v, struct call *c)
{
    list_remove(&c->timer_link);
    list_remove(&c->link);
    if (c->state == CALL_DISPATCHED) {
        v->n_running--;
    } else {
        v->n_forwarded--;
    }
    c->state = CALL_ENDED;
}

void agent_core_call_done(struct agent_core *a, struct call *c, enum cause cause,
                          uint64_t cpu_us)
{
    struct version *v = c->version;
    struct instance *in;

    CHECK(c->state == CALL_DISPATCHED || c->state == CALL_FORWARDED);
    agent_enter(a);
    in = c->instance;
    if (c->state == CALL_DISPATCHED) {
        account(v, c, cause != CAUSE_NONE || c->failed, cpu_us);
        if (cause == CAUSE_NONE) {
            backoff_reset(&v->backoff);
        }
    }
    unlink_call(v, c);
    if (in != NULL) {
        /* A sandbox in which no process can be started (exec: those that calls left
         * behind fill it, for one) is of no use to the next call either. */
        pool_release_slot(in, cause != CAUSE_START_FAILED, STOP_FAILED);
    }
    catalog_version_arm(v);
    catalog_version_settle(v);
    agent_leave(a);
}

static void cancel_queued(struct call *c)
{
    struct version *v = c->version;

    router_unqueue(c);
    c->state = CALL_ENDED;
    if (v != NULL) {
        pool_pump(v); /* maybe one start less is wanted */
    }
}

static void cancel_sent(struct version *v, struct call *c, bool can_drop)
{
    struct instance *in = c->instance;

    if (c->state == CALL_DISPATCHED) {
        account(v, c, false, 0);
    }
    unlink_call(v, c);
    if (in != NULL) {
        pool_release_slot(in, can_drop, STOP_CANCELED);
    }
}

void agent_core_call_cancel(struct agent_core *a, struct call *c, bool can_drop)
{
    struct version *v = c->version;

    CHECK(c->state == CALL_QUEUED || c->state == CALL_DISPATCHED ||
          c->state == CALL_FORWARDED);
    agent_enter(a);
    if (c->state == CALL_QUEUED) {
        cancel_queued(c);
    } else {
        cancel_sent(v, c, can_drop);
    }
    if (v != NULL) {
        catalog_version_arm(v);
        catalog_version_settle(v);
    }
    agent_leave(a);
}

/* What overran is killed. exec with several calls in a sandbox: the edge kills the one
 * call's processes, and the others go on. Otherwise the program is still at it, or what
 * it left behind may be: the instance takes no more calls, and is killed when its other
 * calls have ended. The edge drops the call while its instance is still what it was;
 * after that the call may be no more. */
static void time_out(struct version *v, struct call *c)
{
    struct agent_core *a = v->function->core;
    struct instance *in = c->instance;
    bool usable =
        v->spec.runtime == SPEC_RUNTIME_EXEC && v->spec.reuse && v->spec.concurrency > 1;

    if (c->state == CALL_DISPATCHED) {
        account(v, c, true, 0);
    }
    unlink_call(v, c);
    a->io.call_timeout(a->io.ctx, c);
    if (in != NULL) {
        pool_release_slot(in, usable, STOP_TIMEOUT);
    }
}

void router_expire(struct version *v)
{
    struct list *lists[] = {&v->running, &v->forwarded};
    const struct agent_core *a = v->function->core;

    for (unsigned i = 0; i < 2; i++) {
        while (!list_empty(lists[i])) {
            struct call *c = container_of(lists[i]->next, struct call, timer_link);

            if (c->deadline_ms > a->now_ms) {
                break;
            }
            time_out(v, c);
        }
    }
    router_expire_queue(v);
}
