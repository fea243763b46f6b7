/* What an event's headers say of its call. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/runtime/runtime_lambda.h"
#include "common/clock.h"

#define CONTEXT_MAX 3583 /* bytes of X-Amz-Client-Context: AWS's limit */

struct lambda_event {
    char *content_type;
    char *client_context; /* JSON in one line, or NULL */
    char *tenant;         /* or NULL */
    char *arn;            /* NULL: the function's own */
    char *traceparent;    /* or NULL */
};

/* --- traces ------------------------------------------------------------------------- */

static bool all_hex(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f'))) {
            return false;
        }
    }
    return true;
}

/* "00-<32 hex>-<16 hex>-<2 hex>" (https://www.w3.org/TR/trace-context/), of which later
 * versions may say more. */
static bool is_traceparent(struct http_str s)
{
    return s.len >= 55 && all_hex(s.at, 2) && memcmp(s.at, "ff", 2) != 0 &&
           (s.len == 55 || (memcmp(s.at, "00", 2) != 0 && s.at[55] == '-')) &&
           s.at[2] == '-' && s.at[35] == '-' && s.at[52] == '-' &&
           all_hex(s.at + 3, 32) && all_hex(s.at + 36, 16) && all_hex(s.at + 53, 2) &&
           strspn(s.at + 3, "0") < 32 && strspn(s.at + 36, "0") < 16;
}

/* What the caller says, in either language, goes on; else a trace begins here, which
 * nobody has chosen to sample. An id of X-Ray is a W3C id with a dash in it. */
static void set_trace(struct lambda_call *l, struct http_str xray, struct http_str w3c)
{
    char hex[49];

    if (xray.len > 0 && xray.len < sizeof(l->trace_id)) {
        (void)snprintf(l->trace_id, sizeof(l->trace_id), "%.*s", (int)xray.len, xray.at);
        return;
    }
    if (is_traceparent(w3c)) {
        bool sampled = strchr("13579bdf", w3c.at[54]) != NULL;

        (void)snprintf(l->trace_id, sizeof(l->trace_id),
                       "Root=1-%.8s-%.24s;Parent=%.16s;Sampled=%d", w3c.at + 3,
                       w3c.at + 11, w3c.at + 36, sampled);
        return;
    }
    (void)snprintf(hex, sizeof(hex), "%016" PRIx64 "%016" PRIx64 "%016" PRIx64,
                   random_u64(), random_u64(), random_u64() | 1);
    (void)snprintf(l->trace_id, sizeof(l->trace_id),
                   "Root=1-%08x-%.24s;Parent=%.16s;Sampled=0",
                   (unsigned)(clock_wall_ms() / 1000), hex, hex + 32);
}

/* --- the client's context -------------------------------------------------------------
 */

/* JSON in base64; what it is not is no context. */
static char *decode_context(struct http_str text)
{
    unsigned char out[CONTEXT_MAX];
    json_t *json;
    char *line;
    int n;

    if (text.len == 0 || text.len > CONTEXT_MAX) {
        return NULL;
    }
    n = EVP_DecodeBlock(out, (const unsigned char *)text.at, (int)text.len);
    for (size_t i = text.len; n > 0 && i > 0 && text.at[i - 1] == '='; i--) {
        n--;
    }
    json = n > 0 ? json_loadb((const char *)out, (size_t)n, 0, NULL) : NULL;
    line = json != NULL ? json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(json);
    return line;
}

/* --- the event ------------------------------------------------------------------------
 */

static struct http_str value_of(const struct runtime_request *r, const char *name)
{
    return lambda_header(r->headers, name);
}

static char *dup_or_null(struct http_str s, bool *failed)
{
    char *copy = s.len > 0 ? http_str_dup(s) : NULL;

    *failed = *failed || (s.len > 0 && copy == NULL);
    return copy;
}

int lambda_event_new(struct lambda_call *l, const struct runtime_request *r)
{
    struct http_str type = value_of(r, "Content-Type");
    struct http_str w3c = value_of(r, "traceparent");
    struct lambda_event *e = calloc(1, sizeof(*e));
    bool failed = e == NULL;

    if (failed) {
        return -ENOMEM;
    }
    l->event = e;
    e->content_type =
        dup_or_null(type.len > 0 ? type : HTTP_STR("application/json"), &failed);
    e->client_context = decode_context(value_of(r, "X-Amz-Client-Context"));
    e->tenant = dup_or_null(value_of(r, "X-Amz-Tenant-Id"), &failed);
    e->arn = dup_or_null(http_str(r->invoked_arn), &failed);
    e->traceparent = dup_or_null(is_traceparent(w3c) ? w3c : HTTP_STR(""), &failed);
    set_trace(l, value_of(r, "X-Amzn-Trace-Id"), w3c);
    if (failed) {
        lambda_event_free(l);
        return -ENOMEM;
    }
    return 0;
}

void lambda_event_free(struct lambda_call *l)
{
    struct lambda_event *e = l->event;

    if (e != NULL) {
        free(e->content_type);
        free(e->client_context);
        free(e->tenant);
        free(e->arn);
        free(e->traceparent);
        free(e);
    }
    l->event = NULL;
}

void lambda_instance_arn(const struct runtime_instance *in, char ret[256])
{
    char name[LAMBDA_NAME_MAX + 1];

    runtime_lambda_name(name, in);
    (void)snprintf(ret, 256, "arn:aws:lambda:%s:%s:function:%s", in->host->region,
                   in->host->account, name);
}

const char *lambda_event_arn(const struct lambda_call *l)
{
    return l->event->arn;
}

static void add(struct http_header *list, size_t *n, const char *name, const char *value)
{
    if (value != NULL) {
        list[(*n)++] = (struct http_header){http_str(name), http_str(value)};
    }
}

int lambda_event_send(const struct lambda_call *l, struct http_exchange *x)
{
    const struct lambda_event *e = l->event;
    struct http_str event =
        l->body.len > 0 ? (struct http_str){l->body.data, l->body.len} : HTTP_STR("{}");
    struct http_header list[8];
    char deadline[24], arn[256];
    size_t n = 0;

    (void)snprintf(deadline, sizeof(deadline), "%" PRIu64, l->deadline_wall_ms);
    lambda_instance_arn(l->call.instance, arn);
    add(list, &n, "Content-Type", e->content_type);
    add(list, &n, "Lambda-Runtime-Aws-Request-Id", l->id);
    add(list, &n, "Lambda-Runtime-Deadline-Ms", deadline);
    add(list, &n, "Lambda-Runtime-Invoked-Function-Arn", e->arn != NULL ? e->arn : arn);
    add(list, &n, "Lambda-Runtime-Trace-Id", l->trace_id);
    add(list, &n, "Lambda-Runtime-Client-Context", e->client_context);
    add(list, &n, "Lambda-Runtime-Aws-Tenant-Id", e->tenant);
    add(list, &n, "traceparent", e->traceparent);
    return http_exchange_reply(x, 200, (struct http_headers){list, n}, event.at,
                               event.len);
}
