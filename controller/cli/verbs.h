/* The table of verbs: what `mayfly` can do, said once. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include "controller/cli/args.h"

extern const struct verb_table cli_verbs;

#endif /* CLI_VERBS_H */
