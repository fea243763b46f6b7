/* What libarchive does not look at: the integrity of the compressed stream as a whole,
 * and names in a zip's directory that C strings cannot show. Internal to archive_*.c. */
#ifndef COMMON_ARCHIVE_CHECK_H
#define COMMON_ARCHIVE_CHECK_H

#include <stdint.h>

#include "common/error.h"

/* A compressed tar to its last byte: its checksums hold, and it is not over bytes_max.
 * -EBADMSG. Plain tar: 0. */
int archive_check_stream(const char *path, uint64_t bytes_max, struct error *err);

/* A zip's central directory: no NUL in a name, no two entries over the same bytes. */
int archive_check_zip(const char *path, uint32_t entries_max, struct error *err);

#endif /* COMMON_ARCHIVE_CHECK_H */
