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
    load_meter_add(&v->usage->load, a->now_us);
    v->usage->load.begun++;
    v->usage->cold_starts += cold;
    seen_dispatched(v, in, c);
    a->io.call_dispatch(a->io.ctx, c);
}

bool router_waits_here(const struct version *v)
{
    return v->n[INSTANCE_BUSY] > 0 || pool_supply(v) > 0;
}

/* By deadline: one that was given back before is older than others. */
static void insert_forwarded(struct version *v, struct call *c)
{
    struct list *after = v->forwarded.prev;

    while (after != &v->forwarded &&
           container_of(after, struct call, timer_link)->deadline_ms > c->deadline_ms) {
        after = after->prev;
    }
    list_push_front(after, &c->timer_link);
    v->n_forwarded++;
}

/* A call that comes back is routed anew until then, by the version that takes it now:
 * another than the one it left for may be the target since. */
static uint64_t queue_end_us(const struct version *v, const struct call *c)
{
    uint32_t ms =
        v->spec.queue_timeout_ms > 0 ? v->spec.queue_timeout_ms : v->spec.init_timeout_ms;

    return c->arrived_us + ms * 1000ull;
}

/* The other agent answers when its queue's time or the function's is over. */
static uint64_t forward_deadline_ms(const struct version *v, const struct call *c)
{
    uint64_t now_ms = (v->function->core->now_us + 999) / 1000;
    uint64_t queue_ms = (c->arrived_us + 999) / 1000 + v->spec.queue_timeout_ms;

    if (v->spec.queue_timeout_ms == 0) {
        queue_ms = now_ms + v->spec.init_timeout_ms;
    }
    return (queue_ms > now_ms ? queue_ms : now_ms) + v->spec.timeout_ms +
           CORE_FORWARD_SLACK_MS;
}

static void forward_to(struct version *v, struct call *c, struct place *p)
{
    struct agent_core *a = v->function->core;

    c->version = v;
    c->state = CALL_FORWARDED;
    c->waits_for = WAIT_NONE;
    c->n_hops++;
    c->dispatched_us = a->now_us;
    c->deadline_ms = forward_deadline_ms(v, c);
    insert_forwarded(v, c);
    catalog_place_sent(v, p);
    a->io.call_forward(a->io.ctx, c, p->node, catalog_peer_find(a, p->node)->gateway);
}

bool router_forward(struct version *v, struct call *c, bool wait)
{
    struct place *p;
    bool room;

    if (c->forwarded_here || c->n_hops >= CORE_HOPS_MAX ||
        (p = catalog_place_pick(v, &room)) == NULL || (!room && !wait)) {
        return false;
    }
    if (c->state == CALL_QUEUED) {
        router_unqueue(c);
    }
    c->may_wait = !room;
    c->only_idle = false;
    forward_to(v, c, p);
    return true;
}

static bool may_ask(struct version *v)
{
    uint64_t now_ms = v->function->core->now_ms;

    if (now_ms >= v->asks_ms) {
        v->asks_ms = now_ms + CORE_ASKS_MS;
        v->asks_left = CORE_ASKS_MAX;
    }
    return v->asks_left > 0;
}

/* An instance that idles elsewhere answers sooner than one that must be started here, and
 * a second one would idle as long. Not where there is load: this node is to have its own
 * then, and nobody is asked in vain often. */
static bool ask_home(struct version *v, struct call *c)
{
    struct place *p;

    if (c->forwarded_here || c->n_hops > 0 || v->n_instances > 0 || v->n_queued > 0 ||
        v->grant_warm > 0 || !v->spec.reuse || !may_ask(v) ||
        (p = catalog_place_home(v)) == NULL) {
        return false;
    }
    v->asks_left--;
    c->may_wait = false;
    c->only_idle = true;
    forward_to(v, c, p);
    return true;
}

uint64_t agent_core_queue_left_ms(const struct agent_core *a, const struct call *c)
{
    const struct version *v = c->version;
    uint64_t now_us = a->io.now_us(a->io.ctx), until_us;

    if (v == NULL || v->spec.queue_timeout_ms == 0) {
        return UINT64_MAX;
    }
    until_us = c->arrived_us + v->spec.queue_timeout_ms * 1000ull;
    return until_us > now_us ? (until_us - now_us + 999) / 1000 : 0;
}

/* What is the version's own fault is so on any node. */
static enum call_verdict verdict_of(const struct call *c, enum cause cause)
{
    if (!c->returnable) {
        return VERDICT_FINAL;
    }
    if (c->verdict == VERDICT_BUSY) {
        return VERDICT_BUSY;
    }
    return cause == CAUSE_NOT_FOUND || !catalog_cause_is_own(cause) ? VERDICT_CANNOT
                                                                    : VERDICT_FINAL;
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
    c->verdict = verdict_of(c, cause);
    if (c->verdict == VERDICT_FINAL) {
        seen_refused(c, cause, text);
    }
    a->io.call_reject(a->io.ctx, c, cause, text, retry_after_s);
}

