/* Help and man pages from the table of verbs. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stdio.h>

#include "controller/cli/args.h"

void help_overview(FILE *out, const struct verb_table *t);
void help_verb(FILE *out, const struct verb *v, size_t width);
/* roff; v NULL: the page mayfly(1). */
void help_man(FILE *out, const struct verb_table *t, const struct verb *v);

#endif /* CLI_HELP_H */
