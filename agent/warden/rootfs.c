#include "agent/warden/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/warden/skeleton.h"
#include "common/cleanup.h"

/* World-readable parts of /proc that tell of the host, and its knobs. */
static const char *const masked_files[] = {
    "/proc/kcore",         "/proc/keys",        "/proc/key-users",
    "/proc/latency_stats", "/proc/timer_list",  "/proc/sched_debug",
    "/proc/sysrq-trigger", "/proc/kmsg",        "/proc/kallsyms",
    "/proc/kpagecount",    "/proc/kpageflags",  "/proc/kpagecgroup",
    "/proc/modules",       "/proc/config.gz",   "/proc/interrupts",
    "/proc/slabinfo",      "/proc/vmallocinfo", "/proc/swaps",
    "/proc/mtrr",          "/proc/cmdline",     "/proc/diskstats",
    "/proc/partitions",
};
static const char *const masked_folders[] = {
    "/proc/acpi", "/proc/asound", "/proc/scsi", "/proc/bus",
    "/proc/fs",   "/proc/irq",    "/proc/tty",  "/proc/driver",
};

static int fail(const char **ret_step, const char *step)
{
    *ret_step = step;
    return -errno;
}

/* --- template ----------------------------------------------------------------- */

int rootfs_make(struct rootfs *r, const char *state_dir, const char *packages,
                const char *base, struct error *err)
{
    int rc;

    if (snprintf(r->path, sizeof(r->path), "%s/root", state_dir) >=
            (int)sizeof(r->path) ||
        snprintf(r->packages, sizeof(r->packages), "%s", packages) >=
            (int)sizeof(r->packages)) {
        return error_set(err, -ENAMETOOLONG, "the state folder's path is too long");
    }
    if (mkdir(state_dir, 0755) < 0 && errno != EEXIST) {
        return error_set_errno(err, -errno, "make %s", state_dir);
    }
    if (mkdir(r->path, 0755) < 0 && errno != EEXIST) {
        return error_set_errno(err, -errno, "make %s", r->path);
    }
    if (unshare(CLONE_NEWNS) < 0) {
        return error_set_errno(err, -errno, "new mount namespace");
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        return error_set_errno(err, -errno, "make mounts private");
    }
    if (mount("mayfly", r->path, "tmpfs", MS_NOSUID | MS_NODEV, "size=32m,mode=755") <
        0) {
        return error_set_errno(err, -errno, "mount tmpfs on %s", r->path);
    }
    rc = skeleton_make(r->path, base, err);
    if (rc < 0) {
        return rc;
    }
    if (mount(NULL, r->path, NULL,
              MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0) {
        return error_set_errno(err, -errno, "make the template read-only");
    }
    return 0;
}

/* --- a sandbox's -------------------------------------------------------------- */

/* The package's folder is resolved without following a link anywhere below the packages
 * folder, and bound by descriptor: what was checked is what is mounted. */
static int bind_package(const struct rootfs *r, const char *package)
{
    struct open_how how = {
        .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    _cleanup_close_ int packages = open(r->packages, O_PATH | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int fd = -1;
    char source[32], target[300];

    if (packages < 0) {
        return -1;
    }
    fd = (int)syscall(SYS_openat2, packages, package, &how, sizeof(how));
    if (fd < 0) {
        return -1;
    }
    (void)snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
    (void)snprintf(target, sizeof(target), "%s/var/task", r->path);
    if (mount(source, target, NULL, MS_BIND, NULL) < 0) {
        return -1;
    }
    return mount(NULL, target, NULL,
                 MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL);
}

static int mount_tmp(const struct rootfs *r, const char *at, uint64_t bytes)
{
    char options[96], target[300];
    uint64_t inodes = bytes / 4096;

    (void)snprintf(target, sizeof(target), "%s%s", r->path, at);
    (void)snprintf(options, sizeof(options), "mode=1777,size=%llu,nr_inodes=%llu",
                   (unsigned long long)bytes,
                   (unsigned long long)(inodes < 256 ? 256 : inodes));
    return mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options);
}

/* What is not there need not be hidden. */
static int mask(void)
{
    for (size_t i = 0; i < sizeof(masked_files) / sizeof(masked_files[0]); i++) {
        if (mount("/dev/null", masked_files[i], NULL, MS_BIND, NULL) < 0 &&
            errno != ENOENT) {
            return -1;
        }
    }
    for (size_t i = 0; i < sizeof(masked_folders) / sizeof(masked_folders[0]); i++) {
        if (mount("/sys", masked_folders[i], NULL, MS_BIND, NULL) < 0 &&
            errno != ENOENT) {
            return -1;
        }
    }
    if (mount("/proc/sys", "/proc/sys", NULL, MS_BIND, NULL) < 0 ||
        mount(NULL, "/proc/sys", NULL,
              MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
              NULL) < 0) {
        return -1;
    }
    return 0;
}

int rootfs_enter(const struct rootfs *r, const char *package, uint64_t tmp_bytes,
                 const char **ret_step)
{
    if (package[0] != '\0' && bind_package(r, package) < 0) {
        return fail(ret_step, "mount the package");
    }
    if (mount_tmp(r, "/tmp", tmp_bytes) < 0 || mount_tmp(r, "/dev/shm", tmp_bytes) < 0) {
        return fail(ret_step, "mount /tmp");
    }
    if (chdir(r->path) < 0) {
        return fail(ret_step, "enter the new root");
    }
    if (syscall(SYS_pivot_root, ".", ".") < 0) {
        return fail(ret_step, "pivot_root");
    }
    /* The old root is now on top of the new one: take it away. */
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) {
        return fail(ret_step, "detach the old root");
    }
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
        return fail(ret_step, "mount /proc");
    }
    if (mask() < 0) {
        return fail(ret_step, "mask /proc");
    }
    if (chdir("/var/task") < 0) {
        return fail(ret_step, "enter /var/task");
    }
    return 0;
}
