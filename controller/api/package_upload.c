/* An upload: bytes gather in `fill`; a worker takes them as `block`, hashes and writes
 * them, and at the end verifies and commits. At most one worker job at a time.
 *
 *   FILLING ◀──────▶ WRITING        fill full, or ended
 *      │                 │ all written
 *      │                 ▼
 *      │            COMMITTING ──▶ DONE
 *      └── closed, failed ──▶ (its file is removed by a last job) ──▶ freed
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/archive.h"
#include "common/buf.h"
#include "common/check.h"
#include "common/cleanup.h"
#include "common/write_all.h"
#include "controller/api/package_private.h"

#define BLOCK_BYTES (256 * 1024)
#define UPLOADS_MAX 32

enum job { JOB_WRITE, JOB_COMMIT, JOB_REMOVE };

struct package_upload {
    struct package_store *store;
    struct package_ref ref;
    void (*on_room)(void *data);
    void (*on_done)(void *data, const struct package_upload_result *r);
    void *data;
    struct buf fill;
    bool ended;   /* all was written into fill */
    bool lost;    /* but for what there was no memory for */
    bool waiting; /* the owner waits for on_room */
    bool done;    /* on_done was called, or will not be */
    bool closed;
    bool working; /* then what follows is the worker's */
    bool pinned;  /* these bytes are stored already: only compare */
    bool known;   /* and verified as this format */
    uv_work_t work;
    enum job job;
    struct buf block;
    int fd;
    bool has_file; /* the temporary one */
    char temp[64];
    char path[PATH_MAX];             /* of the temporary file, for archive_verify */
    char there[PATH_MAX];            /* pinned: the file that is stored */
    char name[SPEC_DIGEST_LEN + 16]; /* it shall have */
    EVP_MD_CTX *digest;
    uint64_t bytes;
    enum cause cause;
    struct error err;
};

/* --- on a worker -------------------------------------------------------------- */

static void fail(struct package_upload *u, int code, const char *what)
{
    bool full = code == -ENOSPC || code == -EDQUOT;

    u->cause = full ? CAUSE_DISK_FULL : CAUSE_INTERNAL;
    if (full) {
        (void)error_set(&u->err, code,
                        "the disk of the controller's state folder is full");
    } else {
        (void)error_set(&u->err, code, "%s: %s", what, strerror(-code));
    }
}

static void write_block(struct package_upload *u)
{
    int rc;

    if (u->lost) {
        fail(u, -ENOMEM, "upload");
        return;
    }
    if (EVP_DigestUpdate(u->digest, u->block.data, u->block.len) != 1) {
        fail(u, -EIO, "SHA-256");
        return;
    }
    u->bytes += u->block.len;
    if (u->pinned) {
        return;
    }
    if (u->fd < 0) {
        u->fd = openat(u->store->dir_fd, u->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
                       0640);
        if (u->fd < 0) {
            fail(u, -errno, "cannot make a file for the package");
            return;
        }
        u->has_file = true;
    }
    rc = write_all(u->fd, u->block.data, u->block.len);
    if (rc < 0) {
        fail(u, rc, "cannot write the package");
    }
}

static bool digest_matches(struct package_upload *u)
{
    unsigned char sum[SPEC_DIGEST_LEN / 2];
    char text[SPEC_DIGEST_LEN + 1];

    if (EVP_DigestFinal_ex(u->digest, sum, NULL) != 1) {
        fail(u, -EIO, "SHA-256");
        return false;
    }
    for (size_t i = 0; i < sizeof(sum); i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", sum[i]);
    }
    if (strcmp(text, u->ref.digest) != 0) {
        u->cause = CAUSE_PACKAGE_INVALID;
        (void)error_set(&u->err, -EBADMSG,
                        "the body's SHA-256 is %s, not the digest in the path", text);
        return false;
    }
    return true;
}

static bool content_is_good(struct package_upload *u, const char *path)
{
    int rc = archive_verify(path, u->ref.format, u->ref.file_name,
                            &archive_limits_default, &u->err);

    if (rc == -EBADMSG) {
        u->cause = CAUSE_PACKAGE_INVALID;
    } else if (rc < 0) {
        u->cause = CAUSE_INTERNAL;
    }
    return rc == 0;
}

/* Whole or absent, and durable before anybody is told: file, then name, then folder. */
static void commit(struct package_upload *u)
{
    int dir = u->store->dir_fd;
    int rc;

    if (!u->pinned && u->fd < 0) {
        write_block(u); /* nothing: a file of no bytes */
    }
    if (u->cause != CAUSE_NONE || !digest_matches(u)) {
        return;
    }
    if (u->known || !content_is_good(u, u->pinned ? u->there : u->path)) {
        return;
    }
    if (u->pinned) {
        rc = linkat(AT_FDCWD, u->there, dir, u->name, 0);
        rc = rc < 0 && errno != EEXIST ? -errno : 0;
    } else {
        rc = fsync(u->fd) < 0 || renameat(dir, u->temp, dir, u->name) < 0 ? -errno : 0;
        u->has_file = rc < 0;
    }
    rc = rc == 0 && fsync(dir) < 0 ? -errno : rc;
    if (rc < 0) {
        fail(u, rc, "cannot store the package");
    }
}

