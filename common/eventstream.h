/* Event streams: the frames of application/vnd.amazon.eventstream. Pure.
 *
 *     u32 total | u32 headers | u32 CRC-32 of these 8 | headers | payload | u32 CRC-32
 *     header: u8 length, name, u8 7 (a string), u16 length, value       big-endian */
#ifndef COMMON_EVENTSTREAM_H
#define COMMON_EVENTSTREAM_H

#include <stddef.h>

#include "common/buf.h"

#define EVENTSTREAM_TYPE        "application/vnd.amazon.eventstream"
#define EVENTSTREAM_PAYLOAD_MAX (256 * 1024) /* that we put in a frame */

struct eventstream_header {
    const char *name;  /* at most 255 bytes */
    const char *value; /* at most 64 KiB */
};

/* Appends one frame. -EMSGSIZE, -ENOMEM. */
int eventstream_add(struct buf *b, const struct eventstream_header *headers, size_t n,
                    const void *payload, size_t len);
/* One of type "event": its kind (":event-type") and its payload's type. */
int eventstream_add_event(struct buf *b, const char *kind, const char *content_type,
                          const void *payload, size_t len);

#endif /* COMMON_EVENTSTREAM_H */
