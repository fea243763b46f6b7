/* Fuzz target: what one agent reads of another's headers. The first byte says which: 'm'
 * a mark, 'r' its reply, 't' Server-Timing. What is taken must be written as it was read.
 */
#include <stdint.h>
#include <string.h>

#include "agent/gateway/mark.h"
#include "agent/gateway/timing.h"
#include "common/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_mark(struct http_str text)
{
    struct http_str method = HTTP_STR("POST"), target = HTTP_STR("/fn/a/b");
    char written[MARK_SIZE];
    struct mark m, again;

    CHECK(mark_read(&m, text, "secret", method, target) != MARK_TRUSTED ||
          memmem(text.at, text.len, m.node, strlen(m.node)) != NULL);
    if (mark_read(&m, text, NULL, method, target) == MARK_TRUSTED) {
        CHECK(mark_write(written, &m, "secret", method, target) == 0);
        CHECK(mark_read(&again, http_str(written), "secret", method, target) ==
              MARK_TRUSTED);
        CHECK(again.left_ms == m.left_ms && strcmp(again.node, m.node) == 0);
    }
}

static void as_reply(struct http_str text)
{
    char written[MARK_REPLY_SIZE];
    struct mark_reply r, again;

    if (mark_reply_read(&r, text) == 0) {
        mark_reply_write(written, &r);
        CHECK(mark_reply_read(&again, http_str(written)) == 0);
        CHECK(again.verdict == r.verdict && again.room.free == r.room.free);
    }
}

static void as_timing(struct http_str text)
{
    char written[TIMING_SIZE];
    struct timing t, again;

    if (timing_read(&t, text) == 0) {
        timing_format(written, &t);
        CHECK(strlen(written) < TIMING_SIZE);
        CHECK(timing_read(&again, http_str(written)) == 0);
        CHECK(again.queue_us == t.queue_us && again.run_us == t.run_us);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_str text;

    if (size == 0) {
        return 0;
    }
    text = (struct http_str){(const char *)data + 1, size - 1};
    switch (data[0]) {
    case 'm':
        as_mark(text);
        break;
    case 'r':
        as_reply(text);
        break;
    case 't':
        as_timing(text);
        break;
    default:
        break;
    }
    return 0;
}
