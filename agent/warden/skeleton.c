#include "agent/warden/skeleton.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

#define COPY_FILE_MAX     (2 * 1024 * 1024)
#define COPY_DEPTH_MAX    8
#define ETC_FILES_MAX     4096
#define RUNTIME_FILES_MAX 256

static const char *const folders[] = {
    "bin", "dev", "dev/shm", "etc",  "home",     "lib",         "lib64",
    "mnt", "opt", "proc",    "root", "run",      "sbin",        "srv",
    "sys", "tmp", "usr",     "var",  "var/task", "var/runtime",
};

static const char *const devices[] = {"null", "zero", "full", "random", "urandom"};

/* Of the base's /etc: what programs need to run, nothing that tells of the host. */
static const char *const etc_copied[] = {
    "ld.so.cache", "ld.so.conf",      "ld.so.conf.d",  "alternatives",
    "ssl",         "ca-certificates", "mime.types",    "protocols",
    "services",    "fonts",           "ImageMagick-6", "ImageMagick-7",
    "python3",     "python3.11",      "python3.13",    "perl",
    "magic",       "magic.mime",      "localtime",
};

static const struct {
    const char *path;
    const char *text;
} etc_written[] = {
    {"etc/passwd", "root:x:0:0:root:/root:/usr/sbin/nologin\n"
                   "function:x:1000:1000:function:/tmp:/bin/sh\n"
                   "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
    {"etc/group", "root:x:0:\nfunction:x:1000:\nnogroup:x:65534:\n"},
    {"etc/hosts", "127.0.0.1 localhost mayfly\n::1 localhost\n"},
    {"etc/hostname", "mayfly\n"},
    {"etc/resolv.conf", ""},
    {"etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"},
};

static void join(char ret[PATH_MAX], const char *folder, const char *name)
{
    (void)snprintf(ret, PATH_MAX, "%s/%s", folder, name);
}

static int write_text(const char *root, const char *path, const char *text,
                      struct error *err)
{
    char full[PATH_MAX];
    _cleanup_close_ int fd = -1;
    size_t len = strlen(text);

    join(full, root, path);
    fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len) {
        return error_set_errno(err, -errno, "write %s", full);
    }
    return 0;
}

/* --- copying a little of /etc --------------------------------------------------- */

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st)
{
    _cleanup_close_ int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_close_ int to = -1;
    off_t left = st->st_size;

    if (from < 0) {
        return -errno;
    }
    to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (to < 0) {
        return -errno;
    }
    while (left > 0) {
        ssize_t n = sendfile(to, from, NULL, (size_t)left);

        if (n <= 0) {
            return n < 0 ? -errno : 0;
        }
        left -= n;
    }
    return 0;
}

static int copy_entry(int from_dir, int to_dir, const char *name, int depth, int *left);

static int copy_folder(int from_dir, int to_dir, const char *name, int depth, int *left)
{
    _cleanup_closedir_ DIR *dir = NULL;
    _cleanup_close_ int to = -1;
    int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct dirent *entry;

    if (from < 0 || (dir = fdopendir(from)) == NULL) {
        return -errno;
    }
    if (mkdirat(to_dir, name, 0755) < 0) {
        return -errno;
    }
    to = openat(to_dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (to < 0) {
        return -errno;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            int rc = copy_entry(dirfd(dir), to, entry->d_name, depth + 1, left);

            if (rc < 0) {
                return rc;
            }
        }
    }
    return 0;
}

/* World-readable files and what leads to them; the rest is passed over. */
static int copy_entry(int from_dir, int to_dir, const char *name, int depth, int *left)
{
    char target[PATH_MAX];
    struct stat st;
    ssize_t n;

    if (depth > COPY_DEPTH_MAX || fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        *left <= 0) {
        return 0;
    }
    (*left)--;
    if (S_ISLNK(st.st_mode)) {
        n = readlinkat(from_dir, name, target, sizeof(target) - 1);
        if (n < 0) {
            return -errno;
        }
        target[n] = '\0';
        return symlinkat(target, to_dir, name) < 0 ? -errno : 0;
    }
    if (S_ISDIR(st.st_mode) && (st.st_mode & 05) == 05) {
        return copy_folder(from_dir, to_dir, name, depth, left);
    }
    if (S_ISREG(st.st_mode) && (st.st_mode & 04) != 0 && st.st_size <= COPY_FILE_MAX) {
        return copy_file(from_dir, to_dir, name, &st);
    }
    return 0;
}

