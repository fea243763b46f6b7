/* Controller core: what the cluster should run, and where. Pure.
 *
 *   API ── put, delete ──▶ io->txn ──▶ store ── events ──▶ registry ─┐
 *   agents ── join, reports ─────────────────────────────▶ nodes ────┴▶ scheduler
 *                                              placement ◀── asks ──────┤
 *   agents ◀── io->send_function, io->send_node ◀── grants ─────────────┘
 *
 * The registry is a cache of the store. A change is a transaction that compares the
 * revisions that it was based on; it is applied when the store's watch delivers it, and
 * only then answered: what was acknowledged is durable and is what the next read shows.
 * What nodes run is not stored: it is rebuilt from their reports. Edges feed events; the
 * core acts only through `struct controller_io`, which also gives time and randomness. No
 * io function may call back into the core before it returns.
 *
 * Keys in the store (values are JSON; numbers of versions have 20 digits, so that they
 * sort):
 *
 *   /mayfly/epoch                          {"epoch"}, one more at each controller start
 *   /mayfly/namespaces/<ns>                {"index", "created_at"}
 *   /mayfly/namespace-index                {"next"}: an index is never given twice
 *   /mayfly/functions/<ns>/<name>          {"created_at", "updated_at", "latest",
 * "serving", "versions": [{"number", "state", "cause", "message", "created_at",
 * "published", "description", "was_ready"}], "previous", "published_last", "edit",
 * "aliases": [{"name", "description", "updated_at", "weights"}], "rollout": {…}}
 *   /mayfly/versions/<ns>/<name>/<number>  {"spec", "package"}: never changed
 *   /mayfly/layers/<ns>/<name>             {"latest", "versions": [{"number",
 * "created_at", "description", "package", "attributes"}]}
 *   /mayfly/nodes/<node>                   {"state", "labels"}: what an operator said of
 * it
 *   /mayfly/keys/<access key id>           {"namespace", "secret", "created_at"}
 */
#ifndef CONTROLLER_CORE_CONTROLLER_CORE_H
#define CONTROLLER_CORE_CONTROLLER_CORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/alias.h"
#include "common/cause.h"
#include "common/desired.h"
#include "common/error.h"
#include "common/spec.h"
#include "controller/core/autoscaler_config.h"

#define CORE_PREFIX       "/mayfly/"
#define CORE_ABSENT       UINT64_MAX /* as if_revision: it must not be there yet */
#define CORE_VERSIONS_MAX 100        /* kept of a function; the oldest retired ones go */

struct controller_core;

/* --- the store, as the core sees it (store.h's shapes without its edge) --------------
 */
struct core_kv {
    const char *key;
    const void *value; /* NULL: deleted */
    size_t len;
    int64_t mod_revision;
};

struct core_compare {
    const char *key;
    int64_t mod_revision; /* 0: the key does not exist */
};

struct core_op {
    const char *key;
    const char *value; /* NULL: delete */
};

struct controller_io {
    void *ctx;
    uint64_t (*now_ms)(void *ctx);  /* monotonic */
    uint64_t (*wall_ms)(void *ctx); /* for people */
    uint64_t (*random)(void *ctx);

    /* Answered later by controller_core_txn_done(id, …). Arguments are borrowed. */
    void (*txn)(void *ctx, uint64_t id, const struct core_compare *compares,
                size_t n_compares, const struct core_op *ops, size_t n_ops);
    /* node NULL: to every connected node. */
    void (*send_function)(void *ctx, const char *node, const struct function_state *f);
    void (*send_node)(void *ctx, const char *node, const struct node_state *n);
    /* NULL: nobody is told of access keys. */
    void (*send_key)(void *ctx, const char *node, const struct key_state *k);
    /* The node shall get a snapshot: the edge calls controller_core_snapshot() when its
     * session is ready for one. */
    void (*resync)(void *ctx, const char *node);
};

