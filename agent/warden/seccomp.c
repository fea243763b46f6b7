#include "agent/warden/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

/* What ordinary programs call (the starting point is what container engines allow; see
 * docs/sandbox.md). A name that this kernel's architecture has not is passed over. */
static const char *const allowed[] = {
    "accept",
    "accept4",
    "access",
    "alarm",
    "arch_prctl",
    "bind",
    "brk",
    "capget",
    "chdir",
    "chmod",
    "chown",
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "clone",
    "close",
    "close_range",
    "connect",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd",
    "eventfd2",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "fcntl",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fork",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "futex",
    "futex_requeue",
    "futex_wait",
    "futex_waitv",
    "futex_wake",
    "futimesat",
    "get_robust_list",
    "get_thread_area",
    "getcpu",
    "getcwd",
    "getdents",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getitimer",
    "getpeername",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getrandom",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getrusage",
    "getsid",
    "getsockname",
    "getsockopt",
    "gettid",
    "gettimeofday",
    "getuid",
    "getxattr",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "inotify_rm_watch",
    "ioctl",
    "ioprio_get",
    "ioprio_set",
    "kill",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "lchown",
    "lgetxattr",
    "link",
    "linkat",
    "listen",
    "listxattr",
    "llistxattr",
    "lremovexattr",
    "lseek",
    "lsetxattr",
    "lstat",
    "madvise",
    "membarrier",
    "memfd_create",
    "mincore",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "mlock",
    "mlock2",
    "mlockall",
    "mmap",
    "mprotect",
    "mq_getsetattr",
    "mq_notify",
    "mq_open",
    "mq_timedreceive",
    "mq_timedsend",
    "mq_unlink",
    "mremap",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
    "nanosleep",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pause",
    "pidfd_open",
    "pidfd_send_signal",
    "pipe",
    "pipe2",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "poll",
    "ppoll",
    "prctl",
    "pread64",
    "preadv",
    "preadv2",
    "prlimit64",
    "pselect6",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "remap_file_pages",
    "removexattr",
    "rename",
    "renameat",
    "renameat2",
    "restart_syscall",
    "rmdir",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_tgsigqueueinfo",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_rr_get_interval",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "sched_yield",
    "seccomp",
    "select",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "sendfile",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "set_robust_list",
    "set_thread_area",
    "set_tid_address",
    "setfsgid",
    "setfsuid",
    "setgid",
    "setgroups",
    "setitimer",
    "setpgid",
    "setpriority",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "setrlimit",
    "setsid",
    "setsockopt",
    "setuid",
    "setxattr",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
    "shutdown",
    "sigaltstack",
    "signalfd",
    "signalfd4",
    "socket",
    "socketpair",
    "splice",
    "stat",
    "statfs",
    "statx",
    "symlink",
    "symlinkat",
    "sync_file_range",
    "sysinfo",
    "tee",
    "tgkill",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_settime",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
    "times",
    "tkill",
    "truncate",
    "umask",
    "uname",
    "unlink",
    "unlinkat",
    "utime",
    "utimensat",
    "utimes",
    "vfork",
    "vmsplice",
    "wait4",
    "waitid",
    "write",
    "writev",
};

/* Refused with EPERM, so that a program says "not permitted" and not "no such call". What
 * stands in neither list gets ENOSYS, as on a kernel that is older: libraries fall back.
 */
static const char *const refused[] = {
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "chroot",
    "clock_adjtime",
    "clock_settime",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "iopl",
    "ioperm",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "migrate_pages",
    "modify_ldt",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "name_to_handle_at",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_madvise",
    "process_mrelease",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "set_mempolicy",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount2",
    "unshare",
    "userfaultfd",
    "uselib",
    "ustat",
    "vhangup",
    "vm86",
    "vm86old",
};

/* Done as far as a function can see: all that it can write to is memory. Passed on, they
 * would flush the host's disks as often as a function likes. */
static const char *const pretended[] = {"sync", "syncfs"};

static int add_names(scmp_filter_ctx ctx, uint32_t action, const char *const *names,
                     size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int nr = seccomp_syscall_resolve_name(names[i]);
        int rc = nr >= 0 ? seccomp_rule_add(ctx, action, nr, 0) : 0;

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* Reads a filter back as the kernel takes it. */
static int export_filter(scmp_filter_ctx ctx, struct sock_fprog *ret)
{
    _cleanup_close_ int fd = memfd_create("seccomp", MFD_CLOEXEC);
    struct stat st;
    void *code;
    int rc;

    if (fd < 0) {
        return -errno;
    }
    rc = seccomp_export_bpf(ctx, fd);
    if (rc < 0) {
        return rc;
    }
    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    code = malloc((size_t)st.st_size);
    if (code == NULL) {
        return -ENOMEM;
    }
    if (pread(fd, code, (size_t)st.st_size, 0) != st.st_size) {
        free(code);
        return -EIO;
    }
    ret->len = (unsigned short)((size_t)st.st_size / sizeof(struct sock_filter));
    ret->filter = code;
    return 0;
}

static int compile_allow(struct sock_fprog *ret)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int personality = seccomp_syscall_resolve_name("personality");
    int rc;

    if (ctx == NULL) {
        return -ENOMEM;
    }
    /* 32-bit and x32 calls end the process. */
    rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE,
                           2); /* a binary tree, if known */
    rc = rc < 0 ? rc
                : add_names(ctx, SCMP_ACT_ALLOW, allowed,
                            sizeof(allowed) / sizeof(allowed[0]));
    rc = rc < 0 ? rc
                : add_names(ctx, SCMP_ACT_ERRNO(EPERM), refused,
                            sizeof(refused) / sizeof(refused[0]));
    rc = rc < 0 ? rc
                : add_names(ctx, SCMP_ACT_ERRNO(0), pretended,
                            sizeof(pretended) / sizeof(pretended[0]));
    /* personality: only the default one, and to ask which it is. */
    rc = rc < 0 ? rc
                : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, personality, 1,
                                   SCMP_A0(SCMP_CMP_EQ, 0, 0));
    rc = rc < 0 ? rc
                : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, personality, 1,
                                   SCMP_A0(SCMP_CMP_EQ, 0xffffffff, 0));
    rc = rc < 0 ? rc : export_filter(ctx, ret);
    seccomp_release(ctx);
    return rc;
}

