/* Packages on disk: uploads that end well and badly, what a crash leaves, collection. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h> /* needs the ones above */

#include "common/archive.h"
#include "controller/api/package_store.h"

#define SHA256_OF_NOTHING \
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static bool can_mount; /* in a mount namespace that is only this process's */

struct bench {
    uv_loop_t loop;
    char dir[64];
    struct package_store *store;
    uv_timer_t limit;
};

struct upload {
    struct bench *bench;
    struct package_upload *upload;
    struct package_ref ref;
    bool done, created, room;
    enum cause cause;
    char text[256];
};

/* --- bench -------------------------------------------------------------------- */

static void store_open(struct bench *b)
{
    struct error err;

    assert_int_equal(package_store_new(&b->store, &b->loop, b->dir, &err), 0);
}

static void bench_open(struct bench *b)
{
    (void)strcpy(b->dir, "/tmp/mayfly-packages-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    assert_int_equal(uv_loop_init(&b->loop), 0);
    assert_int_equal(uv_timer_init(&b->loop, &b->limit), 0);
    store_open(b);
}

static void bench_close(struct bench *b)
{
    uv_close((uv_handle_t *)&b->limit, NULL);
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    package_store_free(b->store);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    assert_int_equal(archive_remove_tree(b->dir, NULL), 0);
}

static void too_long(uv_timer_t *timer)
{
    fail_msg("nothing happened within ten seconds");
}

static void run_until(struct bench *b, const bool *done)
{
    assert_int_equal(uv_timer_start(&b->limit, too_long, 10000, 0), 0);
    while (!*done) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    (void)uv_timer_stop(&b->limit);
}

static size_t files_in(const struct bench *b)
{
    DIR *dir = opendir(b->dir);
    size_t n = 0;

    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        n += e->d_name[0] != '.' || strncmp(e->d_name, ".upload", 7) == 0;
    }
    (void)closedir(dir);
    return n;
}

static void on_room(void *data)
{
    struct upload *u = data;

    u->room = true;
}

static void on_done(void *data, const struct package_upload_result *r)
{
    struct upload *u = data;

    assert_false(u->done);
    u->done = true;
    u->cause = r->cause;
    u->created = r->created;
    (void)snprintf(u->text, sizeof(u->text), "%s", r->text);
}

static void upload_open(struct bench *b, struct upload *u, const char *digest,
                        enum spec_format format)
{
    *u = (struct upload){.bench = b, .ref.format = format};
    memcpy(u->ref.digest, digest, sizeof(u->ref.digest));
    if (format == SPEC_FORMAT_FILE) {
        (void)strcpy(u->ref.file_name, "run.sh");
    }
    assert_int_equal(
        package_upload_new(&u->upload, b->store, &u->ref, on_room, on_done, u), 0);
}

static void upload_write(struct upload *u, const char *data, size_t len)
{
    u->room = package_upload_write(u->upload, data, len);
    if (!u->room) {
        run_until(u->bench, &u->room);
    }
}

static void upload_end(struct upload *u)
{
    package_upload_end(u->upload);
    run_until(u->bench, &u->done);
    package_upload_close(u->upload);
}

/* The whole of it at once. */
static struct upload put(struct bench *b, const char *digest, enum spec_format format,
                         const char *data, size_t len)
{
    struct upload u;

    upload_open(b, &u, digest, format);
    if (len > 0) {
        upload_write(&u, data, len);
    }
    upload_end(&u);
    return u;
}

/* An archive of the fuzzers' corpus, and its digest. */
static char *corpus(const char *name, size_t *ret_len, char digest[SPEC_DIGEST_LEN + 1])
{
    char path[512];
    uint64_t bytes;
    char *data;
    int fd;

    (void)snprintf(path, sizeof(path), ARCHIVE_CORPUS "/%s", name);
    assert_int_equal(archive_digest(path, digest, &bytes, NULL), 0);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    data = malloc(bytes + 1);
    assert_true(fd >= 0 && data != NULL);
    assert_int_equal(read(fd, data, bytes), bytes);
    (void)close(fd);
    *ret_len = bytes;
    return data;
}

/* The digest of these bytes, by way of a file. */
static void digest_of(const struct bench *b, const char *data, size_t len,
                      char ret[SPEC_DIGEST_LEN + 1])
{
    char path[128];
    int fd;

    (void)snprintf(path, sizeof(path), "%s.bytes", b->dir);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    (void)close(fd);
    assert_int_equal(archive_digest(path, ret, NULL, NULL), 0);
    (void)unlink(path);
}

/* --- tests -------------------------------------------------------------------- */

