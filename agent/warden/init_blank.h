/* The program mayfly-init: it is the maker (init_maker.c, has main), each sandbox's first
 * process until the function's part begins (init_blank.c, init_rootfs.c), and its pid 1
 * from then on (init.c). Static, and small: a new one is a copy of the maker, which costs
 * less than to execute anything, and holds nothing that a function must not know. */
#ifndef AGENT_WARDEN_INIT_BLANK_H
#define AGENT_WARDEN_INIT_BLANK_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/warden/maker_proto.h"

#define CONTROL_FD 3 /* init's connection */

/* What the maker knows. */
struct blank_host {
    int groups[MAKER_GROUPS_MAX]; /* NAME of v1's hierarchies */
    unsigned n_groups;
    struct sock_fprog filter; /* seccomp's */
    int n_capabilities;       /* that the kernel knows */
};

/* A new process's, from its first step on; it is the host's root in a new pid namespace.
 * Tells on `control` (INIT_BLANK) when it is a blank, or what failed (INIT_FAILED). net:
 * the network namespace that it gets, or -1: it makes one. */
__attribute__((noreturn)) void blank_run(const struct blank_host *h,
                                         const struct maker_order *order, int control,
                                         int net);

/* init_limits.c. Once, by the maker. */
bool limits_set(void);

/* init_rootfs.c. Once, by the maker: into a mount namespace whose root is the template,
 * so that each sandbox's, a copy of it, has its root already and nothing else to let go
 * of. Finds out before what of /proc is to be hidden. False: errno says why not. */
bool rootfs_settle(void);
/* The rest of a sandbox's root without package and layers, in a new mount and pid
 * namespace. A negative errno: *ret_step failed. */
int rootfs_enter(uint64_t tmp_bytes, const char **ret_step);

/* A host that runs out of memory takes sandboxes before anything else of ours, and no
 * function can lower this again. init raises it further for the function's processes. */
#define INIT_OOM_SCORE "500"

/* init.c: serves the agent on CONTROL_FD; returns an exit status. oom_fd: of its own
 * oom_score_adj, which it cannot open any more. */
int init_serve(int oom_fd);

#endif /* AGENT_WARDEN_INIT_BLANK_H */
