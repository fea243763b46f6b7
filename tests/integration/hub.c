/* Hub and links over real sockets, with a relay between them that can be cut. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include "agent/link/link.h"
#include "common/list.h"
#include "controller/hub/hub.h"

#define STATES     50
#define STATES_MAX 5000

struct bench {
    uv_loop_t loop;
    struct hub *hub;
    struct link *link;
    char url[64];
    const char *urls[2];
    const char *token; /* the link's */
    struct hub_node *node;
    unsigned joins, leaves, snapshots, welcomes, resumes, downs, states_seen;
    uint64_t last_up;   /* number in the last report that the hub got */
    uint64_t last_down; /* version in the last function state that the link got */
    bool in_order;
    bool plain;     /* the link takes no batches */
    bool ask_later; /* the owner does not ask for a snapshot when a node joins */
    unsigned
        n_states; /* of a snapshot; `snapshots` counts how often it is put together */
    unsigned begun, in_snapshot; /* different states since the last begin, at the link */
    bool seen[STATES_MAX];
    uint64_t newest[STATES_MAX]; /* version last seen */
    bool went_back;              /* an older one came after it */
    unsigned whole;              /* snapshots that had begin, all states and end */
    char down_reason[128];
    uv_timer_t limit;
    bool (*done)(struct bench *b);
    /* relay */
    uv_tcp_t relay;
    struct relay_pair *pair;
    bool cut;
};

/* --- relay -------------------------------------------------------------------- */

struct relay_pair {
    struct bench *bench;
    uv_tcp_t ends[2];
    uv_connect_t connect;
    unsigned closed;
};

static void pair_closed(uv_handle_t *handle)
{
    struct relay_pair *p = handle->data;

    if (++p->closed == 2) {
        if (p->bench->pair == p) {
            p->bench->pair = NULL;
        }
        free(p);
    }
}

static void pair_close(struct relay_pair *p)
{
    for (int i = 0; i < 2; i++) {
        if (!uv_is_closing((uv_handle_t *)&p->ends[i])) {
            uv_close((uv_handle_t *)&p->ends[i], pair_closed);
        }
    }
}

static void relay_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    *buf = uv_buf_init(malloc(65536), 65536);
}

static void relay_written(uv_write_t *req, int status)
{
    free(req->data);
    free(req);
}

static void relay_read(uv_stream_t *from, ssize_t n, const uv_buf_t *buf)
{
    struct relay_pair *p = from->data;
    uv_tcp_t *to = from == (uv_stream_t *)&p->ends[0] ? &p->ends[1] : &p->ends[0];

    if (n > 0) {
        uv_write_t *req = calloc(1, sizeof(*req));
        uv_buf_t out = uv_buf_init(buf->base, (unsigned)n);

        req->data = buf->base;
        if (uv_write(req, (uv_stream_t *)to, &out, 1, relay_written) == 0) {
            return;
        }
        free(req);
    }
    free(buf->base);
    if (n < 0) {
        pair_close(p);
    }
}

static void relay_connected(uv_connect_t *req, int status)
{
    struct relay_pair *p = req->data;

    if (status < 0) {
        pair_close(p);
        return;
    }
    for (int i = 0; i < 2; i++) {
        (void)uv_read_start((uv_stream_t *)&p->ends[i], relay_alloc, relay_read);
    }
}

static void relay_accept(uv_stream_t *listener, int status)
{
    struct bench *b = listener->data;
    struct relay_pair *p = calloc(1, sizeof(*p));
    struct sockaddr_in addr;

    p->bench = b;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(uv_tcp_init(&b->loop, &p->ends[i]), 0);
        p->ends[i].data = p;
    }
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&p->ends[0]), 0);
    if (b->cut) {
        pair_close(p);
        return;
    }
    p->connect.data = p;
    b->pair = p;
    (void)uv_ip4_addr("127.0.0.1", hub_port(b->hub), &addr);
    (void)uv_tcp_connect(&p->connect, &p->ends[1], (struct sockaddr *)&addr,
                         relay_connected);
}

