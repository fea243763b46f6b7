#include "controller/cli/print.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "controller/cli/term.h"
#include "controller/cli/yaml.h"

const char *json_text(const json_t *object, const char *key, const char *dflt)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : dflt;
}

int64_t json_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

const char *print_bytes(uint64_t bytes, char ret[PRINT_SHORT])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        (void)snprintf(ret, PRINT_SHORT, "%u B", (unsigned)bytes);
        return ret;
    }
    while (value >= 1024 && unit < sizeof(units) / sizeof(units[0]) - 1) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(ret, PRINT_SHORT, value < 10 ? "%.1f %s" : "%.0f %s", value,
                   units[unit]);
    return ret;
}

const char *print_duration(uint64_t ms, char ret[PRINT_SHORT])
{
    uint64_t s = ms / 1000;

    if (ms < 1000) {
        (void)snprintf(ret, PRINT_SHORT, "%u ms", (unsigned)ms);
    } else if (s < 120) {
        (void)snprintf(ret, PRINT_SHORT, "%llu s", (unsigned long long)s);
    } else if (s < 2 * 3600) {
        (void)snprintf(ret, PRINT_SHORT, "%llu min", (unsigned long long)s / 60);
    } else if (s < (uint64_t)2 * 24 * 3600) {
        (void)snprintf(ret, PRINT_SHORT, "%llu h", (unsigned long long)s / 3600);
    } else {
        (void)snprintf(ret, PRINT_SHORT, "%llu d", (unsigned long long)s / (24 * 3600));
    }
    return ret;
}

const char *print_age(const char *rfc3339, char ret[PRINT_SHORT])
{
    struct tm tm = {0};
    uint64_t now = clock_wall_ms() / 1000;
    time_t then;

    if (rfc3339 == NULL || strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm) == NULL) {
        return "-";
    }
    then = timegm(&tm);
    return print_duration(
        then >= 0 && (uint64_t)then < now ? (now - (uint64_t)then) * 1000 : 0, ret);
}

bool print_data(const struct cli *c, const json_t *json, int *ret)
{
    struct buf out = {0};

    *ret = EXIT_CODE_OK;
    if (c->output == OUTPUT_JSON) {
        if (json_dumpf(json, stdout,
                       JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) != 0) {
            *ret = EXIT_CODE_FAILED;
        }
        (void)putchar('\n');
        return true;
    }
    if (c->output == OUTPUT_YAML) {
        if (yaml_write(&out, json) < 0) {
            *ret = cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
        } else {
            (void)fwrite(out.data, 1, out.len, stdout);
        }
        buf_free(&out);
        return true;
    }
    if (c->output == OUTPUT_NAME && json_text(json, "name", NULL) != NULL) {
        (void)puts(json_text(json, "name", ""));
        return true;
    }
    return false;
}

int print_list(const struct cli *c, const json_t *json,
               const struct table_column *columns, size_t n_columns,
               void (*fill)(struct table *t, const json_t *item), const char *empty)
{
    const json_t *items = json_object_get(json, "items");
    struct table table;
    int rc;

    if (print_data(c, json, &rc)) {
        return rc;
    }
    if (json_array_size(items) == 0) {
        cli_say(c, "%s", empty);
        return EXIT_CODE_OK;
    }
    if (c->output == OUTPUT_NAME) {
        for (size_t i = 0; i < json_array_size(items); i++) {
            (void)puts(json_text(json_array_get(items, i), "name", "?"));
        }
        return EXIT_CODE_OK;
    }
    table_init(&table, columns, n_columns);
    for (size_t i = 0; i < json_array_size(items); i++) {
        table_row(&table);
        fill(&table, json_array_get(items, i));
    }
    rc = table_print(&table, stdout, term_width(), c->output == OUTPUT_WIDE, c->headers);
    table_free(&table);
    return rc < 0 ? cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory")
                  : EXIT_CODE_OK;
}

void print_time_of_day(const char *rfc3339)
{
    struct tm tm = {0};
    const char *rest =
        rfc3339 != NULL ? strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    struct tm local;
    time_t at;

    if (rest == NULL) {
        (void)fputs("?", stdout);
        return;
    }
    at = timegm(&tm);
    (void)localtime_r(&at, &local);
    (void)printf("%02d:%02d:%02d%.*s", local.tm_hour, local.tm_min, local.tm_sec,
                 (int)strspn(rest, ".0123456789"), rest);
}
