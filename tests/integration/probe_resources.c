/* Attempts at having more than one's share. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/integration/probe.h"

static int of(long rc)
{
    return rc < 0 ? errno : 0;
}

/* --- bounds ------------------------------------------------------------------- */

static void count(const char *what, int (*take)(void))
{
    unsigned n = 0;
    pid_t pid;

    (void)fflush(stdout);
    pid = fork();
    if (pid == 0) {
        while (n < 1000000 && take() >= 0) {
            n++;
        }
        (void)printf("%s %u %s\n", what, n, strerrorname_np(errno));
        (void)fflush(stdout);
        _exit(0);
    }
    (void)waitpid(pid, NULL, 0);
}

static int take_file(void)
{
    return open("/dev/null", O_RDONLY);
}

static int take_inotify(void)
{
    return inotify_init1(0);
}

static int take_epoll(void)
{
    return epoll_create1(0);
}

static int take_signal(void)
{
    static sigset_t set;
    const union sigval value = {0};

    (void)sigaddset(&set, SIGRTMIN);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return sigqueue(getpid(), SIGRTMIN, value);
}

static int take_timer(void)
{
    timer_t timer;

    return timer_create(CLOCK_MONOTONIC, NULL, &timer);
}

static int lock_memory(const char *arg)
{
    size_t len = 1 << 20;
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? errno : of(mlock(p, len));
}

static int write_far(const char *arg)
{
    int fd = open("/tmp/far", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    (void)signal(SIGXFSZ, SIG_IGN);
    return of(pwrite(fd, "x", 1, 1LL << 40));
}

static int make_queue(const char *arg)
{
    return of(mq_open("/mayfly", O_CREAT | O_RDWR, 0666, NULL));
}

static int be_real_time(const char *arg)
{
    const struct sched_param p = {.sched_priority = 1};

    return of(sched_setscheduler(0, SCHED_FIFO, &p));
}

static int be_important(const char *arg)
{
    return of(setpriority(PRIO_PROCESS, 0, -1));
}

static int raise_limit(const char *arg)
{
    struct rlimit l;

    (void)getrlimit(RLIMIT_NOFILE, &l);
    l.rlim_max += 1;
    return of(setrlimit(RLIMIT_NOFILE, &l));
}

static int lower_oom_score(const char *arg)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    return fd < 0 ? errno : of(write(fd, arg, strlen(arg)));
}

static void run_bounds(char **args)
{
    struct rlimit core;

    (void)getrlimit(RLIMIT_CORE, &core);
    (void)printf("core %llu %llu\n", (unsigned long long)core.rlim_cur,
                 (unsigned long long)core.rlim_max);
    count("files", take_file);
    count("inotify", take_inotify);
    count("epoll", take_epoll);
    count("signals", take_signal);
    count("timers", take_timer);
    probe_try("mlock", lock_memory, NULL);
    probe_try("far", write_far, NULL);
    probe_try("mqueue", make_queue, NULL);
    probe_try("real-time", be_real_time, NULL);
    probe_try("nice", be_important, NULL);
    probe_try("raise-limit", raise_limit, NULL);
    probe_try("oom-score-499", lower_oom_score, "499");
    probe_try("oom-score-500", lower_oom_score, "500");
}

/* Takes all that it gets and stays. */
static void run_hold(char **args)
{
    unsigned inotify = 0, signals = 0;

    while (inotify_init1(0) >= 0) {
        inotify++;
    }
    while (take_signal() >= 0) {
        signals++;
    }
    (void)printf("staying inotify %u signals %u\n", inotify, signals);
    (void)sleep(1000);
}

/* One of each. */
static int one_inotify(const char *arg)
{
    return of(take_inotify());
}

static int one_signal(const char *arg)
{
    return of(take_signal());
}

static void run_one(char **args)
{
    probe_try("inotify", one_inotify, NULL);
    probe_try("signal", one_signal, NULL);
}

