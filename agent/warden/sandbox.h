/* One sandbox, from the warden's side: making it, sockets inside it, its end.
 *
 *     sandbox_start ──▶ runs (pid, control) ──▶ [SIGCHLD] ──▶ its cgroup goes ──▶
 * forgotten
 *
 * Nobody waits for an end: a process that the kernel cannot kill yet (it waits for a
 * disk) keeps its sandbox in the table, and nothing else. */
#ifndef AGENT_WARDEN_SANDBOX_H
#define AGENT_WARDEN_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/warden/cgroup.h"
#include "agent/warden/rootfs.h"
#include "agent/warden/seccomp.h"
#include "common/error.h"
#include "common/list.h"

/* What all sandboxes have in common. */
struct sandbox_host {
    struct cgroup_root cgroups;
    struct seccomp_filters filters;
    uint32_t uid_base;
    int init_fd; /* sealed copy of mayfly-init */
    int own_net; /* the warden's network namespace */
};

struct sandbox_limits {
    struct cgroup_limits cgroup;
    uint64_t tmp_bytes;
    uint32_t uid_index;
    char package[80]; /* digest or "" */
    rootfs_layers layers;
};

struct sandbox {
    struct list by_id;
    struct list by_pid;
    struct list oom_list; /* memory ran out, the kernel has not killed yet */
    uint64_t id;
    pid_t pid; /* its init; 0: there is none (any more) */
    int net;   /* its network namespace */
    int oom;   /* tells of memory exhaustion, or -1 */
    bool oom_is_eventfd;
    bool announced;      /* the agent knows it, and hears of its end */
    uint64_t oom_told;   /* kills by the kernel that the agent has been told of */
    uint64_t oom_end_ms; /* until when to look for one more */
};

/* Blocks for the milliseconds that it takes, at most five seconds. On success
 * *ret_control is the agent's end of the connection to init. On failure it has been
 * killed: with s->pid > 0 it still has to be reaped, and its cgroup to be removed. */
int sandbox_start(const struct sandbox_host *h, struct sandbox *s,
                  const struct sandbox_limits *limits, int *ret_control,
                  struct error *err);

/* A TCP socket in its network namespace: not connected, or (port > 0) listening on
 * 127.0.0.1:port. The descriptor, or a negative errno. */
int sandbox_socket(const struct sandbox_host *h, const struct sandbox *s, uint16_t port);

/* Also a frozen one. */
void sandbox_kill(const struct sandbox_host *h, struct sandbox *s);
void sandbox_close(struct sandbox *s); /* its descriptors */

/* sandbox_child.c: the sandbox's first process; never returns. sync: to the parent. */
struct sandbox_child {
    const struct sandbox_host *host;
    const struct sandbox_limits *limits;
    uint64_t id;
    int sync;
    int control;
};
__attribute__((noreturn)) void sandbox_child_run(const struct sandbox_child *c);

/* What the child says on sync: a step done (error 0), or the step that failed. The parent
 * answers each done step with one byte. */
struct sandbox_report {
    int error; /* 0 or errno */
    char step[60];
};

#endif /* AGENT_WARDEN_SANDBOX_H */