/* What was uploaded is there, also for a successor; a second upload finds it. */
static void stores_and_finds_again(void **state)
{
    char digest[SPEC_DIGEST_LEN + 1], path[PATH_MAX];
    struct bench b;
    struct upload u;
    uint64_t bytes;
    size_t len;
    char *data = corpus("good.tar", &len, digest);

    bench_open(&b);
    assert_false(package_store_find(b.store, digest, NULL));
    u = put(&b, digest, SPEC_FORMAT_TAR, data, len);
    assert_int_equal(u.cause, CAUSE_NONE);
    assert_true(u.created);
    assert_int_equal(files_in(&b), 1);

    package_store_free(b.store);
    store_open(&b);
    assert_true(package_store_find(b.store, digest, &bytes));
    assert_int_equal(bytes, len);
    assert_int_equal(package_store_bytes(b.store), len);
    assert_true(package_store_path(b.store, digest, path));
    assert_int_equal(access(path, R_OK), 0);
    u = put(&b, digest, SPEC_FORMAT_TAR, data, len);
    assert_int_equal(u.cause, CAUSE_NONE);
    assert_false(u.created);
    free(data);
    bench_close(&b);
}

/* More bytes than a block: the writer waits for room, nothing is lost. */
static void large_ones_have_back_pressure(void **state)
{
    size_t len = 3 * 1024 * 1024 + 17;
    char digest[SPEC_DIGEST_LEN + 1];
    char *data = malloc(len);
    struct bench b;
    struct upload u;
    unsigned waits = 0;

    assert_non_null(data);
    for (size_t i = 0; i < len; i++) {
        data[i] = (char)(i * 31 + i / 4096);
    }
    bench_open(&b);
    digest_of(&b, data, len, digest);
    upload_open(&b, &u, digest, SPEC_FORMAT_FILE);
    for (size_t at = 0; at < len; at += 65536) {
        u.room = package_upload_write(u.upload, data + at,
                                      len - at < 65536 ? len - at : 65536);
        waits += !u.room;
        if (!u.room) {
            run_until(&b, &u.room);
        }
    }
    upload_end(&u);
    assert_int_equal(u.cause, CAUSE_NONE);
    assert_true(waits > 0);
    free(data);
    bench_close(&b);
}

/* A body that is not what the digest says leaves nothing. */
static void refuses_another_digest(void **state)
{
    struct bench b;
    struct upload u;

    bench_open(&b);
    u = put(&b, SHA256_OF_NOTHING, SPEC_FORMAT_FILE, "x", 1);
    assert_int_equal(u.cause, CAUSE_PACKAGE_INVALID);
    assert_non_null(strstr(u.text, "SHA-256"));
    (void)uv_run(&b.loop, UV_RUN_DEFAULT);
    assert_int_equal(files_in(&b), 0);
    bench_close(&b);
}

/* An archive that cannot be unpacked safely is refused, the entry is named, and nothing
 * stays. */
static void refuses_a_bad_archive(void **state)
{
    char digest[SPEC_DIGEST_LEN + 1];
    struct bench b;
    struct upload u;
    size_t len;
    char *data = corpus("dotdot.tar", &len, digest);

    bench_open(&b);
    u = put(&b, digest, SPEC_FORMAT_TAR, data, len);
    assert_int_equal(u.cause, CAUSE_PACKAGE_INVALID);
    assert_non_null(strstr(u.text, ".."));
    (void)uv_run(&b.loop, UV_RUN_DEFAULT);
    assert_int_equal(files_in(&b), 0);
    assert_false(package_store_find(b.store, digest, NULL));
    free(data);
    bench_close(&b);
}

/* The same bytes under another format are verified as that format, and only then known by
 * it. */
static void verifies_each_format(void **state)
{
    char digest[SPEC_DIGEST_LEN + 1];
    struct bench b;
    struct upload u;
    size_t len;
    char *data = corpus("dotdot.tar", &len, digest);

    bench_open(&b);
    u = put(&b, digest, SPEC_FORMAT_FILE, data, len); /* as a plain file it is fine */
    assert_int_equal(u.cause, CAUSE_NONE);
    assert_false(package_store_has(b.store, digest, SPEC_FORMAT_TAR));
    u = put(&b, digest, SPEC_FORMAT_TAR, data, len);
    assert_int_equal(u.cause, CAUSE_PACKAGE_INVALID);
    assert_false(package_store_has(b.store, digest, SPEC_FORMAT_TAR));
    assert_true(package_store_has(b.store, digest, SPEC_FORMAT_FILE));
    free(data);

    data = corpus("good.tar", &len, digest);
    (void)put(&b, digest, SPEC_FORMAT_FILE, data, len);
    u = put(&b, digest, SPEC_FORMAT_TAR, data, len);
    assert_int_equal(u.cause, CAUSE_NONE);
    assert_true(u.created);
    assert_true(package_store_has(b.store, digest, SPEC_FORMAT_TAR));
    assert_int_equal(package_store_count(b.store), 2);
    free(data);
    bench_close(&b);
}

