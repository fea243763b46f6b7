/* Unit tests for packages: what is taken, and above all what is refused (S42). */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include "archive_make.h"
#include "common/archive.h"
#include "common/cleanup.h"

#define FILE_0644 (S_IFREG | 0644)
#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))

static const char *const kinds[] = {"zip", "tar", "tar.gz", "tar.xz"};

struct place {
    char dir[64];
    char archive[128];
    char dest[128];
    char outside[128];
};

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    (void)snprintf(p->dir, sizeof(p->dir), "/tmp/mayfly-archive-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    (void)snprintf(p->archive, sizeof(p->archive), "%s/archive", p->dir);
    (void)snprintf(p->dest, sizeof(p->dest), "%s/dest", p->dir);
    (void)snprintf(p->outside, sizeof(p->outside), "%s/outside", p->dir);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;

    assert_int_equal(archive_remove_tree(p->dir, NULL), 0);
    free(p);
    return 0;
}

static enum spec_format format_of(const char *kind)
{
    return strcmp(kind, "zip") == 0 ? SPEC_FORMAT_ZIP : SPEC_FORMAT_TAR;
}

/* Names in the folder that hold the archive: nothing half-done may be among them. */
static unsigned count_names(const char *dir)
{
    _cleanup_closedir_ DIR *d = opendir(dir);
    unsigned n = 0;

    assert_non_null(d);
    while (readdir(d) != NULL) {
        n++;
    }
    return n - 2;
}

static void expect_refused_with(const struct place *p, enum spec_format format,
                                const struct archive_limits *limits, const char *why)
{
    unsigned before = count_names(p->dir);
    struct error verify = {0};
    struct error unpack = {0};

    assert_int_equal(archive_verify(p->archive, format, NULL, limits, &verify), -EBADMSG);
    assert_int_equal(archive_unpack(p->archive, format, NULL, p->dest, limits, &unpack),
                     -EBADMSG);
    if (strstr(verify.text, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", verify.text, why);
    }
    assert_string_equal(verify.text, unpack.text);
    assert_int_not_equal(access(p->dest, F_OK), 0);
    assert_int_not_equal(access(p->outside, F_OK), 0);
    assert_int_equal(count_names(p->dir), before);
}

static void expect_refused(const struct place *p, const char *kind,
                           const struct made_entry *entries, size_t n, const char *why)
{
    make_archive(p->archive, kind, entries, n);
    expect_refused_with(p, format_of(kind), NULL, why);
}

static struct stat stat_in(const struct place *p, const char *name)
{
    char path[512];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s/%s", p->dest, name);
    assert_int_equal(lstat(path, &st), 0);
    return st;
}

/* --- what is taken -------------------------------------------------------------- */

/* Content, folders, modes, symlinks and non-ASCII names come out as they went in. */
static void keeps_modes_and_links(void **state)
{
    struct place *p = *state;
    static const struct made_entry entries[] = {
        {.name = "bootstrap", .mode = S_IFREG | 0755, .content = "#!/bin/sh\n"},
        {.name = "lib/", .mode = S_IFDIR | 0700},
        {.name = "lib/private.txt", .mode = S_IFREG | 0600, .content = "data"},
        {.name = "lib/link", .mode = S_IFLNK | 0777, .link = "../bootstrap"},
        {.name = "a/b/g\xc3\xbcnther", .mode = FILE_0644, .content = "x"},
    };

    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct error err = {0};
        char target[64] = "";
        char path[256];

        make_archive(p->archive, kinds[i], entries, COUNT(entries));
        assert_int_equal(
            archive_verify(p->archive, format_of(kinds[i]), NULL, NULL, &err), 0);
        assert_int_equal(
            archive_unpack(p->archive, format_of(kinds[i]), NULL, p->dest, NULL, &err),
            0);
        assert_int_equal(stat_in(p, ".").st_mode, S_IFDIR | 0755);
        assert_int_equal(stat_in(p, "bootstrap").st_mode, S_IFREG | 0755);
        assert_int_equal(stat_in(p, "bootstrap").st_mtime, 1000000000);
        assert_int_equal(stat_in(p, "lib").st_mode, S_IFDIR | 0755);
        assert_int_equal(stat_in(p, "lib/private.txt").st_mode, FILE_0644);
        assert_int_equal(stat_in(p, "a/b/g\xc3\xbcnther").st_size, 1);
        (void)snprintf(path, sizeof(path), "%s/lib/link", p->dest);
        assert_int_equal(readlink(path, target, sizeof(target)), 12);
        assert_string_equal(target, "../bootstrap");
        assert_int_equal(archive_remove_tree(p->dest, NULL), 0);
    }
}

