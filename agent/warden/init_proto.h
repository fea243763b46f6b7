/* Between the agent and a sandbox's init (pid 1 in there; agent/warden/init.c): one
 * SOCK_SEQPACKET connection, one struct a message, native byte order, same host and
 * build. The warden has the agent's end until the sandbox is given to a function.
 *
 * init is in the sandbox, without privileges and under its seccomp filter. The agent
 * trusts nothing that comes from it beyond the shape, which it checks. When the
 * connection ends init kills everything in the sandbox and exits. */
#ifndef AGENT_WARDEN_INIT_PROTO_H
#define AGENT_WARDEN_INIT_PROTO_H

#include <stdint.h>

#define INIT_RUN_QUIETLY 1
#define INIT_RUN_SEED    2
#define INIT_RUN_ONCE    3
#define INIT_MESSAGE_MAX (128 * 1024) /* SO_SNDBUF is set accordingly */

enum init_message_type {
    INIT_RUN = 1, /* agent → init, with 3 fds: stdin, stdout, stderr */
    INIT_SIGNAL,  /* agent → init */
    INIT_STARTED, /* init → agent: exec succeeded */
    INIT_FAILED,  /* init → agent: no process; value = errno, text = step and path */
    INIT_EXITED,  /* init → agent: value = wait status */
    INIT_CHECK,   /* agent → init: could argv[0] be run? INIT_STARTED or INIT_FAILED */
    INIT_BLANK,   /* init → warden, with 2 fds: its network and mount namespaces. Or
                     INIT_FAILED: value = errno, text = step */
    INIT_SEED,    /* warden → init, with 3 fds: as INIT_RUN, but see init_seed.h */
    INIT_SEEDED, /* init → warden: value = 0, it is up, or an errno. Also to the agent, if
                    it was given before it was up: of no meaning then */
    INIT_SETTLED, /* init → warden: it does no more than wait. (Likewise.) */
    INIT_BEGIN,   /* warden → init: the function's files are in place */
    INIT_CLEAN,   /* init → agent: nothing of the run is left, another may follow */
    INIT_SOILED,  /* init → agent: something is, text says what: the sandbox must go */
};

/* Followed in the same message by `len` bytes.
 * INIT_RUN: n_argv strings, then n_env strings "K=V", each NUL-terminated. argv[0] is the
 * program: absolute, or relative to the working directory /var/task, or (without a slash)
 * looked up in /var/task and then in PATH. The process leads a process group of its own.
 * value INIT_RUN_QUIETLY: INIT_STARTED is not told. INIT_RUN_SEED: without fds, the seed
 * goes on with this environment; or the program is started in its place. INIT_RUN_ONCE:
 * as QUIETLY, it is the only one, and INIT_EXITED is followed by INIT_CLEAN or
 * INIT_SOILED. INIT_CHECK: the one string argv[0], looked up in the same way; nothing is
 * run. INIT_FAILED, INIT_SOILED: text. */
struct init_message {
    uint32_t type;
    uint32_t run;  /* chosen by the agent; names the process from then on */
    int32_t value; /* INIT_SIGNAL: signal number, sent to the whole process group */
    uint32_t n_argv;
    uint32_t n_env;
    uint32_t len;
    uint64_t cpu_us;          /* INIT_EXITED: user + system time */
    uint64_t memory_peak_kib; /* INIT_EXITED: ru_maxrss */
    uint64_t file_bytes;      /* INIT_BEGIN: no file becomes larger */
};

#endif /* AGENT_WARDEN_INIT_PROTO_H */
