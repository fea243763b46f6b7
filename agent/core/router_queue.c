#include "agent/core/agent_core_private.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/check.h"

/* --- in and out -----------------------------------------------------------------------
 */

/* By deadline; calls of one version come in that order anyway. */
static void insert(struct list *queue, struct call *c)
{
    struct list *after = queue->prev;

    while (after != queue && container_of(after, struct call, link)->queue_deadline_ms >
                                 c->queue_deadline_ms) {
        after = after->prev;
    }
    list_push_front(after, &c->link);
}

/* One more waits. That a queue has formed, and that it doubled, is what scales the
 * function out: the controller hears of it at once. */
static void count_queued(struct version *v)
{
    struct agent_core *a = v->function->core;

    if (v->n_queued++ == 0) {
        list_push_back(&a->waiting, &v->waiting);
    }
    if ((v->n_queued & (v->n_queued - 1)) == 0) {
        a->io.report_soon(a->io.ctx);
    }
    load_meter_add(&v->usage->load, a->now_us);
}

static void queue_up(struct version *v, struct call *c)
{
    c->version = v;
    c->state = CALL_QUEUED;
    insert(&v->queue, c);
    count_queued(v);
}

void router_unqueue(struct call *c)
{
    struct version *v = c->version;

    CHECK(c->state == CALL_QUEUED);
    list_remove(&c->link);
    if (v == NULL) {
        c->function->n_queued--;
        return;
    }
    if (--v->n_queued == 0) {
        list_remove(&v->waiting);
    }
    load_meter_remove(&v->usage->load, v->function->core->now_us);
}

struct call *router_dequeue(struct version *v)
{
    struct call *c;

    if (list_empty(&v->queue)) {
        return NULL;
    }
    c = container_of(v->queue.next, struct call, link);
    router_unqueue(c);
    return c;
}

/* --- when waiting is no use -----------------------------------------------------------
 */

/* Rejects a call that is in no queue, with what kept it waiting. */
void router_give_up(struct version *v, struct call *c)
{
    struct function *f = v->function;
    struct agent_core *a = f->core;
    uint32_t waited_ms = (uint32_t)((a->now_us - c->arrived_us) / 1000);

    c->returnable = false; /* its time is over everywhere */
    if (c->returned == CAUSE_NODE_LOST) {
        router_reject(a, c, CAUSE_NODE_LOST,
                      "no node with %s/%s could be reached within %u ms", f->namespace_,
                      f->name, waited_ms);
    } else if (c->returned == CAUSE_THROTTLED && !router_waits_here(v)) {
        router_reject(a, c, CAUSE_QUEUE_TIMEOUT,
                      "waited %u ms for an instance of %s/%s on other nodes", waited_ms,
                      f->namespace_, f->name);
    } else if (v->grant_max == 0) {
        router_reject(a, c, CAUSE_NO_CAPACITY,
                      "no node with room for %s/%s was found within %u ms", f->namespace_,
                      f->name, waited_ms);
    } else if (!list_empty(&v->starved)) {
        router_reject(a, c, CAUSE_NO_CAPACITY,
                      "node %s has no %u MiB left for an instance of %s/%s", a->node,
                      v->spec.memory_mib, f->namespace_, f->name);
    } else if (v->n[INSTANCE_STARTING] > 0 || v->n[INSTANCE_BUSY] > 0) {
        router_reject(a, c, CAUSE_QUEUE_TIMEOUT,
                      "waited %u ms for one of the %u instances of %s/%s on node %s",
                      waited_ms, v->n[INSTANCE_STARTING] + v->n[INSTANCE_BUSY],
                      f->namespace_, f->name, a->node);
    } else if (!catalog_packages_ready(v)) {
        router_reject(a, c, CAUSE_NO_CAPACITY,
                      "the package of %s/%s did not arrive at node %s within %u ms",
                      f->namespace_, f->name, a->node, waited_ms);
    } else if (v->trouble.cause != CAUSE_NONE) {
        router_reject(a, c, v->trouble.cause, "%s", v->trouble.text);
    } else {
        router_reject(a, c, CAUSE_QUEUE_TIMEOUT,
                      "waited %u ms for an instance of %s/%s on node %s", waited_ms,
                      f->namespace_, f->name, a->node);
    }
}

void router_reject_queued(struct version *v, enum cause cause, const char *text)
{
    struct agent_core *a = v->function->core;
    struct call *c;

    while ((c = router_dequeue(v)) != NULL) {
        router_reject(a, c, cause, "%s", text);
    }
}

void router_expire_queue(struct version *v)
{
    while (!list_empty(&v->queue)) {
        struct call *c = container_of(v->queue.next, struct call, link);

        if (c->queue_deadline_ms > v->function->core->now_ms) {
            break;
        }
        router_unqueue(c);
        router_give_up(v, c);
    }
}

