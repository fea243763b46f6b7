/* What is said to all, to one and by snapshots, mixed, while a round is told to one node
 * a turn: no node ever hears an older state after a newer one, and all end with the
 * newest. */
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
#include "controller/hub/hub.h"

#define NODES     12
#define FUNCTIONS 20
#define STEPS     3000
#define TURN_MAX  6 /* steps in a turn of the loop */

struct world;

struct agent {
    struct world *world;
    struct link *link;
    char name[8];
    uint64_t heard[FUNCTIONS];
    uint64_t before[FUNCTIONS]; /* the snapshot */
    bool in_snapshot;
    unsigned snapshots;
};

struct world {
    uv_loop_t loop;
    uv_idle_t step;
    uv_timer_t limit;
    struct hub *hub;
    char url[64];
    const char *urls[2];
    struct agent agents[NODES];
    struct hub_node *nodes[NODES];
    unsigned n_joined, steps;
    uint64_t newest[FUNCTIONS];
    uint64_t last;
    unsigned seed;
};

static unsigned below(struct world *w, unsigned n)
{
    return (unsigned)rand_r(&w->seed) % n;
}

/* --- the controller's side -------------------------------------------------------- */

static void make(Mayfly__V1__Envelope *m, Mayfly__V1__FunctionState *f, char name[8],
                 const struct world *w, unsigned i)
{
    *m = (Mayfly__V1__Envelope)MAYFLY__V1__ENVELOPE__INIT;
    *f = (Mayfly__V1__FunctionState)MAYFLY__V1__FUNCTION_STATE__INIT;
    (void)snprintf(name, 8, "f%u", i);
    f->namespace_ = (char *)(uintptr_t) "default";
    f->name = name;
    f->serving = w->newest[i];
    m->body_case = MAYFLY__V1__ENVELOPE__BODY_FUNCTION;
    m->function = f;
}

static void on_join(void *data, struct hub_node *n, const Mayfly__V1__Hello *hello)
{
    struct world *w = data;

    w->nodes[strtoul(hello->node + 1, NULL, 10)] = n;
    w->n_joined++;
    hub_resync(w->hub, n);
}

static void on_snapshot(void *data, struct hub_snapshot *s)
{
    const struct world *w = data;

    for (unsigned i = 0; i < FUNCTIONS; i++) {
        Mayfly__V1__Envelope m;
        Mayfly__V1__FunctionState f;
        char name[8];

        make(&m, &f, name, w, i);
        assert_int_equal(hub_snapshot_add(s, &m), 0);
    }
}

static void on_message(void *data, struct hub_node *n, const Mayfly__V1__Envelope *m)
{
}

static void on_leave(void *data, struct hub_node *n, const char *reason)
{
    fail_msg("%s left: %s", hub_node_name(n), reason);
}

static void change(struct world *w)
{
    unsigned i = below(w, FUNCTIONS);
    Mayfly__V1__Envelope m;
    Mayfly__V1__FunctionState f;
    char name[8];

    if (below(w, 10) == 0) {
        hub_resync(w->hub, w->nodes[below(w, NODES)]);
        return;
    }
    w->newest[i] = ++w->last;
    make(&m, &f, name, w, i);
    if (below(w, 3) == 0) { /* one hears it sooner than the others */
        assert_int_equal(hub_send(w->hub, w->nodes[below(w, NODES)], &m), 0);
    }
    hub_broadcast(w->hub, &m);
}

/* --- the agents' side --------------------------------------------------------------- */

static void fill_hello(void *data, Mayfly__V1__Hello *hello)
{
    struct agent *a = data;

    hello->node = a->name;
    hello->boot = a->name;
    hello->gateway = (char *)(uintptr_t) "192.0.2.1:8080";
    hello->batches = strcmp(a->name, "n0") != 0; /* one is older */
}

static void on_welcome(void *data, const Mayfly__V1__Welcome *w)
{
}

static void on_down(void *data, const char *reason)
{
}

static bool all_heard(const struct world *w)
{
    for (unsigned i = 0; i < NODES; i++) {
        if (memcmp(w->agents[i].heard, w->newest, sizeof(w->newest)) != 0) {
            return false;
        }
    }
    return true;
}

