#include "common/http/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/http/head_lines.h"

#define OVERHEAD_MAX    (16 * 1024) /* chunk extensions, CVE-2024-22019 */
#define BLANK_LINES_MAX 8 /* RFC 9112 section 2.2: at least one is to be ignored */

static int refuse(struct http_message *m, int status, const char *reason)
{
    m->refusal = status;
    m->reason = reason;
    return -EPROTO;
}

/* --- llhttp's callbacks ------------------------------------------------------- */

static struct http_message *of(llhttp_t *parser)
{
    return parser->data;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct http_message *m = of(parser);

    if (m->url.len > 0 && m->url.at + m->url.len == at) {
        m->url.len += len;
    } else {
        m->url = (struct http_str){at, len};
    }
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct http_message *m = of(parser);

    if (m->n > 0 && !m->in_value) { /* the same name goes on */
        m->list[m->n - 1].name.len += len;
        return 0;
    }
    m->in_value = false;
    if (m->n >= m->headers_max) {
        m->refusal = 431;
        m->reason = "too many headers";
        return HPE_USER;
    }
    if (m->n == m->capacity) {
        size_t capacity = m->capacity == 0 ? 32 : m->capacity * 2;
        struct http_header *grown = reallocarray(m->list, capacity, sizeof(*grown));

        if (grown == NULL) {
            return HPE_USER;
        }
        m->list = grown;
        m->capacity = capacity;
    }
    m->list[m->n++] = (struct http_header){.name = {at, len}, .value = {"", 0}};
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http_message *m = of(parser);
    struct http_header *h = &m->list[m->n - 1];

    if (m->in_value && h->value.len > 0) {
        h->value.len += len;
    } else {
        h->value = (struct http_str){at, len};
    }
    m->in_value = true;
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    struct http_message *m = of(parser);
    struct http_str *v = &m->list[m->n - 1].value;

    m->in_value = true; /* an empty value has no on_value */
    while (v->len > 0 && (v->at[v->len - 1] == ' ' || v->at[v->len - 1] == '\t')) {
        v->len--;
    }
    return 0;
}

static int refuse_user(struct http_message *m, const char *reason)
{
    (void)refuse(m, 400, reason);
    return -1;
}

static bool in_host(unsigned char c)
{
    switch (c) {
    case '/':
    case '?':
    case '#':
    case '@':
    case '\\':
    case ',':
    case '"':
    case '<':
    case '>':
        return false;
    default:
        return c > ' ' && c < 0x7f;
    }
}

static bool host_valid(struct http_str host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (!in_host((unsigned char)host.at[i])) {
            return false;
        }
    }
    return true;
}

/* What llhttp leaves to its user: Host, and Transfer-Encoding beyond its own rules. */
static int check_headers(struct http_message *m, llhttp_t *parser)
{
    bool request = parser->type == HTTP_REQUEST;
    bool old = parser->http_major == 1 && parser->http_minor == 0;
    unsigned n_host = 0, n_encoding = 0;

    for (size_t i = 0; i < m->n; i++) {
        const struct http_header *h = &m->list[i];

        if (request && http_str_ieq(h->name, "Host")) {
            if (++n_host > 1 || !host_valid(h->value)) {
                return refuse_user(m, "bad Host header");
            }
        } else if (http_str_ieq(h->name, "Transfer-Encoding")) {
            if (++n_encoding > 1 || !http_str_ieq(h->value, "chunked") || old) {
                return refuse_user(m, "bad Transfer-Encoding");
            }
        } else if (http_str_ieq(h->name, "Connection")) {
            m->connection = h->value;
        }
    }
    if (request && !old && n_host == 0) {
        return refuse_user(m, "no Host header");
    }
    if (n_encoding > 0 && (parser->flags & F_CONTENT_LENGTH) != 0) {
        return refuse_user(m, "Content-Length beside Transfer-Encoding");
    }
    if ((parser->flags & F_CONTENT_LENGTH) != 0 &&
        parser->content_length == HTTP_BODY_CHUNKED) { /* not to be taken for chunked */
        return refuse_user(m, "Content-Length overflow");
    }
    return 0;
}

