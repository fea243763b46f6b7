#include "controller/core/alarms.h"

#include <stddef.h>

#include "common/check.h"

static struct alarm *meld(struct alarm *a, struct alarm *b)
{
    if (a == NULL) {
        return b;
    }
    if (b == NULL) {
        return a;
    }
    if (b->at_ms < a->at_ms) {
        struct alarm *swap = a;

        a = b;
        b = swap;
    }
    b->next = a->child;
    if (b->next != NULL) {
        b->next->prev = b;
    }
    b->prev = a;
    a->child = b;
    return a;
}

/* Two passes: pairs from left to right, then the pairs from right to left. */
static struct alarm *meld_siblings(struct alarm *first)
{
    struct alarm *pairs = NULL, *root = NULL;

    while (first != NULL) {
        struct alarm *a = first, *b = first->next;

        first = b != NULL ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b != NULL) {
            b->next = b->prev = NULL;
        }
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct alarm *next = pairs->next;

        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

void alarms_clear(struct alarms *as, struct alarm *a)
{
    struct alarm *children;

    if (!a->set) {
        return;
    }
    if (as->root == a) {
        as->root = NULL;
    } else {
        CHECK(a->prev != NULL);
        if (a->prev->child == a) {
            a->prev->child = a->next;
        } else {
            a->prev->next = a->next;
        }
        if (a->next != NULL) {
            a->next->prev = a->prev;
        }
    }
    children = meld_siblings(a->child);
    as->root = meld(as->root, children);
    a->set = false;
    a->child = a->next = a->prev = NULL;
}

void alarms_set(struct alarms *as, struct alarm *a, uint64_t at_ms)
{
    CHECK(a->fire != NULL);
    if (a->set && a->at_ms == at_ms) {
        return;
    }
    alarms_clear(as, a);
    a->at_ms = at_ms;
    a->set = true;
    as->root = meld(as->root, a);
}

uint64_t alarms_next_ms(const struct alarms *as)
{
    return as->root != NULL ? as->root->at_ms : UINT64_MAX;
}

struct alarm *alarms_take(struct alarms *as, uint64_t now_ms)
{
    struct alarm *a = as->root;

    if (a == NULL || a->at_ms > now_ms) {
        return NULL;
    }
    alarms_clear(as, a);
    return a;
}
