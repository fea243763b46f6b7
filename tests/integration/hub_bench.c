#include "tests/integration/hub_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/list.h"

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

void bench_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
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
        (void)uv_read_start((uv_stream_t *)&p->ends[i], bench_alloc, relay_read);
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

void bench_cut(struct bench *b)
{
    pair_close(b->pair);
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

void bench_send_state(struct bench *b, uint64_t version, const char *name)
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

void bench_broadcast_state(struct bench *b, uint64_t version, const char *name)
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

void bench_run(struct bench *b)
{
    assert_int_equal(uv_timer_start(&b->limit, too_long, 10000, 0), 0);
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    (void)uv_timer_stop(&b->limit);
}

void bench_run_until(struct bench *b, bool (*done)(struct bench *b))
{
    b->done = done;
    if (!done(b)) {
        bench_run(b);
    }
    b->done = NULL;
}

struct hub_options bench_hub_options(struct bench *b)
{
    return (struct hub_options){
        .listen = "tcp://127.0.0.1:0",
        .controller_name = "c1",
        .packages_url = "http://192.0.2.9:8090",
        .token = "secret",
        .heartbeat_ms = 400,
        .on_join = on_join,
        .on_snapshot = on_snapshot,
        .on_message = on_report,
        .on_leave = on_leave,
        .data = b,
    };
}

void bench_open(struct bench *b, const char *token, uint32_t resume_ms, uint32_t outbox)
{
    struct hub_options hub = bench_hub_options(b);
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
    hub.resume_ms = resume_ms;
    hub.outbox_max = outbox;
    assert_int_equal(uv_loop_init(&b->loop), 0);
    assert_int_equal(uv_timer_init(&b->loop, &b->limit), 0);
    assert_int_equal(hub_new(&b->hub, &b->loop, &hub, &err), 0);
    relay_open(b);
    assert_int_equal(link_new(&b->link, &b->loop, &link, &err), 0);
}

void bench_close(struct bench *b)
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

void bench_send_reports(struct bench *b, unsigned from, unsigned n)
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

bool bench_has_snapshot(struct bench *b)
{
    return b->states_seen >= STATES;
}

bool bench_has_500(struct bench *b)
{
    return b->last_up == 500;
}
