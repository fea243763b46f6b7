/* top: functions and nodes, live: what changed between two looks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "controller/cli/cli.h"
#include "controller/cli/listing.h"
#include "controller/cli/print.h"
#include "controller/cli/term.h"

#define N_OF(array)      (sizeof(array) / sizeof((array)[0]))
#define INTERVAL_DEFAULT 2
#define INTERVAL_MAX     3600
#define ROWS_ALL         SIZE_MAX
#define ROWS_MIN         3

struct look {
    json_t *functions, *nodes;
    uint64_t at_ms;
};

struct row {
    const json_t *f, *was; /* was NULL: it is new */
    double rate;           /* calls a second */
};

struct top {
    struct cli *c;
    uint64_t interval_s;
    bool once;
    struct look before, now;
    struct row *rows;
    size_t n_rows;
};

static void look_free(struct look *l)
{
    json_decref(l->functions);
    json_decref(l->nodes);
    *l = (struct look){0};
}

static int look(struct cli *c, struct look *ret)
{
    int rc = listing_get(c, "show functions", 0, &ret->functions,
                         "/v1/namespaces/%s/functions",
                         args_has(c->args, "all") ? "-" : c->ns);

    if (rc == EXIT_CODE_OK) {
        rc = listing_get(c, "show nodes", 0, &ret->nodes, "/v1/nodes");
    }
    ret->at_ms = clock_mono_ms();
    return rc;
}

/* --- what changed ----------------------------------------------------------------- */

static double seconds(const struct top *t)
{
    return (double)(t->now.at_ms - t->before.at_ms) / 1000;
}

/* A counter's growth; of what was made anew it begins at 0. was NULL: it was not there.
 */
static int64_t growth(const json_t *now, const json_t *was, const char *counter)
{
    int64_t n = json_number(now, counter);
    int64_t before = was != NULL ? json_number(was, counter) : 0;

    return n >= before ? n - before : n;
}

static int64_t grown(const struct row *r, const char *counter)
{
    return growth(r->f, r->was, counter);
}

/* Processor time that functions took on a node since the last look. */
static int64_t node_cpu_us(const struct top *t, const json_t *node)
{
    const json_t *was;
    size_t i;

    json_array_foreach(json_object_get(t->before.nodes, "items"), i, was)
    {
        if (strcmp(json_text(was, "name", ""), json_text(node, "name", "?")) == 0) {
            return growth(node, was, "cpu_us");
        }
    }
    return 0; /* it has come since then: what it took before is not of this time */
}

static const char *key_of(const json_t *f)
{
    static char key[160];

    (void)snprintf(key, sizeof(key), "%s/%s", json_text(f, "namespace", "?"),
                   json_text(f, "name", "?"));
    return key;
}

static int by_rate(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int64_t waits = json_number(y->f, "queued") - json_number(x->f, "queued");

    if (x->rate != y->rate) {
        return x->rate < y->rate ? 1 : -1;
    }
    if (waits != 0) {
        return waits > 0 ? 1 : -1;
    }
    return strcmp(json_text(x->f, "name", ""), json_text(y->f, "name", ""));
}

static int compare(struct top *t)
{
    json_t *items = json_object_get(t->now.functions, "items");
    json_t *index = json_object(), *old;
    size_t i;
    json_t *f;

    free(t->rows);
    t->n_rows = json_array_size(items);
    t->rows = calloc(t->n_rows + 1, sizeof(*t->rows));
    if (t->rows == NULL || index == NULL) {
        json_decref(index);
        return -1;
    }
    json_array_foreach(json_object_get(t->before.functions, "items"), i, old)
    {
        (void)json_object_set(index, key_of(old), old);
    }
    json_array_foreach(items, i, f)
    {
        struct row *r = &t->rows[i];

        r->f = f;
        r->was = json_object_get(index, key_of(f)); /* `before` keeps it */
        r->rate = (double)grown(r, "invocations") / seconds(t);
    }
    json_decref(index);
    qsort(t->rows, t->n_rows, sizeof(*t->rows), by_rate);
    return 0;
}

/* --- tables ----------------------------------------------------------------------- */

static const struct table_column function_columns[] = {
    {.title = "FUNCTION", .shrink = true}, {.title = "INST", .right = true},
    {.title = "BUSY", .right = true},      {.title = "WANT", .right = true},
    {.title = "QUEUE", .right = true},     {.title = "CALLS/S", .right = true},
    {.title = "COLD", .right = true},      {.title = "ERRORS", .right = true},
    {.title = "P50 MS", .right = true},    {.title = "P99 MS", .right = true},
    {.title = "CPU", .right = true},       {.title = "MEMORY", .right = true},
};

