/* Aliases. AWS's has a version of its own and at most one more with a part of the calls;
 * natively all versions of a split are alike, and the first one is shown as its own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/lambda_private.h"

#define ALIAS_PATTERN "(?!^[0-9]+$)([a-zA-Z0-9-_]+)"

/* --- what it is ------------------------------------------------------------------- */

static double part_of(const json_t *alias, size_t i)
{
    const json_t *weight = json_array_get(json_object_get(alias, "weights"), i);

    return json_number_value(json_object_get(weight, "weight")) / 100;
}

/* It changes with the alias alone. */
static void revision_of(char ret[40], const json_t *alias)
{
    char *text = json_dumps(alias, JSON_COMPACT | JSON_SORT_KEYS);

    lambda_revision_id(ret, lambda_hash(text != NULL ? text : "", LAMBDA_HASH_BEGIN));
    free(text);
}

static json_t *routing(const json_t *function, const json_t *alias)
{
    size_t n = json_array_size(json_object_get(alias, "weights"));
    json_t *parts = json_object();

    for (size_t i = 1; i < n; i++) {
        const json_t *v = lambda_alias_version(function, alias, i);
        char number[32];

        if (v != NULL) {
            lambda_version_name(number, v, function);
            (void)json_object_set_new(parts, number, json_real(part_of(alias, i)));
        }
    }
    return json_pack("{s:o}", "AdditionalVersionWeights", parts);
}

static json_t *view(const struct lambda *l, const json_t *function, const json_t *alias)
{
    const json_t *own = lambda_alias_version(function, alias, 0);
    const char *name = json_string_value(json_object_get(alias, "name"));
    char arn[LAMBDA_ARN_SIZE], number[32] = "", revision[40];
    json_t *out;

    if (own != NULL) {
        lambda_version_name(number, own, function);
    }
    lambda_own_arn(l, name, arn);
    revision_of(revision, alias);
    out = json_pack("{s:s, s:O, s:s, s:O, s:s}", "AliasArn", arn, "Name",
                    json_object_get(alias, "name"), "FunctionVersion", number,
                    "Description", json_object_get(alias, "description"), "RevisionId",
                    revision);
    if (json_array_size(json_object_get(alias, "weights")) > 1) {
        (void)json_object_set_new(out, "RoutingConfig", routing(function, alias));
    }
    return out;
}

static void missing(struct lambda *l, const char *text, const char *name)
{
    char arn[LAMBDA_ARN_SIZE];

    lambda_own_arn(l, name, arn);
    lambda_fail(l, LAMBDA_E_NOT_FOUND, "%s: %s", text, arn);
}

/* --- what the body asks for ------------------------------------------------------- */

struct wanted {
    const char *name, *description;
    const char *version; /* NULL: as it is */
    bool split;          /* parts says it; else as it is */
    const json_t *parts;
    struct alias_weight weights[ALIAS_SPLIT_MAX];
    size_t n;
};

static void check_name(struct lambda_checks *c, const char *name)
{
    if (!alias_name_valid(name, strlen(name))) {
        lambda_check_add(c, name, "name",
                         "Member must satisfy regular expression pattern: %s",
                         ALIAS_PATTERN);
    }
}

/* {"2": 0.1} */
static void check_parts(struct lambda_checks *c, const json_t *parts)
{
    const char *key;
    const json_t *value;
    char shown[80];

    json_object_foreach((json_t *)(uintptr_t)parts, key, value)
    {
        double part = json_number_value(value);

        (void)snprintf(shown, sizeof(shown), "{%.40s=%g}", key, part);
        if (*key == '\0' || strspn(key, "0123456789") != strlen(key)) {
            lambda_check_add(c, shown, "routingConfig.additionalVersionWeights",
                             "Map keys must satisfy constraint: [Member must have length "
                             "less than or equal to 1024, Member must have length "
                             "greater than or equal to 1, Member must satisfy regular "
                             "expression pattern: [0-9]+, Member must not be null]");
        } else if (!json_is_number(value) || !(part >= 0) || !(part <= 1)) {
            lambda_check_add(c, shown, "routingConfig.additionalVersionWeights",
                             "Map value must satisfy constraint: [Member must have value "
                             "less than or equal to 1.0, Member must have value greater "
                             "than or equal to 0.0, Member must not be null]");
        }
    }
}

