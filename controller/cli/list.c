/* The listings: list, nodes, namespaces, status, version; and delete. */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/spec.h"
#include "controller/cli/cli.h"
#include "controller/cli/listing.h"
#include "controller/cli/print.h"
#include "controller/cli/rest.h"
#include "controller/cli/term.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define VERSION_MS  2000 /* a controller that does not answer by then is none */

/* --- list --------------------------------------------------------------------- */

static const struct table_column function_columns[] = {
    {.title = "NAMESPACE", .shrink = true},
    {.title = "NAME", .shrink = true},
    {.title = "STATE"},
    {.title = "VERSION", .right = true},
    {.title = "RUNTIME"},
    {.title = "INSTANCES", .right = true},
    {.title = "CALLS", .right = true},
    {.title = "ERRORS", .right = true},
    {.title = "COLD", .right = true, .wide = true},
    {.title = "MEMORY", .right = true, .wide = true},
    {.title = "AGE", .right = true},
    {.title = "PATH", .wide = true, .shrink = true},
};

static int64_t instances_of(const json_t *function)
{
    const json_t *i = json_object_get(function, "instances");

    return json_number(i, "starting") + json_number(i, "idle") +
           json_number(i, "frozen") + json_number(i, "busy");
}

/* "waiting for room": nothing serves, and the latest version finds no place to start. */
static const char *state_of(const json_t *f)
{
    const json_t *versions = json_object_get(f, "versions");
    size_t n = json_array_size(versions);
    const char *state = json_text(f, "state", "?");
    const char *cause =
        json_text(json_array_get(versions, n > 0 ? n - 1 : 0), "cause", "");

    return strcmp(state, "deploying") == 0 && strcmp(cause, "no_capacity") == 0
               ? "waiting for room"
               : state;
}

static void function_row(struct table *t, const json_t *f)
{
    const json_t *spec = json_object_get(f, "spec");
    int64_t serving = json_number(f, "serving_version");
    char age[PRINT_SHORT];

    table_cell(t, 0, "%s", json_text(f, "namespace", "?"));
    table_cell(t, 1, "%s", json_text(f, "name", "?"));
    table_cell(t, 2, "%s", state_of(f));
    if (serving > 0) {
        table_cell(t, 3, "%lld", (long long)serving);
    }
    table_cell(t, 4, "%s", json_text(spec, "runtime", "?"));
    table_cell(t, 5, "%lld", (long long)instances_of(f));
    table_cell(t, 6, "%lld", (long long)json_number(f, "invocations"));
    table_cell(t, 7, "%lld", (long long)json_number(f, "errors"));
    table_cell(t, 8, "%lld", (long long)json_number(f, "cold_starts"));
    table_cell(t, 9, "%lld MiB", (long long)json_number(spec, "memory_mib"));
    table_cell(t, 10, "%s", print_age(json_text(f, "created_at", NULL), age));
    table_cell(t, 11, "%s", json_text(f, "path", "?"));
}

int verb_list(struct cli *c)
{
    struct listing l = {"list functions",
                        function_columns,
                        N_OF(function_columns),
                        function_row,
                        "no functions yet; next: mayfly deploy PATH",
                        0};
    int rc = cli_number(c, "limit", UINT32_MAX, &l.limit);

    return rc != EXIT_CODE_OK ? rc
                              : listing_print(c, &l, "/v1/namespaces/%s/functions",
                                              args_has(c->args, "all") ? "-" : c->ns);
}

/* --- nodes -------------------------------------------------------------------- */

static const struct table_column node_columns[] = {
    {.title = "NAME", .shrink = true},
    {.title = "STATE"},
    {.title = "RESERVED", .right = true},
    {.title = "MEMORY", .right = true},
    {.title = "CPU", .right = true},
    {.title = "INSTANCES", .right = true},
    {.title = "FUNCTIONS", .right = true},
    {.title = "SEEN", .right = true},
    {.title = "VERSION", .wide = true},
    {.title = "GATEWAY", .wide = true},
    {.title = "LABELS", .wide = true, .shrink = true},
};

static void node_row(struct table *t, const json_t *n)
{
    const json_t *memory = json_object_get(n, "memory");
    const json_t *labels = json_object_get(n, "labels");
    char text[PRINT_SHORT];
    struct buf list = {0};
    const char *key;
    const json_t *value;

    table_cell(t, 0, "%s", json_text(n, "name", "?"));
    table_cell(t, 1, "%s", json_text(n, "state", "?"));
    table_cell(t, 2, "%s",
               print_bytes((uint64_t)json_number(memory, "reserved_bytes"), text));
    table_cell(t, 3, "%s",
               print_bytes((uint64_t)json_number(memory, "capacity_bytes"), text));
    table_cell(t, 4, "%.1f", (double)json_number(n, "cpu_millis") / 1000);
    table_cell(t, 5, "%lld", (long long)json_number(n, "instances"));
    table_cell(t, 6, "%lld", (long long)json_number(n, "functions"));
    table_cell(t, 7, "%s",
               print_duration((uint64_t)json_number(n, "last_seen_ms"), text));
    table_cell(t, 8, "%s", json_text(n, "version", ""));
    table_cell(t, 9, "%s", json_text(n, "gateway", ""));
    json_object_foreach((json_t *)(uintptr_t)labels, key, value)
    {
        (void)buf_printf(&list, "%s%s=%s", list.len > 0 ? "," : "", key,
                         json_is_string(value) ? json_string_value(value) : "?");
    }
    table_cell(t, 10, "%s", list.data != NULL ? list.data : "");
    buf_free(&list);
}

