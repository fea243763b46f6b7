/* The SQLite engine: the state lives in memory (state.h) and each change is committed to
 * a database before it is made. WAL, synchronous=FULL: a commit survives a crash. One
 * process has the file to itself. The connection belongs to the worker thread once it
 * runs. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "controller/store/local.h"

#define APPLICATION_ID     0x6d617966 /* "mayf": what file(1) and we know our files by */
#define SCHEMA_VERSION     1
#define REQUEST_TIMEOUT_MS 5000
#define BUSY_TIMEOUT_MS    1000 /* for a predecessor that is just ending */

#define XSTR_(x) #x
#define XSTR(x)  XSTR_(x)

static const char schema[] =
    "BEGIN;"
    "CREATE TABLE kv (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL,"
    " create_revision INTEGER NOT NULL, mod_revision INTEGER NOT NULL,"
    " lease INTEGER NOT NULL);"
    "CREATE TABLE lease (id INTEGER PRIMARY KEY NOT NULL, ttl_s INTEGER NOT NULL);"
    "CREATE TABLE revision (only_row INTEGER PRIMARY KEY CHECK (only_row = 1),"
    " value INTEGER NOT NULL);"
    "INSERT INTO revision VALUES (1, 1);"
    "PRAGMA application_id = " XSTR(APPLICATION_ID) ";"
                                                    "PRAGMA user_version = " XSTR(
                                                        SCHEMA_VERSION) ";"
                                                                        "COMMIT;";

/* Every statement that a change may need, prepared once. */
#define STATEMENTS(X)                                               \
    X(BEGIN, "BEGIN IMMEDIATE")                                     \
    X(COMMIT, "COMMIT")                                             \
    X(ROLLBACK, "ROLLBACK")                                         \
    X(PUT, "INSERT OR REPLACE INTO kv VALUES (?1, ?2, ?3, ?4, ?5)") \
    X(DELETE, "DELETE FROM kv WHERE key = ?1")                      \
    X(REVISION, "UPDATE revision SET value = ?1")                   \
    X(LEASE_ADD, "INSERT INTO lease VALUES (?1, ?2)")               \
    X(LEASE_DELETE, "DELETE FROM lease WHERE id = ?1")

enum {
#define X(name, sql) STATEMENT_##name,
    STATEMENTS(X)
#undef X
        STATEMENT_COUNT
};

static const char *const statement_sql[STATEMENT_COUNT] = {
#define X(name, sql) sql,
    STATEMENTS(X)
#undef X
};

struct database {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *statements[STATEMENT_COUNT];
};

static void database_free(void *data)
{
    struct database *d = data;

    if (d == NULL) {
        return;
    }
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        (void)sqlite3_finalize(d->statements[i]);
    }
    (void)sqlite3_close(d->db); /* takes NULL; also writes the log back */
    free(d->path);
    free(d);
}

static int fail(struct database *d, struct error *err)
{
    int code = sqlite3_extended_errcode(d->db);
    int rc = -EIO;

    switch (code & 0xff) {
    case SQLITE_FULL:
        rc = -ENOSPC;
        break;
    case SQLITE_NOMEM:
        rc = -ENOMEM;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(err, -EBUSY,
                         "%s is in use by another process: one controller per file",
                         d->path);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        rc = -EBADMSG;
        break;
    case SQLITE_READONLY:
        rc = -EROFS;
        break;
    case SQLITE_CANTOPEN:
        rc = sqlite3_system_errno(d->db) > 0 ? -sqlite3_system_errno(d->db) : -EIO;
        return error_set_errno(err, rc, "open %s", d->path);
    default:
        break;
    }
    return error_set(err, rc, "%s: %s", d->path, sqlite3_errmsg(d->db));
}

/* Runs the statement, whose parameters are bound, to its end. */
static int run(struct database *d, int which, struct error *err)
{
    sqlite3_stmt *st = d->statements[which];
    int code = sqlite3_step(st);
    int rc = code == SQLITE_DONE ? 0 : fail(d, err);

    (void)sqlite3_reset(st);
    (void)sqlite3_clear_bindings(st);
    return rc;
}

static int run_with(struct database *d, int which, int64_t a, int64_t b,
                    struct error *err)
{
    sqlite3_stmt *st = d->statements[which];

    if (sqlite3_bind_int64(st, 1, a) != SQLITE_OK ||
        (sqlite3_bind_parameter_count(st) > 1 &&
         sqlite3_bind_int64(st, 2, b) != SQLITE_OK)) {
        return fail(d, err);
    }
    return run(d, which, err);
}

static int save_event(struct database *d, const struct store_event *e, int64_t lease,
                      struct error *err)
{
    bool put = e->type == STORE_EVENT_PUT;
    int which = put ? STATEMENT_PUT : STATEMENT_DELETE;
    sqlite3_stmt *st = d->statements[which];
    int code = sqlite3_bind_text(st, 1, e->kv.key, -1, SQLITE_STATIC);

