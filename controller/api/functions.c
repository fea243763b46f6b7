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

    if (strcmp(ns, "-") == 0 || api_known_namespace(r, &ns)) {
        api_reply_list(r, ns, controller_core_functions);
    }
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
        function_spec_check_new(ret, &err) < 0) {
        function_spec_free(ret);
        api_refuse_inside(r, "spec", &err);
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
        api_refuse_inside(r, "rollout", &err);
        return false;
    }
    return true;
}

static void function_put(void *data, const struct core_reply *reply)
{
    struct api_request *r = data;

    r->asked_core = false;
    api_unpin(r);
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
    if (!api_pin(r, package.digest)) {
        function_spec_free(&spec);
        return;
    }
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