static void relay_open(struct bench *b)
{
    struct sockaddr_in addr;
    int len = sizeof(addr);

    (void)uv_ip4_addr("127.0.0.1", 0, &addr);
    assert_int_equal(uv_tcp_init(&b->loop, &b->relay), 0);
    b->relay.data = b;
    assert_int_equal(uv_tcp_bind(&b->relay, (struct sockaddr *)&addr, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&b->relay, 16, relay_accept), 0);
    assert_int_equal(uv_tcp_getsockname(&b->relay, (struct sockaddr *)&addr, &len), 0);
    (void)snprintf(b->url, sizeof(b->url), "tcp://127.0.0.1:%u", ntohs(addr.sin_port));
}

/* --- hub's and link's owners ---------------------------------------------------- */

static void check_done(struct bench *b)
{
    if (b->done != NULL && b->done(b)) {
        uv_stop(&b->loop);
    }
}

static void on_join(void *data, struct hub_node *n, const Mayfly__V1__Hello *hello)
{
    struct bench *b = data;

    assert_string_equal(hub_node_name(n), "n1");
    assert_string_equal(hello->gateway, "192.0.2.1:8080");
    b->joins++;
    b->node = n;
    b->last_up = 0;
    if (!b->ask_later) {
        hub_resync(b->hub, n);
    }
    check_done(b);
}

static void send_state(struct bench *b, uint64_t version, const char *name)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__FunctionState f = MAYFLY__V1__FUNCTION_STATE__INIT;

    f.namespace_ = (char *)(uintptr_t) "default";
    f.name = (char *)(uintptr_t)name;
    f.serving = version;
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_FUNCTION;
    m.function = &f;
    (void)hub_send(b->hub, b->node, &m);
}

static void broadcast_state(struct bench *b, uint64_t version, const char *name)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__FunctionState f = MAYFLY__V1__FUNCTION_STATE__INIT;

    f.namespace_ = (char *)(uintptr_t) "default";
    f.name = (char *)(uintptr_t)name;
    f.serving = version;
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_FUNCTION;
    m.function = &f;
    hub_broadcast(b->hub, &m);
}

static void on_snapshot(void *data, struct hub_snapshot *s)
{
    struct bench *b = data;

    b->snapshots++;
    for (unsigned i = 0; i < b->n_states; i++) {
        Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
        Mayfly__V1__FunctionState f = MAYFLY__V1__FUNCTION_STATE__INIT;
        char name[16];

        (void)snprintf(name, sizeof(name), "f%u", i);
        f.namespace_ = (char *)(uintptr_t) "default";
        f.name = name;
        f.serving = 1;
        m.body_case = MAYFLY__V1__ENVELOPE__BODY_FUNCTION;
        m.function = &f;
        assert_int_equal(hub_snapshot_add(s, &m), 0);
    }
}

static void on_report(void *data, struct hub_node *n, const Mayfly__V1__Envelope *m)
{
    struct bench *b = data;

    assert_int_equal(m->body_case, MAYFLY__V1__ENVELOPE__BODY_REPORT);
    b->in_order = b->in_order && m->report->instances == b->last_up + 1;
    b->last_up = m->report->instances;
    check_done(b);
}

static void on_leave(void *data, struct hub_node *n, const char *reason)
{
    struct bench *b = data;

    b->leaves++;
    b->node = NULL;
    check_done(b);
}

static void fill_hello(void *data, Mayfly__V1__Hello *hello)
{
    const struct bench *b = data;

    hello->node = (char *)(uintptr_t) "n1";
    hello->boot = (char *)(uintptr_t) "b1";
    hello->gateway = (char *)(uintptr_t) "192.0.2.1:8080";
    hello->token = (char *)(uintptr_t)b->token;
    hello->batches = !b->plain;
}

static void on_welcome(void *data, const Mayfly__V1__Welcome *w)
{
    struct bench *b = data;

    b->welcomes++;
    b->resumes += w->resumed != 0;
    assert_string_equal(w->packages_url, "http://192.0.2.9:8090");
    check_done(b);
}

static void note_seen(struct bench *b, const Mayfly__V1__FunctionState *f)
{
    unsigned long i = strtoul(f->name + 1, NULL, 10);

    if (f->name[0] != 'f' || i >= STATES_MAX) {
        return;
    }
    b->in_snapshot += !b->seen[i];
    b->seen[i] = true;
    b->went_back = b->went_back || f->serving < b->newest[i];
    b->newest[i] = f->serving;
}

