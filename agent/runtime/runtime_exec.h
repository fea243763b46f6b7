/* A call of an `exec` function: runtime_exec.c has what becomes of it,
 * runtime_exec_pipes.c its process's stdin and stdout. */
#ifndef AGENT_RUNTIME_RUNTIME_EXEC_H
#define AGENT_RUNTIME_RUNTIME_EXEC_H

#include "agent/runtime/runtime_private.h"

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

static inline struct exec_call *exec_of(struct runtime_call *c)
{
    return container_of(c, struct exec_call, call);
}

/* All three of its process's; stdin is closed already if there is no body. On failure
 * some of fds may be open. */
int exec_pipes_open(struct exec_call *e, bool has_body, int fds[3]);
void exec_pipe_close(struct exec_pipe **p);
/* stdout's, in runtime_exec.c. */
void exec_read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

/* kind_exec's. */
int exec_call_write(struct runtime_call *c, const char *data, size_t len);
int exec_call_end(struct runtime_call *c);
size_t exec_call_pending(const struct runtime_call *c);
void exec_call_pause(struct runtime_call *c, bool paused);

#endif /* AGENT_RUNTIME_RUNTIME_EXEC_H */