static void give_back_busy(struct version *v, struct call *c)
{
    const struct function *f = v->function;

    c->verdict = VERDICT_BUSY;
    router_reject(f->core, c, CAUSE_THROTTLED, "no instance of %s/%s on node %s is free",
                  f->namespace_, f->name, f->core->node);
}

/* Of a call that another agent takes back: it waits only for an instance that there is,
 * and only if that agent has found no node with a free slot. */
static void wait_or_return(struct version *v, struct call *c)
{
    const struct function *f = v->function;
    struct agent_core *a = f->core;

    if (!router_waits_here(v) && v->grant_max == 0) {
        router_reject(a, c, CAUSE_NO_CAPACITY, "node %s has no grant for %s/%s", a->node,
                      f->namespace_, f->name);
    } else if (!router_waits_here(v) && !list_empty(&v->starved)) {
        router_reject(a, c, CAUSE_NO_CAPACITY,
                      "node %s has no %u MiB left for an instance of %s/%s", a->node,
                      v->spec.memory_mib, f->namespace_, f->name);
    } else if (!c->may_wait) {
        give_back_busy(v, c);
    } else {
        router_enqueue(v, c);
    }
}

/* An idle instance, else one that is coming, else one that idles elsewhere, else a new
 * one, else another node, else the queue. While the package is on its way, or starts fail
 * here, other nodes come first. */
static void route(struct version *v, struct call *c)
{
    struct agent_core *a = v->function->core;
    struct instance *in = pool_wake(v);
    const struct trouble *t;

    c->version = v;
    if (in != NULL) {
        router_dispatch(v, in, c, false);
    } else if (v->failures == 0 && v->n_queued < pool_supply(v) && !a->draining) {
        router_enqueue(v, c);
    } else if (c->forwarded_here && c->only_idle && v->n_instances > 0) {
        give_back_busy(v, c);
    } else if (ask_home(v, c)) {
        /* on its way */
    } else if (pool_start(v, true) == OBSTACLE_NONE) {
        router_enqueue(v, c);
    } else if (router_forward(v, c, a->draining || !router_waits_here(v))) {
        /* on its way */
    } else if (a->draining && (c->forwarded_here || !catalog_place_any(v))) {
        router_reject(a, c, CAUSE_NO_CAPACITY, "node %s takes no new calls: it drains",
                      a->node);
    } else if ((t = catalog_version_failing(v)) != NULL) {
        router_count_failing(v, t->cause);
        router_reject(a, c, t->cause, "%s", t->text);
    } else if (c->returnable) {
        wait_or_return(v, c);
    } else {
        router_enqueue(v, c);
    }
    catalog_version_arm(v);
    CHECK(pool_invariant(v));
}

/* The version for the call; NULL: it waits for one (*ret_wait), or there is none. picked:
 * the one that was picked by weight before; it holds as long as there is that version. */
static struct version *choose(struct function *f, struct call *c, uint64_t picked,
                              bool *ret_wait)
{
    const struct alias *alias = catalog_alias(f, c->qualifier);
    struct version *v = picked != 0 ? catalog_wanted(f, picked) : NULL;

    *ret_wait = false;
    c->picked = false;
    if (c->number != 0) {
        return catalog_wanted(f, c->number);
    }
    if (v != NULL) {
        c->picked = true;
        return v;
    }
    if (alias != NULL) {
        c->picked = true;
        return catalog_alias_pick(f, alias);
    }
    *ret_wait = *c->qualifier == '\0';
    return *ret_wait ? f->target : NULL;
}

static void reject_unknown(const struct function *f, struct call *c)
{
    struct agent_core *a = f->core;

    if (c->number != 0) {
        router_reject(a, c, CAUSE_NOT_FOUND, "function %s/%s has no version %" PRIu64,
                      f->namespace_, f->name, c->number);
    } else if (catalog_alias(f, c->qualifier) != NULL) {
        router_reject(a, c, CAUSE_NO_CAPACITY,
                      "no version of alias %s of function %s/%s is known here yet",
                      c->qualifier, f->namespace_, f->name);
    } else {
        router_reject(a, c, CAUSE_NOT_FOUND, "function %s/%s has no alias %.128s",
                      f->namespace_, f->name, c->qualifier);
    }
}

/* Where it goes is open: the call is new, or came back. */
static void take(struct function *f, struct call *c, uint64_t picked)
{
    struct agent_core *a = f->core;
    struct version *v;
    bool wait;

    if (f->deleted) {
        router_reject(a, c, CAUSE_NOT_FOUND, "there is no function %s/%s", f->namespace_,
                      f->name);
        return;
    }
    if (f->stopped) {
        router_reject(a, c, CAUSE_THROTTLED,
                      "function %s/%s takes no calls: its reserved concurrency is 0",
                      f->namespace_, f->name);
        return;
    }
    v = choose(f, c, picked, &wait);
    if (v != NULL && c->n_hops > 0 && a->now_us >= queue_end_us(v, c)) {
        router_give_up(v, c);
    } else if (v != NULL) {
        route(v, c);
    } else if (!wait) {
        reject_unknown(f, c);
    } else if (c->returnable && !c->may_wait) {
        router_reject(a, c, CAUSE_NO_CAPACITY, "node %s has no version of %s/%s yet",
                      a->node, f->namespace_, f->name);
    } else {
        router_enqueue_early(f, c);
    }
}

