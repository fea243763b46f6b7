/* A function over AWS Lambda's Runtime API, as small as one can be: one kept connection,
 * asks for the next event, answers "ok". */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENT_MAX (1 << 20)

static int api_fd;
static char api[128];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void dial(void)
{
    const char *given = getenv("AWS_LAMBDA_RUNTIME_API");
    struct sockaddr_in to = {.sin_family = AF_INET};
    char *colon;
    int on = 1;

    (void)snprintf(api, sizeof(api), "%s", given != NULL ? given : "");
    colon = strrchr(api, ':');
    if (colon == NULL) {
        die("AWS_LAMBDA_RUNTIME_API");
    }
    *colon = '\0';
    to.sin_port = htons((in_port_t)atoi(colon + 1));
    if (inet_pton(AF_INET, api, &to.sin_addr) != 1) {
        die("AWS_LAMBDA_RUNTIME_API");
    }
    api_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (api_fd < 0 || connect(api_fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        die("connect");
    }
    (void)setsockopt(api_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* Sends the request, reads the answer whole; its head stands in buf, ended with NUL. */
static void ask(const char *request, size_t len, char *buf)
{
    size_t have = 0, whole = SIZE_MAX;

    if (send(api_fd, request, len, MSG_NOSIGNAL) != (ssize_t)len) {
        die("send");
    }
    while (have < whole) {
        ssize_t n = recv(api_fd, buf + have, EVENT_MAX - 1 - have, 0);
        const char *end, *length;

        if (n <= 0) {
            exit(0);
        }
        have += (size_t)n;
        buf[have] = '\0';
        end = strstr(buf, "\r\n\r\n");
        length = strcasestr(buf, "\r\nContent-Length:");
        if (end != NULL) {
            size_t body =
                length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0;

            whole = (size_t)(end + 4 - buf) + body;
        }
    }
}

int main(void)
{
    static char buf[EVENT_MAX], request[512];

    dial();
    for (;;) {
        char id[64] = "";
        const char *at;
        int len = snprintf(
            request, sizeof(request),
            "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: %s\r\n\r\n", api);

        ask(request, (size_t)len, buf);
        at = strcasestr(buf, "\r\nLambda-Runtime-Aws-Request-Id:");
        if (at == NULL || sscanf(at + 32, " %63[0-9a-f-]", id) != 1) {
            (void)fprintf(stderr, "no request id in: %.200s\n", buf);
            return 1;
        }
        len = snprintf(request, sizeof(request),
                       "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\n"
                       "Host: %s\r\nContent-Length: 4\r\n\r\n\"ok\"",
                       id, api);
        ask(request, (size_t)len, buf);
    }
}