struct controller_core_options {
    /* After a start the core first listens: nodes that come back go on with the grants
     * they have, and report them. Placement begins when this time is over. Default 3 s;
     * a first start on an empty store does not wait. */
    uint32_t settle_ms;
    /* A new version that finds no room waits for it; it fails after so long. Default 600
     * s. */
    uint32_t progress_deadline_ms;
    uint32_t homes_max; /* nodes that a function is granted to ahead of load; default 8 */
    /* CPU limits of warm and reserved instances on a node may add up to so much of its
     * CPU; default 1600, UINT32_MAX: CPU does not count. */
    uint32_t cpu_overcommit_percent;
    bool spread; /* of functions that do not say: spread instead of binpack */
    /* What functions do not say of their scaling; one that autoscaler_config_check()
     * accepts, or all 0 for autoscaler_config_init()'s. */
    struct autoscaler_config autoscaler;
};

int controller_core_new(struct controller_core **ret, const struct controller_io *io,
                        const struct controller_core_options *options);
struct controller_core *controller_core_free(struct controller_core *c);

/* --- from the store -------------------------------------------------------------------
 */

/* Everything under CORE_PREFIX as it is now: at the start, and when the watch lost its
 * history. What is not among kvs is gone. A value that cannot be read is left out and
 * reported by controller_core_damaged(). */
void controller_core_load(struct controller_core *c, const struct core_kv *kvs, size_t n,
                          int64_t revision);
/* All changes of one revision. */
void controller_core_events(struct controller_core *c, const struct core_kv *kvs,
                            size_t n, int64_t revision);
/* status 0: it was decided; succeeded: the compares held, the changes are made and will
 * be (or have been) delivered as events of `revision`. -EINPROGRESS: not known. Otherwise
 * it was not done; text is for people. */
void controller_core_txn_done(struct controller_core *c, uint64_t id, int status,
                              bool succeeded, int64_t revision, const char *text);
void controller_core_store_up(struct controller_core *c, bool up);
/* Loaded, epoch taken: requests are served and nodes may join. */
bool controller_core_is_ready(const struct controller_core *c);
size_t controller_core_damaged(const struct controller_core *c); /* keys left out */

/* --- from the agents
 * -------------------------------------------------------------------- */

struct node_hello {
    const char *node;
    const char *boot; /* differs at each start of the agent */
    const char *version;
    const char *gateway;
    uint64_t memory_bytes;
    uint32_t cpu_millis;
    const char *const *labels; /* "key=value", NULL-terminated; may be NULL */
    bool
        confirms; /* its loads have `stopping` and `revision` (an older agent's do not) */
};

void controller_core_node_joined(struct controller_core *c, const struct node_hello *h);
/* The session is over for good: the node is lost, its grants go elsewhere. */
void controller_core_node_left(struct controller_core *c, const char *node,
                               const char *reason);
/* Its agent has been told to end: the grants go elsewhere now, while it still serves. */
void controller_core_node_leaving(struct controller_core *c, const char *node);
void controller_core_node_report(struct controller_core *c, const char *node,
                                 const struct node_report *r);
void controller_core_version_report(struct controller_core *c, const char *node,
                                    const struct version_report *r);
/* Calls io->send_node and io->send_function for all that a node must know: it is the same
 * for all, and `node` is only passed on. */
void controller_core_snapshot(struct controller_core *c, const char *node);

/* --- requests of the API --------------------------------------------------------------
 */

struct core_reply {
    enum cause cause;  /* CAUSE_NONE: done */
    const char *text;  /* when it failed */
    const char *field; /* or NULL */
    bool created;      /* put: it was not there before */
    uint64_t version;  /* put function: the number it got; publish, rollback: the one
                          that is meant */
};

/* A rollout: the new version gets a share of the calls that name none, step by step. */
#define ROLLOUT_STEPS_MAX 20
struct rollout_plan {
    uint32_t steps[ROLLOUT_STEPS_MAX]; /* ascending, below all; units of 0.01 % */
    size_t n_steps;
    uint32_t step_ms;   /* each lasts at least so long … */
    uint32_t min_calls; /* … and so many calls of the new version */
    uint32_t max_error; /* goes back when over so many of them failed; units of 0.01 % */
};
/* {"steps": [10, 25], "step_ms", "min_calls", "max_error_rate"}, percentages; -EINVAL,
 * and err begins with the key. */
int rollout_plan_from_json(struct rollout_plan *ret, const json_t *json,
                           struct error *err);
