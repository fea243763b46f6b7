/* HTTP/1.x server on libuv.
 *
 * One http_server listens on any number of TCP and Unix sockets and runs the exchanges of
 * its connections one after the other (pipelined requests wait). A handler is given an
 * exchange as soon as the request's head is parsed, and answers whenever it likes:
 *
 *     on_request ──▶ on_body* ──▶ on_end            (request side)
 *                respond ──▶ write* ──▶ end          (response side, any time from
 * on_request on)
 *                       ... on_close, exactly once, last
 *
 * Back-pressure: http_exchange_pause() stops reading the request body;
 * http_exchange_pending() tells how much of the response is not yet taken by the kernel;
 * write while it is under HTTP_HIGH_WATER, then wait for on_drain.
 * Upgrades: see http_exchange_upgrade().
 * `Expect: 100-continue` is answered when on_request returns without a final response and
 * the exchange is not paused, or on the resume after that.
 * Threads: the loop's only. Callbacks may close the server or abort the exchange. */
#ifndef COMMON_HTTP_HTTP_SERVER_H
#define COMMON_HTTP_HTTP_SERVER_H

#include <uv.h>

#include "common/error.h"
#include "common/http/http.h"
#include "common/list.h"

#define HTTP_HIGH_WATER (256 * 1024)
#define HTTP_PEER_SIZE  46 /* the text of an IPv6 address, with NUL */

struct http_server;
struct http_exchange;

struct http_server_options {
    uint32_t head_max_bytes;  /* request line + headers; over it 431. Default 64 KiB */
    uint32_t headers_max;     /* count; over it 431. Default 128 */
    uint64_t body_max_bytes;  /* over it 413. Default 0: handlers limit it themselves */
    uint32_t head_timeout_ms; /* first byte to end of head; over it 408. Default 10 s */
    uint32_t body_timeout_ms; /* between two body bytes, not while paused. Default 30 s */
    uint32_t idle_timeout_ms; /* keep-alive without a request. Default 75 s */
    uint32_t write_timeout_ms; /* no progress writing a response. Default 30 s */
    /* An upgraded connection without a byte either way. Default 10 min. */
    uint32_t upgrade_idle_ms;
    uint32_t connections_max; /* further ones get 503 and are closed. Default 10,000 */
    /* A client that shuts down its sending side while its complete request is worked on
     * has gone: on_close(-ECONNRESET). Otherwise it still gets its response. */
    bool fin_is_gone;
    /* Without fin_is_gone: while a client that has shut down its sending side waits for
     * its response, it is sent `102 Processing` now and then (200 ms after the FIN, then
     * ever more seldom). One that half-closed reads on; one that is gone altogether is
     * found out within a second: on_close(-ECONNRESET). HTTP/1.0 clients are not asked.
     */
    bool fin_probe;
    char *scratch; /* HTTP_SCRATCH_BYTES that outlive it; NULL: it has its own */
    void (*on_request)(struct http_server *s, struct http_exchange *x);
    void *data;
};

/* Callbacks of one exchange; set in on_request. Any may be NULL. */
struct http_exchange_ops {
    void (*on_body)(struct http_exchange *x, const char *data, size_t len);
    void (*on_end)(struct http_exchange *x); /* body and trailers are complete */
    void (*on_drain)(struct http_exchange *x);
    /* Last. 0: the response went out whole. Negative errno: client gone (-ECONNRESET),
     * timed out (-ETIMEDOUT), aborted by us (-ECANCELED), bad framing (-EPROTO). */
    void (*on_close)(struct http_exchange *x, int status);
};

struct http_listener;

struct http_server {
    void *data;                         /* options.data */
    struct http_server_options options; /* private from here on */
    uv_loop_t *loop;
    struct list listeners;
    struct list conns;
    uint32_t n_conns;
    bool closing;
    bool draining;
    void (*on_closed)(struct http_server *s);
    uv_timer_t sweep;
    uv_prepare_t flush;
    uv_idle_t awake;   /* until the flush */
    struct list dirty; /* connections with output to write before the loop sleeps */
    char *scratch, *own_scratch;
    unsigned n_handles;
    char date[40];
    uint64_t date_ms;
};

/* Returns 0 or a negative errno, in which case there is nothing to close. */
int http_server_open(struct http_server *s, uv_loop_t *loop,
                     const struct http_server_options *options);

