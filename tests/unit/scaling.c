/* Scaling: what agents report becomes a count, and the count becomes grants. */
#include "tests/unit/controller_core_world.h"

#include <stdio.h>
#include <string.h>

#include "controller/core/core_private.h"
#include "controller/core/registry.h"
#include "controller/core/scaling.h"
#include "controller/core/scaling_config.h"

#define SECOND 1000

/* An agent under load, as its reports show it. */
struct load {
    struct model_agent *agent;
    struct version_load now;
};

static void report(struct world *w, struct load *l)
{
    struct node_report r = {.loads = &l->now, .n_loads = 1};

    l->now.namespace_ = "default";
    l->now.name = "hello";
    controller_core_node_report(w->core, l->agent->name, &r);
    world_run(w);
}

/* So many calls at once for so long, reported each second: all of them in instances. */
static void steady(struct world *w, struct load *l, uint32_t calls, unsigned seconds)
{
    l->now.busy = l->now.in_flight = calls;
    l->now.queued = 0;
    for (unsigned i = 0; i < seconds; i++) {
        report(w, l);
        world_pass(w, SECOND);
        l->now.load_us += calls * 1000000ull;
    }
}

static void defaults(struct function_spec *spec)
{
    function_spec_init(spec);
    spec->memory_mib = 128;
}

static uint64_t deploy(struct world *w, struct function_spec *spec)
{
    struct answer a = {0};
    char node[SPEC_NODE_MAX + 1];

    world_put(w, "hello", spec, 0, &a);
    world_run(w);
    assert_int_equal(a.cause, CAUSE_NONE);
    world_proof_node(w, "hello", a.version, node);
    for (size_t i = 0; i < w->n_agents; i++) {
        if (strcmp(w->agents[i].name, node) == 0) {
            world_say(w, &w->agents[i], "hello", a.version, true, CAUSE_NONE, "");
        }
    }
    return a.version;
}

/* "hello" on one node with this spec, and nothing reported yet. */
static struct load one(struct world *w, struct function_spec *spec)
{
    struct load l = {.agent = world_join(w, "n1", 64 * 1024)};

    l.now.version = deploy(w, spec);
    assert_view(w, "hello", "state", "ready");
    report(w, &l);
    return l;
}

static const struct core_target *serving(struct world *w)
{
    return registry_function(w->core, "default", "hello")->serving;
}

static struct scaling_record latest(struct world *w)
{
    struct scaling_record r;

    assert_int_equal(scaling_records_get(&serving(w)->scaling.records, &r, 1), 1);
    return r;
}

/* Seven calls at once at 70 % of one an instance are ten instances, kept ready; without
 * load they go, and then nothing is left that costs anything. */
static void step_up_and_down(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;

    defaults(&spec);
    l = one(&f->w, &spec);
    assert_int_equal(controller_core_deadline_ms(f->w.core), UINT64_MAX);
    steady(&f->w, &l, 7, 70);
    assert_int_equal(world_number(&f->w, "hello", "desired"), 10);
    assert_int_equal(world_number(&f->w, "hello", "versions.0.desired"), 10);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 10);
    assert_int_equal(controller_core_counts(f->w.core).desired, 10);
    assert_int_equal(latest(&f->w).to, 10);
    steady(&f->w, &l, 0, 1);
    world_pass(&f->w, 300 * SECOND);
    assert_int_equal(world_number(&f->w, "hello", "desired"), 0);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 0);
    assert_int_equal(controller_core_deadline_ms(f->w.core), UINT64_MAX);
    assert_int_equal(controller_core_counts(f->w.core).scaled, 0);
    world_check(&f->w);
}

/* A short call now and then wakes nobody: its agent sees to it. */
static void a_short_call_costs_nothing(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;

    defaults(&spec);
    l = one(&f->w, &spec);
    for (int i = 0; i < 5; i++) {
        world_pass(&f->w, 30 * SECOND);
        l.now.load_us += 80 * 1000;
        l.now.begun++;
        l.now.invocations++;
        l.now.idle = 1;
        report(&f->w, &l);
        assert_int_equal(controller_core_deadline_ms(f->w.core), UINT64_MAX);
    }
    assert_int_equal(controller_core_counts(f->w.core).decisions, 0);
}

