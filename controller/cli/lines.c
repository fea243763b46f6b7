#include "controller/cli/lines.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/backoff.h"
#include "common/random.h"
#include "controller/cli/rest.h"
#include "controller/cli/term.h"

#define LINE_MAX_BYTES (1024U * 1024)

static void take_line(struct lines *l, const char *raw, size_t len)
{
    while (len > 0 && raw[len - 1] == '\r') {
        len--;
    }
    if (len > 0) { /* an empty one is a sign of life */
        l->take(l->data, raw, len);
    }
}

static int on_bytes(void *data, const void *bytes, size_t len)
{
    struct lines *l = data;
    char *end;
    size_t done = 0;

    if (l->reply.status >= 300) {
        return buf_append(&l->error, bytes, l->error.len + len < 65536 ? len : 0);
    }
    if (l->said) {
        l->said = false;
        cli_say(l->c, "the %s is back", l->stream);
    }
    if (buf_append(&l->line, bytes, len) < 0) {
        return -ENOMEM;
    }
    while ((end = memchr(l->line.data + done, '\n', l->line.len - done)) != NULL) {
        take_line(l, l->line.data + done, (size_t)(end - l->line.data) - done);
        done = (size_t)(end - l->line.data) + 1;
    }
    buf_consume(&l->line, done);
    if (l->line.len > LINE_MAX_BYTES) {
        l->line.len = 0; /* no line of ours is so long */
    }
    if (fflush(stdout) != 0) {
        l->write_errno = errno;
        return -EIO;
    }
    return 0;
}

static int fetch(struct lines *l, bool again, struct error *err)
{
    struct buf url = {0};
    int rc = l->url(l->data, again, &url);

    l->line.len = 0;
    l->error.len = 0;
    http_reply_free(&l->reply);
    rc = rc < 0 ? error_set(err, -ENOMEM, "out of memory")
                : http_do(&(struct http_request){.method = "GET",
                                                 .url = url.data,
                                                 .timeout_ms =
                                                     l->follow ? 0 : REST_TIMEOUT_MS,
                                                 .sink = on_bytes,
                                                 .data = l},
                          &l->reply, err);
    buf_free(&url);
    return rc;
}

static int refused(struct lines *l)
{
    l->reply.body = l->error; /* what rest_fail() reads */
    l->error = (struct buf){0};
    return rest_fail(l->c, l->what, &l->reply);
}

/* Says once that it broke, and waits. */
static void pause_broken(struct lines *l, struct backoff *backoff,
                         const struct error *err)
{
    if (!l->said) {
        cli_say(l->c, "the %s broke off (%s); trying again", l->stream,
                err->code != 0 ? err->text : "the controller ended it");
        l->said = true;
    }
    term_pause_ms(backoff_next_ms(backoff, random_u64()));
}

static int read_all(struct lines *l)
{
    struct backoff backoff = {.min_ms = 250, .max_ms = 10000};
    bool connected = false; /* once: a wrong address is no break */

    for (;;) {
        struct error err = {0};
        int rc = fetch(l, connected, &err);

        if (l->write_errno != 0) {
            return l->write_errno == EPIPE
                       ? EXIT_CODE_OK
                       : cli_fail(l->c, EXIT_CODE_FAILED, NULL, NULL,
                                  "write to stdout: %s", strerror(l->write_errno));
        }
        if (l->reply.status >= 300 && l->reply.status < 500) {
            return refused(l);
        }
        connected = connected || l->reply.status == 200;
        if (l->reply.status == 200) {
            backoff_reset(&backoff);
        }
        if (!l->follow || !connected) {
            return rc < 0
                       ? rest_unreachable(l->c, l->what, l->c->url, l->c->url_from, &err)
                   : l->reply.status >= 300 ? refused(l)
                                            : EXIT_CODE_OK;
        }
        if (rc < 0 && !rest_is_unreachable(rc)) {
            return rest_unreachable(l->c, l->what, l->c->url, l->c->url_from, &err);
        }
        pause_broken(l, &backoff, &err);
    }
}

int lines_run(struct lines *l)
{
    int rc = read_all(l);

    http_reply_free(&l->reply);
    buf_free(&l->line);
    buf_free(&l->error);
    return rc;
}
