/* REST: what people and the CLI ask of the controller (docs/openapi.yaml).
 *
 * An edge: it turns requests into calls of controller/core and its replies into JSON,
 * keeps the packages' files, and streams functions' logs from the agents. It knows
 * neither hub nor store; what it needs of them it asks through `struct api_io`. One
 * loop's thread. */
#ifndef CONTROLLER_API_API_H
#define CONTROLLER_API_API_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/error.h"
#include "common/metrics.h"
#include "controller/core/controller_core.h"

struct api;

struct api_log_query {
    const char *namespace_;
    const char *name;
    uint64_t version; /* 0: all */
    bool follow;
    uint32_t tail; /* last lines of each instance; 0: all that is kept */
};

struct api_log_line {
    uint64_t wall_ms;
    uint64_t version;
    const char *instance;
    const char *stream; /* "stdout", "stderr", "system" */
    const char *text;   /* any bytes, without the newline */
    size_t len;
};

struct api_io {
    void *ctx;
    bool (*store_up)(void *ctx);
    /* Asks this node, or every connected one (NULL), for a function's log under this id.
     * Calls asked(data, node) for each that was asked. Answers come by api_log_chunk().
     */
    void (*logs_ask)(void *ctx, const char *node, uint64_t id,
                     const struct api_log_query *q,
                     void (*asked)(void *data, const char *node), void *data);
    void (*logs_ack)(void *ctx, const char *node,
                     uint64_t id); /* the next chunk, please */
    void (*logs_cancel)(void *ctx, const char *node, uint64_t id);
};

struct api_options {
    const char *host;
    uint16_t port; /* 0: a free one */
    const char *controller_name;
    const char *store_engine;
    const char *packages_dir; /* made if it is not there */
    uint64_t package_max_bytes;
    uint32_t package_grace_ms;  /* unused packages are kept so long */
    bool lambda_auth_off;       /* AWS's API takes requests without a signature */
    const char *lambda_account; /* 12 digits: the account in its ARNs */
    struct controller_core *core;
    struct metrics *metrics; /* series are added; rendered at /metrics */
    struct api_io io;
};

int api_new(struct api **ret, uv_loop_t *loop, const struct api_options *options,
            struct error *err);
uint16_t api_port(const struct api *a);

/* Takes no more requests. Log streams end, those that wait for a version are answered;
 * what changes something may finish for up to grace_ms. Then everything is closed and
 * on_closed called; the core is used until then. */
void api_close(struct api *a, uint32_t grace_ms, void (*on_closed)(void *data),
               void *data);
/* After the loop has run out: files may be worked on until then. Takes NULL. */
struct api *api_free(struct api *a);

/* From the hub. */
void api_node_joined(struct api *a, const char *node);
void api_node_left(struct api *a, const char *node, const char *reason);
/* Lines are copied. `end`: nothing more comes for this id. */
void api_log_chunk(struct api *a, const char *node, uint64_t id,
                   const struct api_log_line *lines, size_t n, bool end);

/* The core may have added events: those who follow them get them. Cheap if it has not. */
void api_events_added(struct api *a);

#endif /* CONTROLLER_API_API_H */
