/* The function, and the server behind nginx: one thread, epoll, HTTP/1.1 with keep-alive,
 * on 127.0.0.1:$PORT. It answers with "ok", or with N bytes to "?size=N"; bodies with a
 * Content-Length are read and thrown away. It checks no more than the benches send. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE_MAX_BYTES (16u << 20)
#define EVENTS         256

struct conn {
    int fd;
    size_t len;
    size_t body_left;
    const char *out; /* what the kernel has not taken */
    size_t out_left;
    char in[16384];
};

static char *reply; /* head and body of the last size that was asked for */
static size_t reply_len, reply_size = SIZE_MAX;

static void make_reply(size_t size)
{
    int head;

    if (size == reply_size) {
        return;
    }
    reply = realloc(reply, size + 128);
    if (reply == NULL) {
        abort();
    }
    head = snprintf(reply, 128,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                    "Content-Length: %zu\r\n\r\n",
                    size);
    memset(reply + head, 'x', size);
    if (size == 2) {
        memcpy(reply + head, "ok", 2);
    }
    reply_len = (size_t)head + size;
    reply_size = size;
}

static size_t number_after(const char *head, const char *word, size_t otherwise)
{
    const char *at = strcasestr(head, word);

    return at != NULL ? strtoul(at + strlen(word), NULL, 10) : otherwise;
}

static void watch(int epoll, struct conn *c, int op)
{
    struct epoll_event e = {.events = c->out_left > 0 ? EPOLLOUT : EPOLLIN,
                            .data.ptr = c};

    if (epoll_ctl(epoll, op, c->fd, &e) < 0) {
        abort();
    }
}

/* False: the connection is over. */
static bool send_out(struct conn *c)
{
    while (c->out_left > 0) {
        ssize_t n = send(c->fd, c->out, c->out_left, MSG_NOSIGNAL);

        if (n < 0) {
            return errno == EAGAIN;
        }
        c->out += n;
        c->out_left -= (size_t)n;
    }
    return true;
}

static void drop(struct conn *c, size_t n)
{
    c->len -= n;
    memmove(c->in, c->in + n, c->len);
}

/* Answers each request that is whole, until one reply has to wait. */
static bool serve(struct conn *c)
{
    while (c->out_left == 0) {
        size_t body = c->body_left < c->len ? c->body_left : c->len;
        char *end;

        if (c->body_left > 0) {
            drop(c, body);
            c->body_left -= body;
            if (c->body_left > 0) {
                return true;
            }
        } else {
            c->in[c->len] = '\0';
            end = strstr(c->in, "\r\n\r\n");
            if (end == NULL) {
                return c->len < sizeof(c->in) - 1;
            }
            end[2] = '\0';
            make_reply(number_after(c->in, "?size=", 2) % SIZE_MAX_BYTES);
            c->body_left = number_after(c->in, "\r\nContent-Length:", 0);
            drop(c, (size_t)(end + 4 - c->in));
            if (c->body_left > 0) {
                continue;
            }
        }
        c->out = reply;
        c->out_left = reply_len;
        if (!send_out(c)) {
            return false;
        }
    }
    return true;
}

static bool on_event(struct conn *c)
{
    ssize_t n;

    if (c->out_left > 0) {
        return send_out(c) && serve(c);
    }
    n = recv(c->fd, c->in + c->len, sizeof(c->in) - 1 - c->len, 0);
    if (n <= 0) {
        return n < 0 && errno == EAGAIN;
    }
    c->len += (size_t)n;
    return serve(c);
}

static void take(int epoll, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    struct conn *c;

    if (fd < 0) {
        return;
    }
    c = calloc(1, sizeof(*c));
    if (c == NULL) {
        abort();
    }
    c->fd = fd;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    watch(epoll, c, EPOLL_CTL_ADD);
}

static int listen_on(unsigned port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((in_port_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1024) < 0) {
        perror("server: listen");
        exit(1);
    }
    return fd;
}

int main(void)
{
    const char *port = getenv("PORT");
    int listener = listen_on((unsigned)atoi(port != NULL ? port : "8080"));
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];

    make_reply(2);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) < 0) {
        return 1;
    }
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            bool waited = c != NULL && c->out_left > 0;

            if (c == NULL) {
                take(epoll, listener);
            } else if (!on_event(c)) {
                (void)close(c->fd);
                free(c);
            } else if (waited != (c->out_left > 0)) {
                watch(epoll, c, EPOLL_CTL_MOD);
            }
        }
    }
}
