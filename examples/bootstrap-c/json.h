/* As much of JSON (RFC 8259) as this function needs. */
#ifndef JSON_H
#define JSON_H

#include <stddef.h>

/* Finds the string `key` in the object that text is; the last one if it is there twice.
 * *ret points to its characters between the quotes, as they are written: escapes and all,
 * ready to be put into other JSON. 1: found, 0: valid JSON without it, -1: not JSON. */
int json_find_string(const char *text, size_t len, const char *key, const char **ret,
                     size_t *ret_len);

#endif
