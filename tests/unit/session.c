/* Sessions: what is sent arrives in order, once, over any number of reconnects. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/session.h"

static void queue(struct session *s, const char *key, char content)
{
    struct session_body *b = session_body_new(1);

    assert_non_null(b);
    b->data[0] = (uint8_t)content;
    assert_int_equal(session_queue(s, key, b), 0);
    session_body_unref(b);
}

static char next(struct session *s, uint64_t seq)
{
    const struct session_item *item = session_next(s);

    assert_non_null(item);
    assert_int_equal(item->seq, seq);
    return (char)item->body->data[0];
}

/* Messages go out in the order in which they were queued, numbered from 1. */
static void numbers_in_order(void **state)
{
    struct session s;

    session_init(&s, 0);
    queue(&s, "", 'a');
    queue(&s, "", 'b');
    assert_int_equal(next(&s, 1), 'a');
    assert_int_equal(next(&s, 2), 'b');
    assert_null(session_next(&s));
    session_reset(&s);
}

/* Newer state replaces older state of its key in its place; what is on the wire, or has
 * another key, is left alone. */
static void replaces_by_key(void **state)
{
    struct session s;

    session_init(&s, 0);
    queue(&s, "f/x", '1');
    assert_int_equal(next(&s, 1), '1');
    queue(&s, "f/x", '2');
    queue(&s, "f/y", 'y');
    queue(&s, "f/x", '3');
    assert_int_equal(next(&s, 2), '3');
    assert_int_equal(next(&s, 3), 'y');
    assert_null(session_next(&s));
    session_reset(&s);
}

/* Behind a barrier state stays behind it: a snapshot names it, though it was queued. */
static void keeps_behind_a_barrier(void **state)
{
    struct session s;

    session_init(&s, 0);
    queue(&s, "f/x", '1');
    session_barrier(&s);
    queue(&s, "", 'B');
    queue(&s, "f/x", '2');
    assert_int_equal(next(&s, 1), '1');
    assert_int_equal(next(&s, 2), 'B');
    assert_int_equal(next(&s, 3), '2');
    session_reset(&s);
}

/* What waits is dropped only behind the item that is named, if that waits as well: a
 * snapshot before it stays whole. Events, which have no key, always stay. */
static void drops_what_is_behind(void **state)
{
    struct session s;

    session_init(&s, 0);
    queue(&s, "f/x", 'x');
    queue(&s, "end", 'E');
    queue(&s, "f/y", 'y');
    queue(&s, "", 'a');
    session_drop_unsent_keys(&s, "end");
    assert_false(session_has_unsent(&s, "f/y"));
    assert_int_equal(next(&s, 1), 'x');
    assert_int_equal(next(&s, 2), 'E');
    assert_int_equal(next(&s, 3), 'a');
    assert_null(session_next(&s));

    queue(&s, "f/z", 'z');
    queue(&s, "", 'b');
    session_drop_unsent_keys(&s, "end"); /* it is on the wire */
    assert_int_equal(next(&s, 4), 'b');
    assert_null(session_next(&s));
    session_reset(&s);
}

/* After a reconnect exactly what the other side lacks goes out again, under its numbers.
 */
static void resumes(void **state)
{
    struct session s;

    session_init(&s, 0);
    queue(&s, "", 'a');
    queue(&s, "", 'b');
    queue(&s, "", 'c');
    (void)session_next(&s);
    (void)session_next(&s);
    assert_int_equal(session_resume(&s, 1), 0);
    assert_int_equal(next(&s, 2), 'b');
    assert_int_equal(next(&s, 3), 'c');
    assert_int_equal(session_ack(&s, 3), 0);
    assert_int_equal(s.n_items, 0);
    assert_int_equal(session_resume(&s, 2), -ESTALE); /* no longer kept */
    assert_int_equal(session_resume(&s, 4), -ESTALE); /* never sent */
    session_reset(&s);
}

/* A peer cannot acknowledge what it was not sent, nor skip a number. */
static void refuses_nonsense(void **state)
{
    struct session s;

    session_init(&s, 0);
    assert_int_equal(session_ack(&s, 1), -EPROTO);
    assert_int_equal(session_receive(&s, 1), 1);
    assert_int_equal(session_receive(&s, 1), 0); /* repeated */
    assert_int_equal(session_receive(&s, 3), -EPROTO);
    assert_int_equal(session_receive(&s, 2), 1);
    session_reset(&s);
}

/* A full outbox says so and is as it was; replacing needs no room. */
static void is_bounded(void **state)
{
    struct session_body *b = session_body_new(0);
    struct session s;

    session_init(&s, 2);
    queue(&s, "f/x", 'x');
    queue(&s, "", 'a');
    assert_int_equal(session_queue(&s, "f/y", b), -ENOBUFS);
    assert_int_equal(s.n_items, 2);
    assert_int_equal(session_queue(&s, "f/x", b), 0);
    session_body_unref(b);
    session_reset(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_in_order),       cmocka_unit_test(replaces_by_key),
        cmocka_unit_test(keeps_behind_a_barrier), cmocka_unit_test(resumes),
        cmocka_unit_test(refuses_nonsense),       cmocka_unit_test(is_bounded),
        cmocka_unit_test(drops_what_is_behind),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
