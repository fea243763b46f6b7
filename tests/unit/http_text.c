/* Unit tests for what may be sent as text in an HTTP head. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> /* needs those above */

#include "common/http/http.h"

#define LONGEST 40

static bool good_text(unsigned char c)
{
    return c != '\r' && c != '\n' && c != '\0';
}

static bool good_word(unsigned char c)
{
    return c > ' ' && c != 0x7f;
}

/* Each byte at each place of strings of each length, among others that are near the
 * bounds. */
static void every_byte_everywhere(void **state)
{
    static const char others[] = {'!', '~', '\x80', '\xff'};
    char text[LONGEST];
    (void)state;

    for (unsigned o = 0; o < sizeof(others); o++) {
        for (size_t len = 1; len <= LONGEST; len++) {
            memset(text, others[o], sizeof(text));
            for (size_t at = 0; at < len; at++) {
                for (unsigned c = 0; c < 256; c++) {
                    text[at] = (char)c;
                    assert_int_equal(http_text_valid((struct http_str){text, len}),
                                     good_text((unsigned char)c));
                    assert_int_equal(http_word_valid((struct http_str){text, len}),
                                     good_word((unsigned char)c));
                }
                text[at] = others[o];
            }
        }
    }
}

/* An empty value may be sent, an empty name may not. */
static void empty(void **state)
{
    (void)state;
    assert_true(http_text_valid(HTTP_STR("")));
    assert_false(http_word_valid(HTTP_STR("")));
    assert_true(http_text_valid((struct http_str){NULL, 0}));
}

/* Bytes beyond the string do not count. */
static void ends_where_it_ends(void **state)
{
    (void)state;
    assert_true(http_text_valid((struct http_str){"abc\r\n", 3}));
    assert_true(http_word_valid((struct http_str){"abcdefghij klm", 10}));
    assert_false(http_word_valid((struct http_str){"abcdefghij klm", 11}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_everywhere),
        cmocka_unit_test(empty),
        cmocka_unit_test(ends_where_it_ends),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("http_text", tests, NULL, NULL);
}
