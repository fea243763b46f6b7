/* Bash completion from the table of verbs. */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include <stdio.h>

#include "controller/cli/args.h"

void completion_bash(FILE *out, const struct verb_table *t);

#endif /* CLI_COMPLETION_H */
