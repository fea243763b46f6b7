/* Opening and closing the parts, in order, and the loop's turn. */
#include "agent/agent.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"

#define STARTS_PER_CPU   4
#define INSTANCES_END_MS 10000 /* after the last call, when stopping */

/* --- closing ---------------------------------------------------------------------------
 */

static void handle_closed(uv_handle_t *handle)
{
}

static void close_handles(void *data)
{
    struct agent *a = data;

    a->warden = NULL;
    uv_close((uv_handle_t *)&a->turn, handle_closed);
    uv_close((uv_handle_t *)&a->deadline, handle_closed);
    uv_close((uv_handle_t *)&a->beat, handle_closed);
    uv_close((uv_handle_t *)&a->suspended, handle_closed);
    uv_close((uv_handle_t *)&a->cpu, handle_closed);
    agent_learned_close(a);
    for (int i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&a->signals[i], handle_closed);
    }
}

static void close_warden(void *data)
{
    struct agent *a = data;

    a->runtime = NULL;
    if (a->warden != NULL) {
        warden_client_close(a->warden, close_handles, a);
    } else {
        close_handles(a);
    }
}

static void close_runtime(void *data)
{
    struct agent *a = data;

    a->packages = NULL;
    if (a->runtime != NULL) {
        runtime_host_close(a->runtime, close_warden, a);
    } else {
        close_warden(a);
    }
}

static void close_packages(struct http_server *s)
{
    struct agent *a = s->data;

    a->status_open = false;
    if (a->packages != NULL) {
        packages_close(a->packages, close_runtime, a);
    } else {
        close_runtime(a);
    }
}

static void close_status(void *data)
{
    struct agent *a = data;

    a->gateway = NULL;
    if (a->status_open) {
        http_server_close(&a->status, close_packages);
    } else {
        a->status.data = a;
        close_packages(&a->status);
    }
}

static void close_gateway(void *data)
{
    struct agent *a = data;

    if (a->gateway != NULL) {
        gateway_close(a->gateway, close_status, a);
    } else {
        close_status(a);
    }
}

/* The reverse of open_parts(): one after the other, each when the one before has ended.
 */
static void close_parts(struct agent *a)
{
    a->phase = AGENT_CLOSING;
    if (a->link != NULL) {
        agent_link_close(a, close_gateway);
    } else {
        close_gateway(a);
    }
}

/* --- stopping --------------------------------------------------------------------------
 */

static void drain(struct agent *a)
{
    a->phase = AGENT_DRAINING;
    a->phase_until_ms = uv_now(&a->loop) + a->config->stop_grace_ms;
    log_info("stopping: calls may end", LOG_INT("calls", gateway_active(a->gateway)),
             LOG_INT("grace_ms", a->config->stop_grace_ms));
    agent_core_drain(a->core);
    gateway_drain(a->gateway);
}

static void stop_instances(struct agent *a)
{
    size_t cut = gateway_active(a->gateway);

    a->phase = AGENT_STOPPING;
    a->phase_until_ms = uv_now(&a->loop) + INSTANCES_END_MS;
    if (cut > 0) {
        log_warn("calls are cut", LOG_INT("calls", cut));
    }
    agent_core_stop_all(a->core);
}

