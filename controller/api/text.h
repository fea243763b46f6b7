/* Bytes from anywhere as JSON text. Pure. */
#ifndef CONTROLLER_API_TEXT_H
#define CONTROLLER_API_TEXT_H

#include <jansson.h>
#include <stddef.h>

/* A JSON string; what is not UTF-8 (RFC 3629) becomes U+FFFD, one for each byte. NULL:
 * out of memory. */
json_t *text_json(const char *bytes, size_t len);

#endif /* CONTROLLER_API_TEXT_H */