static bool read_wanted(struct lambda *l, struct wanted *w, bool create)
{
    const json_t *b = l->json, *config = json_object_get(b, "RoutingConfig");
    struct lambda_checks c = {0};

    w->name = l->path.params[1];
    if (create) {
        w->name = lambda_check_text(&c, b, "Name", "name", 1, ALIAS_NAME_MAX);
        if (w->name == NULL && json_object_get(b, "Name") == NULL) {
            lambda_check_add(&c, "null", "name", "Member must not be null");
        }
    }
    if (w->name != NULL) {
        check_name(&c, w->name);
    }
    w->description = lambda_check_text(&c, b, "Description", "description", 0, 256);
    w->version = lambda_check_text(&c, b, "FunctionVersion", "functionVersion", 1, 1024);
    if (w->version == NULL && create) {
        lambda_check_add(&c, "null", "functionVersion", "Member must not be null");
    }
    if (w->version != NULL && strcmp(w->version, LAMBDA_LATEST) != 0 &&
        strspn(w->version, "0123456789") != strlen(w->version)) {
        lambda_check_add(&c, w->version, "functionVersion",
                         "Member must satisfy regular expression pattern: "
                         "(\\$LATEST|[0-9]+)");
    }
    if (json_is_object(config)) {
        w->split = true;
        w->parts = json_object_get(config, "AdditionalVersionWeights");
        check_parts(&c, w->parts);
    }
    return lambda_checks_end(&c, l);
}

/* The native number of a published version. 0: answered. */
static uint64_t find_version(struct lambda *l, const json_t *function, const char *number)
{
    const json_t *v = lambda_published(function, number);

    if (v == NULL) {
        missing(l, "Function not found", number);
    }
    return v != NULL ? (uint64_t)json_integer_value(json_object_get(v, "number")) : 0;
}

/* The additional versions behind w->weights[0]. */
static bool add_parts(struct lambda *l, const json_t *function, struct wanted *w)
{
    const char *key;
    const json_t *value;

    json_object_foreach((json_t *)(uintptr_t)w->parts, key, value)
    {
        uint64_t number = json_is_number(value) ? find_version(l, function, key) : 0;

        if (number == 0) {
            return false;
        }
        w->weights[w->n++] = (struct alias_weight){
            number, (uint32_t)lround(json_number_value(value) * ALIAS_WHOLE)};
    }
    return true;
}

static bool keep_parts(const json_t *alias, struct wanted *w)
{
    const json_t *weights = json_object_get(alias, "weights"), *item;
    size_t i;

    json_array_foreach(weights, i, item)
    {
        if (i > 0 && w->n < ALIAS_SPLIT_MAX) {
            w->weights[w->n++] = (struct alias_weight){
                (uint64_t)json_integer_value(json_object_get(item, "version")),
                (uint32_t)lround(part_of(alias, i) * ALIAS_WHOLE)};
        }
    }
    return true;
}

static bool check_split(struct lambda *l, const struct wanted *w, const char *version)
{
    size_t n = json_object_size(w->parts);

    if (n > 1) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Number of items in AdditionalVersionWeights cannot be greater than "
                    "1");
        return false;
    }
    if (n > 0 && json_object_get(w->parts, version) != NULL) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Invalid function version %s. Function version %s is already "
                    "included in routing configuration.",
                    version, version);
        return false;
    }
    if (strcmp(version, LAMBDA_LATEST) == 0) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER, "%s",
                    n > 0 ? "$LATEST is not supported for an alias pointing to more than "
                            "1 version"
                          : "An alias of $LATEST is not supported by this cluster; "
                            "publish a version, and name that.");
        return false;
    }
    return true;
}

/* The weights: those of the body, or what the alias (NULL: none yet) has. */
static bool weigh(struct lambda *l, const json_t *function, const json_t *alias,
                  struct wanted *w)
{
    const json_t *own = alias != NULL ? lambda_alias_version(function, alias, 0) : NULL;
    char number[32] = "";
    uint32_t left = ALIAS_WHOLE;

    if (own != NULL) {
        lambda_version_name(number, own, function);
    }
    if (!check_split(l, w, w->version != NULL ? w->version : number)) {
        return false;
    }
    w->n = 1;
    w->weights[0].version =
        w->version != NULL ? find_version(l, function, w->version)
                           : (uint64_t)json_integer_value(json_object_get(own, "number"));
    if (w->weights[0].version == 0 ||
        !(w->split ? add_parts(l, function, w) : keep_parts(alias, w))) {
        return false;
    }
    for (size_t i = 1; i < w->n; i++) {
        left -= w->weights[i].weight < left ? w->weights[i].weight : left;
    }
    w->weights[0].weight = left;
    return true;
}

