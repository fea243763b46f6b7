#include "controller/cli/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/cli/term.h"

#define GAP        3 /* blanks between columns; less where it is narrow */
#define SHRINK_MIN 8 /* a column is not cut below this */

void table_init(struct table *t, const struct table_column *columns, size_t n_columns)
{
    CHECK(n_columns <= TABLE_COLUMNS_MAX);
    *t = (struct table){.columns = columns, .n_columns = n_columns};
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->n_rows * t->n_columns; i++) {
        free(t->cells[i]);
    }
    free(t->cells);
    *t = (struct table){0};
}

void table_row(struct table *t)
{
    char **grown =
        reallocarray(t->cells, (t->n_rows + 1) * t->n_columns, sizeof(*t->cells));

    if (grown == NULL) {
        t->failed = true;
        return;
    }
    t->cells = grown;
    memset(t->cells + t->n_rows * t->n_columns, 0, t->n_columns * sizeof(*t->cells));
    t->n_rows++;
}

void table_cell(struct table *t, size_t column, const char *fmt, ...)
{
    va_list ap;
    char **cell;

    CHECK(column < t->n_columns);
    if (t->failed || t->n_rows == 0) {
        return;
    }
    cell = &t->cells[(t->n_rows - 1) * t->n_columns + column];
    free(*cell);
    va_start(ap, fmt);
    if (vasprintf(cell, fmt, ap) < 0) {
        *cell = NULL;
        t->failed = true;
    }
    va_end(ap);
}

static const char *cell_at(const struct table *t, size_t row, size_t column)
{
    const char *cell = t->cells[row * t->n_columns + column];

    return cell != NULL && *cell != '\0' ? cell : "-";
}

static bool shown(const struct table *t, size_t column, bool wide)
{
    return wide || !t->columns[column].wide;
}

/* Takes from the widest column that may be cut until the table fits (true) or none is
 * left. */
static bool shrink(const struct table *t, size_t *widths, size_t width, size_t gap,
                   bool wide)
{
    for (;;) {
        size_t total = 0, widest = t->n_columns;

        for (size_t i = 0; i < t->n_columns; i++) {
            if (!shown(t, i, wide)) {
                continue;
            }
            total += widths[i] + (total > 0 ? gap : 0);
            if (t->columns[i].shrink && widths[i] > SHRINK_MIN &&
                (widest == t->n_columns || widths[i] > widths[widest])) {
                widest = i;
            }
        }
        if (width == 0 || total <= width || widest == t->n_columns) {
            return width == 0 || total <= width;
        }
        widths[widest]--;
    }
}

static void print_cell(FILE *out, const char *text, size_t width, size_t gap, bool right)
{
    size_t columns = term_text_width(text);
    bool cut = columns > width;
    size_t bytes = cut ? term_text_fit(text, width - 1) : strlen(text);
    size_t used = cut ? width : columns;
    size_t pad = width - used;

    if (right) {
        (void)fprintf(out, "%*s", (int)pad, "");
    }
    (void)fprintf(out, "%.*s%s", (int)bytes, text, cut ? "…" : "");
    if (gap > 0) {
        (void)fprintf(out, "%*s", (int)((right ? 0 : pad) + gap), "");
    }
}

int table_print(const struct table *t, FILE *out, size_t width, bool wide, bool headers)
{
    size_t widths[TABLE_COLUMNS_MAX], natural[TABLE_COLUMNS_MAX] = {0};
    size_t last = 0, gap = GAP;

    for (size_t i = 0; i < t->n_columns; i++) {
        natural[i] = headers ? term_text_width(t->columns[i].title) : 1;
        for (size_t row = 0; row < t->n_rows; row++) {
            size_t w = term_text_width(cell_at(t, row, i));

            natural[i] = w > natural[i] ? w : natural[i];
        }
        last = shown(t, i, wide) ? i : last;
    }
    memcpy(widths, natural, sizeof(widths));
    while (!shrink(t, widths, width, gap, wide) && gap > 1) {
        memcpy(widths, natural, sizeof(widths));
        gap--;
    }
    for (size_t row = headers ? 0 : 1; row <= t->n_rows; row++) {
        for (size_t i = 0; i <= last; i++) {
            if (shown(t, i, wide)) {
                print_cell(out, row == 0 ? t->columns[i].title : cell_at(t, row - 1, i),
                           widths[i], i == last ? 0 : gap, t->columns[i].right);
            }
        }
        (void)fputc('\n', out);
    }
    return t->failed ? -ENOMEM : 0;
}
