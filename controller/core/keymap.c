#include "controller/core/keymap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define BUCKETS_MIN 64

int keymap_init(struct keymap *m)
{
    struct keymap_entry **buckets = calloc(BUCKETS_MIN, sizeof(*buckets));

    if (buckets == NULL) {
        return -ENOMEM;
    }
    *m = (struct keymap){.buckets = buckets, .n_buckets = BUCKETS_MIN};
    return 0;
}

void keymap_free(struct keymap *m)
{
    free(m->buckets);
    *m = (struct keymap){0};
}

static struct keymap_entry **bucket(const struct keymap *m, uint64_t hash)
{
    return &m->buckets[hash & (m->n_buckets - 1)];
}

static void grow(struct keymap *m)
{
    struct keymap bigger = {.n_buckets = m->n_buckets * 2, .n = m->n};

    bigger.buckets = calloc(bigger.n_buckets, sizeof(*bigger.buckets));
    if (bigger.buckets == NULL) {
        return;
    }
    for (size_t i = 0; i < m->n_buckets; i++) {
        struct keymap_entry *e = m->buckets[i];

        while (e != NULL) {
            struct keymap_entry *next = e->next;
            struct keymap_entry **at = bucket(&bigger, e->hash);

            e->next = *at;
            *at = e;
            e = next;
        }
    }
    free(m->buckets);
    *m = bigger;
}

void keymap_add(struct keymap *m, struct keymap_entry *e, uint64_t hash)
{
    struct keymap_entry **at;

    if (m->n >= m->n_buckets) {
        grow(m);
    }
    at = bucket(m, hash);
    e->hash = hash;
    e->next = *at;
    *at = e;
    m->n++;
}

void keymap_remove(struct keymap *m, struct keymap_entry *e)
{
    struct keymap_entry **at = bucket(m, e->hash);

    while (*at != e) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = e->next;
    e->next = NULL;
    m->n--;
}

static struct keymap_entry *same(struct keymap_entry *e, uint64_t hash)
{
    while (e != NULL && e->hash != hash) {
        e = e->next;
    }
    return e;
}

struct keymap_entry *keymap_find(const struct keymap *m, uint64_t hash)
{
    return same(*bucket(m, hash), hash);
}

struct keymap_entry *keymap_next(const struct keymap_entry *e)
{
    return same(e->next, e->hash);
}

/* FNV-1a, and MurmurHash3's finalizer so that the low bits depend on all. */
uint64_t keymap_hash(uint64_t seed, const void *data, size_t len)
{
    const unsigned char *at = data;
    uint64_t h = seed ^ 0xcbf29ce484222325ULL;

    for (size_t i = 0; i < len; i++) {
        h = (h ^ at[i]) * 0x100000001b3ULL;
    }
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ULL;
    return h ^ (h >> 33);
}

uint64_t keymap_hash_str(uint64_t seed, const char *s)
{
    return keymap_hash(seed, s, strlen(s) + 1);
}
