/* The core's way to the world, and the world's to the core. */
#include <errno.h>
#include <string.h>

#include "agent/agent.h"
#include "common/clock.h"
#include "common/log.h"

#define STOP_GRACE_MS     5000
#define SHUTDOWN_GRACE_MS 2000

static uint64_t now_us(void *ctx)
{
    return clock_mono_us();
}

static uint64_t random_number(void *ctx)
{
    return random_u64();
}

/* --- instances
 * -------------------------------------------------------------------------- */

static void instance_start(void *ctx, struct instance *in)
{
    struct agent *a = ctx;
    struct function *f = version_function(in->version);
    const struct runtime_instance_config config = {
        .id = in->id,
        .namespace_ = function_namespace(f),
        .name = function_name(f),
        .version = version_number(in->version),
        .version_id = version_id(in->version),
        .published = version_published(in->version),
        .namespace_index = function_namespace_index(f),
        .spec = version_spec(in->version),
        .package = version_package(in->version),
        .proven = version_was_ready(in->version),
        .data = in,
    };
    struct runtime_instance *run;

    if (runtime_instance_start(a->runtime, &run, &config) == 0) {
        in->edge = run;
        return;
    }
    /* There is no memory for it: also none may be needed to say so, from the loop. */
    in->edge = NULL;
    list_push_back(&a->stillborn, &in->edge_link);
}

static void instance_stop(void *ctx, struct instance *in, enum stop_reason why)
{
    uint32_t grace_ms = STOP_GRACE_MS;

    if (in->edge == NULL) {
        return; /* stillborn: its end is told next */
    }
    switch (why) {
    case STOP_TIMEOUT:
    case STOP_FRESH:
    case STOP_FAILED:
    case STOP_CANCELED:
        grace_ms = 0;
        break;
    case STOP_SHUTDOWN:
        grace_ms = SHUTDOWN_GRACE_MS;
        break;
    case STOP_IDLE:
    case STOP_RETIRED:
    case STOP_EVICTED:
    default:
        break;
    }
    runtime_instance_stop(in->edge, grace_ms);
}

/* The core asks no more where there is no freezer. */
static int instance_freeze(void *ctx, struct instance *in)
{
    int rc = in->edge != NULL ? runtime_instance_freeze(in->edge) : -EBUSY;

    if (rc == -ENOTSUP) {
        log_warn("idle instances are not frozen: this host has no cgroup freezer");
    } else if (rc < 0 && rc != -EBUSY) {
        log_warn("an instance cannot be frozen", LOG_INT("instance", in->id),
                 LOG_STR("error", strerror(-rc)));
    }
    return rc;
}

static int instance_thaw(void *ctx, struct instance *in)
{
    int rc = runtime_instance_thaw(in->edge);

    if (rc < 0) {
        log_warn("an instance cannot be thawed and is replaced",
                 LOG_INT("instance", in->id), LOG_STR("error", strerror(-rc)));
    }
    return rc;
}

void agent_io_instance_ready(void *data, struct runtime_instance *in)
{
    struct agent *a = data;

    agent_core_instance_ready(a->core, runtime_instance_data(in));
}

void agent_io_instance_failed(void *data, struct runtime_instance *run, enum cause cause,
                              const char *text)
{
    struct agent *a = data;
    struct instance *in = runtime_instance_data(run);
    struct function *f = version_function(in->version);

    log_info("instance failed", LOG_STR("namespace", function_namespace(f)),
             LOG_STR("function", function_name(f)),
             LOG_INT("version", version_number(in->version)), LOG_INT("instance", in->id),
             LOG_STR("cause", cause_name(cause)), LOG_STR("text", text));
    agent_core_instance_failed(a->core, in, cause, text);
}

void agent_io_instance_gone(void *data, struct runtime_instance *in)
{
    struct agent *a = data;

    agent_core_instance_gone(a->core, runtime_instance_data(in));
}

