/* Functions: made, shown, changed, deleted. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/lambda_private.h"

/* --- changes ---------------------------------------------------------------------- */

static void was_changed(void *data, const struct core_reply *reply)
{
    struct api_request *r = data;
    struct lambda *l = r->state;

    r->asked_core = false;
    if (reply->cause == CAUSE_CONFLICT && l->again != NULL &&
        ++l->attempts < LAMBDA_ATTEMPTS) {
        l->again(l);
    } else if (reply->cause != CAUSE_NONE) {
        lambda_fail_core(l, reply);
    } else {
        l->changed(l);
    }
}

void lambda_set_attribute(struct lambda *l)
{
    l->r->asked_core = true;
    controller_core_set_attribute(l->r->api->core, l->namespace_, l->native, l->attribute,
                                  l->value, l->if_revision, was_changed, l->r);
}

void lambda_put(struct lambda *l)
{
    l->r->asked_core = true;
    controller_core_put_function(l->r->api->core, l->namespace_, l->native, &l->spec,
                                 &l->package, l->if_revision, was_changed, l->r);
}

/* The reply of all that change a function: how it is now. */
static void reply_configuration(struct lambda *l)
{
    json_t *f = lambda_get(l);

    if (f != NULL) {
        lambda_reply(l, lambda_configuration(l, f));
        json_decref(f);
    }
}

/* --- create ----------------------------------------------------------------------- */

static void created(struct lambda *l)
{
    const json_t *tags = json_object_get(l->json, "Tags");

    l->again = NULL;
    if (json_object_size(tags) == 0 || l->value != NULL) {
        reply_configuration(l);
        return;
    }
    l->attribute = "tags";
    l->value = json_deep_copy(tags);
    l->if_revision = 0;
    lambda_set_attribute(l);
}

static void create_put(struct lambda *l)
{
    l->if_revision = CORE_ABSENT;
    l->changed = created;
    lambda_put(l);
}

static bool read_name(struct lambda *l)
{
    const char *name = json_string_value(json_object_get(l->json, "FunctionName"));
    struct lambda_checks c = {0};

    if (name == NULL) {
        return true; /* the checks say so */
    }
    if (lambda_ref_parse(&l->ref, name) < 0 || l->ref.qualifier[0] != '\0') {
        lambda_check_add(&c, name, "functionName",
                         "Member must satisfy regular expression pattern: %s",
                         LAMBDA_NAME_PATTERN);
        return lambda_checks_end(&c, l);
    }
    if (lambda_name_to_native(l->native, l->ref.name) < 0) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "The function name %s is too long here: capitals, '_' and '-' count "
                    "twice in names that have any of the first two.",
                    l->ref.name);
        return false;
    }
    return true;
}

void lambda_create_function(struct lambda *l)
{
    json_t *before;

    if (!read_name(l) || !lambda_config_read(l, NULL)) {
        return;
    }
    before = controller_core_function(l->r->api->core, l->namespace_, l->native);
    if (before != NULL) {
        json_decref(before);
        lambda_fail(l, LAMBDA_E_CONFLICT, "Function already exist: %s", l->ref.name);
        return;
    }
    lambda_code_store(l, create_put);
}

/* --- reading ---------------------------------------------------------------------- */

static json_t *code_view(const struct lambda *l, const json_t *function)
{
    const json_t *package = json_object_get(lambda_latest(function), "package");
    const struct http_header *host =
        http_headers_find(http_exchange_headers(l->r->x), "Host");

    return json_pack("{s:s, s:o}", "RepositoryType", "S3", "Location",
                     json_sprintf("http://%.*s/v1/packages/%s",
                                  host != NULL ? (int)host->value.len : 0,
                                  host != NULL ? host->value.at : "",
                                  json_string_value(json_object_get(package, "digest"))));
}

void lambda_get_function(struct lambda *l)
{
    json_t *f = lambda_get(l), *out, *tags;
    const json_t *a, *reserved;

    if (f == NULL) {
        return;
    }
    a = lambda_annotations(lambda_latest(f));
    tags = json_object_get(json_object_get(f, "attributes"), "tags");
    reserved = json_object_get(a, "lambda.reserved");
    out = json_pack("{s:o, s:o}", "Configuration", lambda_configuration(l, f), "Code",
                    code_view(l, f));
    if (json_object_size(tags) > 0) {
        (void)json_object_set(out, "Tags", tags);
    }
    if (reserved != NULL) {
        (void)json_object_set_new(out, "Concurrency",
                                  json_pack("{s:i}", "ReservedConcurrentExecutions",
                                            atoi(json_string_value(reserved))));
    }
    lambda_reply(l, out);
    json_decref(f);
}

void lambda_get_configuration(struct lambda *l)
{
    reply_configuration(l);
}

static int by_name(const void *left, const void *right)
{
    const json_t *const *a = left, *const *b = right;

    return strcmp(json_string_value(json_object_get(*a, "name")),
                  json_string_value(json_object_get(*b, "name")));
}

