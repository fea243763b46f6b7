/* Tables for people. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the above */

#include <locale.h>

#include "controller/cli/table.h"

static const struct table_column columns[] = {
    {.title = "NAME", .shrink = true},
    {.title = "CALLS", .right = true},
    {.title = "NODE", .wide = true},
};

static void fill(struct table *t)
{
    table_init(t, columns, 3);
    table_row(t);
    table_cell(t, 0, "a-rather-long-name");
    table_cell(t, 1, "%d", 7);
    table_cell(t, 2, "n1");
    table_row(t);
    table_cell(t, 0, "été");
}

static char *print(const struct table *t, size_t width, bool wide, bool headers)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    assert_int_equal(table_print(t, out, width, wide, headers), 0);
    assert_int_equal(fclose(out), 0);
    return text;
}

#define ASSERT_PRINTS(t, width, wide, headers, expected)      \
    do {                                                      \
        char *text_ = print((t), (width), (wide), (headers)); \
        assert_string_equal(text_, (expected));               \
        free(text_);                                          \
    } while (0)

/* Columns are aligned by what a terminal shows, not by bytes; a missing cell is a dash.
 */
static void aligned(void **state)
{
    struct table t;

    fill(&t);
    ASSERT_PRINTS(&t, 0, false, true,
                  "NAME                 CALLS\n"
                  "a-rather-long-name       7\n"
                  "été                      -\n");
    ASSERT_PRINTS(&t, 0, true, false,
                  "a-rather-long-name   7   n1\n"
                  "été                  -   -\n");
    table_free(&t);
}

/* On a narrow terminal the columns that may be are cut, and show it. */
static void cut_to_the_terminal(void **state)
{
    struct table t;

    fill(&t);
    ASSERT_PRINTS(&t, 18, false, true,
                  "NAME         CALLS\n"
                  "a-rather-…       7\n"
                  "été              -\n");
    table_free(&t);
}

/* Where even that is not enough, columns stand closer. */
static void closer_on_a_narrow_terminal(void **state)
{
    struct table t;

    fill(&t);
    ASSERT_PRINTS(&t, 15, false, true,
                  "NAME      CALLS\n"
                  "a-rathe…      7\n"
                  "été           -\n");
    ASSERT_PRINTS(&t, 14, false, true,
                  "NAME     CALLS\n"
                  "a-rathe…     7\n"
                  "été          -\n");
    table_free(&t);
}

/* Narrower than can be, it is printed as narrow as can be. */
static void no_narrower_than_readable(void **state)
{
    struct table t;
    char *text;

    fill(&t);
    text = print(&t, 3, false, false);
    assert_non_null(strstr(text, "a-rathe…"));
    free(text);
    table_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligned),
        cmocka_unit_test(cut_to_the_terminal),
        cmocka_unit_test(closer_on_a_narrow_terminal),
        cmocka_unit_test(no_narrower_than_readable),
    };

    (void)setlocale(LC_CTYPE, "C.UTF-8");
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_table", tests, NULL, NULL);
}
