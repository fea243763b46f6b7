/* /v1/namespaces */
#include <stdio.h>
#include <string.h>

#include "controller/api/api_private.h"

#define NAME_RULE \
    "give 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or a digit"

static bool check_name(struct api_request *r, const char *field, const char *name)
{
    if (spec_name_valid(name)) {
        return true;
    }
    api_fail(r, &(struct api_error){.cause = CAUSE_BAD_REQUEST, .field = field},
             "%s is \"%.80s\"; " NAME_RULE, field, name);
    return false;
}

static void no_namespace(struct api_request *r, const char *name)
{
    api_fail(r,
             &(struct api_error){.cause = CAUSE_NOT_FOUND,
                                 .fix = "see `mayfly namespaces` for those there are"},
             "there is no namespace %s", name);
}

bool api_namespace_param(struct api_request *r, const char **ret)
{
    *ret = r->match.params[0];
    return check_name(r, "namespace", *ret);
}

bool api_known_namespace(struct api_request *r, const char **ret)
{
    json_t *ns;

    if (!api_namespace_param(r, ret)) {
        return false;
    }
    ns = controller_core_namespace(r->api->core, *ret);
    if (ns == NULL) {
        no_namespace(r, *ret);
        return false;
    }
    json_decref(ns);
    return true;
}

bool api_function_params(struct api_request *r, const char **ret_ns,
                         const char **ret_name)
{
    *ret_ns = r->match.params[0];
    *ret_name = r->match.params[1];
    return check_name(r, "namespace", *ret_ns) && check_name(r, "name", *ret_name);
}

static int list_all(const struct controller_core *c, const char *namespace_,
                    const struct core_list *list)
{
    return controller_core_namespaces(c, list);
}

void api_list_namespaces(struct api_request *r)
{
    api_reply_list(r, NULL, list_all);
}

static void reply_namespace(struct api_request *r, int status, const char *name)
{
    json_t *json = controller_core_namespace(r->api->core, name);

    if (json != NULL) {
        api_reply_json(r, status, json);
    } else {
        no_namespace(r, name);
    }
}

void api_get_namespace(struct api_request *r)
{
    const char *name;

    if (api_namespace_param(r, &name)) {
        reply_namespace(r, 200, name);
    }
}

static void namespace_put(void *data, const struct core_reply *reply)
{
    struct api_request *r = data;

    r->asked_core = false;
    if (reply->cause != CAUSE_NONE) {
        api_fail_core(r, reply);
    } else {
        reply_namespace(r, reply->created ? 201 : 200, r->match.params[0]);
    }
}

void api_put_namespace(struct api_request *r)
{
    static const char *const known[] = {NULL};
    char field[INPUT_FIELD_MAX];
    struct error err;
    const char *name;

    if (!api_namespace_param(r, &name)) {
        return;
    }
    if (input_json_keys(r->json, known, "", field, &err) < 0) {
        api_refuse(r, field, &err);
        return;
    }
    r->asked_core = true;
    controller_core_put_namespace(r->api->core, name, namespace_put, r);
}

void api_delete_namespace(struct api_request *r)
{
    const char *name;

    if (api_namespace_param(r, &name)) {
        r->asked_core = true;
        controller_core_delete_namespace(r->api->core, name, api_core_gone, r);
    }
}