static void take_new(struct agent_core *a, struct call *c, const char *namespace_,
                     const char *name, uint64_t picked)
{
    const char *ns = namespace_ != NULL ? namespace_ : "default";
    struct function *f = catalog_find(a, ns, name);

    agent_enter(a);
    c->state = CALL_NEW;
    c->arrived_us = a->now_us;
    c->pinned = c->number != 0 || *c->qualifier != '\0';
    list_init(&c->link);
    list_init(&c->timer_link);
    if (c->queue_limit_ms != UINT64_MAX) {
        c->queue_limit_ms += (a->now_us + 999) / 1000;
    }
    c->function = f;
    if (f == NULL) {
        router_reject(a, c, CAUSE_NOT_FOUND, "there is no function %s/%s", ns, name);
    } else {
        take(f, c, picked);
    }
    agent_leave(a);
}

void agent_core_call(struct agent_core *a, struct call *c, const char *namespace_,
                     const char *name, uint64_t version, bool forwarded_here)
{
    *c = (struct call){.forwarded_here = forwarded_here,
                       .queue_limit_ms = UINT64_MAX,
                       .qualifier = "",
                       .number = version};
    take_new(a, c, namespace_, name, 0);
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

static void set_qualifier(struct call *c, const char *qualifier)
{
    c->qualifier =
        qualifier == NULL || strcmp(qualifier, "$LATEST") == 0 ? "" : qualifier;
    c->number = read_number(c->qualifier);
}

void agent_core_call_named(struct agent_core *a, struct call *c, const char *namespace_,
                           const char *name, const char *qualifier, uint64_t picked,
                           bool forwarded_here)
{
    *c = (struct call){.forwarded_here = forwarded_here, .queue_limit_ms = UINT64_MAX};
    set_qualifier(c, qualifier);
    take_new(a, c, namespace_, name, picked);
}

#define QUEUE_LEFT_MAX_MS (24ull * 3600 * 1000)

void agent_core_call_hop(struct agent_core *a, struct call *c, const char *namespace_,
                         const char *name, const struct call_hop *hop)
{
    *c = (struct call){.forwarded_here = true,
                       .returnable = true,
                       .may_wait = hop->may_wait,
                       .only_idle = hop->only_idle,
                       .queue_limit_ms = hop->queue_left_ms <= QUEUE_LEFT_MAX_MS
                                             ? hop->queue_left_ms
                                             : UINT64_MAX};
    set_qualifier(c, hop->qualifier);
    take_new(a, c, namespace_, name, hop->picked);
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
    seen_ended(v, c);
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
        load_meter_remove(&v->usage->load, v->function->core->now_us);
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

void agent_core_hop_room(struct agent_core *a, struct call *c, const char *node,
                         const struct hop_room *room)
{
    struct version *v = c->version;

    CHECK(c->state == CALL_FORWARDED);
    agent_enter(a);
    catalog_place_heard(v, node, room);
    if (room->free > 0 && v->n_queued > 0) {
        v->offload_ms = a->now_ms;
        router_offload(v);
        catalog_version_arm(v);
    }
    agent_leave(a);
}

void agent_core_call_returned(struct agent_core *a, struct call *c, const char *node,
                              enum call_verdict verdict, enum cause cause)
{
    struct version *v = c->version;
    uint64_t picked = c->picked ? v->number : 0;

    CHECK(c->state == CALL_FORWARDED && verdict != VERDICT_FINAL);
    agent_enter(a);
    if (c->only_idle && verdict == VERDICT_BUSY) {
        v->asks_left = 0; /* it may have room all the same, to start another */
    } else {
        catalog_place_refused(v, node, verdict);
    }
    unlink_call(v, c);
    c->state = CALL_NEW;
    c->returned = cause;
    c->version = NULL; /* it may go to another, or wait for there to be one */
    take(v->function, c, picked);
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

/* What overran is killed. A tunnel has not overrun: who talks has no end of its own, and
 * what it talked to sees it close. exec with several calls in a sandbox: the edge kills
 * the one call's processes, and the others go on. Otherwise the program is still at it,
 * or what it left behind may be: the instance takes no more calls, and is killed when its
 * other calls have ended. The edge drops the call while its instance is still what it
 * was; after that the call may be no more. */
static void time_out(struct version *v, struct call *c)
{
    struct agent_core *a = v->function->core;
    struct instance *in = c->instance;
    bool usable = c->tunnel || (v->spec.runtime == SPEC_RUNTIME_EXEC && v->spec.reuse &&
                                v->spec.concurrency > 1);

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
