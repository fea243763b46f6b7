/* HTTP/1.1 client on libuv: a pool of keep-alive connections to one origin.
 *
 *     http_client_open ──▶ http_call_start ──▶ write* ──▶ end        (request side)
 *                 on_response ──▶ on_body* ──▶ on_end                (response side)
 *                                  ... on_close, exactly once, last
 *
 * A call takes an idle connection or opens one. A kept-alive connection that turns out to
 * be closed before any byte of the response is retried once on a new one, when the
 * request has been sent by http_call_start alone and its method is idempotent: any other
 * may have had its effect (RFC 9112 section 9.3.1). Threads: the loop's. */
#ifndef COMMON_HTTP_HTTP_CLIENT_H
#define COMMON_HTTP_HTTP_CLIENT_H

#include <uv.h>

#include "common/error.h"
#include "common/http/http.h"
#include "common/list.h"

struct http_client;
struct http_call;

struct http_client_options {
    /* Where to connect: exactly one of the three.
     * socket_get: asks for a not yet connected socket (for instance one made inside a
     * sandbox's network namespace); answer later, once, by http_client_socket(). The
     * socket is then connected to host:port. */
    const char *host; /* numeric IPv4 or IPv6 address */
    uint16_t port;
    const char *unix_path;
    void (*socket_get)(struct http_client *c, void *request);

    uint32_t connect_timeout_ms; /* default 5 s */
    /* What the server's kernel leaves unacknowledged for so long ends the connection: its
     * host is gone, or the way to it. tcp(7), TCP_USER_TIMEOUT. Default 0: the kernel's
     * own, which is minutes. */
    uint32_t unacked_timeout_ms;
    uint32_t response_timeout_ms; /* request sent to head of response; default 0: none */
    uint32_t idle_timeout_ms;     /* between bytes of a response; default 0: none */
    /* An idle connection is kept so long, or half as long as the server says that it
     * keeps it (Keep-Alive: timeout=…), if that is less. Default 60 s. */
    uint32_t keep_alive_ms;
    uint32_t connections_max; /* calls beyond it wait in line; default 1024 */
    uint32_t head_max_bytes;  /* of a response; default 64 KiB */
    /* Acknowledge what was read at once. A server that writes a response in pieces
     * without TCP_NODELAY (Python's http.server) otherwise waits 40 ms between them for
     * the kernel's delayed acknowledgement. */
    bool quick_ack;
    bool no_repeat; /* not even an idempotent request is sent again */
    char *scratch;  /* HTTP_SCRATCH_BYTES that outlive it; NULL: it has its own */
};

struct http_client {
    void *data; /* for the owner */

    struct http_client_options options; /* private from here on */
    char *host_copy;
    char *path_copy;
    uv_loop_t *loop;
    struct list idle;
    struct list busy;
    struct list waiting;
    uint32_t n_conns;
    bool closing;
    void (*on_closed)(struct http_client *c);
    uv_timer_t sweep;
    uv_prepare_t flush; /* tells of `done`, and so does polled: whichever comes first */
    uv_check_t polled;
    struct list done; /* calls whose on_close is due */
    struct list held; /* connections with a request that is sent after the poll */
    char *scratch, *own_scratch;
    unsigned n_handles;
};

struct http_call_ops {
    /* Interim responses (1xx) are swallowed. content_length as in http_server.h.
     * 101, after a request whose headers had Upgrade and `Connection: Upgrade`: the
     * connection is a tunnel from here on. on_body tells what comes, http_call_write()
     * sends as it is, http_call_end() sends FIN; the server's FIN ends the call. A 101
     * unasked is -EPROTO. */
    void (*on_response)(struct http_call *call, int status, struct http_headers headers,
                        uint64_t content_length);
    void (*on_body)(struct http_call *call, const char *data, size_t len);
    void (*on_end)(struct http_call *call, struct http_headers trailers);
    void (*on_drain)(struct http_call *call);
    /* Last. 0: response whole. -ECONNREFUSED, -ECONNRESET, -ETIMEDOUT, -EPROTO,
     * -ECANCELED, … The call is gone when this returns. */
    void (*on_close)(struct http_call *call, int status);
    /* May be NULL. 100: the server takes the body of a request with `Expect:
     * 100-continue`. */
    void (*on_continue)(struct http_call *call);
};

int http_client_open(struct http_client *c, uv_loop_t *loop,
                     const struct http_client_options *options);
/* Answers socket_get: takes fd over, or a negative errno. */
void http_client_socket(struct http_client *c, void *request, int fd_or_error);
void http_client_close(struct http_client *c, void (*on_closed)(struct http_client *c));

/* The server's host is said to be gone: calls on it that wait for what it says end with
 * an error within seconds, unless it answers. TCP alone. */
void http_client_probe(struct http_client *c);

/* Starts a request. Host is added from the options unless headers has one; framing
 * headers are added as in http_exchange_respond(). body_len 0 with a NULL body: no body.
 * When body is given it is the whole body and is copied; then http_call_write/end are not
 * used. */
int http_call_start(struct http_client *c, struct http_call **ret, struct http_str method,
                    struct http_str target, struct http_headers headers, const void *body,
                    uint64_t body_len, const struct http_call_ops *ops, void *data);
void *http_call_data(const struct http_call *call);
/* From here on these are told, with other data. */
void http_call_hand_over(struct http_call *call, const struct http_call_ops *ops,
                         void *data);
int http_call_write(struct http_call *call, const void *data, size_t len);
int http_call_end(struct http_call *call, struct http_headers trailers);
/* Also in on_close: was anything of it sent that may have had an effect? False as well
 * after a kept connection that the server had closed, if the request may be repeated. */
bool http_call_was_sent(const struct http_call *call);
/* In on_close(-ECONNRESET): the server's host has sent RST, not FIN, and no reply had
 * begun. A server whose program ends has then not read all that was sent to it: else its
 * kernel sends FIN. */
bool http_call_was_reset(const struct http_call *call);
/* In on_close with an error: not a byte of it has come to the server's host, as far as
 * the kernels know. */
bool http_call_was_unheard(const struct http_call *call);
size_t http_call_pending(const struct http_call *call);
void http_call_pause(struct http_call *call); /* the response's body */
void http_call_resume(struct http_call *call);
/* Closes the call's connection; on_close(-ECANCELED) follows, never from within. */
void http_call_cancel(struct http_call *call);

#endif /* COMMON_HTTP_HTTP_CLIENT_H */
