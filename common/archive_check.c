#include "common/archive_check.h"

#include <archive.h>
#include <archive_entry.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>

#include "common/archive.h"
#include "common/cleanup.h"

#define IO_SIZE (64 * 1024)

/* --- compressed streams --------------------------------------------------------- */

static int too_large(struct error *err, uint64_t bytes_max)
{
    return error_set(err, -EBADMSG,
                     "the archive unpacks to more than %llu bytes; make it smaller",
                     (unsigned long long)bytes_max);
}

/* gzip by zlib itself: libarchive 3.6 reads past the checksum without comparing it. */
static int check_gzip(const char *path, char *io, uint64_t bytes_max, struct error *err)
{
    gzFile f = gzopen(path, "rbe");
    uint64_t total = 0;
    int n = 0;
    int rc;

    if (f == NULL) {
        return error_set_errno(err, errno != 0 ? -errno : -ENOMEM, "open %s", path);
    }
    while (total <= bytes_max && (n = gzread(f, io, IO_SIZE)) > 0) {
        total += (uint64_t)n;
    }
    rc = gzclose_r(f);
    if (total > bytes_max) {
        return too_large(err, bytes_max);
    }
    if (n < 0 || rc == Z_BUF_ERROR) {
        return error_set(err, -EBADMSG, "the gzip stream is %s; pack it again",
                         rc == Z_BUF_ERROR ? "truncated" : "damaged (wrong CRC or data)");
    }
    return 0;
}

/* The other filters compare their checksums when read to the end, past tar's own end. */
static int check_filters(const char *path, char *io, uint64_t bytes_max,
                         struct error *err)
{
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    uint64_t total = 0;
    la_ssize_t n = 0;
    int rc = 0;

