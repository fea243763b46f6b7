/* One cluster's life: load, deploys and faults from a seed; then rest, and what must be
 * true then. */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/core_private.h"
#include "tests/sim/places.h"

#define OP_US         120000 /* between two things that people do */
#define CALL_US       8000
#define NODES_FEW     10 /* of more, and of more functions, more is asked */
#define FUNCTIONS_FEW 12
#define FAULT_US      2500000
#define RARE_US       10800000000 /* a world of rare calls takes so long, */
#define RARE_OF       40          /* is one of so many, */
#define SLOWER        300         /* and all else happens so much slower there */
#define REST_US       180000000 /* the slowest: a count that a new controller adopted late */

void sim_function_name(unsigned function, char ret[16])
{
    (void)snprintf(ret, 16, "f%u", function);
}

void sim_say(const struct sim *s, const char *fmt, ...)
{
    va_list ap;

    (void)fprintf(stderr,
                  "seed %llu, %llu.%06llu s: ", (unsigned long long)s->options.seed,
                  (unsigned long long)s->clock.now_us / 1000000,
                  (unsigned long long)s->clock.now_us % 1000000);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
}

/* --- what people do
 * ------------------------------------------------------------------------ */

struct request {
    struct list link;
    struct sim *sim;
    unsigned function;
    bool put;
    bool bad;
    bool risky;                /* its rollout may go back */
    struct function_spec spec; /* numbers only */
};

static void answered(void *data, const struct core_reply *r)
{
    struct request *q = data;
    struct sim *s = q->sim;

    if (r->cause == CAUSE_NONE && q->put) {
        s->functions[q->function].there = true;
        s->functions[q->function].uncertain = false;
        s->functions[q->function].memory_mib = q->spec.memory_mib;
        s->functions[q->function].max_scale = function_spec_instances_max(&q->spec);
        s->functions[q->function].min_scale = q->spec.min_scale;
        s->functions[q->function].bad = q->bad;
        s->functions[q->function].version = r->version;
        s->functions[q->function].moved = q->risky;
    } else if (r->cause == CAUSE_NONE || r->cause == CAUSE_NOT_FOUND) {
        s->functions[q->function].there = false;
        s->functions[q->function].uncertain = false;
    } else if (r->cause != CAUSE_CONFLICT) {
        s->functions[q->function].uncertain = true;
    }
    list_remove(&q->link);
    free(q);
}

static struct request *request_new(struct sim *s, unsigned function)
{
    struct request *q = calloc(1, sizeof(*q));

    CHECK(q != NULL);
    q->sim = s;
    q->function = function;
    list_push_back(&s->requests, &q->link);
    s->functions[function].uncertain = true;
    return q;
}

