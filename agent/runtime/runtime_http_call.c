/* Calls proxied to the function's server. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/runtime/runtime_http.h"
#include "common/check.h"

#define HEADERS_ADDED 8
#define HEADERS_FEW   48 /* so many need no memory of their own */

static struct http_runtime_call *call_of(struct runtime_call *c)
{
    return container_of(c, struct http_runtime_call, call);
}

/* --- the request's head ------------------------------------------------------------ */

struct head {
    struct http_header *list;
    size_t n;
    struct buf *text; /* the target, Forwarded and X-Forwarded-For, one after the other */
    struct http_str target;
    struct http_header few[HEADERS_FEW];
};

static void head_free(struct head *h)
{
    if (h->list != h->few) {
        free(h->list);
    }
}

static void put(struct head *h, const char *name, struct http_str value)
{
    h->list[h->n++] = (struct http_header){http_str(name), value};
}

/* All values of `name`, then one more. */
static inline int gather(struct buf *b, struct http_headers headers, const char *name)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < headers.n; i++) {
        if (http_str_ieq(headers.list[i].name, name)) {
            rc = buf_append(b, headers.list[i].value.at, headers.list[i].value.len);
            rc = rc < 0 ? rc : buf_append_str(b, ", ");
        }
    }
    return rc;
}

static bool is_plain(char c)
{
    switch (c) {
    case '.':
    case '-':
    case '_':
    case ':':
    case '[':
    case ']':
        return true;
    default:
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    }
}

static bool host_is_plain(struct http_str host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (!is_plain(host.at[i])) {
            return false;
        }
    }
    return host.len > 0;
}

/* RFC 7239, and the X-Forwarded-For that came before it. */
static int add_forwarded(struct head *h, const struct runtime_request *r)
{
    const struct http_header *host = http_headers_find(r->headers, "Host");
    bool v6 = strchr(r->peer, ':') != NULL;
    const char *peer = *r->peer != '\0' ? r->peer : "unknown";
    struct buf *b = h->text;
    size_t target = b->len, forwarded;
    int rc = gather(b, r->headers, "Forwarded");

    rc = rc < 0 ? rc : buf_append_str(b, v6 ? "for=\"[" : "for=");
    rc = rc < 0 ? rc : buf_append_str(b, peer);
    rc = rc < 0 || !v6 ? rc : buf_append_str(b, "]\"");
    if (rc == 0 && host != NULL && host_is_plain(host->value)) {
        rc = buf_append_str(b, ";host=\"");
        rc = rc < 0 ? rc : buf_append(b, host->value.at, host->value.len);
        rc = rc < 0 ? rc : buf_append(b, "\"", 1);
    }
    rc = rc < 0 ? rc : buf_append_str(b, ";proto=http");
    forwarded = b->len - target;
    rc = rc < 0 ? rc : gather(b, r->headers, "X-Forwarded-For");
    rc = rc < 0 ? rc : buf_append_str(b, peer);
    if (rc < 0) {
        return rc;
    }
    put(h, "Forwarded", (struct http_str){b->data + target, forwarded});
    put(h, "X-Forwarded-For",
        (struct http_str){b->data + target + forwarded, b->len - target - forwarded});
    /* A proxy in front of the gateway knows these better. */
    if (http_headers_find(r->headers, "X-Forwarded-Proto") == NULL) {
        put(h, "X-Forwarded-Proto", HTTP_STR("http"));
    }
    if (http_headers_find(r->headers, "X-Forwarded-Host") == NULL && host != NULL) {
        put(h, "X-Forwarded-Host", host->value);
    }
    return 0;
}

static bool is_replaced(struct http_str name)
{
    return http_str_ieq(name, "Forwarded") || http_str_ieq(name, "X-Forwarded-For") ||
           http_str_ieq(name, "X-Mayfly-Request-Id");
}

static struct http_str connection_of(struct http_headers headers)
{
    const struct http_header *h = http_headers_find(headers, "Connection");

