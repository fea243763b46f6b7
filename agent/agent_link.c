/* What the controller says, to the core; and who this node is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "common/log.h"
#include "proto/convert.h"

/* --- hello
 * ------------------------------------------------------------------------------ */

static size_t n_labels(const struct agent_config *c)
{
    size_t n = 0;

    while (c->labels != NULL && c->labels[n] != NULL) {
        n++;
    }
    return n;
}

/* The labels as the hello's map wants them: made once, "key=value" cut in two. */
static int make_labels(struct agent *a)
{
    size_t n = n_labels(a->config);

    a->labels = calloc(n + 1, sizeof(*a->labels));
    for (size_t i = 0; a->labels != NULL && i < n; i++) {
        Mayfly__V1__Hello__LabelsEntry *e = malloc(sizeof(*e));
        char *text = strdup(a->config->labels[i]);
        char *equals = text != NULL ? strchr(text, '=') : NULL;

        if (e == NULL || equals == NULL) {
            free(e);
            free(text);
            return -1;
        }
        *equals = '\0';
        mayfly__v1__hello__labels_entry__init(e);
        e->key = text;
        e->value = equals + 1;
        a->labels[i] = e;
    }
    return a->labels != NULL ? 0 : -1;
}

void agent_link_free(struct agent *a)
{
    for (size_t i = 0; a->labels != NULL && a->labels[i] != NULL; i++) {
        Mayfly__V1__Hello__LabelsEntry *e = a->labels[i];

        free(e->key);
        free(e);
    }
    free(a->labels);
    a->labels = NULL;
}

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)s; /* packed, never written to */
}

static void fill_hello(void *data, Mayfly__V1__Hello *hello)
{
    struct agent *a = data;
    const struct agent_config *c = a->config;

    hello->node = text_of(c->node);
    hello->boot = a->boot;
    hello->version = text_of(MAYFLY_VERSION);
    hello->token = text_of(a->token != NULL ? a->token : "");
    hello->gateway = a->advertise;
    hello->memory_bytes = c->memory_bytes;
    hello->cpu_millis = c->cpu_millis;
    hello->n_labels = n_labels(c);
    hello->labels = (Mayfly__V1__Hello__LabelsEntry **)a->labels;
}

/* --- the session
 * ------------------------------------------------------------------------ */

static void on_welcome(void *data, const Mayfly__V1__Welcome *w)
{
    struct agent *a = data;

    log_info("connected to the controller", LOG_STR("controller", w->controller),
             LOG_STR("version", w->version), LOG_INT("resumed", w->resumed));
    a->link_was_up = true;
    a->down_reason[0] = '\0';
    if (w->packages_url[0] != '\0') {
        packages_set_url(a->packages, w->packages_url);
        gateway_controller(a->gateway, w->packages_url);
    }
    if (!w->resumed) {
        agent_logs_cancel_all(a); /* they were of the session before */
        agent_reports_session(a);
        agent_leave_tell(a);
    } else {
        agent_grants_renewed(a);
    }
    a->grants_ttl_ms =
        w->grants_ttl_ms < UINT32_MAX ? (uint32_t)w->grants_ttl_ms : UINT32_MAX;
    agent_reports_beat(a, w->heartbeat_ms);
}

static void on_down(void *data, const char *reason)
{
    struct agent *a = data;

    if (a->link_was_up || strcmp(a->down_reason, reason) != 0) {
        log_warn(a->link_was_up ? "connection to the controller lost; calls go on"
                                : "no connection to the controller; trying on",
                 LOG_STR("reason", reason));
        (void)snprintf(a->down_reason, sizeof(a->down_reason), "%s", reason);
    }
    a->link_was_up = false;
    agent_grants_alone(a);
}

/* --- messages
 * --------------------------------------------------------------------------- */

static void refuse(const char *what, const char *name, const struct error *err)
{
    log_error("the controller sent what cannot be used", LOG_STR("message", what),
              LOG_STR("name", name), LOG_STR("error", err->text));
}

static void on_function(struct agent *a, const Mayfly__V1__FunctionState *m)
{
    struct function_state f;
    struct error err = {0};

    if (convert_function_from_wire(&f, m, &err) < 0) {
        refuse("function", m->name, &err);
        return;
    }
    if (f.deleted) {
        agent_reports_retire(a, f.namespace_, f.name, NULL, 0);
        agent_core_function_deleted(a->core, f.namespace_, f.name, f.revision);
        gateway_function_urls(a->gateway, f.namespace_, f.name, NULL);
    } else {
        agent_reports_retire(a, f.namespace_, f.name, f.versions, f.n_versions);
        gateway_function_urls(a->gateway, f.namespace_, f.name, f.urls);
        if (agent_core_function(a->core, &f) < 0) {
            (void)error_set(&err, -1, "out of memory");
            refuse("function", f.name, &err);
        }
    }
    convert_function_release(&f);
}

static void on_node(struct agent *a, const Mayfly__V1__NodeState *m)
{
    struct node_state n;
    struct error err = {0};
    int rc = convert_node_from_wire(&n, m, &err);

    if (rc < 0) {
        refuse("node", m->node, &err);
    } else if (strcmp(n.node, a->config->node) != 0) { /* others only */
        agent_peers_set(a, &n);
    }
}

static void on_key(struct agent *a, const Mayfly__V1__KeyState *m)
{
    struct key_state k;
    struct error err = {0};

    if (convert_key_from_wire(&k, m, &err) < 0) {
        refuse("key", m->id, &err);
    } else {
        gateway_key(a->gateway, &k);
    }
}

static void on_message(void *data, const Mayfly__V1__Envelope *m)
{
    struct agent *a = data;

    switch (m->body_case) {
    case MAYFLY__V1__ENVELOPE__BODY_FUNCTION:
        on_function(a, m->function);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_NODE:
        on_node(a, m->node);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_KEY:
        on_key(a, m->key);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_SNAPSHOT_BEGIN:
        agent_core_snapshot_begin(a->core);
        gateway_snapshot(a->gateway, false);
        agent_peers_snapshot(a, false);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_SNAPSHOT_END:
        agent_core_snapshot_end(a->core);
        agent_grants_renewed(a);
        packages_prune(a->packages);
        agent_peers_snapshot(a, true);
        gateway_snapshot(a->gateway, true);
        a->has_snapshot = true;
        gateway_informed(a->gateway);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_LOG_REQUEST:
        agent_logs_request(a, m->log_request);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_LOG_ACK:
        agent_logs_ack(a, m->log_ack->id);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_LOG_CANCEL:
        agent_logs_cancel(a, m->log_cancel->id);
        break;
    default:
        log_debug("message of an unknown kind", LOG_INT("kind", m->body_case));
        break;
    }
}

int agent_link_open(struct agent *a, struct error *err)
{
    const struct link_options options = {
        .controllers = (const char *const *)a->config->controllers,
        .fill_hello = fill_hello,
        .on_welcome = on_welcome,
        .on_message = on_message,
        .on_down = on_down,
        .data = a,
    };

    if (make_labels(a) < 0) {
        return error_set(err, -1, "labels: out of memory");
    }
    return link_new(&a->link, &a->loop, &options, err);
}

void agent_link_close(struct agent *a, void (*on_closed)(void *data))
{
    struct link *l = a->link;

    agent_logs_cancel_all(a);
    a->link = NULL; /* nothing is said from now on */
    link_close(l, on_closed, a);
}
