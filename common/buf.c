#include "common/buf.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define MIN_CAPACITY 256

int buf_grow(struct buf *b, size_t extra)
{
    size_t need = b->len + extra + 1;
    size_t capacity = b->capacity < MIN_CAPACITY ? MIN_CAPACITY : b->capacity;
    char *grown;

    if (need < extra) {
        return -ENOMEM;
    }
    while (capacity < need) {
        if (capacity > SIZE_MAX / 2) {
            return -ENOMEM;
        }
        capacity *= 2;
    }
    grown = realloc(b->data, capacity);
    if (grown == NULL) {
        return -ENOMEM;
    }
    b->data = grown;
    b->capacity = capacity;
    b->data[b->len] = '\0';
    return 0;
}

int buf_append_grow(struct buf *b, const void *data, size_t len)
{
    int rc = buf_reserve(b, len);

    if (rc < 0) {
        return rc;
    }
    return buf_append(b, data, len);
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    size_t room = b->capacity - b->len;
    va_list ap;
    int len;
    int rc;

    va_start(ap, fmt);
    len = vsnprintf(room > 0 ? b->data + b->len : NULL, room, fmt, ap);
    va_end(ap);
    CHECK(len >= 0);
    if ((size_t)len >= room) { /* once more, with room for it */
        rc = buf_reserve(b, (size_t)len);
        if (rc < 0) {
            if (room > 0) {
                b->data[b->len] = '\0';
            }
            return rc;
        }
        va_start(ap, fmt);
        (void)vsnprintf(b->data + b->len, (size_t)len + 1, fmt, ap);
        va_end(ap);
    }
    b->len += (size_t)len;
    return 0;
}

void buf_consume(struct buf *b, size_t len)
{
    CHECK(len <= b->len);
    if (len == 0) {
        return;
    }
    b->len -= len;
    memmove(b->data, b->data + len, b->len + 1);
}