static void on_state(void *data, const Mayfly__V1__Envelope *m)
{
    struct bench *b = data;

    switch (m->body_case) {
    case MAYFLY__V1__ENVELOPE__BODY_FUNCTION:
        b->states_seen++;
        note_seen(b, m->function);
        b->last_down = m->function->serving;
        break;
    case MAYFLY__V1__ENVELOPE__BODY_SNAPSHOT_BEGIN:
        b->begun++;
        b->in_snapshot = 0;
        memset(b->seen, 0, sizeof(b->seen));
        break;
    case MAYFLY__V1__ENVELOPE__BODY_SNAPSHOT_END:
        b->whole += b->in_snapshot == b->n_states;
        break;
    default:
        break;
    }
    check_done(b);
}

static void on_down(void *data, const char *reason)
{
    struct bench *b = data;

    b->downs++;
    (void)snprintf(b->down_reason, sizeof(b->down_reason), "%s", reason);
    check_done(b);
}

static void too_long(uv_timer_t *timer)
{
    fail_msg("nothing happened within ten seconds");
}

static void run_until(struct bench *b, bool (*done)(struct bench *b))
{
    b->done = done;
    if (!done(b)) {
        assert_int_equal(uv_timer_start(&b->limit, too_long, 10000, 0), 0);
        (void)uv_run(&b->loop, UV_RUN_DEFAULT);
        (void)uv_timer_stop(&b->limit);
    }
    b->done = NULL;
}

static void bench_open(struct bench *b, const char *token, uint32_t resume_ms,
                       uint32_t outbox)
{
    struct hub_options hub = {
        .listen = "tcp://127.0.0.1:0",
        .controller_name = "c1",
        .packages_url = "http://192.0.2.9:8090",
        .token = "secret",
        .heartbeat_ms = 400,
        .resume_ms = resume_ms,
        .outbox_max = outbox,
        .on_join = on_join,
        .on_snapshot = on_snapshot,
        .on_message = on_report,
        .on_leave = on_leave,
        .data = b,
    };
    struct link_options link = {
        .controllers = b->urls,
        .fill_hello = fill_hello,
        .on_welcome = on_welcome,
        .on_message = on_state,
        .on_down = on_down,
        .data = b,
    };
    struct error err;

    *b = (struct bench){.token = token, .in_order = true, .n_states = STATES};
    b->urls[0] = b->url;
    assert_int_equal(uv_loop_init(&b->loop), 0);
    assert_int_equal(uv_timer_init(&b->loop, &b->limit), 0);
    assert_int_equal(hub_new(&b->hub, &b->loop, &hub, &err), 0);
    relay_open(b);
    assert_int_equal(link_new(&b->link, &b->loop, &link, &err), 0);
}

static void bench_close(struct bench *b)
{
    link_close(b->link, NULL, NULL);
    hub_close(b->hub, NULL, NULL);
    uv_close((uv_handle_t *)&b->relay, NULL);
    uv_close((uv_handle_t *)&b->limit, NULL);
    if (b->pair != NULL) {
        pair_close(b->pair);
    }
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&b->loop), 0);
}

static void send_reports(struct bench *b, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
        Mayfly__V1__NodeReport r = MAYFLY__V1__NODE_REPORT__INIT;

        r.instances = i;
        m.body_case = MAYFLY__V1__ENVELOPE__BODY_REPORT;
        m.report = &r;
        assert_int_equal(link_send(b->link, &m), 0);
    }
}

/* --- tests -------------------------------------------------------------------- */

static bool has_snapshot(struct bench *b)
{
    return b->states_seen >= STATES;
}

static bool has_500(struct bench *b)
{
    return b->last_up == 500;
}

static bool has_1000(struct bench *b)
{
    return b->last_up == 1000;
}

static bool has_left(struct bench *b)
{
    return b->leaves == 1;
}

static bool has_second_snapshot(struct bench *b)
{
    return b->begun == 2 && b->states_seen >= 2 * STATES;
}

static bool has_second_snapshot_whole(struct bench *b)
{
    return b->begun == 2 && b->whole == 2;
}

static bool has_joined(struct bench *b)
{
    return b->joins == 1 && b->node != NULL;
}