/* A hard link to a file of the archive is one file under two names. */
static void takes_hard_links_inside(void **state)
{
    struct place *p = *state;
    static const struct made_entry entries[] = {
        {.name = "one", .mode = FILE_0644, .content = "same"},
        {.name = "two", .mode = FILE_0644, .hardlink = "one"},
    };

    make_archive(p->archive, "tar", entries, COUNT(entries));
    assert_int_equal(
        archive_unpack(p->archive, SPEC_FORMAT_TAR, NULL, p->dest, NULL, NULL), 0);
    assert_int_equal(stat_in(p, "one").st_ino, stat_in(p, "two").st_ino);
}

/* A single file becomes an executable of the name it was given, and of no other. */
static void takes_a_single_file(void **state)
{
    struct place *p = *state;
    static const char text[] = "#!/bin/sh\necho hi\n";
    _cleanup_fclose_ FILE *f = fopen(p->archive, "we");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, sizeof(text) - 1, f), sizeof(text) - 1);
    assert_int_equal(fflush(f), 0);
    assert_int_equal(
        archive_unpack(p->archive, SPEC_FORMAT_FILE, "../x", p->dest, NULL, NULL),
        -EBADMSG);
    assert_int_equal(
        archive_unpack(p->archive, SPEC_FORMAT_FILE, "hi.sh", p->dest, NULL, NULL), 0);
    assert_int_equal(stat_in(p, "hi.sh").st_mode, S_IFREG | 0755);
    assert_int_equal(stat_in(p, "hi.sh").st_size, sizeof(text) - 1);
}

/* The destination appears whole or not at all, and one that is there is left alone. */
static void leaves_an_existing_folder_alone(void **state)
{
    struct place *p = *state;
    static const struct made_entry entry = {
        .name = "f", .mode = FILE_0644, .content = "x"};

    make_archive(p->archive, "tar", &entry, 1);
    assert_int_equal(mkdir(p->dest, 0755), 0);
    assert_int_equal(
        archive_unpack(p->archive, SPEC_FORMAT_TAR, NULL, p->dest, NULL, NULL), -EEXIST);
    assert_int_equal(count_names(p->dest), 0);
    assert_int_equal(count_names(p->dir), 2);
}

/* --- what is refused -------------------------------------------------------------- */

struct bad {
    const char *kind;
    struct made_entry entries[2];
    size_t n;
    const char *why;
};

