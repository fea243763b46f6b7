/* The lines of a head or of trailers, before a parser sees them: what one lets pass but
 * another might read differently is refused here. Each line ends with CRLF, none is
 * folded, there is no NUL, and a header's name is without white space or control
 * characters. */
#ifndef COMMON_HTTP_HEAD_LINES_H
#define COMMON_HTTP_HEAD_LINES_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/buf.h"

/* Looks at those lines of `text` that are whole, from *checked on, which is moved behind
 * them. headers: the first line is one as well, not a request or status line. Returns the
 * length up to and with the empty line; 0: that is yet to come; -EPROTO: *ret_reason says
 * why. */
ssize_t head_lines_check(const struct buf *text, size_t *checked, bool headers,
                         const char **ret_reason);

#endif /* COMMON_HTTP_HEAD_LINES_H */
