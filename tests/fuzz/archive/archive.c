/* Fuzz target: any bytes as a zip and as a tar. Verifying must end, must say why when it
 * refuses, and must agree with unpacking; a refusal leaves nothing behind. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/archive.h"
#include "common/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_format(const char *path, enum spec_format format, const char *folder)
{
    const struct archive_limits limits = {
        .bytes_max = 1 << 20, .entries_max = 64, .ratio_max = 200};
    struct error verify = {0};
    struct error unpack = {0};
    char dest[256];
    int rc;

    (void)snprintf(dest, sizeof(dest), "%s/dest", folder);
    rc = archive_verify(path, format, NULL, &limits, &verify);
    CHECK(rc == 0 || (rc == -EBADMSG && verify.text[0] != '\0'));
    CHECK(archive_unpack(path, format, NULL, dest, &limits, &unpack) == rc);
    CHECK(strcmp(verify.text, unpack.text) == 0);
    CHECK(rc == 0 || access(dest, F_OK) != 0);
    CHECK(archive_remove_tree(dest, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char folder[] = "/tmp/mayfly-fuzz-XXXXXX";
    enum spec_format format;
    char path[64];
    int fd = memfd_create("archive", MFD_CLOEXEC);

    CHECK(fd >= 0 && mkdtemp(folder) != NULL);
    CHECK(write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    CHECK(archive_detect(path, &format, NULL) == 0);
    as_format(path, SPEC_FORMAT_ZIP, folder);
    as_format(path, SPEC_FORMAT_TAR, folder);
    CHECK(rmdir(folder) == 0); /* nothing was left in it */
    CHECK(close(fd) == 0);
    return 0;
}
