/* Pid 1 of a sandbox. Starts processes on the agent's word, tells how they end, reaps the
 * rest. Without privileges, under the sandbox's seccomp filter.
 *
 * Descriptor 3 is the connection to the agent, and before that to the warden; when it
 * ends, so does the sandbox. */
#include <errno.h>
#include <fcntl.h>
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
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/warden/init_blank.h"
#include "agent/warden/init_clean.h"
#include "agent/warden/init_program.h"
#include "agent/warden/init_proto.h"
#include "agent/warden/init_seed.h"
#include "common/fd_message.h"

#define CONTROL  CONTROL_FD
#define RUNS_MAX 1024
#define ARGS_MAX 4096

struct run {
    uint32_t id;
    pid_t pid;  /* 0: free */
    int out[2]; /* its standard output and error, or -1: they end after its end was told,
                   which is then all that wakes the agent */
    bool once;  /* the next one must see nothing of it */
};

/* Why a process did not start. */
struct failure {
    int error; /* 0: it did */
    const char *step;
};

static struct run runs[RUNS_MAX];
static size_t
    n_runs; /* those at or after it were never in use: their memory is not there */
static char message[INIT_MESSAGE_MAX];
static size_t message_len;     /* of the one that came last */
static struct failure failure; /* of the start that goes on; the new process writes it */
static int oom_fd;
static int signals_fd;

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
 * when it was root. A blank is offered already: its function need not wait for that. */
static void offer_to_oom_killer(bool offer)
{
    static bool offered;
    const char *score = offer ? "900" : INIT_OOM_SCORE;

    if (offer != offered) {
        (void)!pwrite(oom_fd, score, strlen(score), 0);
    }
    offered = offer;
}

/* With what a look at the program adds to errno. */
static void tell_not_executed(uint32_t run, int error, const char *program)
{
    const char *word;

    (void)program_check(program, &word);
    tell_failed(run, error, "execute", *word != '\0' ? word : program);
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
    (void)program_execute(argv, envp);
    give_up("execute");
}

static struct run *free_run(void)
{
    for (size_t i = 0; i < n_runs; i++) {
        if (runs[i].pid == 0) {
            return &runs[i];
        }
    }
    return n_runs < RUNS_MAX ? &runs[n_runs++] : NULL;
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

    *run = (struct run){.id = m->run, .pid = pid, .out = {-1, -1}};
    if (m->value != INIT_RUN_QUIETLY && m->value != INIT_RUN_ONCE) {
        tell(&started, "");
    }
}

/* Takes the second and the third of fds. */
static void keep_output(struct run *run, int fds[3])
{
    memcpy(run->out, fds + 1, sizeof(run->out));
    fds[1] = fds[2] = -1;
}

static void close_all(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
            fds[i] = -1;
        }
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

/* What a process is started with: of the message, whose strings it points to. */
struct program {
    char **argv, **envp;
    const char *env;
    uint32_t env_len;
};

/* False: malformed. Both lists are in one array: few pages of it are touched. */
static bool program_of(const struct init_message *m, char *text, struct program *ret)
{
    static char *strings[2 * (ARGS_MAX + 1)];
    char *env, *end;

    if (m->n_argv == 0 || m->n_argv > ARGS_MAX || m->n_env > ARGS_MAX) {
        return false;
    }
    ret->argv = strings;
    ret->envp = strings + m->n_argv + 1;
    if (!split(text, m->len, m->n_argv, ret->argv, &env) ||
        !split(env, m->len - (uint32_t)(env - text), m->n_env, ret->envp, &end)) {
        return false;
    }
    ret->env = env;
    ret->env_len = (uint32_t)(end - env);
    return true;
}

