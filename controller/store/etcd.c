/* The etcd engine: calls through the JSON gateway.
 *
 *   submit ──▶ waiting ──▶ active: a post to one endpoint
 *                             ├─ reply ─────────────▶ answer
 *                             ├─ not sent, or harmless to repeat ──▶ the next endpoint
 *                             └─ a transaction that was sent: outcome unknown
 */
#include "controller/store/etcd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "controller/store/etcd_json.h"

#define DEFAULT_TIMEOUT_MS 5000
#define ACTIVE_MAX         32
#define CALLS_MAX          10000
#define URL_MAX            512

/* gRPC's codes, as far as they tell something. */
enum { GRPC_INVALID_ARGUMENT = 3, GRPC_NOT_FOUND = 5, GRPC_PERMISSION_DENIED = 7 };
enum {
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_OUT_OF_RANGE = 11
};
enum { GRPC_UNAUTHENTICATED = 16 };

struct call {
    struct list node;
    struct etcd *etcd;
    struct request *request;
    struct etcd_post *post;
    struct buf body;
    const char *path;
    size_t endpoint; /* of the post */
    size_t tried;
    uint64_t deadline_ms;
};

static void attempt(struct call *c);

void etcd_avoid(struct etcd *e, size_t which)
{
    if (e->current == which) {
        e->current = (which + 1) % e->n_endpoints;
    }
}

/* For what cannot be answered now, being called by the user. */
static void answer_later(struct etcd *e, struct request *r)
{
    list_push_back(&e->ready, &r->node);
    (void)uv_async_send(&e->wake);
}

static struct request *call_free(struct call *c)
{
    struct request *r = c->request;

    list_remove(&c->node);
    buf_free(&c->body);
    c->etcd->n_calls--;
    free(c);
    return r;
}

static void answer(struct request *r)
{
    if (r->type == REQUEST_WATCH && r->owner != NULL) {
        etcd_watch_resynced(r->owner, r);
    }
    request_finish(r);
}

static void start_waiting(struct etcd *e)
{
    while (!list_empty(&e->waiting) && e->n_active < ACTIVE_MAX) {
        struct call *c = container_of(e->waiting.next, struct call, node);

        list_remove(&c->node);
        list_push_back(&e->active, &c->node);
        e->n_active++;
        attempt(c);
    }
}

/* The call has its result. From an HTTP callback: the user may be called right away. */
static void finish(struct call *c, bool from_loop)
{
    struct etcd *e = c->etcd;
    struct request *r = call_free(c);

    e->n_active--;
    if (from_loop) {
        start_waiting(e);
        answer(r);
    } else {
        answer_later(e, r);
    }
}

static void fail(struct call *c, int status, const char *text)
{
    c->request->status = error_set(&c->request->err, status, "etcd %s: %s",
                                   c->etcd->endpoints[c->endpoint], text);
    finish(c, true);
}

/* This endpoint did not do it, and nothing speaks against asking another. */
static void try_next(struct call *c, int status, const char *text)
{
    struct etcd *e = c->etcd;

    etcd_avoid(e, c->endpoint);
    if (c->tried < e->n_endpoints && clock_mono_ms() < c->deadline_ms) {
        c->endpoint = (c->endpoint + 1) % e->n_endpoints;
        attempt(c);
        return;
    }
    fail(c, status, text);
}

static void unclear(struct call *c, int status, const char *text)
{
    if (c->request->type != REQUEST_TXN) {
        try_next(c, status, text);
        return;
    }
    etcd_avoid(c->etcd, c->endpoint);
    fail(c, -EINPROGRESS, text);
}

/* etcd said no. Most codes are final; the rest mean that this member could not tell. */
static void refused(struct call *c, const struct etcd_reply *reply)
{
    char text[200];
    int code = etcd_decode_error(reply->body, reply->len, text, sizeof(text));

    switch (code) {
    case GRPC_INVALID_ARGUMENT:
    case GRPC_FAILED_PRECONDITION:
    case GRPC_OUT_OF_RANGE:
        fail(c, -EINVAL, text);
        break;
    case GRPC_NOT_FOUND:
        fail(c, -ENOENT, text);
        break;
    case GRPC_PERMISSION_DENIED:
    case GRPC_UNAUTHENTICATED:
        fail(c, -EACCES, text);
        break;
    case GRPC_RESOURCE_EXHAUSTED:
        fail(c,
             strstr(text, "space exceeded") != NULL      ? -ENOSPC
             : strstr(text, "too many requests") != NULL ? -EAGAIN
                                                         : -E2BIG,
             text);
        break;
    default:
        if (strcmp(text, "etcdserver: no leader") == 0) {
            try_next(c, -EHOSTUNREACH, text); /* said before anything is proposed */
        } else {
            unclear(c, -EHOSTUNREACH, text);
        }
        break;
    }
}

