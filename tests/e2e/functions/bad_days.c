/* A bootstrap by hand that does as its events say, rightly or wrongly: sockets and text,
 * nothing else. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HALF_WAY "eyJlcnJvclR5cGUiOiJIYWxmV2F5IiwiZXJyb3JNZXNzYWdlIjoibm8gbW9yZSJ9"

static char reply[65536]; /* the last one, head and body */

/* One request on a connection of its own, as it stands. */
static void speak(const char *request)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    char host[64];
    const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
    const char *colon = strchr(api, ':');
    size_t len = 0;
    ssize_t n;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    snprintf(host, sizeof(host), "%.*s", (int)(colon - api), api);
    inet_pton(AF_INET, host, &addr.sin_addr);
    addr.sin_port = htons((uint16_t)atoi(colon + 1));
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        send(fd, request, strlen(request), 0) < 0) {
        exit(1);
    }
    while ((n = recv(fd, reply + len, sizeof(reply) - 1 - len, 0)) > 0) {
        len += (size_t)n;
    }
    reply[len] = '\0';
    close(fd);
}

static void post(const char *path, const char *body)
{
    char request[4096];

    snprintf(request, sizeof(request),
             "POST /2018-06-01/runtime/%s HTTP/1.1\r\nHost: api\r\nConnection: close\r\n"
             "Lambda-Runtime-Function-Error-Type: Function.Wanted\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             path, strlen(body), body);
    speak(request);
}

static void header(const char *name, char *ret, size_t size)
{
    for (const char *line = reply; line != NULL; line = strstr(line, "\r\n")) {
        line += *line == '\r' ? 2 : 0;
        if (strncasecmp(line, name, strlen(name)) == 0) {
            snprintf(ret, size, "%.*s", (int)strcspn(line + strlen(name), "\r"),
                     line + strlen(name));
            return;
        }
    }
}

static void stream_and_fail(const char *id)
{
    char request[2048];

    snprintf(request, sizeof(request),
             "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: api\r\n"
             "Connection: close\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n"
             "Transfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type, "
             "Lambda-Runtime-Function-Error-Body\r\n\r\n5\r\nbegun\r\n0\r\n"
             "Lambda-Runtime-Function-Error-Type: Function.HalfWay\r\n"
             "Lambda-Runtime-Function-Error-Body: " HALF_WAY "\r\n\r\n",
             id);
    speak(request);
}

/* "400 InvalidRequestID" */
static void note(char *ret, size_t size)
{
    const char *type = strstr(reply, "\"errorType\":\"");

    snprintf(ret, size, "%.3s %.*s", reply + 9,
             type != NULL ? (int)strcspn(type + 13, "\"") : 0,
             type != NULL ? type + 13 : "");
}

int main(void)
{
    char id[64], answer[128], last[80] = "nothing", text[128], started[32];
    const char *init = getenv("INIT");
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(started, sizeof(started), "%lld%09ld", (long long)now.tv_sec, now.tv_nsec);
    if (init != NULL && strcmp(init, "error") == 0) {
        post("init/error", "{\"errorType\":\"NoConfig\",\"errorMessage\":\"not today\"}");
        return 1;
    }
    if (init != NULL && strcmp(init, "never") == 0) {
        sleep(3600);
    }
    for (;;) {
        const char *body;

        speak("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: api\r\n"
              "Connection: close\r\n\r\n");
        header("lambda-runtime-aws-request-id: ", id, sizeof(id));
        snprintf(answer, sizeof(answer), "invocation/%s/response", id);
        body = strstr(reply, "\r\n\r\n");
        body = body != NULL ? body : "";
        if (strstr(body, "\"raise\"") != NULL) {
            snprintf(answer, sizeof(answer), "invocation/%s/error", id);
            post(answer, "{\"errorType\":\"Wanted\",\"errorMessage\":\"as wanted\"}");
        } else if (strstr(body, "\"exit\"") != NULL) {
            return 3;
        } else if (strstr(body, "\"hang\"") != NULL) {
            sleep(3600);
        } else if (strstr(body, "\"no json\"") != NULL) {
            post(answer, "{not json");
        } else if (strstr(body, "\"twice\"") != NULL) {
            post(answer, "\"first\"");
            post(answer, "\"second\"");
            note(last, sizeof(last));
        } else if (strstr(body, "\"wrong id\"") != NULL) {
            post("invocation/11111111-2222-3333-4444-555555555555/response", "\"no\"");
            note(last, sizeof(last));
            post(answer, "\"mine\"");
        } else if (strstr(body, "\"stream and fail\"") != NULL) {
            stream_and_fail(id);
        } else if (strstr(body, "\"never next\"") != NULL) {
            post(answer, "\"answered\"");
            sleep(3600);
        } else {
            snprintf(text, sizeof(text), "\"%s\"",
                     strstr(body, "\"last\"") != NULL ? last : started);
            post(answer, text);
        }
    }
}
