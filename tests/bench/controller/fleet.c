#include "fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "proto/batch.h"
#include "proto/codec.h"
#include "proto/key.h"

#define DIALLING_MAX 256 /* as many as a listener's backlog takes */
#define BEAT_MS      10
#define BEATS        100 /* in a second */
#define QUEUE        8

enum {
    TAG_WELCOME = 11,
    TAG_REFUSED = 13,
    TAG_FUNCTION = 20,
    TAG_END = 23,
    TAG_BATCH = 50
};

static void function_name(unsigned i, char ret[FLEET_NAME_MAX])
{
    (void)snprintf(ret, FLEET_NAME_MAX, "f%06u", i);
}

/* --- out ---------------------------------------------------------------------- */

static void send_message(struct fleet_agent *a, const Mayfly__V1__Envelope *m,
                         bool numbered)
{
    struct session_body *body = wire_body(m);
    uint8_t head[CODEC_HEAD_MAX];
    int n;

    CHECK(body != NULL);
    n = codec_head(head, numbered ? ++a->sent : 0, a->received, body->len);
    CHECK(n > 0);
    CHECK(wire_send_parts(a->conn, head, (size_t)n, body->data, body->len) == 0);
    session_body_unref(body);
}

static void send_hello(struct fleet_agent *a)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__Hello h = MAYFLY__V1__HELLO__INIT;
    char node[16], gateway[32];

    (void)snprintf(node, sizeof(node), "a%05u", a->index);
    (void)snprintf(gateway, sizeof(gateway), "192.0.2.1:%u", 1024 + a->index);
    h.protocol = 1;
    h.node = node;
    h.boot = node;
    h.gateway = gateway;
    /* Room for each function to be proved at once: on a busy machine that comes to pass,
     * and one for which there is no room has failed. */
    h.memory_bytes = 4ull << 40;
    h.cpu_millis = 2000000000;
    h.session = a->session;
    h.received = a->received;
    h.batches = true;
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_HELLO;
    m.hello = &h;
    send_message(a, &m, false);
}

static void send_heartbeat(struct fleet_agent *a)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__Heartbeat beat = MAYFLY__V1__HEARTBEAT__INIT;

    m.body_case = MAYFLY__V1__ENVELOPE__BODY_HEARTBEAT;
    m.heartbeat = &beat;
    send_message(a, &m, false);
}

static void send_loads(struct fleet_agent *a, Mayfly__V1__VersionLoad *loads, size_t n)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__NodeReport r = MAYFLY__V1__NODE_REPORT__INIT;
    Mayfly__V1__VersionLoad *list[FLEET_LOADS];

    for (size_t i = 0; i < n; i++) {
        list[i] = &loads[i];
    }
    r.instances = (uint32_t)n;
    r.loads = list;
    r.n_loads = n;
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_REPORT;
    m.report = &r;
    send_message(a, &m, true);
}

static void load_init(Mayfly__V1__VersionLoad *l, unsigned function,
                      char name[FLEET_NAME_MAX])
{
    function_name(function, name);
    mayfly__v1__version_load__init(l);
    l->namespace_ = (char *)(uintptr_t) "default";
    l->name = name;
    l->version = 1;
}

static void send_report(struct fleet_agent *a)
{
    Mayfly__V1__VersionLoad loads[FLEET_LOADS];
    char names[FLEET_LOADS][FLEET_NAME_MAX];

    a->invocations += 5;
    for (unsigned i = 0; i < FLEET_LOADS; i++) {
        load_init(&loads[i], (a->index * FLEET_LOADS + i) % a->fleet->n_functions,
                  names[i]);
        loads[i].idle = 1;
        loads[i].invocations = loads[i].begun = a->invocations;
        loads[i].load_us = a->invocations * 1000;
    }
    send_loads(a, loads, FLEET_LOADS);
}

bool fleet_queue_forms(struct fleet *f, unsigned function)
{
    struct fleet_function *of = &f->of[function];
    Mayfly__V1__VersionLoad load;
    char name[FLEET_NAME_MAX];

    if (of->holder == FLEET_NOBODY || !f->agents[of->holder].up) {
        return false;
    }
    load_init(&load, function, name);
    load.queued = load.in_flight = QUEUE;
    of->since_ns = uv_hrtime();
    send_loads(&f->agents[of->holder], &load, 1);
    return true;
}

/* --- in ----------------------------------------------------------------------- */

/* Whoever a candidate was granted to first says that it is ready. */
static void prove(struct fleet *f, const Mayfly__V1__FunctionState *s)
{
    for (size_t i = 0; i < s->n_versions; i++) {
        const Mayfly__V1__Version *v = s->versions[i];
        Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
        Mayfly__V1__VersionReport r = MAYFLY__V1__VERSION_REPORT__INIT;
        unsigned long node;

        if (v->number == s->serving || v->n_grants == 0) {
            continue;
        }
        node = strtoul(v->grants[0]->node + 1, NULL, 10);
        if (node >= f->n || !f->agents[node].up) {
            continue;
        }
        r.namespace_ = s->namespace_;
        r.name = s->name;
        r.version = v->number;
        r.ready = true;
        m.body_case = MAYFLY__V1__ENVELOPE__BODY_VERSION_REPORT;
        m.version_report = &r;
        send_message(&f->agents[node], &m, true);
        f->proofs++;
    }
}