static void work_cb(uv_work_t *work)
{
    struct package_upload *u = container_of(work, struct package_upload, work);

    switch (u->job) {
    case JOB_WRITE:
        write_block(u);
        break;
    case JOB_COMMIT:
        commit(u);
        break;
    case JOB_REMOVE:
    default:
        (void)unlinkat(u->store->dir_fd, u->temp, 0);
        u->has_file = false;
        break;
    }
    if (u->fd >= 0 && (u->job != JOB_WRITE || u->cause != CAUSE_NONE)) {
        (void)close(u->fd);
        u->fd = -1;
    }
}

/* --- on the loop -------------------------------------------------------------- */

static void reap(struct package_upload *u);

static void upload_free(struct package_upload *u)
{
    struct package_store *s = u->store;

    if (u->pinned) {
        package_store_unpin(s, u->ref.digest);
    }
    if (u->fd >= 0) {
        (void)close(u->fd);
    }
    EVP_MD_CTX_free(u->digest);
    buf_free(&u->fill);
    buf_free(&u->block);
    s->n_uploads--;
    free(u);
}

static void finish(struct package_upload *u)
{
    struct package_upload_result r = {
        .cause = u->cause,
        .text = u->err.text,
        .bytes = u->bytes,
    };

    u->done = true;
    if (r.cause == CAUSE_NONE) {
        r.created = !package_store_has(u->store, u->ref.digest, u->ref.format);
        if (package_note(u->store, u->ref.digest, u->ref.format, u->bytes) == NULL) {
            r.cause = CAUSE_INTERNAL;
            r.text = "out of memory";
        }
    }
    u->on_done(u->data, &r); /* may close, which does not free before this returns */
}

static void after_cb(uv_work_t *work, int status)
{
    struct package_upload *u = container_of(work, struct package_upload, work);
    bool committed = u->job == JOB_COMMIT;

    u->block.len = 0;
    if (!u->done && !u->closed && (u->cause != CAUSE_NONE || committed)) {
        finish(u);
    } else if (committed && u->cause == CAUSE_NONE) { /* nobody hears of it any more */
        (void)package_note(u->store, u->ref.digest, u->ref.format, u->bytes);
    }
    u->working = false;
    reap(u);
}

static void start(struct package_upload *u, enum job job)
{
    u->job = job;
    u->working = true;
    CHECK(uv_queue_work(u->store->loop, &u->work, work_cb, after_cb) == 0);
}

static void advance(struct package_upload *u)
{
    bool over = u->closed || u->done;

    if (u->working) {
        return;
    }
    if (over && u->has_file) {
        start(u, JOB_REMOVE);
    } else if (!over &&
               (u->lost || u->fill.len >= BLOCK_BYTES || (u->ended && u->fill.len > 0))) {
        struct buf empty = u->block;

        u->block = u->fill;
        u->fill = empty;
        start(u, JOB_WRITE);
        if (u->waiting) {
            u->waiting = false;
            u->on_room(u->data);
        }
    } else if (!over && u->ended) {
        start(u, JOB_COMMIT);
    }
}

/* Goes on, or is no more. */
static void reap(struct package_upload *u)
{
    advance(u);
    if (u->closed && !u->working) {
        upload_free(u);
    }
}

int package_upload_new(struct package_upload **ret, struct package_store *s,
                       const struct package_ref *ref, void (*on_room)(void *data),
                       void (*on_done)(void *data, const struct package_upload_result *r),
                       void *data)
{
    struct package_upload *u;

    if (s->n_uploads >= UPLOADS_MAX) {
        return -EBUSY;
    }
    u = calloc(1, sizeof(*u));
    if (u == NULL) {
        return -ENOMEM;
    }
    u->digest = EVP_MD_CTX_new();
    if (u->digest == NULL || EVP_DigestInit_ex(u->digest, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(u->digest);
        free(u);
        return -ENOMEM;
    }
    u->store = s;
    u->ref = *ref;
    u->fd = -1;
    u->on_room = on_room;
    u->on_done = on_done;
    u->data = data;
    (void)snprintf(u->temp, sizeof(u->temp), PACKAGE_UPLOAD_PREFIX "%d-%llu", getpid(),
                   (unsigned long long)++s->last_upload);
    (void)snprintf(u->name, sizeof(u->name), "%s.%s", ref->digest,
                   spec_format_name(ref->format));
    (void)snprintf(u->path, sizeof(u->path), "%s/%s", s->dir, u->temp);
    if (package_store_path(s, ref->digest, u->there)) {
        u->pinned = true;
        u->known = package_store_has(s, ref->digest, ref->format);
        package_store_pin(s, ref->digest);
    }
    s->n_uploads++;
    *ret = u;
    return 0;
}

bool package_upload_write(struct package_upload *u, const void *data, size_t len)
{
    if (u->done) {
        return true; /* it has failed: nobody reads this */
    }
    if (buf_append(&u->fill, data, len) < 0) {
        u->lost = true;
    }
    advance(u);
    u->waiting = u->fill.len >= BLOCK_BYTES;
    return !u->waiting;
}

void package_upload_end(struct package_upload *u)
{
    u->ended = true;
    advance(u);
}

void package_upload_close(struct package_upload *u)
{
    if (u != NULL && !u->closed) {
        u->closed = true;
        reap(u);
    }
}
