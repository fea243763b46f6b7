/* Growing byte buffer. {0} is an empty one; buf_free() may be called twice. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <string.h>

struct buf {
    char *data; /* NUL-terminated whenever non-NULL */
    size_t len;
    size_t capacity;
};

/* All return 0 or -ENOMEM, in which case the buffer is as it was. */
int buf_reserve(struct buf *b, size_t extra); /* room for `extra` more bytes and a NUL */
int buf_append_grow(struct buf *b, const void *data, size_t len);
int buf_append_str(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Inline: heads of HTTP messages are made of many small pieces. */
static inline int buf_append(struct buf *b, const void *data, size_t len)
{
    if (len >= b->capacity - b->len) { /* an empty buffer has neither data nor capacity */
        return buf_append_grow(b, data, len);
    }
    if (len > 0) {
        memcpy(b->data + b->len, data, len);
    }
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

void buf_consume(struct buf *b, size_t len); /* drops the first len bytes */
void buf_free(struct buf *b);

#endif /* COMMON_BUF_H */
