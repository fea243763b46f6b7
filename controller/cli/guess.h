/* How a package is run, told from what is in it. */
#ifndef CLI_GUESS_H
#define CLI_GUESS_H

#include <stdbool.h>

#include "common/error.h"
#include "common/spec.h"

struct guess {
    enum spec_runtime runtime;
    char handler[256]; /* a folder's only program, a module's function; else "" */
    const char *why;
};

struct guess_source {
    const char *path;
    bool is_folder;
    enum spec_format format; /* of what is no folder */
    const char *handler;     /* as given: no other is looked for; or NULL */
    int runtime;             /* as given: only a handler for it is looked for; or -1 */
};

/* A bootstrap is run as provided; app.py or index.js and the like with a handler as
 * python or node; a file that is a program, or the only one of a folder, as exec.
 * -EINVAL: it cannot be told, and err says why. */
int guess_runtime(struct guess *ret, const struct guess_source *source,
                  struct error *err);

#endif /* CLI_GUESS_H */
