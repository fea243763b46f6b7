/* Kernel features and control groups, tried out rather than looked up where that is
 * possible: a container may forbid what the kernel has. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/cli/doctor.h"
#include "controller/cli/mounts.h"

#define KERNEL_MAJOR 5 /* close_range() */
#define KERNEL_MINOR 9

/* Runs attempt() in a process of its own, so that nothing of it stays; 0 or the errno
 * that it returned. */
static int try_apart(int (*attempt)(void))
{
    int status;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    if (pid == 0) {
        _exit(attempt());
    }
    if (pid < 0) {
        return errno;
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EFAULT;
}

static int try_namespaces(void)
{
    return unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                   CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP) == 0
               ? 0
               : errno;
}

/* What the root of sandboxes is made with (agent/warden/rootfs.c), in a mount namespace
 * of its own; all of it ends with the process. */
static int try_mounts(void)
{
    if (unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/tmp", "tmpfs", 0, "size=1m") < 0 || mkdir("/tmp/m", 0755) < 0 ||
        mount("/usr", "/tmp/m", NULL, MS_BIND, NULL) < 0 ||
        mount(NULL, "/tmp/m", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID, NULL) <
            0) {
        return errno;
    }
    return 0;
}

static bool has_capability(unsigned capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    return syscall(SYS_capget, &header, data) == 0 &&
           (data[capability / 32].effective & (1U << (capability % 32))) != 0;
}

static void check_version(struct doctor *d)
{
    struct utsname u;
    int major = 0, minor = 0;

    (void)uname(&u);
    (void)sscanf(u.release, "%d.%d", &major, &minor);
    doctor_add(d, "kernel",
               major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR)
                   ? CHECK_OK
                   : CHECK_FAIL,
               "run Linux 5.10 or newer (Debian 11 and later have it)", "Linux %s, %s",
               u.release, u.machine);
}

static void check_privilege(struct doctor *d)
{
    static const struct {
        unsigned capability;
        const char *name;
    } needed[] = {
        {CAP_SYS_ADMIN, "SYS_ADMIN"}, {CAP_NET_ADMIN, "NET_ADMIN"},
        {CAP_CHOWN, "CHOWN"},         {CAP_SETUID, "SETUID"},
        {CAP_SETGID, "SETGID"},       {CAP_KILL, "KILL"},
        {CAP_MKNOD, "MKNOD"},         {CAP_DAC_OVERRIDE, "DAC_OVERRIDE"},
    };
    char missing[128] = "";

    if (geteuid() != 0) {
        doctor_add(
            d, "privilege", CHECK_WARN, "sudo mayfly doctor",
            "uid %u: mayfly dev and the agent's warden need root; some checks cannot "
            "be made",
            (unsigned)geteuid());
        return;
    }
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        if (!has_capability(needed[i].capability)) {
            size_t len = strlen(missing);

            (void)snprintf(missing + len, sizeof(missing) - len, " CAP_%s",
                           needed[i].name);
        }
    }
    if (missing[0] != '\0') {
        doctor_add(d, "privilege", CHECK_FAIL,
                   "run it on the host, or in a container with these capabilities",
                   "root, but without%s", missing);
    } else {
        doctor_add(d, "privilege", CHECK_OK, NULL,
                   "root with the capabilities of the warden");
    }
}

static void check_namespaces(struct doctor *d)
{
    int rc = try_apart(try_namespaces);

    if (rc == 0) {
        doctor_add(d, "namespaces", CHECK_OK, NULL,
                   "user, mount, pid, net, uts, ipc and cgroup can be made");
    } else {
        doctor_add(
            d, "namespaces", geteuid() == 0 ? CHECK_FAIL : CHECK_WARN,
            rc == ENOSPC
                ? "sysctl user.max_user_namespaces=15000 (and the other user.max_*)"
                : "sysctl kernel.unprivileged_userns_clone=1; in a container, "
                  "allow unshare",
            "cannot be made: %s", strerror(rc));
    }
}

static void check_mounts(struct doctor *d)
{
    int rc;

    if (geteuid() != 0) {
        return;
    }
    rc = try_apart(try_mounts);
    if (rc == 0) {
        doctor_add(d, "mounts", CHECK_OK, NULL, "tmpfs and read-only binds can be made");
    } else {
        doctor_add(d, "mounts", CHECK_FAIL, "allow mounts (a container may forbid them)",
                   "cannot be made: %s", strerror(rc));
    }
}