static void deploy(struct sim *s, unsigned function)
{
    struct request *q = request_new(s, function);
    struct sim_clock *c = &s->clock;
    struct package_ref package = {.bytes = 1, .format = SPEC_FORMAT_TAR};
    struct function_spec spec;
    char name[16], handler[24];

    q->put = true;
    q->bad = sim_chance(c, 150) && s->options.faults;
    function_spec_init(&q->spec);
    q->spec.memory_mib = (uint32_t)((s->tight ? 64 : 16) * (1 + sim_below(c, 4)));
    q->spec.max_scale = (uint32_t)sim_below(c, 6);
    q->spec.min_scale = (uint32_t)sim_below(c, 3);
    if (q->spec.max_scale > 0 && q->spec.min_scale > q->spec.max_scale) {
        q->spec.min_scale = q->spec.max_scale;
    }
    q->spec.concurrency = (uint32_t)(1 + sim_below(c, 3));
    q->spec.timeout_ms = 2000;
    q->spec.queue_timeout_ms = SIM_QUEUE_MS;
    q->spec.queue_max = 50 + s->options.nodes; /* check_calls() calls from everywhere */
    q->spec.idle_ms = 4000;
    q->spec.keep_alive = (enum spec_keep_alive)sim_below(c, SPEC_KEEP_ALIVE_COUNT);
    if (s->rare && sim_chance(c, 700)) {
        q->spec.min_scale = 0;
        q->spec.keep_alive = SPEC_KEEP_ALIVE_LEARNED;
    }
    sim_places_spec(s, &q->spec, &spec);
    (void)snprintf(handler, sizeof(handler), "%s-%llu", q->bad ? "bad" : "good",
                   (unsigned long long)s->counts.deploys);
    spec.handler = handler; /* copied */
    (void)snprintf(package.digest, sizeof(package.digest), "%064x",
                   function * 8 + (unsigned)sim_below(c, 4));
    sim_function_name(function, name);
    s->counts.deploys++;
    s->functions[function].was_bad |= q->bad;
    if (sim_chance(c, 300)) {
        struct rollout_plan plan = {.steps = {1000, 5000}, .n_steps = 2, .step_ms = 500};

        q->risky = sim_chance(c, 500);
        plan.max_error = q->risky ? 500 : ALIAS_WHOLE;
        plan.min_calls = q->risky ? 3 : 0;
        s->counts.rollouts++;
        controller_core_roll_out(s->controller, SIM_NAMESPACE, name, &spec, &package,
                                 &plan, 0, answered, q);
    } else {
        controller_core_put_function(s->controller, SIM_NAMESPACE, name, &spec, &package,
                                     0, answered, q);
    }
    spec.handler = NULL;
    function_spec_free(&spec);
    sim_controller_arm(s);
}

static void delete (struct sim *s, unsigned function)
{
    struct request *q = request_new(s, function);
    char name[16];

    sim_function_name(function, name);
    s->counts.deletes++;
    s->functions[function].was_deleted = true;
    controller_core_delete_function(s->controller, SIM_NAMESPACE, name, 0, answered, q);
    sim_controller_arm(s);
}

static void ordered(void *data, const struct core_reply *r)
{
    struct request *q = data;

    list_remove(&q->link);
    free(q);
}

/* A rollback, or nothing that changes what serves. */
static void directed(void *data, const struct core_reply *r)
{
    struct request *q = data;

    q->sim->functions[q->function].moved |= q->risky && r->cause != CAUSE_CONFLICT;
    ordered(data, r);
}

void sim_requests_lost(struct sim *s)
{
    LIST_FOREACH(it, &s->requests)
    {
        const struct request *q = container_of(it, struct request, link);

        s->functions[q->function].moved |= q->risky; /* it may have been done */
    }
}

/* Somebody publishes, sets an alias, or goes back. */
static void direct(struct sim *s, unsigned function)
{
    struct sim_clock *c = &s->clock;
    uint64_t latest = s->functions[function].version;
    uint64_t one = 1 + sim_below(c, latest), other = 1 + sim_below(c, latest);
    uint32_t share = one == other ? 0 : (uint32_t)sim_below(c, ALIAS_WHOLE + 1);
    const struct alias_weight weights[] = {{one, ALIAS_WHOLE - share}, {other, share}};
    struct request *q = calloc(1, sizeof(*q));
    char name[16];

    CHECK(q != NULL);
    q->sim = s;
    q->function = function;
    list_push_back(&s->requests, &q->link);
    sim_function_name(function, name);
    s->counts.traffic++;
    switch (sim_below(c, 5)) {
    case 0:
        controller_core_publish(s->controller, SIM_NAMESPACE, name, one, NULL, 0,
                                directed, q);
        break;
    case 1:
        q->risky = true;
        controller_core_rollback(s->controller, SIM_NAMESPACE, name, 0, 0, directed, q);
        break;
    case 2:
        controller_core_delete_alias(s->controller, SIM_NAMESPACE, name, "live", 0,
                                     directed, q);
        break;
    default:
        controller_core_put_alias(s->controller, SIM_NAMESPACE, name, "live", weights,
                                  one == other ? 1 : 2, NULL, 0, directed, q);
    }
    sim_controller_arm(s);
}

