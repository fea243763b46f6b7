/* Reads HTTP/1.x messages from bytes, one after the other: what server and client share.
 *
 *     HEAD ──▶ BODY ──▶ TRAILERS ──▶ DONE ──http_message_reset()──▶ HEAD
 *
 * A head (and the trailers) is gathered whole before llhttp sees it, so that all slices
 * of it stay valid until the reset, and its lines are looked at first: head_lines.h. */
#ifndef COMMON_HTTP_MESSAGE_H
#define COMMON_HTTP_MESSAGE_H

#include <llhttp.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/http/http.h"

enum http_message_state {
    HTTP_MESSAGE_HEAD,
    HTTP_MESSAGE_BODY,
    HTTP_MESSAGE_TRAILERS,
    HTTP_MESSAGE_DONE,
};

struct http_message {
    /* The owner's, set before the first feed. */
    void (*on_head)(struct http_message *m); /* may set skip_body */
    void (*on_body)(struct http_message *m, const char *data, size_t len);
    void (*on_done)(struct http_message *m); /* trailers are there */
    uint32_t head_max_bytes;
    uint32_t headers_max;

    /* To read. */
    enum http_message_state state;
    bool paused;    /* the owner's: body is not fed on while it is true */
    bool skip_body; /* response to HEAD */
    bool chunked;
    bool until_close;           /* response whose body ends with the connection */
    bool keep_alive;            /* as far as this message says */
    uint64_t content_length;    /* HTTP_BODY_CHUNKED if not known */
    struct http_str method;     /* request */
    struct http_str url;        /* request */
    struct http_str connection; /* value of the Connection header, or empty */
    int refusal;                /* HTTP status for what was refused */
    const char *reason;         /* and why */

    /* Private. */
    llhttp_t parser;
    struct buf head;
    struct buf trailer_text;
    size_t checked; /* of one of these, how much of it is in lines that were looked at */
    struct http_header *list;
    size_t n, capacity;
    size_t n_trailers; /* the last n_trailers of list */
    bool in_value;
    bool trailers_next;
    uint32_t overhead; /* bytes of chunk framing since the last body byte */
};

void http_message_init(struct http_message *m, llhttp_type_t type);
void http_message_reset(struct http_message *m); /* for the next one */
void http_message_free(struct http_message *m);

/* Also called with nothing, after a pause has ended.
 * Returns how many bytes were taken (fewer when paused or done), or -EPROTO (refusal and
 * reason are set), -EMSGSIZE (head too large), -ENOMEM, -ECANCELED (a callback stopped it
 * by http_message_stop). */
ssize_t http_message_feed(struct http_message *m, const char *data, size_t len);
void http_message_stop(struct http_message *m);

/* The connection has ended: 0 if that is the end of a message, else -ECONNRESET. */
int http_message_eof(struct http_message *m);

/* True if not a byte of the next message has come. */
bool http_message_is_fresh(const struct http_message *m);

struct http_headers http_message_headers(const struct http_message *m);
struct http_headers http_message_trailers(const struct http_message *m);

#endif /* COMMON_HTTP_MESSAGE_H */
