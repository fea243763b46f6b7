#include "controller/store/etcd_http.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/list.h"

#define REPLY_BYTES_MAX (256u * 1024 * 1024)

struct etcd_http {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    struct list posts;
    unsigned depth; /* inside libcurl or a callback: posts are freed when it is 0 */
    int n_handles;
    bool closing;
    void (*on_closed)(void *data);
    void *on_closed_data;
};

struct etcd_post {
    struct list node;
    struct etcd_http *http;
    CURL *easy;
    struct curl_slist *headers;
    char *body;
    struct buf received;
    bool fresh; /* bytes came since on_data was last called */
    bool dead;  /* cancelled or done: freed as soon as no one looks */
    void (*on_data)(void *data, struct buf *received);
    void (*on_done)(void *data, const struct etcd_reply *reply);
    void *data;
    char error[CURL_ERROR_SIZE];
};

struct socket {
    struct etcd_http *http;
    uv_poll_t poll;
    curl_socket_t fd;
};

static void post_free(struct etcd_post *p)
{
    list_remove(&p->node);
    if (p->easy != NULL) {
        (void)curl_multi_remove_handle(p->http->multi, p->easy);
        curl_easy_cleanup(p->easy);
    }
    curl_slist_free_all(p->headers);
    buf_free(&p->received);
    free(p->body);
    free(p);
}

static void enter(struct etcd_http *h)
{
    h->depth++;
}

static void leave(struct etcd_http *h)
{
    if (h->depth > 1) {
        h->depth--;
        return;
    }
    /* Removing a handle can call back into on_socket and set_timer: still inside. */
    LIST_FOREACH_SAFE(it, &h->posts)
    {
        struct etcd_post *p = container_of(it, struct etcd_post, node);

        if (p->dead) {
            post_free(p);
        }
    }
    h->depth--;
}

static void give_data(struct etcd_http *h)
{
    LIST_FOREACH(it, &h->posts)
    {
        struct etcd_post *p = container_of(it, struct etcd_post, node);

        if (p->fresh && !p->dead && p->on_data != NULL) {
            p->fresh = false;
            p->on_data(p->data, &p->received);
        }
    }
}

static void done(struct etcd_post *p, CURLcode code)
{
    struct etcd_reply reply = {.outcome = ETCD_REPLIED,
                               .body = p->received.data != NULL ? p->received.data : "",
                               .len = p->received.len,
                               .text = ""};
    long sent = 0;

    (void)curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &reply.http_status);
    if (code != CURLE_OK) {
        (void)curl_easy_getinfo(p->easy, CURLINFO_REQUEST_SIZE, &sent);
        reply.outcome = sent == 0                          ? ETCD_NOT_SENT
                        : code == CURLE_OPERATION_TIMEDOUT ? ETCD_TIMED_OUT
                                                           : ETCD_BROKEN;
        reply.text = p->error[0] != '\0' ? p->error : curl_easy_strerror(code);
    }
    p->dead = true;
    p->on_done(p->data, &reply);
}

/* What libcurl has found out since it was last called. Never from inside it. */
static void report(struct etcd_http *h)
{
    CURLMsg *msg;
    int left;

    give_data(h);
    while ((msg = curl_multi_info_read(h->multi, &left)) != NULL) {
        struct etcd_post *p = NULL;

        if (msg->msg == CURLMSG_DONE) {
            (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&p);
            if (!p->dead) {
                done(p, msg->data.result);
            }
        }
    }
}

static void act(struct etcd_http *h, curl_socket_t fd, int what)
{
    int running;

    if (h->closing) {
        return;
    }
    enter(h);
    (void)curl_multi_socket_action(h->multi, fd, what, &running);
    report(h);
    leave(h);
}

static void on_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *multi, long timeout_ms, void *data)
{
    struct etcd_http *h = data;

    if (h->closing || timeout_ms < 0) {
        (void)uv_timer_stop(&h->timer);
        return 0;
    }
    uv_update_time(h->loop);
    /* Never 0: uv would run it again within the same turn. */
    (void)uv_timer_start(&h->timer, on_timer, timeout_ms > 0 ? (uint64_t)timeout_ms : 1,
                         0);
    return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct socket *s = poll->data;
    /* On an error uv has stopped polling: libcurl must look for itself, now. */
    int what = status < 0 ? CURL_CSELECT_ERR | CURL_CSELECT_IN | CURL_CSELECT_OUT : 0;

    what |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    what |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    act(s->http, s->fd, what); /* may end s */
}

static void handle_gone(struct etcd_http *h)
{
    if (--h->n_handles == 0) {
        void (*on_closed)(void *data) = h->on_closed;
        void *data = h->on_closed_data;

        free(h);
        on_closed(data);
    }
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct socket *s = handle->data;
    struct etcd_http *h = s->http;

    free(s);
    handle_gone(h);
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_gone(handle->data);
}

