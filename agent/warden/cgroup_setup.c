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

#define OWN_GROUP       "agent"
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

static void put(int dir, const char *file, const char *value)
{
    _cleanup_close_ int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd >= 0) {
        (void)!write(fd, value, strlen(value));
    }
}

/* Calls f with each process of the group. How many there were. */
static unsigned each_member(int dir, void (*f)(int pid, void *data), void *data)
{
    int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_fclose_ FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    unsigned n = 0;
    int pid;

    while (file != NULL && fscanf(file, "%d", &pid) == 1) {
        f(pid, data);
        n++;
    }
    return n;
}

/* --- v2: handing controllers down -------------------------------------------------- */

static void is_own(int pid, void *data)
{
    *(bool *)data = *(bool *)data || pid == getpid();
}

static void move(int pid, void *data)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%d", pid);
    put(*(int *)data, "cgroup.procs", text);
}

/* v2 does not let a group have processes and controllers for its children both. Where the
 * warden finds itself in such a group it has been given to it (a unit with Delegate=yes,
 * a container): agent, warden and whoever else is there go one down. */
static bool make_way(int dir)
{
    _cleanup_close_ int below = -1;
    bool own = false;

    (void)each_member(dir, is_own, &own);
    if (!own) {
        return false;
    }
    (void)mkdirat(dir, OWN_GROUP, 0755);
    below = openat(dir, OWN_GROUP, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    /* More than once: they may have children meanwhile. */
    for (int i = 0; below >= 0 && i < 10 && each_member(dir, move, &below) > 0; i++) {
    }
    return below >= 0;
}

/* Failing is found out when the limits' files are missing, and told there. */
static void hand_down(int dir)
{
    static const char *const enable[] = {"+memory", "+cpu", "+pids"};
    _cleanup_close_ int fd = openat(dir, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC);

    for (size_t i = 0; fd >= 0 && i < 3; i++) {
        if (write(fd, enable[i], strlen(enable[i])) < 0 && errno == EBUSY &&
            make_way(dir)) {
            (void)!write(fd, enable[i], strlen(enable[i]));
        }
    }
}

/* Makes NAME, and has it and all above it hand the controllers down. */
static void delegate(const char *mount, const char *name)
{
    _cleanup_close_ int dir = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char part[NAME_MAX + 1];
    struct statfs fs;

    if (dir < 0 || fstatfs(dir, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC) {
        return;
    }
    for (;;) {
        size_t len = strcspn(name, "/");
        int next;

        hand_down(dir);
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

/* --- finding and making --------------------------------------------------------------
 */

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

/* Makes NAME in every hierarchy of ours that has it not yet. */
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
    for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
        if (mounts[c] != NULL) {
            delegate(mounts[c], name);
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

/* --- leftovers -----------------------------------------------------------------------
 */

static void end(int pid, void *data)
{
    if (pid > 1) { /* 0: of another pid namespace */
        (void)kill(pid, SIGKILL);
    }
}

/* SIGKILL to all in one group. A frozen v1 group would not die of it until thawed. */
static void kill_members(int dir)
{
    put(dir, "freezer.state", "THAWED");
    put(dir, "cgroup.freeze", "0");
    put(dir, "cgroup.kill", "1");
    (void)each_member(dir, end, NULL);
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

void cgroup_hold_freezer(const struct cgroup_root *root)
{
    int at = root->of[CGROUP_FREEZER];
    _cleanup_close_ int dir = -1;

    if (at < 0 || mkdirat(root->hierarchies[at].dir, "0", 0755) < 0) {
        return;
    }
    dir = openat(root->hierarchies[at].dir, "0", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        put(dir, "freezer.state", "FROZEN");
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