static const struct bad bads[] = {
    {"tar", {{.name = "../outside", .mode = FILE_0644, .content = "x"}}, 1, "\"..\""},
    {"zip", {{.name = "../outside", .mode = FILE_0644, .content = "x"}}, 1, "\"..\""},
    {"tar", {{.name = "a/../../outside", .mode = FILE_0644, .content = "x"}}, 1, ".."},
    {"tar", {{.name = "/tmp/abs", .mode = FILE_0644, .content = "x"}}, 1, "absolute"},
    {"zip", {{.name = "/tmp/abs", .mode = FILE_0644, .content = "x"}}, 1, "absolute"},
    {"tar", {{.name = "..\\x", .mode = FILE_0644, .content = "x"}}, 1, "backslash"},
    {"tar",
     {{.name = "l", .mode = S_IFLNK | 0777, .link = "/etc/passwd"}},
     1,
     "absolute"},
    {"zip",
     {{.name = "l", .mode = S_IFLNK | 0777, .link = "../outside"}},
     1,
     "leads out"},
    {"tar",
     {{.name = "a", .mode = S_IFLNK | 0777, .link = "."},
      {.name = "b", .mode = S_IFLNK | 0777, .link = "a/a/../../x"}},
     2,
     "leads out"},
    {"tar",
     {{.name = "a", .mode = S_IFLNK | 0777, .link = "b"},
      {.name = "b", .mode = S_IFLNK | 0777, .link = "a"}},
     2,
     "too many symlinks"},
    {"tar",
     {{.name = "d", .mode = S_IFLNK | 0777, .link = ".."},
      {.name = "d/outside", .mode = FILE_0644, .content = "x"}},
     2,
     "through a symlink"},
    {"tar",
     {{.name = "f", .mode = FILE_0644, .content = "x"},
      {.name = "f/g", .mode = FILE_0644, .content = "x"}},
     2,
     "under a file"},
    {"tar", {{.name = "h", .mode = FILE_0644, .hardlink = "/etc/passwd"}}, 1, "absolute"},
    {"tar", {{.name = "h", .mode = FILE_0644, .hardlink = "../x"}}, 1, "\"..\""},
    {"tar", {{.name = "h", .mode = FILE_0644, .hardlink = "h"}}, 1, "hard link"},
    {"tar",
     {{.name = "l", .mode = S_IFLNK | 0777, .link = "x"},
      {.name = "h", .mode = FILE_0644, .hardlink = "l"}},
     2,
     "hard link must"},
    {"tar", {{.name = "null", .mode = S_IFCHR | 0666}}, 1, "device"},
    {"tar", {{.name = "disk", .mode = S_IFBLK | 0666}}, 1, "device"},
    {"tar", {{.name = "pipe", .mode = S_IFIFO | 0666}}, 1, "fifo"},
    {"tar", {{.name = "su", .mode = S_IFREG | 04755, .content = "x"}}, 1, "setuid"},
    {"zip", {{.name = "sg", .mode = S_IFREG | 02755, .content = "x"}}, 1, "setgid"},
    {"tar",
     {{.name = "twice", .mode = FILE_0644, .content = "1"},
      {.name = "./twice", .mode = FILE_0644, .content = "2"}},
     2,
     "there twice"},
    {"zip",
     {{.name = "twice", .mode = FILE_0644, .content = "1"},
      {.name = "twice", .mode = FILE_0644, .content = "2"}},
     2,
     "there twice"},
};

/* Each kind of hostile entry is refused by name, and nothing is left on the disk. */
static void refuses_hostile_entries(void **state)
{
    for (size_t i = 0; i < COUNT(bads); i++) {
        expect_refused(*state, bads[i].kind, bads[i].entries, bads[i].n, bads[i].why);
    }
}

/* A name over 255 bytes, or folders over 64 deep, cannot be made on a disk safely. */
static void refuses_long_and_deep_names(void **state)
{
    char name[512];
    struct made_entry entry = {.name = name, .mode = FILE_0644, .content = "x"};

    memset(name, 'n', 256);
    name[256] = '\0';
    expect_refused(*state, "tar", &entry, 1, "255 bytes");
    name[0] = '\0';
    for (int i = 0; i < 64; i++) {
        (void)snprintf(name + strlen(name), sizeof(name) - strlen(name), "d/");
    }
    (void)snprintf(name + strlen(name), sizeof(name) - strlen(name), "f");
    expect_refused(*state, "zip", &entry, 1, "64 folders");
}

/* Bombs are cut off by bytes, by ratio, and by the number of entries, implied ones too.
 */