/* --- waiting for an instance ----------------------------------------------------------
 */

/* queue_max and queue_timeout_ms are about calls that wait for others to end. A call that
 * an instance is coming for waits for that, even where they are 0. */
void router_enqueue(struct version *v, struct call *c)
{
    struct function *f = v->function;
    struct agent_core *a = f->core;
    bool covered = v->n_queued < pool_supply(v);
    uint32_t wait_ms = v->spec.queue_timeout_ms;

    if (!covered && v->n_queued >= v->spec.queue_max + pool_supply(v)) {
        router_reject(a, c, CAUSE_THROTTLED,
                      "%u calls of %s/%s wait on node %s, and queue_max is %u",
                      v->n_queued, f->namespace_, f->name, a->node, v->spec.queue_max);
        return;
    }
    if (wait_ms == 0 && covered) {
        wait_ms = v->spec.init_timeout_ms;
    }
    if (wait_ms == 0) {
        router_give_up(v, c);
        return;
    }
    seen_waits(v, c);
    c->queue_deadline_ms = (c->arrived_us + 999) / 1000 + wait_ms;
    if (c->queue_deadline_ms > c->queue_limit_ms) {
        c->queue_deadline_ms = c->queue_limit_ms;
    }
    queue_up(v, c);
    if (v->offload_ms == 0 && v->n_places > 0) {
        v->offload_ms = a->now_ms + CORE_OFFLOAD_MS;
    }
}

/* --- waiting for a version ------------------------------------------------------------
 */

static void reject_early(struct function *f, struct call *c)
{
    if (f->trouble.cause != CAUSE_NONE) {
        router_reject(f->core, c, f->trouble.cause, "%s", f->trouble.text);
    } else if (catalog_newest(f) == NULL) { /* none was granted, or it could not serve */
        router_reject(f->core, c, CAUSE_NO_CAPACITY,
                      "no version of %s/%s serves: mayfly explain says why",
                      f->namespace_, f->name);
    } else {
        router_reject(f->core, c, CAUSE_NO_CAPACITY, "no version of %s/%s is ready yet",
                      f->namespace_, f->name);
    }
}

static void arm_early(struct function *f)
{
    if (!list_empty(&f->queue)) {
        agent_timer_lower(
            f->core, &f->timer,
            container_of(f->queue.next, struct call, link)->queue_deadline_ms);
    }
}

void router_enqueue_early(struct function *f, struct call *c)
{
    const struct version *newest = catalog_newest(f);

    if (newest == NULL || catalog_version_failing(newest) != NULL || f->core->draining ||
        f->n_queued >= newest->spec.queue_max || newest->spec.queue_timeout_ms == 0) {
        reject_early(f, c);
        return;
    }
    if (c->queue_deadline_ms == 0) { /* else it comes from a version that was retired */
        c->queue_deadline_ms =
            (c->arrived_us + 999) / 1000 + newest->spec.queue_timeout_ms;
    }
    if (c->queue_deadline_ms > c->queue_limit_ms) {
        c->queue_deadline_ms = c->queue_limit_ms;
    }
    if (c->queue_deadline_ms <= f->core->now_ms) { /* it came back too late */
        reject_early(f, c);
        return;
    }
    c->state = CALL_QUEUED;
    c->waits_for = WAIT_VERSION;
    insert(&f->queue, c);
    f->n_queued++;
    arm_early(f);
}

static struct call *dequeue_early(struct function *f)
{
    struct call *c;

    if (list_empty(&f->queue)) {
        return NULL;
    }
    c = container_of(f->queue.next, struct call, link);
    router_unqueue(c);
    return c;
}

void router_reject_early(struct function *f)
{
    struct call *c;

    while ((c = dequeue_early(f)) != NULL) {
        reject_early(f, c);
    }
}

void router_expire_early(struct agent_core *a, struct timer *t)
{
    struct function *f = container_of(t, struct function, timer);

    while (!list_empty(&f->queue) &&
           container_of(f->queue.next, struct call, link)->queue_deadline_ms <=
               a->now_ms) {
        reject_early(f, dequeue_early(f));
    }
    arm_early(f);
}

/* --- when things change ----------------------------------------------------------------
 */

/* Calls that nothing is coming for go to other nodes; the last ones, as the first have
 * waited here longest. As long as some wait and there are other nodes, it is tried again:
 * what is known of their room fades. */
static void offload(struct version *v, bool all)
{
    uint64_t supply = all ? 0 : pool_supply(v);
    struct list *it = v->queue.prev;

    while (it != &v->queue && v->n_queued > supply) {
        struct call *c = container_of(it, struct call, link);

        it = it->prev;
        if (!c->forwarded_here && !router_forward(v, c, all || !router_waits_here(v))) {
            break; /* nobody takes it, nor the others */
        }
    }
    v->offload_ms = v->n_queued > 0 && v->n_places > 0
                        ? v->function->core->now_ms + CORE_OFFLOAD_MS
                        : 0;
}

