/* Functions: made, shown, changed, deleted. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/lambda_private.h"

/* --- changes ---------------------------------------------------------------------- */

void lambda_was_changed(void *data, const struct core_reply *reply)
{
    struct api_request *r = data;
    struct lambda *l = r->state;

    r->asked_core = false;
    l->number = reply->version;
    if (reply->cause == CAUSE_CONFLICT && l->again != NULL &&
        ++l->attempts < LAMBDA_ATTEMPTS) {
        l->again(l);
    } else if (reply->cause != CAUSE_NONE) {
        lambda_fail_core(l, reply);
    } else {
        l->changed(l);
    }
}

static bool wants_publish(const struct lambda *l)
{
    return (l->path.op == LAMBDA_CreateFunction ||
            l->path.op == LAMBDA_UpdateFunctionCode) &&
           json_is_true(json_object_get(l->json, "Publish"));
}

void lambda_put(struct lambda *l)
{
    l->r->asked_core = true;
    if (wants_publish(l)) {
        controller_core_put_published(l->r->api->core, l->namespace_, l->native, &l->spec,
                                      &l->package, NULL, l->if_revision,
                                      lambda_was_changed, l->r);
        return;
    }
    controller_core_put_function(l->r->api->core, l->namespace_, l->native, &l->spec,
                                 &l->package, l->if_revision, lambda_was_changed, l->r);
}

/* The reply of all that change a function: how it is now. */
static void reply_configuration(struct lambda *l)
{
    json_t *f = lambda_get(l);

    if (f != NULL) {
        lambda_reply(l, lambda_configuration(l, f, lambda_meant(f, l->ref.qualifier),
                                             l->ref.qualifier));
    }
    json_decref(f);
}

/* What a change with Publish has published: the new version, or the one before that is
 * the same. */
static const json_t *find_published(const struct lambda *l, const json_t *function)
{
    const json_t *versions = json_object_get(function, "versions"), *v, *last = NULL;
    json_int_t highest = 0;
    size_t i;

    json_array_foreach(versions, i, v)
    {
        json_int_t published = json_integer_value(json_object_get(v, "published"));
        json_int_t number = json_integer_value(json_object_get(v, "number"));

        if (published > 0 && (uint64_t)number == l->number) {
            return v;
        }
        if (published > highest) {
            highest = published;
            last = v;
        }
    }
    return last;
}

static void reply_published(struct lambda *l, bool qualified)
{
    json_t *f = lambda_get(l), *out;
    const json_t *version = f != NULL ? find_published(l, f) : NULL;
    char number[32], arn[LAMBDA_ARN_SIZE];

    if (f != NULL && version == NULL) {
        lambda_fail(l, LAMBDA_E_CONFLICT, "The version was deleted in the same moment.");
    } else if (f != NULL) {
        lambda_version_name(number, version, f);
        out = lambda_configuration(l, f, version, number);
        if (!qualified) {
            lambda_own_arn(l, NULL, arn);
            (void)json_object_set_new(out, "FunctionArn", json_string(arn));
        }
        lambda_reply(l, out);
    }
    json_decref(f);
}

static void reply_changed(struct lambda *l)
{
    if (wants_publish(l)) {
        reply_published(l, true);
    } else {
        reply_configuration(l);
    }
}

/* --- create ----------------------------------------------------------------------- */

static void created_with_tags(struct lambda *l)
{
    if (wants_publish(l)) {
        l->number = 1; /* the tags were not the last change of a version */
        reply_published(l, false);
    } else {
        reply_configuration(l);
    }
}

static void created(struct lambda *l)
{
    const json_t *tags = json_object_get(l->json, "Tags");

    l->again = NULL;
    if (json_object_size(tags) > 0) {
        l->if_revision = 0;
        lambda_change_attribute(l, "tags", json_deep_copy(tags), created_with_tags);
        return;
    }
    created_with_tags(l);
}