/* Port 0 takes a free one; the port in use is stored in *ret_port (may be NULL). */
int http_server_listen_tcp(struct http_server *s, const char *host, uint16_t port,
                           uint16_t *ret_port, struct error *err);
int http_server_listen_unix(struct http_server *s, const char *path, mode_t mode,
                            struct error *err);
/* A bound and listening stream socket; taken over also on failure. */
int http_server_listen_fd(struct http_server *s, int fd, struct error *err);

/* Stops accepting; idle connections are closed, running exchanges finish, and their
 * connections close after them ("Connection: close"). */
void http_server_drain(struct http_server *s);
size_t http_server_active(const struct http_server *s); /* exchanges running now */

/* Ends everything at once; exchanges get on_close(-ECANCELED); then on_closed. */
void http_server_close(struct http_server *s, void (*on_closed)(struct http_server *s));

/* --- one exchange ------------------------------------------------------------- */

void http_exchange_set(struct http_exchange *x, const struct http_exchange_ops *ops,
                       void *data);
void *http_exchange_data(const struct http_exchange *x);
struct http_server *http_exchange_server(const struct http_exchange *x);

/* The request; valid until on_close. */
struct http_str http_exchange_method(const struct http_exchange *x);
struct http_str http_exchange_target(const struct http_exchange *x); /* as received */
struct http_str http_exchange_path(const struct http_exchange *x); /* target up to '?' */
struct http_str http_exchange_query(
    const struct http_exchange *x); /* after '?', or empty */
struct http_headers http_exchange_headers(const struct http_exchange *x);
struct http_headers http_exchange_trailers(
    const struct http_exchange *x); /* from on_end */
bool http_exchange_is_http10(const struct http_exchange *x);
/* Content-Length; HTTP_BODY_CHUNKED if chunked; 0 if there is no body. */
uint64_t http_exchange_content_length(const struct http_exchange *x);
/* "192.0.2.1" or "" for a Unix socket; valid until on_close. */
const char *http_exchange_peer(const struct http_exchange *x);
uint64_t http_exchange_started_us(const struct http_exchange *x); /* CLOCK_MONOTONIC */

void http_exchange_pause(struct http_exchange *x);
void http_exchange_resume(struct http_exchange *x);
/* Limits this request's body from now on; over it the server answers 413 if no answer was
 * begun, and on_close gets -EPROTO. */
void http_exchange_limit_body(struct http_exchange *x, uint64_t max_bytes);

/* The protocols that the client would switch to (RFC 9110 section 7.8), or empty:
 * HTTP/1.1 only, and a request without a body. Answered with status 101 and an Upgrade
 * header among `headers` (Connection is added), the connection is a tunnel: on_body tells
 * what the client sends, http_exchange_write() sends as it is, on_end is the client's
 * FIN, and http_exchange_end() sends ours, which ends the exchange. A client that has
 * sent FIN is waited for 10 s more. Any other answer is one as ever. */
struct http_str http_exchange_upgrade(const struct http_exchange *x);

/* Begins the response. Adds Date, Content-Length or Transfer-Encoding, and Connection
 * where needed; headers must not hold those. Values with CR, LF or NUL are refused with
 * -EINVAL, and nothing is sent. For HEAD, 204 and 304 body bytes are dropped.
 * body_len: bytes to come, or HTTP_BODY_CHUNKED. */
int http_exchange_respond(struct http_exchange *x, int status,
                          struct http_headers headers, uint64_t body_len);
/* Copies what the kernel does not take at once. -EPIPE once the client is gone. More
 * bytes than announced: -EMSGSIZE. */
int http_exchange_write(struct http_exchange *x, const void *data, size_t len);
/* Ends the response; trailers are sent only when it is chunked. Ending before all of an
 * announced length was written resets the connection. If the request's body is not read
 * to its end by then, it is drained up to 256 KiB, else the connection is closed. */
int http_exchange_end(struct http_exchange *x, struct http_headers trailers);
/* respond + write + end in one write. */
int http_exchange_reply(struct http_exchange *x, int status, struct http_headers headers,
                        const void *body, size_t len);
size_t http_exchange_pending(const struct http_exchange *x);
bool http_exchange_responded(const struct http_exchange *x);
/* Resets the connection: for a response that failed half way. */
void http_exchange_abort(struct http_exchange *x);

#endif /* COMMON_HTTP_HTTP_SERVER_H */
