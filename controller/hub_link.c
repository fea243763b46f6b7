#include "controller/hub_link.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/log.h"
#include "proto/convert.h"

#define LABELS_MAX 64
/* No node has this name: what the core sends to it is a snapshot's, for whichever. */
#define SNAPSHOT_NODE ""

static struct hub_node *find(struct hub_link *l, const char *node)
{
    if (l->hub == NULL) {
        return NULL;
    }
    if (l->last == NULL || strcmp(hub_node_name(l->last), node) != 0) {
        l->last = hub_find(l->hub, node);
    }
    return l->last;
}

/* node NULL: to all. */
static void send_to(struct hub_link *l, const char *node, const Mayfly__V1__Envelope *m)
{
    struct hub_node *n;

    if (l->hub == NULL) {
        return;
    }
    if (node != NULL && strcmp(node, SNAPSHOT_NODE) == 0) {
        (void)hub_snapshot_add(l->snapshot, m); /* which knows whether it is whole */
    } else if (node == NULL) {
        hub_broadcast(l->hub, m);
    } else if ((n = find(l, node)) != NULL) {
        (void)hub_send(l->hub, n, m); /* a node that cannot be sent to starts anew */
    }
}

/* --- core to agents ----------------------------------------------------------- */

void hub_link_send_function(struct hub_link *l, const char *node,
                            const struct function_state *f)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__FunctionState wire;

    if (convert_function_to_wire(&wire, f) < 0) {
        log_error("out of memory: a function's state was not sent",
                  LOG_STR("namespace", f->namespace_), LOG_STR("name", f->name));
        if (l->snapshot != NULL) {
            hub_snapshot_fail(l->snapshot);
        }
    } else {
        m.body_case = MAYFLY__V1__ENVELOPE__BODY_FUNCTION;
        m.function = &wire;
        send_to(l, node, &m);
    }
    convert_function_free(&wire);
}

void hub_link_send_node(struct hub_link *l, const char *node, const struct node_state *n)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__NodeState wire;

    convert_node_to_wire(&wire, n);
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_NODE;
    m.node = &wire;
    send_to(l, node, &m);
}

void hub_link_send_key(struct hub_link *l, const char *node, const struct key_state *k)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__KeyState wire;

    convert_key_to_wire(&wire, k);
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_KEY;
    m.key = &wire;
    send_to(l, node, &m);
}

void hub_link_resync(struct hub_link *l, const char *node)
{
    struct hub_node *n;

    if (strcmp(node, SNAPSHOT_NODE) == 0) {
        hub_snapshot_fail(l->snapshot);
    } else if ((n = find(l, node)) != NULL) {
        hub_resync(l->hub, n);
    }
}

static void on_snapshot(void *data, struct hub_snapshot *s)
{
    struct hub_link *l = data;

    l->snapshot = s;
    controller_core_snapshot(l->core, SNAPSHOT_NODE);
    l->snapshot = NULL;
}

/* --- agents to core ----------------------------------------------------------- */

/* Labels as "key=value"; *ret is NULL-terminated, one block. */
static int copy_labels(char ***ret, const Mayfly__V1__Hello *hello)
{
    size_t n = hello->n_labels < LABELS_MAX ? hello->n_labels : LABELS_MAX;
    size_t size = (n + 1) * sizeof(char *);
    char **list, *at;

    for (size_t i = 0; i < n; i++) {
        size += strlen(hello->labels[i]->key) + strlen(hello->labels[i]->value) + 2;
    }
    list = calloc(1, size);
    if (list == NULL) {
        return -1;
    }
    at = (char *)(list + n + 1);
    for (size_t i = 0; i < n; i++) {
        list[i] = at;
        at = stpcpy(at, hello->labels[i]->key);
        *at++ = '=';
        at = stpcpy(at, hello->labels[i]->value) + 1;
    }
    *ret = list;
    return 0;
}

static void on_join(void *data, struct hub_node *n, const Mayfly__V1__Hello *hello)
{
    struct hub_link *l = data;
    char **labels = NULL;
    struct node_hello h = {
        .node = hello->node,
        .boot = hello->boot,
        .version = hello->version,
        .gateway = hello->gateway,
        .memory_bytes = hello->memory_bytes,
        .cpu_millis = hello->cpu_millis,
        .confirms = hello->confirms,
    };

    if (copy_labels(&labels, hello) == 0) {
        h.labels = (const char *const *)labels;
    }
    metric_add(l->joined, 1);
    log_info("a node has joined", LOG_STR("node", h.node), LOG_STR("gateway", h.gateway),
             LOG_STR("version", h.version));
    controller_core_node_joined(l->core, &h);
    api_node_joined(l->api, h.node);
    free(labels);
}

static void on_leave(void *data, struct hub_node *n, const char *reason)
{
    struct hub_link *l = data;
    const char *name = hub_node_name(n);

    metric_add(l->left, 1);
    log_warn("a node has left", LOG_STR("node", name), LOG_STR("reason", reason));
    controller_core_node_left(l->core, name, reason);
    api_node_left(l->api, name, reason);
    l->last = NULL; /* it may be this one */
}

static void bad_message(struct hub_link *l, const struct hub_node *n,
                        const struct error *err)
{
    metric_add(l->bad_messages, 1);
    log_warn("a message of a node is not taken", LOG_STR("node", hub_node_name(n)),
             LOG_STR("error", err->text));
}

