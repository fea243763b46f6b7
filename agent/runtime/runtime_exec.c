/* exec: a process a call in a sandbox that lives on. Body to stdin, stdout is the reply's
 * body, stderr goes to the log.
 *
 * The reply's status is known only at the process's end, but long output should not wait
 * for it. So output is held back until one of these, whichever is first:
 *   - the process ends: status 0 is a 200 with a Content-Length, anything else an error
 *     (and its output, which nobody saw, is dropped);
 *   - 64 KiB have come, or 200 ms have passed since the first byte: a 200 begins, and if
 *     the process fails later the reply is cut, so that nobody takes it for whole.
 * A program that prints its result and fails right after, as a shell under `set -e` or
 * an interpreter with an exception does, is thus an error to its caller. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/runtime/runtime_private.h"
#include "common/check.h"

#define CHECK_RUN 2
#define HELD_MAX  (64 * 1024)
#define HELD_MS   200
#define STDIN_LOW (128 * 1024) /* on_drain when no more than this waits */

struct exec_state {
    struct strings argv;
    struct strings env;
    uint32_t last_run;
};

/* Our end of a call's stdin or stdout: outlives the call until libuv has closed it. */
struct exec_pipe {
    uv_pipe_t pipe;
    struct runtime_instance *instance;
    struct exec_call *call; /* NULL: let go */
};

struct exec_call {
    struct runtime_call call;
    uint32_t run;
    struct exec_pipe *in;  /* NULL: closed */
    struct exec_pipe *out; /* NULL: closed */
    bool in_ended;         /* the body is whole: close when it is written */
    bool exited;
    int status;
    size_t left; /* after the exit: what it wrote and was not read yet */
    struct buf held;
    unsigned n_oom; /* the instance's, when the call began */
};

struct exec_write {
    uv_write_t req;
    char data[];
};

/* A question to the warden, which the call may not live to hear answered. */
struct exec_ask {
    struct runtime_instance *instance;
    uint32_t run;
};

static struct exec_call *exec_of(struct runtime_call *c)
{
    return container_of(c, struct exec_call, call);
}

/* --- pipes --------------------------------------------------------------------- */

static void pipe_closed_cb(uv_handle_t *handle)
{
    struct exec_pipe *p = container_of((uv_pipe_t *)handle, struct exec_pipe, pipe);
    struct runtime_instance *in = p->instance;

    free(p);
    instance_release(in);
}

static void pipe_close(struct exec_pipe **p)
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
        pipe_close(&p);
        return rc;
    }
    *ret = p;
    return 0;
}

static void let_go(struct exec_call *e)
{
    pipe_close(&e->in);
    pipe_close(&e->out);
    output_leave(e->call.instance, e->run);
    buf_free(&e->held);
}

/* --- the reply ------------------------------------------------------------------ */

/* False: the call is no more. */
static bool respond(struct exec_call *e, uint64_t content_length)
{
    static const struct http_header type = {{"Content-Type", 12},
                                            {"application/octet-stream", 24}};
    struct buf held = e->held;
    bool there;

    e->held = (struct buf){0};
    call_wait_no_more(&e->call);
    there =
        call_respond(&e->call, 200, (struct http_headers){&type, 1}, content_length) &&
        call_body(&e->call, held.data, held.len);
    buf_free(&held);
    return there;
}

static void fail(struct exec_call *e)
{
    char text[64];

    wait_status_text(e->status, text);
    let_go(e);
    call_finish(&e->call, WIFSIGNALED(e->status) ? CAUSE_CRASHED : CAUSE_FUNCTION_ERROR,
                "%s", text);
}

static struct exec_call *find(struct runtime_instance *in, uint32_t run)
{
    LIST_FOREACH(it, &in->calls)
    {
        struct runtime_call *c = container_of(it, struct runtime_call, link);

        if (!c->over && exec_of(c)->run == run) {
            return exec_of(c);
        }
    }
    return NULL;
}

/* Killed by the kernel, or a shell whose last command was. With several calls in one
 * sandbox only such an end is blamed on memory. */
static bool looks_killed(const struct exec_call *e)
{
    return (WIFSIGNALED(e->status) && WTERMSIG(e->status) == SIGKILL) ||
           (WIFEXITED(e->status) && WEXITSTATUS(e->status) == 128 + SIGKILL) ||
           e->call.instance->config.spec->concurrency == 1;
}

static void usage_cb(void *data, int status, const struct sandbox_usage *u)
{
    struct exec_ask *ask = data;
    struct runtime_instance *in = ask->instance;
    struct exec_call *e = find(in, ask->run);

    if (status == 0) {
        in->peak_bytes = u->oom ? u->memory_peak_bytes : in->peak_bytes;
        usage_told(in, u->cpu_us);
    }
    if (e != NULL && status == 0 && u->oom && looks_killed(e) &&
        (in->n_oom != e->n_oom || !in->oom)) {
        char text[RUNTIME_TEXT_BYTES];

        in->oom = true;
        instance_oom_text(in, u->memory_peak_bytes, text);
        let_go(e);
        call_finish(&e->call, CAUSE_OOM, "%s", text);
    } else if (e != NULL) {
        fail(e);
    }
    free(ask);
    instance_release(in);
}

