#include "archive_make.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

static void put_content(struct archive *a, const struct made_entry *m, size_t size)
{
    static const char zeros[4096];

    if (m->zeros == 0) {
        assert_int_equal(archive_write_data(a, m->content, size), (la_ssize_t)size);
        return;
    }
    for (size_t left = size; left > 0;) {
        size_t n = left < sizeof(zeros) ? left : sizeof(zeros);

        assert_int_equal(archive_write_data(a, zeros, n), (la_ssize_t)n);
        left -= n;
    }
}

static void put(struct archive *a, const struct made_entry *m)
{
    struct archive_entry *e = archive_entry_new();
    size_t size = m->zeros > 0 ? m->zeros : m->content != NULL ? strlen(m->content) : 0;

    archive_entry_copy_pathname(e, m->name);
    archive_entry_set_mode(e, m->mode);
    archive_entry_set_mtime(e, 1000000000, 0);
    archive_entry_set_size(e, (la_int64_t)size);
    if (m->link != NULL) {
        archive_entry_copy_symlink(e, m->link);
    }
    if (m->hardlink != NULL) {
        archive_entry_copy_hardlink(e, m->hardlink);
    }
    if (S_ISBLK(m->mode) || S_ISCHR(m->mode)) {
        archive_entry_set_rdev(e, 0x103);
    }
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    if (size > 0) {
        put_content(a, m, size);
    }
    archive_entry_free(e);
}

void make_archive(const char *path, const char *kind, const struct made_entry *entries,
                  size_t n)
{
    struct archive *a = archive_write_new();
    /* Names are UTF-8, whatever locale the test (and the reader under test) runs in. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = uselocale(utf8);

    assert_non_null(a);
    if (strcmp(kind, "zip") == 0) {
        assert_int_equal(archive_write_set_format_zip(a), ARCHIVE_OK);
    } else {
        assert_int_equal(archive_write_set_format_pax_restricted(a), ARCHIVE_OK);
    }
    if (strcmp(kind, "tar.gz") == 0) {
        assert_int_equal(archive_write_add_filter_gzip(a), ARCHIVE_OK);
    } else if (strcmp(kind, "tar.xz") == 0) {
        assert_int_equal(archive_write_add_filter_xz(a), ARCHIVE_OK);
    }
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        put(a, &entries[i]);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    assert_int_equal(archive_write_free(a), ARCHIVE_OK);
    (void)uselocale(before);
    freelocale(utf8);
}
