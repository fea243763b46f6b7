/* What a killed supervisor left: its daemons, the warden, sandboxes' groups, mounts. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "controller/cli/dev.h"
#include "controller/cli/mounts.h"
#include "controller/cli/term.h"

#define GRACE_MS      5000 /* for a daemon to end by itself */
#define GROUP_WAIT_MS 5000 /* for a group's processes to be gone */
#define STEP_MS       10
#define GROUP_DEPTH   6

struct clean {
    const char *dir;
    struct error *err;
    bool found;
    int rc;
};

/* --- processes ---------------------------------------------------------------- */

static void end_process(struct clean *k, const struct process *p, const char *name)
{
    int rc;

    if (!process_is_alive(p)) {
        return;
    }
    k->found = true;
    rc = process_end(p, GRACE_MS);
    if (rc < 0 && k->rc == 0) {
        k->rc = error_set_errno(k->err, rc, "end %s, pid %d", name, (int)p->pid);
    }
}

/* A daemon between its start and the note of its pid, and the warden, are known by their
 * arguments: files and folders of this state folder. */
static void on_process(void *data, const struct process *p, const char *name,
                       char *const *argv)
{
    struct clean *k = data;
    size_t len = strlen(k->dir);

    if (strcmp(name, dev_daemon_names[DEV_CONTROLLER]) != 0 &&
        strcmp(name, dev_daemon_names[DEV_AGENT]) != 0 &&
        strcmp(name, "mayfly-warden") != 0) {
        return;
    }
    for (size_t i = 1; argv[i] != NULL; i++) {
        if (strncmp(argv[i], k->dir, len) == 0 && argv[i][len] == '/') {
            end_process(k, p, name);
            return;
        }
    }
}

/* --- control groups ----------------------------------------------------------- */

/* Thaws (a frozen process does not die) and kills what is in the group; how many were
 * there. */
static unsigned kill_group(int dir)
{
    int freezer = openat(dir, "freezer.state", O_WRONLY | O_CLOEXEC);
    int procs = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    _cleanup_fclose_ FILE *f = procs >= 0 ? fdopen(procs, "r") : NULL;
    unsigned n = 0;
    int pid;

    if (freezer >= 0) {
        (void)!write(freezer, "THAWED", 6);
        (void)close(freezer);
    }
    while (f != NULL && fscanf(f, "%d", &pid) == 1) {
        (void)kill(pid, SIGKILL);
        n++;
    }
    return n;
}

/* Empties the folder's groups and removes those below it. */
static void clear_group(int fd, unsigned depth, uint64_t deadline)
{
    _cleanup_closedir_ DIR *dir = fdopendir(fd);
    struct dirent *e;

    if (dir == NULL) {
        (void)close(fd);
        return;
    }
    while (depth > 0 && (e = readdir(dir)) != NULL) {
        int sub;

        if (e->d_name[0] == '.' || e->d_type != DT_DIR) {
            continue;
        }
        sub = openat(dirfd(dir), e->d_name,
                     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub >= 0) {
            clear_group(sub, depth - 1, deadline);
        }
        while (unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR) < 0 && errno == EBUSY &&
               clock_mono_ms() < deadline) {
            term_pause_ms(STEP_MS);
        }
    }
    while (kill_group(dirfd(dir)) > 0 && clock_mono_ms() < deadline) {
        term_pause_ms(STEP_MS);
    }
}

static void on_cgroup_mount(void *data, const struct mount_point *m)
{
    struct clean *k = data;
    char name[64];
    _cleanup_free_ char *path = NULL;
    uint64_t deadline = clock_mono_ms() + GROUP_WAIT_MS;
    int fd;

    if (strcmp(m->type, "cgroup") != 0 && strcmp(m->type, "cgroup2") != 0) {
        return;
    }
    dev_config_cgroup(k->dir, name);
    path = dev_path(m->path, name);
    fd = path != NULL ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    k->found = true;
    clear_group(fd, GROUP_DEPTH, deadline);
    while (rmdir(path) < 0 && errno != ENOENT) {
        if (errno != EBUSY || clock_mono_ms() >= deadline) {
            k->rc = k->rc == 0
                        ? error_set_errno(k->err, -errno, "remove control group %s", path)
                        : k->rc;
            return;
        }
        term_pause_ms(STEP_MS);
    }
}

/* --- mounts ------------------------------------------------------------------- */

static void on_mount(void *data, const struct mount_point *m)
{
    struct clean *k = data;
    size_t len = strlen(k->dir);

    if (strncmp(m->path, k->dir, len) != 0 || m->path[len] != '/') {
        return;
    }
    k->found = true;
    if (umount2(m->path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL &&
        k->rc == 0) {
        k->rc = error_set_errno(k->err, -errno, "unmount %s", m->path);
    }
}

int dev_clean(const char *dir, const struct dev_state *state, struct error *err)
{
    struct clean k = {.dir = dir, .err = err};

    /* The agent first, while its controller can still be told. */
    for (unsigned i = DEV_DAEMONS; state != NULL && i-- > 0;) {
        end_process(&k, &state->daemons[i], dev_daemon_names[i]);
    }
    process_each(on_process, &k);
    mounts_each(on_cgroup_mount, &k);
    mounts_each(on_mount, &k);
    return k.rc < 0 ? k.rc : k.found;
}
