/* Calls that come to a controller: passed on, as they are and with their signature, to a
 * node's gateway. A controller is no way for much traffic; it is there so that one
 * address serves. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/http/http_client.h"
#include "common/random.h"
#include "controller/api/lambda_private.h"

#define CONNECT_MS  1500
#define HEADERS_MAX 128

struct lambda_relay {
    struct api_request *r;
    struct http_client client;
    struct http_call *call;
    bool closing, connected, ended, replied, whole;
};

static void unavailable(struct lambda_relay *p)
{
    static const char body[] =
        "{\"Type\":\"Service\",\"Message\":\"No node can be reached "
        "that could take the call.\"}";
    const struct http_header list[] = {
        {HTTP_STR("x-amzn-RequestId"), http_str(p->r->id)},
        {HTTP_STR("Content-Type"), HTTP_STR("application/json")},
        {HTTP_STR("x-amzn-ErrorType"), HTTP_STR("ServiceUnavailableException")},
    };

    if (p->r->x != NULL && p->r->status == 0) {
        p->r->status = 503;
        (void)http_exchange_reply(p->r->x, 503, (struct http_headers){list, 3}, body,
                                  sizeof(body) - 1);
    }
}

/* --- life ------------------------------------------------------------------------- */

static void client_closed(struct http_client *client)
{
    struct lambda_relay *p = container_of(client, struct lambda_relay, client);
    struct api_request *r = p->r;

    free(p);
    api_request_release(r);
}

/* Once neither side needs it. */
static void maybe_close(struct lambda_relay *p)
{
    if (p->call == NULL && p->r->x == NULL && !p->closing) {
        p->closing = true;
        http_client_close(&p->client, client_closed);
    }
}

static void gone(struct api_request *r)
{
    struct lambda_relay *p = r->state;

    if (p != NULL) {
        r->state = NULL;
        if (p->call != NULL) {
            http_call_cancel(p->call);
        }
        maybe_close(p);
    }
}

/* --- the node's answer ------------------------------------------------------------ */

static struct http_headers passing(struct http_headers from, struct http_header *list)
{
    const struct http_header *c = http_headers_find(from, "Connection");
    struct http_headers ret = {list, 0};

    for (size_t i = 0; i < from.n && ret.n < HEADERS_MAX; i++) {
        struct http_str name = from.list[i].name;

        if (!http_header_is_hop(name, c != NULL ? c->value : HTTP_STR("")) &&
            !http_str_ieq(name, "Date")) {
            list[ret.n++] = from.list[i];
        }
    }
    return ret;
}

static void on_response(struct http_call *call, int status, struct http_headers headers,
                        uint64_t content_length)
{
    struct lambda_relay *p = http_call_data(call);
    struct http_header list[HEADERS_MAX];

    if (p->r->x == NULL) {
        return;
    }
    p->r->status = status;
    p->replied =
        http_exchange_respond(p->r->x, status, passing(headers, list),
                              status == 204 ? HTTP_BODY_CHUNKED : content_length) == 0;
    if (!p->replied) {
        http_exchange_abort(p->r->x);
    }
}

static void on_body(struct http_call *call, const char *data, size_t len)
{
    struct lambda_relay *p = http_call_data(call);

    if (p->r->x != NULL && p->replied) {
        (void)http_exchange_write(p->r->x, data, len);
        if (http_exchange_pending(p->r->x) > HTTP_HIGH_WATER) {
            http_call_pause(call);
        }
    }
}

static void on_end(struct http_call *call, struct http_headers trailers)
{
    struct lambda_relay *p = http_call_data(call);

    p->whole = true;
    if (p->r->x != NULL && p->replied) {
        (void)http_exchange_end(p->r->x, (struct http_headers){NULL, 0});
    }
}

