/* /v1/namespaces/{namespace}/functions… */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/api_private.h"

#define WAIT_MAX_MS (10 * 60 * 1000)

static void no_function(struct api_request *r)
{
    api_fail(r, &(struct api_error){.cause = CAUSE_NOT_FOUND},
             "there is no function %s/%s", r->match.params[0], r->match.params[1]);
}

/* --- reading ------------------------------------------------------------------ */

void api_list_functions(struct api_request *r)
{
    const char *ns = r->match.params[0];
    json_t *all;

    if (strcmp(ns, "-") == 0) {
        api_reply_list(r, ns, controller_core_functions);
        return;
    }
    if (!api_namespace_param(r, &ns)) {
        return;
    }
    all = controller_core_namespace(r->api->core, ns);
    if (all == NULL) {
        api_fail(
            r,
            &(struct api_error){.cause = CAUSE_NOT_FOUND,
                                .fix = "see `mayfly namespaces` for those there are"},
            "there is no namespace %s", ns);
        return;
    }
    json_decref(all);
    api_reply_list(r, ns, controller_core_functions);
}

static void reply_function(struct api_request *r, int status)
{
    json_t *json =
        controller_core_function(r->api->core, r->match.params[0], r->match.params[1]);

    if (json != NULL) {
        api_reply_function(r, status, json);
    } else {
        no_function(r);
    }
}

void api_get_function(struct api_request *r)
{
    const char *ns, *name;

    if (api_function_params(r, &ns, &name)) {
        reply_function(r, 200);
    }
}

void api_explain_function(struct api_request *r)
{
    const char *ns, *name;
    json_t *json;

    if (!api_function_params(r, &ns, &name)) {
        return;
    }
    json = controller_core_explain(r->api->core, ns, name);
    if (json != NULL) {
        api_reply_json(r, 200, json);
    } else {
        no_function(r);
    }
}

/* --- changing ----------------------------------------------------------------- */

bool api_if_match(struct api_request *r, uint64_t *ret)
{
    const struct http_header *h =
        http_headers_find(http_exchange_headers(r->x), "If-Match");
    struct error err;

    *ret = 0;
    if (h != NULL && input_if_match(h->value, ret, &err) < 0) {
        api_refuse(r, "If-Match", &err);
        return false;
    }
    return true;
}

/* common/spec.h's errors begin with the key that is at fault. */
static void refuse_spec(struct api_request *r, const char *inside,
                        const struct error *err)
{
    char field[INPUT_FIELD_MAX];
    size_t len = strcspn(err->text, " :");
    const char *prefix = strncmp(err->text, inside, strlen(inside)) == 0 ? "" : inside;

    (void)snprintf(field, sizeof(field), "%s%s%.*s", prefix, *prefix != '\0' ? "." : "",
                   (int)(len < 70 ? len : 70), err->text);
    api_refuse(r, field, err);
}

static bool read_spec(struct api_request *r, struct function_spec *ret)
{
    const json_t *json = json_object_get(r->json, "spec");
    struct error err;

    if (json == NULL) {
        (void)error_set(&err, -EINVAL,
                        "spec is missing; give a map, {} for the defaults");
        api_refuse(r, "spec", &err);
        return false;
    }
    function_spec_init(ret);
    if (function_spec_from_json(ret, json, &err) < 0 ||
        function_spec_validate(ret, &err) < 0) {
        function_spec_free(ret);
        refuse_spec(r, "spec", &err);
        return false;
    }
    return true;
}

bool api_read_package(struct api_request *r, struct package_ref *ret)
{
    static const char *const known[] = {"digest", "format", "file_name", "bytes", NULL};
    const json_t *json = json_object_get(r->json, "package");
    const struct package_store *packages = r->api->packages;
    struct api_error missing = {.cause = CAUSE_PACKAGE_INVALID,
                                .fix = "upload it with PUT /v1/packages/{digest} first"};
    char field[INPUT_FIELD_MAX] = "package";
    struct error err;

    if (json == NULL) {
        (void)error_set(&err, -EINVAL, "package is missing; give its digest and format");
        api_refuse(r, field, &err);
        return false;
    }
    if (json_is_object(json) &&
        input_json_keys(json, known, "package.", field, &err) < 0) {
        api_refuse(r, field, &err);
        return false;
    }
    if (package_ref_from_json(ret, json, &err) < 0) {
        refuse_spec(r, "package", &err);
        return false;
    }
    if (!package_store_find(packages, ret->digest, &ret->bytes)) {
        missing.field = "package.digest";
        api_fail(r, &missing, "package.digest: %s is not stored", ret->digest);
        return false;
    }
    if (!package_store_has(packages, ret->digest, ret->format)) {
        missing.field = "package.format";
        api_fail(r, &missing, "package.format: %s was not uploaded as %s", ret->digest,
                 spec_format_name(ret->format));
        return false;
    }
    return true;
}

