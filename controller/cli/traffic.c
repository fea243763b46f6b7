/* versions, publish, alias, rollback, rollout: which version takes which calls. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alias.h"
#include "common/cleanup.h"
#include "common/spec.h"
#include "controller/cli/canary.h"
#include "controller/cli/cli.h"
#include "controller/cli/print.h"
#include "controller/cli/rest.h"
#include "controller/cli/term.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define FUNCTION    "/v1/namespaces/%s/functions/%s"

static int bad_name(const struct cli *c, const char *name)
{
    return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly list",
                    "\"%.70s\" is no function's name", name);
}

/* "3" or "v3"; 0: neither. */
static json_int_t version_of(const char *text, size_t len)
{
    json_int_t n = 0;

    if (len > 0 && *text == 'v') {
        text++;
        len--;
    }
    if (len == 0 || len > 15) {
        return 0;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return 0;
        }
        n = n * 10 + (text[i] - '0');
    }
    return n;
}

static int read_version(const struct cli *c, const char *option, json_int_t *ret)
{
    const char *text = args_get(c->args, option);

    *ret = text != NULL ? version_of(text, strlen(text)) : 0;
    if (text != NULL && *ret == 0) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly versions NAME has the numbers",
                        "--%s is \"%.40s\", which is no version", option, text);
    }
    return EXIT_CODE_OK;
}

/* --- versions ----------------------------------------------------------------- */

static const struct table_column version_columns[] = {
    {.title = "VERSION", .right = true},  {.title = "STATE"},
    {.title = "TRAFFIC", .right = true},  {.title = "PUBLISHED", .right = true},
    {.title = "ALIASES", .shrink = true}, {.title = "CALLS", .right = true},
    {.title = "ERRORS", .right = true},   {.title = "AGE", .right = true},
    {.title = "MESSAGE", .shrink = true},
};

/* Of the calls that name no version. */
static void traffic_cell(struct table *t, const json_t *function, int64_t number)
{
    const json_t *rollout = json_object_get(function, "rollout");
    const json_t *weight = json_object_get(rollout, "weight");
    bool serving = json_number(function, "serving_version") == number;

    if (strcmp(json_text(rollout, "state", ""), "running") != 0) {
        if (serving) {
            table_cell(t, 2, "100 %%");
        }
    } else if (json_number(rollout, "version") == number) {
        table_cell(t, 2, "%g %%", json_number_value(weight));
    } else if (serving) {
        table_cell(t, 2, "%g %%", 100 - json_number_value(weight));
    }
}

static void aliases_cell(struct table *t, const json_t *aliases)
{
    char text[256] = "";
    size_t used = 0;

    for (size_t i = 0; i < json_array_size(aliases) && used < sizeof(text); i++) {
        int n = snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? "," : "",
                         json_string_value(json_array_get(aliases, i)));

        used += n > 0 ? (size_t)n : 0;
    }
    table_cell(t, 4, "%s", text);
}

static void version_row(struct table *t, const json_t *function, const json_t *v)
{
    const char *description = json_text(v, "description", "");
    const char *message = json_text(v, "message", "");
    int64_t number = json_number(v, "number");
    char age[PRINT_SHORT];

    table_row(t);
    table_cell(t, 0, "%lld", (long long)number);
    table_cell(t, 1, "%s", json_text(v, "state", "?"));
    traffic_cell(t, function, number);
    if (json_number(v, "published") > 0) {
        table_cell(t, 3, "%lld", (long long)json_number(v, "published"));
    }
    aliases_cell(t, json_object_get(v, "aliases"));
    table_cell(t, 5, "%lld", (long long)json_number(v, "invocations"));
    table_cell(t, 6, "%lld", (long long)json_number(v, "errors"));
    table_cell(t, 7, "%s", print_age(json_text(v, "created_at", NULL), age));
    table_cell(t, 8, "%s", *message != '\0' ? message : description);
}

