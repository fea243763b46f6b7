#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/archive.h"
#include "common/archive_tree.h"
#include "common/cleanup.h"

#define IO_SIZE (64 * 1024)

struct packer {
    struct archive *out;
    const char *const *exclude;
    char *io;
    struct error *err;
};

static int write_failed(const struct packer *p)
{
    int code = archive_errno(p->out);

    return error_set(p->err, code > 0 ? -code : -EIO, "write archive: %s",
                     archive_error_string(p->out));
}

/* One entry's head, with all that differs between two checkouts left out: owner, times,
 * and mode bits beyond "may be executed". */
static int put_head(struct packer *p, const char *path, const struct stat *st,
                    const char *target)
{
    struct archive_entry *e = archive_entry_new();
    bool exec = S_ISDIR(st->st_mode) || S_ISLNK(st->st_mode) || (st->st_mode & 0111) != 0;
    int rc;

    if (e == NULL) {
        return error_set(p->err, -ENOMEM, "out of memory");
    }
    archive_entry_copy_pathname(e, path);
    archive_entry_set_mode(e, (st->st_mode & S_IFMT) | (exec ? 0755 : 0644));
    archive_entry_set_mtime(e, 0, 0);
    archive_entry_set_size(e, S_ISREG(st->st_mode) ? st->st_size : 0);
    if (target != NULL) {
        archive_entry_copy_symlink(e, target);
    }
    rc = archive_write_header(p->out, e) == ARCHIVE_OK ? 0 : write_failed(p);
    archive_entry_free(e);
    return rc;
}

static int put_file(struct packer *p, int dir, const char *name, const char *path,
                    const struct stat *st)
{
    _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    off_t total = 0;
    ssize_t n = 0;
    int rc;

    if (fd < 0) {
        return error_set_errno(p->err, -errno, "open %s", path);
    }
    rc = put_head(p, path, st, NULL);
    while (rc == 0 && (n = read(fd, p->io, IO_SIZE)) > 0) {
        total += n;
        if (total > st->st_size) {
            break;
        }
        if (archive_write_data(p->out, p->io, (size_t)n) != n) {
            rc = write_failed(p);
        }
    }
    if (rc == 0 && n < 0) {
        return error_set_errno(p->err, -errno, "read %s", path);
    }
    if (rc == 0 && total != st->st_size) {
        return error_set(p->err, -EBUSY, "%s changed while it was read; try again", path);
    }
    return rc;
}

static int put_symlink(struct packer *p, int dir, const char *name, const char *path,
                       const struct stat *st)
{
    char target[ARCHIVE_PATH_MAX + 1];
    ssize_t n = readlinkat(dir, name, target, sizeof(target));

    if (n < 0 || (size_t)n == sizeof(target)) {
        return error_set_errno(p->err, n < 0 ? -errno : -ENAMETOOLONG, "read link %s",
                               path);
    }
    target[n] = '\0';
    return put_head(p, path, st, target);
}

static int compare(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* by bytes, whatever the locale */
}

static bool is_excluded(const struct packer *p, const char *name)
{
    for (const char *const *x = p->exclude; x != NULL && *x != NULL; x++) {
        if (strcmp(*x, name) == 0) {
            return true;
        }
    }
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int put_folder(struct packer *p, int dir, const char *path, unsigned depth);

static int put_entry(struct packer *p, int dir, const char *name, const char *path,
                     unsigned depth)
{
    struct stat st;
    int rc;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return error_set_errno(p->err, -errno, "stat %s", path);
    }
    if (S_ISREG(st.st_mode)) {
        return put_file(p, dir, name, path, &st);
    }
    if (S_ISLNK(st.st_mode)) {
        return put_symlink(p, dir, name, path, &st);
    }
    if (S_ISDIR(st.st_mode)) {
        _cleanup_close_ int sub =
            openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (sub < 0) {
            return error_set_errno(p->err, -errno, "open %s", path);
        }
        rc = put_head(p, path, &st, NULL);
        return rc < 0 ? rc : put_folder(p, sub, path, depth + 1);
    }
    return error_set(p->err, -EINVAL,
                     "%s is not a file, folder or symlink; remove it from the package",
                     path);
}

static int put_folder(struct packer *p, int dir, const char *path, unsigned depth)
{
    struct dirent **names = NULL;
    int n = scandirat(dir, ".", &names, NULL, compare);
    int rc = 0;

    if (n < 0) {
        return error_set_errno(p->err, -errno, "read folder %s", path);
    }
    if (depth > ARCHIVE_DEPTH_MAX) {
        rc = error_set(p->err, -ELOOP, "%s: more than %d folders deep", path,
                       ARCHIVE_DEPTH_MAX);
    }
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name;

        if (rc == 0 && !is_excluded(p, name)) {
            _cleanup_free_ char *sub = NULL;

            if (asprintf(&sub, "%s%s%s", path, path[0] != '\0' ? "/" : "", name) < 0) {
                sub = NULL;
                rc = error_set(p->err, -ENOMEM, "out of memory");
            } else {
                rc = put_entry(p, dir, name, sub, depth);
            }
        }
        free(names[i]);
    }
    free(names);
    return rc;
}

static int pack(struct packer *p, int folder, int out)
{
    int rc;

    /* gnutar and not pax: no extended headers with names of their own to keep stable. */
    if (archive_write_set_format_gnutar(p->out) != ARCHIVE_OK ||
        archive_write_add_filter_gzip(p->out) != ARCHIVE_OK ||
        archive_write_set_filter_option(p->out, "gzip", "timestamp", NULL) !=
            ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(p->out, 1) != ARCHIVE_OK ||
        archive_write_open_fd(p->out, out) != ARCHIVE_OK) {
        return write_failed(p);
    }
    rc = put_folder(p, folder, "", 0);
    if (rc < 0) {
        return rc;
    }
    return archive_write_close(p->out) == ARCHIVE_OK ? 0 : write_failed(p);
}

int archive_pack_folder(const char *folder, const char *dest_path,
                        const char *const *exclude, struct error *err)
{
    _cleanup_free_ char *io = malloc(IO_SIZE);
    _cleanup_close_ int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int out = -1;
    struct packer p = {.exclude = exclude, .io = io, .err = err};
    int rc;

    if (dir < 0) {
        return error_set_errno(err, -errno, "open folder %s", folder);
    }
    out = open(dest_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0) {
        return error_set_errno(err, -errno, "create %s", dest_path);
    }
    p.out = io != NULL ? archive_write_new() : NULL;
    rc = p.out != NULL ? pack(&p, dir, out) : error_set(err, -ENOMEM, "out of memory");
    (void)archive_write_free(p.out);
    if (rc < 0) {
        (void)unlink(dest_path);
    }
    return rc;
}
