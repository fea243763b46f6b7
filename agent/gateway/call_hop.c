/* A call on another agent: its gateway is asked in this one's place, and its answer,
 * which names the node and the cause already, is passed on as it is, but for the time. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "agent/gateway/gateway_private.h"
#include "common/clock.h"

#define LOG_BASE64_MAX (RUNTIME_LOG_TAIL * 4 / 3 + 8)

/* --- the reply
 * -------------------------------------------------------------------------- */

static enum cause cause_said(struct http_headers headers)
{
    const struct http_header *h = http_headers_find(headers, "X-Mayfly-Error");
    char name[32];

    if (h == NULL || h->value.len >= sizeof(name)) {
        return CAUSE_NO_CAPACITY;
    }
    (void)snprintf(name, sizeof(name), "%.*s", (int)h->value.len, h->value.at);
    return cause_from_name(name);
}

/* What the other agent says to this one. True: it gives the call back, and the reply is
 * not the caller's. */
static bool is_given_back(struct gateway_call *c, struct http_headers headers)
{
    const struct http_header *h = http_headers_find(headers, MARK_REPLY_HEADER);

    if (h == NULL || mark_reply_read(&c->hop_said, h->value) < 0) {
        return false;
    }
    if (c->hop_said.verdict == VERDICT_FINAL || c->hop_taken) {
        c->hop_said.verdict = VERDICT_FINAL;
        if (c->core_open) {
            agent_core_hop_room(c->gateway->core, &c->call, c->hop_node,
                                &c->hop_said.room);
        }
        return false;
    }
    c->hop_cause = cause_said(headers);
    return true;
}

/* The log's tail that the other agent gives, in a header or a trailer. */
static void take_tail(struct gateway_call *c, struct http_headers from)
{
    const struct http_header *h = c->tail ? http_headers_find(from, HEADER_TAIL) : NULL;
    unsigned char out[LOG_BASE64_MAX];
    int n;

    if (h == NULL || h->value.len == 0 || h->value.len >= sizeof(out)) {
        return;
    }
    n = EVP_DecodeBlock(out, (const unsigned char *)h->value.at, (int)h->value.len);
    for (size_t i = h->value.len; n > 0 && i > 0 && h->value.at[i - 1] == '='; i--) {
        n--;
    }
    c->log.len = 0;
    if (n > 0) {
        (void)buf_append(&c->log, out, (size_t)n);
    }
}

static void on_response(struct http_call *hop, int status, struct http_headers headers,
                        uint64_t content_length)
{
    struct gateway_call *c = http_call_data(hop);

    if (c->phase != PHASE_HOP || c->todo == TODO_FAIL) {
        return;
    }
    if (is_given_back(c, headers)) {
        if (!c->hop_whole) {
            http_call_cancel(hop); /* its body was never sent */
        }
        return;
    }
    call_timing_hop(c, headers);
    take_tail(c, headers);
    if (c->face != NULL) {
        c->face->head(c, status, headers);
        c->replied = true;
    } else if (reply_relay(c, status, headers, content_length) == -EINVAL) {
        call_fail_later(c, CAUSE_INTERNAL, "%s sent a reply that cannot be passed on",
                        c->hop_node);
    } else if (status == 101) {
        call_tunnel_begin(c);
    }
}

static void on_body(struct http_call *hop, const char *data, size_t len)
{
    struct gateway_call *c = http_call_data(hop);

    if (c->phase != PHASE_HOP || c->todo == TODO_FAIL || !c->replied) {
        return;
    }
    if (c->face != NULL) {
        c->face->body(c, data, len);
    } else if (http_exchange_write(c->exchange, data, len) == -EMSGSIZE) {
        call_fail_later(c, CAUSE_INTERNAL, "%s sent more than it announced", c->hop_node);
        return;
    }
    if (http_exchange_pending(c->exchange) > HTTP_HIGH_WATER) {
        http_call_pause(hop);
    }
}

static void on_end(struct http_call *hop, struct http_headers trailers)
{
    struct gateway_call *c = http_call_data(hop);

    if (c->phase == PHASE_HOP && c->todo != TODO_FAIL && c->replied) {
        c->reply_whole = true;
        take_tail(c, trailers);
        if (c->face != NULL) {
            c->face->end(c);
        } else {
            (void)http_exchange_end(c->exchange, trailers);
        }
    }
}