static void on_run(const struct init_message *m, char *text, int fds[3])
{
    bool of_seed = m->type == INIT_RUN && m->value == INIT_RUN_SEED;
    const int *use = of_seed ? seed_fds() : fds;
    struct run *run = free_run();
    struct program p;
    pid_t pid = 0;

    if (use[2] < 0 || !program_of(m, text, &p)) {
        tell_failed(m->run, EINVAL, "malformed request", "");
    } else if (m->type == INIT_SEED) {
        seed_start(p.argv, p.envp, fds);
    } else if (run == NULL) {
        tell_failed(m->run, EAGAIN, "too many processes", "");
    } else if (of_seed && (pid = seed_take(p.argv[0], p.env, p.env_len)) > 0) {
        tell_started(m, run, pid);
    } else {
        if (m->value == INIT_RUN_ONCE) {
            clean_mark();
        }
        start(m, run, p.argv, p.envp, use);
        if (!of_seed && run->pid != 0) {
            keep_output(run, fds);
            run->once = m->value == INIT_RUN_ONCE;
        }
    }
    if (of_seed) {
        seed_close();
    }
}

static void on_check(const struct init_message *m, char *text)
{
    struct init_message found = {.type = INIT_STARTED, .run = m->run};
    char *argv[2], *rest;
    const char *word;

    if (m->n_argv != 1 || !split(text, m->len, 1, argv, &rest)) {
        tell_failed(m->run, EINVAL, "malformed request", "");
    } else if (program_check(argv[0], &word) < 0) {
        tell_not_executed(m->run, errno, argv[0]);
    } else {
        tell(&found, "");
    }
}

static void on_signal_request(const struct init_message *m)
{
    for (size_t i = 0; i < n_runs; i++) {
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

static void receive(void)
{
    struct init_message m;
    struct iovec parts[2] = {{&m, sizeof(m)}, {message, sizeof(message)}};
    int fds[3];
    ssize_t n = fd_message_receive(CONTROL, parts, 2, fds, 3, 0);

    if (n == -EAGAIN) {
        return;
    }
    if (n < (ssize_t)sizeof(m) || (size_t)n != sizeof(m) + m.len) {
        _exit(0); /* gone, or speaking another language */
    }
    message_len = m.len;
    if (m.type == INIT_RUN || m.type == INIT_SEED) {
        on_run(&m, message, fds);
    } else if (m.type == INIT_SIGNAL) {
        on_signal_request(&m);
    } else if (m.type == INIT_CHECK) {
        on_check(&m, message);
    } else if (m.type == INIT_BEGIN) {
        on_begin(&m);
    }
    close_all(fds, 3);
}

static uint64_t microseconds(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

/* After the run's end was told: nobody waits for this but the next one. A program that
 * was killed may have been by whom the kernel was short of memory. */
static void clear_away(uint32_t run, int status, bool children)
{
    struct init_message m = {.type = INIT_SOILED, .run = run};
    const char *soiled = WIFEXITED(status) ? clean_up(signals_fd, children) : "a signal";

    memset(message, 0, message_len);
    if (soiled != NULL) {
        m.len = (uint32_t)strlen(soiled);
    } else {
        m.type = INIT_CLEAN;
    }
    tell(&m, soiled != NULL ? soiled : "");
}

static void end_run(struct run *run, int status, const struct rusage *usage)
{
    const struct init_message m = {
        .type = INIT_EXITED,
        .run = run->id,
        .value = status,
        .cpu_us = microseconds(usage->ru_utime) + microseconds(usage->ru_stime),
        .memory_peak_kib = (uint64_t)usage->ru_maxrss,
    };

    tell(&m, "");
    (void)kill(-run->pid, SIGKILL); /* whom it left behind */
    run->pid = 0;
    close_all(run->out, 2);
}

static void reap(void)
{
    const struct run *once = NULL;
    struct rusage usage;
    int status, once_status = 0;
    pid_t pid;

    while ((pid = wait4(-1, &status, WNOHANG | __WALL, &usage)) > 0) {
        seed_ended(pid);
        for (size_t i = 0; i < n_runs; i++) {
            if (runs[i].pid == pid) {
                end_run(&runs[i], status, &usage);
                if (runs[i].once) {
                    once = &runs[i];
                    once_status = status;
                }
            }
        }
    }
    if (once != NULL) {
        clear_away(once->id, once_status, pid == 0);
    }
}

int init_serve(int oom)
{
    struct pollfd polls[3] = {
        {.fd = CONTROL, .events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};
    sigset_t set;

    oom_fd = oom;
    offer_to_oom_killer(true);
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)sigfillset(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    polls[1].fd = signals_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals_fd < 0) {
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
