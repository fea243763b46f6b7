#include "proto/codec.h"

#include <errno.h>
#include <string.h>

#define HEAD_BYTES 4

int codec_head(uint8_t ret[CODEC_HEAD_MAX], uint64_t seq, uint64_t ack, size_t len)
{
    Mayfly__V1__Envelope numbers = MAYFLY__V1__ENVELOPE__INIT;
    size_t n, total;

    numbers.seq = seq;
    numbers.ack = ack;
    n = mayfly__v1__envelope__pack(&numbers, ret + HEAD_BYTES);
    total = n + len;
    if (total > CODEC_FRAME_MAX) {
        return -EMSGSIZE;
    }
    ret[0] = (uint8_t)(total >> 24);
    ret[1] = (uint8_t)(total >> 16);
    ret[2] = (uint8_t)(total >> 8);
    ret[3] = (uint8_t)total;
    return (int)(HEAD_BYTES + n);
}

int codec_frame(struct buf *out, uint64_t seq, uint64_t ack, const void *body, size_t len)
{
    uint8_t head[CODEC_HEAD_MAX];
    int n = codec_head(head, seq, ack, len);
    int rc = n < 0 ? n : buf_reserve(out, (size_t)n + len);

    rc = rc < 0 ? rc : buf_append(out, head, (size_t)n);
    return rc < 0 ? rc : buf_append(out, body, len);
}

int codec_feed(struct codec_reader *r, const void *data, size_t len)
{
    if (r->taken > 0) {
        buf_consume(&r->in, r->taken);
        r->taken = 0;
    }
    return buf_append(&r->in, data, len);
}

int codec_next(struct codec_reader *r, Mayfly__V1__Envelope **ret)
{
    const uint8_t *at = (const uint8_t *)r->in.data + r->taken;
    size_t left = r->in.len - r->taken, len;

    if (left < HEAD_BYTES) {
        return 0;
    }
    len = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
    if (len > r->max) {
        return -EMSGSIZE;
    }
    if (left < HEAD_BYTES + len) {
        return 0;
    }
    *ret = mayfly__v1__envelope__unpack(NULL, len, at + HEAD_BYTES);
    if (*ret == NULL) {
        return -EBADMSG;
    }
    r->taken += HEAD_BYTES + len;
    return 1;
}

void codec_reader_free(struct codec_reader *r)
{
    buf_free(&r->in);
    r->taken = 0;
}
