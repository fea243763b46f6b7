/* Metrics and health over HTTP, on a port of their own. */
#include <errno.h>
#include <stdlib.h>

#include "agent/agent.h"
#include "common/log.h"

enum { STARTING, IDLE, FROZEN, BUSY, N_STATES };
enum { N_KINDS = 3 };

/* Of sandboxes that are made ahead, and what is up in them. */
static const char *const kinds[N_KINDS] = {"plain", "python", "node"};
static const char *const programs[N_KINDS] = {"", "python3", "node"};

struct agent_status_series {
    struct metric *instances[N_STATES];
    struct metric *queue_depth;
    struct metric *memory_reserved;
    struct metric *link_up;
    struct metric *cpu;
    struct metric *freezes, *thaws, *prewarms, *patterns;
    struct metric *blanks[N_KINDS], *blanks_memory[N_KINDS];
    struct metric *blanks_used[N_KINDS], *blanks_missed[N_KINDS];
    struct metric *blanks_made;
    struct metric *recycled, *recycled_used, *recycled_refused;
    struct runtime_recycled recycled_counted;
    struct warden_blank_kind kinds_counted[N_KINDS];
    uint64_t made_counted;
    struct agent_core_counts counted;
};

const char *agent_status_kind(const char *program)
{
    for (int i = 0; i < N_KINDS; i++) {
        if (strcmp(programs[i], program) == 0) {
            return kinds[i];
        }
    }
    return program;
}

static struct metric *single(struct agent *a, enum metric_type type, const char *name,
                             const char *help)
{
    return metric_get(metrics_family(a->metrics, type, name, help, NULL, 0), NULL);
}

static void by_kind(struct agent *a, struct metric *ret[N_KINDS], enum metric_type type,
                    const char *name, const char *help)
{
    static const char *const label[] = {"kind"};
    struct metric_family *f = metrics_family(a->metrics, type, name, help, label, 1);

    for (int i = 0; i < N_KINDS; i++) {
        ret[i] = metric_get(f, &kinds[i]);
    }
}

static void blanks_metrics(struct agent *a)
{
    struct agent_status_series *s = a->series;

    by_kind(
        a, s->blanks, METRIC_GAUGE, "mayfly_blanks",
        "Sandboxes that are made ahead and ready, by the runtime that is up in them.");
    by_kind(a, s->blanks_memory, METRIC_GAUGE, "mayfly_blanks_memory_bytes",
            "Memory that these take.");
    by_kind(a, s->blanks_used, METRIC_COUNTER, "mayfly_blanks_used_total",
            "Starts that found what they need made ahead, or being made.");
    by_kind(a, s->blanks_missed, METRIC_COUNTER, "mayfly_blanks_missed_total",
            "Starts that did not.");
    s->blanks_made = single(a, METRIC_COUNTER, "mayfly_blanks_made_total",
                            "Sandboxes that were made, for all that is to come.");
}

static void recycled_metrics(struct agent *a)
{
    struct agent_status_series *s = a->series;

    s->recycled = single(a, METRIC_GAUGE, "mayfly_recycled",
                         "Sandboxes that wait for their version's next call, as new.");
    s->recycled_used =
        single(a, METRIC_COUNTER, "mayfly_recycled_used_total", "Starts that found one.");
    s->recycled_refused =
        single(a, METRIC_COUNTER, "mayfly_recycled_refused_total",
               "Sandboxes in which a call left something that init cannot clear away.");
}

int agent_status_metrics(struct agent *a)
{
    static const char *const state[] = {"state"}, *const version[] = {"version"};
    static const char *const states[N_STATES] = {"starting", "idle", "frozen", "busy"};
    static const char *const own_version[] = {MAYFLY_VERSION};
    struct agent_status_series *s = calloc(1, sizeof(*s));
    struct metric_family *instances;

    if (s == NULL) {
        return -ENOMEM;
    }
    a->series = s;
    instances = metrics_family(a->metrics, METRIC_GAUGE, "mayfly_instances",
                               "Instances on this node.", state, 1);
    for (int i = 0; i < N_STATES; i++) {
        s->instances[i] = metric_get(instances, &states[i]);
    }
    s->queue_depth = single(a, METRIC_GAUGE, "mayfly_queue_depth",
                            "Calls that wait for an instance on this node.");
    s->memory_reserved =
        single(a, METRIC_GAUGE, "mayfly_node_memory_reserved_bytes",
               "Memory that the limits of this node's instances add up to.");
    s->link_up = single(a, METRIC_GAUGE, "mayfly_controller_connected",
                        "1 while the connection to a controller is up.");
    s->cpu = single(a, METRIC_COUNTER, "mayfly_cpu_seconds_total",
                    "Processor time of sandboxes, also of those that run.");
    s->freezes = single(a, METRIC_COUNTER, "mayfly_instance_freezes_total",
                        "Idle instances whose processes were made to stand still.");
    s->thaws = single(a, METRIC_COUNTER, "mayfly_instance_thaws_total",
                      "Frozen instances that a call took.");
    s->prewarms = single(a, METRIC_COUNTER, "mayfly_instance_prewarms_total",
                         "Instances that were started ahead of an expected call.");
    s->patterns = single(a, METRIC_GAUGE, "mayfly_function_patterns",
                         "Functions of which this node knows when calls come.");
    blanks_metrics(a);
    recycled_metrics(a);
    metric_set(single(a, METRIC_GAUGE, "mayfly_node_memory_capacity_bytes",
                      "Memory that this node has for instances."),
               (double)a->config->memory_bytes);
    metric_set(metric_get(metrics_family(a->metrics, METRIC_GAUGE, "mayfly_build_info",
                                         "1; the labels say what runs.", version, 1),
                          own_version),
               1);
    return 0;
}

