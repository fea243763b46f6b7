/* The edge of the engines that keep their state in this process (memory, SQLite): the
 * queue of requests, who carries them out (the loop, or a worker thread), watches, lease
 * timer and close. Answers and events come in the order in which requests were done. */
#ifndef CONTROLLER_STORE_LOCAL_H
#define CONTROLLER_STORE_LOCAL_H

#include "controller/store/state.h"

#define LOCAL_PENDING_MAX 10000 /* calls waiting for an answer; more get -EAGAIN */

struct local_options {
    const char *name;
    bool threaded;
    uint32_t request_timeout_ms; /* threaded only */
    /* Called when nothing uses persist.data any more, on the thread that used it last. */
    void (*on_end)(void *persist_data);
    struct state_persist persist;
};

/* Takes the state over, and persist.data: also on failure both end with it. */
int local_new(struct store **ret, uv_loop_t *loop, struct state *state,
              const struct local_options *options, struct error *err);

#endif /* CONTROLLER_STORE_LOCAL_H */