    if (a == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    (void)archive_read_support_filter_xz(a);
    (void)archive_read_support_filter_bzip2(a);
    (void)archive_read_support_filter_zstd(a);
    (void)archive_read_support_format_raw(a);
    if (archive_read_open_filename(a, path, IO_SIZE) != ARCHIVE_OK ||
        archive_read_next_header(a, &e) != ARCHIVE_OK) {
        n = -1;
    }
    while (n >= 0 && total <= bytes_max && (n = archive_read_data(a, io, IO_SIZE)) > 0) {
        total += (uint64_t)n;
    }
    if (total > bytes_max) {
        rc = too_large(err, bytes_max);
    } else if (n < 0) {
        rc = error_set(err, -EBADMSG, "the compressed stream is damaged: %s",
                       archive_error_string(a));
    }
    (void)archive_read_free(a);
    return rc;
}

int archive_check_stream(const char *path, uint64_t bytes_max, struct error *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_free_ char *io = malloc(IO_SIZE);
    unsigned char magic[2];

    if (fd < 0 || io == NULL) {
        return error_set_errno(err, fd < 0 ? -errno : -ENOMEM, "open %s", path);
    }
    if (pread(fd, magic, sizeof(magic), 0) != sizeof(magic)) {
        return error_set(err, -EBADMSG, "the archive is empty");
    }
    if (magic[0] == 0x1f && magic[1] == 0x8b) {
        return check_gzip(path, io, bytes_max, err);
    }
    return check_filters(path, io, bytes_max, err);
}

/* --- zip's directory ------------------------------------------------------------ */

#define EOCD_SIZE     22
#define CENTRAL_SIZE  46
#define COMMENT_MAX   65535
#define LOCAL_SIZE    30
#define EOCD_MAGIC    0x06054b50U
#define CENTRAL_MAGIC 0x02014b50U

struct span {
    uint64_t start;
    uint64_t end;
};

static uint32_t u32(const unsigned char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

static uint16_t u16(const unsigned char *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return le16toh(v);
}

static int by_start(const void *a, const void *b)
{
    const struct span *x = a;
    const struct span *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

/* The end record, searched backwards past a comment; NULL if there is none. */
static const unsigned char *end_record(const unsigned char *zip, size_t size)
{
    size_t least = size > EOCD_SIZE + COMMENT_MAX ? size - EOCD_SIZE - COMMENT_MAX : 0;

    for (size_t at = size >= EOCD_SIZE ? size - EOCD_SIZE + 1 : 0; at > least; at--) {
        if (u32(zip + at - 1) == EOCD_MAGIC) {
            return zip + at - 1;
        }
    }
    return NULL;
}

static int check_spans(struct span *spans, size_t n, struct error *err)
{
    qsort(spans, n, sizeof(*spans), by_start);
    for (size_t i = 1; i < n; i++) {
        if (spans[i].start < spans[i - 1].end) {
            return error_set(err, -EBADMSG,
                             "two entries of the zip overlap; pack it again");
        }
    }
    return 0;
}

static int check_directory(const unsigned char *at, const unsigned char *end, uint32_t n,
                           struct span *spans, struct error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        size_t name_len;
        size_t len;

        if ((size_t)(end - at) < CENTRAL_SIZE || u32(at) != CENTRAL_MAGIC) {
            return error_set(err, -EBADMSG,
                             "the zip's directory is damaged at entry %u of %u", i + 1,
                             n);
        }
        name_len = u16(at + 28);
        len = CENTRAL_SIZE + name_len + u16(at + 30) + u16(at + 32);
        if ((size_t)(end - at) < len) {
            return error_set(err, -EBADMSG, "the zip's directory is truncated");
        }
        if (memchr(at + CENTRAL_SIZE, '\0', name_len) != NULL) {
            return error_set(err, -EBADMSG, "entry \"%.*s\": the name has a NUL byte",
                             (int)strnlen((const char *)at + CENTRAL_SIZE, 160),
                             (const char *)at + CENTRAL_SIZE);
        }
        spans[i].start = u32(at + 42);
        spans[i].end = spans[i].start + LOCAL_SIZE + name_len + u32(at + 20);
        at += len;
    }
    return check_spans(spans, n, err);
}

static int check_zip(const unsigned char *zip, size_t size, uint32_t entries_max,
                     struct error *err)
{
    const unsigned char *eocd = end_record(zip, size);
    _cleanup_free_ struct span *spans = NULL;
    uint32_t n;
    uint64_t offset;

    if (eocd == NULL) {
        return error_set(err, -EBADMSG, "the zip has no end record: it is truncated");
    }
    n = u16(eocd + 10);
    offset = u32(eocd + 16);
    if (n == UINT16_MAX || offset == UINT32_MAX || u32(eocd + 12) == UINT32_MAX) {
        return error_set(err, -EBADMSG,
                         "zip64 is not taken (over 65,534 entries or 4 GiB): use tar.gz");
    }
    if (n > entries_max) {
        return error_set(err, -EBADMSG, "more than %u entries", entries_max);
    }
    if (offset + u32(eocd + 12) != (uint64_t)(eocd - zip)) {
        return error_set(err, -EBADMSG, "the zip's directory is not where it should be");
    }
    spans = calloc(n > 0 ? n : 1, sizeof(*spans));
    if (spans == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    return check_directory(zip + offset, eocd, n, spans, err);
}

/* The file, read-only in memory; *ret NULL: it is empty. */
static int map_file(const char *path, void **ret, size_t *ret_size, struct error *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    *ret = NULL;
    *ret_size = 0;
    if (fd < 0 || fstat(fd, &st) < 0) {
        return error_set_errno(err, -errno, "open %s", path);
    }
    if (st.st_size == 0) {
        return 0;
    }
    *ret = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (*ret == MAP_FAILED) {
        *ret = NULL;
        return error_set_errno(err, -errno, "map %s", path);
    }
    *ret_size = (size_t)st.st_size;
    return 0;
}

int archive_check_zip(const char *path, uint32_t entries_max, struct error *err)
{
    void *map;
    size_t size;
    int rc = map_file(path, &map, &size, err);

    if (rc < 0) {
        return rc;
    }
    rc = size < EOCD_SIZE ? error_set(err, -EBADMSG, "the zip is truncated")
                          : check_zip(map, size, entries_max, err);
    if (map != NULL) {
        (void)munmap(map, size);
    }
    return rc;
}

/* Of a zip that was checked: what is not as it was ends the sum. */
static uint64_t sum_directory(const unsigned char *zip, size_t size)
{
    const unsigned char *eocd = size >= EOCD_SIZE ? end_record(zip, size) : NULL;
    const unsigned char *at = zip;
    uint64_t sum = 0;

    if (eocd == NULL || u32(eocd + 16) > (size_t)(eocd - zip)) {
        return 0;
    }
    at += u32(eocd + 16);
    while ((size_t)(eocd - at) >= CENTRAL_SIZE && u32(at) == CENTRAL_MAGIC) {
        size_t len = CENTRAL_SIZE + (size_t)u16(at + 28) + u16(at + 30) + u16(at + 32);

        sum += u32(at + 24);
        if ((size_t)(eocd - at) < len) {
            break;
        }
        at += len;
    }
    return sum;
}

int archive_unpacked(const char *path, enum spec_format format, uint64_t *ret_bytes,
                     struct error *err)
{
    void *map;
    size_t size;
    int rc = map_file(path, &map, &size, err);

    if (rc < 0) {
        return rc;
    }
    *ret_bytes =
        format == SPEC_FORMAT_ZIP && map != NULL ? sum_directory(map, size) : size;
    if (map != NULL) {
        (void)munmap(map, size);
    }
    return 0;
}
