#include "controller/api/text.h"

#include <stdint.h>
#include <string.h>

#include "common/buf.h"

/* Length of the well-formed character at `at`, or 0 (Unicode 15, table 3-7). */
static size_t char_len(const uint8_t *at, size_t left)
{
    uint8_t c = at[0];
    uint8_t low = 0x80, high = 0xbf;
    size_t len = c < 0x80   ? 1
                 : c < 0xc2 ? 0
                 : c < 0xe0 ? 2
                 : c < 0xf0 ? 3
                 : c < 0xf5 ? 4
                            : 0;

    if (len == 0 || len > left) {
        return 0;
    }
    low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : low;
    high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : high;
    for (size_t i = 1; i < len; i++) {
        if (at[i] < low || at[i] > high) {
            return 0;
        }
        low = 0x80;
        high = 0xbf;
    }
    return len;
}

json_t *text_json(const char *bytes, size_t len)
{
    const uint8_t *at = (const uint8_t *)bytes;
    struct buf clean = {0};
    size_t good = 0; /* bytes before here are in clean */
    json_t *json;
    int rc = 0;

    for (size_t i = 0; i < len && rc == 0;) {
        size_t n = char_len(at + i, len - i);

        if (n == 0) {
            rc = buf_append(&clean, bytes + good, i - good);
            rc = rc < 0 ? rc : buf_append(&clean, "\xef\xbf\xbd", 3);
            good = i + 1;
            n = 1;
        }
        i += n;
    }
    if (rc < 0) {
        buf_free(&clean);
        return NULL;
    }
    if (good == 0) {
        return json_stringn(len > 0 ? bytes : "", len);
    }
    rc = buf_append(&clean, bytes + good, len - good);
    json = rc == 0 ? json_stringn(clean.data, clean.len) : NULL;
    buf_free(&clean);
    return json;
}
