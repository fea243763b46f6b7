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
    "/proc/kcore",       "/proc/keys",        "/proc/key-users",    "/proc/latency_stats",
    "/proc/timer_list",  "/proc/timer_stats", "/proc/sched_debug",  "/proc/schedstat",
    "/proc/kmsg",        "/proc/kallsyms",    "/proc/kpagecount",   "/proc/kpageflags",
    "/proc/kpagecgroup", "/proc/modules",     "/proc/config.gz",    "/proc/interrupts",
    "/proc/softirqs",    "/proc/slabinfo",    "/proc/vmallocinfo",  "/proc/swaps",
    "/proc/mtrr",        "/proc/cmdline",     "/proc/diskstats",    "/proc/partitions",
    "/proc/mdstat",      "/proc/iomem",       "/proc/ioports",      "/proc/consoles",
    "/proc/zoneinfo",    "/proc/buddyinfo",   "/proc/pagetypeinfo", "/proc/allocinfo",
    "/proc/devices",     "/proc/misc",        "/proc/locks",
};
static const char *const masked_folders[] = {
    "/proc/acpi", "/proc/asound", "/proc/scsi",   "/proc/bus",      "/proc/fs",
    "/proc/irq",  "/proc/tty",    "/proc/driver", "/proc/pressure", "/proc/dynamic_debug",
};

/* Knobs that stay readable. */
static const char *const read_only[] = {"/proc/sys", "/proc/sysrq-trigger"};

static int fail(const char **ret_step, const char *step)
{
    *ret_step = step;
    return -errno;
}

/* --- the warden's own ----------------------------------------------------------- */

/* A root file system of its own for the calling process: `root` becomes "/", what was
 * there before is out of reach. */
static int move_into(const char *root)
{
    if (chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) {
        return -1;
    }
    /* The old root now lies on top of the new one: take it away. */
    return umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ? -1 : 0;
}

static int make_folder(const char *path, struct error *err)
{
    return mkdir(path, 0755) < 0 && errno != EEXIST
               ? error_set_errno(err, -errno, "make %s", path)
               : 0;
}

static int mount_template(const char *at, const char *base, const char *runtimes,
                          struct error *err)
{
    int rc;

    if (mount("mayfly", at, "tmpfs", MS_NOSUID | MS_NODEV, "size=32m,mode=755") < 0) {
        return error_set_errno(err, -errno, "mount tmpfs on %s", at);
    }
    rc = skeleton_make(at, base, runtimes, err);
    if (rc < 0) {
        return rc;
    }
    /* The mount, and the file system below it: every sandbox has the same one. */
    if (mount(NULL, at, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
              NULL) < 0 ||
        mount(NULL, at, NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0) {
        return error_set_errno(err, -errno, "make the template read-only");
    }
    return 0;
}

static int mount_packages(const char *at, const char *packages, struct error *err)
{
    if (mount(packages, at, NULL, MS_BIND, NULL) < 0 ||
        mount(NULL, at, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
              NULL) < 0) {
        return error_set_errno(err, -errno, "mount %s", packages);
    }
    return 0;
}

int rootfs_make(const char *state_dir, const char *packages, const char *base,
                const char *runtimes, struct error *err)
{
    static const char *const folders[] = {"", ROOTFS_TEMPLATE, ROOTFS_PACKAGES, "/proc"};
    char root[256], at[4][300];
    int rc = make_folder(state_dir, err);

    if (snprintf(root, sizeof(root), "%s/root", state_dir) >= (int)sizeof(root)) {
        return error_set(err, -ENAMETOOLONG, "the state folder's path is too long");
    }
    rc = rc < 0 ? rc : make_folder(root, err);
    if (rc < 0) {
        return rc;
    }
    if (unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        return error_set_errno(err, -errno, "new mount namespace");
    }
    if (mount("mayfly", root, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "size=1m,mode=755") < 0) {
        return error_set_errno(err, -errno, "mount tmpfs on %s", root);
    }
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(at[i], sizeof(at[i]), "%s%s", root, folders[i]);
        rc = rc < 0 ? rc : make_folder(at[i], err);
    }
    rc = rc < 0 ? rc : mount_template(at[1], base, runtimes, err);
    rc = rc < 0 ? rc : mount_packages(at[2], packages, err);
    if (rc < 0) {
        return rc;
    }
    if (mount("proc", at[3], "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
        return error_set_errno(err, -errno, "mount %s", at[3]);
    }
    if (move_into(root) < 0 ||
        mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
              NULL) < 0) {
        return error_set_errno(err, -errno, "leave the host's file system");
    }
    return 0;
}

