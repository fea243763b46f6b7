/* What `mayfly deploy PATH` sends: spec and package, made from a folder, an archive or
 * one file, the function.yaml of a folder, and the command line's flags, which win. */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include <stdbool.h>

#include "common/spec.h"
#include "controller/cli/cli.h"
#include "controller/cli/term.h"

struct source {
    char *name;
    struct function_spec spec;
    struct package_ref package;
    char *file; /* what is to be sent: package.bytes bytes */

    /* private */
    int fd; /* of a packed folder; or -1 */
    bool has_runtime;
    bool is_folder;
    char *build;
    const char *path; /* as given */
};

/* EXIT_CODE_OK, or another after the error was printed. To be closed either way. Runs the
 * build command, packs, and refuses what the controller would refuse. */
int source_open(struct source *s, const struct cli *c, const char *path,
                struct progress *progress);
/* The same for a layer of that name: settings are neither read nor guessed. */
int source_open_layer(struct source *s, const struct cli *c, const char *name,
                      const char *path, struct progress *progress);
void source_close(struct source *s);

/* The name that a path stands for: "/x/My_Thing.tar.gz" → "my-thing". false: none can be
 * made of it. path is absolute. */
bool source_name_of(const char *path, char ret[SPEC_NAME_MAX + 1]);

#endif /* CLI_SOURCE_H */
