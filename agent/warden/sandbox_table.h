/* The warden's sandboxes, found by id, by the pid of their init, and by their group. A
 * sandbox stays until both its process and its cgroup are gone. */
#ifndef AGENT_WARDEN_SANDBOX_TABLE_H
#define AGENT_WARDEN_SANDBOX_TABLE_H

#include <stddef.h>

#include "agent/warden/sandbox.h"
#include "agent/warden/warden_proto.h"

#define SANDBOX_TABLE_BUCKETS 1024
#define SANDBOX_TABLE_MAX     (WARDEN_SANDBOXES_MAX + 1024)

struct sandbox_table {
    struct list ids[SANDBOX_TABLE_BUCKETS];
    struct list pids[SANDBOX_TABLE_BUCKETS];
    struct list groups[SANDBOX_TABLE_BUCKETS];
    struct list leftovers; /* no process, but a cgroup that the kernel still holds */
    size_t n;
    uint64_t last_group;
    uint32_t slots[SANDBOX_TABLE_MAX]; /* free ones, in a ring: freed first, used first */
    size_t first_slot;
};

void sandbox_table_init(struct sandbox_table *t);

struct sandbox *sandbox_table_find(struct sandbox_table *t, uint64_t id);
struct sandbox *sandbox_table_find_pid(struct sandbox_table *t, pid_t pid);
struct sandbox *sandbox_table_find_group(struct sandbox_table *t, uint64_t group);

/* A new one, ORDERED, with a group and a slot of its own. NULL: out of memory, or there
 * are SANDBOX_TABLE_MAX. */
struct sandbox *sandbox_table_add(struct sandbox_table *t);
void sandbox_table_set_pid(struct sandbox_table *t, struct sandbox *s, pid_t pid);
void sandbox_table_set_id(struct sandbox_table *t, struct sandbox *s, uint64_t id);

/* Its group and descriptors are somebody else's: forgets it. Its process is reaped. */
void sandbox_table_forget(struct sandbox_table *t, struct sandbox *s);
/* Gives a new one a group that another had. */
void sandbox_table_set_group(struct sandbox_table *t, struct sandbox *s, uint64_t group);

/* Its process is reaped, or never was: it is a leftover from here on. */
void sandbox_table_dead(struct sandbox_table *t, struct sandbox *s);

/* Removes the leftovers' cgroups, at most so many, as far as the kernel lets go of them,
 * and frees them. True: there are more that it may let go of. */
bool sandbox_table_sweep(struct sandbox_table *t, const struct cgroup_root *cgroups,
                         size_t max);

void sandbox_table_kill_all(struct sandbox_table *t, const struct sandbox_host *h);
void sandbox_table_free(struct sandbox_table *t); /* what is left, without killing */

#endif /* AGENT_WARDEN_SANDBOX_TABLE_H */
