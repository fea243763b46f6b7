/* Explain: why a function has so many instances, why on these nodes, and what its calls
 * met last. What was decided was noted when it was; this only puts it together. */
#include <string.h>

#include "common/clock.h"
#include "controller/core/core_private.h"
#include "controller/core/nodes.h"
#include "controller/core/registry.h"
#include "controller/core/rollout.h"
#include "controller/core/target_fit.h"
#include "controller/core/targets.h"
#include "controller/core/traffic.h"

#define LEFT_OUT_MAX 100 /* nodes named of a version; all are counted */

/* Gives up on the whole when there is no memory. */
static json_t *append(json_t *array, json_t *item)
{
    if (json_array_append_new(array, item) < 0) { /* also if array is NULL; item goes */
        json_decref(array);
        return NULL;
    }
    return array;
}

static json_t *number(uint64_t n)
{
    return json_integer(n <= INT64_MAX ? (json_int_t)n : INT64_MAX);
}

static json_t *reason(const char *name, const char *text)
{
    return json_pack("{s:s, s:s}", "reason", name, "text", text);
}

static json_t *time_of(uint64_t wall_ms)
{
    char at[CLOCK_RFC3339_SIZE];

    clock_rfc3339(wall_ms, at);
    return json_string(at);
}

/* --- how many ----------------------------------------------------------------------- */

static json_t *clamps_view(uint32_t clamps)
{
    json_t *all = json_array();

    for (int i = 0; i < AUTOSCALER_CLAMP_COUNT; i++) {
        if ((clamps & (1U << i)) != 0) {
            all = append(all, reason(autoscaler_clamp_name((enum autoscaler_clamp)i),
                                     autoscaler_clamp_text((enum autoscaler_clamp)i)));
        }
    }
    return all;
}

static json_t *record_view(const struct scaling_record *r)
{
    return json_pack("{s:o, s:I, s:I, s:s, s:s, s:s, s:f, s:f, s:I, s:I, s:b, s:I, s:o}",
                     "at", time_of(r->wall_ms), "from", (json_int_t)r->from, "to",
                     (json_int_t)r->to, "reason", scaling_reason_name(r->reason), "text",
                     scaling_reason_text(r->reason), "metric",
                     autoscaler_metric_name(r->metric), "value", r->value, "target",
                     r->target, "ready", (json_int_t)r->ready, "queued",
                     (json_int_t)r->queued, "panicking", r->panicking, "no_room",
                     (json_int_t)r->no_room, "limited_by", clamps_view(r->clamps));
}

/* Newest first. */
static json_t *records_view(const struct core_target *t)
{
    struct scaling_record records[SCALING_RECORDS_MAX];
    size_t n = scaling_records_get(&t->scaling.records, records, SCALING_RECORDS_MAX);
    json_t *all = json_array();

    for (size_t i = 0; i < n; i++) {
        all = append(all, record_view(&records[i]));
    }
    return all;
}

/* What it is decided by now; null at rest. */
static json_t *load_view(const struct core_target *t)
{
    const struct autoscaler_decision *d;

    if (t->scaling.scaler == NULL) {
        return json_null();
    }
    d = autoscaler_last(t->scaling.scaler);
    return json_pack("{s:s, s:f, s:f, s:f, s:b, s:o}", "metric",
                     autoscaler_metric_name(d->metric), "stable", d->stable_value,
                     "panic", d->panic_value, "target", d->target, "panicking",
                     d->panicking, "limited_by", clamps_view(d->clamps));
}

/* --- where -------------------------------------------------------------------------- */

static json_t *add_reason(json_t *all, enum placement_reason r)
{
    return append(all, reason(placement_reason_name(r), placement_reason_text(r)));
}

static json_t *grant_because(const struct core_grant *g, enum spec_placement policy)
{
    json_t *all = add_reason(json_array(), policy == SPEC_PLACEMENT_SPREAD
                                               ? PLACEMENT_REASON_SPREAD
                                               : PLACEMENT_REASON_BINPACK);

    if (g->why.new_zone) {
        all = add_reason(all, PLACEMENT_REASON_ZONE);
    }
    if (g->why.near) {
        all = add_reason(all, PLACEMENT_REASON_NEAR);
    }
    if (g->why.kept) {
        all = add_reason(all, PLACEMENT_REASON_KEPT);
    }
    if (g->leave_ms != 0) {
        all = add_reason(all, PLACEMENT_REASON_LEAVING);
    }
    if (holds_told(g) < g->max) {
        all = add_reason(all, PLACEMENT_REASON_WAITING);
    }
    return all;
}

