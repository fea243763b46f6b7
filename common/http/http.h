/* HTTP/1.x shapes that server and client share. Parsing is llhttp's, without any of its
 * lenient flags; what is ambiguous (two Content-Length, Content-Length with chunked,
 * bare LF, obs-fold, bad Host) is refused with 400 and the connection is closed: RFC 9112
 * sections 6.3 and 11.2.
 *
 * Slices handed to callbacks are valid until the callback returns unless said otherwise.
 */
#ifndef COMMON_HTTP_HTTP_H
#define COMMON_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct buf;

struct http_str {
    const char *at; /* not NUL-terminated */
    size_t len;
};

struct http_header {
    struct http_str name;  /* as received */
    struct http_str value; /* without surrounding white space */
};

struct http_headers {
    const struct http_header *list;
    size_t n;
};

/* Servers and clients of one loop may share what they read into: nothing is kept there
 * from one event to the next. */
#define HTTP_SCRATCH_BYTES (64 * 1024)

/* Message framing for what we send. */
#define HTTP_BODY_CHUNKED UINT64_MAX /* length unknown: chunked (close for HTTP/1.0) */

#define HTTP_STR(lit) ((struct http_str){(lit), sizeof(lit) - 1})

/* s may be NULL: empty. Inline: of a literal the length is known. */
static inline struct http_str http_str(const char *s)
{
    return (struct http_str){s, s != NULL ? strlen(s) : 0};
}

char *http_str_dup(struct http_str s); /* NULL when out of memory */

/* Inline: against a literal it is mostly a comparison of two lengths. */
static inline bool http_str_eq(struct http_str a, const char *b) /* exact */
{
    size_t len = strlen(b);

    return a.len == len && memcmp(a.at, b, len) == 0;
}

/* ASCII case ignored. The first letters tell most strings of one length apart; `b` begins
 * with one. */
static inline bool http_str_ieq(struct http_str a, const char *b)
{
    size_t len = strlen(b);

    return a.len == len && ((a.at[0] ^ b[0]) & ~0x20) == 0 &&
           strncasecmp(a.at, b, len) == 0;
}

/* What we send: a value has no CR, LF or NUL; a name, a method or a target is not empty
 * either, and has no white space or other control characters. */
bool http_text_valid(struct http_str s);
bool http_word_valid(struct http_str s);

/* First header of that name, or NULL; names compare case-insensitively. */
static inline const struct http_header *http_headers_find(struct http_headers h,
                                                          const char *name)
{
    for (size_t i = 0; i < h.n; i++) {
        if (http_str_ieq(h.list[i].name, name)) {
            return &h.list[i];
        }
    }
    return NULL;
}

/* As a line of a head. 0; -EINVAL: its name or its value may not be sent; -ENOMEM. With
 * an error `b` is as it was. */
int http_header_append(struct buf *b, const struct http_header *h);

/* True if the header is connection-level and must not be forwarded by a proxy (RFC 9110
 * section 7.6.1): Connection, Keep-Alive, TE, Trailer, Transfer-Encoding, Upgrade,
 * Proxy-*, and Content-Length and Expect, which we send ourselves. `connection` is the
 * message's Connection header value (or empty): headers that it names count as well. */
bool http_header_is_hop(struct http_str name, struct http_str connection);

/* Is `token` one of the comma-separated words of `list`? ASCII case is ignored. */
bool http_token_listed(struct http_str list, struct http_str token);

/* The protocol that a request asks to switch to, or that a 101 switches to: the value of
 * its one Upgrade header, if Connection names that header; else empty. Empty as well for
 * what is HTTP or TLS again ("h2c", "HTTP/2.0", "TLS/1.2"): requests within it would pass
 * by whoever looks at headers. RFC 9110 section 7.8 lets a server overlook an Upgrade. */
struct http_str http_headers_upgrade(struct http_headers headers);

const char *http_status_reason(int status); /* "Not Found"; "" if not known */

#endif /* COMMON_HTTP_HTTP_H */
