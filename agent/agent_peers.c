/* The other nodes, as the controller tells of them and as this node finds them: one whose
 * gateway cannot be connected to gets no calls for a while, long before its lease is
 * over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "common/backoff.h"
#include "common/log.h"

#define SUSPEND_MIN_MS 500
#define SUSPEND_MAX_MS 5000

struct peer_note {
    struct list link;
    uint64_t snapshot;
    char node[SPEC_NODE_MAX + 1];
    char *gateway;
    bool usable; /* says the controller */
    bool failed; /* to be suspended, from the loop */
    bool suspended;
    uint64_t until_ms; /* uv_now */
    struct backoff backoff;
};

static struct peer_note *find(struct agent *a, const char *node)
{
    LIST_FOREACH(it, &a->peers)
    {
        struct peer_note *p = container_of(it, struct peer_note, link);

        if (strcmp(p->node, node) == 0) {
            return p;
        }
    }
    return NULL;
}

static void note_free(struct peer_note *p)
{
    list_remove(&p->link);
    free(p->gateway);
    free(p);
}

static void tell_core(struct agent *a, const struct peer_note *p)
{
    if (agent_core_peer(a->core, p->node, p->gateway, p->usable && !p->suspended) < 0) {
        log_error("out of memory", LOG_STR("peer", p->node));
    }
}

static struct peer_note *note_new(struct agent *a, const char *node)
{
    struct peer_note *p = calloc(1, sizeof(*p));

    if (p != NULL) {
        (void)snprintf(p->node, sizeof(p->node), "%s", node);
        list_push_back(&a->peers, &p->link);
    }
    return p;
}

void agent_peers_set(struct agent *a, const struct node_state *n)
{
    struct peer_note *p = find(a, n->node);
    char *gateway;

    if (p != NULL && !n->usable && a->gateway != NULL) {
        gateway_doubt(a->gateway, p->gateway); /* it drains, or is lost */
    }
    if (n->deleted) {
        if (p != NULL) {
            note_free(p);
        }
        agent_core_peer_deleted(a->core, n->node);
        return;
    }
    gateway = strdup(n->gateway);
    p = p != NULL || gateway == NULL ? p : note_new(a, n->node);
    if (p == NULL || gateway == NULL) {
        free(gateway);
        log_error("out of memory", LOG_STR("peer", n->node));
        return;
    }
    free(p->gateway);
    p->gateway = gateway;
    p->snapshot = a->peers_snapshot;
    p->usable = n->usable;
    p->suspended = p->failed = false; /* there is news of it */
    p->backoff = (struct backoff){.min_ms = SUSPEND_MIN_MS, .max_ms = SUSPEND_MAX_MS};
    tell_core(a, p);
}

void agent_peers_snapshot(struct agent *a, bool end)
{
    if (!end) {
        a->peers_snapshot++;
        return;
    }
    LIST_FOREACH_SAFE(it, &a->peers)
    {
        struct peer_note *p = container_of(it, struct peer_note, link);

        if (p->snapshot != a->peers_snapshot) {
            note_free(p); /* the core forgets it by itself */
        }
    }
}

void agent_peers_unreachable(void *data, const char *node)
{
    struct agent *a = data;
    struct peer_note *p = find(a, node);

    if (p != NULL && !p->suspended) {
        p->failed = a->peers_failed = true;
    }
}

static void resume_cb(uv_timer_t *timer)
{
    struct agent *a = container_of(timer, struct agent, suspended);
    uint64_t now_ms = uv_now(timer->loop), next_ms = UINT64_MAX;

    LIST_FOREACH(it, &a->peers)
    {
        struct peer_note *p = container_of(it, struct peer_note, link);

        if (p->suspended && p->until_ms <= now_ms) {
            p->suspended = false;
            tell_core(a, p);
        } else if (p->suspended && p->until_ms < next_ms) {
            next_ms = p->until_ms;
        }
    }
    if (next_ms != UINT64_MAX) {
        (void)uv_timer_start(timer, resume_cb, next_ms - now_ms, 0);
    }
}

/* Does what could not be done where the failure was noticed, within the core's io. */
void agent_peers_turn(struct agent *a)
{
    uint64_t now_ms = uv_now(&a->loop);

    if (!a->peers_failed || a->phase == AGENT_CLOSING) {
        return;
    }
    a->peers_failed = false;
    LIST_FOREACH(it, &a->peers)
    {
        struct peer_note *p = container_of(it, struct peer_note, link);
        uint32_t pause_ms;

        if (!p->failed) {
            continue;
        }
        pause_ms = backoff_next_ms(&p->backoff, random_u64());
        p->failed = false;
        p->suspended = true;
        p->until_ms = now_ms + pause_ms;
        log_warn("peer cannot be reached", LOG_STR("peer", p->node),
                 LOG_STR("gateway", p->gateway), LOG_INT("pause_ms", pause_ms));
        tell_core(a, p);
        if (!uv_is_active((uv_handle_t *)&a->suspended) ||
            uv_timer_get_due_in(&a->suspended) > pause_ms) {
            (void)uv_timer_start(&a->suspended, resume_cb, pause_ms, 0);
        }
    }
}

void agent_peers_free(struct agent *a)
{
    LIST_FOREACH_SAFE(it, &a->peers)
    {
        note_free(container_of(it, struct peer_note, link));
    }
}
