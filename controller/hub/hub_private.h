/* The hub's insides: sessions and who may join (hub.c), what goes out (hub_out.c). */
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
    bool broken; /* its session cannot be resumed: messages were dropped */
    void *data;
};

struct hub {
    uv_loop_t *loop;
    struct hub_options options;
    char *strings[4];
    struct wire *wire;
    struct wire_listener *listener;
    struct list conns;
    struct list nodes;
    size_t n_nodes;
    uint64_t revision; /* of snapshots */
    uv_timer_t tick;
    uv_timer_t later; /* snapshots are made from the loop, never from within a call */
    unsigned open_timers;
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
void hub_later_cb(uv_timer_t *timer); /* makes the snapshots that can begin */

#endif /* CONTROLLER_HUB_PRIVATE_H */