static const struct core_load *load_on(const struct core_target *t,
                                       const struct core_node *n)
{
    LIST_FOREACH(it, &t->f->loads)
    {
        const struct core_load *l = container_of(it, struct core_load, of_function);

        if (l->node == n && l->version == t->number) {
            return l;
        }
    }
    return NULL;
}

static const struct core_grant *grant_on(const struct core_target *t,
                                         const struct core_node *n)
{
    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        if (g->node == n) {
            return g;
        }
    }
    return NULL;
}

static uint64_t running(const struct core_load *l)
{
    return l != NULL ? l->last.starting + totals_ready(&l->last) : 0;
}

/* g NULL: it has no grant there any more. */
static json_t *node_view(const struct core_node *n, const struct core_grant *g,
                         const struct core_load *l, json_t *because)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}", "node", n->name, "instances",
                     (json_int_t)running(l), "warm",
                     (json_int_t)(g != NULL ? g->warm : 0), "max",
                     (json_int_t)(g != NULL ? holds_told(g) : 0), "reserved",
                     (json_int_t)(g != NULL ? g->reserved : 0), "because", because);
}

static json_t *nodes_view(const struct core_target *t, enum spec_placement policy)
{
    json_t *all = json_array();

    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        all = append(
            all, node_view(g->node, g, load_on(t, g->node), grant_because(g, policy)));
    }
    LIST_FOREACH(it, &t->f->loads)
    {
        const struct core_load *l = container_of(it, struct core_load, of_function);

        if (l->version == t->number && running(l) > 0 && grant_on(t, l->node) == NULL) {
            all =
                append(all, node_view(l->node, NULL, l,
                                      add_reason(json_array(), PLACEMENT_REASON_ENDED)));
        }
    }
    return all;
}

/* The other nodes, and why they are not among them. */
static void left_out(const struct controller_core *c, const struct core_target *t,
                     const struct placement_request *r, json_t **ret_nodes,
                     json_t **ret_refused)
{
    const struct list *const lists[] = {&c->nodes_ready, &c->nodes_lost};
    uint32_t refused[PLACEMENT_FILTER_COUNT] = {0};
    size_t named = 0;

    *ret_nodes = json_array();
    *ret_refused = json_object();
    for (size_t i = 0; i < 2; i++) {
        LIST_FOREACH(it, lists[i])
        {
            const struct core_node *n = container_of(it, struct core_node, link);
            enum placement_filter filter;
            size_t constraint = 0;
            const char *text;

            if (grant_on(t, n) != NULL) {
                continue;
            }
            filter = target_ask_node(n, r, &constraint);
            text = filter == PLACEMENT_LABELS ? r->constraints[constraint].text : NULL;
            refused[filter]++;
            if (named++ < LEFT_OUT_MAX) {
                *ret_nodes =
                    append(*ret_nodes,
                           json_pack("{s:s, s:s, s:s, s:s*}", "node", n->name, "reason",
                                     placement_filter_name(filter), "text",
                                     placement_filter_text(filter), "constraint", text));
            }
        }
    }
    for (int i = 0; i < PLACEMENT_FILTER_COUNT; i++) {
        if (refused[i] > 0) {
            (void)json_object_set_new(*ret_refused,
                                      placement_filter_name((enum placement_filter)i),
                                      json_integer(refused[i]));
        }
    }
}

/* --- versions ----------------------------------------------------------------------- */

static const char *role_of(const struct core_target *t)
{
    const struct core_function *f = t->f;

    return t == f->serving                           ? "serving"
           : t == f->candidate                       ? "candidate"
           : rollout_share(f, t->number) > 0         ? "rollout"
           : traffic_is_named(&f->record, t->number) ? "alias"
                                                     : "recent";
}

static json_t *version_view(const struct controller_core *c, const struct core_target *t)
{
    char pending[CORE_PENDING_MAX] = "";
    struct placement_request r;
    json_t *others, *refused;
    enum cause cause;

    if (t == t->f->candidate) {
        (void)target_pending(t, &cause, pending, sizeof(pending));
    }
    if (t->body == NULL) {
        return json_pack("{s:I, s:s}", "number", (json_int_t)t->number, "role",
                         role_of(t));
    }
    target_request(c, t, &r);
    left_out(c, t, &r, &others, &refused);
    return json_pack(
        "{s:I, s:s, s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:s}",
        "number", (json_int_t)t->number, "role", role_of(t), "desired",
        (json_int_t)t->scaling.desired, "ready", number(t->scaling.ready), "queued",
        number(t->scaling.queued), "in_flight", number(t->scaling.in_flight), "min_scale",
        (json_int_t)t->body->spec.min_scale, "max_scale",
        (json_int_t)t->body->spec.max_scale, "without_place",
        (json_int_t)t->scaling.no_room, "load", load_view(t), "because", records_view(t),
        "nodes", nodes_view(t, r.policy), "left_out", others, "refused", refused,
        "message", pending);
}

