/* The function that the benches call: an HTTP server on $PORT which keeps a CPU busy for
 * as many milliseconds as the query ("?ms=12.5") says, or waits as long ("?wait=12.5").
 * One call after the other, as a function with concurrency 1 has it; keep-alive. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void spin(double ms)
{
    double end = now_ms() + ms;

    while (now_ms() < end) {
    }
}

static void wait_ms(double ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1e3)};

    t.tv_nsec = (long)((ms - (double)t.tv_sec * 1e3) * 1e6);
    (void)nanosleep(&t, NULL);
}

/* Up to the end of the head; the benches send no bodies. 0: the connection is over. */
static int read_head(int fd, char *head, size_t size)
{
    size_t len = 0;

    while (len < size - 1) {
        ssize_t n = read(fd, head + len, size - 1 - len);

        if (n <= 0) {
            return 0;
        }
        len += (size_t)n;
        head[len] = '\0';
        if (strstr(head, "\r\n\r\n") != NULL) {
            return 1;
        }
    }
    return 0;
}

static void serve(int fd)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    char head[16384];

    while (read_head(fd, head, sizeof(head))) {
        const char *ms = strstr(head, "?ms=");

        const char *wait = strstr(head, "?wait=");

        spin(ms != NULL ? strtod(ms + 4, NULL) : 0);
        wait_ms(wait != NULL ? strtod(wait + 6, NULL) : 0);
        if (write(fd, reply, sizeof(reply) - 1) != (ssize_t)sizeof(reply) - 1) {
            return;
        }
    }
}

int main(void)
{
    const char *port = getenv("PORT");
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port =
                                 htons((in_port_t)atoi(port != NULL ? port : "8080")),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
        listen(listener, 16) < 0) {
        perror("spin: listen");
        return 1;
    }
    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0) {
            return 1;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        serve(fd);
        (void)close(fd);
    }
}
