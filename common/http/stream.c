#include "common/http/stream.h"

#include <errno.h>
#include <sys/socket.h>

int http_stream_try_write(uv_stream_t *stream, const uv_buf_t *bufs, unsigned n)
{
    /* On Unix a uv_buf_t can be cast to an iovec: libuv's documentation says so. */
    const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)bufs,
                                   .msg_iovlen = n};
    uv_os_fd_t fd;
    ssize_t sent;
    int rc = uv_fileno((const uv_handle_t *)stream, &fd);

    if (rc < 0) {
        return rc;
    }
    do {
        sent = n == 1 ? send(fd, bufs->base, bufs->len, MSG_NOSIGNAL)
                      : sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) { /* no buffers: as good as a full queue, which is waited for */
        return errno == ENOBUFS || errno == EWOULDBLOCK ? UV_EAGAIN : -errno;
    }
    return (int)sent;
}