/* The kernel looks at the low 32 bits only, so masks do too (CVE-2019-10063). */
static int refuse_arguments(scmp_filter_ctx ctx)
{
    static const uint64_t new_namespaces[] = {
        CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
        CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET,
    };
    static const uint64_t terminal[] = {TIOCSTI, TIOCLINUX, TIOCSETD};
    static const uint64_t raw[] = {SOCK_RAW, SOCK_PACKET};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(new_namespaces) / sizeof(uint64_t); i++) {
        rc = seccomp_rule_add(
            ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
            SCMP_A0(SCMP_CMP_MASKED_EQ, new_namespaces[i], new_namespaces[i]));
    }
    for (size_t i = 0; rc == 0 && i < sizeof(terminal) / sizeof(terminal[0]); i++) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                              SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, terminal[i]));
    }
    for (uint64_t family = 0; rc == 0 && family < 64; family++) {
        if (family == AF_UNIX || family == AF_INET || family == AF_INET6) {
            continue;
        }
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, family));
    }
    for (size_t i = 0; rc == 0 && i < sizeof(raw) / sizeof(raw[0]); i++) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                              SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, raw[i]));
    }
    /* TCP, UDP and ping; the others (SCTP, DCCP, MPTCP, …) are rarely used code in the
     * kernel, which a mere socket(2) may load as a module. */
    rc = rc < 0 ? rc
                : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPROTONOSUPPORT), SCMP_SYS(socket),
                                   1, SCMP_A2(SCMP_CMP_EQ, IPPROTO_DCCP, 0));
    rc = rc < 0 ? rc
                : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPROTONOSUPPORT), SCMP_SYS(socket),
                                   1, SCMP_A2(SCMP_CMP_GT, IPPROTO_ICMPV6, 0));
    /* SOCK_SEQPACKET with protocol 0 is SCTP on the Internet families. */
    for (uint64_t i = 0; rc == 0 && i < 2; i++) {
        rc = seccomp_rule_add(
            ctx, SCMP_ACT_ERRNO(ESOCKTNOSUPPORT), SCMP_SYS(socket), 2,
            SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, i == 0 ? AF_INET : AF_INET6),
            SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_SEQPACKET));
    }
    return rc;
}

static int compile_arguments(struct sock_fprog *ret)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int rc;

    if (ctx == NULL) {
        return -ENOMEM;
    }
    rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    rc = rc < 0 ? rc : refuse_arguments(ctx);
    rc = rc < 0 ? rc : export_filter(ctx, ret);
    seccomp_release(ctx);
    return rc;
}

/* One program that does what the kernel does with two: what `first` allows is left to
 * `second` to judge. Each filter costs as much again to install, in every sandbox. */
static int chain(const struct sock_fprog *first, const struct sock_fprog *second,
                 struct sock_fprog *ret)
{
    size_t len = (size_t)first->len + second->len;

    if (len > SECCOMP_CODE_MAX) {
        return -E2BIG;
    }
    ret->filter = calloc(len, sizeof(struct sock_filter));
    if (ret->filter == NULL) {
        return -ENOMEM;
    }
    ret->len = (unsigned short)len;
    memcpy(ret->filter, first->filter, first->len * sizeof(struct sock_filter));
    memcpy(ret->filter + first->len, second->filter,
           second->len * sizeof(struct sock_filter));
    for (unsigned i = 0; i < first->len; i++) {
        struct sock_filter *code = &ret->filter[i];

        if (code->code == (BPF_RET | BPF_K) && code->k == SECCOMP_RET_ALLOW) {
            *code = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, first->len - i - 1);
        }
    }
    return 0;
}

static int save(int fd, const struct sock_fprog *program)
{
    size_t size = program->len * sizeof(struct sock_filter);
    ssize_t n = write(fd, program->filter, size);

    return n == (ssize_t)size ? 0 : n < 0 ? -errno : -EIO;
}

int seccomp_compile(int *ret_fd, struct error *err)
{
    struct sock_fprog allow = {0}, arguments = {0}, both = {0};
    _cleanup_close_ int fd = memfd_create("mayfly-seccomp", MFD_CLOEXEC);
    int rc = fd < 0 ? -errno : compile_allow(&allow);

    rc = rc < 0 ? rc : compile_arguments(&arguments);
    rc = rc < 0 ? rc : chain(&arguments, &allow, &both);
    rc = rc < 0 ? rc : save(fd, &both);
    free(allow.filter);
    free(arguments.filter);
    free(both.filter);
    if (rc < 0) {
        return error_set_errno(err, rc, "compile the seccomp filter");
    }
    *ret_fd = steal_fd(&fd);
    return 0;
}
