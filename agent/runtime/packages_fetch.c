/* Fetching a package, checking and unpacking it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/runtime/packages_private.h"
#include "common/archive.h"
#include "common/check.h"
#include "common/random.h"

/* --- the end of a step ---------------------------------------------------------- */

static void fail(struct package_item *i, enum cause cause)
{
    i->state = PACKAGE_FAILED;
    i->cause = cause;
}

static void close_tmp(struct package_item *i)
{
    if (i->fd >= 0) {
        (void)close(i->fd);
        i->fd = -1;
    }
    if (i->tmp[0] != '\0') {
        (void)unlink(i->tmp);
        i->tmp[0] = '\0';
    }
    EVP_MD_CTX_free(i->sum);
    i->sum = NULL;
}

/* Reports, retries or forgets, when neither network nor worker holds the item. */
static void settle(struct package_item *i)
{
    struct packages *p = i->packages;

    close_tmp(i);
    if (i->dropped || p->closing) {
        if (i->dropped && i->state == PACKAGE_READY) {
            package_remove(p, i->dest);
        }
        package_item_free(i);
    } else if (i->retry) {
        i->retry = false;
        i->state = PACKAGE_WAITING;
        i->retry_ms = uv_now(p->loop) + backoff_next_ms(&i->backoff, random_u64());
    } else if (i->state == PACKAGE_READY) {
        p->options.on_ready(p->options.data, i->ref.digest);
    } else if (i->state == PACKAGE_FAILED) {
        p->options.on_failed(p->options.data, i->ref.digest, i->cause, i->error.text);
    }
    if (p->closing) {
        packages_closed_check(p);
    } else {
        packages_poke(p, 0);
    }
}

/* --- unpacking, on a worker thread ------------------------------------------------ */

static enum cause cause_of(int rc)
{
    return rc == -EBADMSG                   ? CAUSE_PACKAGE_INVALID
           : rc == -ENOSPC || rc == -EDQUOT ? CAUSE_DISK_FULL
                                            : CAUSE_INTERNAL;
}

static void unpack_work(uv_work_t *work)
{
    struct package_item *i = container_of(work, struct package_item, work);
    int rc;

    if (fsync(i->fd) < 0) {
        rc = error_set_errno(&i->error, -errno, "write %s", i->tmp);
    } else {
        rc = archive_unpack(i->tmp, i->ref.format, i->ref.file_name, i->dest, NULL,
                            &i->error);
    }
    i->error.code = rc == -EEXIST ? 0 : rc; /* it is there: as whole as ours would be */
}

static void unpacked_cb(uv_work_t *work, int status)
{
    struct package_item *i = container_of(work, struct package_item, work);

    i->packages->n_working--;
    if (status == 0 && i->error.code == 0) {
        i->state = PACKAGE_READY;
    } else {
        fail(i, cause_of(i->error.code));
    }
    settle(i);
}

static void unpack(struct package_item *i)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    char hex[SPEC_DIGEST_LEN + 1];

    CHECK(EVP_DigestFinal_ex(i->sum, sum, NULL) == 1);
    for (size_t n = 0; n < SPEC_DIGEST_LEN / 2; n++) {
        (void)snprintf(hex + 2 * n, 3, "%02x", sum[n]);
    }
    if (strcmp(hex, i->ref.digest) != 0) {
        (void)error_set(&i->error, -EBADMSG,
                        "the package's SHA-256 is %s and not its digest", hex);
        fail(i, CAUSE_PACKAGE_INVALID);
        settle(i);
        return;
    }
    i->state = PACKAGE_UNPACKING;
    i->packages->n_working++;
    CHECK(uv_queue_work(i->packages->loop, &i->work, unpack_work, unpacked_cb) == 0);
}

static void present_work(uv_work_t *work)
{
    struct package_item *i = container_of(work, struct package_item, work);

    i->error.code = 0;
}

void package_present(struct package_item *i)
{
    i->state = PACKAGE_UNPACKING;
    i->packages->n_working++;
    CHECK(uv_queue_work(i->packages->loop, &i->work, present_work, unpacked_cb) == 0);
}

