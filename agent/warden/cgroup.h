/* Control groups of sandboxes: v1, v2 and hybrid hosts.
 *
 * libcgroup finds the hierarchies and makes the warden's own group NAME once
 * (cgroup_setup.c). A sandbox's group NAME/<number> is then made, filled, read and
 * removed through fds of NAME's folders that stay open (cgroup.c): no path is resolved
 * from the root, and no library call is on the path of a start.
 *
 *     v1: one hierarchy a controller (or several comounted): memory cpu pids, and
 *         freezer and cpuacct if the host has them
 *     v2: one hierarchy, controllers memory cpu pids
 *     hybrid: each controller from wherever it is
 *
 * Nothing here blocks but cgroup_root_clean(), which is for start and end. */
#ifndef AGENT_WARDEN_CGROUP_H
#define AGENT_WARDEN_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

enum cgroup_kind {
    CGROUP_MEMORY,
    CGROUP_CPU,
    CGROUP_PIDS,
    CGROUP_FREEZER, /* v1 only, optional; on v2 each group can be frozen */
    CGROUP_CPUACCT, /* v1 only, optional; on v2 part of cpu */
    CGROUP_CONTROLLERS
};

struct cgroup_hierarchy {
    int dir; /* fd of NAME in it */
    bool v2;
};

struct cgroup_root {
    struct cgroup_hierarchy hierarchies[CGROUP_CONTROLLERS];
    unsigned n_hierarchies;
    int of[CGROUP_CONTROLLERS]; /* controller → index above, or -1 */
    bool swap;                  /* the host accounts swap: limit it too */
};

/* Finds the hierarchies, makes NAME in each, takes its lock. -EBUSY: another warden has
 * NAME. On failure nothing is held. */
int cgroup_root_open(struct cgroup_root *root, const char *name, struct error *err);

/* Kills what lives in groups below NAME and removes them. Waits up to timeout_ms. */
int cgroup_root_clean(struct cgroup_root *root, unsigned timeout_ms, struct error *err);

/* Makes freezing and thawing quick on v1, where the kernel rewrites its own code when the
 * first group on the host is frozen and the last one thawed (freezer_active in
 * kernel/cgroup/legacy_freezer.c; milliseconds, measured). One that is always frozen,
 * and empty, takes that once: NAME/0, a number that no sandbox has. cgroup_root_clean()
 * removes it. Without it all works, slower. */
void cgroup_hold_freezer(const struct cgroup_root *root);

/* Removes NAME itself where it is empty and closes everything. */
void cgroup_root_close(struct cgroup_root *root, const char *name);

struct cgroup_limits {
    uint64_t memory_bytes;
    uint32_t cpu_millis;
    uint32_t pids_max;
};

struct cgroup_usage {
    uint64_t oom_kills; /* by the kernel's own count */
    uint64_t memory_bytes;
    uint64_t memory_peak_bytes;
    uint64_t cpu_us;
    uint32_t pids;
};

/* Makes NAME/<group> with its limits but those of processor time: it stands back. On
 * failure nothing is left. */
int cgroup_make(const struct cgroup_root *root, uint64_t group,
                const struct cgroup_limits *limits, struct error *err);
/* Begins anew with the memory's peak. -ENOTSUP: on v2 it stays. */
int cgroup_renew(const struct cgroup_root *root, uint64_t group);
/* Whether it runs only when nobody else wants to. */
void cgroup_stand_back(const struct cgroup_root *root, uint64_t group, bool back);
/* Stands back no more, and has its processor time. */
int cgroup_serve(const struct cgroup_root *root, uint64_t group, uint32_t cpu_millis,
                 struct error *err);
/* The same for one whose quota is that already. */
int cgroup_serve_again(const struct cgroup_root *root, uint64_t group,
                       uint32_t cpu_millis, struct error *err);
/* Sets what is different in `next`. */
int cgroup_limit(const struct cgroup_root *root, uint64_t group,
                 const struct cgroup_limits *now, const struct cgroup_limits *next,
                 struct error *err);

/* A new process gets into NAME/<group> in two ways, neither of which waits for the kernel
 * to have all others stand still (the lock behind cgroup.procs does: milliseconds,
 * measured): v2's part by clone3(2) with CLONE_INTO_CGROUP and this descriptor (-ENOTSUP:
 * no v2); v1's by the process's own writing "0" into the file tasks (init_maker.c). */
int cgroup_open(const struct cgroup_root *root, uint64_t group);

/* An fd that tells of memory exhaustion: an eventfd to wait for EPOLLIN (v1), or
 * memory.events to wait for EPOLLPRI (v2). */
int cgroup_oom_open(const struct cgroup_root *root, uint64_t group, int *ret_fd,
                    bool *ret_is_eventfd, struct error *err);

uint64_t cgroup_cpu_us(const struct cgroup_root *root, uint64_t group); /* or 0 */
/* What cannot be read stays 0. */
void cgroup_read(const struct cgroup_root *root, uint64_t group,
                 struct cgroup_usage *ret);

/* Whether NAME or a group above it has less than a sixteenth of its memory left. */
bool cgroup_is_short(const struct cgroup_root *root);

/* An fd of the file that freezes and thaws the group (common/freezer.h has its words);
 * who has it can do that and nothing else. -ENOTSUP if the host has no freezer. */
int cgroup_freezer_open(const struct cgroup_root *root, uint64_t group);
/* Whoever froze it: what is killed must also be thawed, or (v1) it does not die. */
void cgroup_thaw(const struct cgroup_root *root, uint64_t group);

/* 0 when it is gone from everywhere, -EBUSY if the kernel is not done with it: call
 * again. */
int cgroup_remove(const struct cgroup_root *root, uint64_t group);

#endif /* AGENT_WARDEN_CGROUP_H */
