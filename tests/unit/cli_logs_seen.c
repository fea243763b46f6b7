/* Which log lines are shown after a break in the stream. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the above */

#include "controller/cli/logs_seen.h"

static struct logs_seen seen;

static bool is_new(const char *line)
{
    return logs_seen_is_new(&seen, line, strlen(line));
}

static int setup(void **state)
{
    seen = (struct logs_seen){0};
    return 0;
}

/* Without a break all is shown, also what is printed twice. */
static void nothing_is_held_back(void **state)
{
    assert_true(is_new("a"));
    assert_true(is_new("a"));
}

/* What comes again after a break is not shown again, what is new is. */
static void once_after_a_break(void **state)
{
    assert_true(is_new("a"));
    assert_true(is_new("b"));
    logs_seen_again(&seen);
    assert_false(is_new("a"));
    assert_false(is_new("b"));
    assert_true(is_new("c"));
    logs_seen_again(&seen); /* and after the next */
    assert_false(is_new("a"));
    assert_false(is_new("c"));
    assert_true(is_new("d"));
}

/* A line that was printed twice comes twice, and one more is new. */
static void counted(void **state)
{
    assert_true(is_new("a"));
    assert_true(is_new("a"));
    logs_seen_again(&seen);
    assert_false(is_new("a"));
    assert_false(is_new("a"));
    assert_true(is_new("a"));
}

/* It remembers the last LOGS_SEEN_MAX lines and takes no more room for more. */
static void bounded(void **state)
{
    char line[32];

    for (int i = 0; i < LOGS_SEEN_MAX + 10; i++) {
        (void)snprintf(line, sizeof(line), "%d", i);
        assert_true(is_new(line));
    }
    logs_seen_again(&seen);
    assert_false(is_new("10"));
    assert_false(is_new("4096"));
    assert_true(is_new("9")); /* forgotten */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_held_back, setup),
        cmocka_unit_test_setup(once_after_a_break, setup),
        cmocka_unit_test_setup(counted, setup),
        cmocka_unit_test_setup(bounded, setup),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_logs_seen", tests, NULL, NULL);
}
