#include "common/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"

#define IO_SIZE        (64 * 1024)
#define TREE_DEPTH_MAX 256 /* of a folder to remove: each level holds an fd */

const struct archive_limits archive_limits_default = {
    .bytes_max = 256ULL << 20,
    .entries_max = 65536,
    .ratio_max = 200,
};

/* --- detection ---------------------------------------------------------------- */

static bool starts_as_tar(const char *path)
{
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    bool is_tar = false;

    if (a == NULL) {
        return false;
    }
    (void)archive_read_support_filter_gzip(a);
    (void)archive_read_support_filter_xz(a);
    (void)archive_read_support_filter_bzip2(a);
    (void)archive_read_support_filter_zstd(a);
    (void)archive_read_support_format_tar(a);
    if (archive_read_open_filename(a, path, IO_SIZE) == ARCHIVE_OK) {
        int rc = archive_read_next_header(a, &entry);

        is_tar = rc == ARCHIVE_OK || rc == ARCHIVE_WARN || rc == ARCHIVE_EOF;
    }
    (void)archive_read_free(a);
    return is_tar;
}

int archive_detect(const char *path, enum spec_format *ret, struct error *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    char magic[4] = "";
    ssize_t n;

    if (fd < 0 || (n = pread(fd, magic, sizeof(magic), 0)) < 0) {
        return error_set_errno(err, -errno, "open %s", path);
    }
    if (n == 4 && (memcmp(magic, "PK\3\4", 4) == 0 || memcmp(magic, "PK\5\6", 4) == 0)) {
        *ret = SPEC_FORMAT_ZIP;
    } else {
        *ret = n > 0 && starts_as_tar(path) ? SPEC_FORMAT_TAR : SPEC_FORMAT_FILE;
    }
    return 0;
}

/* --- digest ------------------------------------------------------------------- */

static void md_ctx_free(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}

int archive_digest(const char *path, char ret[SPEC_DIGEST_LEN + 1], uint64_t *ret_bytes,
                   struct error *err)
{
    __attribute__((cleanup(md_ctx_free))) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_free_ char *data = malloc(IO_SIZE);
    unsigned char sum[SPEC_DIGEST_LEN / 2];
    uint64_t total = 0;
    ssize_t n;

    if (fd < 0) {
        return error_set_errno(err, -errno, "open %s", path);
    }
    if (ctx == NULL || data == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    while ((n = read(fd, data, IO_SIZE)) > 0) {
        if (EVP_DigestUpdate(ctx, data, (size_t)n) != 1) {
            return error_set(err, -EIO, "SHA-256 of %s failed", path);
        }
        total += (uint64_t)n;
    }
    if (n < 0) {
        return error_set_errno(err, -errno, "read %s", path);
    }
    if (EVP_DigestFinal_ex(ctx, sum, NULL) != 1) {
        return error_set(err, -EIO, "SHA-256 of %s failed", path);
    }
    for (size_t i = 0; i < sizeof(sum); i++) {
        (void)snprintf(ret + 2 * i, 3, "%02x", sum[i]);
    }
    if (ret_bytes != NULL) {
        *ret_bytes = total;
    }
    return 0;
}

/* --- removal ------------------------------------------------------------------ */

/* Removes what is in the folder `fd`; the fd is taken over. */
static int remove_content(int fd, unsigned depth, struct error *err)
{
    _cleanup_closedir_ DIR *dir = fdopendir(fd);
    struct dirent *e;

    if (dir == NULL) {
        int rc = -errno;

        (void)close(fd);
        return error_set_errno(err, rc, "read folder");
    }
    while ((e = readdir(dir)) != NULL) {
        int sub;
        int rc;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            unlinkat(fd, e->d_name, 0) == 0) {
            continue;
        }
        if (errno != EISDIR && errno != EPERM) {
            return error_set_errno(err, -errno, "remove %s", e->d_name);
        }
        if (depth == 0) {
            return error_set(err, -ELOOP, "%s: folders too deep to remove", e->d_name);
        }
        sub = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub < 0) {
            return error_set_errno(err, -errno, "open %s", e->d_name);
        }
        rc = remove_content(sub, depth - 1, err);
        if (rc == 0 && unlinkat(fd, e->d_name, AT_REMOVEDIR) < 0) {
            rc = error_set_errno(err, -errno, "remove %s", e->d_name);
        }
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

int archive_remove_tree(const char *path, struct error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc;

    if (fd < 0) {
        if (errno == ENOENT) {
            return 0;
        }
        return error_set_errno(err, -errno, "open %s", path);
    }
    rc = remove_content(fd, TREE_DEPTH_MAX, err);
    if (rc < 0) {
        return error_wrap(err, rc, "remove %s", path);
    }
    if (rmdir(path) < 0) {
        return error_set_errno(err, -errno, "remove %s", path);
    }
    return 0;
}