json_t *rollout_plan_to_json(const struct rollout_plan *p); /* NULL: no memory */
/* 0 … 100, with two decimals, from and to units of 0.01 %. -EINVAL. */
int core_percent_from_json(uint32_t *ret, const json_t *json);
json_t *core_percent_to_json(uint32_t weight);

/* Called once, also from within the request; never after controller_core_cancel(). */
typedef void (*core_reply_cb)(void *data, const struct core_reply *r);

/* Making one that is there succeeds (created false). */
void controller_core_put_namespace(struct controller_core *c, const char *name,
                                   core_reply_cb cb, void *data);
void controller_core_delete_namespace(struct controller_core *c, const char *name,
                                      core_reply_cb cb, void *data);

/* An access key of a namespace. CAUSE_CONFLICT if the id is taken, in any namespace. */
void controller_core_put_key(struct controller_core *c, const char *namespace_,
                             const char *id, const char *secret, core_reply_cb cb,
                             void *data);
void controller_core_delete_key(struct controller_core *c, const char *namespace_,
                                const char *id, core_reply_cb cb, void *data);

/* Attributes that the core goes by (concurrency.h). What belongs to an alias or a
 * published version has ":<its name>" at the end of its own, and goes with it. */
#define CORE_RESERVED      "reserved"    /* {"calls"}: of the function */
#define CORE_PROVISIONED   "provisioned" /* {"calls"}: of an alias or published version */
#define CORE_ATTRIBUTE_MAX 160           /* bytes of an attribute's name */

/* Sets one of a function's attributes: what is kept with it across its versions, under a
 * name, and means nothing to the core but those above and "url", which nodes are told.
 * value NULL removes it. Copies. */
void controller_core_set_attribute(struct controller_core *c, const char *namespace_,
                                   const char *name, const char *attribute,
                                   const json_t *value, uint64_t if_revision,
                                   core_reply_cb cb, void *data);

/* What an operator wants of a node that is or was there. state: "ready", "cordoned" (it
 * gets nothing new), "draining" (what it has goes elsewhere) or NULL to keep it; labels:
 * an object of strings that are set and nulls that are removed, or NULL. */
void controller_core_order_node(struct controller_core *c, const char *name,
                                const char *state, const json_t *labels, core_reply_cb cb,
                                void *data);

/* Makes the next version. if_revision: the function's revision that the caller has seen,
 * or 0; another one is CAUSE_CONFLICT. The spec was validated, the package is stored;
 * its layers are looked up (CAUSE_NOT_FOUND).
 * Copies. */
void controller_core_put_function(struct controller_core *c, const char *namespace_,
                                  const char *name, const struct function_spec *spec,
                                  const struct package_ref *package, uint64_t if_revision,
                                  core_reply_cb cb, void *data);
/* The same; once it is ready it takes the calls step by step (docs/versions.md). */
void controller_core_roll_out(struct controller_core *c, const char *namespace_,
                              const char *name, const struct function_spec *spec,
                              const struct package_ref *package,
                              const struct rollout_plan *plan, uint64_t if_revision,
                              core_reply_cb cb, void *data);
void controller_core_delete_function(struct controller_core *c, const char *namespace_,
                                     const char *name, uint64_t if_revision,
                                     core_reply_cb cb, void *data);
/* Makes the layer's next version (core_reply.version). The package is stored;
 * description: at most 256 bytes. attributes: an object of what is kept with the version
 * and means nothing to the core; or NULL. Copies. */
void controller_core_publish_layer(struct controller_core *c, const char *namespace_,
                                   const char *name, const struct package_ref *package,
                                   const char *description, const json_t *attributes,
                                   core_reply_cb cb, void *data);
/* One of them becomes value; NULL removes it. if_revision: the layer's; 0: any. Copies.
 */
void controller_core_set_layer_attribute(struct controller_core *c,
                                         const char *namespace_, const char *name,
                                         uint64_t number, const char *attribute,
                                         const json_t *value, uint64_t if_revision,
                                         core_reply_cb cb, void *data);
/* Versions of functions that have it keep it; its number is never given again. */
void controller_core_delete_layer(struct controller_core *c, const char *namespace_,
                                  const char *name, uint64_t number, core_reply_cb cb,
                                  void *data);