/* The last instance of a function that may go to zero is its agent's: none is kept warm
 * for it, unless someone wants it kept. */
static void the_last_one_is_the_agents(void **state)
{
    static const struct {
        uint32_t min, retention_ms;
        uint64_t warm;
    } rows[] = {{0, 0, 0}, {1, 0, 1}, {0, 5 * 60 * SECOND, 1}};
    struct fixture *f = *state;
    struct load l = {.agent = world_join(&f->w, "n1", 64 * 1024)};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct function_spec spec;

        defaults(&spec);
        spec.concurrency = 100;
        spec.min_scale = rows[i].min;
        spec.retention_ms = rows[i].retention_ms;
        l.now = (struct version_load){.version = deploy(&f->w, &spec)};
        steady(&f->w, &l, 1, 3);
        assert_int_equal(world_number(&f->w, "hello", "desired"), 1);
        assert_int_equal(world_sum_warm(&f->w, "hello", l.now.version), rows[i].warm);
    }
}

/* The last instance stays for the retention after load ended, then goes. */
static void retention_holds_the_last(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;

    defaults(&spec);
    spec.retention_ms = 300 * SECOND;
    l = one(&f->w, &spec);
    steady(&f->w, &l, 2, 30);
    l.now.idle = 3;
    steady(&f->w, &l, 0, 1);
    world_pass(&f->w, 250 * SECOND);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 1);
    world_pass(&f->w, 300 * SECOND);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 0);
    assert_int_equal(world_number(&f->w, "hello", "desired"), 0);
}

/* A queue is answered in the moment in which it is reported. */
static void a_queue_is_answered_at_once(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;
    uint64_t before;

    defaults(&spec);
    l = one(&f->w, &spec);
    steady(&f->w, &l, 1, 20);
    before = f->w.now_ms;
    l.now.queued = 29;
    report(&f->w, &l);
    assert_int_equal(f->w.now_ms, before);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 30);
    assert_int_equal(latest(&f->w).reason, SCALING_QUEUE);
    assert_int_equal(latest(&f->w).queued, 29);
    assert_true(latest(&f->w).panicking);
    assert_int_equal(controller_core_counts(f->w.core).panics, 1);
    /* It was panic: nothing is taken back before a stable window is over. */
    l.now.load_us += 30000000;
    l.now.idle = 29;
    steady(&f->w, &l, 1, 50);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 30);
    steady(&f->w, &l, 1, 90);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 2);
}

/* Nobody is ever in flight when a report is made, and yet the average is known. */
static void counters_know_what_gauges_miss(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;

    defaults(&spec);
    l = one(&f->w, &spec);
    for (int i = 0; i < 70; i++) {
        world_pass(&f->w, SECOND);
        l.now.load_us += 2 * 1000000; /* two at once on average */
        report(&f->w, &l);
    }
    assert_int_equal(world_number(&f->w, "hello", "desired"), 3); /* 2 / 0.7 */
}

/* A gauge that caught a peak does not stand for the second that followed. */
static void a_peak_is_no_average(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;

    defaults(&spec);
    spec.concurrency = 10;
    l = one(&f->w, &spec);
    l.now.busy = 1;
    for (int i = 0; i < 70; i++) {
        l.now.in_flight = 10; /* in each moment in which it reports */
        report(&f->w, &l);
        world_pass(&f->w, SECOND);
        l.now.load_us += 1000000; /* but one on average */
    }
    l.now.in_flight = 0;
    report(&f->w, &l);
    world_pass(&f->w, 2 * SECOND);
    assert_int_equal(world_number(&f->w, "hello", "desired"), 1);
}