static bool has_two_whole(struct bench *b)
{
    return b->whole == 2;
}

static bool is_welcome(struct bench *b)
{
    return b->welcomes == 1;
}

static bool is_refused(struct bench *b)
{
    return b->downs >= 1;
}

static bool has_version_9(struct bench *b)
{
    return b->last_down == 9;
}

/* An agent joins, gets its snapshot, and is heard. */
static void joins_and_talks(void **state)
{
    struct bench b;
    (void)state;

    bench_open(&b, "secret", 2000, 0);
    run_until(&b, has_snapshot);
    assert_int_equal(b.joins, 1);
    assert_true(link_is_up(b.link));
    send_reports(&b, 1, 500);
    run_until(&b, has_500);
    assert_true(b.in_order);
    bench_close(&b);
}

/* After a cut the session goes on: nothing is lost, nothing comes twice, no new snapshot.
 */
static void resumes_after_a_cut(void **state)
{
    struct bench b;
    (void)state;

    bench_open(&b, "secret", 8000, 0);
    run_until(&b, has_snapshot);
    send_reports(&b, 1, 500);
    pair_close(b.pair);
    send_reports(&b, 501, 500);
    run_until(&b, has_1000);
    assert_true(b.in_order);
    assert_int_equal(b.joins, 1);
    assert_int_equal(b.leaves, 0);
    assert_int_equal(b.snapshots, 1);
    assert_int_equal(b.resumes, 1);
    bench_close(&b);
}

/* A node that stays away is gone, and starts anew when it returns. */
static void leaves_when_silent(void **state)
{
    struct bench b;
    (void)state;

    bench_open(&b, "secret", 300, 0);
    run_until(&b, has_snapshot);
    b.cut = true;
    pair_close(b.pair);
    run_until(&b, has_left);
    b.cut = false;
    run_until(&b, has_second_snapshot);
    assert_int_equal(b.joins, 2);
    assert_int_equal(b.resumes, 0);
    bench_close(&b);
}

/* Until the owner asks there is no snapshot, and the session is live without one. */
static void snapshots_when_asked(void **state)
{
    struct bench b;
    (void)state;

    bench_open(&b, "secret", 2000, 0);
    b.ask_later = true;
    run_until(&b, has_joined);
    send_state(&b, 9, "f0");
    run_until(&b, has_version_9);
    send_reports(&b, 1, 500);
    run_until(&b, has_500);
    assert_int_equal(b.snapshots, 0);
    assert_int_equal(b.begun, 0);

    hub_resync(b.hub, b.node);
    assert_int_equal(b.snapshots, 0); /* never from within the call */
    run_until(&b, has_snapshot);
    assert_int_equal(b.snapshots, 1);
    bench_close(&b);
}

/* State that waits in the outbox when a snapshot is asked for, and two that are asked for
 * at once, never make a snapshot with something missing. */
static void snapshots_are_whole(void **state)
{
    struct bench b;
    (void)state;

    bench_open(&b, "secret", 2000, 0);
    b.ask_later = true;
    b.n_states = STATES_MAX; /* more than the wire takes at once */
    run_until(&b, has_joined);
    for (unsigned i = 0; i < b.n_states; i += 2) {
        char name[16];

        (void)snprintf(name, sizeof(name), "f%u", i);
        send_state(&b, 1, name);
    }
    hub_resync(b.hub, b.node);
    while (b.snapshots == 0) {
        (void)uv_run(&b.loop, UV_RUN_ONCE);
    }
    hub_resync(b.hub, b.node);
    send_state(&b, 1, "f7");
    hub_resync(b.hub, b.node);
    run_until(&b, has_two_whole);
    assert_int_equal(b.begun, 2);
    assert_int_equal(b.snapshots, 1); /* the second is the first, and what came since */
    assert_int_equal(b.joins, 1);
    bench_close(&b);
}

/* What is said to all in one turn comes once for each function, the newest; a state that
 * is sent to one node meanwhile is not followed by an older one. */
