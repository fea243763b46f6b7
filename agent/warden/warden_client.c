#include "agent/warden/warden_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/warden/warden_counts.h"
#include "agent/warden/warden_proto.h"
#include "common/buf.h"
#include "common/check.h"
#include "common/fd_message.h"
#include "common/list.h"

/* Requests that may wait while the warden is busy. The pool asks for few at a time: more
 * means that the warden hangs. */
#define QUEUE_MAX 65536

struct pending {
    struct list node;
    uint64_t tag;
    uint64_t id; /* of the sandbox */
    uint32_t type;
    char program[WARDEN_PROGRAM_MAX + 1]; /* of the seed that is wanted, or "" */
    warden_create_cb create;
    warden_socket_cb socket;
    warden_usage_cb usage;
    void *data;
};

/* A request that the kernel did not take at once. */
struct queued {
    struct list node;
    struct warden_request request;
};

struct warden_client {
    uv_loop_t *loop;
    struct warden_client_options options;
    uv_poll_t poll;
    int fd;
    uint64_t next_tag;
    struct warden_blanks blanks;
    struct list pending;
    struct list queue;
    unsigned n_queued;
    bool lost;
    bool closing;
    uv_timer_t soon; /* tells what went wrong, later than the call */
    char reason[WARDEN_TEXT_MAX + 40];
    unsigned open_handles;
    void (*on_closed)(void *data);
    void *closed_data;
};

static void poll_cb(uv_poll_t *poll, int status, int events);

/* --- ends --------------------------------------------------------------------- */

static void fail_pending(struct warden_client *c)
{
    struct error err;

    (void)error_set(&err, -EPIPE, "the warden is gone");
    while (!list_empty(&c->pending)) {
        struct pending *p = container_of(c->pending.next, struct pending, node);

        list_remove(&p->node);
        if (p->create != NULL) {
            p->create(p->data, -EPIPE, &err, &(struct sandbox_fds){-1, -1, -1, -1, -1});
        } else if (p->socket != NULL) {
            p->socket(p->data, -EPIPE);
        } else if (p->usage != NULL) {
            const struct sandbox_usage none = {0};

            p->usage(p->data, -EPIPE, &none);
        }
        free(p);
    }
}

static void lost_cb(uv_timer_t *timer)
{
    struct warden_client *c = container_of(timer, struct warden_client, soon);

    fail_pending(c);
    if (c->options.on_lost != NULL) {
        c->options.on_lost(c->options.data, c->reason);
    }
}

static void lose(struct warden_client *c, const char *reason)
{
    if (c->lost || c->closing) {
        return;
    }
    c->lost = true;
    (void)snprintf(c->reason, sizeof(c->reason), "%s", reason);
    (void)uv_poll_stop(&c->poll);
    (void)uv_timer_start(&c->soon, lost_cb, 0, 0);
}

/* --- out ---------------------------------------------------------------------- */

/* 0, or -EAGAIN, or another error. */
static int send_now(const struct warden_client *c, const struct warden_request *r)
{
    if (send(c->fd, r, sizeof(*r), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(*r)) {
        return 0;
    }
    return errno == EINTR || errno == ENOBUFS ? -EAGAIN : -errno;
}

static void watch(struct warden_client *c)
{
    int events = UV_READABLE | (list_empty(&c->queue) ? 0 : UV_WRITABLE);

    if (!c->lost) {
        CHECK(uv_poll_start(&c->poll, events, poll_cb) == 0);
    }
}

static void flush(struct warden_client *c)
{
    while (!list_empty(&c->queue)) {
        struct queued *q = container_of(c->queue.next, struct queued, node);
        int rc = send_now(c, &q->request);

        if (rc == -EAGAIN) {
            break;
        }
        list_remove(&q->node);
        c->n_queued--;
        free(q);
        if (rc < 0) {
            lose(c, "the warden does not take requests");
            return;
        }
    }
    watch(c);
}

static void request(struct warden_client *c, const struct warden_request *r)
{
    int rc = list_empty(&c->queue) ? send_now(c, r) : -EAGAIN;
    struct queued *q;

    if (c->lost || rc == 0) {
        return;
    }
    if (rc != -EAGAIN) {
        lose(c, "the warden does not take requests");
        return;
    }
    if (c->n_queued >= QUEUE_MAX) {
        lose(c, "the warden hangs");
        return;
    }
    q = malloc(sizeof(*q));
    if (q == NULL) {
        lose(c, "out of memory");
        return;
    }
    q->request = *r;
    list_push_back(&c->queue, &q->node);
    c->n_queued++;
    watch(c);
}

static struct pending *expect(struct warden_client *c, struct warden_request *r,
                              void *data)
{
    struct pending *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        return NULL;
    }
    p->tag = r->tag = ++c->next_tag;
    p->id = r->id;
    p->type = r->type;
    p->data = data;
    list_push_back(&c->pending, &p->node);
    return p;
}

