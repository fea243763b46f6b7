/* Lists of the REST API, which come in pages. */
#ifndef CLI_LISTING_H
#define CLI_LISTING_H

#include <jansson.h>
#include <stdint.h>

#include "controller/cli/cli.h"
#include "controller/cli/table.h"

/* All pages of a list as one {"items": […]}; with a limit the first so many, and "next"
 * where there are more. Else as rest_call(). path has no query. */
int listing_get(const struct cli *c, const char *what, uint64_t limit, json_t **ret_json,
                const char *path, ...) __attribute__((format(printf, 5, 6)));

struct listing {
    const char *what; /* for errors: "list functions" */
    const struct table_column *columns;
    size_t n_columns;
    void (*row)(struct table *t, const json_t *item);
    const char *empty; /* what to say when there are none */
    uint64_t limit;    /* 0: all */
};

/* Prints a list as print_list(); names as their pages come. Returns the exit code. */
int listing_print(const struct cli *c, const struct listing *l, const char *path, ...)
    __attribute__((format(printf, 3, 4)));

#endif /* CLI_LISTING_H */
