#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/archive.h"
#include "common/archive_check.h"
#include "common/archive_tree.h"
#include "common/cleanup.h"
#include "common/random.h"

#define IO_SIZE    (64 * 1024)
#define RATIO_FREE (8ULL << 20) /* unpacked bytes that need no ratio */
#define TAR_ENTRY_BYTES                                            \
    2048 /* of heads and padding that an entry may add to a stream \
          */

/* One pass over an archive: every entry is judged, then written if root >= 0. */
struct reader {
    struct archive *in;
    struct archive_tree *tree;
    const struct archive_limits *limits;
    struct error *err;
    uint64_t packed_bytes;
    uint64_t unpacked_bytes;
    int root;                        /* fd of the folder unpacked into; -1: only verify */
    char path[ARCHIVE_PATH_MAX + 1]; /* of the entry at hand */
    char target[ARCHIVE_PATH_MAX + 1]; /* of a hard link */
};

static int refuse(const struct reader *r, const char *why)
{
    return error_set(r->err, -EBADMSG, "entry \"%.160s\": %s", r->path, why);
}

static int damaged(const struct reader *r)
{
    const char *text = archive_error_string(r->in);

    return error_set(r->err, -EBADMSG, "entry \"%.160s\": %s", r->path,
                     text != NULL ? text : "damaged");
}

/* --- writing -------------------------------------------------------------------- */

/* The folder an entry lies in, made as needed. The tree has seen to it that no symlink is
 * on the way; the kernel is told to insist all the same. */
static int open_parent(const struct reader *r, int *ret_fd, const char **ret_name)
{
    struct open_how how = {
        .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    const char *slash = strrchr(r->path, '/');
    char folder[ARCHIVE_PATH_MAX + 1];
    size_t len = slash != NULL ? (size_t)(slash - r->path) : 0;
    long fd;

    memcpy(folder, r->path, len);
    folder[len] = '\0';
    for (char *at = folder; len > 0 && at != NULL; at++) {
        at = strchr(at, '/');
        if (at != NULL) {
            *at = '\0';
        }
        if (mkdirat(r->root, folder, 0755) < 0 && errno != EEXIST) {
            return error_set_errno(r->err, -errno, "make folder %s", folder);
        }
        if (at == NULL) {
            break;
        }
        *at = '/';
    }
    fd = syscall(SYS_openat2, r->root, len > 0 ? folder : ".", &how, sizeof(how));
    if (fd < 0) {
        return error_set_errno(r->err, -errno, "open folder of %s", r->path);
    }
    *ret_fd = (int)fd;
    *ret_name = slash != NULL ? slash + 1 : r->path;
    return 0;
}

static int write_at(const struct reader *r, int fd, const char *data, size_t len,
                    off_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, at);

        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return error_set_errno(r->err, -errno, "write %s", r->path);
        }
        data += n;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Everybody may read, and run what anybody may run; nobody but the owner may write. */
static mode_t final_mode(mode_t mode)
{
    return (mode & 0200) | 0444 | ((mode & 0111) != 0 ? 0111U : 0U);
}

/* --- limits --------------------------------------------------------------------- */

static int count_bytes(struct reader *r, uint64_t more)
{
    const struct archive_limits *l = r->limits;

    if (more > l->bytes_max || r->unpacked_bytes > l->bytes_max - more) {
        return error_set(r->err, -EBADMSG,
                         "entry \"%.160s\": the package unpacks to more than %llu bytes; "
                         "make it smaller",
                         r->path, (unsigned long long)l->bytes_max);
    }
    r->unpacked_bytes += more;
    if (r->unpacked_bytes > RATIO_FREE &&
        r->unpacked_bytes / l->ratio_max > r->packed_bytes) {
        return error_set(r->err, -EBADMSG,
                         "entry \"%.160s\": the package unpacks to more than %u times "
                         "its size",
                         r->path, l->ratio_max);
    }
    return 0;
}

/* --- entries -------------------------------------------------------------------- */