/* --- a sandbox's -------------------------------------------------------------- */

/* A package's folder, resolved without following a link; it is mounted by descriptor:
 * what was checked is what is mounted. */
static int open_package(const char *package)
{
    struct open_how how = {
        .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    _cleanup_close_ int packages =
        open(ROOTFS_PACKAGES, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    return packages < 0 ? -1
                        : (int)syscall(SYS_openat2, packages, package, &how, sizeof(how));
}

static int bind_package(const char *package, const char *target)
{
    _cleanup_close_ int fd = open_package(package);
    char source[32];

    if (fd < 0) {
        return -1;
    }
    (void)snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
    if (mount(source, target, NULL, MS_BIND, NULL) < 0) {
        return -1;
    }
    return mount(NULL, target, NULL,
                 MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL);
}

/* The overlay's first folder is the uppermost. */
static int mount_layers(const rootfs_layers layers)
{
    static const char target[] = ROOTFS_TEMPLATE "/opt";
    char options[ROOTFS_LAYERS_MAX * 32 + 16] = "lowerdir=";
    int fds[ROOTFS_LAYERS_MAX];
    size_t len = strlen(options), n = 0;
    int rc = 0;

    while (n < ROOTFS_LAYERS_MAX && layers[n][0] != '\0') {
        n++;
    }
    if (n == 0) {
        return 0;
    }
    if (n == 1) {
        return bind_package(layers[0], target);
    }
    for (size_t i = 0; i < n; i++) {
        fds[i] = open_package(layers[n - 1 - i]);
        rc = fds[i] < 0 ? -1 : rc;
        len += (size_t)snprintf(options + len, sizeof(options) - len,
                                "%s/proc/self/fd/%d", i > 0 ? ":" : "", fds[i]);
    }
    rc = rc < 0 ? rc
                : mount("mayfly", target, "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV,
                        options);
    for (size_t i = 0; i < n; i++) {
        if (fds[i] >= 0) {
            int error = errno;

            (void)close(fds[i]);
            errno = error;
        }
    }
    return rc;
}

static int mount_tmp(const char *target, uint64_t bytes)
{
    char options[96];
    uint64_t inodes = bytes / 4096;

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
    for (size_t i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++) {
        const char *at = read_only[i];

        if (mount(at, at, NULL, MS_BIND, NULL) < 0) {
            if (errno == ENOENT) {
                continue;
            }
            return -1;
        }
        if (mount(NULL, at, NULL,
                  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
                  NULL) < 0) {
            return -1;
        }
    }
    return 0;
}

int rootfs_enter(const char *package, const rootfs_layers layers, uint64_t tmp_bytes,
                 const char **ret_step)
{
    if (package[0] != '\0' && bind_package(package, ROOTFS_TEMPLATE "/var/task") < 0) {
        return fail(ret_step, "mount the package");
    }
    if (mount_layers(layers) < 0) {
        return fail(ret_step, "mount the layers");
    }
    if (mount_tmp(ROOTFS_TEMPLATE "/tmp", tmp_bytes) < 0 ||
        mount_tmp(ROOTFS_TEMPLATE "/dev/shm", tmp_bytes) < 0) {
        return fail(ret_step, "mount /tmp");
    }
    if (move_into(ROOTFS_TEMPLATE) < 0) {
        return fail(ret_step, "enter the new root");
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
