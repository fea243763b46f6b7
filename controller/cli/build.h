/* The build command of a function.yaml. */
#ifndef CLI_BUILD_H
#define CLI_BUILD_H

#include "common/buf.h"
#include "common/error.h"

/* Runs a shell command in a folder and waits for it. The last of what it printed, stdout
 * and stderr together, is appended to *output. waiting() is called every second, or NULL.
 * -ECHILD: it failed, with err saying how; -ETIMEDOUT: it was ended after 30 minutes. */
int build_run(const char *folder, const char *command, struct buf *output,
              void (*waiting)(void *data), void *data, struct error *err);

#endif /* CLI_BUILD_H */
