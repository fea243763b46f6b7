/* Shared by the two files of the kind `http`: runtime_http.c (the instance) and
 * runtime_http_call.c (calls). */
#ifndef AGENT_RUNTIME_RUNTIME_HTTP_H
#define AGENT_RUNTIME_RUNTIME_HTTP_H

#include "agent/runtime/runtime_private.h"
#include "common/backoff.h"
#include "common/http/http_client.h"

/* Looking whether the port is open:
 *
 *   socket ─▶ connect ──refused──▶ back-off ─▶ connect …
 *                └──accepted──▶ done                      (until init's limit) */
struct probe {
    uv_poll_t poll;
    uv_timer_t timer;
    bool poll_open;
    bool timer_open;
    int fd; /* -1: none. One socket does for all attempts */
    bool asked;
    bool over;
    struct backoff backoff;
};

struct http_state {
    struct http_client client;
    bool client_open;
    struct probe probe;
    struct runtime_instance *instance;
};

struct http_runtime_call {
    struct runtime_call call;
    struct http_call *http; /* NULL: it has ended */
    struct buf kept; /* of the request's body, what came before anything was sent */
    bool starting;
    bool bodiless; /* the request: its head is all that there is to read */
    bool tunnel;   /* after a 101 */
};

int http_runtime_call_start(struct runtime_call *c, const struct runtime_request *r);
int http_runtime_call_write(struct runtime_call *c, const char *data, size_t len);
int http_runtime_call_end(struct runtime_call *c);
size_t http_runtime_call_pending(const struct runtime_call *c);
void http_runtime_call_pause(struct runtime_call *c, bool paused);
void http_runtime_call_due(struct runtime_call *c);
bool http_runtime_call_outlives(struct runtime_call *c);
bool http_runtime_call_drop(struct runtime_call *c);

#endif /* AGENT_RUNTIME_RUNTIME_HTTP_H */
