/* Pid 1 of a sandbox. Starts processes on the agent's word, tells how they end, reaps the
 * rest. Without privileges, under the sandbox's seccomp filter.
 *
 * Descriptor 3 is the connection to the agent, and before that to the warden; when it
 * ends, so does the sandbox. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/warden/init_blank.h"
#include "agent/warden/init_proto.h"
#include "agent/warden/init_seed.h"

#define CONTROL  CONTROL_FD
#define RUNS_MAX 1024
#define ARGS_MAX 4096

struct run {
    uint32_t id;
    pid_t pid; /* 0: free */
};

/* Why a process did not start. */
struct failure {
    int error; /* 0: it did */
    const char *step;
};

static struct run runs[RUNS_MAX];
static char message[INIT_MESSAGE_MAX];
static struct failure failure; /* of the start that goes on; the new process writes it */
static int oom_fd;

/* --- to the agent ------------------------------------------------------------- */

static void tell(const struct init_message *m, const char *text)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)m, sizeof(*m)},
                             {(void *)(uintptr_t)text, m->len}};
    struct msghdr head = {.msg_iov = parts, .msg_iovlen = 2};

    while (sendmsg(CONTROL, &head, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR) {
            _exit(0); /* the agent has gone */
        }
    }
}

static void tell_failed(uint32_t run, int error, const char *step, const char *path)
{
    struct init_message m = {.type = INIT_FAILED, .run = run, .value = error};
    char text[400];
    int len =
        snprintf(text, sizeof(text), "%s%s%.300s", step, *path != '\0' ? " " : "", path);

    m.len = (uint32_t)len;
    tell(&m, text);
}

/* --- starting a process --------------------------------------------------------- */

static void give_up(const char *step)
{
    failure = (struct failure){errno, step};
    _exit(127);
}

/* Memory that runs out takes the function's processes rather than init, which reports it.
 * They have what init has when they are made; it may go back, for the warden has set it
 * when it was root. */
static void offer_to_oom_killer(bool offer)
{
    const char *score = offer ? "900" : INIT_OOM_SCORE;

    (void)!pwrite(oom_fd, score, strlen(score), 0);
}

/* A check's own word about the program, for people; "" if there is none. */
static char check_word[320];

/* The interpreter that a script names in its first line (execve(2)) must be there; a line
 * that ends in CRLF names one with a CR at its end. */
static int check_interpreter(const char *path, const char *line)
{
    const char *name = line + strspn(line, " \t");
    size_t len = strcspn(name, " \t\n");
    char interpreter[256];
    bool cr = len > 0 && name[len - 1] == '\r';

    memcpy(interpreter, name, len);
    interpreter[len] = '\0';
    if (len > 0 && faccessat(AT_FDCWD, interpreter, X_OK, 0) == 0) {
        return 0;
    }
    (void)snprintf(check_word, sizeof(check_word), "%.100s: its interpreter \"%.*s%s\"%s",
                   path, (int)(cr ? len - 1 : len), interpreter, cr ? "\\r" : "",
                   cr ? " (its lines end in CRLF)" : "");
    errno = len > 0 ? errno : ENOEXEC;
    return -1;
}

/* What is plain text without an interpreter line will not be executed by the kernel. What
 * is neither that nor a script may be anything that this kernel can run. */
static int check_format(const char *path)
{
    char head[256] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, head, sizeof(head) - 1) : -1;

    if (fd >= 0) {
        (void)close(fd);
    }
    if (n < 0) {
        return 0; /* it may be executed, but not read: the kernel will tell */
    }
    if (strncmp(head, "#!", 2) == 0) {
        return check_interpreter(path, head + 2);
    }
    for (ssize_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)head[i];

        if (c < ' ' && c != '\t' && c != '\n' && c != '\r') {
            return 0;
        }
    }
    (void)snprintf(check_word, sizeof(check_word),
                   "%.100s: it is no program, and has no interpreter line (#!/bin/sh)",
                   path);
    errno = ENOEXEC;
    return -1;
}

/* execve(2), or with envp NULL: would it find something that it may run? */
static int try_one(const char *path, char *const *argv, char *const *envp)
{
    struct stat st;

    if (envp != NULL) {
        return execve(path, argv, envp);
    }
    if (stat(path, &st) < 0) {
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        errno = EACCES; /* as execve(2) has it */
        return -1;
    }
    return faccessat(AT_FDCWD, path, X_OK, 0) < 0 ? -1 : check_format(path);
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* 0: found, of a check only. -1: errno says why not. */
static int execute(char *const *argv, char *const *envp)
{
    static const char *const folders[] = {
        "/var/task", "/usr/local/sbin", "/usr/local/bin",
        "/usr/sbin", "/usr/bin",        "/sbin",
        "/bin"};
    char path[PATH_MAX];
    int error = ENOENT;

    if (strchr(argv[0], '/') != NULL) {
        return try_one(argv[0], argv, envp);
    }
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folders[i], argv[0]);
        if (try_one(path, argv, envp) == 0) {
            return 0;
        }
        if (errno == EACCES && is_folder(path)) {
            error =
                EACCES; /* maybe a package's folder `node`: the program is elsewhere */
        } else if (errno != ENOENT && errno != ENOTDIR) {
            error = errno;
            break;
        }
    }
    errno = error;
    return -1;
}

