/* Changes of what is no function: namespaces, nodes, the epoch (changes.h). */
#include <string.h>

#include "controller/core/access_keys.h"
#include "controller/core/changes.h"
#include "controller/core/keys.h"
#include "controller/core/layers.h"
#include "controller/core/node_order.h"
#include "controller/core/nodes.h"
#include "controller/core/registry.h"
#include "controller/core/requests.h"
#include "controller/core/scheduler.h"

#define NAMESPACE_DEFAULT "default"

/* --- namespaces ------------------------------------------------------------------- */

/* 0: none is left. An index is a uid: it is never given twice, whatever the key says. */
static uint32_t next_index(const struct controller_core *c)
{
    uint64_t next = c->index_next > 1 ? c->index_next : 1;

    next = next > c->index_highest ? next : (uint64_t)c->index_highest + 1;
    return next < UINT32_MAX ? (uint32_t)next : 0;
}

static void add_namespace(struct controller_core *c, struct change *ch, const char *name,
                          uint32_t index)
{
    char key[KEYS_MAX];
    char now[CLOCK_RFC3339_SIZE];

    change_now(c, now);
    keys_namespace(name, key);
    change_compare(ch, key, 0);
    change_compare(ch, KEYS_INDEX, c->index_revision);
    change_put_json(
        ch, key, json_pack("{s:I, s:s}", "index", (json_int_t)index, "created_at", now));
    change_put_json(ch, KEYS_INDEX, json_pack("{s:I}", "next", (json_int_t)index + 1));
}

static const struct core_namespace *present_namespace(const struct controller_core *c,
                                                      const char *name)
{
    const struct core_namespace *ns = registry_namespace(c, name);

    return ns != NULL && ns->present ? ns : NULL;
}

static int build_put_namespace(struct controller_core *c, struct core_request *r)
{
    char key[KEYS_MAX];
    uint32_t index = next_index(c);

    keys_namespace(r->name, key);
    if (present_namespace(c, r->name) != NULL) {
        return request_refuse(r, CAUSE_NONE, "%s", "");
    }
    if (registry_damaged_revision(c, key) != 0) {
        return request_refuse(r, CAUSE_INTERNAL,
                              "the store's record of namespace %s cannot be read; delete "
                              "the namespace, then make it again",
                              r->name);
    }
    if (index == 0) {
        return request_refuse(r, CAUSE_INTERNAL, "all indices of namespaces are used up");
    }
    r->created = true;
    r->based_on = c->index_revision;
    add_namespace(c, &r->change, r->name, index);
    return change_built(r);
}

static enum change_seen look_put_namespace(const struct controller_core *c,
                                           const struct core_request *r)
{
    if (present_namespace(c, r->name) != NULL) {
        return CHANGE_SHOWN;
    }
    return c->index_revision != r->based_on ? CHANGE_MOVED : CHANGE_SAME;
}

const struct change_kind change_put_namespace = {
    .what = "make the namespace",
    .build = build_put_namespace,
    .look = look_put_namespace,
};

static int build_delete_namespace(struct controller_core *c, struct core_request *r)
{
    const struct core_namespace *ns = registry_namespace(c, r->name);
    char key[KEYS_MAX];

    keys_namespace(r->name, key);
    r->based_on =
        ns != NULL && ns->present ? ns->mod_revision : registry_damaged_revision(c, key);
    if (strcmp(r->name, NAMESPACE_DEFAULT) == 0) {
        return request_refuse(r, CAUSE_CONFLICT,
                              "namespace " NAMESPACE_DEFAULT " cannot be deleted");
    }
    if (r->based_on == 0) {
        return request_refuse(r, CAUSE_NOT_FOUND, "there is no namespace %s", r->name);
    }
    if (ns != NULL && ns->n_functions > 0) {
        return request_refuse(r, CAUSE_CONFLICT,
                              "namespace %s has %zu function%s; delete %s first", r->name,
                              ns->n_functions, ns->n_functions == 1 ? "" : "s",
                              ns->n_functions == 1 ? "it" : "them");
    }
    if (layers_count(c, r->name) > 0) {
        return request_refuse(r, CAUSE_CONFLICT,
                              "namespace %s has layers; delete them first", r->name);
    }
    if (access_keys_of(c, r->name) > 0) {
        return request_refuse(r, CAUSE_CONFLICT,
                              "namespace %s has access keys; delete them first", r->name);
    }
    change_compare(&r->change, key, r->based_on);
    change_op(&r->change, key, NULL);
    return change_built(r);
}

static int64_t namespace_revision(const struct controller_core *c, const char *name)
{
    const struct core_namespace *ns = present_namespace(c, name);
    char key[KEYS_MAX];

    keys_namespace(name, key);
    return ns != NULL ? ns->mod_revision : registry_damaged_revision(c, key);
}

