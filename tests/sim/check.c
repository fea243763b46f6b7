/* What must be true of a cluster at rest, and under a load without faults. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/core_private.h"
#include "tests/sim/places.h"
#include "tests/sim/sim.h"

/* --- rest
 * --------------------------------------------------------------------------------------
 */

/* In a tight cluster, or with nodes out of work, a version may have found no place. */
static bool has_no_room(struct sim *s, const json_t *f, uint64_t version)
{
    const json_t *v;
    size_t i;

    json_array_foreach(json_object_get(f, "versions"), i, v)
    {
        const json_t *asked = json_object_get(json_object_get(v, "spec"), "constraints");

        if ((s->tight || s->counts.orders > 0 || json_array_size(asked) > 0) &&
            (uint64_t)json_integer_value(json_object_get(v, "number")) == version) {
            return strcmp(json_string_value(json_object_get(v, "cause")),
                          "no_capacity") == 0;
        }
    }
    return false;
}

static const char *node_state(struct sim *s, unsigned i, char ret[16])
{
    json_t *node = controller_core_node(s->controller, sim_node_name(s->nodes[i]));

    (void)snprintf(ret, 16, "%s", json_string_value(json_object_get(node, "state")));
    json_decref(node);
    return ret;
}

/* Nodes that take new work. */
static uint64_t open_nodes(struct sim *s)
{
    char state[16];
    uint64_t n = 0;

    for (unsigned i = 0; i < s->options.nodes; i++) {
        n += strcmp(node_state(s, i, state), "ready") == 0;
    }
    return n;
}

/* Instances of a version on all nodes that are neither ending nor in the way of it. */
static uint64_t instances_of(const struct sim *s, const char *name, uint64_t version)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < s->options.nodes; i++) {
        n += sim_node_instances(s->nodes[i], name, version);
    }
    return n;
}

/* Without load a version has what it shall have at least, the controller knows that, and
 * so many instances there are: what was started for calls has gone. Where calls are rare,
 * an instance may be kept for the next expected one. */
static bool check_count(struct sim *s, unsigned function, const char *name,
                        const json_t *f, uint64_t serving, uint64_t open)
{
    uint64_t desired = (uint64_t)json_integer_value(json_object_get(f, "desired"));
    uint64_t have = instances_of(s, name, serving);

    if (s->functions[function].uncertain || s->functions[function].bad || serving == 0) {
        return true;
    }
    if (desired != s->functions[function].min_scale) {
        sim_say(s, "%s: %llu instances are desired at rest, min_scale is %u", name,
                (unsigned long long)desired, s->functions[function].min_scale);
        return false;
    }
    if ((s->rare ? have < desired : have != desired) && !s->tight && open > 0) {
        sim_say(s, "%s: there are %llu instances, desired are %llu", name,
                (unsigned long long)have, (unsigned long long)desired);
        return false;
    }
    return true;
}

static bool is_running(const json_t *f)
{
    const char *state =
        json_string_value(json_object_get(json_object_get(f, "rollout"), "state"));

    return state != NULL &&
           (strcmp(state, "running") == 0 || strcmp(state, "pending") == 0);
}

