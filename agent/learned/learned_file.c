#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/learned/learned.h"
#include "common/cleanup.h"
#include "common/write_all.h"

/* So that the new name is there after a power cut, too. */
static int sync_folder(const char *path)
{
    char folder[PATH_MAX];

    (void)snprintf(folder, sizeof(folder), "%s", path);
    _cleanup_close_ int fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int learned_write(const char *path, const void *data, size_t len, struct error *err)
{
    char next[PATH_MAX];
    int rc;

    if (snprintf(next, sizeof(next), "%s.new", path) >= (int)sizeof(next)) {
        return error_set_errno(err, -ENAMETOOLONG, "write %s", path);
    }
    {
        _cleanup_close_ int fd =
            open(next, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);

        rc = fd < 0 ? -errno : write_all(fd, data, len);
        rc = rc == 0 && fsync(fd) < 0 ? -errno : rc;
    }
    rc = rc == 0 && rename(next, path) < 0 ? -errno : rc;
    rc = rc < 0 ? rc : sync_folder(path);
    if (rc < 0) {
        (void)unlink(next);
        return error_set_errno(err, rc, "write %s", path);
    }
    return 0;
}

/* Of whoever put something else in its place nothing is waited for, nor followed. */
int learned_read(const char *path, struct buf *ret, struct error *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    ssize_t n = 1;

    if (fd < 0 || fstat(fd, &st) < 0) {
        return error_set_errno(err, -errno, "read %s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(err, -EINVAL, "read %s: it is no file", path);
    }
    if (st.st_size > (off_t)LEARNED_BYTES_MAX) {
        return error_set_errno(err, -EFBIG, "read %s", path);
    }
    if (buf_reserve(ret, (size_t)st.st_size) < 0) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    while (n > 0 && ret->len < (size_t)st.st_size) {
        n = read(fd, ret->data + ret->len, (size_t)st.st_size - ret->len);
        if (n < 0) {
            return error_set_errno(err, -errno, "read %s", path);
        }
        ret->len += (size_t)n;
    }
    return 0;
}
