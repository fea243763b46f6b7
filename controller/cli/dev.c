#include "controller/cli/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/config.h"
#include "controller/cli/dev_log.h"
#include "controller/cli/doctor.h"
#include "controller/cli/print.h"
#include "controller/cli/programs.h"
#include "controller/cli/term.h"

#define READY_MS  60000
#define STOP_MS   45000 /* both daemons' grace and a little */
#define SETTLE_MS 5000  /* for a lock whose holder is just ending */
#define LOCK_STEP 200

static const struct {
    const char *option;
    uint16_t dflt;
} port_options[DEV_PORTS] = {
    [DEV_GATEWAY] = {"gateway-port", 8080},
    [DEV_REST] = {"rest-port", 8090},
    [DEV_HUB] = {"hub-port", 8091},
    [DEV_METRICS] = {"metrics-port", 8092},
};

/* --- options ------------------------------------------------------------------ */

static const char *folder_of(const struct cli *c)
{
    const char *dir = args_get(c->args, "dir");

    dir = dir != NULL ? dir : getenv("MAYFLY_DEV_DIR");
    return dir != NULL && *dir != '\0' ? dir : DEV_DIR_DEFAULT;
}

static int take_ports(struct dev *d)
{
    for (unsigned i = 0; i < DEV_PORTS; i++) {
        const char *text = args_get(d->c->args, port_options[i].option);
        char *end = NULL;
        unsigned long port =
            text != NULL ? strtoul(text, &end, 10) : port_options[i].dflt;

        if (text != NULL && (*end != '\0' || port == 0 || port > UINT16_MAX)) {
            return cli_fail(d->c, EXIT_CODE_USAGE, NULL, "give a number from 1 to 65535",
                            "--%s is \"%.20s\"", port_options[i].option, text);
        }
        d->ports[i].port = (uint16_t)port;
        d->ports[i].given = text != NULL;
    }
    return EXIT_CODE_OK;
}

static int take_options(struct dev *d)
{
    const char *host = args_get(d->c->args, "host");
    const char *ready = args_get(d->c->args, "ready-timeout");

    d->detach = args_has(d->c->args, "detach");
    d->host = host != NULL ? host : "127.0.0.1";
    d->host = strcmp(d->host, "localhost") == 0 ? "127.0.0.1" : d->host;
    d->ready_ms = READY_MS;
    if (ready != NULL && (config_parse_ms(ready, &d->ready_ms) < 0 || d->ready_ms == 0)) {
        return cli_fail(d->c, EXIT_CODE_USAGE, NULL, "--ready-timeout 90s",
                        "--ready-timeout is \"%.40s\", which is no time", ready);
    }
    return take_ports(d);
}

/* --- starting ----------------------------------------------------------------- */

void dev_announce(const struct dev *d, const struct dev_state *s, bool started)
{
    char span[PRINT_SHORT];

    if (started) {
        cli_say(d->c, "mayfly dev is ready after %s",
                print_duration(clock_mono_ms() - d->began_ms, span));
    }
    (void)printf("gateway   http://%s:%u/fn/NAME\n", s->host, s->ports[DEV_GATEWAY]);
    (void)printf("REST API  http://%s:%u\n", s->host, s->ports[DEV_REST]);
    (void)printf("metrics   http://%s:%u/metrics http://%s:%u/metrics\n", s->host,
                 s->ports[DEV_REST], s->host, s->ports[DEV_METRICS]);
    (void)printf("state     %s%s\n", d->dir, d->detach ? " (logs in its log/)" : "");
    (void)fflush(stdout);
    dev_aws(d, s);
    cli_say(d->c, "A function's first call starts it, the next ones find it warm; "
                  "Server-Timing in the reply tells how long each part took.");
    if (strcmp(d->dir, DEV_DIR_DEFAULT) != 0 && args_has(d->c->args, "dir")) {
        cli_say(d->c, "so that other verbs find it: export MAYFLY_DEV_DIR=%s", d->dir);
    }
    cli_say(d->c, d->detach
                      ? "next: mayfly deploy PATH (and at the end: mayfly dev stop)"
                      : "next, in another terminal: mayfly deploy PATH; Ctrl-C ends it");
}

/* Another one has the lock: it runs, or is just starting or ending. */
static int already_runs(struct dev *d)
{
    uint64_t deadline = clock_mono_ms() + d->ready_ms;
    struct error err = {0};
    struct dev_state s;

    while (clock_mono_ms() < deadline) {
        if (dev_state_read(d->dir, &s) == 0 && s.ready &&
            process_is_alive(&s.supervisor)) {
            cli_say(
                d->c,
                "mayfly dev runs already (pid %d); options that differ have no effect",
                (int)s.supervisor.pid);
            d->detach = true; /* whichever way it was started, it is not ours to end */
            dev_announce(d, &s, false);
            return EXIT_CODE_OK;
        }
        if (dev_lock(d->dir, LOCK_STEP, &d->lock, &err) == 0) {
            return -EAGAIN; /* it ended */
        }
    }
    return cli_fail(d->c, EXIT_CODE_TIMED_OUT, "timeout", "mayfly dev stop",
                    "another mayfly dev holds %s but does not become ready", d->dir);
}

