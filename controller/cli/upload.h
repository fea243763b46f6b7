/* Sending a package to the controller, once. */
#ifndef CLI_UPLOAD_H
#define CLI_UPLOAD_H

#include "controller/cli/cli.h"
#include "controller/cli/source.h"
#include "controller/cli/term.h"

/* EXIT_CODE_OK, also when the controller has it already; else the error, beginning with
 * "cannot WHAT", was printed. */
int upload_package(struct cli *c, const char *what, const struct source *s,
                   struct progress *progress);

#endif /* CLI_UPLOAD_H */