/* RFC 9112 section 6.3: these end with their head, whatever length it announces (that of
 * a GET's 304 is the representation's). llhttp would wait for the bytes. */
static bool ends_with_head(const llhttp_t *parser)
{
    return parser->type == HTTP_RESPONSE &&
           (parser->status_code < 200 || parser->status_code == 204 ||
            parser->status_code == 304);
}

/* RFC 9112 section 3: single spaces between method, target and version. Then they are
 * where their lengths say. The head ends with two line ends: there is as much to be
 * compared. */
static bool request_line_valid(const struct http_message *m)
{
    const char *after = m->url.at + m->url.len;

    return m->url.at == m->head.data + m->method.len + 1 &&
           memcmp(after, " HTTP/1.", 8) == 0 && memcmp(after + 9, "\r\n", 2) == 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http_message *m = of(parser);
    bool request = parser->type == HTTP_REQUEST;

    if (parser->http_major != 1 || parser->http_minor > 1) {
        m->refusal = 505;
        m->reason = "only HTTP/1.0 and HTTP/1.1 are spoken";
        return -1;
    }
    if (request) {
        m->method = http_str(llhttp_method_name((llhttp_method_t)parser->method));
        if (!request_line_valid(m)) {
            return refuse_user(m, "malformed request line");
        }
        if (parser->method == HTTP_CONNECT) {
            return refuse_user(m, "CONNECT is not served");
        }
    }
    if (check_headers(m, parser) < 0) {
        return -1;
    }
    parser->upgrade = 0; /* upgrades are not served: the message goes on as HTTP/1.1 */
    m->chunked = (parser->flags & F_CHUNKED) != 0;
    m->content_length =
        (parser->flags & F_CONTENT_LENGTH) != 0 ? parser->content_length : 0;
    if (m->chunked) {
        m->content_length = HTTP_BODY_CHUNKED;
    } else if (!request && (parser->flags & F_CONTENT_LENGTH) == 0 &&
               !ends_with_head(parser)) {
        m->until_close = true;
        m->content_length = HTTP_BODY_CHUNKED;
    }
    m->keep_alive = !m->until_close && llhttp_should_keep_alive(parser) != 0;
    m->state = HTTP_MESSAGE_BODY;
    m->on_head(m);
    if (m->skip_body || ends_with_head(parser)) {
        m->until_close = false;
        return 1;
    }
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http_message *m = of(parser);

    m->overhead = 0;
    m->on_body(m, at, len);
    return m->paused ? HPE_PAUSED : 0;
}

static int on_chunk_header(llhttp_t *parser)
{
    if (parser->content_length == 0) {
        of(parser)->trailers_next = true;
        return HPE_PAUSED; /* trailers are gathered like a head */
    }
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    of(parser)->state = HTTP_MESSAGE_DONE;
    return HPE_PAUSED; /* what follows is the next message's */
}

/* --- life --------------------------------------------------------------------- */

void http_message_init(struct http_message *m, llhttp_type_t type)
{
    /* The same for all, so that they are in the cache for each. */
    static const llhttp_settings_t settings = {
        .on_url = on_url,
        .on_header_field = on_field,
        .on_header_value = on_value,
        .on_header_value_complete = on_value_complete,
        .on_headers_complete = on_headers_complete,
        .on_body = on_body,
        .on_chunk_header = on_chunk_header,
        .on_message_complete = on_message_complete,
    };

    llhttp_init(&m->parser, type, &settings);
    m->parser.data = m;
    http_message_reset(m);
}

