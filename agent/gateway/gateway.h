/* Gateway: HTTP on every agent. Any of them takes calls to any function.
 *
 * Finds the function, asks the core where the call runs, and carries bodies both ways
 * with back-pressure: to an instance here (agent/runtime) or to the gateway of another
 * agent, one hop at most. docs/gateway.md has what callers see. Loop's thread. */
#ifndef AGENT_GATEWAY_GATEWAY_H
#define AGENT_GATEWAY_GATEWAY_H

#include <uv.h>

#include "agent/core/agent_core.h"
#include "common/error.h"
#include "common/metrics.h"

struct gateway;

struct gateway_options {
    struct agent_core *core; /* `edge` of its instances: struct runtime_instance */
    const char *node;
    const char *host;
    uint16_t port;      /* 0: a free one */
    const char *secret; /* the cluster's join token; NULL: there is none */
    struct metrics *metrics;
    uint32_t upgrade_idle_ms;   /* http_server.h; 0: its default */
    bool lambda_auth_off;       /* AWS's API takes requests without a signature */
    const char *lambda_account; /* in its ARNs */
    /* Another agent's gateway could not be connected to. May come from within the core's
     * io: note it, and tell the core later. */
    void (*on_unreachable)(void *data, const char *node);
    void *data;
};

/* Strings are copied; core and metrics outlive it. */
int gateway_new(struct gateway **ret, uv_loop_t *loop,
                const struct gateway_options *options, struct error *err);
uint16_t gateway_port(const struct gateway *g);
/* The core knows by now what functions there are: what it does not know is not there.
 * Before that such a call is told to come back. */
void gateway_informed(struct gateway *g);
/* /healthz says that it takes no more, though it does, so that callers look elsewhere. */
void gateway_leave(struct gateway *g);
void gateway_drain(struct gateway *g); /* accepts no more; calls go on */
/* Calls that run; not those that are a tunnel to an instance here, which has no end but
 * the instance's: SIGTERM tells it. */
size_t gateway_active(const struct gateway *g);
/* Calls that run are cut. on_closed comes once all have ended. */
void gateway_close(struct gateway *g, void (*on_closed)(void *data), void *data);

/* What the controller tells. A key or URL that no message names between snapshot_begin
 * and _end is gone. configs: JSON, a list; or NULL. */
void gateway_key(struct gateway *g, const struct key_state *k);
void gateway_function_urls(struct gateway *g, const char *namespace_, const char *name,
                           const char *configs);
void gateway_snapshot(struct gateway *g, bool end);
/* Another agent is said to take no more calls: those that it has end with node_lost if
 * its host does not answer any more. */
void gateway_doubt(struct gateway *g, const char *gateway);
/* Where a controller's REST is: "http://host:8090". */
void gateway_controller(struct gateway *g, const char *url);

/* The core's io about calls: pass it on as it comes. */
void gateway_call_dispatch(struct gateway *g, struct call *c);
void gateway_call_forward(struct gateway *g, struct call *c, const char *node,
                          const char *gateway);
void gateway_call_reject(struct gateway *g, struct call *c, enum cause cause,
                         const char *text, uint32_t retry_after_s);
void gateway_call_timeout(struct gateway *g, struct call *c);

#endif /* AGENT_GATEWAY_GATEWAY_H */