/* A file's content into fd, or nowhere. Holes of sparse files count as bytes. */
static int read_content(struct reader *r, struct archive_entry *e, int fd)
{
    uint64_t end = 0;
    const void *data;
    size_t len;
    la_int64_t at;
    int rc;

    while ((rc = archive_read_data_block(r->in, &data, &len, &at)) == ARCHIVE_OK) {
        if (at < 0 || (uint64_t)at < end) {
            return refuse(r, "its blocks overlap");
        }
        rc = count_bytes(r, (uint64_t)at - end + len);
        if (rc == 0 && fd >= 0) {
            rc = write_at(r, fd, data, len, at);
        }
        if (rc < 0) {
            return rc;
        }
        end = (uint64_t)at + len;
    }
    if (rc != ARCHIVE_EOF) {
        return damaged(r);
    }
    if (archive_entry_size_is_set(e) && (uint64_t)archive_entry_size(e) != end) {
        uint64_t size = (uint64_t)archive_entry_size(e);

        if (size < end || archive_entry_sparse_count(e) == 0) {
            return refuse(r, "its size is not what its head says");
        }
        rc = count_bytes(r, size - end);
        if (rc == 0 && fd >= 0 && ftruncate(fd, (off_t)size) < 0) {
            rc = error_set_errno(r->err, -errno, "write %s", r->path);
        }
        return rc;
    }
    return 0;
}

static int take_file(struct reader *r, struct archive_entry *e)
{
    _cleanup_close_ int dir = -1;
    _cleanup_close_ int fd = -1;
    const char *name;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {archive_entry_mtime(e), archive_entry_mtime_nsec(e)}};
    int rc;

    if (r->root < 0) {
        return read_content(r, e, -1);
    }
    rc = open_parent(r, &dir, &name);
    if (rc < 0) {
        return rc;
    }
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set_errno(r->err, -errno, "create %s", r->path);
    }
    rc = read_content(r, e, fd);
    if (rc < 0) {
        return rc;
    }
    if (fchmod(fd, final_mode(archive_entry_perm(e))) < 0) {
        return error_set_errno(r->err, -errno, "set mode of %s", r->path);
    }
    /* Interpreters compare it with what their caches say; a time that the file system
     * cannot hold is no reason to refuse a package. */
    if (archive_entry_mtime_is_set(e)) {
        (void)futimens(fd, times);
    }
    return 0;
}

static int take_folder(const struct reader *r)
{
    _cleanup_close_ int dir = -1;
    const char *name;
    int rc;

    if (r->root < 0 || r->path[0] == '\0') {
        return 0;
    }
    rc = open_parent(r, &dir, &name);
    if (rc == 0 && mkdirat(dir, name, 0755) < 0 && errno != EEXIST) {
        return error_set_errno(r->err, -errno, "make folder %s", r->path);
    }
    return rc;
}

static int take_link(const struct reader *r, const char *symlink_target)
{
    _cleanup_close_ int dir = -1;
    const char *name;
    int rc;

    if (r->root < 0) {
        return 0;
    }
    rc = open_parent(r, &dir, &name);
    if (rc < 0) {
        return rc;
    }
    rc = symlink_target != NULL ? symlinkat(symlink_target, dir, name)
                                : linkat(r->root, r->target, dir, name, 0);
    return rc < 0 ? error_set_errno(r->err, -errno, "link %s", r->path) : 0;
}

static int take_hardlink(struct reader *r, struct archive_entry *e, const char *name)
{
    int rc = archive_tree_add(r->tree, name, ARCHIVE_FILE, NULL, r->path, r->err);

    if (rc == 0) {
        /* Looked up after it was added: a link to itself finds nothing to link to. */
        rc =
            archive_tree_find_file(r->tree, archive_entry_hardlink(e), r->target, r->err);
    }
    if (rc == 0 && strcmp(r->path, r->target) == 0) {
        return refuse(r, "it is a hard link to itself");
    }
    if (rc == 0 && archive_entry_size_is_set(e) && archive_entry_size(e) > 0) {
        return refuse(r, "it is a hard link with content of its own");
    }
    return rc < 0 ? rc : take_link(r, NULL);
}

static const char *entry_fault(struct archive_entry *e)
{
    mode_t type = archive_entry_filetype(e);

    if (archive_entry_pathname(e) == NULL) {
        return "the name is not valid UTF-8";
    }
    if (archive_entry_is_encrypted(e)) {
        return "it is encrypted; pack it without a password";
    }
    if (archive_entry_hardlink(e) == NULL && type != AE_IFREG && type != AE_IFDIR &&
        type != AE_IFLNK) {
        return "it is a device, fifo or socket; only files, folders and links are taken";
    }
    if ((archive_entry_perm(e) & 07000) != 0 && type != AE_IFLNK) {
        return "it has a setuid, setgid or sticky bit; clear it (chmod ug-s,o-t)";
    }
    return NULL;
}

