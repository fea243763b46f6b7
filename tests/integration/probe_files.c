/* Attempts at the file system: mounts, devices, /proc, files of the host. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/integration/probe.h"

static int of(long rc)
{
    return rc < 0 ? errno : 0;
}

static void try_each(char **args, probe_attempt attempt)
{
    for (; *args != NULL; args++) {
        probe_try(*args, attempt, *args);
    }
}

/* --- reading and writing -------------------------------------------------------- */

/* ENODATA: it opens, and there is nothing in it. */
static int try_read(const char *path)
{
    char block[256];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, block, sizeof(block));

    return n == 0 ? ENODATA : of(n);
}

/* ENODATA: an empty folder. */
static int try_list(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;

    if (dir == NULL) {
        return errno;
    }
    while ((e = readdir(dir)) != NULL) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            return 0;
        }
    }
    return ENODATA;
}

static int try_write(const char *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd < 0 ? errno : of(write(fd, "|/tmp/x\n", 8));
}

static int try_create(const char *folder)
{
    char path[PATH_MAX];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/new", folder);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    return fd < 0 ? errno : 0;
}

static int try_mode(const char *path)
{
    return of(chmod(path, 0777));
}

static int try_remove(const char *path)
{
    return of(unlink(path));
}

static int try_rename(const char *path)
{
    return of(rename(path, "/tmp/taken"));
}

static void run_read(char **args)
{
    try_each(args, try_read);
}

static void run_list(char **args)
{
    try_each(args, try_list);
}

static void run_write(char **args)
{
    try_each(args, try_write);
}

static void run_create(char **args)
{
    try_each(args, try_create);
}

static void run_change(char **args)
{
    for (; *args != NULL; args++) {
        probe_try("write", try_write, *args);
        probe_try("chmod", try_mode, *args);
        probe_try("unlink", try_remove, *args);
        probe_try("rename", try_rename, *args);
    }
}

/* --- mounts and devices --------------------------------------------------------- */

static int mount_tmpfs(const char *arg)
{
    return of(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static int remount_root(const char *arg)
{
    return of(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
}

static int bind_proc(const char *arg)
{
    return of(mount("/proc", "/tmp", NULL, MS_BIND, NULL));
}

static int unmount(const char *path)
{
    return of(umount2(path, MNT_DETACH));
}

static void run_mounts(char **args)
{
    probe_try("mount", mount_tmpfs, NULL);
    probe_try("remount", remount_root, NULL);
    probe_try("bind", bind_proc, NULL);
    probe_try("umount-/proc/sys", unmount, "/proc/sys");
    probe_try("umount-/tmp", unmount, "/tmp");
}

static int make_device(const char *kind)
{
    /* The host's memory, and its first disk. */
    return of(mknod("/tmp/device", 0600 | (*kind == 'c' ? S_IFCHR : S_IFBLK),
                    *kind == 'c' ? makedev(1, 1) : makedev(254, 0)));
}

static int make_fifo(const char *arg)
{
    return of(mkfifo("/tmp/fifo", 0600));
}

static void list_folder(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char full[PATH_MAX];
        struct stat st;

        if (e->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(full, sizeof(full), "%s/%s", path, e->d_name);
        if (lstat(full, &st) == 0) {
            (void)printf("%s %s %u,%u\n",
                         S_ISCHR(st.st_mode)   ? "character"
                         : S_ISBLK(st.st_mode) ? "block"
                         : S_ISLNK(st.st_mode) ? "link"
                         : S_ISDIR(st.st_mode) ? "folder"
                                               : "file",
                         e->d_name, major(st.st_rdev), minor(st.st_rdev));
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

static void run_devices(char **args)
{
    probe_try("mknod-c", make_device, "c");
    probe_try("mknod-b", make_device, "b");
    probe_try("mkfifo", make_fifo, NULL);
    list_folder("/dev");
}

/* --- descriptors and ways out --------------------------------------------------- */

/* What is open, without the folder that is being listed. */
static void run_descriptors(char **args)
{
    struct stat st;

    for (int fd = 0; fd < 4096; fd++) {
        if (fstat(fd, &st) == 0) {
            (void)printf("%d %s\n", fd, S_ISDIR(st.st_mode) ? "folder" : "file");
        }
    }
}

static void run_folder(char **args)
{
    char path[PATH_MAX];

    (void)printf("%s\n", getcwd(path, sizeof(path)) != NULL ? path : "nowhere");
    for (int i = 0; i < 40; i++) {
        (void)!chdir("..");
    }
    (void)printf("%s\n", getcwd(path, sizeof(path)) != NULL ? path : "nowhere");
}

/* CVE-2019-5736: the program that started us, through any path to it. */
static int try_overwrite(const char *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd < 0 ? errno : of(ftruncate(fd, 0));
}

static void run_overwrite(char **args)
{
    try_each(args, try_overwrite);
}

static void run_mountinfo(char **args)
{
    FILE *f = fopen("/proc/self/mountinfo", "r");
    char line[4096];

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        (void)fputs(line, stdout);
    }
}

/* --- room --------------------------------------------------------------------- */

/* Fills a folder, by bytes and then by files; says where it ended. */
static void run_fill(char **args)
{
    static char block[65536];
    char path[PATH_MAX];
    size_t bytes = 0;
    unsigned files = 0;
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/big", args[0]);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    while ((n = write(fd, block, sizeof(block))) > 0) {
        bytes += (size_t)n;
    }
    (void)printf("bytes %zu %s\n", bytes, strerrorname_np(errno));
    (void)close(fd);
    (void)unlink(path);
    for (;;) {
        (void)snprintf(path, sizeof(path), "%s/%u", args[0], files);
        fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0) {
            break;
        }
        (void)close(fd);
        files++;
    }
    (void)printf("files %u %s\n", files, strerrorname_np(errno));
}

const struct probe_group probe_file_groups[] = {
    {"read", run_read},
    {"list", run_list},
    {"write", run_write},
    {"create", run_create},
    {"change", run_change},
    {"mounts", run_mounts},
    {"devices", run_devices},
    {"descriptors", run_descriptors},
    {"folder", run_folder},
    {"overwrite", run_overwrite},
    {"mountinfo", run_mountinfo},
    {"fill", run_fill},
    {NULL, NULL},
};
