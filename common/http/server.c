/* The server: listeners, the sweep of time limits, drain and close; and an exchange's
 * request side as handlers see it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "common/http/server_private.h"

#define SWEEP_MS 100
#define BACKLOG  1024

struct http_listener {
    struct list node;
    struct http_server *server;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } io;
    bool is_tcp;
};

/* --- loop callbacks ----------------------------------------------------------- */

static void sweep_cb(uv_timer_t *timer)
{
    struct http_server *s = container_of(timer, struct http_server, sweep);
    uint64_t now_ms = uv_now(timer->loop);

    LIST_FOREACH_SAFE(it, &s->conns)
    {
        http_conn_sweep(container_of(it, struct http_conn, node), now_ms);
    }
    if (list_empty(&s->conns)) {
        (void)uv_timer_stop(timer);
    }
}

static void flush_cb(uv_prepare_t *prepare)
{
    struct http_server *s = container_of(prepare, struct http_server, flush);

    while (!list_empty(&s->dirty)) {
        http_conn_flush(container_of(s->dirty.next, struct http_conn, dirty));
    }
    (void)uv_prepare_stop(prepare);
}

static void awake_cb(uv_idle_t *idle)
{
    (void)uv_idle_stop(idle);
}

/* Idle handles come before prepare handles in a turn of the loop. If this is called from
 * one of the latter, it is too late for this turn, and the idle handle keeps the loop
 * from going to sleep before the next. */
void http_server_flush_later(struct http_server *s)
{
    if (!uv_is_active((uv_handle_t *)&s->flush)) {
        (void)uv_prepare_start(&s->flush, flush_cb);
        (void)uv_idle_start(&s->awake, awake_cb);
    }
}

static void connection_cb(uv_stream_t *stream, int status)
{
    struct http_listener *l = container_of(stream, struct http_listener, io.stream);
    struct http_server *s = l->server;

    if (status < 0 || s->closing) {
        return;
    }
    http_conn_accept(s, stream, l->is_tcp);
    if (!uv_is_active((uv_handle_t *)&s->sweep)) {
        (void)uv_timer_start(&s->sweep, sweep_cb, SWEEP_MS, SWEEP_MS);
    }
}

/* --- life --------------------------------------------------------------------- */

static void set_default(uint32_t *value, uint32_t dflt)
{
    if (*value == 0) {
        *value = dflt;
    }
}

int http_server_open(struct http_server *s, uv_loop_t *loop,
                     const struct http_server_options *options)
{
    *s = (struct http_server){.data = options->data, .options = *options, .loop = loop};
    set_default(&s->options.head_max_bytes, 64 * 1024);
    set_default(&s->options.headers_max, 128);
    set_default(&s->options.head_timeout_ms, 10 * 1000);
    set_default(&s->options.body_timeout_ms, 30 * 1000);
    set_default(&s->options.idle_timeout_ms, 75 * 1000);
    set_default(&s->options.write_timeout_ms, 30 * 1000);
    set_default(&s->options.upgrade_idle_ms, 10 * 60 * 1000);
    set_default(&s->options.connections_max, 10 * 1000);
    list_init(&s->listeners);
    list_init(&s->conns);
    list_init(&s->dirty);
    s->own_scratch = options->scratch == NULL ? malloc(HTTP_SCRATCH_BYTES) : NULL;
    s->scratch = options->scratch != NULL ? options->scratch : s->own_scratch;
    if (s->scratch == NULL) {
        return -ENOMEM;
    }
    CHECK(uv_timer_init(loop, &s->sweep) == 0);
    CHECK(uv_prepare_init(loop, &s->flush) == 0);
    CHECK(uv_idle_init(loop, &s->awake) == 0);
    s->n_handles = 3;
    return 0;
}

static struct http_listener *listener_new(struct http_server *s, bool is_tcp)
{
    struct http_listener *l = calloc(1, sizeof(*l));
    int rc;

    if (l == NULL) {
        return NULL;
    }
    rc =
        is_tcp ? uv_tcp_init(s->loop, &l->io.tcp) : uv_pipe_init(s->loop, &l->io.pipe, 0);
    if (rc < 0) {
        free(l);
        return NULL;
    }
    l->server = s;
    l->is_tcp = is_tcp;
    s->n_handles++;
    list_push_back(&s->listeners, &l->node);
    return l;
}

static void server_gone(struct http_server *s)
{
    free(s->own_scratch);
    s->scratch = s->own_scratch = NULL;
    if (s->on_closed != NULL) {
        s->on_closed(s);
    }
}

