/* Growing byte buffer. {0} is an empty one; buf_free() may be called twice. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct buf {
    char *data; /* NUL-terminated whenever non-NULL */
    size_t len;
    size_t capacity;
};

/* All return 0 or -ENOMEM, in which case the buffer is as it was. */
int buf_grow(struct buf *b, size_t extra);
int buf_append_grow(struct buf *b, const void *data, size_t len);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Inline, these three: heads of HTTP messages are made of many small pieces. */

/* Room for `extra` more bytes and a NUL. */
static inline int buf_reserve(struct buf *b, size_t extra)
{
    /* An empty buffer has neither data nor capacity. */
    return extra < b->capacity - b->len ? 0 : buf_grow(b, extra);
}

static inline int buf_append(struct buf *b, const void *data, size_t len)
{
    if (len >= b->capacity - b->len) {
        return buf_append_grow(b, data, len);
    }
    if (len > 0) {
        memcpy(b->data + b->len, data, len);
    }
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

static inline int buf_append_str(struct buf *b, const char *s)
{
    return buf_append(b, s, strlen(s));
}

void buf_consume(struct buf *b, size_t len); /* drops the first len bytes */

/* Inline as well: most of those that a call might have needed hold nothing. */
static inline void buf_free(struct buf *b)
{
    if (b->data != NULL) {
        free(b->data);
        *b = (struct buf){0};
    }
}

#endif /* COMMON_BUF_H */