static void on_report(struct hub_link *l, const struct hub_node *n,
                      const Mayfly__V1__NodeReport *wire)
{
    struct node_report r;
    struct error err;

    if (convert_report_from_wire(&r, wire, &err) < 0) {
        bad_message(l, n, &err);
        return;
    }
    controller_core_node_report(l->core, hub_node_name(n), &r);
    convert_report_release(&r);
}

static void on_version_report(struct hub_link *l, const struct hub_node *n,
                              const Mayfly__V1__VersionReport *wire)
{
    struct version_report r;
    struct error err;

    if (convert_version_report_from_wire(&r, wire, &err) < 0) {
        bad_message(l, n, &err);
        return;
    }
    controller_core_version_report(l->core, hub_node_name(n), &r);
}

static void on_log_chunk(struct hub_link *l, const struct hub_node *n,
                         const Mayfly__V1__LogChunk *wire)
{
    struct api_log_line *lines = calloc(wire->n_lines + 1, sizeof(*lines));

    if (lines == NULL) {
        log_error("out of memory: a node's log is cut short",
                  LOG_STR("node", hub_node_name(n)));
        return;
    }
    for (size_t i = 0; i < wire->n_lines; i++) {
        const Mayfly__V1__LogLine *w = wire->lines[i];

        lines[i] = (struct api_log_line){
            .wall_ms = w->wall_ms,
            .version = w->version,
            .instance = w->instance,
            .stream = w->stream,
            .text = (const char *)w->text.data,
            .len = w->text.len,
        };
    }
    api_log_chunk(l->api, hub_node_name(n), wire->id, lines, wire->n_lines, wire->end);
    free(lines);
}

static void on_message(void *data, struct hub_node *n, const Mayfly__V1__Envelope *m)
{
    struct hub_link *l = data;

    switch (m->body_case) {
    case MAYFLY__V1__ENVELOPE__BODY_REPORT:
        on_report(l, n, m->report);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_VERSION_REPORT:
        on_version_report(l, n, m->version_report);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_LOG_CHUNK:
        on_log_chunk(l, n, m->log_chunk);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_LEAVING:
        log_info("a node leaves: its grants go elsewhere",
                 LOG_STR("node", hub_node_name(n)));
        controller_core_node_leaving(l->core, hub_node_name(n));
        break;
    default: /* of a newer agent */
        break;
    }
}

/* --- logs --------------------------------------------------------------------- */

struct ask {
    struct hub_link *link;
    const Mayfly__V1__Envelope *m;
    void (*asked)(void *data, const char *node);
    void *data;
};

static void ask_one(void *data, struct hub_node *n)
{
    const struct ask *a = data;

    if (hub_send(a->link->hub, n, a->m) == 0) {
        a->asked(a->data, hub_node_name(n));
    }
}

void hub_link_logs_ask(struct hub_link *l, const char *node, uint64_t id,
                       const struct api_log_query *q,
                       void (*asked)(void *data, const char *node), void *data)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__LogRequest r = MAYFLY__V1__LOG_REQUEST__INIT;
    struct ask ask = {.link = l, .m = &m, .asked = asked, .data = data};
    struct hub_node *n;

    r.id = id;
    r.namespace_ = (char *)(uintptr_t)q->namespace_;
    r.name = (char *)(uintptr_t)q->name;
    r.version = q->version;
    r.follow = q->follow;
    r.tail = q->tail;
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_LOG_REQUEST;
    m.log_request = &r;
    if (l->hub == NULL) {
        return;
    }
    if (node == NULL) {
        hub_each(l->hub, ask_one, &ask);
    } else if ((n = find(l, node)) != NULL) {
        ask_one(&ask, n);
    }
}

void hub_link_logs_ack(struct hub_link *l, const char *node, uint64_t id)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__LogAck ack = MAYFLY__V1__LOG_ACK__INIT;

    ack.id = id;
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_LOG_ACK;
    m.log_ack = &ack;
    send_to(l, node, &m);
}

void hub_link_logs_cancel(struct hub_link *l, const char *node, uint64_t id)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__LogCancel cancel = MAYFLY__V1__LOG_CANCEL__INIT;

    cancel.id = id;
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_LOG_CANCEL;
    m.log_cancel = &cancel;
    send_to(l, node, &m);
}

/* --- life --------------------------------------------------------------------- */

static struct metric *counter(struct metrics *m, const char *name, const char *help)
{
    return metric_get(metrics_family(m, METRIC_COUNTER, name, help, NULL, 0), NULL);
}

void hub_link_open(struct hub_link *l, struct controller_core *core, struct api *api,
                   struct metrics *metrics)
{
    *l = (struct hub_link){
        .core = core,
        .api = api,
        .joined =
            counter(metrics, "mayfly_node_joins_total", "Sessions of agents begun."),
        .left = counter(metrics, "mayfly_node_leaves_total", "Sessions of agents lost."),
        .bad_messages = counter(metrics, "mayfly_node_bad_messages_total",
                                "Messages of agents that could not be used."),
    };
}

void hub_link_options(struct hub_link *l, struct hub_options *options)
{
    options->on_join = on_join;
    options->on_snapshot = on_snapshot;
    options->on_message = on_message;
    options->on_leave = on_leave;
    options->data = l;
}

void hub_link_set_hub(struct hub_link *l, struct hub *hub)
{
    l->hub = hub;
    l->last = NULL;
}
