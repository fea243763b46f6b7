/* Link: the agent's end of the stream to the controller.
 *
 * Dials with nng, reconnects for ever with exponential back-off and full jitter (100 ms
 * to 2 s), resumes the session or starts a new one and then takes the snapshot. Silence
 * for three heartbeats ends a connection. Everything runs on the loop's thread. */
#ifndef AGENT_LINK_H
#define AGENT_LINK_H

#include <stdbool.h>
#include <uv.h>

#include "common/error.h"
#include "proto/mayfly.pb-c.h"

struct link;

struct link_options {
    const char *const
        *controllers; /* "tcp://host:8091", NULL-terminated, tried in turn */
    /* Fills in node, gateway, capacity, labels, token; the link adds the session. Called
     * before each dial; strings must stay valid until the next call. */
    void (*fill_hello)(void *data, Mayfly__V1__Hello *hello);
    void (*on_welcome)(void *data, const Mayfly__V1__Welcome *w);
    /* Sequenced messages in order, each once a session. */
    void (*on_message)(void *data, const Mayfly__V1__Envelope *m);
    void (*on_down)(void *data, const char *reason); /* lost; reconnecting */
    void *data;
};

int link_new(struct link **ret, uv_loop_t *loop, const struct link_options *options,
             struct error *err);
void link_close(struct link *l, void (*on_closed)(void *data), void *data);

/* Queues a copy; kept until acknowledged or until a new session starts (then dropped: the
 * owner sends a full report after on_welcome with resumed = false). -ENOBUFS when full.
 */
int link_send(struct link *l, const Mayfly__V1__Envelope *m);
bool link_is_up(const struct link *l);

#endif /* AGENT_LINK_H */
