/* The Runtime API's HTTP, over one connection that is kept. Blocking: waiting for the
 * next event is the program's idle state, and the platform ends a call that takes too
 * long. */
#ifndef HTTP_H
#define HTTP_H

#include <stddef.h>

struct http {
    char host[256]; /* "127.0.0.1:9001" */
    int fd;         /* -1: not connected */
    char *in;       /* what was received, cap bytes allocated */
    size_t in_len, in_cap;
};

struct http_reply {
    int status;
    char id[128];     /* Lambda-Runtime-Aws-Request-Id, or "" */
    const char *body; /* in the buffer: valid until the next request */
    size_t body_len;
};

/* host: "address:port", an IPv4 address. 0 or -1 with errno set. */
int http_open(struct http *h, const char *host);

/* Sends a request and reads its reply. 0 or -1 with errno set; EPROTO: it was no HTTP/1.1
 * with a Content-Length. The connection is then closed and made anew by the next request.
 */
int http_request(struct http *h, const char *method, const char *path, const char *body,
                 size_t len, struct http_reply *reply);

void http_close(struct http *h);

#endif
