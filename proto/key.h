/* Which messages replace which in an outbox: state is keyed, events are not. */
#ifndef PROTO_KEY_H
#define PROTO_KEY_H

#include "proto/mayfly.pb-c.h"
#include "proto/session.h"

#define WIRE_KEY_MAX 160

/* "" for messages that nothing replaces. */
void wire_key(const Mayfly__V1__Envelope *m, char ret[WIRE_KEY_MAX]);

/* Packs without numbers. NULL: out of memory, or too large for a frame. */
struct session_body *wire_body(const Mayfly__V1__Envelope *m);

#endif /* PROTO_KEY_H */