static bool check_function(struct sim *s, unsigned function)
{
    uint64_t granted = 0, homes = 0, wanted, serving, open;
    char name[16];
    json_t *f, *g;
    size_t i;
    bool ok = true;

    sim_function_name(function, name);
    f = controller_core_function(s->controller, SIM_NAMESPACE, name);
    if (!s->functions[function].uncertain &&
        (f != NULL) != s->functions[function].there) {
        sim_say(s, "%s was acknowledged as %s", name,
                s->functions[function].there ? "deployed, and is gone"
                                             : "deleted, and is there");
        ok = false;
    }
    if (f == NULL) {
        return ok;
    }
    ok = sim_places_check_function(s, f) && ok;
    open = sim_places_open(s, json_object_get(f, "spec"));
    if (has_no_room(s, f, s->functions[function].version) || open == 0) {
        s->functions[function].uncertain = true; /* nothing more can be said of it */
    }
    if (s->functions[function].moved) {
        s->functions[function].uncertain = true; /* another version may serve */
    } else if (!s->functions[function].uncertain && !s->functions[function].bad &&
               is_running(f)) {
        sim_say(s, "%s: its rollout has not ended", name);
        ok = false;
    }
    serving = (uint64_t)json_integer_value(json_object_get(f, "serving_version"));
    if (!s->functions[function].uncertain && !s->functions[function].bad &&
        serving != s->functions[function].version) {
        char *text = json_dumps(f, JSON_INDENT(1));

        sim_say(s, "%s serves version %llu, deployed was %llu: %s", name,
                (unsigned long long)serving,
                (unsigned long long)s->functions[function].version, text);
        free(text);
        ok = false;
    }
    json_array_foreach(json_object_get(f, "grants"), i, g)
    {
        if ((uint64_t)json_integer_value(json_object_get(g, "version")) == serving) {
            granted += (uint64_t)json_integer_value(json_object_get(g, "max"));
            homes++;
        }
    }
    if (!s->functions[function].uncertain && !s->functions[function].bad &&
        s->functions[function].max_scale > 0 &&
        (granted > s->functions[function].max_scale ||
         (granted < s->functions[function].max_scale && !s->tight && open > 0))) {
        sim_say(s, "%s: grants add up to %llu, max_scale is %u", name,
                (unsigned long long)granted, s->functions[function].max_scale);
        ok = false;
    }
    wanted = open < SIM_HOMES_MAX ? open : SIM_HOMES_MAX;
    if (s->functions[function].max_scale > 0 &&
        s->functions[function].max_scale < wanted) {
        wanted = s->functions[function].max_scale;
    }
    if (!s->functions[function].uncertain && !s->functions[function].bad && !s->tight &&
        homes < wanted) {
        sim_say(s, "%s: granted to %llu nodes, it may be on %llu", name,
                (unsigned long long)homes, (unsigned long long)wanted);
        ok = false;
    }
    ok = check_count(s, function, name, f, serving, open) && ok;
    s->functions[function].reserved =
        !s->functions[function].uncertain && !s->functions[function].bad && homes > 0 &&
        serving == s->functions[function].version && sim_places_are_reserved(f);
    json_decref(f);
    return ok;
}

bool sim_check_rest(struct sim *s)
{
    bool ok = true;

    for (unsigned i = 0; i < s->options.nodes; i++) {
        char state[16];

        if (!sim_node_is_joined(s->nodes[i])) {
            sim_say(s, "%s has not come back", sim_node_name(s->nodes[i]));
            ok = false;
        }
        if (strcmp(node_state(s, i, state), "draining") == 0 &&
            !sim_node_is_empty(s->nodes[i])) {
            sim_say(s, "%s drains, and is not empty", sim_node_name(s->nodes[i]));
            ok = false;
        }
        ok = sim_node_is_announced(s->nodes[i], strcmp(state, "draining") != 0) && ok;
        ok = sim_node_check_rest(s->nodes[i]) && ok;
    }
    for (unsigned i = 0; i < s->options.functions; i++) {
        ok = check_function(s, i) && ok;
    }
    controller_core_invariant(s->controller);
    return ok;
}

/* While people deploy, drain and label, and nothing fails, a function that serves and has
 * an open node refuses nobody before the time to wait is over: only its limits do (429).
 */
bool sim_check_refusal(struct sim *s, unsigned function, enum cause cause,
                       uint64_t waited_us)
{
    char name[16];
    json_t *f;
    bool excused;

    if (cause_http_status(cause) < 500 || cause == CAUSE_TIMEOUT ||
        waited_us >= (SIM_QUEUE_MS - 1) * 1000u || s->options.faults || s->tight ||
        s->controller == NULL || !s->functions[function].there ||
        s->functions[function].uncertain || s->functions[function].was_bad) {
        return true;
    }
    sim_function_name(function, name);
    f = controller_core_function(s->controller, SIM_NAMESPACE, name);
    excused = json_integer_value(json_object_get(f, "serving_version")) == 0 ||
              sim_places_open(s, json_object_get(f, "spec")) == 0;
    json_decref(f);
    return excused;
}

#define CALLERS_MAX 64 /* of more nodes some call, others of each function */

/* Every function that serves answers at every node. */
bool sim_check_calls(struct sim *s)
{
    struct sim_counts before = s->counts;
    uint64_t expected = 0, *before_of = calloc(s->options.functions, sizeof(*before_of));
    unsigned callers = s->options.nodes < CALLERS_MAX ? s->options.nodes : CALLERS_MAX;
    bool ok = true;

    CHECK(before_of != NULL);
    if (open_nodes(s) == 0) {
        free(before_of);
        return true; /* there is nowhere to run anything */
    }
    s->strict = !s->tight;

    for (unsigned f = 0; f < s->options.functions; f++) {
        before_of[f] = s->functions[f].ok;
        if (s->functions[f].there && !s->functions[f].uncertain && !s->functions[f].bad) {
            for (unsigned n = 0; n < callers; n++, expected++) {
                sim_node_call(s->nodes[(f + n) % s->options.nodes], f);
            }
        }
    }
    for (uint64_t end_us = s->clock.now_us + 20000000; sim_step(&s->clock, end_us);) {
    }
    for (unsigned f = 0; f < s->options.functions; f++) {
        if (s->functions[f].reserved && s->functions[f].ok - before_of[f] != callers) {
            sim_say(s, "f%u is reserved, and answered %llu of %u calls", f,
                    (unsigned long long)(s->functions[f].ok - before_of[f]), callers);
            ok = false;
        }
    }
    free(before_of);
    if (s->counts.ok - before.ok != expected && !s->tight) {
        sim_say(s, "at rest %llu of %llu calls were answered",
                (unsigned long long)(s->counts.ok - before.ok),
                (unsigned long long)expected);
        return false;
    }
    return ok;
}

