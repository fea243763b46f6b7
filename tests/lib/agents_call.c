/* Requests to the agents of a bench. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/check.h"
#include "tests/lib/agents.h"

static void on_response(struct http_call *call, int status, struct http_headers headers,
                        uint64_t content_length)
{
    struct agents_reply *r = http_call_data(call);

    r->status = status;
    for (size_t i = 0; i < headers.n; i++) {
        CHECK(buf_printf(&r->head, "%.*s: %.*s\n", (int)headers.list[i].name.len,
                         headers.list[i].name.at, (int)headers.list[i].value.len,
                         headers.list[i].value.at) == 0);
    }
}

static void on_body(struct http_call *call, const char *data, size_t len)
{
    struct agents_reply *r = http_call_data(call);

    CHECK(buf_append(&r->body, data, len) == 0);
}

static void on_close(struct http_call *call, int status)
{
    struct agents_reply *r = http_call_data(call);

    r->error = status;
    r->done = true;
    r->call = NULL;
}

static const struct http_call_ops call_ops = {
    .on_response = on_response, .on_body = on_body, .on_close = on_close};

void agents_ask(struct agents *b, struct agents_reply *r, uint16_t port,
                const char *method, const char *target, struct http_headers headers,
                const void *body, size_t len)
{
    const struct http_client_options options = {.host = "127.0.0.1", .port = port};

    *r = (struct agents_reply){.bench = b};
    CHECK(buf_append_str(&r->body, "") == 0 && buf_append_str(&r->head, "") == 0);
    CHECK(http_client_open(&r->client, &b->loop, &options) == 0);
    CHECK(http_call_start(&r->client, &r->call, http_str(method), http_str(target),
                          headers, body, len, &call_ops, r) == 0);
}

static bool is_done(void *data)
{
    return ((struct agents_reply *)data)->done;
}

void agents_await(struct agents_reply *r)
{
    agents_wait(r->bench, is_done, r);
}

void agents_call(struct agents *b, struct agents_reply *r, unsigned i, const char *method,
                 const char *target, const char *body)
{
    agents_ask(b, r, (uint16_t)(AGENTS_GATEWAY_PORT + i), method, target,
               (struct http_headers){NULL, 0}, body, body != NULL ? strlen(body) : 0);
    agents_await(r);
}

const char *agents_header(const struct agents_reply *r, const char *name)
{
    static char value[512];
    size_t len = strlen(name);
    const char *line = r->head.data;

    while (line != NULL && *line != '\0') {
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            (void)snprintf(value, sizeof(value), "%.*s",
                           (int)strcspn(line + len + 2, "\n"), line + len + 2);
            return value;
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return NULL;
}

static void client_closed(struct http_client *c)
{
    container_of(c, struct agents_reply, client)->closed = true;
}

static bool is_closed(void *data)
{
    return ((struct agents_reply *)data)->closed;
}

void agents_reply_free(struct agents_reply *r)
{
    http_client_close(&r->client, client_closed);
    agents_wait(r->bench, is_closed, r);
    buf_free(&r->body);
    buf_free(&r->head);
}

int agents_connect(unsigned i)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                               .sin_port = htons((uint16_t)(AGENTS_GATEWAY_PORT + i))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
    return fd;
}
