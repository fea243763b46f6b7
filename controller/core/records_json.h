/* Reading JSON of the store: shared by the files that read a record's parts. */
#ifndef CONTROLLER_CORE_RECORDS_JSON_H
#define CONTROLLER_CORE_RECORDS_JSON_H

#include <jansson.h>

#include "controller/core/records.h"

/* 0 … max under `key`, which must be there; -EINVAL. */
int record_get_number(const json_t *json, const char *key, uint64_t max, uint64_t *ret);
/* The same; 0 if the key is not there. */
int record_get_number_or_0(const json_t *json, const char *key, uint64_t max,
                           uint64_t *ret);
/* As clock_rfc3339() writes it. */
int record_get_time(const json_t *json, const char *key, char ret[CLOCK_RFC3339_SIZE]);
/* A copy in which nothing disturbs a terminal, of at most max bytes; NULL: no memory. */
char *record_clean_copy(const char *text, size_t max);
/* Writes how a version's attempt ended. -ENOMEM: it is as it was. */
int record_set_outcome(struct record_version *v, enum record_state state,
                       enum cause cause, const char *message);
/* Serves `number` from now on; the former one retires with this message. -ENOMEM: the
 * record is of no use any more. */
int record_serve(struct record *r, uint64_t number, const char *message);

#endif /* CONTROLLER_CORE_RECORDS_JSON_H */
