/* What the server's files share: connections and the one exchange that each runs. */
#ifndef COMMON_HTTP_SERVER_PRIVATE_H
#define COMMON_HTTP_SERVER_PRIVATE_H

#include "common/http/http_server.h"
#include "common/http/message.h"

#define HTTP_COALESCE_BYTES (16 * 1024) /* smaller pieces are gathered for one write */

struct http_exchange {
    struct http_exchange_ops ops;
    void *data;
    bool open;      /* on_request was called, on_close was not yet */
    bool responded; /* the head of the response is made */
    bool ended;     /* the response is whole */
    bool chunked;
    bool no_body; /* HEAD, 204, 304: body bytes are dropped */
    bool refused; /* the server itself has answered */
    bool want_continue;
    bool tunnel;   /* answered with 101: bytes, no messages any more */
    uint64_t left; /* bytes of the response still to come, unless chunked */
    uint64_t body_max;
    uint64_t body_seen;
    uint64_t started_us;
};

struct http_conn {
    struct list node;
    struct list dirty; /* on server.dirty while something waits to be flushed */
    struct http_server *server;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } io;
    bool is_tcp;
    struct http_message in;
    struct buf rest; /* read, not yet parsed */
    struct buf out;  /* to be flushed */
    struct http_exchange x;
    char peer[HTTP_PEER_SIZE];
    uint64_t deadline_ms; /* 0: none */
    uint64_t probe_ms;    /* the next probe of a client that has sent FIN */
    uint32_t probe_gap_ms;
    size_t write_left; /* of the write queue, when last looked at */
    enum {
        HTTP_WAIT_IDLE,
        HTTP_WAIT_HEAD,
        HTTP_WAIT_BODY,
        HTTP_WAIT_HANDLER,
        HTTP_WAIT_LINGER
    } waiting;
    uint64_t moved_ms; /* a tunnel's last byte, either way */
    uint64_t half_ms;  /* since when a tunnel's client sends no more */
    uint64_t drained;  /* body bytes thrown away after the response */
    bool reading;
    bool input_ended;
    bool feeding; /* inside http_message_feed */
    bool resume;  /* the body's pause has ended: feed it from the flush */
    bool close_after;
    bool lingering;
    bool closing;
    int close_status; /* for on_close, when the connection ends before the exchange */
};

static inline struct http_conn *http_conn_of(const struct http_exchange *x)
{
    return container_of(x, struct http_conn, x);
}

/* server.c */
void http_server_flush_later(struct http_server *s);
void http_server_conn_gone(struct http_server *s);

/* server_conn.c */
void http_conn_accept(struct http_server *s, uv_stream_t *listener, bool is_tcp);
void http_conn_close(struct http_conn *c, int status, bool reset);
void http_conn_feed(struct http_conn *c, const char *data, size_t len);
void http_conn_update(struct http_conn *c); /* reads or not, and until when */
void http_conn_sweep(struct http_conn *c, uint64_t now_ms);
void http_conn_resumed(struct http_conn *c);
void http_conn_exchange_done(struct http_conn *c); /* response sent whole */
/* What is left of the request's body is too much, or may be, to be read for nothing. */
bool http_conn_will_not_drain(const struct http_conn *c);

/* server_tunnel.c */
void http_tunnel_begin(struct http_conn *c);
void http_tunnel_feed(struct http_conn *c, const char *data, size_t len);
void http_tunnel_moved(struct http_conn *c); /* bytes, either way */
void http_tunnel_ended(struct http_conn *c); /* FIN */
void http_tunnel_sweep(struct http_conn *c, uint64_t now_ms);

/* server_exchange.c */
void http_conn_flush(struct http_conn *c);
void http_exchange_refuse(struct http_exchange *x, int status, const char *reason);
void http_conn_refuse(struct http_conn *c, int status, const char *reason);
void http_conn_mark(struct http_conn *c); /* flush before the loop sleeps */

#endif /* COMMON_HTTP_SERVER_PRIVATE_H */
