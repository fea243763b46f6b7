#include "agent/gateway/peers.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define PEERS_MAX       2048
#define UNACKED_MS      1000  /* nor does it leave what it got unacknowledged */
#define CONNECT_MS      1500  /* a peer that is up answers a SYN at once */
#define KEEP_ALIVE_MS   30000 /* less than the gateway keeps an idle connection */
#define CONNECTIONS_MAX 512
#define UNUSED_MS       (5 * 60 * 1000)
#define SWEEP_MS        (30 * 1000)
#define LOOKUP_MS       (5 * 1000) /* an address is believed so long at least */
#define HOST_MAX        256

/*   LOOKUP ──address──▶ OPEN ──unused, or its use failed──▶ CLOSING ─▶ gone
 *      └──no such host──────────────────────────────────────▲          */
enum peer_state { PEER_LOOKUP, PEER_OPEN, PEER_CLOSING };

struct peer {
    struct list link;
    struct peers *peers;
    enum peer_state state;
    struct http_client client;
    uv_getaddrinfo_t lookup;
    struct list uses;
    uint16_t port;
    bool named; /* the address was looked up */
    bool stale; /* to be looked up anew: takes no more uses */
    uint64_t made_ms;
    uint64_t used_ms;
    char gateway[HOST_MAX + 8];
    char host[HOST_MAX];
};

struct peers {
    uv_loop_t *loop;
    struct list list;
    size_t n;
    uv_timer_t sweep;
    bool closing;
    bool timer_open;
    void (*on_closed)(void *data);
    void *closed_data;
};

/* --- ends ------------------------------------------------------------------------- */

static void closed_check(struct peers *p)
{
    if (p->closing && !p->timer_open && p->n == 0) {
        void (*on_closed)(void *data) = p->on_closed;
        void *data = p->closed_data;

        free(p);
        on_closed(data);
    }
}

static void peer_free(struct peer *e)
{
    struct peers *p = e->peers;

    list_remove(&e->link);
    free(e);
    p->n--;
    closed_check(p);
}

static void client_closed(struct http_client *client)
{
    peer_free(container_of(client, struct peer, client));
}

static void peer_close(struct peer *e)
{
    CHECK(list_empty(&e->uses));
    if (e->state == PEER_OPEN) {
        e->state = PEER_CLOSING;
        http_client_close(&e->client, client_closed);
    } else if (e->state == PEER_LOOKUP) {
        e->state = PEER_CLOSING;
        (void)uv_cancel((uv_req_t *)&e->lookup); /* its callback frees */
    }
}

static void sweep_cb(uv_timer_t *timer)
{
    struct peers *p = container_of(timer, struct peers, sweep);

    LIST_FOREACH_SAFE(it, &p->list)
    {
        struct peer *e = container_of(it, struct peer, link);

        if (list_empty(&e->uses) &&
            (e->stale || uv_now(p->loop) - e->used_ms > UNUSED_MS)) {
            peer_close(e);
        }
    }
}

/* --- getting ready ------------------------------------------------------------------ */

/* To all that wait. Each may end its use, or begin another, from within. */
static void tell(struct peer *e, int status)
{
    struct list due = e->uses;

    if (list_empty(&e->uses)) {
        return;
    }
    due.next->prev = &due;
    due.prev->next = &due;
    list_init(&e->uses);
    while (!list_empty(&due)) {
        struct peer_use *u = container_of(due.next, struct peer_use, node);

        list_remove(&u->node);
        list_push_back(&e->uses, &u->node);
        u->ready(u, status == 0 ? &e->client : NULL, status);
    }
}

static int open_client(struct peer *e)
{
    const struct http_client_options options = {
        .host = e->host,
        .port = e->port,
        .connect_timeout_ms = CONNECT_MS,
        .unacked_timeout_ms = UNACKED_MS,
        .keep_alive_ms = KEEP_ALIVE_MS,
        .connections_max = CONNECTIONS_MAX,
        .no_repeat = true, /* a function may do anything, whatever the method */
    };
    int rc = http_client_open(&e->client, e->peers->loop, &options);

    if (rc == 0) {
        e->state = PEER_OPEN;
    }
    return rc;
}

static void lookup_cb(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct peer *e = container_of(req, struct peer, lookup);
    bool unwanted = e->state == PEER_CLOSING;

    if (status == 0 && !unwanted) {
        status = uv_ip_name(found->ai_addr, e->host, sizeof(e->host));
        status = status < 0 ? status : open_client(e);
    }
    uv_freeaddrinfo(found);
    if (unwanted) {
        peer_free(e);
    } else if (status < 0) {
        /* The next use looks it up again. */
        list_remove(&e->link);
        e->state = PEER_CLOSING;
        tell(e, -EHOSTUNREACH);
        while (!list_empty(&e->uses)) {
            peers_release(container_of(e->uses.next, struct peer_use, node));
        }
        peer_free(e);
    } else {
        tell(e, 0);
    }
}

