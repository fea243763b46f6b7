/* One sandbox, from the warden's side: made, given to a function, ended.
 *
 *   sandbox_order ─▶ ORDERED ─maker─▶ MAKING ─init─▶ BLANK ─sandbox_begin─▶ RUNNING
 *                       └───────────────┴──────────────┴──────────────────────┴──▶ DEAD
 *
 * A blank is a whole sandbox without a function: nothing in it depends on one, and one
 * becomes one function's, once. Nobody waits for an end: a process that the kernel cannot
 * kill yet (it waits for a disk) keeps its sandbox in the table, and nothing else. */
#ifndef AGENT_WARDEN_SANDBOX_H
#define AGENT_WARDEN_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/warden/cgroup.h"
#include "agent/warden/maker.h"
#include "agent/warden/rootfs.h"
#include "common/error.h"
#include "common/list.h"

/* What all sandboxes have in common. */
struct sandbox_host {
    struct cgroup_root cgroups;
    struct maker maker;
    uint32_t uid_base;
    unsigned blanks_max;
    int filters; /* seccomp's */
    int init_fd; /* sealed copy of mayfly-init */
    int own_net; /* the warden's network namespace */
    int own_mnt; /* and its mount namespace */
};

/* What a sandbox is made with; a function's own, if they are known ahead. */
struct sandbox_limits {
    struct cgroup_limits cgroup;
    uint64_t tmp_bytes;
};

/* What makes it a function's. */
struct sandbox_function {
    struct sandbox_limits limits;
    char package[80]; /* digest or "" */
    rootfs_layers layers;
};

enum sandbox_state {
    SANDBOX_ORDERED, /* the maker has not said its pid */
    SANDBOX_MAKING,
    SANDBOX_BLANK,
    SANDBOX_SEEDING, /* a runtime starts in it: seeds.h */
    SANDBOX_SEEDED,
    SANDBOX_RUNNING,
    SANDBOX_DEAD, /* there is no process, but a cgroup that the kernel still holds */
};

struct recipe;

struct sandbox {
    struct list by_id; /* RUNNING */
    struct list by_pid;
    struct list by_group;
    struct list link; /* in the list of those that are made, of blanks, or of leftovers */
    struct recipe *recipe; /* SEEDING, SEEDED: whose seed it has */
    uint64_t seed_bytes;   /* memory in use when it was up, or waited */
    struct list oom_list;  /* memory ran out, the kernel has not killed yet */
    enum sandbox_state state;
    uint64_t id;    /* the agent's; 0: it is no function's yet */
    uint64_t group; /* its cgroup's number */
    uint32_t slot;  /* its user is uid_base + slot, and no other sandbox's */
    pid_t pid;      /* its init; 0: there is none (yet, or any more) */
    bool spoke;     /* its first process did: it is made, or failed */
    bool hurried;   /* somebody waits for it */
    bool settled;   /* SEEDED: its seed does no more than wait */
    bool released;  /* the agent had it killed: it freezes it no more */
    bool doomed;    /* killed, maybe before its pid was known */
    int failed;     /* why it could not be made, a negative errno, or 0 */
    struct sandbox_limits limits;
    int control;  /* the agent's end of init's connection, until it has it */
    int net;      /* its network namespace */
    int mnt;      /* its mount namespace, until it is a function's */
    int out, err; /* what its seed prints, until the agent has it */
    int oom;      /* tells of memory exhaustion, or -1 */
    int freezer;  /* until the agent has it; or why there is none: a negative errno */
    bool oom_is_eventfd;
    bool announced;      /* the agent knows it, and hears of its end */
    uint64_t ordered_ms; /* when */
    uint64_t cpu_us;     /* that its making took, and who had the group before */
    uint64_t oom_kills;  /* likewise */
    uint64_t oom_told;   /* kills by the kernel that the agent has been told of */
    uint64_t oom_end_ms; /* until when to look for one more */
};

/* Sets its cgroup up and orders the rest. s->group and s->slot are set; with s->oom the
 * group is an old one, with s->limits.cgroup. net: as for maker_order(). On failure there
 * is no process; its cgroup may still have to be removed. */
int sandbox_order(struct sandbox_host *h, struct sandbox *s,
                  const struct sandbox_limits *limits, int net, struct error *err);

/* init's first word (control is readable): it is a blank, or this failed. -EAGAIN: it
 * has not come. */
int sandbox_made(const struct sandbox_host *h, struct sandbox *s, struct error *err);

/* Makes a blank the function's s->id. On failure it is to be killed. */
int sandbox_begin(const struct sandbox_host *h, struct sandbox *s,
                  const struct sandbox_function *f, struct error *err);

/* A TCP socket in its network namespace: not connected, or (port > 0) listening on
 * 127.0.0.1:port. The descriptor, or a negative errno. */
int sandbox_socket(const struct sandbox_host *h, const struct sandbox *s, uint16_t port);

/* Also a frozen one. */
void sandbox_kill(const struct sandbox_host *h, struct sandbox *s);
void sandbox_close(struct sandbox *s); /* its descriptors */

#endif /* AGENT_WARDEN_SANDBOX_H */
