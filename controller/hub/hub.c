#include "controller/hub/hub.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/random.h"
#include "controller/hub/hub_private.h"

#define HELLO_MS 5000
#define TICKS    8 /* in a quarter of heartbeat_ms */

/* --- answers to a hello --------------------------------------------------------- */

static void refuse(struct hub_conn *c, const char *cause, const char *text)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__Refused refused = MAYFLY__V1__REFUSED__INIT;

    refused.cause = (char *)(uintptr_t)cause;
    refused.text = (char *)(uintptr_t)text;
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_REFUSED;
    m.refused = &refused;
    hub_conn_send_plain(c, &m);
    /* The peer closes when it has read it; the time limit for a hello ends it otherwise.
     */
}

/* --- nodes -------------------------------------------------------------------- */

static void node_free(struct hub_node *n)
{
    hub_slot_release(n);
    session_reset(&n->session);
    list_remove(&n->untold);
    hub_nodes_remove(n);
    free(n);
}

static void node_leave(struct hub_node *n, const char *reason)
{
    struct hub *h = n->hub;

    if (n->conn != NULL) {
        n->conn->node = NULL;
        hub_conn_close(n->conn);
    }
    if (h->options.on_leave != NULL && !h->closing) {
        h->options.on_leave(h->options.data, n, reason);
    }
    node_free(n);
}

static void random_id(char ret[SESSION_ID_LEN + 1])
{
    uint8_t bytes[SESSION_ID_LEN / 2];

    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)sprintf(ret + 2 * i, "%02x", bytes[i]);
    }
}

static void welcome(struct hub_node *n, bool resumed)
{
    struct hub *h = n->hub;
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__Welcome w = MAYFLY__V1__WELCOME__INIT;

    w.controller = (char *)(uintptr_t)h->options.controller_name;
    w.version = (char *)(uintptr_t)MAYFLY_VERSION;
    w.session = n->id;
    w.resumed = resumed;
    w.received = n->session.received;
    w.heartbeat_ms = h->options.heartbeat_ms;
    w.grants_ttl_ms = h->options.grants_ttl_ms;
    w.packages_url = (char *)(uintptr_t)h->options.packages_url;
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_WELCOME;
    m.welcome = &w;
    hub_conn_send_plain(n->conn, &m);
}

static void join(struct hub_conn *c, const Mayfly__V1__Hello *hello)
{
    struct hub *h = c->hub;
    struct hub_node *n;

    if (h->n_nodes >= h->options.nodes_max) {
        refuse(c, "no_capacity", "the controller has as many nodes as it may have");
        return;
    }
    n = calloc(1, sizeof(*n));
    if (n == NULL) {
        hub_conn_close(c);
        return;
    }
    random_id(n->id);
    n->hub = h;
    n->conn = c;
    c->node = n;
    (void)snprintf(n->name, sizeof(n->name), "%s", hello->node);
    (void)snprintf(n->boot, sizeof(n->boot), "%s", hello->boot);
    session_init(&n->session, h->options.outbox_max);
    n->takes_batches = hello->batches;
    list_init(&n->waits);
    list_init(&n->untold);
    hub_nodes_add(h, n);
    c->reader.max = CODEC_FRAME_MAX;
    welcome(n, false);
    h->options.on_join(h->options.data, n, hello);
}

static bool resume(struct hub_node *n, struct hub_conn *c, const Mayfly__V1__Hello *hello)
{
    if (n->broken || strcmp(n->boot, hello->boot) != 0 ||
        strcmp(n->id, hello->session) != 0 ||
        session_resume(&n->session, hello->received) < 0) {
        return false;
    }
    if (n->conn != NULL) { /* the old one is half open */
        n->conn->node = NULL;
        hub_conn_close(n->conn);
    }
    n->conn = c;
    c->node = n;
    c->reader.max = CODEC_FRAME_MAX;
    welcome(n, true);
    hub_node_pump(n);
    return true;
}

