#include "agent/warden/init_clean.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_MS    200
#define ENTRIES_MAX 256 /* more files are not worth it */
#define DEPTH_MAX   8
#define CPUS_BYTES  1024 /* 8,192 processors */
#define SCHED_BYTES 56   /* of sched_attr, with its bounds of utilisation */
#define NAMES_BYTES 2048

#define NETWORK_FILES 3
#define NETWORK_BYTES 512

static const char *const writable[] = {"/tmp", "/dev/shm"};
#define WRITABLE (sizeof(writable) / sizeof(writable[0]))

/* What a function can change of init although it may not look into it, for the two have
 * one user (limits, scheduling: children inherit them), and what outlives processes. */
struct state {
    struct rlimit limits[RLIM_NLIMITS];
    char scheduling[SCHED_BYTES];
    char cpus[CPUS_BYTES];
    long io_priority;
    char network[NETWORK_FILES][NETWORK_BYTES];
    struct {
        uint64_t blocks, blocks_free, files, files_free;
    } space[WRITABLE];
};

static struct state before;
static int network_fds[NETWORK_FILES];
static bool marked;

/* --- processes ------------------------------------------------------------------------
 */

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Who has no parent is init's child, and all are ended at once: when init has no child
 * there is nobody else. One that the kernel cannot end is not waited for. */
static bool end_all(int signals)
{
    int64_t until_ms = now_ms() + LIMIT_MS, left_ms;
    struct pollfd p = {.fd = signals, .events = POLLIN};
    struct signalfd_siginfo info;
    pid_t pid;

    for (;;) {
        (void)kill(-1, SIGKILL);
        while ((pid = waitpid(-1, NULL, WNOHANG | __WALL)) > 0) {
        }
        if (pid < 0 && errno == ECHILD) {
            return true;
        }
        left_ms = until_ms - now_ms();
        if (left_ms <= 0 || poll(&p, 1, (int)left_ms) == 0) {
            return false;
        }
        (void)!read(signals, &info, sizeof(info));
    }
}

/* --- files ----------------------------------------------------------------------------
 */

struct entry {
    uint64_t ino;
    int64_t off;
    unsigned short len;
    unsigned char type;
    char name[];
};

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static bool empty_folder(int dir, int depth, int *left);

/* It is the function's, and so is init: what it took from its owner can be given back. */
static bool remove_folder(int dir, const char *name, int depth, int *left)
{
    bool done;
    int fd;

    (void)!fchmodat(dir, name, S_IRWXU, 0); /* no link: nobody is left to make it one */
    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    done = depth < DEPTH_MAX && empty_folder(fd, depth + 1, left);
    (void)close(fd);
    return done && unlinkat(dir, name, AT_REMOVEDIR) == 0;
}

static bool remove_entry(int dir, const struct entry *e, int depth, int *left)
{
    if (--*left < 0) {
        return false;
    }
    return e->type == DT_DIR ? remove_folder(dir, e->name, depth, left)
                             : unlinkat(dir, e->name, 0) == 0;
}

/* What it begins to remove is gone, or this fails: it need not read on from where it
 * was. */
static bool empty_folder(int dir, int depth, int *left)
{
    _Alignas(struct entry) char names[NAMES_BYTES];
    bool found = true;

    while (found) {
        long n;

        found = false;
        if (lseek(dir, 0, SEEK_SET) < 0 ||
            (n = syscall(SYS_getdents64, dir, names, sizeof(names))) < 0) {
            return false;
        }
        for (long at = 0; at < n;) {
            const struct entry *e = (const struct entry *)(const void *)(names + at);

            at += e->len;
            if (!is_dots(e->name)) {
                found = true;
                if (!remove_entry(dir, e, depth, left)) {
                    return false;
                }
            }
        }
    }
    return true;
}

static bool empty(const char *path)
{
    int left = ENTRIES_MAX;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = fd >= 0 && empty_folder(fd, 0, &left);

    if (fd >= 0) {
        (void)close(fd);
    }
    return done;
}

/* --- the rest -------------------------------------------------------------------------
 */

static bool read_space(struct state *s, size_t i)
{
    struct statfs f;

    if (statfs(writable[i], &f) < 0) {
        return false;
    }
    s->space[i].blocks = f.f_blocks;
    s->space[i].blocks_free = f.f_bfree;
    s->space[i].files = f.f_files;
    s->space[i].files_free = f.f_ffree;
    return true;
}

/* Of the network namespace: how many sockets there are, also those whose process is gone,
 * for they are on their way in a message that nobody received; whether a packet has ever
 * passed, which may have left a connection that waits or a measured path; and leases of
 * IPv6 flow labels, which outlive their sockets. The rest only counts. */
