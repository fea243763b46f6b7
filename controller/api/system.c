/* /healthz, /readyz, /metrics, /v1/version, /v1/status */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "controller/api/api_private.h"

/* Alive: it answers. */
void api_get_healthz(struct api_request *r)
{
    api_reply_text(r, 200, "text/plain; charset=utf-8", "ok\n", 3);
}

/* Ready: what is asked can be answered, and what is changed can be stored. */
void api_get_readyz(struct api_request *r)
{
    const struct api *a = r->api;

    if (!controller_core_is_ready(a->core)) {
        api_fail(r, &(struct api_error){.cause = CAUSE_STORE_UNAVAILABLE},
                 "the controller has not read its store yet");
    } else if (!a->options.io.store_up(a->options.io.ctx)) {
        api_fail(r, &(struct api_error){.cause = CAUSE_STORE_UNAVAILABLE},
                 "the store cannot be reached");
    } else {
        api_reply_text(r, 200, "text/plain; charset=utf-8", "ready\n", 6);
    }
}

void api_get_version(struct api_request *r)
{
    api_reply_json(r, 200,
                   json_pack("{s:s, s:s}", "version", MAYFLY_VERSION, "api", "v1"));
}

void api_get_status(struct api_request *r)
{
    const struct api *a = r->api;
    struct core_counts n = controller_core_counts(a->core);

    api_reply_json(r, 200,
                   json_pack("{s:s, s:s, s:I, s:{s:s, s:b}, s:{s:I, s:I}, s:I, s:I, s:I}",
                             "controller", a->controller_name, "version", MAYFLY_VERSION,
                             "uptime_ms", (json_int_t)(clock_mono_ms() - a->started_ms),
                             "store", "engine", a->options.store_engine, "up",
                             a->options.io.store_up(a->options.io.ctx), "nodes", "ready",
                             (json_int_t)n.nodes_ready, "total",
                             (json_int_t)(n.nodes_ready + n.nodes_lost), "namespaces",
                             (json_int_t)n.namespaces, "functions",
                             (json_int_t)n.functions, "instances",
                             (json_int_t)n.instances));
}

/* --- metrics ------------------------------------------------------------------ */

static struct metric *gauge(struct metrics *m, const char *name, const char *help)
{
    return metric_get(metrics_family(m, METRIC_GAUGE, name, help, NULL, 0), NULL);
}

static struct metric *counter(struct metrics *m, const char *name, const char *help)
{
    return metric_get(metrics_family(m, METRIC_COUNTER, name, help, NULL, 0), NULL);
}

/* A counter that someone else counts. */
static void count_up(struct metric *s, uint64_t now)
{
    metric_add(s, (double)now - metric_value(s));
}

static void scaling_metrics_init(struct metrics *m, struct api_metrics *s)
{
    static const char *const direction[] = {"direction"};
    struct metric_family *events = metrics_family(
        m, METRIC_COUNTER, "mayfly_scale_events_total",
        "Changes of the number of instances a version should have.", direction, 1);

    s->scale_ups = metric_get(events, (const char *[]){"up"});
    s->scale_downs = metric_get(events, (const char *[]){"down"});
    s->desired = gauge(m, "mayfly_instances_desired",
                       "Instances that the versions of all functions should have.");
    s->scaled = gauge(m, "mayfly_scaled_versions",
                      "Versions that have load, or had lately: those that are decided on "
                      "every two seconds.");
    s->panics = counter(m, "mayfly_scale_panics_total",
                        "How often the autoscaler began to panic: a burst, or a queue.");
    s->decisions =
        counter(m, "mayfly_scale_decisions_total", "Decisions of the autoscaler.");
}

