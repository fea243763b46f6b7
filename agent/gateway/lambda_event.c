#include "agent/gateway/lambda_event.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/hex.h"

/* --- the event -------------------------------------------------------------------- */

static json_t *text(struct http_str s)
{
    json_t *json = json_stringn(s.at != NULL ? s.at : "", s.len);

    return json != NULL ? json : json_string(""); /* not UTF-8 */
}

/* Adds to what is there, with a comma: headers and parameters may come more than once. */
static void join(json_t *object, const char *key, struct http_str value)
{
    const char *before = json_string_value(json_object_get(object, key));
    json_t *next = before != NULL
                       ? json_sprintf("%s,%.*s", before, (int)value.len, value.at)
                       : text(value);

    if (next != NULL) {
        (void)json_object_set_new(object, key, next);
    }
}

static void add_cookies(json_t *cookies, struct http_str value)
{
    for (size_t i = 0; i < value.len;) {
        const char *semi = memchr(value.at + i, ';', value.len - i);
        size_t end = semi != NULL ? (size_t)(semi - value.at) : value.len;

        while (i < end && value.at[i] == ' ') {
            i++;
        }
        if (end > i) {
            (void)json_array_append_new(cookies,
                                        text((struct http_str){value.at + i, end - i}));
        }
        i = end + 1;
    }
}

static json_t *headers_of(const struct lambda_http_event *e, json_t *cookies)
{
    json_t *out = json_object();

    for (size_t i = 0; i < e->headers.n; i++) {
        const struct http_header *h = &e->headers.list[i];
        char name[256];
        size_t len = h->name.len < sizeof(name) ? h->name.len : sizeof(name) - 1;

        for (size_t k = 0; k < len; k++) {
            name[k] = (char)tolower((unsigned char)h->name.at[k]);
        }
        name[len] = '\0';
        if (strcmp(name, "cookie") == 0) {
            add_cookies(cookies, h->value);
        } else if (strcmp(name, "connection") != 0 && strcmp(name, "expect") != 0) {
            join(out, name, h->value);
        }
    }
    return out;
}

static struct http_str decode(char *out, struct http_str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++, n++) {
        out[n] = s.at[i] == '+' ? ' ' : s.at[i];
        if (s.at[i] == '%' && i + 2 < s.len && hex_digit(s.at[i + 1]) >= 0 &&
            hex_digit(s.at[i + 2]) >= 0) {
            out[n] = (char)(hex_digit(s.at[i + 1]) * 16 + hex_digit(s.at[i + 2]));
            i += 2;
        }
    }
    out[n] = '\0';
    return (struct http_str){out, n};
}

/* NULL: there are none. */
static json_t *parameters_of(struct http_str q)
{
    json_t *out = json_object();
    char *room = malloc(2 * q.len + 2);

    for (size_t i = 0; room != NULL && i < q.len;) {
        const char *amp = memchr(q.at + i, '&', q.len - i);
        size_t end = amp != NULL ? (size_t)(amp - q.at) : q.len;
        const char *equals = memchr(q.at + i, '=', end - i);
        size_t n = equals != NULL ? (size_t)(equals - q.at) : end;
        size_t from = n + (equals != NULL);
        struct http_str key = decode(room, (struct http_str){q.at + i, n - i});

        if (key.len > 0) {
            join(out, key.at,
                 decode(room + key.len + 1, (struct http_str){q.at + from, end - from}));
        }
        i = end + 1;
    }
    free(room);
    if (json_object_size(out) == 0) {
        json_decref(out);
        out = NULL;
    }
    return out;
}

static bool is_text(const struct lambda_http_event *e)
{
    static const char *const types[] = {"text/", "application/json",
                                        "application/javascript", "application/xml"};
    const struct http_header *h = http_headers_find(e->headers, "Content-Type");
    struct http_str type = h != NULL ? h->value : (struct http_str){"", 0};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (type.len >= strlen(types[i]) &&
            strncasecmp(type.at, types[i], strlen(types[i])) == 0) {
            return true;
        }
    }
    return false;
}

static void add_body(json_t *event, const struct lambda_http_event *e)
{
    json_t *as_text = is_text(e) ? json_stringn(e->body, e->body_len) : NULL;
    unsigned char *out;

    if (e->body_len == 0) {
        (void)json_object_set_new(event, "isBase64Encoded", json_false());
        json_decref(as_text);
        return;
    }
    (void)json_object_set_new(event, "isBase64Encoded", json_boolean(as_text == NULL));
    if (as_text == NULL && (out = malloc(e->body_len / 3 * 4 + 8)) != NULL) {
        (void)EVP_EncodeBlock(out, e->body, (int)e->body_len);
        as_text = json_string((const char *)out);
        free(out);
    }
    (void)json_object_set_new(event, "body", as_text);
}