static void on_reply(void *data, const struct etcd_reply *reply)
{
    struct call *c = data;
    struct request *r = c->request;
    int rc;

    c->post = NULL;
    switch (reply->outcome) {
    case ETCD_NOT_SENT:
        try_next(c, -EHOSTUNREACH, reply->text);
        return;
    case ETCD_TIMED_OUT:
        unclear(c, -ETIMEDOUT, reply->text);
        return;
    case ETCD_BROKEN:
        unclear(c, -EHOSTUNREACH, reply->text);
        return;
    case ETCD_REPLIED:
        break;
    }
    if (reply->http_status != 200) {
        refused(c, reply);
        return;
    }
    rc = etcd_decode(r, reply->body, reply->len);
    if (rc == -ENOENT) {
        fail(c, rc, "requested lease not found");
    } else if (rc < 0) {
        fail(c, r->type == REQUEST_TXN ? -EINPROGRESS : rc,
             rc == -ENOMEM ? "out of memory" : "the reply makes no sense");
    } else {
        finish(c, true);
    }
}

/* Posts the call to c->endpoint, leaving time for those not tried yet. */
static void attempt(struct call *c)
{
    struct etcd *e = c->etcd;
    uint64_t now_ms = clock_mono_ms();
    uint32_t left_ms = c->deadline_ms > now_ms ? (uint32_t)(c->deadline_ms - now_ms) : 0;
    uint32_t share_ms = left_ms / (uint32_t)(e->n_endpoints - c->tried);
    bool once = c->request->type == REQUEST_TXN;
    char url[URL_MAX];
    struct etcd_post_options o = {.url = url,
                                  .body = c->body.data,
                                  .len = c->body.len,
                                  .connect_timeout_ms = share_ms,
                                  .timeout_ms = once ? left_ms : share_ms,
                                  .once = once,
                                  .on_done = on_reply,
                                  .data = c};

    c->tried++;
    if (share_ms == 0) {
        request_fail(c->request, -ETIMEDOUT, "too many requests are waiting for etcd");
        finish(c, false);
        return;
    }
    (void)snprintf(url, sizeof(url), "%s%s", e->endpoints[c->endpoint], c->path);
    if (etcd_http_post(e->http, &o, &c->post) < 0) {
        request_fail(c->request, -ENOMEM, "out of memory");
        finish(c, false);
    }
}

void etcd_submit(struct etcd *e, struct request *r)
{
    struct call *c = NULL;

    if (e->closing) {
        request_fail(r, -ECANCELED, "the store is closed");
    } else if (r->status == 0 && e->n_calls >= CALLS_MAX) {
        request_fail(r, -EAGAIN, "too many requests wait for etcd");
    } else if (r->status == 0 && (c = calloc(1, sizeof(*c))) == NULL) {
        request_fail(r, -ENOMEM, "out of memory");
    }
    if (c != NULL && etcd_encode(r, &c->path, &c->body) < 0) {
        request_fail(r, -ENOMEM, "out of memory");
        buf_free(&c->body);
        free(c);
    }
    if (r->status < 0) {
        answer_later(e, r);
        return;
    }
    c->etcd = e;
    c->request = r;
    c->endpoint = e->current;
    c->deadline_ms = clock_mono_ms() + e->timeout_ms;
    e->n_calls++;
    list_push_back(&e->waiting, &c->node);
    start_waiting(e);
}

static struct etcd *from_store(struct store *s)
{
    return container_of(s, struct etcd, store);
}

static void etcd_range(struct store *s, const char *prefix, store_range_cb cb, void *data)
{
    etcd_submit(from_store(s), request_range(prefix, cb, data));
}

static void etcd_txn(struct store *s, const struct store_compare *compares,
                     size_t n_compares, const struct store_op *ops, size_t n_ops,
                     store_txn_cb cb, void *data)
{
    etcd_submit(from_store(s), request_txn(compares, n_compares, ops, n_ops, cb, data));
}

static struct store_watch *etcd_watch(struct store *s, const char *prefix,
                                      int64_t from_revision,
                                      const struct store_watch_ops *ops, void *data)
{
    return etcd_watch_new(from_store(s), prefix, from_revision, ops, data);
}

static void etcd_unwatch(struct store *s, struct store_watch *w)
{
    etcd_watch_remove(w);
}

static void lease_call(struct store *s, enum request_type type, int64_t lease,
                       uint32_t ttl_s, store_lease_cb cb, void *data)
{
    etcd_submit(from_store(s), request_lease(type, lease, ttl_s, cb, data));
}

static void etcd_lease_grant(struct store *s, uint32_t ttl_s, store_lease_cb cb,
                             void *data)
{
    lease_call(s, REQUEST_LEASE_GRANT, 0, ttl_s, cb, data);
}

static void etcd_lease_keepalive(struct store *s, int64_t lease, store_lease_cb cb,
                                 void *data)
{
    lease_call(s, REQUEST_LEASE_KEEPALIVE, lease, 0, cb, data);
}