static int list_versions(const struct cli *c, const char *what, const char *name)
{
    const json_t *versions;
    json_t *function;
    struct table t;
    int rc = rest_call(c, what, "GET", NULL, &function, FUNCTION, c->ns, name);

    if (rc != EXIT_CODE_OK) {
        return rc;
    }
    versions = json_object_get(function, "versions");
    if (c->output == OUTPUT_NAME) {
        for (size_t i = 0; i < json_array_size(versions); i++) {
            (void)printf("%lld\n",
                         (long long)json_number(json_array_get(versions, i), "number"));
        }
    } else if (!print_data(c, versions, &rc)) {
        table_init(&t, version_columns, N_OF(version_columns));
        for (size_t i = 0; i < json_array_size(versions); i++) {
            version_row(&t, function, json_array_get(versions, i));
        }
        (void)table_print(&t, stdout, term_width(), c->output == OUTPUT_WIDE, c->headers);
        table_free(&t);
        if (strcmp(json_text(json_object_get(function, "rollout"), "state", ""),
                   "running") == 0) {
            canary_say(c, json_object_get(function, "rollout"));
        }
    }
    json_decref(function);
    return rc;
}

int verb_versions(struct cli *c)
{
    const char *name = c->args->operands[0];
    char what[SPEC_NAME_MAX + 40];
    json_int_t number;
    json_t *json = NULL;
    int rc = read_version(c, "delete", &number);

    if (rc != EXIT_CODE_OK || !spec_name_valid(name)) {
        return rc != EXIT_CODE_OK ? rc : bad_name(c, name);
    }
    if (number == 0) {
        (void)snprintf(what, sizeof(what), "list the versions of \"%s\"", name);
        return list_versions(c, what, name);
    }
    (void)snprintf(what, sizeof(what), "delete a version of \"%s\"", name);
    rc = rest_call(c, what, "DELETE", NULL, &json, FUNCTION "/versions/%lld", c->ns, name,
                   (long long)number);
    json_decref(json);
    if (rc == EXIT_CODE_OK) {
        cli_say(c, "deleted version %lld of %s/%s", (long long)number, c->ns, name);
    }
    return rc;
}

/* --- publish ------------------------------------------------------------------ */

int verb_publish(struct cli *c)
{
    const char *name = c->args->operands[0];
    const char *description = args_get(c->args, "description");
    char what[SPEC_NAME_MAX + 40];
    json_t *body = json_object(), *json = NULL;
    json_int_t number;
    int rc = read_version(c, "version", &number);

    if (rc == EXIT_CODE_OK && !spec_name_valid(name)) {
        rc = bad_name(c, name);
    }
    if (rc == EXIT_CODE_OK &&
        ((number != 0 &&
          json_object_set_new(body, "version", json_integer(number)) < 0) ||
         (description != NULL &&
          json_object_set_new(body, "description", json_string(description)) < 0))) {
        rc = cli_fail(c, EXIT_CODE_USAGE, NULL, NULL, "--description is no valid text");
    }
    (void)snprintf(what, sizeof(what), "publish \"%.63s\"", name);
    rc = rc != EXIT_CODE_OK
             ? rc
             : rest_call(c, what, "POST", body, &json, FUNCTION "/versions", c->ns, name);
    json_decref(body);
    if (rc == EXIT_CODE_OK && !print_data(c, json, &rc)) {
        (void)printf("published %s/%s version %lld as %lld\n", c->ns, name,
                     (long long)json_number(json, "number"),
                     (long long)json_number(json, "published"));
    }
    json_decref(json);
    return rc;
}

/* --- alias -------------------------------------------------------------------- */

static int bad_split(const struct cli *c, const char *text)
{
    return cli_fail(c, EXIT_CODE_USAGE, NULL,
                    "mayfly alias set NAME ALIAS 3, or v1=90,v2=10",
                    "\"%.80s\" is neither a version nor a split over some", text);
}