static bool name_valid(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= NODE_NAME_MAX && name[0] != '.' && name[0] != '-' &&
           strspn(name,
                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
               len;
}

static bool token_matches(const char *want, const char *have)
{
    size_t len = strlen(want);

    return strlen(have) == len && CRYPTO_memcmp(want, have, len) == 0;
}

static void on_hello(struct hub_conn *c, const Mayfly__V1__Hello *hello)
{
    struct hub *h = c->hub;
    struct hub_node *n;

    if (hello->protocol != 1) {
        refuse(c, "bad_request", "this controller speaks protocol 1");
        return;
    }
    if (h->refusing) {
        refuse(c, "store_unavailable", "the controller has not read its store yet");
        return;
    }
    if (h->options.token != NULL && !token_matches(h->options.token, hello->token)) {
        refuse(c, "unauthorized", "the join token is not the controller's (token_file)");
        return;
    }
    if (!name_valid(hello->node) || hello->boot[0] == '\0' ||
        strlen(hello->boot) > SESSION_ID_LEN) {
        refuse(c, "bad_request",
               "the node's name is not a host name of at most 63 characters");
        return;
    }
    n = hub_find(h, hello->node);
    if (n != NULL) {
        if (resume(n, c, hello)) {
            return;
        }
        if (n->conn != NULL && strcmp(n->boot, hello->boot) != 0 &&
            uv_now(h->loop) - n->conn->heard_ms < 2ull * h->options.heartbeat_ms) {
            refuse(c, "conflict", "another agent with this node name is connected");
            return;
        }
        node_leave(n, strcmp(n->boot, hello->boot) != 0
                          ? "the agent has started anew"
                          : "its session could not be resumed");
    }
    join(c, hello);
}

/* --- frames in ---------------------------------------------------------------- */

/* False: the connection is of no more use. */
static bool on_envelope(struct hub_conn *c, const Mayfly__V1__Envelope *m)
{
    struct hub *h = c->hub;
    struct hub_node *n = c->node;
    int rc;

    if (n == NULL) {
        if (m->body_case != MAYFLY__V1__ENVELOPE__BODY_HELLO) {
            return false;
        }
        on_hello(c, m->hello);
        return true;
    }
    if (session_ack(&n->session, m->ack) < 0) {
        return false;
    }
    if (m->seq == 0) {
        return m->body_case == MAYFLY__V1__ENVELOPE__BODY_HEARTBEAT;
    }
    rc = session_receive(&n->session, m->seq);
    if (rc < 0) {
        n->broken = true; /* a gap: start anew */
        return false;
    }
    if (rc == 1) {
        /* Who spoke last is answered first: it waits for a grant, perhaps. */
        list_remove(&n->link);
        list_push_front(&h->nodes, &n->link);
        h->speaker = n;
        h->options.on_message(h->options.data, n, m);
        h->speaker = NULL;
    }
    return true;
}

static void on_data(struct wire_conn *wire, const void *data, size_t len)
{
    struct hub_conn *c = wire_conn_data(wire);
    int rc;

    if (c->closing) {
        return;
    }
    c->heard_ms = uv_now(c->hub->loop);
    rc = codec_feed(&c->reader, data, len);
    while (rc >= 0 && !c->closing) {
        Mayfly__V1__Envelope *m;
        bool useful;

        rc = codec_next(&c->reader, &m);
        if (rc <= 0) {
            break;
        }
        useful = on_envelope(c, m);
        mayfly__v1__envelope__free_unpacked(m, NULL);
        if (!useful) {
            rc = -EPROTO;
        }
    }
    if (rc < 0) {
        hub_conn_close(c);
    } else if (c->node != NULL) {
        hub_node_pump(c->node);
    }
}

static void on_drain(struct wire_conn *wire)
{
    struct hub_conn *c = wire_conn_data(wire);

    if (c->node != NULL) {
        hub_node_pump(c->node);
    }
}

static void hub_free(struct hub *h)
{
    void (*on_closed)(void *data) = h->on_closed;
    void *data = h->closed_data;

    for (size_t i = 0; i < sizeof(h->strings) / sizeof(h->strings[0]); i++) {
        free(h->strings[i]);
    }
    hub_round_free(h);
    hub_snapshot_drop(&h->snapshot);
    free(h->by_name);
    free(h);
    if (on_closed != NULL) {
        on_closed(data);
    }
}

static void wire_closed(void *data)
{
    hub_free(data);
}

static void handle_closed_cb(uv_handle_t *handle)
{
    struct hub *h = handle->data;

    if (--h->open_handles == 0) {
        wire_close_all(h->wire, wire_closed, h);
    }
}

static void close_if_last(struct hub *h)
{
    if (h->closing && list_empty(&h->conns) && !uv_is_closing((uv_handle_t *)&h->tick)) {
        uv_close((uv_handle_t *)&h->tick, handle_closed_cb);
        uv_close((uv_handle_t *)&h->later, handle_closed_cb);
        uv_close((uv_handle_t *)&h->turn, handle_closed_cb);
        uv_close((uv_handle_t *)&h->again, handle_closed_cb);
    }
}

static void on_close(struct wire_conn *wire, int status)
{
    struct hub_conn *c = wire_conn_data(wire);
    struct hub *h = c->hub;
    struct hub_node *n = c->node;

    if (n != NULL) {
        n->conn = NULL;
        n->resume_until_ms = uv_now(h->loop) + h->options.resume_ms;
        hub_slot_release(n);
    }
    list_remove(&c->link);
    h->n_conns--;
    codec_reader_free(&c->reader);
    free(c);
    close_if_last(h);
}

static const struct wire_conn_ops conn_ops = {NULL, on_data, on_drain, on_close};

static void on_accept(void *data, struct wire_conn *wire)
{
    struct hub *h = data;
    struct hub_conn *c = calloc(1, sizeof(*c));

    wire_conn_set(wire, &conn_ops, c);
    if (c == NULL) {
        static const struct wire_conn_ops none = {0};

        wire_conn_set(wire, &none, NULL);
        wire_conn_close(wire);
        return;
    }
    c->hub = h;
    c->wire = wire;
    c->reader.max = CODEC_HELLO_MAX;
    c->heard_ms = uv_now(h->loop);
    c->said_ms = c->heard_ms;
    list_push_back(&h->conns, &c->link);
    h->n_conns++;
}

/* --- time --------------------------------------------------------------------- */

static void conn_tick(struct hub_conn *c, uint64_t now_ms)
{
    const struct hub_options *o = &c->hub->options;
    uint64_t limit_ms = c->node == NULL ? HELLO_MS : 3ull * o->heartbeat_ms;

    if (now_ms - c->heard_ms > limit_ms) {
        hub_conn_close(c);
        return;
    }
    if (c->node != NULL && (now_ms - c->said_ms >= o->heartbeat_ms / 2 ||
                            c->node->acked_ours != c->node->session.received)) {
        Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
        Mayfly__V1__Heartbeat beat = MAYFLY__V1__HEARTBEAT__INIT;

        m.body_case = MAYFLY__V1__ENVELOPE__BODY_HEARTBEAT;
        m.heartbeat = &beat;
        hub_conn_send_plain(c, &m);
    }
}

/* Thousands of acknowledgements at once would keep everything else waiting: each tick is
 * for some of the connections, and all have had their turn in a quarter of heartbeat_ms.
 */
static void tick_conns(struct hub *h, uint64_t now_ms)
{
    size_t n = (h->n_conns + TICKS - 1) / TICKS;

    while (n-- > 0 && !list_empty(&h->conns)) {
        struct hub_conn *c = container_of(h->conns.next, struct hub_conn, link);

        list_remove(&c->link);
        list_push_back(&h->conns, &c->link);
        if (!c->closing) {
            conn_tick(c, now_ms);
        }
    }
}

static void tick_cb(uv_timer_t *timer)
{
    struct hub *h = container_of(timer, struct hub, tick);
    uint64_t now_ms = uv_now(timer->loop);

    tick_conns(h, now_ms);
    if (++h->ticks % TICKS != 0) {
        return;
    }
    LIST_FOREACH_SAFE(it, &h->nodes)
    {
        struct hub_node *n = container_of(it, struct hub_node, link);

        hub_slot_tick(n, now_ms);
        if (n->conn == NULL && now_ms >= n->resume_until_ms) {
            node_leave(n, "it is not heard of any more");
        }
    }
}

/* It has woken the loop, which is all that was wanted. */
static void again_cb(uv_timer_t *timer)
{
    (void)timer;
}

static void turn_cb(uv_prepare_t *turn)
{
    struct hub *h = container_of(turn, struct hub, turn);
    uint64_t wait_ms = hub_round_turn(h);

    if (wait_ms != UINT64_MAX) {
        (void)uv_timer_start(&h->again, again_cb, wait_ms, 0);
    }
}

/* --- public ------------------------------------------------------------------- */

static char *keep(struct hub *h, size_t slot, const char *text)
{
    if (text != NULL) {
        h->strings[slot] = strdup(text);
    }
    return h->strings[slot];
}

int hub_new(struct hub **ret, uv_loop_t *loop, const struct hub_options *options,
            struct error *err)
{
    struct hub *h = calloc(1, sizeof(*h));
    uint64_t tick_ms;
    int rc;

    if (h == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    h->loop = loop;
    h->options = *options;
    h->options.controller_name = keep(h, 0, options->controller_name);
    h->options.packages_url = keep(h, 1, options->packages_url);
    h->options.token = keep(h, 2, options->token);
    h->options.heartbeat_ms = options->heartbeat_ms > 0 ? options->heartbeat_ms : 2000;
    h->options.resume_ms = options->resume_ms > 0 ? options->resume_ms : 10 * 1000;
    h->options.outbox_max = options->outbox_max > 0 ? options->outbox_max : 10 * 1000;
    h->options.nodes_max = options->nodes_max > 0 ? options->nodes_max : 5000;
    h->options.slice_us = options->slice_us > 0 ? options->slice_us : 500;
    list_init(&h->conns);
    list_init(&h->nodes);
    list_init(&h->waiting);
    hub_round_init(h);
    session_init(&h->snapshot.since, 0);
    rc = hub_nodes_init(h);
    rc = rc < 0 ? rc : wire_new(&h->wire, loop);
    if (rc < 0) {
        hub_free(h);
        return error_set(err, rc, "hub: %s", uv_strerror(rc));
    }
    CHECK(uv_timer_init(loop, &h->tick) == 0 && uv_timer_init(loop, &h->later) == 0);
    CHECK(uv_timer_init(loop, &h->again) == 0);
    CHECK(uv_prepare_init(loop, &h->turn) == 0);
    CHECK(uv_prepare_start(&h->turn, turn_cb) == 0);
    h->tick.data = h->later.data = h->turn.data = h->again.data = h;
    h->open_handles = 4;
    rc = wire_listen(h->wire, &h->listener, options->listen, on_accept, h, err);
    if (rc < 0) {
        h->closing = true;
        close_if_last(h);
        return error_wrap(err, rc, "hub");
    }
    tick_ms = h->options.heartbeat_ms / 4 / TICKS;
    tick_ms = tick_ms > 0 ? tick_ms : 1;
    (void)uv_timer_start(&h->tick, tick_cb, tick_ms, tick_ms);
    *ret = h;
    return 0;
}

uint16_t hub_port(const struct hub *h)
{
    return wire_listener_port(h->listener);
}

void hub_close(struct hub *h, void (*on_closed)(void *data), void *data)
{
    h->closing = true;
    h->on_closed = on_closed;
    h->closed_data = data;
    (void)uv_timer_stop(&h->tick);
    (void)uv_timer_stop(&h->later);
    (void)uv_timer_stop(&h->again);
    (void)uv_prepare_stop(&h->turn);
    wire_listener_close(h->listener);
    LIST_FOREACH_SAFE(it, &h->nodes)
    {
        node_leave(container_of(it, struct hub_node, link), "");
    }
    LIST_FOREACH_SAFE(it, &h->conns)
    {
        hub_conn_close(container_of(it, struct hub_conn, link));
    }
    close_if_last(h);
}

void hub_set_accepting(struct hub *h, bool accepting)
{
    h->refusing = !accepting;
}
