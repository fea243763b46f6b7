/* The other agents' gateways: for each a pool of connections.
 *
 * A gateway is named "host:port" as its agent gave it ("[v6]:port" for IPv6). A host name
 * is looked up on the loop's thread pool and again after a failure. Pools that nobody
 * used for some minutes are closed. Loop's thread. */
#ifndef AGENT_GATEWAY_PEERS_H
#define AGENT_GATEWAY_PEERS_H

#include <uv.h>

#include "common/http/http_client.h"
#include "common/list.h"

struct peers;
struct peer;

/* One call's use of a peer; embedded in the caller's struct. */
struct peer_use {
    struct list node; /* private */
    struct peer *peer;
    /* Once, perhaps from within peers_use(). status < 0: there is no way to it. */
    void (*ready)(struct peer_use *u, struct http_client *client, int status);
};

int peers_new(struct peers **ret, uv_loop_t *loop);
/* Every use must have ended. */
void peers_close(struct peers *p, void (*on_closed)(void *data), void *data);

void peers_use(struct peers *p, const char *gateway, struct peer_use *u);
/* The peer could not be connected to: a host name is looked up again. */
void peers_failed(struct peer_use *u);
/* The controller takes this one's host for lost: is it? Its calls end if so. */
void peers_doubt(struct peers *p, const char *gateway);
/* Ends a use, whether it got ready or not; harmless on one that never began. */
void peers_release(struct peer_use *u);

#endif /* AGENT_GATEWAY_PEERS_H */
