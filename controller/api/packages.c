/* /v1/packages/{digest} */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/api/api_private.h"

#define READ_BYTES (128 * 1024)

static bool digest_param(struct api_request *r, const char **ret)
{
    *ret = r->match.params[0];
    if (spec_digest_valid(*ret)) {
        return true;
    }
    api_fail(r, &(struct api_error){.cause = CAUSE_BAD_REQUEST, .field = "digest"},
             "digest is \"%.80s\"; give a SHA-256 in 64 lower-case hex digits", *ret);
    return false;
}

/* --- down --------------------------------------------------------------------- */

/*   OPEN ──▶ READ ──▶ write ──▶ READ … ──▶ end      one file operation at a time */
struct download {
    struct api_request *request;
    char digest[SPEC_DIGEST_LEN + 1];
    uv_fs_t req;
    uv_file fd;
    uint64_t bytes;
    uint64_t at;
    bool busy; /* an operation is under way; it holds the request */
    char *data;
};

static void download_read(struct download *d);

static void download_free(struct download *d)
{
    package_store_unpin(d->request->api->packages, d->digest);
    if (d->fd >= 0) {
        (void)close(d->fd);
    }
    free(d->data);
    free(d);
}

static void download_fail(struct download *d, int status)
{
    struct api_request *r = d->request;

    if (r->x == NULL) {
        return;
    }
    if (http_exchange_responded(r->x)) {
        http_exchange_abort(r->x); /* half of it is out: it cannot be taken back */
    } else {
        api_fail(r, &(struct api_error){.cause = CAUSE_INTERNAL},
                 "cannot read the package: %s", uv_strerror(status));
    }
}

/* The end of an operation. False: the request has gone meanwhile, and with it d. */
static bool download_back(struct download *d)
{
    struct api_request *r = d->request;
    bool gone = r->x == NULL;

    d->busy = false;
    uv_fs_req_cleanup(&d->req);
    if (gone) {
        download_free(d);
        r->state = NULL;
    }
    api_request_release(r);
    return !gone;
}

static void read_cb(uv_fs_t *req)
{
    struct download *d = container_of(req, struct download, req);
    ssize_t n = req->result;

    if (!download_back(d)) {
        return;
    }
    if (n <= 0) {
        download_fail(d, n < 0 ? (int)n : UV_EIO);
        return;
    }
    d->at += (uint64_t)n;
    if (http_exchange_write(d->request->x, d->data, (size_t)n) < 0) {
        http_exchange_abort(d->request->x);
    } else if (d->at == d->bytes) {
        (void)http_exchange_end(d->request->x, (struct http_headers){NULL, 0});
    } else if (http_exchange_pending(d->request->x) < HTTP_HIGH_WATER) {
        download_read(d);
    }
}

static void download_read(struct download *d)
{
    struct api_request *r = d->request;
    uint64_t left = d->bytes - d->at;
    uv_buf_t buf =
        uv_buf_init(d->data, (unsigned)(left < READ_BYTES ? left : READ_BYTES));
    int rc = uv_fs_read(r->api->loop, &d->req, d->fd, &buf, 1, (int64_t)d->at, read_cb);

    if (rc < 0) {
        download_fail(d, rc);
        return;
    }
    d->busy = true;
    api_request_hold(r);
}

static void open_cb(uv_fs_t *req)
{
    struct download *d = container_of(req, struct download, req);
    int rc = (int)req->result;

    d->fd = rc >= 0 ? rc : -1;
    if (!download_back(d)) {
        return;
    }
    if (rc < 0) {
        download_fail(d, rc);
    } else if (api_reply_begin(d->request, 200, "application/octet-stream", d->bytes) <
               0) {
        http_exchange_abort(d->request->x);
    } else if (d->bytes == 0) {
        (void)http_exchange_end(d->request->x, (struct http_headers){NULL, 0});
    } else {
        download_read(d);
    }
}

static void download_drain(struct api_request *r)
{
    struct download *d = r->state;

    if (!d->busy && d->fd >= 0 && d->at < d->bytes) {
        download_read(d);
    }
}

static void download_gone(struct api_request *r)
{
    struct download *d = r->state;

    if (d != NULL && !d->busy) {
        download_free(d);
        r->state = NULL;
    }
}

static const struct api_request_ops download_ops = {
    .on_drain = download_drain,
    .on_gone = download_gone,
};

static void download_begin(struct api_request *r, const char *digest, uint64_t bytes)
{
    struct download *d = calloc(1, sizeof(*d));
    char path[PATH_MAX];
    int rc = -ENOMEM;

    if (d == NULL || (d->data = malloc(READ_BYTES)) == NULL) {
        free(d);
        api_fail(r, &(struct api_error){.cause = CAUSE_INTERNAL}, "out of memory");
        return;
    }
    d->request = r;
    d->fd = -1;
    d->bytes = bytes;
    memcpy(d->digest, digest, sizeof(d->digest));
    package_store_pin(r->api->packages, digest);
    r->state = d;
    r->ops = &download_ops;
    if (package_store_path(r->api->packages, digest, path)) {
        rc = uv_fs_open(r->api->loop, &d->req, path, O_RDONLY | O_CLOEXEC, 0, open_cb);
    }
    if (rc < 0) {
        download_fail(d, rc);
        return;
    }
    d->busy = true;
    api_request_hold(r);
}

