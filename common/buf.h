/* Growing byte buffer. {0} is an empty one; buf_free() may be called twice. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct buf {
    char *data; /* NUL-terminated whenever non-NULL */
    size_t len;
    size_t capacity;
};

/* All return 0 or -ENOMEM, in which case the buffer is as it was. */
int buf_reserve(struct buf *b, size_t extra); /* room for `extra` more bytes and a NUL */
int buf_append(struct buf *b, const void *data, size_t len);
int buf_append_str(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void buf_consume(struct buf *b, size_t len); /* drops the first len bytes */
void buf_free(struct buf *b);

#endif /* COMMON_BUF_H */
