/* Cleanup attributes for synchronous functions:
 *
 *     _cleanup_free_ char *path = strdup(x);
 *     _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
 *     ...
 *     *ret_fd = steal_fd(&fd);       // handed on: not closed here
 */
#ifndef COMMON_CLEANUP_H
#define COMMON_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_close_(const int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
}

static inline void cleanup_fclose_(FILE **f)
{
    if (*f != NULL) {
        (void)fclose(*f);
    }
}

static inline void cleanup_closedir_(DIR **d)
{
    if (*d != NULL) {
        (void)closedir(*d);
    }
}

#define _cleanup_free_     __attribute__((cleanup(cleanup_free_)))
#define _cleanup_close_    __attribute__((cleanup(cleanup_close_)))
#define _cleanup_fclose_   __attribute__((cleanup(cleanup_fclose_)))
#define _cleanup_closedir_ __attribute__((cleanup(cleanup_closedir_)))

static inline int steal_fd(int *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}

#define steal(ptr)                            \
    __extension__({                           \
        __typeof__(ptr) *steal_p_ = &(ptr);   \
        __typeof__(ptr) steal_v_ = *steal_p_; \
        *steal_p_ = NULL;                     \
        steal_v_;                             \
    })

#endif /* COMMON_CLEANUP_H */
