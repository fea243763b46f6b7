/* Fuzz target: any bytes as HTTP requests (first byte even) or responses (odd). However
 * the bytes arrive, the same messages must be seen: a difference would be a smuggled one.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/http/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reading {
    struct http_message m;
    struct buf seen; /* what came, as text */
    bool done;
};

static void note(struct reading *r, const char *what, struct http_str s)
{
    CHECK(buf_append_str(&r->seen, what) == 0);
    CHECK(buf_append(&r->seen, s.at, s.len) == 0);
    CHECK(buf_append_str(&r->seen, "\n") == 0);
}

static void note_headers(struct reading *r, struct http_headers h)
{
    for (size_t i = 0; i < h.n; i++) {
        /* Whatever is handed on may be written into another message. */
        CHECK(memchr(h.list[i].value.at, '\n', h.list[i].value.len) == NULL);
        CHECK(memchr(h.list[i].value.at, '\r', h.list[i].value.len) == NULL);
        CHECK(h.list[i].name.len > 0);
        note(r, "name ", h.list[i].name);
        note(r, "value ", h.list[i].value);
    }
}

static void head_cb(struct http_message *m)
{
    struct reading *r = (struct reading *)m;

    struct http_str upgrade = http_headers_upgrade(http_message_headers(m));

    note(r, "url ", m->url);
    note_headers(r, http_message_headers(m));
    note(r, "upgrade ", upgrade);
    CHECK(
        !http_token_listed(upgrade, HTTP_STR("h2c"))); /* HTTP within is not passed on */
}

static void body_cb(struct http_message *m, const char *data, size_t len)
{
    struct reading *r = (struct reading *)m;

    CHECK(buf_append(&r->seen, data, len) == 0);
}

static void done_cb(struct http_message *m)
{
    struct reading *r = (struct reading *)m;

    note(r, "\ndone", (struct http_str){"", 0});
    note_headers(r, http_message_trailers(m));
    r->done = true;
}

/* All messages of the bytes, fed `step` at a time. Returns 0 or how it was refused. */
static int read_all(struct reading *r, llhttp_type_t type, const char *data, size_t size,
                    size_t step)
{
    size_t at = 0;

    memset(r, 0, sizeof(*r));
    r->m.on_head = head_cb;
    r->m.on_body = body_cb;
    r->m.on_done = done_cb;
    r->m.head_max_bytes = 4096;
    r->m.headers_max = 32;
    http_message_init(&r->m, type);
    while (at < size) {
        size_t n = size - at < step ? size - at : step;
        ssize_t taken = http_message_feed(&r->m, data + at, n);

        if (taken < 0) {
            CHECK(taken == -EMSGSIZE || (r->m.refusal >= 400 && r->m.reason != NULL));
            return taken == -EMSGSIZE ? 431 : r->m.refusal;
        }
        CHECK((size_t)taken <= n && (taken > 0 || r->done));
        at += (size_t)taken;
        if (r->done) {
            if (!r->m.keep_alive) {
                return 0; /* what follows is not read */
            }
            r->done = false;
            http_message_reset(&r->m);
        }
    }
    return http_message_eof(&r->m) == 0 ? 0 : -1;
}

static void reading_free(struct reading *r)
{
    http_message_free(&r->m);
    buf_free(&r->seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reading whole, bytes;
    llhttp_type_t type;
    int a, b;

    if (size < 1) {
        return 0;
    }
    type = (data[0] & 1) != 0 ? HTTP_RESPONSE : HTTP_REQUEST;
    a = read_all(&whole, type, (const char *)data + 1, size - 1, size);
    b = read_all(&bytes, type, (const char *)data + 1, size - 1, 1);
    CHECK(a == b);
    if (a == 0) {
        CHECK(whole.seen.len == bytes.seen.len);
        CHECK(whole.seen.len == 0 ||
              memcmp(whole.seen.data, bytes.seen.data, whole.seen.len) == 0);
    }
    reading_free(&whole);
    reading_free(&bytes);
    return 0;
}
