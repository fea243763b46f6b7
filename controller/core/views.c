/* Views: what there is as JSON, in the shapes of docs/ARCHITECTURE.md, "REST". */
#include <stdio.h>
#include <string.h>

#include "controller/core/core_private.h"
#include "controller/core/node_order.h"
#include "controller/core/nodes.h"
#include "controller/core/page.h"
#include "controller/core/registry.h"
#include "controller/core/rollouts.h"
#include "controller/core/targets.h"
#include "controller/core/traffic.h"
#include "controller/core/views.h"

static json_t *number(uint64_t n)
{
    return json_integer(n <= INT64_MAX ? (json_int_t)n : INT64_MAX);
}

/* Appends, and gives up on the whole when there is no memory. */
static json_t *append(json_t *array, json_t *item)
{
    if (json_array_append_new(array, item) < 0) { /* also if array is NULL; item goes */
        json_decref(array);
        return NULL;
    }
    return array;
}

/* --- namespaces ------------------------------------------------------------------- */

json_t *views_namespace(const struct core_namespace *ns)
{
    return json_pack("{s:s, s:I, s:I, s:s}", "name", ns->name, "index",
                     (json_int_t)ns->index, "functions", (json_int_t)ns->n_functions,
                     "created_at", ns->created_at);
}

json_t *controller_core_namespace(const struct controller_core *c, const char *name)
{
    const struct core_namespace *ns = registry_namespace(c, name);

    return ns != NULL && ns->present ? views_namespace(ns) : NULL;
}

/* --- versions --------------------------------------------------------------------- */

static json_t *spec_view(const struct core_body *b)
{
    return b != NULL ? function_spec_to_json(&b->spec) : json_null();
}

static json_t *package_view(const struct core_body *b)
{
    return b != NULL ? package_ref_to_json(&b->package) : json_null();
}

/* Of one version; number 0: of all that calls may go to. */
static uint32_t desired_of(const struct core_function *f, uint64_t number)
{
    uint32_t desired = 0;

    for (const struct core_target *t = target_next(f, NULL); t != NULL;
         t = target_next(f, t)) {
        if (number != 0 ? t->number == number : t != f->candidate) {
            desired += t->scaling.desired;
        }
    }
    return desired;
}

static json_t *names_view(const struct record *r, uint64_t number)
{
    json_t *names = json_array();

    for (size_t i = 0; i < r->n_aliases; i++) {
        const struct record_alias *a = &r->aliases[i];

        for (size_t j = 0; j < a->n_weights; j++) {
            if (a->weights[j].version == number) {
                names = append(names, json_string(a->name));
            }
        }
    }
    return names;
}

static json_t *version_view(const struct core_function *f, const struct record_version *v)
{
    const struct core_body *b = registry_body(f, v->number);
    const char *message = v->message;
    enum cause cause = v->cause;
    uint32_t desired = desired_of(f, v->number);
    char pending[CORE_PENDING_MAX];

    if (f->candidate != NULL && f->candidate->number == v->number &&
        v->state == RECORD_DEPLOYING) {
        message = target_pending(f->candidate, &cause, pending, sizeof(pending));
    }
    return json_pack(
        "{s:I, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:b}",
        "number", (json_int_t)v->number, "state", record_state_name(v->state), "cause",
        cause_name(cause), "message", message, "created_at", v->created_at, "desired",
        (json_int_t)desired, "spec", spec_view(b), "package", package_view(b),
        "published", v->published > 0 ? number(v->published) : json_null(), "description",
        v->description != NULL ? v->description : "", "aliases",
        names_view(&f->record, v->number), "invocations",
        number(b != NULL ? b->invocations : 0), "errors",
        number(b != NULL ? b->errors : 0), "was_ready", (int)v->was_ready);
}

json_t *controller_core_version(const struct controller_core *c, const char *namespace_,
                                const char *name, uint64_t n)
{
    const struct core_function *f = registry_function(c, namespace_, name);
    const struct record_version *v =
        f != NULL && f->present ? record_find(&f->record, n) : NULL;

    return v != NULL ? version_view(f, v) : NULL;
}

bool controller_core_readiness(const struct controller_core *c, const char *namespace_,
                               const char *name, uint64_t n, struct core_readiness *ret)
{
    const struct core_function *f = registry_function(c, namespace_, name);

    for (const struct core_target *t = f != NULL ? target_next(f, NULL) : NULL; t != NULL;
         t = target_next(f, t)) {
        if (t->number == n) {
            *ret = (struct core_readiness){.desired = t->scaling.desired,
                                           .ready = t->scaling.ready,
                                           .no_room = t->scaling.no_room};
            return true;
        }
    }
    return false;
}

/* --- functions -------------------------------------------------------------------- */

const char *core_state_of(const struct core_function *f)
{
    const struct record_version *latest = record_find(&f->record, f->record.latest);

    if (f->record.serving != 0) {
        return record_state_name(RECORD_READY);
    }
    /* A latest one that is neither was written by someone else. */
    return record_state_name(latest != NULL && latest->state == RECORD_DEPLOYING
                                 ? RECORD_DEPLOYING
                                 : RECORD_FAILED);
}