/* Sends it, or lets the callbacks tell later that there is nobody to send it to. */
static void submit(struct warden_client *c, const struct warden_request *r)
{
    if (c->lost) {
        (void)uv_timer_start(&c->soon, lost_cb, 0, 0);
    } else {
        request(c, r);
    }
}

/* --- in ----------------------------------------------------------------------- */

static struct pending *take_pending(struct warden_client *c, uint64_t tag)
{
    LIST_FOREACH(it, &c->pending)
    {
        struct pending *p = container_of(it, struct pending, node);

        if (p->tag == tag) {
            list_remove(it);
            return p;
        }
    }
    return NULL;
}

/* In the order of the reply, each if it is there. */
static struct sandbox_fds given_fds(const struct warden_reply *r,
                                    const int fds[WARDEN_FDS_MAX])
{
    bool freezer = (r->flags & WARDEN_FLAG_FREEZER) != 0;
    bool seed = (r->flags & WARDEN_FLAG_SEED) != 0;
    struct sandbox_fds given = {fds[0], -1, -1, -1, -1};
    int n = 1, left = freezer + 2 * seed;

    for (int i = 1; i < WARDEN_FDS_MAX; i++) {
        n += fds[i] >= 0;
    }
    if (n == 2 + left) {
        given.listener = fds[1];
    }
    given.freezer = freezer && n > left                   ? fds[n - left]
                    : (r->flags & WARDEN_FLAG_NO_FREEZER) ? -ENOTSUP
                                                          : -EMFILE;
    if (seed && n > left) {
        given.out = fds[n - 2];
        given.err = fds[n - 1];
    }
    return given;
}

static void note_blanks(struct warden_client *c, const struct warden_reply *r,
                        const struct pending *p)
{
    uint32_t wanted = *p->program != '\0' ? WARDEN_FLAG_SEED : WARDEN_FLAG_BLANK;

    warden_counts_told(&c->blanks, r);
    if (r->status == 0) {
        warden_counts_given(&c->blanks, p->program, (r->flags & wanted) != 0);
    }
}

static void on_answer(struct warden_client *c, const struct warden_reply *r,
                      int fds[WARDEN_FDS_MAX])
{
    struct pending *p = take_pending(c, r->tag);

    if (p == NULL) {
        lose(c, "an answer that nothing asked for");
        return;
    }
    if (r->type == WARDEN_CREATED && p->create != NULL) {
        struct error err = {.code = r->status};
        struct sandbox_fds given = given_fds(r, fds);

        note_blanks(c, r, p);
        (void)snprintf(err.text, sizeof(err.text), "%.*s", WARDEN_TEXT_MAX - 1, r->text);
        p->create(p->data, r->status, &err, &given);
        for (int i = 0; i < WARDEN_FDS_MAX; i++) {
            fds[i] = -1;
        }
    } else if (r->type == WARDEN_SOCKET_MADE && p->socket != NULL) {
        p->socket(p->data, r->status < 0 ? r->status : fds[0]);
        fds[0] = -1;
    } else if (r->type == WARDEN_USAGE_READ && p->usage != NULL) {
        const struct sandbox_usage u = {
            .oom = (r->flags & WARDEN_FLAG_OOM) != 0,
            .memory_bytes = r->memory_bytes,
            .memory_peak_bytes = r->memory_peak_bytes,
            .cpu_us = r->cpu_us,
            .pids = r->pids,
        };

        p->usage(p->data, r->status, &u);
    }
    free(p);
}

