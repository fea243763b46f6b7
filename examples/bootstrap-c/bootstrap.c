/* A function for the `provided` runtime: greets whom the event names.
 *
 * The Runtime API in three requests: GET …/invocation/next blocks until there is an
 * event; POST …/invocation/ID/response or …/error answers it. Then again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "json.h"

#define API            "/2018-06-01/runtime/invocation"
#define NAME_BYTES_MAX 200 /* bytes, as written in JSON */
#define ANSWER_SIZE    512

/* What the function does. answer holds ANSWER_SIZE bytes. True: it is the reply; false:
 * it says why there is none. */
static int handle(const struct http_reply *event, unsigned long calls, char *answer)
{
    const char *name;
    size_t len;
    int found = json_find_string(event->body, event->body_len, "name", &name, &len);

    if (found < 0) {
        (void)snprintf(answer, ANSWER_SIZE, "the event is not JSON");
        return 0;
    }
    if (found == 0 || len == 0 || len > NAME_BYTES_MAX) {
        (void)snprintf(answer, ANSWER_SIZE,
                       "the event has no string \\\"name\\\" of 1 to %d bytes",
                       NAME_BYTES_MAX);
        return 0;
    }
    /* The name goes from JSON to JSON: what was escaped stays so. */
    (void)snprintf(answer, ANSWER_SIZE,
                   "{\"greeting\": \"Hello, %.*s!\", \"calls\": %lu}\n", (int)len, name,
                   calls);
    return 1;
}

static int reply_to(struct http *api, const char *id, int ok, const char *answer)
{
    char path[256], body[ANSWER_SIZE + 64];
    struct http_reply reply;

    (void)snprintf(path, sizeof(path), API "/%s/%s", id, ok ? "response" : "error");
    if (ok) {
        (void)snprintf(body, sizeof(body), "%s", answer);
    } else {
        (void)snprintf(body, sizeof(body),
                       "{\"errorType\": \"BadEvent\", \"errorMessage\": \"%s\"}", answer);
    }
    if (http_request(api, "POST", path, body, strlen(body), &reply) < 0) {
        return -1;
    }
    if (reply.status / 100 != 2) {
        /* Too late, as a rule: the call timed out. The next one may be in time. */
        (void)fprintf(stderr, "%s: status %d\n", path, reply.status);
    }
    return 0;
}

int main(void)
{
    const char *host = getenv("AWS_LAMBDA_RUNTIME_API");
    struct http api;

    if (host == NULL || http_open(&api, host) < 0) {
        (void)fprintf(stderr, "bootstrap: AWS_LAMBDA_RUNTIME_API=%s: %s\n",
                      host != NULL ? host : "", strerror(host != NULL ? errno : EINVAL));
        return 1;
    }
    for (unsigned long calls = 1;; calls++) {
        char answer[ANSWER_SIZE], id[sizeof(((struct http_reply *)0)->id)];
        struct http_reply event;
        int ok;

        if (http_request(&api, "GET", API "/next", NULL, 0, &event) < 0 ||
            event.status != 200 || event.id[0] == '\0') {
            break;
        }
        ok = handle(&event, calls, answer);
        (void)snprintf(id, sizeof(id), "%s", event.id);
        if (reply_to(&api, id, ok, answer) < 0) {
            break;
        }
    }
    /* Without the Runtime API there is nothing to live for; mayfly starts another. */
    (void)fprintf(stderr, "bootstrap: the Runtime API failed: %s\n", strerror(errno));
    http_close(&api);
    return 1;
}
