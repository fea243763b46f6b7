/* Memory for things of one size of which one is made and freed with each call, and which
 * are larger (over 1 KiB) than what the C library keeps at hand for the next one: looking
 * for it and joining it with its neighbours again takes as long as a tenth of a warm
 * call. The last that was given back is taken first: its lines are still in the cache.
 * Not for threads. */
#ifndef COMMON_SPARE_H
#define COMMON_SPARE_H

#include <stddef.h>

struct spare {
    size_t size;  /* the owner's, as well as max; at least a pointer's */
    unsigned max; /* so many are kept */
    unsigned n;
    void *first; /* each begins with the next */
};

void *spare_take(struct spare *s);         /* all zeros; NULL: out of memory */
void spare_give(struct spare *s, void *p); /* one that was taken, or NULL */
void spare_free(struct spare *s);          /* those that are kept */

#endif /* COMMON_SPARE_H */
