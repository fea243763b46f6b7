#include "common/sigv4_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/hex.h"

#define SEGMENTS_MAX 64

const struct sigv4_header *sigv4_find(const struct sigv4_request *r, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < r->n_headers; i++) {
        if (r->headers[i].name.len == len &&
            strncasecmp(r->headers[i].name.at, name, len) == 0) {
            return &r->headers[i];
        }
    }
    return NULL;
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_' || c == '.' || c == '~';
}

static int add_encoded(struct buf *b, const char *at, size_t len)
{
    static const char hex[] = "0123456789ABCDEF";
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < len; i++) {
        unsigned char c = (unsigned char)at[i];
        char text[3] = {'%', hex[c >> 4], hex[c & 15]};

        rc = is_unreserved(c) ? buf_append(b, &at[i], 1) : buf_append(b, text, 3);
    }
    return rc;
}

/* --- path ------------------------------------------------------------------------- */

/* RFC 3986's normal form: no empty segments, no "." and "..". */
int sigv4_add_path(struct buf *b, struct sigv4_str path)
{
    struct sigv4_str segments[SEGMENTS_MAX];
    size_t n = 0;
    bool folder = true; /* the last one ended in a slash */
    int rc = 0;

    for (size_t i = 0; i < path.len;) {
        const char *slash = memchr(path.at + i, '/', path.len - i);
        size_t end = slash != NULL ? (size_t)(slash - path.at) : path.len;
        struct sigv4_str s = {path.at + i, end - i};

        folder = slash != NULL;
        if (s.len == 2 && memcmp(s.at, "..", 2) == 0) {
            n = n > 0 ? n - 1 : 0;
            folder = true;
        } else if (s.len == 1 && s.at[0] == '.') {
            folder = true;
        } else if (s.len > 0) {
            if (n == SEGMENTS_MAX) {
                return -EINVAL;
            }
            segments[n++] = s;
        }
        i = end + 1;
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = buf_append(b, "/", 1);
        rc = rc < 0 ? rc : add_encoded(b, segments[i].at, segments[i].len);
    }
    if (rc == 0 && (n == 0 || folder)) {
        rc = buf_append(b, "/", 1);
    }
    return rc;
}

/* --- query ------------------------------------------------------------------------ */

/* What the client encoded, encoded as the rules say. */
static int recode(struct buf *b, struct sigv4_str s)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s.len; i++) {
        char c = s.at[i];

        if (c == '%' && i + 2 < s.len && hex_digit(s.at[i + 1]) >= 0 &&
            hex_digit(s.at[i + 2]) >= 0) {
            c = (char)(hex_digit(s.at[i + 1]) * 16 + hex_digit(s.at[i + 2]));
            i += 2;
        }
        rc = add_encoded(b, &c, 1);
    }
    return rc;
}

struct param {
    size_t name, value; /* offsets of NUL-terminated texts */
    const char *texts;
};

static int by_name(const void *left, const void *right)
{
    const struct param *a = left, *b = right;
    int rc = strcmp(a->texts + a->name, b->texts + b->name);

    return rc != 0 ? rc : strcmp(a->texts + a->value, b->texts + b->value);
}

static int add_param(struct buf *texts, struct param *p, struct sigv4_str s)
{
    const char *equals = memchr(s.at, '=', s.len);
    size_t n = equals != NULL ? (size_t)(equals - s.at) : s.len;
    struct sigv4_str value = {s.at + n + (equals != NULL), s.len - n - (equals != NULL)};
    int rc;

    p->name = texts->len;
    rc = recode(texts, (struct sigv4_str){s.at, n});
    rc = rc < 0 ? rc : buf_append(texts, "", 1);
    p->value = texts->len;
    rc = rc < 0 ? rc : recode(texts, value);
    return rc < 0 ? rc : buf_append(texts, "", 1);
}

static int split_query(struct buf *texts, struct param *params, size_t *ret_n,
                       struct sigv4_str query)
{
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < query.len;) {
        const char *amp = memchr(query.at + i, '&', query.len - i);
        size_t end = amp != NULL ? (size_t)(amp - query.at) : query.len;

        if (end > i) {
            if (n == SIGV4_PARAMS_MAX) {
                return -EINVAL;
            }
            rc =
                add_param(texts, &params[n++], (struct sigv4_str){query.at + i, end - i});
        }
        i = end + 1;
    }
    *ret_n = n;
    return rc;
}

int sigv4_add_query(struct buf *b, struct sigv4_str query, char text[SIGV4_TEXT_MAX])
{
    struct param params[SIGV4_PARAMS_MAX];
    struct buf texts = {0};
    size_t n = 0;
    int rc = split_query(&texts, params, &n, query);

    if (rc == -EINVAL) {
        (void)snprintf(text, SIGV4_TEXT_MAX, "The query has over %d parameters.",
                       SIGV4_PARAMS_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        params[i].texts = texts.data;
    }
    if (rc == 0) {
        qsort(params, n, sizeof(params[0]), by_name);
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = buf_printf(b, "%s%s=%s", i > 0 ? "&" : "", texts.data + params[i].name,
                        texts.data + params[i].value);
    }
    buf_free(&texts);
    return rc;
}

/* --- headers ---------------------------------------------------------------------- */

/* Without blanks around it, and one where there were several. */
static int add_value(struct buf *b, struct sigv4_str value)
{
    bool blank = false, begun = false;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < value.len; i++) {
        if (value.at[i] == ' ' || value.at[i] == '\t') {
            blank = begun;
            continue;
        }
        if (blank) {
            rc = buf_append(b, " ", 1);
            blank = false;
        }
        begun = true;
        rc = rc < 0 ? rc : buf_append(b, &value.at[i], 1);
    }
    return rc;
}

static int add_header(struct buf *b, const struct sigv4_request *r, struct sigv4_str name,
                      char text[SIGV4_TEXT_MAX])
{
    bool found = false;
    int rc = buf_append(b, name.at, name.len);

    rc = rc < 0 ? rc : buf_append(b, ":", 1);
    for (size_t i = 0; rc == 0 && i < r->n_headers; i++) {
        const struct sigv4_header *h = &r->headers[i];

        if (h->name.len != name.len || strncasecmp(h->name.at, name.at, name.len) != 0) {
            continue;
        }
        rc = found ? buf_append(b, ",", 1) : 0;
        rc = rc < 0 ? rc : add_value(b, h->value);
        found = true;
    }
    if (rc == 0 && !found) {
        (void)snprintf(text, SIGV4_TEXT_MAX,
                       "The signed header '%.*s' is not in the request.",
                       (int)(name.len < 80 ? name.len : 80), name.at);
        return -EINVAL;
    }
    return rc < 0 ? rc : buf_append(b, "\n", 1);
}

int sigv4_add_headers(struct buf *b, const struct sigv4_request *r, const char *names,
                      char text[SIGV4_TEXT_MAX])
{
    size_t n = 0;
    int rc = 0;

    while (rc == 0 && *names != '\0') {
        size_t len = strcspn(names, ";");

        if (len == 0 || ++n > SIGV4_HEADERS_MAX) {
            (void)snprintf(text, SIGV4_TEXT_MAX,
                           "SignedHeaders must name 1 to %d headers.", SIGV4_HEADERS_MAX);
            return -EINVAL;
        }
        rc = add_header(b, r, (struct sigv4_str){names, len}, text);
        names += len + (names[len] == ';');
    }
    return rc;
}
