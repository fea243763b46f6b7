/* What may be sent in a head, and its lines. Each byte of both heads of each call is
 * looked at here, so this goes eight at a time. */
#include <errno.h>
#include <string.h>

#include "common/buf.h"
#include "common/http/http.h"

#define BYTES(n) (UINT64_C(0x0101010101010101) * (n))

#define HIGH_BITS BYTES(0x80)

/* Each of these looks at eight bytes, and sets the high bit of those that it looks for.
 */

/* What is below n (at most 128), and some above one that is. */
static inline uint64_t below(uint64_t word, uint8_t n)
{
    return (word - BYTES(n)) & ~word & HIGH_BITS;
}

static inline uint64_t bad_in_text(uint64_t w)
{
    return below(w, 1) | below(w ^ BYTES('\r'), 1) | below(w ^ BYTES('\n'), 1);
}

static inline uint64_t bad_in_word(uint64_t w)
{
    return below(w, ' ' + 1) | below(w ^ BYTES(0x7f), 1);
}

/* The same and, of other bits and bytes, whatever is cheap to have with it: nothing of it
 * is in most texts, and those above look only at the others. A byte that is too small
 * borrows from the next, which can but make that look bad as well. */
static inline uint64_t odd_in_text(uint64_t w)
{
    return w - BYTES(' ');
}

static inline uint64_t odd_in_word(uint64_t w)
{
    return (w - BYTES(' ' + 1)) | (w + BYTES(1));
}

/* Fewer than eight bytes as a word of eight: those in the middle may be in it twice. */
static uint64_t short_word(struct http_str s)
{
    uint32_t first, last;
    uint64_t few = BYTES('x') << 24;

    if (s.len >= sizeof(first)) {
        memcpy(&first, s.at, sizeof(first));
        memcpy(&last, s.at + s.len - sizeof(last), sizeof(last));
        return first | (uint64_t)last << 32;
    }
    return s.len == 0 ? BYTES('x')
                      : few | (unsigned char)s.at[0] |
                            (uint64_t)(unsigned char)s.at[s.len / 2] << 8 |
                            (uint64_t)(unsigned char)s.at[s.len - 1] << 16;
}

/* Eight bytes at a time: heads are made of many short strings, each of which is looked at
 * more than once. */
static inline bool none(struct http_str s, uint64_t (*look)(uint64_t))
{
    uint64_t word, found = 0;

    if (s.len < sizeof(word)) {
        return (look(short_word(s)) & HIGH_BITS) == 0;
    }
    for (size_t i = 0; i + sizeof(word) < s.len; i += sizeof(word)) {
        memcpy(&word, s.at + i, sizeof(word));
        found |= look(word);
    }
    memcpy(&word, s.at + s.len - sizeof(word),
           sizeof(word)); /* the last ones, maybe again */
    return ((found | look(word)) & HIGH_BITS) == 0;
}

bool http_text_valid(struct http_str s)
{
    return none(s, odd_in_text) || none(s, bad_in_text);
}

bool http_word_valid(struct http_str s)
{
    return s.len > 0 && (none(s, odd_in_word) || none(s, bad_in_word));
}

/* --- lines ------------------------------------------------------------------------ */

/* Fewer than eight bytes, of which those in the middle may be copied twice. */
static inline void copy_short(char *to, struct http_str s)
{
    uint32_t first, last;

    if (s.len >= sizeof(first)) {
        memcpy(&first, s.at, sizeof(first));
        memcpy(&last, s.at + s.len - sizeof(last), sizeof(last));
        memcpy(to, &first, sizeof(first));
        memcpy(to + s.len - sizeof(last), &last, sizeof(last));
    } else if (s.len > 0) {
        to[0] = s.at[0];
        to[s.len / 2] = s.at[s.len / 2];
        to[s.len - 1] = s.at[s.len - 1];
    }
}

/* Copies, and looks at what passes, for what *found then has. Returns the end. */
static inline char *put(char *to, struct http_str s, uint64_t (*look)(uint64_t),
                        uint64_t *found)
{
    uint64_t word, seen = 0;

    if (s.len < sizeof(word)) {
        copy_short(to, s);
        *found = look(short_word(s));
        return to + s.len;
    }
    for (size_t i = 0; i + sizeof(word) < s.len; i += sizeof(word)) {
        memcpy(&word, s.at + i, sizeof(word));
        memcpy(to + i, &word, sizeof(word));
        seen |= look(word);
    }
    memcpy(&word, s.at + s.len - sizeof(word), sizeof(word));
    memcpy(to + s.len - sizeof(word), &word, sizeof(word));
    *found = seen | look(word);
    return to + s.len;
}

int http_header_append(struct buf *b, const struct http_header *h)
{
    uint64_t in_name, in_value;
    char *at;
    int rc = buf_reserve(b, h->name.len + h->value.len + strlen(": \r\n"));

    if (rc < 0) {
        return rc;
    }
    at = put(b->data + b->len, h->name, odd_in_word, &in_name);
    *at++ = ':';
    *at++ = ' ';
    at = put(at, h->value, odd_in_text, &in_value);
    if (h->name.len == 0 || ((in_name & HIGH_BITS) != 0 && !http_word_valid(h->name)) ||
        ((in_value & HIGH_BITS) != 0 && !http_text_valid(h->value))) {
        b->data[b->len] = '\0';
        return -EINVAL;
    }
    *at++ = '\r';
    *at++ = '\n';
    *at = '\0';
    b->len = (size_t)(at - b->data);
    return 0;
}
