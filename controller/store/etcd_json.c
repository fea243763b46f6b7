#include "controller/store/etcd_json.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cleanup.h"

static int append_base64(struct buf *b, const void *data, size_t len)
{
    int rc = buf_reserve(b, (len + 2) / 3 * 4);

    if (rc < 0) {
        return rc;
    }
    b->len += (size_t)EVP_EncodeBlock((unsigned char *)b->data + b->len, data, (int)len);
    return 0;
}

static int append_bytes(struct buf *b, const char *name, const void *data, size_t len)
{
    int rc = buf_printf(b, "\"%s\":\"", name);

    if (rc == 0) {
        rc = append_base64(b, data, len);
    }
    return rc < 0 ? rc : buf_append_str(b, "\"");
}

/* "key" and "range_end" of all keys with the prefix; of all keys, if it is empty. */
static int append_prefix(struct buf *b, const char *prefix)
{
    size_t len = strlen(prefix);
    char end[STORE_KEY_MAX + 1] = "";
    int rc;

    CHECK(len <= STORE_KEY_MAX);
    memcpy(end, prefix, len);
    while (len > 0 && (unsigned char)end[len - 1] == 0xff) {
        len--;
    }
    if (len > 0) {
        end[len - 1] = (char)((unsigned char)end[len - 1] + 1);
    } else {
        end[len++] = '\0'; /* up to the last key there is */
    }
    rc = append_bytes(b, "key", prefix, strlen(prefix) > 0 ? strlen(prefix) : 1);
    if (rc == 0) {
        rc = buf_append_str(b, ",");
    }
    return rc < 0 ? rc : append_bytes(b, "range_end", end, len);
}

static int encode_compare(struct buf *b, const struct store_compare *c)
{
    bool create = c->what == STORE_CREATE_REVISION;
    int rc = buf_append_str(b, "{");

    if (rc == 0) {
        rc = append_bytes(b, "key", c->key, strlen(c->key));
    }
    return rc < 0 ? rc
                  : buf_printf(b,
                               ",\"result\":\"EQUAL\",\"target\":\"%s\",\"%s\":\"%" PRId64
                               "\"}",
                               create ? "CREATE" : "MOD",
                               create ? "create_revision" : "mod_revision", c->equals);
}

static int encode_op(struct buf *b, const struct store_op *op)
{
    bool put = op->type == STORE_PUT;
    int rc =
        buf_append_str(b, put ? "{\"request_put\":{" : "{\"request_delete_range\":{");

    if (rc == 0 && op->type == STORE_DELETE_PREFIX) {
        rc = append_prefix(b, op->key);
    } else if (rc == 0) {
        rc = append_bytes(b, "key", op->key, strlen(op->key));
    }
    if (rc == 0 && put) {
        rc = buf_printf(b, ",\"lease\":\"%" PRId64 "\",", op->lease);
    }
    if (rc == 0 && put) {
        rc = append_bytes(b, "value", op->value, op->len);
    }
    return rc < 0 ? rc : buf_append_str(b, "}}");
}

static int encode_txn(struct buf *b, const struct request *r)
{
    int rc = buf_append_str(b, "{\"compare\":[");

    for (size_t i = 0; rc == 0 && i < r->n_compares; i++) {
        rc = buf_append_str(b, i > 0 ? "," : "");
        rc = rc < 0 ? rc : encode_compare(b, &r->compares[i]);
    }
    if (rc == 0) {
        rc = buf_append_str(b, "],\"success\":[");
    }
    for (size_t i = 0; rc == 0 && i < r->n_ops; i++) {
        rc = buf_append_str(b, i > 0 ? "," : "");
        rc = rc < 0 ? rc : encode_op(b, &r->ops[i]);
    }
    return rc < 0 ? rc : buf_append_str(b, "]}");
}

int etcd_encode_watch(const char *prefix, int64_t from_revision, struct buf *body)
{
    int rc = buf_append_str(body, "{\"create_request\":{");

    if (rc == 0) {
        rc = append_prefix(body, prefix);
    }
    return rc < 0 ? rc
                  : buf_printf(body,
                               ",\"start_revision\":\"%" PRId64
                               "\",\"progress_notify\":true}}",
                               from_revision);
}

static int encode_range(struct buf *b, const char *prefix)
{
    int rc = buf_append_str(b, "{");

    if (rc == 0) {
        rc = append_prefix(b, prefix);
    }
    return rc < 0 ? rc : buf_append_str(b, "}");
}