void agent_io_instance_cpu(void *data, struct runtime_instance *in, uint64_t cpu_us)
{
    struct agent *a = data;

    agent_status_cpu(a, cpu_us);
    if (in != NULL) {
        agent_core_instance_cpu(a->core, runtime_instance_data(in), cpu_us);
    }
}

void agent_io_turn(struct agent *a)
{
    struct list due = a->stillborn;

    if (list_empty(&a->stillborn)) {
        return;
    }
    due.next->prev = &due;
    due.prev->next = &due;
    list_init(&a->stillborn);
    while (!list_empty(&due)) {
        struct instance *in = container_of(due.next, struct instance, edge_link);

        list_remove(&in->edge_link);
        /* Says nothing about the version, which may start elsewhere or later. */
        agent_core_instance_failed(a->core, in, CAUSE_NO_CAPACITY,
                                   "the agent has no memory for an instance");
        agent_core_instance_gone(a->core, in);
    }
}

/* --- the warden's events
 * ------------------------------------------------------------------ */

void agent_io_warden_exit(void *data, uint64_t id, const struct sandbox_exit *e)
{
    struct agent *a = data;

    runtime_host_on_exit(a->runtime, id, e);
}

void agent_io_warden_oom(void *data, uint64_t id)
{
    struct agent *a = data;

    runtime_host_on_oom(a->runtime, id);
}

void agent_io_warden_short(void *data)
{
    struct agent *a = data;

    if (a->runtime != NULL) {
        runtime_host_on_short(a->runtime);
    }
}

/* --- packages --------------------------------------------------------------------------
 */

static void package_want(void *ctx, const struct package_ref *p)
{
    struct agent *a = ctx;

    if (a->packages != NULL) {
        packages_want(a->packages, p);
    }
}

static void package_drop(void *ctx, const char *digest)
{
    struct agent *a = ctx;

    if (a->packages != NULL) {
        packages_drop(a->packages, digest);
    }
}

static void version_left(void *ctx, const struct version *v)
{
    struct agent *a = ctx;

    if (a->runtime != NULL) {
        runtime_host_on_version_left(a->runtime, version_id(v));
    }
}

void agent_io_package_ready(void *data, const char *digest)
{
    struct agent *a = data;

    agent_core_package_ready(a->core, digest);
}

void agent_io_package_failed(void *data, const char *digest, enum cause cause,
                             const char *text)
{
    struct agent *a = data;

    log_warn("package cannot be used", LOG_STR("digest", digest),
             LOG_STR("cause", cause_name(cause)), LOG_STR("text", text));
    agent_core_package_failed(a->core, digest, cause, text);
}

/* --- calls and reports
 * ---------------------------------------------------------------------- */

static void call_dispatch(void *ctx, struct call *c)
{
    gateway_call_dispatch(((struct agent *)ctx)->gateway, c);
}

static void call_forward(void *ctx, struct call *c, const char *node, const char *gateway)
{
    gateway_call_forward(((struct agent *)ctx)->gateway, c, node, gateway);
}

static void call_reject(void *ctx, struct call *c, enum cause cause, const char *text,
                        uint32_t retry_after_s)
{
    gateway_call_reject(((struct agent *)ctx)->gateway, c, cause, text, retry_after_s);
}

static void call_timeout(void *ctx, struct call *c)
{
    gateway_call_timeout(((struct agent *)ctx)->gateway, c);
}

static void report_version(void *ctx, const struct version *v, bool ready,
                           enum cause cause, const char *text)
{
    agent_reports_version(ctx, v, ready, cause, text);
}

static void report_soon(void *ctx)
{
    agent_reports_soon(ctx);
}

const struct agent_io agent_io = {
    .now_us = now_us,
    .random = random_number,
    .instance_start = instance_start,
    .instance_stop = instance_stop,
    .instance_freeze = instance_freeze,
    .instance_thaw = instance_thaw,
    .call_dispatch = call_dispatch,
    .call_forward = call_forward,
    .call_reject = call_reject,
    .call_timeout = call_timeout,
    .package_want = package_want,
    .package_drop = package_drop,
    .version_left = version_left,
    .report_version = report_version,
    .report_soon = report_soon,
};
