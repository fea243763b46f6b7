/* deploy --canary: what is asked for, and how it goes. */
#ifndef CLI_CANARY_H
#define CLI_CANARY_H

#include <jansson.h>

#include "controller/cli/cli.h"

/* --canary, --steps and what belongs to them, as the API has it; *ret NULL: none was
 * given. An exit code, said. */
int canary_read(const struct cli *c, json_t **ret);
/* Says each step, until the rollout of the version is over. An exit code, said. path: of
 * the function in the API. */
int canary_wait(const struct cli *c, const char *what, const char *path, int64_t version);
/* "running: version 4 gets 25 % …", one line for people. */
void canary_say(const struct cli *c, const json_t *rollout);

#endif /* CLI_CANARY_H */
