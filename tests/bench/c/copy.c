/* The least that a proxy does: what comes on a connection goes to one of its own to the
 * server, and back; nothing is read but bytes, nothing kept, nothing counted.
 *
 *   bench_copy PORT UPSTREAM_PORT
 *
 * One thread, epoll, a connection to the server for each caller's: a read, a write and a
 * share of an epoll_wait for each message. No proxy between these sockets can take less.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256

struct side {
    int fd;
    bool ended; /* nothing more comes from there */
    struct side *other;
};

static int epoll_fd;
static struct sockaddr_in server;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in local(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((in_port_t)atoi(port)),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static struct side *side_new(int fd)
{
    struct side *s = calloc(1, sizeof(*s));
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
    int on = 1;

    if (s == NULL) {
        abort();
    }
    s->fd = fd;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0) {
        die("copy: epoll_ctl");
    }
    return s;
}

static void take(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    int up = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct side *caller, *callee;

    if (fd < 0 || up < 0 || connect(up, (struct sockaddr *)&server, sizeof(server)) < 0) {
        die("copy: connect");
    }
    caller = side_new(fd);
    callee = side_new(up);
    caller->other = callee;
    callee->other = caller;
}

static void end(struct side *s)
{
    struct side *other = s->other;

    (void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
    (void)shutdown(other->fd, SHUT_WR);
    s->ended = true;
    if (other->ended) {
        (void)close(s->fd);
        (void)close(other->fd);
        free(s);
        free(other);
    }
}

/* Messages are small: a socket takes them whole. */
static void pass(struct side *from)
{
    static char bytes[65536];
    ssize_t n = recv(from->fd, bytes, sizeof(bytes), 0);

    if (n <= 0) {
        end(from);
    } else if (send(from->other->fd, bytes, (size_t)n, MSG_NOSIGNAL) != n &&
               errno != EPIPE) {
        die("copy: send");
    }
}

int main(int argc, char **argv)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    struct sockaddr_in here;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (argc != 3) {
        (void)fprintf(stderr, "usage: bench_copy PORT UPSTREAM_PORT\n");
        return 2;
    }
    here = local(argv[1]);
    server = local(argv[2]);
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (bind(listener, (struct sockaddr *)&here, sizeof(here)) < 0 ||
        listen(listener, 1024) < 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e) < 0) {
        die("copy: listen");
    }
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL) {
                take(listener);
            } else {
                pass(events[i].data.ptr);
            }
        }
    }
}
