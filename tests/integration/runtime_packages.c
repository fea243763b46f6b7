/* Packages fetched from a server that has its good and its bad days. */
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

#include <cmocka.h> /* needs those above */

#include "agent/runtime/packages.h"
#include "common/archive.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/http/http_server.h"
#include "tests/unit/archive_make.h"

struct served {
    char *data;
    size_t len;
};

struct bench {
    uv_loop_t loop;
    struct http_server server;
    uint16_t port;
    char dir[64];
    struct packages *packages;
    struct package_ref ref;
    struct served content;
    unsigned n_requests;
    unsigned bad_requests; /* the first so many are answered as `bad` says */
    enum { ANSWER_404, ANSWER_503, CUT_HALF_WAY } bad;
    unsigned n_ready, n_failed;
    enum cause cause;
    char text[256];
    bool closed;
};

static void nothing_cb(uv_timer_t *timer)
{
}

static void turn(struct bench *b)
{
    uv_timer_t limit;

    CHECK(uv_timer_init(&b->loop, &limit) == 0);
    (void)uv_timer_start(&limit, nothing_cb, 50, 0);
    (void)uv_run(&b->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&limit, NULL);
    (void)uv_run(&b->loop, UV_RUN_NOWAIT);
}

#define WAIT_FOR(b, condition)                                \
    do {                                                      \
        uint64_t until_ms_ = clock_mono_ms() + 20000;         \
        while (!(condition) && clock_mono_ms() < until_ms_) { \
            turn(b);                                          \
        }                                                     \
        assert_true(condition);                               \
    } while (0)

/* --- the server ------------------------------------------------------------------- */

static const struct http_exchange_ops no_ops;

static void on_request(struct http_server *s, struct http_exchange *x)
{
    const struct http_headers none = {NULL, 0};
    struct bench *b = s->data;
    char path[128];

    http_exchange_set(x, &no_ops, NULL);
    (void)snprintf(path, sizeof(path), "/api/v1/packages/%s", b->ref.digest);
    assert_true(http_str_eq(http_exchange_path(x), path));
    if (++b->n_requests > b->bad_requests) {
        (void)http_exchange_reply(x, 200, none, b->content.data, b->content.len);
    } else if (b->bad == CUT_HALF_WAY) {
        (void)http_exchange_respond(x, 200, none, b->content.len);
        (void)http_exchange_write(x, b->content.data, b->content.len / 2);
        (void)http_exchange_end(x, none); /* before its end: a reset */
    } else {
        (void)http_exchange_reply(x, b->bad == ANSWER_404 ? 404 : 503, none, "no", 2);
    }
}

static void server_start(struct bench *b)
{
    const struct http_server_options options = {.on_request = on_request, .data = b};

    assert_int_equal(http_server_open(&b->server, &b->loop, &options), 0);
    assert_int_equal(
        http_server_listen_tcp(&b->server, "127.0.0.1", b->port, &b->port, NULL), 0);
}

static void server_closed(struct http_server *s)
{
    ((struct bench *)s->data)->closed = true;
}

static void server_stop(struct bench *b)
{
    b->closed = false;
    http_server_close(&b->server, server_closed);
    WAIT_FOR(b, b->closed);
}

static void set_url(struct bench *b)
{
    char url[64];

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/api", b->port);
    packages_set_url(b->packages, url);
}

/* --- the user ----------------------------------------------------------------------- */

static void on_ready(void *data, const char *digest)
{
    struct bench *b = data;

    assert_string_equal(digest, b->ref.digest);
    b->n_ready++;
}

static void on_failed(void *data, const char *digest, enum cause cause, const char *text)
{
    struct bench *b = data;

    assert_string_equal(digest, b->ref.digest);
    b->n_failed++;
    b->cause = cause;
    (void)snprintf(b->text, sizeof(b->text), "%s", text);
}

static void path_of(const struct bench *b, char ret[300], const char *name)
{
    (void)snprintf(ret, 300, "%s/packages/%s/%s", b->dir, b->ref.digest, name);
}

static bool is_there(const struct bench *b, const char *name)
{
    char path[300];

    path_of(b, path, name);
    return access(path, F_OK) == 0;
}

/* Files in the packages' folder, whatever their name. */
static unsigned count_left(const struct bench *b)
{
    char path[128];
    struct dirent *e;
    unsigned n = 0;
    DIR *dir;

    (void)snprintf(path, sizeof(path), "%s/packages", b->dir);
    dir = opendir(path);
    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL) {
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    (void)closedir(dir);
    return n;
}

/* What the server has: an archive of one file, or with an entry that leads outside. */
static void make_content(struct bench *b, bool bad, size_t bytes)
{
    const struct made_entry entries[] = {
        {.name = "run.sh", .mode = S_IFREG | 0755, .content = "#!/bin/sh\n"},
        {.name = bad ? "../outside" : "data", .mode = S_IFREG | 0644, .zeros = bytes},
    };
    char path[96];
    struct stat st;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/made.tar", b->dir);
    make_archive(path, "tar", entries, 2);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    b->content.len = (size_t)st.st_size;
    b->content.data = malloc(b->content.len);
    assert_int_equal(read(fd, b->content.data, b->content.len), st.st_size);
    (void)close(fd);
    b->ref.format = SPEC_FORMAT_TAR;
    assert_int_equal(archive_digest(path, b->ref.digest, &b->ref.bytes, NULL), 0);
    (void)unlink(path);
}

