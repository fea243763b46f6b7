/* /v1/namespaces/{namespace}/layers */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/api_private.h"

#define DESCRIPTION_MAX 256

void api_list_layers(struct api_request *r)
{
    const char *ns = r->match.params[0];

    if (strcmp(ns, "-") == 0 || api_namespace_param(r, &ns)) {
        api_reply_list(r, ns, controller_core_layers);
    }
}

static void reply_found(struct api_request *r, int status, json_t *json)
{
    if (json != NULL) {
        api_reply_json(r, status, json);
    } else {
        api_fail(
            r,
            &(struct api_error){.cause = CAUSE_NOT_FOUND,
                                .fix = "see `mayfly layer list` for those there are"},
            "there is no such layer, or version, of the name %s in namespace %s",
            r->match.params[1], r->match.params[0]);
    }
}

void api_get_layer(struct api_request *r)
{
    const char *ns, *name;

    if (api_function_params(r, &ns, &name)) {
        reply_found(r, 200, controller_core_layer(r->api->core, ns, name));
    }
}

/* --- versions --------------------------------------------------------------------- */

static bool version_param(struct api_request *r, uint64_t *ret)
{
    struct error err;

    if (input_u64(r->match.params[2], 1, INT64_MAX, ret) == 0) {
        return true;
    }
    (void)error_set(&err, -EINVAL, "version is \"%.40s\"; give a number from 1",
                    r->match.params[2]);
    api_refuse(r, "version", &err);
    return false;
}

void api_get_layer_version(struct api_request *r)
{
    const char *ns, *name;
    uint64_t number;

    if (api_function_params(r, &ns, &name) && version_param(r, &number)) {
        reply_found(r, 200,
                    controller_core_layer_version(r->api->core, ns, name, number));
    }
}

void api_delete_layer_version(struct api_request *r)
{
    const char *ns, *name;
    uint64_t number;

    if (api_function_params(r, &ns, &name) && version_param(r, &number)) {
        r->asked_core = true;
        controller_core_delete_layer(r->api->core, ns, name, number, api_core_gone, r);
    }
}

static void published(void *data, const struct core_reply *reply)
{
    struct api_request *r = data;

    r->asked_core = false;
    api_unpin(r);
    if (reply->cause != CAUSE_NONE) {
        api_fail_core(r, reply);
    } else {
        reply_found(r, 201,
                    controller_core_layer_version(r->api->core, r->match.params[0],
                                                  r->match.params[1], reply->version));
    }
}

static bool read_description(struct api_request *r, const char **ret)
{
    const json_t *json = json_object_get(r->json, "description");
    struct error err;

    *ret = "";
    if (json == NULL || json_is_null(json)) {
        return true;
    }
    if (!json_is_string(json) || json_string_length(json) > DESCRIPTION_MAX) {
        (void)error_set(&err, -EINVAL, "description is no text of at most %d bytes",
                        DESCRIPTION_MAX);
        api_refuse(r, "description", &err);
        return false;
    }
    *ret = json_string_value(json);
    return true;
}

void api_publish_layer(struct api_request *r)
{
    static const char *const known[] = {"package", "description", NULL};
    char field[INPUT_FIELD_MAX];
    struct package_ref package;
    struct error err;
    const char *ns, *name, *description;

    if (!api_function_params(r, &ns, &name)) {
        return;
    }
    if (input_json_keys(r->json, known, "", field, &err) < 0) {
        api_refuse(r, field, &err);
        return;
    }
    if (!api_read_package(r, &package) || !read_description(r, &description)) {
        return;
    }
    if (!api_pin(r, package.digest)) {
        return;
    }
    r->asked_core = true;
    controller_core_publish_layer(r->api->core, ns, name, &package, description, NULL,
                                  published, r);
}