    return h != NULL ? h->value : HTTP_STR("");
}

static int head_build(struct head *h, const struct runtime_request *r)
{
    struct http_str connection = connection_of(r->headers);
    size_t room = r->headers.n + HEADERS_ADDED, target;
    int rc;

    h->n = 0;
    h->text->len = 0;
    h->list = room <= HEADERS_FEW ? h->few : calloc(room, sizeof(*h->list));
    if (h->list == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < r->headers.n; i++) {
        struct http_str name = r->headers.list[i].name;

        if (!http_header_is_hop(name, connection) && !is_replaced(name)) {
            h->list[h->n++] = r->headers.list[i];
        }
    }
    put(h, "X-Mayfly-Request-Id", http_str(r->request_id));
    if (r->upgrade.len > 0) {
        put(h, "Connection", HTTP_STR("Upgrade"));
        put(h, "Upgrade", r->upgrade);
    }
    rc = buf_append(h->text, r->path.at, r->path.len);
    if (rc == 0 && r->query.len > 0) {
        rc = buf_append_str(h->text, "?");
        rc = rc < 0 ? rc : buf_append(h->text, r->query.at, r->query.len);
    }
    target = h->text->len;
    rc = rc < 0 ? rc : add_forwarded(h, r);
    h->target = (struct http_str){h->text->data, target};
    return rc;
}

/* --- the client's news ---------------------------------------------------------------
 */

static void on_response(struct http_call *http, int status, struct http_headers headers,
                        uint64_t content_length)
{
    struct http_runtime_call *h = http_call_data(http);
    struct http_str connection = connection_of(headers);
    struct http_header few[HEADERS_FEW];
    struct http_header *list =
        headers.n <= HEADERS_FEW ? few : calloc(headers.n, sizeof(*list));
    size_t n = 0;

    buf_free(&h->kept);
    if (list == NULL) {
        http_call_cancel(http);
        return;
    }
    for (size_t i = 0; i < headers.n; i++) {
        struct http_str name = headers.list[i].name;

        if (!http_header_is_hop(name, connection) && !http_str_ieq(name, "Date")) {
            list[n++] = headers.list[i]; /* the gateway dates its responses itself */
        }
    }
    if (status == 101) {
        list[n++] =
            (struct http_header){HTTP_STR("Upgrade"), http_headers_upgrade(headers)};
        h->tunnel = true;
    }
    if (call_respond(&h->call, status, (struct http_headers){list, n}, content_length) &&
        h->call.paused) {
        http_call_pause(http);
    }
    if (list != few) {
        free(list);
    }
}

static void on_body(struct http_call *http, const char *data, size_t len)
{
    struct http_runtime_call *h = http_call_data(http);

    (void)call_body(&h->call, data, len);
}

static void on_drain(struct http_call *http)
{
    struct http_runtime_call *h = http_call_data(http);

    if (!h->starting) {
        call_drained(&h->call);
    }
}

/* The program was gone, or as good as gone, before anything of the call was sent to it:
 * the call is none of its, and goes to another instance. */
static void give_back(struct http_runtime_call *h, int status)
{
    h->call.untaken = true;
    h->call.unused = h->kept;
    h->kept = (struct buf){0};
    call_finish(&h->call, CAUSE_CRASHED, "connection to the function's port: %s",
                strerror(-status));
}

