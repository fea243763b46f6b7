/* A sandbox's first process, until it becomes init. It begins as the host's root in new
 * pid, mount, uts, ipc and net namespaces; its user namespace comes last, so that nothing
 * inside can ever have a right over the others. That one is made under the tenant's uid,
 * so that what the kernel counts by its maker (inotify, pending signals) is counted for
 * the tenant and not for root. No input of a function is looked at. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/warden/sandbox.h"

#define CONTROL_FD 3 /* where init expects its connection */
#define INIT_FD    4
#define SYNC_FD    5
#define INSIDE_ID  1000

/* A host that runs out of memory takes sandboxes before anything else of ours, and no
 * function can lower this again. init raises it further for the function's processes. */
#define OOM_SCORE "500"

#define FILES_MAX    4096
#define LOCKED_BYTES (64ULL << 10)
#define SIGNALS_MAX  1024
#define STACK_BYTES  (8ULL << 20)

static int sync_fd;

static void report(int error, const char *step)
{
    struct sandbox_report r = {.error = error};

    (void)snprintf(r.step, sizeof(r.step), "%s", step);
    (void)!send(sync_fd, &r, sizeof(r), MSG_NOSIGNAL);
}

static void must(bool ok, const char *step)
{
    if (!ok) {
        report(errno, step);
        _exit(1);
    }
}

/* Tells that a step is done and waits for the parent's part of the next. */
static void meet(const char *step)
{
    char go;

    report(0, step);
    must(recv(sync_fd, &go, 1, 0) == 1, "hear from the warden");
}

/* 0, 1, 2: /dev/null; then the three that are needed; nothing else. */
static void arrange_fds(const struct sandbox_child *c)
{
    int null = open(ROOTFS_TEMPLATE "/dev/null", O_RDWR);
    int high[3] = {
        fcntl(c->control, F_DUPFD_CLOEXEC, 100),
        fcntl(c->host->init_fd, F_DUPFD_CLOEXEC, 100),
        fcntl(c->sync, F_DUPFD_CLOEXEC, 100),
    };

    must(null >= 0 && high[0] >= 0 && high[1] >= 0 && high[2] >= 0,
         "arrange descriptors");
    sync_fd = high[2];
    for (int fd = 0; fd < 3; fd++) {
        must(null == fd || dup2(null, fd) == fd, "open /dev/null");
    }
    must(dup2(high[0], CONTROL_FD) == CONTROL_FD, "arrange descriptors");
    must(dup3(high[1], INIT_FD, O_CLOEXEC) == INIT_FD, "arrange descriptors");
    must(dup3(high[2], SYNC_FD, O_CLOEXEC) == SYNC_FD, "arrange descriptors");
    sync_fd = SYNC_FD;
    must(close_range(SYNC_FD + 1, ~0u, 0) == 0, "close descriptors");
}

static void loopback_up(void)
{
    struct ifreq request = {.ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)strcpy(request.ifr_name, "lo");
    must(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0, "bring up the loopback");
    (void)close(fd);
}

static void set_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    must(fd >= 0 && write(fd, OOM_SCORE, strlen(OOM_SCORE)) > 0, "set the OOM score");
    (void)close(fd);
}

/* The warden may have less itself (in a container): then that is the limit. */
static void limit(int resource, rlim_t soft, rlim_t hard)
{
    struct rlimit now, next = {.rlim_cur = soft, .rlim_max = hard};

    if (setrlimit((__rlimit_resource_t)resource, &next) == 0) {
        return;
    }
    must(errno == EPERM && getrlimit((__rlimit_resource_t)resource, &now) == 0,
         "read resource limits");
    next.rlim_max = now.rlim_max < hard ? now.rlim_max : hard;
    next.rlim_cur = next.rlim_max < soft ? next.rlim_max : soft;
    must(setrlimit((__rlimit_resource_t)resource, &next) == 0, "set resource limits");
}

/* Processes and memory are the cgroup's matter. What the kernel counts by user over all
 * of a tenant's sandboxes (processes) must not be limited here: one would starve the
 * others. */