static void says_the_newest_to_all(void **state)
{
    struct bench b;
    unsigned before;
    (void)state;

    bench_open(&b, "secret", 2000, 0);
    run_until(&b, has_snapshot);
    before = b.states_seen;
    for (uint64_t v = 2; v <= 7; v++) {
        broadcast_state(&b, v, "f0");
        broadcast_state(&b, 2, "f1");
    }
    send_state(&b, 8, "f0");
    broadcast_state(&b, 9, "f2");
    run_until(&b, has_version_9);
    assert_int_equal(b.states_seen - before, 4); /* the one alone, and a batch of three */
    assert_int_equal(b.newest[0], 8);
    assert_int_equal(b.newest[1], 2);
    assert_false(b.went_back);
    bench_close(&b);
}

/* A later snapshot has what was sent since the first, to all or to one, and whether or
 * not it was on the wire. */
static void a_later_snapshot_is_as_new(void **state)
{
    struct bench b;
    (void)state;

    bench_open(&b, "secret", 300, 0);
    run_until(&b, has_snapshot);
    broadcast_state(&b, 3, "f3");
    send_state(&b, 9, "f4");
    run_until(&b, has_version_9);
    b.cut = true;
    pair_close(b.pair);
    run_until(&b, has_left);
    broadcast_state(&b, 5, "f5");
    memset(b.newest, 0, sizeof(b.newest));
    b.states_seen = STATES;
    b.cut = false;
    run_until(&b, has_second_snapshot_whole);
    assert_int_equal(b.snapshots, 1); /* nothing was packed again */
    assert_int_equal(b.newest[0], 1);
    assert_int_equal(b.newest[3], 3);
    assert_int_equal(b.newest[4], 9);
    assert_int_equal(b.newest[5], 5);
    assert_false(b.went_back);
    bench_close(&b);
}

/* So many changes that a snapshot is better put together anew: it is. */
static void a_snapshot_is_not_kept_for_ever(void **state)
{
    struct bench b;
    (void)state;

    bench_open(&b, "secret", 2000, 0);
    run_until(&b, has_snapshot);
    for (unsigned i = 0; i < 3000; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "g%u", i);
        broadcast_state(&b, 2, name);
    }
    hub_resync(b.hub, b.node);
    run_until(&b, has_two_whole);
    assert_int_equal(b.snapshots, 2);
    bench_close(&b);
}

/* An agent that does not know of batches gets the same, one by one. */
static void tells_an_older_agent_one_by_one(void **state)
{
    struct bench b;
    (void)state;

    bench_open(&b, "secret", 2000, 0);
    b.plain = true;
    run_until(&b, has_snapshot);
    broadcast_state(&b, 2, "f1");
    broadcast_state(&b, 9, "f2");
    run_until(&b, has_version_9);
    assert_int_equal(b.newest[1], 2);
    assert_int_equal(b.whole, 1);
    bench_close(&b);
}

/* While the controller is not ready agents are told so, and come back. */
static void tells_agents_to_come_back(void **state)
{
    struct bench b;
    (void)state;

    bench_open(&b, "secret", 2000, 0);
    hub_set_accepting(b.hub, false);
    run_until(&b, is_refused);
    assert_non_null(strstr(b.down_reason, "store_unavailable"));
    assert_int_equal(b.joins, 0);
    hub_set_accepting(b.hub, true);
    run_until(&b, is_welcome);
    bench_close(&b);
}

/* A state that changes often while nobody listens goes out once; one that is too far
 * behind gets a snapshot instead, in the same session. */
static void keeps_only_the_newest(void **state)
{
    struct bench b;
    unsigned before;
    (void)state;

    bench_open(&b, "secret", 8000, 100);
    run_until(&b, has_snapshot);
    b.cut = true;
    pair_close(b.pair);
    while (b.pair != NULL) {
        (void)uv_run(&b.loop, UV_RUN_ONCE);
    }
    for (int i = 0; i < 50 && link_is_up(b.link); i++) {
        (void)uv_run(&b.loop, UV_RUN_ONCE);
    }
    before = b.states_seen;
    for (uint64_t v = 2; v <= 9; v++) {
        send_state(&b, v, "f0");
    }
    b.cut = false;
    run_until(&b, has_version_9);
    assert_in_range(b.states_seen - before, 1, 8);
    assert_int_equal(b.snapshots, 1);

    b.cut = true;
    pair_close(b.pair);
    while (b.pair != NULL) {
        (void)uv_run(&b.loop, UV_RUN_ONCE);
    }
    for (int i = 0; i < 1000 && b.node != NULL; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "g%d", i);
        send_state(&b, 1, name);
    }
    b.cut = false;
    b.states_seen = STATES;
    run_until(&b, has_second_snapshot);
    assert_int_equal(b.joins, 1);
    assert_int_equal(b.leaves, 0);
    bench_close(&b);
}

