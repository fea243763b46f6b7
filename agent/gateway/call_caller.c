/* The caller's side of a call: what it sends, that it goes away, and how it begins. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/gateway/gateway_private.h"
#include "common/random.h"

/* --- tunnels ------------------------------------------------------------------- */

void call_tunnel_begin(struct gateway_call *c)
{
    c->tunnel = c->call.tunnel = true;
    c->body_done = false; /* what the caller says from here on takes its place */
}

static void tunnel_body(struct gateway_call *c, const char *data, size_t len)
{
    if (c->phase == PHASE_RUN && c->run != NULL) {
        call_run_body(c, data, len);
    } else if (c->phase == PHASE_HOP) {
        call_hop_body(c, data, len);
    }
}

/* --- the caller's side --------------------------------------------------------- */

static void on_body(struct http_exchange *x, const char *data, size_t len)
{
    struct gateway_call *c = http_exchange_data(x);

    if (c->phase == PHASE_OVER || c->todo == TODO_FAIL) {
        return;
    }
    if (c->tunnel) {
        tunnel_body(c, data, len);
        return;
    }
    c->body_seen += len;
    if (!call_admit(c)) {
        call_act(c);
    } else if (c->phase == PHASE_RUN && c->run != NULL) {
        call_run_body(c, data, len);
    } else if (c->phase == PHASE_HOP && c->hop_taken) {
        call_hop_body(c, data, len);
    } else if (buf_append(&c->prefix, data, len) < 0) {
        call_fail_later(c, CAUSE_INTERNAL, "out of memory");
    } else if (c->prefix.len >= PREFIX_MAX) {
        http_exchange_pause(x);
    }
}

static void on_end(struct http_exchange *x)
{
    struct gateway_call *c = http_exchange_data(x);

    if (c->body_done) {
        return; /* there was none */
    }
    c->body_done = true;
    if (c->phase == PHASE_RUN && c->run != NULL) {
        (void)runtime_call_end(c->run);
    } else if (c->phase == PHASE_HOP && c->hop != NULL && (c->hop_taken || c->tunnel)) {
        (void)http_call_end(c->hop, (struct http_headers){NULL, 0});
    }
}

static void on_drain(struct http_exchange *x)
{
    struct gateway_call *c = http_exchange_data(x);

    if (c->phase == PHASE_RUN && c->run != NULL) {
        runtime_call_resume(c->run);
    } else if (c->phase == PHASE_HOP && c->hop != NULL) {
        http_call_resume(c->hop);
    }
}

static void on_close(struct http_exchange *x, int status)
{
    struct gateway_call *c = http_exchange_data(x);

    c->exchange = NULL;
    if (c->phase != PHASE_OVER) {
        call_gone(c);
    }
    call_maybe_free(c);
}

static const struct http_exchange_ops exchange_ops = {on_body, on_end, on_drain,
                                                      on_close};

/* --- begin
 * ----------------------------------------------------------------------------------- */

/* The version that the agent which forwards the call has picked. */
static void read_picked(struct gateway_call *c)
{
    const struct http_header *h =
        http_headers_find(http_exchange_headers(c->exchange), HEADER_PICKED);
    uint64_t n = 0;

    for (size_t i = 0; h != NULL && i < h->value.len; i++) {
        if (h->value.at[i] < '0' || h->value.at[i] > '9' || i >= 18) {
            return;
        }
        n = n * 10 + (uint64_t)(h->value.at[i] - '0');
    }
    c->picked = n;
}

/* What a caller of Lambda's API has told the other agent. */
static void read_lambda(struct gateway_call *c)
{
    struct http_headers h = http_exchange_headers(c->exchange);
    const struct http_header *arn = http_headers_find(h, HEADER_ARN);

    c->tail = http_headers_find(h, HEADER_TAIL) != NULL;
    c->arn = arn != NULL ? arn->value : HTTP_STR("");
}

_Static_assert(MARK_PEER_MAX >= HTTP_PEER_SIZE, "an address has room");

