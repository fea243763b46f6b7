#include "controller/cli/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"

#define CONNECT_MS    5000
#define REPLY_MAX     (64U * 1024 * 1024) /* of a collected body */
#define HEADERS_MAX   (256U * 1024)
#define KEEPALIVE_SEC 20L

struct transfer {
    const struct http_request *request;
    struct http_reply *reply;
    CURL *curl;
    bool too_large;
};

static int on_progress(void *data, curl_off_t to_get, curl_off_t got, curl_off_t to_send,
                       curl_off_t sent)
{
    const struct transfer *t = data;

    t->request->progress(t->request->data, (uint64_t)sent, (uint64_t)to_send);
    return 0;
}

static size_t on_header(char *bytes, size_t size, size_t n, void *data)
{
    struct transfer *t = data;
    size_t len = size * n;

    if (len > 5 && strncmp(bytes, "HTTP/", 5) == 0) { /* a new reply: 100 came before */
        t->reply->headers.len = 0;
        return len;
    }
    while (len > 0 && (bytes[len - 1] == '\r' || bytes[len - 1] == '\n')) {
        len--;
    }
    if (len > 0 && (t->reply->headers.len + len > HEADERS_MAX ||
                    buf_printf(&t->reply->headers, "%.*s\n", (int)len, bytes) < 0)) {
        return 0;
    }
    return size * n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *data)
{
    struct transfer *t = data;
    size_t len = size * n;

    if (t->request->sink != NULL) {
        (void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &t->reply->status);
        return t->request->sink(t->request->data, bytes, len) == 0 ? len : 0;
    }
    if (t->reply->body.len + len > REPLY_MAX) {
        t->too_large = true;
        return 0;
    }
    return buf_append(&t->reply->body, bytes, len) == 0 ? len : 0;
}

static size_t on_read(char *bytes, size_t size, size_t n, void *data)
{
    size_t got = fread(bytes, 1, size * n, data);

    return got == 0 && ferror((FILE *)data) ? CURL_READFUNC_ABORT : got;
}

static int on_seek(void *data, curl_off_t offset, int origin)
{
    return fseeko(data, (off_t)offset, origin) == 0 ? CURL_SEEKFUNC_OK
                                                    : CURL_SEEKFUNC_CANTSEEK;
}

static int code_of(CURLcode rc, long os_errno, bool connected)
{
    switch (rc) {
    case CURLE_OPERATION_TIMEDOUT:
        return connected ? -ETIMEDOUT : -EHOSTUNREACH;
    case CURLE_COULDNT_CONNECT:
        return os_errno > 0 ? (int)-os_errno : -ECONNREFUSED;
    case CURLE_COULDNT_RESOLVE_HOST:
        return -EHOSTUNREACH;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return -EINVAL;
    case CURLE_WRITE_ERROR:
        return -ECANCELED;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return -ECONNRESET;
    default:
        return -EPROTO;
    }
}

static void set_body(CURL *curl, const struct http_request *r)
{
    if (r->body_file != NULL) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(curl, CURLOPT_READDATA, r->body_file);
        curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(curl, CURLOPT_SEEKDATA, r->body_file);
        if (r->body_file_len >= 0) {
            curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE,
                             (curl_off_t)r->body_file_len);
        }
    } else if (r->body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
    } else if (strcmp(r->method, "HEAD") == 0) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
}

static int add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);

    if (longer == NULL) {
        return -ENOMEM;
    }
    *list = longer;
    return 0;
}

static bool names_type(const char *const *headers)
{
    for (size_t i = 0; headers != NULL && headers[i] != NULL; i++) {
        if (strncasecmp(headers[i], "content-type:", 13) == 0) {
            return true;
        }
    }
    return false;
}

static int set_headers(CURL *curl, const struct http_request *r, struct curl_slist **list)
{
    int rc = 0;

    if (!names_type(r->headers)) {
        rc = add_header(list,
                        "Content-Type:"); /* or libcurl would say that it is a form */
    }
    for (size_t i = 0; r->headers != NULL && r->headers[i] != NULL && rc == 0; i++) {
        rc = add_header(list, r->headers[i]);
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *list);
    return rc;
}

static void set_transfer(CURL *curl, const struct http_request *r, struct transfer *t,
                         char *text)
{
    curl_easy_setopt(curl, CURLOPT_URL, r->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY,
                     ""); /* the cluster is near: proxies do not help */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_SEC);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_SEC);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "mayfly/" MAYFLY_VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(r->connect_ms != 0 ? r->connect_ms : CONNECT_MS));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
    if (r->progress != NULL) {
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    }
}

/* A server that refuses an upload early says why and closes: the failure to send the rest
 * is then not the story. */
static bool is_refusal(const struct http_request *r, const struct http_reply *reply,
                       CURLcode result)
{
    return (result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR) &&
           (r->body != NULL || r->body_file != NULL) && r->sink == NULL &&
           reply->status >= 400 && reply->body.len > 0;
}

static int judge(const struct transfer *t, CURLcode result, const char *text,
                 struct error *err)
{
    long os_errno = 0;
    curl_off_t connect_us = 0;

    if (result == CURLE_OK || is_refusal(t->request, t->reply, result)) {
        return 0;
    }
    if (t->too_large) {
        return error_set(err, -EFBIG, "the reply is over %u MiB", REPLY_MAX >> 20);
    }
    curl_easy_getinfo(t->curl, CURLINFO_OS_ERRNO, &os_errno);
    curl_easy_getinfo(t->curl, CURLINFO_CONNECT_TIME_T, &connect_us);
    return error_set(err, code_of(result, os_errno, connect_us > 0), "%s",
                     text[0] != '\0' ? text : curl_easy_strerror(result));
}

int http_do(const struct http_request *request, struct http_reply *ret, struct error *err)
{
    CURL *curl = curl_easy_init();
    struct transfer t = {.request = request, .reply = ret, .curl = curl};
    struct curl_slist *headers = NULL;
    char text[CURL_ERROR_SIZE] = "";
    CURLcode result;
    int rc;

    *ret = (struct http_reply){0};
    if (curl == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    set_transfer(curl, request, &t, text);
    set_body(curl, request);
    rc = set_headers(curl, request, &headers);
    if (rc < 0) {
        rc = error_set(err, rc, "out of memory");
        goto out;
    }
    result = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret->status);
    rc = judge(&t, result, text, err);
out:
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return rc;
}

void http_reply_free(struct http_reply *r)
{
    buf_free(&r->headers);
    buf_free(&r->body);
}

char *http_header(const struct http_reply *r, const char *name)
{
    size_t len = strlen(name);
    const char *line = r->headers.data;

    while (line != NULL && *line != '\0') {
        const char *end = strchr(line, '\n');

        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            const char *value = line + len + 1;

            value += strspn(value, " \t");
            return strndup(value, (size_t)(end - value));
        }
        line = end + 1;
    }
    return NULL;
}

char *http_escape(const char *text)
{
    struct buf b = {0};
    int rc = buf_append_str(&b, "");

    for (const char *p = text; *p != '\0' && rc == 0; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || strchr("-._~", *p) != NULL;

        rc = plain ? buf_append(&b, p, 1) : buf_printf(&b, "%%%02X", (unsigned char)*p);
    }
    if (rc < 0) {
        buf_free(&b);
        return NULL;
    }
    return b.data;
}
