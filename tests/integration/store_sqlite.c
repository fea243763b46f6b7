/* The conformance suite on the SQLite engine, and what only a file can do: survive. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include "controller/store/history.h"
#include "tests/integration/store_suite.h"

static char dir[] = "/tmp/mayfly-store-XXXXXX";
static char path[64];

static void remove_store(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char name[80];

    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
}

static int open_store(struct store **ret, uv_loop_t *loop, struct error *err)
{
    return store_sqlite_new(ret, loop, path, err);
}

/* More changes than the history keeps; the many in one transaction save syncs. */
static void compact(struct client *c)
{
    char keys[STORE_TXN_MAX][24];
    struct store_op ops[STORE_TXN_MAX];

    for (int n = 0; n <= HISTORY_EVENTS_MAX; n += STORE_TXN_MAX) {
        for (int i = 0; i < STORE_TXN_MAX; i++) {
            (void)snprintf(keys[i], sizeof(keys[i]), "compact/%d", i);
            ops[i] = op_put(keys[i], "x");
        }
        assert_true(client_txn(c, NULL, 0, ops, STORE_TXN_MAX).succeeded);
    }
}

static void open_client(struct client *c)
{
    struct error err = {0};

    client_init(c);
    if (open_store(&c->store, &c->loop, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static int setup(void **state)
{
    remove_store();
    return 0;
}

static int teardown(void **state)
{
    remove_store();
    return 0;
}

/* Opening must fail with the code and a text that has the words. */
static void expect_refusal(int code, const char *words)
{
    struct client c;
    struct error err = {0};

    client_init(&c);
    assert_int_equal(open_store(&c.store, &c.loop, &err), code);
    c.store = NULL;
    if (strstr(err.text, words) == NULL || strstr(err.text, path) == NULL) {
        fail_msg("\"%s\" does not say \"%s\" and the path", err.text, words);
    }
    client_end(&c);
}

/* Keys, revisions and leases are there again after a restart; the revision goes on. */
static void reopened(void **state)
{
    struct client c;
    struct recorder r = {0};
    struct store_op op = op_put("l/1", "leased");
    int64_t made;
    int64_t last;
    struct answer a;

    open_client(&c);
    made = client_put(&c, "f/a", "one");
    op.lease = client_grant(&c, 1);
    assert_true(client_txn(&c, NULL, 0, &op, 1).succeeded);
    (void)client_put(&c, "f/b", "gone");
    last = client_delete(&c, "f/b");
    client_end(&c);

    open_client(&c);
    a = client_range(&c, "f/");
    assert_int_equal(a.revision, last);
    assert_int_equal(a.kvs.n, 1);
    assert_int_equal(a.kvs.items[0].create_revision, made);
    assert_memory_equal(a.kvs.items[0].value, "one", 3);
    answer_free(&a);
    /* The history is not kept: a watch from before starts from the state. */
    (void)store_watch(c.store, "", made, &recorder_ops, &r);
    client_wait(&c, &r.resyncs, 1);
    assert_true(r.kvs.n >= 1);
    /* And the lease still ends, taking its key along. */
    client_wait(&c, &r.batches, 1);
    assert_string_equal(r.events.items[0].kv.key, "l/1");
    assert_int_equal(r.revision, last + 1);
    assert_int_equal(client_put(&c, "f/c", "x"), last + 2);
    client_end(&c);
    recorder_free(&r);
}

static void child_writes(int fd)
{
    struct client c;

    open_client(&c);
    for (int i = 0;; i++) {
        char value[16];
        int64_t revision;

        (void)snprintf(value, sizeof(value), "%d", i);
        revision = client_put(&c, "f/a", value);
        if (write(fd, &revision, sizeof(revision)) != sizeof(revision)) {
            _exit(1);
        }
    }
}

/* What was answered is there after a kill -9 in the middle of writing, ten times. */
static void survives_kill(void **state)
{
    int64_t seen = 0;

    for (int round = 0; round < 10; round++) {
        struct client c;
        struct answer a;
        int fds[2];
        pid_t pid;

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)close(fds[0]);
            child_writes(fds[1]);
        }
        (void)close(fds[1]);
        for (int i = 0; i <= round * 3; i++) {
            assert_int_equal(read(fds[0], &seen, sizeof(seen)), sizeof(seen));
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        while (read(fds[0], &seen, sizeof(seen)) == sizeof(seen)) {
        }
        (void)close(fds[0]);
        open_client(&c);
        a = client_range(&c, "f/a");
        assert_int_equal(a.kvs.n, 1);
        assert_true(a.kvs.items[0].mod_revision >= seen);
        assert_true(a.kvs.items[0].mod_revision <= seen + 1); /* done, not yet said */
        answer_free(&a);
        client_end(&c);
    }
}

/* One process, one file: the second controller is told so. */
static void refuses_second_opener(void **state)
{
    struct client c;

    open_client(&c);
    expect_refusal(-EBUSY, "in use by another process");
    (void)client_put(&c, "f/a", "still ours");
    client_end(&c);
}

static void sql(const char *text)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* A file that is no store is refused and left alone, with what to do. */
static void refuses_other_files(void **state)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    for (int i = 0; i < 100; i++) {
        assert_int_equal(write(fd, "This is not a database, it is text. ", 36), 36);
    }
    (void)close(fd);
    expect_refusal(-EBADMSG, "not a database");
    remove_store();
    sql("CREATE TABLE recipes (name TEXT)");
    expect_refusal(-EBADMSG, "choose another store.path");
}

/* A store of a later mayfly is not touched; nor is one whose rows make no sense. */
static void refuses_what_it_does_not_know(void **state)
{
    struct client c;

    open_client(&c);
    (void)client_put(&c, "f/a", "x");
    client_end(&c);
    sql("PRAGMA user_version = 99");
    expect_refusal(-EBADMSG, "format 99");
    sql("PRAGMA user_version = 1; UPDATE kv SET mod_revision = 1000000");
    expect_refusal(-EBADMSG, "a row makes no sense");
    sql("UPDATE kv SET mod_revision = 2; UPDATE revision SET value = 2");
    open_client(&c);
    client_end(&c);
}

/* A folder that is not there is named; the file is for the owner only. */
static void names_the_path(void **state)
{
    struct client c;
    struct stat st;
    char saved[sizeof(path)];

    (void)snprintf(saved, sizeof(saved), "%s", path);
    (void)snprintf(path, sizeof(path), "%s/none/store.db", dir);
    expect_refusal(-ENOENT, "create");
    (void)snprintf(path, sizeof(path), "%s", saved);
    open_client(&c);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    client_end(&c);
}

/* On a full disk a change fails as a whole with -ENOSPC, reading goes on, and with room
 * again so does writing. */
static void full_disk(void **state)
{
    static char value[60000];
    struct client c;
    struct store_op op = {
        .type = STORE_PUT, .value = value, .len = sizeof(value), .key = "f/0"};
    struct answer a = {0};
    char key[16];
    int64_t before = 0;
    size_t stored = 0;

    if (unshare(CLONE_NEWNS) < 0 || mount("", "/", "", MS_REC | MS_PRIVATE, "") < 0 ||
        mount("none", dir, "tmpfs", 0, "size=1m,mode=700") < 0) {
        print_message("# needs the right to mount: %s\n", strerror(errno));
        skip();
    }
    open_client(&c);
    memset(value, 'x', sizeof(value));
    for (op.key = key; a.status == 0 && stored < 100; stored++) {
        (void)snprintf(key, sizeof(key), "f/%03zu", stored);
        before = a.revision;
        a = client_txn(&c, NULL, 0, &op, 1);
    }
    stored--;
    assert_int_equal(a.status, -ENOSPC);
    assert_true(strstr(a.text, "full") != NULL);
    a = client_range(&c, "f/");
    assert_int_equal(a.status, 0);
    assert_int_equal(a.kvs.n, stored);
    assert_int_equal(a.revision, before);
    answer_free(&a);
    assert_int_equal(mount("none", dir, "tmpfs", MS_REMOUNT, "size=8m,mode=700"), 0);
    assert_int_equal(client_txn(&c, NULL, 0, &op, 1).status, 0);
    client_end(&c);
    open_client(&c);
    a = client_range(&c, "f/");
    assert_int_equal(a.kvs.n, stored + 1);
    answer_free(&a);
    client_end(&c);
    assert_int_equal(umount2(dir, MNT_DETACH), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct suite_engine engine = {.name = "store_sqlite",
                                               .open = open_store,
                                               .compact = compact,
                                               .cleanup = remove_store};
    const struct CMUnitTest tests[] = {
        TEST(reopened),
        TEST(survives_kill),
        TEST(refuses_second_opener),
        TEST(refuses_other_files),
        TEST(refuses_what_it_does_not_know),
        TEST(names_the_path),
        TEST(full_disk),
    };
#undef TEST
    int failed;

    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    (void)snprintf(path, sizeof(path), "%s/store.db", dir);
    failed = store_suite_run(&engine);
    failed += cmocka_run_group_tests_name("store_sqlite files", tests, NULL, NULL);
    (void)rmdir(dir);
    return failed;
}
