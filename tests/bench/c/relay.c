/* A proxy that does nothing: what the number of messages alone costs. It looks at one
 * byte of what it reads, and writes what mayfly would, made beforehand.
 *
 *   bench_relay http PORT FIRST N    the n-th caller's requests go to the server on port
 * FIRST + n: 2 reads and 2 writes a call bench_relay lambda PORT API N    the n-th
 * caller's go to the n-th runtime that connects to API: 3 reads and 3 writes (the reply,
 * the 202, the next event)
 *
 * Callers on PORT, at most N of them; all on 127.0.0.1. The caller has its reply before
 * the runtime has its 202, as from mayfly. It checks no more than the benches send. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS_MAX 64
#define ID        "f364accc-9e38-43f9-bafc-eccadd780f9b"
#define DATE      "Date: Tue, 01 Dec 2026 08:03:41 GMT\r\n"
#define TRACE \
    "Root=1-6b0e7f5d-0118da34d276e390c7453393;Parent=dce81cad7e6447f5;Sampled=0\r\n"

static const char request[] =
    "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: bench\r\nAccept: */*\r\n"
    "X-Mayfly-Request-Id: " ID "\r\n"
    "Forwarded: for=127.0.0.1;host=\"127.0.0.1:8080\";proto=http\r\n"
    "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
    "X-Forwarded-Host: 127.0.0.1:8080\r\n\r\n";

static const char event[] =
    "HTTP/1.1 200 OK\r\n" DATE "Content-Type: application/json\r\n"
    "Lambda-Runtime-Aws-Request-Id: " ID
    "\r\nLambda-Runtime-Deadline-Ms: 1796112251562\r\n"
    "Lambda-Runtime-Invoked-Function-Arn: "
    "arn:aws:lambda:us-east-1:000000000000:function:lambda\r\n"
    "Lambda-Runtime-Trace-Id: " TRACE "Content-Length: 2\r\n\r\n{}";

static const char accepted[] =
    "HTTP/1.1 202 Accepted\r\n" DATE
    "Content-Type: application/json\r\nContent-Length: 16\r\n\r\n"
    "{\"status\":\"OK\"}\n";

static const char reply[] =
    "HTTP/1.1 200 OK\r\n" DATE "Content-Type: text/plain\r\nX-Mayfly-Request-Id: " ID
    "\r\nX-Mayfly-Node: bench\r\nX-Mayfly-Version: 1\r\n"
    "Server-Timing: queue;dur=0.017, run;dur=0.494, total;dur=0.511\r\n"
    "Content-Length: 2\r\n\r\nok";

struct pair {
    int caller, function; /* -1: not there yet */
    bool asked;           /* the runtime, for its next event */
    bool waiting;         /* the caller, for the runtime to ask */
};

static struct pair pairs[PAIRS_MAX];
static unsigned n_pairs;
static int epoll_fd;
static bool lambda;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int fd, unsigned tag)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = tag};

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0) {
        die("epoll_ctl");
    }
}

static int open_socket(unsigned port, struct sockaddr_in *ret)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    *ret = (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((in_port_t)port),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0) {
        die("socket");
    }
    return fd;
}

static int listen_on(unsigned port, unsigned tag)
{
    struct sockaddr_in at;
    int fd = open_socket(port, &at);

    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, PAIRS_MAX) < 0) {
        die("listen");
    }
    watch(fd, tag);
    return fd;
}

static void keep(int fd, int *at, unsigned tag)
{
    int on = 1;

    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0) {
        die("connection");
    }
    *at = fd;
    watch(fd, tag);
}

/* That a peer has gone is noticed when it is read from. */
static void put(int fd, const char *text, size_t len)
{
    if (fd >= 0) {
        (void)send(fd, text, len, MSG_NOSIGNAL);
    }
}

#define PUT(fd, text) put(fd, text, sizeof(text) - 1)

/* Tags: the pair, and which of it. */
enum { CALLER, FUNCTION, SIDES };

static void accept_one(int listener, unsigned side)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    for (unsigned i = 0; i < n_pairs; i++) {
        int *at = side == CALLER ? &pairs[i].caller : &pairs[i].function;

        if (*at < 0) {
            keep(fd, at, i * SIDES + side);
            return;
        }
    }
    die("too many connections");
}

static void from_caller(struct pair *p)
{
    if (!lambda) {
        PUT(p->function, request);
    } else if (p->asked) {
        p->asked = false;
        PUT(p->function, event);
    } else {
        p->waiting = true;
    }
}

static void from_function(struct pair *p, char first)
{
    if (!lambda || first == 'P') {
        PUT(p->caller, reply);
        if (lambda) {
            PUT(p->function, accepted);
        }
    } else if (p->waiting) {
        p->waiting = false;
        PUT(p->function, event);
    } else {
        p->asked = true;
    }
}

static void on_readable(struct pair *p, unsigned side)
{
    int *fd = side == CALLER ? &p->caller : &p->function;
    static char in[4096];
    ssize_t n = recv(*fd, in, sizeof(in), 0);

    if (n <= 0) {
        (void)close(*fd);
        *fd = -1;
        p->waiting = false;
    } else if (side == CALLER) {
        from_caller(p);
    } else {
        from_function(p, in[0]);
    }
}

static void dial(unsigned first)
{
    for (unsigned i = 0; i < n_pairs; i++) {
        struct sockaddr_in to;
        int fd = open_socket(first + i, &to);

        if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
            die("connect");
        }
        keep(fd, &pairs[i].function, i * SIDES + FUNCTION);
    }
}

int main(int argc, char **argv)
{
    unsigned end = PAIRS_MAX * SIDES; /* the listeners' tags */
    int callers, functions = -1;

    if (argc != 5 || (n_pairs = (unsigned)atoi(argv[4])) == 0 || n_pairs > PAIRS_MAX) {
        (void)fprintf(stderr, "bench_relay http|lambda PORT FIRST|API N\n");
        return 2;
    }
    for (unsigned i = 0; i < n_pairs; i++) {
        pairs[i] = (struct pair){.caller = -1, .function = -1};
    }
    lambda = strcmp(argv[1], "lambda") == 0;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    callers = listen_on((unsigned)atoi(argv[2]), end + CALLER);
    if (lambda) {
        functions = listen_on((unsigned)atoi(argv[3]), end + FUNCTION);
    } else {
        dial((unsigned)atoi(argv[3]));
    }
    for (;;) {
        struct epoll_event events[PAIRS_MAX * SIDES];
        int n = epoll_wait(epoll_fd, events, PAIRS_MAX * SIDES, -1);

        for (int i = 0; i < n; i++) {
            unsigned tag = events[i].data.u32;

            if (tag >= end) {
                accept_one(tag == end + CALLER ? callers : functions, tag - end);
            } else {
                on_readable(&pairs[tag / SIDES], tag % SIDES);
            }
        }
    }
}
