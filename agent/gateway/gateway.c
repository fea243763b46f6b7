/* The server, its parts' opening and closing, and what is left for later. */
#include "agent/gateway/gateway.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/gateway/gateway_private.h"
#include "agent/gateway/lambda_private.h"
#include "common/check.h"

/* --- later
 * ------------------------------------------------------------------------------ */

static void later_cb(uv_timer_t *timer)
{
    struct gateway *g = container_of(timer, struct gateway, later);
    struct list due = g->due;

    if (list_empty(&g->due)) {
        return;
    }
    /* What these leave for later comes the next time round. */
    due.next->prev = &due;
    due.prev->next = &due;
    list_init(&g->due);
    while (!list_empty(&due)) {
        struct gateway_call *c = container_of(due.next, struct gateway_call, due);

        list_remove(&c->due);
        call_act(c);
    }
}

void gateway_arm(struct gateway *g)
{
    if (!uv_is_active((uv_handle_t *)&g->later)) {
        CHECK(uv_timer_start(&g->later, later_cb, 0, 0) == 0);
    }
}

/* --- server
 * ----------------------------------------------------------------------------- */

static void on_request(struct http_server *s, struct http_exchange *x)
{
    static const struct http_header plain = {HTTP_STR("Content-Type"),
                                             HTTP_STR("text/plain")};
    struct http_str method = http_exchange_method(x), path = http_exchange_path(x);

    if (http_str_eq(path, "/healthz") &&
        (http_str_eq(method, "GET") || http_str_eq(method, "HEAD"))) {
        const struct gateway *g = s->data;
        const char *text = g->leaving ? "the agent is being stopped\n" : "ok\n";

        (void)http_exchange_reply(x, g->leaving ? 503 : 200,
                                  (struct http_headers){&plain, 1}, text, strlen(text));
        return;
    }
    if (!lambda_takes(s->data, x, path)) {
        call_begin(s->data, x);
    }
}

static int open_server(struct gateway *g, const struct gateway_options *o,
                       struct error *err)
{
    const struct http_server_options options = {
        .fin_probe = true,
        .upgrade_idle_ms = o->upgrade_idle_ms,
        .on_request = on_request,
        .data = g,
    };
    int rc = http_server_open(&g->server, g->loop, &options);

    if (rc < 0) {
        return error_set(err, rc, "gateway: %s", uv_strerror(rc));
    }
    g->open++;
    rc = http_server_listen_tcp(&g->server, o->host, o->port, &g->port, err);
    return rc < 0 ? error_wrap(err, rc, "gateway") : 0;
}

/* --- life
 * --------------------------------------------------------------------------------- */

static void part_closed(struct gateway *g)
{
    void (*on_closed)(void *data) = g->on_closed;
    void *data = g->closed_data;

    if (--g->open > 0) {
        return;
    }
    gateway_metrics_free(g->metrics);
    lambda_tables_free(g);
    spare_free(&g->spare_calls);
    free(g->secret);
    free(g);
    if (on_closed != NULL) {
        on_closed(data);
    }
}

static void peers_closed(void *data)
{
    part_closed(data);
}

static void timer_closed(uv_handle_t *handle)
{
    part_closed(container_of((uv_timer_t *)handle, struct gateway, later));
}

/* The server is closed, and the last call is gone: nothing uses the rest any more. */
static void close_rest(struct gateway *g)
{
    if (g->closing && g->server_closed && list_empty(&g->calls) &&
        list_empty(&g->relays)) {
        g->closing = false;
        peers_close(g->peers, peers_closed, g);
        uv_close((uv_handle_t *)&g->later, timer_closed);
    }
}

static void server_closed(struct http_server *s)
{
    struct gateway *g = container_of(s, struct gateway, server);

    g->server_closed = true;
    g->open--; /* those of close_rest() are still open */
    close_rest(g);
}

void gateway_call_gone(struct gateway *g)
{
    close_rest(g);
}

void gateway_close(struct gateway *g, void (*on_closed)(void *data), void *data)
{
    CHECK(!g->closing);
    g->closing = true;
    g->on_closed = on_closed;
    g->closed_data = data;
    LIST_FOREACH_SAFE(it, &g->calls)
    {
        call_let_go(container_of(it, struct gateway_call, link));
    }
    http_server_close(&g->server, server_closed);
}

int gateway_new(struct gateway **ret, uv_loop_t *loop,
                const struct gateway_options *options, struct error *err)
{
    struct gateway *g = calloc(1, sizeof(*g));
    int rc;

    if (g == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    g->loop = loop;
    g->core = options->core;
    g->on_unreachable = options->on_unreachable;
    g->data = options->data;
    g->spare_calls =
        (struct spare){.size = sizeof(struct gateway_call), .max = SPARE_CALLS_MAX};
    list_init(&g->calls);
    list_init(&g->due);
    list_init(&g->relays);
    for (size_t i = 0; i < LAMBDA_BUCKETS; i++) {
        list_init(&g->lambda.keys[i]);
        list_init(&g->lambda.urls[i]);
    }
    g->lambda.auth_off = options->lambda_auth_off;
    (void)snprintf(g->node, sizeof(g->node), "%s", options->node);
    rc = gateway_metrics_new(&g->metrics, options->metrics);
    g->lambda.account = strdup(options->lambda_account != NULL ? options->lambda_account
                                                               : "000000000000");
    rc = rc < 0 || g->lambda.account != NULL ? rc : -ENOMEM;
    if (rc == 0 && options->secret != NULL) {
        g->secret = strdup(options->secret);
        rc = g->secret != NULL ? 0 : -ENOMEM;
    }
    rc = rc < 0 ? rc : peers_new(&g->peers, loop);
    if (rc < 0) {
        gateway_metrics_free(g->metrics);
        lambda_tables_free(g);
        free(g->secret);
        free(g);
        return error_set(err, rc, "gateway: %s", uv_strerror(rc));
    }
    CHECK(uv_timer_init(loop, &g->later) == 0);
    g->open = 2; /* peers and timer */
    rc = open_server(g, options, err);
    if (rc < 0) {
        if (g->open == 3) {
            gateway_close(g, NULL, NULL);
        } else {
            g->closing = g->server_closed = true;
            close_rest(g);
        }
        return rc;
    }
    *ret = g;
    return 0;
}

uint16_t gateway_port(const struct gateway *g)
{
    return g->port;
}

void gateway_doubt(struct gateway *g, const char *gateway)
{
    peers_doubt(g->peers, gateway);
}

void gateway_informed(struct gateway *g)
{
    g->informed = true;
}

void gateway_leave(struct gateway *g)
{
    g->leaving = true;
}

void gateway_drain(struct gateway *g)
{
    http_server_drain(&g->server);
}

size_t gateway_active(const struct gateway *g)
{
    size_t n = http_server_active(&g->server);

    LIST_FOREACH(it, &g->calls)
    {
        const struct gateway_call *c = container_of(it, struct gateway_call, link);

        n -= c->tunnel && c->phase == PHASE_RUN && c->exchange != NULL;
    }
    return n;
}