static void create_put(struct lambda *l)
{
    l->if_revision = CORE_ABSENT;
    l->changed = created;
    if (lambda_size_check(l)) {
        lambda_put(l);
    }
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
    if (!lambda_account_check(l)) {
        return false;
    }
    return lambda_native_read(l, "function");
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

static json_t *code_view(const struct lambda *l, const json_t *version)
{
    const json_t *package = json_object_get(version, "package");

    return json_pack("{s:s, s:o}", "RepositoryType", "S3", "Location",
                     lambda_package_url(l, package));
}

void lambda_get_function(struct lambda *l)
{
    json_t *f = lambda_get(l), *out, *tags;
    const json_t *version, *reserved;

    if (f == NULL) {
        return;
    }
    version = lambda_meant(f, l->ref.qualifier);
    tags = json_object_get(json_object_get(f, "attributes"), "tags");
    reserved = lambda_reserved(f);
    out = json_pack("{s:o, s:o}", "Configuration",
                    lambda_configuration(l, f, version, l->ref.qualifier), "Code",
                    code_view(l, version));
    if (json_object_size(tags) > 0) {
        (void)json_object_set(out, "Tags", tags);
    }
    if (reserved != NULL) {
        (void)json_object_set_new(
            out, "Concurrency",
            json_pack("{s:O}", "ReservedConcurrentExecutions", reserved));
    }
    lambda_reply(l, out);
    json_decref(f);
}

void lambda_get_configuration(struct lambda *l)
{
    reply_configuration(l);
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

json_t *lambda_get_settled(struct lambda *l)
{
    json_t *f = lambda_get_latest(l);

    if (f != NULL && (!lambda_precondition(l, f) || !settled(l, f))) {
        json_decref(f);
        f = NULL;
    }
    if (f != NULL) {
        l->changed = reply_changed;
    }
    return lambda_base(l, f);
}

void lambda_update_configuration(struct lambda *l)
{
    json_t *f = lambda_get_settled(l);

    l->again = lambda_update_configuration;
    if (f != NULL && lambda_config_read(l, f)) {
        if (!keep_package(l, f)) {
            lambda_fail(l, LAMBDA_E_SERVICE, "the latest version cannot be read");
        } else if (lambda_size_check(l)) {
            lambda_put(l);
        }
    }
    json_decref(f);
}

/* The configuration of the latest version stays. */
static void put_code(struct lambda *l)
{
    json_t *f = lambda_get_settled(l), *spec;
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
        lambda_reply(l, lambda_configuration(l, f, lambda_latest(f), l->ref.qualifier));
    } else if (lambda_size_check(l)) {
        lambda_put(l);
    }
    json_decref(f);
}

void lambda_update_code(struct lambda *l)
{
    json_t *f;

    if (!lambda_architecture_check(l)) {
        return;
    }
    f = lambda_get_settled(l); /* before the file is looked at */
    if (f != NULL) {
        json_decref(f);
        lambda_code_store(l, put_code);
    }
}

/* --- delete ----------------------------------------------------------------------- */

/* A published version. One that is not there is as good as deleted, as AWS has it. */
static void delete_version(struct lambda *l)
{
    json_t *f = controller_core_function(l->r->api->core, l->namespace_, l->native);
    const json_t *v = f != NULL ? lambda_published(f, l->ref.qualifier) : NULL;
    uint64_t number = (uint64_t)json_integer_value(json_object_get(v, "number"));

    json_decref(f);
    if (f == NULL) {
        lambda_not_found(l);
    } else if (v == NULL) {
        lambda_reply_empty(l);
    } else {
        l->changed = lambda_reply_empty;
        l->again = NULL; /* a conflict is an alias that names it */
        l->r->asked_core = true;
        controller_core_delete_version(l->r->api->core, l->namespace_, l->native, number,
                                       lambda_was_changed, l->r);
    }
}

void lambda_delete_function(struct lambda *l)
{
    const char *q = l->ref.qualifier;
    json_t *f;

    if (strcmp(q, LAMBDA_LATEST) == 0) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "$LATEST version cannot be deleted without deleting the function.");
        return;
    }
    if (*q != '\0' && strspn(q, "0123456789") == strlen(q)) {
        delete_version(l);
        return;
    }
    if (*q != '\0') {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Deletion of aliases is not currently supported.");
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
                                    lambda_was_changed, l->r);
}