static int fill_etc(const char *root, const char *base_etc, struct error *err)
{
    _cleanup_close_ int from = open(base_etc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int to = -1;
    char path[PATH_MAX];
    int left = ETC_FILES_MAX;

    join(path, root, "etc");
    to = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; from >= 0 && i < sizeof(etc_copied) / sizeof(etc_copied[0]); i++) {
        int rc = copy_entry(from, to, etc_copied[i], 0, &left);

        if (rc < 0) {
            return error_set_errno(err, rc, "copy %s/%s", base_etc, etc_copied[i]);
        }
    }
    for (size_t i = 0; i < sizeof(etc_written) / sizeof(etc_written[0]); i++) {
        int rc = write_text(root, etc_written[i].path, etc_written[i].text, err);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int add_runtimes(const char *root, const char *runtimes, struct error *err)
{
    static const char *const names[] = {"python", "node"};
    _cleanup_close_ int from = open(runtimes, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int to = -1;
    char path[PATH_MAX];
    int left = RUNTIME_FILES_MAX;

    join(path, root, "var/runtime");
    to = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (from < 0 || to < 0) {
        return error_set_errno(err, -errno, "open %s", from < 0 ? runtimes : path);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int rc = copy_entry(from, to, names[i], 0, &left);

        if (rc < 0) {
            return error_set_errno(err, rc, "copy %s/%s", runtimes, names[i]);
        }
    }
    return 0;
}

/* --- binds -------------------------------------------------------------------- */

static int bind_read_only(const char *source, const char *target, struct error *err)
{
    if (mount(source, target, NULL, MS_BIND, NULL) < 0 ||
        mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
              NULL) < 0) {
        return error_set_errno(err, -errno, "mount %s on %s", source, target);
    }
    return 0;
}

static int add_devices(const char *root, struct error *err)
{
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
        char source[64], name[64], target[PATH_MAX];
        int rc;

        (void)snprintf(source, sizeof(source), "/dev/%s", devices[i]);
        (void)snprintf(name, sizeof(name), "dev/%s", devices[i]);
        rc = write_text(root, name, "", err);
        if (rc < 0) {
            return rc;
        }
        join(target, root, name);
        /* Without MS_NODEV, which would make it no device at all; a read-only mount keeps
         * the node as it is, not what is written to it. */
        if (mount(source, target, NULL, MS_BIND, NULL) < 0 ||
            mount(NULL, target, NULL,
                  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL) < 0) {
            return error_set_errno(err, -errno, "mount %s", source);
        }
    }
    return 0;
}

/* /bin, /lib …: as the base has them, a link into /usr or a folder of its own. */
static int add_top(const char *root, const char *base, const char *name,
                   struct error *err)
{
    char source[PATH_MAX], target[PATH_MAX], link[PATH_MAX];
    struct stat st;
    ssize_t n;

    join(source, base, name);
    join(target, root, name);
    if (lstat(source, &st) < 0) {
        return 0;
    }
    if (S_ISLNK(st.st_mode)) {
        n = readlink(source, link, sizeof(link) - 1);
        if (n > 0) {
            link[n] = '\0';
            (void)rmdir(target);
            if (symlink(link, target) < 0) {
                return error_set_errno(err, -errno, "link %s", target);
            }
        }
        return 0;
    }
    if (mkdir(target, 0755) < 0 && errno != EEXIST) {
        return error_set_errno(err, -errno, "make %s", target);
    }
    return bind_read_only(source, target, err);
}

static int add_links(const char *root, struct error *err)
{
    static const struct {
        const char *name, *target;
    } links[] = {
        {"dev/fd", "/proc/self/fd"},       {"dev/stdin", "/proc/self/fd/0"},
        {"dev/stdout", "/proc/self/fd/1"}, {"dev/stderr", "/proc/self/fd/2"},
        {"etc/mtab", "/proc/self/mounts"}, {"var/tmp", "/tmp"},
    };
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        join(path, root, links[i].name);
        if (symlink(links[i].target, path) < 0) {
            return error_set_errno(err, -errno, "link %s", path);
        }
    }
    return 0;
}

int skeleton_make(const char *root, const char *base, const char *runtimes,
                  struct error *err)
{
    static const char *const top[] = {"usr", "bin", "sbin", "lib", "lib64", "lib32"};
    const char *from = strcmp(base, "host") == 0 ? "" : base;
    char path[PATH_MAX];
    int rc;

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        join(path, root, folders[i]);
        if (mkdir(path, 0755) < 0) {
            return error_set_errno(err, -errno, "make %s", path);
        }
    }
    for (size_t i = 0; i < sizeof(top) / sizeof(top[0]); i++) {
        rc = add_top(root, from, top[i], err);
        if (rc < 0) {
            return rc;
        }
    }
    join(path, from, "etc");
    rc = fill_etc(root, path, err);
    rc = rc < 0 ? rc : add_runtimes(root, runtimes, err);
    rc = rc < 0 ? rc : add_devices(root, err);
    return rc < 0 ? rc : add_links(root, err);
}