static json_t *context_of(const struct lambda_http_event *e)
{
    const struct http_header *agent = http_headers_find(e->headers, "User-Agent");
    const struct http_header *host = http_headers_find(e->headers, "Host");
    time_t s = (time_t)(e->wall_ms / 1000);
    char at[40] = "";
    struct tm tm;
    json_t *c;

    if (gmtime_r(&s, &tm) != NULL) {
        (void)strftime(at, sizeof(at), "%d/%b/%Y:%H:%M:%S +0000", &tm);
    }
    c = json_pack(
        "{s:s, s:s, s:o, s:s, s:{s:o, s:o, s:s, s:s, s:o}, s:s, s:s, s:s, s:s, s:I}",
        "accountId", e->account != NULL ? e->account : "anonymous", "apiId", e->id,
        "domainName", text(host != NULL ? host->value : HTTP_STR("")), "domainPrefix",
        e->id, "http", "method", text(e->method), "path", text(e->path), "protocol",
        "HTTP/1.1", "sourceIp", e->peer, "userAgent",
        text(agent != NULL ? agent->value : HTTP_STR("")), "requestId", e->request_id,
        "routeKey", "$default", "stage", "$default", "time", at, "timeEpoch",
        (json_int_t)e->wall_ms);
    if (c != NULL && e->access_key != NULL) {
        (void)json_object_set_new(c, "authorizer",
                                  json_pack("{s:{s:s, s:s}}", "iam", "accessKey",
                                            e->access_key, "accountId", e->account));
    }
    return c;
}

int lambda_event_make(struct buf *ret, const struct lambda_http_event *e)
{
    json_t *cookies = json_array(), *headers = headers_of(e, cookies);
    json_t *event =
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "version", "2.0", "routeKey",
                  "$default", "rawPath", text(e->path), "rawQueryString", text(e->query),
                  "headers", headers, "requestContext", context_of(e));
    json_t *parameters = parameters_of(e->query);
    char *out;
    int rc;

    if (json_array_size(cookies) > 0) {
        (void)json_object_set(event, "cookies", cookies);
    }
    json_decref(cookies);
    if (parameters != NULL) {
        (void)json_object_set_new(event, "queryStringParameters", parameters);
    }
    add_body(event, e);
    out = event != NULL ? json_dumps(event, JSON_COMPACT) : NULL;
    rc = out != NULL ? buf_append(ret, out, strlen(out)) : -ENOMEM;
    free(out);
    json_decref(event);
    return rc;
}

/* --- the reply -------------------------------------------------------------------- */

static bool sendable(const char *name, const char *value)
{
    static const char *const ours[] = {
        "content-length", "transfer-encoding", "connection", "date",
        "keep-alive",     "upgrade",           "trailer"};

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (strcasecmp(name, ours[i]) == 0) {
            return false;
        }
    }
    for (const char *c = name; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && strchr("!#$%&'*+-.^_`|~", *c) == NULL) {
            return false;
        }
    }
    return *name != '\0' && strpbrk(value, "\r\n") == NULL;
}

static void add(struct lambda_http_reply *r, const char *name, const char *value)
{
    if (r->n_headers < LAMBDA_REPLY_HEADERS_MAX && sendable(name, value)) {
        r->headers[r->n_headers++] =
            (struct http_header){http_str(name), http_str(value)};
    }
}

static const char *as_text(json_t *object, const char *key, json_t *value)
{
    char number[40];

    if (json_is_string(value)) {
        return json_string_value(value);
    }
    if (json_is_integer(value)) {
        (void)snprintf(number, sizeof(number), "%lld",
                       (long long)json_integer_value(value));
    } else if (json_is_boolean(value)) {
        (void)snprintf(number, sizeof(number), "%s",
                       json_is_true(value) ? "true" : "false");
    } else {
        return NULL;
    }
    (void)json_object_set_new(object, key, json_string(number)); /* it stays as long */
    return json_string_value(json_object_get(object, key));
}

