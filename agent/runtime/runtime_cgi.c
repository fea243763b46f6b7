/* A call's facts for a process: CGI/1.1, RFC 3875 section 4.1.
 *
 * These win over the function's own environment, except HTTP_*: a caller's header must
 * not replace what the function's owner set. HTTP_PROXY is never made from a header
 * (https://httpoxy.org). */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/runtime/runtime_private.h"
#include "common/cleanup.h"
#include "common/hex.h"

static const char *const facts[] = {
    "AUTH_TYPE",    "CONTENT_LENGTH",  "CONTENT_TYPE",       "GATEWAY_INTERFACE",
    "PATH_INFO",    "PATH_TRANSLATED", "QUERY_STRING",       "REMOTE_ADDR",
    "REMOTE_HOST",  "REQUEST_METHOD",  "SCRIPT_NAME",        "SERVER_NAME",
    "SERVER_PORT",  "SERVER_PROTOCOL", "SERVER_SOFTWARE",    "MAYFLY_REQUEST_ID",
    "REMOTE_IDENT", "REMOTE_USER",     "MAYFLY_DEADLINE_MS",
};

static bool is_fact(const char *variable)
{
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        size_t len = strlen(facts[i]);

        if (strncmp(variable, facts[i], len) == 0 && variable[len] == '=') {
            return true;
        }
    }
    return false;
}

static int add(struct strings *env, const char *name, struct http_str value)
{
    return strings_add(env, "%s=%.*s", name, (int)value.len, value.at);
}

/* PATH_INFO is decoded (section 4.1.5); what does not decode to text stays as it is. */
static int add_path(struct strings *env, struct http_str path)
{
    _cleanup_free_ char *decoded = malloc(path.len + 1);
    size_t n = 0;

    if (decoded == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < path.len; i++) {
        int high = path.at[i] == '%' && i + 2 < path.len ? hex_digit(path.at[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(path.at[i + 2]) : -1;

        if (low >= 0 && high * 16 + low != 0) {
            decoded[n++] = (char)(high * 16 + low);
            i += 2;
        } else {
            decoded[n++] = path.at[i];
        }
    }
    return add(env, "PATH_INFO", (struct http_str){decoded, n});
}

static int add_server(struct strings *env, struct http_headers headers)
{
    const struct http_header *h = http_headers_find(headers, "Host");
    struct http_str host = h != NULL ? h->value : HTTP_STR("localhost");
    const char *colon = memrchr(host.at, ':', host.len);
    const char *bracket = memrchr(host.at, ']', host.len);
    struct http_str port = HTTP_STR("80");

    if (colon != NULL && (bracket == NULL || bracket < colon)) {
        port = (struct http_str){colon + 1, (size_t)(host.at + host.len - colon - 1)};
        host.len = (size_t)(colon - host.at);
    }
    return add(env, "SERVER_NAME", host) < 0 ? -ENOMEM : add(env, "SERVER_PORT", port);
}

/* "X-Some-Name" is HTTP_X_SOME_NAME; names that another could be mistaken for (X_Some) or
 * that no variable can have are left out. */
static bool variable_name(struct http_str header, char *ret, size_t size)
{
    size_t n = (size_t)snprintf(ret, size, "HTTP_");

    if (header.len + n + 1 > size) {
        return false;
    }
    for (size_t i = 0; i < header.len; i++) {
        unsigned char c = (unsigned char)header.at[i];

        if (!isalnum(c) && c != '-') {
            return false;
        }
        ret[n++] = c == '-' ? '_' : (char)toupper(c);
    }
    ret[n] = '\0';
    return strcmp(ret, "HTTP_PROXY") != 0;
}

static bool names(const char *variable, const char *name)
{
    size_t len = strlen(name);

    return strncmp(variable, name, len) == 0 && variable[len] == '=';
}

static bool has(const struct strings *env, const char *name)
{
    for (size_t i = 0; i < env->n; i++) {
        if (names(env->list[i], name)) {
            return true;
        }
    }
    return false;
}

/* The same header again: one list (RFC 9110 section 5.3). */
static int append(struct strings *env, const char *name, struct http_str value)
{
    for (size_t i = 0; i < env->n; i++) {
        char *both;

        if (!names(env->list[i], name)) {
            continue;
        }
        if (asprintf(&both, "%s%s%.*s", env->list[i],
                     strcmp(name, "HTTP_COOKIE") == 0 ? "; " : ", ", (int)value.len,
                     value.at) < 0) {
            return -ENOMEM;
        }
        free(env->list[i]);
        env->list[i] = both;
        return 0;
    }
    return add(env, name, value);
}

static int add_headers(struct strings *env, struct http_headers headers,
                       const struct strings *own)
{
    const struct http_header *connection = http_headers_find(headers, "Connection");
    struct http_str named = connection != NULL ? connection->value : HTTP_STR("");
    char name[128];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < headers.n; i++) {
        const struct http_header *h = &headers.list[i];

        if (!http_header_is_hop(h->name, named) &&
            !http_str_ieq(h->name, "Content-Type") &&
            variable_name(h->name, name, sizeof(name)) && !has(own, name)) {
            rc = append(env, name, h->value);
        }
    }
    return rc;
}

int runtime_cgi(struct strings *env, const struct runtime_instance *in,
                const struct runtime_request *r, const struct strings *own)
{
    const struct http_header *type = http_headers_find(r->headers, "Content-Type");
    int rc = strings_add(env, "GATEWAY_INTERFACE=CGI/1.1");

    rc = rc < 0 ? rc : strings_add(env, "SERVER_PROTOCOL=HTTP/1.1");
    rc = rc < 0 ? rc : strings_add(env, "SERVER_SOFTWARE=mayfly/" MAYFLY_VERSION);
    rc = rc < 0 ? rc : add(env, "REQUEST_METHOD", r->method);
    rc = rc < 0 ? rc
                : strings_add(env, "SCRIPT_NAME=/fn/%s/%s", in->config.namespace_,
                              in->config.name);
    rc = rc < 0 ? rc : add_path(env, r->path);
    rc = rc < 0 ? rc : add(env, "QUERY_STRING", r->query);
    rc = rc < 0 ? rc : strings_add(env, "REMOTE_ADDR=%s", r->peer);
    rc = rc < 0 ? rc : add_server(env, r->headers);
    if (rc == 0 && type != NULL) {
        rc = add(env, "CONTENT_TYPE", type->value);
    }
    if (rc == 0 && r->content_length != 0 && r->content_length != HTTP_BODY_CHUNKED) {
        rc = strings_add(env, "CONTENT_LENGTH=%" PRIu64, r->content_length);
    }
    rc = rc < 0 ? rc : strings_add(env, "MAYFLY_REQUEST_ID=%s", r->request_id);
    rc = rc < 0 ? rc
                : strings_add(env, "MAYFLY_DEADLINE_MS=%" PRIu64, r->deadline_wall_ms);
    rc = rc < 0 ? rc : add_headers(env, r->headers, own);
    for (size_t i = 0; rc == 0 && i < own->n; i++) {
        if (!is_fact(own->list[i])) {
            rc = strings_add(env, "%s", own->list[i]);
        }
    }
    return rc;
}
