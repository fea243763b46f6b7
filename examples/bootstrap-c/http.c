#define _POSIX_C_SOURCE 200809L
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEAD_MAX 16384
#define BODY_MAX (8u * 1024 * 1024) /* Lambda's events end at 6 MiB */

static int dial(const char *host)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    const char *colon = strrchr(host, ':');
    char address[INET_ADDRSTRLEN];
    int fd, on = 1;

    if (colon == NULL || (size_t)(colon - host) >= sizeof(address)) {
        errno = EINVAL;
        return -1;
    }
    memcpy(address, host, (size_t)(colon - host));
    address[colon - host] = '\0';
    to.sin_port = htons((unsigned short)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1 || to.sin_port == 0) {
        errno = EINVAL;
        return -1;
    }
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
        int error = errno;

        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int send_all(int fd, struct iovec *parts, int n)
{
    while (n > 0) {
        struct msghdr m = {.msg_iov = parts, .msg_iovlen = (size_t)n};
        ssize_t sent = sendmsg(fd, &m, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return -1;
        }
        while (n > 0 && (size_t)sent >= parts->iov_len) {
            sent -= (ssize_t)parts->iov_len;
            parts++;
            n--;
        }
        if (n > 0) {
            parts->iov_base = (char *)parts->iov_base + sent;
            parts->iov_len -= (size_t)sent;
        }
    }
    return 0;
}

/* Room for `want` bytes and a NUL in all. */
static int reserve(struct http *h, size_t want)
{
    char *grown;

    if (want + 1 <= h->in_cap) {
        return 0;
    }
    grown = realloc(h->in, want + 1);
    if (grown == NULL) {
        return -1;
    }
    h->in = grown;
    h->in_cap = want + 1;
    return 0;
}

/* Receives until there are `want` bytes, or, with want = 0, once. */
static int receive(struct http *h, size_t want)
{
    do {
        ssize_t n = recv(h->fd, h->in + h->in_len, h->in_cap - 1 - h->in_len, 0);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? ECONNRESET : errno;
            return -1;
        }
        h->in_len += (size_t)n;
    } while (h->in_len < want);
    h->in[h->in_len] = '\0';
    return 0;
}

static int protocol_error(void)
{
    errno = EPROTO;
    return -1;
}

/* The value of a header line if it has that name, without the blanks before it. */
static const char *header(const char *line, const char *name)
{
    size_t len = strlen(name);

    if (strncasecmp(line, name, len) != 0 || line[len] != ':') {
        return NULL;
    }
    return line + len + 1 + strspn(line + len + 1, " \t");
}

/* Status, id and length out of a head that ends with an empty line; it is cut up. */
static int read_head(char *head, struct http_reply *reply, size_t *ret_length)
{
    unsigned long long length = 0;
    int has_length = 0;
    char *line, *rest = NULL;

    if (sscanf(head, "HTTP/1.1 %3d", &reply->status) != 1) {
        return protocol_error();
    }
    reply->id[0] = '\0';
    for (line = strtok_r(head, "\r\n", &rest); line != NULL;
         line = strtok_r(NULL, "\r\n", &rest)) {
        const char *value;

        if ((value = header(line, "Content-Length")) != NULL) {
            length = strtoull(value, NULL, 10);
            has_length = 1;
        } else if (header(line, "Transfer-Encoding") != NULL) {
            return protocol_error();
        } else if ((value = header(line, "Lambda-Runtime-Aws-Request-Id")) != NULL) {
            if (strlen(value) >= sizeof(reply->id)) {
                return protocol_error();
            }
            strcpy(reply->id, value);
        }
    }
    if (!has_length || length > BODY_MAX) {
        return protocol_error();
    }
    *ret_length = (size_t)length;
    return 0;
}

static int read_reply(struct http *h, struct http_reply *reply)
{
    size_t head_len, length;
    char *end;

    h->in_len = 0;
    if (reserve(h, HEAD_MAX) < 0) {
        return -1;
    }
    do {
        if (h->in_len >= HEAD_MAX) {
            return protocol_error();
        }
        if (receive(h, 0) < 0) {
            return -1;
        }
    } while ((end = strstr(h->in, "\r\n\r\n")) == NULL);
    *end = '\0';
    head_len = (size_t)(end - h->in) + 4;
    if (read_head(h->in, reply, &length) < 0 || reserve(h, head_len + length) < 0) {
        return -1;
    }
    if (h->in_len < head_len + length && receive(h, head_len + length) < 0) {
        return -1;
    }
    reply->body = h->in + head_len;
    reply->body_len = length;
    return 0;
}

int http_open(struct http *h, const char *host)
{
    *h = (struct http){.fd = -1};
    if (strlen(host) >= sizeof(h->host)) {
        errno = EINVAL;
        return -1;
    }
    strcpy(h->host, host);
    h->fd = dial(host);
    return h->fd < 0 ? -1 : 0;
}

int http_request(struct http *h, const char *method, const char *path, const char *body,
                 size_t len, struct http_reply *reply)
{
    char head[1024];
    int n, error;

    if (h->fd < 0 && (h->fd = dial(h->host)) < 0) {
        return -1;
    }
    n = snprintf(head, sizeof(head),
                 "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n",
                 method, path, h->host, len);
    if (n < 0 || (size_t)n >= sizeof(head)) {
        errno = EINVAL;
        return -1;
    }
    struct iovec parts[] = {{head, (size_t)n}, {(void *)body, len}};

    if (send_all(h->fd, parts, len > 0 ? 2 : 1) == 0 && read_reply(h, reply) == 0) {
        return 0;
    }
    error = errno;
    (void)close(h->fd);
    h->fd = -1;
    errno = error;
    return -1;
}

void http_close(struct http *h)
{
    if (h->fd >= 0) {
        (void)close(h->fd);
    }
    free(h->in);
    *h = (struct http){.fd = -1};
}
