/* Finds things by name: a hash table of embedded nodes, chained. The hash starts from a
 * random seed, so that nobody outside can choose names that all meet in one chain. */
#ifndef AGENT_CORE_NAME_MAP_H
#define AGENT_CORE_NAME_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct name_map_node {
    struct name_map_node *next; /* private */
    uint64_t hash;
};

struct name_map {
    struct name_map_node **slots;
    size_t n_slots; /* a power of two, or 0 */
    size_t n;
};

/* Of one name; chain calls for several: hash(hash(seed, a), b). */
uint64_t name_map_hash(uint64_t seed, const char *name);

int name_map_reserve(struct name_map *m); /* room for one more, or -ENOMEM */
void name_map_free(struct name_map *m);   /* the nodes are their owners' */
void name_map_insert(struct name_map *m, struct name_map_node *node, uint64_t hash);
void name_map_remove(struct name_map *m, struct name_map_node *node);
struct name_map_node *name_map_find(const struct name_map *m, uint64_t hash,
                                    bool (*match)(const struct name_map_node *node,
                                                  const void *key),
                                    const void *key);

#endif /* AGENT_CORE_NAME_MAP_H */
