/* The load: N keep-alive connections in one thread, each sends its next request when the
 * last was answered.
 *
 *   bench_load --port P [--path /x] [--connections N] [--seconds S] [--requests N]
 *              [--body BYTES] [--warmup S] [--pause MS] [--phases]
 *
 * Prints one line of JSON: requests, failed ones, seconds, and the times from a request's
 * first byte to its answer's last. --pause: of one connection, before each request but
 * the first. --phases adds the means of what Server-Timing says. */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "histogram.h"

#define HEAD_MAX 16384
#define PHASES   16

struct phase {
    char name[32];
    double sum_ms;
    uint64_t n;
};

struct conn {
    int fd;
    size_t sent;
    uint64_t began_ns;
    char head[HEAD_MAX + 1];
    size_t len; /* of head, until it is whole */
    bool in_body, chunked;
    char tail[5]; /* the last bytes of a chunked body */
    size_t left;  /* of the body */
    unsigned status;
};

static struct {
    unsigned port, connections;
    double seconds, warmup, pause_ms;
    uint64_t requests;
    size_t body;
    const char *path;
    bool phases;
} options = {.connections = 32, .path = "/", .seconds = 2};

static struct {
    struct histogram times;
    uint64_t begun, done, failed;
    char first_failure[160];
    struct phase phases[PHASES];
    uint64_t measured_from_ns, end_ns;
} run;

static char *request;
static size_t request_len;
static int epoll_fd;

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void make_request(void)
{
    request = malloc(options.body + 1024 + strlen(options.path));
    if (request == NULL) {
        die("request");
    }
    request_len =
        (size_t)sprintf(request,
                        "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                        "User-Agent: bench\r\nAccept: */*\r\n",
                        options.body > 0 ? "POST" : "GET", options.path, options.port);
    if (options.body > 0) {
        request_len += (size_t)sprintf(
            request + request_len,
            "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\n",
            options.body);
    }
    memcpy(request + request_len, "\r\n", 2);
    request_len += 2;
    memset(request + request_len, '1', options.body);
    request_len += options.body;
}

/* --- a connection ------------------------------------------------------------------- */

static void watch(struct conn *c, int op)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

    if (c->sent < request_len) {
        e.events |= EPOLLOUT;
    }
    if (epoll_ctl(epoll_fd, op, c->fd, &e) < 0) {
        die("epoll_ctl");
    }
}

static void dial(struct conn *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((in_port_t)options.port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        die("connect");
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    c->sent = request_len;
    watch(c, EPOLL_CTL_ADD);
}

static void send_on(struct conn *c)
{
    size_t before = c->sent;
    ssize_t n = send(c->fd, request + c->sent, request_len - c->sent,
                     MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n > 0) {
        c->sent += (size_t)n;
    }
    if (c->sent < request_len ? before == 0 : before > 0) {
        watch(c, EPOLL_CTL_MOD);
    }
}

static bool may_begin(uint64_t now)
{
    return now < run.end_ns && (options.requests == 0 || run.begun < options.requests);
}

static void begin(struct conn *c)
{
    c->began_ns = now_ns();
    c->sent = c->len = c->left = 0;
    c->in_body = false;
    if (!may_begin(c->began_ns)) {
        c->sent = request_len;
        c->began_ns = 0;
        return;
    }
    run.begun++;
    send_on(c);
}

/* --- answers ------------------------------------------------------------------------ */

static void note_phases(const char *head)
{
    const char *at = strcasestr(head, "\r\nServer-Timing:");
    const char *end = at != NULL ? strstr(at + 2, "\r\n") : NULL;

    at = at != NULL ? at + 16 : NULL;
    while (at != NULL && end != NULL && at < end) {
        char name[32];
        double ms;
        int used = 0;
        unsigned i = 0;

        if (sscanf(at, " %31[a-z];dur=%lf%n", name, &ms, &used) != 2) {
            return;
        }
        while (i < PHASES - 1 && run.phases[i].n > 0 &&
               strcmp(run.phases[i].name, name) != 0) {
            i++;
        }
        (void)snprintf(run.phases[i].name, sizeof(run.phases[i].name), "%s", name);
        run.phases[i].sum_ms += ms;
        run.phases[i].n++;
        at += used;
        at = *at == ',' ? at + 1 : end;
    }
}

static void note_failure(const char *head, size_t len)
{
    run.failed++;
    if (run.first_failure[0] == '\0') {
        (void)snprintf(run.first_failure, sizeof(run.first_failure), "%.*s",
                       (int)(len < 150 ? len : 150), head);
        for (char *p = run.first_failure; *p != '\0'; p++) {
            *p = *p == '"' || *p == '\\' || *p < ' ' ? ' ' : *p;
        }
    }
}

static void pause_a_while(void)
{
    uint64_t ns = (uint64_t)(options.pause_ms * 1e6);
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u),
                         .tv_nsec = (long)(ns % 1000000000u)};

    (void)nanosleep(&t, NULL);
}

