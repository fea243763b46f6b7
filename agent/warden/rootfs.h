/* The root file system of sandboxes.
 *
 * At its start the warden makes, in a mount namespace of its own, two things. A template:
 * a small read-only tmpfs with the folders that programs expect, the base's /usr, a few
 * harmless files of /etc, five devices, and in /var/runtime our own runtimes. And a root
 * for itself, which holds nothing but
 *
 *     /template   /packages (read-only)   /proc
 *
 * so that no file of the host can be reached from where sandboxes are made. The
 * maker's mount namespace is a copy in which the template is the root and all else is
 * let go of; every sandbox's is a copy of that, with /tmp, /dev/shm and /proc mounted
 * (init_rootfs.c). When it gets its
 * function the warden adds the package, and the function's layers at /opt, if it has any:
 * several are merged by an overlay (read-only: without an upper folder). */
#ifndef AGENT_WARDEN_ROOTFS_H
#define AGENT_WARDEN_ROOTFS_H

#include <stdint.h>
#include <string.h>

#include "common/error.h"
#include "common/number.h"

#define ROOTFS_TEMPLATE "/template"
#define ROOTFS_PACKAGES "/packages"

/* Moves the caller into a mount namespace and a root of its own; descriptors that are
 * open stay good. base: "host" or a folder that has usr/ (and maybe etc/). state_dir is
 * made if it is not there, packages is there. runtimes: a folder like agent/runtimes. */
int rootfs_make(const char *state_dir, const char *packages, const char *base,
                const char *runtimes, struct error *err);

/* Digests of what is merged at /opt, later ones over earlier ones; the first "" ends. */
#define ROOTFS_LAYERS_MAX 5
typedef char rootfs_layers[ROOTFS_LAYERS_MAX][80];

#define ROOTFS_TMP_OPTIONS 96
static inline void rootfs_tmp_options(char ret[ROOTFS_TMP_OPTIONS], uint64_t bytes)
{
    char *at = stpcpy(ret, "mode=1777,size=");

    at += number_text(at, bytes);
    at = stpcpy(at, ",nr_inodes=");
    (void)number_text(at, bytes / 4096 < 256 ? 256 : bytes / 4096);
}

/* Puts into a sandbox (a descriptor of its mount namespace) what its function brings:
 * the package (a digest, or "") and the layers; and changes the size of /tmp and /dev/shm
 * (0: it is right). Nothing runs in there yet. The caller, who has one thread, is in
 * `own` again when this returns. */
int rootfs_fill(int own, int sandbox, const char *package, const rootfs_layers layers,
                uint64_t tmp_bytes, struct error *err);

#endif /* AGENT_WARDEN_ROOTFS_H */
