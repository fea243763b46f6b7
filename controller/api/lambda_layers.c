/* Layers: published, listed, shown, deleted; and those that a function names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/lambda_private.h"

#define LAYER_ARN_PATTERN                                                                \
    "arn:[a-zA-Z0-9-]+:lambda:[a-z]{2}((-gov)|(-iso(b?)))?-[a-z]+-\\d{1}:\\d{12}:layer:" \
    "[a-zA-Z0-9-_]+"
#define RUNTIMES_MAX 15

/* --- which one ---------------------------------------------------------------------- */

static bool refuse_name(struct lambda *l, const char *text, const char *field,
                        const char *pattern)
{
    struct lambda_checks c = {0};

    lambda_check_add(&c, text, field,
                     "Member must satisfy regular expression pattern: %s", pattern);
    return lambda_checks_end(&c, l);
}

static bool is_ours(const struct lambda *l, const struct lambda_ref *ref)
{
    return ref->account[0] == '\0' ||
           strcmp(ref->account, l->r->api->options.lambda_account) == 0;
}

/* The layer that the path or an ARN names. False: answered. */
static bool read_layer(struct lambda *l, const char *text, uint64_t *ret_version)
{
    if (lambda_layer_parse(&l->ref, ret_version, text) < 0) {
        return refuse_name(l, text, "layerName",
                           "(" LAYER_ARN_PATTERN ")|[a-zA-Z0-9-_]+");
    }
    if (!lambda_account_check(l)) {
        return false;
    }
    return lambda_native_read(l, "layer");
}

bool lambda_layer_read(struct lambda *l, uint64_t *ret_version)
{
    uint64_t in_name;

    if (!read_layer(l, l->path.params[0], &in_name)) {
        return false;
    }
    if (input_u64(l->path.params[1], 1, INT64_MAX, ret_version) < 0) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER, "Layer Version Cannot be less than 1");
        return false;
    }
    return true;
}

void lambda_layer_missing(struct lambda *l)
{
    lambda_fail(l, LAMBDA_E_NOT_FOUND, "The resource you requested does not exist.");
}

/* --- views -------------------------------------------------------------------------- */

static json_t *kept_of(const json_t *version, const char *key)
{
    return json_object_get(
        json_object_get(json_object_get(version, "attributes"), "lambda"), key);
}

static void add_kept(json_t *out, const char *name, const json_t *version,
                     const char *key)
{
    json_t *value = kept_of(version, key);

    if (value != NULL) {
        (void)json_object_set(out, name, value);
    }
}

static uint64_t number_of(const json_t *version)
{
    return (uint64_t)json_integer_value(json_object_get(version, "number"));
}

/* As a list has it. name: the layer's, natively. */
static json_t *item(const struct lambda *l, const char *native, const json_t *version)
{
    char name[LAMBDA_NAME_MAX + 1], arn[LAMBDA_ARN_SIZE], time[40];
    json_t *out;

    lambda_name_from_native(name, native);
    lambda_layer_arn(arn, l->region, l->r->api->options.lambda_account, name,
                     number_of(version));
    lambda_time(time, json_string_value(json_object_get(version, "created_at")));
    out = json_pack("{s:s, s:O, s:O, s:s}", "LayerVersionArn", arn, "Version",
                    json_object_get(version, "number"), "Description",
                    json_object_get(version, "description"), "CreatedDate", time);
    add_kept(out, "CompatibleRuntimes", version, "runtimes");
    add_kept(out, "CompatibleArchitectures", version, "architectures");
    add_kept(out, "LicenseInfo", version, "license");
    return out;
}

static void reply_version(struct lambda *l, uint64_t number)
{
    json_t *v =
        controller_core_layer_version(l->r->api->core, l->namespace_, l->native, number);
    const json_t *package = json_object_get(v, "package");
    char arn[LAMBDA_ARN_SIZE], sha[48];
    json_t *out;

    if (v == NULL || number == 0) {
        lambda_layer_missing(l);
        json_decref(v);
        return;
    }
    out = item(l, l->native, v);
    lambda_layer_arn(arn, l->region, l->r->api->options.lambda_account, l->ref.name, 0);
    lambda_code_sha256(sha, json_string_value(json_object_get(package, "digest")));
    (void)json_object_set_new(out, "LayerArn", json_string(arn));
    (void)json_object_set_new(out, "Content",
                              json_pack("{s:o, s:s, s:O}", "Location",
                                        lambda_package_url(l, package), "CodeSha256", sha,
                                        "CodeSize", json_object_get(package, "bytes")));
    lambda_reply(l, out);
    json_decref(v);
}

/* --- reading ------------------------------------------------------------------------ */

