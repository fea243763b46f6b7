/* Fuzz target: any bytes as a reply of etcd. The first byte picks what was asked. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/store/etcd_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_kv(const struct store_kv *kv)
{
    CHECK(kv->key != NULL && kv->value != NULL);
    CHECK(kv->len == 0 || memrchr(kv->value, 0, kv->len) != kv->key); /* all readable */
    CHECK(strlen(kv->key) < SIZE_MAX);
}

static void as_reply(enum request_type type, const char *body, size_t len)
{
    struct request *r = request_internal(type);

    if (etcd_decode(r, body, len) == 0) {
        for (size_t i = 0; i < r->kvs.n; i++) {
            check_kv(&r->kvs.items[i]);
        }
    }
    (void)request_free(r);
}

static void as_watch(const char *line, size_t len)
{
    struct etcd_watch_reply reply;

    if (etcd_decode_watch(line, len, &reply) == 0) {
        for (size_t at = 0; at < reply.events.n;) {
            size_t n = event_list_run(&reply.events, at);

            check_kv(&reply.events.items[at].kv);
            at += n;
            CHECK(at >= reply.events.n || reply.events.items[at].kv.mod_revision >
                                              reply.events.items[at - 1].kv.mod_revision);
        }
    }
    etcd_watch_reply_free(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum request_type types[] = {
        REQUEST_RANGE, REQUEST_TXN, REQUEST_LEASE_GRANT, REQUEST_LEASE_KEEPALIVE};
    const char *body = (const char *)data + 1;
    char text[64];

    if (size == 0) {
        return 0;
    }
    switch (data[0] % 6) {
    case 4:
        as_watch(body, size - 1);
        break;
    case 5:
        CHECK(etcd_decode_error(body, size - 1, text, sizeof(text)) >= 0);
        CHECK(strlen(text) < sizeof(text));
        break;
    default:
        as_reply(types[data[0] % 6], body, size - 1);
        break;
    }
    return 0;
}
