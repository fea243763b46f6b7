/* Changes: for each kind of request, the transaction that makes it, and how one sees in
 * the registry that it was made. */
#ifndef CONTROLLER_CORE_CHANGES_H
#define CONTROLLER_CORE_CHANGES_H

#include "controller/core/core_private.h"

struct core_request;

#define CHANGE_COMPARES 3

/* Owns its keys and values. */
struct change {
    struct core_compare compares[CHANGE_COMPARES];
    size_t n_compares;
    struct core_op *ops;
    size_t n_ops;
    bool broken; /* out of memory on the way */
};

enum change_seen {
    CHANGE_SHOWN, /* it was made */
    CHANGE_MOVED, /* what it was based on is different: it was not made, nor will it be */
    CHANGE_SAME,  /* nothing to be seen yet */
};

struct change_kind {
    const char *what; /* for people: "deploy" */
    /* Fills r->change, and what look() compares with. 0 to send it; -1 when the request
     * is answered (r->cause, r->text). */
    int (*build)(struct controller_core *c, struct core_request *r);
    enum change_seen (*look)(const struct controller_core *c,
                             const struct core_request *r);
    /* It is over (r->cause says how); before the caller hears of it. Or NULL. */
    void (*over)(struct controller_core *c, struct core_request *r);
};

extern const struct change_kind change_epoch, change_put_namespace,
    change_delete_namespace, change_order_node, change_put_function,
    change_delete_function, change_decide, change_publish_layer, change_delete_layer,
    change_layer_attribute;
/* edits.c: what changes a function's record only */
extern const struct change_kind change_publish, change_delete_version, change_put_alias,
    change_delete_alias, change_rollback, change_rollout;
extern const struct change_kind change_put_key, change_delete_key, change_attribute;

void change_free(struct change *ch);

/* For building one: compares; operations, whose value (NULL: delete) is the change's from
 * then on; the same for a text that there was perhaps no memory for. */
void change_compare(struct change *ch, const char *key, int64_t mod_revision);
void change_op(struct change *ch, const char *key, char *value);
void change_put(struct change *ch, const char *key, char *value);
void change_put_json(struct change *ch, const char *key, json_t *json);
void change_delete(struct change *ch, const char *key);
int change_built(struct core_request *r); /* the last statement of build() */
void change_now(const struct controller_core *c, char ret[CLOCK_RFC3339_SIZE]);
int change_check_revision(struct core_request *r); /* if_revision; -1: refused */

#endif /* CONTROLLER_CORE_CHANGES_H */
