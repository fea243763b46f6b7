/* mayfly-warden: makes and ends sandboxes for the agent that started it. Root, one
 * thread, no network. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/warden/channel.h"
#include "agent/warden/options.h"
#include "agent/warden/seccomp.h"
#include "agent/warden/server.h"
#include "common/cleanup.h"
#include "common/log.h"

#define CLEAN_TIMEOUT_MS 10000

/* What is installed with the warden lies beside it. */
static int beside(const char *name, char ret[PATH_MAX], struct error *err)
{
    ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 16);

    if (n < 0) {
        return error_set_errno(err, -errno, "find the warden's own path");
    }
    ret[n] = '\0';
    (void)strcpy(strrchr(ret, '/') + 1, name);
    return 0;
}

/* A sealed copy in memory: no function can reach the program through /proc/self/exe and
 * change it for the next one (CVE-2019-5736). */
static int copy_init(int *ret_fd, struct error *err)
{
    char path[PATH_MAX];
    _cleanup_close_ int from = -1, to = -1;
    struct stat st;
    ssize_t n;
    off_t left;
    int rc = beside("mayfly-init", path, err);

    if (rc < 0) {
        return rc;
    }
    from = open(path, O_RDONLY | O_CLOEXEC);
    to = memfd_create("mayfly-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (from < 0 || to < 0 || fstat(from, &st) < 0) {
        return error_set_errno(err, -errno, "open %s", path);
    }
    for (left = st.st_size; left > 0; left -= n) {
        n = sendfile(to, from, NULL, (size_t)left);
        if (n <= 0) {
            return error_set_errno(err, n < 0 ? -errno : -EIO, "copy %s", path);
        }
    }
    (void)fchmod(to, 0555);
    if (fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) <
        0) {
        return error_set_errno(err, -errno, "seal the copy of init");
    }
    *ret_fd = steal_fd(&to);
    return 0;
}

static int open_namespace(const char *path, int *ret_fd, struct error *err)
{
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    return *ret_fd < 0 ? error_set_errno(err, -errno, "open %s", path) : 0;
}

static int leave_network(struct sandbox_host *h, struct error *err)
{
    if (unshare(CLONE_NEWNET) < 0) {
        return error_set_errno(err, -errno, "leave the network");
    }
    return open_namespace("/proc/self/ns/net", &h->own_net, err);
}

static int set_up(struct sandbox_host *h, const struct warden_options *o,
                  struct error *err)
{
    char runtimes[PATH_MAX];
    int rc = copy_init(&h->init_fd, err);

    rc = rc < 0 ? rc : beside("runtimes", runtimes, err);
    rc = rc < 0 ? rc : leave_network(h, err);
    rc = rc < 0 ? rc : seccomp_compile(&h->filters, err);
    rc = rc < 0 ? rc : cgroup_root_open(&h->cgroups, o->cgroup, err);
    if (rc < 0) {
        return rc;
    }
    rc = cgroup_root_clean(&h->cgroups, CLEAN_TIMEOUT_MS, err);
    rc = rc < 0 ? rc : rootfs_make(o->state_dir, o->packages, o->base, runtimes, err);
    return rc < 0 ? rc : open_namespace("/proc/self/ns/mnt", &h->own_mnt, err);
}

static void tell_failure(int fd, const struct error *err)
{
    struct warden_reply reply = {.type = WARDEN_FAILED, .status = err->code};

    (void)snprintf(reply.text, sizeof(reply.text), "%s", err->text);
    (void)channel_send(fd, &reply, NULL, 0);
}

/* All that the host grants: two for each sandbox. */
static void allow_descriptors(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &l);
    }
}

int main(int argc, char **argv)
{
    static struct sandbox_host host = {.filters = -1, .init_fd = -1};
    struct warden_options options;
    struct error err = {0};
    int rc = warden_options_parse(&options, argc, argv, &err);

    if (rc < 0) {
        (void)fprintf(stderr, "mayfly-warden: %s\n", err.text);
        return 2;
    }
    log_init("warden", options.log_level, options.log_format);
    (void)prctl(PR_SET_DUMPABLE, 0);
    allow_descriptors();
    (void)umask(022);
    host.uid_base = options.uid_base;
    host.blanks_max = options.blanks;
    rc = set_up(&host, &options, &err);
    if (rc < 0) {
        tell_failure(options.fd, &err);
        log_error("the warden cannot start", LOG_STR("error", err.text));
        return 1;
    }
    cgroup_hold_freezer(&host.cgroups);
    rc = server_run(&host, options.fd, &err);
    if (rc < 0) {
        log_error("the warden ends", LOG_STR("error", err.text));
    }
    (void)cgroup_root_clean(&host.cgroups, CLEAN_TIMEOUT_MS, NULL);
    cgroup_root_close(&host.cgroups, options.cgroup);
    return rc < 0 ? 1 : 0;
}
