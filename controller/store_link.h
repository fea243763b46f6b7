/* Between the controller's core and its store.
 *
 *   READING ──range──▶ FOLLOWING      while the store does not answer: again, with
 * back-off
 *
 * What lies under CORE_PREFIX is loaded into the core, then every change is fed to it;
 * the core's transactions are carried out. The core's thread only. */
#ifndef CONTROLLER_STORE_LINK_H
#define CONTROLLER_STORE_LINK_H

#include <stdbool.h>
#include <uv.h>

#include "common/backoff.h"
#include "common/metrics.h"
#include "controller/core/controller_core.h"
#include "controller/store/store.h"

struct store_link {
    uv_loop_t *loop; /* private from here on */
    struct store *store;
    struct controller_core *core;
    void (*on_change)(void *data); /* the core was fed */
    void *data;
    struct store_watch *watch;
    uv_timer_t retry;
    struct backoff backoff;
    bool up;
    bool closing;
    struct metric *commit_seconds;
    struct metric *committed, *refused, *failed;
    void (*on_closed)(void *data);
    void *on_closed_data;
};

/* Takes the store over. */
void store_link_open(struct store_link *l, uv_loop_t *loop, struct store *store,
                     struct metrics *metrics, void (*on_change)(void *data), void *data);
/* Begins; core must be there until on_closed. */
void store_link_start(struct store_link *l, struct controller_core *core);
/* controller_io.txn: see there. */
void store_link_txn(struct store_link *l, uint64_t id,
                    const struct core_compare *compares, size_t n_compares,
                    const struct core_op *ops, size_t n_ops);
bool store_link_is_up(const struct store_link *l);
/* Closes the store as well. The core hears of nothing any more. */
void store_link_close(struct store_link *l, void (*on_closed)(void *data), void *data);

#endif /* CONTROLLER_STORE_LINK_H */
