/* The nodes, in the order in which they came and by name. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controller/hub/hub_private.h"

int hub_nodes_init(struct hub *h)
{
    h->n_chains = 16;
    while (h->n_chains < h->options.nodes_max) {
        h->n_chains *= 2;
    }
    h->by_name = calloc(h->n_chains, sizeof(struct hub_node *));
    return h->by_name != NULL ? 0 : -ENOMEM;
}

static struct hub_node **chain_of(const struct hub *h, const char *name)
{
    uint64_t hash = 14695981039346656037ull; /* FNV-1a */

    for (const char *c = name; *c != '\0'; c++) {
        hash = (hash ^ (uint8_t)*c) * 1099511628211ull;
    }
    return &h->by_name[hash & (h->n_chains - 1)];
}

struct hub_node *hub_find(const struct hub *h, const char *name)
{
    for (struct hub_node *n = *chain_of(h, name); n != NULL; n = n->next_same_hash) {
        if (strcmp(n->name, name) == 0) {
            return n;
        }
    }
    return NULL;
}

void hub_nodes_add(struct hub *h, struct hub_node *n)
{
    struct hub_node **chain = chain_of(h, n->name);

    n->next_same_hash = *chain;
    *chain = n;
    list_push_back(&h->nodes, &n->link);
    h->n_nodes++;
}

void hub_nodes_remove(struct hub_node *n)
{
    struct hub_node **at = chain_of(n->hub, n->name);

    while (*at != n) {
        at = &(*at)->next_same_hash;
    }
    *at = n->next_same_hash;
    list_remove(&n->waits);
    list_remove(&n->link);
    n->hub->n_nodes--;
}

void hub_each(struct hub *h, void (*each)(void *data, struct hub_node *n), void *data)
{
    LIST_FOREACH_SAFE(it, &h->nodes)
    {
        each(data, container_of(it, struct hub_node, link));
    }
}

const char *hub_node_name(const struct hub_node *n)
{
    return n->name;
}

void hub_node_set_data(struct hub_node *n, void *data)
{
    n->data = data;
}

void *hub_node_data(const struct hub_node *n)
{
    return n->data;
}
