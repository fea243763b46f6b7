/* Clean: text from outside, made fit for JSON and for one line on a screen. */
#ifndef CONTROLLER_CORE_CLEAN_H
#define CONTROLLER_CORE_CLEAN_H

#include <stddef.h>

/* Copies what fits into dst (size > 0, always NUL-terminated). Bytes that are not UTF-8,
 * and control characters, become '?'; a character is never cut in two. src may be NULL.
 */
void clean_text(char *dst, size_t size, const char *src);

#endif /* CONTROLLER_CORE_CLEAN_H */
