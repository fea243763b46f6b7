#include "agent/warden/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/warden/init_proto.h"
#include "common/check.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fd_message.h"

#define MAKING_MILLIS 1000

/* Making one takes as long with little processor time as with much; it gets its own when
 * it is made. */
static int set_group(const struct sandbox_host *h, struct sandbox *s,
                     const struct cgroup_limits *limits, struct error *err)
{
    const struct cgroup_limits making = {limits->memory_bytes, MAKING_MILLIS,
                                         limits->pids_max};
    int rc;

    if (s->oom < 0) {
        return cgroup_make(&h->cgroups, s->group, limits, err);
    }
    rc = cgroup_limit(&h->cgroups, s->group, &s->limits.cgroup, &making, err);
    cgroup_stand_back(&h->cgroups, s->group, true);
    return rc;
}

int sandbox_order(struct sandbox_host *h, struct sandbox *s,
                  const struct sandbox_limits *limits, int net, struct error *err)
{
    const struct maker_order order = {
        .group = s->group,
        .tmp_bytes = limits->tmp_bytes,
        .host_id = h->uid_base + s->slot,
    };
    int pair[2], rc;

    s->ordered_ms = clock_mono_ms();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return error_set_errno(err, -errno, "make the sandbox's connection");
    }
    rc = set_group(h, s, &limits->cgroup, err);
    s->limits = *limits;
    if (rc == 0) {
        rc = maker_order(&h->maker, &h->cgroups, &order, pair[1], net);
        rc = rc < 0 ? error_set_errno(err, rc, "order a sandbox's first process") : 0;
    }
    (void)close(pair[1]);
    if (rc < 0) {
        (void)close(pair[0]);
        return rc;
    }
    s->control = pair[0];
    return 0;
}

/* 0: a message of init's, and the descriptors that came with it. */
static int receive(int control, struct init_message *m, char text[64], int fds[2])
{
    struct iovec parts[2] = {{m, sizeof(*m)}, {text, 63}};
    ssize_t n = fd_message_receive(control, parts, 2, fds, 2, MSG_DONTWAIT);

    if (n == -EAGAIN) {
        return -EAGAIN;
    }
    if (n < (ssize_t)sizeof(*m)) {
        return -ECHILD;
    }
    text[(size_t)n - sizeof(*m)] = '\0';
    return 0;
}

int sandbox_made(const struct sandbox_host *h, struct sandbox *s, struct error *err)
{
    bool was_used = s->oom >= 0;
    struct init_message m;
    uint32_t cpu_millis;
    int fds[2];
    char text[64];
    int rc = receive(s->control, &m, text, fds);

    if (rc == -EAGAIN) {
        return rc;
    }
    s->net = fds[0];
    s->mnt = fds[1];
    if (rc < 0 && s->failed < 0) {
        return error_set_errno(err, s->failed, "clone the sandbox's first process");
    }
    if (rc < 0) {
        return error_set(err, rc, "the sandbox's first process was killed");
    }
    if (m.type == INIT_FAILED) {
        return error_set_errno(err, m.value > 0 ? -m.value : -EIO, "%s", text);
    }
    if (m.type != INIT_BLANK || s->net < 0 || s->mnt < 0) {
        return error_set(err, -EMFILE, "the sandbox's namespaces did not come");
    }
    if (s->oom < 0) {
        rc = cgroup_oom_open(&h->cgroups, s->group, &s->oom, &s->oom_is_eventfd, err);
        if (rc < 0) {
            return rc;
        }
    }
    s->cpu_us = cgroup_cpu_us(&h->cgroups, s->group);
    s->freezer = cgroup_freezer_open(&h->cgroups, s->group);
    cpu_millis = s->limits.cgroup.cpu_millis;
    return was_used && cpu_millis == MAKING_MILLIS
               ? cgroup_serve_again(&h->cgroups, s->group, cpu_millis, err)
               : cgroup_serve(&h->cgroups, s->group, cpu_millis, err);
}

/* Nothing has an effect before init has moved into the package: it reads this first. */
static int tell_begin(const struct sandbox *s)
{
    uint64_t memory = s->limits.cgroup.memory_bytes, tmp = s->limits.tmp_bytes;
    /* Above the size of /tmp, so that a full /tmp says ENOSPC and not SIGXFSZ. */
    const struct init_message m = {
        .type = INIT_BEGIN,
        .file_bytes = (tmp > memory ? tmp : memory) + (1 << 20),
    };

    return send(s->control, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int sandbox_begin(const struct sandbox_host *h, struct sandbox *s,
                  const struct sandbox_function *f, struct error *err)
{
    uint64_t tmp_bytes =
        f->limits.tmp_bytes == s->limits.tmp_bytes ? 0 : f->limits.tmp_bytes;
    int rc;

    rc = cgroup_limit(&h->cgroups, s->group, &s->limits.cgroup, &f->limits.cgroup, err);
    s->limits.cgroup = rc < 0 ? (struct cgroup_limits){0} : f->limits.cgroup;
    rc = rc < 0 ? rc
                : rootfs_fill(h->own_mnt, s->mnt, f->package, f->layers, tmp_bytes, err);
    if (rc < 0) {
        return rc;
    }
    s->limits.tmp_bytes = f->limits.tmp_bytes;
    (void)close(steal_fd(&s->mnt));
    rc = tell_begin(s);
    return rc < 0 ? error_set_errno(err, rc, "talk to the sandbox") : 0;
}

static int bind_and_listen(int fd, uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1;

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 64) < 0) {
        return -errno;
    }
    return 0;
}

int sandbox_socket(const struct sandbox_host *h, const struct sandbox *s, uint16_t port)
{
    int fd, rc;

    if (s->net < 0) {
        return -ESRCH;
    }
    if (setns(s->net, CLONE_NEWNET) < 0) {
        return -errno;
    }
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    rc = fd < 0 ? -errno : port > 0 ? bind_and_listen(fd, port) : 0;
    /* A warden that is in a sandbox's network must not go on. */
    CHECK(setns(h->own_net, CLONE_NEWNET) == 0);
    if (rc < 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return rc;
    }
    return fd;
}

void sandbox_kill(const struct sandbox_host *h, struct sandbox *s)
{
    s->doomed = true;
    if (s->pid > 0) {
        (void)kill(s->pid, SIGKILL);
        cgroup_thaw(&h->cgroups, s->group);
    }
}

static void close_one(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

void sandbox_close(struct sandbox *s)
{
    close_one(&s->control);
    close_one(&s->net);
    close_one(&s->mnt);
    close_one(&s->out);
    close_one(&s->err);
    close_one(&s->oom);
    close_one(&s->freezer);
}
