/* Hub: the controller's end of the stream to every agent.
 *
 * Listens with nng, speaks the framed protocol of proto/, and turns connections into
 * sessions: sequence numbers, acknowledgement, an outbox a node, heartbeats, resume after
 * a reconnect, snapshots. The owner sees nodes, not connections.
 *
 * A new session has no snapshot until the owner asks for it with hub_resync(); the hub
 * asks by itself when an outbox overflowed. After a gap, or when the agent or its session
 * is another, the node leaves and joins again.
 *
 * nng's callbacks run on nng's threads and only enqueue; everything below runs on the
 * loop's thread. */
#ifndef CONTROLLER_HUB_H
#define CONTROLLER_HUB_H

#include <stdbool.h>
#include <uv.h>

#include "common/error.h"
#include "proto/mayfly.pb-c.h"

struct hub;
struct hub_snapshot; /* all there is to know, while it is put together */
struct hub_node;     /* one agent's session; valid from on_join to the end of on_leave */

struct hub_options {
    const char *listen; /* "tcp://0.0.0.0:8091"; port 0 takes a free one */
    const char *controller_name;
    const char *packages_url;
    const char *token;      /* NULL: any agent may join */
    uint32_t heartbeat_ms;  /* default 2000; silence for three of them ends the session */
    uint32_t resume_ms;     /* a lost connection may resume for so long; default 10 s */
    uint32_t grants_ttl_ms; /* told to agents (Welcome); 0: their default */
    uint32_t outbox_max;    /* messages kept unacknowledged a node; over it: snapshot */
    uint32_t nodes_max;     /* default 5000 */
    uint32_t slice_us;      /* of telling all, then others are heard; default 500 */
    /* A node came (hello is valid during the call). It may be sent to from now on. */
    void (*on_join)(void *data, struct hub_node *n, const Mayfly__V1__Hello *hello);
    /* Add everything a node must know by hub_snapshot_add() before returning; whatever
     * the node is, it is the same. The hub keeps it for those who ask next, and brings it
     * up to date itself with what is sent meanwhile. Called from the loop, never from
     * within a call of this interface. */
    void (*on_snapshot)(void *data, struct hub_snapshot *s);
    void (*on_message)(void *data, struct hub_node *n, const Mayfly__V1__Envelope *m);
    /* The session is over and cannot resume; reason is for people. */
    void (*on_leave)(void *data, struct hub_node *n, const char *reason);
    void *data;
};

int hub_new(struct hub **ret, uv_loop_t *loop, const struct hub_options *options,
            struct error *err);
uint16_t hub_port(const struct hub *h);
/* Closes everything; on_leave is not called; hub is freed before on_closed. */
void hub_close(struct hub *h, void (*on_closed)(void *data), void *data);

/* False: agents that say hello are told to come back later. At first true. */
void hub_set_accepting(struct hub *h, bool accepting);

/* The node shall get a snapshot: on_snapshot follows as soon as what waits for the node
 * is on the wire. Until then state sent to it is dropped, since the snapshot brings it.
 */
void hub_resync(struct hub *h, struct hub_node *n);

int hub_snapshot_add(struct hub_snapshot *s, const Mayfly__V1__Envelope *m);
/* It is not whole (no memory): it is put together anew a little later. */
void hub_snapshot_fail(struct hub_snapshot *s);

/* Queues a copy. A FunctionState or NodeState replaces an older one of the same key that
 * was not yet put on the wire. Never blocks; on outbox overflow the node gets a snapshot.
 */
int hub_send(struct hub *h, struct hub_node *n, const Mayfly__V1__Envelope *m);
/* To all nodes, at the end of the loop's turn or (with thousands of nodes) up to 50 ms
 * later: packed once, together with what else is said to all. An older state never comes
 * after a newer one, whichever way they were sent. */
void hub_broadcast(struct hub *h, const Mayfly__V1__Envelope *m);

struct hub_node *hub_find(const struct hub *h, const char *name); /* or NULL */
void hub_each(struct hub *h, void (*each)(void *data, struct hub_node *n), void *data);

const char *hub_node_name(const struct hub_node *n);
void hub_node_set_data(struct hub_node *n, void *data);
void *hub_node_data(const struct hub_node *n);

#endif /* CONTROLLER_HUB_H */
