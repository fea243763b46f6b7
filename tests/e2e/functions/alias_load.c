/* Many calls over connections that stay: which version took how many?
 *
 *     alias_load HOST PORT PATH CALLS CONNECTIONS
 *
 * Prints "version count" lines of the X-Mayfly-Version of 200s, and "failed count" with
 * the first answer that was none. */
#define _GNU_SOURCE /* strcasestr */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define VERSIONS_MAX    64
#define CONNECTIONS_MAX 256
#define ANSWER_MAX      8192

static struct sockaddr_in server;
static char request[1024];
static atomic_long left, failed;
static atomic_long counts[VERSIONS_MAX];

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The answer, with a NUL after it: head and body of a Content-Length. */
static int receive(int fd, char answer[ANSWER_MAX])
{
    size_t len = 0, whole = ANSWER_MAX - 1;

    while (len < whole) {
        ssize_t n = recv(fd, answer + len, ANSWER_MAX - 1 - len, 0);
        char *end, *length;

        if (n <= 0) {
            return -1;
        }
        len += (size_t)n;
        answer[len] = '\0';
        end = strstr(answer, "\r\n\r\n");
        length = end != NULL ? strcasestr(answer, "\r\nContent-Length:") : NULL;
        if (length != NULL && length < end) {
            whole = (size_t)(end + 4 - answer) + strtoul(length + 17, NULL, 10);
        }
    }
    return 0;
}

static void count(const char *answer)
{
    const char *version = strcasestr(answer, "\r\nX-Mayfly-Version:");
    unsigned long n = version != NULL ? strtoul(version + 19, NULL, 10) : 0;

    if (strncmp(answer, "HTTP/1.1 200", 12) == 0 && n > 0 && n < VERSIONS_MAX) {
        counts[n]++;
    } else if (failed++ == 0) {
        fprintf(stderr, "%s\n", answer);
    }
}

static void *work(void *data)
{
    int fd = dial();

    (void)data;
    while (atomic_fetch_sub(&left, 1) > 0) {
        char answer[ANSWER_MAX] = "";

        if (fd < 0 || send(fd, request, strlen(request), MSG_NOSIGNAL) < 0 ||
            receive(fd, answer) < 0) {
            close(fd);
            fd = dial();
        }
        count(answer);
    }
    close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    static const char body[] = "{\"name\":\"you\"}";
    pthread_t threads[CONNECTIONS_MAX];
    int n = argc == 6 ? atoi(argv[5]) : 0;

    if (n < 1 || n > CONNECTIONS_MAX) {
        fprintf(stderr, "alias_load HOST PORT PATH CALLS CONNECTIONS\n");
        return 2;
    }
    server.sin_family = AF_INET;
    server.sin_port = htons((unsigned short)atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    snprintf(request, sizeof(request),
             "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             argv[3], argv[1], argv[2], strlen(body), body);
    left = atol(argv[4]);
    for (int i = 0; i < n; i++) {
        if (pthread_create(&threads[i], NULL, work, NULL) != 0) {
            return 2;
        }
    }
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < VERSIONS_MAX; i++) {
        if (counts[i] > 0) {
            printf("%d %ld\n", i, (long)counts[i]);
        }
    }
    printf("failed %ld\n", (long)failed);
    return 0;
}
