#include "common/eventstream.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#define PRELUDE 12
#define STRING  7

static void put32(unsigned char *at, uint32_t n)
{
    at[0] = (unsigned char)(n >> 24);
    at[1] = (unsigned char)(n >> 16);
    at[2] = (unsigned char)(n >> 8);
    at[3] = (unsigned char)n;
}

static uint32_t crc(const void *data, size_t len)
{
    return (uint32_t)crc32(0, data, (uInt)len);
}

static int add_header(struct buf *b, const struct eventstream_header *h)
{
    size_t name = strlen(h->name), value = strlen(h->value);
    unsigned char lengths[4] = {(unsigned char)name, STRING, (unsigned char)(value >> 8),
                                (unsigned char)value};
    int rc;

    if (name == 0 || name > UINT8_MAX || value > UINT16_MAX) {
        return -EMSGSIZE;
    }
    rc = buf_append(b, &lengths[0], 1);
    rc = rc < 0 ? rc : buf_append(b, h->name, name);
    rc = rc < 0 ? rc : buf_append(b, &lengths[1], 3);
    return rc < 0 ? rc : buf_append(b, h->value, value);
}

int eventstream_add(struct buf *b, const struct eventstream_header *headers, size_t n,
                    const void *payload, size_t len)
{
    unsigned char prelude[PRELUDE] = {0}, sum[4];
    struct buf frame = {0};
    size_t headers_len;
    int rc = len <= EVENTSTREAM_PAYLOAD_MAX ? 0 : -EMSGSIZE;

    rc = rc < 0 ? rc : buf_append(&frame, prelude, sizeof(prelude));
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = add_header(&frame, &headers[i]);
    }
    headers_len = frame.len - (rc == 0 ? PRELUDE : 0);
    rc = rc < 0 || len == 0 ? rc : buf_append(&frame, payload, len);
    if (rc == 0) {
        put32(prelude, (uint32_t)(frame.len + 4));
        put32(prelude + 4, (uint32_t)headers_len);
        put32(prelude + 8, crc(prelude, 8));
        memcpy(frame.data, prelude, sizeof(prelude));
        put32(sum, crc(frame.data, frame.len));
        rc = buf_append(&frame, sum, sizeof(sum));
    }
    rc = rc < 0 ? rc : buf_append(b, frame.data, frame.len);
    buf_free(&frame);
    return rc;
}

int eventstream_add_event(struct buf *b, const char *kind, const char *content_type,
                          const void *payload, size_t len)
{
    const struct eventstream_header headers[] = {
        {":message-type", "event"},
        {":event-type", kind},
        {":content-type", content_type},
    };

    return eventstream_add(b, headers, 3, payload, len);
}
