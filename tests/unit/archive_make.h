/* Archives for tests, made by libarchive entry by entry, so that they can be as wrong as
 * a test wants them. */
#ifndef TESTS_UNIT_ARCHIVE_MAKE_H
#define TESTS_UNIT_ARCHIVE_MAKE_H

#include <stddef.h>
#include <sys/stat.h>

struct made_entry {
    const char *name;
    mode_t mode;          /* type and permissions: S_IFREG | 0644 */
    const char *content;  /* a file's; or NULL */
    const char *link;     /* a symlink's target */
    const char *hardlink; /* a hard link's target */
    size_t zeros;         /* this many zero bytes instead of content */
};

/* kind: "zip", "tar", "tar.gz", "tar.xz". Fails the test if it cannot. */
void make_archive(const char *path, const char *kind, const struct made_entry *entries,
                  size_t n);

#endif /* TESTS_UNIT_ARCHIVE_MAKE_H */
