/* The warden's sandboxes, found by id and by the pid of their init. A sandbox stays until
 * both its process and its cgroup are gone. */
#ifndef AGENT_WARDEN_SANDBOX_TABLE_H
#define AGENT_WARDEN_SANDBOX_TABLE_H

#include <stddef.h>

#include "agent/warden/sandbox.h"

#define SANDBOX_TABLE_BUCKETS 1024

struct sandbox_table {
    struct list ids[SANDBOX_TABLE_BUCKETS];
    struct list pids[SANDBOX_TABLE_BUCKETS];
    struct list leftovers; /* no process, but a cgroup that the kernel still holds */
    size_t n;
};

void sandbox_table_init(struct sandbox_table *t);

struct sandbox *sandbox_table_find(struct sandbox_table *t, uint64_t id);
struct sandbox *sandbox_table_find_pid(struct sandbox_table *t, pid_t pid);

/* Takes ownership. With pid 0 it is a leftover at once. */
void sandbox_table_add(struct sandbox_table *t, struct sandbox *s);

/* Its process is reaped: it is a leftover from here on. */
void sandbox_table_dead(struct sandbox_table *t, struct sandbox *s);

/* Removes the leftovers' cgroups as far as the kernel lets go of them, and frees them. */
void sandbox_table_sweep(struct sandbox_table *t, const struct cgroup_root *cgroups);

void sandbox_table_kill_all(struct sandbox_table *t, const struct sandbox_host *h);
void sandbox_table_free(struct sandbox_table *t); /* what is left, without killing */

#endif /* AGENT_WARDEN_SANDBOX_TABLE_H */
