#include "common/spare.h"

#include <stdlib.h>
#include <string.h>

#include "common/zalloc.h"

/* Whoever uses something after he has given it back is found by a sanitizer only if it is
 * freed. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define KEEPS 0
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define KEEPS 0
#endif
#ifndef KEEPS
#define KEEPS 1
#endif

void *spare_take(struct spare *s)
{
    void *p = s->first;

    if (p == NULL) {
        return zalloc(s->size);
    }
    memcpy(&s->first, p, sizeof(s->first));
    s->n--;
    return memset(p, 0, s->size);
}

void spare_give(struct spare *s, void *p)
{
    if (p == NULL || !KEEPS || s->n >= s->max) {
        free(p);
        return;
    }
    memcpy(p, &s->first, sizeof(s->first));
    s->first = p;
    s->n++;
}

void spare_free(struct spare *s)
{
    while (s->first != NULL) {
        void *p = s->first;

        memcpy(&s->first, p, sizeof(s->first));
        free(p);
    }
    s->n = 0;
}