/* By calls per second: 500 with a target of 100, at 70 %. */
static void by_calls_per_second(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;

    defaults(&spec);
    spec.metric = SPEC_METRIC_RPS;
    spec.target_hundredths = 10000;
    spec.concurrency = 50;
    l = one(&f->w, &spec);
    for (int i = 0; i < 90; i++) {
        world_pass(&f->w, SECOND);
        l.now.begun += 500;
        l.now.idle = 1;
        report(&f->w, &l);
    }
    assert_in_range(world_number(&f->w, "hello", "desired"), 7, 8);
    assert_int_equal(latest(&f->w).metric, AUTOSCALER_RPS);
    world_pass(&f->w, 300 * SECOND);
    assert_int_equal(world_number(&f->w, "hello", "desired"), 0);
}

/* What two nodes have is one load; a node that is lost takes its part with it. */
static void two_nodes_are_one_load(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load a, b = {.agent = world_join(&f->w, "n2", 64 * 1024)};

    defaults(&spec);
    a = one(&f->w, &spec);
    b.now.version = 1;
    report(&f->w, &b);
    for (int i = 0; i < 70; i++) {
        a.now.busy = a.now.in_flight = 4;
        b.now.busy = b.now.in_flight = 3;
        report(&f->w, &a);
        report(&f->w, &b);
        world_pass(&f->w, SECOND);
        a.now.load_us += 4000000;
        b.now.load_us += 3000000;
    }
    assert_int_equal(world_number(&f->w, "hello", "desired"), 10);
    world_leave(&f->w, b.agent);
    for (int i = 0; i < 140; i++) {
        report(&f->w, &a);
        world_pass(&f->w, SECOND);
        a.now.load_us += 4000000;
    }
    assert_int_equal(world_number(&f->w, "hello", "desired"), 6);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 6);
    world_check(&f->w);
}

/* An agent that starts anew counts from 0: that is neither a fall nor a flood. */
static void an_agent_that_starts_anew(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;

    defaults(&spec);
    l = one(&f->w, &spec);
    steady(&f->w, &l, 4, 70);
    assert_int_equal(world_number(&f->w, "hello", "desired"), 6);
    world_leave(&f->w, l.agent);
    world_rejoin(&f->w, l.agent, true);
    world_run(&f->w);
    l.now = (struct version_load){.version = 1};
    steady(&f->w, &l, 4, 70);
    assert_in_range(world_number(&f->w, "hello", "desired"), 6, 7);
    steady(&f->w, &l, 4, 70);
    assert_int_equal(world_number(&f->w, "hello", "desired"), 6);
}

/* The same life comes back after a while: what it did alone is not counted as of now. */
static void a_node_that_was_cut_off(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;

    defaults(&spec);
    l = one(&f->w, &spec);
    steady(&f->w, &l, 1, 70);
    world_leave(&f->w, l.agent);
    world_pass(&f->w, 30 * SECOND);
    l.now.load_us += 20 * 30 * 1000000ull;
    world_rejoin(&f->w, l.agent, false);
    steady(&f->w, &l, 1, 10);
    assert_int_equal(world_number(&f->w, "hello", "desired"), 2);
}

/* A controller that takes over keeps what nodes had, until it knows the load itself. */
static void a_new_controller_keeps_the_count(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;

    defaults(&spec);
    l = one(&f->w, &spec);
    steady(&f->w, &l, 7, 70);
    world_restart(&f->w);
    world_rejoin(&f->w, l.agent, false);
    l.now.grant_max = agent_grant(l.agent, "hello", 1)->max;
    l.now.grant_warm = agent_grant(l.agent, "hello", 1)->warm;
    assert_int_equal(l.now.grant_warm, 10);
    steady(&f->w, &l, 7, 5);
    assert_int_equal(world_number(&f->w, "hello", "desired"), 10);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 10);
    steady(&f->w, &l, 2, 200);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 3);
    world_check(&f->w);
}

/* What a controller finds without load is gone after a stable window. */
static void an_adopted_count_falls(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;

    defaults(&spec);
    l = one(&f->w, &spec);
    steady(&f->w, &l, 7, 70);
    world_restart(&f->w);
    world_rejoin(&f->w, l.agent, false);
    l.now = (struct version_load){
        .version = 1, .idle = 10, .grant_max = 50, .grant_warm = 10};
    report(&f->w, &l);
    world_pass(&f->w, 10 * SECOND);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 10);
    assert_int_equal(latest(&f->w).reason, SCALING_ADOPTED);
    world_pass(&f->w, 300 * SECOND);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 0);
    assert_int_equal(controller_core_deadline_ms(f->w.core), UINT64_MAX);
}