int api_metrics_init(struct api *a)
{
    static const char *const request_labels[] = {"method", "route", "status"};
    static const char *const duration_labels[] = {"route"};
    static const char *const version_labels[] = {"version"};
    static const char *const state_labels[] = {"state"};
    struct metrics *m = a->options.metrics;
    struct api_metrics *s = &a->metrics;
    struct metric_family *nodes = metrics_family(m, METRIC_GAUGE, "mayfly_nodes",
                                                 "Nodes by state.", state_labels, 1);

    metric_set(
        metric_get(metrics_family(m, METRIC_GAUGE, "mayfly_build_info",
                                  "Always 1; the version is a label.", version_labels, 1),
                   (const char *[]){MAYFLY_VERSION}),
        1);
    s->requests = metrics_family(m, METRIC_COUNTER, "mayfly_http_requests_total",
                                 "Requests of the REST API; status 499: the client left.",
                                 request_labels, 3);
    s->duration = metrics_family(
        m, METRIC_HISTOGRAM, "mayfly_http_request_duration_seconds",
        "From a request's head to the end of its reply.", duration_labels, 1);
    s->leader = gauge(m, "mayfly_controller_leader",
                      "1 when this controller decides for the cluster.");
    s->store_up = gauge(m, "mayfly_store_up", "1 when the store can be reached.");
    s->nodes_ready = metric_get(nodes, (const char *[]){"ready"});
    s->nodes_lost = metric_get(nodes, (const char *[]){"lost"});
    s->namespaces = gauge(m, "mayfly_namespaces", "Namespaces.");
    s->functions = gauge(m, "mayfly_functions", "Functions.");
    s->versions = gauge(m, "mayfly_function_versions", "Versions of functions kept.");
    s->instances = gauge(m, "mayfly_cluster_instances",
                         "Instances on all nodes, by their last reports.");
    s->memory_capacity = gauge(m, "mayfly_cluster_memory_capacity_bytes",
                               "Memory for functions on ready nodes.");
    s->memory_reserved = gauge(m, "mayfly_cluster_memory_reserved_bytes",
                               "Memory that instances on ready nodes may use.");
    s->packages = gauge(m, "mayfly_packages", "Packages stored.");
    s->package_bytes = gauge(m, "mayfly_packages_bytes", "Size of the packages stored.");
    s->damaged = gauge(m, "mayfly_store_damaged_keys",
                       "Keys of the store that could not be read and are left out.");
    scaling_metrics_init(m, s);
    return s->requests != NULL && s->duration != NULL ? 0 : -ENOMEM;
}

void api_metrics_refresh(struct api *a)
{
    struct core_counts n = controller_core_counts(a->core);
    const struct api_metrics *s = &a->metrics;

    metric_set(s->leader, controller_core_is_ready(a->core));
    metric_set(s->store_up, a->options.io.store_up(a->options.io.ctx));
    metric_set(s->nodes_ready, (double)n.nodes_ready);
    metric_set(s->nodes_lost, (double)n.nodes_lost);
    metric_set(s->namespaces, (double)n.namespaces);
    metric_set(s->functions, (double)n.functions);
    metric_set(s->versions, (double)n.versions);
    metric_set(s->instances, (double)n.instances);
    metric_set(s->memory_capacity, (double)n.memory_capacity_bytes);
    metric_set(s->memory_reserved, (double)n.memory_reserved_bytes);
    metric_set(s->packages, (double)package_store_count(a->packages));
    metric_set(s->package_bytes, (double)package_store_bytes(a->packages));
    metric_set(s->damaged, (double)controller_core_damaged(a->core));
    metric_set(s->desired, (double)n.desired);
    metric_set(s->scaled, (double)n.scaled);
    count_up(s->scale_ups, n.scale_ups);
    count_up(s->scale_downs, n.scale_downs);
    count_up(s->panics, n.panics);
    count_up(s->decisions, n.decisions);
}

void api_get_metrics(struct api_request *r)
{
    struct buf text = {0};

    api_metrics_refresh(r->api);
    if (metrics_render(r->api->options.metrics, &text) < 0) {
        api_fail(r, &(struct api_error){.cause = CAUSE_INTERNAL}, "out of memory");
    } else {
        api_reply_text(r, 200, "text/plain; version=0.0.4; charset=utf-8", text.data,
                       text.len);
    }
    buf_free(&text);
}