static void send_prefix(struct gateway_call *c)
{
    if (c->prefix.len > 0) {
        call_hop_body(c, c->prefix.data, c->prefix.len);
        buf_free(&c->prefix);
    }
    if (c->body_done) {
        (void)http_call_end(c->hop, (struct http_headers){NULL, 0});
    }
}

static void on_drain(struct http_call *hop)
{
    struct gateway_call *c = http_call_data(hop);

    if (c->phase != PHASE_HOP || c->todo == TODO_FAIL) {
        return;
    }
    c->hop_connected = true;
    if (c->hop_taken && http_call_pending(hop) <= HTTP_HIGH_WATER) {
        http_exchange_resume(c->exchange);
    }
}

/* The other agent has begun the call: from now on it is its own. */
static void on_continue(struct http_call *hop)
{
    struct gateway_call *c = http_call_data(hop);

    if (c->phase != PHASE_HOP || c->todo == TODO_FAIL || c->hop_whole || c->hop_taken) {
        return;
    }
    c->hop_taken = true;
    send_prefix(c);
    if (c->todo != TODO_FAIL && http_call_pending(hop) <= HTTP_HIGH_WATER) {
        http_exchange_resume(c->exchange);
    }
}

/* Did the failure happen before a byte of the request came to the other host? hop NULL:
 * there was no request. */
static bool never_arrived(const struct gateway_call *c, const struct http_call *hop,
                          int status)
{
    if (hop != NULL && http_call_was_unheard(hop)) {
        return !c->replied;
    }
    switch (status) {
    case -ECONNRESET: /* also what the client makes of a connection that broke */
    case -EPROTO:
    case -ENOMEM:
    case -ECANCELED:
        return false;
    default:
        return !c->hop_connected && !c->replied;
    }
}

static void hop_failed(struct gateway_call *c, const struct http_call *hop, int status)
{
    if (status == -ENOMEM) {
        call_fail_later(c, CAUSE_INTERNAL, "out of memory");
    } else if (never_arrived(c, hop, status)) {
        peers_failed(&c->use);
        if (c->gateway->on_unreachable != NULL) {
            c->gateway->on_unreachable(c->gateway->data, c->hop_node);
        }
        call_return_later(c, VERDICT_CANNOT, CAUSE_NODE_LOST);
    } else {
        call_fail_later(c, CAUSE_NODE_LOST, "%s was lost while it had the call",
                        c->hop_node);
    }
}

static void on_close(struct http_call *hop, int status)
{
    struct gateway_call *c = http_call_data(hop);

    c->hop = NULL;
    if (c->phase == PHASE_HOP && c->todo != TODO_FAIL) {
        if (status == 0 && c->reply_whole) {
            peers_release(&c->use);
            call_over(c, "ok");
            call_done(c, CAUSE_NONE, 0);
            return;
        }
        if (c->hop_said.verdict != VERDICT_FINAL) {
            call_return_later(c, c->hop_said.verdict, c->hop_cause);
        } else {
            hop_failed(c, hop, status);
        }
    }
    peers_release(&c->use);
    call_maybe_free(c);
}

static const struct http_call_ops ops = {
    .on_continue = on_continue,
    .on_response = on_response,
    .on_body = on_body,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_close = on_close,
};

/* --- the request
 * ------------------------------------------------------------------------ */

void call_hop_body(struct gateway_call *c, const char *data, size_t len)
{
    if (c->hop == NULL) {
        return;
    }
    if (http_call_write(c->hop, data, len) == -ENOMEM) {
        call_fail_later(c, CAUSE_INTERNAL, "out of memory");
    } else if (http_call_pending(c->hop) > HTTP_HIGH_WATER) {
        http_exchange_pause(c->exchange);
    }
}

