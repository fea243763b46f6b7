/* A table for people: columns aligned, and cut to the terminal's width. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 16

struct table_column {
    const char *title;
    bool right;  /* numbers */
    bool wide;   /* with -o wide only */
    bool shrink; /* may be cut with "…" when the table is too wide */
};

struct table {
    const struct table_column *columns;
    size_t n_columns;
    char **cells; /* n_rows * n_columns */
    size_t n_rows;
    bool failed; /* out of memory: printing says so */
};

void table_init(struct table *t, const struct table_column *columns, size_t n_columns);
void table_free(struct table *t);
void table_row(struct table *t);
/* Sets a cell of the last row. */
void table_cell(struct table *t, size_t column, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* width 0: no limit. -ENOMEM if a cell was lost. */
int table_print(const struct table *t, FILE *out, size_t width, bool wide, bool headers);

#endif /* CLI_TABLE_H */
