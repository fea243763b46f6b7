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

#include "agent/runtime/runtime_exec.h"
#include "common/check.h"

#define CHECK_RUN 2
#define HELD_MAX  (64 * 1024)
#define HELD_MS   200

struct exec_state {
    struct strings argv;
    struct strings env;
    uint32_t last_run;
    enum remains remains; /* of the one call that its sandbox is for */
    uint64_t told_us;     /* instance_usage.told_us before it */
    uint64_t cpu_us;      /* that its process took */
};

/* A question to the warden, which the call may not live to hear answered. */
struct exec_ask {
    struct runtime_instance *instance;
    uint32_t run;
};

static void let_go(struct exec_call *e)
{
    exec_pipe_close(&e->in);
    exec_pipe_close(&e->out);
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

    exec_pipe_close(&e->out);
    call_wait_no_more(&e->call);
    if (ask == NULL || !in->sandbox) {
        free(ask);
        fail(e);
        return;
    }
    *ask = (struct exec_ask){in, e->run};
    instance_hold(in);
    warden_usage(in->host->options.warden, in->sandbox_id, usage_cb, ask);
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

void exec_read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct exec_pipe *p = container_of((uv_pipe_t *)stream, struct exec_pipe, pipe);
    struct exec_call *e = p->call;
    size_t len = n > 0 ? (size_t)n : 0;

    if (e == NULL || n == 0) {
        return;
    }
    if (n < 0) {
        exec_pipe_close(&e->out);
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
    if (recycled_wanted(e->call.instance)) {
        struct exec_state *s = e->call.instance->kind_state;

        s->remains = REMAINS_SOUGHT;
        s->cpu_us = m->cpu_us;
    }
    e->call.cpu_us = m->cpu_us;
    exec_pipe_close(&e->in);
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

/* After the program's end, which may be the call's by now or not. */
static void on_remains(struct runtime_instance *in, bool none, const char *text)
{
    struct exec_state *s = in->kind_state;

    if (s->remains != REMAINS_SOUGHT) {
        return;
    }
    s->remains = none ? REMAINS_NONE : REMAINS_UNKNOWN;
    if (!none) {
        recycled_refused(in, text);
    }
    usage_told(in, s->told_us + s->cpu_us);
    instance_remains_known(in);
}

static enum remains exec_remains(const struct runtime_instance *in)
{
    return ((const struct exec_state *)in->kind_state)->remains;
}

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
    if (m->type == INIT_CLEAN || m->type == INIT_SOILED) {
        on_remains(in, m->type == INIT_CLEAN, text);
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

static int exec_call_start(struct runtime_call *c, const struct runtime_request *r)
{
    struct exec_call *e = exec_of(c);
    struct exec_state *s = c->instance->kind_state;
    struct strings env = {0};
    int fds[3] = {-1, -1, -1};
    int rc = runtime_cgi(&env, c->instance, r, &s->env);

    e->n_oom = c->instance->n_oom;
    s->told_us = c->instance->usage.told_us;
    e->run = ++s->last_run > CHECK_RUN ? s->last_run : (s->last_run = CHECK_RUN + 1);
    rc = rc < 0 ? rc : exec_pipes_open(e, r->content_length > 0, fds);
    if (rc == 0) {
        rc = channel_run(c->instance->channel, e->run, s->argv.list, env.list, fds,
                         recycled_wanted(c->instance) ? INIT_RUN_ONCE : INIT_RUN_QUIETLY);
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
    .remains = exec_remains,
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