/* Answers CAUSE_NONE when the version is no longer `deploying` or the time is over,
 * CAUSE_NOT_FOUND if it is not or no longer there. */
void controller_core_wait_version(struct controller_core *c, const char *namespace_,
                                  const char *name, uint64_t number, uint64_t wait_ms,
                                  core_reply_cb cb, void *data);

/* Versions and aliases. number 0: the latest. description NULL: none, or as it was.
 * created: it was not published, or there was no such alias. if_revision as above. */
void controller_core_publish(struct controller_core *c, const char *namespace_,
                             const char *name, uint64_t number, const char *description,
                             uint64_t if_revision, core_reply_cb cb, void *data);
/* Deploys, and publishes the new version in the same moment, before it is known whether
 * it works; unless it is what was published last, which goes on under its number. */
void controller_core_put_published(struct controller_core *c, const char *namespace_,
                                   const char *name, const struct function_spec *spec,
                                   const struct package_ref *package,
                                   const char *description, uint64_t if_revision,
                                   core_reply_cb cb, void *data);
/* Of the serving or latest version only the publication is deleted. */
void controller_core_delete_version(struct controller_core *c, const char *namespace_,
                                    const char *name, uint64_t number, core_reply_cb cb,
                                    void *data);
void controller_core_put_alias(struct controller_core *c, const char *namespace_,
                               const char *name, const char *alias,
                               const struct alias_weight *weights, size_t n_weights,
                               const char *description, uint64_t if_revision,
                               core_reply_cb cb, void *data);
void controller_core_delete_alias(struct controller_core *c, const char *namespace_,
                                  const char *name, const char *alias,
                                  uint64_t if_revision, core_reply_cb cb, void *data);
/* number 0: the version that served before. */
void controller_core_rollback(struct controller_core *c, const char *namespace_,
                              const char *name, uint64_t number, uint64_t if_revision,
                              core_reply_cb cb, void *data);

/* Whoever asked with this data is gone. What was begun is still done. */
void controller_core_cancel(struct controller_core *c, const void *data);

/* --- time
 * --------------------------------------------------------------------------------- Call
 * tick at (or after) the deadline, which changes after any other call here. UINT64_MAX:
 * nothing is due. */
uint64_t controller_core_deadline_ms(const struct controller_core *c);
void controller_core_tick(struct controller_core *c);

/* --- reading: the shapes that docs/openapi.yaml describes. NULL: not there (or, rarely,
 * out of memory). The caller's to json_decref().
 * --------------------------------------------- */
json_t *controller_core_namespace(const struct controller_core *c, const char *name);
json_t *controller_core_function(const struct controller_core *c, const char *namespace_,
                                 const char *name);
json_t *controller_core_version(const struct controller_core *c, const char *namespace_,
                                const char *name, uint64_t number);
json_t *controller_core_versions(const struct controller_core *c, const char *namespace_,
                                 const char *name); /* array */
json_t *controller_core_aliases(const struct controller_core *c, const char *namespace_,
                                const char *name); /* array */
json_t *controller_core_alias(const struct controller_core *c, const char *namespace_,
                              const char *name, const char *alias);
json_t *controller_core_layer(const struct controller_core *c, const char *namespace_,
                              const char *name);
/* number 0: the newest. */
json_t *controller_core_layer_version(const struct controller_core *c,
                                      const char *namespace_, const char *name,
                                      uint64_t number);
/* Why it has so many instances, there, and what its calls met. */
json_t *controller_core_explain(const struct controller_core *c, const char *namespace_,
                                const char *name);
json_t *controller_core_node(const struct controller_core *c, const char *name);

/* --- lists: by name, in pages, one view after the other --------------------------------
 */
struct core_list {
    const char *after; /* the name of the last one on the page before; NULL: none was */
    const char *after_namespace; /* where after is; NULL for namespaces and nodes */
    size_t limit;                /* of one page */
    /* Takes item over. False: it wants no more. */
    bool (*each)(void *data, const char *namespace_, const char *name, json_t *item);
    void *data;
};