static void refuses_bombs(void **state)
{
    struct place *p = *state;
    static const struct made_entry zeros = {
        .name = "zeros", .mode = FILE_0644, .zeros = 16 << 20};
    static const struct made_entry many[] = {
        {.name = "a/b/c/d", .mode = FILE_0644, .content = "x"},
        {.name = "e", .mode = FILE_0644, .content = "x"},
    };
    struct archive_limits limits = archive_limits_default;

    for (size_t i = 0; i < COUNT(kinds); i++) {
        limits = archive_limits_default;
        limits.bytes_max = 1 << 20;
        make_archive(p->archive, kinds[i], &zeros, 1);
        expect_refused_with(p, format_of(kinds[i]), &limits, "more than 1048576 bytes");
        if (strcmp(kinds[i], "tar") != 0) {
            limits = archive_limits_default;
            expect_refused_with(p, format_of(kinds[i]), &limits, "200 times");
        }
        limits.entries_max = 4;
        make_archive(p->archive, kinds[i], many, COUNT(many));
        expect_refused_with(p, format_of(kinds[i]), &limits, "more than 4 entries");
    }
}

/* --- damage ------------------------------------------------------------------------ */

static size_t read_all(const char *path, char *data, size_t size)
{
    _cleanup_fclose_ FILE *f = fopen(path, "re");

    assert_non_null(f);
    return fread(data, 1, size, f);
}

static void write_all(const char *path, const char *data, size_t len)
{
    _cleanup_fclose_ FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
}

/* Whatever length an archive is cut to (half, or just its last bytes), it is refused. */
static void refuses_truncated_archives(void **state)
{
    struct place *p = *state;
    static char data[65536];
    static const struct made_entry entries[] = {
        {.name = "one", .mode = FILE_0644, .content = "the quick brown fox"},
        {.name = "two", .mode = FILE_0644, .zeros = 20000},
    };

    for (size_t i = 0; i < COUNT(kinds); i++) {
        size_t len;

        make_archive(p->archive, kinds[i], entries, COUNT(entries));
        len = read_all(p->archive, data, sizeof(data));
        write_all(p->archive, data, len / 2);
        expect_refused_with(p, format_of(kinds[i]), NULL, "");
        if (strcmp(kinds[i], "tar") != 0) { /* tar's last bytes are only padding */
            write_all(p->archive, data, len - 3);
            expect_refused_with(p, format_of(kinds[i]), NULL, "");
        }
    }
}

/* A wrong checksum is damage, in a zip's entry and in gzip's and xz's streams. */
static void refuses_wrong_checksums(void **state)
{
    struct place *p = *state;
    static char data[65536];
    static const struct made_entry entry = {
        .name = "one", .mode = FILE_0644, .content = "the quick brown fox"};
    size_t len;

    make_archive(p->archive, "tar.gz", &entry, 1);
    len = read_all(p->archive, data, sizeof(data));
    data[len - 8] ^= 1; /* RFC 1952: CRC32, then ISIZE, at the end */
    write_all(p->archive, data, len);
    expect_refused_with(p, SPEC_FORMAT_TAR, NULL, "CRC");

    make_archive(p->archive, "tar.xz", &entry, 1);
    len = read_all(p->archive, data, sizeof(data));
    data[len - 12] ^= 1; /* the footer's CRC32 */
    write_all(p->archive, data, len);
    expect_refused_with(p, SPEC_FORMAT_TAR, NULL, "Corrupt");

    make_archive(p->archive, "zip", &entry, 1);
    len = read_all(p->archive, data, sizeof(data));
    for (size_t i = 0; i + 46 < len; i++) {
        if (memcmp(data + i, "PK\1\2", 4) == 0) {
            data[i + 16] ^= 1; /* CRC-32 in the directory */
        }
    }
    write_all(p->archive, data, len);
    expect_refused_with(p, SPEC_FORMAT_ZIP, NULL, "one");
}

