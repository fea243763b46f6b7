/* One instance from its sandbox's making to its end. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/runtime/runtime_private.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/freezer.h"

#define MAKING_LIMIT_MS 10000
#define MIB             (1024 * 1024)

/* --- words --------------------------------------------------------------------- */

void wait_status_text(int status, char ret[64])
{
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));

        if (name != NULL) {
            (void)snprintf(ret, 64, "killed by signal %d (SIG%s)", WTERMSIG(status),
                           name);
        } else {
            (void)snprintf(ret, 64, "killed by signal %d", WTERMSIG(status));
        }
    } else {
        (void)snprintf(ret, 64, "exit status %d", WEXITSTATUS(status));
    }
}

static void duration_text(uint32_t ms, char ret[32])
{
    if (ms % 1000 == 0) {
        (void)snprintf(ret, 32, "%u s", ms / 1000);
    } else {
        (void)snprintf(ret, 32, "%u ms", ms);
    }
}

void instance_oom_text(const struct runtime_instance *in, uint64_t peak_bytes,
                       char ret[RUNTIME_TEXT_BYTES])
{
    (void)snprintf(ret, RUNTIME_TEXT_BYTES, "peak %llu MiB of %u MiB",
                   (unsigned long long)((peak_bytes + MIB - 1) / MIB),
                   in->config.spec->memory_mib);
}

/* --- standing still --------------------------------------------------------------- */

int runtime_instance_freeze(struct runtime_instance *in)
{
    int rc;

    if (in->phase != PHASE_READY || in->failing || !list_empty(&in->calls) ||
        (in->kind->at_rest != NULL && !in->kind->at_rest(in))) {
        return -EBUSY;
    }
    if (in->freezer < 0) {
        return in->freezer;
    }
    rc = freezer_set(in->freezer, true);
    in->frozen = in->frozen || rc == 0;
    return rc;
}

int runtime_instance_thaw(struct runtime_instance *in)
{
    int rc = in->frozen && in->freezer >= 0 ? freezer_set(in->freezer, false) : 0;

    if (rc == 0) {
        in->frozen = false;
    }
    return rc;
}

/* --- init's news ----------------------------------------------------------------- */

static void on_main_exited(struct runtime_instance *in, int status)
{
    char text[64];

    in->main_runs = false;
    wait_status_text(status, text);
    if (in->phase == PHASE_READY) {
        instance_fail(in, CAUSE_CRASHED, "%s", text);
    } else if (in->phase == PHASE_INIT && WIFEXITED(status)) {
        instance_fail(in, CAUSE_INIT_FAILED, "exited with status %d before it was ready",
                      WEXITSTATUS(status));
    } else if (in->phase == PHASE_INIT) {
        instance_fail(in, CAUSE_INIT_FAILED, "%s before it was ready", text);
    } else if (!in->killed) {
        in->cause = CAUSE_CRASHED; /* of the calls that its stop left unfinished */
        (void)snprintf(in->text, sizeof(in->text), "%s", text);
        instance_end(in);
    }
}

static void on_message(void *data, const struct init_message *m, const char *text)
{
    struct runtime_instance *in = data;

    if (in->closing || m->type == INIT_SEEDED || m->type == INIT_SETTLED) {
        return;
    }
    if (m->run != RUNTIME_MAIN_RUN) {
        in->kind->on_message(in, m, text);
    } else if (m->type == INIT_STARTED && !in->main_began) {
        in->main_began = in->main_runs = true;
        if (in->phase == PHASE_INIT) {
            in->kind->on_started(in);
        }
    } else if (m->type == INIT_FAILED) {
        instance_fail(in, CAUSE_START_FAILED, "%s: %s", text, strerror(m->value));
    } else if (m->type == INIT_EXITED) {
        on_main_exited(in, m->value);
    }
}

static void on_lost(void *data)
{
    struct runtime_instance *in = data;

    if (in->cleaning) {
        instance_hold(in);
        instance_not_cleaned(in);
        instance_release(in);
        return;
    }
    /* The sandbox's end, which says more, usually follows. */
    instance_fail(data, CAUSE_CRASHED, "the sandbox's first process is gone");
}

