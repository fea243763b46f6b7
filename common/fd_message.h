/* Messages over Unix sockets that bring descriptors with them (SCM_RIGHTS). */
#ifndef COMMON_FD_MESSAGE_H
#define COMMON_FD_MESSAGE_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#define FD_MESSAGE_MAX 8 /* descriptors */

/* The parts as one message, with n_fds descriptors, which stay the caller's. flags: of
 * sendmsg(2); no signal comes in any case. Returns bytes, or a negative errno. */
ssize_t fd_message_send(int socket, const struct iovec *parts, size_t n_parts,
                        const int *fds, size_t n_fds, int flags);

/* fds: those that came, at most n_fds, close-on-exec; -1 where there is none. flags: of
 * recvmsg(2). Returns bytes, 0 at the end, or a negative errno. */
ssize_t fd_message_receive(int socket, const struct iovec *parts, size_t n_parts,
                           int *fds, size_t n_fds, int flags);

#endif /* COMMON_FD_MESSAGE_H */
