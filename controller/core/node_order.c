#include "controller/core/node_order.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/keys.h"
#include "controller/core/nodes.h"

static const char *const names[] = {
    [NODE_ORDER_READY] = "ready",
    [NODE_ORDER_CORDONED] = "cordoned",
    [NODE_ORDER_DRAINING] = "draining",
};

const char *node_order_state_name(enum node_order_state s)
{
    return names[s];
}

int node_order_state_parse(const char *name)
{
    for (int i = 0; i < (int)(sizeof(names) / sizeof(names[0])); i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -EINVAL;
}

int node_orders_init(struct controller_core *c)
{
    return keymap_init(&c->node_orders);
}

struct node_order *node_order_find(const struct controller_core *c, const char *name)
{
    struct keymap_entry *e = keymap_find(&c->node_orders, keymap_hash_str(c->seed, name));

    for (; e != NULL; e = keymap_next(e)) {
        struct node_order *o = container_of(e, struct node_order, entry);

        if (strcmp(o->name, name) == 0) {
            return o;
        }
    }
    return NULL;
}

static void drop(struct controller_core *c, struct node_order *o)
{
    keymap_remove(&c->node_orders, &o->entry);
    json_decref(o->labels);
    free(o);
}

void node_orders_free(struct controller_core *c)
{
    for (size_t i = 0; c->node_orders.n > 0 && i < c->node_orders.n_buckets; i++) {
        while (c->node_orders.buckets[i] != NULL) {
            drop(c, container_of(c->node_orders.buckets[i], struct node_order, entry));
        }
    }
    keymap_free(&c->node_orders);
}

/* --- rules -------------------------------------------------------------------------- */

static bool is_label_text(const char *text, bool may_be_empty)
{
    size_t len = strlen(text);

    return (len > 0 || may_be_empty) && len <= NODE_ORDER_LABEL_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                        "._/-") == len;
}

int node_order_check_labels(const json_t *labels, struct error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(labels) || json_object_size(labels) > NODE_ORDER_LABELS_MAX) {
        return error_set(err, -EINVAL, "labels must be an object of at most %d strings",
                         NODE_ORDER_LABELS_MAX);
    }
    json_object_foreach((json_t *)(uintptr_t)labels, key, value)
    {
        if (!is_label_text(key, false)) {
            return error_set(
                err, -EINVAL,
                "label \"%.40s\": a key has 1 to %d letters, digits and ._/-", key,
                NODE_ORDER_LABEL_MAX);
        }
        if (!json_is_null(value) &&
            (!json_is_string(value) || !is_label_text(json_string_value(value), true))) {
            return error_set(
                err, -EINVAL,
                "label \"%.40s\": a value is a string of at most %d letters, "
                "digits and ._/-, or null to remove the label",
                key, NODE_ORDER_LABEL_MAX);
        }
    }
    return 0;
}

/* --- values --------------------------------------------------------------------------
 */

/* {"state", "labels"} */
static int parse(const struct core_kv *kv, enum node_order_state *ret_state,
                 json_t **ret_labels)
{
    json_t *json = json_loadb(kv->value, kv->len, JSON_REJECT_DUPLICATES, NULL);
    const char *state = json_string_value(json_object_get(json, "state"));
    json_t *labels = json_object_get(json, "labels");
    int rc = state != NULL ? node_order_state_parse(state) : -EINVAL;

    if (rc >= 0 && node_order_check_labels(labels, NULL) == 0) {
        *ret_state = (enum node_order_state)rc;
        *ret_labels = json_incref(labels);
        rc = 0;
    } else {
        rc = -EINVAL;
    }
    json_decref(json);
    return rc;
}

json_t *node_order_changed(const struct node_order *o, int state, const json_t *labels)
{
    json_t *merged = o != NULL ? json_copy(o->labels) : json_object();
    const char *key;
    json_t *value;

    if (state < 0) {
        state = o != NULL ? (int)o->state : NODE_ORDER_READY;
    }
    json_object_foreach((json_t *)(uintptr_t)labels, key, value)
    {
        if (json_is_null(value)) {
            (void)json_object_del(merged, key);
        } else if (json_object_set(merged, key, value) < 0) {
            json_decref(merged);
            return NULL;
        }
    }
    return json_pack("{s:s, s:o}", "state", names[state], "labels", merged);
}

bool node_order_is(const struct node_order *o, const json_t *value)
{
    return o != NULL &&
           strcmp(names[o->state], json_string_value(json_object_get(value, "state"))) ==
               0 &&
           json_equal(o->labels, json_object_get(value, "labels"));
}

int node_order_apply(struct controller_core *c, const char *name,
                     const struct core_kv *kv)
{
    struct node_order *o = node_order_find(c, name);
    enum node_order_state state = NODE_ORDER_READY;
    json_t *labels = NULL;
    int rc = kv->value != NULL ? parse(kv, &state, &labels) : 0;

    if (rc < 0 || kv->value == NULL) {
        if (o != NULL) {
            drop(c, o);
        }
        nodes_ordered(c, name);
        return rc;
    }
    if (o == NULL) {
        o = calloc(1, sizeof(*o));
        if (o == NULL) {
            json_decref(labels);
            return -ENOMEM;
        }
        (void)snprintf(o->name, sizeof(o->name), "%s", name);
        keymap_add(&c->node_orders, &o->entry, keymap_hash_str(c->seed, name));
    }
    json_decref(o->labels);
    o->labels = labels;
    o->state = state;
    o->mod_revision = kv->mod_revision;
    nodes_ordered(c, name);
    return 0;
}

void node_orders_keep(struct controller_core *c,
                      bool (*is_there)(const void *data, const char *key),
                      const void *data)
{
    for (size_t i = 0; i < c->node_orders.n_buckets; i++) {
        struct keymap_entry *e = c->node_orders.buckets[i];

        while (e != NULL) {
            struct node_order *o = container_of(e, struct node_order, entry);
            char key[KEYS_MAX], name[SPEC_NODE_MAX + 1];

            e = e->next;
            keys_node(o->name, key);
            if (!is_there(data, key)) {
                memcpy(name, o->name, sizeof(name));
                drop(c, o);
                nodes_ordered(c, name);
            }
        }
    }
}
