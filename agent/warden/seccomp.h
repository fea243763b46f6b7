/* The system calls that functions may make. Two filters, of which the stricter result
 * counts: an allow-list by name, and one that looks at arguments. Compiled once. */
#ifndef AGENT_WARDEN_SECCOMP_H
#define AGENT_WARDEN_SECCOMP_H

#include <linux/filter.h>

#include "common/error.h"

struct seccomp_filters {
    struct sock_fprog allow;
    struct sock_fprog arguments;
};

int seccomp_compile(struct seccomp_filters *ret, struct error *err);
void seccomp_filters_free(struct seccomp_filters *f);

/* For good, for the calling thread and all that it starts. Needs no_new_privs. */
int seccomp_apply(const struct seccomp_filters *f);

#endif /* AGENT_WARDEN_SECCOMP_H */