int etcd_encode(const struct request *r, const char **ret_path, struct buf *body)
{
    switch (r->type) {
    case REQUEST_RANGE:
    case REQUEST_WATCH:
        *ret_path = "/v3/kv/range";
        return encode_range(body, r->prefix);
    case REQUEST_TXN:
        *ret_path = "/v3/kv/txn";
        return encode_txn(body, r);
    case REQUEST_LEASE_GRANT:
        *ret_path = "/v3/lease/grant";
        return buf_printf(body, "{\"TTL\":\"%" PRIu32 "\"}", r->ttl_s);
    case REQUEST_LEASE_KEEPALIVE:
        *ret_path = "/v3/lease/keepalive";
        return buf_printf(body, "{\"ID\":\"%" PRId64 "\"}", r->lease);
    case REQUEST_LEASE_REVOKE:
        *ret_path = "/v3/lease/revoke";
        return buf_printf(body, "{\"ID\":\"%" PRId64 "\"}", r->lease);
    case REQUEST_EXPIRE: /* etcd's own business */
        break;
    }
    CHECK(false);
}

/* A missing number is 0. */
static int get_int(const json_t *object, const char *name, int64_t *ret)
{
    const json_t *v = json_object_get(object, name);
    const char *text = json_string_value(v);
    char *end;

    if (v == NULL) {
        *ret = 0;
        return 0;
    }
    if (json_is_integer(v)) {
        *ret = json_integer_value(v);
        return 0;
    }
    if (text == NULL || *text == '\0') {
        return -EBADMSG;
    }
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return errno != 0 || *end != '\0' ? -EBADMSG : 0;
}

/* Missing bytes are an empty string. NUL-terminated beyond len. */
static int get_bytes(const json_t *object, const char *name, char **ret, size_t *ret_len)
{
    const json_t *v = json_object_get(object, name);
    size_t len = v != NULL ? json_string_length(v) : 0;
    const char *text = v != NULL ? json_string_value(v) : "";
    _cleanup_free_ char *bytes = NULL;
    int n = 0;

    if (text == NULL || len % 4 != 0 || len > INT_MAX) {
        return -EBADMSG;
    }
    bytes = malloc(len / 4 * 3 + 1);
    if (bytes == NULL) {
        return -ENOMEM;
    }
    if (len > 0) {
        n = EVP_DecodeBlock((unsigned char *)bytes, (const unsigned char *)text,
                            (int)len);
        n -= text[len - 1] == '=' ? 1 : 0;
        n -= text[len - 2] == '=' ? 1 : 0;
        if (n < 0) {
            return -EBADMSG;
        }
    }
    bytes[n] = '\0';
    *ret = steal(bytes);
    *ret_len = (size_t)n;
    return 0;
}

/* Calls add with one decoded kv, whose memory is only lent. */
static int with_kv(const json_t *json, int (*add)(void *to, const struct store_kv *kv),
                   void *to)
{
    struct store_kv kv = {0};
    _cleanup_free_ char *key = NULL;
    _cleanup_free_ char *value = NULL;
    size_t key_len = 0;
    int rc = json_is_object(json) ? get_bytes(json, "key", &key, &key_len) : -EBADMSG;

    if (rc == 0) {
        rc = get_bytes(json, "value", &value, &kv.len);
    }
    if (rc == 0) {
        rc = get_int(json, "create_revision", &kv.create_revision);
    }
    if (rc == 0) {
        rc = get_int(json, "mod_revision", &kv.mod_revision);
    }
    if (rc < 0) {
        return rc;
    }
    if (strlen(key) != key_len) {
        return 0;
    }
    kv.key = key;
    kv.value = value;
    return add(to, &kv);
}

static int add_kv(void *to, const struct store_kv *kv)
{
    return kv_list_add(to, kv);
}

static int add_put(void *to, const struct store_kv *kv)
{
    struct store_event event = {.type = STORE_EVENT_PUT, .kv = *kv};

    return event_list_add(to, &event);
}

static int add_delete(void *to, const struct store_kv *kv)
{
    struct store_event event = {.type = STORE_EVENT_DELETE,
                                .kv = {.key = kv->key, .mod_revision = kv->mod_revision}};

    return event_list_add(to, &event);
}