/* Without the token nobody joins, and the reason is said. */
static void refuses_a_wrong_token(void **state)
{
    struct bench b;
    (void)state;

    bench_open(&b, "wrong", 2000, 0);
    run_until(&b, is_refused);
    assert_non_null(strstr(b.down_reason, "unauthorized"));
    assert_int_equal(b.joins, 0);
    bench_close(&b);
}

static void garbage_sent(uv_write_t *req, int status)
{
}

static void garbage_connected(uv_connect_t *req, int status)
{
    static char garbage[4096];
    static uv_write_t write;
    uv_buf_t buf = uv_buf_init(garbage, sizeof(garbage));

    memset(garbage, 0xff, sizeof(garbage));
    (void)uv_write(&write, req->handle, &buf, 1, garbage_sent);
}

static void garbage_ended(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    free(buf->base);
    if (n < 0) {
        *(bool *)stream->data = true;
        uv_close((uv_handle_t *)stream, NULL);
        uv_stop(stream->loop);
    }
}

/* Garbage closes its own connection and no other. */
static void survives_garbage(void **state)
{
    struct bench b;
    struct sockaddr_in addr;
    uv_connect_t connect;
    uv_tcp_t tcp;
    bool ended = false;
    (void)state;

    bench_open(&b, "secret", 2000, 0);
    run_until(&b, has_snapshot);
    (void)uv_ip4_addr("127.0.0.1", hub_port(b.hub), &addr);
    assert_int_equal(uv_tcp_init(&b.loop, &tcp), 0);
    tcp.data = &ended;
    assert_int_equal(
        uv_tcp_connect(&connect, &tcp, (struct sockaddr *)&addr, garbage_connected), 0);
    while (!uv_is_readable((uv_stream_t *)&tcp)) {
        (void)uv_run(&b.loop, UV_RUN_ONCE);
    }
    assert_int_equal(uv_read_start((uv_stream_t *)&tcp, relay_alloc, garbage_ended), 0);
    assert_int_equal(uv_timer_start(&b.limit, too_long, 10000, 0), 0);
    (void)uv_run(&b.loop, UV_RUN_DEFAULT);
    (void)uv_timer_stop(&b.limit);
    assert_true(ended);
    send_reports(&b, 1, 500);
    run_until(&b, has_500);
    assert_int_equal(b.leaves, 0);
    bench_close(&b);
}

/* Regression: without a connection, the listener's end came after the loop's wake-up was
 * closed, and leaked. */
static void closes_without_connections(void **state)
{
    struct hub_options o = {.listen = "tcp://127.0.0.1:0",
                            .controller_name = "c1",
                            .packages_url = "",
                            .on_join = on_join,
                            .on_snapshot = on_snapshot,
                            .on_message = on_report,
                            .on_leave = on_leave};
    struct error err;
    (void)state;

    for (int i = 0; i < 20; i++) {
        struct hub *hub;
        uv_loop_t loop;

        assert_int_equal(uv_loop_init(&loop), 0);
        assert_int_equal(hub_new(&hub, &loop, &o, &err), 0);
        hub_close(hub, NULL, NULL);
        (void)uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&loop), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_and_talks),
        cmocka_unit_test(resumes_after_a_cut),
        cmocka_unit_test(leaves_when_silent),
        cmocka_unit_test(keeps_only_the_newest),
        cmocka_unit_test(refuses_a_wrong_token),
        cmocka_unit_test(survives_garbage),
        cmocka_unit_test(snapshots_when_asked),
        cmocka_unit_test(snapshots_are_whole),
        cmocka_unit_test(says_the_newest_to_all),
        cmocka_unit_test(a_later_snapshot_is_as_new),
        cmocka_unit_test(a_snapshot_is_not_kept_for_ever),
        cmocka_unit_test(tells_an_older_agent_one_by_one),
        cmocka_unit_test(tells_agents_to_come_back),
        cmocka_unit_test(closes_without_connections),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
