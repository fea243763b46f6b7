#include "common/fd_message.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "common/check.h"

union control {
    char bytes[CMSG_SPACE(FD_MESSAGE_MAX * sizeof(int))];
    struct cmsghdr align;
};

static struct msghdr head_of(const struct iovec *parts, size_t n_parts)
{
    return (struct msghdr){.msg_iov = (struct iovec *)(uintptr_t)parts,
                           .msg_iovlen = n_parts};
}

ssize_t fd_message_send(int socket, const struct iovec *parts, size_t n_parts,
                        const int *fds, size_t n_fds, int flags)
{
    struct msghdr head = head_of(parts, n_parts);
    union control control = {0};
    ssize_t n;

    CHECK(n_fds <= FD_MESSAGE_MAX);
    if (n_fds > 0) {
        struct cmsghdr *c;

        head.msg_control = control.bytes;
        head.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        c = CMSG_FIRSTHDR(&head);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    do {
        n = sendmsg(socket, &head, flags | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t fd_message_receive(int socket, const struct iovec *parts, size_t n_parts,
                           int *fds, size_t n_fds, int flags)
{
    struct msghdr head = head_of(parts, n_parts);
    union control control;
    ssize_t n;

    CHECK(n_fds <= FD_MESSAGE_MAX);
    for (size_t i = 0; i < n_fds; i++) {
        fds[i] = -1;
    }
    head.msg_control = control.bytes;
    head.msg_controllen = CMSG_LEN(n_fds * sizeof(int)); /* for so many and no more */
    do {
        n = recvmsg(socket, &head, flags | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return -errno;
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&head); c != NULL; c = CMSG_NXTHDR(&head, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
        }
    }
    return n;
}
