/* The process of an `exec` call: its stdin, as far as it takes it, and its stdout. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/runtime/runtime_exec.h"
#include "common/check.h"

#define STDIN_LOW (128 * 1024) /* on_drain when no more than this waits */

struct exec_write {
    uv_write_t req;
    char data[];
};

static void pipe_closed_cb(uv_handle_t *handle)
{
    struct exec_pipe *p = container_of((uv_pipe_t *)handle, struct exec_pipe, pipe);
    struct runtime_instance *in = p->instance;

    free(p);
    instance_release(in);
}

void exec_pipe_close(struct exec_pipe **p)
{
    if (*p != NULL) {
        (*p)->call = NULL;
        uv_close((uv_handle_t *)&(*p)->pipe, pipe_closed_cb);
        *p = NULL;
    }
}

/* fd is taken over, on failure too. */
static int pipe_open(struct exec_pipe **ret, struct exec_call *e, int fd)
{
    struct runtime_instance *in = e->call.instance;
    struct exec_pipe *p = calloc(1, sizeof(*p));
    int rc;

    if (p == NULL) {
        (void)close(fd);
        return -ENOMEM;
    }
    p->instance = in;
    p->call = e;
    CHECK(uv_pipe_init(in->host->loop, &p->pipe, 0) == 0);
    p->pipe.data = in->host;
    instance_hold(in);
    rc = uv_pipe_open(&p->pipe, fd);
    if (rc < 0) {
        (void)close(fd);
        exec_pipe_close(&p);
        return rc;
    }
    *ret = p;
    return 0;
}

/* Without a body it has ended before anybody could wait for it. */
static int open_stdin(struct exec_call *e, bool has_body, int *ret_theirs)
{
    int ours;
    int rc = runtime_pipe(&ours, ret_theirs, false);

    if (rc == 0 && has_body) {
        return pipe_open(&e->in, e, ours);
    }
    if (rc == 0) {
        (void)close(ours);
    }
    return rc;
}

int exec_pipes_open(struct exec_call *e, bool has_body, int fds[3])
{
    struct runtime_instance *in = e->call.instance;
    int ours;
    int rc = open_stdin(e, has_body, &fds[0]);

    rc = rc < 0 ? rc : runtime_pipe(&ours, &fds[1], true);
    rc = rc < 0 ? rc : pipe_open(&e->out, e, ours);
    rc = rc < 0 ? rc : runtime_pipe(&ours, &fds[2], true);
    rc = rc < 0 ? rc : output_open(in, LOG_STREAM_STDERR, e->run, ours);
    return rc < 0 ? rc
                  : uv_read_start((uv_stream_t *)&e->out->pipe, runtime_alloc_cb,
                                  exec_read_cb);
}

static void write_cb(uv_write_t *req, int status)
{
    struct exec_pipe *p = container_of((uv_pipe_t *)req->handle, struct exec_pipe, pipe);
    struct exec_call *e = p->call;
    size_t queued = uv_stream_get_write_queue_size((uv_stream_t *)&p->pipe);

    free(container_of(req, struct exec_write, req));
    if (e == NULL) {
        return;
    }
    if (status < 0 || (e->in_ended && queued == 0)) {
        exec_pipe_close(
            &e->in); /* a program need not read its input: EPIPE is no error */
    }
    if (!e->in_ended && (e->in == NULL || queued <= STDIN_LOW)) {
        call_drained(&e->call);
    }
}

int exec_call_write(struct runtime_call *c, const char *data, size_t len)
{
    struct exec_call *e = exec_of(c);
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
    uv_stream_t *stream;
    struct exec_write *w;
    int n = UV_EAGAIN;

    if (e->in == NULL) {
        return 0;
    }
    stream = (uv_stream_t *)&e->in->pipe;
    if (uv_stream_get_write_queue_size(stream) == 0) {
        n = uv_try_write(stream, &buf, 1);
    }
    if (n < 0 && n != UV_EAGAIN) {
        exec_pipe_close(&e->in);
        return 0;
    }
    n = n > 0 ? n : 0;
    if ((size_t)n == len) {
        return 0;
    }
    len -= (size_t)n;
    w = malloc(sizeof(*w) + len);
    if (w == NULL) {
        return -ENOMEM;
    }
    memcpy(w->data, data + n, len);
    buf = uv_buf_init(w->data, (unsigned)len);
    n = uv_write(&w->req, stream, &buf, 1, write_cb);
    if (n < 0) {
        free(w);
    }
    return n;
}

int exec_call_end(struct runtime_call *c)
{
    struct exec_call *e = exec_of(c);

    e->in_ended = true;
    if (e->in != NULL &&
        uv_stream_get_write_queue_size((uv_stream_t *)&e->in->pipe) == 0) {
        exec_pipe_close(&e->in);
    }
    return 0;
}

size_t exec_call_pending(const struct runtime_call *c)
{
    const struct exec_call *e = container_of(c, const struct exec_call, call);

    return e->in != NULL
               ? uv_stream_get_write_queue_size((const uv_stream_t *)&e->in->pipe)
               : 0;
}

void exec_call_pause(struct runtime_call *c, bool paused)
{
    const struct exec_call *e = exec_of(c);

    if (e->out == NULL) {
        return;
    }
    if (paused) {
        (void)uv_read_stop((uv_stream_t *)&e->out->pipe);
    } else {
        (void)uv_read_start((uv_stream_t *)&e->out->pipe, runtime_alloc_cb, exec_read_cb);
    }
}
