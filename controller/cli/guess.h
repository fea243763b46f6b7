/* How a package is run, told from what is in it. */
#ifndef CLI_GUESS_H
#define CLI_GUESS_H

#include <stdbool.h>

#include "common/error.h"
#include "common/spec.h"

struct guess {
    enum spec_runtime runtime;
    char handler[256]; /* a folder's only program; else "" */
    const char *why;
};

/* A bootstrap is run as provided; a file that is a program, or the only one of a folder,
 * as exec. has_handler: the program is named, so that no other is looked for. -EINVAL: it
 * cannot be told, and err says why. */
int guess_runtime(struct guess *ret, const char *path, bool is_folder,
                  enum spec_format format, bool has_handler, struct error *err);

#endif /* CLI_GUESS_H */