/* Without steps: there is none. */
static bool read_rollout(struct api_request *r, struct rollout_plan *ret)
{
    const json_t *json = json_object_get(r->json, "rollout");
    struct error err;

    ret->n_steps = 0;
    if (json != NULL && rollout_plan_from_json(ret, json, &err) < 0) {
        refuse_spec(r, "rollout", &err);
        return false;
    }
    return true;
}

/* The package is pinned until the core has answered: from then on the core knows it. */
struct put {
    char digest[SPEC_DIGEST_LEN + 1];
};

static void put_over(struct api_request *r)
{
    struct put *p = r->state;

    if (p != NULL) {
        package_store_unpin(r->api->packages, p->digest);
        free(p);
        r->state = NULL;
    }
}

static const struct api_request_ops put_ops = {.on_gone = put_over};

static void function_put(void *data, const struct core_reply *reply)
{
    struct api_request *r = data;

    r->asked_core = false;
    put_over(r);
    if (reply->cause != CAUSE_NONE) {
        api_fail_core(r, reply);
    } else {
        reply_function(r, reply->created ? 201 : 200);
    }
}

void api_put_function(struct api_request *r)
{
    static const char *const known[] = {"spec", "package", "rollout", NULL};
    struct rollout_plan plan;
    char field[INPUT_FIELD_MAX];
    struct function_spec spec;
    struct package_ref package;
    struct error err;
    const char *ns, *name;
    uint64_t revision;
    struct put *p;

    if (!api_function_params(r, &ns, &name) || !api_if_match(r, &revision)) {
        return;
    }
    if (input_json_keys(r->json, known, "", field, &err) < 0) {
        api_refuse(r, field, &err);
        return;
    }
    if (!read_rollout(r, &plan) || !api_read_package(r, &package) ||
        !read_spec(r, &spec)) {
        return;
    }
    p = calloc(1, sizeof(*p));
    if (p == NULL) {
        function_spec_free(&spec);
        api_fail(r, &(struct api_error){.cause = CAUSE_INTERNAL}, "out of memory");
        return;
    }
    memcpy(p->digest, package.digest, sizeof(p->digest));
    package_store_pin(r->api->packages, p->digest);
    r->state = p;
    r->ops = &put_ops;
    r->asked_core = true;
    if (plan.n_steps > 0) {
        controller_core_roll_out(r->api->core, ns, name, &spec, &package, &plan, revision,
                                 function_put, r);
    } else {
        controller_core_put_function(r->api->core, ns, name, &spec, &package, revision,
                                     function_put, r);
    }
    function_spec_free(&spec);
}

void api_delete_function(struct api_request *r)
{
    const char *ns, *name;
    uint64_t revision;

    if (api_function_params(r, &ns, &name) && api_if_match(r, &revision)) {
        r->asked_core = true;
        controller_core_delete_function(r->api->core, ns, name, revision, api_core_gone,
                                        r);
    }
}

/* --- versions ----------------------------------------------------------------- */

static void reply_version(struct api_request *r, uint64_t number)
{
    json_t *json = controller_core_version(r->api->core, r->match.params[0],
                                           r->match.params[1], number);

    if (json != NULL) {
        api_reply_json(r, 200, json);
    } else {
        api_fail(r, &(struct api_error){.cause = CAUSE_NOT_FOUND},
                 "there is no version %llu of function %s/%s", (unsigned long long)number,
                 r->match.params[0], r->match.params[1]);
    }
}

static uint64_t version_param(const struct api_request *r)
{
    uint64_t number = 0;

    (void)input_u64(r->match.params[2], 1, INT64_MAX, &number);
    return number;
}

static void version_settled(void *data, const struct core_reply *reply)
{
    struct api_request *r = data;

    r->asked_core = false;
    if (reply->cause != CAUSE_NONE) {
        api_fail_core(r, reply);
    } else {
        reply_version(r, version_param(r));
    }
}

/* The controller ends: what is known now. */
static void version_stop(struct api_request *r)
{
    if (r->asked_core) {
        controller_core_cancel(r->api->core, r);
        r->asked_core = false;
        reply_version(r, version_param(r));
    }
}

static const struct api_request_ops version_ops = {.on_stop = version_stop};

void api_get_function_version(struct api_request *r)
{
    const char *ns, *name;
    struct error err;
    uint64_t number = version_param(r), wait_ms;

    if (!api_function_params(r, &ns, &name)) {
        return;
    }
    if (number == 0) {
        (void)error_set(&err, -EINVAL, "version is \"%.40s\"; give a number from 1",
                        r->match.params[2]);
        api_refuse(r, "version", &err);
    } else if (input_query_u64(&r->query, "wait_ms", 0, WAIT_MAX_MS, 0, &wait_ms, &err) <
               0) {
        api_refuse(r, "wait_ms", &err);
    } else if (wait_ms == 0 || r->api->closing) {
        reply_version(r, number);
    } else {
        r->ops = &version_ops;
        r->asked_core = true;
        controller_core_wait_version(r->api->core, ns, name, number, wait_ms,
                                     version_settled, r);
    }
}