/* It failed: was it memory? */
static void ask_why(struct exec_call *e)
{
    struct runtime_instance *in = e->call.instance;
    struct exec_ask *ask = malloc(sizeof(*ask));

    pipe_close(&e->out);
    call_wait_no_more(&e->call);
    if (ask == NULL || !in->sandbox) {
        free(ask);
        fail(e);
        return;
    }
    *ask = (struct exec_ask){in, e->run};
    instance_hold(in);
    warden_usage(in->host->options.warden, in->config.id, usage_cb, ask);
}

/* It has ended with status 0 and all its output was read. */
static void succeed(struct exec_call *e)
{
    if (!e->call.responded && !respond(e, e->held.len)) {
        return;
    }
    let_go(e);
    call_finish(&e->call, CAUSE_NONE, "%s", "");
}

/* False: the call is no more, or over. */
static bool on_output(struct exec_call *e, const char *data, size_t len)
{
    if (e->call.responded) {
        return call_body(&e->call, data, len);
    }
    if (buf_append(&e->held, data, len) < 0) {
        let_go(e);
        call_finish(&e->call, CAUSE_INTERNAL, "out of memory");
        return false;
    }
    if (e->held.len > HELD_MAX) {
        return respond(e, HTTP_BODY_CHUNKED);
    }
    if (e->held.len == len && !e->exited) {
        call_wait(&e->call, HELD_MS);
    }
    return true;
}

static void exec_call_due(struct runtime_call *c)
{
    struct exec_call *e = exec_of(c);

    if (!c->responded && !e->exited) {
        (void)respond(e, HTTP_BODY_CHUNKED);
    }
}

static void read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct exec_pipe *p = container_of((uv_pipe_t *)stream, struct exec_pipe, pipe);
    struct exec_call *e = p->call;
    size_t len = n > 0 ? (size_t)n : 0;

    if (e == NULL || n == 0) {
        return;
    }
    if (n < 0) {
        pipe_close(&e->out);
    } else {
        if (e->exited && len > e->left) {
            len = e->left; /* the rest is from what it left behind in the background */
        }
        e->left -= e->exited ? len : 0;
        if (!on_output(e, buf->base, len)) {
            return;
        }
    }
    if (e->exited && (e->out == NULL || e->left == 0)) {
        succeed(e);
    }
}

static void on_exited(struct exec_call *e, const struct init_message *m)
{
    uv_os_fd_t fd;
    int left = 0;

    e->exited = true;
    e->status = m->value;
    e->call.cpu_us = m->cpu_us;
    pipe_close(&e->in);
    if (e->status != 0) {
        ask_why(e);
        return;
    }
    if (e->out != NULL && uv_fileno((uv_handle_t *)&e->out->pipe, &fd) == 0) {
        (void)ioctl(fd, FIONREAD, &left);
    }
    e->left = left > 0 ? (size_t)left : 0;
    if (e->left == 0) {
        succeed(e);
    }
}

/* --- init's news ------------------------------------------------------------------ */

static void exec_on_message(struct runtime_instance *in, const struct init_message *m,
                            const char *text)
{
    struct exec_call *e;

    if (m->run == CHECK_RUN && in->phase == PHASE_INIT) {
        if (m->type == INIT_STARTED) {
            instance_ready(in);
        } else {
            instance_fail(in, CAUSE_START_FAILED, "%s: %s", text, strerror(m->value));
        }
        return;
    }
    e = find(in, m->run);
    if (e == NULL || e->exited) {
        return; /* cancelled */
    }
    if (m->type == INIT_FAILED) {
        let_go(e);
        call_finish(&e->call, CAUSE_START_FAILED, "%s: %s", text, strerror(m->value));
    } else if (m->type == INIT_EXITED) {
        on_exited(e, m);
    }
}

static void exec_on_started(struct runtime_instance *in)
{
}

/* --- life ------------------------------------------------------------------------- */

static int exec_open(struct runtime_instance *in)
{
    struct exec_state *s = in->kind_state;
    int rc = runtime_argv(&s->argv, in);

    s->last_run = CHECK_RUN;
    rc = rc < 0 ? rc : runtime_env(&s->env, in);
    if (rc < 0) {
        return rc;
    }
    if (in->config.proven) {
        instance_ready(in); /* should the program be missing, the call says so */
        return 0;
    }
    return channel_check(in->channel, CHECK_RUN, s->argv.list[0]);
}

