/* HTTP requests, blocking, by libcurl. rest.h asks the controller with it. */
#ifndef CLI_HTTP_H
#define CLI_HTTP_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/error.h"

struct http_request {
    const char *method;
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated; or NULL */
    const void *body;           /* or NULL */
    size_t body_len;
    FILE *body_file; /* instead of body; body_file_len bytes or, if -1, chunked */
    int64_t body_file_len;
    uint64_t timeout_ms; /* of the whole; 0: none */
    uint64_t connect_ms; /* 0: 5 s */
    /* Called when the reply's headers are there, then with each part of its body; without
     * it the body is collected in the reply. Non-zero ends the transfer with -ECANCELED.
     */
    int (*sink)(void *data, const void *bytes, size_t len);
    /* Called a few times a second with how much of the body was sent; or NULL. */
    void (*progress)(void *data, uint64_t sent, uint64_t total);
    void *data;
};

struct http_reply {
    long status;
    struct buf headers; /* as they came, one a line, without the status line */
    struct buf body;
};

/* 0 once there is a whole reply, whatever its status. -ECONNREFUSED, -EHOSTUNREACH and
 * the like if the server cannot be reached, -ECONNRESET if it broke off (ret->status
 * tells whether the reply had begun), -ETIMEDOUT, -ECANCELED by the sink, -EPROTO; err
 * says which. *ret is always to be freed. */
int http_do(const struct http_request *request, struct http_reply *ret,
            struct error *err);
void http_reply_free(struct http_reply *r);

/* A header's value, trimmed, malloc'ed; NULL: it is not there. */
char *http_header(const struct http_reply *r, const char *name);

/* Text as one segment of a path; malloc'ed, NULL if there is no memory. */
char *http_escape(const char *text);

#endif /* CLI_HTTP_H */