/* --- load without faults ---------------------------------------------------------- */

#define LOAD_CALLS_US \
    5000 /* on average between two: with a service of 20 ms four at once */
#define LOAD_US    25000000
#define CALM_US    70000000 /* the window, and a little: a burst is forgotten */
#define LOAD_LEAST 2.5      /* the average is surely within these */
#define LOAD_MOST  16.0

struct steady_load {
    struct sim *sim;
    unsigned function;
    uint64_t end_us;
};

static void steady_call(void *data)
{
    struct steady_load *l = data;
    struct sim *s = l->sim;

    if (s->clock.now_us < l->end_us) {
        sim_node_call(s->nodes[sim_below(&s->clock, s->options.nodes)], l->function);
        sim_after(&s->clock, sim_spread(&s->clock, LOAD_CALLS_US), steady_call, NULL, l,
                  NULL);
    }
}

/* Instances that the serving version should have and that find no room, where nodes were
 * taken out of work. */
static uint64_t without_place(struct sim *s, const char *name)
{
    json_t *why = controller_core_explain(s->controller, SIM_NAMESPACE, name);
    const json_t *serving = json_array_get(json_object_get(why, "versions"), 0);
    uint64_t n = (uint64_t)json_integer_value(json_object_get(serving, "without_place"));

    json_decref(why);
    return s->counts.orders > 0 ? n : 0;
}

/* A deploy waits for room, and versions keep no more than their load needs now. */
static bool is_squeezed(const struct sim *s)
{
    return s->clock.now_us / 1000 < s->controller->scaling.squeezed_until_ms;
}

/* The count that a steady load asks for is known, granted, and there. */
static bool check_steady(struct sim *s, unsigned function)
{
    struct steady_load l = {s, function, 0};
    uint64_t desired, have, least, most;
    double target;
    char name[16];
    json_t *f;
    bool ok;

    sim_function_name(function, name);
    /* That all nodes called it at once just now was a burst, which is answered with as
     * many instances as wait, and these are kept for the window. */
    for (uint64_t end_us = s->clock.now_us + CALM_US; sim_step(&s->clock, end_us);) {
    }
    l.end_us = s->clock.now_us + LOAD_US;
    steady_call(&l);
    while (sim_step(&s->clock, l.end_us)) {
    }
    f = controller_core_function(s->controller, SIM_NAMESPACE, name);
    desired = (uint64_t)json_integer_value(json_object_get(f, "desired"));
    have = instances_of(
        s, name, (uint64_t)json_integer_value(json_object_get(f, "serving_version")));
    target = 0.7 * (double)json_integer_value(
                       json_object_get(json_object_get(f, "spec"), "concurrency"));
    least = (uint64_t)(LOAD_LEAST / target);
    most = (uint64_t)(LOAD_MOST / target) + 1 + s->functions[function].min_scale;
    if (s->functions[function].max_scale > 0) {
        uint64_t max = s->functions[function].max_scale;

        least = least < max ? least : max;
        most = most < max ? most : max;
    }
    ok = desired >= least && desired <= most &&
         (have + without_place(s, name) >= desired || is_squeezed(s));
    if (!ok) {
        sim_say(s,
                "%s: under load %llu instances are desired, %llu to %llu expected; "
                "there are %llu",
                name, (unsigned long long)desired, (unsigned long long)least,
                (unsigned long long)most, (unsigned long long)have);
    }
    json_decref(f);
    for (uint64_t end_us = l.end_us + 20000000; sim_step(&s->clock, end_us);) {
    }
    return ok;
}

/* For the first function of which it can be said what must be. */
bool sim_check_load(struct sim *s)
{
    s->strict = false; /* a function that is limited may have to refuse some */
    for (unsigned f = 0; f < s->options.functions && !s->tight; f++) {
        if (s->functions[f].there && !s->functions[f].uncertain && !s->functions[f].bad &&
            open_nodes(s) > 0) {
            return check_steady(s, f);
        }
    }
    return true;
}