static int find_programs(struct dev *d)
{
    for (unsigned i = 0; i < DEV_DAEMONS; i++) {
        d->programs[i] = programs_daemon(dev_daemon_names[i]);
        if (d->programs[i] == NULL) {
            return cli_fail(
                d->c, EXIT_CODE_FAILED, NULL, "mayfly doctor",
                "cannot start: %s is neither beside this program nor on the PATH",
                dev_daemon_names[i]);
        }
    }
    return EXIT_CODE_OK;
}

/* With the lock held. */
static int prepare(struct dev *d)
{
    _cleanup_free_ char *controller_log = dev_path(d->dir, "log/controller.log");
    _cleanup_free_ char *agent_log = dev_path(d->dir, "log/agent.log");
    struct error err = {0};
    struct dev_state left;
    bool known = dev_state_read(d->dir, &left) == 0;
    int rc = dev_clean(d->dir, known ? &left : NULL, &err);

    dev_state_remove(d->dir);
    if (rc > 0) {
        cli_say(d->c, "cleaned up what a killed mayfly dev had left");
    } else if (rc < 0) {
        return cli_fail(d->c, EXIT_CODE_FAILED, NULL, NULL,
                        "cannot clean up what an earlier mayfly dev left: %s", err.text);
    }
    rc = find_programs(d);
    rc = rc == EXIT_CODE_OK ? dev_config_ports(d) : rc;
    if (rc != EXIT_CODE_OK) {
        return rc;
    }
    if (dev_config_write(d, &err) < 0) {
        return cli_fail(d->c, EXIT_CODE_FAILED, NULL, NULL, "cannot start: %s", err.text);
    }
    if (controller_log != NULL && agent_log != NULL) {
        dev_log_rotate(controller_log);
        dev_log_rotate(agent_log);
    }
    return EXIT_CODE_OK;
}

/* The grandchild: a daemon of its own session, without a terminal. */
static _Noreturn void detached(struct dev *d, int report)
{
    _cleanup_free_ char *path = dev_path(d->dir, "log/dev.log");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log = path != NULL ? dev_log_open(path) : -1;

    if (null < 0 || log < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0 || chdir("/") < 0) {
        _exit(EXIT_CODE_FAILED);
    }
    d->c->colour = false;
    _exit(dev_run(d, report));
}

static int fork_detached(struct dev *d, int *ret_report)
{
    int ends[2], status;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -errno;
    }
    (void)fflush(stdout);
    pid = fork();
    if (pid == 0) {
        (void)setsid();
        pid = fork(); /* no session leader: it can never get a terminal */
        if (pid == 0) {
            (void)close(ends[0]);
            detached(d, ends[1]);
        }
        _exit(pid < 0 ? 1 : 0);
    }
    (void)close(ends[1]);
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0) {
        (void)close(ends[0]);
        return -EAGAIN;
    }
    *ret_report = ends[0];
    return 0;
}

/* What the supervisor reports, within its own time limit and a little. */
static void read_report(const struct dev *d, int report, char *ret, size_t size)
{
    struct progress progress;
    uint64_t deadline = d->began_ms + d->ready_ms + STOP_MS;
    struct pollfd fd = {.fd = report, .events = POLLIN};
    size_t len = 0;
    ssize_t n = 1;

    progress_init(&progress, d->c->quiet);
    while (n > 0 && len < size - 1 && strcmp(ret, DEV_READY) != 0 &&
           clock_mono_ms() < deadline) {
        if (poll(&fd, 1, 1000) > 0) {
            n = read(report, ret + len, size - 1 - len);
            len += n > 0 ? (size_t)n : 0;
            ret[len] = '\0';
        } else {
            progress_detail(&progress, "starting (%u s)",
                            (unsigned)((clock_mono_ms() - d->began_ms) / 1000));
        }
    }
    progress_clear(&progress);
}

static int run_detached(struct dev *d)
{
    _cleanup_close_ int report = -1;
    char text[512] = "";
    struct dev_state s;
    int rc = fork_detached(d, &report);

    if (rc < 0) {
        return cli_fail(d->c, EXIT_CODE_FAILED, NULL, NULL, "cannot start: %s",
                        strerror(-rc));
    }
    read_report(d, report, text, sizeof(text));
    if (strcmp(text, DEV_READY) == 0 && dev_state_read(d->dir, &s) == 0) {
        dev_announce(d, &s, true);
        return EXIT_CODE_OK;
    }
    for (unsigned i = 0; i < DEV_DAEMONS; i++) {
        _cleanup_free_ char *log = dev_path(
            d->dir, i == DEV_CONTROLLER ? "log/controller.log" : "log/agent.log");

        if (log != NULL &&
            strncmp(text, dev_daemon_names[i], strlen(dev_daemon_names[i])) == 0) {
            dev_log_tail(log, stderr);
        }
    }
    return cli_fail(d->c, EXIT_CODE_FAILED, NULL, "mayfly doctor", "cannot start: %s",
                    text[0] != '\0' ? text : "it was stopped before it was ready");
}

