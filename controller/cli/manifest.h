/* function.yaml: what a folder says about its function.
 *
 *     name: thumbnail         # default: the folder's name
 *     build: make             # shell command, run in the folder before it is packed
 *     runtime: exec           # and every other setting of a spec (common/spec.h), the
 *     memory: 128Mi           # numbers under their key or their flag's name
 *     env: {QUALITY: "80"} */
#ifndef CLI_MANIFEST_H
#define CLI_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/spec.h"

#define MANIFEST_FILE "function.yaml"

struct manifest {
    char *name;       /* or NULL */
    char *build;      /* or NULL */
    bool has_runtime; /* otherwise spec->runtime is only the default */
};

/* Reads text into *ret and *spec. What is wrong is refused with "file:line: key: …" and
 * the nearest key; *spec may then have been changed in part. file is what errors begin
 * with. */
int manifest_parse(struct manifest *ret, struct function_spec *spec, const char *file,
                   const char *text, size_t len, struct error *err);
void manifest_free(struct manifest *m);

#endif /* CLI_MANIFEST_H */
