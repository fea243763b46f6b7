/* The canonical forms that Signature Version 4 is made over. Pure. */
#ifndef COMMON_SIGV4_TEXT_H
#define COMMON_SIGV4_TEXT_H

#include "common/buf.h"
#include "common/sigv4.h"

/* Each appends to b. -EINVAL (text says why), -ENOMEM. */
int sigv4_add_path(struct buf *b, struct sigv4_str path);
int sigv4_add_query(struct buf *b, struct sigv4_str query, char text[SIGV4_TEXT_MAX]);
/* "name:value\n" of every header that `names` ("a;b;c") lists. */
int sigv4_add_headers(struct buf *b, const struct sigv4_request *r, const char *names,
                      char text[SIGV4_TEXT_MAX]);

/* The first header of this name (lower case), or NULL. */
const struct sigv4_header *sigv4_find(const struct sigv4_request *r, const char *name);

#endif /* COMMON_SIGV4_TEXT_H */
