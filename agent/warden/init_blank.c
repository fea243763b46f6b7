/* A sandbox's first process, until it serves the agent. It begins as the host's root in a
 * new pid namespace; its user namespace comes last, so that nothing inside can ever have
 * a right over the others. That one is made under the sandbox's own uid on the host, so
 * that what the kernel counts by its maker (inotify, pending signals) is counted for it
 * and not for root. No input of a function is looked at: there is none yet. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/warden/init_blank.h"
#include "agent/warden/init_proto.h"
#include "common/fd_message.h"
#include "common/number.h"

#define INSIDE_ID      1000
#define INSIDE_ID_TEXT "1000"

static void report(int error, const char *step)
{
    struct init_message m = {.type = INIT_FAILED, .value = error};
    struct iovec parts[2] = {{&m, sizeof(m)}, {(void *)(uintptr_t)step, strlen(step)}};
    struct msghdr head = {.msg_iov = parts, .msg_iovlen = 2};

    m.len = (uint32_t)strlen(step);
    (void)!sendmsg(CONTROL_FD, &head, MSG_NOSIGNAL);
}

static void must(bool ok, const char *step)
{
    if (!ok) {
        report(errno, step);
        _exit(1);
    }
}

/* Into v1's control groups: this process has one thread, and moves itself. */
static void enter_groups(const struct blank_host *h, uint64_t group)
{
    char path[NUMBER_TEXT_SIZE + sizeof("/tasks")];

    (void)strcpy(path + number_text(path, group), "/tasks");
    for (unsigned i = 0; i < h->n_groups; i++) {
        int fd = openat(h->groups[i], path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

        must(fd >= 0 && write(fd, "0", 1) == 1, "enter the control group");
        (void)close(fd);
    }
}

static void loopback_up(void)
{
    struct ifreq request = {.ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)strcpy(request.ifr_name, "lo");
    must(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0, "bring up the loopback");
    (void)close(fd);
}

static int set_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    must(fd >= 0 && write(fd, INIT_OOM_SCORE, strlen(INIT_OOM_SCORE)) > 0,
         "set the OOM score");
    return fd;
}

static void set_capabilities(uint32_t effective, uint32_t permitted, const char *step)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = effective, .permitted = permitted}};

    must(syscall(SYS_capset, &header, data) == 0, step);
}

/* The user namespace's maker is the sandbox's user on the host, with one capability left
 * so that hosts that keep user namespaces from users allow it. */
static void enter_user_namespace(uint32_t host_id)
{
    const uint32_t sys_admin = 1u << CAP_SYS_ADMIN;

    must(setgroups(0, NULL) == 0, "drop supplementary groups");
    must(prctl(PR_SET_KEEPCAPS, 1) == 0, "keep capabilities");
    must(setresgid(host_id, host_id, host_id) == 0, "set the sandbox's group");
    must(setresuid(host_id, host_id, host_id) == 0, "set the sandbox's user");
    set_capabilities(sys_admin, sys_admin, "reduce capabilities");
    must(unshare(CLONE_NEWUSER) == 0, "new user namespace");
}

static void drop_capabilities(const struct blank_host *h)
{
    for (int cap = 0; cap < h->n_capabilities; cap++) {
        must(prctl(PR_CAPBSET_DROP, cap) == 0, "drop the capability bounding set");
    }
    must(prctl(PR_SET_SECUREBITS,
               SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                   SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                   SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED) == 0,
         "lock secure bits");
    must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0,
         "drop ambient capabilities");
    set_capabilities(0, 0, "drop capabilities");
}

static void write_map(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY | O_CLOEXEC);

    must(fd >= 0 && write(fd, text, strlen(text)) > 0, "map the sandbox's user");
    (void)close(fd);
}

/* A namespace's maker may map itself, and nothing else. The files are root's unless the
 * process is dumpable, which it is for this: there is nobody here who could look. */
static void map_user(uint32_t host_id)
{
    char text[sizeof(INSIDE_ID_TEXT) + NUMBER_TEXT_SIZE + sizeof("  1\n")];
    char *at = stpcpy(text, INSIDE_ID_TEXT " ");

    (void)strcpy(at + number_text(at, host_id), " 1\n");
    must(prctl(PR_SET_DUMPABLE, 1) == 0, "map the sandbox's user");
    write_map("/proc/self/setgroups", "deny");
    write_map("/proc/self/uid_map", text);
    write_map("/proc/self/gid_map", text);
    must(prctl(PR_SET_DUMPABLE, 0) == 0, "map the sandbox's user");
}

static void become_function(const struct blank_host *h)
{
    must(getuid() == INSIDE_ID && getgid() == INSIDE_ID, "be the function's user");
    drop_capabilities(h);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "set no_new_privs");
    /* Only now: a change of credentials clears it. */
    must(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "set the death signal");
    must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &h->filter, 0, 0) == 0,
         "apply the seccomp filter");
}

/* Its network and mount namespaces, opened while it may. */
static void tell_made(const int fds[2])
{
    struct init_message m = {.type = INIT_BLANK};
    struct iovec part = {&m, sizeof(m)};

    must(fd_message_send(CONTROL_FD, &part, 1, fds, 2, 0) > 0, "tell the warden");
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* One that was used by nobody comes with its loopback up. */
static void enter_network(int net)
{
    if (net >= 0) {
        must(setns(net, CLONE_NEWNET) == 0, "enter the network namespace");
    } else {
        must(unshare(CLONE_NEWNET) == 0, "new network namespace");
        loopback_up();
    }
}

static void move_in(uint64_t tmp_bytes)
{
    const char *step = "";
    int rc;

    must(unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP) == 0,
         "new namespaces");
    must(sethostname("mayfly", 6) == 0, "set the host name");
    rc = rootfs_enter(tmp_bytes, &step);
    if (rc < 0) {
        report(-rc, step);
        _exit(1);
    }
}

void blank_run(const struct blank_host *h, const struct maker_order *order, int control,
               int net)
{
    int namespaces[2], oom_fd;

    /* First: what fails is told there. The maker's connection was there, and goes. */
    if (dup3(control, CONTROL_FD, O_CLOEXEC) != CONTROL_FD) {
        _exit(1);
    }
    (void)prctl(PR_SET_NAME, "mayfly-init");
    enter_groups(h, order->group); /* before anything that costs memory */
    enter_network(net);
    must(close_range(CONTROL_FD + 1, ~0u, 0) == 0, "close descriptors");
    (void)setsid();
    /* Not the keys of whoever started the agent. A kernel without keys has none. */
    (void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
    move_in(order->tmp_bytes);
    oom_fd = set_oom_score();
    namespaces[0] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    namespaces[1] = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    must(namespaces[0] >= 0 && namespaces[1] >= 0, "open the namespaces");
    enter_user_namespace(order->host_id);
    map_user(order->host_id);
    become_function(h);
    tell_made(namespaces);
    _exit(init_serve(oom_fd));
}
