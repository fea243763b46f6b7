/* The supervisor: starts controller and agent, in that order, waits until each is ready,
 * starts again what ends, and ends both on a signal.
 *
 *     STARTING --ready--> RUNNING --signal--> (stopped)
 *        |  a daemon ends, time is up, signal
 *        +----------------------------------> (failed, stopped) */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/backoff.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/random.h"
#include "controller/cli/dev.h"
#include "controller/cli/dev_log.h"
#include "controller/cli/http.h"
#include "controller/cli/print.h"

#define READY_STEP_MS  30
#define READY_ASK_MS   1000  /* for one answer to "are you ready?" */
#define STEADY_MS      60000 /* who ran so long begins with short pauses again */
#define LOGS_CHECK_MS  60000
#define AGENT_GRACE_MS 20000 /* its stop_grace and what comes after */
#define OTHER_GRACE_MS 10000

struct daemon {
    const char *name;
    const char *program;
    char *config, *log;
    uint16_t ready_port;
    struct process process; /* .pid 0: it does not run */
    uint64_t began_ms;
    uint64_t restart_ms; /* when to start it again */
    struct backoff backoff;
};

struct supervisor {
    struct dev *dev;
    struct daemon daemons[DEV_DAEMONS];
    struct dev_state state;
    enum { STARTING, RUNNING, STOPPING } phase;
    int signals;    /* signalfd */
    int report;     /* who started us detached, or -1 */
    unsigned stops; /* signals that said "stop" */
    char failure[512];
};

/* --- one daemon --------------------------------------------------------------- */

static void become_daemon(const struct daemon *d, int log)
{
    int null = open("/dev/null", O_RDWR);
    struct rlimit files;
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGHUP, SIG_DFL);
    (void)setpgid(0, 0); /* Ctrl-C is for the supervisor, which ends them in order */
    (void)umask(022);
    (void)unsetenv("NOTIFY_SOCKET");
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (null < 0 || chdir("/") < 0 || dup2(null, STDIN_FILENO) < 0 ||
        (log >= 0 && (dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0))) {
        _exit(126);
    }
    (void)execl(d->program, d->name, "--config", d->config, (char *)NULL);
    (void)fprintf(stderr, "execute %s: %s\n", d->program, strerror(errno));
    _exit(127);
}

/* Notes down who runs, so that a killed supervisor's daemons are found. */
static void note(struct supervisor *s)
{
    struct error err = {0};

    for (unsigned i = 0; i < DEV_DAEMONS; i++) {
        s->state.daemons[i] = s->daemons[i].process;
    }
    s->state.ready = s->phase == RUNNING;
    if (dev_state_write(s->dev->dir, &s->state, &err) < 0) {
        cli_say(s->dev->c, "warning: %s", err.text);
    }
}

static int start(struct supervisor *s, struct daemon *d)
{
    _cleanup_close_ int log = -1;
    pid_t pid;

    if (s->dev->detach) {
        log = dev_log_open(d->log);
        if (log < 0) {
            return log;
        }
    }
    pid = fork();
    if (pid == 0) {
        become_daemon(d, log);
    }
    if (pid < 0) {
        return -errno;
    }
    d->began_ms = clock_mono_ms();
    d->process = process_of(pid);
    d->process.pid = pid; /* also if it ended by now: it is reaped */
    note(s);
    return 0;
}

static void start_again(struct supervisor *s, struct daemon *d)
{
    int rc = start(s, d);

    if (rc < 0) {
        uint32_t pause_ms = backoff_next_ms(&d->backoff, random_u64());

        cli_say(s->dev->c, "cannot start %s: %s; trying again in %u ms", d->name,
                strerror(-rc), pause_ms);
        d->restart_ms = clock_mono_ms() + pause_ms;
    }
}

static void describe_end(int status, char *ret, size_t size)
{
    if (WIFSIGNALED(status)) {
        (void)snprintf(ret, size, "was killed by signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    } else {
        (void)snprintf(ret, size, "ended with status %d", WEXITSTATUS(status));
    }
}

static void on_end(struct supervisor *s, struct daemon *d, int status)
{
    char how[128];
    uint32_t pause_ms;

    d->process = (struct process){0};
    describe_end(status, how, sizeof(how));
    if (s->phase == STOPPING) {
        return;
    }
    if (s->phase == STARTING) {
        (void)snprintf(s->failure, sizeof(s->failure), "%s %s before it was ready",
                       d->name, how);
        return;
    }
    if (clock_mono_ms() - d->began_ms > STEADY_MS) {
        backoff_reset(&d->backoff);
    }
    pause_ms = backoff_next_ms(&d->backoff, random_u64());
    d->restart_ms = clock_mono_ms() + pause_ms;
    cli_say(s->dev->c, "%s %s; starting it again in %u ms", d->name, how, pause_ms);
    note(s);
}

/* --- signals ------------------------------------------------------------------ */

static void reap(struct supervisor *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (unsigned i = 0; i < DEV_DAEMONS; i++) {
            if (s->daemons[i].process.pid == pid) {
                on_end(s, &s->daemons[i], status);
            }
        }
    }
}

