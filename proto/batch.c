#include "proto/batch.h"

#include <errno.h>
#include <string.h>

#include "common/check.h"

/* Protobuf's wire format: a field is its tag (number << 3 | 2 for bytes), a length, and
 * so many bytes. https://protobuf.dev/programming-guides/encoding/ */
#define TAG_STATES 0x0a /* Batch.states = 1 */
#define VARINT_MAX 10

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

struct session_body *batch_body(const struct buf *states)
{
    uint8_t head[sizeof(tag_batch) + VARINT_MAX];
    struct session_body *b;
    size_t n = sizeof(tag_batch);

    memcpy(head, tag_batch, n);
    n += put_varint(head + n, states->len);
    b = session_body_new(n + states->len);
    if (b != NULL) {
        memcpy(b->data, head, n);
        if (states->len > 0) {
            memcpy(b->data + n, states->data, states->len);
        }
    }
    return b;
}

int batch_split(const struct session_body *batch,
                int (*each)(void *data, struct session_body *state), void *data)
{
    const uint8_t *at = batch->data + sizeof(tag_batch);
    const uint8_t *end = batch->data + batch->len;
    int rc = 0;

    CHECK(batch->len > sizeof(tag_batch) &&
          memcmp(batch->data, tag_batch, sizeof(tag_batch)) == 0);
    (void)get_varint(&at);
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

void batch_each(const Mayfly__V1__Batch *batch,
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
