/* The doors: each changes state by one of the parts, then leaves through core_leave(). */
#include "controller/core/controller_core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/access_keys.h"
#include "controller/core/core_private.h"
#include "controller/core/journal.h"
#include "controller/core/layers.h"
#include "controller/core/node_order.h"
#include "controller/core/nodes.h"
#include "controller/core/publish.h"
#include "controller/core/registry.h"
#include "controller/core/requests.h"
#include "controller/core/scheduler.h"

#define SETTLE_MS            3000
#define PROGRESS_DEADLINE_MS 600000 /* Knative's progress-deadline */
#define HOMES_MAX            8
/* Functions rarely use their limit, and most wait for something most of the time; at the
 * default limits (1 CPU, 128 MiB) memory is then what fills a host of 2 GiB a core. */
#define CPU_OVERCOMMIT_PERCENT 1600

int controller_core_new(struct controller_core **ret, const struct controller_io *io,
                        const struct controller_core_options *options)
{
    struct controller_core *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        return -ENOMEM;
    }
    c->io = *io;
    c->options = *options;
    if (c->options.settle_ms == 0) {
        c->options.settle_ms = SETTLE_MS;
    }
    if (c->options.progress_deadline_ms == 0) {
        c->options.progress_deadline_ms = PROGRESS_DEADLINE_MS;
    }
    if (c->options.homes_max == 0) {
        c->options.homes_max = HOMES_MAX;
    }
    if (c->options.autoscaler.stable_window_ms <= 0) {
        autoscaler_config_init(&c->options.autoscaler);
    }
    CHECK(autoscaler_config_check(&c->options.autoscaler, NULL) == 0);
    if (c->options.cpu_overcommit_percent == 0) {
        c->options.cpu_overcommit_percent = CPU_OVERCOMMIT_PERCENT;
    }
    c->seed = io->random(io->ctx);
    c->usable.by_label.seed = c->seed;
    scheduler_init(c);
    /* All lists first: the free function takes what is half built. */
    if ((registry_init(c) | layers_init(c) | nodes_init(c) | node_orders_init(c) |
         access_keys_init(c) | requests_init(c) | journal_init(c)) < 0) {
        (void)controller_core_free(c);
        return -ENOMEM;
    }
    *ret = c;
    return 0;
}

struct controller_core *controller_core_free(struct controller_core *c)
{
    if (c != NULL) {
        scheduler_free(c); /* alarms stand beside requests'; grants refer to the rest */
        requests_free(c);
        node_orders_free(c);
        placement_nodes_free(&c->usable);
        layers_free(c);
        access_keys_free(c);
        nodes_free(c);
        registry_free(c);
        journal_free(c);
        free(c);
    }
    return NULL;
}

void core_leave(struct controller_core *c)
{
    scheduler_run(c);
    requests_deliver(c);
}

/* --- from the store --------------------------------------------------------------- */

void controller_core_load(struct controller_core *c, const struct core_kv *kvs, size_t n,
                          int64_t revision)
{
    c->revision = revision;
    c->loaded = true;
    c->store_up = true;
    registry_load(c, kvs, n);
    requests_look(c);
    requests_take_epoch(c);
    core_leave(c);
}

void controller_core_events(struct controller_core *c, const struct core_kv *kvs,
                            size_t n, int64_t revision)
{
    if (!c->loaded || revision <= c->revision) {
        return; /* known from the load */
    }
    for (size_t i = 0; i < n; i++) {
        registry_apply(c, &kvs[i]);
    }
    c->revision = revision;
    requests_look(c);
    core_leave(c);
}

void controller_core_txn_done(struct controller_core *c, uint64_t id, int status,
                              bool succeeded, int64_t revision, const char *text)
{
    requests_txn_done(c, id, status, succeeded, revision, text);
    core_leave(c);
}

void controller_core_store_up(struct controller_core *c, bool up)
{
    if (up && !c->store_up) {
        scheduler_store_up(c);
    }
    c->store_up = up;
    core_leave(c);
}

bool controller_core_is_ready(const struct controller_core *c)
{
    return c->epoch != 0;
}

size_t controller_core_damaged(const struct controller_core *c)
{
    return c->damaged.n;
}

/* --- from the agents -------------------------------------------------------------- */

void controller_core_node_joined(struct controller_core *c, const struct node_hello *h)
{
    nodes_join(c, h);
    core_leave(c);
}