/* --- the warden's news ------------------------------------------------------------ */

void instance_on_exit(struct runtime_instance *in, const struct sandbox_exit *e)
{
    char text[64];

    in->sandbox = in->cleaning = false;
    in->main_runs = false;
    usage_ends(in);
    usage_told(in, e->cpu_us);
    if (e->oom) {
        in->oom = true;
        in->peak_bytes = e->memory_peak_bytes;
    }
    wait_status_text(e->wait_status, text);
    instance_hold(in);
    instance_fail(in, CAUSE_CRASHED, "the sandbox's first process: %s", text);
    instance_release(in);
}

void instance_on_oom(struct runtime_instance *in)
{
    in->n_oom++;
    if (in->cleaning) {
        instance_not_cleaned(in);
    }
    if (in->phase != PHASE_INIT && in->phase != PHASE_READY) {
        return;
    }
    if (in->kind->survives_oom && in->phase == PHASE_READY) {
        in->oom = true; /* told when its calls are over: instance_advance() */
        instance_advance(in);
    } else {
        instance_fail(in, CAUSE_OOM, "out of memory");
    }
}

/* --- the beginning ---------------------------------------------------------------- */

int instance_run(struct runtime_instance *in, uint32_t run, char *const *argv,
                 char *const *env)
{
    int fds[3] = {-1, -1, -1};
    int out = -1;
    int err = -1;
    int rc = 0;

    if ((fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0) {
        rc = -errno;
    }
    rc = rc < 0 ? rc : runtime_pipe(&out, &fds[1], true);
    rc = rc < 0 ? rc : output_open(in, LOG_STREAM_STDOUT, run, out);
    rc = rc < 0 ? rc : runtime_pipe(&err, &fds[2], true);
    rc = rc < 0 ? rc : output_open(in, LOG_STREAM_STDERR, run, err);
    if (rc == 0) {
        return channel_run(in->channel, run, argv, env, fds, 0);
    }
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    return rc;
}

/* Its runtime is up, and prints into these already. */
static int run_seed(struct runtime_instance *in, char *const *argv, char *const *env)
{
    static const enum log_stream streams[2] = {LOG_STREAM_STDOUT, LOG_STREAM_STDERR};
    int rc = 0;

    for (int i = 0; rc == 0 && i < 2; i++) {
        int fd = in->seed[i];

        in->seed[i] = -1;
        rc = output_open(in, streams[i], RUNTIME_MAIN_RUN, fd);
    }
    return rc < 0 ? rc
                  : channel_run(in->channel, RUNTIME_MAIN_RUN, argv, env, NULL,
                                INIT_RUN_SEED);
}

int instance_run_main(struct runtime_instance *in)
{
    struct strings argv = {0};
    struct strings env = {0};
    int rc = runtime_argv(&argv, in);

    rc = rc < 0 ? rc : runtime_env(&env, in);
    if (rc == 0) {
        rc = in->seed[0] >= 0 ? run_seed(in, argv.list, env.list)
                              : instance_run(in, RUNTIME_MAIN_RUN, argv.list, env.list);
    }
    strings_free(&argv);
    strings_free(&env);
    return rc;
}

void instance_fail_start(struct runtime_instance *in, int error)
{
    instance_fail(in, CAUSE_START_FAILED, "%s",
                  error == -EINVAL  ? "the handler is not a command line"
                  : error == -E2BIG ? "handler and environment are too long"
                                    : strerror(-error));
}

static void init_late_cb(uv_timer_t *timer)
{
    struct runtime_instance *in = container_of(timer, struct runtime_instance, timer);
    const char *lack = in->lack[0] != '\0' ? in->lack : in->kind->not_ready;
    char limit[32];

    duration_text(in->config.spec->init_timeout_ms, limit);
    instance_fail(in, CAUSE_INIT_FAILED, "not ready within %s%s%s", limit,
                  lack != NULL ? ": " : "", lack != NULL ? lack : "");
}

void instance_ready(struct runtime_instance *in)
{
    if (in->phase != PHASE_INIT || in->failing) {
        return;
    }
    (void)uv_timer_stop(&in->timer);
    in->phase = PHASE_READY;
    in->phases.init_us = clock_mono_us() - in->init_began_us;
    in->host->options.on_ready(in->host->options.data, in);
}

static const struct channel_ops channel_ops = {.on_message = on_message,
                                               .on_lost = on_lost};

/* control: -1, it has a channel. */
static void open_sandbox(struct runtime_instance *in, int control)
{
    int rc = 0;

    in->phase = PHASE_INIT;
    in->init_began_us = clock_mono_us();
    in->phases.sandbox_us = in->init_began_us - in->began_us;
    CHECK(uv_timer_start(&in->timer, init_late_cb, in->config.spec->init_timeout_ms, 0) ==
          0);
    usage_begins(in);
    if (control >= 0) {
        rc = channel_new(&in->channel, in->host->loop, control, &channel_ops, in);
    }
    rc = rc < 0 ? rc : in->kind->open(in);
    if (rc < 0) {
        instance_fail_start(in, rc);
    }
}

/* Whose fault it is that there is no sandbox: a host that is short of something says
 * nothing about the function, which may start elsewhere or later. */
static enum cause create_cause(int status)
{
    switch (status) {
    case -ENOMEM:
    case -EAGAIN:
    case -ENOSPC:
    case -EMFILE:
    case -ENFILE:
    case -EBUSY:
    case -ETIMEDOUT:
        return CAUSE_NO_CAPACITY;
    default:
        return CAUSE_START_FAILED;
    }
}

static void created_cb(void *data, int status, const struct error *err,
                       const struct sandbox_fds *fds)
{
    struct runtime_instance *in = data;

    in->making = false;
    in->listener = fds->listener;
    in->freezer = fds->freezer;
    in->seed[0] = fds->out;
    in->seed[1] = fds->err;
    in->sandbox = status == 0;
    instance_hold(in);
    if (status == 0 && in->phase == PHASE_MAKING) {
        open_sandbox(in, fds->control);
    } else if (status == 0) { /* stopped, or too late */
        in->killed = in->last_words = false;
        (void)close(fds->control);
    } else {
        instance_fail(in, create_cause(status), "%s", err->text);
    }
    instance_release(in);
}

static void making_late_cb(uv_timer_t *timer)
{
    instance_fail(container_of(timer, struct runtime_instance, timer), CAUSE_NO_CAPACITY,
                  "no sandbox was made within %d s", MAKING_LIMIT_MS / 1000);
}

void instance_begin(struct runtime_instance *in)
{
    if (in->phase == PHASE_MAKING && !in->failing) { /* else it was stopped, and killed */
        instance_hold(in);
        open_sandbox(in, -1);
        instance_release(in);
    }
}

void instance_make(struct runtime_instance *in)
{
    const struct function_spec *spec = in->config.spec;
    struct warden_seed seed;
    struct sandbox_config config = {
        .id = in->config.id,
        .package = in->config.package->digest,
        .memory_bytes = (uint64_t)spec->memory_mib * MIB,
        .cpu_millis = spec->cpu_millis,
        .pids_max = spec->pids_max,
        .tmp_bytes = (uint64_t)spec->tmp_mib * MIB,
        .runtime_api = in->kind->runtime_api,
    };

    if (managed_is(spec) && managed_seed(&seed, spec)) {
        config.seed = &seed;
    }
    for (size_t i = 0; i < spec->n_layers; i++) {
        config.layers[i] = spec->layers[i].package.digest;
    }
    CHECK(uv_timer_init(in->host->loop, &in->timer) == 0);
    if (recycled_wanted(in) && recycled_take(in, &channel_ops)) {
        list_push_back(&in->host->begun, &in->report);
        host_deliver_soon(in->host);
        return;
    }
    CHECK(uv_timer_start(&in->timer, making_late_cb, MAKING_LIMIT_MS, 0) == 0);
    in->making = true;
    warden_create(in->host->options.warden, &config, created_cb, in);
}