static void on_reply(struct warden_client *c, const struct warden_reply *r,
                     int fds[WARDEN_FDS_MAX])
{
    const struct sandbox_exit e = {
        .wait_status = r->wait_status,
        .oom = (r->flags & WARDEN_FLAG_OOM) != 0,
        .memory_peak_bytes = r->memory_peak_bytes,
        .cpu_us = r->cpu_us,
    };

    switch (r->type) {
    case WARDEN_READY:
        if (c->options.on_ready != NULL) {
            c->options.on_ready(c->options.data);
        }
        return;
    case WARDEN_FAILED:
        lose(c, r->text);
        return;
    case WARDEN_BLANKS:
        warden_counts_told(&c->blanks, r);
        return;
    case WARDEN_EXIT:
        c->options.on_exit(c->options.data, r->id, &e);
        return;
    case WARDEN_SHORT:
        if (c->options.on_short != NULL) {
            c->options.on_short(c->options.data);
        }
        return;
    case WARDEN_OOM:
        if (c->options.on_oom != NULL) {
            c->options.on_oom(c->options.data, r->id);
        }
        return;
    default:
        on_answer(c, r, fds);
        return;
    }
}

/* 1: a message; 0: none now; negative: the end. */
static int receive(struct warden_client *c, struct warden_reply *r,
                   int fds[WARDEN_FDS_MAX])
{
    struct iovec part = {r, sizeof(*r)};
    ssize_t n = fd_message_receive(c->fd, &part, 1, fds, WARDEN_FDS_MAX, MSG_DONTWAIT);

    if (n < 0) {
        return n == -EAGAIN ? 0 : (int)n;
    }
    if (n != (ssize_t)sizeof(*r)) {
        return -EPIPE;
    }
    r->text[sizeof(r->text) - 1] = '\0';
    return 1;
}

static void poll_cb(uv_poll_t *poll, int status, int events)
{
    struct warden_client *c = container_of(poll, struct warden_client, poll);
    struct warden_reply r;
    int fds[WARDEN_FDS_MAX], rc = 1;

    if (status < 0) {
        lose(c, "the connection to the warden broke");
        return;
    }
    if (events & UV_WRITABLE) {
        flush(c);
    }
    while (!c->lost && !c->closing && (rc = receive(c, &r, fds)) == 1) {
        on_reply(c, &r, fds);
        for (int i = 0; i < WARDEN_FDS_MAX; i++) {
            if (fds[i] >= 0) {
                (void)close(fds[i]);
            }
        }
    }
    if (rc < 0) {
        lose(c, "the warden has ended");
    }
}

/* --- public ------------------------------------------------------------------- */

int warden_client_new(struct warden_client **ret, uv_loop_t *loop, int fd,
                      const struct warden_client_options *options, struct error *err)
{
    struct warden_client *c = calloc(1, sizeof(*c));
    int rc;

    if (c == NULL) {
        (void)close(fd);
        return error_set(err, -ENOMEM, "out of memory");
    }
    c->loop = loop;
    c->options = *options;
    c->fd = fd;
    list_init(&c->pending);
    list_init(&c->queue);
    rc = uv_poll_init(loop, &c->poll, fd);
    if (rc < 0) {
        (void)close(fd);
        free(c);
        return error_set(err, rc, "watch the warden: %s", uv_strerror(rc));
    }
    CHECK(uv_timer_init(loop, &c->soon) == 0);
    c->open_handles = 2;
    watch(c);
    *ret = c;
    return 0;
}