    if (put && code == SQLITE_OK) {
        code = sqlite3_bind_blob(st, 2, e->kv.value, (int)e->kv.len, SQLITE_STATIC);
    }
    if (put && code == SQLITE_OK) {
        code = sqlite3_bind_int64(st, 3, e->kv.create_revision);
    }
    if (put && code == SQLITE_OK) {
        code = sqlite3_bind_int64(st, 4, e->kv.mod_revision);
    }
    if (put && code == SQLITE_OK) {
        code = sqlite3_bind_int64(st, 5, lease);
    }
    return code == SQLITE_OK ? run(d, which, err) : fail(d, err);
}

static int save_parts(struct database *d, const struct state_change *c, struct error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < c->n_events; i++) {
        rc = save_event(d, &c->events[i], c->leases[i], err);
    }
    if (rc == 0 && c->n_events > 0) {
        rc = run_with(d, STATEMENT_REVISION, c->revision, 0, err);
    }
    if (rc == 0 && c->lease_added != 0) {
        rc = run_with(d, STATEMENT_LEASE_ADD, c->lease_added, c->lease_ttl_s, err);
    }
    if (rc == 0 && c->lease_gone != 0) {
        rc = run_with(d, STATEMENT_LEASE_DELETE, c->lease_gone, 0, err);
    }
    return rc;
}

static int save(void *data, const struct state_change *change, struct error *err)
{
    struct database *d = data;
    int rc = run(d, STATEMENT_BEGIN, err);

    if (rc < 0) {
        return rc;
    }
    rc = save_parts(d, change, err);
    if (rc == 0) {
        rc = run(d, STATEMENT_COMMIT, err);
        if (rc == -EIO) {
            /* The log may or may not be on the disk: only a restart would tell. */
            rc = error_wrap(err, -EINPROGRESS, "outcome unknown");
        }
    }
    if (rc < 0 && sqlite3_get_autocommit(d->db) == 0) {
        (void)run(d, STATEMENT_ROLLBACK, NULL);
    }
    return rc;
}