static void finished(struct conn *c)
{
    uint64_t now = now_ns();

    if (c->status != 200) {
        note_failure(c->head, c->len);
    }
    if (c->began_ns >= run.measured_from_ns) {
        run.done++;
        histogram_add(&run.times, now - c->began_ns);
        if (options.phases) {
            note_phases(c->head);
        }
    }
    if (options.pause_ms > 0 && may_begin(now)) {
        pause_a_while();
    }
    begin(c);
}

/* Some of the body has come. A chunked one is over with a last chunk and no trailers:
 * "0", and two empty lines; the benches' bodies do not end like that. */
static void body_came(struct conn *c, const char *data, size_t n)
{
    if (!c->chunked) {
        c->left -= n < c->left ? n : c->left;
        return;
    }
    for (size_t i = n < 5 ? 0 : n - 5; i < n; i++) {
        memmove(c->tail, c->tail + 1, 4);
        c->tail[4] = data[i];
    }
    c->left = memcmp(c->tail, "0\r\n\r\n", 5) != 0;
}

/* The head is whole: what belongs to the body is counted. */
static void head_done(struct conn *c, const char *end)
{
    size_t head_len = (size_t)(end + 4 - c->head), more = c->len - head_len;
    const char *length, *encoding;

    c->head[head_len - 2] = '\0';
    length = strcasestr(c->head, "\r\nContent-Length:");
    c->status = (unsigned)atoi(c->head + 9);
    encoding = strcasestr(c->head, "\r\nTransfer-Encoding: chunked");
    c->chunked = encoding != NULL;
    c->left = length != NULL ? strtoul(length + 17, NULL, 10) : 1;
    if (length == NULL && encoding == NULL) {
        (void)fprintf(stderr, "bench_load: an answer without a length: %s\n", c->head);
        exit(1);
    }
    memset(c->tail, 0, sizeof(c->tail));
    c->in_body = true;
    body_came(c, end + 4, more);
}

static void receive(struct conn *c)
{
    static char sink[1 << 18];
    char *to = c->in_body ? sink : c->head + c->len;
    size_t room = c->in_body ? sizeof(sink) : HEAD_MAX - c->len;
    ssize_t n = recv(c->fd, to, room, MSG_DONTWAIT);
    const char *end;

    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n <= 0) { /* the request is lost; one that is answered goes on elsewhere */
        if (c->began_ns != 0) {
            note_failure("connection lost", 15);
        }
        (void)close(c->fd);
        dial(c);
        begin(c);
        return;
    }
    if (c->in_body) {
        body_came(c, sink, (size_t)n);
    } else {
        c->len += (size_t)n;
        c->head[c->len] = '\0';
        end = strstr(c->head, "\r\n\r\n");
        if (end != NULL) {
            head_done(c, end);
        }
    }
    if (c->in_body && c->left == 0) {
        finished(c);
    }
}