/* A new version has as many instances as the old one before it takes over. */
static void a_new_version_inherits(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l, next;

    defaults(&spec);
    l = one(&f->w, &spec);
    steady(&f->w, &l, 7, 70);
    assert_int_equal(deploy(&f->w, &spec), 2);
    assert_int_equal(world_number(&f->w, "hello", "serving_version"), 1);
    assert_int_equal(world_sum_warm(&f->w, "hello", 2), 10);
    next = (struct load){.agent = l.agent, .now = {.version = 2, .idle = 9}};
    report(&f->w, &next);
    assert_int_equal(world_number(&f->w, "hello", "serving_version"), 1);
    next.now.idle = 10;
    report(&f->w, &next);
    assert_int_equal(world_number(&f->w, "hello", "serving_version"), 2);
    assert_int_equal(world_number(&f->w, "hello", "desired"), 10);
    assert_int_equal(world_sum_warm(&f->w, "hello", 2), 10);
    assert_int_equal(latest(&f->w).reason, SCALING_INHERITED);
    world_check(&f->w);
}

/* If they do not all come up it takes over nevertheless, after a while. */
static void a_new_version_does_not_wait_for_ever(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;

    defaults(&spec);
    l = one(&f->w, &spec);
    steady(&f->w, &l, 7, 70);
    (void)deploy(&f->w, &spec);
    world_pass(&f->w, 9 * SECOND);
    assert_int_equal(world_number(&f->w, "hello", "serving_version"), 1);
    world_pass(&f->w, 2 * SECOND);
    assert_int_equal(world_number(&f->w, "hello", "serving_version"), 2);
}

/* initial-scale instances are ready when a version takes over; they go when a stable
 * window has shown that nobody needs them. */
static void initial_scale(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l = {.agent = world_join(&f->w, "n1", 64 * 1024)};

    defaults(&spec);
    spec.initial_scale = 5;
    l.now = (struct version_load){.version = deploy(&f->w, &spec), .idle = 5};
    assert_int_equal(world_number(&f->w, "hello", "serving_version"), 0);
    report(&f->w, &l);
    assert_int_equal(world_number(&f->w, "hello", "serving_version"), 1);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 5);
    assert_int_equal(latest(&f->w).reason, SCALING_INITIAL);
    world_pass(&f->w, 50 * SECOND);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 5);
    world_pass(&f->w, 200 * SECOND);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 0);
}

/* max-scale is a hard cap, also of what is kept warm. */
static void max_scale_caps(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;

    defaults(&spec);
    spec.max_scale = 4;
    l = one(&f->w, &spec);
    l.now.queued = 100;
    steady(&f->w, &l, 4, 1);
    l.now.queued = 100;
    report(&f->w, &l);
    assert_int_equal(world_number(&f->w, "hello", "desired"), 4);
    assert_int_equal(world_sum_max(&f->w, "hello", 1), 4);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 4);
    assert_true((latest(&f->w).clamps & AUTOSCALER_CLAMP_BIT(MAX)) != 0);
}

/* What finds no room is said, and is placed when room comes. */
static void no_room_is_recorded(void **state)
{
    struct fixture *f = *state;
    struct load l = {.agent = world_join(&f->w, "n1", 512)};
    struct function_spec spec;

    defaults(&spec);
    l.now.version = deploy(&f->w, &spec);
    steady(&f->w, &l, 7, 3);
    assert_int_equal(world_number(&f->w, "hello", "desired"), 10);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 4);
    assert_int_equal(latest(&f->w).reason, SCALING_NO_ROOM);
    assert_int_equal(latest(&f->w).no_room, 6);
    (void)world_join(&f->w, "n2", 2048);
    world_pass(&f->w, 5 * SECOND);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 10);
    world_check(&f->w);
}

