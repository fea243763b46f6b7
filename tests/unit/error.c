/* Unit tests for errors and for the clock. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include "common/clock.h"
#include "common/error.h"

/* Code and text are kept, and the code is handed on. */
static void sets(void **state)
{
    struct error err;
    (void)state;

    assert_int_equal(error_set(&err, -EINVAL, "port %d", 70000), -EINVAL);
    assert_int_equal(err.code, -EINVAL);
    assert_string_equal(err.text, "port 70000");
    assert_int_equal(error_set_errno(&err, -ENOENT, "open %s", "/x"), -ENOENT);
    assert_string_equal(err.text, "open /x: No such file or directory");
    assert_int_equal(error_set_errno(&err, -4000, "odd"), -4000);
    assert_string_equal(err.text, "odd: unknown error");
}

/* Context goes before what is there, also twice. */
static void wraps(void **state)
{
    struct error err;
    int rc = error_set(&err, -EIO, "read");
    (void)state;

    rc = error_wrap(&err, rc, "load %s", "a.yaml");
    rc = error_wrap(&err, rc, "start");
    assert_int_equal(rc, -EIO);
    assert_int_equal(err.code, -EIO);
    assert_string_equal(err.text, "start: load a.yaml: read");
}

/* Callers who do not want the story pass NULL and get the code. */
static void takes_null(void **state)
{
    (void)state;

    assert_int_equal(error_set(NULL, -EINVAL, "x"), -EINVAL);
    assert_int_equal(error_set_errno(NULL, -EINVAL, "x"), -EINVAL);
    assert_int_equal(error_wrap(NULL, -EINVAL, "x"), -EINVAL);
}

/* Texts that are too long are cut, never written past the end. */
static void cuts(void **state)
{
    struct {
        struct error err;
        char guard[64];
    } e;
    char longer[ERROR_TEXT_MAX * 2];
    (void)state;

    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    memset(e.guard, 'g', sizeof(e.guard));
    (void)error_set(&e.err, -EIO, "%s", longer);
    assert_int_equal(strlen(e.err.text), ERROR_TEXT_MAX - 1);
    (void)error_set_errno(&e.err, -EIO, "%s", longer);
    assert_int_equal(strlen(e.err.text), ERROR_TEXT_MAX - 1);
    (void)error_wrap(&e.err, -EIO, "%s", "context");
    assert_int_equal(strlen(e.err.text), ERROR_TEXT_MAX - 1);
    assert_memory_equal(e.err.text, "context: xxx", 12);
    for (size_t i = 0; i < sizeof(e.guard); i++) {
        assert_int_equal(e.guard[i], 'g');
    }
}

/* What is quoted from outside cannot begin a new line or write to a terminal. */
static void stays_one_line(void **state)
{
    struct error err;
    (void)state;

    (void)error_set(&err, -EINVAL, "bad value \"%s\"", "a\nb\x1b[2J\x7f\xc3\xa9");
    assert_string_equal(err.text, "bad value \"a?b?[2J?\xc3\xa9\"");
}

/* Times are written as RFC 3339 in UTC with milliseconds. */
static void writes_time(void **state)
{
    static const struct {
        uint64_t wall_ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {4102444800001, "2100-01-01T00:00:00.001Z"},
    };
    char text[CLOCK_RFC3339_SIZE];
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        clock_rfc3339(cases[i].wall_ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

/* The monotonic clock does not go back, and its two units agree. */
static void clocks_run(void **state)
{
    uint64_t ms = clock_mono_ms();
    uint64_t us = clock_mono_us();
    uint64_t later_ms = clock_mono_ms();
    (void)state;

    assert_true(us / 1000 >= ms && us / 1000 <= later_ms);
    assert_true(clock_wall_ms() > 1700000000000u); /* after 2023 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets),           cmocka_unit_test(wraps),
        cmocka_unit_test(takes_null),     cmocka_unit_test(cuts),
        cmocka_unit_test(stays_one_line), cmocka_unit_test(writes_time),
        cmocka_unit_test(clocks_run),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
