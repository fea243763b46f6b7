/* Frames: a 4-byte big-endian length, then that many bytes of one packed Envelope. */
#ifndef PROTO_CODEC_H
#define PROTO_CODEC_H

#include "common/buf.h"
#include "proto/mayfly.pb-c.h"

#define CODEC_FRAME_MAX (4u * 1024 * 1024)
#define CODEC_HELLO_MAX (64u * 1024) /* until the peer is known */

/* Appends a frame. seq and ack are given apart, so that a body packed once can go out
 * under many numbers: in protobuf's encoding, concatenation merges. body is an Envelope
 * packed without them. 0, -ENOMEM or -EMSGSIZE. */
int codec_frame(struct buf *out, uint64_t seq, uint64_t ack, const void *body,
                size_t len);

/* What comes before a body of len bytes in its frame; returns its length, or -EMSGSIZE.
 */
#define CODEC_HEAD_MAX 32 /* the length, and two varints with their tags: 26 at most */
int codec_head(uint8_t ret[CODEC_HEAD_MAX], uint64_t seq, uint64_t ack, size_t len);

/* Takes frames out of a stream of bytes. {.max = CODEC_HELLO_MAX} is a new one. */
struct codec_reader {
    struct buf in;
    size_t taken; /* bytes of `in` already given out */
    size_t max;
};

int codec_feed(struct codec_reader *r, const void *data, size_t len); /* 0 or -ENOMEM */
/* 1: *ret is a message, to be freed with mayfly__v1__envelope__free_unpacked(m, NULL);
 * 0: more bytes are needed; -EMSGSIZE: a frame over max; -EBADMSG: not an Envelope. */
int codec_next(struct codec_reader *r, Mayfly__V1__Envelope **ret);
void codec_reader_free(struct codec_reader *r);

#endif /* PROTO_CODEC_H */