/* "host:port", "[v6]:port". */
static int split(struct peer *e, const char *gateway)
{
    const char *colon = strrchr(gateway, ':');
    size_t len = colon != NULL ? (size_t)(colon - gateway) : 0;
    unsigned long port = colon != NULL ? strtoul(colon + 1, NULL, 10) : 0;

    if (len > 2 && gateway[0] == '[' && gateway[len - 1] == ']') {
        gateway++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof(e->host) || port == 0 || port > UINT16_MAX) {
        return -EINVAL;
    }
    memcpy(e->host, gateway, len);
    e->host[len] = '\0';
    e->port = (uint16_t)port;
    return 0;
}

static int begin(struct peer *e)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct sockaddr_in6 addr;

    if (uv_ip4_addr(e->host, e->port, (struct sockaddr_in *)&addr) == 0 ||
        uv_ip6_addr(e->host, e->port, &addr) == 0) {
        return open_client(e);
    }
    e->state = PEER_LOOKUP;
    e->named = true;
    return uv_getaddrinfo(e->peers->loop, &e->lookup, lookup_cb, e->host, NULL, &hints);
}

static int peer_new(struct peers *p, const char *gateway, struct peer **ret)
{
    struct peer *e = p->n < PEERS_MAX ? calloc(1, sizeof(*e)) : NULL;
    int rc;

    if (e == NULL) {
        return p->n < PEERS_MAX ? -ENOMEM : -ENOBUFS;
    }
    e->peers = p;
    e->made_ms = uv_now(p->loop);
    list_init(&e->uses);
    (void)snprintf(e->gateway, sizeof(e->gateway), "%s", gateway);
    rc = strlen(gateway) < sizeof(e->gateway) ? split(e, gateway) : -EINVAL;
    rc = rc < 0 ? rc : begin(e);
    if (rc < 0) {
        free(e);
        return rc;
    }
    list_push_back(&p->list, &e->link);
    p->n++;
    *ret = e;
    return 0;
}

/* --- public ----------------------------------------------------------------------- */

int peers_new(struct peers **ret, uv_loop_t *loop)
{
    struct peers *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        return -ENOMEM;
    }
    p->loop = loop;
    list_init(&p->list);
    CHECK(uv_timer_init(loop, &p->sweep) == 0);
    CHECK(uv_timer_start(&p->sweep, sweep_cb, SWEEP_MS, SWEEP_MS) == 0);
    p->timer_open = true;
    *ret = p;
    return 0;
}

static void timer_closed(uv_handle_t *handle)
{
    struct peers *p = container_of((uv_timer_t *)handle, struct peers, sweep);

    p->timer_open = false;
    closed_check(p);
}

void peers_close(struct peers *p, void (*on_closed)(void *data), void *data)
{
    CHECK(!p->closing);
    p->closing = true;
    p->on_closed = on_closed;
    p->closed_data = data;
    LIST_FOREACH_SAFE(it, &p->list)
    {
        peer_close(container_of(it, struct peer, link));
    }
    uv_close((uv_handle_t *)&p->sweep, timer_closed);
}

void peers_use(struct peers *p, const char *gateway, struct peer_use *u)
{
    struct peer *e = NULL;
    int rc;

    CHECK(u->peer == NULL && !p->closing);
    LIST_FOREACH(it, &p->list)
    {
        struct peer *candidate = container_of(it, struct peer, link);

        if (candidate->state != PEER_CLOSING && !candidate->stale &&
            strcmp(candidate->gateway, gateway) == 0) {
            e = candidate;
            break;
        }
    }
    rc = e != NULL ? 0 : peer_new(p, gateway, &e);
    if (rc < 0) {
        list_init(&u->node);
        u->ready(u, NULL, rc);
        return;
    }
    e->used_ms = uv_now(p->loop);
    u->peer = e;
    list_push_back(&e->uses, &u->node);
    if (e->state == PEER_OPEN) {
        u->ready(u, &e->client, 0);
    }
}

void peers_release(struct peer_use *u)
{
    if (u->peer != NULL) {
        list_remove(&u->node);
        u->peer->used_ms = uv_now(u->peer->peers->loop);
        u->peer = NULL;
    }
}

void peers_failed(struct peer_use *u)
{
    struct peer *e = u->peer;

    if (e != NULL && e->named && uv_now(e->peers->loop) - e->made_ms > LOOKUP_MS) {
        e->stale = true;
    }
}

void peers_doubt(struct peers *p, const char *gateway)
{
    LIST_FOREACH(it, &p->list)
    {
        struct peer *e = container_of(it, struct peer, link);

        if (e->state == PEER_OPEN && strcmp(e->gateway, gateway) == 0) {
            http_client_probe(&e->client);
        }
    }
}
