#include "controller/core/node_sets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/constraint.h"
#include "common/list.h"
#include "controller/core/placement.h"

static uint64_t hash_of(const struct node_sets *s, const char *label, size_t len)
{
    return keymap_hash(s->seed, label, len);
}

static struct node_set *find(const struct node_sets *s, const char *label, size_t len)
{
    struct keymap_entry *e;

    if (s->by_label.buckets == NULL) {
        return NULL;
    }
    for (e = keymap_find(&s->by_label, hash_of(s, label, len)); e != NULL;
         e = keymap_next(e)) {
        struct node_set *set = container_of(e, struct node_set, entry);

        if (strncmp(set->label, label, len) == 0 && set->label[len] == '\0') {
            return set;
        }
    }
    return NULL;
}

struct node_set *node_sets_find(const struct node_sets *s, const char *label)
{
    return find(s, label, strlen(label));
}

struct node_set *node_sets_find_value(const struct node_sets *s, const char *key,
                                      size_t key_len, const char *value, size_t value_len)
{
    char label[2 * CONSTRAINT_TEXT_MAX];

    if (key_len + value_len + 1 >= sizeof(label)) {
        return NULL;
    }
    memcpy(label, key, key_len);
    label[key_len] = '=';
    memcpy(label + key_len + 1, value, value_len);
    label[key_len + 1 + value_len] = '\0';
    return find(s, label, key_len + 1 + value_len);
}

static void drop_if_empty(struct node_sets *s, struct node_set *set)
{
    if (set->n == 0) {
        keymap_remove(&s->by_label, &set->entry);
        free(set->items);
        free(set);
    }
}

/* With room for one more. NULL: out of memory. */
static struct node_set *want(struct node_sets *s, const char *label)
{
    size_t len = strlen(label);
    struct node_set *set = find(s, label, len);

    if (set == NULL) {
        set = calloc(1, sizeof(*set) + len + 1);
        if (set == NULL) {
            return NULL;
        }
        memcpy(set->label, label, len);
        keymap_add(&s->by_label, &set->entry, hash_of(s, label, len));
    }
    if (set->n == set->capacity) {
        size_t capacity = set->capacity > 0 ? set->capacity * 2 : 4;
        struct placement_node **items =
            reallocarray(set->items, capacity, sizeof(*items));

        if (items == NULL) {
            drop_if_empty(s, set);
            return NULL;
        }
        set->items = items;
        set->capacity = capacity;
    }
    return set;
}

static bool key_came_before(const char *const *labels, size_t at)
{
    const char *equals = strchr(labels[at], '=');

    if (equals == NULL) {
        return true; /* it has no key: it counts for nothing */
    }
    return constraint_label(labels, labels[at], (size_t)(equals - labels[at])) !=
           equals + 1;
}

int node_sets_add(struct node_sets *s, struct placement_node *n,
                  const char *const *labels, struct node_place **ret_places,
                  size_t *ret_n)
{
    struct node_place *places;
    size_t n_labels = 0, n_places = 0;

    while (labels != NULL && labels[n_labels] != NULL) {
        n_labels++;
    }
    places = calloc(n_labels + 1, sizeof(*places));
    if (places == NULL ||
        (s->by_label.buckets == NULL && keymap_init(&s->by_label) < 0)) {
        free(places);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n_labels; i++) {
        struct node_set *set;

        if (key_came_before(labels, i)) {
            continue;
        }
        set = want(s, labels[i]);
        if (set == NULL) { /* those just added are the last ones in their sets */
            node_sets_remove(s, places, n_places);
            return -ENOMEM;
        }
        places[n_places++] = (struct node_place){.set = set, .at = set->n};
        set->items[set->n++] = n;
    }
    *ret_places = places;
    *ret_n = n_places;
    return 0;
}

static void moved(struct placement_node *n, const struct node_set *set, size_t at)
{
    for (size_t i = 0; i < n->n_places; i++) {
        if (n->places[i].set == set) {
            n->places[i].at = at;
            return;
        }
    }
    CHECK(false && "a node set holds a node that does not know it");
}

void node_sets_remove(struct node_sets *s, struct node_place *places, size_t n_places)
{
    for (size_t i = 0; i < n_places; i++) {
        struct node_set *set = places[i].set;
        size_t at = places[i].at;

        CHECK(at < set->n && set->chosen == 0);
        set->n--;
        if (at != set->n) {
            set->items[at] = set->items[set->n];
            moved(set->items[at], set, at);
        }
        drop_if_empty(s, set);
    }
    free(places);
}

void node_sets_free(struct node_sets *s)
{
    if (s->by_label.buckets != NULL) {
        CHECK(s->by_label.n == 0);
        keymap_free(&s->by_label);
    }
    *s = (struct node_sets){.seed = s->seed};
}