static int exec(struct database *d, const char *sql, struct error *err)
{
    return sqlite3_exec(d->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(d, err);
}

/* The first column of the first row; "" if there is none. */
static int query_text(struct database *d, const char *sql, char *ret, size_t size,
                      struct error *err)
{
    sqlite3_stmt *st = NULL;
    int code;
    int rc = 0;

    ret[0] = '\0';
    if (sqlite3_prepare_v2(d->db, sql, -1, &st, NULL) != SQLITE_OK) {
        return fail(d, err);
    }
    code = sqlite3_step(st);
    if (code == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(st, 0);

        (void)snprintf(ret, size, "%s", text != NULL ? (const char *)text : "");
    } else if (code != SQLITE_DONE) {
        rc = fail(d, err);
    }
    (void)sqlite3_finalize(st);
    return rc;
}

static int query_int(struct database *d, const char *sql, int64_t *ret, struct error *err)
{
    char text[32];
    int rc = query_text(d, sql, text, sizeof(text), err);

    if (rc == 0) {
        *ret = strtoll(text, NULL, 10);
    }
    return rc;
}

/* Makes the tables in a new file; refuses one that is not ours or is damaged. */
static int check_schema(struct database *d, struct error *err)
{
    int64_t id = 0;
    int64_t version = 0;
    int64_t tables = 0;
    char verdict[128];
    int rc = query_int(d, "PRAGMA application_id", &id, err);

    if (rc == 0) {
        rc = query_int(d, "PRAGMA user_version", &version, err);
    }
    if (rc == 0) {
        rc = query_int(d, "SELECT count(*) FROM sqlite_schema", &tables, err);
    }
    if (rc == 0 && id == 0 && tables == 0) {
        return exec(d, schema, err);
    }
    if (rc == 0 && id != APPLICATION_ID) {
        return error_set(err, -EBADMSG,
                         "%s is a database of something else: choose another store.path",
                         d->path);
    }
    if (rc == 0 && version != SCHEMA_VERSION) {
        return error_set(err, -EBADMSG,
                         "%s has format %lld, this mayfly knows %d: install a newer one",
                         d->path, (long long)version, SCHEMA_VERSION);
    }
    if (rc == 0) {
        rc = query_text(d, "PRAGMA quick_check(1)", verdict, sizeof(verdict), err);
    }
    if (rc == 0 && strcmp(verdict, "ok") != 0) {
        return error_set(err, -EBADMSG, "%s is damaged: %s", d->path, verdict);
    }
    return rc;
}

static int load_row_kv(struct state *s, sqlite3_stmt *st)
{
    const char *key = (const char *)sqlite3_column_text(st, 0);
    struct store_kv kv = {.key = key != NULL ? key : "",
                          .value = sqlite3_column_blob(st, 1),
                          .len = (size_t)sqlite3_column_bytes(st, 1),
                          .create_revision = sqlite3_column_int64(st, 2),
                          .mod_revision = sqlite3_column_int64(st, 3)};

    return state_load_kv(s, &kv, sqlite3_column_int64(st, 4));
}

static int load_row_lease(struct state *s, sqlite3_stmt *st)
{
    int64_t ttl_s = sqlite3_column_int64(st, 1);

    if (ttl_s <= 0 || ttl_s > UINT32_MAX) {
        return -EBADMSG;
    }
    return state_load_lease(s, sqlite3_column_int64(st, 0), (uint32_t)ttl_s,
                            clock_mono_ms());
}

static int load_row_revision(struct state *s, sqlite3_stmt *st)
{
    return state_load_revision(s, sqlite3_column_int64(st, 0));
}

static int load_rows(struct database *d, struct state *s, const char *sql,
                     int (*load)(struct state *s, sqlite3_stmt *st), struct error *err)
{
    sqlite3_stmt *st = NULL;
    int code;
    int rc = 0;

    if (sqlite3_prepare_v2(d->db, sql, -1, &st, NULL) != SQLITE_OK) {
        return fail(d, err);
    }
    while (rc == 0 && (code = sqlite3_step(st)) == SQLITE_ROW) {
        rc = load(s, st);
        if (rc < 0) {
            (void)error_set_errno(err, rc, "%s: a row makes no sense", d->path);
        }
    }
    if (rc == 0 && code != SQLITE_DONE) {
        rc = fail(d, err);
    }
    (void)sqlite3_finalize(st);
    return rc;
}

static int load_all(struct database *d, struct state *s, struct error *err)
{
    int rc = load_rows(d, s, "SELECT * FROM kv ORDER BY key", load_row_kv, err);

    if (rc == 0) {
        rc = load_rows(d, s, "SELECT * FROM lease", load_row_lease, err);
    }
    if (rc == 0) {
        rc = load_rows(d, s, "SELECT value FROM revision", load_row_revision, err);
    }
    return rc;
}

/* Values may be secrets, so the file is ours alone before SQLite sees it; and its name
 * must be as durable as what is in it. */
static int make_file(const char *path, struct error *err)
{
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    _cleanup_close_ int dir = -1;
    _cleanup_free_ char *copy = NULL;

    if (fd < 0) {
        return errno == EEXIST ? 0 : error_set_errno(err, -errno, "create %s", path);
    }
    copy = strdup(path);
    if (copy == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fsync(dir) < 0) {
        return error_set_errno(err, -errno, "sync the folder of %s", path);
    }
    return 0;
}

static int open_database(struct database *d, struct error *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    int rc = make_file(d->path, err);

    if (rc < 0) {
        return rc;
    }
    if (sqlite3_open_v2(d->path, &d->db, flags, NULL) != SQLITE_OK) {
        return d->db == NULL ? error_set(err, -ENOMEM, "out of memory") : fail(d, err);
    }
    (void)sqlite3_extended_result_codes(d->db, 1);
    (void)sqlite3_busy_timeout(d->db, BUSY_TIMEOUT_MS);
    rc = exec(d,
              "PRAGMA locking_mode=EXCLUSIVE;"
              "PRAGMA journal_mode=WAL;"
              "PRAGMA synchronous=FULL;"
              "BEGIN IMMEDIATE; COMMIT;", /* takes the lock */
              err);
    if (rc == 0) {
        rc = check_schema(d, err);
    }
    for (size_t i = 0; rc == 0 && i < STATEMENT_COUNT; i++) {
        if (sqlite3_prepare_v3(d->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &d->statements[i], NULL) != SQLITE_OK) {
            rc = fail(d, err);
        }
    }
    return rc;
}

int store_sqlite_new(struct store **ret, uv_loop_t *loop, const char *path,
                     struct error *err)
{
    struct local_options options = {.name = "sqlite",
                                    .threaded = true,
                                    .request_timeout_ms = REQUEST_TIMEOUT_MS,
                                    .on_end = database_free,
                                    .persist = {.save = save}};
    struct database *d = calloc(1, sizeof(*d));
    struct state *state = NULL;
    int rc;

    if (d == NULL || (d->path = strdup(path)) == NULL) {
        free(d);
        return error_set(err, -ENOMEM, "out of memory");
    }
    options.persist.data = d;
    rc = open_database(d, err);
    if (rc == 0 && (rc = state_new(&state, &options.persist)) < 0) {
        rc = error_set(err, rc, "out of memory");
    }
    if (rc == 0) {
        rc = load_all(d, state, err);
    }
    if (rc < 0) {
        (void)state_free(state);
        database_free(d);
        return error_wrap(err, rc, "open store");
    }
    return local_new(ret, loop, state, &options, err);
}