/* Two at once with the same digest both succeed. */
static void takes_two_of_the_same_at_once(void **state)
{
    char digest[SPEC_DIGEST_LEN + 1];
    struct bench b;
    struct upload u, v;
    size_t len;
    char *data = corpus("good.zip", &len, digest);

    bench_open(&b);
    upload_open(&b, &u, digest, SPEC_FORMAT_ZIP);
    upload_open(&b, &v, digest, SPEC_FORMAT_ZIP);
    upload_write(&u, data, len);
    upload_write(&v, data, len);
    upload_end(&u);
    upload_end(&v);
    assert_int_equal(u.cause, CAUSE_NONE);
    assert_int_equal(v.cause, CAUSE_NONE);
    assert_int_equal(u.created + v.created, 1);
    assert_int_equal(files_in(&b), 1);
    free(data);
    bench_close(&b);
}

/* A client that goes half way leaves nothing. */
static void a_client_that_left_leaves_nothing(void **state)
{
    static char block[300 * 1024];
    struct bench b;
    struct upload u;

    bench_open(&b);
    upload_open(&b, &u, SHA256_OF_NOTHING, SPEC_FORMAT_FILE);
    upload_write(&u, block, sizeof(block));
    package_upload_close(u.upload);
    (void)uv_run(&b.loop, UV_RUN_DEFAULT);
    assert_false(u.done);
    assert_int_equal(files_in(&b), 0);
    bench_close(&b);
}

/* What a predecessor had begun is removed at start; foreign files are left alone. */
static void cleans_up_after_a_crash(void **state)
{
    struct bench b;
    char path[128];

    bench_open(&b);
    (void)snprintf(path, sizeof(path), "%s/.upload-1-1", b.dir);
    (void)close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    (void)snprintf(path, sizeof(path), "%s/notes.txt", b.dir);
    (void)close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    package_store_free(b.store);
    store_open(&b);
    assert_int_equal(files_in(&b), 1);
    assert_int_equal(package_store_count(b.store), 0);
    bench_close(&b);
}

static bool is_used(void *data, const char *digest)
{
    return *(bool *)data;
}

/* Unused ones go when nobody wants them, and not while they are pinned or being sent. */
static void collects_what_nobody_needs(void **state)
{
    bool used = true;
    struct bench b;
    struct upload u;

    bench_open(&b);
    (void)put(&b, SHA256_OF_NOTHING, SPEC_FORMAT_FILE, "", 0);
    assert_int_equal(package_store_count(b.store), 1);
    assert_int_equal(package_store_collect(b.store, 0, is_used, &used), 0);
    used = false;
    assert_int_equal(package_store_collect(b.store, 3600 * 1000, is_used, &used), 0);
    package_store_pin(b.store, SHA256_OF_NOTHING);
    assert_int_equal(package_store_collect(b.store, 0, is_used, &used), 0);
    package_store_unpin(b.store, SHA256_OF_NOTHING);
    upload_open(&b, &u, SHA256_OF_NOTHING, SPEC_FORMAT_FILE);
    assert_int_equal(package_store_collect(b.store, 0, is_used, &used), 0);
    package_upload_close(u.upload);
    assert_int_equal(package_store_collect(b.store, 0, is_used, &used), 1);
    assert_int_equal(files_in(&b), 0);
    assert_false(package_store_find(b.store, SHA256_OF_NOTHING, NULL));
    bench_close(&b);
}

/* No space: refused as such, nothing half there, and what was there stays. */
static void survives_a_full_disk(void **state)
{
    static char block[2 * 1024 * 1024];
    struct bench b;
    struct upload u;

    if (!can_mount) {
        skip(); /* needs root, for a small file system of its own */
    }
    bench_open(&b);
    package_store_free(b.store);
    assert_int_equal(mount("tmpfs", b.dir, "tmpfs", 0, "size=1m"), 0);
    store_open(&b);
    (void)put(&b, SHA256_OF_NOTHING, SPEC_FORMAT_FILE, "", 0);
    upload_open(&b, &u,
                "0000000000000000000000000000000000000000000000000000000000000000",
                SPEC_FORMAT_FILE);
    (void)package_upload_write(u.upload, block, sizeof(block));
    run_until(&b, &u.done); /* before the end: no need to wait for the rest */
    assert_int_equal(u.cause, CAUSE_DISK_FULL);
    package_upload_close(u.upload);
    (void)uv_run(&b.loop, UV_RUN_DEFAULT);
    assert_int_equal(files_in(&b), 1);
    assert_true(package_store_find(b.store, SHA256_OF_NOTHING, NULL));
    package_store_free(b.store);
    assert_int_equal(umount(b.dir), 0);
    store_open(&b);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores_and_finds_again),
        cmocka_unit_test(large_ones_have_back_pressure),
        cmocka_unit_test(refuses_another_digest),
        cmocka_unit_test(refuses_a_bad_archive),
        cmocka_unit_test(verifies_each_format),
        cmocka_unit_test(takes_two_of_the_same_at_once),
        cmocka_unit_test(a_client_that_left_leaves_nothing),
        cmocka_unit_test(cleans_up_after_a_crash),
        cmocka_unit_test(collects_what_nobody_needs),
        cmocka_unit_test(survives_a_full_disk),
    };

    /* Before libuv's threads are there: they must be in it as well. */
    can_mount = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
                mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
