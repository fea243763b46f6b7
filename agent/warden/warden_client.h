/* The agent's side of its warden, the root process that makes sandboxes.
 *
 * Messages go over one SOCK_SEQPACKET socketpair as fixed structs, fds by SCM_RIGHTS
 * (warden_proto.h; both programs come from one build). Requests are answered in order of
 * completion by id. The warden's death is fatal to the agent (on_lost). Loop's thread. */
#ifndef AGENT_WARDEN_CLIENT_H
#define AGENT_WARDEN_CLIENT_H

#include <stdbool.h>
#include <uv.h>

#include "common/error.h"

struct warden_client;

/* What may be started in a sandbox before it is asked for, see warden_proto.h. */
struct warden_seed {
    uint32_t n_argv, n_env, len;
    char text[512];
};

struct sandbox_config {
    uint64_t id; /* never used again within this agent's life */
    const char
        *package; /* digest: a folder under the warden's packages folder, or NULL */
    const char *layers[5]; /* likewise, merged at /opt; the first NULL ends the list */
    uint64_t memory_bytes;
    uint32_t cpu_millis;
    uint32_t pids_max;
    uint64_t tmp_bytes;
    const struct warden_seed *seed; /* or NULL */
    bool runtime_api; /* also make a listening socket on 127.0.0.1:9001 inside */
};

/* What became of a sandbox. Usage is its cgroup's, read when it was empty. */
struct sandbox_exit {
    int wait_status; /* of its init, as from waitpid(2) */
    bool oom;        /* the kernel killed in it for memory */
    uint64_t memory_peak_bytes;
    uint64_t cpu_us;
};

struct sandbox_usage {
    bool oom;
    uint64_t memory_bytes;
    uint64_t memory_peak_bytes;
    uint64_t cpu_us;
    uint32_t pids;
};

/* status < 0: err says which step failed; the fds are -1. On success control is a
 * SOCK_SEQPACKET to the sandbox's init (init_proto.h), listener is -1 or the Runtime
 * API's socket, freezer is for freezer_set() (common/freezer.h), which is quick and needs
 * no right, or -ENOTSUP (the host has no freezer) or -EMFILE (it could not be opened).
 * They become the callee's. */
struct sandbox_fds {
    int control, listener, freezer;
    int out, err; /* its seed's stdout and stderr, or -1: it has none */
};
typedef void (*warden_create_cb)(void *data, int status, const struct error *err,
                                 const struct sandbox_fds *fds);
typedef void (*warden_socket_cb)(void *data, int fd_or_error);
typedef void (*warden_usage_cb)(void *data, int status, const struct sandbox_usage *u);

struct warden_client_options {
    void (*on_ready)(void *data); /* it is set up and serves; may be NULL */
    /* Every created sandbox ends with exactly one on_exit, whoever ended it. */
    void (*on_exit)(void *data, uint64_t id, const struct sandbox_exit *e);
    /* The kernel ran out of the sandbox's memory limit; on_exit follows if init was hit
     * or if the client kills it. */
    void (*on_oom)(void *data, uint64_t id);
    /* The host is short of memory, or the warden's group: no blank is kept for a while,
     * and nothing else should be that is only there to be quick. May be NULL. */
    void (*on_short)(void *data);
    void (*on_lost)(void *data, const char *reason);
    void *data;
};

/* Starts the warden. Needs root, and (so that a fork is safe) no other thread yet. The
 * warden ends by itself when its connection does; pid is for waitpid(2). */
struct warden_spawn_options {
    const char *program;
    const char *state_dir; /* the warden's own folder */
    const char *packages;
    const char *cgroup;
    uint32_t uid_base;
    const char *base;
    unsigned blanks; /* that are kept ready, at most; 0: none */
    const char *log_level;
    const char *log_format;
};
int warden_spawn(const struct warden_spawn_options *options, pid_t *ret_pid, int *ret_fd,
                 struct error *err);

/* fd: the client's end; taken over. */
int warden_client_new(struct warden_client **ret, uv_loop_t *loop, int fd,
                      const struct warden_client_options *options, struct error *err);
void warden_client_close(struct warden_client *c, void (*on_closed)(void *data),
                         void *data);

void warden_create(struct warden_client *c, const struct sandbox_config *config,
                   warden_create_cb cb, void *data);
/* An unconnected TCP socket in the sandbox's network namespace. */
void warden_socket(struct warden_client *c, uint64_t id, warden_socket_cb cb, void *data);
/* Whole sandbox, SIGKILL; thaws it. One that is waited for is not made (-ECANCELED).
 * What has been killed is not to be frozen any more. */
void warden_kill(struct warden_client *c, uint64_t id);
/* Of sandboxes that are made ahead, by the program that is up in them ("": none is). What
 * there are is as old as the last answer of the warden's. */
#define WARDEN_KINDS_MAX 4
struct warden_blank_kind {
    char program[20];
    uint32_t ready, making;
    uint64_t memory_bytes; /* of those that are ready */
    uint64_t used;         /* that were there, or being made, when they were asked for */
    uint64_t missed;       /* and those that were not */
};
struct warden_blanks {
    uint64_t made;
    unsigned n_kinds;
    struct warden_blank_kind kinds[WARDEN_KINDS_MAX];
};
/* Of this kind; one that nobody asked for has nothing but zeros. */
struct warden_blank_kind warden_blanks_of(const struct warden_client *c,
                                          const char *program);
const struct warden_blanks *warden_blanks(const struct warden_client *c);
void warden_count(struct warden_client *c); /* asks: the next look is newer */

void warden_usage(struct warden_client *c, uint64_t id, warden_usage_cb cb, void *data);

#endif /* AGENT_WARDEN_CLIENT_H */