/* A NUL in a zip's name would make two readers see two names. */
static void refuses_nul_in_a_zip_name(void **state)
{
    struct place *p = *state;
    static char data[65536];
    static const struct made_entry entry = {
        .name = "nameXevil", .mode = FILE_0644, .content = "x"};
    size_t len;

    make_archive(p->archive, "zip", &entry, 1);
    len = read_all(p->archive, data, sizeof(data));
    for (size_t i = 0; i + 9 <= len; i++) {
        if (memcmp(data + i, "nameXevil", 9) == 0) {
            data[i + 4] = '\0';
        }
    }
    write_all(p->archive, data, len);
    expect_refused_with(p, SPEC_FORMAT_ZIP, NULL, "NUL");
}

/* Two entries over the same bytes multiply what a small zip unpacks to. */
static void refuses_overlapping_zip_entries(void **state)
{
    struct place *p = *state;
    static char data[65536];
    static const struct made_entry entries[] = {
        {.name = "a", .mode = FILE_0644, .content = "x"},
        {.name = "b", .mode = FILE_0644, .content = "x"},
    };
    size_t len;

    make_archive(p->archive, "zip", entries, COUNT(entries));
    len = read_all(p->archive, data, sizeof(data));
    for (size_t i = 0; i + 46 < len; i++) {
        if (memcmp(data + i, "PK\1\2", 4) == 0) {
            memset(data + i + 42, 0, 4); /* both start at the first */
        }
    }
    write_all(p->archive, data, len);
    expect_refused_with(p, SPEC_FORMAT_ZIP, NULL, "overlap");
}

/* --- packing, and the rest ------------------------------------------------------------
 */

static void write_in(const struct place *p, const char *dir, const char *name,
                     mode_t mode)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s/%s", p->dir, dir, name);
    write_all(path, name, strlen(name));
    assert_int_equal(chmod(path, mode), 0);
}

static void make_folder(const struct place *p, const char *dir, bool reversed)
{
    static const char *const names[] = {"b", "a", "zz"};
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", p->dir, dir);
    assert_int_equal(mkdir(path, reversed ? 0700 : 0755), 0);
    for (size_t i = 0; i < COUNT(names); i++) {
        write_in(p, dir, names[reversed ? COUNT(names) - 1 - i : i],
                 reversed ? 0600 : 0664);
    }
    (void)snprintf(path, sizeof(path), "%s/%s/.git", p->dir, dir);
    assert_int_equal(mkdir(path, 0755), 0);
    (void)snprintf(path, sizeof(path), "%s/%s/link", p->dir, dir);
    assert_int_equal(symlink("a", path), 0);
}

/* Two folders with the same content give the same digest, whatever their times, modes and
 * order on disk; what is excluded is not in it; what was packed can be unpacked. */
static void packs_reproducibly(void **state)
{
    struct place *p = *state;
    static const char *const exclude[] = {".git", NULL};
    char digests[2][SPEC_DIGEST_LEN + 1];
    enum spec_format format = SPEC_FORMAT_FILE;
    char folder[128];

    for (int i = 0; i < 2; i++) {
        (void)snprintf(folder, sizeof(folder), "%s/f%d", p->dir, i);
        make_folder(p, i == 0 ? "f0" : "f1", i == 1);
        assert_int_equal(archive_pack_folder(folder, p->archive, exclude, NULL), 0);
        assert_int_equal(archive_digest(p->archive, digests[i], NULL, NULL), 0);
    }
    assert_string_equal(digests[0], digests[1]);
    assert_int_equal(archive_detect(p->archive, &format, NULL), 0);
    assert_int_equal(format, SPEC_FORMAT_TAR);
    assert_int_equal(archive_unpack(p->archive, format, NULL, p->dest, NULL, NULL), 0);
    assert_int_equal(count_names(p->dest), 4);
}

/* A folder with something that cannot be packed is refused by name; nothing is left. */
static void packing_names_what_it_cannot_take(void **state)
{
    struct place *p = *state;
    struct error err = {0};
    char path[256];

    assert_int_equal(mkdir(p->dest, 0755), 0);
    (void)snprintf(path, sizeof(path), "%s/queue", p->dest);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(archive_pack_folder(p->dest, p->archive, NULL, &err), -EINVAL);
    assert_non_null(strstr(err.text, "queue"));
    assert_int_not_equal(access(p->archive, F_OK), 0);
}

