/* What the parts of the API share: the server, a request's life, replies.
 *
 *   api.c        the server, its start and end
 *   request.c    a request, from head to close
 *   routes.c     which handler has which path
 *   reply.c      JSON and errors
 *   lists.c      lists, in pages
 *   system.c, namespaces.c, functions.c, layers.c, nodes.c, packages.c, logs.c, events.c:
 *   the handlers */
#ifndef CONTROLLER_API_API_PRIVATE_H
#define CONTROLLER_API_API_PRIVATE_H

#include <jansson.h>

#include "common/buf.h"
#include "common/cause.h"
#include "common/http/http_server.h"
#include "common/list.h"
#include "common/random.h"
#include "controller/api/api.h"
#include "controller/api/input.h"
#include "controller/api/package_store.h"

#define ROUTE_PARAMS_MAX 3
/* As people write numbers: 1.1, and not all digits of the double beside it. */
#define API_JSON (JSON_COMPACT | JSON_REAL_PRECISION(15))

struct api_request;

/* --- routes ---------------------------------------------------------------------------
 */

enum route_body { BODY_NONE, BODY_JSON, BODY_JSON_OR_EMPTY, BODY_STREAM };

struct route {
    const char *method;  /* HEAD goes where GET goes */
    const char *pattern; /* "/v1/nodes/{node}": a parameter is a whole segment */
    void (*handler)(struct api_request *r);
    const char *const *query; /* parameters it knows; NULL: none */
    enum route_body body;
    bool always; /* also while the store has not been read yet */
};

struct route_match {
    const struct route *route; /* NULL: see allow */
    char *params[ROUTE_PARAMS_MAX];
    char allow[64]; /* methods that the path has ("GET, HEAD, PUT"); "": no such path */
};

/* 0, -ENOMEM, or -EINVAL: the path is not well encoded. */
int routes_match(struct route_match *ret, struct http_str method, struct http_str path);
void route_match_free(struct route_match *m);

/* --- request ---------------------------------------------------------------------------
 * Lives from its head until its exchange has closed and nothing holds it any more. */

struct api_request_ops {
    void (*on_body)(struct api_request *r, const char *data, size_t len);
    void (*on_end)(struct api_request *r);
    void (*on_drain)(struct api_request *r);
    void (*on_gone)(struct api_request *r); /* the exchange has closed: r->x is NULL */
    void (*on_stop)(struct api_request *r); /* the controller ends: come to an end soon */
};

struct api_request {
    struct list node; /* in api.requests */
    struct api *api;
    struct http_exchange *x; /* NULL once it has closed */
    struct route_match match;
    char id[RANDOM_UUID_SIZE];
    struct input_query query;
    struct buf body;
    json_t *json; /* BODY_JSON: an object */
    int status;   /* of the reply, 0: none yet */
    unsigned holds;
    bool asked_core; /* the core will answer it: cancelled when the client goes */
    uint64_t started_us;
    const struct api_request_ops *ops;
    void *state; /* the handler's; freed by its on_gone */
};

void api_request_begin(struct api *a, struct http_exchange *x);
bool api_request_is_head(const struct api_request *r);
void api_request_hold(struct api_request *r);
void api_request_release(struct api_request *r);

/* --- replies ---------------------------------------------------------------------------
 * Each ends the request; where it is answered already, or the client gone, nothing
 * happens. */

/* Takes json over. NULL: out of memory. */
void api_reply_json(struct api_request *r, int status, json_t *json);
void api_reply_items(struct api_request *r, json_t *array); /* {"items": array} */
/* A page of what lister lists, as limit and after of the query want it (lists.c).
 * namespace_: "-" for all, NULL where there is none. */
#define API_LIST_NAME_MAX 128 /* of an item */
typedef int api_lister(const struct controller_core *c, const char *namespace_,
                       const struct core_list *list);
void api_reply_list(struct api_request *r, const char *namespace_, api_lister *lister);
/* With an ETag of its revision. */
void api_reply_function(struct api_request *r, int status, json_t *json);
void api_reply_empty(struct api_request *r, int status);
void api_reply_text(struct api_request *r, int status, const char *type, const char *text,
                    size_t len);
/* Begins a reply whose body is written later. */
int api_reply_begin(struct api_request *r, int status, const char *type, uint64_t len);

/* Writes what gather() appends until it has no more (1), or the client must take some
 * before it gets more (0); -errno: the reply is to be broken off. */
int api_write_gathered(struct api_request *r, int (*gather)(void *data, struct buf *out),
                       void *data);