/* An operator has something to say of a node. */
static void order(struct sim *s)
{
    static const char *const states[] = {"ready", "ready", "cordoned", "draining"};
    struct request *q = calloc(1, sizeof(*q));
    json_t *labels = sim_places_order(s);

    CHECK(q != NULL);
    q->sim = s;
    list_push_back(&s->requests, &q->link);
    s->counts.orders++;
    controller_core_order_node(
        s->controller, sim_node_name(s->nodes[sim_below(&s->clock, s->options.nodes)]),
        states[sim_below(&s->clock, 4)], labels, ordered, q);
    json_decref(labels);
    sim_controller_arm(s);
}

/* In worlds of rare calls what people do and what fails is rarer as well, after all has
 * been deployed. */
static uint64_t pace(const struct sim *s, uint64_t mean_us)
{
    return s->rare && s->clock.now_us > 30000000 ? mean_us * SLOWER : mean_us;
}

/* With so many times the functions of a small world so much more is done, and all of it
 * is looked at as often as there. */
static unsigned crowd(const struct sim *s)
{
    return 1 + s->options.functions / FUNCTIONS_FEW;
}

static void operate(void *data)
{
    struct sim *s = data;
    unsigned function = (unsigned)sim_below(&s->clock, s->options.functions);

    if (s->quiet) {
        return;
    }
    if (s->controller != NULL && s->n_operations++ % crowd(s) == 0) {
        controller_core_invariant(s->controller); /* of all that there is */
    }
    if (s->controller != NULL && controller_core_is_ready(s->controller) &&
        sim_chance(&s->clock, 100)) {
        order(s);
    } else if (s->controller != NULL && controller_core_is_ready(s->controller) &&
               !s->functions[function].uncertain) {
        if (s->functions[function].there && sim_chance(&s->clock, 200)) {
            delete (s, function);
        } else if (s->functions[function].there && sim_chance(&s->clock, 400)) {
            direct(s, function);
        } else {
            deploy(s, function);
        }
    }
    sim_after(&s->clock, sim_spread(&s->clock, pace(s, OP_US * 4 / crowd(s))), operate,
              NULL, s, NULL);
}

static void call(void *data)
{
    struct sim *s = data;

    if (!s->quiet && !s->rare) {
        sim_node_call(s->nodes[sim_below(&s->clock, s->options.nodes)],
                      (unsigned)sim_below(&s->clock, s->options.functions));
        sim_after(&s->clock,
                  sim_spread(&s->clock, CALL_US / (1 + s->options.nodes / NODES_FEW)),
                  call, NULL, s, NULL);
    }
}

/* A function that is called rarely, about every so many minutes, at one node. */
struct rare_caller {
    struct sim *sim;
    unsigned function, node;
    uint64_t period_us;
};

static void rare_call(void *data)
{
    struct rare_caller *r = data;
    struct sim *s = r->sim;

    if (s->quiet) {
        free(r);
        return;
    }
    sim_node_call(s->nodes[r->node], r->function);
    sim_after(&s->clock, r->period_us + sim_below(&s->clock, 5000000), rare_call, free, r,
              NULL);
}

static void call_rarely(struct sim *s)
{
    for (unsigned f = 0; f < s->options.functions; f++) {
        struct rare_caller *r = calloc(1, sizeof(*r));

        CHECK(r != NULL);
        *r = (struct rare_caller){
            .sim = s,
            .function = f,
            .node = (unsigned)sim_below(&s->clock, s->options.nodes),
            .period_us = (120 + 30 * sim_below(&s->clock, 7)) * 1000000};
        sim_after(&s->clock, sim_below(&s->clock, r->period_us), rare_call, free, r,
                  NULL);
    }
}

/* --- what goes wrong
 * ------------------------------------------------------------------------- */

static void controller_returns(void *data)
{
    sim_controller_start(data);
}

