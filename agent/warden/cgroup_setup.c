/* The part of cgroup.h for start and end: detection, the warden's own group, leftovers.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libcgroup.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "agent/warden/cgroup.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define LOCK_TIMEOUT_MS 2000 /* a predecessor that is just being killed */

static const struct {
    const char *name;
    bool needed;
} controllers[CGROUP_CONTROLLERS] = {
    [CGROUP_MEMORY] = {"memory", true},    [CGROUP_CPU] = {"cpu", true},
    [CGROUP_PIDS] = {"pids", true},        [CGROUP_FREEZER] = {"freezer", false},
    [CGROUP_CPUACCT] = {"cpuacct", false},
};

static void nap(void)
{
    const struct timespec ms = {.tv_nsec = 1000000};

    (void)nanosleep(&ms, NULL);
}

/* Makes NAME and its parents' subtree_control hand the controllers down (v2). Failing to
 * is found out when the limits' files are missing, and told there. */
static void delegate(int mount_dir, const char *name)
{
    static const char *const enable[] = {"+memory", "+cpu", "+pids"};
    _cleanup_close_ int dir = dup(mount_dir);
    char part[NAME_MAX + 1];

    for (;;) {
        int fd = openat(dir, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
        size_t len = strcspn(name, "/");
        int next;

        for (size_t i = 0; fd >= 0 && i < 3; i++) {
            (void)!write(fd, enable[i], strlen(enable[i]));
        }
        if (fd >= 0) {
            (void)close(fd);
        }
        if (len == 0 || len >= sizeof(part)) {
            return;
        }
        memcpy(part, name, len);
        part[len] = '\0';
        (void)mkdirat(dir, part, 0755);
        next = openat(dir, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (next < 0) {
            return;
        }
        (void)close(dir);
        dir = next;
        name += len + (name[len] == '/');
    }
}

/* Adds controller c's hierarchy at mount point `mount` unless it is there already. */
static int add_hierarchy(struct cgroup_root *root, enum cgroup_kind c, const char *mount,
                         const char *name, struct error *err)
{
    _cleanup_close_ int top = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int dir = -1;
    struct stat st;
    struct statfs fs;

    if (top < 0 || fstatfs(top, &fs) < 0) {
        return error_set_errno(err, -errno, "open %s", mount);
    }
    if (fs.f_type == CGROUP2_SUPER_MAGIC) {
        delegate(top, name);
    }
    dir = openat(top, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0 || fstat(dir, &st) < 0) {
        return error_set_errno(err, -errno, "open cgroup %s/%s", mount, name);
    }
    for (unsigned i = 0; i < root->n_hierarchies; i++) {
        struct stat other;

        if (fstat(root->hierarchies[i].dir, &other) == 0 && other.st_dev == st.st_dev &&
            other.st_ino == st.st_ino) {
            root->of[c] = (int)i;
            return 0;
        }
    }
    root->of[c] = (int)root->n_hierarchies;
    root->hierarchies[root->n_hierarchies++] = (struct cgroup_hierarchy){
        .dir = steal_fd(&dir), .v2 = fs.f_type == CGROUP2_SUPER_MAGIC};
    return 0;
}

/* Makes NAME in every hierarchy of ours through libcgroup, which also knows how v2 wants
 * its controllers enabled. */
static int make_group(const char *name, char *mounts[CGROUP_CONTROLLERS],
                      struct error *err)
{
    struct cgroup *group = cgroup_new_cgroup(name);
    int rc = 0;

    if (group == NULL) {
        return error_set(err, -ENOMEM, "make cgroup %s: out of memory", name);
    }
    for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
        if (mounts[c] != NULL &&
            cgroup_add_controller(group, controllers[c].name) == NULL) {
            rc = error_set(err, -EIO, "make cgroup %s: libcgroup refuses controller %s",
                           name, controllers[c].name);
        }
    }
    if (rc == 0) {
        int cg = cgroup_create_cgroup(group, 0);

        /* Groups that exist already are fine; whether they do is seen on opening them. */
        if (cg != 0 && cg != ECGROUPNOTALLOWED && cg != ECGOTHER) {
            rc = error_set(err, -EIO, "make cgroup %s: %s", name, cgroup_strerror(cg));
        }
    }
    cgroup_free(&group);
    return rc;
}

static int take_lock(const struct cgroup_root *root, const char *name, struct error *err)
{
    uint64_t deadline_ms = clock_mono_ms() + LOCK_TIMEOUT_MS;

    for (unsigned i = 0; i < root->n_hierarchies; i++) {
        while (flock(root->hierarchies[i].dir, LOCK_EX | LOCK_NB) < 0) {
            if (errno != EWOULDBLOCK) {
                return error_set_errno(err, -errno, "lock cgroup %s", name);
            }
            if (clock_mono_ms() >= deadline_ms) {
                return error_set(err, -EBUSY,
                                 "another warden uses cgroup %s: give this agent another "
                                 "name with the key cgroup",
                                 name);
            }
            nap();
        }
    }
    return 0;
}

static void close_all(struct cgroup_root *root)
{
    for (unsigned i = 0; i < root->n_hierarchies; i++) {
        (void)close(root->hierarchies[i].dir);
    }
    root->n_hierarchies = 0;
}

static int find_hierarchies(struct cgroup_root *root, const char *name,
                            char *mounts[CGROUP_CONTROLLERS], struct error *err)
{
    int rc = 0;

    for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
        if (cgroup_get_subsys_mount_point(controllers[c].name, &mounts[c]) != 0) {
            mounts[c] = NULL;
            if (controllers[c].needed) {
                return error_set(err, -ENOTSUP,
                                 "the cgroup controller %s is not mounted: enable it on "
                                 "the kernel command line (cgroup_enable=%s)",
                                 controllers[c].name, controllers[c].name);
            }
        }
    }
    rc = make_group(name, mounts, err);
    for (int c = 0; rc == 0 && c < CGROUP_CONTROLLERS; c++) {
        if (mounts[c] != NULL) {
            rc = add_hierarchy(root, (enum cgroup_kind)c, mounts[c], name, err);
        }
    }
    return rc;
}

