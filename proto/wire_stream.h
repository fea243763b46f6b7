/* Byte streams over nng, on a libuv loop. This is the only module that knows nng.
 *
 * nng runs its callbacks on threads of its own; here they only note what has happened and
 * wake the loop, where everything else runs. A connection has at most one receive and one
 * send under way; bytes to send wait in a buffer of the loop's. */
#ifndef PROTO_WIRE_STREAM_H
#define PROTO_WIRE_STREAM_H

#include <uv.h>

#include "common/error.h"

struct wire; /* a loop's share: wake-up and queue of what happened */
struct wire_listener;
struct wire_conn;

struct wire_conn_ops {
    void (*on_open)(struct wire_conn *c); /* a dialled connection is there */
    void (*on_data)(struct wire_conn *c, const void *data, size_t len);
    void (*on_drain)(struct wire_conn *c); /* all was handed to the kernel */
    /* Last, exactly once, never from within wire_close(). status: negative errno, also
     * for a dial that failed; 0 after wire_close(). The connection is gone after it. */
    void (*on_close)(struct wire_conn *c, int status);
};

int wire_new(struct wire **ret, uv_loop_t *loop);
/* All connections must be closed before, and listeners closing; freed before on_closed.
 */
void wire_close_all(struct wire *w, void (*on_closed)(void *data), void *data);

/* url: "tcp://host:port"; port 0 takes a free one. */
int wire_listen(struct wire *w, struct wire_listener **ret, const char *url,
                void (*on_accept)(void *data, struct wire_conn *c), void *data,
                struct error *err);
uint16_t wire_listener_port(const struct wire_listener *l);
void wire_listener_close(struct wire_listener *l);

int wire_dial(struct wire *w, struct wire_conn **ret, const char *url,
              const struct wire_conn_ops *ops, void *data, struct error *err);
/* In on_accept, at once. */
void wire_conn_set(struct wire_conn *c, const struct wire_conn_ops *ops, void *data);
void *wire_conn_data(const struct wire_conn *c);

int wire_send(struct wire_conn *c, const void *data,
              size_t len); /* copies; 0 or -ENOMEM */
/* The same with two pieces that go out as one. */
int wire_send_parts(struct wire_conn *c, const void *head, size_t head_len,
                    const void *data, size_t len);
size_t wire_pending(const struct wire_conn *c);
void wire_conn_close(struct wire_conn *c);

#endif /* PROTO_WIRE_STREAM_H */
