/* layer: packages that functions have at /opt. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/spec_layers.h"
#include "controller/cli/cli.h"
#include "controller/cli/listing.h"
#include "controller/cli/print.h"
#include "controller/cli/rest.h"
#include "controller/cli/source.h"
#include "controller/cli/table.h"
#include "controller/cli/upload.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static int usage(const struct cli *c, const char *message)
{
    return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly help layer", "%s", message);
}

/* --- list ------------------------------------------------------------------------- */

static const struct table_column columns[] = {
    {.title = "NAMESPACE", .shrink = true, .wide = true},
    {.title = "NAME", .shrink = true},
    {.title = "VERSION", .right = true},
    {.title = "SIZE", .right = true},
    {.title = "AGE", .right = true},
    {.title = "DESCRIPTION", .shrink = true},
    {.title = "DIGEST", .wide = true},
};

/* One line a version. */
static void row(struct table *t, const json_t *v)
{
    const json_t *package = json_object_get(v, "package");
    char text[PRINT_SHORT];

    table_cell(t, 0, "%s", json_text(v, "namespace", "?"));
    table_cell(t, 1, "%s", json_text(v, "name", "?"));
    table_cell(t, 2, "%lld", (long long)json_number(v, "number"));
    table_cell(t, 3, "%s", print_bytes((uint64_t)json_number(package, "bytes"), text));
    table_cell(t, 4, "%s", print_age(json_text(v, "created_at", NULL), text));
    table_cell(t, 5, "%s", json_text(v, "description", ""));
    table_cell(t, 6, "%s", json_text(package, "digest", "?"));
}

/* The layers' versions, each with its layer's name. */
static json_t *flatten(const json_t *json)
{
    json_t *items = json_array();
    const json_t *layers = json_object_get(json, "items");

    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *l = json_array_get(layers, i);
        json_t *versions = json_object_get(l, "versions");

        for (size_t j = 0; j < json_array_size(versions); j++) {
            json_t *v = json_array_get(versions, j);

            (void)json_object_set(v, "namespace", json_object_get(l, "namespace"));
            (void)json_object_set(v, "name", json_object_get(l, "name"));
            (void)json_array_append(items, v);
        }
    }
    return json_pack("{s:o}", "items", items);
}

static int list(struct cli *c)
{
    json_t *json = NULL;
    json_t *flat;
    int rc = listing_get(c, "list layers", 0, &json, "/v1/namespaces/%s/layers",
                         args_has(c->args, "all") ? "-" : c->ns);

    if (rc == EXIT_CODE_OK) {
        flat = flatten(json);
        rc = print_list(c, flat, columns, N_OF(columns), row,
                        "no layers; mayfly layer publish makes one");
        json_decref(flat);
    }
    json_decref(json);
    return rc;
}

/* --- publish ---------------------------------------------------------------------- */

static int publish(struct cli *c, const char *name, const char *path)
{
    const char *description = args_get(c->args, "description");
    char what[SPEC_NAME_MAX + 40];
    struct progress progress;
    struct source s;
    json_t *body = NULL, *json = NULL;
    int rc;

    if (!spec_name_valid(name)) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL,
                        "use lower-case letters, digits and dashes, 63 at most",
                        "\"%s\" is no layer's name", name);
    }
    (void)snprintf(what, sizeof(what), "publish layer \"%s\"", name);
    progress_init(&progress, c->quiet);
    rc = source_open_layer(&s, c, name, path, &progress);
    rc = rc == EXIT_CODE_OK ? upload_package(c, what, &s, &progress) : rc;
    if (rc == EXIT_CODE_OK) {
        body = json_pack("{s:o, s:s}", "package", package_ref_to_json(&s.package),
                         "description", description != NULL ? description : "");
        rc = rest_call(c, what, "POST", body, &json,
                       "/v1/namespaces/%s/layers/%s/versions", c->ns, name);
        json_decref(body);
    }
    if (rc == EXIT_CODE_OK && !print_data(c, json, &rc)) {
        (void)printf("layer %s:%lld\n", name, (long long)json_number(json, "number"));
        cli_say(c, "next: mayfly deploy PATH --layer %s:%lld", name,
                (long long)json_number(json, "number"));
    }
    json_decref(json);
    source_close(&s);
    return rc;
}

/* --- delete ----------------------------------------------------------------------- */

static int delete_one(struct cli *c, const char *text)
{
    char what[SPEC_NAME_MAX + 60];
    struct spec_layer l;
    struct error err = {0};
    json_t *json = NULL;
    int rc;

    if (spec_layer_parse(&l, text, &err) < 0 || l.version == 0) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly layer delete NAME:VERSION",
                        "\"%s\" is no version of a layer", text);
    }
    (void)snprintf(what, sizeof(what), "delete layer \"%s\"", text);
    rc = rest_call(c, what, "DELETE", NULL, &json,
                   "/v1/namespaces/%s/layers/%s/versions/%llu", c->ns, l.name,
                   (unsigned long long)l.version);
    json_decref(json);
    if (rc == EXIT_CODE_OK) {
        (void)printf("deleted layer %s\n", text);
    }
    return rc;
}

int verb_layer(struct cli *c)
{
    const struct args *a = c->args;
    const char *action = a->operands[0];

    if (strcmp(action, "list") == 0) {
        return a->n_operands == 1 ? list(c) : usage(c, "mayfly layer list takes no name");
    }
    if (strcmp(action, "publish") == 0) {
        return a->n_operands == 3
                   ? publish(c, a->operands[1], a->operands[2])
                   : usage(c, "mayfly layer publish needs a NAME and a PATH");
    }
    if (strcmp(action, "delete") == 0) {
        return a->n_operands == 2 ? delete_one(c, a->operands[1])
                                  : usage(c, "mayfly layer delete needs NAME:VERSION");
    }
    return usage(c, "give one of list, publish and delete");
}