/* --- operations ------------------------------------------------------------------- */

static void reply_alias(struct lambda *l, const char *name)
{
    json_t *f = controller_core_function(l->r->api->core, l->namespace_, l->native);
    const json_t *alias = f != NULL ? lambda_alias_of(f, name) : NULL;

    if (f == NULL) {
        lambda_not_found(l);
    } else if (alias == NULL) {
        missing(l, "Cannot find alias arn", name);
    } else {
        lambda_reply(l, view(l, f, alias));
    }
    json_decref(f);
}

static void put(struct lambda *l, const struct wanted *w)
{
    l->r->asked_core = true;
    controller_core_put_alias(l->r->api->core, l->namespace_, l->native, w->name,
                              w->weights, w->n, w->description, l->if_revision,
                              lambda_was_changed, l->r);
}

static void created(struct lambda *l)
{
    reply_alias(l, json_string_value(json_object_get(l->json, "Name")));
}

static void updated(struct lambda *l)
{
    reply_alias(l, l->path.params[1]);
}

void lambda_create_alias(struct lambda *l)
{
    struct wanted w = {.n = 0};
    json_t *f;

    if (!read_wanted(l, &w, true) || (f = lambda_base(l, lambda_get_latest(l))) == NULL) {
        return;
    }
    l->changed = created;
    l->again = lambda_create_alias;
    if (lambda_alias_of(f, w.name) != NULL) {
        char arn[LAMBDA_ARN_SIZE];

        lambda_own_arn(l, w.name, arn);
        lambda_fail(l, LAMBDA_E_CONFLICT, "Alias already exists: %s", arn);
    } else if (weigh(l, f, NULL, &w)) {
        put(l, &w);
    }
    json_decref(f);
}

static bool check_revision(struct lambda *l, const json_t *alias)
{
    char now[40];

    revision_of(now, alias);
    return lambda_revision_check(
        l, json_string_value(json_object_get(l->json, "RevisionId")), now);
}

void lambda_update_alias(struct lambda *l)
{
    struct wanted w = {.n = 0};
    const json_t *alias;
    json_t *f;

    if (!read_wanted(l, &w, false) ||
        (f = lambda_base(l, lambda_get_latest(l))) == NULL) {
        return;
    }
    l->changed = updated;
    l->again = lambda_update_alias;
    alias = lambda_alias_of(f, w.name);
    if (alias == NULL) {
        missing(l, "Alias not found", w.name);
    } else if (check_revision(l, alias) && weigh(l, f, alias, &w)) {
        put(l, &w);
    }
    json_decref(f);
}

void lambda_get_alias(struct lambda *l)
{
    json_t *f = lambda_get_latest(l);

    if (f != NULL) {
        reply_alias(l, l->path.params[1]);
    }
    json_decref(f);
}

void lambda_delete_alias(struct lambda *l)
{
    json_t *f = lambda_base(l, lambda_get_latest(l));

    if (f == NULL) {
        return;
    }
    l->changed = lambda_reply_empty;
    l->again = lambda_delete_alias;
    if (lambda_alias_of(f, l->path.params[1]) == NULL) {
        missing(l, "Alias not found", l->path.params[1]);
    } else {
        l->r->asked_core = true;
        controller_core_delete_alias(l->r->api->core, l->namespace_, l->native,
                                     l->path.params[1], l->if_revision,
                                     lambda_was_changed, l->r);
    }
    json_decref(f);
}

/* FunctionVersion: those alone that name it as their own. */
void lambda_list_aliases(struct lambda *l)
{
    const char *version = lambda_query(l, "FunctionVersion");
    json_t *f = lambda_get_latest(l), *list;
    const json_t *aliases = json_object_get(f, "aliases"), *alias;
    size_t i;

    if (f == NULL) {
        return;
    }
    list = json_array();
    json_array_foreach(aliases, i, alias)
    {
        json_t *one = view(l, f, alias);
        const char *own = json_string_value(json_object_get(one, "FunctionVersion"));

        if (version == NULL || *version == '\0' || strcmp(own, version) == 0) {
            (void)json_array_append(list, one);
        }
        json_decref(one);
    }
    json_decref(f);
    lambda_reply_page(l, "Aliases", list, "Name", LAMBDA_BY_TEXT, 50);
}