void http_message_reset(struct http_message *m)
{
    llhttp_reset(&m->parser);
    m->state = HTTP_MESSAGE_HEAD;
    m->paused = m->skip_body = m->chunked = m->until_close = m->keep_alive = false;
    m->in_value = m->trailers_next = false;
    m->content_length = 0;
    m->method = m->url = m->connection = (struct http_str){"", 0};
    m->refusal = 0;
    m->reason = "";
    m->head.len = 0;
    m->checked = 0;
    m->trailer_text.len = 0;
    m->n = m->n_trailers = 0;
    m->overhead = 0;
}

void http_message_free(struct http_message *m)
{
    buf_free(&m->head);
    buf_free(&m->trailer_text);
    free(m->list);
    m->list = NULL;
    m->n = m->capacity = 0;
}

/* --- feeding ------------------------------------------------------------------ */

/* 0: went on as far as it could. */
static int execute(struct http_message *m, const char *data, size_t len,
                   size_t *ret_taken)
{
    enum llhttp_errno e = llhttp_execute(&m->parser, data, len);

    *ret_taken = len;
    if (e == HPE_OK) {
        return 0;
    }
    if (e == HPE_PAUSED) {
        *ret_taken = (size_t)(llhttp_get_error_pos(&m->parser) - data);
        llhttp_resume(&m->parser);
        return 0;
    }
    if (m->reason[0] == '\0') {
        const char *reason = llhttp_get_error_reason(&m->parser);

        return refuse(m, 400,
                      reason != NULL && *reason != '\0' ? reason : "malformed message");
    }
    return m->refusal < 0 ? m->refusal : -EPROTO;
}

/* Gathers up to and with the empty line. 1: it is whole; 0: more is needed. headers: of
 * trailers, which have no request or status line. */
static int gather(struct http_message *m, struct buf *b, bool headers, const char *data,
                  size_t len, size_t *ret_taken)
{
    size_t before = b->len;
    size_t room = m->head_max_bytes - before;
    size_t add = len < room ? len : room;
    const char *reason;
    ssize_t end;

    if (buf_append(b, data, add) < 0) {
        return -ENOMEM;
    }
    end = head_lines_check(b, &m->checked, headers, &reason);
    if (end < 0) {
        return refuse(m, 400, reason);
    }
    if (end > 0) {
        m->checked = 0;
        b->len = (size_t)end;
        *ret_taken = b->len - before;
        return 1;
    }
    *ret_taken = add;
    return b->len >= m->head_max_bytes ? -EMSGSIZE : 0;
}

/* Empty lines before a message are skipped, within reason; a CR may have come alone and
 * waits in the head. Returns how many bytes were skipped. */
static ssize_t skip_blank_lines(struct http_message *m, const char *data, size_t len)
{
    size_t at = 0;

    while (at < len) {
        if (m->head.len == 1 && m->head.data[0] == '\r' && data[at] == '\n') {
            buf_consume(&m->head, 1);
            at++;
        } else if (m->head.len == 0 && at + 1 < len &&
                   memcmp(data + at, "\r\n", 2) == 0) {
            at += 2;
        } else {
            break;
        }
        if (++m->overhead > BLANK_LINES_MAX) {
            return refuse(m, 400, "only empty lines");
        }
    }
    return (ssize_t)at;
}

static int feed_head(struct http_message *m, const char *data, size_t len,
                     size_t *ret_taken)
{
    ssize_t blank = skip_blank_lines(m, data, len);
    size_t skipped, taken, parsed;
    int rc;

    if (blank < 0) {
        return (int)blank;
    }
    skipped = (size_t)blank;
    rc = gather(m, &m->head, false, data + skipped, len - skipped, &taken);
    *ret_taken = skipped + taken;
    if (rc <= 0) {
        if (rc == -EMSGSIZE) {
            (void)refuse(m, 431, "the head is too large");
        }
        return rc;
    }
    m->overhead = 0;
    rc = execute(m, m->head.data, m->head.len, &parsed);
    if (rc == 0 && m->state == HTTP_MESSAGE_HEAD) {
        return refuse(m, 400, "malformed head");
    }
    return rc;
}