static void store_returns(void *data)
{
    struct sim *s = data;

    sim_store_set_up(s->store, true);
}

static void fault(void *data)
{
    struct sim *s = data;
    struct sim_clock *c = &s->clock;

    if (s->quiet) {
        return;
    }
    switch (sim_below(c, 9)) {
    case 0:
        if (s->controller != NULL) {
            s->counts.controller_crashes++;
            sim_controller_kill(s);
            sim_after(c, 50000 + sim_spread(c, 5000000), controller_returns, NULL, s,
                      NULL);
        }
        break;
    case 1:
        s->counts.store_outages++;
        sim_store_set_up(s->store, false);
        sim_after(c, sim_spread(c, 4000000), store_returns, NULL, s, NULL);
        break;
    case 2:
    case 3:
        sim_node_cut(s->nodes[sim_below(c, s->options.nodes)]);
        break;
    case 4:
    case 5:
        sim_node_reset(s->nodes[sim_below(c, s->options.nodes)]);
        break;
    case 6:
        sim_node_stop(s->nodes[sim_below(c, s->options.nodes)]);
        break;
    default:
        sim_node_crash(s->nodes[sim_below(c, s->options.nodes)]);
        break;
    }
    sim_after(c, sim_spread(c, pace(s, FAULT_US / (1 + s->options.nodes / NODES_FEW))),
              fault, NULL, s, NULL);
}

/* --- one cluster ------------------------------------------------------------------ */

static bool run_until(struct sim *s, uint64_t until_us)
{
    while (sim_step(&s->clock, until_us)) {
        if (s->broken) {
            return false;
        }
    }
    return true;
}

static void begin(struct sim *s)
{
    list_init(&s->requests);
    s->store = sim_store_new(s);
    for (unsigned i = 0; i < s->options.nodes; i++) {
        s->nodes[i] = sim_node_new(s, i);
    }
    sim_controller_start(s);
    sim_after(&s->clock, 500000, operate, NULL, s, NULL);
    sim_after(&s->clock, 1000000, call, NULL, s, NULL);
    if (s->rare) {
        call_rarely(s);
    }
    if (s->options.faults) {
        sim_after(&s->clock, 3000000, fault, NULL, s, NULL);
    }
}

/* In one world of ten nothing fails, and there is room for all. */
static bool is_calm(uint64_t seed)
{
    return seed % 20 == 7 || seed % 20 == 18;
}

bool sim_run(const struct sim_options *options, struct sim_counts *ret_counts)
{
    struct sim *s = calloc(1, sizeof(*s));
    uint64_t until_us;
    bool ok;

    CHECK(s != NULL && options->nodes <= SIM_NODES_MAX &&
          options->functions <= SIM_FUNCTIONS_MAX);
    s->options = *options;
    s->options.faults = options->faults && !is_calm(options->seed);
    s->rare = options->seed % RARE_OF == RARE_OF - 1;
    s->tight = options->seed % 4 == 0 || sim_places_are_scarce(s);
    s->clock.random_state = options->seed * 0x9e3779b97f4a7c15ULL + 1;
    begin(s);
    until_us = s->rare ? RARE_US : options->duration_us;
    ok = run_until(s, until_us);
    s->quiet = true;
    ok = ok && run_until(s, until_us + REST_US);
    ok = ok && sim_check_rest(s);
    ok = ok && sim_check_calls(s);
    ok = ok && sim_check_load(s);
    ok = ok && !s->broken && sim_usage_check_rest(s);
    *ret_counts = s->counts;
    if (s->controller != NULL) {
        sim_controller_kill(s);
    }
    for (unsigned i = 0; i < options->nodes; i++) {
        s->nodes[i] = sim_node_free(s->nodes[i]);
    }
    LIST_FOREACH_SAFE(it, &s->requests)
    {
        list_remove(it);
        free(container_of(it, struct request, link));
    }
    sim_clock_free(&s->clock);
    s->store = sim_store_free(s->store);
    free(s);
    return ok;
}
