/* Function URLs: the event that a request becomes (payload format 2.0), and the reply
 * that an answer stands for. Pure. */
#ifndef AGENT_GATEWAY_LAMBDA_EVENT_H
#define AGENT_GATEWAY_LAMBDA_EVENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/http/http.h"

#define LAMBDA_REPLY_HEADERS_MAX 64

struct lambda_http_event {
    const char *id;      /* of the URL */
    const char *account; /* of the caller; NULL: nobody signed */
    const char *access_key;
    const char *request_id;
    const char *peer;
    struct http_str method, path, query;
    struct http_headers headers;
    const void *body;
    size_t body_len;
    uint64_t wall_ms;
};

/* JSON. -ENOMEM. */
int lambda_event_make(struct buf *ret, const struct lambda_http_event *e);

struct lambda_http_reply {
    int status;
    struct http_header headers[LAMBDA_REPLY_HEADERS_MAX]; /* into json or literals */
    size_t n_headers;
    const char *body;
    size_t body_len;
    json_t *json;         /* keeps what the above points into */
    unsigned char *bytes; /* a decoded body, or NULL */
};

/* An answer that has a statusCode says what to reply; any other one is the body. -EINVAL:
 * it says something that cannot be. *ret is to be freed in any case. */
int lambda_reply_read(struct lambda_http_reply *ret, const char *text, size_t len);
/* The head alone ({statusCode, headers, cookies}), as a streamed answer begins. */
int lambda_reply_read_head(struct lambda_http_reply *ret, const char *text, size_t len);
void lambda_http_reply_free(struct lambda_http_reply *r);

/* Whether this origin may; and the header that tells so, in *ret (borrowed of both). */
bool lambda_cors_allows(const json_t *cors, struct http_str origin);
/* Adds what CORS has to tell besides the origin. */
void lambda_cors_headers(const json_t *cors, bool preflight, struct http_header *list,
                         size_t *n, size_t max, struct buf texts[4]);

#endif /* AGENT_GATEWAY_LAMBDA_EVENT_H */