int verb_nodes(struct cli *c)
{
    return listing_print(
        c,
        &(struct listing){"list nodes", node_columns, N_OF(node_columns), node_row,
                          "no nodes yet; start mayfly-agent on a host", 0},
        "/v1/nodes");
}

/* --- namespaces --------------------------------------------------------------- */

static const struct table_column namespace_columns[] = {
    {.title = "NAME", .shrink = true},
    {.title = "FUNCTIONS", .right = true},
    {.title = "AGE", .right = true},
    {.title = "INDEX", .right = true, .wide = true},
};

static void namespace_row(struct table *t, const json_t *n)
{
    char age[PRINT_SHORT];

    table_cell(t, 0, "%s", json_text(n, "name", "?"));
    table_cell(t, 1, "%lld", (long long)json_number(n, "functions"));
    table_cell(t, 2, "%s", print_age(json_text(n, "created_at", NULL), age));
    table_cell(t, 3, "%lld", (long long)json_number(n, "index"));
}

static int change_namespace(struct cli *c, const char *action, const char *name)
{
    bool create = strcmp(action, "create") == 0;
    char what[SPEC_NAME_MAX + 40];
    json_t *json = NULL;
    int rc;

    if (!spec_name_valid(name)) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL,
                        "use lower-case letters, digits and dashes, 63 at most",
                        "namespace \"%s\" is no name", name);
    }
    (void)snprintf(what, sizeof(what), "%s namespace \"%s\"", action, name);
    rc = rest_call(c, what, create ? "PUT" : "DELETE", NULL, &json, "/v1/namespaces/%s",
                   name);
    if (rc == EXIT_CODE_OK) {
        (void)printf("namespace %s %sd\n", name, action);
    }
    json_decref(json);
    return rc;
}

int verb_namespaces(struct cli *c)
{
    const struct args *a = c->args;

    if (a->n_operands > 0) {
        if (!args_is_choice("create|delete", a->operands[0])) {
            return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly help namespaces",
                            "\"%s\" is neither create nor delete", a->operands[0]);
        }
        if (a->n_operands < 2) {
            return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly help namespaces",
                            "mayfly namespaces %s needs a NAME", a->operands[0]);
        }
        return change_namespace(c, a->operands[0], a->operands[1]);
    }
    return listing_print(c,
                         &(struct listing){"list namespaces", namespace_columns,
                                           N_OF(namespace_columns), namespace_row,
                                           "no namespaces", 0},
                         "/v1/namespaces");
}

/* --- delete ------------------------------------------------------------------- */

int verb_delete(struct cli *c)
{
    int worst = EXIT_CODE_OK;

    for (size_t i = 0; i < c->args->n_operands; i++) {
        const char *name = c->args->operands[i];
        char what[SPEC_NAME_MAX + 40];
        json_t *json = NULL;
        int rc;

        if (!spec_name_valid(name)) {
            worst = cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly list",
                             "\"%s\" is no function's name", name);
            continue;
        }
        (void)snprintf(what, sizeof(what), "delete \"%s\"", name);
        rc = rest_call(c, what, "DELETE", NULL, &json, "/v1/namespaces/%s/functions/%s",
                       c->ns, name);
        json_decref(json);
        if (rc == EXIT_CODE_OK) {
            (void)printf("deleted %s/%s\n", c->ns, name);
        } else {
            worst = rc;
        }
    }
    return worst;
}

/* --- status, version ---------------------------------------------------------- */

int verb_status(struct cli *c)
{
    char uptime[PRINT_SHORT];
    const json_t *store, *nodes;
    json_t *json;
    int rc = rest_call(c, "show the status", "GET", NULL, &json, "/v1/status");

    if (rc != EXIT_CODE_OK || print_data(c, json, &rc)) {
        json_decref(json);
        return rc;
    }
    store = json_object_get(json, "store");
    nodes = json_object_get(json, "nodes");
    (void)printf("controller  %s, version %s, up %s, %s\n",
                 json_text(json, "controller", "?"), json_text(json, "version", "?"),
                 print_duration((uint64_t)json_number(json, "uptime_ms"), uptime),
                 c->url);
    (void)printf("store       %s, %s\n", json_text(store, "engine", "?"),
                 json_is_true(json_object_get(store, "up")) ? "up"
                                                            : "DOWN: deploys fail");
    (void)printf("nodes       %lld ready of %lld\n",
                 (long long)json_number(nodes, "ready"),
                 (long long)json_number(nodes, "total"));
    (void)printf("functions   %lld in %lld namespaces, %lld instances\n",
                 (long long)json_number(json, "functions"),
                 (long long)json_number(json, "namespaces"),
                 (long long)json_number(json, "instances"));
    (void)printf("gateway     %s\n", c->gateway);
    rest_warn_skew(c, json_text(json, "version", NULL));
    json_decref(json);
    return EXIT_CODE_OK;
}

int verb_version(struct cli *c)
{
    _cleanup_free_ char *version = rest_version(c, VERSION_MS);
    json_t *json = json_pack("{s:s, s:s?, s:s}", "client", MAYFLY_VERSION, "controller",
                             version, "url", c->url);
    int rc;

    if (json == NULL) {
        return cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    }
    if (!print_data(c, json, &rc)) {
        (void)printf("mayfly      " MAYFLY_VERSION "\n");
        (void)printf("controller  %s (%s)\n",
                     version != NULL ? version : "does not answer", c->url);
        rest_warn_skew(c, version);
    }
    json_decref(json);
    return rc;
}
