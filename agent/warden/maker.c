#include "agent/warden/maker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/warden/rootfs.h"
#include "common/cleanup.h"
#include "common/fd_message.h"

#define FDS_MAX   (1 + MAKER_GROUPS_MAX)
#define ORDERS_FD 3 /* where the maker finds its connection */
#define INIT_FD   4

static int send_with(int fd, const void *message, size_t size, const int *fds,
                     unsigned n_fds)
{
    struct iovec part = {(void *)(uintptr_t)message, size};
    ssize_t n = fd_message_send(fd, &part, 1, fds, n_fds, MSG_DONTWAIT);

    return n < 0 ? (int)n : 0;
}

__attribute__((noreturn)) static void become_maker(int orders, int init_fd)
{
    char *const argv[] = {(char *)(uintptr_t) "mayfly-init", NULL};
    char *const envp[] = {NULL};
    int null = open(ROOTFS_TEMPLATE "/dev/null", O_RDWR | O_CLOEXEC);
    int high[2] = {fcntl(orders, F_DUPFD_CLOEXEC, 100),
                   fcntl(init_fd, F_DUPFD_CLOEXEC, 100)};
    sigset_t none;

    for (int fd = 0; fd < 3; fd++) {
        if (dup2(null, fd) < 0) {
            _exit(1);
        }
    }
    if (dup2(high[0], ORDERS_FD) < 0 || dup3(high[1], INIT_FD, O_CLOEXEC) < 0 ||
        close_range(INIT_FD + 1, ~0u, 0) < 0) {
        _exit(1);
    }
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)syscall(SYS_execveat, INIT_FD, "", argv, envp, AT_EMPTY_PATH);
    _exit(1);
}

int maker_start(struct maker *m, int init_fd, int filters,
                const struct cgroup_root *cgroups, struct error *err)
{
    struct maker_setup setup = {0};
    int fds[FDS_MAX] = {filters}, pair[2], rc;

    for (unsigned i = 0; i < cgroups->n_hierarchies; i++) {
        if (!cgroups->hierarchies[i].v2) {
            fds[1 + setup.n_groups++] = cgroups->hierarchies[i].dir;
        }
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return error_set_errno(err, -errno, "connect to the maker");
    }
    m->pid = fork();
    if (m->pid == 0) {
        become_maker(pair[1], init_fd);
    }
    rc = m->pid < 0 ? -errno : 0;
    (void)close(pair[1]);
    rc = rc < 0 ? rc : send_with(pair[0], &setup, sizeof(setup), fds, 1 + setup.n_groups);
    if (rc < 0) {
        (void)close(pair[0]);
        m->fd = -1;
        return error_set_errno(err, rc, "start the maker");
    }
    m->fd = pair[0];
    m->n_ordered = 0;
    return 0;
}

int maker_order(struct maker *m, const struct cgroup_root *cgroups,
                const struct maker_order *order, int control, int net)
{
    _cleanup_close_ int group = cgroup_open(cgroups, order->group);
    struct maker_order o = *order;
    int fds[3] = {control}, rc;
    unsigned n = 1;

    if (group < 0 && group != -ENOTSUP) {
        return group;
    }
    if (group >= 0) {
        fds[n++] = group;
    }
    if (net >= 0) {
        fds[n++] = net;
    }
    o.in_v2 = group >= 0;
    o.has_net = net >= 0;
    rc = send_with(m->fd, &o, sizeof(o), fds, n);
    m->n_ordered += rc == 0;
    return rc;
}

int maker_hear(struct maker *m, struct maker_reply *ret, int wait_ms)
{
    struct pollfd p = {.fd = m->fd, .events = POLLIN};

    if (m->n_ordered == 0 || poll(&p, 1, wait_ms) != 1 ||
        recv(m->fd, ret, sizeof(*ret), MSG_DONTWAIT) != sizeof(*ret)) {
        return -EAGAIN;
    }
    m->n_ordered--;
    return 0;
}

void maker_close(struct maker *m)
{
    if (m->fd >= 0) {
        (void)close(m->fd);
    }
    m->fd = -1;
}
