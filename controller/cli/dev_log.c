#include "controller/cli/dev_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/cli/cli.h"

#define TAIL_BYTES 4096

int dev_log_open(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);

    return fd >= 0 ? fd : -errno;
}

/* By copying, since a daemon keeps its file open; what it writes just between copying and
 * cutting is lost, which a log of a development cluster may be. */
void dev_log_rotate(const char *path)
{
    _cleanup_close_ int from = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_free_ char *old = cli_text("%s.1", path);
    _cleanup_close_ int to = -1;
    struct stat st;
    ssize_t n;

    if (from < 0 || old == NULL || fstat(from, &st) < 0 || st.st_size <= DEV_LOG_MAX) {
        return;
    }
    (void)unlink(old);
    to = open(old, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    do {
        n = to >= 0 ? sendfile(to, from, NULL, 1024 * 1024) : -1;
    } while (n > 0);
    (void)!ftruncate(from, 0); /* also if it could not be kept: the disk is full, then */
}

void dev_log_tail(const char *path, FILE *out)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[TAIL_BYTES + 1];
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
    off_t from = end > TAIL_BYTES ? end - TAIL_BYTES : 0;
    ssize_t n = end > 0 ? pread(fd, text, TAIL_BYTES, from) : -1;
    char *at = text;
    char *save;

    if (n <= 0) {
        return;
    }
    text[n] = '\0';
    if (from > 0 && strchr(text, '\n') != NULL) {
        at = strchr(text, '\n') + 1; /* the first is cut */
    }
    (void)fprintf(out, "  the end of %s:\n", path);
    for (char *line = strtok_r(at, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        (void)fprintf(out, "    %s\n", line);
    }
}