/* With what a look at the program adds to errno. */
static void tell_not_executed(uint32_t run, int error, const char *program)
{
    char *argv[] = {(char *)(uintptr_t)program, NULL};

    check_word[0] = '\0';
    (void)execute(argv, NULL);
    tell_failed(run, error, "execute", *check_word != '\0' ? check_word : program);
}

/* In init's own memory, which waits until this has executed or ended. */
static void become(char *const *argv, char *const *envp, const int fds[4])
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)signal(SIGPIPE, SIG_DFL);
    if (setpgid(0, 0) < 0) {
        give_up("setpgid");
    }
    for (int i = 0; i < 4; i++) {
        if (fds[i] >= 0 && dup2(fds[i], i) < 0) {
            give_up("dup2");
        }
    }
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execute(argv, envp);
    give_up("execute");
}

static struct run *free_run(void)
{
    for (size_t i = 0; i < RUNS_MAX; i++) {
        if (runs[i].pid == 0) {
            return &runs[i];
        }
    }
    return NULL;
}

/* Returns when the new process has executed its program, or failed to: nothing is copied
 * for it. Another process of the function can stop it before that, and then nothing more
 * starts here until the sandbox is killed, which is how all of them end. */
pid_t init_spawn(char *const *argv, char *const *envp, const int fds[4], int *ret_error)
{
    pid_t pid;

    failure = (struct failure){0};
    offer_to_oom_killer(true);
    pid = vfork();
    if (pid == 0) {
        become(argv, envp, fds);
    }
    if (pid < 0) {
        failure = (struct failure){errno, "fork"};
    }
    offer_to_oom_killer(false);
    *ret_error = failure.error;
    if (failure.error != 0 && pid > 0) {
        (void)waitpid(pid, NULL, 0);
    }
    return pid;
}

void init_tell_seeded(int error)
{
    const struct init_message m = {.type = INIT_SEEDED, .value = error};

    tell(&m, "");
}

void init_tell_settled(void)
{
    const struct init_message m = {.type = INIT_SETTLED};

    tell(&m, "");
}

static void tell_started(const struct init_message *m, struct run *run, pid_t pid)
{
    struct init_message started = {.type = INIT_STARTED, .run = m->run};

    *run = (struct run){.id = m->run, .pid = pid};
    if (m->value != INIT_RUN_QUIETLY) {
        tell(&started, "");
    }
}

static void start(const struct init_message *m, struct run *run, char *const *argv,
                  char *const *envp, const int fds[3])
{
    int error;
    pid_t pid =
        init_spawn(argv, envp, (const int[4]){fds[0], fds[1], fds[2], -1}, &error);

    if (error == 0) {
        tell_started(m, run, pid);
    } else if (strcmp(failure.step, "execute") == 0) {
        tell_not_executed(m->run, error, argv[0]);
    } else {
        tell_failed(m->run, error, failure.step, "");
    }
}

/* Splits the message's strings. False: malformed. */
static bool split(char *text, uint32_t len, uint32_t n, char **ret, char **ret_end)
{
    char *at = text, *end = text + len;

    for (uint32_t i = 0; i < n; i++) {
        char *nul = at < end ? memchr(at, '\0', (size_t)(end - at)) : NULL;

        if (nul == NULL) {
            return false;
        }
        ret[i] = at;
        at = nul + 1;
    }
    ret[n] = NULL;
    *ret_end = at;
    return true;
}

static void on_run(const struct init_message *m, char *text, const int fds[3])
{
    static char *argv[ARGS_MAX + 1], *envp[ARGS_MAX + 1];
    bool of_seed = m->type == INIT_RUN && m->value == INIT_RUN_SEED;
    const int *use = of_seed ? seed_fds() : fds;
    struct run *run = free_run();
    char *env, *end;
    pid_t pid = 0;

    if (m->n_argv == 0 || m->n_argv > ARGS_MAX || m->n_env > ARGS_MAX || use[2] < 0 ||
        !split(text, m->len, m->n_argv, argv, &env) ||
        !split(env, m->len - (uint32_t)(env - text), m->n_env, envp, &end)) {
        tell_failed(m->run, EINVAL, "malformed request", "");
    } else if (m->type == INIT_SEED) {
        seed_start(argv, envp, fds);
    } else if (run == NULL) {
        tell_failed(m->run, EAGAIN, "too many processes", "");
    } else if (of_seed && (pid = seed_take(argv[0], env, (uint32_t)(end - env))) > 0) {
        tell_started(m, run, pid);
    } else {
        start(m, run, argv, envp, use);
    }
    if (of_seed) {
        seed_close();
    }
}

