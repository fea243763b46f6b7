#include "agent/warden/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define START_TIMEOUT_MS 5000
#define INSIDE_ID        1000

/* group: of its cgroup v2, or negative. */
static pid_t clone_child(int group)
{
    struct clone_args args = {
        .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET,
        .exit_signal = SIGCHLD,
    };

    if (group >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)group;
    }
    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* The child's next word. 0: a step is done; else the error that it met, or that it died
 * or was silent. `last` is what it does after its last step: executes init, which ends
 * sync. */
static int hear(int sync, uint64_t until_ms, bool last, struct error *err)
{
    struct pollfd p = {.fd = sync, .events = POLLIN};
    struct sandbox_report report;
    ssize_t n;
    int rc;

    do {
        uint64_t now_ms = clock_mono_ms();

        rc = poll(&p, 1, now_ms < until_ms ? (int)(until_ms - now_ms) : 0);
    } while (rc < 0 && errno == EINTR);
    if (rc == 0) {
        return error_set(err, -ETIMEDOUT, "the sandbox was not made within %d s",
                         START_TIMEOUT_MS / 1000);
    }
    n = recv(sync, &report, sizeof(report), 0);
    if (n == 0 && last) {
        return 0;
    }
    if (n != sizeof(report)) {
        return error_set(err, -ECHILD, "the sandbox's first process was killed");
    }
    report.step[sizeof(report.step) - 1] = '\0';
    if (report.error != 0) {
        return error_set_errno(err, -report.error, "%s", report.step);
    }
    return 0;
}

static int go(int sync)
{
    return send(sync, "g", 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static int write_map(pid_t pid, const char *file, uint32_t host_id)
{
    char path[64], text[64];
    _cleanup_close_ int fd = -1;
    int len;

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    len = snprintf(text, sizeof(text), "%d %u 1\n", INSIDE_ID, host_id);
    return write(fd, text, (size_t)len) == len ? 0 : -errno;
}

static int map_ids(const struct sandbox_host *h, pid_t pid, uint32_t index,
                   struct error *err)
{
    int rc = write_map(pid, "uid_map", h->uid_base + index);

    rc = rc < 0 ? rc : write_map(pid, "gid_map", h->uid_base + index);
    return rc < 0 ? error_set_errno(err, rc, "map the sandbox's user") : 0;
}

static int open_net(pid_t pid)
{
    char path[48];

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* The parent's side of the child's steps. */
static int raise_child(const struct sandbox_host *h, struct sandbox *s,
                       const struct sandbox_limits *limits, int sync, struct error *err)
{
    uint64_t until_ms = clock_mono_ms() + START_TIMEOUT_MS;
    int rc;

    s->net = open_net(s->pid);
    if (s->net < 0) {
        return error_set_errno(err, -errno, "open the network namespace");
    }
    rc = hear(sync, until_ms, false, err);
    rc = rc < 0 ? rc : map_ids(h, s->pid, limits->uid_index, err);
    if (rc < 0) {
        return rc;
    }
    rc = go(sync);
    return rc < 0 ? error_set_errno(err, rc, "talk to the sandbox")
                  : hear(sync, until_ms, true, err);
}

static int connection(int *ret_here, int *ret_there, struct error *err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return error_set_errno(err, -errno, "make the sandbox's connection");
    }
    *ret_here = pair[0];
    *ret_there = pair[1];
    return 0;
}

int sandbox_start(const struct sandbox_host *h, struct sandbox *s,
                  const struct sandbox_limits *limits, int *ret_control,
                  struct error *err)
{
    _cleanup_close_ int control = -1, control_child = -1, sync = -1, sync_child = -1;
    _cleanup_close_ int group = -1;
    int rc = connection(&control, &control_child, err);

    s->pid = 0;
    s->net = s->oom = -1;
    rc = rc < 0 ? rc : connection(&sync, &sync_child, err);
    rc = rc < 0 ? rc : cgroup_make(&h->cgroups, s->id, &limits->cgroup, err);
    if (rc < 0) {
        return rc;
    }
    group = cgroup_open(&h->cgroups, s->id);
    s->pid = clone_child(group);
    if (s->pid == 0) {
        struct sandbox_child child = {h, limits, s->id, sync_child, control_child};

        sandbox_child_run(&child);
    }
    if (s->pid < 0) {
        rc = error_set_errno(err, -errno, "clone the sandbox's first process");
        s->pid = 0;
        return rc;
    }
    (void)close(steal_fd(&sync_child)); /* so that its end is heard */
    rc = raise_child(h, s, limits, sync, err);
    rc = rc < 0 ? rc
                : cgroup_oom_open(&h->cgroups, s->id, &s->oom, &s->oom_is_eventfd, err);
    if (rc < 0) {
        sandbox_kill(h, s);
        sandbox_close(s);
        return rc;
    }
    *ret_control = steal_fd(&control);
    return 0;
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
    if (s->pid > 0) {
        (void)kill(s->pid, SIGKILL);
        cgroup_thaw(&h->cgroups, s->id);
    }
}

void sandbox_close(struct sandbox *s)
{
    if (s->net >= 0) {
        (void)close(s->net);
    }
    if (s->oom >= 0) {
        (void)close(s->oom);
    }
    s->net = s->oom = -1;
}