/* The function's whole name: the other agent has nothing to guess. */
static int make_target(const struct gateway_call *c, struct buf *b)
{
    const struct route_target *t = call_target(c);
    struct http_str query = c->query;
    int rc = buf_printf(b, "/fn/%s/%s%s%s", t->namespace_, t->name,
                        *t->qualifier != '\0' ? ":" : "", t->qualifier);

    rc = rc < 0 ? rc : buf_append(b, t->path.at, t->path.len);
    if (rc == 0 && query.len > 0) {
        rc = buf_append(b, "?", 1);
        rc = rc < 0 ? rc : buf_append(b, query.at, query.len);
    }
    return rc;
}

static int make_mark(const struct gateway_call *c, char ret[MARK_SIZE],
                     struct http_str target)
{
    uint64_t now_ms = clock_mono_ms();
    struct mark m = c->mark;

    memcpy(m.request_id, c->request_id, sizeof(m.request_id));
    memcpy(m.node, c->gateway->node, sizeof(m.node));
    m.may_wait = c->call.may_wait;
    m.only_idle = c->call.only_idle;
    m.wait_ms = agent_core_queue_left_ms(c->gateway->core, &c->call);
    if (c->call.deadline_ms > now_ms && c->call.deadline_ms != UINT64_MAX) {
        m.left_ms = c->call.deadline_ms - now_ms;
    }
    return mark_write(ret, &m, c->gateway->secret, c->method, target);
}

static int start(struct gateway_call *c, struct http_client *client)
{
    struct http_exchange *x = c->exchange;
    bool whole = c->hop_whole;
    struct buf target = {0};
    struct headers pass;
    char mark[MARK_SIZE], picked[24];
    int rc = make_target(c, &target);

    pass.list = NULL;
    rc = rc < 0 ? rc : headers_pass(&pass, c->headers, HEADERS_BETWEEN_AGENTS, 5);
    rc = rc < 0 ? rc : make_mark(c, mark, (struct http_str){target.data, target.len});
    if (rc == 0) {
        headers_add(&pass, MARK_HEADER, mark);
        if (!whole) { /* it may yet give the call back: the body stays here until then */
            headers_add(&pass, "Expect", "100-continue");
        }
        if (c->upgrade.len > 0) {
            headers_add(&pass, "Connection", "Upgrade");
            headers_put(&pass, "Upgrade", c->upgrade);
        }
        if (c->call.picked) {
            (void)snprintf(picked, sizeof(picked), "%llu",
                           (unsigned long long)version_number(c->call.version));
            headers_add(&pass, HEADER_PICKED, picked);
        }
        if (c->arn.len > 0) {
            pass.list[pass.n++] = (struct http_header){HTTP_STR(HEADER_ARN), c->arn};
        }
        if (c->tail) {
            headers_add(&pass, HEADER_TAIL, "1");
        }
        rc = http_call_start(
            client, &c->hop, c->method, (struct http_str){target.data, target.len},
            headers_get(&pass), whole && c->prefix.len > 0 ? c->prefix.data : NULL,
            whole ? c->prefix.len : http_exchange_content_length(x), &ops, c);
    }
    headers_free(&pass);
    buf_free(&target);
    return rc;
}

static void peer_ready(struct peer_use *use, struct http_client *client, int status)
{
    struct gateway_call *c = container_of(use, struct gateway_call, use);

    if (status == 0) {
        status = start(c, client);
        if (status == 0) {
            return;
        }
        c->hop = NULL;
    }
    hop_failed(c, NULL, status);
}

void call_hop_start(struct gateway_call *c)
{
    if (!call_admit(c)) {
        return;
    }
    c->phase = PHASE_HOP;
    c->hop_began_us = clock_mono_us();
    c->hop_connected = c->hop_taken = false;
    c->hop_whole = c->body_done;
    c->hop_said = (struct mark_reply){.verdict = VERDICT_FINAL};
    if (!c->body_done) {
        http_exchange_pause(c->exchange); /* until somebody takes it */
    }
    c->use.ready = peer_ready;
    peers_use(c->gateway->peers, c->hop_gateway, &c->use);
}

/* The request to the other agent may take a moment to go; use ends with it. */
void call_hop_drop(struct gateway_call *c)
{
    if (c->hop != NULL) {
        http_call_cancel(c->hop);
    } else {
        peers_release(&c->use);
    }
}
