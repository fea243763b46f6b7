/* Unit tests for memory that is kept for the next of its kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> /* needs those above */

#include "common/spare.h"

#define SIZE 1500

static void assert_zeros(const char *p)
{
    for (size_t i = 0; i < SIZE; i++) {
        assert_int_equal(p[i], 0);
    }
}

/* What is taken is all zeros, whatever was left in it. */
static void all_zeros(void **state)
{
    struct spare s = {.size = SIZE, .max = 2};
    (void)state;

    for (int round = 0; round < 3; round++) {
        char *a = spare_take(&s), *b = spare_take(&s), *c = spare_take(&s);

        assert_true(a != NULL && b != NULL && c != NULL && a != b && b != c && a != c);
        assert_zeros(a);
        assert_zeros(b);
        assert_zeros(c);
        memset(a, 'a', SIZE);
        memset(b, 'b', SIZE);
        memset(c, 'c', SIZE);
        spare_give(&s, a);
        spare_give(&s, b);
        spare_give(&s, c);
    }
    spare_free(&s);
}

/* It keeps no more than it is told to; none at all under a sanitizer, which is to see
 * what is used too late. */
static void keeps_at_most_max(void **state)
{
    struct spare s = {.size = SIZE, .max = 2};
    void *all[5];
    (void)state;

    for (int i = 0; i < 5; i++) {
        all[i] = spare_take(&s);
        assert_non_null(all[i]);
    }
    assert_int_equal(s.n, 0);
    for (int i = 0; i < 5; i++) {
        spare_give(&s, all[i]);
        assert_true(s.n <= 2);
    }
    spare_give(&s, NULL);
    spare_free(&s);
    assert_int_equal(s.n, 0);
    assert_null(s.first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_zeros),
        cmocka_unit_test(keeps_at_most_max),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("spare", tests, NULL, NULL);
}