static int take_entry(struct reader *r, struct archive_entry *e)
{
    const char *name = archive_entry_pathname(e);
    const char *fault = entry_fault(e);
    const char *target;
    int rc;

    (void)snprintf(r->path, sizeof(r->path), "%s", name != NULL ? name : "");
    if (fault != NULL) {
        return refuse(r, fault);
    }
    if (archive_entry_hardlink(e) != NULL) {
        return take_hardlink(r, e, name);
    }
    switch (archive_entry_filetype(e)) {
    case AE_IFDIR:
        rc = archive_tree_add(r->tree, name, ARCHIVE_FOLDER, NULL, r->path, r->err);
        return rc < 0 ? rc : take_folder(r);
    case AE_IFLNK:
        target = archive_entry_symlink(e);
        if (target == NULL) {
            return refuse(r, "the symlink's target is not valid UTF-8");
        }
        rc = archive_tree_add(r->tree, name, ARCHIVE_SYMLINK, target, r->path, r->err);
        return rc < 0 ? rc : take_link(r, target);
    default:
        rc = archive_tree_add(r->tree, name, ARCHIVE_FILE, NULL, r->path, r->err);
        return rc < 0 ? rc : take_file(r, e);
    }
}

/* --- whole archives --------------------------------------------------------------- */

static int open_archive(struct reader *r, const char *path, enum spec_format format)
{
    if (format == SPEC_FORMAT_ZIP) {
        (void)archive_read_support_format_zip_seekable(r->in);
    } else {
        (void)archive_read_support_filter_gzip(r->in);
        (void)archive_read_support_filter_xz(r->in);
        (void)archive_read_support_filter_bzip2(r->in);
        (void)archive_read_support_filter_zstd(r->in);
        (void)archive_read_support_format_tar(r->in);
    }
    if (archive_read_open_filename(r->in, path, IO_SIZE) != ARCHIVE_OK) {
        return error_set(r->err, -EBADMSG, "not a %s archive: %s",
                         spec_format_name(format), archive_error_string(r->in));
    }
    return 0;
}

static int read_entries(struct reader *r)
{
    struct archive_entry *e;
    unsigned n = 0;
    int rc;

    while ((rc = archive_read_next_header(r->in, &e)) == ARCHIVE_OK) {
        rc = take_entry(r, e);
        if (rc < 0) {
            return rc;
        }
        n++;
    }
    if (rc != ARCHIVE_EOF) {
        return error_set(r->err, -EBADMSG, "after entry \"%.160s\": %s", r->path,
                         archive_error_string(r->in));
    }
    if (n == 0) {
        return error_set(r->err, -EBADMSG, "the archive has no entries");
    }
    return archive_tree_check_links(r->tree, r->err);
}

static int read_archive(struct reader *r, const char *path, enum spec_format format)
{
    uint64_t stream_max =
        r->limits->bytes_max + (uint64_t)r->limits->entries_max * TAR_ENTRY_BYTES;
    /* libarchive converts names by the thread's locale; "C" would refuse all but ASCII.
     */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = utf8 != (locale_t)0 ? uselocale(utf8) : (locale_t)0;
    int rc;

    r->in = archive_read_new();
    if (r->in == NULL || archive_tree_new(&r->tree, r->limits->entries_max) < 0) {
        rc = error_set(r->err, -ENOMEM, "out of memory");
    } else {
        rc = format == SPEC_FORMAT_ZIP
                 ? archive_check_zip(path, r->limits->entries_max, r->err)
                 : 0;
    }
    if (rc == 0) {
        rc = open_archive(r, path, format);
    }
    if (rc == 0) {
        rc = read_entries(r);
    }
    if (rc == 0 && format == SPEC_FORMAT_TAR) {
        rc = archive_check_stream(path, stream_max, r->err);
    }
    (void)archive_read_free(r->in);
    r->tree = archive_tree_free(r->tree);
    if (utf8 != (locale_t)0) {
        (void)uselocale(before);
        freelocale(utf8);
    }
    return rc;
}