static const struct {
    const char *path;
    const char *until; /* what comes then is the host's, or NULL */
    bool optional;     /* a kernel without IPv6 has no labels */
} network[NETWORK_FILES] = {
    {"/proc/self/net/sockstat", "\n", false},
    {"/proc/self/net/dev", NULL, false},
    {"/proc/self/net/ip6_flowlabel", NULL, true},
};

static bool open_network(void)
{
    for (size_t i = 0; i < NETWORK_FILES; i++) {
        network_fds[i] = open(network[i].path, O_RDONLY | O_CLOEXEC);
        if (network_fds[i] < 0 && !(network[i].optional && errno == ENOENT)) {
            return false;
        }
    }
    return true;
}

static bool read_network(struct state *s)
{
    for (size_t i = 0; i < NETWORK_FILES; i++) {
        char *text = s->network[i], *end;
        ssize_t n = 0;

        if (network_fds[i] >= 0) {
            n = pread(network_fds[i], text, NETWORK_BYTES - 1, 0);
        }
        if (n < 0 || n == NETWORK_BYTES - 1) {
            return false;
        }
        memset(text + n, 0, NETWORK_BYTES - (size_t)n);
        end = network[i].until != NULL ? strstr(text, network[i].until) : NULL;
        if (end != NULL) {
            memset(end, 0, (size_t)(text + n - end));
        }
    }
    return true;
}

static bool read_limits(struct state *s)
{
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        if (getrlimit((__rlimit_resource_t)i, &s->limits[i]) < 0) {
            return false;
        }
    }
    return true;
}

static bool read_scheduling(struct state *s)
{
    enum { WHO_PROCESS = 1 };

    s->io_priority = syscall(SYS_ioprio_get, WHO_PROCESS, 0);
    return syscall(SYS_sched_getattr, 0, s->scheduling, SCHED_BYTES, 0) == 0 &&
           syscall(SYS_sched_getaffinity, 0, CPUS_BYTES, s->cpus) > 0;
}

/* Pending ones would be there for ever, and count against the user's limit. (The C
 * library's sigisemptyset() looks at the first 32 only.) */
static bool has_signals(void)
{
    const uint64_t child = 1ULL << (SIGCHLD - 1);
    uint64_t pending = 0;

    return syscall(SYS_rt_sigpending, &pending, sizeof(pending)) < 0 ||
           (pending & ~child) != 0;
}

/* Message queues of POSIX cannot be made: their limit is 0. */
static bool has_ipc(void)
{
    struct shm_info shm;
    struct seminfo sem;
    struct msginfo msg;

    return shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&shm) < 0 || shm.used_ids > 0 ||
           semctl(0, 0, SEM_INFO, &sem) < 0 || sem.semusz > 0 ||
           msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&msg) < 0 || msg.msgpool > 0;
}

static bool is_empty(struct state *now, size_t i)
{
    return read_space(now, i) &&
           memcmp(&now->space[i], &before.space[i], sizeof(now->space[i])) == 0;
}

void clean_mark(void)
{
    bool good;

    if (marked) {
        return;
    }
    good = open_network();
    for (size_t i = 0; i < WRITABLE; i++) {
        good = good && read_space(&before, i);
    }
    marked = good && read_network(&before) && read_limits(&before) &&
             read_scheduling(&before) && !has_ipc() && !has_signals();
}

const char *clean_up(int signals, bool children)
{
    static struct state now;

    if (!marked) {
        return "unknown state";
    }
    if (children && !end_all(signals)) {
        return "processes";
    }
    memset(&now, 0, sizeof(now));
    if (!read_limits(&now) ||
        memcmp(now.limits, before.limits, sizeof(now.limits)) != 0) {
        return "resource limits";
    }
    if (!read_scheduling(&now) || now.io_priority != before.io_priority ||
        memcmp(now.scheduling, before.scheduling, sizeof(now.scheduling)) != 0 ||
        memcmp(now.cpus, before.cpus, sizeof(now.cpus)) != 0) {
        return "scheduling";
    }
    if (has_signals()) {
        return "signals";
    }
    for (size_t i = 0; i < WRITABLE; i++) {
        if (!is_empty(&now, i) && !(empty(writable[i]) && is_empty(&now, i))) {
            return "files";
        }
    }
    if (has_ipc()) {
        return "System V IPC";
    }
    if (!read_network(&now) ||
        memcmp(now.network, before.network, sizeof(now.network)) != 0) {
        return "network";
    }
    return NULL;
}
