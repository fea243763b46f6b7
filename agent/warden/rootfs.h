/* The root file system of sandboxes.
 *
 * At its start the warden, in a mount namespace of its own, makes one template: a small
 * read-only tmpfs with the folders that programs expect, the base's /usr, a few harmless
 * files of /etc and five devices. Every sandbox's mount namespace is a copy of the
 * warden's, in which the template becomes the root and four things are mounted on it: the
 * package, /tmp, /dev/shm and /proc. */
#ifndef AGENT_WARDEN_ROOTFS_H
#define AGENT_WARDEN_ROOTFS_H

#include <stdint.h>

#include "common/error.h"

struct rootfs {
    char path[256];     /* of the template */
    char packages[256]; /* folder of unpacked packages */
};

/* base: "host" or a folder that has usr/ (and maybe etc/). Moves the caller into a mount
 * namespace of its own. */
int rootfs_make(struct rootfs *r, const char *state_dir, const char *packages,
                const char *base, struct error *err);

/* In a sandbox's first process, as the host's root, in a new mount and pid namespace.
 * package: a digest, or "". On success the template is "/", the caller's folder
 * /var/task. On failure *ret_step names what failed. */
int rootfs_enter(const struct rootfs *r, const char *package, uint64_t tmp_bytes,
                 const char **ret_step);

#endif /* AGENT_WARDEN_ROOTFS_H */