static void advance(struct agent *a)
{
    bool over = uv_now(&a->loop) >= a->phase_until_ms;

    if (a->phase == AGENT_LEAVING && agent_leave_is_over(a)) {
        drain(a);
        over = false;
    }
    if (a->phase == AGENT_DRAINING && (over || gateway_active(a->gateway) == 0)) {
        stop_instances(a);
        over = false;
    }
    if (a->phase == AGENT_STOPPING && (over || agent_core_is_empty(a->core))) {
        close_parts(a);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct agent *a = handle->data;

    if (a->phase == AGENT_RUNNING) {
        agent_leave_begin(a);
    } else { /* asked twice: at once */
        if (a->phase == AGENT_LEAVING) {
            drain(a);
        }
        a->phase_until_ms = 0;
    }
}

/* --- the loop's turn
 * ---------------------------------------------------------------------- */

static void deadline_cb(uv_timer_t *timer)
{
    struct agent *a = container_of(timer, struct agent, deadline);

    agent_core_tick(a->core);
}

static uint64_t min_ms(uint64_t x, uint64_t y)
{
    return x < y ? x : y;
}

/* The core's next deadline may have changed with anything that happened in this turn. */
static void arm_deadline(struct agent *a)
{
    uint64_t deadline_ms = agent_core_deadline_ms(a->core);
    uint64_t now_ms = clock_mono_ms(), in_ms = UINT64_MAX;

    if (deadline_ms != UINT64_MAX) {
        in_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    }
    if (a->phase != AGENT_RUNNING) {
        uint64_t loop_ms = uv_now(&a->loop), until_ms = a->phase_until_ms;

        if (a->phase == AGENT_LEAVING && a->notice_until_ms > loop_ms) {
            until_ms = a->notice_until_ms;
        }
        in_ms = min_ms(in_ms, until_ms > loop_ms ? until_ms - loop_ms : 0);
    }
    in_ms = min_ms(in_ms, agent_grants_end_in_ms(a));
    if (in_ms == UINT64_MAX) {
        (void)uv_timer_stop(&a->deadline);
    } else {
        uv_update_time(&a->loop);
        (void)uv_timer_start(&a->deadline, deadline_cb, in_ms, 0);
    }
}

static void turn_cb(uv_prepare_t *prepare)
{
    struct agent *a = container_of(prepare, struct agent, turn);

    agent_io_turn(a);
    agent_peers_turn(a);
    if (a->phase != AGENT_RUNNING && a->phase != AGENT_CLOSING) {
        advance(a);
    }
    if (a->phase != AGENT_CLOSING) {
        agent_grants_turn(a);
    }
    if (a->phase != AGENT_CLOSING) {
        agent_reports_turn(a);
        agent_cpu_turn(a);
    }
    if (!uv_is_closing((uv_handle_t *)&a->deadline)) {
        arm_deadline(a);
    }
}

/* --- the warden ------------------------------------------------------------------------
 */

static void tell_systemd(struct agent *a)
{
    if (a->warden_ready && !a->told_ready && a->phase == AGENT_RUNNING) {
        a->told_ready = true;
        (void)sd_notify(0, "READY=1");
        log_info("agent ready", LOG_STR("node", a->config->node),
                 LOG_INT("gateway_port", gateway_port(a->gateway)),
                 LOG_INT("metrics_port", a->status_port));
    }
}

static void on_warden_ready(void *data)
{
    struct agent *a = data;

    a->warden_ready = true;
    tell_systemd(a);
}

/* Its sandboxes are gone with it, and a new one needs root, which this process gave up:
 * whoever supervises the agent starts it anew. */
static void on_warden_lost(void *data, const char *reason)
{
    log_error("the warden is lost, the agent ends", LOG_STR("reason", reason));
    exit(1);
}

/* --- opening ---------------------------------------------------------------------------
 */

static int open_handles(struct agent *a)
{
    static const int numbers[2] = {SIGTERM, SIGINT};

    CHECK(uv_prepare_init(&a->loop, &a->turn) == 0);
    CHECK(uv_timer_init(&a->loop, &a->deadline) == 0);
    CHECK(uv_timer_init(&a->loop, &a->beat) == 0);
    CHECK(uv_timer_init(&a->loop, &a->suspended) == 0);
    CHECK(uv_timer_init(&a->loop, &a->cpu) == 0);
    for (int i = 0; i < 2; i++) {
        int rc = uv_signal_init(&a->loop, &a->signals[i]);

        CHECK(rc == 0);
        a->signals[i].data = a;
        rc = uv_signal_start(&a->signals[i], on_signal, numbers[i]);
        if (rc < 0) {
            return rc;
        }
    }
    (void)signal(SIGPIPE, SIG_IGN);
    return uv_prepare_start(&a->turn, turn_cb);
}

static int open_storage(struct agent *a, struct error *err)
{
    char packages[PATH_MAX], logs[PATH_MAX];
    const struct packages_options options = {
        .dir = packages,
        .on_ready = agent_io_package_ready,
        .on_failed = agent_io_package_failed,
        .data = a,
    };
    int rc;

    (void)snprintf(packages, sizeof(packages), "%s/packages", a->config->state_dir);
    (void)snprintf(logs, sizeof(logs), "%s/logs", a->config->state_dir);
    if (access(packages, W_OK | X_OK) < 0) {
        return error_set_errno(
            err, -errno,
            "state_dir: user %s cannot use %s; may it pass all folders "
            "above?",
            a->config->user, packages);
    }
    rc = logs_new(&a->logs, &a->loop, logs, err);
    return rc < 0 ? rc : packages_new(&a->packages, &a->loop, &options, err);
}

static int open_runtime(struct agent *a, int warden_fd, struct error *err)
{
    const struct warden_client_options warden = {
        .on_ready = on_warden_ready,
        .on_exit = agent_io_warden_exit,
        .on_oom = agent_io_warden_oom,
        .on_short = agent_io_warden_short,
        .on_lost = on_warden_lost,
        .data = a,
    };
    char packages[PATH_MAX];
    struct runtime_host_options runtime = {
        .logs = a->logs,
        .packages_dir = packages,
        .region = a->config->region,
        .account = a->config->lambda_account,
        .on_ready = agent_io_instance_ready,
        .on_failed = agent_io_instance_failed,
        .on_gone = agent_io_instance_gone,
        .on_cpu = agent_io_instance_cpu,
        .recycled_max = a->config->blanks,
        .data = a,
    };
    int rc = warden_client_new(&a->warden, &a->loop, warden_fd, &warden, err);

    if (rc < 0) {
        return rc;
    }
    runtime.warden = a->warden;
    (void)snprintf(packages, sizeof(packages), "%s/packages", a->config->state_dir);
    rc = runtime_host_new(&a->runtime, &a->loop, &runtime);
    return rc < 0 ? error_set(err, rc, "runtime: %s", uv_strerror(rc)) : 0;
}

/* Starts under way at once: enough to keep all processors busy while some of them wait
 * for the disk, and few enough that each is ready in time. */
static uint32_t starts_max(const struct agent *a)
{
    uint32_t n = a->config->cpu_millis * STARTS_PER_CPU / 1000;

    return n > STARTS_PER_CPU ? n : STARTS_PER_CPU;
}

static int open_core(struct agent *a, struct error *err)
{
    const struct agent_core_options options = {
        .node = a->config->node,
        .memory_bytes = a->config->memory_bytes,
        .freeze_after_ms = a->config->freeze_after_ms,
        .starts_max = starts_max(a),
    };
    struct agent_io io = agent_io;
    int rc;

    io.ctx = a;
    rc = metrics_new(&a->metrics);
    rc = rc < 0 ? rc : agent_status_metrics(a);
    rc = rc < 0 ? rc : agent_reports_new(a);
    rc = rc < 0 ? rc : agent_core_new(&a->core, &io, &options);
    rc = rc < 0 ? rc : agent_learned_open(a);
    if (rc < 0) {
        return error_set(err, rc, "core: %s", uv_strerror(rc));
    }
    agent_learned_load(a);
    return 0;
}

static int open_network(struct agent *a, struct error *err)
{
    const struct gateway_options gateway = {
        .core = a->core,
        .node = a->config->node,
        .host = a->config->gateway_host,
        .port = a->config->gateway_port,
        .secret = a->token,
        .metrics = a->metrics,
        .upgrade_idle_ms = a->config->upgrade_idle_ms,
        .lambda_auth_off = strcmp(a->config->lambda_auth, "off") == 0,
        .lambda_account = a->config->lambda_account,
        .on_unreachable = agent_peers_unreachable,
        .data = a,
    };
    int rc = gateway_new(&a->gateway, &a->loop, &gateway, err);

    rc = rc < 0 ? rc : agent_status_open(a, err);
    if (rc < 0) {
        return rc;
    }
    rc = agent_config_advertise(a->config, gateway_port(a->gateway), &a->advertise);
    if (rc < 0) {
        return error_set(err, rc, "out of memory");
    }
    log_debug("gateway", LOG_STR("advertised", a->advertise));
    return agent_link_open(a, err);
}

static int open_parts(struct agent *a, int warden_fd, struct error *err)
{
    int rc = open_handles(a);

    if (rc < 0) {
        (void)close(warden_fd);
        return error_set(err, rc, "loop: %s", uv_strerror(rc));
    }
    rc = open_core(a, err);
    rc = rc < 0 ? rc : open_storage(a, err);
    if (rc < 0) {
        (void)close(warden_fd);
        return rc;
    }
    rc = open_runtime(a, warden_fd, err);
    return rc < 0 ? rc : open_network(a, err);
}

static void free_rest(struct agent *a)
{
    agent_learned_free(a);
    if (a->core != NULL) {
        a->core = agent_core_free(a->core);
    }
    if (a->logs != NULL) {
        a->logs = logs_free(a->logs);
    }
    agent_link_free(a);
    agent_peers_free(a);
    agent_reports_free(a);
    agent_status_free(a);
    a->metrics = metrics_free(a->metrics);
    free(a->advertise);
}

int agent_run(const struct agent_config *config, const char *token, int warden_fd,
              pid_t warden_pid)
{
    struct agent a = {.config = config, .token = token, .warden_pid = warden_pid};
    struct error err = {0};

    (void)snprintf(a.boot, sizeof(a.boot), "%016llx%016llx",
                   (unsigned long long)random_u64(), (unsigned long long)random_u64());
    list_init(&a.stillborn);
    list_init(&a.peers);
    list_init(&a.log_jobs);
    CHECK(uv_loop_init(&a.loop) == 0);
    if (open_parts(&a, warden_fd, &err) < 0) {
        log_error("the agent cannot start", LOG_STR("error", err.text));
        a.exit_code = 1;
        close_parts(&a);
    }
    (void)uv_run(&a.loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&a.loop) == 0);
    free_rest(&a);
    /* It ends with its connection; a successor must find nothing of it. */
    while (waitpid(warden_pid, NULL, 0) < 0 && errno == EINTR) {
    }
    log_info("agent stopped");
    return a.exit_code;
}
