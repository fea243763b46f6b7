#include "agent/warden/channel.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "common/check.h"
#include "common/fd_message.h"

#define SEND_TIMEOUT_MS 10000

static bool layers_end(const struct warden_request *r)
{
    for (size_t i = 0; i < WARDEN_LAYERS_MAX; i++) {
        if (memchr(r->layers[i], '\0', sizeof(r->layers[i])) == NULL) {
            return false;
        }
    }
    return true;
}

static bool seed_is_whole(const struct warden_request *r)
{
    uint32_t n = 0;

    if (r->seed_len == 0) {
        return true;
    }
    if (r->seed_len > WARDEN_SEED_MAX || r->seed[r->seed_len - 1] != '\0') {
        return false;
    }
    for (uint32_t i = 0; i < r->seed_len; i++) {
        n += r->seed[i] == '\0';
    }
    return r->seed_argv > 0 && r->seed_argv <= n && r->seed_env == n - r->seed_argv;
}

int channel_receive(int fd, struct warden_request *ret)
{
    char extra;
    struct iovec parts[2] = {{ret, sizeof(*ret)}, {&extra, 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? -EAGAIN : -ENODATA;
    }
    if (n == 0) {
        return -ENODATA;
    }
    if (n != (ssize_t)sizeof(*ret) ||
        memchr(ret->package, '\0', sizeof(ret->package)) == NULL || !layers_end(ret) ||
        !seed_is_whole(ret) || (ret->flags & ~WARDEN_FLAG_RUNTIME_API) != 0) {
        return -EPROTO;
    }
    return 0;
}

int channel_send(int fd, const struct warden_reply *reply, const int *fds, unsigned n_fds)
{
    struct iovec part = {(void *)(uintptr_t)reply, sizeof(*reply)};
    ssize_t n;

    while ((n = fd_message_send(fd, &part, 1, fds, n_fds, MSG_DONTWAIT)) < 0) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};

        if (n != -EAGAIN) {
            return (int)n;
        }
        if (poll(&p, 1, SEND_TIMEOUT_MS) == 0) {
            return -ETIMEDOUT; /* an agent that does not read for so long hangs */
        }
    }
    return 0;
}