static void check_calls(struct doctor *d)
{
    static const unsigned action = SECCOMP_RET_KILL_PROCESS;
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    bool clone3 = syscall(SYS_clone3, NULL, 0) < 0 && errno != ENOSYS;

    doctor_add(d, "seccomp",
               syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0
                   ? CHECK_OK
                   : CHECK_FAIL,
               "a kernel with CONFIG_SECCOMP_FILTER", "filters that kill the process");
    doctor_add(d, "clone3", clone3 ? CHECK_OK : CHECK_FAIL,
               "Linux 5.3 or newer; in a container, allow the call", "%s",
               clone3 ? "there" : "not there");
    doctor_add(d, "pidfd", pidfd >= 0 ? CHECK_OK : CHECK_FAIL,
               "Linux 5.3 or newer; in a container, allow the call", "%s",
               pidfd >= 0 ? "there" : "not there");
    if (pidfd >= 0) {
        (void)close(pidfd);
    }
}

void doctor_kernel(struct doctor *d)
{
    check_version(d);
    check_privilege(d);
    check_namespaces(d);
    check_mounts(d);
    check_calls(d);
}

/* --- control groups ----------------------------------------------------------- */

enum { MEMORY, CPU, PIDS, CONTROLLERS };
static const char *const controllers[CONTROLLERS] = {"memory", "cpu", "pids"};

struct cgroups {
    bool v1, v2;
    char v2_path[256];
    char where[CONTROLLERS][256]; /* mount point, or "" */
};

static bool in_list(const char *list, const char *word)
{
    size_t len = strlen(word);

    while (*list != '\0') {
        size_t n = strcspn(list, " \n");

        if (n == len && strncmp(list, word, n) == 0) {
            return true;
        }
        list += n + (list[n] != '\0');
    }
    return false;
}

static void read_small(const char *dir, const char *name, char *ret, size_t size)
{
    char path[512];
    _cleanup_fclose_ FILE *f = NULL;
    size_t n;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "re");
    n = f != NULL ? fread(ret, 1, size - 1, f) : 0;
    ret[n] = '\0';
}

static void on_mount(void *data, const struct mount_point *m)
{
    struct cgroups *g = data;
    bool v2 = strcmp(m->type, "cgroup2") == 0;
    char offered[512] = "";

    if (!v2 && strcmp(m->type, "cgroup") != 0) {
        return;
    }
    if (v2) {
        g->v2 = true;
        (void)snprintf(g->v2_path, sizeof(g->v2_path), "%s", m->path);
        read_small(m->path, "cgroup.controllers", offered, sizeof(offered));
    }
    for (unsigned i = 0; i < CONTROLLERS; i++) {
        bool here = v2 ? in_list(offered, controllers[i])
                       : mounts_has_option(m->options, controllers[i]);

        g->v1 = g->v1 || (here && !v2);
        if (here) {
            (void)snprintf(g->where[i], sizeof(g->where[i]), "%s", m->path);
        }
    }
}

/* Makes a group and removes it. */
static int try_group(const char *mount_point)
{
    char path[320];

    (void)snprintf(path, sizeof(path), "%s/mayfly-doctor-%d", mount_point, (int)getpid());
    if (mkdir(path, 0755) < 0) {
        return errno;
    }
    return rmdir(path) < 0 ? errno : 0;
}

void doctor_cgroups(struct doctor *d)
{
    struct cgroups g = {0};

    mounts_each(on_mount, &g);
    if (!g.v1 && !g.v2) {
        doctor_add(d, "cgroups", CHECK_FAIL, "mount -t cgroup2 none /sys/fs/cgroup",
                   "no control groups are mounted");
        return;
    }
    doctor_add(d, "cgroups", CHECK_OK, NULL, "%s",
               g.v1 && g.v2 ? "hybrid: controllers in v1, v2 beside it"
               : g.v1       ? "v1"
                            : "v2");
    for (unsigned i = 0; i < CONTROLLERS; i++) {
        static const char *const names[] = {"cgroup memory", "cgroup cpu", "cgroup pids"};
        int rc;

        if (g.where[i][0] == '\0') {
            doctor_add(
                d, names[i], CHECK_FAIL,
                "boot with cgroup_enable=memory; in a container, delegate the controller",
                "the controller is neither in v1 nor in v2");
            continue;
        }
        rc = geteuid() == 0 ? try_group(g.where[i]) : 0;
        if (rc != 0) {
            doctor_add(d, names[i], CHECK_FAIL,
                       "mount it writable; in a container, delegate control groups",
                       "groups cannot be made in %.150s: %s", g.where[i], strerror(rc));
        } else {
            doctor_add(d, names[i], CHECK_OK, NULL, "in %.200s", g.where[i]);
        }
    }
}
