/* The system calls that functions may make: an allow-list by name, after a look at
 * arguments, as one program for the kernel. Compiled once. */
#ifndef AGENT_WARDEN_SECCOMP_H
#define AGENT_WARDEN_SECCOMP_H

#include "common/error.h"

#define SECCOMP_CODE_MAX 1024 /* instructions */

/* A file in memory with nothing but the program (struct sock_filter), for the maker. */
int seccomp_compile(int *ret_fd, struct error *err);

#endif /* AGENT_WARDEN_SECCOMP_H */