static void handle_closed(struct http_server *s)
{
    s->n_handles--;
    if (s->closing && s->n_handles == 0) {
        server_gone(s);
    }
}

void http_server_conn_gone(struct http_server *s)
{
    s->n_conns--;
    handle_closed(s);
}

static void listener_closed_cb(uv_handle_t *handle)
{
    struct http_listener *l = container_of(handle, struct http_listener, io.handle);
    struct http_server *s = l->server;

    free(l);
    handle_closed(s);
}

static void listener_close(struct http_listener *l)
{
    list_remove(&l->node);
    uv_close(&l->io.handle, listener_closed_cb);
}

static int listen_on(struct http_listener *l, const char *what, struct error *err)
{
    int rc = uv_listen(&l->io.stream, BACKLOG, connection_cb);

    if (rc < 0) {
        listener_close(l);
        return error_set(err, rc, "listen on %s: %s", what, uv_strerror(rc));
    }
    return 0;
}

int http_server_listen_tcp(struct http_server *s, const char *host, uint16_t port,
                           uint16_t *ret_port, struct error *err)
{
    struct sockaddr_storage addr;
    int len = sizeof(addr);
    struct http_listener *l;
    char what[80];
    int rc;

    (void)snprintf(what, sizeof(what), "%s:%u", host, port);
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)&addr) < 0 &&
        uv_ip6_addr(host, port, (struct sockaddr_in6 *)&addr) < 0) {
        return error_set(err, -EINVAL, "\"%s\" is not a numeric IPv4 or IPv6 address",
                         host);
    }
    l = listener_new(s, true);
    if (l == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    rc = uv_tcp_bind(&l->io.tcp, (struct sockaddr *)&addr, 0);
    if (rc < 0) {
        listener_close(l);
        return error_set(err, rc, "listen on %s: %s", what, uv_strerror(rc));
    }
    rc = listen_on(l, what, err);
    if (rc == 0 && ret_port != NULL) {
        (void)uv_tcp_getsockname(&l->io.tcp, (struct sockaddr *)&addr, &len);
        *ret_port = ntohs(((struct sockaddr_in *)&addr)->sin_port);
    }
    return rc;
}

int http_server_listen_unix(struct http_server *s, const char *path, mode_t mode,
                            struct error *err)
{
    struct http_listener *l = listener_new(s, false);
    struct stat st;
    int rc;

    if (l == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        (void)unlink(path); /* a predecessor's */
    }
    rc = uv_pipe_bind(&l->io.pipe, path);
    if (rc == 0 && chmod(path, mode) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        listener_close(l);
        return error_set(err, rc, "listen on %s: %s", path, uv_strerror(rc));
    }
    return listen_on(l, path, err);
}

int http_server_listen_fd(struct http_server *s, int fd, struct error *err)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    struct http_listener *l;
    int rc;

    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0) {
        rc = -errno;
        (void)close(fd);
        return error_set_errno(err, rc, "listening descriptor");
    }
    l = listener_new(s, addr.ss_family != AF_UNIX);
    if (l == NULL) {
        (void)close(fd);
        return error_set(err, -ENOMEM, "out of memory");
    }
    rc = l->is_tcp ? uv_tcp_open(&l->io.tcp, fd) : uv_pipe_open(&l->io.pipe, fd);
    if (rc < 0) {
        (void)close(fd);
        listener_close(l);
        return error_set(err, rc, "listening descriptor: %s", uv_strerror(rc));
    }
    return listen_on(l, "a given descriptor", err);
}

void http_server_drain(struct http_server *s)
{
    s->draining = true;
    LIST_FOREACH_SAFE(it, &s->listeners)
    {
        listener_close(container_of(it, struct http_listener, node));
    }
    LIST_FOREACH_SAFE(it, &s->conns)
    {
        struct http_conn *c = container_of(it, struct http_conn, node);

        if (!c->x.open && http_message_is_fresh(&c->in)) {
            http_conn_close(c, 0, false);
        }
    }
}

size_t http_server_active(const struct http_server *s)
{
    size_t n = 0;

    LIST_FOREACH(it, &s->conns)
    {
        n += container_of(it, struct http_conn, node)->x.open;
    }
    return n;
}