void api_get_package(struct api_request *r)
{
    const char *digest;
    uint64_t bytes;

    if (!digest_param(r, &digest)) {
        return;
    }
    if (!package_store_find(r->api->packages, digest, &bytes)) {
        api_fail(r,
                 &(struct api_error){.cause = CAUSE_NOT_FOUND,
                                     .fix = "upload it with PUT /v1/packages/{digest}"},
                 "there is no package %s", digest);
        return;
    }
    package_store_touch(r->api->packages, digest);
    if (!api_request_is_head(r)) {
        download_begin(r, digest, bytes);
    } else if (api_reply_begin(r, 200, "application/octet-stream", bytes) == 0) {
        (void)http_exchange_end(r->x, (struct http_headers){NULL, 0});
    }
}

/* --- up ----------------------------------------------------------------------- */

struct up {
    struct package_upload *upload;
    struct package_ref ref;
    uint64_t seen;
    bool ended;       /* the body */
    enum cause cause; /* it has failed before that */
    char text[ERROR_TEXT_MAX];
};

static void up_room(void *data)
{
    struct api_request *r = data;

    if (r->x != NULL) {
        http_exchange_resume(r->x);
    }
}

static void up_refuse(struct api_request *r)
{
    const struct up *u = r->state;

    api_fail(r, &(struct api_error){.cause = u->cause}, "package refused: %s", u->text);
}

/* A failure is told when the body has come to its end: many clients do not listen before
 * they have sent it all, and a connection that is closed on them tells them nothing. */
static void up_done(void *data, const struct package_upload_result *result)
{
    struct api_request *r = data;
    struct up *u = r->state;

    if (r->x == NULL) {
        return;
    }
    if (result->cause != CAUSE_NONE) {
        u->cause = result->cause;
        (void)snprintf(u->text, sizeof(u->text), "%s", result->text);
        if (u->ended) {
            up_refuse(r);
        } else {
            http_exchange_resume(r->x);
        }
        return;
    }
    api_reply_json(r, result->created ? 201 : 200,
                   json_pack("{s:s, s:I, s:s, s:s}", "digest", u->ref.digest, "bytes",
                             (json_int_t)result->bytes, "format",
                             spec_format_name(u->ref.format), "file_name",
                             u->ref.file_name));
}

static void up_too_large(struct api_request *r)
{
    api_fail(r,
             &(struct api_error){.cause = CAUSE_PAYLOAD_TOO_LARGE,
                                 .fix = "make it smaller, or raise packages.max_bytes in "
                                        "the controller's configuration"},
             "the package is over %llu bytes",
             (unsigned long long)r->api->options.package_max_bytes);
}

static void up_body(struct api_request *r, const char *data, size_t len)
{
    struct up *u = r->state;

    u->seen += len;
    if (u->seen > r->api->options.package_max_bytes) {
        up_too_large(r);
    } else if (!package_upload_write(u->upload, data, len)) {
        http_exchange_pause(r->x);
    }
}

static void up_end(struct api_request *r)
{
    struct up *u = r->state;

    u->ended = true;
    if (u->cause != CAUSE_NONE) {
        up_refuse(r);
    } else {
        package_upload_end(u->upload);
    }
}

static void up_gone(struct api_request *r)
{
    struct up *u = r->state;

    if (u != NULL) {
        package_upload_close(u->upload);
        free(u);
        r->state = NULL;
    }
}

static const struct api_request_ops up_ops = {
    .on_body = up_body,
    .on_end = up_end,
    .on_gone = up_gone,
};

/* What the client says that it is: both are needed to verify it. */
static bool up_params(struct api_request *r, struct package_ref *ret)
{
    const char *format = input_query_get(&r->query, "format");
    const char *file_name = input_query_get(&r->query, "file_name");
    int parsed = format != NULL ? spec_format_parse(format) : -EINVAL;
    struct error err;

    if (parsed < 0) {
        (void)error_set(&err, -EINVAL, "format is \"%.20s\"; give zip, tar or file",
                        format != NULL ? format : "");
        api_refuse(r, "format", &err);
        return false;
    }
    ret->format = (enum spec_format)parsed;
    if (ret->format != SPEC_FORMAT_FILE) {
        return true;
    }
    if (file_name == NULL || !spec_file_name_valid(file_name)) {
        (void)error_set(&err, -EINVAL,
                        "file_name is \"%.80s\"; give the plain name of the file",
                        file_name != NULL ? file_name : "");
        api_refuse(r, "file_name", &err);
        return false;
    }
    (void)stpcpy(ret->file_name, file_name);
    return true;
}

void api_put_package(struct api_request *r)
{
    uint64_t len = http_exchange_content_length(r->x);
    struct package_ref ref = {.format = SPEC_FORMAT_TAR};
    struct up *u;
    const char *digest;
    int rc;

    if (!digest_param(r, &digest) || !up_params(r, &ref)) {
        return;
    }
    if (len != HTTP_BODY_CHUNKED && len > r->api->options.package_max_bytes) {
        up_too_large(r);
        return;
    }
    memcpy(ref.digest, digest, sizeof(ref.digest));
    u = calloc(1, sizeof(*u));
    rc = u != NULL
             ? package_upload_new(&u->upload, r->api->packages, &ref, up_room, up_done, r)
             : -ENOMEM;
    if (rc < 0) {
        free(u);
        api_fail(
            r,
            &(struct api_error){.cause = rc == -EBUSY ? CAUSE_THROTTLED : CAUSE_INTERNAL,
                                .fix = rc == -EBUSY ? "repeat it after the time in "
                                                      "Retry-After"
                                                    : NULL},
            rc == -EBUSY ? "too many packages are being uploaded" : "out of memory");
        return;
    }
    u->ref = ref;
    r->state = u;
    r->ops = &up_ops;
}
