#include "controller/store/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define TXN_BYTES_MAX (1280 * 1024) /* etcd takes 1.5 MiB, encoding included */

struct request *request_internal(enum request_type type)
{
    struct request *r = calloc(1, sizeof(*r));

    CHECK(r != NULL);
    r->type = type;
    list_init(&r->node);
    list_init(&r->pending);
    return r;
}

void request_fail(struct request *r, int status, const char *text)
{
    r->status = error_set(&r->err, status, "%s", text);
}

static bool key_fits(struct request *r, const char *key, bool may_be_empty)
{
    size_t len = strlen(key);

    if (len > STORE_KEY_MAX || (len == 0 && !may_be_empty)) {
        r->status = error_set(&r->err, -EINVAL, "key of %zu bytes: must have 1 to %d",
                              len, STORE_KEY_MAX);
        return false;
    }
    return true;
}

static char *copy_str(struct request *r, const char *s)
{
    char *copy = strdup(s);

    if (copy == NULL) {
        request_fail(r, -ENOMEM, "out of memory");
    }
    return copy;
}

static void ignore_range(void *data, int status, const struct error *err,
                         const struct store_kv *kvs, size_t n, int64_t revision)
{
}

static void ignore_txn(void *data, int status, const struct error *err, bool succeeded,
                       int64_t revision)
{
}

static void ignore_lease(void *data, int status, const struct error *err, int64_t lease)
{
}

struct request *request_range(const char *prefix, store_range_cb cb, void *data)
{
    struct request *r = request_internal(REQUEST_RANGE);

    r->cb.range = cb != NULL ? cb : ignore_range;
    r->data = data;
    if (key_fits(r, prefix, true)) {
        r->prefix = copy_str(r, prefix);
    }
    return r;
}

static bool covers(const struct store_op *a, const struct store_op *b)
{
    if (a->type == STORE_DELETE_PREFIX) {
        return strncmp(a->key, b->key, strlen(a->key)) == 0;
    }
    return strcmp(a->key, b->key) == 0;
}

/* etcd refuses such transactions, so all engines do. */
static bool too_large(struct request *r)
{
    size_t bytes = 0;

    for (size_t i = 0; i < r->n_ops; i++) {
        bytes += strlen(r->ops[i].key) + r->ops[i].len;
    }
    if (bytes > TXN_BYTES_MAX) {
        r->status = error_set(&r->err, -EINVAL,
                              "transaction of %zu bytes: at most %d are allowed", bytes,
                              TXN_BYTES_MAX);
    }
    return bytes > TXN_BYTES_MAX;
}

/* Likewise. */
static bool overlap(struct request *r)
{
    for (size_t i = 0; i < r->n_ops; i++) {
        for (size_t j = 0; j < i; j++) {
            if (covers(&r->ops[i], &r->ops[j]) || covers(&r->ops[j], &r->ops[i])) {
                r->status = error_set(&r->err, -EINVAL,
                                      "key %s is in two operations of one transaction",
                                      r->ops[i].key);
                return true;
            }
        }
    }
    return false;
}

static int copy_op(struct request *r, struct store_op *dst, const struct store_op *src)
{
    *dst = (struct store_op){.type = src->type, .lease = src->lease};
    if (!key_fits(r, src->key, src->type == STORE_DELETE_PREFIX)) {
        return r->status;
    }
    if (src->type == STORE_PUT && src->len > STORE_VALUE_MAX) {
        return r->status = error_set(&r->err, -EINVAL,
                                     "value of %s has %zu bytes: at most %d are allowed",
                                     src->key, src->len, STORE_VALUE_MAX);
    }
    dst->key = copy_str(r, src->key);
    if (src->type == STORE_PUT && r->status == 0) {
        void *value = malloc(src->len + 1);

        if (value == NULL) {
            request_fail(r, -ENOMEM, "out of memory");
            return r->status;
        }
        if (src->len > 0) {
            memcpy(value, src->value, src->len);
        }
        dst->value = value;
        dst->len = src->len;
    }
    return r->status;
}