static void own_closed_cb(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

void http_server_close(struct http_server *s, void (*on_closed)(struct http_server *s))
{
    CHECK(!s->closing);
    s->closing = true;
    s->on_closed = on_closed;
    LIST_FOREACH_SAFE(it, &s->listeners)
    {
        listener_close(container_of(it, struct http_listener, node));
    }
    LIST_FOREACH_SAFE(it, &s->conns)
    {
        http_conn_close(container_of(it, struct http_conn, node), -ECANCELED, true);
    }
    s->sweep.data = s->flush.data = s->awake.data = s;
    uv_close((uv_handle_t *)&s->sweep, own_closed_cb);
    uv_close((uv_handle_t *)&s->flush, own_closed_cb);
    uv_close((uv_handle_t *)&s->awake, own_closed_cb);
}

/* --- an exchange's request ------------------------------------------------------ */

static const struct http_conn *conn_const(const struct http_exchange *x)
{
    return container_of(x, const struct http_conn, x);
}

void http_exchange_set(struct http_exchange *x, const struct http_exchange_ops *ops,
                       void *data)
{
    x->ops = *ops;
    x->data = data;
}

void *http_exchange_data(const struct http_exchange *x)
{
    return x->data;
}

struct http_server *http_exchange_server(const struct http_exchange *x)
{
    return conn_const(x)->server;
}

struct http_str http_exchange_method(const struct http_exchange *x)
{
    return conn_const(x)->in.method;
}

struct http_str http_exchange_target(const struct http_exchange *x)
{
    return conn_const(x)->in.url;
}

/* "http://host/path" (RFC 9112 section 3.2.2) is served as "/path". */
static struct http_str origin_form(struct http_str target)
{
    const char *scheme, *slash;

    if (target.len == 0 || target.at[0] == '/') {
        return target;
    }
    scheme = memmem(target.at, target.len, "://", 3);
    if (scheme == NULL) {
        return target;
    }
    scheme += 3;
    slash = memchr(scheme, '/', (size_t)(target.at + target.len - scheme));
    if (slash == NULL) {
        return HTTP_STR("/");
    }
    return (struct http_str){slash, (size_t)(target.at + target.len - slash)};
}

struct http_str http_exchange_path(const struct http_exchange *x)
{
    struct http_str target = origin_form(conn_const(x)->in.url);
    const char *mark = target.len > 0 ? memchr(target.at, '?', target.len) : NULL;

    return (struct http_str){target.at,
                             mark != NULL ? (size_t)(mark - target.at) : target.len};
}

struct http_str http_exchange_query(const struct http_exchange *x)
{
    struct http_str target = origin_form(conn_const(x)->in.url);
    const char *mark = target.len > 0 ? memchr(target.at, '?', target.len) : NULL;

    if (mark == NULL) {
        return (struct http_str){"", 0};
    }
    return (struct http_str){mark + 1, (size_t)(target.at + target.len - mark - 1)};
}

struct http_headers http_exchange_headers(const struct http_exchange *x)
{
    return http_message_headers(&conn_const(x)->in);
}

struct http_headers http_exchange_trailers(const struct http_exchange *x)
{
    return http_message_trailers(&conn_const(x)->in);
}

bool http_exchange_is_http10(const struct http_exchange *x)
{
    return conn_const(x)->in.parser.http_minor == 0;
}

uint64_t http_exchange_content_length(const struct http_exchange *x)
{
    return conn_const(x)->in.content_length;
}

const char *http_exchange_peer(const struct http_exchange *x)
{
    return conn_const(x)->peer;
}

uint64_t http_exchange_started_us(const struct http_exchange *x)
{
    return x->started_us;
}

void http_exchange_pause(struct http_exchange *x)
{
    http_conn_of(x)->in.paused = true;
    if (!http_conn_of(x)->feeding) {
        http_conn_update(http_conn_of(x));
    }
}

void http_exchange_resume(struct http_exchange *x)
{
    struct http_conn *c = http_conn_of(x);

    if (!c->in.paused || c->closing) {
        return;
    }
    c->in.paused = false;
    if (!c->feeding) {
        c->resume = true; /* fed from the flush, never from within the caller */
        http_conn_mark(c);
    }
}

void http_exchange_refuse(struct http_exchange *x, int status, const char *reason)
{
    http_conn_refuse(http_conn_of(x), status, reason);
}

void http_exchange_limit_body(struct http_exchange *x, uint64_t max_bytes)
{
    const struct http_conn *c = http_conn_of(x);

    x->body_max = max_bytes;
    if (c->in.content_length != HTTP_BODY_CHUNKED && c->in.content_length > max_bytes &&
        !x->responded) {
        http_exchange_refuse(x, 413, "the body is over the limit");
    }
}