static void set_limits(const struct sandbox_limits *l)
{
    uint64_t memory = l->cgroup.memory_bytes;
    /* Above the size of /tmp, so that a full /tmp says ENOSPC and not SIGXFSZ. */
    uint64_t file = (l->tmp_bytes > memory ? l->tmp_bytes : memory) + (1 << 20);

    limit(RLIMIT_CORE, 0, 0);
    limit(RLIMIT_NOFILE, FILES_MAX, FILES_MAX);
    limit(RLIMIT_FSIZE, file, file);
    limit(RLIMIT_MEMLOCK, LOCKED_BYTES, LOCKED_BYTES);
    limit(RLIMIT_SIGPENDING, SIGNALS_MAX, SIGNALS_MAX);
    limit(RLIMIT_MSGQUEUE, 0, 0);
    limit(RLIMIT_RTPRIO, 0, 0);
    limit(RLIMIT_NICE, 0, 0);
    limit(RLIMIT_STACK, STACK_BYTES, RLIM_INFINITY);
    limit(RLIMIT_CPU, RLIM_INFINITY, RLIM_INFINITY);
    limit(RLIMIT_AS, RLIM_INFINITY, RLIM_INFINITY);
    limit(RLIMIT_DATA, RLIM_INFINITY, RLIM_INFINITY);
    limit(RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY);
}

static void set_capabilities(uint32_t effective, uint32_t permitted, const char *step)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = effective, .permitted = permitted}};

    must(syscall(SYS_capset, &header, data) == 0, step);
}

/* The user namespace's maker is the tenant's user on the host, with one capability left
 * so that hosts that keep user namespaces from users allow it. */
static void enter_user_namespace(uint32_t host_id)
{
    const uint32_t sys_admin = 1u << CAP_SYS_ADMIN;

    must(setgroups(0, NULL) == 0, "drop supplementary groups");
    must(prctl(PR_SET_KEEPCAPS, 1) == 0, "keep capabilities");
    must(setresgid(host_id, host_id, host_id) == 0, "set the tenant's group");
    must(setresuid(host_id, host_id, host_id) == 0, "set the tenant's user");
    set_capabilities(sys_admin, sys_admin, "reduce capabilities");
    must(unshare(CLONE_NEWUSER) == 0, "new user namespace");
}

static void drop_capabilities(void)
{
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++) {
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

static void become_function(void)
{
    must(getuid() == INSIDE_ID && getgid() == INSIDE_ID, "be the function's user");
    drop_capabilities();
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "set no_new_privs");
    /* Only now: a change of credentials clears it. */
    must(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "set the death signal");
}

void sandbox_child_run(const struct sandbox_child *c)
{
    char *const argv[] = {(char *)(uintptr_t) "mayfly-init", NULL};
    char *const envp[] = {NULL};
    const char *step = "";
    sigset_t none;
    int rc;

    sync_fd = c->sync;
    errno = -cgroup_enter(&c->host->cgroups, c->id);
    must(errno == 0, "enter the cgroup");
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setsid();
    (void)umask(022);
    arrange_fds(c);
    set_oom_score();
    /* Not the keys of whoever started the agent. A kernel without keys has none. */
    (void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
    must(unshare(CLONE_NEWCGROUP) == 0, "new cgroup namespace");
    loopback_up();
    must(sethostname("mayfly", 6) == 0, "set the host name");
    rc = rootfs_enter(c->limits->package, c->limits->layers, c->limits->tmp_bytes, &step);
    if (rc < 0) {
        report(-rc, step);
        _exit(1);
    }
    set_limits(c->limits);
    enter_user_namespace(c->host->uid_base + c->limits->uid_index);
    meet("mapped"); /* the parent writes the id maps */
    become_function();
    must(seccomp_apply(&c->host->filters) == 0, "apply the seccomp filter");
    (void)syscall(SYS_execveat, INIT_FD, "", argv, envp, AT_EMPTY_PATH);
    must(false, "execute init");
    _exit(1);
}
