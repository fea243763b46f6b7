/* Memory of zeros for what is made and freed with each call. calloc() of the C library
 * does not look into the thread's own cache of freed pieces before glibc 2.41; malloc()
 * does. */
#ifndef COMMON_ZALLOC_H
#define COMMON_ZALLOC_H

#include <stdlib.h>
#include <string.h>

static inline void *zalloc(size_t size) /* NULL: out of memory */
{
    void *p = malloc(size);

    __asm__("" : "+r"(p)); /* or the compiler makes one calloc() of the two */
    return p != NULL ? memset(p, 0, size) : NULL;
}

#endif /* COMMON_ZALLOC_H */