void agent_status_cpu(struct agent *a, uint64_t cpu_us)
{
    metric_add(a->series->cpu, (double)cpu_us / 1e6);
}

struct sums {
    uint64_t states[N_STATES];
    uint64_t queued;
};

static void add_up(void *data, const struct version_load *l)
{
    struct sums *s = data;

    s->states[STARTING] += l->starting;
    s->states[IDLE] += l->idle;
    s->states[FROZEN] += l->frozen;
    s->states[BUSY] += l->busy;
    s->queued += l->queued;
}

static void count_idle(struct agent_status_series *s, struct agent_core_counts now)
{
    metric_add(s->freezes, (double)(now.freezes - s->counted.freezes));
    metric_add(s->thaws, (double)(now.thaws - s->counted.thaws));
    metric_add(s->prewarms, (double)(now.prewarms - s->counted.prewarms));
    s->counted = now;
}

static void count_kind(struct agent_status_series *s, int i, struct warden_blank_kind now)
{
    metric_set(s->blanks[i], now.ready);
    metric_set(s->blanks_memory[i], (double)now.memory_bytes);
    metric_add(s->blanks_used[i], (double)(now.used - s->kinds_counted[i].used));
    metric_add(s->blanks_missed[i], (double)(now.missed - s->kinds_counted[i].missed));
    s->kinds_counted[i] = now;
}

static void count_blanks(struct agent *a)
{
    struct agent_status_series *s = a->series;
    uint64_t made;

    if (a->warden == NULL) {
        return;
    }
    warden_count(a->warden);
    for (int i = 0; i < N_KINDS; i++) {
        count_kind(s, i, warden_blanks_of(a->warden, programs[i]));
    }
    made = warden_blanks(a->warden)->made;
    metric_add(s->blanks_made, (double)(made - s->made_counted));
    s->made_counted = made;
}

static void count_recycled(struct agent *a)
{
    struct agent_status_series *s = a->series;
    struct runtime_recycled now;

    if (a->runtime == NULL) {
        return;
    }
    now = runtime_host_recycled(a->runtime);
    metric_set(s->recycled, now.waiting);
    metric_add(s->recycled_used, (double)(now.used - s->recycled_counted.used));
    metric_add(s->recycled_refused, (double)(now.refused - s->recycled_counted.refused));
    s->recycled_counted = now;
}

static void refresh(struct agent *a)
{
    struct sums sums = {0};

    count_blanks(a);
    count_recycled(a);
    count_idle(a->series, agent_core_counts(a->core));
    agent_core_loads(a->core, add_up, &sums);
    metric_set(a->series->patterns, (double)agent_core_patterns(a->core));
    for (int i = 0; i < N_STATES; i++) {
        metric_set(a->series->instances[i], (double)sums.states[i]);
    }
    metric_set(a->series->queue_depth, (double)sums.queued);
    metric_set(a->series->memory_reserved, (double)agent_core_memory_reserved(a->core));
    metric_set(a->series->link_up, a->link != NULL && link_is_up(a->link));
}

/* --- requests
 * --------------------------------------------------------------------------- */

static void reply(struct http_exchange *x, int status, const char *type, const char *text,
                  size_t len)
{
    const struct http_header h = {HTTP_STR("Content-Type"), http_str(type)};

    (void)http_exchange_reply(x, status, (struct http_headers){&h, 1}, text, len);
}

static void reply_text(struct http_exchange *x, int status, const char *text)
{
    reply(x, status, "text/plain", text, http_str(text).len);
}

static void serve_metrics(struct agent *a, struct http_exchange *x)
{
    struct buf text = {0};

    refresh(a);
    if (metrics_render(a->metrics, &text) == 0) {
        reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", text.data, text.len);
    } else {
        reply_text(x, 500, "out of memory\n");
    }
    buf_free(&text);
}

/* A controller that is away does not make a node unready: calls go on without it. */
static void serve_readiness(const struct agent *a, struct http_exchange *x)
{
    const char *missing = a->phase != AGENT_RUNNING ? "the agent is being stopped\n"
                          : !a->warden_ready        ? "the warden does not serve yet\n"
                          : !a->has_snapshot
                              ? "no controller has told yet what there is to run\n"
                              : NULL;

    reply_text(x, missing == NULL ? 200 : 503, missing == NULL ? "ok\n" : missing);
}

static void on_request(struct http_server *s, struct http_exchange *x)
{
    struct agent *a = s->data;
    struct http_str path = http_exchange_path(x), method = http_exchange_method(x);

    if (!http_str_eq(method, "GET") && !http_str_eq(method, "HEAD")) {
        reply_text(x, 405, "GET or HEAD\n");
    } else if (http_str_eq(path, "/metrics")) {
        serve_metrics(a, x);
    } else if (http_str_eq(path, "/healthz")) {
        reply_text(x, 200, "ok\n");
    } else if (http_str_eq(path, "/readyz")) {
        serve_readiness(a, x);
    } else {
        reply_text(x, 404, "there are /metrics, /healthz and /readyz\n");
    }
}

int agent_status_open(struct agent *a, struct error *err)
{
    const struct http_server_options options = {
        .connections_max = 100,
        .on_request = on_request,
        .data = a,
    };
    int rc = http_server_open(&a->status, &a->loop, &options);

    if (rc < 0) {
        return error_set(err, rc, "metrics: %s", uv_strerror(rc));
    }
    a->status_open = true;
    rc = http_server_listen_tcp(&a->status, a->config->metrics_host,
                                a->config->metrics_port, &a->status_port, err);
    return rc < 0 ? error_wrap(err, rc, "metrics") : 0;
}

void agent_status_free(struct agent *a)
{
    free(a->series);
    a->series = NULL;
}