static int64_t instances_of(const json_t *f)
{
    const json_t *states = json_object_get(f, "instances");
    const char *state;
    json_t *n;
    int64_t sum = 0;

    json_object_foreach((json_t *)(uintptr_t)states, state, n)
    {
        sum += json_integer_value(n);
    }
    return sum;
}

/* "12 %" of the calls since the last look; nothing without calls. */
static void share_cell(struct table *t, size_t column, int64_t part, int64_t whole)
{
    if (whole > 0) {
        table_cell(t, column, "%.0f%%", 100 * (double)part / (double)whole);
    }
}

static void time_cell(struct table *t, size_t column, const json_t *f, const char *member)
{
    const json_t *ms = json_object_get(json_object_get(f, "latency"), member);

    if (json_is_number(ms)) {
        table_cell(t, column, json_number_value(ms) < 100 ? "%.1f" : "%.0f",
                   json_number_value(ms));
    }
}

static void function_row(const struct top *t, struct table *table, const struct row *r)
{
    int64_t n = instances_of(r->f), calls = grown(r, "invocations");
    int64_t cpu_us = grown(r, "cpu_us");
    int64_t mib = json_number(json_object_get(r->f, "spec"), "memory_mib");
    char bytes[PRINT_SHORT];

    table_row(table);
    table_cell(table, 0, "%s",
               args_has(t->c->args, "all") ? key_of(r->f) : json_text(r->f, "name", "?"));
    table_cell(table, 1, "%lld", (long long)n);
    table_cell(table, 2, "%lld",
               (long long)json_number(json_object_get(r->f, "instances"), "busy"));
    if (json_object_get(r->f, "desired") != NULL) {
        table_cell(table, 3, "%lld", (long long)json_number(r->f, "desired"));
    }
    table_cell(table, 4, "%lld", (long long)json_number(r->f, "queued"));
    table_cell(table, 5, r->rate < 100 ? "%.1f" : "%.0f", r->rate);
    share_cell(table, 6, grown(r, "cold_starts"), calls);
    share_cell(table, 7, grown(r, "errors"), calls);
    time_cell(table, 8, r->f, "p50_ms");
    time_cell(table, 9, r->f, "p99_ms");
    if (calls > 0 || cpu_us > 0) {
        table_cell(table, 10, "%.2f", (double)cpu_us / 1e6 / seconds(t));
    }
    if (n > 0) {
        table_cell(table, 11, "%s", print_bytes((uint64_t)(n * mib) << 20, bytes));
    }
}

static const struct table_column node_columns[] = {
    {.title = "NODE", .shrink = true},    {.title = "STATE"},
    {.title = "INST", .right = true},     {.title = "FUNCTIONS", .right = true},
    {.title = "RESERVED", .right = true}, {.title = "MEMORY", .right = true},
    {.title = "CPU", .right = true},      {.title = "CPUS", .right = true},
};

static void node_row(const struct top *t, struct table *table, const json_t *n)
{
    const json_t *memory = json_object_get(n, "memory");
    char text[PRINT_SHORT];

    table_row(table);
    table_cell(table, 0, "%s", json_text(n, "name", "?"));
    table_cell(table, 1, "%s", json_text(n, "state", "?"));
    table_cell(table, 2, "%lld", (long long)json_number(n, "instances"));
    table_cell(table, 3, "%lld", (long long)json_number(n, "functions"));
    table_cell(table, 4, "%s",
               print_bytes((uint64_t)json_number(memory, "reserved_bytes"), text));
    table_cell(table, 5, "%s",
               print_bytes((uint64_t)json_number(memory, "capacity_bytes"), text));
    table_cell(table, 6, "%.2f", (double)node_cpu_us(t, n) / 1e6 / seconds(t));
    table_cell(table, 7, "%.1f", (double)json_number(n, "cpu_millis") / 1000);
}

