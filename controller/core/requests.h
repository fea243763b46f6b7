/* Requests: what shall be changed in the store, from being asked for to being answered.
 *
 *   QUEUED ──first of its queue──▶ SENT ──done──▶ APPLYING ──the watch shows it──▶
 * answered │├─ compare failed ─▶ STALE ──registry moved──▶ SENT │└─ not known ──▶ UNKNOWN
 * ─┬ the watch shows it ─▶ answered │                          └ pause ─▶ SENT,
 * unchanged: └─ not done ─▶ answered      its compares make it safe
 *
 * Changes of one function wait for each other, as do those of namespaces; whatever else
 * writes to the store is caught by the compares. Each request is answered within
 * REQUEST_LIMIT_MS, and the number of those that wait is bounded. */
#ifndef CONTROLLER_CORE_REQUESTS_H
#define CONTROLLER_CORE_REQUESTS_H

#include "controller/core/changes.h"
#include "controller/core/core_private.h"

#define REQUEST_LIMIT_MS    10000
#define REQUEST_WAIT_MAX_MS (60 * 60 * 1000)
#define REQUESTS_MAX        10000
#define REQUEST_QUEUE_MAX   64   /* changes of one function that wait */
#define NAMESPACE_QUEUE_MAX 1000 /* changes of namespaces that wait */

enum request_state {
    REQUEST_QUEUED,
    REQUEST_SENT,
    REQUEST_APPLYING,
    REQUEST_STALE,
    REQUEST_UNKNOWN,
    REQUEST_ANSWERED
};

/* What shall be changed in a function's record; each kind of change reads its own. */
struct core_edit {
    uint64_t id; /* record.edit, when it was made */
    char alias[ALIAS_NAME_MAX + 1];
    struct alias_weight weights[ALIAS_SPLIT_MAX];
    size_t n_weights;
    char *description;                 /* or NULL */
    bool publish;                      /* the version that is deployed */
    struct rollout_plan plan;          /* of a version that is deployed */
    uint32_t step;                     /* of the running rollout of r->number … */
    bool back;                         /* … which goes back, or on */
    char text[RECORD_MESSAGE_MAX + 1]; /* why */
};

struct core_request {
    const struct change_kind *kind; /* NULL: waits for a version */
    enum request_state state;
    core_reply_cb cb; /* NULL: nobody waits (any more) */
    void *data;

    char name[SPEC_NAME_MAX + 1];            /* of the namespace, or of the node */
    struct core_function *f;                 /* or of the function */
    char layer_namespace[SPEC_NAME_MAX + 1]; /* of the layer `name` */
    char *description;                       /* of its version */
    struct function_spec spec;
    struct package_ref package;
    uint64_t if_revision;
    uint64_t number; /* of the version; of the epoch */
    int order_state; /* of the node: enum node_order_state, or -1 */
    json_t *order_labels;
    json_t *ordered; /* what was built of them; or an attribute's value */
    char attribute[CORE_ATTRIBUTE_MAX + 1];
    char key_id[ACCESS_KEY_ID_MAX + 1]; /* of an access key */
    char key_namespace[SPEC_NAME_MAX + 1];
    char key_secret[ACCESS_KEY_SECRET_MAX + 1];
    struct core_edit *edit;

    struct change change; /* what was sent */
    int64_t based_on, namespace_based_on;
    uint64_t body_hash;
    char stamp[CLOCK_RFC3339_SIZE];
    bool created;

    uint64_t id;  /* of the transaction; 0: none is under way */
    bool unknown; /* an attempt of this change may have succeeded */
    bool refused; /* … and a later one did not: the registry will show why */
    int64_t decided_revision;
    unsigned attempts;
    struct backoff backoff;

    enum cause cause;
    char text[RECORD_MESSAGE_MAX + 1];
    const char *field;

    struct list all;    /* c->requests */
    struct list link;   /* its queue, or c->replies */
    struct list active; /* c->active, while it waits for what the registry shows */
    struct keymap_entry by_id;
    struct alarm pause, limit;
};

int requests_init(struct controller_core *c); /* -ENOMEM */
void requests_free(struct controller_core *c);

/* The doors of controller_core.h, under the same names. */
void requests_put_namespace(struct controller_core *c, const char *name, core_reply_cb cb,
                            void *data);
void requests_delete_namespace(struct controller_core *c, const char *name,
                               core_reply_cb cb, void *data);
void requests_order_node(struct controller_core *c, const char *name, const char *state,
                         const json_t *labels, core_reply_cb cb, void *data);
void requests_put_key(struct controller_core *c, const char *namespace_, const char *id,
                      const char *secret, core_reply_cb cb, void *data);