static void packages_open(struct bench *b)
{
    char dir[96];
    const struct packages_options options = {
        .dir = dir,
        .on_ready = on_ready,
        .on_failed = on_failed,
        .data = b,
    };

    (void)snprintf(dir, sizeof(dir), "%s/packages", b->dir);
    assert_int_equal(packages_new(&b->packages, &b->loop, &options, NULL), 0);
}

static void packages_closed(void *data)
{
    ((struct bench *)data)->closed = true;
}

static void packages_end(struct bench *b)
{
    b->closed = false;
    packages_close(b->packages, packages_closed, b);
    WAIT_FOR(b, b->closed);
}

static void open_bench(struct bench *b, bool bad, size_t bytes)
{
    *b = (struct bench){0};
    (void)strcpy(b->dir, "/tmp/mayfly-test-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    assert_int_equal(uv_loop_init(&b->loop), 0);
    make_content(b, bad, bytes);
    server_start(b);
    packages_open(b);
    set_url(b);
}

static void close_bench(struct bench *b)
{
    packages_end(b);
    server_stop(b);
    assert_int_equal(uv_run(&b->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    assert_int_equal(archive_remove_tree(b->dir, NULL), 0);
    free(b->content.data);
}

/* --- tests -------------------------------------------------------------------------- */

/* A package comes once for all who want it, is unpacked, and goes when it is dropped. */
static void fetches_and_drops(void **state)
{
    struct bench b;
    (void)state;

    open_bench(&b, false, 100000);
    packages_want(b.packages, &b.ref);
    packages_want(b.packages, &b.ref);
    assert_false(packages_has(b.packages, b.ref.digest));
    WAIT_FOR(&b, b.n_ready == 1);
    assert_true(packages_has(b.packages, b.ref.digest));
    assert_true(is_there(&b, "run.sh") && is_there(&b, "data"));
    assert_int_equal(b.n_requests, 1);
    packages_drop(b.packages, b.ref.digest);
    assert_false(packages_has(b.packages, b.ref.digest));
    assert_false(is_there(&b, "run.sh")); /* off its name at once */
    WAIT_FOR(&b, count_left(&b) == 0);
    close_bench(&b);
}

/* What an earlier agent fetched is used again, what it left half done is removed. */
static void keeps_what_is_whole(void **state)
{
    struct bench b;
    char path[160];
    (void)state;

    open_bench(&b, false, 100);
    packages_want(b.packages, &b.ref);
    WAIT_FOR(&b, b.n_ready == 1);
    packages_end(&b);
    (void)snprintf(path, sizeof(path), "%s/packages/.fetch-abc", b.dir);
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    (void)snprintf(path, sizeof(path), "%s/packages/abc.tmp-1-2", b.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    packages_open(&b);
    assert_int_equal(count_left(&b), 1);
    packages_want(b.packages, &b.ref);
    assert_int_equal(b.n_ready, 1); /* not from within */
    WAIT_FOR(&b, b.n_ready == 2);
    assert_int_equal(b.n_requests, 1);
    close_bench(&b);
}

/* What an earlier agent fetched and nobody wants any more goes, what is wanted stays. */
static void removes_what_nobody_wants(void **state)
{
    struct bench b;
    char path[192], old[SPEC_DIGEST_LEN + 1];
    (void)state;

    open_bench(&b, false, 100);
    memset(old, 'a', SPEC_DIGEST_LEN);
    old[SPEC_DIGEST_LEN] = '\0';
    (void)snprintf(path, sizeof(path), "%s/packages/%s", b.dir, old);
    assert_int_equal(mkdir(path, 0755), 0);
    packages_want(b.packages, &b.ref);
    WAIT_FOR(&b, b.n_ready == 1);
    assert_int_equal(count_left(&b), 2);
    packages_prune(b.packages);
    WAIT_FOR(&b, count_left(&b) == 1);
    assert_true(is_there(&b, "run.sh"));
    close_bench(&b);
}

/* A digest that is not the content's fails at once, and leaves nothing. */
static void refuses_a_wrong_digest(void **state)
{
    struct bench b;
    (void)state;

    open_bench(&b, false, 100);
    b.content.data[600]++;
    packages_want(b.packages, &b.ref);
    WAIT_FOR(&b, b.n_failed == 1);
    assert_int_equal(b.cause, CAUSE_PACKAGE_INVALID);
    assert_non_null(strstr(b.text, "SHA-256"));
    assert_int_equal(count_left(&b), 0);
    b.content.data[600]--;
    packages_want(b.packages, &b.ref); /* wanted again: tried again */
    WAIT_FOR(&b, b.n_ready == 1);
    close_bench(&b);
}

/* So does an archive that would write outside its folder, naming the entry. */
static void refuses_a_bad_archive(void **state)
{
    struct bench b;
    (void)state;

    open_bench(&b, true, 100);
    packages_want(b.packages, &b.ref);
    WAIT_FOR(&b, b.n_failed == 1);
    assert_int_equal(b.cause, CAUSE_PACKAGE_INVALID);
    assert_non_null(strstr(b.text, "../outside"));
    assert_int_equal(count_left(&b), 0);
    close_bench(&b);
}

/* And one of another length than announced. */
static void refuses_another_length(void **state)
{
    struct bench b;
    (void)state;

    open_bench(&b, false, 100);
    b.ref.bytes--;
    packages_want(b.packages, &b.ref);
    WAIT_FOR(&b, b.n_failed == 1);
    assert_int_equal(b.cause, CAUSE_PACKAGE_INVALID);
    close_bench(&b);
}

static void tries_again(unsigned times, int bad)
{
    struct bench b;

    open_bench(&b, false, 300000);
    b.bad_requests = times;
    b.bad = (typeof(b.bad))bad;
    packages_want(b.packages, &b.ref);
    WAIT_FOR(&b, b.n_ready == 1);
    assert_int_equal(b.n_requests, times + 1);
    assert_int_equal(b.n_failed, 0);
    close_bench(&b);
}

/* A controller that does not have it yet, is not well, or goes away half-way is asked
 * again. */
static void tries_again_what_may_mend(void **state)
{
    (void)state;
    tries_again(2, ANSWER_404);
    tries_again(2, ANSWER_503);
    tries_again(2, CUT_HALF_WAY);
}

/* Nobody listens: the package comes when somebody does. */
static void outlasts_an_outage(void **state)
{
    struct bench b;
    (void)state;

    open_bench(&b, false, 1000);
    server_stop(&b);
    packages_want(b.packages, &b.ref);
    for (int n = 0; n < 8; n++) {
        turn(&b);
    }
    assert_int_equal(b.n_ready + b.n_failed, 0);
    server_start(&b);
    WAIT_FOR(&b, b.n_ready == 1);
    close_bench(&b);
}

/* A new URL is used at once, whatever the old one's back-off says. */
static void follows_a_new_url(void **state)
{
    struct bench b;
    (void)state;

    open_bench(&b, false, 1000);
    packages_set_url(b.packages, "http://127.0.0.1:1");
    packages_want(b.packages, &b.ref);
    for (int n = 0; n < 3; n++) {
        turn(&b);
    }
    packages_set_url(b.packages, "nonsense"); /* changes nothing */
    set_url(&b);
    WAIT_FOR(&b, b.n_ready == 1);
    close_bench(&b);
}

/* Dropped at any moment of its coming, it leaves nothing; wanted again, it comes. */
static void drops_on_the_way(void **state)
{
    (void)state;
    for (int turns = 0; turns < 6; turns++) {
        struct bench b;

        open_bench(&b, false, 2000000);
        packages_want(b.packages, &b.ref);
        for (int n = 0; n < turns; n++) {
            turn(&b);
        }
        packages_drop(b.packages, b.ref.digest);
        assert_false(packages_has(b.packages, b.ref.digest));
        WAIT_FOR(&b, count_left(&b) == 0);
        packages_want(b.packages, &b.ref);
        WAIT_FOR(&b, packages_has(b.packages, b.ref.digest));
        close_bench(&b);
    }
}

static bool may_mount;

/* A full disk is its own cause, and what was written of the package goes. */
static void tells_a_full_disk(void **state)
{
    struct bench b;
    char path[96];
    (void)state;

    if (!may_mount) {
        print_message("# needs root to mount a small disk\n");
        skip();
    }
    open_bench(&b, false, 3000000);
    packages_end(&b);
    (void)snprintf(path, sizeof(path), "%s/packages", b.dir);
    assert_int_equal(mount("none", path, "tmpfs", 0, "size=4m"), 0);
    packages_open(&b);
    set_url(&b);
    packages_want(b.packages, &b.ref); /* fits as archive, not with its content */
    WAIT_FOR(&b, b.n_failed == 1);
    assert_int_equal(b.cause, CAUSE_DISK_FULL);
    assert_int_equal(count_left(&b), 0);
    packages_end(&b);
    assert_int_equal(umount2(path, MNT_DETACH), 0);
    packages_open(&b);
    close_bench(&b);
}

int main(void)
{
    /* Before there are worker threads, which must see the same disks. */
    const bool own_mounts = unshare(CLONE_NEWNS) == 0 &&
                            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fetches_and_drops),
        cmocka_unit_test(keeps_what_is_whole),
        cmocka_unit_test(removes_what_nobody_wants),
        cmocka_unit_test(refuses_a_wrong_digest),
        cmocka_unit_test(refuses_a_bad_archive),
        cmocka_unit_test(refuses_another_length),
        cmocka_unit_test(tries_again_what_may_mend),
        cmocka_unit_test(outlasts_an_outage),
        cmocka_unit_test(follows_a_new_url),
        cmocka_unit_test(drops_on_the_way),
        cmocka_unit_test(tells_a_full_disk),
    };

    may_mount = own_mounts;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
