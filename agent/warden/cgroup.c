#include "agent/warden/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/freezer.h"

#define PERIOD_US 100000ULL

static const struct cgroup_hierarchy *hierarchy(const struct cgroup_root *root,
                                                enum cgroup_kind c)
{
    return root->of[c] < 0 ? NULL : &root->hierarchies[root->of[c]];
}

static void file_path(char *buf, size_t size, uint64_t group, const char *file)
{
    (void)snprintf(buf, size, "%" PRIu64 "/%s", group, file);
}

static int write_file(const struct cgroup_hierarchy *h, uint64_t group, const char *file,
                      const char *value)
{
    char path[96];
    _cleanup_close_ int fd = -1;

    file_path(path, sizeof(path), group, file);
    fd = openat(h->dir, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    return pwrite(fd, value, strlen(value), 0) < 0 ? -errno : 0;
}

static int write_number(const struct cgroup_hierarchy *h, uint64_t group,
                        const char *file, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    return write_file(h, group, file, text);
}

/* Reads a small file whole; -errno or its length. */
static ssize_t read_file(const struct cgroup_hierarchy *h, uint64_t group,
                         const char *file, char *buf, size_t size)
{
    char path[96];
    _cleanup_close_ int fd = -1;
    ssize_t n;

    file_path(path, sizeof(path), group, file);
    fd = openat(h->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    n = read(fd, buf, size - 1);
    if (n < 0) {
        return -errno;
    }
    buf[n] = '\0';
    return n;
}

static uint64_t read_number(const struct cgroup_hierarchy *h, uint64_t group,
                            const char *file)
{
    char buf[64];

    return read_file(h, group, file, buf, sizeof(buf)) < 0 ? 0 : strtoull(buf, NULL, 10);
}

/* Value of "key N" in a file of such lines, or 0. */
static uint64_t read_key(const struct cgroup_hierarchy *h, uint64_t group,
                         const char *file, const char *key)
{
    char buf[1024];
    size_t len = strlen(key);

    if (read_file(h, group, file, buf, sizeof(buf)) < 0) {
        return 0;
    }
    for (char *line = buf; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');

        if (strncmp(line, key, len) == 0 && line[len] == ' ') {
            return strtoull(line + len + 1, NULL, 10);
        }
        line = end != NULL ? end + 1 : NULL;
    }
    return 0;
}

/* v1 counts memory and swap together, v2 apart. v1 does not let the sum be less than the
 * memory alone, so which of the two goes first depends on which way it goes. */
static int limit_memory(const struct cgroup_root *root, uint64_t group, uint64_t bytes,
                        struct error *err)
{
    const struct cgroup_hierarchy *h = hierarchy(root, CGROUP_MEMORY);
    const char *file = h->v2 ? "memory.max" : "memory.limit_in_bytes";
    const char *swap = h->v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes";
    int rc = write_number(h, group, file, bytes);

    if (rc == -EINVAL && root->swap && !h->v2) {
        rc = write_number(h, group, swap, bytes);
        rc = rc < 0 ? rc : write_number(h, group, file, bytes);
    }
    if (rc < 0) {
        return error_set_errno(err, rc, "set %s to %" PRIu64, file, bytes);
    }
    if (!h->v2) {
        /* v1 counts what sockets hold apart, and not at all unless it is limited. */
        (void)write_number(h, group, "memory.kmem.tcp.limit_in_bytes", bytes);
    }
    if (!root->swap) {
        return 0;
    }
    /* Otherwise a hog would push itself, and the host with it, into swap. */
    rc = write_number(h, group, swap, h->v2 ? 0 : bytes);
    return rc < 0 ? error_set_errno(err, rc, "set %s", swap) : 0;
}

static int set_cpu_weight(const struct cgroup_root *root, uint64_t group, uint32_t millis,
                          struct error *err)
{
    const struct cgroup_hierarchy *h = hierarchy(root, CGROUP_CPU);
    uint64_t shares = (uint64_t)millis * 1024 / 1000;
    int rc;

    shares = shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
    /* v2: the conversion that runc and systemd use between the two scales. */
    rc = h->v2 ? write_number(h, group, "cpu.weight", 1 + (shares - 2) * 9999 / 262142)
               : write_number(h, group, "cpu.shares", shares);
    return rc < 0 ? error_set_errno(err, rc, "set the weight of %u millis of CPU", millis)
                  : 0;
}

static int set_cpu_quota(const struct cgroup_root *root, uint64_t group, uint32_t millis,
                         struct error *err)
{
    const struct cgroup_hierarchy *h = hierarchy(root, CGROUP_CPU);
    uint64_t quota_us = millis * PERIOD_US / 1000;
    char text[48];
    int rc;

    if (!h->v2) { /* of the usual period */
        rc = write_number(h, group, "cpu.cfs_quota_us", quota_us);
        return rc < 0 ? error_set_errno(err, rc, "set cpu.cfs_quota_us to %" PRIu64,
                                        quota_us)
                      : 0;
    }
    (void)snprintf(text, sizeof(text), "%" PRIu64 " %llu", quota_us, PERIOD_US);
    rc = write_file(h, group, "cpu.max", text);
    return rc < 0 ? error_set_errno(err, rc, "set cpu.max to %s", text) : 0;
}

static int limit_cpu(const struct cgroup_root *root, uint64_t group, uint32_t millis,
                     struct error *err)
{
    int rc = set_cpu_quota(root, group, millis, err);

    return rc < 0 ? rc : set_cpu_weight(root, group, millis, err);
}

static int limit_pids(const struct cgroup_root *root, uint64_t group, uint32_t max,
                      struct error *err)
{
    /* One more for init, which is ours and not the function's. */
    int rc = write_number(hierarchy(root, CGROUP_PIDS), group, "pids.max", max + 1ULL);

    return rc < 0 ? error_set_errno(err, rc, "set pids.max to %u", max) : 0;
}

static int make_folders(const struct cgroup_root *root, uint64_t group, struct error *err)
{
    char name[24];

    (void)snprintf(name, sizeof(name), "%" PRIu64, group);
    for (unsigned i = 0; i < root->n_hierarchies; i++) {
        if (mkdirat(root->hierarchies[i].dir, name, 0755) < 0) {
            return error_set_errno(err, -errno, "make cgroup %s", name);
        }
    }
    return 0;
}

int cgroup_limit(const struct cgroup_root *root, uint64_t group,
                 const struct cgroup_limits *now, const struct cgroup_limits *next,
                 struct error *err)
{
    int rc = 0;

    if (now->memory_bytes != next->memory_bytes) {
        rc = limit_memory(root, group, next->memory_bytes, err);
    }
    if (rc == 0 && now->cpu_millis != next->cpu_millis) {
        rc = limit_cpu(root, group, next->cpu_millis, err);
    }
    if (rc == 0 && now->pids_max != next->pids_max) {
        rc = limit_pids(root, group, next->pids_max, err);
    }
    return rc;
}

/* Kernels before 5.15 cannot. */
void cgroup_stand_back(const struct cgroup_root *root, uint64_t group, bool back)
{
    (void)write_number(hierarchy(root, CGROUP_CPU), group, "cpu.idle", back);
}

int cgroup_serve(const struct cgroup_root *root, uint64_t group, uint32_t cpu_millis,
                 struct error *err)
{
    cgroup_stand_back(root, group, false);
    return limit_cpu(root, group, cpu_millis, err);
}

int cgroup_serve_again(const struct cgroup_root *root, uint64_t group,
                       uint32_t cpu_millis, struct error *err)
{
    cgroup_stand_back(root, group, false); /* which forgets the weight */
    return set_cpu_weight(root, group, cpu_millis, err);
}

int cgroup_make(const struct cgroup_root *root, uint64_t group,
                const struct cgroup_limits *limits, struct error *err)
{
    int rc = make_folders(root, group, err);

    rc = rc < 0 ? rc : limit_memory(root, group, limits->memory_bytes, err);
    rc = rc < 0 ? rc : limit_pids(root, group, limits->pids_max, err);
    cgroup_stand_back(root, group, true);
    if (rc < 0) {
        (void)cgroup_remove(root, group); /* empty, so this cannot be busy */
    }
    return rc;
}

int cgroup_open(const struct cgroup_root *root, uint64_t group)
{
    char name[24];

    (void)snprintf(name, sizeof(name), "%" PRIu64, group);
    for (unsigned i = 0; i < root->n_hierarchies; i++) {
        if (root->hierarchies[i].v2) {
            int fd = openat(root->hierarchies[i].dir, name,
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

            return fd < 0 ? -errno : fd;
        }
    }
    return -ENOTSUP;
}

static int oom_open_v1(const struct cgroup_hierarchy *h, uint64_t group, int *ret_fd)
{
    char path[96];
    char text[32];
    _cleanup_close_ int control = -1;
    _cleanup_close_ int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc;

    if (event < 0) {
        return -errno;
    }
    file_path(path, sizeof(path), group, "memory.oom_control");
    control = openat(h->dir, path, O_RDONLY | O_CLOEXEC);
    if (control < 0) {
        return -errno;
    }
    (void)snprintf(text, sizeof(text), "%d %d", event, control);
    rc = write_file(h, group, "cgroup.event_control", text);
    if (rc < 0) {
        return rc;
    }
    *ret_fd = steal_fd(&event);
    return 0;
}

static int oom_open_v2(const struct cgroup_hierarchy *h, uint64_t group, int *ret_fd)
{
    char path[96];
    char buf[512];
    _cleanup_close_ int fd = -1;

    file_path(path, sizeof(path), group, "memory.events");
    fd = openat(h->dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    /* Reading arms the notification. */
    if (fd < 0 || read(fd, buf, sizeof(buf)) < 0) {
        return -errno;
    }
    *ret_fd = steal_fd(&fd);
    return 0;
}

int cgroup_oom_open(const struct cgroup_root *root, uint64_t group, int *ret_fd,
                    bool *ret_is_eventfd, struct error *err)
{
    const struct cgroup_hierarchy *h = hierarchy(root, CGROUP_MEMORY);
    int rc = h->v2 ? oom_open_v2(h, group, ret_fd) : oom_open_v1(h, group, ret_fd);

    if (rc < 0) {
        return error_set_errno(err, rc, "watch for out-of-memory in cgroup %" PRIu64,
                               group);
    }
    *ret_is_eventfd = !h->v2;
    return 0;
}

uint64_t cgroup_cpu_us(const struct cgroup_root *root, uint64_t group)
{
    const struct cgroup_hierarchy *h = hierarchy(root, CGROUP_CPU);
    const struct cgroup_hierarchy *acct = hierarchy(root, CGROUP_CPUACCT);

    if (h->v2) {
        return read_key(h, group, "cpu.stat", "usage_usec");
    }
    return acct != NULL ? read_number(acct, group, "cpuacct.usage") / 1000 : 0;
}

void cgroup_read(const struct cgroup_root *root, uint64_t group, struct cgroup_usage *ret)
{
    const struct cgroup_hierarchy *memory = hierarchy(root, CGROUP_MEMORY);

    *ret = (struct cgroup_usage){0};
    if (memory->v2) {
        ret->oom_kills = read_key(memory, group, "memory.events", "oom_kill");
        ret->memory_bytes = read_number(memory, group, "memory.current");
        /* Since Linux 5.19; before that the peak is what is in use now. */
        ret->memory_peak_bytes = read_number(memory, group, "memory.peak");
        if (ret->memory_peak_bytes == 0) {
            ret->memory_peak_bytes = ret->memory_bytes;
        }
    } else {
        ret->oom_kills = read_key(memory, group, "memory.oom_control", "oom_kill");
        ret->memory_bytes = read_number(memory, group, "memory.usage_in_bytes");
        ret->memory_peak_bytes = read_number(memory, group, "memory.max_usage_in_bytes");
    }
    ret->cpu_us = cgroup_cpu_us(root, group);
    ret->pids =
        (uint32_t)read_number(hierarchy(root, CGROUP_PIDS), group, "pids.current");
}

int cgroup_renew(const struct cgroup_root *root, uint64_t group)
{
    for (unsigned i = 0; i < root->n_hierarchies; i++) {
        if (root->hierarchies[i].v2) {
            return -ENOTSUP;
        }
    }
    return write_number(hierarchy(root, CGROUP_MEMORY), group,
                        "memory.max_usage_in_bytes", 0);
}

int cgroup_freezer_open(const struct cgroup_root *root, uint64_t group)
{
    const struct cgroup_hierarchy *v2 = hierarchy(root, CGROUP_MEMORY);
    const struct cgroup_hierarchy *v1 = hierarchy(root, CGROUP_FREEZER);
    char path[96];
    int fd;

    if (v1 == NULL && !v2->v2) {
        return -ENOTSUP;
    }
    file_path(path, sizeof(path), group, v1 != NULL ? "freezer.state" : "cgroup.freeze");
    fd = openat(v1 != NULL ? v1->dir : v2->dir, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 ? fd : errno == ENOENT ? -ENOTSUP : -errno;
}

void cgroup_thaw(const struct cgroup_root *root, uint64_t group)
{
    _cleanup_close_ int fd = cgroup_freezer_open(root, group);

    if (fd >= 0) {
        (void)freezer_set(fd, false);
    }
}

int cgroup_remove(const struct cgroup_root *root, uint64_t group)
{
    char name[24];
    int result = 0;

    (void)snprintf(name, sizeof(name), "%" PRIu64, group);
    for (unsigned i = 0; i < root->n_hierarchies; i++) {
        if (unlinkat(root->hierarchies[i].dir, name, AT_REMOVEDIR) < 0 &&
            errno != ENOENT) {
            result = -EBUSY;
        }
    }
    return result;
}
