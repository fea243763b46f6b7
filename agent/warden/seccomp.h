/* The system calls that functions may make. Two filters, of which the stricter result
 * counts: an allow-list by name, and one that looks at arguments. Compiled once. */
#ifndef AGENT_WARDEN_SECCOMP_H
#define AGENT_WARDEN_SECCOMP_H

#include "common/error.h"

/* A file in memory with both, for the maker. */
int seccomp_compile(int *ret_fd, struct error *err);

#endif /* AGENT_WARDEN_SECCOMP_H */