/* --- the run ------------------------------------------------------------------------ */

static void drive(struct conn *conns)
{
    struct epoll_event events[256];

    for (unsigned i = 0; i < options.connections; i++) {
        begin(&conns[i]);
    }
    while (may_begin(now_ns())) {
        int n = epoll_wait(epoll_fd, events, 256, 100);

        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;

            if ((events[i].events & EPOLLOUT) != 0 && c->sent < request_len) {
                send_on(c);
            }
            if ((events[i].events & ~(unsigned)EPOLLOUT) != 0) {
                receive(c);
            }
        }
    }
}

/* With --requests the last are waited for. */
static void finish(void)
{
    struct epoll_event events[256];

    while (options.requests > 0 && run.done + run.failed < run.begun &&
           now_ns() < run.end_ns) {
        int n = epoll_wait(epoll_fd, events, 256, 1000);

        for (int i = 0; i < n; i++) {
            receive(events[i].data.ptr);
        }
    }
}

static void report(double seconds)
{
    (void)printf("{\"seconds\": %.4f, \"rate\": %.2f, \"failed\": %llu, ", seconds,
                 (double)run.done / seconds, (unsigned long long)run.failed);
    histogram_print(stdout, &run.times);
    if (run.first_failure[0] != '\0') {
        (void)printf(", \"failure\": \"%s\"", run.first_failure);
    }
    if (options.phases) {
        (void)printf(", \"phases_ms\": {");
        for (unsigned i = 0; i < PHASES && run.phases[i].n > 0; i++) {
            (void)printf("%s\"%s\": %.4f", i > 0 ? ", " : "", run.phases[i].name,
                         run.phases[i].sum_ms / (double)run.phases[i].n);
        }
        (void)printf("}");
    }
    (void)printf("}\n");
}

static void parse(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"path", required_argument, NULL, 'u'},
        {"connections", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'},
        {"requests", required_argument, NULL, 'n'},
        {"body", required_argument, NULL, 'b'},
        {"warmup", required_argument, NULL, 'w'},
        {"pause", required_argument, NULL, 'a'},
        {"phases", no_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    int o;

    while ((o = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (o) {
        case 'p':
            options.port = (unsigned)atoi(optarg);
            break;
        case 'u':
            options.path = optarg;
            break;
        case 'c':
            options.connections = (unsigned)atoi(optarg);
            break;
        case 's':
            options.seconds = atof(optarg);
            break;
        case 'n':
            options.requests = strtoull(optarg, NULL, 10);
            break;
        case 'b':
            options.body = strtoul(optarg, NULL, 10);
            break;
        case 'w':
            options.warmup = atof(optarg);
            break;
        case 'a':
            options.pause_ms = atof(optarg);
            break;
        case 't':
            options.phases = true;
            break;
        default:
            exit(2);
        }
    }
    if (options.port == 0 || options.connections == 0) {
        (void)fprintf(stderr, "bench_load: --port and --connections are needed\n");
        exit(2);
    }
    if (options.pause_ms > 0 && options.connections != 1) {
        (void)fprintf(stderr, "bench_load: --pause is for one connection\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct conn *conns;
    uint64_t began;

    parse(argc, argv);
    make_request();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc(options.connections, sizeof(*conns));
    if (epoll_fd < 0 || conns == NULL) {
        die("start");
    }
    for (unsigned i = 0; i < options.connections; i++) {
        dial(&conns[i]);
    }
    began = now_ns();
    run.measured_from_ns = began + (uint64_t)(options.warmup * 1e9);
    run.end_ns = run.measured_from_ns + (uint64_t)(options.seconds * 1e9);
    drive(conns);
    finish();
    report((double)(now_ns() - run.measured_from_ns) / 1e9);
    return run.done > 0 ? 0 : 1;
}