static int make_dir(struct dev *d)
{
    const char *dir = folder_of(d->c);

    if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
        return cli_fail(d->c, EXIT_CODE_FAILED, NULL,
                        "--dir or MAYFLY_DEV_DIR names another",
                        "cannot start: make folder %s: %s", dir, strerror(errno));
    }
    d->dir = realpath(dir, NULL);
    if (d->dir == NULL) {
        return cli_fail(d->c, EXIT_CODE_FAILED, NULL, NULL, "cannot start: %s: %s", dir,
                        strerror(errno));
    }
    if (!dev_config_is_reachable(d->dir)) {
        return cli_fail(
            d->c, EXIT_CODE_FAILED, NULL,
            "chmod o+x the folders above it, or another --dir or MAYFLY_DEV_DIR",
            "cannot start: the agent runs as a user without privileges, who may "
            "not enter %s",
            d->dir);
    }
    dev_config_cgroup(d->dir, d->cgroup);
    return EXIT_CODE_OK;
}

static int start(struct dev *d)
{
    struct error err = {0};
    int rc = take_options(d);

    rc = rc == EXIT_CODE_OK ? doctor_preflight(d->c, folder_of(d->c)) : rc;
    rc = rc == EXIT_CODE_OK ? make_dir(d) : rc;
    if (rc != EXIT_CODE_OK) {
        return rc;
    }
    rc = dev_lock(d->dir, 0, &d->lock, &err);
    if (rc == -EWOULDBLOCK) {
        rc = already_runs(d);
        if (rc != -EAGAIN) {
            return rc;
        }
    } else if (rc < 0) {
        return cli_fail(d->c, EXIT_CODE_FAILED, NULL, NULL, "cannot start: %s", err.text);
    }
    rc = prepare(d);
    if (rc != EXIT_CODE_OK) {
        return rc;
    }
    return d->detach ? run_detached(d) : dev_run(d, -1);
}

/* --- stopping ----------------------------------------------------------------- */

static int stop(struct dev *d)
{
    struct error err = {0};
    struct dev_state s;
    bool known, ran;
    int rc;

    d->dir = realpath(folder_of(d->c), NULL);
    if (d->dir == NULL) {
        cli_say(d->c, "mayfly dev does not run (there is no %s)", folder_of(d->c));
        return EXIT_CODE_OK;
    }
    known = dev_state_read(d->dir, &s) == 0;
    ran = known && process_is_alive(&s.supervisor);
    if (!ran && geteuid() != 0) {
        cli_say(d->c, "mayfly dev does not run");
        return EXIT_CODE_OK;
    }
    rc = ran ? process_end(&s.supervisor, STOP_MS) : 0;
    if (rc == -EPERM) {
        return cli_fail(d->c, EXIT_CODE_DENIED, "forbidden", "sudo mayfly dev stop",
                        "cannot stop: pid %d belongs to another user",
                        (int)s.supervisor.pid);
    }
    rc = rc == 0 ? dev_lock(d->dir, SETTLE_MS, &d->lock, &err)
                 : error_set_errno(&err, rc, "end pid %d", (int)s.supervisor.pid);
    /* Read again: daemons may have been started anew since. */
    known = dev_state_read(d->dir, &s) == 0;
    rc = rc == 0 ? dev_clean(d->dir, known ? &s : NULL, &err) : rc;
    if (rc < 0) {
        return cli_fail(d->c, EXIT_CODE_FAILED, NULL, NULL, "cannot stop: %s", err.text);
    }
    dev_config_remove(d->dir);
    dev_state_remove(d->dir);
    cli_say(d->c,
            ran      ? "stopped; what was deployed is kept in %s"
            : rc > 0 ? "cleaned up what a killed mayfly dev had left; its state is in %s"
                     : "mayfly dev does not run (in %s)",
            d->dir);
    return EXIT_CODE_OK;
}

int verb_dev(struct cli *c)
{
    struct dev d = {.c = c, .lock = -1, .began_ms = clock_mono_ms()};
    const char *action = c->args->n_operands > 0 ? c->args->operands[0] : NULL;
    int rc;

    if (action != NULL && strcmp(action, "stop") != 0) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly help dev",
                        "\"%.40s\" is nothing that mayfly dev can do", action);
    }
    rc = action != NULL ? stop(&d) : start(&d);
    free(d.dir);
    for (unsigned i = 0; i < DEV_DAEMONS; i++) {
        free(d.programs[i]);
    }
    if (d.lock >= 0) {
        (void)close(d.lock);
    }
    return rc;
}
