/* What functions print: pipes that are read into the instance's log. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/runtime/runtime_private.h"
#include "common/check.h"

/* The log keeps 1 MiB a second of an instance; reading a little more tells how much was
 * lost, and what a flood costs the agent stays small: the writer waits. */
#define TICK_BYTES_MAX (256 * 1024)  /* of one pipe between two ticks: 5 MiB a second */
#define REST_MAX       (1024 * 1024) /* a pipe's largest size for the unprivileged */
#define DRAIN_MAX      (64 * 1024)   /* a pipe's usual size */

struct output {
    struct list link;  /* in instance.outputs */
    struct list waits; /* in host.throttled */
    struct runtime_instance *instance;
    enum log_stream stream;
    uint32_t run;
    bool left; /* its process has ended */
    uv_pipe_t pipe;
    size_t tick_bytes; /* read since it was throttled last, or since tick_ms */
    uint64_t tick_ms;
};

int runtime_pipe(int *ret_ours, int *ret_theirs, bool ours_reads)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0) {
        return -errno;
    }
    *ret_ours = fds[ours_reads ? 0 : 1];
    *ret_theirs = fds[ours_reads ? 1 : 0];
    return 0;
}

void output_log(struct runtime_instance *in, enum log_stream stream, const char *data,
                size_t len)
{
    log_sink_write(in->sink, stream, data, len);
    host_tick_soon(in->host);
}

/* For handles whose data is the host. */
void runtime_alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    const struct runtime_host *h = handle->data;

    *buf = uv_buf_init(h->scratch, RUNTIME_SCRATCH);
}

static void closed_cb(uv_handle_t *handle)
{
    struct output *o = container_of((uv_pipe_t *)handle, struct output, pipe);
    struct runtime_instance *in = o->instance;

    free(o);
    instance_release(in);
}

static void output_close(struct output *o)
{
    o->instance->n_outputs_left -= o->left;
    list_remove(&o->link);
    list_remove(&o->waits);
    uv_close((uv_handle_t *)&o->pipe, closed_cb);
}

static void read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct output *o = container_of((uv_pipe_t *)stream, struct output, pipe);
    uint64_t now_ms = uv_now(stream->loop);

    if (n < 0) {
        output_close(o);
        return;
    }
    output_log(o->instance, o->stream, buf->base, (size_t)n);
    if (now_ms - o->tick_ms >= RUNTIME_TICK_MS) {
        o->tick_ms = now_ms;
        o->tick_bytes = 0;
    }
    o->tick_bytes += (size_t)n;
    if (o->tick_bytes > TICK_BYTES_MAX) {
        (void)uv_read_stop(stream);
        list_push_back(&o->instance->host->throttled, &o->waits);
        host_tick_soon(o->instance->host);
    }
}

void outputs_unthrottle(struct runtime_host *h)
{
    while (!list_empty(&h->throttled)) {
        struct output *o = container_of(h->throttled.next, struct output, waits);

        list_remove(&o->waits);
        o->tick_bytes = 0;
        o->tick_ms = uv_now(h->loop);
        (void)uv_read_start((uv_stream_t *)&o->pipe, runtime_alloc_cb, read_cb);
    }
}

int output_open(struct runtime_instance *in, enum log_stream stream, uint32_t run, int fd)
{
    struct output *o = calloc(1, sizeof(*o));
    int rc;

    if (o == NULL) {
        (void)close(fd);
        return -ENOMEM;
    }
    o->instance = in;
    o->stream = stream;
    o->run = run;
    list_init(&o->waits);
    list_push_back(&in->outputs, &o->link);
    instance_hold(in);
    CHECK(uv_pipe_init(in->host->loop, &o->pipe, 0) == 0);
    o->pipe.data = in->host;
    rc = uv_pipe_open(&o->pipe, fd);
    if (rc < 0) {
        (void)close(fd);
    } else {
        rc = uv_read_start((uv_stream_t *)&o->pipe, runtime_alloc_cb, read_cb);
    }
    if (rc < 0) {
        output_close(o);
    }
    return rc;
}

static void close_oldest_left(struct runtime_instance *in)
{
    LIST_FOREACH(it, &in->outputs)
    {
        struct output *o = container_of(it, struct output, link);

        if (o->left) {
            output_close(o);
            return;
        }
    }
}

void output_leave(struct runtime_instance *in, uint32_t run)
{
    LIST_FOREACH(it, &in->outputs)
    {
        struct output *o = container_of(it, struct output, link);

        if (o->run == run && !o->left) {
            o->left = true;
            in->n_outputs_left++;
            break;
        }
    }
    if (in->n_outputs_left > OUTPUTS_LEFT_MAX) {
        close_oldest_left(in);
    }
}

/* What is in the pipe by now, at most so much. */
static void read_rest(struct output *o, size_t left)
{
    struct runtime_instance *in = o->instance;
    char *block = in->host->scratch;
    uv_os_fd_t fd;
    ssize_t n;

    if (uv_fileno((uv_handle_t *)&o->pipe, &fd) < 0) {
        return;
    }
    while (left > 0 && (n = read(fd, block, RUNTIME_SCRATCH)) > 0) {
        output_log(in, o->stream, block, (size_t)n);
        left -= (size_t)n < left ? (size_t)n : left;
    }
}

void outputs_drain(struct runtime_instance *in)
{
    LIST_FOREACH(it, &in->outputs)
    {
        read_rest(container_of(it, struct output, link), DRAIN_MAX);
    }
}

void outputs_end(struct runtime_instance *in)
{
    LIST_FOREACH_SAFE(it, &in->outputs)
    {
        struct output *o = container_of(it, struct output, link);

        read_rest(o, REST_MAX);
        output_close(o);
    }
}