static json_t *grants_view(const struct core_function *f)
{
    json_t *all = json_array();

    for (const struct core_target *t = target_next(f, NULL); t != NULL;
         t = target_next(f, t)) {
        LIST_FOREACH(it, &t->grants)
        {
            const struct core_grant *g = container_of(it, struct core_grant, of_target);

            all = append(all,
                         json_pack("{s:I, s:s, s:I, s:I, s:I}", "version",
                                   (json_int_t)t->number, "node", g->node->name, "max",
                                   (json_int_t)holds_told(g), "warm", (json_int_t)g->warm,
                                   "reserved", (json_int_t)g->reserved));
        }
    }
    return all;
}

static json_t *versions_view(const struct core_function *f)
{
    json_t *all = json_array();

    for (size_t i = 0; i < f->record.n_versions; i++) {
        all = append(all, version_view(f, &f->record.versions[i]));
    }
    return all;
}

static json_t *alias_view(const struct record_alias *a)
{
    return json_pack("{s:s, s:s, s:s, s:o}", "name", a->name, "description",
                     a->description, "updated_at", a->updated_at, "weights",
                     traffic_weights_to_json(a));
}

static json_t *aliases_view(const struct core_function *f)
{
    json_t *all = json_array();

    for (size_t i = 0; i < f->record.n_aliases; i++) {
        all = append(all, alias_view(&f->record.aliases[i]));
    }
    return all;
}

static const struct core_function *present_function(const struct controller_core *c,
                                                    const char *namespace_,
                                                    const char *name)
{
    const struct core_function *f = registry_function(c, namespace_, name);

    return f != NULL && f->present ? f : NULL;
}

json_t *controller_core_versions(const struct controller_core *c, const char *namespace_,
                                 const char *name)
{
    const struct core_function *f = present_function(c, namespace_, name);

    return f != NULL ? versions_view(f) : NULL;
}

json_t *controller_core_aliases(const struct controller_core *c, const char *namespace_,
                                const char *name)
{
    const struct core_function *f = present_function(c, namespace_, name);

    return f != NULL ? aliases_view(f) : NULL;
}

json_t *controller_core_alias(const struct controller_core *c, const char *namespace_,
                              const char *name, const char *alias)
{
    const struct core_function *f = present_function(c, namespace_, name);
    const struct record_alias *a = f != NULL ? traffic_alias(&f->record, alias) : NULL;

    return a != NULL ? alias_view(a) : NULL;
}

static json_t *instances_view(const struct core_totals *t)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "starting", number(t->starting), "idle",
                     number(t->idle), "frozen", number(t->frozen), "busy",
                     number(t->busy));
}

/* Spec and package are those that calls meet; before any serves, the latest ones. */
json_t *views_function(const struct core_function *f)
{
    const struct record *r = &f->record;
    const struct core_body *b =
        registry_body(f, r->serving != 0 ? r->serving : r->latest);
    const struct core_totals *t = &f->totals;
    char path[2 * SPEC_NAME_MAX + 8];

    (void)snprintf(path, sizeof(path), "/fn/%s/%s", f->ns->name, f->name);
    return json_pack(
        "{s:s, s:s, s:I, s:s, s:I, s:I, s:s, s:s, s:o, s:o, s:s, s:o, s:o, "
        "s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:I, s:O*}",
        "namespace", f->ns->name, "name", f->name, "revision",
        (json_int_t)f->mod_revision, "state", core_state_of(f), "serving_version",
        (json_int_t)r->serving, "latest_version", (json_int_t)r->latest, "created_at",
        r->created_at, "updated_at", r->updated_at, "spec", spec_view(b), "package",
        package_view(b), "path", path, "instances", instances_view(t), "queued",
        number(t->queued), "invocations", number(t->invocations), "cold_starts",
        number(t->cold_starts), "errors", number(t->errors), "gb_ms",
        number(t->gb_ms / 1024), "cpu_us", number(t->cpu_us), "latency",
        insight_latency_view(f), "grants", grants_view(f), "versions", versions_view(f),
        "desired", (json_int_t)desired_of(f, 0), "aliases", aliases_view(f), "rollout",
        rollout_view(r), "previous_version", (json_int_t)traffic_rollback_to(r),
        "attributes", r->attributes);
}

json_t *controller_core_function(const struct controller_core *c, const char *namespace_,
                                 const char *name)
{
    const struct core_function *f = registry_function(c, namespace_, name);

    return f != NULL && f->present ? views_function(f) : NULL;
}

/* --- nodes ------------------------------------------------------------------------ */

static bool granted_to(const struct core_target *t, const struct core_node *n)
{
    LIST_FOREACH(it, &t->grants)
    {
        if (container_of(it, struct core_grant, of_target)->node == n) {
            return true;
        }
    }
    return false;
}

/* Whether it is the first of its function's that is granted there. */
static bool is_first_on(const struct core_target *t, const struct core_node *n)
{
    for (const struct core_target *other = target_next(t->f, NULL); other != t;
         other = target_next(t->f, other)) {
        if (granted_to(other, n)) {
            return false;
        }
    }
    return true;
}

