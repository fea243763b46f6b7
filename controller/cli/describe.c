/* describe: all about one function, for people. */
#include <stdio.h>
#include <string.h>

#include "common/spec.h"
#include "controller/cli/cli.h"
#include "controller/cli/print.h"
#include "controller/cli/rest.h"
#include "controller/cli/term.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static void print_head(const struct cli *c, const json_t *f)
{
    const json_t *instances = json_object_get(f, "instances");
    char age[PRINT_SHORT];
    int64_t serving = json_number(f, "serving_version");

    (void)printf("function   %s/%s\n", json_text(f, "namespace", "?"),
                 json_text(f, "name", "?"));
    (void)printf("state      %s", json_text(f, "state", "?"));
    if (serving > 0) {
        (void)printf(", version %lld serves", (long long)serving);
    } else {
        (void)printf(", no version serves");
    }
    if (json_number(f, "latest_version") != serving) {
        (void)printf(", the latest is %lld", (long long)json_number(f, "latest_version"));
    }
    (void)printf("\nurl        %s%s\n", c->gateway, json_text(f, "path", ""));
    (void)printf("age        %s", print_age(json_text(f, "created_at", NULL), age));
    (void)printf(", changed %s ago\n", print_age(json_text(f, "updated_at", NULL), age));
    (void)printf(
        "instances  %lld busy, %lld idle, %lld frozen, %lld starting; %lld calls "
        "wait\n",
        (long long)json_number(instances, "busy"),
        (long long)json_number(instances, "idle"),
        (long long)json_number(instances, "frozen"),
        (long long)json_number(instances, "starting"),
        (long long)json_number(f, "queued"));
    (void)printf("calls      %lld, cold starts %lld, errors %lld, %.1f GB-seconds\n",
                 (long long)json_number(f, "invocations"),
                 (long long)json_number(f, "cold_starts"),
                 (long long)json_number(f, "errors"),
                 (double)json_number(f, "gb_ms") / 1000);
}

static void print_spec(const json_t *spec)
{
    static const struct {
        const char *key, *unit, *help;
    } numbers[] = {
#define X(member, key, flag, min, max, dflt, unit, help) {key, unit, help},
        SPEC_NUMBERS(X) SPEC_DECIMALS(X)
#undef X
    };
    const json_t *env = json_object_get(spec, "env");
    const json_t *value;
    const char *key;
    size_t i;

    (void)printf("\nruntime    %s\n", json_text(spec, "runtime", "?"));
    (void)printf("metric     %s\n", json_text(spec, "metric", "concurrency"));
    (void)printf("handler    %s\n",
                 json_text(spec, "handler", "(the runtime's default)"));
    (void)printf("keep-alive %s\n", json_text(spec, "keep_alive", "fixed"));
    if (json_is_false(json_object_get(spec, "reuse"))) {
        (void)printf("reuse      no: every call in a fresh sandbox\n");
    }
    for (i = 0; i < N_OF(numbers); i++) {
        double number = json_number_value(json_object_get(spec, numbers[i].key));
        bool unset =
            number == 0 && strstr(numbers[i].help, "; 0: the cluster's default") != NULL;

        if (json_object_get(spec, numbers[i].key) != NULL && !unset) {
            (void)printf("  %-18s%8.10g %-12s%s\n", numbers[i].key, number,
                         numbers[i].unit, numbers[i].help);
        }
    }
    (void)printf("  placement %s\n", json_text(spec, "placement", "default"));
    json_array_foreach(json_object_get(spec, "constraints"), i, value)
    {
        (void)printf("  constraint %s\n", json_string_value(value));
    }
    json_object_foreach((json_t *)(uintptr_t)env, key, value)
    {
        (void)printf("  env %s=%s\n", key, json_string_value(value));
    }
}

static void print_grants(const struct cli *c, const json_t *grants)
{
    static const struct table_column columns[] = {
        {.title = "NODE", .shrink = true},
        {.title = "VERSION", .right = true},
        {.title = "AT MOST", .right = true},
        {.title = "KEPT WARM", .right = true},
    };
    struct table t;

    (void)putchar('\n');
    if (json_array_size(grants) == 0) {
        (void)printf(
            "It may run nowhere yet: no node has a grant for it (mayfly nodes).\n");
        return;
    }
    (void)printf("It may run on\n");
    table_init(&t, columns, N_OF(columns));
    for (size_t i = 0; i < json_array_size(grants); i++) {
        const json_t *g = json_array_get(grants, i);

        table_row(&t);
        table_cell(&t, 0, "%s", json_text(g, "node", "?"));
        table_cell(&t, 1, "%lld", (long long)json_number(g, "version"));
        table_cell(&t, 2, "%lld", (long long)json_number(g, "max"));
        table_cell(&t, 3, "%lld", (long long)json_number(g, "warm"));
    }
    (void)table_print(&t, stdout, term_width(), false, c->headers);
    table_free(&t);
}

static void print_versions(const struct cli *c, const json_t *versions)
{
    static const struct table_column columns[] = {
        {.title = "VERSION", .right = true},
        {.title = "STATE"},
        {.title = "AGE", .right = true},
        {.title = "PACKAGE", .shrink = true},
        {.title = "CAUSE"},
        {.title = "MESSAGE", .shrink = true},
    };
    struct table t;

    (void)putchar('\n');
    table_init(&t, columns, N_OF(columns));
    for (size_t i = 0; i < json_array_size(versions); i++) {
        const json_t *v = json_array_get(versions, i);
        const json_t *package = json_object_get(v, "package");
        const char *cause = json_text(v, "cause", "");
        char age[PRINT_SHORT], bytes[PRINT_SHORT];

        table_row(&t);
        table_cell(&t, 0, "%lld", (long long)json_number(v, "number"));
        table_cell(&t, 1, "%s", json_text(v, "state", "?"));
        table_cell(&t, 2, "%s", print_age(json_text(v, "created_at", NULL), age));
        table_cell(&t, 3, "%.12s %s", json_text(package, "digest", ""),
                   print_bytes((uint64_t)json_number(package, "bytes"), bytes));
        table_cell(&t, 4, "%s", strcmp(cause, "none") == 0 ? "" : cause);
        table_cell(&t, 5, "%s", json_text(v, "message", ""));
    }
    (void)table_print(&t, stdout, term_width(), false, c->headers);
    table_free(&t);
}

int verb_describe(struct cli *c)
{
    const char *name = c->args->operands[0];
    char what[SPEC_NAME_MAX + 40];
    json_t *json;
    int rc;

    if (!spec_name_valid(name)) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly list",
                        "\"%s\" is no function's name", name);
    }
    (void)snprintf(what, sizeof(what), "describe \"%s\"", name);
    rc = rest_call(c, what, "GET", NULL, &json, "/v1/namespaces/%s/functions/%s", c->ns,
                   name);
    if (rc != EXIT_CODE_OK || print_data(c, json, &rc)) {
        json_decref(json);
        return rc;
    }
    print_head(c, json);
    print_spec(json_object_get(json, "spec"));
    print_grants(c, json_object_get(json, "grants"));
    print_versions(c, json_object_get(json, "versions"));
    json_decref(json);
    return EXIT_CODE_OK;
}
