/* HTTP requests to the controller and the gateway, blocking, by libcurl. */
#ifndef CLI_HTTP_H
#define CLI_HTTP_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/error.h"
#include "controller/cli/cli.h"

struct http_request {
    const char *method;
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated; or NULL */
    const void *body;           /* or NULL */
    size_t body_len;
    FILE *body_file;            /* instead of body; body_file_len bytes or, if -1, chunked */
    int64_t body_file_len;
    uint64_t timeout_ms;        /* of the whole; 0: none */
    uint64_t connect_ms;        /* 0: 5 s */
    /* Called when the reply's headers are there, then with each part of its body; without
     * it the body is collected in the reply. Non-zero ends the transfer with -ECANCELED. */
    int (*sink)(void *data, const void *bytes, size_t len);
    void *data;
};

struct http_reply {
    long status;
    struct buf headers; /* as they came, one a line, without the status line */
    struct buf body;
};

/* 0 once there is a reply, whatever its status. -ECONNREFUSED and the like if the server
 * cannot be reached, -ETIMEDOUT, -EPROTO; err says which. *ret is always to be freed. */
int http_do(const struct http_request *request, struct http_reply *ret, struct error *err);
void http_reply_free(struct http_reply *r);

/* A header's value, trimmed, malloc'ed; NULL: it is not there. */
char *http_header(const struct http_reply *r, const char *name);

/* --- the REST API --- */

/* A path of the REST API, printf style, made and asked. 0 and *ret_json (NULL if the reply
 * had no JSON), or an exit code after the error was printed, beginning with "cannot WHAT".
 * body may be NULL; it is not freed. */
int rest_call(const struct cli *c, const char *what, const char *method, const json_t *body,
              json_t **ret_json, const char *path, ...) __attribute__((format(printf, 6, 7)));
#define REST_TIMEOUT_MS 30000

/* Prints what a reply with an error status says; returns the exit code. */
int rest_fail(const struct cli *c, const char *what, const struct http_reply *r);
/* The same for no reply at all. */
int rest_unreachable(const struct cli *c, const char *what, const char *url, const char *from,
                     const struct error *err);

/* Text as one segment of a path; malloc'ed, NULL if there is no memory. */
char *http_escape(const char *text);

#endif /* CLI_HTTP_H */
