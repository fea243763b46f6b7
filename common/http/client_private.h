/* What the client's files share: connections and the calls that they carry. */
#ifndef COMMON_HTTP_CLIENT_PRIVATE_H
#define COMMON_HTTP_CLIENT_PRIVATE_H

#include "common/http/http_client.h"
#include "common/http/message.h"

/*   WAITING ──▶ SOCKET ──▶ CONNECTING ──▶ ACTIVE ◀──▶ IDLE
 *                  └──────────┴─────────────┴──────────┴──▶ CLOSING */
enum client_conn_state {
    CONN_SOCKET,
    CONN_CONNECTING,
    CONN_ACTIVE,
    CONN_IDLE,
    CONN_CLOSING
};

struct client_conn {
    struct list node; /* client.idle or client.busy */
    struct list held; /* in client.held: call.out is to be sent after the poll */
    struct http_client *client;
    struct http_call *call;
    enum client_conn_state state;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } io;
    bool has_handle;
    uv_connect_t connect;
    struct http_message in;
    struct buf rest;
    uint32_t keep_ms; /* at most so long after the call that it carries */
    unsigned n_calls; /* that it has carried; the server has kept it open after each */
    uint64_t idle_since_us;
    bool reading;
    bool feeding;
    bool tunnel; /* after a 101 */
    uv_shutdown_t shutdown;
    uint64_t n_sent;      /* bytes */
    uint64_t n_before;    /* of them before its call */
    uint64_t deadline_ms; /* 0: none */
    int status;           /* why it closes */
};

struct http_call {
    struct list node; /* client.waiting or client.done */
    struct http_client *client;
    struct client_conn *conn;
    struct http_call_ops ops;
    void *data;
    struct buf out;  /* head, and what is not yet written of the body */
    bool repeatable; /* out is the whole request, and is kept for the one retry */
    bool chunked;
    bool ended;   /* the request is whole */
    bool head;    /* a HEAD request */
    bool interim; /* the response being read is 1xx */
    bool retried;
    bool unheard; /* the connection ended without a byte of it acknowledged */
    bool reset;   /* the connection, by the server, before a byte of the reply */
    bool sent; /* something of it went out on a connection; not if that may be done again
                */
    bool finished;
    char *upgrade; /* the protocols that it asks for; NULL: none */
    uint64_t left; /* announced request body bytes still to come */
    int status;
};

/* client_connect.c */
int client_assign(struct http_call *call); /* a connection, or in line */
void client_next_waiting(struct http_client *c);

/* client.c */
void client_conn_free(struct client_conn *c);
void client_conn_finish(struct client_conn *conn); /* the response is whole */
void client_conn_close(struct client_conn *c, int status);
void client_flush_soon(struct http_client *c); /* what is held, and what has ended */
void client_watch_time(struct http_client *c);

/* client_read.c */
void client_conn_reads(struct client_conn *c);  /* sets up the response's reader */
void client_conn_update(struct client_conn *c); /* reads, or not */
void client_conn_resumed(struct client_conn *c);

/* client_write.c */
#define CLIENT_PIECES_MAX 3
/* What is held of the request, then these, in one write. 0 or -ENOMEM. */
int client_conn_send(struct client_conn *conn, const struct http_str *pieces, unsigned n);
void client_send_held(struct http_client *c);

/* client_tunnel.c */
bool client_tunnel_begin(struct client_conn *c); /* false: nobody asked for this 101 */
void client_tunnel_feed(struct client_conn *c, const char *data, size_t len);
void client_tunnel_shutdown(struct client_conn *c);

void client_call_finish(struct http_call *call, int status); /* on_close comes later */

#endif /* COMMON_HTTP_CLIENT_PRIVATE_H */