void lambda_list_functions(struct lambda *l)
{
    json_t *all, *page = json_array(), *out, **sorted;
    const char *marker, *next = NULL;
    int64_t max;
    size_t n;

    if (!lambda_page(l, 50, &max, &marker)) {
        json_decref(page);
        return;
    }
    all = controller_core_functions(l->r->api->core, l->namespace_);
    n = json_array_size(all);
    sorted = calloc(n + 1, sizeof(*sorted));
    for (size_t i = 0; sorted != NULL && i < n; i++) {
        sorted[i] = json_array_get(all, i);
    }
    if (sorted != NULL) {
        qsort(sorted, n, sizeof(sorted[0]), by_name);
    }
    for (size_t i = 0; sorted != NULL && i < n; i++) {
        const char *name = json_string_value(json_object_get(sorted[i], "name"));

        if (marker != NULL && strcmp(name, marker) <= 0) {
            continue;
        }
        if ((int64_t)json_array_size(page) == max) {
            /* the last one of this page */
            next = json_string_value(json_object_get(sorted[i - 1], "name"));
            break;
        }
        (void)json_array_append_new(page, lambda_configuration(l, sorted[i]));
    }
    out = json_pack("{s:o}", "Functions", page);
    if (next != NULL) {
        (void)json_object_set_new(out, "NextMarker", json_string(next));
    }
    free(sorted);
    json_decref(all);
    lambda_reply(l, out);
}

/* --- update ----------------------------------------------------------------------- */

/* One change at a time, as AWS has it. False: answered. */
static bool settled(struct lambda *l, const json_t *function)
{
    const json_t *latest = lambda_latest(function);
    char arn[LAMBDA_ARN_SIZE];

    if (strcmp(json_string_value(json_object_get(latest, "state")), "deploying") != 0) {
        return true;
    }
    lambda_own_arn(l, NULL, arn);
    if (json_integer_value(json_object_get(function, "serving_version")) == 0) {
        lambda_fail(l, LAMBDA_E_CONFLICT,
                    "The operation cannot be performed at this time. The function is "
                    "currently in the following state: Pending");
    } else {
        lambda_fail(l, LAMBDA_E_CONFLICT,
                    "The operation cannot be performed at this time. An update is in "
                    "progress for resource: %s",
                    arn);
    }
    return false;
}

/* The package of the latest version stays. */
static bool keep_package(struct lambda *l, const json_t *function)
{
    struct error err;

    return package_ref_from_json(&l->package,
                                 json_object_get(lambda_latest(function), "package"),
                                 &err) == 0;
}

static json_t *get_settled(struct lambda *l)
{
    json_t *f = lambda_get(l);

    if (f != NULL && (!lambda_precondition(l, f) || !settled(l, f))) {
        json_decref(f);
        f = NULL;
    }
    if (f != NULL) {
        l->if_revision = (uint64_t)json_integer_value(json_object_get(f, "revision"));
        l->changed = reply_configuration;
    }
    return f;
}

void lambda_update_configuration(struct lambda *l)
{
    json_t *f = get_settled(l);

    l->again = lambda_update_configuration;
    if (f != NULL && lambda_config_read(l, f)) {
        if (keep_package(l, f)) {
            lambda_put(l);
        } else {
            lambda_fail(l, LAMBDA_E_SERVICE, "the latest version cannot be read");
        }
    }
    json_decref(f);
}

/* The configuration of the latest version stays. */
static void put_code(struct lambda *l)
{
    json_t *f = get_settled(l), *spec;
    struct error err;

    l->again = put_code;
    if (f == NULL) {
        return;
    }
    if (l->has_spec) {
        function_spec_free(&l->spec);
    }
    function_spec_init(&l->spec);
    l->has_spec = true;
    spec = json_object_get(lambda_latest(f), "spec");
    if (json_is_null(json_object_get(spec, "handler"))) {
        (void)json_object_del(spec, "handler");
    }
    if (function_spec_from_json(&l->spec, spec, &err) < 0) {
        lambda_fail(l, LAMBDA_E_SERVICE, "%s", err.text);
    } else if (json_is_true(json_object_get(l->json, "DryRun"))) {
        lambda_reply(l, lambda_configuration(l, f));
    } else {
        lambda_put(l);
    }
    json_decref(f);
}

void lambda_update_code(struct lambda *l)
{
    json_t *f;

    if (json_is_true(json_object_get(l->json, "Publish"))) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Publish is not supported by this cluster.");
        return;
    }
    f = get_settled(l); /* before the file is looked at */
    if (f != NULL) {
        json_decref(f);
        lambda_code_store(l, put_code);
    }
}

/* --- delete ----------------------------------------------------------------------- */

void lambda_delete_function(struct lambda *l)
{
    json_t *f;

    if (strcmp(l->ref.qualifier, LAMBDA_LATEST) == 0) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "$LATEST version cannot be deleted without deleting the function.");
        return;
    }
    f = lambda_get(l);
    if (f == NULL) {
        return;
    }
    json_decref(f);
    l->changed = lambda_reply_empty;
    l->r->asked_core = true;
    controller_core_delete_function(l->r->api->core, l->namespace_, l->native, 0,
                                    was_changed, l->r);
}
