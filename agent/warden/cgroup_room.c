/* The part of cgroup.h that asks whether all sandboxes together, or whatever they are a
 * part of, are short of memory. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/warden/cgroup.h"
#include "agent/warden/memory_room.h"
#include "common/cleanup.h"

#define LEVELS_MAX 16

/* "" if it cannot be read. */
static void read_whole(int dir, const char *file, char *buf, size_t size)
{
    _cleanup_close_ int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd >= 0 ? read(fd, buf, size - 1) : -1;

    buf[n > 0 ? n : 0] = '\0';
}

/* False: there is no such group (the root has no limit on v2, and no parent on v1). */
static bool look(int dir, bool v2, bool *ret_short)
{
    char limit[32], usage[32], stat[8192];
    struct memory_room room;

    read_whole(dir, v2 ? "memory.max" : "memory.limit_in_bytes", limit, sizeof(limit));
    read_whole(dir, v2 ? "memory.current" : "memory.usage_in_bytes", usage,
               sizeof(usage));
    if (*limit == '\0' || *usage == '\0') {
        return false;
    }
    read_whole(dir, "memory.stat", stat, sizeof(stat));
    room = memory_room_group(limit, usage, stat);
    *ret_short = memory_room_is_short(&room);
    return true;
}

bool cgroup_is_short(const struct cgroup_root *root)
{
    const struct cgroup_hierarchy *h = &root->hierarchies[root->of[CGROUP_MEMORY]];
    _cleanup_close_ int dir = openat(h->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_short = false;

    for (int i = 0; i < LEVELS_MAX && dir >= 0 && look(dir, h->v2, &is_short); i++) {
        int up;

        if (is_short) {
            return true;
        }
        up = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        (void)close(dir);
        dir = up;
    }
    return false;
}
