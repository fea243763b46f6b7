#include "agent/learned/learned.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "proto/mayfly.pb-c.h"

#define KIND    "mayfly learned calls"
#define VERSION 1

int learned_add(struct learned *l, const char *namespace_, const char *name,
                const struct keepalive_memory *m)
{
    struct learned_function *f;

    if (l->n >= LEARNED_FUNCTIONS_MAX) {
        return -ENOSPC;
    }
    if (l->n == l->capacity) {
        size_t capacity = l->capacity == 0 ? 64 : 2 * l->capacity;
        struct learned_function *grown =
            reallocarray(l->list, capacity, sizeof(*l->list));

        if (grown == NULL) {
            return -ENOMEM;
        }
        l->list = grown;
        l->capacity = capacity;
    }
    f = &l->list[l->n];
    CHECK(strlen(namespace_) < sizeof(f->namespace_) && strlen(name) < sizeof(f->name));
    memset(f, 0, sizeof(*f));
    memcpy(f->namespace_, namespace_, strlen(namespace_));
    memcpy(f->name, name, strlen(name));
    f->memory = *m;
    l->n++;
    return 0;
}

void learned_free(struct learned *l)
{
    free(l->list);
    *l = (struct learned){0};
}

/* --- out ------------------------------------------------------------------------------
 */

struct packing { /* one function's message, and where its numbers are */
    Mayfly__V1__KeptPattern wire;
    uint32_t minutes[KEEPALIVE_BINS], counts[KEEPALIVE_BINS];
};

static void to_wire(struct packing *p, const struct learned_function *f, uint64_t wall_ms,
                    bool orderly)
{
    const struct keepalive_memory *m = &f->memory;
    size_t n = 0;

    mayfly__v1__kept_pattern__init(&p->wire);
    p->wire.namespace_ = (char *)(uintptr_t)f->namespace_;
    p->wire.name = (char *)(uintptr_t)f->name;
    p->wire.called_at_ms = wall_ms > m->ago_ms ? wall_ms - m->ago_ms : 0;
    p->wire.idle = m->idle && orderly;
    p->wire.beyond = m->beyond;
    for (uint32_t i = 0; i < KEEPALIVE_BINS; i++) {
        if (m->bins[i] > 0) {
            p->minutes[n] = i;
            p->counts[n++] = m->bins[i];
        }
    }
    p->wire.minutes = p->minutes;
    p->wire.counts = p->counts;
    p->wire.n_minutes = p->wire.n_counts = n;
}

static int pack_file(struct buf *ret, const uint8_t *body, size_t len)
{
    uint8_t sum[SHA256_DIGEST_LENGTH];
    Mayfly__V1__KeptFile file = MAYFLY__V1__KEPT_FILE__INIT;

    (void)SHA256(body, len, sum);
    file.kind = (char *)(uintptr_t)KIND;
    file.version = VERSION;
    file.sha256 = (ProtobufCBinaryData){sizeof(sum), sum};
    file.body = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)body};
    if (buf_reserve(ret, mayfly__v1__kept_file__get_packed_size(&file)) < 0) {
        return -ENOMEM;
    }
    ret->len += mayfly__v1__kept_file__pack(&file, (uint8_t *)ret->data + ret->len);
    return 0;
}

int learned_pack(struct buf *ret, const struct learned *l, uint64_t wall_ms, bool orderly)
{
    Mayfly__V1__KeptCalls calls = MAYFLY__V1__KEPT_CALLS__INIT;
    struct packing *each = calloc(l->n + 1, sizeof(*each));
    Mayfly__V1__KeptPattern **list = calloc(l->n + 1, sizeof(*list));
    uint8_t *body = NULL;
    size_t len = 0;
    int rc = -ENOMEM;

    if (each != NULL && list != NULL) {
        for (size_t i = 0; i < l->n; i++) {
            to_wire(&each[i], &l->list[i], wall_ms, orderly);
            list[i] = &each[i].wire;
        }
        calls.functions = list;
        calls.n_functions = l->n;
        len = mayfly__v1__kept_calls__get_packed_size(&calls);
        body = malloc(len + 1);
    }
    if (body != NULL) {
        (void)mayfly__v1__kept_calls__pack(&calls, body);
        rc = pack_file(ret, body, len);
    }
    free(body);
    free(list);
    free(each);
    return rc;
}