/* --- calls -------------------------------------------------------------------------- */

static json_t *cold_view(const struct insight_last *last)
{
    if (last == NULL || last->cold.at_ms == 0) {
        return json_null();
    }
    return json_pack(
        "{s:o, s:s, s:I, s:s, s:s, s:I, s:I}", "at", time_of(last->cold.at_ms), "node",
        last->cold_by.node, "version", (json_int_t)last->cold_by.version, "reason",
        cold_reason_name(last->cold.reason), "text", cold_reason_text(last->cold.reason),
        "start_ms", (json_int_t)last->cold.start_ms, "waited_ms",
        (json_int_t)last->cold.waited_ms);
}

static json_t *wait_view(const struct insight_last *last)
{
    if (last == NULL || last->wait.at_ms == 0) {
        return json_null();
    }
    return json_pack(
        "{s:o, s:s, s:I, s:s, s:s, s:I}", "at", time_of(last->wait.at_ms), "node",
        last->wait_by.node, "version", (json_int_t)last->wait_by.version, "reason",
        wait_reason_name(last->wait.reason), "text", wait_reason_text(last->wait.reason),
        "waited_ms", (json_int_t)last->wait.waited_ms);
}

static json_t *refusal_view(const struct insight_last *last)
{
    if (last == NULL || last->refused.at_ms == 0) {
        return json_null();
    }
    return json_pack("{s:o, s:s, s:I, s:s, s:s, s:s}", "at", time_of(last->refused.at_ms),
                     "node", last->refused_by.node, "version",
                     (json_int_t)last->refused_by.version, "cause",
                     cause_name(last->refused.cause), "text", last->text, "fix",
                     cause_fix(last->refused.cause));
}

/* Why the latest version, which somebody has just deployed, cannot serve. */
static json_t *failure_view(const struct record *r)
{
    const struct record_version *v =
        r->n_versions > 0 ? &r->versions[r->n_versions - 1] : NULL;

    return v == NULL || v->state != RECORD_FAILED
               ? json_null()
               : json_pack("{s:I, s:s, s:s, s:s}", "version", (json_int_t)v->number,
                           "cause", cause_name(v->cause), "text", v->message, "fix",
                           cause_fix(v->cause));
}

/* Of the version that calls meet; before any serves, of the latest one. */
static json_t *keep_alive_view(const struct core_function *f)
{
    const struct record *r = &f->record;
    const struct core_body *b =
        registry_body(f, r->serving != 0 ? r->serving : r->latest);

    return b == NULL ? json_null()
                     : json_pack("{s:s, s:I}", "policy",
                                 spec_keep_alive_name(b->spec.keep_alive), "idle_ms",
                                 (json_int_t)b->spec.idle_ms);
}

json_t *controller_core_explain(const struct controller_core *c, const char *namespace_,
                                const char *name)
{
    const struct core_function *f = registry_function(c, namespace_, name);
    json_t *versions = json_array();

    if (f == NULL || !f->present) {
        json_decref(versions);
        return NULL;
    }
    for (const struct core_target *t = target_next(f, NULL); t != NULL;
         t = target_next(f, t)) {
        versions = append(versions, version_view(c, t));
    }
    return json_pack(
        "{s:s, s:s, s:s, s:I, s:{s:o, s:o, s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "namespace", f->ns->name, "name", f->name, "state", core_state_of(f),
        "serving_version", (json_int_t)f->record.serving, "instances", "starting",
        number(f->totals.starting), "idle", number(f->totals.idle), "frozen",
        number(f->totals.frozen), "busy", number(f->totals.busy), "latency",
        insight_latency_view(f), "versions", versions, "last_failure",
        failure_view(&f->record), "last_cold_start", cold_view(f->insight.last),
        "last_wait", wait_view(f->insight.last), "last_refusal",
        refusal_view(f->insight.last), "keep_alive", keep_alive_view(f));
}
