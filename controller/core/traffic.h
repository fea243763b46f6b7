/* Traffic: which versions of a function take calls, and under which names. Parts of a
 * function's record, and how they change; nothing here talks to the store.
 *
 *   serving      takes the calls that name nothing
 *   previous     served before it: `rollback` goes there
 *   published    kept until it is deleted; has a number of its own: 1, 2, 3 …
 *   alias        a name for one version, or for a split over several
 *   rollout      (rollouts.h) the way from one serving version to the next
 *
 * Changes check what they are given: -1 and *err with a cause when it cannot be. */
#ifndef CONTROLLER_CORE_TRAFFIC_H
#define CONTROLLER_CORE_TRAFFIC_H

#include <jansson.h>

#include "common/alias.h"
#include "controller/core/records.h"

#define TRAFFIC_ALIASES_MAX     50
#define TRAFFIC_DESCRIPTION_MAX 1024 /* bytes: 256 characters */
/* Versions of a function that are published or have a name: each is granted nodes and is
 * told to every agent. Below CORE_VERSIONS_MAX, so that there is room for deployments. */
#define TRAFFIC_KEPT_MAX 60

struct record_alias {
    char name[ALIAS_NAME_MAX + 1];
    char *description; /* never NULL */
    char updated_at[CLOCK_RFC3339_SIZE];
    struct alias_weight weights[ALIAS_SPLIT_MAX];
    size_t n_weights;
};

struct traffic_error {
    enum cause cause;
    const char *field; /* a member of the request's body; or NULL */
    char text[RECORD_MESSAGE_MAX + 1];
};

/* Sets *err; returns -1, for its callers to return. */
int traffic_refuse(struct traffic_error *err, enum cause cause, const char *field,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

const struct record_alias *traffic_alias(const struct record *r, const char *name);
/* The first alias that names the version, or NULL. */
const struct record_alias *traffic_alias_of(const struct record *r, uint64_t number);
/* With a name or a number under which it may be called, serving or not. */
bool traffic_is_named(const struct record *r, uint64_t number);
/* Must not be dropped: named, serving, previous, latest, or on its way. */
bool traffic_is_kept(const struct record *r, uint64_t number);

/* Publishes a version (0: the latest). The number that it has already if it is published,
 * or if the one that was published last has the same body (`same`, decided by the caller:
 * the number of a version whose spec and package are equal, or 0). */
int traffic_publish(struct record *r, uint64_t number, uint64_t same,
                    const char *description, const char *now, uint64_t *ret_number,
                    bool *ret_created, struct traffic_error *err);
/* Publishes the latest version, whatever its state. */
int traffic_publish_latest(struct record *r, const char *description,
                           struct traffic_error *err);
/* The version that was published last, if it is still there; or 0. */
uint64_t traffic_published_last(const struct record *r);
/* Takes the version out of the record, or if it serves only its being published. */
int traffic_delete_version(struct record *r, uint64_t number, bool *ret_gone,
                           struct traffic_error *err);

/* An attribute whose name ends in ":<alias>" or ":<published number>" is that one's, and
 * goes with it. */
int traffic_set_alias(struct record *r, const char *name,
                      const struct alias_weight *weights, size_t n_weights,
                      const char *description, const char *now, bool *ret_created,
                      struct traffic_error *err);
int traffic_delete_alias(struct record *r, const char *name, struct traffic_error *err);

/* The version that `rollback` without a number means; 0: there is none. */
uint64_t traffic_rollback_to(const struct record *r);
/* Serves another version, which was ready once. A rollout that is under way is over. */
int traffic_rollback(struct record *r, uint64_t number, const char *now,
                     struct traffic_error *err);

/* For records.c: the parts of a record. */
int traffic_parse(struct record *r, const json_t *json);
int traffic_format(const struct record *r, json_t *json); /* adds its members */
int traffic_copy(struct record *ret, const struct record *from);
void traffic_free(struct record *r);
bool traffic_is_sound(const struct record *r);
/* [{"version", "weight"}]: percent. NULL: no memory. */
json_t *traffic_weights_to_json(const struct record_alias *a);

#endif /* CONTROLLER_CORE_TRAFFIC_H */
