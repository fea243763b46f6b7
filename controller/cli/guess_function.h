/* Whether a source file has a function that a runtime of ours can call: told from its
 * name and from the lines that define or export it. */
#ifndef CLI_GUESS_FUNCTION_H
#define CLI_GUESS_FUNCTION_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/cli/guess.h"

#define GUESS_TEXT_MAX (256 * 1024) /* of a file is looked at */

/* The better of two names has the lower rank: lambda_function.py, index.js, app.py … -1:
 * the file's name tells that there is none, whatever is in it. */
int guess_function_rank(const char *file);
/* Fills in runtime, handler and why if the text has a function with a usual name. */
bool guess_function_in(struct guess *g, const char *file, const char *text, size_t len);
/* Whether the function "folder/module.function" would be in that file; fills in its
 * runtime. */
bool guess_function_is(struct guess *g, const char *file, const char *handler);
/* Where it may be, by suffix: 0, 1 … until false. */
bool guess_function_file(const char *handler, size_t i, char *ret, size_t size);

#endif /* CLI_GUESS_FUNCTION_H */
