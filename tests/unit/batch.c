/* Batches: states packed one by one come out of one frame as if each had come alone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "proto/batch.h"
#include "proto/codec.h"
#include "proto/key.h"

#define N 300 /* lengths of one and two bytes, and more than a slab of protobuf-c's */

static struct session_body *function_body(unsigned i)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__FunctionState f = MAYFLY__V1__FUNCTION_STATE__INIT;
    char name[256];

    memset(name, 'f', sizeof(name)); /* of many lengths */
    (void)snprintf(name + i % 200, sizeof(name) - 200, "%u", i);
    f.namespace_ = (char *)(uintptr_t) "default";
    f.name = name;
    f.revision = i;
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_FUNCTION;
    m.function = &f;
    assert_true(batch_takes(&m));
    return wire_body(&m);
}

static struct session_body *node_body(void)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__NodeState n = MAYFLY__V1__NODE_STATE__INIT;

    n.node = (char *)(uintptr_t) "n1";
    n.revision = N;
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_NODE;
    m.node = &n;
    assert_true(batch_takes(&m));
    return wire_body(&m);
}

static struct session_body *make(bool deflated)
{
    struct buf states = {0};
    struct session_body *batch;

    for (unsigned i = 0; i <= N; i++) {
        struct session_body *b = i < N ? function_body(i) : node_body();

        assert_non_null(b);
        assert_int_equal(batch_add(&states, b), 0);
        session_body_unref(b);
    }
    batch = deflated ? batch_body_deflated(&states) : batch_body(&states);
    assert_non_null(batch);
    buf_free(&states);
    return batch;
}

static void take(void *data, const Mayfly__V1__Envelope *m)
{
    unsigned *n = data;

    if (*n < N) {
        assert_int_equal(m->body_case, MAYFLY__V1__ENVELOPE__BODY_FUNCTION);
        assert_int_equal(m->function->revision, *n);
    } else {
        assert_int_equal(m->body_case, MAYFLY__V1__ENVELOPE__BODY_NODE);
        assert_string_equal(m->node->node, "n1");
    }
    ++*n;
}

static Mayfly__V1__Envelope *read_frame(const struct session_body *batch)
{
    struct codec_reader r = {.max = CODEC_FRAME_MAX};
    struct buf frame = {0};
    Mayfly__V1__Envelope *m;

    assert_int_equal(codec_frame(&frame, 7, 9, batch->data, batch->len), 0);
    assert_int_equal(codec_feed(&r, frame.data, frame.len), 0);
    assert_int_equal(codec_next(&r, &m), 1);
    codec_reader_free(&r);
    buf_free(&frame);
    return m;
}

/* Whoever reads the frame gets the states in their order. */
static void comes_as_its_states(void **state)
{
    size_t plain = 0;

    for (int deflated = 0; deflated < 2; deflated++) {
        struct session_body *batch = make(deflated);
        Mayfly__V1__Envelope *m = read_frame(batch);
        unsigned n = 0;

        assert_int_equal(m->seq, 7);
        assert_int_equal(m->ack, 9);
        assert_int_equal(m->body_case, MAYFLY__V1__ENVELOPE__BODY_BATCH);
        assert_int_equal(batch_each(m->batch, take, &n), 0);
        assert_int_equal(n, N + 1);
        mayfly__v1__envelope__free_unpacked(m, NULL);
        if (deflated) {
            assert_true(batch->len < plain / 2);
        }
        plain = batch->len;
        session_body_unref(batch);
    }
}

static struct session_body *deflated_of(size_t len)
{
    struct buf bytes = {0};
    struct session_body *batch;

    assert_int_equal(buf_reserve(&bytes, len), 0);
    memset(bytes.data, 0x5a, len);
    bytes.len = len;
    batch = batch_body_deflated(&bytes);
    buf_free(&bytes);
    return batch;
}

/* What is no batch, what is cut, and what would fill the memory. */
static void refuses_what_it_cannot_inflate(void **state)
{
    uint8_t bomb[2048];
    uLongf len = sizeof(bomb);
    uint8_t *zeros = calloc(1, BATCH_INFLATED_MAX + 1);
    Mayfly__V1__Batch batch = MAYFLY__V1__BATCH__INIT;
    struct session_body *b = deflated_of(100);
    Mayfly__V1__Envelope *m = read_frame(b);
    unsigned n = 0;

    assert_int_equal(batch_each(m->batch, take, &n),
                     -EPROTO); /* no encoding of a Batch */
    m->batch->deflated.len--;
    assert_int_equal(batch_each(m->batch, take, &n), -EPROTO);
    mayfly__v1__envelope__free_unpacked(m, NULL);
    session_body_unref(b);
    assert_non_null(zeros);
    assert_int_equal(compress2(bomb, &len, zeros, BATCH_INFLATED_MAX + 1, 9), Z_OK);
    free(zeros);
    batch.deflated.data = bomb;
    batch.deflated.len = len;
    assert_int_equal(batch_each(&batch, take, &n), -EPROTO);
    assert_int_equal(n, 0);
}

static int take_split(void *data, struct session_body *body)
{
    unsigned *n = data;
    struct session_body *want = *n < N ? function_body(*n) : node_body();

    assert_int_equal(body->len, want->len);
    assert_memory_equal(body->data, want->data, want->len);
    session_body_unref(want);
    ++*n;
    return 0;
}

static int take_three(void *data, struct session_body *body)
{
    return ++*(unsigned *)data == 3 ? -1 : 0;
}

/* Split again, each state is what was added, byte for byte; whoever has had enough ends
 * it. */
static void splits_into_what_was_added(void **state)
{
    for (int deflated = 0; deflated < 2; deflated++) {
        struct session_body *batch = make(deflated);
        unsigned n = 0;

        assert_int_equal(batch_split(batch, take_split, &n), 0);
        assert_int_equal(n, N + 1);
        n = 0;
        assert_int_equal(batch_split(batch, take_three, &n), -1);
        assert_int_equal(n, 3);
        session_body_unref(batch);
    }
}

/* A state of a newer controller, of a kind that is not known, is passed over. */
static void passes_over_what_is_unknown(void **state)
{
    Mayfly__V1__State unknown = MAYFLY__V1__STATE__INIT;
    Mayfly__V1__State *states[] = {&unknown};
    Mayfly__V1__Batch batch = MAYFLY__V1__BATCH__INIT;
    unsigned n = 0;

    batch.states = states;
    batch.n_states = 1;
    assert_int_equal(batch_each(&batch, take, &n), 0);
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_as_its_states),
        cmocka_unit_test(refuses_what_it_cannot_inflate),
        cmocka_unit_test(splits_into_what_was_added),
        cmocka_unit_test(passes_over_what_is_unknown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