static void on_drain(struct http_call *call)
{
    struct lambda_relay *p = http_call_data(call);

    if (!p->connected) {
        p->connected = true;
        if (p->ended) {
            (void)http_call_end(call, (struct http_headers){NULL, 0});
        }
    }
    if (p->r->x != NULL && http_call_pending(call) <= HTTP_HIGH_WATER) {
        http_exchange_resume(p->r->x);
    }
}

static void on_close(struct http_call *call, int status)
{
    struct lambda_relay *p = http_call_data(call);

    p->call = NULL;
    if (p->r->x != NULL && !p->whole) {
        if (p->replied) {
            http_exchange_abort(p->r->x);
        } else {
            unavailable(p);
        }
    }
    maybe_close(p);
}

static const struct http_call_ops call_ops = {
    .on_response = on_response,
    .on_body = on_body,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_close = on_close,
};

/* --- the caller's side ------------------------------------------------------------ */

static void body(struct api_request *r, const char *data, size_t len)
{
    struct lambda_relay *p = r->state;

    if (p->call != NULL) {
        (void)http_call_write(p->call, data, len);
        if (http_call_pending(p->call) > HTTP_HIGH_WATER) {
            http_exchange_pause(r->x);
        }
    }
}

static void end(struct api_request *r)
{
    struct lambda_relay *p = r->state;

    if (!p->ended) {
        p->ended = true;
        if (p->call != NULL && p->connected) {
            (void)http_call_end(p->call, (struct http_headers){NULL, 0});
        }
    }
}

static void drain(struct api_request *r)
{
    struct lambda_relay *p = r->state;

    if (p->call != NULL) {
        http_call_resume(p->call);
    }
}

static const struct api_request_ops relay_ops = {
    .on_body = body, .on_end = end, .on_drain = drain, .on_gone = gone};

/* --- which node ------------------------------------------------------------------- */

struct choice {
    char host[64];
    uint16_t port;
    uint64_t n; /* it is one of so many, each as likely */
};

/* "192.0.2.1:8080", an address and a port. */
static bool consider(void *data, const char *gateway)
{
    struct choice *c = data;
    const char *colon = strrchr(gateway, ':');
    size_t len = colon != NULL ? (size_t)(colon - gateway) : 0;
    uint64_t port;

    if (len == 0 || len >= sizeof(c->host) ||
        input_u64(colon + 1, 1, UINT16_MAX, &port) < 0 || random_u64() % ++c->n != 0) {
        return true;
    }
    if (gateway[0] == '[' && len > 2) { /* IPv6 */
        gateway++;
        len -= 2;
    }
    memcpy(c->host, gateway, len);
    c->host[len] = '\0';
    c->port = (uint16_t)port;
    return true;
}

static int start(struct lambda_relay *p)
{
    struct api_request *r = p->r;
    struct http_header list[HEADERS_MAX];

    return http_call_start(&p->client, &p->call, http_exchange_method(r->x),
                           http_exchange_target(r->x),
                           passing(http_exchange_headers(r->x), list), NULL,
                           http_exchange_content_length(r->x), &call_ops, p);
}

void lambda_relay_begin(struct api_request *r)
{
    struct lambda_relay *p = calloc(1, sizeof(*p));
    struct http_client_options o = {.connect_timeout_ms = CONNECT_MS, .no_repeat = true};
    struct choice node = {.n = 0};

    if (p == NULL) {
        http_exchange_abort(r->x);
        return;
    }
    p->r = r;
    p->ended = http_exchange_content_length(r->x) == 0;
    controller_core_gateways(r->api->core, consider, &node);
    if (node.n == 0) {
        unavailable(p);
        free(p);
        return;
    }
    o.host = node.host;
    o.port = node.port;
    if (http_client_open(&p->client, r->api->loop, &o) < 0) {
        unavailable(p); /* the address is a name, perhaps */
        free(p);
        return;
    }
    r->state = p;
    r->ops = &relay_ops;
    api_request_hold(r);
    if (!p->ended) {
        http_exchange_pause(r->x);
    }
    if (start(p) < 0) {
        p->call = NULL;
        unavailable(p);
    }
}