static int print_tables(const struct top *t, size_t rows_max)
{
    size_t width = term_width(), i, shown = t->n_rows < rows_max ? t->n_rows : rows_max;
    struct table functions, nodes;
    json_t *node;
    int rc;

    table_init(&nodes, node_columns, N_OF(node_columns));
    json_array_foreach(json_object_get(t->now.nodes, "items"), i, node)
    {
        node_row(t, &nodes, node);
    }
    table_init(&functions, function_columns, N_OF(function_columns));
    for (i = 0; i < shown; i++) {
        function_row(t, &functions, &t->rows[i]);
    }
    rc = table_print(&nodes, stdout, width, false, t->c->headers);
    (void)putchar('\n');
    rc |= table_print(&functions, stdout, width, false, t->c->headers);
    if (shown < t->n_rows) {
        (void)printf("and %zu functions with fewer calls\n", t->n_rows - shown);
    }
    table_free(&nodes);
    table_free(&functions);
    return rc;
}

/* --- as data ---------------------------------------------------------------------- */

/* As the API has them, but for the counter, of which the growth is given. */
static json_t *nodes_of(const struct top *t)
{
    json_t *nodes = json_array(), *node;
    size_t i;

    json_array_foreach(json_object_get(t->now.nodes, "items"), i, node)
    {
        json_t *copy = json_copy(node);

        (void)json_object_set_new(copy, "cpu_us",
                                  json_integer((json_int_t)node_cpu_us(t, node)));
        (void)json_array_append_new(nodes, copy);
    }
    return nodes;
}

static json_t *data_of(const struct top *t)
{
    json_t *functions = json_array();

    for (size_t i = 0; i < t->n_rows; i++) {
        const struct row *r = &t->rows[i];
        json_t *f = json_pack(
            "{s:s, s:s, s:O, s:I, s:f, s:I, s:I, s:I, s:I, s:O*}", "namespace",
            json_text(r->f, "namespace", "?"), "name", json_text(r->f, "name", "?"),
            "instances", json_object_get(r->f, "instances"), "queued",
            (json_int_t)json_number(r->f, "queued"), "calls_per_second", r->rate,
            "cold_starts", (json_int_t)grown(r, "cold_starts"), "errors",
            (json_int_t)grown(r, "errors"), "gb_ms", (json_int_t)grown(r, "gb_ms"),
            "cpu_us", (json_int_t)grown(r, "cpu_us"), "latency",
            json_object_get(r->f, "latency"));

        (void)json_array_append_new(functions, f);
    }
    return json_pack("{s:f, s:o, s:o}", "seconds", seconds(t), "functions", functions,
                     "nodes", nodes_of(t));
}

/* --- the loop --------------------------------------------------------------------- */

static void forward(struct top *t)
{
    free(t->rows);
    t->rows = NULL;
    look_free(&t->before);
    t->before = t->now;
    t->now = (struct look){0};
}

/* Of the screen, for functions: beside the nodes, two headings and what is below. */
static size_t rows_left(const struct top *t)
{
    size_t taken = json_array_size(json_object_get(t->now.nodes, "items")) + 5;

    return term_height() > taken + ROWS_MIN ? term_height() - taken : ROWS_MIN;
}

static int show(const struct top *t)
{
    json_t *data;
    int rc;

    if (t->c->output != OUTPUT_TABLE && t->c->output != OUTPUT_WIDE) {
        data = data_of(t);
        if (data == NULL) {
            return cli_fail(t->c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
        }
        (void)print_data(t->c, data, &rc);
        json_decref(data);
        return rc;
    }
    if (t->once) {
        return print_tables(t, ROWS_ALL) == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
    }
    (void)fputs("\033[H\033[2J", stdout); /* the cursor home, the screen clear */
    (void)print_tables(t, rows_left(t));
    return fflush(stdout) == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

int verb_top(struct cli *c)
{
    struct top t = {.c = c, .interval_s = INTERVAL_DEFAULT};
    int rc = cli_number(c, "interval", INTERVAL_MAX, &t.interval_s);

    if (rc != EXIT_CODE_OK) {
        return rc;
    }
    if (t.interval_s == 0) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, NULL, "--interval is 0; give 1 to %d",
                        INTERVAL_MAX);
    }
    if (c->output == OUTPUT_NAME) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "-o table, json or yaml",
                        "what top shows has no names");
    }
    t.once = args_has(c->args, "once") || isatty(STDOUT_FILENO) != 1;
    rc = look(c, &t.before);
    while (rc == EXIT_CODE_OK) {
        term_pause_ms(t.interval_s * 1000);
        rc = look(c, &t.now);
        if (rc == EXIT_CODE_OK && compare(&t) < 0) {
            rc = cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
        }
        rc = rc == EXIT_CODE_OK ? show(&t) : rc;
        forward(&t);
        if (t.once) {
            break;
        }
    }
    look_free(&t.before);
    return rc;
}
