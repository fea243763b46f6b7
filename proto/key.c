#include "proto/key.h"

#include <stdio.h>

#include "proto/codec.h"

void wire_key(const Mayfly__V1__Envelope *m, char ret[WIRE_KEY_MAX])
{
    ret[0] = '\0';
    if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_FUNCTION) {
        (void)snprintf(ret, WIRE_KEY_MAX, "f/%s/%s", m->function->namespace_,
                       m->function->name);
    } else if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_NODE) {
        (void)snprintf(ret, WIRE_KEY_MAX, "n/%s", m->node->node);
    } else if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_KEY) {
        (void)snprintf(ret, WIRE_KEY_MAX, "k/%s", m->key->id);
    }
}

struct session_body *wire_body(const Mayfly__V1__Envelope *m)
{
    Mayfly__V1__Envelope plain = *m;
    struct session_body *b;
    size_t len;

    plain.seq = plain.ack = 0;
    len = mayfly__v1__envelope__get_packed_size(&plain);
    b = len <= CODEC_FRAME_MAX - 64 ? session_body_new(len) : NULL;
    if (b != NULL) {
        (void)mayfly__v1__envelope__pack(&plain, b->data);
    }
    return b;
}
