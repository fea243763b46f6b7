/* keys: with which AWS's tools sign what they ask of a namespace. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/spec.h"
#include "controller/cli/cli.h"
#include "controller/cli/http.h"
#include "controller/cli/listing.h"
#include "controller/cli/print.h"
#include "controller/cli/rest.h"
#include "controller/cli/table.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct table_column columns[] = {
    {.title = "ACCESS KEY ID", .shrink = true},
    {.title = "NAMESPACE"},
    {.title = "AGE", .right = true},
};

static void row(struct table *t, const json_t *key)
{
    char age[PRINT_SHORT];

    table_cell(t, 0, "%s", json_text(key, "access_key_id", "?"));
    table_cell(t, 1, "%s", json_text(key, "namespace", "?"));
    table_cell(t, 2, "%s", print_age(json_text(key, "created_at", ""), age));
}

static int list(struct cli *c)
{
    return listing_print(c,
                         &(struct listing){"list access keys", columns, N_OF(columns),
                                           row, "no access keys", 0},
                         "/v1/namespaces/%s/keys", c->ns);
}

/* As AWS's own tools and libraries take it from the environment or from a profile. */
static void print_key(const json_t *key)
{
    (void)printf("AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n",
                 json_text(key, "access_key_id", ""),
                 json_text(key, "secret_access_key", ""));
}

static int create(struct cli *c)
{
    const char *id = args_get(c->args, "access-key-id");
    const char *secret = args_get(c->args, "secret-access-key");
    json_t *body, *key = NULL;
    int rc;

    if ((id == NULL) != (secret == NULL)) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL,
                        "mayfly keys create --access-key-id A --secret-access-key S",
                        "--access-key-id and --secret-access-key go together");
    }
    body = id != NULL
               ? json_pack("{s:s, s:s}", "access_key_id", id, "secret_access_key", secret)
               : json_object();
    if (body == NULL) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, NULL, "the key is not valid text");
    }
    rc = rest_call(c, "create an access key", "POST", body, &key,
                   "/v1/namespaces/%s/keys", c->ns);
    json_decref(body);
    if (rc == EXIT_CODE_OK && !print_data(c, key, &rc)) {
        print_key(key);
        cli_say(c,
                "the secret is not shown again; for AWS's tools: aws --endpoint-url %s "
                "lambda list-functions",
                c->gateway);
    }
    json_decref(key);
    return rc;
}

static int delete_key(struct cli *c, const char *id)
{
    _cleanup_free_ char *escaped = http_escape(id);
    json_t *json = NULL;
    int rc;

    if (escaped == NULL) {
        return cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    }
    rc = rest_call(c, "delete the access key", "DELETE", NULL, &json,
                   "/v1/namespaces/%s/keys/%s", c->ns, escaped);
    json_decref(json);
    if (rc == EXIT_CODE_OK) {
        (void)printf("deleted %s\n", id);
    }
    return rc;
}

int verb_keys(struct cli *c)
{
    const struct args *a = c->args;
    const char *what = a->n_operands > 0 ? a->operands[0] : "list";

    if (strcmp(what, "delete") == 0) {
        return a->n_operands == 2
                   ? delete_key(c, a->operands[1])
                   : cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly help keys",
                              "mayfly keys delete needs one ACCESS-KEY-ID");
    }
    if (a->n_operands > 1) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly help keys",
                        "mayfly keys %s takes nothing more", what);
    }
    if (strcmp(what, "create") == 0) {
        return create(c);
    }
    return strcmp(what, "list") == 0
               ? list(c)
               : cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly help keys",
                          "\"%.40s\" is none of create, list and delete", what);
}
