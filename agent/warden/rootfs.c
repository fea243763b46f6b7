#include "agent/warden/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/warden/skeleton.h"
#include "common/check.h"
#include "common/cleanup.h"

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

/* A package's folder as a mount of its own, read-only, that is nowhere yet. */
static int package_tree(const char *package)
{
    struct mount_attr attr = {
        .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
    };
    _cleanup_close_ int fd = open_package(package);
    _cleanup_close_ int tree = -1;

    if (fd < 0) {
        return -1;
    }
    tree = open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0) {
        return -1;
    }
    return steal_fd(&tree);
}

/* Several layers, merged; the overlay's first folder is the uppermost. */
static int overlay_tree(const rootfs_layers layers, size_t n)
{
    char options[ROOTFS_LAYERS_MAX * 32] = "";
    int fds[ROOTFS_LAYERS_MAX];
    _cleanup_close_ int fs = fsopen("overlay", FSOPEN_CLOEXEC);
    int tree = -1, error;
    size_t len = 0;
    bool there = fs >= 0;

    for (size_t i = 0; i < n; i++) {
        fds[i] = open_package(layers[n - 1 - i]);
        there = there && fds[i] >= 0;
        len += (size_t)snprintf(options + len, sizeof(options) - len,
                                "%s/proc/self/fd/%d", i > 0 ? ":" : "", fds[i]);
    }
    if (there && fsconfig(fs, FSCONFIG_SET_STRING, "source", "mayfly", 0) == 0 &&
        fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", options, 0) == 0 &&
        fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) == 0 &&
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0) {
        tree = fsmount(fs, FSMOUNT_CLOEXEC,
                       MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    }
    error = errno;
    for (size_t i = 0; i < n; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    errno = error;
    return tree;
}

static int layers_tree(const rootfs_layers layers)
{
    size_t n = 0;

    while (n < ROOTFS_LAYERS_MAX && layers[n][0] != '\0') {
        n++;
    }
    return n == 1 ? package_tree(layers[0]) : overlay_tree(layers, n);
}

static int put(int tree, const char *path)
{
    return tree < 0 ? 0 : move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);
}

static int resize(const char *path, uint64_t tmp_bytes)
{
    char options[ROOTFS_TMP_OPTIONS];

    if (tmp_bytes == 0) {
        return 0;
    }
    rootfs_tmp_options(options, tmp_bytes);
    return mount(NULL, path, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, options);
}

static int fail(struct error *err, const char *step)
{
    return error_set_errno(err, -errno, "%s", step);
}

int rootfs_fill(int own, int sandbox, const char *package, const rootfs_layers layers,
                uint64_t tmp_bytes, struct error *err)
{
    _cleanup_close_ int task = -1, opt = -1;
    int rc = 0;

    if (package[0] != '\0' && (task = package_tree(package)) < 0) {
        return fail(err, "mount the package");
    }
    if (layers[0][0] != '\0' && (opt = layers_tree(layers)) < 0) {
        return fail(err, "mount the layers");
    }
    if (setns(sandbox, CLONE_NEWNS) < 0) {
        return fail(err, "enter the sandbox's mounts");
    }
    if (put(task, "/var/task") < 0) {
        rc = fail(err, "mount the package");
    } else if (put(opt, "/opt") < 0) {
        rc = fail(err, "mount the layers");
    } else if (resize("/tmp", tmp_bytes) < 0 || resize("/dev/shm", tmp_bytes) < 0) {
        rc = fail(err, "set the size of /tmp");
    }
    /* A warden that is among a sandbox's files must not go on. */
    CHECK(setns(own, CLONE_NEWNS) == 0);
    return rc;
}
