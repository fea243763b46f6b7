/* What of an ended sandbox the next blank can have: its control groups (v1, where there
 * are five, made and removed for more than all else of a start costs) and its network
 * namespace, if nothing ever happened in it. What the kernel counted in them begins anew.
 */
#ifndef AGENT_WARDEN_PARTS_H
#define AGENT_WARDEN_PARTS_H

#include "agent/warden/sandbox.h"

struct part_group {
    uint64_t number;
    struct cgroup_limits limits;
    int oom; /* with it: of the same kernel object */
    uint64_t oom_kills;
};

#define PARTS_NET_BYTES 16384

struct parts {
    unsigned max;                 /* of each kind */
    char unused[PARTS_NET_BYTES]; /* what a namespace's counters say when it is new */
    size_t unused_len;
    unsigned n_groups, n_nets;
    struct part_group *groups;
    int *nets;
};

/* From the warden's own network namespace. -ENOMEM. */
int parts_init(struct parts *p, unsigned max);

/* Takes what can be used again from a sandbox whose process is reaped; usage: its
 * group's, read since. True: also its group, which is not to be removed then. */
bool parts_keep(struct parts *p, const struct sandbox_host *h, struct sandbox *s,
                const struct cgroup_usage *usage);

/* The last kept. False: there is none. */
bool parts_group(struct parts *p, struct part_group *ret);
int parts_net(struct parts *p); /* -1: there is none */

/* Removes and closes one of each kind of which there are more than so many. True: there
 * are still more. */
bool parts_trim(struct parts *p, const struct cgroup_root *cgroups, unsigned max);

/* Removes and closes all. */
void parts_free(struct parts *p, const struct cgroup_root *cgroups);

#endif /* AGENT_WARDEN_PARTS_H */
