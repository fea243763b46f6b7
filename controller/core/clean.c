#include "controller/core/clean.h"

#include <string.h>

/* Length of the well-formed UTF-8 character at s (Unicode 15, table 3-7), or 0. */
static size_t character(const unsigned char *s)
{
    size_t len;

    if (s[0] < 0x80) {
        return s[0] >= 0x20 && s[0] != 0x7f ? 1 : 0;
    }
    if (s[0] < 0xc2 || s[0] > 0xf4) {
        return 0;
    }
    len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) {
        return 0;
    }
    return len;
}

void clean_text(char *dst, size_t size, const char *src)
{
    const unsigned char *from = (const unsigned char *)(src != NULL ? src : "");
    size_t at = 0;

    while (*from != '\0') {
        size_t len = character(from);

        if (at + (len > 0 ? len : 1) >= size) {
            break;
        }
        if (len == 0) {
            dst[at++] = '?';
            from++;
            continue;
        }
        memcpy(dst + at, from, len);
        at += len;
        from += len;
    }
    dst[at] = '\0';
}