/* The format is told by content, not by name. */
static void detects_formats(void **state)
{
    struct place *p = *state;
    static const struct made_entry entry = {
        .name = "f", .mode = FILE_0644, .content = "x"};
    enum spec_format format;

    for (size_t i = 0; i < COUNT(kinds); i++) {
        make_archive(p->archive, kinds[i], &entry, 1);
        assert_int_equal(archive_detect(p->archive, &format, NULL), 0);
        assert_int_equal(format, format_of(kinds[i]));
    }
    write_all(p->archive, "#!/bin/sh\n", 10);
    assert_int_equal(archive_detect(p->archive, &format, NULL), 0);
    assert_int_equal(format, SPEC_FORMAT_FILE);
    write_all(p->archive, "", 0);
    assert_int_equal(archive_detect(p->archive, &format, NULL), 0);
    assert_int_equal(format, SPEC_FORMAT_FILE);
}

/* What it takes unpacked, without unpacking: exactly of a zip; of others at least. */
static void tells_what_it_unpacks_to(void **state)
{
    struct place *p = *state;
    static const struct made_entry entries[] = {
        {.name = "a", .mode = FILE_0644, .content = "four"},
        {.name = "b", .mode = FILE_0644, .zeros = 100000},
    };
    uint64_t bytes = 0;
    struct error err;

    make_archive(p->archive, "zip", entries, 2);
    assert_int_equal(archive_unpacked(p->archive, SPEC_FORMAT_ZIP, &bytes, &err), 0);
    assert_int_equal(bytes, 100004);
    make_archive(p->archive, "tar", entries, 2);
    assert_int_equal(archive_unpacked(p->archive, SPEC_FORMAT_TAR, &bytes, &err), 0);
    assert_true(bytes >= 100004);
    write_all(p->archive, "", 0);
    assert_int_equal(archive_unpacked(p->archive, SPEC_FORMAT_ZIP, &bytes, &err), 0);
    assert_int_equal(bytes, 0);
    assert_true(archive_unpacked("/nonexistent", SPEC_FORMAT_ZIP, &bytes, &err) < 0);
}

/* FIPS 180-2's example. */
static void digest_is_sha256(void **state)
{
    struct place *p = *state;
    char digest[SPEC_DIGEST_LEN + 1];
    uint64_t bytes = 0;

    write_all(p->archive, "abc", 3);
    assert_int_equal(archive_digest(p->archive, digest, &bytes, NULL), 0);
    assert_string_equal(
        digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(bytes, 3);
}

/* Removing a tree takes a symlink away, not what it points to. */
static void removal_does_not_follow_links(void **state)
{
    struct place *p = *state;
    char path[256];

    assert_int_equal(mkdir(p->outside, 0755), 0);
    assert_int_equal(mkdir(p->dest, 0755), 0);
    write_in(p, "outside", "kept", 0644);
    (void)snprintf(path, sizeof(path), "%s/link", p->dest);
    assert_int_equal(symlink("../outside", path), 0);
    assert_int_equal(archive_remove_tree(p->dest, NULL), 0);
    assert_int_not_equal(access(p->dest, F_OK), 0);
    assert_int_equal(count_names(p->outside), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(keeps_modes_and_links),
        T(takes_hard_links_inside),
        T(takes_a_single_file),
        T(leaves_an_existing_folder_alone),
        T(refuses_hostile_entries),
        T(refuses_long_and_deep_names),
        T(refuses_bombs),
        T(refuses_truncated_archives),
        T(refuses_wrong_checksums),
        T(refuses_nul_in_a_zip_name),
        T(refuses_overlapping_zip_entries),
        T(packs_reproducibly),
        T(packing_names_what_it_cannot_take),
        T(detects_formats),
        T(tells_what_it_unpacks_to),
        T(digest_is_sha256),
        T(removal_does_not_follow_links),
    };
#undef T

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("archive", tests, NULL, NULL);
}
