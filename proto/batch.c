#include "proto/batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/check.h"

/* Protobuf's wire format: a field is its tag (number << 3 | 2 for bytes), a length, and
 * so many bytes. https://protobuf.dev/programming-guides/encoding/ */
#define TAG_STATES   0x0a /* Batch.states = 1 */
#define TAG_DEFLATED 0x12 /* Batch.deflated = 2 */
#define VARINT_MAX   10
#define LEVEL        1 /* a snapshot is deflated while all wait for it */

static const uint8_t tag_batch[] = {0x92, 0x03}; /* Envelope.batch = 50 */

static size_t put_varint(uint8_t *to, size_t n)
{
    size_t len = 0;

    while (n >= 0x80) {
        to[len++] = (uint8_t)(n | 0x80);
        n >>= 7;
    }
    to[len++] = (uint8_t)n;
    return len;
}

/* Of our own making: it is whole. */
static size_t get_varint(const uint8_t **at)
{
    size_t n = 0;

    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = *(*at)++;

        n |= (size_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return n;
        }
    }
}

bool batch_takes(const Mayfly__V1__Envelope *m)
{
    return m->body_case == MAYFLY__V1__ENVELOPE__BODY_FUNCTION ||
           m->body_case == MAYFLY__V1__ENVELOPE__BODY_NODE;
}

int batch_add(struct buf *states, const struct session_body *state)
{
    uint8_t head[1 + VARINT_MAX] = {TAG_STATES};
    size_t n = 1 + put_varint(head + 1, state->len);

    if (buf_reserve(states, n + state->len) < 0) {
        return -ENOMEM;
    }
    CHECK(buf_append(states, head, n) == 0);
    CHECK(buf_append(states, state->data, state->len) == 0);
    return 0;
}

/* Envelope.batch with such a content. */
static struct session_body *make_body(const uint8_t *head, size_t head_len,
                                      const void *data, size_t len)
{
    uint8_t outer[sizeof(tag_batch) + VARINT_MAX];
    struct session_body *b;
    size_t n = sizeof(tag_batch);

    memcpy(outer, tag_batch, n);
    n += put_varint(outer + n, head_len + len);
    b = session_body_new(n + head_len + len);
    if (b != NULL) {
        memcpy(b->data, outer, n);
        if (head_len > 0) {
            memcpy(b->data + n, head, head_len);
        }
        if (len > 0) {
            memcpy(b->data + n + head_len, data, len);
        }
    }
    return b;
}

struct session_body *batch_body(const struct buf *states)
{
    return make_body(NULL, 0, states->data, states->len);
}

struct session_body *batch_body_deflated(const struct buf *states)
{
    uint8_t head[1 + VARINT_MAX] = {TAG_DEFLATED};
    uLongf len = compressBound(states->len);
    struct session_body *b = NULL;
    uint8_t *deflated = states->len <= BATCH_INFLATED_MAX ? malloc(len) : NULL;

    if (deflated != NULL && compress2(deflated, &len, (const Bytef *)states->data,
                                      states->len, LEVEL) == Z_OK) {
        b = make_body(head, 1 + put_varint(head + 1, len), deflated, len);
    }
    free(deflated);
    return b != NULL ? b : batch_body(states);
}

/* *ret is the caller's to free. -EPROTO: it is no such thing, or too much. */
static int inflate_states(const uint8_t *data, size_t len, uint8_t **ret, size_t *ret_len)
{
    uLongf room = BATCH_INFLATED_MAX;
    uint8_t *states = malloc(room);

    if (states == NULL) {
        return -ENOMEM;
    }
    if (uncompress(states, &room, data, len) != Z_OK) {
        free(states);
        return -EPROTO;
    }
    *ret = states;
    *ret_len = room;
    return 0;
}

static int split(const uint8_t *at, const uint8_t *end,
                 int (*each)(void *data, struct session_body *state), void *data)
{
    int rc = 0;

    while (rc == 0 && at < end) {
        struct session_body *state;
        size_t len;

        CHECK(*at++ == TAG_STATES);
        len = get_varint(&at);
        CHECK(len <= (size_t)(end - at));
        state = session_body_new(len);
        if (state == NULL) {
            return -ENOMEM;
        }
        memcpy(state->data, at, len);
        at += len;
        rc = each(data, state);
        session_body_unref(state);
    }
    return rc;
}

int batch_split(const struct session_body *batch,
                int (*each)(void *data, struct session_body *state), void *data)
{
    const uint8_t *at = batch->data + sizeof(tag_batch);
    const uint8_t *end = batch->data + batch->len;
    uint8_t *states;
    size_t len;
    int rc;

    CHECK(batch->len > sizeof(tag_batch) &&
          memcmp(batch->data, tag_batch, sizeof(tag_batch)) == 0);
    (void)get_varint(&at);
    if (at == end || *at != TAG_DEFLATED) {
        return split(at, end, each, data);
    }
    at++;
    len = get_varint(&at);
    CHECK(len == (size_t)(end - at));
    rc = inflate_states(at, len, &states, &len);
    if (rc == 0) {
        rc = split(states, states + len, each, data);
        free(states);
    }
    return rc;
}

static void each_state(const Mayfly__V1__Batch *batch,
                       void (*on)(void *data, const Mayfly__V1__Envelope *m), void *data)
{
    for (size_t i = 0; i < batch->n_states; i++) {
        const Mayfly__V1__State *s = batch->states[i];
        Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;

        switch (s->body_case) {
        case MAYFLY__V1__STATE__BODY_FUNCTION:
            m.body_case = MAYFLY__V1__ENVELOPE__BODY_FUNCTION;
            m.function = s->function;
            break;
        case MAYFLY__V1__STATE__BODY_NODE:
            m.body_case = MAYFLY__V1__ENVELOPE__BODY_NODE;
            m.node = s->node;
            break;
        default: /* of a newer controller */
            continue;
        }
        on(data, &m);
    }
}

int batch_each(const Mayfly__V1__Batch *batch,
               void (*on)(void *data, const Mayfly__V1__Envelope *m), void *data)
{
    Mayfly__V1__Batch *inner;
    uint8_t *states;
    size_t len;
    int rc;

    each_state(batch, on, data);
    if (batch->deflated.len == 0) {
        return 0;
    }
    rc = inflate_states(batch->deflated.data, batch->deflated.len, &states, &len);
    if (rc < 0) {
        return rc;
    }
    inner = mayfly__v1__batch__unpack(NULL, len, states);
    free(states);
    if (inner == NULL) {
        return -EPROTO;
    }
    each_state(inner, on, data); /* one that is deflated in it is nobody's */
    mayfly__v1__batch__free_unpacked(inner, NULL);
    return 0;
}