static int decode_kvs(const json_t *kvs, struct kv_list *ret)
{
    if (kvs != NULL && !json_is_array(kvs)) {
        return -EBADMSG;
    }
    for (size_t i = 0; i < json_array_size(kvs); i++) {
        int rc = with_kv(json_array_get(kvs, i), add_kv, ret);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* A keep-alive is answered by a stream of one result; a lease that is gone has no TTL. */
static int decode_keepalive(const json_t *json)
{
    const json_t *result = json_object_get(json, "result");
    int64_t ttl_s;
    int rc = json_is_object(result) ? get_int(result, "TTL", &ttl_s) : -EBADMSG;

    if (rc < 0) {
        return rc;
    }
    return ttl_s > 0 ? 0 : -ENOENT;
}

static int decode_into(struct request *r, const json_t *json)
{
    const json_t *header = json_object_get(json, "header");
    int rc;

    if (r->type == REQUEST_LEASE_KEEPALIVE) {
        return decode_keepalive(json);
    }
    rc = json_is_object(header) ? get_int(header, "revision", &r->revision) : -EBADMSG;
    if (rc < 0) {
        return rc;
    }
    switch (r->type) {
    case REQUEST_RANGE:
    case REQUEST_WATCH:
        return decode_kvs(json_object_get(json, "kvs"), &r->kvs);
    case REQUEST_TXN:
        r->succeeded = json_is_true(json_object_get(json, "succeeded"));
        return 0;
    case REQUEST_LEASE_GRANT:
        rc = get_int(json, "ID", &r->lease);
        return rc == 0 && r->lease == 0 ? -EBADMSG : rc;
    default:
        return 0;
    }
}

int etcd_decode(struct request *r, const char *body, size_t len)
{
    json_t *json = json_loadb(body, len, 0, NULL);
    int rc = json_is_object(json) ? decode_into(r, json) : -EBADMSG;

    json_decref(json);
    return rc;
}

static int decode_event(const json_t *json, struct event_list *ret)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    bool gone = type != NULL && strcmp(type, "DELETE") == 0;
    int64_t last = ret->n > 0 ? ret->items[ret->n - 1].kv.mod_revision : 0;
    int rc = with_kv(json_object_get(json, "kv"), gone ? add_delete : add_put, ret);

    if (rc == 0 && ret->n > 0 && ret->items[ret->n - 1].kv.mod_revision < last) {
        return -EBADMSG;
    }
    return rc;
}

static int decode_watch_result(const json_t *result, struct etcd_watch_reply *ret)
{
    const json_t *events = json_object_get(result, "events");
    int rc = get_int(json_object_get(result, "header"), "revision", &ret->revision);

    if (rc == 0) {
        rc = get_int(result, "compact_revision", &ret->compact_revision);
    }
    if (rc < 0 || (events != NULL && !json_is_array(events))) {
        return -EBADMSG;
    }
    ret->created = json_is_true(json_object_get(result, "created"));
    ret->canceled = json_is_true(json_object_get(result, "canceled"));
    for (size_t i = 0; rc == 0 && i < json_array_size(events); i++) {
        rc = decode_event(json_array_get(events, i), &ret->events);
    }
    return rc;
}

/* {"error": "text"} or {"error": {"grpc_code": …, "message": "text"}}. */
static int decode_error(const json_t *json, char *text, size_t size)
{
    const json_t *error = json_object_get(json, "error");
    const json_t *from = json_is_object(error) ? error : json;
    const char *message = json_string_value(json_object_get(from, "message"));
    int64_t code = 0;

    (void)get_int(from, from == error ? "grpc_code" : "code", &code);
    if (message == NULL) {
        message = json_is_string(error) ? json_string_value(error) : "unknown error";
    }
    (void)snprintf(text, size, "%s", message);
    return code > 0 && code < 100 ? (int)code : 2; /* 2: unknown */
}

int etcd_decode_watch(const char *line, size_t len, struct etcd_watch_reply *ret)
{
    json_t *json = json_loadb(line, len, 0, NULL);
    const json_t *result = json_object_get(json, "result");
    int rc = -EBADMSG;

    *ret = (struct etcd_watch_reply){0};
    if (json_is_object(result)) {
        rc = decode_watch_result(result, ret);
    } else if (json_object_get(json, "error") != NULL) {
        (void)decode_error(json, ret->error, sizeof(ret->error));
        rc = 0;
    }
    json_decref(json);
    return rc;
}

void etcd_watch_reply_free(struct etcd_watch_reply *reply)
{
    event_list_free(&reply->events);
}

int etcd_decode_error(const char *body, size_t len, char *text, size_t size)
{
    json_t *json = json_loadb(body, len, 0, NULL);
    int code = 0;

    (void)snprintf(text, size, "no JSON in the reply");
    if (json_is_object(json)) {
        code = decode_error(json, text, size);
    }
    json_decref(json);
    return code;
}