/* "3", "v1=90,v2=10" */
static int read_split(const struct cli *c, const char *text, json_t *weights)
{
    bool alone = strchr(text, ',') == NULL;

    for (const char *at = text; at != NULL;) {
        const char *comma = strchr(at, ',');
        size_t len = comma != NULL ? (size_t)(comma - at) : strlen(at);
        const char *equals = memchr(at, '=', len);
        json_int_t version = version_of(at, equals != NULL ? (size_t)(equals - at) : len);
        uint32_t weight = ALIAS_WHOLE;
        json_t *item;

        if (version == 0 || (equals == NULL && !alone) ||
            (equals != NULL &&
             alias_percent_parse(&weight, equals + 1, (size_t)(at + len - equals) - 1) <
                 0)) {
            return bad_split(c, text);
        }
        item =
            json_pack("{s:I, s:f}", "version", version, "weight", (double)weight / 100);
        if (json_array_append_new(weights, item) < 0) {
            return cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
        }
        at = comma != NULL ? comma + 1 : NULL;
    }
    return EXIT_CODE_OK;
}

static void split_text(const json_t *alias, char *ret, size_t size)
{
    const json_t *weights = json_object_get(alias, "weights");
    size_t used = 0;

    *ret = '\0';
    for (size_t i = 0; i < json_array_size(weights) && used < size; i++) {
        const json_t *w = json_array_get(weights, i);
        int n = snprintf(ret + used, size - used, "%sv%lld=%g", i > 0 ? "," : "",
                         (long long)json_number(w, "version"),
                         json_number_value(json_object_get(w, "weight")));

        used += n > 0 ? (size_t)n : 0;
    }
}

static int set_alias(const struct cli *c, const char *name, const char *alias,
                     const char *split)
{
    const char *description = args_get(c->args, "description");
    json_t *weights = json_array(), *body = json_pack("{s:o}", "weights", weights);
    char what[SPEC_NAME_MAX + ALIAS_NAME_MAX + 40], text[320];
    json_t *json = NULL;
    int rc;

    if (body == NULL ||
        (description != NULL &&
         json_object_set_new(body, "description", json_string(description)) < 0)) {
        json_decref(body);
        return cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    }
    (void)snprintf(what, sizeof(what), "set alias \"%s\" of \"%s\"", alias, name);
    rc = read_split(c, split, weights);
    rc = rc != EXIT_CODE_OK ? rc
                            : rest_call(c, what, "PUT", body, &json,
                                        FUNCTION "/aliases/%s", c->ns, name, alias);
    json_decref(body);
    if (rc == EXIT_CODE_OK && !print_data(c, json, &rc)) {
        split_text(json, text, sizeof(text));
        (void)printf("alias %s/%s:%s is %s\n%s/fn/%s/%s:%s\n", c->ns, name, alias, text,
                     c->gateway, c->ns, name, alias);
    }
    json_decref(json);
    return rc;
}

static const struct table_column alias_columns[] = {
    {.title = "ALIAS", .shrink = true},
    {.title = "VERSIONS"},
    {.title = "CHANGED", .right = true},
    {.title = "DESCRIPTION", .shrink = true},
};

static void alias_row(struct table *t, const json_t *alias)
{
    char text[320], age[PRINT_SHORT];

    split_text(alias, text, sizeof(text));
    table_cell(t, 0, "%s", json_text(alias, "name", "?"));
    table_cell(t, 1, "%s", text);
    table_cell(t, 2, "%s", print_age(json_text(alias, "updated_at", NULL), age));
    table_cell(t, 3, "%s", json_text(alias, "description", ""));
}

static int list_aliases(const struct cli *c, const char *name)
{
    char what[SPEC_NAME_MAX + 40];
    json_t *json = NULL;
    int rc;

    (void)snprintf(what, sizeof(what), "list the aliases of \"%s\"", name);
    rc = rest_call(c, what, "GET", NULL, &json, FUNCTION "/aliases", c->ns, name);
    if (rc == EXIT_CODE_OK) {
        rc = print_list(c, json, alias_columns, N_OF(alias_columns), alias_row,
                        "there are no aliases; `mayfly alias set` makes one");
    }
    json_decref(json);
    return rc;
}