/* A snapshot is old states, and those that changed since behind them. */
static void note_function(struct agent *a, const Mayfly__V1__FunctionState *f)
{
    unsigned long i = strtoul(f->name + 1, NULL, 10);

    assert_true(i < FUNCTIONS);
    assert_true(a->in_snapshot || f->serving >= a->heard[i]);
    a->heard[i] = f->serving;
}

static void note_end(struct agent *a)
{
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        assert_true(a->heard[i] >= a->before[i]);
    }
    a->in_snapshot = false;
    a->snapshots++;
}

static void on_state(void *data, const Mayfly__V1__Envelope *m)
{
    struct agent *a = data;

    switch (m->body_case) {
    case MAYFLY__V1__ENVELOPE__BODY_FUNCTION:
        note_function(a, m->function);
        break;
    case MAYFLY__V1__ENVELOPE__BODY_SNAPSHOT_BEGIN:
        a->in_snapshot = true;
        memcpy(a->before, a->heard, sizeof(a->before));
        break;
    case MAYFLY__V1__ENVELOPE__BODY_SNAPSHOT_END:
        note_end(a);
        break;
    default:
        break;
    }
    if (a->world->steps == STEPS && !a->in_snapshot && all_heard(a->world)) {
        uv_stop(&a->world->loop);
    }
}

/* --- the test ----------------------------------------------------------------------- */

static void step(uv_idle_t *idle)
{
    struct world *w = idle->data;

    if (w->n_joined < NODES) {
        return;
    }
    for (unsigned n = below(w, TURN_MAX); n > 0 && w->steps < STEPS; n--) {
        change(w);
        w->steps++;
    }
    if (w->steps == STEPS) {
        (void)uv_idle_stop(idle);
    }
}

static void too_long(uv_timer_t *timer)
{
    fail_msg("some node has not heard the newest within 30 s");
}

static void closed(void *data)
{
    unsigned *open = data;

    (*open)--;
}

static void never_goes_back(void **state)
{
    static struct world w;
    struct hub_options hub = {.listen = "tcp://127.0.0.1:0",
                              .controller_name = "c1",
                              .packages_url = "http://192.0.2.9:8090",
                              .slice_us = 1,
                              .outbox_max = 40,
                              .on_join = on_join,
                              .on_snapshot = on_snapshot,
                              .on_message = on_message,
                              .on_leave = on_leave,
                              .data = &w};
    struct link_options link = {.controllers = w.urls,
                                .fill_hello = fill_hello,
                                .on_welcome = on_welcome,
                                .on_message = on_state,
                                .on_down = on_down};
    unsigned open = NODES + 1, snapshots = 0;
    struct error err;
    (void)state;

    w.seed = 1;
    w.urls[0] = w.url;
    assert_int_equal(uv_loop_init(&w.loop), 0);
    assert_int_equal(uv_timer_init(&w.loop, &w.limit), 0);
    assert_int_equal(uv_idle_init(&w.loop, &w.step), 0);
    w.step.data = &w;
    assert_int_equal(hub_new(&w.hub, &w.loop, &hub, &err), 0);
    (void)snprintf(w.url, sizeof(w.url), "tcp://127.0.0.1:%u", hub_port(w.hub));
    for (unsigned i = 0; i < NODES; i++) {
        struct agent *a = &w.agents[i];

        a->world = &w;
        (void)snprintf(a->name, sizeof(a->name), "n%u", i);
        link.data = a;
        assert_int_equal(link_new(&a->link, &w.loop, &link, &err), 0);
    }
    assert_int_equal(uv_idle_start(&w.step, step), 0);
    assert_int_equal(uv_timer_start(&w.limit, too_long, 30000, 0), 0);
    (void)uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_true(all_heard(&w));
    for (unsigned i = 0; i < NODES; i++) {
        snapshots += w.agents[i].snapshots;
        link_close(w.agents[i].link, closed, &open);
    }
    assert_true(snapshots > NODES); /* some came while rounds were told */
    hub_close(w.hub, closed, &open);
    uv_close((uv_handle_t *)&w.limit, NULL);
    uv_close((uv_handle_t *)&w.step, NULL);
    (void)uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(open, 0);
    assert_int_equal(uv_loop_close(&w.loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(never_goes_back)};

    (void)signal(SIGPIPE, SIG_IGN);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
