/* Keymap: an intrusive hash table. Entries live in their owners; adding never fails (when
 * there is no memory to grow, the chains get longer). Owners compare keys themselves:
 *
 *     for (e = keymap_find(m, hash); e != NULL; e = keymap_next(e)) … container_of …
 */
#ifndef CONTROLLER_CORE_KEYMAP_H
#define CONTROLLER_CORE_KEYMAP_H

#include <stddef.h>
#include <stdint.h>

struct keymap_entry {
    struct keymap_entry *next;
    uint64_t hash;
};

struct keymap {
    struct keymap_entry **buckets;
    size_t n_buckets; /* a power of two */
    size_t n;
};

int keymap_init(struct keymap *m);  /* -ENOMEM */
void keymap_free(struct keymap *m); /* the entries are the owners' */

void keymap_add(struct keymap *m, struct keymap_entry *e, uint64_t hash);
void keymap_remove(struct keymap *m, struct keymap_entry *e); /* must be in it */
/* The first and the next entry with this hash, or NULL. */
struct keymap_entry *keymap_find(const struct keymap *m, uint64_t hash);
struct keymap_entry *keymap_next(const struct keymap_entry *e);

/* seed: a secret of the process, so that nobody can choose names that collide; or the
 * hash of what came before. */
uint64_t keymap_hash(uint64_t seed, const void *data, size_t len);
uint64_t keymap_hash_str(uint64_t seed, const char *s); /* with its NUL */

#endif /* CONTROLLER_CORE_KEYMAP_H */