struct request *request_txn(const struct store_compare *compares, size_t n_compares,
                            const struct store_op *ops, size_t n_ops, store_txn_cb cb,
                            void *data)
{
    struct request *r = request_internal(REQUEST_TXN);

    r->cb.txn = cb != NULL ? cb : ignore_txn;
    r->data = data;
    if (n_compares > STORE_TXN_MAX || n_ops > STORE_TXN_MAX) {
        r->status =
            error_set(&r->err, -EINVAL,
                      "transaction of %zu compares and %zu operations: at most %d "
                      "of each",
                      n_compares, n_ops, STORE_TXN_MAX);
        return r;
    }
    r->compares = calloc(n_compares + 1, sizeof(*r->compares));
    r->ops = calloc(n_ops + 1, sizeof(*r->ops));
    if (r->compares == NULL || r->ops == NULL) {
        request_fail(r, -ENOMEM, "out of memory");
        return r;
    }
    for (size_t i = 0; i < n_compares; i++) {
        r->compares[i] = compares[i];
        r->compares[i].key =
            key_fits(r, compares[i].key, false) ? copy_str(r, compares[i].key) : NULL;
        r->n_compares++;
        if (r->status < 0) {
            return r;
        }
    }
    for (size_t i = 0; i < n_ops; i++) {
        r->n_ops++;
        if (copy_op(r, &r->ops[i], &ops[i]) < 0) {
            return r;
        }
    }
    if (!too_large(r)) {
        (void)overlap(r);
    }
    return r;
}

struct request *request_lease(enum request_type type, int64_t lease, uint32_t ttl_s,
                              store_lease_cb cb, void *data)
{
    struct request *r = request_internal(type);

    r->cb.lease = cb != NULL ? cb : ignore_lease;
    r->data = data;
    r->lease = lease;
    r->ttl_s = ttl_s;
    if (type == REQUEST_LEASE_GRANT && ttl_s == 0) {
        request_fail(r, -EINVAL, "a lease's time must be at least 1 s");
    } else if (type != REQUEST_LEASE_GRANT && lease == 0) {
        request_fail(r, -EINVAL, "0 is not a lease");
    }
    return r;
}

void request_answer(struct request *r)
{
    if (r->answered) {
        return;
    }
    if (r->status < 0) {
        struct error err = r->err;

        request_answer_with(r, r->status, err.text);
        return;
    }
    r->answered = true;
    switch (r->type) {
    case REQUEST_RANGE:
        r->cb.range(r->data, 0, &r->err, r->kvs.items, r->kvs.n, r->revision);
        break;
    case REQUEST_TXN:
        r->cb.txn(r->data, 0, &r->err, r->succeeded, r->revision);
        break;
    case REQUEST_LEASE_GRANT:
    case REQUEST_LEASE_KEEPALIVE:
    case REQUEST_LEASE_REVOKE:
        r->cb.lease(r->data, 0, &r->err, r->lease);
        break;
    case REQUEST_WATCH:
    case REQUEST_EXPIRE:
        break;
    }
}

void request_answer_with(struct request *r, int status, const char *text)
{
    struct error err;

    if (r->answered) {
        return;
    }
    r->answered = true;
    (void)error_set(&err, status, "%s", text);
    switch (r->type) {
    case REQUEST_RANGE:
        r->cb.range(r->data, status, &err, NULL, 0, 0);
        break;
    case REQUEST_TXN:
        r->cb.txn(r->data, status, &err, false, 0);
        break;
    case REQUEST_LEASE_GRANT:
    case REQUEST_LEASE_KEEPALIVE:
    case REQUEST_LEASE_REVOKE:
        r->cb.lease(r->data, status, &err, 0);
        break;
    case REQUEST_WATCH:
    case REQUEST_EXPIRE:
        break;
    }
}

struct request *request_free(struct request *r)
{
    if (r == NULL) {
        return NULL;
    }
    list_remove(&r->node);
    list_remove(&r->pending);
    for (size_t i = 0; i < r->n_compares; i++) {
        free((void *)r->compares[i].key);
    }
    for (size_t i = 0; i < r->n_ops; i++) {
        free((void *)r->ops[i].key);
        free((void *)r->ops[i].value);
    }
    free(r->compares);
    free(r->ops);
    free(r->prefix);
    kv_list_free(&r->kvs);
    event_list_free(&r->events);
    free(r);
    return NULL;
}

void request_finish(struct request *r)
{
    list_remove(&r->node);
    list_remove(&r->pending);
    request_answer(r);
    (void)request_free(r);
}
