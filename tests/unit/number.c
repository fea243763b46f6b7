/* Unit tests for numbers and identifiers as text. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h> /* needs those above */

#include "common/number.h"
#include "common/random.h"

/* As printf() has them, at each change of length too. */
static void decimal(void **state)
{
    uint64_t edge = 1;
    (void)state;

    for (unsigned digits = 0; digits < 20; digits++, edge *= 10) {
        const uint64_t numbers[] = {edge - 1, edge, edge + 1, edge * 7 + 3};

        for (unsigned i = 0; i < 4; i++) {
            char text[NUMBER_TEXT_SIZE], want[NUMBER_TEXT_SIZE];
            int len = snprintf(want, sizeof(want), "%" PRIu64, numbers[i]);

            assert_int_equal(number_text(text, numbers[i]), len);
            assert_string_equal(text, want);
        }
    }
}

/* The largest fits, with its NUL. */
static void largest(void **state)
{
    char text[NUMBER_TEXT_SIZE];
    (void)state;

    assert_int_equal(number_text(text, UINT64_MAX), NUMBER_TEXT_SIZE - 1);
    assert_string_equal(text, "18446744073709551615");
}

/* RFC 9562: 8-4-4-4-12 digits, version 4, variant 10; and no two are the same. */
static void uuid(void **state)
{
    char before[RANDOM_UUID_SIZE] = "";
    (void)state;

    for (unsigned i = 0; i < 1000; i++) {
        char text[RANDOM_UUID_SIZE];

        random_uuid(text);
        assert_int_equal(strlen(text), 36);
        for (unsigned k = 0; k < 36; k++) {
            bool dash = k == 8 || k == 13 || k == 18 || k == 23;

            assert_true(dash ? text[k] == '-'
                             : strchr("0123456789abcdef", text[k]) != NULL);
        }
        assert_int_equal(text[14], '4');
        assert_non_null(strchr("89ab", text[19]));
        assert_string_not_equal(text, before);
        memcpy(before, text, sizeof(text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimal),
        cmocka_unit_test(largest),
        cmocka_unit_test(uuid),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("number", tests, NULL, NULL);
}
