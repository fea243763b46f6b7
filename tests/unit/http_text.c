/* Unit tests for what may be sent as text in an HTTP head, and for the lines of one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> /* needs those above */

#include "common/buf.h"
#include "common/http/head_lines.h"
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

/* --- lines ------------------------------------------------------------------------ */

/* Names and values of every length, beside what is in the buffer already. */
static void lines_of_every_length(void **state)
{
    static const char text[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    (void)state;

    for (size_t name = 1; name <= LONGEST; name++) {
        for (size_t value = 0; value <= LONGEST; value++) {
            const struct http_header h = {{text, name}, {text + 3, value}};
            struct buf b = {0}, want = {0};

            assert_int_equal(buf_append_str(&b, "GET"), 0);
            assert_int_equal(http_header_append(&b, &h), 0);
            assert_int_equal(buf_printf(&want, "GET%.*s: %.*s\r\n", (int)name, text,
                                        (int)value, text + 3),
                             0);
            assert_int_equal(b.len, want.len);
            assert_memory_equal(b.data, want.data, want.len + 1);
            buf_free(&b);
            buf_free(&want);
        }
    }
}

/* No byte that may not be sent becomes part of a line, wherever it stands; the buffer is
 * as it was. Those that are only rare do. */
static void lines_of_every_byte(void **state)
{
    char name[LONGEST], value[LONGEST];
    (void)state;

    for (size_t len = 1; len <= LONGEST; len++) {
        for (size_t at = 0; at < len; at++) {
            for (unsigned c = 0; c < 256; c++) {
                const struct http_header h = {{name, len}, {value, LONGEST}},
                                         g = {{name, LONGEST}, {value, len}};
                struct buf b = {0};

                assert_int_equal(buf_append_str(&b, "x"), 0);
                memset(name, 'n', sizeof(name));
                memset(value, 'v', sizeof(value));
                name[at] = (char)c;
                assert_int_equal(http_header_append(&b, &h),
                                 good_word((unsigned char)c) ? 0 : -EINVAL);
                name[at] = 'n';
                value[at] = (char)c;
                b.len = 1;
                assert_int_equal(http_header_append(&b, &g),
                                 good_text((unsigned char)c) ? 0 : -EINVAL);
                if (!good_text((unsigned char)c)) {
                    assert_int_equal(b.len, 1);
                    assert_string_equal(b.data, "x");
                }
                buf_free(&b);
            }
        }
    }
}

/* A header has a name; its value may be empty. */
static void lines_of_nothing(void **state)
{
    struct buf b = {0};
    (void)state;

    assert_int_equal(http_header_append(&b, &(struct http_header){{"", 0}, {"v", 1}}),
                     -EINVAL);
    assert_int_equal(b.len, 0);
    assert_int_equal(http_header_append(&b, &(struct http_header){{"N", 1}, {NULL, 0}}),
                     0);
    assert_string_equal(b.data, "N: \r\n");
    buf_free(&b);
}

/* --- lines that came -------------------------------------------------------------- */

/* In pieces of `piece` bytes: what head_lines_check() said at last. */
static ssize_t check(const char *text, size_t len, size_t piece, bool headers)
{
    struct buf b = {0};
    size_t checked = 0;
    ssize_t rc = 0;

    for (size_t at = 0; at < len && rc == 0; at += piece) {
        const char *reason = NULL;

        assert_int_equal(buf_append(&b, text + at, len - at < piece ? len - at : piece),
                         0);
        rc = head_lines_check(&b, &checked, headers, &reason);
        assert_int_equal(rc < 0, reason != NULL);
    }
    buf_free(&b);
    return rc;
}

/* Where the head ends does not depend on how it came, nor on what follows. */
static void ends_with_the_empty_line(void **state)
{
    static const char head[] = "GET / HTTP/1.1\r\nA: b\r\n\r\n",
                      next[] = "GET / HTTP/1.1\r\n\r\nGET\n", none[] = "\r\nX";
    (void)state;

    for (size_t piece = 1; piece <= sizeof(head); piece++) {
        assert_int_equal(check(head, strlen(head), piece, false), strlen(head));
        assert_int_equal(check(head, strlen(head) - 1, piece, false), 0);
        assert_int_equal(check(next, strlen(next), piece, false), 18);
        assert_int_equal(check(none, strlen(none), piece, true), 2);
    }
}

/* What another parser might read in another way. */
static void refuses(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        bool headers; /* only then is it bad */
    } bad[] = {
#define BAD(text, headers) {text, sizeof(text) - 1, headers}
        BAD("GET / HTTP/1.1\n", false),
        BAD("GET / HTTP/1.1\r\n\n", false),
        BAD("GET /\r HTTP/1.1\r\n", false),
        BAD("GET /\0 HTTP/1.1\r\n", false),
        BAD("GET / HTTP/1.1\r\n folded\r\n", false),
        BAD("GET / HTTP/1.1\r\n\tfolded\r\n", false),
        BAD("GET / HTTP/1.1\r\n: v\r\n", false),
        BAD("GET / HTTP/1.1\r\nName : v\r\n", false),
        BAD("GET / HTTP/1.1\r\nNa\x7fme: v\r\n", false),
        BAD("GET / HTTP/1.1\r\nno colon\r\n", false),
        BAD("Name: v\r\nName: a\rb\r\n", false),
        BAD("two words: v\r\n", true),
#undef BAD
    };
    (void)state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (size_t piece = 1; piece <= bad[i].len; piece++) {
            assert_int_equal(check(bad[i].text, bad[i].len, piece, true), -EPROTO);
            assert_int_equal(check(bad[i].text, bad[i].len, piece, false),
                             bad[i].headers ? 0 : -EPROTO);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_everywhere),
        cmocka_unit_test(empty),
        cmocka_unit_test(ends_where_it_ends),
        cmocka_unit_test(lines_of_every_length),
        cmocka_unit_test(lines_of_every_byte),
        cmocka_unit_test(lines_of_nothing),
        cmocka_unit_test(ends_with_the_empty_line),
        cmocka_unit_test(refuses),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("http_text", tests, NULL, NULL);
}
