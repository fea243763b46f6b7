#include "common/http/head_lines.h"

#include <errno.h>
#include <string.h>

#include "common/http/http.h"

/* NULL: the name is as it must be. */
static const char *name_fault(const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    size_t n = colon != NULL ? (size_t)(colon - line) : len;

    if (*line == ' ' || *line == '\t') {
        return "folded header line";
    }
    if (n == 0) {
        return "header without a name";
    }
    return http_word_valid((struct http_str){line, n}) /* RFC 9112 section 5.1 */
               ? NULL
               : "white space or a control character in a header's name";
}

/* len: up to the LF. */
static const char *fault(const char *line, size_t len, bool header)
{
    if (len == 0 || line[len - 1] != '\r' ||
        !http_text_valid((struct http_str){line, len - 1})) {
        return "NUL, bare CR or bare LF in the head";
    }
    return header && len > 1 ? name_fault(line, len - 1) : NULL;
}

ssize_t head_lines_check(const struct buf *text, size_t *checked, bool headers,
                         const char **ret_reason)
{
    const char *end = text->data + text->len, *line = text->data + *checked, *feed;

    for (; line < end && (feed = memchr(line, '\n', (size_t)(end - line))) != NULL;
         line = feed + 1) {
        size_t len = (size_t)(feed - line);
        const char *reason = fault(line, len, headers || line > text->data);

        if (reason != NULL) {
            *ret_reason = reason;
            return -EPROTO;
        }
        *checked += len + 1;
        if (len == 1) {
            return (ssize_t)*checked;
        }
    }
    return 0;
}
