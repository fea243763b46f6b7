/* The warden's side of its maker (maker_proto.h): a process that makes blanks, so that
 * the warden itself never waits for the kernel to make a namespace. */
#ifndef AGENT_WARDEN_MAKER_H
#define AGENT_WARDEN_MAKER_H

#include <stdint.h>
#include <sys/types.h>

#include "agent/warden/cgroup.h"
#include "agent/warden/maker_proto.h"
#include "common/error.h"

struct maker {
    int fd; /* readable: a reply, or its end */
    pid_t pid;
    unsigned n_ordered; /* orders without a reply */
};

/* init_fd: the program. filters: of seccomp_compile(). From within the warden's own root
 * and network. */
int maker_start(struct maker *m, int init_fd, int filters,
                const struct cgroup_root *cgroups, struct error *err);
/* control: init's end; net: a network namespace that it is to be in, or -1. They stay the
 * caller's. */
int maker_order(struct maker *m, const struct cgroup_root *cgroups,
                const struct maker_order *order, int control, int net);
/* 0, -EAGAIN: none has come yet, or it is gone. wait_ms: how long to wait for one. */
int maker_hear(struct maker *m, struct maker_reply *ret, int wait_ms);
void maker_close(struct maker *m);

#endif /* AGENT_WARDEN_MAKER_H */