static void etcd_lease_revoke(struct store *s, int64_t lease, store_lease_cb cb,
                              void *data)
{
    lease_call(s, REQUEST_LEASE_REVOKE, lease, 0, cb, data);
}

static void answer_ready(struct etcd *e)
{
    while (!list_empty(&e->ready)) {
        struct request *r = container_of(e->ready.next, struct request, node);

        list_remove(&r->node);
        answer(r);
    }
}

void etcd_handle_gone(struct etcd *e)
{
    void (*on_closed)(void *data) = e->on_closed;
    void *data = e->on_closed_data;

    if (--e->n_handles > 0) {
        return;
    }
    answer_ready(e);
    for (size_t i = 0; i < e->n_endpoints; i++) {
        free(e->endpoints[i]);
    }
    free(e->endpoints);
    free(e);
    if (on_closed != NULL) {
        on_closed(data);
    }
}

static void on_wake_closed(uv_handle_t *handle)
{
    etcd_handle_gone(handle->data);
}

static void on_http_closed(void *data)
{
    etcd_handle_gone(data);
}

static void on_wake(uv_async_t *wake)
{
    struct etcd *e = wake->data;

    start_waiting(e);
    answer_ready(e);
    if (e->closing && !e->torn_down) {
        e->torn_down = true;
        etcd_http_close(e->http, on_http_closed, e);
        uv_close((uv_handle_t *)wake, on_wake_closed);
    }
}

static void cancel_calls(struct etcd *e, struct list *calls)
{
    while (!list_empty(calls)) {
        struct call *c = container_of(calls->next, struct call, node);
        struct request *r;

        etcd_http_cancel(c->post);
        r = call_free(c);
        request_fail(r, -ECANCELED, "the store is closed");
        answer_later(e, r);
    }
}

static void etcd_close(struct store *s, void (*on_closed)(void *data), void *data)
{
    struct etcd *e = from_store(s);

    CHECK(!e->closing);
    e->closing = true;
    e->on_closed = on_closed;
    e->on_closed_data = data;
    etcd_watch_remove_all(e);
    cancel_calls(e, &e->active);
    cancel_calls(e, &e->waiting);
    (void)uv_async_send(&e->wake);
}

static const struct store_engine etcd_engine = {
    .range = etcd_range,
    .txn = etcd_txn,
    .watch = etcd_watch,
    .unwatch = etcd_unwatch,
    .lease_grant = etcd_lease_grant,
    .lease_keepalive = etcd_lease_keepalive,
    .lease_revoke = etcd_lease_revoke,
    .close = etcd_close,
};

static int copy_endpoints(struct etcd *e, const char *const *endpoints, struct error *err)
{
    size_t n = 0;

    while (endpoints != NULL && endpoints[n] != NULL) {
        n++;
    }
    if (n == 0) {
        return error_set(err, -EINVAL,
                         "store.endpoints: name at least one etcd endpoint");
    }
    e->endpoints = calloc(n, sizeof(char *));
    if (e->endpoints == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        const char *url = endpoints[i];
        size_t len = strlen(url);

        if ((strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) ||
            len > URL_MAX - 64) {
            return error_set(err, -EINVAL,
                             "store.endpoints: %.100s: must be a URL like "
                             "http://127.0.0.1:2379",
                             url);
        }
        e->endpoints[i] = strndup(url, url[len - 1] == '/' ? len - 1 : len);
        if (e->endpoints[i] == NULL) {
            return error_set(err, -ENOMEM, "out of memory");
        }
        e->n_endpoints++;
    }
    return 0;
}

int store_etcd_new(struct store **ret, uv_loop_t *loop,
                   const struct store_etcd_options *options, struct error *err)
{
    struct etcd *e = calloc(1, sizeof(*e));
    int rc;

    if (e == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    e->store = (struct store){.engine = &etcd_engine, .name = "etcd"};
    e->loop = loop;
    e->timeout_ms = options->request_timeout_ms != 0 ? options->request_timeout_ms
                                                     : DEFAULT_TIMEOUT_MS;
    e->wake.data = e;
    list_init(&e->active);
    list_init(&e->waiting);
    list_init(&e->ready);
    list_init(&e->watches);
    rc = copy_endpoints(e, options->endpoints, err);
    if (rc == 0 && (rc = uv_async_init(loop, &e->wake, on_wake)) < 0) {
        rc = error_set(err, rc, "open store: %s", uv_strerror(rc));
    }
    if (rc < 0) {
        for (size_t i = 0; i < e->n_endpoints; i++) {
            free(e->endpoints[i]);
        }
        free(e->endpoints);
        free(e);
        return rc;
    }
    CHECK(etcd_http_new(&e->http, loop) == 0); /* at start-up */
    e->n_handles = 2;
    *ret = &e->store;
    return 0;
}
