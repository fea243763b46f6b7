/* Unit tests for the growing buffer. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include "common/buf.h"

/* An empty buffer can be freed, twice, and used again. */
static void empty_is_free(void **state)
{
    struct buf b = {0};
    (void)state;

    buf_free(&b);
    buf_free(&b);
    assert_int_equal(buf_append(&b, "", 0), 0);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
    buf_free(&b);
    assert_null(b.data);
}

/* What is appended stands one after the other, NULs too, and a NUL ends it. */
static void appends(void **state)
{
    struct buf b = {0};
    (void)state;

    assert_int_equal(buf_append(&b, "a\0b", 3), 0);
    assert_int_equal(buf_append_str(&b, "cd"), 0);
    assert_int_equal(buf_printf(&b, "%s-%d", "e", 42), 0);
    assert_int_equal(b.len, 9);
    assert_memory_equal(b.data, "a\0bcde-42", 10);
    buf_free(&b);
}

/* It grows over many sizes without losing a byte. */
static void grows(void **state)
{
    struct buf b = {0};
    (void)state;

    for (int i = 0; i < 20000; i++) {
        char c = (char)('a' + i % 26);

        assert_int_equal(buf_append(&b, &c, 1), 0);
        assert_true(b.capacity > b.len);
        assert_int_equal(b.data[b.len], '\0');
    }
    assert_int_equal(b.len, 20000);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(b.data[i], 'a' + i % 26);
    }
    buf_free(&b);
}

/* A long formatted text fits whole. */
static void prints_long(void **state)
{
    struct buf b = {0};
    (void)state;

    assert_int_equal(buf_printf(&b, "%5000s|", "x"), 0);
    assert_int_equal(b.len, 5001);
    assert_int_equal(b.data[4999], 'x');
    assert_int_equal(b.data[5000], '|');
    buf_free(&b);
}

/* Consuming takes from the front: a part, nothing, all. */
static void consumes(void **state)
{
    struct buf b = {0};
    (void)state;

    assert_int_equal(buf_append_str(&b, "one two"), 0);
    buf_consume(&b, 4);
    assert_string_equal(b.data, "two");
    buf_consume(&b, 0);
    assert_int_equal(b.len, 3);
    buf_consume(&b, 3);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
    buf_free(&b);
}

/* A size that cannot be is refused, and what was there stays. */
static void refuses_absurd_sizes(void **state)
{
    struct buf b = {0};
    (void)state;

    assert_int_equal(buf_append_str(&b, "kept"), 0);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), -ENOMEM);
    assert_int_equal(buf_reserve(&b, SIZE_MAX - 4), -ENOMEM);
    assert_int_equal(buf_reserve(&b, SIZE_MAX / 2 + 1), -ENOMEM);
    assert_string_equal(b.data, "kept");
    assert_int_equal(b.len, 4);
    buf_free(&b);
}

/* Printing into what room there is, and a little over it, gives the same. */
static void prints_at_the_edge(void **state)
{
    (void)state;
    for (int width = 200; width < 300; width++) {
        struct buf b = {0};

        assert_int_equal(buf_append_str(&b, "head "), 0);
        assert_int_equal(buf_printf(&b, "%*d", width, 7), 0);
        assert_int_equal(b.len, 5 + (size_t)width);
        assert_int_equal(b.data[b.len - 1], '7');
        assert_int_equal(b.data[b.len], '\0');
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_is_free),
        cmocka_unit_test(appends),
        cmocka_unit_test(grows),
        cmocka_unit_test(prints_long),
        cmocka_unit_test(consumes),
        cmocka_unit_test(refuses_absurd_sizes),
        cmocka_unit_test(prints_at_the_edge),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