static void on_check(const struct init_message *m, char *text)
{
    struct init_message found = {.type = INIT_STARTED, .run = m->run};
    char *argv[2], *rest;

    if (m->n_argv != 1 || !split(text, m->len, 1, argv, &rest)) {
        tell_failed(m->run, EINVAL, "malformed request", "");
    } else if (execute(argv, NULL) < 0) {
        tell_not_executed(m->run, errno, argv[0]);
    } else {
        tell(&found, "");
    }
}

static void on_signal_request(const struct init_message *m)
{
    for (size_t i = 0; i < RUNS_MAX; i++) {
        if (runs[i].pid != 0 && runs[i].id == m->run) {
            (void)kill(-runs[i].pid, m->value);
        }
    }
}

/* The warden has put the function's files in place: the folder that this process is in
 * lies under them. */
static void on_begin(const struct init_message *m)
{
    struct rlimit now, file = {m->file_bytes, m->file_bytes};

    if (getrlimit(RLIMIT_FSIZE, &now) < 0) {
        _exit(1);
    }
    file.rlim_max = now.rlim_max < file.rlim_max ? now.rlim_max : file.rlim_max;
    file.rlim_cur = file.rlim_max;
    seed_hush();
    seed_limit(&file);
    if (setrlimit(RLIMIT_FSIZE, &file) < 0 || chdir("/var/task") < 0) {
        _exit(1);
    }
}

/* --- from the agent --------------------------------------------------------------- */

static void take_fds(struct msghdr *head, int fds[3])
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c != NULL; c = CMSG_NXTHDR(head, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

            memcpy(fds, CMSG_DATA(c), (n < 3 ? n : 3) * sizeof(int));
        }
    }
}

static void receive(void)
{
    struct init_message m;
    struct iovec parts[2] = {{&m, sizeof(m)}, {message, sizeof(message)}};
    union {
        char bytes[CMSG_SPACE(3 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr head = {.msg_iov = parts,
                          .msg_iovlen = 2,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof(control.bytes)};
    int fds[3] = {-1, -1, -1};
    ssize_t n = recvmsg(CONTROL, &head, MSG_CMSG_CLOEXEC);

    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    if (n < (ssize_t)sizeof(m) || (size_t)n != sizeof(m) + m.len) {
        _exit(0); /* gone, or speaking another language */
    }
    take_fds(&head, fds);
    if (m.type == INIT_RUN || m.type == INIT_SEED) {
        on_run(&m, message, fds);
    } else if (m.type == INIT_SIGNAL) {
        on_signal_request(&m);
    } else if (m.type == INIT_CHECK) {
        on_check(&m, message);
    } else if (m.type == INIT_BEGIN) {
        on_begin(&m);
    }
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
}

static uint64_t microseconds(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

static void reap(void)
{
    struct rusage usage;
    int status;
    pid_t pid;

    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
        seed_ended(pid);
        for (size_t i = 0; i < RUNS_MAX; i++) {
            struct init_message m = {
                .type = INIT_EXITED, .run = runs[i].id, .value = status};

            if (runs[i].pid != pid) {
                continue;
            }
            runs[i].pid = 0;
            (void)kill(-pid, SIGKILL); /* whom it left behind */
            m.cpu_us = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
            m.memory_peak_kib = (uint64_t)usage.ru_maxrss;
            tell(&m, "");
        }
    }
}

int init_serve(int oom)
{
    struct pollfd polls[3] = {
        {.fd = CONTROL, .events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};
    sigset_t set;

    oom_fd = oom;
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)sigfillset(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    polls[1].fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (polls[1].fd < 0) {
        return 1;
    }
    for (;;) {
        struct signalfd_siginfo info;

        polls[2].fd = seed_fd();
        if (poll(polls, 3, -1) < 0 && errno != EINTR) {
            return 1;
        }
        if (polls[2].fd >= 0 && polls[2].revents != 0) {
            seed_heard();
        }
        if (polls[1].revents & POLLIN) {
            (void)!read(polls[1].fd, &info, sizeof(info));
            reap();
        }
        if (polls[0].revents != 0) {
            receive();
        }
    }
}
