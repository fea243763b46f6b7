/* The hub's insides: sessions and who may join (hub.c), the nodes by name (hub_nodes.c),
 * what goes out to one (hub_out.c) and to all (hub_round.c), and all that a new session
 * must know (hub_snapshot.c). */
#ifndef CONTROLLER_HUB_PRIVATE_H
#define CONTROLLER_HUB_PRIVATE_H

#include "common/list.h"
#include "controller/hub/hub.h"
#include "proto/codec.h"
#include "proto/session.h"
#include "proto/wire_stream.h"

#define SESSION_ID_LEN 32
#define NODE_NAME_MAX  63

/* A connection: nameless until its hello. */
struct hub_conn {
    struct list link;
    struct hub *hub;
    struct wire_conn *wire;
    struct hub_node *node;
    struct codec_reader reader;
    uint64_t heard_ms;
    uint64_t said_ms;
    bool closing;
};

struct hub_node {
    struct list link;
    struct list waits;  /* in hub.waiting, while it wants a snapshot */
    struct list untold; /* in hub.round.untold, until it is told what all are */
    struct hub_node *next_same_hash;
    struct hub *hub;
    struct hub_conn *conn; /* NULL: lost, may resume until resume_until_ms */
    struct session session;
    char name[NODE_NAME_MAX + 1];
    char boot[SESSION_ID_LEN + 1];
    char id[SESSION_ID_LEN + 1];
    uint64_t resume_until_ms;
    uint64_t acked_ours; /* what we have last acknowledged */
    bool wants_snapshot; /* state is not queued: the snapshot will bring it */
    bool in_snapshot;
    bool takes_batches;
    bool has_slot; /* one of SNAPSHOT_SLOTS, since slot_ms */
    uint64_t slot_ms;
    bool broken; /* its session cannot be resumed: messages were dropped */
    void *data;
};

/* A snapshot's content, packed once: batches, and what does not fit into one. */
struct hub_snapshot {
    struct session_body **bodies;
    bool *is_batch;
    size_t n, capacity;
    size_t n_states;
    struct buf open; /* the batch that is being filled */
    bool failed;
    bool ready;           /* bodies and `since` together are all there is to know */
    struct session since; /* newest by key of what was sent since; never numbered */
};

/* What is said to all (hub_round.c). */
struct hub_round {
    struct session said[2]; /* newest by key, never numbered: gathered, and being told */
    unsigned gathering;     /* which of them is which */
    struct session_body **batches;
    size_t n_batches, capacity;
    bool in_batches; /* they have all that is being told */
    bool under_way;
    struct list untold; /* nodes */
    uint64_t took_ns;
    uint64_t next_ns; /* the next one begins no sooner */
};

struct hub {
    uv_loop_t *loop;
    struct hub_options options;
    char *strings[4];
    struct wire *wire;
    struct wire_listener *listener;
    struct list conns;
    size_t n_conns;
    struct list nodes;
    size_t n_nodes;
    struct hub_node **by_name; /* chains */
    size_t n_chains;           /* a power of two */
    struct list waiting;       /* nodes that want a snapshot */
    unsigned n_slots;          /* taken */
    struct hub_snapshot snapshot;
    struct hub_node *speaker; /* whose message the owner is taking just now, or NULL */
    struct hub_round round;
    uv_prepare_t turn; /* a slice of a round */
    uv_timer_t again;  /* wakes the loop for the next turn */
    uint64_t revision; /* of snapshots */
    uv_timer_t tick;
    uv_timer_t later; /* snapshots are made from the loop, never from within a call */
    unsigned open_handles;
    unsigned ticks;
    bool refusing; /* hub_set_accepting(false) */
    bool closing;
    void (*on_closed)(void *data);
    void *closed_data;
};

/* Ends the connection; the rest follows in its on_close. */
void hub_conn_close(struct hub_conn *c);
/* Not numbered: hello's answers and heartbeats. */
void hub_conn_send_plain(struct hub_conn *c, const Mayfly__V1__Envelope *m);
/* Puts on the wire what fits, and sees whether a snapshot can begin. */
void hub_node_pump(struct hub_node *n);
#define HUB_WIRE_PENDING_MAX \
    (128 * 1024) /* more stays in the outbox, where it can be replaced */
/* An item for this node; key "": nothing replaces it. Ends a node that has no room. */
int hub_queue(struct hub_node *n, const char *key, struct session_body *body);
int hub_queue_batch(struct hub_node *n, struct session_body *batch);

/* hub_round.c */
void hub_round_init(struct hub *h);
void hub_round_free(struct hub *h);
/* At the end of each turn of the loop: a slice of the round, if there is one. Returns
 * when the next turn should be: in so many milliseconds, UINT64_MAX for whenever. */
uint64_t hub_round_turn(struct hub *h);
void hub_flush(struct hub *h); /* all are told all, now */
/* Before a state goes to this node alone: nothing older may follow it. */
void hub_round_precede(struct hub_node *n, const char *key, struct session_body *body);

/* hub_snapshot.c */
#define SNAPSHOT_KEY                                                  \
    "snapshot" /* of its end, while that waits; no state has this key \
                */
void hub_later_cb(uv_timer_t *timer); /* makes the snapshots that can begin */
void hub_snapshot_want(struct hub_node *n);
void hub_snapshot_later(struct hub_node *n); /* looks whether it can begin */
void hub_snapshot_note(struct hub *h, const char *key, struct session_body *body);
void hub_snapshot_drop(struct hub_snapshot *s);
/* The node's snapshot is on the wire, is too slow to keep others waiting, or is gone. */
void hub_slot_release(struct hub_node *n);
void hub_slot_tick(struct hub_node *n, uint64_t now_ms);

/* hub_nodes.c */
int hub_nodes_init(struct hub *h); /* -ENOMEM */
void hub_nodes_add(struct hub *h, struct hub_node *n);
void hub_nodes_remove(struct hub_node *n);

#endif /* CONTROLLER_HUB_PRIVATE_H */
