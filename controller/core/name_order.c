#include "controller/core/name_order.h"

#include <string.h>

#include "common/check.h"

/* What is under `at`, in two: names before this one, and those after it. */
static void split(struct name_order_node *at, const char *name,
                  struct name_order_node **ret_before, struct name_order_node **ret_after)
{
    while (at != NULL) {
        if (strcmp(at->name, name) < 0) {
            *ret_before = at;
            ret_before = &at->right;
            at = at->right;
        } else {
            *ret_after = at;
            ret_after = &at->left;
            at = at->left;
        }
    }
    *ret_before = *ret_after = NULL;
}

/* All names of a are before those of b. */
static struct name_order_node *merge(struct name_order_node *a, struct name_order_node *b)
{
    struct name_order_node *root = NULL, **at = &root;

    while (a != NULL && b != NULL) {
        if (a->priority > b->priority) {
            *at = a;
            at = &a->right;
            a = a->right;
        } else {
            *at = b;
            at = &b->left;
            b = b->left;
        }
    }
    *at = a != NULL ? a : b;
    return root;
}

void name_order_add(struct name_order *o, struct name_order_node *n, const char *name,
                    uint64_t priority)
{
    struct name_order_node **at = &o->root;

    n->name = name;
    n->priority = priority;
    while (*at != NULL && (*at)->priority >= priority) {
        at = strcmp(name, (*at)->name) < 0 ? &(*at)->left : &(*at)->right;
    }
    split(*at, name, &n->left, &n->right);
    *at = n;
}

void name_order_remove(struct name_order *o, struct name_order_node *n)
{
    struct name_order_node **at = &o->root;

    while (*at != n) {
        CHECK(*at != NULL);
        at = strcmp(n->name, (*at)->name) < 0 ? &(*at)->left : &(*at)->right;
    }
    *at = merge(n->left, n->right);
    n->left = n->right = NULL;
}

struct walk {
    const char *after;
    bool inclusive;
    bool (*each)(void *data, struct name_order_node *n);
    void *data;
};

/* As deep as the tree, which is 3 log n or so. False: each() wants no more. */
static bool walk(const struct walk *w, struct name_order_node *at)
{
    while (at != NULL) {
        int by_name = w->after != NULL ? strcmp(at->name, w->after) : 1;

        if (by_name > 0 && !walk(w, at->left)) {
            return false;
        }
        if ((by_name > 0 || (by_name == 0 && w->inclusive)) && !w->each(w->data, at)) {
            return false;
        }
        at = at->right;
    }
    return true;
}

void name_order_walk(const struct name_order *o, const char *after, bool inclusive,
                     bool (*each)(void *data, struct name_order_node *n), void *data)
{
    const struct walk w = {
        .after = after, .inclusive = inclusive, .each = each, .data = data};

    (void)walk(&w, o->root);
}