/* --- fetching --------------------------------------------------------------------- */

static void on_response(struct http_call *call, int status, struct http_headers headers,
                        uint64_t content_length)
{
    struct package_item *i = http_call_data(call);

    (void)headers;
    if (status == 404) {
        /* It may be on its way to the controller's disk: retried like an outage. */
        (void)error_set(&i->error, -ENOENT, "the controller does not have the package");
        i->retry = true;
    } else if (status != 200) {
        (void)error_set(&i->error, -EAGAIN, "the controller answered %d", status);
        i->retry = true;
    } else if (content_length != HTTP_BODY_CHUNKED && i->ref.bytes != 0 &&
               content_length != i->ref.bytes) {
        (void)error_set(&i->error, -EBADMSG, "the package has %llu bytes instead of %llu",
                        (unsigned long long)content_length,
                        (unsigned long long)i->ref.bytes);
        fail(i, CAUSE_PACKAGE_INVALID);
    }
    if (i->retry || i->state == PACKAGE_FAILED) {
        http_call_cancel(call);
    }
}

static void on_body(struct http_call *call, const char *data, size_t len)
{
    struct package_item *i = http_call_data(call);

    if (i->retry || i->state == PACKAGE_FAILED || i->dropped) {
        return;
    }
    i->got_bytes += len;
    if (i->ref.bytes != 0 && i->got_bytes > i->ref.bytes) {
        (void)error_set(&i->error, -EBADMSG, "the package is longer than %llu bytes",
                        (unsigned long long)i->ref.bytes);
        fail(i, CAUSE_PACKAGE_INVALID);
        http_call_cancel(call);
        return;
    }
    CHECK(EVP_DigestUpdate(i->sum, data, len) == 1);
    while (len > 0) {
        /* Into the page cache; the flush that waits for the disk is the worker's. */
        ssize_t n = write(i->fd, data, len);

        if (n < 0 && errno != EINTR) {
            int rc = error_set_errno(&i->error, -errno, "write package");

            fail(i, cause_of(rc));
            http_call_cancel(call);
            return;
        }
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

static void on_close(struct http_call *call, int status)
{
    struct package_item *i = http_call_data(call);

    i->call = NULL;
    i->packages->n_working--;
    if (status < 0 && i->state != PACKAGE_FAILED) {
        i->retry = true;
    }
    if (i->retry || i->state == PACKAGE_FAILED || i->dropped || i->packages->closing) {
        settle(i);
    } else {
        unpack(i);
    }
}

static const struct http_call_ops fetch_ops = {
    .on_response = on_response,
    .on_body = on_body,
    .on_close = on_close,
};

static int open_tmp(struct package_item *i)
{
    (void)snprintf(i->tmp, sizeof(i->tmp), "%s/.fetch-%s", i->packages->dir,
                   i->ref.digest);
    i->fd = open(i->tmp, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (i->fd < 0) {
        return error_set_errno(&i->error, -errno, "create %s", i->tmp);
    }
    i->sum = EVP_MD_CTX_new();
    if (i->sum == NULL || EVP_DigestInit_ex(i->sum, EVP_sha256(), NULL) != 1) {
        return error_set(&i->error, -ENOMEM, "out of memory");
    }
    i->got_bytes = 0;
    return 0;
}

void package_fetch(struct package_item *i)
{
    struct packages *p = i->packages;
    char target[256];
    int rc = open_tmp(i);

    if (rc < 0) {
        fail(i, cause_of(rc));
        settle(i);
        return;
    }
    (void)snprintf(target, sizeof(target), "%s/v1/packages/%s", p->base_path,
                   i->ref.digest);
    i->state = PACKAGE_FETCHING;
    p->n_working++;
    rc = http_call_start(p->client, &i->call, HTTP_STR("GET"), http_str(target),
                         (struct http_headers){0}, NULL, 0, &fetch_ops, i);
    if (rc < 0) {
        p->n_working--;
        i->retry = true;
        settle(i);
    }
}