void controller_core_node_left(struct controller_core *c, const char *node,
                               const char *reason)
{
    nodes_leave(c, node, reason);
    core_leave(c);
}

void controller_core_node_leaving(struct controller_core *c, const char *node)
{
    nodes_leaving(c, node);
    core_leave(c);
}

void controller_core_node_report(struct controller_core *c, const char *node,
                                 const struct node_report *r)
{
    nodes_report(c, node, r);
    core_leave(c);
}

void controller_core_version_report(struct controller_core *c, const char *node,
                                    const struct version_report *r)
{
    struct core_node *n = nodes_find(c, node);
    struct core_function *f = registry_function(c, r->namespace_, r->name);

    if (n != NULL && n->ready && f != NULL) {
        n->seen_ms = core_now_ms(c);
        scheduler_proof(c, n, f, r->version, r->ready, r->cause, r->text);
    }
    core_leave(c);
}

void controller_core_snapshot(struct controller_core *c, const char *node)
{
    nodes_send_all(c, node);
    access_keys_send_all(c, node);
    LIST_FOREACH(it, &c->namespaces)
    {
        LIST_FOREACH(at, &container_of(it, struct core_namespace, link)->functions)
        {
            scheduler_send(c, node, container_of(at, struct core_function, of_namespace));
        }
    }
    core_leave(c);
}

/* --- requests --------------------------------------------------------------------- */

void controller_core_put_namespace(struct controller_core *c, const char *name,
                                   core_reply_cb cb, void *data)
{
    requests_put_namespace(c, name, cb, data);
    core_leave(c);
}

void controller_core_put_key(struct controller_core *c, const char *namespace_,
                             const char *id, const char *secret, core_reply_cb cb,
                             void *data)
{
    requests_put_key(c, namespace_, id, secret, cb, data);
    core_leave(c);
}

void controller_core_delete_key(struct controller_core *c, const char *namespace_,
                                const char *id, core_reply_cb cb, void *data)
{
    requests_delete_key(c, namespace_, id, cb, data);
    core_leave(c);
}

void controller_core_set_attribute(struct controller_core *c, const char *namespace_,
                                   const char *name, const char *attribute,
                                   const json_t *value, uint64_t if_revision,
                                   core_reply_cb cb, void *data)
{
    requests_set_attribute(c, namespace_, name, attribute, value, if_revision, cb, data);
    core_leave(c);
}

void controller_core_order_node(struct controller_core *c, const char *name,
                                const char *state, const json_t *labels, core_reply_cb cb,
                                void *data)
{
    requests_order_node(c, name, state, labels, cb, data);
    core_leave(c);
}

void controller_core_delete_namespace(struct controller_core *c, const char *name,
                                      core_reply_cb cb, void *data)
{
    requests_delete_namespace(c, name, cb, data);
    core_leave(c);
}

void controller_core_put_function(struct controller_core *c, const char *namespace_,
                                  const char *name, const struct function_spec *spec,
                                  const struct package_ref *package, uint64_t if_revision,
                                  core_reply_cb cb, void *data)
{
    requests_put_function(c, namespace_, name, spec, package, if_revision, cb, data);
    core_leave(c);
}

void controller_core_publish_layer(struct controller_core *c, const char *namespace_,
                                   const char *name, const struct package_ref *package,
                                   const char *description, const json_t *attributes,
                                   core_reply_cb cb, void *data)
{
    requests_publish_layer(c, namespace_, name, package, description, attributes, cb,
                           data);
    core_leave(c);
}

void controller_core_set_layer_attribute(struct controller_core *c,
                                         const char *namespace_, const char *name,
                                         uint64_t number, const char *attribute,
                                         const json_t *value, uint64_t if_revision,
                                         core_reply_cb cb, void *data)
{
    requests_set_layer_attribute(c, namespace_, name, number, attribute, value,
                                 if_revision, cb, data);
    core_leave(c);
}

void controller_core_delete_layer(struct controller_core *c, const char *namespace_,
                                  const char *name, uint64_t number, core_reply_cb cb,
                                  void *data)
{
    requests_delete_layer(c, namespace_, name, number, cb, data);
    core_leave(c);
}

void controller_core_delete_function(struct controller_core *c, const char *namespace_,
                                     const char *name, uint64_t if_revision,
                                     core_reply_cb cb, void *data)
{
    requests_delete_function(c, namespace_, name, if_revision, cb, data);
    core_leave(c);
}