static struct socket *socket_new(struct etcd_http *h, curl_socket_t fd)
{
    struct socket *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        return NULL;
    }
    s->http = h;
    s->fd = fd;
    s->poll.data = s;
    if (uv_poll_init(h->loop, &s->poll, fd) < 0) {
        free(s);
        return NULL;
    }
    h->n_handles++;
    (void)curl_multi_assign(h->multi, fd, s);
    return s;
}

/* libcurl says what it waits for on a socket. -1 makes it fail its transfers. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *socket)
{
    struct etcd_http *h = data;
    struct socket *s = socket;
    int events = 0;

    if (what == CURL_POLL_REMOVE) {
        if (s != NULL) {
            (void)curl_multi_assign(h->multi, fd, NULL);
            uv_close((uv_handle_t *)&s->poll, on_poll_closed);
        }
        return 0;
    }
    if (s == NULL && (s = socket_new(h, fd)) == NULL) {
        return -1;
    }
    events |= (what & CURL_POLL_IN) != 0 ? UV_READABLE : 0;
    events |= (what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0;
    return uv_poll_start(&s->poll, events, on_poll) < 0 ? -1 : 0;
}

static size_t on_write(char *bytes, size_t size, size_t n, void *data)
{
    struct etcd_post *p = data;

    if (p->received.len + size * n > REPLY_BYTES_MAX ||
        buf_append(&p->received, bytes, size * n) < 0) {
        return 0; /* ends the transfer */
    }
    p->fresh = true;
    return size * n;
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_init(void)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

int etcd_http_new(struct etcd_http **ret, uv_loop_t *loop)
{
    struct etcd_http *h = calloc(1, sizeof(*h));

    (void)pthread_once(&curl_once, curl_init);
    if (h == NULL || (h->multi = curl_multi_init()) == NULL) {
        free(h);
        return -ENOMEM;
    }
    h->loop = loop;
    h->timer.data = h;
    list_init(&h->posts);
    CHECK(uv_timer_init(loop, &h->timer) == 0);
    h->n_handles = 1;
    (void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    (void)curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    (void)curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    *ret = h;
    return 0;
}

static bool add_header(struct etcd_post *p, const char *line)
{
    struct curl_slist *longer = curl_slist_append(p->headers, line);

    p->headers = longer != NULL ? longer : p->headers;
    return longer != NULL;
}

static bool set_options(struct etcd_post *p, const struct etcd_post_options *o)
{
    CURL *e = p->easy;
    bool ok = add_header(p, "Content-Type: application/json") &&
              add_header(p, "Expect:") &&
              /* A stream on a member that lost its leader ends instead of going quiet. */
              add_header(p, "Grpc-Metadata-hasleader: true");

#define SET(option, value) ok = ok && curl_easy_setopt(e, option, value) == CURLE_OK
    SET(CURLOPT_URL, o->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_NOPROXY, "*"); /* http_proxy is not meant for the store */
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_HTTPHEADER, p->headers);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDS, p->body);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->len);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
    SET(CURLOPT_FRESH_CONNECT, o->once ? 1L : 0L);
    SET(CURLOPT_FORBID_REUSE, o->once ? 1L : 0L);
    SET(CURLOPT_WRITEFUNCTION, on_write);
    SET(CURLOPT_WRITEDATA, p);
    SET(CURLOPT_PRIVATE, p);
    SET(CURLOPT_ERRORBUFFER, p->error);
#undef SET
    return ok;
}

int etcd_http_post(struct etcd_http *h, const struct etcd_post_options *options,
                   struct etcd_post **ret)
{
    struct etcd_post *p = calloc(1, sizeof(*p));
    CURLMcode code = CURLM_OUT_OF_MEMORY;

    CHECK(!h->closing);
    if (p == NULL) {
        return -ENOMEM;
    }
    list_init(&p->node);
    p->http = h;
    p->on_data = options->on_data;
    p->on_done = options->on_done;
    p->data = options->data;
    p->easy = curl_easy_init();
    p->body = malloc(options->len + 1);
    enter(h);
    if (p->easy != NULL && p->body != NULL) {
        memcpy(p->body, options->body, options->len);
        if (set_options(p, options)) {
            code = curl_multi_add_handle(h->multi, p->easy);
        }
    }
    if (code != CURLM_OK) {
        post_free(p);
    } else {
        list_push_back(&h->posts, &p->node);
        *ret = p;
    }
    leave(h);
    return code == CURLM_OK ? 0 : -ENOMEM;
}

void etcd_http_cancel(struct etcd_post *p)
{
    if (p != NULL) {
        struct etcd_http *h = p->http;

        enter(h);
        p->dead = true;
        leave(h);
    }
}

void etcd_http_close(struct etcd_http *h, void (*on_closed)(void *data), void *data)
{
    CHECK(list_empty(&h->posts) && h->depth == 0);
    h->on_closed = on_closed;
    h->on_closed_data = data;
    (void)uv_timer_stop(&h->timer);
    h->closing = true;
    /* Ends the sockets through on_socket, each with its own close callback. */
    (void)curl_multi_cleanup(h->multi);
    uv_close((uv_handle_t *)&h->timer, on_timer_closed);
}
