/* A store with a loop of its own, used step by step: each call runs the loop until its
 * answer is there, or fails the test after a deadline. */
#ifndef TESTS_INTEGRATION_STORE_CLIENT_H
#define TESTS_INTEGRATION_STORE_CLIENT_H

#include "controller/store/items.h"
#include "controller/store/store.h"

#define CLIENT_DEADLINE_MS 30000

struct client {
    uv_loop_t loop;
    struct store *store; /* NULL once closed */
    uv_timer_t deadline;
    bool late;
};

struct answer {
    int calls; /* of the callback: must be 1 */
    int status;
    char text[ERROR_TEXT_MAX];
    bool succeeded;
    int64_t revision;
    int64_t lease;
    struct kv_list kvs;
};

/* What a watch was told. */
struct recorder {
    struct event_list events;
    int batches;
    int64_t revision; /* of the last batch or resync */
    struct kv_list kvs;
    int resyncs;
    int ups;
    int downs;
};
extern const struct store_watch_ops recorder_ops; /* data: a struct recorder */

void client_init(struct client *c);
/* Closes the store if it is open, and the loop: fails if a handle is left. */
void client_end(struct client *c);
void client_close_store(struct client *c);

/* Runs the loop until *counter is at least `wanted`. */
void client_wait(struct client *c, const int *counter, int wanted);

/* Callbacks that fill in a struct answer (data). */
void answer_range(void *data, int status, const struct error *err,
                  const struct store_kv *kvs, size_t n, int64_t revision);
void answer_txn(void *data, int status, const struct error *err, bool succeeded,
                int64_t revision);
void answer_lease(void *data, int status, const struct error *err, int64_t lease);
void answer_free(struct answer *a);

/* The answer is to be freed. */
struct answer client_range(struct client *c, const char *prefix);
struct answer client_txn(struct client *c, const struct store_compare *compares,
                         size_t n_compares, const struct store_op *ops, size_t n_ops);
int64_t client_put(struct client *c, const char *key, const char *value); /* revision */
int64_t client_delete(struct client *c, const char *key);
int64_t client_grant(struct client *c, uint32_t ttl_s); /* lease */
int client_keepalive(struct client *c, int64_t lease);  /* status */
int client_revoke(struct client *c, int64_t lease);

void recorder_free(struct recorder *r);

struct store_op op_put(const char *key, const char *value);
struct store_op op_delete(const char *key);

#endif /* TESTS_INTEGRATION_STORE_CLIENT_H */
