#include "common/freezer.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What a file says tells which kind it is: v1 has words, v2 a digit. */
static int look(int fd, char text[16])
{
    ssize_t n = pread(fd, text, 15, 0);

    if (n <= 0) {
        return n < 0 ? -errno : -EIO;
    }
    text[n] = '\0';
    return 0;
}

int freezer_set(int fd, bool frozen)
{
    char text[16];
    const char *value;
    int rc = look(fd, text);

    if (rc < 0) {
        return rc;
    }
    if (isdigit((unsigned char)text[0])) {
        value = frozen ? "1" : "0";
    } else {
        value = frozen ? "FROZEN" : "THAWED";
    }
    if (pwrite(fd, value, strlen(value), 0) < 0) {
        return -errno;
    }
    if (frozen) {
        return 0; /* v1 says FREEZING for a moment: that is none of the caller's business
                   */
    }
    rc = look(fd, text);
    return rc < 0 ? rc : strncmp(text, value, strlen(value)) == 0 ? 0 : -EIO;
}
