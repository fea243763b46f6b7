/* Records: a function's value in the store, and how it changes. What is read was written
 * by someone else, so everything is checked; what is written can be read again. */
#ifndef CONTROLLER_CORE_RECORDS_H
#define CONTROLLER_CORE_RECORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cause.h"
#include "common/clock.h"
#include "common/spec.h"

#define RECORD_VALUE_MAX   (1024 * 1024) /* store.h's STORE_VALUE_MAX */
#define RECORD_MESSAGE_MAX 480
#define RECORD_NUMBER_MAX  (1ULL << 53) /* what JSON readers keep exactly */

/*   DEPLOYING ──an instance became ready──▶ READY ──replaced──▶ RETIRED
 *      ├── could not start ──▶ FAILED
 *      └── a later one came ─▶ RETIRED
 * A retired one that was ready once may serve again. A ready one that does not serve is
 * being rolled out.                                                                  */
enum record_state {
    RECORD_DEPLOYING,
    RECORD_READY,
    RECORD_FAILED,
    RECORD_RETIRED,
    RECORD_STATES
};
const char *record_state_name(enum record_state s);

struct record_alias;   /* traffic.h */
struct record_rollout; /* rollouts.h */

struct record_version {
    uint64_t number;
    enum record_state state;
    enum cause cause;
    char created_at[CLOCK_RFC3339_SIZE];
    char *message;      /* never NULL */
    bool was_ready;     /* it may serve, also when it was retired */
    uint64_t published; /* its number as a published version; 0: it is not */
    char *description;  /* of the publication; or NULL */
};

/* {0} is one of a function that is not there. */
struct record {
    char created_at[CLOCK_RFC3339_SIZE];
    char updated_at[CLOCK_RFC3339_SIZE];
    uint64_t latest;
    uint64_t serving;                /* 0: none */
    struct record_version *versions; /* in the order of their numbers */
    size_t n_versions;
    uint64_t previous;            /* served before `serving`; 0: none is known */
    uint64_t published_last;      /* highest number that was given; it is given once */
    uint64_t edit;                /* tells one change of this record from another; or 0 */
    struct record_alias *aliases; /* in the order of their names */
    size_t n_aliases;
    struct record_rollout *rollout; /* the last one; or NULL */
    json_t *attributes;             /* object, never changed in place; NULL: none */
};

/* -EINVAL, -ENOMEM; *ret is written on success only. */
int record_parse(struct record *ret, const void *value, size_t len);
char *record_format(const struct record *r); /* JSON; NULL: out of memory */
int record_copy(struct record *ret, const struct record *from);
void record_free(struct record *r);

struct record_version *record_find(const struct record *r, uint64_t number);
/* The version that shall become the serving one, or NULL. */
const struct record_version *record_candidate(const struct record *r);

/* Appends version latest + 1 as the candidate; one that was is superseded. -ENOMEM. */
int record_add_version(struct record *r, const char *now);
/* Drops the oldest versions over `keep` that nothing keeps (traffic.h), at most `most` of
 * them, and writes their numbers to dropped. Returns how many. */
size_t record_trim(struct record *r, size_t keep, uint64_t *dropped, size_t most);
/* The candidate is decided. ready: it serves, the former one retires; or, if it has a
 * rollout, that begins. -ENOMEM. */
int record_decide(struct record *r, uint64_t number, bool ready, enum cause cause,
                  const char *message, const char *now);

/* value NULL removes it. -ENOMEM. */
int record_set_attribute(struct record *r, const char *name, const json_t *value);

/* A version's value: {"spec", "package"}. */
int record_body_parse(struct function_spec *spec, struct package_ref *package,
                      const void *value, size_t len);
char *record_body_format(const struct function_spec *spec,
                         const struct package_ref *package);

/* The small ones: {"epoch"}, {"next"}; a number of 1 … max under `key`. */
int record_number_parse(uint64_t *ret, const char *key, uint64_t max, const void *value,
                        size_t len);
/* {"index", "created_at"} */
int record_namespace_parse(uint32_t *ret_index, char ret_created_at[CLOCK_RFC3339_SIZE],
                           const void *value, size_t len);

#endif /* CONTROLLER_CORE_RECORDS_H */