/* activation-scale is the least while there is load; scale-down-delay keeps a count. */
static void activation_and_delay(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;

    defaults(&spec);
    spec.activation_scale = 3;
    spec.window_ms = 6 * SECOND;
    spec.scale_down_delay_ms = 120 * SECOND;
    l = one(&f->w, &spec);
    steady(&f->w, &l, 1, 10);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 3);
    steady(&f->w, &l, 0, 1);
    world_pass(&f->w, 100 * SECOND);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 3);
    world_pass(&f->w, 100 * SECOND);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 0);
}

/* Instances that an agent keeps for longer do not keep the count up. */
static void what_is_kept_alive_does_not_count(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;

    defaults(&spec);
    l = one(&f->w, &spec);
    steady(&f->w, &l, 14, 70);
    assert_int_equal(world_number(&f->w, "hello", "desired"), 20);
    l.now.idle = 20;
    steady(&f->w, &l, 0, 1);
    world_pass(&f->w, 300 * SECOND);
    assert_int_equal(world_number(&f->w, "hello", "desired"), 0);
}

/* The records are the latest ones, the newest first. */
static void records_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct scaling_record r[2 * SCALING_RECORDS_MAX];
    struct function_spec spec;
    struct load l;
    size_t n;

    defaults(&spec);
    spec.window_ms = 6 * SECOND;
    l = one(&f->w, &spec);
    for (unsigned i = 0; i < 40; i++) {
        steady(&f->w, &l, i % 2 == 0 ? 20 : 2, 20);
    }
    n = scaling_records_get(&serving(&f->w)->scaling.records, r, 2 * SCALING_RECORDS_MAX);
    assert_int_equal(n, SCALING_RECORDS_MAX);
    for (size_t i = 1; i < n; i++) {
        assert_int_equal(r[i - 1].from, r[i].to);
        assert_true(r[i - 1].at_ms >= r[i].at_ms);
        assert_string_not_equal(scaling_reason_text(r[i].reason), "");
    }
    assert_string_equal(scaling_reason_name(SCALING_NO_ROOM), "no_room");
}

/* One movement is one event, however many steps it has. */
static void a_movement_is_one_event(void **state)
{
    struct fixture *f = *state;
    struct core_event_query q = {.namespace_ = "default", .name = "hello"};
    struct function_spec spec;
    struct load l;
    unsigned scaled = 0;
    uint64_t after;
    json_t *e;

    defaults(&spec);
    l = one(&f->w, &spec);
    after = controller_core_event_last(f->w.core);
    for (uint32_t calls = 1; calls <= 15; calls++) {
        steady(&f->w, &l, calls, 1);
    }
    assert_true(world_number(&f->w, "hello", "desired") > 10);
    while ((e = controller_core_event_next(f->w.core, &q, &after)) != NULL) {
        scaled += strcmp(json_string_value(json_object_get(e, "kind")), "scaled") == 0;
        json_decref(e);
    }
    assert_int_equal(scaled, 1);
}

/* What is kept for load that may come makes room for what must be: a new function proves
 * itself though the nodes are full of warm instances. What runs calls is not touched. */
static void makes_room_for_a_deploy(void **state)
{
    struct fixture *f = *state;
    struct load l = {.agent = world_join(&f->w, "n1", 1024)};
    struct function_spec spec;
    struct answer a = {0};

    defaults(&spec);
    l.now.version = deploy(&f->w, &spec);
    steady(&f->w, &l, 8, 3);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1),
                     8); /* all that there is room for */
    steady(&f->w, &l, 5, 2);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 8);
    world_put(&f->w, "other", &spec, 0, &a);
    world_run(&f->w);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 5);
    steady(&f->w, &l, 5, 2);
    assert_int_equal(world_sum_warm(&f->w, "other", 1), 1);
    world_say(&f->w, l.agent, "other", 1, true, CAUSE_NONE, "");
    assert_view(&f->w, "other", "state", "ready");
    steady(&f->w, &l, 5, 20); /* and then it is as it was */
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 8);
    world_check(&f->w);
}

