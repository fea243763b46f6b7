#include "common/freezer.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int put(int fd, const char *value)
{
    return pwrite(fd, value, strlen(value), 0) < 0 ? -errno : 0;
}

/* 0 if the file says that value. */
static int confirm(int fd, const char *value)
{
    char text[16];
    ssize_t n = pread(fd, text, sizeof(text), 0);

    if (n < 0) {
        return -errno;
    }
    return (size_t)n >= strlen(value) && memcmp(text, value, strlen(value)) == 0 ? 0
                                                                                 : -EIO;
}

int freezer_set(int fd, bool frozen)
{
    const char *value = frozen ? "FROZEN" : "THAWED";
    int rc = put(fd, value);

    if (rc == -EINVAL) { /* v2 takes numbers, and v1 takes none */
        value = frozen ? "1" : "0";
        rc = put(fd, value);
    }
    /* v1 says FREEZING for a moment: that is none of the caller's business. */
    return rc < 0 || frozen ? rc : confirm(fd, value);
}
