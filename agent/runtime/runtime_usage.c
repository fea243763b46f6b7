/* Processor time of instances while they live. The warden is asked for it about once a
 * second, of those only that may have used some: they start, had a call, or used some
 * when they were asked last (in the background, between calls). What is quiet is asked
 * seldom, what is frozen not at all: what it used until then was asked after.
 *
 *   call, start ─▶ ACTIVE ──asked, used none──▶ QUIET ──asked, frozen──▶ none
 *                    ▲ └────asked, used some─┐    │
 *                    ├───────────────────────┘    │
 *                    └──────call; used some───────┘
 *
 * The warden's numbers are totals of the sandbox: what is told is what they are beyond
 * the highest so far, so that none is told twice, whoever asked and whenever the answer
 * comes. The last total comes with the sandbox's end. */
#include "agent/runtime/runtime_private.h"
#include "common/check.h"

#define ACTIVE_MS 1000
#define QUIET_MS  30000
#define SOME_US   1000
/* Whoever waits for a sandbox does not wait behind many of these. */
#define ASKS_MAX 4

static void ask_due(struct runtime_host *h);

static void due_cb(uv_timer_t *timer)
{
    ask_due(container_of(timer, struct runtime_host, usage));
}

static struct runtime_instance *first(const struct list *waiting)
{
    return list_empty(waiting)
               ? NULL
               : container_of(waiting->next, struct runtime_instance, usage.link);
}

/* Of each list the first is due first. */
static struct runtime_instance *next(const struct runtime_host *h)
{
    struct runtime_instance *active = first(&h->usage_active);
    struct runtime_instance *quiet = first(&h->usage_quiet);

    if (active == NULL || quiet == NULL) {
        return active != NULL ? active : quiet;
    }
    return active->usage.due_ms <= quiet->usage.due_ms ? active : quiet;
}

static void arm(struct runtime_host *h)
{
    const struct runtime_instance *in = next(h);
    uint64_t now_ms = uv_now(h->loop);

    if (in == NULL || h->n_usage_asks == ASKS_MAX || h->closing) {
        (void)uv_timer_stop(&h->usage);
    } else {
        CHECK(uv_timer_start(&h->usage, due_cb,
                             in->usage.due_ms > now_ms ? in->usage.due_ms - now_ms : 0,
                             0) == 0);
    }
}

static void wait_in(struct runtime_instance *in, struct list *waiting, uint32_t ms)
{
    list_remove(&in->usage.link);
    in->usage.due_ms = uv_now(in->host->loop) + ms;
    in->usage.active = waiting == &in->host->usage_active;
    list_push_back(waiting, &in->usage.link);
}

void usage_told(struct runtime_instance *in, uint64_t total_us)
{
    uint64_t more_us;

    if (total_us <= in->usage.told_us) {
        return;
    }
    more_us = total_us - in->usage.told_us;
    in->usage.told_us = total_us;
    if (in->host->options.on_cpu != NULL) {
        in->host->options.on_cpu(in->host->options.data, in, more_us);
    }
}

static void go_on(struct runtime_instance *in, uint64_t used_us)
{
    struct instance_usage *u = &in->usage;

    if (!in->sandbox || in->killed) {
        return; /* its end tells the rest */
    }
    if (used_us >= SOME_US || u->called || !list_empty(&in->calls) ||
        in->phase == PHASE_INIT) {
        wait_in(in, &in->host->usage_active, ACTIVE_MS);
    } else if (!u->was_frozen) {
        wait_in(in, &in->host->usage_quiet, QUIET_MS);
    }
}

static void asked_cb(void *data, int status, const struct sandbox_usage *usage)
{
    struct runtime_instance *in = data;
    struct runtime_host *h = in->host;
    uint64_t before_us = in->usage.told_us;

    in->usage.asking = false;
    h->n_usage_asks--;
    if (status == 0) {
        usage_told(in, usage->cpu_us);
    }
    go_on(in, in->usage.told_us - before_us);
    ask_due(h);
    instance_release(in);
}

static void ask(struct runtime_instance *in)
{
    struct instance_usage *u = &in->usage;

    list_remove(&u->link);
    u->asking = true;
    u->active = u->called = false;
    u->was_frozen = in->frozen;
    in->host->n_usage_asks++;
    instance_hold(in);
    warden_usage(in->host->options.warden, in->sandbox_id, asked_cb, in);
}

static void ask_due(struct runtime_host *h)
{
    uint64_t now_ms = uv_now(h->loop);
    struct runtime_instance *in;

    while (!h->closing && h->n_usage_asks < ASKS_MAX && (in = next(h)) != NULL &&
           in->usage.due_ms <= now_ms) {
        ask(in);
    }
    arm(h);
}

void usage_begins(struct runtime_instance *in)
{
    struct instance_usage *u = &in->usage;

    u->called = true;
    if (!u->active && !u->asking && in->sandbox && !in->killed) {
        wait_in(in, &in->host->usage_active, ACTIVE_MS);
        arm(in->host);
    }
}

void usage_ends(struct runtime_instance *in)
{
    in->usage.active = false;
    list_remove(&in->usage.link);
}
