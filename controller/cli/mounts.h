/* What is mounted, for us. */
#ifndef CLI_MOUNTS_H
#define CLI_MOUNTS_H

#include <stdbool.h>

struct mount_point {
    const char *path;
    const char *type;    /* "cgroup2", "tmpfs" */
    const char *options; /* of the file system: "rw,memory" */
};

/* Each mount, the latest first (what lies over another before it). */
void mounts_each(void (*found)(void *data, const struct mount_point *m), void *data);
/* Whether a comma separated list has that word. */
bool mounts_has_option(const char *options, const char *word);

#endif /* CLI_MOUNTS_H */
