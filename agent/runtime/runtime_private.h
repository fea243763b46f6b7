/* What the parts of the runtime share: runtime.c (instances), runtime_call.c (calls and
 * how they end), runtime_channel.c (the way to init), runtime_env.c, and the kinds. */
#ifndef AGENT_RUNTIME_RUNTIME_PRIVATE_H
#define AGENT_RUNTIME_RUNTIME_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "agent/runtime/logs.h"
#include "agent/runtime/runtime.h"
#include "agent/warden/init_proto.h"
#include "common/buf.h"
#include "common/list.h"

#define RUNTIME_PORT     8080
#define RUNTIME_MAIN_RUN 1 /* init's number for the program of an instance */

/* --- channel: the SOCK_SEQPACKET to a sandbox's init ------------------------------- */
struct channel;
struct channel_ops {
    /* text: INIT_FAILED's, NUL-terminated. */
    void (*on_message)(void *data, const struct init_message *m, const char *text);
    void (*on_lost)(void *data); /* closed by init or broken; once */
};
int channel_new(struct channel **ret, uv_loop_t *loop, int fd,
                const struct channel_ops *ops, void *data);
/* fds are taken over, on failure too. -E2BIG: argv and env do not fit a message. */
int channel_run(struct channel *c, uint32_t run, char *const *argv, char *const *env,
                int fds[3]);
void channel_signal(struct channel *c, uint32_t run, int signal);
void channel_close(struct channel *c, void (*on_closed)(void *data)); /* frees it */

/* --- environment and command line --------------------------------------------------- */
struct strings { /* NULL-terminated list, each string owned */
    char **list;
    size_t n;
};
int strings_add(struct strings *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void strings_free(struct strings *s);
int runtime_env(struct strings *env, const struct runtime_instance *in);
/* Words of a command line; '…', "…" and \ quote. -EINVAL: unbalanced quotes or empty. */
int runtime_argv(struct strings *argv, const struct runtime_instance *in);

/* --- instances ------------------------------------------------------------------------
 * *
 *
 *   MAKING ──sandbox──▶ INIT ──ready──▶ READY ──fail/stop──▶ ENDING ──all closed──▶ gone
 *      └───────────────────┴───────────────────────────────────▲
 */
enum instance_phase { PHASE_MAKING, PHASE_INIT, PHASE_READY, PHASE_ENDING };

struct kind {
    size_t state_size; /* of in->kind_state */
    size_t call_size;  /* of a call, struct runtime_call first */
    /* The sandbox is there. <0: start_failed. May take in->listener. */
    int (*open)(struct runtime_instance *in);
    void (*on_message)(struct runtime_instance *in, const struct init_message *m,
                       const char *text);            /* of runs other than the main one */
    void (*on_started)(struct runtime_instance *in); /* the main run was exec'ed */
    void (*close)(struct runtime_instance *in);      /* handles: instance_hold/release */

    int (*call_start)(struct runtime_call *c, const struct runtime_request *r);
    int (*call_write)(struct runtime_call *c, const char *data, size_t len);
    int (*call_end)(struct runtime_call *c);
    size_t (*call_pending)(const struct runtime_call *c);
    void (*call_pause)(struct runtime_call *c, bool paused);
    /* Lets go of everything; true if the instance remains usable. */
    bool (*call_drop)(struct runtime_call *c);
};
extern const struct kind kind_http;
extern const struct kind kind_exec;
extern const struct kind kind_lambda;

struct runtime_instance {
    struct list link;
    struct runtime_host *host;
    struct runtime_instance_config config;
    const struct kind *kind;
    void *kind_state;
    enum instance_phase phase;
    struct channel *channel;
    int listener;
    struct log_sink *sink;
    uv_pipe_t out[2]; /* the main run's stdout and stderr */
    uv_timer_t timer; /* init timeout; then grace */
    struct list calls;
    struct runtime_phases phases;
    uint64_t began_us;
    uint64_t init_began_us;
    unsigned holds; /* handles and answers that are out */
    bool sandbox;   /* exists: its on_exit will come */
    bool making;    /* asked for: the answer will come */
    bool main_runs;
    bool failing; /* the cause is being found out */
    bool failed;  /* on_failed was called */
    bool stopping;
    bool closed;
    enum cause cause;
    char text[256];
};

struct runtime_host {
    uv_loop_t *loop;
    struct runtime_host_options options;
    char *region;
    struct list instances;
    bool closing;
    bool timer_open;
    void (*on_closed)(void *data);
    void *closed_data;
    struct list ended_calls; /* on_close is due: from the loop */
    uv_timer_t later;
};

void instance_hold(struct runtime_instance *in);
void instance_release(struct runtime_instance *in);
void instance_ready(struct runtime_instance *in);
/* The program is done for. cause is what it looks like; if the kernel says that memory
 * ran out, it becomes CAUSE_OOM. Kills the sandbox, ends the calls. */
void instance_fail(struct runtime_instance *in, enum cause cause, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Runs argv as run `run`. The kind's pipes: fds as for channel_run; -1 in out and err of
 * the main run: the instance's log. */
int instance_run_main(struct runtime_instance *in);
/* A pipe: ours non-blocking, theirs blocking. */
int instance_pipe(int *ret_ours, int *ret_theirs, bool ours_reads);
void instance_alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
void wait_status_text(int status, char ret[64]);

/* --- calls
 * ------------------------------------------------------------------------------ */
struct runtime_call {
    struct list link; /* in instance.calls, or host.ended_calls */
    struct runtime_instance *instance;
    struct runtime_host *host;
    const struct runtime_call_ops *ops;
    void *data;
    bool responded;
    bool ended;  /* on_close is due; nothing else will be called */
    bool paused; /* the response */
    enum cause cause;
    char text[256];
    uint64_t cpu_us;
};

void call_respond(struct runtime_call *c, int status, struct http_headers headers,
                  uint64_t content_length);
void call_body(struct runtime_call *c, const char *data, size_t len);
/* The kind is done with the call: on_close comes from the loop. */
void call_finish(struct runtime_call *c, enum cause cause, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void calls_fail_all(struct runtime_instance *in, enum cause cause, const char *text);
void calls_deliver_cb(uv_timer_t *timer);

#endif /* AGENT_RUNTIME_RUNTIME_PRIVATE_H */