void router_offload(struct version *v)
{
    if (v->offload_ms != 0 && v->function->core->now_ms >= v->offload_ms) {
        offload(v, v->function->core->draining || catalog_version_failing(v) != NULL);
    }
}

/* Nothing that is here, or can be, will ever take those that other agents take back. */
static void give_back(struct version *v)
{
    struct agent_core *a = v->function->core;

    if (router_waits_here(v) || (v->grant_max > 0 && list_empty(&v->starved))) {
        return;
    }
    LIST_FOREACH_SAFE(it, &v->queue)
    {
        struct call *c = container_of(it, struct call, link);

        if (c->returnable) {
            router_unqueue(c);
            router_reject(a, c, CAUSE_NO_CAPACITY,
                          "node %s has no instance of %s/%s, nor room for one", a->node,
                          v->function->namespace_, v->function->name);
        }
    }
}

static void reject_forwarded(struct version *v, enum cause cause, const char *text)
{
    LIST_FOREACH_SAFE(it, &v->queue)
    {
        struct call *c = container_of(it, struct call, link);

        if (c->forwarded_here) {
            router_unqueue(c);
            router_reject(v->function->core, c, cause, "%s", text);
        }
    }
}

void router_reroute(struct version *v)
{
    struct function *f = v->function;
    const struct agent_core *a = f->core;
    const struct trouble *failing;
    char text[CORE_TEXT_MAX];

    pool_pump(v);
    failing = catalog_version_failing(v);
    if (failing != NULL && f->target == NULL && v == catalog_newest(f)) {
        router_reject_early(f);
    }
    if (v->n_queued == 0) {
        return;
    }
    offload(v, a->draining || failing != NULL);
    if (!v->wanted) {
        (void)snprintf(text, sizeof(text), "version %" PRIu64 " of %s/%s is retired",
                       v->number, f->namespace_, f->name);
        router_reject_queued(v, CAUSE_NOT_FOUND, text);
    } else if (a->draining) {
        (void)snprintf(text, sizeof(text), "node %s takes no new calls: it drains",
                       a->node);
        if (catalog_place_any(v)) { /* the others wait until one of those takes them */
            reject_forwarded(v, CAUSE_NO_CAPACITY, text);
        } else {
            router_reject_queued(v, CAUSE_NO_CAPACITY, text);
        }
    } else if (failing != NULL) {
        for (uint32_t i = 0; i < v->n_queued; i++) {
            router_count_failing(v, failing->cause);
        }
        router_reject_queued(v, failing->cause, failing->text);
    } else {
        give_back(v);
    }
    pool_pump(v); /* fewer wait: fewer starts are wanted */
}

/* --- following the function -----------------------------------------------------------
 */

/* Both are by deadline: one pass. */
static void merge_into(struct version *v, struct list *calls)
{
    struct list *at = v->queue.next;

    while (!list_empty(calls)) {
        struct call *c = container_of(calls->next, struct call, link);

        while (at != &v->queue &&
               container_of(at, struct call, link)->queue_deadline_ms <=
                   c->queue_deadline_ms) {
            at = at->next;
        }
        list_remove(&c->link);
        list_push_back(at, &c->link); /* before it */
        c->version = v;
        c->state = CALL_QUEUED;
        count_queued(v);
    }
}

static void take_unpinned(struct version *v, struct list *calls)
{
    LIST_FOREACH_SAFE(it, &v->queue)
    {
        struct call *c = container_of(it, struct call, link);

        if (!c->pinned && (!c->picked || !v->wanted)) {
            c->picked = false;
            router_unqueue(c);
            list_push_back(calls, &c->link);
        }
    }
}

void router_follow(struct function *f)
{
    struct call *c;
    struct list calls;

    list_init(&calls);
    LIST_FOREACH(it, &f->versions)
    {
        struct version *v = container_of(it, struct version, link);

        if (v == f->target) {
            continue;
        }
        take_unpinned(v, &calls);
        if (f->target != NULL) {
            merge_into(f->target, &calls);
        }
        while (!list_empty(&calls)) {
            c = container_of(calls.next, struct call, link);
            list_remove(&c->link);
            c->version = NULL;
            router_enqueue_early(f, c);
        }
    }
    if (f->target != NULL) {
        f->n_queued = 0;
        merge_into(f->target, &f->queue);
    } else if (catalog_newest(f) == NULL) {
        router_reject_early(f);
    }
    LIST_FOREACH(it, &f->versions)
    {
        router_reroute(container_of(it, struct version, link));
    }
}