struct api_error {
    enum cause cause;
    int status;        /* 0: the cause's */
    const char *field; /* or NULL */
    const char *fix;   /* NULL: the cause's */
    const char *allow; /* 405: the Allow header */
};

void api_fail(struct api_request *r, const struct api_error *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* bad_request; or internal if err says -ENOMEM. */
void api_refuse(struct api_request *r, const char *field, const struct error *err);
/* The same for an error whose text begins with a key of the object `inside`. */
void api_refuse_inside(struct api_request *r, const char *inside,
                       const struct error *err);
void api_fail_core(struct api_request *r, const struct core_reply *reply);
/* The core has deleted something, or not: 204 or why. */
void api_core_gone(void *data, const struct core_reply *reply);

/* Parameters of the path, checked; false: refused. */
bool api_namespace_param(struct api_request *r, const char **ret);
bool api_function_params(struct api_request *r, const char **ret_ns,
                         const char **ret_name);
/* The same, and there is such a namespace. */
bool api_known_namespace(struct api_request *r, const char **ret);
bool api_if_match(struct api_request *r, uint64_t *ret); /* the revision in it, or 0 */

/* The body's "package", which must be stored; false: refused. */
bool api_read_package(struct api_request *r, struct package_ref *ret);
/* Keeps a package that is stored until the core has answered and knows of it (unpin), or
 * the client goes. Takes r->state and r->ops. False: answered. */
bool api_pin(struct api_request *r, const char *digest);
void api_unpin(struct api_request *r);

/* --- the server ------------------------------------------------------------------------
 */

struct api_metrics {
    struct metric_family *requests, *duration;
    struct metric *leader, *store_up, *nodes_ready, *nodes_lost, *namespaces, *functions,
        *versions, *instances, *memory_capacity, *memory_reserved, *packages,
        *package_bytes, *damaged, *desired, *scaled, *scale_ups, *scale_downs, *panics,
        *decisions;
};

struct api {
    uv_loop_t *loop;
    struct api_options options;
    char *controller_name;
    struct controller_core *core;
    struct http_server server;
    uint16_t port;
    struct package_store *packages;
    struct api_metrics metrics;
    uint64_t started_ms;
    struct list requests;
    struct list log_streams; /* logs.c */
    size_t n_log_streams;
    uint64_t last_log_id;
    struct list event_streams; /* events.c */
    size_t n_event_streams;
    uint64_t last_event;     /* that they were told of */
    uv_timer_t collect;      /* unused packages; at the end, the grace */
    unsigned n_lambda_large; /* lambda.c: large bodies that are worked on */
    bool closing;
    bool server_closing;
    unsigned open; /* server and timer */
    void (*on_closed)(void *data);
    void *on_closed_data;
};

int api_metrics_init(struct api *a);
void api_metrics_refresh(struct api *a);
/* A request has gone: the last one lets a closing server close. */
void api_request_gone(struct api *a);

/* --- handlers (docs/openapi.yaml) ------------------------------------------------------
 */

void api_get_healthz(struct api_request *r);
void api_get_readyz(struct api_request *r);
void api_get_metrics(struct api_request *r);
void api_get_version(struct api_request *r);
void api_get_status(struct api_request *r);

void api_list_namespaces(struct api_request *r);
void api_get_namespace(struct api_request *r);
void api_put_namespace(struct api_request *r);
void api_delete_namespace(struct api_request *r);

void api_list_functions(struct api_request *r);
void api_get_function(struct api_request *r);
void api_explain_function(struct api_request *r);
void api_put_function(struct api_request *r);
void api_delete_function(struct api_request *r);
void api_get_function_version(struct api_request *r);
void api_list_versions(struct api_request *r);
void api_publish_version(struct api_request *r);
void api_delete_version(struct api_request *r);
void api_list_aliases(struct api_request *r);
void api_get_alias(struct api_request *r);
void api_put_alias(struct api_request *r);
void api_delete_alias(struct api_request *r);
void api_rollback(struct api_request *r);
void api_get_logs(struct api_request *r);

void api_get_events(struct api_request *r);

void api_list_layers(struct api_request *r);
void api_get_layer(struct api_request *r);
void api_publish_layer(struct api_request *r);
void api_get_layer_version(struct api_request *r);
void api_delete_layer_version(struct api_request *r);

void api_get_package(struct api_request *r);
void api_put_package(struct api_request *r);

void api_list_keys(struct api_request *r);
void api_create_key(struct api_request *r);
void api_delete_key(struct api_request *r);

void api_list_nodes(struct api_request *r);
void api_get_node(struct api_request *r);
void api_patch_node(struct api_request *r);

#endif /* CONTROLLER_API_API_PRIVATE_H */
