/* Printing what the REST API answered, in the format that -o names. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <jansson.h>
#include <stdint.h>

#include "controller/cli/cli.h"
#include "controller/cli/table.h"

/* -o json or yaml, or -o name of an object that has one: prints it and returns true; the
 * exit code is in *ret. */
bool print_data(const struct cli *c, const json_t *json, int *ret);

/* A list: as data, as names (-o name: member "name" of each item), or as the table that
 * fill() makes, a row an item. empty: what to say on stderr when there are none. */
int print_list(const struct cli *c, const json_t *json,
               const struct table_column *columns, size_t n_columns,
               void (*fill)(struct table *t, const json_t *item), const char *empty);

/* Short forms for people. */
#define PRINT_SHORT 32
const char *print_bytes(uint64_t bytes, char ret[PRINT_SHORT]); /* "1.5 MiB" */
const char *print_duration(uint64_t ms, char ret[PRINT_SHORT]); /* "350 ms", "3 h" */
/* Since an RFC 3339 time of the API; "-" if it is none. */
const char *print_age(const char *rfc3339, char ret[PRINT_SHORT]);

/* An RFC 3339 time as the local time of day, on stdout; "?" if it is none. */
void print_time_of_day(const char *rfc3339);

/* Members of an object with a default. */
const char *json_text(const json_t *object, const char *key, const char *dflt);
int64_t json_number(const json_t *object, const char *key);

#endif /* CLI_PRINT_H */
