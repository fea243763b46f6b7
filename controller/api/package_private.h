/* What package_store.c (the index) and package_upload.c (the way in) share. */
#ifndef CONTROLLER_API_PACKAGE_PRIVATE_H
#define CONTROLLER_API_PACKAGE_PRIVATE_H

#include "common/list.h"
#include "controller/api/package_store.h"

#define PACKAGE_BUCKETS       256
#define PACKAGE_UPLOAD_PREFIX ".upload-"

struct package {
    struct list node; /* in its bucket */
    char digest[SPEC_DIGEST_LEN + 1];
    bool formats[SPEC_FORMAT_COUNT]; /* verified as these, each with a file */
    uint64_t bytes;
    uint64_t wanted_ms; /* monotonic */
    unsigned pins;
};

struct package_store {
    uv_loop_t *loop;
    char *dir;
    int dir_fd;
    struct list buckets[PACKAGE_BUCKETS];
    size_t n_packages;
    uint64_t n_bytes;
    size_t n_uploads;
    uint64_t last_upload; /* number in a temporary file's name */
};

struct package *package_find(const struct package_store *s, const char *digest);
/* Notes that digest is there in this format. NULL: out of memory. */
struct package *package_note(struct package_store *s, const char *digest,
                             enum spec_format format, uint64_t bytes);

#endif /* CONTROLLER_API_PACKAGE_PRIVATE_H */