/* Waits so long for signals at most, and acts on them. */
static void take_signals(struct supervisor *s, uint64_t wait_ms)
{
    struct pollfd fd = {.fd = s->signals, .events = POLLIN};
    struct signalfd_siginfo signal;

    (void)poll(&fd, 1, (int)wait_ms);
    while (read(s->signals, &signal, sizeof(signal)) == sizeof(signal)) {
        bool hangup = signal.ssi_signo == SIGHUP && s->dev->detach;

        if (signal.ssi_signo != SIGCHLD && !hangup) {
            s->stops++;
        }
    }
    reap(s);
}

static int take_over_signals(struct supervisor *s)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGQUIT);
    (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
        return -errno;
    }
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals < 0 ? -errno : 0;
}

/* --- starting ----------------------------------------------------------------- */

/* Asks a daemon of ours; the reply is to be freed. */
static bool ask(const struct supervisor *s, uint16_t port, const char *path,
                struct http_reply *ret)
{
    _cleanup_free_ char *url = cli_text("http://%s:%u%s", s->state.host, port, path);
    struct error err = {0};

    *ret = (struct http_reply){0};
    return url != NULL &&
           http_do(&(struct http_request){.method = "GET",
                                          .url = url,
                                          .timeout_ms = READY_ASK_MS,
                                          .connect_ms = READY_ASK_MS},
                   ret, &err) == 0 &&
           ret->status == 200;
}

/* Whether the controller has a node that functions can be placed on. */
static bool has_node(const struct supervisor *s)
{
    struct http_reply reply;
    json_t *json = ask(s, s->state.ports[DEV_REST], "/v1/status", &reply)
                       ? json_loadb(reply.body.data, reply.body.len, 0, NULL)
                       : NULL;
    bool has = json_number(json_object_get(json, "nodes"), "ready") > 0;

    json_decref(json);
    http_reply_free(&reply);
    return has;
}

static bool is_ready(const struct supervisor *s, const struct daemon *d)
{
    struct http_reply reply;
    bool ready = ask(s, d->ready_port, "/readyz", &reply);

    http_reply_free(&reply);
    return ready && (d != &s->daemons[DEV_AGENT] || has_node(s));
}

/* false: s->failure says why, or it is stopping. */
static bool start_and_wait(struct supervisor *s, struct daemon *d, uint64_t deadline)
{
    int rc = start(s, d);

    if (rc < 0) {
        (void)snprintf(s->failure, sizeof(s->failure), "cannot start %s: %s", d->name,
                       strerror(-rc));
        return false;
    }
    for (;;) {
        take_signals(s, READY_STEP_MS);
        if (s->stops > 0 || s->failure[0] != '\0') {
            return false;
        }
        if (is_ready(s, d)) {
            return true;
        }
        if (clock_mono_ms() >= deadline) {
            (void)snprintf(s->failure, sizeof(s->failure),
                           "%s was not ready within %u s (--ready-timeout)", d->name,
                           (unsigned)(s->dev->ready_ms / 1000));
            return false;
        }
    }
}

/* --- running and stopping ----------------------------------------------------- */

static uint64_t next_wait(const struct supervisor *s, uint64_t logs_ms)
{
    uint64_t now = clock_mono_ms();
    uint64_t next = logs_ms;

    for (unsigned i = 0; i < DEV_DAEMONS; i++) {
        const struct daemon *d = &s->daemons[i];

        if (d->process.pid == 0 && d->restart_ms < next) {
            next = d->restart_ms;
        }
    }
    return next > now ? next - now : 0;
}

