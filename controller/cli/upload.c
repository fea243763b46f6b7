#include "controller/cli/upload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "controller/cli/print.h"
#include "controller/cli/rest.h"

#define UPLOAD_QUIET_MS 1000 /* an upload that is over sooner needs no progress */

struct upload {
    struct cli *c;
    const char *what;
    const struct source *source;
    struct progress *progress;
    uint64_t began_ms;
};

static void on_upload(void *data, uint64_t sent, uint64_t total)
{
    struct upload *u = data;
    char done[PRINT_SHORT], all[PRINT_SHORT];

    if (clock_mono_ms() - u->began_ms > UPLOAD_QUIET_MS && total > 0) {
        progress_detail(u->progress, "sending the package: %s of %s (%u %%)",
                        print_bytes(sent, done), print_bytes(total, all),
                        (unsigned)(sent * 100 / total));
    }
}

static int upload(struct upload *u, const char *url)
{
    static const char *const headers[] = {"Content-Type: application/octet-stream", NULL};
    _cleanup_fclose_ FILE *f = fopen(u->source->file, "re");
    struct http_reply reply;
    struct error err = {0};
    int rc;

    if (f == NULL) {
        return cli_fail(u->c, EXIT_CODE_FAILED, NULL, NULL, "cannot %s: open %s: %s",
                        u->what, u->source->file, strerror(errno));
    }
    u->began_ms = clock_mono_ms();
    rc = http_do(
        &(struct http_request){
            .method = "PUT",
            .url = url,
            .headers = headers,
            .body_file = f,
            .body_file_len = (int64_t)u->source->package.bytes,
            /* 30 s and what a slow line (128 KiB/s) takes */
            .timeout_ms = REST_TIMEOUT_MS + u->source->package.bytes / 128,
            .progress = on_upload,
            .data = u,
        },
        &reply, &err);
    progress_clear(u->progress);
    if (rc < 0) {
        rc = rest_unreachable(u->c, u->what, u->c->url, u->c->url_from, &err);
    } else if (reply.status >= 300) {
        rc = rest_fail(u->c, u->what, &reply);
    }
    http_reply_free(&reply);
    return rc;
}

int upload_package(struct cli *c, const char *what, const struct source *s,
                   struct progress *progress)
{
    struct upload u = {.c = c, .what = what, .source = s, .progress = progress};
    const struct package_ref *p = &s->package;
    _cleanup_free_ char *file_name = http_escape(p->file_name);
    _cleanup_free_ char *url = NULL;
    struct http_reply reply;
    struct error err = {0};
    long status;
    int rc = rest_ask(c, "HEAD", NULL, REST_TIMEOUT_MS, &reply, &err, "/v1/packages/%s",
                      p->digest);

    status = reply.status;
    http_reply_free(&reply);
    if (rc < 0) {
        return rest_unreachable(c, what, c->url, c->url_from, &err);
    }
    if (status == 200) {
        return EXIT_CODE_OK; /* sent before, by this or another deploy */
    }
    url = file_name == NULL
              ? NULL
              : cli_text("%s/v1/packages/%s?format=%s%s%s", c->url, p->digest,
                         spec_format_name(p->format),
                         *file_name != '\0' ? "&file_name=" : "", file_name);
    if (url == NULL) {
        return cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    }
    return upload(&u, url);
}