/* Functions with a grant there, each once, though several versions may have one. */
static size_t functions_on(const struct core_node *n)
{
    size_t count = 0;

    LIST_FOREACH(it, &n->grants)
    {
        count += is_first_on(container_of(it, struct core_grant, of_node)->target, n);
    }
    return count;
}

static json_t *labels_view(const struct core_node *n)
{
    json_t *labels = json_object();

    for (size_t i = 0; n->labels != NULL && n->labels[i] != NULL; i++) {
        const char *equals = strchr(n->labels[i], '=');
        char key[CORE_TEXT_MAX];

        if (equals == NULL) {
            continue;
        }
        (void)snprintf(key, sizeof(key), "%.*s", (int)(equals - n->labels[i]),
                       n->labels[i]);
        if (json_object_set_new(labels, key, json_string(equals + 1)) < 0) {
            json_decref(labels);
            return NULL;
        }
    }
    return labels;
}

static const char *node_state(const struct controller_core *c, const struct core_node *n)
{
    const struct node_order *o = node_order_find(c, n->name);

    return !n->ready    ? "lost"
           : n->leaving ? node_order_state_name(NODE_ORDER_DRAINING)
           : o != NULL  ? node_order_state_name(o->state)
                        : "ready";
}

static json_t *blanks_view(const struct core_node *n)
{
    json_t *kinds = json_array();
    uint64_t ready = 0, bytes = 0;

    for (size_t i = 0; i < n->n_blanks; i++) {
        const struct blanks_state *b = &n->blanks[i];

        kinds = append(kinds, json_pack("{s:s, s:I, s:o}", "kind", b->kind, "ready",
                                        (json_int_t)b->ready, "memory_bytes",
                                        number(b->memory_bytes)));
        ready += b->ready;
        bytes += b->memory_bytes;
    }
    return json_pack("{s:o, s:o, s:o}", "ready", number(ready), "memory_bytes",
                     number(bytes), "kinds", kinds);
}

static json_t *node_view(const struct controller_core *c, const struct core_node *n)
{
    char connected_at[CLOCK_RFC3339_SIZE];

    clock_rfc3339(n->connected_wall_ms, connected_at);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:{s:o, s:o}, s:I, s:o, s:I, s:I, s:s, s:o, s:o}",
        "name", n->name, "state", node_state(c, n), "gateway", n->gateway, "version",
        n->version, "labels", labels_view(n), "memory", "capacity_bytes",
        number(n->place.memory_bytes), "reserved_bytes", number(n->memory_reserved_bytes),
        "cpu_millis", (json_int_t)n->cpu_millis, "cpu_us", number(n->cpu_us), "instances",
        (json_int_t)n->instances, "functions", (json_int_t)functions_on(n),
        "connected_at", connected_at, "last_seen_ms", number(core_now_ms(c) - n->seen_ms),
        "blanks", blanks_view(n));
}

json_t *controller_core_node(const struct controller_core *c, const char *name)
{
    const struct core_node *n = nodes_find(c, name);

    return n != NULL ? node_view(c, n) : NULL;
}

static json_t *listed_node(const struct controller_core *c, const void *item)
{
    return node_view(c, item);
}

static void offer_nodes(struct page *p, const struct list *nodes)
{
    LIST_FOREACH(it, nodes)
    {
        const struct core_node *n = container_of(it, struct core_node, link);

        page_offer(p, "", n->name, n);
    }
}

int controller_core_nodes(const struct controller_core *c, const struct core_list *list)
{
    struct page p;

    page_init(&p, list);
    offer_nodes(&p, &c->nodes_ready);
    offer_nodes(&p, &c->nodes_lost);
    return page_show(&p, c, listed_node);
}

void controller_core_gateways(const struct controller_core *c,
                              bool (*each)(void *data, const char *gateway), void *data)
{
    LIST_FOREACH(it, &c->nodes_ready)
    {
        const struct core_node *n = container_of(it, struct core_node, link);

        if (strcmp(node_state(c, n), "ready") == 0 && !each(data, n->gateway)) {
            return;
        }
    }
}

/* --- numbers ---------------------------------------------------------------------- */

struct core_counts controller_core_counts(const struct controller_core *c)
{
    struct core_counts counts = {.namespaces = c->n_namespaces,
                                 .functions = c->n_functions,
                                 .versions = c->n_versions,
                                 .nodes_ready = c->n_ready,
                                 .nodes_lost = c->n_lost,
                                 .desired = c->scaling.desired,
                                 .scaled = c->scaling.scaled,
                                 .scale_ups = c->scaling.ups,
                                 .scale_downs = c->scaling.downs,
                                 .panics = c->scaling.panics,
                                 .decisions = c->scaling.decisions};

    LIST_FOREACH(it, &c->nodes_ready)
    {
        const struct core_node *n = container_of(it, struct core_node, link);

        counts.instances += n->instances;
        counts.memory_capacity_bytes += n->place.memory_bytes;
        counts.memory_reserved_bytes += n->memory_reserved_bytes;
    }
    return counts;
}
