/* Fuzz target: any bytes as the agent's file of what it learned of calls, and any bytes
 * in such a file with the right sum. What is taken of it can be learned from, and is the
 * same after it was written and read again. */
#include <openssl/sha.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/learned/learned.h"
#include "common/check.h"
#include "proto/mayfly.pb-c.h"

#define NOW 1800000000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct learned *l)
{
    struct learned again = {0};
    struct buf text = {0};
    struct error err = {0};

    CHECK(l->n <= LEARNED_FUNCTIONS_MAX);
    for (size_t i = 0; i < l->n; i++) {
        struct keepalive k;

        keepalive_init(&k, 0, true);
        CHECK(keepalive_recall(&k, 0, &l->list[i].memory) && keepalive_check(&k));
    }
    CHECK(learned_pack(&text, l, NOW, true) == 0);
    CHECK(learned_unpack(&again, text.data, text.len, NOW, &err) == 0);
    CHECK(again.n == l->n);
    for (size_t i = 0; i < l->n; i++) {
        CHECK(memcmp(&again.list[i], &l->list[i], sizeof(l->list[i])) == 0);
    }
    learned_free(&again);
    buf_free(&text);
}

static void take(const void *data, size_t size)
{
    struct learned l = {0};
    struct error err = {0};
    int rc = learned_unpack(&l, data, size, NOW, &err);

    CHECK(rc == 0 || *err.text != '\0');
    if (rc == 0) {
        check_again(&l);
    }
    learned_free(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Mayfly__V1__KeptFile file = MAYFLY__V1__KEPT_FILE__INIT;
    uint8_t sum[SHA256_DIGEST_LENGTH], *whole;
    size_t len;

    take(data, size);
    (void)SHA256(data, size, sum);
    file.kind = (char *)(uintptr_t) "mayfly learned calls";
    file.version = 1;
    file.sha256 = (ProtobufCBinaryData){sizeof(sum), sum};
    file.body = (ProtobufCBinaryData){size, (uint8_t *)(uintptr_t)data};
    len = mayfly__v1__kept_file__get_packed_size(&file);
    whole = malloc(len);
    CHECK(whole != NULL);
    (void)mayfly__v1__kept_file__pack(&file, whole);
    take(whole, len);
    free(whole);
    return 0;
}
