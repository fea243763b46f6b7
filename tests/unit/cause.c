/* Unit tests for the table of causes, and that docs/errors.md says the same. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include "common/cause.h"

/* Every name leads back to its cause; no two causes share one. */
static void names_are_unique(void **state)
{
    (void)state;

    for (unsigned i = 0; i < CAUSE_COUNT; i++) {
        assert_int_equal(cause_from_name(cause_name((enum cause)i)), i);
    }
    assert_int_equal(cause_from_name("no_such_cause"), CAUSE_COUNT);
    assert_int_equal(cause_from_name(""), CAUSE_COUNT);
    assert_int_equal(cause_from_name("OOM"), CAUSE_COUNT);
}

/* Names fit a metric's label and a header; statuses are HTTP's; texts are there. */
static void entries_are_whole(void **state)
{
    (void)state;

    for (unsigned i = 0; i < CAUSE_COUNT; i++) {
        enum cause cause = (enum cause)i;
        int status = cause_http_status(cause);

        for (const char *c = cause_name(cause); *c != '\0'; c++) {
            assert_true(islower((unsigned char)*c) || *c == '_');
        }
        assert_true(cause == CAUSE_NONE ? status == 200 : status >= 400 && status < 600);
        assert_true(strlen(cause_what(cause)) > 0);
        assert_true(strlen(cause_fix(cause)) > 0);
    }
}

/* The table in docs/errors.md has the same rows in the same order. */
static void docs_agree(void **state)
{
    FILE *f = fopen(ERRORS_MD, "re");
    char line[1024];
    unsigned n = 0;
    (void)state;

    if (f == NULL) {
        fail_msg("%s cannot be read", ERRORS_MD);
    }
    while (fgets(line, sizeof(line), f) != NULL) {
        char expected[1024];
        enum cause cause = (enum cause)n;

        if (strncmp(line, "| `", 3) != 0) {
            continue;
        }
        assert_true(n < CAUSE_COUNT);
        (void)snprintf(expected, sizeof(expected), "| `%s` | %d | %s | %s |\n",
                       cause_name(cause), cause_http_status(cause), cause_what(cause),
                       cause_fix(cause));
        assert_string_equal(line, expected);
        n++;
    }
    (void)fclose(f);
    assert_int_equal(n, CAUSE_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(entries_are_whole),
        cmocka_unit_test(docs_agree),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cause", tests, NULL, NULL);
}