static int delete_alias(const struct cli *c, const char *name, const char *alias)
{
    char what[SPEC_NAME_MAX + ALIAS_NAME_MAX + 40];
    json_t *json = NULL;
    int rc;

    (void)snprintf(what, sizeof(what), "delete alias \"%s\" of \"%s\"", alias, name);
    rc = rest_call(c, what, "DELETE", NULL, &json, FUNCTION "/aliases/%s", c->ns, name,
                   alias);
    json_decref(json);
    if (rc == EXIT_CODE_OK) {
        cli_say(c, "deleted alias %s of %s/%s", alias, c->ns, name);
    }
    return rc;
}

int verb_alias(struct cli *c)
{
    const struct args *a = c->args;
    const char *verb = a->operands[0], *name = a->operands[1];
    const char *alias = a->n_operands > 2 ? a->operands[2] : NULL;
    size_t wanted = strcmp(verb, "set") == 0 ? 4 : strcmp(verb, "delete") == 0 ? 3 : 2;

    if (!args_is_choice("set|list|delete", verb) || a->n_operands != wanted) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly help alias",
                        "give: mayfly alias set NAME ALIAS VERSIONS, alias list NAME, or "
                        "alias delete NAME ALIAS");
    }
    if (!spec_name_valid(name)) {
        return bad_name(c, name);
    }
    if (alias == NULL) {
        return list_aliases(c, name);
    }
    if (!alias_name_valid(alias, strlen(alias))) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL,
                        "A-Z, a-z, 0-9, - and _; not digits alone",
                        "\"%.70s\" is no alias's name", alias);
    }
    return wanted == 3 ? delete_alias(c, name, alias)
                       : set_alias(c, name, alias, a->operands[3]);
}

/* --- rollback, rollout -------------------------------------------------------- */

int verb_rollback(struct cli *c)
{
    const char *name = c->args->operands[0];
    char what[SPEC_NAME_MAX + 40];
    json_t *body, *json = NULL;
    json_int_t number;
    int rc = read_version(c, "to", &number);

    if (rc != EXIT_CODE_OK || !spec_name_valid(name)) {
        return rc != EXIT_CODE_OK ? rc : bad_name(c, name);
    }
    body = number != 0 ? json_pack("{s:I}", "to", number) : json_object();
    if (body == NULL) {
        return cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    }
    (void)snprintf(what, sizeof(what), "roll \"%s\" back", name);
    rc = rest_call(c, what, "POST", body, &json, FUNCTION "/rollback", c->ns, name);
    json_decref(body);
    if (rc == EXIT_CODE_OK && !print_data(c, json, &rc)) {
        (void)printf("%s/%s: version %lld serves\n", c->ns, name,
                     (long long)json_number(json, "serving_version"));
    }
    json_decref(json);
    return rc;
}

int verb_rollout(struct cli *c)
{
    const char *name = c->args->operands[1];
    char what[SPEC_NAME_MAX + 40];
    json_t *function = NULL;
    const json_t *rollout;
    int rc;

    if (strcmp(c->args->operands[0], "status") != 0 || !spec_name_valid(name)) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly help rollout",
                        "give: mayfly rollout status NAME");
    }
    (void)snprintf(what, sizeof(what), "show the rollout of \"%s\"", name);
    rc = rest_call(c, what, "GET", NULL, &function, FUNCTION, c->ns, name);
    rollout = json_object_get(function, "rollout");
    if (rc == EXIT_CODE_OK && !json_is_object(rollout)) {
        cli_say(c, "nothing of %s/%s was rolled out; `mayfly deploy --canary` does that",
                c->ns, name);
    } else if (rc == EXIT_CODE_OK && !print_data(c, rollout, &rc)) {
        (void)printf("%s: version %lld has %g %% of the calls of %s/%s; %s\n",
                     json_text(rollout, "state", "?"),
                     (long long)json_number(rollout, "version"),
                     json_number_value(json_object_get(rollout, "weight")), c->ns, name,
                     json_text(rollout, "message", ""));
    }
    json_decref(function);
    return rc;
}
