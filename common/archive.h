/* Unpacking and packing function packages with libarchive.
 *
 * What is refused, naming the entry: absolute paths, "..", backslash or NUL in a name, a
 * name component over 255 bytes, entries written through a symlink, hard links or
 * symlinks leading outside the root, device nodes, fifos, sockets, setuid/setgid/sticky
 * bits, the same name twice, a wrong CRC, and anything past the limits (entries, bytes
 * unpacked, ratio, depth). Symlinks inside the root and permission bits are kept. */
#ifndef COMMON_ARCHIVE_H
#define COMMON_ARCHIVE_H

#include <stdint.h>

#include "common/error.h"
#include "common/spec.h"

struct archive_limits {
    uint64_t bytes_max;   /* unpacked; default 256 MiB */
    uint32_t entries_max; /* default 65,536 */
    uint32_t ratio_max;   /* unpacked : packed, checked past 8 MiB; default 200 */
};
extern const struct archive_limits archive_limits_default;

/* Reads the whole archive at path without writing anything: what unpack would refuse is
 * refused here. -EBADMSG for content, with err->text naming entry and reason. */
int archive_verify(const char *path, enum spec_format format, const char *file_name,
                   const struct archive_limits *limits, struct error *err);

/* What an archive that was verified takes unpacked: of a zip as its directory says,
 * without reading all of it; of a tar at least the archive's own size. */
int archive_unpacked(const char *path, enum spec_format format, uint64_t *ret_bytes,
                     struct error *err);

/* Unpacks into `dest`, which must not exist; it is made as dest.tmp-PID-RANDOM, fsynced
 * and renamed: dest is whole or absent. Blocking: run it on a worker thread.
 * SPEC_FORMAT_FILE puts one executable file file_name there.
 * All files become readable, folders searchable; nothing is writable for others. */
int archive_unpack(const char *path, enum spec_format format, const char *file_name,
                   const char *dest, const struct archive_limits *limits,
                   struct error *err);

/* Packs a folder as a reproducible zip-free tar.gz (sorted, mtime 0, uid 0): same
 * content, same digest. `exclude`: NULL-terminated names (".git") skipped at any depth.
 */
int archive_pack_folder(const char *folder, const char *dest_path,
                        const char *const *exclude, struct error *err);

/* Tells zip, tar (also compressed) or plain file by content. */
int archive_detect(const char *path, enum spec_format *ret, struct error *err);

/* SHA-256 of a file, lower-case hex. */
int archive_digest(const char *path, char ret[SPEC_DIGEST_LEN + 1], uint64_t *ret_bytes,
                   struct error *err);

/* Removes a folder tree without following symlinks. */
int archive_remove_tree(const char *path, struct error *err);

#endif /* COMMON_ARCHIVE_H */
