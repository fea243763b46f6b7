#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/runtime/runtime_private.h"
#include "common/check.h"
#include "common/fd_message.h"

#define QUEUE_MAX    64
#define INCOMING_MAX 2048 /* init's longest message is a step and a path */

struct outgoing {
    struct list link;
    int fds[3];
    unsigned n_fds;
    size_t len;
    char data[];
};

struct channel {
    uv_poll_t poll;
    int fd;
    struct channel_ops ops;
    void *data;
    struct list queue; /* init is slow: what the socket did not take */
    unsigned n_queued;
    bool lost;
    void (*on_closed)(void *data);
};

static void poll_cb(uv_poll_t *poll, int status, int events);

static void watch(struct channel *c)
{
    int events = UV_READABLE | (list_empty(&c->queue) ? 0 : UV_WRITABLE);

    CHECK(uv_poll_start(&c->poll, events, poll_cb) == 0);
}

int channel_new(struct channel **ret, uv_loop_t *loop, int fd,
                const struct channel_ops *ops, void *data)
{
    struct channel *c = calloc(1, sizeof(*c));
    int rc;

    if (c == NULL) {
        (void)close(fd);
        return -ENOMEM;
    }
    rc = uv_poll_init(loop, &c->poll, fd);
    if (rc < 0) {
        (void)close(fd);
        free(c);
        return rc;
    }
    c->fd = fd;
    c->ops = *ops;
    c->data = data;
    list_init(&c->queue);
    watch(c);
    *ret = c;
    return 0;
}

static void outgoing_free(struct outgoing *o)
{
    list_remove(&o->link);
    for (unsigned i = 0; i < o->n_fds; i++) {
        (void)close(o->fds[i]);
    }
    free(o);
}

static int send_one(const struct channel *c, const struct outgoing *o)
{
    struct iovec part = {(char *)(uintptr_t)o->data, o->len};
    ssize_t n = fd_message_send(c->fd, &part, 1, o->fds, o->n_fds, MSG_DONTWAIT);

    return n < 0 ? (int)n : 0;
}

static void lose(struct channel *c)
{
    if (!c->lost) {
        c->lost = true;
        (void)uv_poll_stop(&c->poll);
        c->ops.on_lost(c->data);
    }
}

static void flush(struct channel *c)
{
    while (!list_empty(&c->queue)) {
        struct outgoing *o = container_of(c->queue.next, struct outgoing, link);
        int rc = send_one(c, o);

        if (rc == -EAGAIN) {
            break;
        }
        outgoing_free(o); /* a broken connection shows itself when it is read */
        c->n_queued--;
    }
}

static int put(struct channel *c, struct outgoing *o)
{
    int rc = list_empty(&c->queue) ? send_one(c, o) : -EAGAIN;

    if (rc == -EAGAIN && c->n_queued < QUEUE_MAX && !c->lost) {
        list_push_back(&c->queue, &o->link);
        c->n_queued++;
        watch(c);
        return 0;
    }
    outgoing_free(o);
    return rc;
}

/* One message; <0: no more for now, or the end. */
static int receive(struct channel *c)
{
    char in[INCOMING_MAX + 1];
    struct init_message m;
    ssize_t n = recv(c->fd, in, INCOMING_MAX, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return -EAGAIN;
    }
    if (n < (ssize_t)sizeof(m)) {
        return -ECONNRESET; /* the end, or not a message */
    }
    memcpy(&m, in, sizeof(m));
    if (m.len != (size_t)n - sizeof(m)) {
        return -EPROTO;
    }
    in[n] = '\0';
    c->ops.on_message(c->data, &m, in + sizeof(m));
    return 0;
}

static void poll_cb(uv_poll_t *poll, int status, int events)
{
    struct channel *c = container_of(poll, struct channel, poll);
    int rc = status < 0 ? status : 0;

    if ((events & UV_WRITABLE) != 0) {
        flush(c);
    }
    while (rc == 0 && !uv_is_closing((uv_handle_t *)poll)) {
        rc = receive(c);
    }
    if (uv_is_closing((uv_handle_t *)poll)) {
        return;
    }
    if (rc == -EAGAIN) {
        watch(c);
    } else {
        lose(c);
    }
}

static struct outgoing *outgoing_new(const struct init_message *m)
{
    struct outgoing *o = calloc(1, sizeof(*o) + sizeof(*m) + m->len);

    if (o != NULL) {
        list_init(&o->link);
        o->len = sizeof(*m) + m->len;
        memcpy(o->data, m, sizeof(*m));
    }
    return o;
}

static char *append_strings(char *at, char *const *list)
{
    for (; *list != NULL; list++) {
        size_t len = strlen(*list) + 1;

        memcpy(at, *list, len);
        at += len;
    }
    return at;
}

int channel_run(struct channel *c, uint32_t run, char *const *argv, char *const *env,
                int *fds, int how)
{
    struct init_message m = {.type = INIT_RUN, .run = run, .value = how};
    struct outgoing *o = NULL;
    size_t len = 0;
    int rc = -ENOMEM;

    for (char *const *s = argv; *s != NULL; s++, m.n_argv++) {
        len += strlen(*s) + 1;
    }
    for (char *const *s = env; *s != NULL; s++, m.n_env++) {
        len += strlen(*s) + 1;
    }
    if (sizeof(m) + len > INIT_MESSAGE_MAX) {
        rc = -E2BIG;
    } else {
        m.len = (uint32_t)len;
        o = outgoing_new(&m);
    }
    if (o == NULL) {
        for (int i = 0; fds != NULL && i < 3; i++) {
            (void)close(fds[i]);
        }
        return rc;
    }
    (void)append_strings(append_strings(o->data + sizeof(m), argv), env);
    if (fds != NULL) {
        memcpy(o->fds, fds, sizeof(o->fds));
        o->n_fds = 3;
    }
    return put(c, o);
}

int channel_check(struct channel *c, uint32_t run, char *program)
{
    struct init_message m = {.type = INIT_CHECK, .run = run, .n_argv = 1};
    struct outgoing *o;

    m.len = (uint32_t)strlen(program) + 1;
    o = outgoing_new(&m);
    if (o == NULL) {
        return -ENOMEM;
    }
    memcpy(o->data + sizeof(m), program, m.len);
    return put(c, o);
}

void channel_signal(struct channel *c, uint32_t run, int signal)
{
    struct init_message m = {.type = INIT_SIGNAL, .run = run, .value = signal};
    struct outgoing *o = outgoing_new(&m);

    if (o != NULL) {
        (void)put(c, o);
    }
}

void channel_hand_over(struct channel *c, const struct channel_ops *ops, void *data)
{
    c->ops = *ops;
    c->data = data;
}

static void closed_cb(uv_handle_t *handle)
{
    struct channel *c = container_of((uv_poll_t *)handle, struct channel, poll);
    void (*on_closed)(void *data) = c->on_closed;
    void *data = c->data;

    LIST_FOREACH_SAFE(it, &c->queue)
    {
        outgoing_free(container_of(it, struct outgoing, link));
    }
    (void)close(c->fd);
    free(c);
    on_closed(data);
}

void channel_close(struct channel *c, void (*on_closed)(void *data))
{
    c->on_closed = on_closed;
    c->lost = true;
    uv_close((uv_handle_t *)&c->poll, closed_cb);
}
