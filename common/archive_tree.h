/* The names in an archive, in memory: what is judged before anything is written.
 *
 * A name is taken apart into components; each becomes a node under its parent. That makes
 * the questions of safety plain: a parent that is not a folder is writing through a link
 * or a file, a node that is there is a duplicate, and a symlink is followed through
 * nodes, not through the disk. Internal to archive_*.c. */
#ifndef COMMON_ARCHIVE_TREE_H
#define COMMON_ARCHIVE_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

#define ARCHIVE_DEPTH_MAX 64
#define ARCHIVE_PATH_MAX  4095

enum archive_kind { ARCHIVE_FOLDER, ARCHIVE_FILE, ARCHIVE_SYMLINK };

struct archive_tree;

/* entries_max counts folders that are only implied as well. */
int archive_tree_new(struct archive_tree **ret, uint32_t entries_max);
struct archive_tree *archive_tree_free(struct archive_tree *t);

/* Adds an entry and the folders above it. ret_path gets its clean relative path ("a/b",
 * "" for the root itself), without ".", doubled or trailing slashes. target: a symlink's.
 * -EBADMSG: refused, err names the entry and why. */
int archive_tree_add(struct archive_tree *t, const char *name, enum archive_kind kind,
                     const char *target, char ret_path[ARCHIVE_PATH_MAX + 1],
                     struct error *err);

/* A hard link's target must be a file that is there; its clean path is stored. */
int archive_tree_find_file(const struct archive_tree *t, const char *name,
                           char ret_path[ARCHIVE_PATH_MAX + 1], struct error *err);

/* When all entries are in: no symlink, followed as the kernel would, leaves the root. */
int archive_tree_check_links(const struct archive_tree *t, struct error *err);

#endif /* COMMON_ARCHIVE_TREE_H */
