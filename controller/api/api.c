#include "controller/api/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "controller/api/api_private.h"

#define COLLECT_MIN_MS (500)
#define COLLECT_MAX_MS (10 * 60 * 1000)

/* --- unused packages ------------------------------------------------------------ */

static bool package_used(void *data, const char *digest)
{
    const struct api *a = data;

    return controller_core_package_used(a->core, digest);
}

/* Only while all is known that could need a package: a definition that could not be read,
 * or a change that has not been heard of yet, may name any. */
static void collect_cb(uv_timer_t *timer)
{
    struct api *a = container_of(timer, struct api, collect);
    size_t n;

    if (!controller_core_is_ready(a->core) ||
        !a->options.io.store_up(a->options.io.ctx) ||
        controller_core_damaged(a->core) > 0) {
        return;
    }
    n = package_store_collect(a->packages, a->options.package_grace_ms, package_used, a);
    if (n > 0) {
        log_info("unused packages removed", LOG_INT("packages", n));
    }
}

static void start_collecting(struct api *a)
{
    uint64_t every_ms = a->options.package_grace_ms / 4;

    every_ms = every_ms < COLLECT_MIN_MS   ? COLLECT_MIN_MS
               : every_ms > COLLECT_MAX_MS ? COLLECT_MAX_MS
                                           : every_ms;
    (void)uv_timer_start(&a->collect, collect_cb, every_ms, every_ms);
}

/* --- end ---------------------------------------------------------------------- */

static void one_closed(struct api *a)
{
    if (--a->open == 0 && a->on_closed != NULL) {
        a->on_closed(a->on_closed_data);
    }
}

static void server_closed(struct http_server *s)
{
    one_closed(s->data);
}

static void timer_closed(uv_handle_t *handle)
{
    one_closed(container_of((uv_timer_t *)handle, struct api, collect));
}

static void close_server(struct api *a)
{
    if (!a->server_closing) {
        a->server_closing = true;
        uv_close((uv_handle_t *)&a->collect, timer_closed);
        http_server_close(&a->server, server_closed);
    }
}

static void grace_over_cb(uv_timer_t *timer)
{
    close_server(container_of(timer, struct api, collect));
}

void api_request_gone(struct api *a)
{
    if (a->closing && !a->server_closing && list_empty(&a->requests)) {
        /* Not from within the server's callback. */
        (void)uv_timer_start(&a->collect, grace_over_cb, 0, 0);
    }
}

void api_close(struct api *a, uint32_t grace_ms, void (*on_closed)(void *data),
               void *data)
{
    CHECK(!a->closing);
    a->closing = true;
    a->on_closed = on_closed;
    a->on_closed_data = data;
    http_server_drain(&a->server);
    (void)uv_timer_start(&a->collect, grace_over_cb,
                         list_empty(&a->requests) ? 0 : grace_ms, 0);
    LIST_FOREACH_SAFE(it, &a->requests)
    {
        struct api_request *r = container_of(it, struct api_request, node);

        if (r->ops != NULL && r->ops->on_stop != NULL && r->x != NULL) {
            r->ops->on_stop(r);
        }
    }
}

struct api *api_free(struct api *a)
{
    if (a != NULL) {
        CHECK(a->open == 0 && list_empty(&a->requests));
        package_store_free(a->packages);
        free(a->controller_name);
        free(a);
    }
    return NULL;
}

/* --- begin -------------------------------------------------------------------- */

static void on_request(struct http_server *s, struct http_exchange *x)
{
    api_request_begin(s->data, x);
}

static int open_server(struct api *a, struct error *err)
{
    struct http_server_options o = {
        .fin_is_gone = true, /* who closes while waiting for a log has gone */
        .on_request = on_request,
        .data = a,
    };
    int rc = http_server_open(&a->server, a->loop, &o);

    if (rc < 0) {
        return error_set(err, rc, "REST server: %s", uv_strerror(rc));
    }
    CHECK(uv_timer_init(a->loop, &a->collect) == 0);
    a->open = 2;
    rc = http_server_listen_tcp(&a->server, a->options.host, a->options.port, &a->port,
                                err);
    if (rc < 0) {
        close_server(a);
        return error_wrap(err, rc, "rest");
    }
    start_collecting(a);
    return 0;
}

/* A server that could not listen closes on the loop: the struct must wait for it. */
static void failed_closed(void *data)
{
    api_free(data);
}

int api_new(struct api **ret, uv_loop_t *loop, const struct api_options *options,
            struct error *err)
{
    struct api *a = calloc(1, sizeof(*a));
    int rc;

    if (a == NULL || (a->controller_name = strdup(options->controller_name)) == NULL) {
        free(a);
        return error_set(err, -ENOMEM, "out of memory");
    }
    a->loop = loop;
    a->options = *options;
    a->core = options->core;
    a->started_ms = clock_mono_ms();
    list_init(&a->requests);
    list_init(&a->log_streams);
    list_init(&a->event_streams);
    rc = package_store_new(&a->packages, loop, options->packages_dir, err);
    if (rc < 0) {
        api_free(a);
        return error_wrap(err, rc, "packages");
    }
    rc = api_metrics_init(a);
    if (rc < 0) {
        api_free(a);
        return error_set(err, rc, "out of memory");
    }
    a->on_closed = failed_closed;
    a->on_closed_data = a;
    rc = open_server(a, err);
    if (rc < 0) {
        if (a->open == 0) {
            api_free(a);
        }
        return rc;
    }
    a->on_closed = NULL;
    *ret = a;
    return 0;
}

uint16_t api_port(const struct api *a)
{
    return a->port;
}