static int feed_body(struct http_message *m, const char *data, size_t len,
                     size_t *ret_taken)
{
    uint32_t before = m->overhead;
    int rc;

    m->overhead = UINT32_MAX; /* cleared by on_body */
    rc = execute(m, data, len, ret_taken);
    if (m->overhead != UINT32_MAX) {
        m->overhead = 0;
    } else {
        m->overhead = before + (uint32_t)*ret_taken;
    }
    if (rc < 0) {
        return rc;
    }
    if (m->chunked && m->overhead > OVERHEAD_MAX) {
        return refuse(m, 400, "too much chunk framing");
    }
    if (m->trailers_next) {
        m->trailers_next = false;
        m->state = HTTP_MESSAGE_TRAILERS;
    }
    return 0;
}

static int feed_trailers(struct http_message *m, const char *data, size_t len,
                         size_t *ret_taken)
{
    size_t before = m->n, parsed;
    int rc = gather(m, &m->trailer_text, true, data, len, ret_taken);

    if (rc <= 0) {
        if (rc == -EMSGSIZE) {
            (void)refuse(m, 431, "the trailers are too large");
        }
        return rc;
    }
    m->in_value = true; /* no header is open */
    rc = execute(m, m->trailer_text.data, m->trailer_text.len, &parsed);
    m->n_trailers = m->n - before;
    if (rc == 0 && m->state != HTTP_MESSAGE_DONE) {
        return refuse(m, 400, "malformed trailers");
    }
    return rc;
}

ssize_t http_message_feed(struct http_message *m, const char *data, size_t len)
{
    size_t total = 0;
    bool was_done = m->state == HTTP_MESSAGE_DONE;

    while (!was_done && m->refusal == 0 &&
           !(m->paused && m->state == HTTP_MESSAGE_BODY)) {
        size_t taken = 0;
        int rc;

        /* A body may be at its end without another byte: llhttp says so when asked. */
        if (total == len && (total > 0 || m->state != HTTP_MESSAGE_BODY)) {
            break;
        }
        if (m->state == HTTP_MESSAGE_HEAD) {
            rc = feed_head(m, data + total, len - total, &taken);
        } else if (m->state == HTTP_MESSAGE_BODY) {
            rc = feed_body(m, data + total, len - total, &taken);
        } else {
            rc = feed_trailers(m, data + total, len - total, &taken);
        }
        if (m->refusal == -ECANCELED) {
            return -ECANCELED;
        }
        if (rc < 0) {
            return rc;
        }
        total += taken;
        if (m->state == HTTP_MESSAGE_DONE) {
            m->on_done(m);
            break;
        }
        if (len == 0) {
            break;
        }
    }
    return m->refusal == -ECANCELED ? -ECANCELED : (ssize_t)total;
}

void http_message_stop(struct http_message *m)
{
    m->refusal = -ECANCELED;
}

int http_message_eof(struct http_message *m)
{
    if (m->state == HTTP_MESSAGE_BODY && m->until_close) {
        m->state = HTTP_MESSAGE_DONE;
        m->on_done(m);
        return 0;
    }
    return -ECONNRESET;
}

bool http_message_is_fresh(const struct http_message *m)
{
    return m->state == HTTP_MESSAGE_HEAD && m->head.len == 0;
}

struct http_headers http_message_headers(const struct http_message *m)
{
    return (struct http_headers){m->list, m->n - m->n_trailers};
}

struct http_headers http_message_trailers(const struct http_message *m)
{
    /* A message without a single header has no list: no arithmetic on NULL. */
    return m->n_trailers == 0
               ? (struct http_headers){NULL, 0}
               : (struct http_headers){m->list + (m->n - m->n_trailers), m->n_trailers};
}