/* 0; 1: more come after what each() was given; -ENOMEM. namespace_ NULL: of all. */
int controller_core_functions(const struct controller_core *c, const char *namespace_,
                              const struct core_list *list);
/* Those that have a version. */
int controller_core_layers(const struct controller_core *c, const char *namespace_,
                           const struct core_list *list);
int controller_core_namespaces(const struct controller_core *c,
                               const struct core_list *list);
int controller_core_nodes(const struct controller_core *c, const struct core_list *list);
/* The gateways of nodes that are ready, until each() returns false. */
void controller_core_gateways(const struct controller_core *c,
                              bool (*each)(void *data, const char *gateway), void *data);
/* Without their secrets; of one namespace. */
int controller_core_access_keys(const struct controller_core *c, const char *namespace_,
                                const struct core_list *list);

/* --- events: what was decided and what happened to nodes, the newest JOURNAL_MAX -------
 */
#define JOURNAL_MAX 4096

/* X(SYMBOL, name): the kinds, as docs/openapi.yaml lists them. */
#define EVENT_KINDS(X)              \
    X(NODE_JOINED, "node_joined")   \
    X(NODE_LOST, "node_lost")       \
    X(NODE_ORDERED, "node_ordered") \
    X(DEPLOYED, "deployed")         \
    X(READY, "version_ready")       \
    X(FAILED, "version_failed")     \
    X(DELETED, "deleted")           \
    X(SCALED, "scaled")             \
    X(PLACED, "placed")             \
    X(ROLLOUT, "rollout")           \
    X(PUBLISHED, "published")       \
    X(ALIAS, "alias")

enum event_kind {
#define X(symbol, name) EVENT_##symbol,
    EVENT_KINDS(X)
#undef X
};

struct core_event_query {   /* NULL: all */
    const char *namespace_; /* events of functions in it, and of nodes */
    const char *name;       /* of this function only */
    const char *node;       /* of this node only */
};

/* Number of the newest event; 0: there is none. */
uint64_t controller_core_event_last(const struct controller_core *c);
/* The number after which the last n events that match come. */
uint64_t controller_core_event_tail(const struct controller_core *c,
                                    const struct core_event_query *q, uint64_t n);
/* The oldest one that matches with a number above *after, which becomes its number (or,
 * if there is none, that of the last one looked at). NULL: none, or out of memory. */
json_t *controller_core_event_next(const struct controller_core *c,
                                   const struct core_event_query *q, uint64_t *after);
/* Whether events after this number are no longer kept. */
bool controller_core_event_lost(const struct controller_core *c, uint64_t after);

/* False: there is none. *ret is valid until the next call of the core. */
bool controller_core_access_key(const struct controller_core *c, const char *id,
                                struct key_state *ret);

/* What a namespace's functions take: calls at once that are reserved or, where none are,
 * provisioned; bytes of packages of layers and of versions that are the latest, or
 * published. */
struct core_account {
    uint64_t functions, calls, package_bytes;
};
struct core_account controller_core_account(const struct controller_core *c,
                                            const char *namespace_);

/* How far a version's instances are what they should be. False: there is no such version,
 * or none that may run. */
struct core_readiness {
    uint64_t desired, ready; /* instances */
    uint64_t no_room;        /* of those desired: find no memory on any node */
};
bool controller_core_readiness(const struct controller_core *c, const char *namespace_,
                               const char *name, uint64_t number,
                               struct core_readiness *ret);

struct core_counts {
    uint64_t namespaces, functions, versions, instances;
    uint64_t nodes_ready,
        nodes_lost; /* ready: also those that are cordoned or draining */
    uint64_t memory_capacity_bytes, memory_reserved_bytes; /* of ready nodes */
    uint64_t desired; /* instances, of all versions */
    uint64_t scaled;  /* versions that have load, or had lately */
    uint64_t scale_ups, scale_downs, panics, decisions; /* since the start */
};
struct core_counts controller_core_counts(const struct controller_core *c);

/* Whether any version, of a function or a layer, needs this package: others may be
 * deleted from disk. */
bool controller_core_package_used(const struct controller_core *c, const char *digest);

#endif /* CONTROLLER_CORE_CONTROLLER_CORE_H */