/* How many are kept warm is told to those that keep them, not to the whole cluster. */
static void only_holders_hear_of_warm(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct load l;
    size_t before;

    f->w.core->options.homes_max = 2;
    defaults(&spec);
    l = one(&f->w, &spec);
    for (unsigned i = 2; i < 20; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "n%u", i);
        (void)world_join(&f->w, name, 64 * 1024);
    }
    world_pass(&f->w, 5 * SECOND);
    assert_int_equal(world_n_grants(&f->w, "hello", 1), 2);
    before = f->w.n_sends;
    l.now.queued = 30;
    report(&f->w, &l);
    assert_int_equal(world_sum_warm(&f->w, "hello", 1), 43); /* 30 at 70 % */
    assert_int_equal(f->w.n_sends, before + 2);
    world_check(&f->w);
}

/* Gone with its function: nothing is left to wake up for. */
static void goes_with_its_function(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct answer a = {0};
    struct load l;

    defaults(&spec);
    l = one(&f->w, &spec);
    steady(&f->w, &l, 7, 10);
    world_delete(&f->w, "hello", &a);
    world_run(&f->w);
    world_pass(&f->w, 10 * SECOND);
    assert_int_equal(controller_core_counts(f->w.core).desired, 0);
    assert_int_equal(controller_core_counts(f->w.core).scaled, 0);
    assert_int_equal(controller_core_deadline_ms(f->w.core), UINT64_MAX);
}

/* A spec's settings win over the cluster's; what cannot be is left out. */
static void settings(void **state)
{
    struct autoscaler_config defaults_, c;
    struct function_spec spec;

    autoscaler_config_init(&defaults_);
    defaults_.target_utilization_percentage = 50;
    function_spec_init(&spec);
    spec.concurrency = 20;
    spec.target_hundredths = 1050;
    spec.panic_window_hundredths = 2575;
    spec.window_ms = 1500; /* from a store that someone else wrote to */
    spec.max_scale_up_rate_hundredths = 100;
    spec.max_scale_down_rate_hundredths = 150;
    spec.max_scale = 3;
    spec.min_scale = 5;
    scaling_config(&spec, &defaults_, &c);
    assert_int_equal(autoscaler_config_check(&c, NULL), 0);
    assert_true(autoscaler_config_target(&c) == 5.25);
    assert_true(c.panic_window_percentage == 25.75 && c.stable_window_ms == 60000);
    assert_true(c.max_scale_up_rate == 1000 && c.max_scale_down_rate == 1.5);
    assert_true(c.min_scale == 3 && c.max_scale == 3);
    spec.reuse = false;
    assert_int_equal(scaling_config_slots(&spec), 1);
    assert_int_equal(scaling_config_floor(&spec, &defaults_), 0);
    spec.reuse = true;
    spec.min_scale = 0;
    defaults_.enable_scale_to_zero = false;
    assert_int_equal(scaling_config_floor(&spec, &defaults_), 1);
    defaults_.initial_scale = 7;
    assert_int_equal(scaling_config_initial(&spec, &defaults_), 3);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(step_up_and_down),
        TEST(a_short_call_costs_nothing),
        TEST(the_last_one_is_the_agents),
        TEST(retention_holds_the_last),
        TEST(a_queue_is_answered_at_once),
        TEST(counters_know_what_gauges_miss),
        TEST(a_peak_is_no_average),
        TEST(by_calls_per_second),
        TEST(two_nodes_are_one_load),
        TEST(an_agent_that_starts_anew),
        TEST(a_node_that_was_cut_off),
        TEST(a_new_controller_keeps_the_count),
        TEST(an_adopted_count_falls),
        TEST(a_new_version_inherits),
        TEST(a_new_version_does_not_wait_for_ever),
        TEST(initial_scale),
        TEST(max_scale_caps),
        TEST(no_room_is_recorded),
        TEST(activation_and_delay),
        TEST(what_is_kept_alive_does_not_count),
        TEST(records_are_bounded),
        TEST(a_movement_is_one_event),
        TEST(makes_room_for_a_deploy),
        TEST(only_holders_hear_of_warm),
        TEST(goes_with_its_function),
        cmocka_unit_test(settings),
    };

    return cmocka_run_group_tests_name("scaling", tests, NULL, NULL);
}