static uint32_t first_holder(const Mayfly__V1__FunctionState *s)
{
    for (size_t i = 0; i < s->n_versions; i++) {
        for (size_t j = 0; j < s->versions[i]->n_grants; j++) {
            unsigned long node = strtoul(s->versions[i]->grants[j]->node + 1, NULL, 10);

            if (node < FLEET_FIRST) {
                return (uint32_t)node;
            }
        }
    }
    return FLEET_NOBODY;
}

static void on_function(struct fleet_agent *a, const Mayfly__V1__FunctionState *s)
{
    struct fleet *f = a->fleet;
    unsigned long i = strtoul(s->name + 1, NULL, 10);
    struct fleet_function *of;

    if (i >= f->n_functions) {
        return;
    }
    of = &f->of[i];
    if (of->since_ns != 0 && of->holder == a->index) {
        of->answered_ns = uv_hrtime() - of->since_ns;
        of->since_ns = 0;
        f->n_answered++;
    }
    if (a->index == 0) {
        of->holder = of->since_ns != 0 ? of->holder : first_holder(s);
        f->functions += s->serving != 0;
        prove(f, s);
    }
}

static void on_state(void *data, const Mayfly__V1__Envelope *m)
{
    if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_FUNCTION) {
        on_function(data, m->function);
    }
}

static void observe(struct fleet_agent *a, const Mayfly__V1__Envelope *m)
{
    if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_BATCH) {
        CHECK(batch_each(m->batch, on_state, a) == 0);
    } else {
        on_state(a, m);
    }
}

static void on_welcome(struct fleet_agent *a, const Mayfly__V1__Welcome *w)
{
    struct fleet *f = a->fleet;

    a->up = true;
    a->resumed = w->resumed != 0;
    f->n_up++;
    f->n_resumed += a->resumed;
    f->dialling--;
    if (!a->resumed) {
        a->received = 0;
        f->n_snapshots -= a->snapshot;
        a->snapshot = false;
    }
    a->sent = a->resumed ? w->received : 0; /* what it lacks is not worth sending again */
    (void)snprintf(a->session, sizeof(a->session), "%s", w->session);
    fleet_connect(f, f->wanted);
}

static void on_whole_frame(struct fleet_agent *a)
{
    Mayfly__V1__Envelope *m;

    m = mayfly__v1__envelope__unpack(NULL, a->frame.len, (uint8_t *)a->frame.data);
    CHECK(m != NULL);
    if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_WELCOME) {
        on_welcome(a, m->welcome);
    } else if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_REFUSED) {
        (void)fprintf(stderr, "refused: %s\n", m->refused->text);
        wire_conn_close(a->conn);
    } else {
        observe(a, m);
    }
    mayfly__v1__envelope__free_unpacked(m, NULL);
}

static uint64_t varint(const uint8_t **at, const uint8_t *end)
{
    uint64_t n = 0;

    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;

        n |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            break;
        }
    }
    return n;
}

/* From the first bytes alone: its number, and what it is. */
static void on_frame(struct fleet_agent *a)
{
    const uint8_t *at = a->head + 4, *end = a->head + a->head_len;
    uint64_t seq = 0, tag = 0;

    while (at < end) {
        tag = varint(&at, end);
        if (tag >> 3 > 2) {
            break;
        }
        if (tag >> 3 == 1) {
            seq = varint(&at, end);
        } else {
            (void)varint(&at, end);
        }
    }
    a->fleet->frames++;
    if (seq > 0) {
        CHECK(seq == a->received + 1);
        a->received = seq;
    }
    if (tag >> 3 == TAG_END && !a->snapshot) {
        a->snapshot = true;
        a->fleet->n_snapshots++;
    }
}

static bool wants_whole(const struct fleet_agent *a)
{
    return !a->up || a->index < FLEET_FIRST;
}

static void on_data(struct wire_conn *conn, const void *data, size_t len)
{
    struct fleet_agent *a = wire_conn_data(conn);
    const uint8_t *at = data, *end = at + len;

    a->fleet->bytes += len;
    while (at < end) {
        size_t n;

        if (a->frame_len == 0) { /* its length first */
            a->head[a->head_len++] = *at++;
            if (a->head_len == 4) {
                a->frame_len = (size_t)a->head[0] << 24 | (size_t)a->head[1] << 16 |
                               (size_t)a->head[2] << 8 | a->head[3];
                a->frame_taken = 0;
                a->frame.len = 0;
            }
            if (a->frame_len == 0) {
                continue;
            }
        }
        n = a->frame_len - a->frame_taken;
        n = n < (size_t)(end - at) ? n : (size_t)(end - at);
        if (a->head_len < sizeof(a->head)) {
            size_t m = sizeof(a->head) - a->head_len;

            m = m < n ? m : n;
            memcpy(a->head + a->head_len, at, m);
            a->head_len += m;
        }
        if (wants_whole(a) && a->frame.len == a->frame_taken) {
            CHECK(buf_append(&a->frame, at, n) == 0);
        }
        a->frame_taken += n;
        at += n;
        if (a->frame_taken == a->frame_len) {
            on_frame(a);
            if (a->frame.len == a->frame_len) {
                on_whole_frame(a);
            }
            if (a->frame.capacity > 4096 && a->index >= FLEET_FIRST) {
                buf_free(&a->frame);
            }
            a->frame_len = a->head_len = 0;
        }
    }
}