static enum change_seen look_delete_namespace(const struct controller_core *c,
                                              const struct core_request *r)
{
    int64_t now = namespace_revision(c, r->name);

    return now == 0 ? CHANGE_SHOWN : now != r->based_on ? CHANGE_MOVED : CHANGE_SAME;
}

/* A function may have been made by another controller while this was under way; it was
 * acknowledged, so it stays, and the scheduler makes its namespace again. */
static void over_delete_namespace(struct controller_core *c, struct core_request *r)
{
    const struct core_namespace *ns = registry_namespace(c, r->name);

    if (r->cause == CAUSE_NONE && ns != NULL && ns->n_functions > 0) {
        (void)request_refuse(
            r, CAUSE_CONFLICT,
            "a function was deployed in namespace %s meanwhile; it stays", r->name);
    }
}

const struct change_kind change_delete_namespace = {
    .what = "delete the namespace",
    .build = build_delete_namespace,
    .look = look_delete_namespace,
    .over = over_delete_namespace,
};

/* --- nodes ------------------------------------------------------------------------ */

static int64_t node_order_revision(const struct controller_core *c, const char *name)
{
    const struct node_order *o = node_order_find(c, name);
    char key[KEYS_MAX];

    keys_node(name, key);
    return o != NULL ? o->mod_revision : registry_damaged_revision(c, key);
}

static int build_order_node(struct controller_core *c, struct core_request *r)
{
    const struct node_order *o = node_order_find(c, r->name);
    char key[KEYS_MAX];

    if (o == NULL && nodes_find(c, r->name) == NULL) {
        return request_refuse(r, CAUSE_NOT_FOUND, "there is no node %s", r->name);
    }
    json_decref(r->ordered);
    r->ordered = node_order_changed(o, r->order_state, r->order_labels);
    if (r->ordered == NULL) {
        return request_refuse(r, CAUSE_INTERNAL, "out of memory");
    }
    if (node_order_check_labels(json_object_get(r->ordered, "labels"), NULL) < 0) {
        return request_refuse(r, CAUSE_BAD_REQUEST, "node %s would have over %d labels",
                              r->name, NODE_ORDER_LABELS_MAX);
    }
    r->based_on = node_order_revision(c, r->name);
    keys_node(r->name, key);
    change_compare(&r->change, key, r->based_on);
    change_put(&r->change, key, json_dumps(r->ordered, JSON_COMPACT));
    return change_built(r);
}

static enum change_seen look_order_node(const struct controller_core *c,
                                        const struct core_request *r)
{
    if (node_order_revision(c, r->name) == r->based_on) {
        return CHANGE_SAME;
    }
    return node_order_is(node_order_find(c, r->name), r->ordered) ? CHANGE_SHOWN
                                                                  : CHANGE_MOVED;
}

const struct change_kind change_order_node = {
    .what = "change the node",
    .build = build_order_node,
    .look = look_order_node,
};

/* --- epoch ------------------------------------------------------------------------ */

static int build_epoch(struct controller_core *c, struct core_request *r)
{
    char key[KEYS_MAX];

    r->number = c->epoch_stored + 1;
    r->based_on = c->epoch_revision;
    if (r->number > CORE_EPOCH_MAX) {
        return request_refuse(r, CAUSE_INTERNAL, "all epochs are used up");
    }
    change_compare(&r->change, KEYS_EPOCH, r->based_on);
    change_put_json(&r->change, KEYS_EPOCH,
                    json_pack("{s:I}", "epoch", (json_int_t)r->number));
    keys_namespace(NAMESPACE_DEFAULT, key);
    if (namespace_revision(c, NAMESPACE_DEFAULT) == 0 && next_index(c) != 0) {
        add_namespace(c, &r->change, NAMESPACE_DEFAULT, next_index(c));
    }
    return change_built(r);
}

/* An epoch must be this core's alone: when in doubt the next one is taken. */
static enum change_seen look_epoch(const struct controller_core *c,
                                   const struct core_request *r)
{
    return c->epoch_revision != r->based_on ? CHANGE_MOVED : CHANGE_SAME;
}

static void over_epoch(struct controller_core *c, struct core_request *r)
{
    if (r->cause != CAUSE_NONE) {
        alarms_set(&c->alarms, &c->epoch_alarm,
                   core_now_ms(c) +
                       backoff_next_ms(&c->epoch_backoff, c->io.random(c->io.ctx)));
        return;
    }
    c->epoch = r->number;
    scheduler_begin(c);
}

const struct change_kind change_epoch = {
    .what = "start",
    .build = build_epoch,
    .look = look_epoch,
    .over = over_epoch,
};