static bool contains(const json_t *list, const char *text)
{
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        if (strcmp(json_string_value(one), text) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether the query wants it: one that names nothing goes with everything. */
static bool matches(const struct lambda *l, const json_t *version)
{
    const char *runtime = lambda_query(l, "CompatibleRuntime");
    const char *architecture = lambda_query(l, "CompatibleArchitecture");

    return (runtime == NULL || contains(kept_of(version, "runtimes"), runtime)) &&
           (architecture == NULL || kept_of(version, "architectures") == NULL ||
            contains(kept_of(version, "architectures"), architecture));
}

static const json_t *newest_match(const struct lambda *l, const json_t *layer)
{
    const json_t *versions = json_object_get(layer, "versions");

    for (size_t i = json_array_size(versions); i > 0; i--) {
        if (matches(l, json_array_get(versions, i - 1))) {
            return json_array_get(versions, i - 1);
        }
    }
    return NULL;
}

static void get_by_arn(struct lambda *l)
{
    const char *arn = lambda_query(l, "Arn");
    uint64_t number = 0;

    if (arn == NULL || lambda_layer_parse(&l->ref, &number, arn) < 0 || number == 0 ||
        l->ref.account[0] == '\0') {
        (void)refuse_name(l, arn != NULL ? arn : "null", "arn",
                          LAYER_ARN_PATTERN ":[0-9]+");
    } else if (read_layer(l, arn, &number)) {
        reply_version(l, number);
    }
}

struct listing {
    struct lambda *l;
    json_t *layers;
};

static bool list_one(void *data, const char *namespace_, const char *native,
                     json_t *layer)
{
    const struct listing *to = data;
    const struct lambda *l = to->l;
    const json_t *newest = newest_match(l, layer);
    char name[LAMBDA_NAME_MAX + 1], arn[LAMBDA_ARN_SIZE];

    if (newest != NULL) {
        lambda_name_from_native(name, native);
        lambda_layer_arn(arn, l->region, l->r->api->options.lambda_account, name, 0);
        (void)json_array_append_new(
            to->layers, json_pack("{s:s, s:s, s:o}", "LayerName", name, "LayerArn", arn,
                                  "LatestMatchingVersion", item(l, native, newest)));
    }
    json_decref(layer);
    return true;
}

void lambda_list_layers(struct lambda *l)
{
    const char *find = lambda_query(l, "find");
    struct listing to = {l, NULL};

    if (find != NULL && strcmp(find, "LayerVersion") == 0) {
        get_by_arn(l);
        return;
    }
    to.layers = json_array();
    (void)controller_core_layers(
        l->r->api->core, l->namespace_,
        &(struct core_list){.limit = SIZE_MAX, .each = list_one, .data = &to});
    lambda_reply_page(l, "Layers", to.layers, "LayerName", LAMBDA_BY_TEXT, 50);
}

void lambda_list_layer_versions(struct lambda *l)
{
    json_t *layer, *list;
    const json_t *v;
    uint64_t number;
    size_t i;

    if (!read_layer(l, l->path.params[0], &number)) {
        return;
    }
    layer = controller_core_layer(l->r->api->core, l->namespace_, l->native);
    list = json_array();
    json_array_foreach(json_object_get(layer, "versions"), i, v)
    {
        if (matches(l, v)) {
            (void)json_array_append_new(list, item(l, l->native, v));
        }
    }
    json_decref(layer);
    lambda_reply_page(l, "LayerVersions", list, "Version", LAMBDA_BY_NUMBER_DOWN, 50);
}

void lambda_get_layer_version(struct lambda *l)
{
    uint64_t number;

    if (lambda_layer_read(l, &number)) {
        reply_version(l, number);
    }
}

/* --- changes ------------------------------------------------------------------------ */

void lambda_layer_changed(void *data, const struct core_reply *reply)
{
    struct api_request *r = data;
    struct lambda *l = r->state;

    if (reply->cause == CAUSE_NOT_FOUND) {
        r->asked_core = false;
        lambda_layer_missing(l);
    } else {
        lambda_was_changed(data, reply);
    }
}

/* One that is not there is as good as deleted, as AWS has it. */
static void deleted(void *data, const struct core_reply *reply)
{
    struct core_reply gone = *reply;

    if (reply->cause == CAUSE_NOT_FOUND) {
        gone.cause = CAUSE_NONE;
    }
    lambda_was_changed(data, &gone);
}

void lambda_delete_layer_version(struct lambda *l)
{
    uint64_t number;

    if (lambda_layer_read(l, &number)) {
        l->changed = lambda_reply_empty;
        l->r->asked_core = true;
        controller_core_delete_layer(l->r->api->core, l->namespace_, l->native, number,
                                     deleted, l->r);
    }
}

static void published(struct lambda *l)
{
    reply_version(l, l->number);
}

/* What the core knows nothing of. */
static json_t *attributes_of(const struct lambda *l)
{
    static const char *const keys[][2] = {{"runtimes", "CompatibleRuntimes"},
                                          {"architectures", "CompatibleArchitectures"},
                                          {"license", "LicenseInfo"}};
    json_t *kept = json_object();

    for (size_t i = 0; i < 3; i++) {
        json_t *value = json_object_get(l->json, keys[i][1]);

        if (value != NULL && !json_is_null(value)) {
            (void)json_object_set(kept, keys[i][0], value);
        }
    }
    return json_pack("{s:o}", "lambda", kept);
}

static void publish(struct lambda *l)
{
    const char *description = json_string_value(json_object_get(l->json, "Description"));
    json_t *attributes;

    if (!lambda_size_check(l)) {
        return;
    }
    attributes = attributes_of(l);
    l->changed = published;
    l->r->asked_core = true;
    controller_core_publish_layer(l->r->api->core, l->namespace_, l->native, &l->package,
                                  description != NULL ? description : "", attributes,
                                  lambda_layer_changed, l->r);
    json_decref(attributes);
}

static void check_texts(struct lambda_checks *c, const json_t *body, const char *key,
                        const char *field, size_t most)
{
    const json_t *list = json_object_get(body, key), *one;
    size_t i;

    if (list == NULL || json_is_null(list)) {
        return;
    }
    if (!json_is_array(list) || json_array_size(list) > most) {
        lambda_check_add(c, "[]", field,
                         "Member must have length less than or equal to %zu", most);
        return;
    }
    json_array_foreach(list, i, one)
    {
        if (!json_is_string(one) || json_string_length(one) > 64) {
            lambda_check_add(c, json_is_string(one) ? json_string_value(one) : "[]",
                             field, "Member must be a list of names");
        }
    }
}

void lambda_publish_layer(struct lambda *l)
{
    struct lambda_checks c = {0};
    uint64_t number;

    if (!json_is_object(json_object_get(l->json, "Content"))) {
        lambda_check_add(&c, "null", "content", "Member must not be null");
    }
    (void)lambda_check_text(&c, l->json, "Description", "description", 0, 256);
    (void)lambda_check_text(&c, l->json, "LicenseInfo", "licenseInfo", 0, 512);
    check_texts(&c, l->json, "CompatibleRuntimes", "compatibleRuntimes", RUNTIMES_MAX);
    check_texts(&c, l->json, "CompatibleArchitectures", "compatibleArchitectures", 2);
    if (lambda_checks_end(&c, l) && read_layer(l, l->path.params[0], &number)) {
        lambda_code_store(l, publish);
    }
}

/* --- of functions ------------------------------------------------------------------- */

/* A layer's version by its ARN. False: answered. */
static bool check_layer(struct lambda *l, const char *arn, struct lambda_ref *ret)
{
    struct lambda_checks c = {0};
    char native[SPEC_NAME_MAX + 1];
    uint64_t version;
    json_t *v;

    if (lambda_layer_parse(ret, &version, arn) < 0 || version == 0 ||
        ret->account[0] == '\0') {
        lambda_check_add(&c, arn, "layers",
                         "Member must satisfy constraint: [Member must have length less "
                         "than or equal to 140, Member must have length greater than or "
                         "equal to 1, Member must satisfy regular expression pattern: "
                         "%s:[0-9]+, Member must not be null]",
                         LAYER_ARN_PATTERN);
        return lambda_checks_end(&c, l);
    }
    if (!is_ours(l, ret)) {
        lambda_fail(l, LAMBDA_E_DENIED,
                    "The layer %s is of the account %s, which is not this cluster's.",
                    arn, ret->account);
        return false;
    }
    if (strcmp(ret->region, l->region) != 0) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Layers are not in the same region as the function. Layers are "
                    "expected to be in region %s.",
                    l->region);
        return false;
    }
    v = lambda_name_to_native(native, ret->name) == 0
            ? controller_core_layer_version(l->r->api->core, l->namespace_, native,
                                            version)
            : NULL;
    if (v == NULL) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER, "Layer version %s does not exist.",
                    arn);
    }
    json_decref(v);
    return v != NULL;
}