/* --- connections ---------------------------------------------------------------- */

static void on_open(struct wire_conn *conn)
{
    send_hello(wire_conn_data(conn));
}

static void on_close(struct wire_conn *conn, int status)
{
    struct fleet_agent *a = wire_conn_data(conn);
    struct fleet *f = a->fleet;

    f->n_closed++;
    f->n_up -= a->up;
    f->dialling -= !a->up;
    f->n_resumed -= a->resumed;
    a->up = a->resumed = false;
    a->conn = NULL;
    a->frame_len = a->head_len = 0;
    fleet_connect(f, f->wanted);
}

static const struct wire_conn_ops ops = {on_open, on_data, NULL, on_close};

void fleet_connect(struct fleet *f, unsigned n)
{
    f->wanted = n;
    for (unsigned i = 0; i < n && f->dialling < DIALLING_MAX; i++) {
        struct fleet_agent *a = &f->agents[(f->dialled + i) % n];
        struct error err;

        if (a->conn == NULL) {
            CHECK(wire_dial(f->wire, &a->conn, f->url, &ops, a, &err) == 0);
            f->dialling++;
            f->dialled = a->index + 1;
            i = 0;
        } else if (f->n_up + f->dialling >= n) {
            break;
        }
    }
}

void fleet_cut(struct fleet *f)
{
    unsigned wanted = f->wanted;

    f->wanted = 0;
    for (unsigned i = 0; i < f->n; i++) {
        if (f->agents[i].conn != NULL) {
            wire_conn_close(f->agents[i].conn);
        }
    }
    f->wanted = wanted;
}

static void beat_cb(uv_timer_t *timer)
{
    struct fleet *f = container_of(timer, struct fleet, beat);

    for (unsigned i = (unsigned)(f->beats++ % BEATS); i < f->n; i += BEATS) {
        struct fleet_agent *a = &f->agents[i];

        if (!a->up) {
            continue;
        }
        if (f->reports) {
            send_report(a);
        } else {
            send_heartbeat(a);
        }
    }
}

static void limit_cb(uv_timer_t *timer)
{
    container_of(timer, struct fleet, limit)->timed_out = true;
}

bool fleet_run(struct fleet *f, bool (*done)(const struct fleet *f), unsigned limit_s)
{
    f->timed_out = false;
    uv_update_time(&f->loop);
    CHECK(uv_timer_start(&f->limit, limit_cb, 1000ull * limit_s, 0) == 0);
    while (!f->timed_out && (done == NULL || !done(f))) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    (void)uv_timer_stop(&f->limit);
    return !f->timed_out;
}

int fleet_open(struct fleet *f, const char *url, unsigned n, unsigned n_functions)
{
    *f = (struct fleet){.n = n, .n_functions = n_functions, .url = url};
    f->agents = calloc(n, sizeof(*f->agents));
    f->of = calloc(n_functions, sizeof(*f->of));
    if (f->agents == NULL || f->of == NULL || uv_loop_init(&f->loop) < 0 ||
        wire_new(&f->wire, &f->loop) < 0) {
        return -1;
    }
    for (unsigned i = 0; i < n_functions; i++) {
        f->of[i].holder = FLEET_NOBODY;
    }
    for (unsigned i = 0; i < n; i++) {
        f->agents[i].fleet = f;
        f->agents[i].index = i;
    }
    CHECK(uv_timer_init(&f->loop, &f->beat) == 0);
    CHECK(uv_timer_init(&f->loop, &f->limit) == 0);
    CHECK(uv_timer_start(&f->beat, beat_cb, BEAT_MS, BEAT_MS) == 0);
    return 0;
}

static bool is_down(const struct fleet *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        if (f->agents[i].conn != NULL) {
            return false;
        }
    }
    return true;
}

void fleet_close(struct fleet *f)
{
    fleet_cut(f);
    f->wanted = 0;
    (void)fleet_run(f, is_down, 10);
    uv_close((uv_handle_t *)&f->beat, NULL);
    uv_close((uv_handle_t *)&f->limit, NULL);
    wire_close_all(f->wire, NULL, NULL);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&f->loop);
    for (unsigned i = 0; i < f->n; i++) {
        buf_free(&f->agents[i].frame);
    }
    free(f->agents);
    free(f->of);
}
