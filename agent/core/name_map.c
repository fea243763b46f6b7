#include "agent/core/name_map.h"

#include <errno.h>
#include <stdlib.h>

#include "common/check.h"

#define FIRST_SLOTS 16

static struct name_map_node **slot_of(const struct name_map *m, uint64_t hash)
{
    return &m->slots[hash & (m->n_slots - 1)];
}

/* FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/) for the bytes, the finaliser of
 * MurmurHash3 to spread it over the low bits. */
uint64_t name_map_hash(uint64_t seed, const char *name)
{
    uint64_t h = seed ^ 0xcbf29ce484222325u;

    for (; *name != '\0'; name++) {
        h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    }
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 33);
}

int name_map_reserve(struct name_map *m)
{
    struct name_map grown = {.n_slots = m->n_slots > 0 ? m->n_slots * 2 : FIRST_SLOTS};

    if (m->n < m->n_slots) {
        return 0;
    }
    grown.slots = calloc(grown.n_slots, sizeof(struct name_map_node *));
    if (grown.slots == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < m->n_slots; i++) {
        for (struct name_map_node *node = m->slots[i], *next; node != NULL; node = next) {
            next = node->next;
            name_map_insert(&grown, node, node->hash);
        }
    }
    free(m->slots);
    *m = grown;
    return 0;
}

void name_map_free(struct name_map *m)
{
    free(m->slots);
    *m = (struct name_map){0};
}

void name_map_insert(struct name_map *m, struct name_map_node *node, uint64_t hash)
{
    struct name_map_node **slot;

    CHECK(m->n < m->n_slots);
    slot = slot_of(m, hash);
    node->hash = hash;
    node->next = *slot;
    *slot = node;
    m->n++;
}

void name_map_remove(struct name_map *m, struct name_map_node *node)
{
    struct name_map_node **at = slot_of(m, node->hash);

    while (*at != node) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    m->n--;
}

struct name_map_node *name_map_find(const struct name_map *m, uint64_t hash,
                                    bool (*match)(const struct name_map_node *node,
                                                  const void *key),
                                    const void *key)
{
    if (m->n_slots == 0) {
        return NULL;
    }
    for (struct name_map_node *node = *slot_of(m, hash); node != NULL;
         node = node->next) {
        if (node->hash == hash && match(node, key)) {
            return node;
        }
    }
    return NULL;
}
