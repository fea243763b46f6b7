/* One end of a session: what is sent is numbered, kept until the other side has it, and
 * sent again after a reconnect. Pure: no sockets, no clock.
 *
 *     session_queue ──▶ [unsent] ──session_next──▶ [on the wire] ──session_ack──▶ gone
 *                          ▲                             │
 *                          └────────session_resume───────┘
 */
#ifndef PROTO_SESSION_H
#define PROTO_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/list.h"

/* A packed Envelope without numbers, shared by the outboxes that hold it. */
struct session_body {
    unsigned refs;
    size_t len;
    uint8_t data[];
};

struct session_body *session_body_new(size_t len); /* refs 1; NULL: out of memory */
struct session_body *session_body_ref(struct session_body *b);
void session_body_unref(struct session_body *b);

struct session_item {
    struct list node;
    struct session_item *next_same_hash;
    uint64_t seq; /* 0: has no number yet */
    struct session_body *body;
    char key[]; /* "" for none */
};

#define SESSION_BUCKETS 256

struct session {
    struct list sent;   /* numbered, not acknowledged, oldest first */
    struct list unsent; /* to go out, oldest first; those after a resume have numbers */
    struct session_item
        *keys[SESSION_BUCKETS]; /* unsent and unnumbered ones with a key */
    size_t n_items;
    size_t items_max;  /* 0: no limit */
    uint64_t last_seq; /* given last */
    uint64_t acked;    /* by the other side */
    uint64_t received; /* of the other side's, in order */
};

void session_init(struct session *s, size_t items_max);
void session_reset(struct session *s); /* a new session: nothing queued, numbers from 1 */

/* Takes its own reference. An unsent item of the same key is replaced in its place.
 * -ENOBUFS: items_max is reached. -ENOMEM. */
int session_queue(struct session *s, const char *key, struct session_body *body);

/* What is queued from now on replaces nothing that was queued before: a message that must
 * stand behind another (a snapshot's beginning) would otherwise be moved in front of it.
 */
void session_barrier(struct session *s);

/* Drops the keyed items that have no number yet: something will make up for them. If one
 * with the key `after` is among them, only those queued after it. */
void session_drop_unsent_keys(struct session *s, const char *after);
/* An item with this key waits and has no number yet. */
bool session_has_unsent(const struct session *s, const char *key);

/* The next to put on the wire, numbered, or NULL. It stays the session's. */
const struct session_item *session_next(struct session *s);

/* The other side has all up to seq. -EPROTO: it was never sent that. */
int session_ack(struct session *s, uint64_t seq);

/* After a reconnect: what the other side lacks goes out again under its old numbers.
 * -ESTALE: it lacks what is no longer kept, so that a new session is needed. */
int session_resume(struct session *s, uint64_t peer_received);

/* A numbered message came. 1: take it; 0: seen already; -EPROTO: one is missing. */
int session_receive(struct session *s, uint64_t seq);

#endif /* PROTO_SESSION_H */