static void read_mark(struct gateway_call *c)
{
    struct http_exchange *x = c->exchange;
    const struct http_header *h =
        http_headers_find(http_exchange_headers(x), MARK_HEADER);

    if (h != NULL) {
        c->trust = mark_read(&c->mark, h->value, c->gateway->secret,
                             http_exchange_method(x), http_exchange_target(x));
    }
    if (c->trust == MARK_TRUSTED) {
        memcpy(c->request_id, c->mark.request_id, sizeof(c->request_id));
        c->route.n = 1; /* another agent names the function whole */
        read_picked(c);
        read_lambda(c);
    } else {
        random_uuid(c->request_id);
        c->mark = (struct mark){.left_ms = MARK_LEFT_NONE, .wait_ms = MARK_LEFT_NONE};
        (void)stpcpy(c->mark.peer, http_exchange_peer(x));
    }
}

static void refuse(struct gateway *g, struct http_exchange *x, enum cause cause,
                   const char *text)
{
    char request_id[RANDOM_UUID_SIZE];

    random_uuid(request_id);
    reply_error(
        x, &(struct reply_error){
               .node = g->node, .request_id = request_id, .text = text, .cause = cause});
}

static struct gateway_call *call_new(struct gateway *g, struct http_exchange *x)
{
    struct gateway_call *c = spare_take(&g->spare_calls);

    if (c != NULL) {
        c->gateway = g;
        c->exchange = x;
        c->arrived_us = http_exchange_started_us(x);
        list_init(&c->due);
        list_init(&c->use.node);
        list_push_back(&g->calls, &c->link);
        http_exchange_set(x, &exchange_ops, c);
        gateway_metrics_in_flight(g->metrics, 1);
    }
    return c;
}

int call_begin_as(struct gateway *g, struct http_exchange *x,
                  const struct call_input *input)
{
    struct gateway_call *c = call_new(g, x);
    struct route_target *t;

    if (c == NULL) {
        return -ENOMEM;
    }
    t = &c->route.targets[0];
    c->route.n = 1;
    (void)snprintf(t->namespace_, sizeof(t->namespace_), "%s", input->namespace_);
    (void)snprintf(t->name, sizeof(t->name), "%s", input->name);
    (void)snprintf(t->qualifier, sizeof(t->qualifier), "%s", input->qualifier);
    t->path = HTTP_STR("/");
    random_uuid(c->request_id);
    c->mark = (struct mark){.left_ms = MARK_LEFT_NONE};
    (void)stpcpy(c->mark.peer, http_exchange_peer(x));
    c->face = input->face;
    c->face_data = input->data;
    c->arn = http_str(input->arn);
    c->tail = input->tail;
    c->method = input->method;
    c->query = HTTP_STR("");
    c->headers = input->headers;
    c->prefix = *input->body;
    *input->body = (struct buf){0};
    c->body_seen = c->prefix.len;
    c->body_done = true;
    call_timing_read(c);
    c->todo = TODO_ASK;
    call_act(c);
    return 0;
}

void call_begin(struct gateway *g, struct http_exchange *x)
{
    struct gateway_call *c;
    struct route route;

    if (route_parse(&route, http_exchange_path(x)) < 0) {
        refuse(g, x, CAUSE_NOT_FOUND,
               "no function has this path: call /fn/<name> or /fn/<namespace>/<name>");
        return;
    }
    c = call_new(g, x);
    if (c == NULL) {
        refuse(g, x, CAUSE_INTERNAL, "out of memory");
        return;
    }
    c->route = route;
    c->method = http_exchange_method(x);
    c->query = http_exchange_query(x);
    c->headers = http_exchange_headers(x);
    c->upgrade = http_exchange_upgrade(x);
    read_mark(c);
    c->body_done = http_exchange_content_length(x) == 0;
    if (!c->body_done && http_headers_find(http_exchange_headers(x), "Expect") != NULL) {
        http_exchange_pause(x); /* 100 Continue goes out once somebody takes the body */
    }
    c->todo = TODO_ASK;
    call_act(c);
}