bool lambda_layers_check(struct lambda *l)
{
    const json_t *list = json_object_get(l->json, "Layers"), *one;
    struct lambda_ref refs[LAMBDA_LAYERS_MAX];
    size_t i;

    if (list == NULL || json_is_null(list)) {
        return true;
    }
    if (!json_is_array(list) || json_array_size(list) > LAMBDA_LAYERS_MAX) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Cannot reference more than %d layers.", LAMBDA_LAYERS_MAX);
        return false;
    }
    json_array_foreach(list, i, one)
    {
        const char *arn = json_is_string(one) ? json_string_value(one) : "";

        if (!check_layer(l, arn, &refs[i])) {
            return false;
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(refs[j].name, refs[i].name) == 0) {
                lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                            "Two different versions of the same layer are not allowed to "
                            "be referenced in the same function. %s and %s are versions "
                            "of the same layer.",
                            json_string_value(json_array_get(list, j)), arn);
                return false;
            }
        }
    }
    return true;
}

json_t *lambda_layers_spec(const json_t *body)
{
    const json_t *list = json_object_get(body, "Layers"), *one;
    json_t *out = json_array();
    size_t i;

    json_array_foreach(list, i, one)
    {
        char native[SPEC_NAME_MAX + 1] = "";
        struct lambda_ref ref;
        uint64_t version = 0;

        if (lambda_layer_parse(&ref, &version, json_string_value(one)) == 0) {
            (void)lambda_name_to_native(native, ref.name);
        }
        (void)json_array_append_new(
            out, json_sprintf("%s:%llu", native, (unsigned long long)version));
    }
    return out;
}
