#include "agent/core/agent_core_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

static bool match(const struct name_map_node *node, const void *key)
{
    return strcmp(container_of(node, struct peer, by_name)->node, key) == 0;
}

struct peer *catalog_peer_find(const struct agent_core *a, const char *node)
{
    struct name_map_node *found =
        name_map_find(&a->peers, name_map_hash(a->seed, node), match, node);

    return found != NULL ? container_of(found, struct peer, by_name) : NULL;
}

static void peer_free(struct agent_core *a, struct peer *p)
{
    name_map_remove(&a->peers, &p->by_name);
    list_remove(&p->all);
    free(p->gateway);
    free(p);
}

static struct peer *peer_new(struct agent_core *a, const char *node)
{
    struct peer *p;

    if (name_map_reserve(&a->peers) < 0 || (p = calloc(1, sizeof(*p))) == NULL) {
        return NULL;
    }
    memcpy(p->node, node, strlen(node));
    name_map_insert(&a->peers, &p->by_name, name_map_hash(a->seed, node));
    list_push_back(&a->all_peers, &p->all);
    return p;
}

int agent_core_peer(struct agent_core *a, const char *node, const char *gateway,
                    bool usable)
{
    char *copy;
    struct peer *p;
    bool news;

    if (strlen(node) > SPEC_NODE_MAX) {
        return -EINVAL;
    }
    copy = strdup(gateway);
    if (copy == NULL) {
        return -ENOMEM;
    }
    p = catalog_peer_find(a, node);
    if (p == NULL && (p = peer_new(a, node)) == NULL) {
        free(copy);
        return -ENOMEM;
    }
    agent_enter(a);
    news =
        usable && (!p->usable || p->gateway == NULL || strcmp(p->gateway, gateway) != 0);
    free(p->gateway);
    p->gateway = copy;
    p->usable = usable;
    p->snapshot = a->snapshot;
    if (news) { /* calls may be waiting for just this */
        LIST_FOREACH_SAFE(it, &a->waiting)
        {
            router_reroute(container_of(it, struct version, waiting));
        }
    }
    agent_leave(a);
    return 0;
}

void agent_core_peer_deleted(struct agent_core *a, const char *node)
{
    struct peer *p = catalog_peer_find(a, node);

    if (p != NULL) {
        peer_free(a, p);
    }
}

void catalog_peers_snapshot_end(struct agent_core *a)
{
    LIST_FOREACH_SAFE(it, &a->all_peers)
    {
        struct peer *p = container_of(it, struct peer, all);

        if (p->snapshot != a->snapshot) {
            peer_free(a, p);
        }
    }
}

void catalog_peers_free(struct agent_core *a)
{
    LIST_FOREACH_SAFE(it, &a->all_peers)
    {
        peer_free(a, container_of(it, struct peer, all));
    }
    name_map_free(&a->peers);
}
