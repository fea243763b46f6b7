/* A line of output as it stands in the file: one JSON object. */
#include "agent/runtime/logs_private.h"
#include "common/number.h"

static const char *const stream_names[LOG_STREAMS] = {"stdout", "stderr", "system"};

/* Length of the valid UTF-8 sequence at p, or 0. RFC 3629. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : (p[0] & 0xf0) == 0xe0       ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;

    if (n == 0 || n > left) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90)) {
        return 0;
    }
    return n;
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Output is bytes; a log line is text: what is not UTF-8 becomes U+FFFD. */
static int append_json(struct buf *b, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    int rc = 0;

    for (size_t i = 0, n; rc == 0 && i < len; i += n) {
        for (n = 0; i + n < len && is_plain(p[i + n]);) {
            n++;
        }
        if (n > 0) {
            rc = buf_append(b, p + i, n);
            continue;
        }
        n = utf8_len(p + i, len - i);
        if (n == 0) {
            n = 1;
            rc = buf_append_str(b, "\xef\xbf\xbd");
        } else if (p[i] == '"' || p[i] == '\\') {
            const char code[] = {'\\', (char)p[i]};

            rc = buf_append(b, code, sizeof(code));
        } else if (p[i] < 0x20) {
            const char code[] = {'\\',
                                 'u',
                                 '0',
                                 '0',
                                 (char)('0' + (p[i] >> 4)),
                                 "0123456789abcdef"[p[i] & 15]};

            rc = buf_append(b, code, sizeof(code));
        } else {
            rc = buf_append(b, p + i, n);
        }
    }
    return rc;
}

int log_line_append(struct buf *b, const struct log_line *line)
{
    char ts[NUMBER_TEXT_SIZE];
    int rc = buf_append_str(b, "{\"ts\":");

    rc = rc < 0 ? rc : buf_append(b, ts, number_text(ts, line->wall_ms));
    rc = rc < 0 ? rc : buf_append_str(b, ",\"stream\":\"");
    rc = rc < 0 ? rc : buf_append_str(b, stream_names[line->stream]);
    rc = rc < 0 ? rc : buf_append_str(b, "\",\"text\":\"");
    rc = rc < 0 ? rc : append_json(b, line->text, line->len);
    return rc < 0 ? rc : buf_append_str(b, "\"}\n");
}
