/* Control operations: passed on to a controller as they are, with their signature, and
 * the answer back. Bodies stream both ways. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/gateway/lambda_private.h"

struct relay {
    struct list link; /* gateway.relays */
    struct gateway *gateway;
    struct http_exchange *x; /* NULL once it has closed */
    struct http_call *call;
    struct peer_use use;
    bool connected, ended, replied, whole;
};

static void maybe_free(struct relay *r)
{
    struct gateway *g = r->gateway;

    if (r->x == NULL && r->call == NULL) {
        peers_release(&r->use);
        list_remove(&r->link);
        free(r);
        gateway_call_gone(g);
    }
}

static void refuse(struct http_exchange *x, const char *text)
{
    char id[RANDOM_UUID_SIZE];
    const struct http_header list[] = {
        {HTTP_STR("x-amzn-RequestId"), {id, RANDOM_UUID_SIZE - 1}},
        {HTTP_STR("Content-Type"), HTTP_STR("application/json")},
        {HTTP_STR("x-amzn-ErrorType"), http_str(lambda_error_code(LAMBDA_E_UNAVAILABLE))},
        {HTTP_STR("Retry-After"), HTTP_STR("1")},
    };
    char *body = lambda_error_body(LAMBDA_E_UNAVAILABLE, text, NULL);

    random_uuid(id);
    (void)http_exchange_reply(x, 503, (struct http_headers){list, 4},
                              body != NULL ? body : "{}",
                              body != NULL ? strlen(body) : 2);
    free(body);
}

/* --- the controller's answer ------------------------------------------------------- */

static void on_response(struct http_call *call, int status, struct http_headers headers,
                        uint64_t content_length)
{
    struct relay *r = http_call_data(call);
    struct headers pass;

    if (r->x == NULL) {
        return;
    }
    if (headers_pass(&pass, headers, HEADERS_BETWEEN_AGENTS, 0) == 0) {
        bool none = status == 204 || status == 304;

        r->replied =
            http_exchange_respond(r->x, status, headers_get(&pass),
                                  none ? HTTP_BODY_CHUNKED : content_length) == 0;
        headers_free(&pass);
    }
    if (!r->replied) {
        http_exchange_abort(r->x);
    }
}

static void on_body(struct http_call *call, const char *data, size_t len)
{
    struct relay *r = http_call_data(call);

    if (r->x != NULL && r->replied) {
        (void)http_exchange_write(r->x, data, len);
        if (http_exchange_pending(r->x) > HTTP_HIGH_WATER) {
            http_call_pause(call);
        }
    }
}

static void on_end(struct http_call *call, struct http_headers trailers)
{
    struct relay *r = http_call_data(call);

    r->whole = true;
    if (r->x != NULL && r->replied) {
        (void)http_exchange_end(r->x, (struct http_headers){NULL, 0});
    }
}

static void on_drain(struct http_call *call)
{
    struct relay *r = http_call_data(call);

    if (!r->connected) {
        r->connected = true;
        if (r->ended) {
            (void)http_call_end(call, (struct http_headers){NULL, 0});
        }
    }
    if (r->x != NULL && http_call_pending(call) <= HTTP_HIGH_WATER) {
        http_exchange_resume(r->x);
    }
}

static void on_close(struct http_call *call, int status)
{
    struct relay *r = http_call_data(call);

    r->call = NULL;
    if (r->x != NULL && !r->whole) {
        if (r->replied) {
            http_exchange_abort(r->x);
        } else {
            peers_failed(&r->use);
            refuse(r->x, "The controller cannot be reached; running functions go on.");
        }
    }
    maybe_free(r);
}

static const struct http_call_ops call_ops = {
    .on_response = on_response,
    .on_body = on_body,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_close = on_close,
};

/* --- the caller's side -------------------------------------------------------------- */

static void x_body(struct http_exchange *x, const char *data, size_t len)
{
    struct relay *r = http_exchange_data(x);

    if (r->call != NULL) {
        (void)http_call_write(r->call, data, len);
        if (http_call_pending(r->call) > HTTP_HIGH_WATER) {
            http_exchange_pause(x);
        }
    }
}

static void x_end(struct http_exchange *x)
{
    struct relay *r = http_exchange_data(x);

    if (r->ended) {
        return; /* there was no body */
    }
    r->ended = true;
    if (r->call != NULL && r->connected) {
        (void)http_call_end(r->call, (struct http_headers){NULL, 0});
    }
}

static void x_drain(struct http_exchange *x)
{
    struct relay *r = http_exchange_data(x);

    if (r->call != NULL) {
        http_call_resume(r->call);
    }
}

static void x_close(struct http_exchange *x, int status)
{
    struct relay *r = http_exchange_data(x);

    r->x = NULL;
    if (r->call != NULL) {
        http_call_cancel(r->call);
    }
    maybe_free(r);
}

static const struct http_exchange_ops exchange_ops = {x_body, x_end, x_drain, x_close};

/* --- begin -------------------------------------------------------------------------- */

static int start(struct relay *r, struct http_client *client)
{
    uint64_t len = http_exchange_content_length(r->x);
    struct headers pass;
    int rc = headers_pass(&pass, http_exchange_headers(r->x), HEADERS_BETWEEN_AGENTS, 1);

    if (rc < 0) {
        return rc;
    }
    headers_add(&pass, "X-Mayfly-Via", r->gateway->node);
    rc = http_call_start(client, &r->call, http_exchange_method(r->x),
                         http_exchange_target(r->x), headers_get(&pass), NULL, len,
                         &call_ops, r);
    headers_free(&pass);
    return rc;
}

static void peer_ready(struct peer_use *use, struct http_client *client, int status)
{
    struct relay *r = container_of(use, struct relay, use);

    if (r->x == NULL) {
        return; /* the caller has gone; it is freed there */
    }
    if (status < 0 || start(r, client) < 0) {
        r->call = NULL;
        refuse(r->x, "The controller cannot be reached; running functions go on.");
    }
}

void lambda_relay_begin(struct gateway *g, struct http_exchange *x)
{
    struct relay *r;

    if (g->lambda.controller == NULL) {
        refuse(x, "The node has started and knows no controller yet.");
        return;
    }
    r = calloc(1, sizeof(*r));
    if (r == NULL) {
        refuse(x, "out of memory");
        return;
    }
    r->gateway = g;
    r->x = x;
    list_init(&r->use.node);
    list_push_back(&g->relays, &r->link);
    r->use.ready = peer_ready;
    r->ended = http_exchange_content_length(x) == 0;
    http_exchange_set(x, &exchange_ops, r);
    if (!r->ended) {
        http_exchange_pause(x); /* until somebody takes the body */
    }
    peers_use(g->peers, g->lambda.controller, &r->use);
}