static void on_close(struct http_call *http, int status)
{
    struct http_runtime_call *h = http_call_data(http);
    struct runtime_instance *in = h->call.instance;

    h->http = NULL;
    if (status == 0) {
        call_finish(&h->call, CAUSE_NONE, "%s", "");
    } else if (status == -ECANCELED || status == -ENOMEM) {
        call_finish(&h->call, CAUSE_INTERNAL, "%s", strerror(-status));
    } else if (!http_call_was_sent(http) && status != -ETIMEDOUT) {
        give_back(h, status);
    } else if (status == -EPROTO) {
        call_finish(&h->call, CAUSE_FUNCTION_ERROR,
                    "the function's HTTP response is malformed");
    } else if (h->call.responded) {
        call_finish_unless_crashed(
            &h->call, "the function closed the connection before its reply's end");
    } else if (status == -ECONNRESET || status == -EPIPE) {
        /* Of a head, who has not read all has read nothing. Of a body he may have. */
        h->call.unread = h->bodiless && http_call_was_reset(http);
        call_finish_unless_crashed(&h->call,
                                   "the function closed the connection without a reply");
    } else {
        call_finish_unless_crashed(&h->call, "connection to the function's port: %s",
                                   strerror(-status));
    }
    buf_free(&h->kept);
    instance_release(in);
}

static const struct http_call_ops client_ops = {
    .on_response = on_response,
    .on_body = on_body,
    .on_drain = on_drain,
    .on_close = on_close,
};

/* The client's call may outlive ours by a moment. */
static void on_dropped_close(struct http_call *http, int status)
{
    instance_release(http_call_data(http));
}

static const struct http_call_ops dropped_ops = {.on_close = on_dropped_close};

/* --- calls ---------------------------------------------------------------------------
 */

int http_runtime_call_start(struct runtime_call *c, const struct runtime_request *r)
{
    struct http_runtime_call *h = call_of(c);
    struct http_state *s = c->instance->kind_state;
    struct head head; /* not all zeros: it is large */
    int rc;

    head.text = &c->host->head_text;
    rc = head_build(&head, r);
    if (rc == 0) {
        instance_hold(c->instance);
        h->bodiless = r->content_length == 0;
        h->starting = true;
        rc = http_call_start(&s->client, &h->http, r->method, head.target,
                             (struct http_headers){head.list, head.n}, NULL,
                             r->content_length, &client_ops, h);
        h->starting = false;
        if (rc < 0) {
            instance_release(c->instance);
        }
    }
    head_free(&head);
    if (rc == -EINVAL) {
        call_finish(c, CAUSE_BAD_REQUEST, "the request's head cannot be passed on");
        return 0;
    }
    return rc;
}

int http_runtime_call_write(struct runtime_call *c, const char *data, size_t len)
{
    struct http_runtime_call *h = call_of(c);
    int rc = 0;

    if (http_call_was_sent(h->http)) {
        buf_free(&h->kept);
    } else {
        rc = buf_append(&h->kept, data, len);
    }
    rc = rc < 0 ? rc : http_call_write(h->http, data, len);
    return rc == -EPIPE ? 0 : rc; /* answered already: the body is of no use */
}

int http_runtime_call_end(struct runtime_call *c)
{
    const struct http_runtime_call *h = call_of(c);
    int rc = http_call_end(h->http, (struct http_headers){NULL, 0});

    return rc == -EPIPE ? 0 : rc;
}

size_t http_runtime_call_pending(const struct runtime_call *c)
{
    return http_call_pending(container_of(c, const struct http_runtime_call, call)->http);
}

void http_runtime_call_pause(struct runtime_call *c, bool paused)
{
    const struct http_runtime_call *h = call_of(c);

    if (paused) {
        http_call_pause(h->http);
    } else {
        http_call_resume(h->http);
    }
}

void http_runtime_call_due(struct runtime_call *c)
{
}

/* Its connection tells: what the server wrote before its end is still in there. */
bool http_runtime_call_outlives(struct runtime_call *c)
{
    return true;
}

/* A closed connection is all that HTTP has to say "stop"; where no other call is
 * disturbed the sandbox goes. A tunnel ends so as a matter of course. */
bool http_runtime_call_drop(struct runtime_call *c)
{
    struct http_runtime_call *h = call_of(c);

    http_call_hand_over(h->http, &dropped_ops, c->instance);
    http_call_cancel(h->http);
    h->http = NULL;
    buf_free(&h->kept);
    return h->tunnel || c->instance->config.spec->concurrency > 1;
}