/* --- in -------------------------------------------------------------------------------
 */

static bool is_name(const char *name)
{
    size_t len = strnlen(name, SPEC_NAME_MAX + 1);

    return len > 0 && len <= SPEC_NAME_MAX;
}

/* False: nobody can have written that. */
static bool from_wire(struct keepalive_memory *ret, const Mayfly__V1__KeptPattern *wire,
                      uint64_t wall_ms)
{
    *ret = (struct keepalive_memory){.ago_ms = wall_ms - wire->called_at_ms,
                                     .idle = wire->idle,
                                     .beyond = wire->beyond};
    if (!is_name(wire->namespace_) || !is_name(wire->name) ||
        wire->n_minutes != wire->n_counts || wire->called_at_ms > wall_ms) {
        return false;
    }
    for (size_t i = 0; i < wire->n_minutes; i++) {
        if (wire->minutes[i] >= KEEPALIVE_BINS || wire->counts[i] == 0 ||
            wire->counts[i] >= KEEPALIVE_SAMPLES_MAX ||
            (i > 0 && wire->minutes[i] <= wire->minutes[i - 1])) {
            return false;
        }
        ret->bins[wire->minutes[i]] = (uint16_t)wire->counts[i];
    }
    return true;
}

static int take_body(struct learned *ret, const Mayfly__V1__KeptCalls *calls,
                     uint64_t wall_ms)
{
    struct keepalive_memory m;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < calls->n_functions; i++) {
        const Mayfly__V1__KeptPattern *wire = calls->functions[i];
        struct keepalive tried;

        keepalive_init(&tried, 0, false);
        if (from_wire(&m, wire, wall_ms) && keepalive_recall(&tried, wall_ms, &m)) {
            rc = learned_add(ret, wire->namespace_, wire->name, &m);
        }
    }
    return rc == -ENOSPC ? 0 : rc;
}

static int check_file(const Mayfly__V1__KeptFile *file, struct error *err)
{
    uint8_t sum[SHA256_DIGEST_LENGTH];

    if (file == NULL || strcmp(file->kind, KIND) != 0) {
        return error_set(err, -EINVAL, "it is something else");
    }
    if (file->version != VERSION) {
        return error_set(err, -EINVAL, "it is of version %" PRIu32 ", not %d",
                         file->version, VERSION);
    }
    (void)SHA256(file->body.data, file->body.len, sum);
    if (file->sha256.len != sizeof(sum) ||
        memcmp(file->sha256.data, sum, sizeof(sum)) != 0) {
        return error_set(err, -EINVAL, "it is damaged");
    }
    return 0;
}

int learned_unpack(struct learned *ret, const void *data, size_t len, uint64_t wall_ms,
                   struct error *err)
{
    Mayfly__V1__KeptFile *file = mayfly__v1__kept_file__unpack(NULL, len, data);
    Mayfly__V1__KeptCalls *calls = NULL;
    struct learned l = {0};
    int rc = check_file(file, err);

    if (rc == 0) {
        calls = mayfly__v1__kept_calls__unpack(NULL, file->body.len, file->body.data);
        rc = calls != NULL ? take_body(&l, calls, wall_ms)
                           : error_set(err, -EINVAL, "it is damaged");
        if (rc == -ENOMEM) {
            rc = error_set(err, rc, "out of memory");
        }
    }
    if (calls != NULL) {
        mayfly__v1__kept_calls__free_unpacked(calls, NULL);
    }
    if (file != NULL) {
        mayfly__v1__kept_file__free_unpacked(file, NULL);
    }
    if (rc < 0) {
        learned_free(&l);
        return rc;
    }
    *ret = l;
    return 0;
}
