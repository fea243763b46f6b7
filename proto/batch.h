/* Batches: states that were packed one by one, put into one frame without packing them
 * again. To whoever takes it, a batch is its states, one after the other. */
#ifndef PROTO_BATCH_H
#define PROTO_BATCH_H

#include "common/buf.h"
#include "proto/mayfly.pb-c.h"
#include "proto/session.h"

/* A batch that has this much is full; a state alone may have more. */
#define BATCH_BYTES (64u * 1024)
/* What a deflated one may have. */
#define BATCH_INFLATED_MAX (4 * BATCH_BYTES)

bool batch_takes(const Mayfly__V1__Envelope *m); /* State has a field for it */

/* Adds a packed message that batch_takes(); 0 or -ENOMEM. */
int batch_add(struct buf *states, const struct session_body *state);
/* What was added, as the body of one frame. NULL: out of memory. */
struct session_body *batch_body(const struct buf *states);
/* The same in about a tenth of the bytes: for what many get. */
struct session_body *batch_body_deflated(const struct buf *states);

/* The states of a batch_body() as bodies of frames of their own, for a peer that takes no
 * batches. each() returns 0 to go on; what it returned last, or -ENOMEM. */
int batch_split(const struct session_body *batch,
                int (*each)(void *data, struct session_body *state), void *data);

/* Calls on() for each state as if it had come alone. -EPROTO: what is deflated is no
 * batch, or larger than BATCH_INFLATED_MAX. -ENOMEM. */
int batch_each(const Mayfly__V1__Batch *batch,
               void (*on)(void *data, const Mayfly__V1__Envelope *m), void *data);

#endif /* PROTO_BATCH_H */
