/* What the parts of the runtime share: runtime.c (host), runtime_instance.c and
 * runtime_instance_end.c (instances), runtime_recycled.c (sandboxes between two of them),
 * runtime_call.c (calls and how they end), runtime_channel.c (the way to init),
 * runtime_output.c (what functions print), runtime_env.c, and the three kinds. */
#ifndef AGENT_RUNTIME_RUNTIME_PRIVATE_H
#define AGENT_RUNTIME_RUNTIME_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "agent/runtime/logs.h"
#include "agent/runtime/runtime.h"
#include "agent/warden/init_proto.h"
#include "common/buf.h"
#include "common/lambda_name.h"
#include "common/list.h"

#define RUNTIME_PORT       8080
#define RUNTIME_MAIN_RUN   1  /* init's number for the program of an instance */
#define RUNTIME_TICK_MS    50 /* of the host's clock for what may be a little late */
#define RUNTIME_SCRATCH    (64 * 1024)
#define RUNTIME_TEXT_BYTES 256

/* --- channel: the SOCK_SEQPACKET to a sandbox's init ------------------------------- */
struct channel;
struct channel_ops {
    /* text: INIT_FAILED's, NUL-terminated. */
    void (*on_message)(void *data, const struct init_message *m, const char *text);
    void (*on_lost)(void *data); /* closed by init or broken; once */
};
/* fd is taken over, on failure too. */
int channel_new(struct channel **ret, uv_loop_t *loop, int fd,
                const struct channel_ops *ops, void *data);
/* fds are taken over, on failure too. how: 0,
 * INIT_RUN_QUIETLY, INIT_RUN_ONCE, or INIT_RUN_SEED (fds NULL). -E2BIG: argv and env
 * do not fit a message. */
int channel_run(struct channel *c, uint32_t run, char *const *argv, char *const *env,
                int *fds, int how);
/* Could `program` be run? INIT_STARTED or INIT_FAILED of `run` answers. */
int channel_check(struct channel *c, uint32_t run, char *program);
void channel_signal(struct channel *c, uint32_t run, int signal);
/* From now on it is another's, who hears of all that follows. */
void channel_hand_over(struct channel *c, const struct channel_ops *ops, void *data);
void channel_close(struct channel *c, void (*on_closed)(void *data)); /* frees it */