static void exec_close(struct runtime_instance *in)
{
    struct exec_state *s = in->kind_state;

    strings_free(&s->argv);
    strings_free(&s->env);
}

/* --- calls ------------------------------------------------------------------------ */

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

static int open_pipes(struct exec_call *e, bool has_body, int fds[3])
{
    struct runtime_instance *in = e->call.instance;
    int ours;
    int rc = open_stdin(e, has_body, &fds[0]);

    rc = rc < 0 ? rc : runtime_pipe(&ours, &fds[1], true);
    rc = rc < 0 ? rc : pipe_open(&e->out, e, ours);
    rc = rc < 0 ? rc : runtime_pipe(&ours, &fds[2], true);
    rc = rc < 0 ? rc : output_open(in, LOG_STREAM_STDERR, e->run, ours);
    return rc < 0
               ? rc
               : uv_read_start((uv_stream_t *)&e->out->pipe, runtime_alloc_cb, read_cb);
}

static int exec_call_start(struct runtime_call *c, const struct runtime_request *r)
{
    struct exec_call *e = exec_of(c);
    struct exec_state *s = c->instance->kind_state;
    struct strings env = {0};
    int fds[3] = {-1, -1, -1};
    int rc = runtime_cgi(&env, c->instance, r, &s->env);

    e->n_oom = c->instance->n_oom;
    e->run = ++s->last_run > CHECK_RUN ? s->last_run : (s->last_run = CHECK_RUN + 1);
    rc = rc < 0 ? rc : open_pipes(e, r->content_length > 0, fds);
    if (rc == 0) {
        rc = channel_run(c->instance->channel, e->run, s->argv.list, env.list, fds,
                         INIT_RUN_QUIETLY);
    } else {
        for (int i = 0; i < 3; i++) {
            if (fds[i] >= 0) {
                (void)close(fds[i]);
            }
        }
    }
    strings_free(&env);
    if (rc < 0) {
        let_go(e);
    }
    if (rc == -E2BIG) {
        call_finish(c, CAUSE_BAD_REQUEST,
                    "the request's head does not fit a process's environment");
        return 0;
    }
    return rc;
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
        pipe_close(&e->in); /* a program need not read its input: EPIPE is no error */
    }
    if (!e->in_ended && (e->in == NULL || queued <= STDIN_LOW)) {
        call_drained(&e->call);
    }
}

static int exec_call_write(struct runtime_call *c, const char *data, size_t len)
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
        pipe_close(&e->in);
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

static int exec_call_end(struct runtime_call *c)
{
    struct exec_call *e = exec_of(c);

    e->in_ended = true;
    if (e->in != NULL &&
        uv_stream_get_write_queue_size((uv_stream_t *)&e->in->pipe) == 0) {
        pipe_close(&e->in);
    }
    return 0;
}

static size_t exec_call_pending(const struct runtime_call *c)
{
    const struct exec_call *e = container_of(c, const struct exec_call, call);

    return e->in != NULL
               ? uv_stream_get_write_queue_size((const uv_stream_t *)&e->in->pipe)
               : 0;
}

static void exec_call_pause(struct runtime_call *c, bool paused)
{
    const struct exec_call *e = exec_of(c);

    if (e->out == NULL) {
        return;
    }
    if (paused) {
        (void)uv_read_stop((uv_stream_t *)&e->out->pipe);
    } else {
        (void)uv_read_start((uv_stream_t *)&e->out->pipe, runtime_alloc_cb, read_cb);
    }
}

/* What it wrote before its end with status 0 is in the pipe, whatever became of the
 * sandbox. */
static bool exec_call_outlives(struct runtime_call *c)
{
    const struct exec_call *e = exec_of(c);

    return e->exited && e->status == 0;
}

/* A process that may have children that left its group is certainly stopped only with its
 * sandbox; where others run in there, its group must do. */
static bool exec_call_drop(struct runtime_call *c)
{
    struct exec_call *e = exec_of(c);
    struct runtime_instance *in = c->instance;

    let_go(e);
    if (e->exited) {
        return true;
    }
    if (in->channel != NULL) {
        channel_signal(in->channel, e->run, SIGKILL);
    }
    return in->config.spec->concurrency > 1;
}

const struct kind kind_exec = {
    .state_size = sizeof(struct exec_state),
    .call_size = sizeof(struct exec_call),
    .survives_oom = true,
    .open = exec_open,
    .on_message = exec_on_message,
    .on_started = exec_on_started,
    .close = exec_close,
    .call_start = exec_call_start,
    .call_write = exec_call_write,
    .call_end = exec_call_end,
    .call_pending = exec_call_pending,
    .call_pause = exec_call_pause,
    .call_due = exec_call_due,
    .call_outlives = exec_call_outlives,
    .call_drop = exec_call_drop,
};