/* A package that is one file: copied as an executable. */
static int read_file(struct reader *r, const char *path, const char *file_name)
{
    _cleanup_close_ int in = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int out = -1;
    _cleanup_free_ char *io = malloc(IO_SIZE);
    off_t at = 0;
    ssize_t n;
    int rc = 0;

    if (file_name == NULL || !spec_file_name_valid(file_name)) {
        return error_set(r->err, -EBADMSG, "file_name \"%.160s\": must be a plain name",
                         file_name != NULL ? file_name : "");
    }
    if (in < 0 || io == NULL) {
        return error_set_errno(r->err, in < 0 ? -errno : -ENOMEM, "open %s", path);
    }
    (void)snprintf(r->path, sizeof(r->path), "%s", file_name);
    if (r->packed_bytes > r->limits->bytes_max) {
        return count_bytes(r, r->packed_bytes);
    }
    if (r->root < 0) {
        return 0;
    }
    out = openat(r->root, file_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    if (out < 0) {
        return error_set_errno(r->err, -errno, "create %s", file_name);
    }
    while (rc == 0 && (n = read(in, io, IO_SIZE)) != 0) {
        rc = n < 0 ? error_set_errno(r->err, -errno, "read %s", path)
                   : write_at(r, out, io, (size_t)n, at);
        at += n;
    }
    if (rc == 0 && fchmod(out, 0755) < 0) {
        rc = error_set_errno(r->err, -errno, "set mode of %s", file_name);
    }
    return rc;
}

static int read_package(const char *path, enum spec_format format, const char *file_name,
                        const struct archive_limits *limits, int root, struct error *err)
{
    struct stat st;
    struct reader *r;
    int rc;

    if (stat(path, &st) < 0) {
        return error_set_errno(err, -errno, "open %s", path);
    }
    r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    r->limits = limits != NULL ? limits : &archive_limits_default;
    r->err = err;
    r->root = root;
    r->packed_bytes = (uint64_t)st.st_size;
    rc = format == SPEC_FORMAT_FILE ? read_file(r, path, file_name)
                                    : read_archive(r, path, format);
    free(r);
    return rc;
}

int archive_verify(const char *path, enum spec_format format, const char *file_name,
                   const struct archive_limits *limits, struct error *err)
{
    return read_package(path, format, file_name, limits, -1, err);
}

/* --- unpacking -------------------------------------------------------------------- */

/* Makes tmp's content durable and gives it its name. */
static int publish(int root, const char *tmp, const char *dest, struct error *err)
{
    _cleanup_free_ char *folder = strdup(dest);
    char *slash = folder != NULL ? strrchr(folder, '/') : NULL;
    _cleanup_close_ int parent = -1;

    if (folder == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    /* One flush of the file system instead of one a file: packages have thousands. */
    if (fchmod(root, 0755) < 0 || syncfs(root) < 0) {
        return error_set_errno(err, -errno, "write %s", dest);
    }
    if (renameat2(AT_FDCWD, tmp, AT_FDCWD, dest, RENAME_NOREPLACE) < 0) {
        return error_set_errno(err, -errno, "rename to %s", dest);
    }
    if (slash != NULL) {
        slash[slash == folder] = '\0'; /* keeps the "/" of "/x" */
    }
    parent = open(slash != NULL ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 || fsync(parent) < 0) {
        return error_set_errno(err, -errno, "write folder of %s", dest);
    }
    return 0;
}

int archive_unpack(const char *path, enum spec_format format, const char *file_name,
                   const char *dest, const struct archive_limits *limits,
                   struct error *err)
{
    _cleanup_free_ char *tmp = NULL;
    _cleanup_close_ int root = -1;
    int rc;

    if (asprintf(&tmp, "%s.tmp-%d-%016llx", dest, (int)getpid(),
                 (unsigned long long)random_u64()) < 0) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (mkdir(tmp, 0700) < 0) {
        return error_set_errno(err, -errno, "make folder %s", tmp);
    }
    root = open(tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    rc = root >= 0 ? read_package(path, format, file_name, limits, root, err)
                   : error_set_errno(err, -errno, "open %s", tmp);
    if (rc == 0) {
        rc = publish(root, tmp, dest, err);
    }
    if (rc < 0) {
        (void)archive_remove_tree(tmp, NULL); /* gone already if it was renamed */
    }
    return rc;
}