/* --- environment and command line --------------------------------------------------- */
struct strings { /* NULL-terminated list, each string owned */
    char **list;
    size_t n;
};
int strings_add(struct strings *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void strings_free(struct strings *s);
/* As Lambda's clients know function and version: "MyFunc"; "3" or "$LATEST". */
void runtime_lambda_name(char ret[LAMBDA_NAME_MAX + 1],
                         const struct runtime_instance *in);
void runtime_lambda_version(char ret[24], const struct runtime_instance *in);
int runtime_env(struct strings *env, const struct runtime_instance *in);
/* Of it, what a program reads when it starts and no function of the kind changes. */
int runtime_env_start(struct strings *env, const struct function_spec *spec);
/* runtime_managed.c: the runtimes `python` and `node`. */
bool managed_is(const struct function_spec *spec);
const char *managed_handler(const struct function_spec *spec); /* if none is given */
int managed_argv(struct strings *argv, const struct function_spec *spec);
/* What of it can be up before the function is known. False: nothing. */
bool managed_seed(struct warden_seed *ret, const struct function_spec *spec);
/* What an extension in the sandbox gets of it. */
int runtime_env_extension(struct strings *env, const struct runtime_instance *in);
/* Words of a command line; '…', "…" and \ quote. -EINVAL: unbalanced quotes or empty. */
int runtime_argv(struct strings *argv, const struct runtime_instance *in);
/* A call's facts as CGI/1.1 names them, then the instance's own environment. */
int runtime_cgi(struct strings *env, const struct runtime_instance *in,
                const struct runtime_request *r, const struct strings *own);

/* --- instances ---------------------------------------------------------------------
 *
 *   MAKING ──sandbox──▶ INIT ──ready──▶ READY ──fail/stop──▶ ENDING ──all closed──▶ gone
 *      └───────────────────┴───────────────────────────────────▲
 *
 * ENDING: killed at once, or (stop with a grace) when its calls are over and its program
 * has ended, at the latest after the grace. Gone when the sandbox has ended, no call is
 * left and all handles are closed. */
enum instance_phase { PHASE_MAKING, PHASE_INIT, PHASE_READY, PHASE_ENDING };

/* Of the sandbox of an instance whose one call is over. */
enum remains {
    REMAINS_UNKNOWN, /* it must go */
    REMAINS_SOUGHT,  /* init looks: kind->on_message, then instance_remains_known() */
    REMAINS_NONE,    /* the version's next call may have it */
};

struct kind {
    size_t state_size;    /* of in->kind_state */
    size_t call_size;     /* of a call, struct runtime_call first */
    bool runtime_api;     /* wants in->listener */
    bool survives_oom;    /* the kernel killed one call's process: the others go on */
    bool term_with_calls; /* SIGTERM comes while calls run: the program finishes them */
    /* NULL: it has nothing to do without calls. Else whether that is so yet. */
    bool (*at_rest)(const struct runtime_instance *in);
    const char *not_ready; /* what it did not do, if it is not ready in time */

    /* The sandbox is there. <0: start_failed. May take in->listener. */
    int (*open)(struct runtime_instance *in);
    void (*on_message)(struct runtime_instance *in, const struct init_message *m,
                       const char *text);            /* of runs other than the main one */
    void (*on_started)(struct runtime_instance *in); /* the main run was exec'ed */
    /* The program is killed next: what else is in the sandbox gets so many ms (0: none)
     * before it goes as well, or until instance_kill(). reason: "spindown", "failure", or
     * NULL: stopped at once. Once, while the sandbox is there; may be NULL. */
    uint32_t (*last_words)(struct runtime_instance *in, const char *reason);
    enum remains (*remains)(const struct runtime_instance *in); /* NULL: unknown */
    /* No call is left. Handles: instance_hold/release. Also called when open failed or
     * was not reached. */
    void (*close)(struct runtime_instance *in);

    int (*call_start)(struct runtime_call *c, const struct runtime_request *r);
    int (*call_write)(struct runtime_call *c, const char *data, size_t len);
    int (*call_end)(struct runtime_call *c);
    size_t (*call_pending)(const struct runtime_call *c);
    void (*call_pause)(struct runtime_call *c, bool paused);
    void (*call_due)(struct runtime_call *c); /* what call_wait() asked for */
    /* Its instance is done for: true if the reply may be whole nonetheless, on its way,
     * and the call will end by itself. */
    bool (*call_outlives)(struct runtime_call *c);
    /* Lets go of everything; true if the instance remains usable. */
    bool (*call_drop)(struct runtime_call *c);
};
extern const struct kind kind_http;
extern const struct kind kind_exec;
extern const struct kind kind_lambda;

struct instance_usage { /* runtime_usage.c's */
    struct list link;   /* in host.usage_active or .usage_quiet, by due_ms */
    uint64_t due_ms;    /* uv_now: when it is asked for */
    uint64_t told_us;   /* processor time that on_cpu was called for */
    bool active;        /* in usage_active */
    bool called;        /* it began to be used after it was last asked for */
    bool asking, was_frozen;
};

struct runtime_instance {
    struct list link;   /* in host.instances */
    struct list report; /* in host.failed or host.gone: a callback is due; in .begun */
    struct runtime_host *host;
    struct runtime_instance_config config;
    uint64_t sandbox_id; /* the warden's: its own, or of who had a recycled one first */
    const struct kind *kind;
    void *kind_state;
    enum instance_phase phase;
    struct channel *channel;
    int listener;
    int seed[2]; /* stdout and stderr of the program that is up already, or -1 */
    int freezer; /* or why there is none: a negative errno */
    struct log_sink *sink;
    struct list outputs;
    unsigned n_outputs_left;
    struct list calls;
    uv_timer_t timer; /* making's limit, init's, then the grace */
    struct runtime_phases phases;
    uint64_t began_us;
    uint64_t init_began_us;
    unsigned holds;  /* handles and answers that are out */
    bool making;     /* asked for: the answer will come */
    bool sandbox;    /* exists: its on_exit will come */
    bool main_began; /* init has said so; it counts once */
    bool main_runs;
    bool failing;  /* cause and text stand; whether memory was the cause is being asked */
    bool failed;   /* on_failed was called, or is about to be */
    bool graceful; /* being stopped, and not yet by force */
    bool termed;   /* SIGTERM was sent */
    bool last_words; /* its kind was asked for them */
    bool cleaning;   /* its call is over: whether its sandbox is as new, init says */
    bool killed;     /* the warden was told */
    bool closing;    /* handles are */
    bool gone;
    bool frozen;
    unsigned n_oom; /* times that the kernel ran out of the sandbox's memory */
    bool oom;
    uint64_t peak_bytes;
    struct instance_usage usage;
    enum cause cause;
    char text[RUNTIME_TEXT_BYTES];
    char
        lack[96]; /* what it has not done, if it is not ready in time; "": see the kind */
};

struct runtime_host {
    uv_loop_t *loop;
    struct runtime_host_options options;
    char *region, *account;
    char *packages_dir; /* or NULL */
    struct list instances;
    char *scratch;        /* what is being read, for all */
    char *http_scratch;   /* likewise, of HTTP */
    struct buf head_text; /* of a call of `http`, while it starts */
    bool closing;
    unsigned n_timers;
    void (*on_closed)(void *data);
    void *closed_data;

    uv_timer_t later;        /* callbacks that are due, outside of any function */
    struct list failed;      /* on_failed, first: the user must not use it any more */
    struct list ended_calls; /* on_close */
    struct list begun;       /* those with a recycled sandbox begin */
    struct list gone;        /* on_gone, last */
    uv_timer_t tick;         /* runs while one of these has members, or lines wait */
    struct list waits;       /* calls */
    struct list throttled;   /* outputs */
    uv_timer_t usage;        /* when the next is asked how much it has used */
    struct list usage_active, usage_quiet;
    unsigned n_usage_asks;                 /* that are not answered */
    struct list recycled, recycled_ending; /* runtime_recycled.c's, as is the rest */
    unsigned n_recycled, n_recycled_ending;
    uv_timer_t recycled_late;
    uint64_t n_recycled_used, n_recycled_refused;
};

void host_deliver_soon(struct runtime_host *h);
void host_tick_soon(struct runtime_host *h);
void host_check_closed(struct runtime_host *h);

/* runtime_instance_end.c */
void instance_free(struct runtime_instance *in);
void instance_hold(struct runtime_instance *in);
void instance_release(struct runtime_instance *in);
/* The program is done for. cause is what it looks like; if the kernel says that memory
 * ran out, it becomes CAUSE_OOM. Kills the sandbox, ends the calls. */
void instance_fail(struct runtime_instance *in, enum cause cause, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void instance_end(struct runtime_instance *in);     /* at once; it is ENDING */
void instance_kill(struct runtime_instance *in);    /* its last words are said */
void instance_advance(struct runtime_instance *in); /* a call has left */
/* Its sandbox is looked at: init has told what kind->remains() says, or will not. */
void instance_remains_known(struct runtime_instance *in);
void instance_not_cleaned(struct runtime_instance *in);

/* runtime_instance.c */
void instance_ready(struct runtime_instance *in);
void instance_make(struct runtime_instance *in);
void instance_begin(
    struct runtime_instance *in); /* in the recycled sandbox that it has */
void instance_on_exit(struct runtime_instance *in, const struct sandbox_exit *e);
void instance_on_oom(struct runtime_instance *in);
/* Runs the function's program with its output going to the log. */
int instance_run_main(struct runtime_instance *in);
/* Another program, with its output going to the log. run: not the main one's number. */
int instance_run(struct runtime_instance *in, uint32_t run, char *const *argv,
                 char *const *env);
/* instance_fail() for what instance_run_main() said. */
void instance_fail_start(struct runtime_instance *in, int error);
/* "peak 128 MiB of 128 MiB" */
void instance_oom_text(const struct runtime_instance *in, uint64_t peak_bytes,
                       char ret[RUNTIME_TEXT_BYTES]);
/* "exit status 3", "killed by signal 11 (SIGSEGV)" */
void wait_status_text(int status, char ret[64]);

/* runtime_recycled.c */
bool recycled_wanted(
    const struct runtime_instance *in); /* its sandbox, once it is over */
/* The sandbox of an instance that is over waits for the next, and is no more the
 * instance's. False: it is not to; nothing has changed. */
bool recycled_keep(struct runtime_instance *in);
/* One for a new instance, if there is. ops: of its channel. */
bool recycled_take(struct runtime_instance *in, const struct channel_ops *ops);
void recycled_refused(struct runtime_instance *in, const char *why);
void recycled_drop_all(struct runtime_host *h);
bool recycled_is_empty(const struct runtime_host *h); /* none, nor one that is ending */
void recycled_on_exit(struct runtime_host *h, uint64_t id, const struct sandbox_exit *e);
void recycled_on_oom(struct runtime_host *h, uint64_t id);

/* runtime_usage.c */
/* It starts, or a call in it does: it is asked for what it uses. */
void usage_begins(struct runtime_instance *in);
/* The processor time of its sandbox in all so far, as the warden says: on_cpu gets what
 * is more than it was told before. */
void usage_told(struct runtime_instance *in, uint64_t total_us);
void usage_ends(struct runtime_instance *in); /* it is asked no more */

/* --- output: a pipe whose lines go to the instance's log ---------------------------- */
struct output;
/* Takes fd over, on failure too. Lives until the writers have closed it, or the sandbox
 * has ended. A flood is read slowly: the writer waits, the agent does not. run: init's
 * number for the process that writes. */
int output_open(struct runtime_instance *in, enum log_stream stream, uint32_t run,
                int fd);
/* That process has ended. What it left behind may write on, in a sandbox at most into
 * OUTPUTS_LEFT_MAX pipes: the oldest is closed then. */
#define OUTPUTS_LEFT_MAX 64
void output_leave(struct runtime_instance *in, uint32_t run);
void outputs_end(struct runtime_instance *in); /* nobody writes any more: the rest */
/* What its programs have printed so far is in the log when this returns. */
void outputs_drain(struct runtime_instance *in);
void outputs_unthrottle(struct runtime_host *h);
/* Lines of its log; in its file at the next tick. */
void output_log(struct runtime_instance *in, enum log_stream stream, const char *data,
                size_t len);
/* A pipe for a function. Ours is for libuv, which makes it non-blocking. */
int runtime_pipe(int *ret_ours, int *ret_theirs, bool ours_reads);
void runtime_alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);

/* --- calls ------------------------------------------------------------------------- */
struct runtime_call {
    struct list link;  /* in instance.calls, or host.ended_calls */
    struct list waits; /* in host.waits */
    uint64_t due_ms;
    struct runtime_instance *instance;
    struct runtime_host *host;
    const struct runtime_call_ops *ops;
    void *data;
    bool responded;
    bool calling;      /* its user is being told something */
    bool cancelled;    /* from within that */
    bool paused;       /* the response */
    bool over;         /* the kind has let go of it: cause and text are provisional */
    bool doomed;       /* its instance failed: cause and text are that failure's */
    bool unread;       /* if its program has ended, it has not read all of the request */
    bool untaken;      /* it is over, and the program has seen nothing of it */
    struct buf unused; /* then: its body as far as it came */
    enum cause cause;
    char text[RUNTIME_TEXT_BYTES];
    uint64_t cpu_us;
};

void call_free(struct runtime_call *c);
/* False: the user has cancelled the call, which is no more. */
bool call_respond(struct runtime_call *c, int status, struct http_headers headers,
                  uint64_t content_length);
bool call_body(struct runtime_call *c, const char *data, size_t len);
void call_drained(struct runtime_call *c); /* the call may be no more */
/* False: its user does not care for it. Else the call may be no more. */
bool call_replied(struct runtime_call *c);
/* The kind's call_due comes in ms (or a tick later), unless the call ends before. */
void call_wait(struct runtime_call *c, uint32_t ms);
void call_wait_no_more(struct runtime_call *c);
/* The kind is done with the call: on_close comes from the loop. CAUSE_NONE has no text.
 */
void call_finish(struct runtime_call *c, enum cause cause, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, when the connection was lost but the news of the program's end, which would
 * be the cause, may still be on its way. */
void call_finish_unless_crashed(struct runtime_call *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void calls_fail_all(struct runtime_instance *in, enum cause cause, const char *text);
void calls_due(struct runtime_host *h);

#endif /* AGENT_RUNTIME_RUNTIME_PRIVATE_H */
