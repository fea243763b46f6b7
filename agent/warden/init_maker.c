/* The maker: makes sandboxes' first processes on the warden's word. Root, no network, in
 * the warden's root file system. Descriptor 3 is the connection; it ends with it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/warden/init_blank.h"
#include "agent/warden/seccomp.h"
#include "common/fd_message.h"

#define ORDERS  3
#define FDS_MAX (1 + MAKER_GROUPS_MAX)

#define RSEQ_BYTES 32 /* that the C library registers */

/* A message of this size and its descriptors; how many, or -1: the warden has gone. */
static int receive(void *message, size_t size, int fds[FDS_MAX])
{
    struct iovec part = {message, size};
    int n = 0;

    if (fd_message_receive(ORDERS, &part, 1, fds, FDS_MAX, 0) != (ssize_t)size) {
        return -1;
    }
    while (n < FDS_MAX && fds[n] >= 0) {
        n++;
    }
    return n;
}

/* What seccomp_compile() wrote. In the maker's own memory: a sandbox's first process has
 * that without a page fault. */
static bool load_filter(struct blank_host *h, int fd)
{
    static struct sock_filter code[SECCOMP_CODE_MAX];
    ssize_t n = pread(fd, code, sizeof(code), 0);

    h->filter = (struct sock_fprog){(unsigned short)(n / (ssize_t)sizeof(*code)), code};
    return n > 0 && n % (ssize_t)sizeof(*code) == 0;
}

static int count_capabilities(void)
{
    int n = 0;

    while (prctl(PR_CAPBSET_READ, n) >= 0) {
        n++;
    }
    return n;
}

/* Not the warden's, which would hold on to its mounts. The sandboxes have it too. */
static bool reopen_null(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = 0; fd < 3; fd++) {
        if (null < 0 || dup2(null, fd) != fd) {
            return false;
        }
    }
    (void)close(null);
    return true;
}

static bool set_up(struct blank_host *h)
{
    struct maker_setup setup;
    int fds[FDS_MAX];
    int n = receive(&setup, sizeof(setup), fds);

    if (n < 1 || setup.n_groups != (unsigned)n - 1 || !load_filter(h, fds[0])) {
        return false;
    }
    (void)close(fds[0]);
    h->n_groups = setup.n_groups;
    memcpy(h->groups, fds + 1, setup.n_groups * sizeof(int));
    h->n_capabilities = count_capabilities();
    (void)umask(022);
    return limits_set() && rootfs_settle() && reopen_null();
}

/* The new process is a child of the warden's, which waits for it. */
static pid_t clone_blank(int group)
{
    struct clone_args args = {.flags = CLONE_NEWPID | CLONE_PARENT};

    if (group >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)group;
    }
    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static void on_order(const struct blank_host *h, const struct maker_order *order,
                     const int *fds, int n_fds)
{
    struct maker_reply reply = {.group = order->group, .pid = -EINVAL};

    bool in_v2 = order->in_v2 != 0, has_net = order->has_net != 0;

    if (n_fds == 1 + in_v2 + has_net) {
        pid_t pid = clone_blank(in_v2 ? fds[1] : -1);

        if (pid == 0) {
            blank_run(h, order, fds[0], has_net ? fds[1 + in_v2] : -1);
        }
        reply.pid = pid < 0 ? -errno : pid;
    }
    (void)!send(ORDERS, &reply, sizeof(reply), MSG_NOSIGNAL);
    for (int i = 0; i < n_fds; i++) {
        (void)close(fds[i]);
    }
}

/* The kernel writes where a thread runs into its memory at each switch, if the C library
 * has asked for that: in a new process the first time copies a page for it, and nobody
 * here reads it. */
static void without_rseq(void)
{
    char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

    if (__rseq_size > 0) {
        (void)syscall(SYS_rseq, area, RSEQ_BYTES, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
    }
}

int main(void)
{
    static struct blank_host host;
    struct maker_order order;
    int fds[FDS_MAX], n;

    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NAME, "mayfly-maker");
    (void)fcntl(ORDERS, F_SETFD, FD_CLOEXEC);
    without_rseq();
    if (!set_up(&host)) {
        return 1;
    }
    while ((n = receive(&order, sizeof(order), fds)) >= 0) {
        on_order(&host, &order, fds, n);
    }
    return 0;
}
