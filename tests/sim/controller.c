/* The controller's process: its core, and what stands in for its edges. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "tests/sim/node.h"

static uint64_t now_ms(void *ctx)
{
    return ((struct sim *)ctx)->clock.now_us / 1000;
}

static uint64_t wall_ms(void *ctx)
{
    return 1800000000000ULL + now_ms(ctx);
}

static uint64_t chance(void *ctx)
{
    return sim_random(&((struct sim *)ctx)->clock);
}

static void txn(void *ctx, uint64_t id, const struct core_compare *compares,
                size_t n_compares, const struct core_op *ops, size_t n_ops)
{
    struct sim *s = ctx;

    sim_store_txn(s->store, s->controller, &s->controller_life, id, compares, n_compares,
                  ops, n_ops);
}

static struct sim_node *node_of(struct sim *s, const char *name)
{
    for (unsigned i = 0; i < s->options.nodes; i++) {
        if (strcmp(sim_node_name(s->nodes[i]), name) == 0) {
            return s->nodes[i];
        }
    }
    CHECK(false && "the core names a node that never joined");
    return NULL;
}

static void send_function(void *ctx, const char *node, const struct function_state *f)
{
    struct sim *s = ctx;

    for (unsigned i = 0; node == NULL && i < s->options.nodes; i++) {
        sim_node_send_function(s->nodes[i], f);
    }
    if (node != NULL) {
        sim_node_send_function(node_of(s, node), f);
    }
}

static void send_node(void *ctx, const char *node, const struct node_state *n)
{
    struct sim *s = ctx;

    for (unsigned i = 0; node == NULL && i < s->options.nodes; i++) {
        sim_node_send_node(s->nodes[i], n);
    }
    if (node != NULL) {
        sim_node_send_node(node_of(s, node), n);
    }
}

static void resync(void *ctx, const char *node)
{
    sim_node_resync(node_of(ctx, node));
}

static void tick(void *data)
{
    struct sim *s = data;

    bool was_placing = sim_scale_is_placing(s);

    s->controller_timer = 0;
    if (controller_core_deadline_ms(s->controller) <= now_ms(s)) {
        controller_core_tick(s->controller);
    }
    if (!was_placing && sim_scale_is_placing(s)) {
        sim_scale_placing_begins(s);
    }
    sim_controller_arm(s);
}

void sim_controller_arm(struct sim *s)
{
    uint64_t due_ms, in_ms;

    if (s->controller == NULL) {
        return;
    }
    due_ms = controller_core_deadline_ms(s->controller);
    if (due_ms == UINT64_MAX ||
        (s->controller_timer != 0 && s->controller_timer <= due_ms)) {
        return;
    }
    in_ms = due_ms > now_ms(s) ? due_ms - now_ms(s) : 0;
    s->controller_timer = due_ms == 0 ? 1 : due_ms;
    sim_after(&s->clock, in_ms * 1000 + 50, tick, NULL, s, &s->controller_life);
}

void sim_controller_start(struct sim *s)
{
    struct controller_core_options options = {.settle_ms = 3000,
                                              .homes_max = SIM_HOMES_MAX,
                                              .spread = s->options.seed % 2 == 0,
                                              .cpu_overcommit_percent =
                                                  s->options.seed % 5 == 0 ? 50 : 0};
    struct controller_io io = {
        .ctx = s,
        .now_ms = now_ms,
        .wall_ms = wall_ms,
        .random = chance,
        .txn = txn,
        .send_function = send_function,
        .send_node = send_node,
        .resync = resync,
    };

    CHECK(s->controller == NULL);
    sim_usage_controller_began(s);
    CHECK(controller_core_new(&s->controller, &io, &options) == 0);
    sim_store_attach(s->store, s->controller, &s->controller_life);
    sim_controller_arm(s);
}

void sim_controller_kill(struct sim *s)
{
    s->controller_life++;
    s->controller_timer = 0;
    s->controller = controller_core_free(s->controller);
    sim_requests_lost(s);
    for (unsigned i = 0; i < s->options.nodes; i++) {
        sim_node_controller_died(s->nodes[i]);
    }
}