static int read_head(struct lambda_http_reply *r)
{
    json_t *status = json_object_get(r->json, "statusCode");
    json_t *headers = json_object_get(r->json, "headers"), *value, *copy;
    json_t *cookies = json_object_get(r->json, "cookies");
    const char *key;
    bool typed = false;
    size_t i;

    r->status = 200;
    if (json_is_integer(status)) {
        r->status = (int)json_integer_value(status);
    } else if (json_is_string(status)) {
        r->status = atoi(json_string_value(status));
    }
    if (r->status < 200 || r->status > 599) {
        return -EINVAL;
    }
    copy = json_copy(headers); /* numbers become texts in the original */
    json_object_foreach(copy, key, value)
    {
        const char *v = as_text(headers, key, value);

        if (v != NULL) {
            void *at = json_object_iter_at(headers, key); /* its text stays as long */

            typed |= strcasecmp(key, "content-type") == 0;
            add(r, json_object_iter_key(at), v);
        }
    }
    json_decref(copy);
    if (!typed) {
        add(r, "Content-Type", "application/json");
    }
    json_array_foreach(cookies, i, value)
    {
        if (json_is_string(value)) {
            add(r, "Set-Cookie", json_string_value(value));
        }
    }
    return 0;
}

int lambda_reply_read_head(struct lambda_http_reply *ret, const char *data, size_t len)
{
    *ret = (struct lambda_http_reply){.status = 200};
    ret->json = json_loadb(data, len, 0, NULL);
    return json_is_object(ret->json) ? read_head(ret) : -EINVAL;
}

static int read_body(struct lambda_http_reply *r)
{
    const json_t *body = json_object_get(r->json, "body");
    size_t len = json_string_length(body), pad = 0;
    const char *at = json_string_value(body);
    int n;

    r->body = at != NULL ? at : "";
    r->body_len = len;
    if (!json_is_true(json_object_get(r->json, "isBase64Encoded")) || len == 0) {
        return 0;
    }
    r->bytes = malloc(len / 4 * 3 + 4);
    n = r->bytes != NULL && len % 4 == 0
            ? EVP_DecodeBlock(r->bytes, (const unsigned char *)at, (int)len)
            : -1;
    if (n < 0) {
        return -EINVAL;
    }
    pad = at[len - 1] == '=' ? 1 + (at[len - 2] == '=') : 0;
    r->body = (const char *)r->bytes;
    r->body_len = (size_t)n - pad;
    return 0;
}

int lambda_reply_read(struct lambda_http_reply *ret, const char *data, size_t len)
{
    int rc;

    *ret = (struct lambda_http_reply){.status = 200, .body = data, .body_len = len};
    ret->json = json_loadb(data, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!json_is_object(ret->json) || json_object_get(ret->json, "statusCode") == NULL) {
        add(ret, "Content-Type", "application/json");
        if (json_is_string(ret->json)) { /* a text is its own body */
            ret->body = json_string_value(ret->json);
            ret->body_len = json_string_length(ret->json);
        }
        return 0;
    }
    rc = read_head(ret);
    return rc < 0 ? rc : read_body(ret);
}

void lambda_http_reply_free(struct lambda_http_reply *r)
{
    json_decref(r->json);
    free(r->bytes);
    *r = (struct lambda_http_reply){0};
}

/* --- CORS ------------------------------------------------------------------------- */

bool lambda_cors_allows(const json_t *cors, struct http_str origin)
{
    const json_t *list = json_object_get(cors, "AllowOrigins"), *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        const char *o = json_string_value(one);

        if (o != NULL && (strcmp(o, "*") == 0 || http_str_ieq(origin, o))) {
            return true;
        }
    }
    return false;
}

static void add_list(const json_t *list, const char *name, struct http_header *out,
                     size_t *n, size_t max, struct buf *b)
{
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        (void)buf_printf(b, "%s%s", i > 0 ? "," : "", json_string_value(one));
    }
    if (b->len > 0 && *n < max) {
        out[(*n)++] = (struct http_header){http_str(name), {b->data, b->len}};
    }
}

void lambda_cors_headers(const json_t *cors, bool preflight, struct http_header *list,
                         size_t *n, size_t max, struct buf texts[4])
{
    const json_t *age = json_object_get(cors, "MaxAge");

    if (json_is_true(json_object_get(cors, "AllowCredentials")) && *n < max) {
        list[(*n)++] = (struct http_header){HTTP_STR("Access-Control-Allow-Credentials"),
                                            HTTP_STR("true")};
    }
    if (!preflight) {
        add_list(json_object_get(cors, "ExposeHeaders"), "Access-Control-Expose-Headers",
                 list, n, max, &texts[0]);
        return;
    }
    add_list(json_object_get(cors, "AllowMethods"), "Access-Control-Allow-Methods", list,
             n, max, &texts[1]);
    add_list(json_object_get(cors, "AllowHeaders"), "Access-Control-Allow-Headers", list,
             n, max, &texts[2]);
    if (json_is_integer(age) && *n < max &&
        buf_printf(&texts[3], "%lld", (long long)json_integer_value(age)) == 0) {
        list[(*n)++] = (struct http_header){HTTP_STR("Access-Control-Max-Age"),
                                            {texts[3].data, texts[3].len}};
    }
}