/* --- memory ------------------------------------------------------------------- */

static void fill_fd(int fd, size_t bytes)
{
    static char block[65536];

    memset(block, 'x', sizeof(block));
    for (size_t done = 0; done < bytes; done += sizeof(block)) {
        if (write(fd, block, sizeof(block)) < 0) {
            (void)printf("stopped at %zu %s\n", done, strerrorname_np(errno));
            return;
        }
    }
    (void)printf("had %zu\n", bytes);
}

/* Socket buffers: many connections that nobody reads. */
static void fill_sockets(size_t bytes)
{
    static char block[65536];
    size_t done = 0;
    int pair[2];

    while (done < bytes &&
           socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0) {
        int size = 4 << 20;
        ssize_t n;

        (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        while ((n = write(pair[0], block, sizeof(block))) > 0) {
            done += (size_t)n;
        }
    }
    (void)printf("had %zu\n", done);
}

/* memory KIND BYTES: anonymous, file (in /tmp), memfd or sockets. */
static void run_memory(char **args)
{
    size_t bytes = strtoul(args[1], NULL, 10);

    if (strcmp(args[0], "anonymous") == 0) {
        char *p =
            mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p != MAP_FAILED) {
            memset(p, 1, bytes);
        }
        (void)printf("had %zu\n", bytes);
    } else if (strcmp(args[0], "file") == 0) {
        fill_fd(open("/tmp/hog", O_CREAT | O_WRONLY | O_CLOEXEC, 0600), bytes);
    } else if (strcmp(args[0], "memfd") == 0) {
        fill_fd(memfd_create("hog", MFD_CLOEXEC), bytes);
    } else {
        fill_sockets(bytes);
    }
}

/* A child that has more than there is; its parent stays and says what became of it. */
static void run_sacrifice(char **args)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        run_memory((char *[]){(char[]){"anonymous"}, args[0], NULL});
        _exit(0);
    }
    (void)waitpid(pid, &status, 0);
    (void)printf("child %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    (void)printf("staying\n");
    (void)sleep(1000);
}

/* --- time and output ------------------------------------------------------------ */

static void run_spin(char **args)
{
    long ms = strtol(args[0], NULL, 10);
    struct timespec begin, now;

    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - begin.tv_sec) * 1000 +
                 (now.tv_nsec - begin.tv_nsec) / 1000000 <
             ms);
}

static void run_flood(char **args)
{
    static char line[4096];

    memset(line, 'x', sizeof(line) - 1);
    for (;;) {
        (void)puts(line);
    }
}

/* A daemon as they used to be made: it keeps stdout open, which tells of its life. Its
 * parent waits until it has left the process group, for init kills that. */
static void run_daemon(char **args)
{
    int ends[2];
    char byte;

    if (pipe(ends) < 0) {
        return;
    }
    if (fork() != 0) {
        (void)close(ends[1]);
        (void)!read(ends[0], &byte, 1);
        return;
    }
    (void)setsid();
    for (int sig = 1; sig < 65; sig++) {
        (void)signal(sig, SIG_IGN);
    }
    if (fork() != 0) {
        _exit(0);
    }
    (void)printf("staying\n");
    (void)close(ends[1]);
    for (;;) {
        (void)sleep(1000);
    }
}

/* Stops all that it can, and then itself. */
static void run_stop(char **args)
{
    (void)kill(-1, SIGSTOP);
    (void)printf("staying\n");
    (void)kill(getpid(), SIGSTOP);
    (void)sleep(1000);
}

const struct probe_group probe_resource_groups[] = {
    {"bounds", run_bounds},
    {"hold", run_hold},
    {"one", run_one},
    {"memory", run_memory},
    {"spin", run_spin},
    {"flood", run_flood},
    {"sacrifice", run_sacrifice},
    {"daemon", run_daemon},
    {"stop", run_stop},
    {NULL, NULL},
};
