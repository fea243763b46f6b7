/* What an event's headers say of its call. */
#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/runtime/runtime_lambda.h"
#include "common/clock.h"
#include "common/number.h"

#define CONTEXT_MAX 3583 /* bytes of X-Amz-Client-Context: AWS's limit */

struct lambda_event {
    const char *content_type;
    char *client_context;    /* JSON in one line, or NULL */
    const char *tenant;      /* or NULL */
    const char *arn;         /* NULL: the function's own */
    const char *traceparent; /* or NULL */
    char texts[];            /* what the others point into */
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

static char *put_hex(char *at, uint64_t n, unsigned digits)
{
    for (unsigned shift = 4 * digits; shift > 0;) {
        shift -= 4;
        *at++ = "0123456789abcdef"[n >> shift & 15];
    }
    return at;
}

/* "Root=1-<8 hex: seconds>-<24 hex>;Parent=<16 hex>;Sampled=0" */
static void begin_trace(char *at)
{
    at = put_hex(stpcpy(at, "Root=1-"), clock_wall_ms() / 1000, 8);
    *at++ = '-';
    at = put_hex(put_hex(at, random_u64(), 16), random_u64(), 8);
    at = put_hex(stpcpy(at, ";Parent="), random_u64() | 1, 16);
    (void)stpcpy(at, ";Sampled=0");
}

/* What the caller says, in either language, goes on; else a trace begins here, which
 * nobody has chosen to sample. An id of X-Ray is a W3C id with a dash in it. */
static void set_trace(struct lambda_call *l, struct http_str xray, struct http_str w3c)
{
    if (xray.len > 0 && xray.len < sizeof(l->trace_id)) {
        (void)snprintf(l->trace_id, sizeof(l->trace_id), "%.*s", (int)xray.len, xray.at);
    } else if (is_traceparent(w3c)) {
        bool sampled = strchr("13579bdf", w3c.at[54]) != NULL;

        (void)snprintf(l->trace_id, sizeof(l->trace_id),
                       "Root=1-%.8s-%.24s;Parent=%.16s;Sampled=%d", w3c.at + 3,
                       w3c.at + 11, w3c.at + 36, sampled);
    } else {
        begin_trace(l->trace_id);
    }
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

/* A copy at *at, which goes on behind it. NULL: there is none. */
static const char *keep(char **at, struct http_str s)
{
    char *copy = *at;

    if (s.len == 0) {
        return NULL;
    }
    memcpy(copy, s.at, s.len);
    copy[s.len] = '\0';
    *at += s.len + 1;
    return copy;
}

int lambda_event_new(struct lambda_call *l, const struct runtime_request *r)
{
    struct http_str type = value_of(r, "Content-Type");
    struct http_str tenant = value_of(r, "X-Amz-Tenant-Id");
    struct http_str w3c = value_of(r, "traceparent");
    struct http_str trace = is_traceparent(w3c) ? w3c : HTTP_STR("");
    struct http_str arn = http_str(r->invoked_arn);
    struct lambda_event *e =
        malloc(sizeof(*e) + type.len + tenant.len + trace.len + arn.len + 4);
    char *at;

    if (e == NULL) {
        return -ENOMEM;
    }
    at = e->texts;
    e->content_type = type.len > 0 ? keep(&at, type) : "application/json";
    e->tenant = keep(&at, tenant);
    e->traceparent = keep(&at, trace);
    e->arn = keep(&at, arn);
    e->client_context = decode_context(value_of(r, "X-Amz-Client-Context"));
    l->event = e;
    set_trace(l, value_of(r, "X-Amzn-Trace-Id"), w3c);
    return 0;
}

void lambda_event_free(struct lambda_call *l)
{
    if (l->event != NULL) {
        free(l->event->client_context);
        free(l->event);
    }
    l->event = NULL;
}

const char *lambda_event_arn(const struct lambda_call *l)
{
    const struct lambda_state *s = l->call.instance->kind_state;

    return l->event->arn != NULL ? l->event->arn : s->arn;
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
    char deadline[NUMBER_TEXT_SIZE];
    size_t n = 0;

    (void)number_text(deadline, l->deadline_wall_ms);
    add(list, &n, "Content-Type", e->content_type);
    add(list, &n, "Lambda-Runtime-Aws-Request-Id", l->id);
    add(list, &n, "Lambda-Runtime-Deadline-Ms", deadline);
    add(list, &n, "Lambda-Runtime-Invoked-Function-Arn", lambda_event_arn(l));
    add(list, &n, "Lambda-Runtime-Trace-Id", l->trace_id);
    add(list, &n, "Lambda-Runtime-Client-Context", e->client_context);
    add(list, &n, "Lambda-Runtime-Aws-Tenant-Id", e->tenant);
    add(list, &n, "traceparent", e->traceparent);
    return http_exchange_reply(x, 200, (struct http_headers){list, n}, event.at,
                               event.len);
}