void requests_delete_key(struct controller_core *c, const char *namespace_,
                         const char *id, core_reply_cb cb, void *data);
void requests_set_attribute(struct controller_core *c, const char *namespace_,
                            const char *name, const char *attribute, const json_t *value,
                            uint64_t if_revision, core_reply_cb cb, void *data);
void requests_put_function(struct controller_core *c, const char *namespace_,
                           const char *name, const struct function_spec *spec,
                           const struct package_ref *package, uint64_t if_revision,
                           core_reply_cb cb, void *data);
void requests_publish_layer(struct controller_core *c, const char *namespace_,
                            const char *name, const struct package_ref *package,
                            const char *description, const json_t *attributes,
                            core_reply_cb cb, void *data);
void requests_set_layer_attribute(struct controller_core *c, const char *namespace_,
                                  const char *name, uint64_t number,
                                  const char *attribute, const json_t *value,
                                  uint64_t if_revision, core_reply_cb cb, void *data);
void requests_delete_layer(struct controller_core *c, const char *namespace_,
                           const char *name, uint64_t number, core_reply_cb cb,
                           void *data);
void requests_delete_function(struct controller_core *c, const char *namespace_,
                              const char *name, uint64_t if_revision, core_reply_cb cb,
                              void *data);
/* Any edit. *edit is copied with its description; NULL: the number says all. */
void requests_edit(struct controller_core *c, const struct change_kind *kind,
                   const char *namespace_, const char *name, uint64_t number,
                   const struct core_edit *edit, uint64_t if_revision, core_reply_cb cb,
                   void *data);
void requests_roll_out(struct controller_core *c, const char *namespace_,
                       const char *name, const struct function_spec *spec,
                       const struct package_ref *package, const struct rollout_plan *plan,
                       uint64_t if_revision, core_reply_cb cb, void *data);
/* The new version is published in the same moment, unless it is what was published last.
 */
void requests_put_published(struct controller_core *c, const char *namespace_,
                            const char *name, const struct function_spec *spec,
                            const struct package_ref *package, const char *description,
                            uint64_t if_revision, core_reply_cb cb, void *data);
void requests_wait_version(struct controller_core *c, const char *namespace_,
                           const char *name, uint64_t number, uint64_t wait_ms,
                           core_reply_cb cb, void *data);
void requests_cancel(struct controller_core *c, const void *data);
void requests_txn_done(struct controller_core *c, uint64_t id, int status, bool succeeded,
                       int64_t revision, const char *text);

/* The core's own. Takes the epoch; when that is done, the scheduler begins. */
void requests_take_epoch(struct controller_core *c);
/* Writes the candidate's outcome; scheduler_decided() follows. */
void requests_decide(struct controller_core *c, struct core_function *f);
/* The running rollout goes on or back; rollout_moved() follows. */
void requests_move_rollout(struct controller_core *c, struct core_function *f,
                           const struct core_edit *edit);
/* A function's namespace is gone: it is made again. */
void requests_heal_namespace(struct controller_core *c, const char *name);

/* The registry has changed: who has what it waits for? */
void requests_look(struct controller_core *c);
void requests_answer_waits(struct controller_core *c, struct core_function *f);
void requests_deliver(struct controller_core *c);
/* Whether a version, of a function or a layer, with this package is being made. */
bool requests_use_package(const struct controller_core *c, const char *digest);
void requests_invariant(const struct controller_core *c);

/* For requests_ask.c and requests_layers.c. A new request is nobody's until it is
 * admitted (it is counted, and its time begins) or enqueued (that, and it waits for its
 * turn to change something). */
struct core_request *core_request_new(const struct change_kind *kind, core_reply_cb cb,
                                      void *data); /* NULL: out of memory */
void core_request_free(struct core_request *r);
void core_request_admit(struct controller_core *c, struct core_request *r,
                        uint64_t limit_ms);
void core_request_enqueue(struct controller_core *c, struct core_request *r);
/* It is over, as r->cause and r->text say; who waits hears of it when the door is left.
 */
void core_request_answer(struct controller_core *c, struct core_request *r);

/* For the doors. */
void request_reply_now(core_reply_cb cb, void *data, enum cause cause, const char *text,
                       const char *field);
/* What keeps any request from being taken up; false after it was answered. */
bool request_may_ask(struct controller_core *c, core_reply_cb cb, void *data);
bool request_name_ok(const char *name, const char *field, core_reply_cb cb, void *data);

/* For changes.c: the request ends here. Returns -1, for its callers to return. */
int request_refuse(struct core_request *r, enum cause cause, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif /* CONTROLLER_CORE_REQUESTS_H */