static void supervise(struct supervisor *s)
{
    uint64_t logs_ms = clock_mono_ms() + LOGS_CHECK_MS;

    while (s->stops == 0) {
        take_signals(s, next_wait(s, logs_ms));
        for (unsigned i = 0; i < DEV_DAEMONS && s->stops == 0; i++) {
            struct daemon *d = &s->daemons[i];

            if (d->process.pid == 0 && clock_mono_ms() >= d->restart_ms) {
                start_again(s, d);
            }
        }
        if (clock_mono_ms() >= logs_ms) {
            logs_ms = clock_mono_ms() + LOGS_CHECK_MS;
            for (unsigned i = 0; i < DEV_DAEMONS && s->dev->detach; i++) {
                dev_log_rotate(s->daemons[i].log);
            }
        }
    }
}

/* Another signal while it waits means "now". */
static void stop(struct supervisor *s, struct daemon *d, uint64_t grace_ms)
{
    uint64_t deadline = clock_mono_ms() + grace_ms;
    unsigned stops = s->stops;
    uint64_t now;

    s->phase = STOPPING;
    if (d->process.pid == 0) {
        return;
    }
    (void)kill(d->process.pid, SIGTERM); /* not reaped yet: the pid is no other's */
    while (d->process.pid != 0 && s->stops == stops &&
           (now = clock_mono_ms()) < deadline) {
        take_signals(s, deadline - now);
    }
    if (d->process.pid != 0) {
        cli_say(s->dev->c, "%s did not end; killing it", d->name);
        (void)kill(d->process.pid, SIGKILL);
        while (d->process.pid != 0) {
            take_signals(s, 1000);
        }
    }
}

/* What the daemons left, and our own files. */
static void tidy(struct supervisor *s)
{
    struct error err = {0};

    if (dev_clean(s->dev->dir, &s->state, &err) < 0) {
        cli_say(s->dev->c, "warning: %s", err.text);
    }
    dev_config_remove(s->dev->dir);
    dev_state_remove(s->dev->dir);
}

static void report(const struct supervisor *s, const char *text)
{
    if (s->report >= 0) {
        (void)!write(s->report, text, strlen(text));
    }
}

static void init(struct supervisor *s, struct dev *d, int report_fd)
{
    *s = (struct supervisor){.dev = d, .report = report_fd, .signals = -1};
    for (unsigned i = 0; i < DEV_DAEMONS; i++) {
        s->daemons[i] = (struct daemon){.name = dev_daemon_names[i],
                                        .program = d->programs[i],
                                        .backoff = {.min_ms = 500, .max_ms = 30000}};
    }
    s->daemons[DEV_CONTROLLER].config = dev_path(d->dir, "controller.yaml");
    s->daemons[DEV_CONTROLLER].log = dev_path(d->dir, "log/controller.log");
    s->daemons[DEV_CONTROLLER].ready_port = d->ports[DEV_REST].port;
    s->daemons[DEV_AGENT].config = dev_path(d->dir, "agent.yaml");
    s->daemons[DEV_AGENT].log = dev_path(d->dir, "log/agent.log");
    s->daemons[DEV_AGENT].ready_port = d->ports[DEV_METRICS].port;
    s->state.supervisor = process_of(getpid());
    for (unsigned i = 0; i < DEV_PORTS; i++) {
        s->state.ports[i] = d->ports[i].port;
    }
    dev_config_url_host(d->host, s->state.host);
}

int dev_run(struct dev *d, int report_fd)
{
    struct supervisor s;
    uint64_t deadline = clock_mono_ms() + d->ready_ms;

    init(&s, d, report_fd);
    if (take_over_signals(&s) == 0 &&
        start_and_wait(&s, &s.daemons[DEV_CONTROLLER], deadline) &&
        start_and_wait(&s, &s.daemons[DEV_AGENT], deadline)) {
        s.phase = RUNNING;
        note(&s);
        report(&s, DEV_READY);
        if (!d->detach) {
            dev_announce(d, &s.state, true);
        }
        supervise(&s);
    }
    stop(&s, &s.daemons[DEV_AGENT], AGENT_GRACE_MS);
    stop(&s, &s.daemons[DEV_CONTROLLER], OTHER_GRACE_MS);
    tidy(&s);
    if (s.failure[0] != '\0') {
        report(&s, s.failure);
    }
    for (unsigned i = 0; i < DEV_DAEMONS; i++) {
        free(s.daemons[i].config);
        free(s.daemons[i].log);
    }
    (void)close(s.signals);
    if (s.failure[0] != '\0' && !d->detach) {
        return cli_fail(d->c, EXIT_CODE_FAILED, NULL, "mayfly doctor", "%s", s.failure);
    }
    return s.failure[0] != '\0' ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