static bool swap_accounted(const struct cgroup_root *root)
{
    const struct cgroup_hierarchy *h = &root->hierarchies[root->of[CGROUP_MEMORY]];

    return faccessat(h->dir, h->v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes",
                     F_OK, 0) == 0;
}

static void say_nothing(void *data, int level, const char *fmt, va_list ap)
{
}

int cgroup_root_open(struct cgroup_root *root, const char *name, struct error *err)
{
    char *mounts[CGROUP_CONTROLLERS] = {NULL};
    int cg, rc;

    *root = (struct cgroup_root){0};
    for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
        root->of[c] = -1;
    }
    cgroup_set_logger(say_nothing, CGROUP_LOG_ERROR,
                      NULL); /* errors come back as values */
    cg = cgroup_init();
    if (cg != 0) {
        return error_set(err, -ENOTSUP, "no cgroups on this host: %s",
                         cgroup_strerror(cg));
    }
    rc = find_hierarchies(root, name, mounts, err);
    if (rc == 0) {
        rc = take_lock(root, name, err);
    }
    for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
        free(mounts[c]);
    }
    if (rc < 0) {
        close_all(root);
        return rc;
    }
    root->swap = swap_accounted(root);
    return 0;
}

static void put(int dir, const char *file, const char *value)
{
    _cleanup_close_ int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd >= 0) {
        (void)!write(fd, value, strlen(value));
    }
}

/* SIGKILL to all in one group. A frozen v1 group would not die of it until thawed. */
static void kill_members(int dir)
{
    _cleanup_fclose_ FILE *f = NULL;
    int fd;
    int pid;

    put(dir, "freezer.state", "THAWED");
    put(dir, "cgroup.freeze", "0");
    put(dir, "cgroup.kill", "1");
    fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || (f = fdopen(fd, "r")) == NULL) {
        return;
    }
    while (fscanf(f, "%d", &pid) == 1) {
        if (pid > 1) {
            (void)kill(pid, SIGKILL);
        }
    }
}

/* One pass over the groups below NAME, all of them sandboxes of a predecessor. Returns
 * how many remain. */
static unsigned clean_pass(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    unsigned left = 0;
    struct dirent *e;

    while (d != NULL && (e = readdir(d)) != NULL) {
        _cleanup_close_ int sub = -1;

        if (e->d_type != DT_DIR || e->d_name[strspn(e->d_name, "0123456789")] != '\0') {
            continue; /* not a sandbox's */
        }
        sub = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (sub < 0) {
            continue;
        }
        /* Only depth one: nobody in a sandbox can make groups. */
        kill_members(sub);
        if (unlinkat(dir, e->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
            left++;
        }
    }
    return left;
}

int cgroup_root_clean(struct cgroup_root *root, unsigned timeout_ms, struct error *err)
{
    uint64_t deadline_ms = clock_mono_ms() + timeout_ms;
    unsigned left;

    for (;;) {
        left = 0;
        for (unsigned i = 0; i < root->n_hierarchies; i++) {
            left += clean_pass(root->hierarchies[i].dir);
        }
        if (left == 0) {
            return 0;
        }
        if (clock_mono_ms() >= deadline_ms) {
            return error_set(err, -EBUSY, "%u cgroups of an earlier warden do not end",
                             left);
        }
        nap();
    }
}

void cgroup_root_close(struct cgroup_root *root, const char *name)
{
    for (unsigned i = 0; i < root->n_hierarchies; i++) {
        const char *slash = strrchr(name, '/');
        _cleanup_close_ int up =
            openat(root->hierarchies[i].dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (up >= 0) {
            (void)unlinkat(up, slash != NULL ? slash + 1 : name, AT_REMOVEDIR);
        }
    }
    close_all(root);
}