void controller_core_roll_out(struct controller_core *c, const char *namespace_,
                              const char *name, const struct function_spec *spec,
                              const struct package_ref *package,
                              const struct rollout_plan *plan, uint64_t if_revision,
                              core_reply_cb cb, void *data)
{
    requests_roll_out(c, namespace_, name, spec, package, plan, if_revision, cb, data);
    core_leave(c);
}

void controller_core_put_published(struct controller_core *c, const char *namespace_,
                                   const char *name, const struct function_spec *spec,
                                   const struct package_ref *package,
                                   const char *description, uint64_t if_revision,
                                   core_reply_cb cb, void *data)
{
    requests_put_published(c, namespace_, name, spec, package, description, if_revision,
                           cb, data);
    core_leave(c);
}

void controller_core_publish(struct controller_core *c, const char *namespace_,
                             const char *name, uint64_t number, const char *description,
                             uint64_t if_revision, core_reply_cb cb, void *data)
{
    struct core_edit edit = {.description = (char *)(uintptr_t)description};

    requests_edit(c, &change_publish, namespace_, name, number, &edit, if_revision, cb,
                  data);
    core_leave(c);
}

void controller_core_delete_version(struct controller_core *c, const char *namespace_,
                                    const char *name, uint64_t number, core_reply_cb cb,
                                    void *data)
{
    requests_edit(c, &change_delete_version, namespace_, name, number, NULL, 0, cb, data);
    core_leave(c);
}

void controller_core_put_alias(struct controller_core *c, const char *namespace_,
                               const char *name, const char *alias,
                               const struct alias_weight *weights, size_t n_weights,
                               const char *description, uint64_t if_revision,
                               core_reply_cb cb, void *data)
{
    struct core_edit edit = {.description = (char *)(uintptr_t)description};

    if (n_weights > ALIAS_SPLIT_MAX || strlen(alias) > ALIAS_NAME_MAX) {
        n_weights = 0; /* refused for that */
    }
    (void)snprintf(edit.alias, sizeof(edit.alias), "%s", alias);
    memcpy(edit.weights, weights, n_weights * sizeof(*weights));
    edit.n_weights = n_weights;
    requests_edit(c, &change_put_alias, namespace_, name, 0, &edit, if_revision, cb,
                  data);
    core_leave(c);
}

void controller_core_delete_alias(struct controller_core *c, const char *namespace_,
                                  const char *name, const char *alias,
                                  uint64_t if_revision, core_reply_cb cb, void *data)
{
    struct core_edit edit = {.n_weights = 0};

    (void)snprintf(edit.alias, sizeof(edit.alias), "%s", alias);
    requests_edit(c, &change_delete_alias, namespace_, name, 0, &edit, if_revision, cb,
                  data);
    core_leave(c);
}

void controller_core_rollback(struct controller_core *c, const char *namespace_,
                              const char *name, uint64_t number, uint64_t if_revision,
                              core_reply_cb cb, void *data)
{
    requests_edit(c, &change_rollback, namespace_, name, number, NULL, if_revision, cb,
                  data);
    core_leave(c);
}

void controller_core_wait_version(struct controller_core *c, const char *namespace_,
                                  const char *name, uint64_t number, uint64_t wait_ms,
                                  core_reply_cb cb, void *data)
{
    requests_wait_version(c, namespace_, name, number, wait_ms, cb, data);
    core_leave(c);
}

void controller_core_cancel(struct controller_core *c, const void *data)
{
    requests_cancel(c, data);
    core_leave(c);
}

bool controller_core_package_used(const struct controller_core *c, const char *digest)
{
    return registry_uses_package(c, digest) || requests_use_package(c, digest);
}

/* --- time ------------------------------------------------------------------------- */

uint64_t controller_core_deadline_ms(const struct controller_core *c)
{
    return alarms_next_ms(&c->alarms);
}

void controller_core_tick(struct controller_core *c)
{
    uint64_t now_ms = core_now_ms(c);
    struct alarm *a;

    while ((a = alarms_take(&c->alarms, now_ms)) != NULL) {
        a->fire(c, a);
    }
    core_leave(c);
}

void controller_core_invariant(const struct controller_core *c)
{
    requests_invariant(c);
    scheduler_invariant(c);
    nodes_invariant(c);
}
