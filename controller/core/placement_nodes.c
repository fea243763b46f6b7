/* The usable nodes, by their labels, and which of them a request has to look at. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "controller/core/placement.h"
#include "controller/core/placement_source.h"

static void find_zone(struct placement_nodes *ns, struct placement_node *n)
{
    const char *zone =
        constraint_label(n->labels, PLACEMENT_ZONE, sizeof(PLACEMENT_ZONE) - 1);

    n->zone = zone != NULL
                  ? node_sets_find_value(&ns->by_label, PLACEMENT_ZONE,
                                         sizeof(PLACEMENT_ZONE) - 1, zone, strlen(zone))
                  : NULL;
}

int placement_nodes_add(struct placement_nodes *ns, struct placement_node *n)
{
    CHECK(n->index == PLACEMENT_NOWHERE);
    if (ns->n == ns->capacity) {
        size_t capacity = ns->capacity > 0 ? ns->capacity * 2 : 16;
        struct placement_node **items = reallocarray(ns->items, capacity, sizeof(*items));

        if (items == NULL) {
            return -ENOMEM;
        }
        ns->items = items;
        ns->capacity = capacity;
    }
    if (node_sets_add(&ns->by_label, n, n->labels, &n->places, &n->n_places) < 0) {
        return -ENOMEM;
    }
    find_zone(ns, n);
    n->index = ns->n;
    ns->items[ns->n++] = n;
    return 0;
}

static void leave_sets(struct placement_nodes *ns, struct placement_node *n)
{
    struct node_place *places = steal(n->places);
    size_t n_places = n->n_places;

    n->n_places = 0;
    node_sets_remove(&ns->by_label, places, n_places);
}

void placement_nodes_remove(struct placement_nodes *ns, struct placement_node *n)
{
    CHECK(n->index < ns->n && ns->items[n->index] == n);
    ns->items[n->index] = ns->items[--ns->n];
    ns->items[n->index]->index = n->index;
    n->index = PLACEMENT_NOWHERE;
    n->zone = NULL;
    leave_sets(ns, n);
}

int placement_nodes_relabel(struct placement_nodes *ns, struct placement_node *n,
                            const char *const *labels)
{
    struct node_place *places, *old = n->places;
    size_t n_places, n_old = n->n_places;

    if (n->index != PLACEMENT_NOWHERE) {
        if (node_sets_add(&ns->by_label, n, labels, &places, &n_places) < 0) {
            return -ENOMEM;
        }
        n->places = places; /* before the old ones go: see node_sets_remove() */
        n->n_places = n_places;
        node_sets_remove(&ns->by_label, old, n_old);
    }
    n->labels = labels;
    if (n->index != PLACEMENT_NOWHERE) {
        find_zone(ns, n);
    }
    return 0;
}

void placement_nodes_free(struct placement_nodes *ns)
{
    while (ns->n > 0) {
        placement_nodes_remove(ns, ns->items[ns->n - 1]);
    }
    node_sets_free(&ns->by_label);
    free(ns->items);
    *ns = (struct placement_nodes){0};
}

/* --- where to look ---------------------------------------------------------------- */

static bool source_add(struct placement_source *s, const struct node_set *set)
{
    for (size_t i = 0; set != NULL && i < s->n_parts; i++) {
        if (s->parts[i].items == set->items) {
            return true;
        }
    }
    if (set == NULL) {
        return true;
    }
    if (s->n_parts == SPEC_CONSTRAINTS_MAX) {
        return false;
    }
    s->parts[s->n_parts].items = set->items;
    s->parts[s->n_parts++].n = set->n;
    s->n += set->n;
    return true;
}

/* false: the constraint does not narrow the search. */
static bool source_of(struct placement_source *ret, const struct placement_nodes *ns,
                      const struct constraint *c)
{
    *ret = (struct placement_source){0};
    if (c->op == CONSTRAINT_IS) {
        return source_add(ret, node_sets_find(&ns->by_label, c->text));
    }
    if (c->op == CONSTRAINT_IS_NOT) {
        return false;
    }
    for (const char *at = c->value;;) {
        size_t len = strcspn(at, "|");

        if (!source_add(
                ret, node_sets_find_value(&ns->by_label, c->text, c->key_len, at, len))) {
            return false;
        }
        at += len;
        if (*at++ == '\0') {
            return true;
        }
    }
}

struct placement_source placement_source(const struct placement_nodes *ns,
                                         const struct placement_request *r)
{
    struct placement_source best = {.n_parts = 1, .n = ns->n}, s;

    best.parts[0].items = ns->items;
    best.parts[0].n = ns->n;
    for (size_t i = 0; i < r->n_constraints; i++) {
        if (source_of(&s, ns, &r->constraints[i]) && s.n < best.n) {
            best = s;
        }
    }
    return best;
}

struct placement_node *placement_source_at(const struct placement_source *s, size_t i)
{
    size_t part = 0;

    while (i >= s->parts[part].n) {
        i -= s->parts[part++].n;
    }
    return s->parts[part].items[i];
}
