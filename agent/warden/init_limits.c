/* Resource limits of all that runs in sandboxes. The maker takes them on itself: who is
 * made by it inherits them, and nobody there can raise one again. */
#include <errno.h>
#include <stddef.h>
#include <sys/resource.h>

#include "agent/warden/init_blank.h"

#define FILES_MAX    4096
#define LOCKED_BYTES (64ULL << 10)
#define SIGNALS_MAX  1024
#define STACK_BYTES  (8ULL << 20)

/* Processes and memory are the cgroup's matter. What the kernel counts by user over all
 * of a user's sandboxes (processes) must not be limited here: one would starve the
 * others. The size of files is the function's (INIT_BEGIN). */
static const struct {
    int resource;
    rlim_t soft, hard;
} limits[] = {
    {RLIMIT_CORE, 0, 0},
    {RLIMIT_NOFILE, FILES_MAX, FILES_MAX},
    {RLIMIT_MEMLOCK, LOCKED_BYTES, LOCKED_BYTES},
    {RLIMIT_SIGPENDING, SIGNALS_MAX, SIGNALS_MAX},
    {RLIMIT_MSGQUEUE, 0, 0},
    {RLIMIT_RTPRIO, 0, 0},
    {RLIMIT_NICE, 0, 0},
    {RLIMIT_STACK, STACK_BYTES, RLIM_INFINITY},
    {RLIMIT_CPU, RLIM_INFINITY, RLIM_INFINITY},
    {RLIMIT_AS, RLIM_INFINITY, RLIM_INFINITY},
    {RLIMIT_DATA, RLIM_INFINITY, RLIM_INFINITY},
    {RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY},
};

/* The warden may have less itself (in a container): then that is the limit. */
static bool limit(int resource, rlim_t soft, rlim_t hard)
{
    struct rlimit now, next = {.rlim_cur = soft, .rlim_max = hard};

    if (setrlimit((__rlimit_resource_t)resource, &next) == 0) {
        return true;
    }
    if (errno != EPERM || getrlimit((__rlimit_resource_t)resource, &now) < 0) {
        return false;
    }
    next.rlim_max = now.rlim_max < hard ? now.rlim_max : hard;
    next.rlim_cur = next.rlim_max < soft ? next.rlim_max : soft;
    return setrlimit((__rlimit_resource_t)resource, &next) == 0;
}

bool limits_set(void)
{
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (!limit(limits[i].resource, limits[i].soft, limits[i].hard)) {
            return false;
        }
    }
    return true;
}