static void handle_closed(uv_handle_t *handle)
{
    struct warden_client *c = handle->data;
    void (*on_closed)(void *data) = c->on_closed;
    void *data = c->closed_data;

    if (--c->open_handles > 0) {
        return;
    }
    fail_pending(c);
    while (!list_empty(&c->queue)) {
        struct queued *q = container_of(c->queue.next, struct queued, node);

        list_remove(&q->node);
        free(q);
    }
    (void)close(c->fd);
    free(c);
    if (on_closed != NULL) {
        on_closed(data);
    }
}

void warden_client_close(struct warden_client *c, void (*on_closed)(void *data),
                         void *data)
{
    CHECK(!c->closing);
    c->closing = true;
    c->on_closed = on_closed;
    c->closed_data = data;
    c->poll.data = c->soon.data = c;
    uv_close((uv_handle_t *)&c->poll, handle_closed);
    uv_close((uv_handle_t *)&c->soon, handle_closed);
}

void warden_create(struct warden_client *c, const struct sandbox_config *config,
                   warden_create_cb cb, void *data)
{
    struct warden_request r = {
        .type = WARDEN_CREATE,
        .flags = config->runtime_api ? WARDEN_FLAG_RUNTIME_API : 0,
        .id = config->id,
        .memory_bytes = config->memory_bytes,
        .tmp_bytes = config->tmp_bytes,
        .cpu_millis = config->cpu_millis,
        .pids_max = config->pids_max,
    };
    struct pending *p = expect(c, &r, data);

    if (p == NULL) {
        lose(c, "out of memory");
        return;
    }
    if (config->package != NULL) {
        (void)snprintf(r.package, sizeof(r.package), "%s", config->package);
    }
    for (size_t i = 0; i < WARDEN_LAYERS_MAX && config->layers[i] != NULL; i++) {
        (void)snprintf(r.layers[i], sizeof(r.layers[i]), "%s", config->layers[i]);
    }
    if (config->seed != NULL) {
        r.seed_argv = config->seed->n_argv;
        r.seed_env = config->seed->n_env;
        r.seed_len = config->seed->len;
        memcpy(r.seed, config->seed->text, sizeof(r.seed));
        (void)snprintf(p->program, sizeof(p->program), "%.*s", WARDEN_PROGRAM_MAX,
                       config->seed->text);
    }
    p->create = cb;
    submit(c, &r);
}

void warden_socket(struct warden_client *c, uint64_t id, warden_socket_cb cb, void *data)
{
    struct warden_request r = {.type = WARDEN_SOCKET, .id = id};
    struct pending *p = expect(c, &r, data);

    if (p == NULL) {
        lose(c, "out of memory");
        return;
    }
    p->socket = cb;
    submit(c, &r);
}

void warden_kill(struct warden_client *c, uint64_t id)
{
    const struct warden_request r = {.type = WARDEN_KILL, .id = id};

    request(c, &r);
}

struct warden_blank_kind warden_blanks_of(const struct warden_client *c,
                                          const char *program)
{
    for (unsigned i = 0; i < c->blanks.n_kinds; i++) {
        if (strcmp(c->blanks.kinds[i].program, program) == 0) {
            return c->blanks.kinds[i];
        }
    }
    return (struct warden_blank_kind){0};
}

const struct warden_blanks *warden_blanks(const struct warden_client *c)
{
    return &c->blanks;
}

void warden_count(struct warden_client *c)
{
    const struct warden_request r = {.type = WARDEN_COUNT};

    request(c, &r);
}

void warden_usage(struct warden_client *c, uint64_t id, warden_usage_cb cb, void *data)
{
    struct warden_request r = {.type = WARDEN_USAGE, .id = id};
    struct pending *p = expect(c, &r, data);

    if (p == NULL) {
        lose(c, "out of memory");
        return;
    }
    p->usage = cb;
    submit(c, &r);
}
