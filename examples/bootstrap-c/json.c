#include "json.h"

#include <string.h>

#define DEPTH_MAX 64

struct scan {
    const char *at, *end;
};

static void blanks(struct scan *s)
{
    while (s->at < s->end &&
           (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r')) {
        s->at++;
    }
}

static int next_is(struct scan *s, char c)
{
    if (s->at >= s->end || *s->at != c) {
        return 0;
    }
    s->at++;
    return 1;
}

static int is_digit(const struct scan *s)
{
    return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static int is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* After the backslash. */
static int escape(struct scan *s)
{
    if (s->at >= s->end || strchr("\"\\/bfnrtu", *s->at) == NULL || *s->at == '\0') {
        return 0;
    }
    if (*s->at++ != 'u') {
        return 1;
    }
    for (int i = 0; i < 4; i++, s->at++) {
        if (s->at >= s->end || !is_hex(*s->at)) {
            return 0;
        }
    }
    return 1;
}

/* A string; its characters without the quotes are *ret. */
static int string(struct scan *s, const char **ret, size_t *ret_len)
{
    if (!next_is(s, '"')) {
        return 0;
    }
    *ret = s->at;
    while (s->at < s->end && *s->at != '"') {
        if ((unsigned char)*s->at < 0x20) {
            return 0;
        }
        if (*s->at++ == '\\' && !escape(s)) {
            return 0;
        }
    }
    *ret_len = (size_t)(s->at - *ret);
    return next_is(s, '"');
}

static int digits(struct scan *s)
{
    if (!is_digit(s)) {
        return 0;
    }
    while (is_digit(s)) {
        s->at++;
    }
    return 1;
}

static int number(struct scan *s)
{
    (void)next_is(s, '-');
    if (!next_is(s, '0') && !digits(s)) {
        return 0;
    }
    if (next_is(s, '.') && !digits(s)) {
        return 0;
    }
    if (next_is(s, 'e') || next_is(s, 'E')) {
        if (!next_is(s, '+')) {
            (void)next_is(s, '-');
        }
        return digits(s);
    }
    return 1;
}

static int word(struct scan *s, const char *text)
{
    size_t len = strlen(text);

    if ((size_t)(s->end - s->at) < len || memcmp(s->at, text, len) != 0) {
        return 0;
    }
    s->at += len;
    return 1;
}

struct wanted {
    const char *key;
    const char *found; /* NULL: not yet */
    size_t found_len;
};

static int value(struct scan *s, int depth, struct wanted *w);

/* After the {. w: what to look for in it, or NULL. */
static int object(struct scan *s, int depth, struct wanted *w)
{
    blanks(s);
    if (next_is(s, '}')) {
        return 1;
    }
    do {
        const char *key, *text;
        size_t key_len, len;

        blanks(s);
        if (!string(s, &key, &key_len)) {
            return 0;
        }
        blanks(s);
        if (!next_is(s, ':')) {
            return 0;
        }
        blanks(s);
        if (w != NULL && key_len == strlen(w->key) && memcmp(key, w->key, key_len) == 0) {
            w->found = NULL;
            if (s->at < s->end && *s->at == '"') {
                if (!string(s, &text, &len)) {
                    return 0;
                }
                w->found = text;
                w->found_len = len;
                continue;
            }
        }
        if (!value(s, depth, NULL)) {
            return 0;
        }
    } while (blanks(s), next_is(s, ','));
    return next_is(s, '}');
}

/* After the [. */
static int array(struct scan *s, int depth)
{
    blanks(s);
    if (next_is(s, ']')) {
        return 1;
    }
    do {
        if (!value(s, depth, NULL)) {
            return 0;
        }
        blanks(s);
    } while (next_is(s, ','));
    return next_is(s, ']');
}

static int value(struct scan *s, int depth, struct wanted *w)
{
    const char *text;
    size_t len;

    blanks(s);
    if (s->at >= s->end) {
        return 0;
    }
    switch (*s->at) {
    case '{':
        s->at++;
        return depth < DEPTH_MAX && object(s, depth + 1, w);
    case '[':
        s->at++;
        return depth < DEPTH_MAX && array(s, depth + 1);
    case '"':
        return string(s, &text, &len);
    case 't':
        return word(s, "true");
    case 'f':
        return word(s, "false");
    case 'n':
        return word(s, "null");
    default:
        return number(s);
    }
}

int json_find_string(const char *text, size_t len, const char *key, const char **ret,
                     size_t *ret_len)
{
    struct scan s = {text, text + len};
    struct wanted w = {.key = key};

    if (!value(&s, 0, &w)) {
        return -1;
    }
    blanks(&s);
    if (s.at != s.end) {
        return -1;
    }
    if (w.found == NULL) {
        return 0;
    }
    *ret = w.found;
    *ret_len = w.found_len;
    return 1;
}
